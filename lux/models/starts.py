"""Where the latents of the training stars begin: principal components, labels or noise."""

import functools
import zlib
from typing import Any

import numpy as np

from lux.models.blocks import Block, to_device, to_host
from lux.models.e_step import pixel_sums, project
from lux.models.parameters import Settings
from lux.models.parts import Part, Parts
from lux.survey import Survey

# Standard deviation of latents to which the start gives no meaning.
_UNUSED_STD = 1e-3
# Of the largest eigenvalue; below it is rounding.
_MIN_VARIANCE = 1e-10
_MIN_GRAM = 1e-14


def start_latents(
    settings: Settings, survey: Survey, parts: Parts, mean_flux: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return the latents (N, P) at which the fit begins, given the `pixel_means`."""
    generator = np.random.default_rng(settings.seed)
    noise = generator.normal(size=(survey.n_stars, settings.n_latents))
    if settings.start == "random":
        return noise
    if settings.start == "pca":
        return _principal_components(settings, survey, parts, mean_flux, np.sqrt(weight))
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


def pixel_means(parts: Parts, *, with_checksums: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weighted mean flux (NaN where every star is masked) and the mean ivar of each pixel, (D,) each.

    And checksums of the stars' spectra, bit for bit: (N,), or (0,) if they are not asked for.
    """
    (weight, weighted), checksums = parts.run(_pixel_sums, with_checksums)
    mean = np.divide(weighted, weight, out=np.full_like(weight, np.nan), where=weight > 0)
    return mean, weight / parts.rows[-1].stop, np.concatenate(checksums)


def _pixel_sums(part: Part, with_checksums: bool) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    sums: Any = (0.0, 0.0)
    checksums: list[int] = []
    for block in part.blocks():
        sums = tuple(map(np.add, sums, to_host(pixel_sums(block.flux, block.ivar))))
        if with_checksums:
            flux, ivar = np.asarray(block.flux), np.asarray(block.ivar)
            stars = range(block.rows.stop - block.rows.start)
            checksums += [zlib.crc32(ivar[star].data, zlib.crc32(flux[star].data)) for star in stars]
    return sums, np.array(checksums, np.uint32)


def _principal_components(
    settings: Settings, survey: Survey, parts: Parts, mean_flux: np.ndarray, root_weight: np.ndarray
) -> np.ndarray:
    """Return the scores (N, P) of the weighted principal components of the flux, with unit variance.

    Randomized subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53, 217), a block of stars at a time.
    """
    extra = min(settings.n_latents + 8, survey.n_pixels, survey.n_stars)
    generator = np.random.default_rng(settings.seed)
    directions = generator.normal(size=(survey.n_pixels, extra))
    for _ in range(2):
        directions, projected = parts.run(_projected, mean_flux, root_weight, _orthonormal(directions))
    scores = np.concatenate(projected)
    values, vectors = np.linalg.eigh(scores.T @ scores / survey.n_stars)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = min(settings.n_latents, int(np.sum(values > _MIN_VARIANCE * values[0])))
    latents = _UNUSED_STD * generator.normal(size=(survey.n_stars, settings.n_latents))
    latents[:, :kept] = scores @ vectors[:, :kept] / np.sqrt(values[:kept])
    return latents


def _projected(
    part: Part, mean_flux: np.ndarray, root_weight: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted deviations from the mean flux times their own projections on a basis, and these (n, Q)."""
    device = to_device((mean_flux, root_weight, basis))

    def projected(block: Block) -> tuple[np.ndarray, np.ndarray]:
        scores, back = project(block.flux, block.ivar, *device)
        return to_host(back), block.unpad(scores)

    directions, scores = zip(*map(projected, part.blocks()), strict=True)
    return functools.reduce(np.add, directions), np.concatenate(scores)


def _orthonormal(directions: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (K, Q) of the span of `directions`, from their small Gram matrix."""
    values, vectors = np.linalg.eigh(directions.T @ directions)
    return directions @ (vectors / np.sqrt(np.maximum(values, _MIN_GRAM * values[-1])))
