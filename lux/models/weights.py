"""Weight of a pixel under reported noise and unreported scatter, for NumPy and JAX alike."""

import numpy as np

from lux.models.normal_equations import ArrayT
from lux.store.columns import MAX_ERROR_RATIO as MAX_ERROR_RATIO
from lux.store.columns import without_negligible as without_negligible
from lux.survey import Survey


def pixel_weight(ivar: ArrayT, scatter_variance: ArrayT) -> ArrayT:
    """Return 1 / (1 / ivar + scatter_variance), zero where ivar is zero; NumPy or JAX arrays that broadcast."""
    return ivar / (1 + ivar * scatter_variance)


def mean_flux(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Return the mean flux (D,) of stars (N, D), weighted by the inverse variance; one where all of them are masked."""
    weight = np.sum(ivar, axis=0, dtype=float)
    total = np.einsum("nd,nd->d", ivar, flux, dtype=float)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 1)


def mean_pixel_weight(survey: Survey, scatter: np.ndarray, block_size: int = 512) -> np.ndarray:
    """Return the mean over the stars of a survey of the weight of each pixel, (D,), given the scatter (D,)."""
    total = np.zeros(survey.n_pixels)
    for first in range(0, survey.n_stars, block_size):
        total += np.sum(pixel_weight(survey.ivar[first : first + block_size].astype(float), scatter**2), axis=0)
    return total / survey.n_stars
