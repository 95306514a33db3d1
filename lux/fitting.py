"""The climb of a Lux model to its maximum: where it starts, and the cycle that is repeated.

The coefficients are kept in double precision on standardised labels; stars are handled a block at a time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from lux.inference import LatentPosterior, Statistics, add, infer, pixel_sums, project, statistics, total_weight
from lux.normal_equations import double_off_diagonal, packed_products, unpack_columns
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.model import Lux

_RIDGE = 1e-3


class Block(NamedTuple):
    """A run of stars on the device, padded to a fixed length with stars of zero weight."""

    rows: slice
    flux: jax.Array
    ivar: jax.Array
    labels: jax.Array
    label_weight: jax.Array

    def real(self, array) -> np.ndarray:
        """Return the rows of a device array (length, ...) that belong to stars, in double precision."""
        return as_double(array)[: self.rows.stop - self.rows.start]


class Fit:
    """The state of one fit: coefficients in double precision, on standardised labels, and the cycle that moves them."""

    def __init__(self, settings: "Lux", survey: Survey):
        self.settings, self.survey = settings, survey
        self.center, self.scale = settings.label_center_, settings.label_scale_
        size = settings.n_latents
        self.prior_precision = np.eye(size) / settings.omega**2
        mean_flux, self.weight = _pixel_means(survey, settings.block_size)
        self.linear = [
            (np.zeros(survey.n_labels), np.zeros((survey.n_labels, size))),
            (mean_flux, np.zeros((survey.n_pixels, size))),
        ]
        self.scatter_variance = np.zeros(survey.n_pixels)
        self.latents = np.zeros((survey.n_stars, size))
        self.history: list[float] = []
        self.movement = np.inf

    def run(self) -> None:
        """Cycle until the labels read off the training latents stand still."""
        self._update(_start_latents(self.settings, self.survey, self.linear[1][0], np.sqrt(self.weight)))
        before = None
        bar = tqdm(total=self.settings.max_cycles, desc="Lux", unit="cycle", disable=_disabled(self.settings.progress))
        with bar:
            for _ in range(self.settings.max_cycles):
                self._update()
                labels = self._training_labels()
                self.movement = np.inf if before is None else self._label_distance(labels, before)
                before = labels
                bar.update()
                bar.set_postfix_str(f"labels move {self.movement:.1e} of their errors")
                if self.movement < self.settings.tolerance:
                    break
        self._finish()

    def hand_over(self, model: "Lux") -> None:
        """Set the fitted attributes of the model, in label units."""
        (offset, loadings), (model.b_, model.B_) = self.linear
        model.a_, model.A_ = self.center + self.scale * offset, self.scale[:, None] * loadings
        model.scatter_ = np.sqrt(self.scatter_variance)
        model.weight_ = self.weight
        model.prior_precision_ = self.prior_precision
        model.label_coefficient_covariance_ = self.label_coefficient_covariance * self.scale[:, None, None] ** 2
        model.latents_ = self.latents
        model.history_ = np.array(self.history)
        model.converged_ = bool(self.movement < self.settings.tolerance)

    def _update(self, start: np.ndarray | None = None) -> None:
        """Do one cycle: the latents given the coefficients (or `start`), then the coefficients given the latents."""
        size = self.settings.n_latents
        sums, likelihood, second_moment = None, 0.0, np.zeros((size, size))
        for block, parts, prior in self._staged():
            posterior = infer(parts, prior) if start is None else _fixed(start[block.rows], len(block.flux))
            if self.settings.algorithm == "als":
                posterior = posterior._replace(covariance=np.zeros(posterior.covariance.shape, np.float32))
            block_sums = [
                statistics(part, posterior.mean, posterior.covariance, with_scatter)
                for part, with_scatter in zip(parts, (False, self.settings.fit_scatter and start is None), strict=True)
            ]
            mean, covariance = block.real(posterior.mean), block.real(posterior.covariance)
            self.latents[block.rows] = mean
            second_moment += covariance.sum(axis=0)
            likelihood += self._log_likelihood(mean, block.real(posterior.log_determinant))
            likelihood += sum(block.real(part.log_density).sum() for part in block_sums)
            block_sums = [part._replace(log_density=None) for part in block_sums]
            sums = block_sums if sums is None else add(sums, block_sums)
        sums = jax.tree.map(as_double, sums)
        self.weight = sums[1].normal[0] / self.survey.n_stars
        if start is None:
            self.history.append(likelihood)
            if self.settings.fit_scatter:
                self._update_scatter(sums[1])
        self.linear = [_solve(part, linear) for part, linear in zip(sums, self.linear, strict=True)]
        if self.settings.algorithm == "em":
            self._whiten((second_moment + self.latents.T @ self.latents) / self.survey.n_stars)

    def _log_likelihood(self, mean: np.ndarray, log_determinant: np.ndarray) -> float:
        """Return what the latents of a block add to the objective, constants left out."""
        value = -0.5 * np.sum((mean @ self.prior_precision) * mean)
        if self.settings.algorithm == "em":
            value += 0.5 * (len(mean) * np.linalg.slogdet(self.prior_precision)[1] - log_determinant.sum())
        return float(value)

    def _update_scatter(self, flux_sums: Statistics) -> None:
        """Take one Fisher-scoring step of the scatter variance of each pixel, not below zero."""
        products = double_off_diagonal(packed_products(self.linear[1][1]))
        score = flux_sums.score + np.sum(flux_sums.leverage * products.T, axis=0)
        self.scatter_variance = np.maximum(0, self.scatter_variance + score / flux_sums.information)

    def _whiten(self, second_moment: np.ndarray) -> None:
        """Change the gauge so that the latents have zero mean and covariance omega^2 I along principal axes."""
        mean = self.latents.mean(axis=0)
        factor = np.linalg.cholesky(second_moment - np.outer(mean, mean)) / self.settings.omega
        loadings = [loadings @ factor for _, loadings in self.linear]
        axes = principal_axes(*loadings, self.weight)
        self.linear = [
            (offset + old @ mean, new @ axes.T) for (offset, old), new in zip(self.linear, loadings, strict=True)
        ]
        self.latents = np.linalg.solve(factor, (self.latents - mean).T).T @ axes.T

    def _finish(self) -> None:
        """Infer the training latents at the final coefficients, and how well these fix the label coefficients."""
        normal = 0.0
        for block, parts, prior in self._staged():
            posterior = infer(parts, prior)
            self.latents[block.rows] = block.real(posterior.mean)
            normal += as_double(statistics(parts[0], posterior.mean, posterior.covariance, False).normal)
        self.label_coefficient_covariance = np.linalg.inv(_normal_matrices(normal, self.settings.n_latents + 1))

    def _staged(self):
        """Yield each block with its two parts and the prior on the device."""
        labels, flux = on_device(tuple(self.linear))
        prior, variance = on_device((self.prior_precision, self.scatter_variance))
        for block in blocks(self.survey, self.settings.block_size, self.center, self.scale):
            weight = total_weight(block.ivar, variance)
            yield block, ((block.labels, block.label_weight, labels), (block.flux, weight, flux)), prior

    def _training_labels(self) -> np.ndarray:
        offset, loadings = self.linear[0]
        return offset + self.latents @ loadings.T

    def _label_distance(self, labels: np.ndarray, others: np.ndarray) -> float:
        change = (labels - others) * self.scale / self.survey.label_err
        return float(np.sqrt(np.mean(change[~np.isnan(self.survey.labels)] ** 2)))


def _solve(sums, linear: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset and loadings that solve the normal equations of one part."""
    offset, loadings = linear
    normal = _normal_matrices(sums.normal, loadings.shape[1] + 1)
    solution = np.linalg.solve(normal, sums.moment.T[..., None])[..., 0]
    return offset + solution[:, 0], solution[:, 1:]


def _normal_matrices(packed: np.ndarray, size: int) -> np.ndarray:
    """Return normal matrices (K, size, size) from packed ones, with the weak ridge on the loadings.

    The ridge only decides where a pixel is unmasked in fewer stars than there are latents.
    """
    normal = unpack_columns(packed, size)
    normal[:, np.arange(1, size), np.arange(1, size)] += _RIDGE
    return normal


def principal_axes(label_loadings: np.ndarray, flux_loadings: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the rotation (P, P) onto the eigenvectors of the flux information, strongest first, signs by labels."""
    information = (flux_loadings * weight[:, None]).T @ flux_loadings
    axes = np.linalg.eigh(information)[1][:, ::-1].T
    loadings = label_loadings @ axes.T
    signs = np.sign(loadings[np.argmax(np.abs(loadings), axis=0), np.arange(len(axes))])
    return axes * np.where(signs == 0, 1, signs)[:, None]


def _start_latents(settings: "Lux", survey: Survey, offset: np.ndarray, root_weight: np.ndarray) -> np.ndarray:
    """Return the latents (N, P) at which the fit begins."""
    generator = np.random.default_rng(settings.seed)
    noise = generator.normal(size=(survey.n_stars, settings.n_latents))
    if settings.start == "random":
        return noise
    if settings.start == "pca":
        return _principal_components(settings, survey, offset, root_weight)
    count = min(survey.n_labels, settings.n_latents)
    spread = (np.nanpercentile(survey.labels, 97.5, axis=0) - np.nanpercentile(survey.labels, 2.5, axis=0)) / 4
    scaled = (survey.labels - np.nanmedian(survey.labels, axis=0)) / np.where(spread > 0, spread, 1)
    latents = 1e-3 * noise
    latents[:, :count] = np.nan_to_num(scaled[:, :count])
    return latents


def _principal_components(
    settings: "Lux", survey: Survey, offset: np.ndarray, root_weight: np.ndarray
) -> np.ndarray:
    """Return the scores (N, P) of the weighted principal components of the flux, with unit variance.

    Randomised subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53, 217), a block of stars at a time.
    """
    extra = min(settings.n_latents + 8, survey.n_pixels, survey.n_stars)
    generator = np.random.default_rng(settings.seed)
    directions = generator.normal(size=(survey.n_pixels, extra))
    scores = np.zeros((survey.n_stars, extra))
    for _ in range(2):
        basis = _orthonormal(directions)
        device = on_device((offset, root_weight, basis))
        directions = np.zeros_like(basis)
        for block in blocks(survey, settings.block_size):
            block_scores, back = project(block.flux, block.ivar, *device)
            scores[block.rows] = block.real(block_scores)
            directions += as_double(back)
    values, vectors = np.linalg.eigh(scores.T @ scores / survey.n_stars)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = min(settings.n_latents, int(np.sum(values > 1e-10 * values[0])))
    latents = 1e-3 * generator.normal(size=(survey.n_stars, settings.n_latents))
    latents[:, :kept] = scores @ vectors[:, :kept] / np.sqrt(values[:kept])
    return latents


def _orthonormal(directions: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (K, Q) of the span of `directions`, from their small Gram matrix."""
    values, vectors = np.linalg.eigh(directions.T @ directions)
    return directions @ (vectors / np.sqrt(np.maximum(values, 1e-14 * values[-1])))


def _pixel_means(survey: Survey, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean flux and the mean ivar of each pixel."""
    weight, weighted = np.zeros(survey.n_pixels), np.zeros(survey.n_pixels)
    for block in blocks(survey, block_size):
        block_weight, block_weighted = pixel_sums(block.flux, block.ivar)
        weight += as_double(block_weight)
        weighted += as_double(block_weighted)
    return weighted / weight, weight / survey.n_stars


def _fixed(latents: np.ndarray, length: int) -> LatentPosterior:
    """Return latents as if they were known exactly, padded to the length of a block."""
    size = latents.shape[1]
    mean = _padded(latents.astype(np.float32), length)
    return LatentPosterior(mean, np.zeros((length, size, size), np.float32), np.zeros(length, np.float32))


def blocks(survey: Survey, block_size: int, center=0.0, scale=1.0) -> Iterator[Block]:
    """Yield the survey in blocks of one shape, so that nothing compiles twice."""
    length = min(block_size, 64 * -(-survey.n_stars // 64))
    labels = (survey.labels - center) / scale
    weight = np.where(np.isnan(labels), 0, (scale / survey.label_err) ** 2)
    arrays = (survey.flux, survey.ivar, np.nan_to_num(labels), np.nan_to_num(weight))
    for start in range(0, survey.n_stars, length):
        rows = slice(start, min(start + length, survey.n_stars))
        yield Block(rows, *on_device(tuple(_padded(array[rows], length) for array in arrays)))


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    if len(array) == length:
        return array
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def on_device(tree):
    """Return the arrays of a tree on the device, in single precision."""
    return jax.tree.map(lambda array: jnp.asarray(np.asarray(array, np.float32)), tree)


def as_double(array) -> np.ndarray:
    """Return an array from the device on the host, in double precision."""
    return np.asarray(array, np.float64)


def _disabled(progress: bool | None) -> bool | None:
    return None if progress is None else not progress
