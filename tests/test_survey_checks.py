"""A survey refuses arrays that are wrong or do not fit together, and says at which star, pixel or label."""

import numpy as np
import pytest
from linear_truth import linear_survey
from small_arrays import FLUX, made


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=40, n_pixels=30, missing=0.2)


def broken(survey, name, index, value):
    array = np.array(getattr(survey, name))
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("flux", (3, 7), np.nan, r"flux of star star-3 .* pixel 7 .* not finite"),
        ("flux", (3, 7), np.inf, r"flux of star star-3 .* pixel 7 .* not finite"),
        ("ivar", (5, 2), -1.0, r"ivar of star star-5 .* pixel 2 .* negative"),
        ("ivar", (5, 2), np.nan, r"ivar of star star-5 .* pixel 2 .* not finite"),
        ("ivar", (5, 2), np.inf, r"ivar of star star-5 .* pixel 2 .* not finite"),
        ("ivar", 4, 0.0, r"star star-4 has every pixel masked \(ivar = 0\); leave it out"),
        ("ivar", np.s_[2:], 0.0, r"star star-2 has every pixel masked .* so have most: .* is it inverted"),
        ("wavelength", 9, 15101.6, r"pixel 9 repeats pixel 8"),
        ("wavelength", 9, 15000.0, r"pixel 9 falls below pixel 8"),
        ("wavelength", 9, np.nan, r"wavelength must be finite"),
        ("labels", (6, 1), np.inf, r"label 'label_1' of star star-6 .* is inf"),
        ("star_id", 1, "star-0", r"star_id must be unique, 'star-0' stands 2 times"),
    ],
)
def test_bad_values_are_refused_by_star_pixel_or_label(survey, name, index, value, message):
    with pytest.raises(ValueError, match=message):
        survey.replace(**broken(survey, name, index, value))


@pytest.mark.parametrize("larger", [1e5, 1e20])
def test_an_error_that_is_far_smaller_than_the_others_of_its_star_is_refused(larger):
    survey = linear_survey(n_stars=8, n_pixels=90)
    ivar = np.array(survey.ivar)
    ivar[5, 2] = larger * ivar[5].max()
    with pytest.raises(ValueError, match=r"error of star star-5 .* pixel 2 .* times smaller .* set .* ivar to 0"):
        survey.replace(ivar=ivar)


@pytest.mark.parametrize("bad", [0, 1e-20])
@pytest.mark.parametrize("n_good", [3, 30, 60])
def test_few_good_pixels_beside_masked_ones_are_not_too_precise(bad, n_good):
    survey = linear_survey(n_stars=8, n_pixels=900)
    ivar = np.array(survey.ivar)
    ivar[3, : -n_good if bad == 0 else 400] = bad
    np.testing.assert_array_equal(survey.replace(ivar=ivar).ivar, ivar)


def test_a_label_that_is_there_needs_a_positive_error(survey):
    star, label = np.argwhere(~np.isnan(survey.labels))[0]
    for error in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=rf"label_err 'label_{label}' of star star-{star}"):
            survey.replace(**broken(survey, "label_err", (star, label), error))
    star, label = np.argwhere(np.isnan(survey.labels))[0]
    survey.replace(**broken(survey, "label_err", (star, label), np.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wavelength": np.arange(1.0, 30)}, r"wavelength must have shape \(30,\)"),
        ({"ivar": np.ones((40, 29))}, r"ivar must have shape \(40, 30\)"),
        ({"labels": np.ones((39, 3))}, r"labels must have shape \(40, 3\)"),
        ({"label_names": ["a", "b"]}, r"must have shape \(40, 2\)"),
        ({"label_names": ["a", "b", "a"]}, r"label_names must be unique"),
        ({"label_units": ["K"]}, r"3 label names but 1 label units"),
        ({"flux": np.ones(30)}, r"flux must have 2 dimension"),
        ({"flux": "spectrum"}, r"flux must be an array of numbers"),
        ({"catalogue": {"snr": np.ones(3)}}, r"catalogue column 'snr' must have shape \(40,\)"),
        ({"provenance": {"when": object()}}, r"provenance must hold values that JSON can hold"),
    ],
)
def test_what_does_not_fit_together_is_refused(survey, change, message):
    with pytest.raises(ValueError, match=message):
        survey.replace(**change)


def test_a_survey_itself_takes_masked_labels_for_missing_and_refuses_masked_flux():
    survey = made()
    masked = np.ma.array(survey.labels, mask=np.zeros((4, 2), bool))
    masked[3] = np.ma.masked
    assert np.all(np.isnan(survey.replace(labels=masked).labels[3]))
    with pytest.raises(ValueError, match=r"flux is a masked array; Survey\.from_arrays masks its pixels"):
        survey.replace(flux=np.ma.array(FLUX, mask=FLUX > 1))
