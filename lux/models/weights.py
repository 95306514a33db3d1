"""Weight of a pixel under reported noise and unreported scatter, for NumPy and JAX alike."""

import numpy as np

from lux.models.normal_equations import ArrayT
from lux.survey import Survey

# A pixel whose error is so many times that of the star's good pixels is a bad one, whatever marks it.
MAX_ERROR_RATIO = 30.0


def pixel_weight(ivar: ArrayT, scatter_variance: ArrayT) -> ArrayT:
    """Return 1 / (1 / ivar + scatter_variance), zero where ivar is zero; NumPy or JAX arrays that broadcast."""
    return ivar / (1 + ivar * scatter_variance)


def mean_flux(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Return the mean flux (D,) of stars (N, D), weighted by the inverse variance; one where all of them are masked."""
    weight = np.sum(ivar, axis=0, dtype=float)
    total = np.einsum("nd,nd->d", ivar, flux, dtype=float)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 1)


def without_negligible(ivar: np.ndarray, max_error_ratio: float = MAX_ERROR_RATIO) -> np.ndarray:
    """Return inverse variances (N, D), zero where an error is many times that of the star's good pixels.

    Good are its best tenth: bad pixels stand below them in order, so that the result does not depend on how they are
    marked.
    """
    place = int(0.9 * (ivar.shape[1] - 1))
    good = np.partition(ivar, place, axis=1)[:, [place]]
    return np.where(ivar < good / max_error_ratio**2, np.float32(0), ivar)


def mean_pixel_weight(survey: Survey, scatter: np.ndarray, block_size: int = 512) -> np.ndarray:
    """Return the mean over the stars of a survey of the weight of each pixel, (D,), given the scatter (D,)."""
    total = np.zeros(survey.n_pixels)
    for first in range(0, survey.n_stars, block_size):
        total += np.sum(pixel_weight(survey.ivar[first : first + block_size].astype(float), scatter**2), axis=0)
    return total / survey.n_stars
