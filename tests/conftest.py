"""Surveys and models that several files share. Each is made once in a process, and no test changes it."""

import pytest
from linear_truth import linear_survey

import lux
from lux.simulation.synthetic import make_survey


@pytest.fixture(scope="session")
def surveys():
    """Training and test stars drawn from a Lux model of five latents; one in twenty labels is missing."""
    return linear_survey(n_stars=700, n_latents=5, n_labels=4, missing=0.05, seed=3).split(0.4, seed=0)


@pytest.fixture(scope="session")
def model(surveys):
    """Lux with five latents, fitted to the training stars of `surveys`."""
    return lux.Lux(5, tolerance=1e-3).fit(surveys[0])


@pytest.fixture(scope="session")
def shortcut():
    """The 256 synthetic stars of seed 5 on the whole grid, without a europium line."""
    return make_survey(256, 5)
