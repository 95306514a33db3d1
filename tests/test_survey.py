"""A survey is frozen; slices, splits and masks carry everything along."""

import dataclasses

import numpy as np
import pytest
from astropy.table import MaskedColumn
from linear_truth import assert_same_survey, linear_survey


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=40, n_pixels=30, missing=0.2)


def test_a_survey_is_frozen(survey):
    with pytest.raises(dataclasses.FrozenInstanceError):
        survey.flux = survey.ivar
    with pytest.raises(ValueError, match="read-only"):
        survey.flux[0, 0] = 2


def test_slicing_carries_everything_along(survey):
    for picked in (slice(3, 9), np.arange(40) % 3 == 0, [5, 2, 7], 4):
        part, rows = survey[picked], np.atleast_1d(np.arange(40)[picked])
        assert part.star_id.tolist() == survey.star_id[rows].tolist()
        np.testing.assert_array_equal(part.flux, survey.flux[rows])
        np.testing.assert_array_equal(part.truth.labels, survey.truth.labels[rows])
        np.testing.assert_array_equal(part.catalogue["group"], survey.catalogue["group"][rows])


def test_what_is_masked_in_a_selection_picks_no_star_and_no_pixel(survey):
    snr = MaskedColumn(np.arange(40.0), mask=np.arange(40) >= 36)
    assert survey[snr > 33].star_id.tolist() == survey.star_id[[34, 35]].tolist()
    assert survey[np.ma.array([5, 2, 7], mask=[0, 1, 0])].star_id.tolist() == survey.star_id[[5, 7]].tolist()
    pixels = np.ma.array(np.arange(30) > 2, mask=np.arange(30) > 9)
    np.testing.assert_array_equal(survey.select_pixels(pixels).wavelength, survey.wavelength[3:10])


@pytest.mark.parametrize(
    ("picked", "message"),
    [
        (np.zeros(40, bool), "leaves no star"),
        (np.ma.masked_all(40, bool), "leaves no star"),
        (np.ma.masked_all(3, int), "leaves no star"),
        (np.ones(39, bool), r"shape \(40,\)"),
        ([0.5], "picked by"),
        ([], "no star"),
    ],
)
def test_a_selection_that_makes_no_survey_is_refused(survey, picked, message):
    with pytest.raises(ValueError, match=message):
        survey[picked]


def test_a_split_deals_out_every_star_once_and_repeats_with_its_seed(survey):
    train, test = survey.split(0.25, seed=3)
    assert (train.n_stars, test.n_stars) == (30, 10)
    assert sorted([*train.star_id, *test.star_id]) == sorted(survey.star_id)
    assert_same_survey(test, survey.split(0.25, seed=3)[1])
    assert test.star_id.tolist() != survey.split(0.25, seed=4)[1].star_id.tolist()
    with pytest.raises(ValueError, match="both sides need at least one star"):
        survey.split(0.001)


def test_a_split_by_groups_divides_none(survey):
    visits = np.repeat(np.arange(20), 2)
    train, test = survey.split(0.3, seed=1, groups=visits)
    names = {name: visit for name, visit in zip(survey.star_id.tolist(), visits, strict=True)}
    sides = [{names[name] for name in side.star_id.tolist()} for side in (train, test)]
    assert not sides[0] & sides[1]
    assert (len(train), len(test)) == (28, 12)
    by_column = survey.replace(catalogue={"visit": visits}).split(0.3, seed=1, groups="visit")
    assert by_column[1].star_id.tolist() == test.star_id.tolist()
    for groups, message in (
        ("cluster", "no column 'cluster'"),
        (visits[:3], r"got shape \(3,\)"),
        (np.ones(40), "1 groups"),
    ):
        with pytest.raises(ValueError, match=message):
            survey.split(0.3, groups=groups)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_group_leaves_the_test_to_smaller_ones(survey, seed):
    clusters = np.where(np.arange(40) < 20, 7, np.arange(40))
    train, test = survey.split(0.3, seed=seed, groups=clusters)
    assert test.n_stars == 12
    assert set(survey.star_id[:20]) <= set(train.star_id)


@pytest.mark.parametrize("none", [-1, -9999, -1.0, -999, "", "nan"])
def test_a_number_that_stands_for_no_group_makes_none(survey, none):
    clusters = np.array([str(none)] * 30 + ["M 67"] * 10)
    _, test = survey.split(0.5, groups=clusters)
    assert test.n_stars == 20
    together = np.isin(survey.star_id[30:], test.star_id)
    assert together.all() or not together.any()


@pytest.mark.parametrize("share", ["0.3", None, 0, 1, 1.5, np.nan, [0.3, 0.7]])
def test_the_share_of_the_test_is_a_number_between_none_and_all(survey, share):
    for groups in (None, np.arange(40)):
        with pytest.raises(ValueError, match="test_fraction must be a number between 0 and 1"):
            survey.split(share, groups=groups)


@pytest.mark.parametrize("seed", [1.5, -1, "one"])
def test_the_seed_of_a_split_is_a_whole_number_from_zero_on(survey, seed):
    for groups in (None, np.arange(40)):
        with pytest.raises(ValueError, match=f"seed must be a whole number, not below 0; got {seed!r}"):
            survey.split(0.3, seed, groups=groups)


def test_masking_wavelengths_zeroes_ivar_inside_and_nothing_else(survey):
    masked = survey.mask_wavelengths([(15101.0, 15101.4), (15103.0, 15103.1)])
    inside = survey.pixels_within([(15101.0, 15101.4), (15103.0, 15103.1)])
    assert inside.sum() == 4
    assert np.all(masked.ivar[:, inside] == 0)
    np.testing.assert_array_equal(masked.ivar[:, ~inside], survey.ivar[:, ~inside])
    np.testing.assert_array_equal(masked.flux, survey.flux)
    with pytest.raises(ValueError, match="low <= high"):
        survey.mask_wavelengths([(2.0, 1.0)])


def test_pixels_that_no_star_has_can_be_dropped(survey):
    holed = survey.mask_wavelengths([(15101.0, 15101.4)]).drop_masked_pixels()
    assert holed.n_pixels == survey.n_pixels - 3
    with pytest.raises(ValueError, match=r"boolean mask of shape \(30,\)"):
        survey.select_pixels(np.arange(3))


@pytest.mark.parametrize(("fraction", "n_kept"), [(0.0, 30), (0.5, 30), (0.51, 27)])
def test_pixels_that_few_stars_have_can_be_dropped(survey, fraction, n_kept):
    ivar = np.ones((10, survey.n_pixels))
    ivar[:5, 4:7] = 0
    assert survey[:10].replace(ivar=ivar).drop_masked_pixels(fraction=fraction).n_pixels == n_kept


def test_labels_are_selected_by_name(survey):
    part = survey.select_labels(["label_2", "label_0"])
    np.testing.assert_array_equal(part.labels, survey.labels[:, [2, 0]])
    np.testing.assert_array_equal(part.truth.labels, survey.truth.labels[:, [2, 0]])
    with pytest.raises(ValueError, match="unknown label 'eu_fe'; this survey has label_0"):
        survey.label("eu_fe")
