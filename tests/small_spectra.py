"""Spectra of 60 pixels as users have them, with specutils or without, and the survey that they make."""

import types

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from specutils import Spectrum

import lux

GRID = 15200 + 0.25 * np.arange(60)
COARSE = 15202 + 0.4 * np.arange(20)
# Pixels that are masked.
HIDDEN = np.arange(60) < 5


def spectrum(wavelength=GRID, flux=None, error=0.02, mask=None, seed=0):
    if flux is None:
        flux = np.random.default_rng(seed).normal(1, 0.1, len(wavelength))
    error = StdDevUncertainty(np.broadcast_to(error, np.shape(flux)).astype(float))
    return Spectrum(flux=flux * u.one, spectral_axis=wavelength * u.AA, uncertainty=error, mask=mask)


def bare(**changed):
    """Return what a spectrum has, without specutils and what it refuses."""
    one = {"spectral_axis": GRID * u.AA, "flux": np.ones(60) * u.one, "uncertainty": StdDevUncertainty(np.ones(60))}
    return types.SimpleNamespace(**one | {"mask": None} | changed)


def spectrum_in(unit):
    return bare(flux=np.ones(60) * unit)


def made(spectra, **options):
    return lux.Survey.from_spectra(spectra, **options)


def ones(wavelength, flux, ivar):
    return 1.0
