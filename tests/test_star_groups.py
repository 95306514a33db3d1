"""Several spectra of one star count as one star in an audit."""

import numpy as np
import pytest

import lux
from lux.auditing import star_groups
from lux.auditing.model_outputs import ModelOutputs
from lux.models import baselines

WINDOWS = [(15436, 15460), (16104, 16138), (16491, 16515), (16728, 16750)]
LINES = (15448.4, 16117.0, 16739.0)


def make(world="shortcut", seed=4):
    survey = lux.load("synthetic", world=world, n_stars=600, seed=seed, star_seed=2, wavelength_range=WINDOWS)
    return survey.replace(catalogue={**survey.catalogue, "star": survey.star_id})


def observed_again(survey, seed=0):
    """Return the survey with each spectrum twice, of equal noise."""
    generator, twice = np.random.default_rng(seed), np.repeat(np.arange(survey.n_stars), 2)
    error = np.where(survey.ivar > 0, survey.ivar, np.inf)[twice] ** -0.5
    flux = survey.flux[twice] + error * generator.standard_normal((2 * survey.n_stars, survey.n_pixels))
    return lux.Survey(
        wavelength=survey.wavelength,
        flux=flux,
        ivar=survey.ivar[twice] / 2,
        labels=survey.labels[twice],
        label_err=survey.label_err[twice],
        label_names=survey.label_names,
        label_units=survey.label_units,
        catalogue={name: values[twice] for name, values in survey.catalogue.items()},
    )


def audited(survey, groups, model=None):
    train, test = survey.split(0.3, groups=groups)
    return lux.audit(model or baselines.Mean().fit(train), train, test, "eu_fe", LINES, groups=groups)


def test_stars_with_one_spectrum_each_are_audited_as_without_groups():
    survey = make()
    train, test = survey.split(0.3)
    model = baselines.Mean().fit(train)
    with_groups, without = (lux.audit(model, train, test, "eu_fe", LINES, groups=name) for name in ("star", None))
    assert with_groups.verdict == without.verdict
    for item in without.evidence:
        assert with_groups[item.name].statistic == pytest.approx(item.statistic, rel=1e-3, abs=1e-3)


def test_spectra_of_one_star_count_as_one_star():
    report = audited(observed_again(make()), "star")
    assert report.n_stars == 600
    assert report.verdict == "guessed", str(report)
    assert audited(observed_again(make(lux.World("signal", depth=0.03))), "star").verdict == "known"


def test_spectra_are_weighted_by_their_errors_and_repeated_labels_are_one_measurement():
    survey = make()[:3]
    flux, ivar = np.array(survey.flux), np.full_like(survey.ivar, 1.0)
    flux[:2], ivar[1], ivar[:2, 0] = [[1.0], [4.0]], 2.0, 0.0
    labels, errors = np.array(survey.labels), np.full_like(survey.label_err, 0.1)
    labels[:2, 0], labels[0, 1], labels[1, 1] = 5.0, 1.0, 3.0
    errors[1, 1] = 0.1 / np.sqrt(3)
    labels[0, 2] = np.nan
    survey = survey.replace(flux=flux, ivar=ivar, labels=labels, label_err=errors)
    survey = survey.replace(catalogue={"radial_velocity": np.array([10.0, 40.0, 7.0]), "field": np.array([3, 4, 5])})
    one = star_groups.combined(survey, np.array(["a", "a", "b"]))
    assert list(one.star_id) == ["a", "b"]
    assert (one.ivar[0, 0], one.flux[0, 0]) == (0, 1)
    assert one.catalogue["radial_velocity"].tolist() == [25.0, 7.0]
    assert one.catalogue["field"].tolist() == [3, 5]
    np.testing.assert_allclose(one.flux[0, 1:], 3.0)
    np.testing.assert_allclose(one.ivar[0, 1:], 3.0)
    assert (one.labels[0, 0], one.label_err[0, 0]) == pytest.approx((5.0, 0.1))
    assert (one.labels[0, 1], one.label_err[0, 1]) == pytest.approx((2.5, 0.05))
    assert one.labels[0, 2] == labels[1, 2]
    np.testing.assert_array_equal(one.labels[1], labels[2])


def test_blanks_around_the_name_of_a_star_do_not_count():
    survey = make()[:3].replace(catalogue={"star": np.array(["a", "a  ", " b"])})
    assert star_groups.star_of_spectrum(survey, "star").tolist() == ["a", "a", "b"]


def test_predictions_are_averaged_over_the_spectra_of_a_star():
    values = np.array([1.0, 5.0, 3.0])
    outputs = ModelOutputs(values, values, values + 1, np.stack([values, 2 * values], axis=1), values, None)
    mean = star_groups.combined_outputs(outputs, np.array(["b", "a", "b"]), np.array([7.0, 8.0]))
    np.testing.assert_array_equal(mean.predicted, [2.0, 5.0])
    np.testing.assert_array_equal(mean.others, [[2.0, 4.0], [5.0, 10.0]])
    np.testing.assert_array_equal(mean.catalogue, [7.0, 8.0])


def test_a_star_on_both_sides_and_a_column_that_is_not_there_are_refused():
    survey = observed_again(make())
    train, test = survey.split(0.3)
    model = baselines.Mean().fit(train)
    with pytest.raises(ValueError, match=r"stars, such as .* have spectra in the training and in the test survey"):
        lux.audit(model, train, test, "eu_fe", LINES, groups="star")
    with pytest.raises(ValueError, match=r"no column 'object'.*it has .*star"):
        lux.audit(model, train, test, "eu_fe", LINES, groups="object")


def test_spectra_whose_star_is_not_named_are_stars_of_their_own():
    survey = make(lux.World("signal", depth=0.03))
    named = np.where(np.arange(600) % 2, survey.star_id, "")
    some = survey.replace(catalogue={"star": np.char.add(named, " ")})
    train, test = some.split(0.3)
    report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES, groups="star")
    assert report.n_stars == 600
    assert report.verdict == "known"
    numbered = some.replace(catalogue={"star": np.where(np.arange(600) % 2, np.arange(600.0), np.nan)})
    assert len(set(star_groups.star_of_spectrum(numbered, "star"))) == 600
    with pytest.raises(ValueError, match="groups is the name of a column of the catalogue, got ndarray"):
        lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES, groups=np.arange(600))


def test_a_name_at_very_many_spectra_is_asked_for_and_minus_one_is_none():
    survey = make()
    third = np.arange(survey.n_stars) % 3 == 0
    for none, refused in ((0, True), (-1, False), (-9999, False)):
        named = survey.replace(catalogue={"star": np.where(third, none, 1 + np.arange(survey.n_stars))})
        if refused:
            with pytest.raises(ValueError, match=r"\d+ of \d+ spectra are of one star, 0: does it stand for none"):
                star_groups.star_of_spectrum(named, "star")
        else:
            assert len(np.unique(star_groups.star_of_spectrum(named, "star"))) == survey.n_stars
