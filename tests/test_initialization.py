"""New stars that start at their labels give them back until the fit has converged, whatever the flux says."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.diagnostics.initialization import CANARY, unfinished_latents, with_canary
from lux.models.starts import labels_as_latents

STEPS = (0, 3, 20_000)


@pytest.fixture(scope="module")
def canary():
    """A published fit to a survey with a canary, its test stars, and their latents on the way from their labels."""
    train, test = with_canary(linear_survey(n_stars=200, n_pixels=120)).split(0.2, seed=0)
    model = lux.Lux(6, start="labels", algorithm="als", omega=1000.0, max_cycles=30, tolerance=0.02).fit(train)
    return model, test, unfinished_latents(model, test, labels_as_latents(test, 6), STEPS)


def test_the_way_leads_from_the_start_to_the_exact_solution(canary):
    model, test, path = canary
    assert path.shape == (3, len(test), 6)
    np.testing.assert_array_equal(path[0], labels_as_latents(test, 6))
    exact = model.infer_latents(test)
    assert np.std(path[2] - exact) < 0.1 * np.std(exact) < np.std(path[1] - exact)


def test_only_an_unfinished_fit_predicts_a_label_that_the_flux_does_not_know(canary):
    model, test, path = canary
    column = test.label_index(CANARY)
    follows = [np.corrcoef(each @ model.A_[column], test.label(CANARY))[0, 1] for each in path]
    assert follows[1] > 0.9
    assert abs(follows[2]) < 0.4
    others = np.corrcoef(path[1] @ model.A_[0], test.label("label_0"))[0, 1]
    assert others > 0.9
