"""Where the latents of the training stars begin: principal components, labels or noise."""

import numpy as np

from lux.models.blocks import blocks, to_device, to_host
from lux.models.e_step import pixel_sums, project
from lux.models.parameters import Settings
from lux.survey import Survey

# Standard deviation of latents to which the start gives no meaning.
_UNUSED_STD = 1e-3
# Of the largest eigenvalue; below it is rounding.
_MIN_VARIANCE = 1e-10
_MIN_GRAM = 1e-14


def start_latents(settings: Settings, survey: Survey, mean_flux: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the latents (N, P) at which the fit begins, given the `pixel_means`."""
    generator = np.random.default_rng(settings.seed)
    noise = generator.normal(size=(survey.n_stars, settings.n_latents))
    if settings.start == "random":
        return noise
    if settings.start == "pca":
        return _principal_components(settings, survey, mean_flux, np.sqrt(weight))
    labels = labels_as_latents(survey, settings.n_latents)
    return np.where(np.arange(settings.n_latents) < survey.n_labels, labels, _UNUSED_STD * noise)


def labels_as_latents(survey: Survey, n_latents: int) -> np.ndarray:
    """Return latents (N, n_latents), the first of which are the labels at zero median and unit scale, the others zero.

    A missing label gives zero. The scale is a quarter of the range that holds 95 % of the stars (Horta et al. 2025).
    """
    std = (np.nanpercentile(survey.labels, 97.5, axis=0) - np.nanpercentile(survey.labels, 2.5, axis=0)) / 4
    scaled = (survey.labels - np.nanmedian(survey.labels, axis=0)) / np.where(std > 0, std, 1)
    latents = np.zeros((survey.n_stars, n_latents))
    count = min(survey.n_labels, n_latents)
    latents[:, :count] = np.nan_to_num(scaled[:, :count])
    return latents


def pixel_means(survey: Survey, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean flux and the mean ivar of each pixel, (D,) each."""
    weight, weighted = np.zeros(survey.n_pixels), np.zeros(survey.n_pixels)
    for block in blocks(survey, block_size):
        block_weight, block_weighted = pixel_sums(block.flux, block.ivar)
        weight += to_host(block_weight)
        weighted += to_host(block_weighted)
    return weighted / weight, weight / survey.n_stars


def _principal_components(
    settings: Settings, survey: Survey, mean_flux: np.ndarray, root_weight: np.ndarray
) -> np.ndarray:
    """Return the scores (N, P) of the weighted principal components of the flux, with unit variance.

    Randomized subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53, 217), a block of stars at a time.
    """
    extra = min(settings.n_latents + 8, survey.n_pixels, survey.n_stars)
    generator = np.random.default_rng(settings.seed)
    directions = generator.normal(size=(survey.n_pixels, extra))
    scores = np.zeros((survey.n_stars, extra))
    for _ in range(2):
        basis = _orthonormal(directions)
        device = to_device((mean_flux, root_weight, basis))
        directions = np.zeros_like(basis)
        for block in blocks(survey, settings.block_size):
            block_scores, back = project(block.flux, block.ivar, *device)
            scores[block.rows] = block.unpad(block_scores)
            directions += to_host(back)
    values, vectors = np.linalg.eigh(scores.T @ scores / survey.n_stars)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = min(settings.n_latents, int(np.sum(values > _MIN_VARIANCE * values[0])))
    latents = _UNUSED_STD * generator.normal(size=(survey.n_stars, settings.n_latents))
    latents[:, :kept] = scores @ vectors[:, :kept] / np.sqrt(values[:kept])
    return latents


def _orthonormal(directions: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (K, Q) of the span of `directions`, from their small Gram matrix."""
    values, vectors = np.linalg.eigh(directions.T @ directions)
    return directions @ (vectors / np.sqrt(np.maximum(values, _MIN_GRAM * values[-1])))
