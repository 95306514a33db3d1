"""What a limit says would be found is found when it is planted, and what is weaker is not."""

import numpy as np
import pytest
from europium_truth import inferred, made_survey, stacked

from lux.diagnostics import counterfactuals, detection_limits
from lux.statistics import quadratic_terms


def test_lines_at_the_detection_limit_are_found_as_often_as_promised():
    survey = made_survey(n_stars=900)
    abundance = 10 ** (survey.truth.labels[:, 2] - survey.truth.labels[:, 2].mean())
    stack = stacked(survey)
    limits = detection_limits.stack_limits(survey, stack, abundance, power=0.5)
    assert 0 < limits["known"].depth < limits["anywhere"].depth < 0.2
    column = detection_limits.planted_columns(survey.wavelength)[3]
    for factor, seen in ((0.9, False), (1.1, True)):
        needed = limits["known"].needed[3] * factor
        change = detection_limits.planted_lines(survey, np.arange(survey.n_stars), [column], abundance)
        planted = survey.replace(flux=survey.flux + np.float32(needed) * change)
        again = counterfactuals.stack_pairs(planted, stack.pairs, quadratic_terms(inferred(survey).labels))
        assert (again.test.z[column] > limits["known"].threshold) == seen


def test_abundances_are_relative_to_the_mean_star_with_or_without_the_truth():
    survey = made_survey(n_stars=4000)
    known = np.log10(detection_limits.relative_abundance(survey, "eu_fe"))
    expected = survey.truth.labels[:, 2] + survey.truth.labels[:, 0]
    np.testing.assert_allclose(known, expected - expected.mean(), atol=1e-12)
    # Drawn from the catalogue, europium scatters as in truth, not that of the noisy labels.
    drawn = np.log10(detection_limits.relative_abundance(survey.replace(truth=None), "eu_fe")) - survey.labels[:, 0]
    assert np.std(drawn) == pytest.approx(np.std(survey.truth.labels[:, 2]), rel=0.05)


def test_the_limit_of_one_star_is_what_that_star_needs():
    survey = made_survey(n_stars=300)
    abundance = np.zeros(survey.n_stars)
    test = counterfactuals.doppelganger_test(survey, "eu_fe", n_ordinary=50)
    abundance[test.star] = 3.0
    limit = detection_limits.doppelganger_limits(survey, test, abundance, power=0.5)["known"]
    column = detection_limits.planted_columns(survey.wavelength)[3]
    # The depths tried are 4.4 % apart.
    for factor, seen in ((1 / 1.05, False), (1.001, True)):
        change = detection_limits.planted_lines(survey, np.arange(survey.n_stars), [column], abundance)
        planted = survey.replace(flux=survey.flux + np.float32(limit.needed[3] * factor) * change)
        again = counterfactuals.doppelganger_test(planted, "eu_fe", n_ordinary=50)
        assert (again.z[column] > limit.threshold) == seen
