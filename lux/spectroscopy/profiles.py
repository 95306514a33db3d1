"""Profiles of unresolved lines on the pixel grid, at rest wavelengths or fixed in the observer's frame."""

import numpy as np
from numpy.typing import ArrayLike

from lux.spectroscopy.instrument import LINE_SIGMA_KMS, N_PIXELS, PIXEL_KMS, doppler_shift_pixels, pixel_of

# Half width in pixels of a profile: more than five standard deviations, beyond which it is exactly zero.
PROFILE_REACH = 8


def _profile(offset: np.ndarray) -> np.ndarray:
    """Return the instrument profile, 1 at its center, at an offset in pixels."""
    return np.exp(-0.5 * (offset / (LINE_SIGMA_KMS / PIXEL_KMS)) ** 2)


def profile_of_line(wavelength: float, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the grid pixels (D,) a line at a rest wavelength reaches, as columns (n,), and its profile (n,).

    `wavelength` in vacuum Angstrom.
    """
    center = pixel_of(wavelength)
    near = np.flatnonzero(np.abs(pixels - np.rint(center)) <= PROFILE_REACH)
    return near, _profile(pixels[near] - center)


def rest_pixel(observed_wavelength: ArrayLike, observed_velocity: ArrayLike) -> np.ndarray:
    """Return the pixel (N, L) of the rest-frame grid on which light of fixed observed wavelengths (L,) falls.

    `observed_wavelength` in vacuum Angstrom, `observed_velocity` (N,) of the star towards the telescope in km/s.
    """
    return pixel_of(np.asarray(observed_wavelength)) - doppler_shift_pixels(np.asarray(observed_velocity))[:, None]


def add_at_observed(
    flux: np.ndarray,
    pixels: np.ndarray,
    wavelengths: ArrayLike,
    observed_velocity: ArrayLike,
    amplitude: ArrayLike,
) -> None:
    """Add to flux (N, D), in place, instrument profiles at fixed observed wavelengths (L,) with amplitudes (N, L)."""
    centers = rest_pixel(wavelengths, observed_velocity)
    nearest, columns = _columns_near(centers, pixels, PROFILE_REACH)
    values = np.asarray(amplitude)[:, :, None] * _profile(nearest - centers[:, :, None])
    inside = columns >= 0
    np.add.at(flux, (np.nonzero(inside)[0], columns[inside]), values[inside].astype(np.float32))


def pixels_near(centers: np.ndarray, pixels: np.ndarray, reach: int) -> np.ndarray:
    """Return which of the grid pixels (D,) lie within `reach` of each star's centers (N, L), boolean (N, D)."""
    _, columns = _columns_near(centers, pixels, reach)
    inside = columns >= 0
    near = np.zeros((len(centers), len(pixels)), bool)
    near[np.nonzero(inside)[0], columns[inside]] = True
    return near


def _columns_near(centers: np.ndarray, pixels: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid pixels within `reach` of centers (N, L), (N, L, 2 reach + 1), and their columns, -1 for none."""
    nearest = np.rint(centers).astype(int)[:, :, None] + np.arange(-reach, reach + 1)
    column = np.full(N_PIXELS + 2, -1)
    column[np.asarray(pixels) + 1] = np.arange(len(pixels))
    return nearest, column[np.clip(nearest + 1, 0, N_PIXELS + 1)]
