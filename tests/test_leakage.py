"""What the flux says of a label is told from what it says of the catalogue's noise."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey

from lux.auditing import leakage, measurements

N_STARS = 4000


@pytest.fixture(scope="module")
def design():
    survey = linear_survey(n_stars=N_STARS, n_pixels=30, n_latents=2, n_labels=2)
    return measurements.prepare(survey, "label_0", ())


def draw(design, kind, seed, unseen=0.3):
    """Return a channel that knows the label, its noise in units of the error, or its noise, and the residual."""
    generator = np.random.default_rng(seed)
    scatter = 0.7 * design.errors.mean()
    own, noise = scatter * generator.normal(size=N_STARS), design.errors * generator.normal(size=N_STARS)
    known = {"label": own / scatter, "noise in errors": noise / design.errors, "noise": noise / design.errors.mean()}[
        kind
    ]
    sizes = unseen * generator.uniform(0.5, 2, size=N_STARS)
    return leakage.Channel(known + sizes * generator.normal(size=N_STARS), sizes), own + noise


def strongest(design, channel, residual):
    return max(leakage.growth(design, channel, residual), key=lambda each: each.found - each.expected / 2)


@pytest.mark.parametrize(("kind", "number"), [("noise in errors", 0), ("noise", 1)])
def test_agreement_with_noise_grows_with_the_error_as_expected(design, kind, number):
    growths = [leakage.growth(design, *draw(design, kind, seed))[number] for seed in range(10)]
    found, expected = np.array([(each.found, each.expected) for each in growths]).T
    assert np.all(found > np.maximum(4, 0.6 * expected))
    assert np.mean(found / expected) == pytest.approx(1, abs=0.3)


def test_agreement_with_the_label_does_not_grow(design):
    for number in (0, 1):
        growths = [leakage.growth(design, *draw(design, "label", seed))[number] for seed in range(40)]
        assert all(each.expected > 6 for each in growths)
        assert abs(np.mean([each.found for each in growths])) < 0.6
        assert 0.7 < np.std([each.found for each in growths]) < 1.3


def test_noise_of_a_channel_that_is_misjudged_and_goes_with_the_errors_is_no_leak(design):
    for factor in (0.8, 1.25):
        found = []
        for seed in range(20):
            generator = np.random.default_rng(seed)
            sizes = 1.0 * design.errors / design.errors.mean() * np.exp(0.1 * generator.normal(size=N_STARS))
            own, noise = 0.1 * generator.normal(size=N_STARS), design.errors * generator.normal(size=N_STARS)
            channel = leakage.Channel(own / 0.1 + factor * sizes * generator.normal(size=N_STARS), sizes)
            found.append(strongest(design, channel, own + noise).found)
        assert np.max(found) < 3.5


def test_a_slope_that_rests_on_few_stars_is_none(design):
    for few in (0, 1, 5):
        errors = np.full(N_STARS, 0.1)
        errors[:few] = 0.4
        alike = dataclasses.replace(design, errors=errors)
        channel, residual = draw(alike, "noise", 1)
        assert leakage.growth(alike, channel, residual) == (leakage.Growth(0.0, 0.0), leakage.Growth(0.0, 0.0))
    constant = leakage.Channel(np.zeros(N_STARS), np.zeros(N_STARS))
    assert leakage.growth(design, constant, residual)[0] == leakage.Growth(0.0, 0.0)


def test_a_channel_leaves_the_error_if_it_knows_the_label_and_less_if_it_knows_noise(design):
    left = {}
    for kind in ("label", "noise in errors"):
        channel, residual = draw(design, kind, 2, unseen=0.01)
        before, _ = leakage.unexplained(design, residual, [])
        left[kind], uncertainty = leakage.unexplained(design, residual, [channel])
        assert before > 1 + 5 * uncertainty
    assert left["label"] == pytest.approx(1, abs=5 * uncertainty)
    assert left["noise in errors"] < 1 - 5 * uncertainty


def test_places_elsewhere_keep_clear_of_own_lines_and_of_each_other():
    survey = linear_survey(n_stars=300, n_pixels=400, n_latents=3, n_labels=3)
    design = measurements.prepare(survey, "label_0", [survey.wavelength[100]])
    found = measurements.read(design, design.labels[:, None])
    pixels, signs = leakage.places_elsewhere(design, found, 0.5)
    assert 1 < len(pixels) <= leakage.MOST_PLACES
    assert not np.any(design.near_own[pixels])
    assert np.all(np.diff(np.sort(pixels)) > leakage.APART)
    assert np.array_equal(signs, np.sign(found.lines[0, pixels]))
    assert len(leakage.places_elsewhere(design, found, np.inf)[0]) == 1
