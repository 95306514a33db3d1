"""Noise, masks and errors have the statistics that they claim."""

import numpy as np
import pytest

from lux.simulation.observation import (
    RESIDUAL_KERNELS,
    Observation,
    draw_bad_columns,
    draw_label_errors,
    smooth_noise,
)
from lux.simulation.population import draw_stars
from lux.simulation.synthetic import make_survey, noise_free_flux
from lux.simulation.worlds import ARTEFACT_WAVELENGTHS
from lux.spectroscopy.instrument import nearest_pixel, pixel_of
from lux.spectroscopy.lines import airglow_lines
from lux.spectroscopy.profiles import rest_pixel

N_STARS, SEED = 256, 5
OPTIONS = {"n_stars": N_STARS, "seed": SEED}


def clean_flux(survey):
    return noise_free_flux(draw_stars(survey.n_stars, SEED), nearest_pixel(survey.wavelength))


def test_noise_is_what_the_errors_say_plus_correlated_residuals(shortcut):
    """Robust sigma of (flux - truth)/error near DR10's; DR10's 1.64 and 0.011 contain the errors of its model."""
    good = shortcut.ivar > 0
    residual = (shortcut.flux - clean_flux(shortcut))[good]
    chi = residual * np.sqrt(shortcut.ivar[good])
    assert 1.0 < 1.4826 * np.median(np.abs(chi)) < 1.64
    assert 0.006 < 1.4826 * np.median(np.abs(residual)) < 0.011
    assert shortcut.ivar.max() <= 1 / 0.005**2 * 1.0001, "the error floor"
    silent = make_survey(40, SEED, continuum_residual=0.0, sky_amplitude=0.0)
    chi = ((silent.flux - clean_flux(silent)) * np.sqrt(silent.ivar))[(silent.ivar > 0) & (silent.ivar < 3.9e4)]
    assert np.std(chi) == pytest.approx(1.0, abs=0.01)


def test_correlated_residuals_have_the_autocorrelation_of_dr10():
    stream = np.random.default_rng(0)
    noise = sum(np.sqrt(weight) * smooth_noise(stream, (200, 4000), width) for weight, width in RESIDUAL_KERNELS)
    assert np.std(noise) == pytest.approx(1.0, abs=0.02)
    for lag, expected in ((1, 0.84), (2, 0.58), (3, 0.39)):
        assert np.mean(noise[:, :-lag] * noise[:, lag:]) == pytest.approx(expected, abs=0.03)


def test_masks_move_with_velocity_and_have_a_realistic_fraction(shortcut):
    assert 0.02 < np.mean(shortcut.ivar == 0) < 0.05
    assert np.all(shortcut.flux[shortcut.ivar == 0] == 1)
    masked = make_survey(**OPTIONS, sky="masked", release="dr10")
    assert 0.09 < np.mean(masked.ivar == 0) < 0.16, "DR10: 0.13"
    stars = draw_stars(N_STARS, SEED)
    rest = 15240.952 / (1 + stars.observed_velocity / 299792.458)
    pixel = np.searchsorted(masked.wavelength, rest)
    assert np.all(masked.ivar[np.arange(N_STARS), pixel] == 0)


@pytest.mark.parametrize("seed", range(8))
def test_no_bad_column_hides_a_strong_airglow_line(seed):
    columns, lines = draw_bad_columns(seed, 60), airglow_lines()
    assert len(columns) == 60
    strong = pixel_of(lines.wavelength[lines.strength >= 0.05])
    assert np.abs(columns[:, None] - strong).min() > 9
    # They fall elsewhere as they did: uniformly.
    assert 0.3 < np.mean(columns < 4287) < 0.7


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_planted_airglow_line_is_seen_in_most_stars_of_the_default_survey(seed):
    survey = make_survey(60, seed, wavelength_range=[(line - 6, line + 6) for line in ARTEFACT_WAVELENGTHS])
    places = rest_pixel(ARTEFACT_WAVELENGTHS, survey.truth.columns["observed_velocity"])
    nearest = np.abs(places[:, :, None] - pixel_of(survey.wavelength)).argmin(axis=2)
    near = np.abs(pixel_of(survey.wavelength)[nearest] - places) < 1
    unmasked = np.take_along_axis(survey.ivar > 0, nearest, axis=1)
    assert np.all(near.sum(axis=0) > 50)
    assert np.all(np.where(near, unmasked, True).mean(axis=0) > 0.9)


def test_an_observation_refuses_negative_numbers():
    with pytest.raises(ValueError, match="continuum_residual must not be negative"):
        Observation(continuum_residual=-1.0)


def test_europium_errors_are_those_of_galah_giants():
    errors, snr = draw_label_errors(20_000, ("eu_fe",), 1)
    assert 0.08 <= errors.mean() <= 0.10
    assert 0.08 <= np.sqrt(np.mean(errors**2)) <= 0.10
    assert errors[snr < 40].mean() > errors[snr > 100].mean()
