"""The tests of one star and of many pairs find a line where there is one, and chance where there is none."""

import numpy as np
import pytest
from europium_truth import WAVELENGTH, made_survey, stacked
from scipy.stats import kstest

from lux.diagnostics import counterfactuals as cf
from lux.diagnostics import matching
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World
from lux.statistics import quadratic_terms


def test_matching_on_noisy_labels_makes_a_signal_and_on_inferred_ones_does_not():
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


def test_the_test_of_any_size_compares_the_very_stars_that_the_whole_survey_would():
    options = {"wavelength_range": (15_436, 15_460), "world": "signal"}
    whole = make_survey(160, 3, **options)
    expected = cf.doppelganger_test(whole, "eu_fe", n_ordinary=12, seed=3)
    survey, found = cf.doppelganger_test_of_size(160, n_ordinary=12, seed=3, **options)
    assert survey.star_id[found.star] == whole.star_id[expected.star]
    np.testing.assert_array_equal(survey.star_id[found.twins], whole.star_id[expected.twins])
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert len(survey) <= 3 * 13


def test_the_richest_of_fifty_thousand_shows_lines_that_the_richest_of_few_does_not():
    options = {"wavelength_range": (15_400, 15_500), "world": World("signal", depth=0.01, n_lines=1)}
    enriched, p_values = [], []
    for n_survey in (600, 50_000):
        survey, found = cf.doppelganger_test_of_size(n_survey, n_ordinary=40, seed=1, **options)
        enriched.append(survey.truth.columns["r_enhanced"][found.star])
        p_values.append(found.largest.p_value)
    assert enriched == [False, True]
    assert p_values[1] == pytest.approx(1 / 41)
    assert p_values[0] > 0.05


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda survey: stacked(survey, n_flips=0), "n_flips is 0; expected 1 or more"),
        (lambda survey: cf.doppelganger_test(survey, "eu_fe", n_twins=0), "n_twins is 0; expected 1 or more"),
        (lambda survey: cf.doppelganger_test(survey, "eu_fe", n_ordinary=0), "n_ordinary is 0; expected 1 or more"),
        (lambda survey: cf.doppelganger_test(lacking(survey, 60), "fe_h"), "no star of the survey has label 'eu_fe'"),
        (lambda survey: cf.doppelganger_test(lacking(survey, 30), "fe_h"), "no star has all labels; leave out those"),
        (
            lambda survey: cf.stack_pairs(survey, matching.match_on_catalogue(survey, "eu_fe")[0], survey.labels[:9]),
            "9 stars have nuisances, the survey has 60",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(made_survey(n_stars=60))


def lacking(survey, count):
    """Return the survey without europium in the first stars and without iron in the others."""
    labels = survey.labels.copy()
    labels[:count, 2] = labels[count:, 0] = np.nan
    return survey.replace(labels=labels)


def test_one_nuisance_may_be_a_vector():
    survey = made_survey(n_stars=60)
    pairs, others = matching.match_on_catalogue(survey, "eu_fe")
    slopes = [cf.stack_pairs(survey, pairs, nuisance, n_flips=9).slope for nuisance in (others[:, 0], others[:, :1])]
    np.testing.assert_array_equal(*slopes)
