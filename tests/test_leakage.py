"""What the flux says of a label is told from what it says of the catalogue's noise."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey

from lux.auditing import AuditSettings, leakage, measurements

N_STARS = 4000


@pytest.fixture(scope="module")
def design():
    survey = linear_survey(n_stars=N_STARS, n_pixels=30, n_latents=2, n_labels=2)
    return measurements.measure(survey, "label_0", settings=AuditSettings(n_surrogates=2)).design


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
    return max(leakage.growth(design, channel, residual), key=lambda growth: growth.observed - growth.expected / 2)


@pytest.mark.parametrize(("kind", "number"), [("noise in errors", 0), ("noise", 1)])
def test_agreement_with_noise_grows_with_the_error_as_expected(design, kind, number):
    growths = [leakage.growth(design, *draw(design, kind, seed))[number] for seed in range(10)]
    observed, expected = np.array([(growth.observed, growth.expected) for growth in growths]).T
    assert np.all(observed > np.maximum(4, 0.6 * expected))
    assert np.mean(observed / expected) == pytest.approx(1, abs=0.3)


def test_agreement_with_the_label_does_not_grow(design):
    for number in (0, 1):
        growths = [leakage.growth(design, *draw(design, "label", seed))[number] for seed in range(40)]
        assert all(growth.expected > 6 for growth in growths)
        assert abs(np.mean([growth.observed for growth in growths])) < 0.6
        assert 0.7 < np.std([growth.observed for growth in growths]) < 1.3


def test_agreement_with_a_label_whose_own_scatter_grows_with_its_errors_is_no_leak(design):
    """As of a label with fractional errors, or of europium in stars poor in metals."""
    observed = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        own, noise = (design.errors * generator.normal(size=N_STARS) for _ in range(2))
        sizes = 0.3 * generator.uniform(0.5, 2, size=N_STARS)
        channel = leakage.Channel(own / design.errors.mean() + sizes * generator.normal(size=N_STARS), sizes)
        observed.append([growth.observed for growth in leakage.growth(design, channel, own + noise)])
    assert np.all(np.abs(np.mean(observed, axis=0)) < 0.6)
    assert np.all(np.std(observed, axis=0) < 1.4)


def test_noise_of_a_channel_that_is_misjudged_and_goes_with_the_errors_is_no_leak(design):
    for factor in (0.8, 1.25):
        observed = []
        for seed in range(20):
            generator = np.random.default_rng(seed)
            sizes = 1.0 * design.errors / design.errors.mean() * np.exp(0.1 * generator.normal(size=N_STARS))
            own, noise = 0.1 * generator.normal(size=N_STARS), design.errors * generator.normal(size=N_STARS)
            channel = leakage.Channel(own / 0.1 + factor * sizes * generator.normal(size=N_STARS), sizes)
            observed.append(strongest(design, channel, own + noise).observed)
        assert np.max(observed) < 3.5


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
    settings = AuditSettings(n_surrogates=20, max_places=4, min_separation=9)
    own_lines = [survey.wavelength[100]]
    measured = measurements.measure(survey, "label_0", own_lines, settings=settings)
    pixels, signs = leakage.places_elsewhere(with_chance(measured, 0.5))
    assert len(pixels) == 4
    assert not np.any(measured.design.near_own[pixels])
    assert np.all(np.diff(np.sort(pixels)) > 9)
    assert np.array_equal(signs, np.sign(measured.lines[pixels]))
    assert len(leakage.places_elsewhere(with_chance(measured, 1e9))[0]) == 1


def with_chance(measured, significance):
    """Return measurements whose surrogates all show lines of one significance."""
    lines = np.full((2, len(measured.lines)), significance)
    return dataclasses.replace(measured, surrogate=dataclasses.replace(measured.surrogate, lines=lines))
