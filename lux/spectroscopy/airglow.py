"""Residuals of the night sky: fixed in the observer's frame, they move from star to star in the rest frame."""

import numpy as np
from numpy.typing import ArrayLike

from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import pixel_index, to_full_grid
from lux.spectroscopy.lines import airglow_lines
from lux.statistics import nan_median
from lux.survey import Survey

# The Earth's motion and a margin: how far the velocity towards the telescope may lie from the heliocentric one, km/s.
_MAX_DIFFERENCE = 35.0
# Half width of what an airglow line spoils, three standard deviations of the instrument profile, km/s.
REACH = 17.0
FAINTEST = 0.02
# Fewer lines tell no velocity.
_MIN_LINES = 2
# The top of a peak is what rises above this part of it.
_TOP = 0.8
# Stars that are worked on at a time.
_ROWS = 16


def rest_wavelengths(velocity: ArrayLike, faintest: float = FAINTEST) -> np.ndarray:
    """Return where the airglow lines of at least a relative strength fall in the rest frames of stars, (N, L) Angstrom.

    `velocity` (N,) is that of the star towards the telescope in km/s; `faintest` is relative to the strongest line.
    """
    lines = airglow_lines()
    return _at_rest(lines.wavelength[lines.strength >= faintest], velocity)


def _at_rest(observed: np.ndarray, velocity: ArrayLike) -> np.ndarray:
    """Return where observed wavelengths (L,) fall in the rest frames of stars of velocities (N,) in km/s, (N, L)."""
    return observed / (1 + np.asarray(velocity, float)[:, None] / SPEED_OF_LIGHT_KMS)


def near_airglow(
    wavelength: ArrayLike, velocity: ArrayLike, reach: float = REACH, faintest: float = FAINTEST
) -> np.ndarray:
    """Return which rest-frame pixels of each star lie within `reach` km/s of an airglow line, (N, D) boolean."""
    return _near(np.asarray(wavelength, float), rest_wavelengths(velocity, faintest), reach)


def near_observed(wavelength: ArrayLike, velocity: ArrayLike, observed: ArrayLike, reach: float = REACH) -> np.ndarray:
    """Return the same, (N, D) boolean, for any wavelengths (K,) fixed in the observer's frame."""
    return _near(np.asarray(wavelength, float), _at_rest(np.asarray(observed, float), velocity), reach)


def covers(wavelength: ArrayLike) -> bool:
    """Return whether wavelengths (D,) lie where the airglow lines are known, and so tell a velocity."""
    wavelength, lines = np.asarray(wavelength, float), airglow_lines().wavelength
    distance = np.abs(wavelength[np.clip(np.searchsorted(wavelength, lines), 0, len(wavelength) - 1)] / lines - 1)
    return int(np.sum(distance < REACH / SPEED_OF_LIGHT_KMS)) >= _MIN_LINES


def _near(wavelength: np.ndarray, places: np.ndarray, reach: float) -> np.ndarray:
    """Return which pixels (D,) lie within `reach` km/s of each star's places (N, L), (N, D) boolean."""
    first = np.searchsorted(wavelength, places * (1 - reach / SPEED_OF_LIGHT_KMS))
    last = np.searchsorted(wavelength, places * (1 + reach / SPEED_OF_LIGHT_KMS))
    steps = np.zeros((len(places), len(wavelength) + 1), np.int16)
    rows = np.broadcast_to(np.arange(len(places))[:, None], places.shape)
    np.add.at(steps, (rows, first), 1)
    np.add.at(steps, (rows, last), -1)
    return np.cumsum(steps, axis=1, dtype=steps.dtype)[:, :-1] > 0


def observed_velocity(survey: Survey) -> np.ndarray:
    """Return the velocity (N,) of each star towards the telescope in km/s, from the pattern of its own error spectrum.

    The pipeline raises the errors, or masks the pixels, where airglow is strong. The Doppler shift at which the known
    airglow lines fall best on raised errors is sought within 35 km/s of the catalogue's ``radial_velocity``, which is
    heliocentric.

    Raises
    ------
    ValueError
        If the catalogue has no radial velocities.
    """
    if "radial_velocity" not in survey.catalogue:
        raise ValueError("the catalogue needs a column 'radial_velocity' in km/s to place airglow in the rest frame")
    index = pixel_index(survey.wavelength)
    raised = _raised_errors(survey.ivar)
    step = np.median(np.diff(np.log(survey.wavelength)))
    lines = airglow_lines()
    places = np.interp(np.log(lines.wavelength), np.log(survey.wavelength), index, left=np.nan, right=np.nan)
    kept = np.isfinite(places)
    shifts = np.arange(-_MAX_DIFFERENCE, _MAX_DIFFERENCE + 0.5)
    velocity = np.asarray(survey.catalogue["radial_velocity"], float)
    best = np.empty(survey.n_stars)
    # A few stars at a time: the gaps of a few stretches of spectrum are far wider than these.
    for rows in survey.block_rows(_ROWS):
        doppler = np.log1p((velocity[rows, None] + shifts) / SPEED_OF_LIGHT_KMS) / step
        errors = to_full_grid(raised[rows], index)
        at_lines = _between_pixels(errors, places[kept] - doppler[:, :, None])
        best[rows] = velocity[rows] + _top(shifts, at_lines @ np.sqrt(lines.strength[kept]))
    return best


def _between_pixels(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return values (N, D) interpolated at places (N, K, L) counted in pixels, as `numpy.interp` does for any grid."""
    places = np.clip(places, 0, values.shape[1] - 1)
    pixel = np.minimum(places.astype(int), values.shape[1] - 2)
    places -= pixel
    pixel += (np.arange(len(values)) * values.shape[1])[:, None, None]
    first, second = np.take(values, pixel).astype(float), np.take(values, pixel + 1)
    return (second - first) * places + first


def _top(shifts: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return where the top of each peak (N, K) lies: the mean shift, weighted by how far each rises above `_TOP` of it.

    Errors that saturate make it flat, and rounding alone would choose among its shifts (K,). Errors that do not know
    the sky leave all shifts alike, and the mean is zero.
    """
    low, high = height.min(axis=1, keepdims=True), height.max(axis=1, keepdims=True)
    weight = np.clip(height - low - _TOP * (high - low), 0, None)
    total = weight.sum(axis=1)
    risen = total > 1e-6 * np.maximum(high[:, 0], 1)
    return np.where(risen, weight @ shifts / np.where(risen, total, 1), 0)


def _raised_errors(ivar: np.ndarray) -> np.ndarray:
    """Return how far each pixel's error lies above the star's typical one, between 0 and 1; 1 where masked."""
    typical = np.sqrt(nan_median(np.where(ivar > 0, ivar, np.nan), axis=1))[:, None]
    ratio = typical / np.sqrt(np.where(ivar > 0, ivar, typical**2))
    return np.where(ivar > 0, np.clip(ratio - 1, 0, 1), 1).astype(np.float32)
