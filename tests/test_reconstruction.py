"""Residuals of rebuilt spectra are those of the noise that was put in, chip by chip."""

import numpy as np
import pytest

import lux
from lux.diagnostics.reconstruction import residuals_by_chip
from lux.spectroscopy.instrument import chip_of_pixel, on_chip, wavelength_grid

NOISE, SCATTER = 0.01, 0.02


@pytest.fixture(scope="module")
def survey():
    """Flat spectra with reported noise, and unreported scatter on the red chip alone."""
    generator = np.random.default_rng(0)
    wavelength, chip = wavelength_grid()[on_chip()][::4], chip_of_pixel()[on_chip()][::4]
    flux = 1 + np.hypot(NOISE, np.where(chip == "red", SCATTER, 0)) * generator.normal(size=(50, len(wavelength)))
    ivar = np.full(flux.shape, NOISE**-2.0)
    flux[:, ::10], ivar[:, ::10] = 9.0, 0.0
    labels = generator.normal(size=(50, 1))
    return lux.Survey(
        wavelength=wavelength, flux=flux, ivar=ivar, labels=labels, label_err=np.ones((50, 1)), label_names=("fe_h",)
    )


def test_residuals_are_those_of_the_noise_and_masked_pixels_do_not_count(survey):
    scatter = np.where(chip_of_pixel()[on_chip()][::4] == "red", SCATTER, 0.0)
    blue, green, red = residuals_by_chip(survey, np.ones(survey.flux.shape), scatter)
    assert [each.chip for each in (blue, green, red)] == ["blue", "green", "red"]
    assert blue.n_pixels + green.n_pixels + red.n_pixels == np.count_nonzero(survey.ivar)
    for each in (blue, green):
        assert each.rms == pytest.approx(NOISE, rel=0.02)
        assert each.scatter == pytest.approx(NOISE, rel=0.02)
        assert each.noise == pytest.approx(NOISE, rel=1e-6)
        assert each.chi == pytest.approx(1, rel=0.02)
        assert each.autocorrelation == pytest.approx(0, abs=0.02)
    assert red.chi == pytest.approx(np.hypot(1, SCATTER / NOISE), rel=0.02)
    assert red.chi_with_scatter == pytest.approx(1, rel=0.02)


def test_a_shift_that_neighbors_share_is_an_autocorrelation(survey):
    shared = np.random.default_rng(1).normal(size=(50, 1)) * NOISE
    blue, *_ = residuals_by_chip(survey, np.ones(survey.flux.shape) + shared, np.zeros(survey.n_pixels))
    assert blue.autocorrelation == pytest.approx(0.5, abs=0.1)


def test_shapes_that_do_not_fit_are_refused(survey):
    with pytest.raises(ValueError, match="must have shapes"):
        residuals_by_chip(survey, np.ones((50, 3)), np.zeros(survey.n_pixels))
