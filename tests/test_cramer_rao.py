"""The optimal observer's bound is what the best estimate from planted lines reaches."""

import numpy as np
import pytest

import lux
from lux.auditing.measurements import locate
from lux.simulation import cramer_rao
from lux.simulation.worlds import World

WINDOW = [(15425.0, 15472.0)]


def survey(depth, seed=3, **options):
    return lux.load(
        "synthetic",
        n_stars=400,
        seed=seed,
        star_seed=1,
        wavelength_range=WINDOW,
        world=World("signal", depth=depth, n_lines=1),
        **options,
    )


def test_the_bound_is_inverse_to_the_depth_and_infinite_without_lines():
    weak, weaker = cramer_rao.star_bound(survey(0.004)), cramer_rao.star_bound(survey(0.002))
    np.testing.assert_allclose(weaker / weak, 2, rtol=0.05)
    assert np.all(np.isinf(cramer_rao.star_bound(lux.load("synthetic", n_stars=5, wavelength_range=WINDOW))))
    assert cramer_rao.sample_significance(lux.load("synthetic", n_stars=5, wavelength_range=WINDOW)) == 0


def test_the_best_estimate_of_one_star_scatters_by_the_bound():
    quiet = {"continuum_residual": 0.0, "sky_amplitude": 0.0, "bad_pixel_fraction": 0.0, "bad_columns": 0}
    planted, bare = (
        survey(0.03, **quiet),
        lux.load("synthetic", n_stars=400, seed=3, star_seed=1, wavelength_range=WINDOW, **quiet),
    )
    doubled = survey(0.03, seed=4, **quiet)
    expected = cramer_rao.star_bound(doubled)
    # The same stars in two draws of noise: their difference along the line's response, which the planted worlds give.
    (pixel,), near = locate(planted.wavelength, planted.truth.world["own_lines"])
    profile = np.mean(bare.flux - planted.flux, axis=0)[near]
    profile /= profile.max()
    weight = 1 / np.maximum(np.var(doubled.flux - planted.flux, axis=0)[near] / 2, 1e-12)
    noise = lux.load("synthetic", n_stars=400, seed=5, star_seed=1, wavelength_range=WINDOW, **quiet).flux - bare.flux
    estimate = (noise[:, near] * weight) @ profile / np.sum(weight * profile**2)
    # Two noises, each with its own star's level: compare over the sample, in depth per dex of the median star.
    depth = np.median((bare.flux - planted.flux)[:, pixel])
    strength = planted.truth.world["strength"]
    slope = np.log(10) * strength * np.exp(-strength)
    assert depth == pytest.approx(1 - np.exp(-strength), rel=0.2)
    assert np.median(np.abs(estimate)) * 1.4826 / np.sqrt(2) / slope == pytest.approx(np.median(expected), rel=0.25)


def test_an_observed_survey_is_refused():
    real = survey(0.01).replace(truth=None)
    with pytest.raises(ValueError, match="what was planted"):
        cramer_rao.star_bound(real)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_the_best_slope_is_that_of_a_regression_on_flux_with_noise_added(monkeypatch, noise):
    planted = survey(0.01)
    scatter, error = planted.truth.world["tau"], 0.05
    monkeypatch.setattr(cramer_rao, "star_bound", lambda survey: np.full(survey.n_stars, error))
    generator, n_draws = np.random.default_rng(0), 200_000
    europium = scatter * generator.normal(size=n_draws)
    read = europium + error * generator.normal(size=n_draws)
    trained_on = read + noise * error * generator.normal(size=n_draws)
    weight = np.cov(europium, trained_on)[0, 1] / np.var(trained_on)
    slope = np.polyfit(europium, weight * read, 1)[0]
    assert cramer_rao.best_slope(planted, noise) == pytest.approx(slope, abs=0.01)
