"""A doppelganger is alike, a pair differs in one label, and the test of many pairs sees what it says it would see."""

import numpy as np
import pytest
from scipy.stats import kstest

import lux
from lux.diagnostics import counterfactuals as cf
from lux.diagnostics import matching
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.statistics import quadratic_terms

WAVELENGTH = wavelength_grid()[on_chip()][:700]
NAMES = ("fe_h", "alpha_fe", "eu_fe")


def made_survey(seed=0, n_stars=400, line=0.0, noise=0.01):
    """Return spectra with lines of iron and alpha, and one of europium at pixel 350 with a depth of `line` per dex."""
    generator = np.random.default_rng(seed)
    iron = 0.25 * generator.normal(size=n_stars)
    alpha = -0.2 * iron + 0.06 * generator.normal(size=n_stars)
    europium = -0.35 * iron + 0.35 * alpha + 0.1 * generator.normal(size=n_stars)
    truth = np.stack([iron, alpha, europium], axis=1)
    offset = np.arange(len(WAVELENGTH))[:, None] - np.array([100, 200, 300, 400, 500, 600, 350])
    profiles = np.exp(-0.5 * (offset / 1.37) ** 2)
    depths = np.concatenate([np.repeat(iron[:, None], 3, 1) * 0.2, np.repeat(alpha[:, None], 3, 1) * 0.2,
                             line * europium[:, None]], axis=1)  # fmt: skip
    flux = 1 - depths @ profiles.T + noise * generator.normal(size=(n_stars, len(WAVELENGTH)))
    errors = np.broadcast_to([0.06, 0.05, 0.05], truth.shape)
    labels = truth + errors * generator.normal(size=truth.shape)
    return lux.Survey(
        wavelength=WAVELENGTH,
        flux=flux,
        ivar=np.full(flux.shape, noise**-2.0),
        labels=labels,
        label_err=errors,
        label_names=NAMES,
        truth=lux.Truth(truth, {"name": "made"}),
    )


def inferred(survey):
    """Return the two other labels as read from the depths of their own lines."""
    columns = [np.r_[99:102, 199:202, 299:302], np.r_[399:402, 499:502, 599:602]]
    labels = np.stack([(1 - survey.flux[:, part]).mean(axis=1) / 0.17 for part in columns], axis=1)
    covariance = np.broadcast_to(0.02**2 * np.eye(2), (survey.n_stars, 2, 2))
    return lux.Prediction(("fe_h", "alpha_fe"), labels, np.full(labels.shape, 0.02), covariance)


def stacked(survey, **options):
    pairs, others = matching.match_on_inferred(survey, inferred(survey), "eu_fe")
    return cf.stack_pairs(survey, pairs, quadratic_terms(others), **options)


def test_the_doppelganger_of_a_copied_star_is_the_copy():
    survey = made_survey(n_stars=50)
    labels, errors = (np.concatenate([part, part[7:8]]) for part in (survey.labels, survey.label_err))
    twins, distances = matching.doppelgangers(labels, errors, 7, np.arange(51), n_twins=2)
    assert twins[0] == 50
    assert distances[0] == 0 < distances[1]


def test_distances_are_in_the_metric_of_the_label_errors():
    labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
    errors = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 7.0]])
    twins, distances = matching.doppelgangers(labels, errors, 0, np.array([1, 2]))
    np.testing.assert_array_equal(twins, [2, 1])
    np.testing.assert_allclose(distances, [1.5 / np.sqrt(50), 1 / np.sqrt(2)])
    with pytest.raises(ValueError, match="only 1 candidates"):
        matching.doppelgangers(labels, errors, 0, np.array([0, 1]))


def test_pairs_use_each_star_once_and_differ_in_the_label_alone():
    survey = made_survey()
    pairs, others = matching.match_on_inferred(survey, inferred(survey), "eu_fe")
    assert len(np.unique(np.concatenate([pairs.first, pairs.second]))) == 2 * len(pairs)
    differences = others[pairs.first] - others[pairs.second]
    assert np.all(np.abs(differences.mean(axis=0)) < 0.2 * others.std(axis=0))
    assert np.mean(pairs.contrast) > survey.label("eu_fe").std()


def test_a_prediction_that_learned_the_label_is_refused():
    survey = made_survey(n_stars=60)
    known = lux.Prediction(("fe_h", "eu_fe"), survey.labels[:, 1:], survey.label_err[:, 1:])
    with pytest.raises(ValueError, match="must not know 'eu_fe'"):
        matching.match_on_inferred(survey, known, "eu_fe")


def test_matching_on_noisy_labels_makes_a_signal_of_nothing_and_matching_on_inferred_ones_does_not():
    survey = made_survey(n_stars=1500)
    pairs, others = matching.match_on_catalogue(survey, "eu_fe")
    biased = cf.stack_pairs(survey, pairs, quadratic_terms(others)).test
    fair = stacked(survey).test
    assert biased.largest.p_value < 0.01
    assert np.argmax(np.abs(biased.z)) in np.r_[98:103, 198:203, 298:303, 398:403, 498:503, 598:603]
    assert fair.largest.p_value > 0.05


def test_the_p_values_of_the_stack_are_uniform_where_there_is_no_line():
    p_values = [stacked(made_survey(seed, n_stars=180), n_flips=99).test.largest.p_value for seed in range(200)]
    assert kstest(p_values, "uniform").pvalue > 0.05


def test_the_slope_of_the_stack_is_the_depth_of_the_line_diluted_by_the_errors_of_the_label():
    survey = made_survey(n_stars=3000, line=0.1)
    stack = stacked(survey)
    # 0.1 dex of europium's own, seen through an error of 0.05 dex.
    expected = 0.1 * 0.1**2 / (0.1**2 + 0.05**2)
    assert abs(stack.slope[350] - expected) < 3 * stack.slope_err[350]
    assert np.argmax(stack.test.z) in (349, 350, 351)
    assert stack.test.largest.p_value < 0.01


def test_lines_at_the_detection_limit_are_found_as_often_as_promised():
    survey = made_survey(n_stars=900)
    abundance = 10 ** (survey.truth.labels[:, 2] - survey.truth.labels[:, 2].mean())
    stack = stacked(survey)
    limits = cf.stack_limits(survey, stack, abundance, power=0.5)
    assert 0 < limits["known"].depth < limits["anywhere"].depth < 0.2
    column = cf.planted_columns(survey.wavelength)[3]
    for factor, seen in ((0.9, False), (1.1, True)):
        needed = limits["known"].needed[3] * factor
        change = cf.planted_lines(survey, np.arange(survey.n_stars), [column], abundance)
        planted = survey.replace(flux=survey.flux + np.float32(needed) * change)
        again = cf.stack_pairs(planted, stack.pairs, quadratic_terms(inferred(survey).labels))
        assert (again.test.z[column] > limits["known"].threshold) == seen


def test_the_published_test_finds_a_strong_line_in_an_enriched_star_and_nothing_without():
    survey = made_survey(n_stars=500)
    labels = survey.labels.copy()
    labels[11, 2] = 1.5
    ordinary = survey.replace(labels=labels)
    nothing = cf.doppelganger_test(ordinary, "eu_fe", n_ordinary=100)
    assert nothing.star == 11
    assert nothing.largest.p_value > 0.05
    flux = survey.flux.copy()
    flux[11, 340:361] -= 0.2 * np.exp(-0.5 * (np.arange(-10, 11) / 1.37) ** 2)
    found = cf.doppelganger_test(ordinary.replace(flux=flux), "eu_fe", n_ordinary=100)
    assert found.largest.p_value == pytest.approx(1 / 101)
    assert np.argmax(found.z) in (349, 350, 351)
    assert found.z[350] * found.depth_err[350] == pytest.approx(0.2, abs=3 * found.depth_err[350])


def test_what_follows_the_label_at_fixed_observed_wavelength_is_found_in_the_observer_frame():
    survey = made_survey(n_stars=900)
    velocity = np.random.default_rng(0).normal(0, 100, survey.n_stars)
    sky = WAVELENGTH[350]
    place = sky / (1 + velocity / 299792.458)
    own = matching.excess_label(survey.truth.labels[:, 2], survey.truth.labels[:, :2])
    profile = np.exp(-0.5 * ((WAVELENGTH - place[:, None]) / 0.28) ** 2)
    flux = survey.flux + (0.1 * own[:, None] * profile).astype(np.float32)
    stack = stacked(survey.replace(flux=flux))
    observed = cf.stack_in_observer_frame(stack, velocity, [sky, WAVELENGTH[150], 16_999.0])
    assert observed.largest.p_value < 0.01
    assert observed.z[0] < -8
    assert abs(observed.z[1]) < 4
    assert observed.z[2] == 0


def test_absorbers_are_counted_relative_to_the_mean_star_with_or_without_the_truth():
    survey = made_survey(n_stars=4000)
    known = np.log10(cf.absorbers(survey, "eu_fe"))
    expected = survey.truth.labels[:, 2] + survey.truth.labels[:, 0]
    np.testing.assert_allclose(known, expected - expected.mean(), atol=1e-12)
    # Drawn from the catalogue, europium has the spread of the truth, not that of the noisy labels.
    drawn = np.log10(cf.absorbers(survey.replace(truth=None), "eu_fe")) - survey.labels[:, 0]
    assert np.std(drawn) == pytest.approx(np.std(survey.truth.labels[:, 2]), rel=0.05)
