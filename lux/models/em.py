"""The climb of a Lux model to its maximum: where it starts, and the cycle that is repeated.

The coefficients are kept in double precision on standardised labels; stars are handled a block at a time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq
from tqdm import tqdm

from lux.models.e_step import LatentPosterior, Statistics, add, infer, pixel_sums, project, statistics, total_weight
from lux.models.normal_equations import double_off_diagonal, packed_products, unpack_columns
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.models.lux import Lux

_RIDGE = 1e-3


class Block(NamedTuple):
    """The flux of a run of stars on the device, padded to a fixed length with stars of zero weight."""

    rows: slice
    flux: jax.Array
    ivar: jax.Array

    def real(self, array) -> np.ndarray:
        """Return the rows of a device array (length, ...) that belong to stars, in double precision."""
        return as_double(array)[: self.rows.stop - self.rows.start]

    def padded(self, array: np.ndarray) -> np.ndarray:
        """Return an array with a row for each star, padded with zeros to the block's length, in single precision."""
        return _padded(np.asarray(array, np.float32), len(self.flux))


class Fit:
    """The state of one fit: coefficients in double precision, on standardised labels, and the cycle that moves them.

    The few labels are handled on the host; to the flux of a star they are one more Gaussian prior of its latents.
    """

    def __init__(self, settings: "Lux", survey: Survey):
        self.settings, self.survey = settings, survey
        self.center, self.scale = settings.label_center_, settings.label_scale_
        size = settings.n_latents
        self.prior_precision = np.eye(size) / settings.omega**2
        self.labels = np.nan_to_num((survey.labels - self.center) / self.scale)
        self.label_weight = np.where(np.isnan(survey.labels), 0, (self.scale / survey.label_err) ** 2)
        self.label_linear = np.zeros(survey.n_labels), np.zeros((survey.n_labels, size))
        mean_flux, self.weight = _pixel_means(survey, settings.block_size)
        self.flux_linear = mean_flux, np.zeros((survey.n_pixels, size))
        self.scatter_variance = np.zeros(survey.n_pixels)
        self.latents = np.zeros((survey.n_stars, size))
        self.history: list[float] = []
        self.movement = np.inf

    def run(self) -> None:
        """Cycle until the labels read off the training latents stand still."""
        self._update(_start_latents(self.settings, self.survey, self.flux_linear[0], np.sqrt(self.weight)))
        before = None
        bar = tqdm(total=self.settings.max_cycles, desc="Lux", unit="cycle", disable=_disabled(self.settings.progress))
        with bar:
            for _ in range(self.settings.max_cycles):
                self._update()
                self._require_finite()
                labels = self._training_labels()
                self.movement = np.inf if before is None else self._label_distance(labels, before)
                before = labels
                bar.update()
                bar.set_postfix_str(f"labels move {self.movement:.1e} of their errors")
                if self.movement < self.settings.tolerance:
                    break
        self._finish()

    def _require_finite(self) -> None:
        """Stop a fit that single precision cannot carry."""
        if not (np.isfinite(self.history[-1]) and np.all(np.isfinite(self.latents))):
            raise ValueError(
                f"the fit broke down in cycle {len(self.history)}: its least-squares problems are singular in single "
                "precision; use fewer latents, a smaller omega, or the start 'pca' with the algorithm 'em'"
            )

    def hand_over(self, model: "Lux") -> None:
        """Set the fitted attributes of the model, in label units."""
        offset, loadings = self.label_linear
        model.b_, model.B_ = self.flux_linear
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
        size, flux_sums, likelihood = self.settings.n_latents, None, 0.0
        label_normal, label_moment, second_moment = 0.0, 0.0, np.zeros((size, size))
        for block, weight, linear in self._staged():
            posterior = self._infer(block, weight, linear) if start is None else _fixed(block, start)
            if self.settings.algorithm == "als":
                posterior = posterior._replace(covariance=np.zeros(posterior.covariance.shape, np.float32))
            block_sums = statistics(block.flux, weight, linear, posterior.mean, posterior.covariance)
            mean, covariance = block.real(posterior.mean), block.real(posterior.covariance)
            self.latents[block.rows] = mean
            second_moment += covariance.sum(axis=0)
            likelihood += self._log_likelihood(block, mean, block.real(posterior.log_determinant))
            likelihood += block.real(block_sums.log_density).sum()
            normal, moment = self._label_sums(block, mean, covariance)
            label_normal, label_moment = label_normal + normal, label_moment + moment
            block_sums = block_sums._replace(log_density=None)
            flux_sums = block_sums if flux_sums is None else add(flux_sums, block_sums)
        flux_sums = jax.tree.map(as_double, flux_sums)
        self.weight = flux_sums.normal[0] / self.survey.n_stars
        if start is None:
            self.history.append(likelihood)
            if self.settings.fit_scatter:
                self._update_scatter(flux_sums)
        self.label_linear = _solve(label_normal, label_moment, self.label_linear)
        self.flux_linear = _solve(unpack_columns(flux_sums.normal, size + 1), flux_sums.moment.T, self.flux_linear)
        if self.settings.algorithm == "em":
            self._whiten((second_moment + self.latents.T @ self.latents) / self.survey.n_stars)

    def _staged(self):
        """Yield each block with its weights and the flux coefficients on the device."""
        linear, variance = on_device((self.flux_linear, self.scatter_variance))
        for block in blocks(self.survey, self.settings.block_size):
            yield block, total_weight(block.ivar, variance), linear

    def _infer(self, block: Block, weight, linear) -> LatentPosterior:
        """Return the posterior of the latents of a block given flux, labels and prior."""
        offset, loadings = self.label_linear
        label_weight = self.label_weight[block.rows]
        precision = np.einsum("nm,mi,mj->nij", label_weight, loadings, loadings, optimize=True) + self.prior_precision
        moment = (label_weight * (self.labels[block.rows] - offset)) @ loadings
        return infer(block.flux, weight, linear, *known(block, precision, moment))

    def _label_sums(self, block: Block, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal matrices (M, P + 1, P + 1) and moments (M, P + 1) of the labels, as of the pixels."""
        weight = self.label_weight[block.rows]
        factors = np.concatenate([np.ones((len(mean), 1)), mean], axis=1)
        second = factors[:, :, None] * factors[:, None, :]
        second[:, 1:, 1:] += covariance
        moment = (weight * (self.labels[block.rows] - self.label_linear[0])).T @ factors
        return np.tensordot(weight, second, axes=(0, 0)), moment

    def _log_likelihood(self, block: Block, mean: np.ndarray, log_determinant: np.ndarray) -> float:
        """Return what the labels and latents of a block add to the objective, constants left out."""
        offset, loadings = self.label_linear
        residual = self.labels[block.rows] - offset - mean @ loadings.T
        value = -0.5 * np.sum(self.label_weight[block.rows] * residual**2)
        value -= 0.5 * np.sum((mean @ self.prior_precision) * mean)
        if self.settings.algorithm == "em":
            value += 0.5 * (len(mean) * np.linalg.slogdet(self.prior_precision)[1] - log_determinant.sum())
        return float(value)

    def _update_scatter(self, flux_sums: Statistics) -> None:
        """Take one Fisher-scoring step of the scatter variance of each pixel, not below zero."""
        products = double_off_diagonal(packed_products(self.flux_linear[1]))
        score = flux_sums.score + np.sum(flux_sums.leverage * products.T, axis=0)
        self.scatter_variance = np.maximum(0, self.scatter_variance + score / flux_sums.information)

    def _whiten(self, second_moment: np.ndarray) -> None:
        """Change the gauge so that the latents have zero mean and covariance omega^2 I along principal axes."""
        mean = self.latents.mean(axis=0)
        factor = np.linalg.cholesky(second_moment - np.outer(mean, mean)) / self.settings.omega
        axes = principal_axes(self.label_linear[1] @ factor, self.flux_linear[1] @ factor, self.weight)
        self.label_linear, self.flux_linear = (
            (offset + loadings @ mean, loadings @ factor @ axes.T)
            for offset, loadings in (self.label_linear, self.flux_linear)
        )
        self.latents = np.linalg.solve(factor, (self.latents - mean).T).T @ axes.T

    def _finish(self) -> None:
        """Infer the training latents at the final coefficients, and how well these fix the label coefficients."""
        normal = 0.0
        for block, weight, linear in self._staged():
            posterior = self._infer(block, weight, linear)
            mean = block.real(posterior.mean)
            self.latents[block.rows] = mean
            normal += self._label_sums(block, mean, block.real(posterior.covariance))[0]
        self.label_coefficient_covariance = np.linalg.inv(_with_ridge(normal))

    def _training_labels(self) -> np.ndarray:
        offset, loadings = self.label_linear
        return offset + self.latents @ loadings.T

    def _label_distance(self, labels: np.ndarray, others: np.ndarray) -> float:
        change = (labels - others) * self.scale / self.survey.label_err
        return float(np.sqrt(np.mean(change[~np.isnan(self.survey.labels)] ** 2)))


def _solve(
    normal: np.ndarray, moment: np.ndarray, linear: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset and loadings that solve normal equations (K, P + 1, P + 1) of residuals from the old offset."""
    solution = np.linalg.solve(_with_ridge(normal), moment[..., None])[..., 0]
    return linear[0] + solution[:, 0], solution[:, 1:]


def _with_ridge(normal: np.ndarray) -> np.ndarray:
    """Return normal matrices with a weak ridge on the loadings.

    It only decides where a pixel is unmasked in fewer stars than there are latents.
    """
    return normal + _RIDGE * np.diag(np.arange(normal.shape[-1]) > 0)


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


def _principal_components(settings: "Lux", survey: Survey, offset: np.ndarray, root_weight: np.ndarray) -> np.ndarray:
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


def _fixed(block: Block, latents: np.ndarray) -> LatentPosterior:
    """Return the latents of a block's stars as if they were known exactly."""
    length, size = len(block.flux), latents.shape[1]
    mean = block.padded(latents[block.rows])
    return LatentPosterior(mean, np.zeros((length, size, size), np.float32), np.zeros(length, np.float32))


def excess_scatter(residual: np.ndarray, variance: np.ndarray) -> float:
    """Return the standard deviation that, added to known variances (n,), makes the mean of chi squared one, or zero.

    The moment estimate of Paule & Mandel 1982 (J. Res. NBS 87, 377).
    """

    def surplus(extra: float) -> float:
        return float(np.mean(residual**2 / (variance + extra)) - 1)

    if surplus(0.0) <= 0:
        return 0.0
    return float(np.sqrt(brentq(surplus, 0.0, np.mean(residual**2) + variance.max(), xtol=1e-12 * variance.max())))


def known(block: Block, precision: np.ndarray, moment: np.ndarray):
    """Return what is known of the latents of a block's stars on the device.

    The padding is told a unit precision: a star without flux has to have a latent, whatever the prior.
    """
    padded = np.array(block.padded(precision))
    padded[len(precision) :] = np.eye(precision.shape[-1])
    return on_device((padded, block.padded(moment)))


def blocks(survey: Survey, block_size: int) -> Iterator[Block]:
    """Yield the survey's flux in blocks of one shape, so that nothing compiles twice."""
    n_blocks = -(-survey.n_stars // block_size)
    length = 16 * -(-survey.n_stars // (16 * n_blocks))
    for start in range(0, survey.n_stars, length):
        rows = slice(start, min(start + length, survey.n_stars))
        yield Block(rows, *on_device((_padded(survey.flux[rows], length), _padded(survey.ivar[rows], length))))


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
