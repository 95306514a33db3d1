"""What the stars of one part add to a fit of Lux: sums over the posterior of their latents, and how labels move."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from lux.models.blocks import Block, to_device, to_host
from lux.models.e_step import LatentPosterior, Linear, Statistics, add, infer, statistics, total_weight
from lux.models.parameters import Settings
from lux.models.parts import Part

_LATENTS, _LABELS = "latents", "labels"
Result = TypeVar("Result")


class Problem(NamedTuple):
    """What a fit does not change: its settings, and mean and standard deviation (M,) of the labels of all stars."""

    settings: Settings
    center: np.ndarray
    scale: np.ndarray

    @property
    def prior_precision(self) -> np.ndarray:
        """Inverse covariance (P, P) of the latents."""
        return np.eye(self.settings.n_latents) / self.settings.omega**2


class Coefficients(NamedTuple):
    """Offset and loadings of labels (M, P) on unit scale and of flux (D, P), and the flux's scatter variance (D,)."""

    label_linear: tuple[np.ndarray, np.ndarray]
    flux_linear: tuple[np.ndarray, np.ndarray]
    scatter_variance: np.ndarray


class Cycle(NamedTuple):
    """A cycle by its number: the coefficients it began with, and those of the labels that it found for its latents."""

    number: int
    given: Coefficients
    label_linear: tuple[np.ndarray, np.ndarray]


class Expectations(NamedTuple):
    """Sums over stars given the posterior of their latents."""

    flux: Statistics[np.ndarray]
    latents: np.ndarray
    squared_latents: np.ndarray
    label_normal: np.ndarray
    label_moment: np.ndarray
    covariance: np.ndarray
    log_likelihood: float


class _Labels(NamedTuple):
    """Labels of stars on unit scale, zero if missing, and their weights, (n, M) each."""

    values: np.ndarray
    weight: np.ndarray

    def of(self, block: Block) -> "_Labels":
        """Return those of the stars of a block."""
        return _Labels(self.values[block.rows], self.weight[block.rows])


def expectations(part: Part, problem: Problem, number: int, given: Coefficients) -> tuple[Expectations, None]:
    """Return sums over the posterior of the latents, which the part keeps for `label_movement` of the same cycle."""
    labels = _unit_labels(part, problem)

    def summed(block: Block, weight: jax.Array, linear: Linear) -> _BlockSums:
        posterior = _posterior(problem, given, labels.of(block), block, weight, linear)
        return _block_sums(problem, given, labels.of(block), block, weight, linear, posterior)

    total, latents = _total(_of_blocks(part, given, summed))
    part.kept[_LATENTS] = number, latents
    return total, None


def fixed_expectations(
    part: Part, latents: np.ndarray, problem: Problem, given: Coefficients
) -> tuple[Expectations, None]:
    """Return the sums if the latents of the part's stars (n, P) were exact."""
    labels = _unit_labels(part, problem)

    def summed(block: Block, weight: jax.Array, linear: Linear) -> _BlockSums:
        return _block_sums(problem, given, labels.of(block), block, weight, linear, _fixed(block, latents))

    return _total(_of_blocks(part, given, summed))[0], None


def label_movement(part: Part, problem: Problem, before: Cycle | None, after: Cycle) -> tuple[np.ndarray, None]:
    """Return by how much labels read off the latents moved from one cycle to the next.

    It is the sum of squares, in units of the label errors, and the number of labels.
    """
    now = _labels_of_cycle(part, problem, after)
    moved = np.zeros_like(now) if before is None else now - _labels_of_cycle(part, problem, before)
    part.kept[_LABELS] = after.number, now
    moved = (moved * problem.scale / part.label_err)[~np.isnan(part.labels)]
    return np.array([np.sum(moved**2), moved.size]), None


def final_latents(part: Part, problem: Problem, given: Coefficients) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the labels' normal matrices (M, P + 1, P + 1), and the latents (n, P), at the last state."""
    labels = _unit_labels(part, problem)

    def inferred(block: Block, weight: jax.Array, linear: Linear) -> tuple[np.ndarray, np.ndarray]:
        posterior = _posterior(problem, given, labels.of(block), block, weight, linear)
        mean = block.unpad(posterior.mean)
        return _label_sums(given, labels.of(block), mean, block.unpad(posterior.covariance))[0], mean

    normals, latents = zip(*_of_blocks(part, given, inferred), strict=True)
    return functools.reduce(np.add, normals), np.concatenate(latents)


class _BlockSums(NamedTuple):
    """Sums over the stars of a block: of flux on the device, of labels and covariances; and the latents (n, P)."""

    flux: Statistics[jax.Array]
    others: tuple[Any, ...]
    latents: np.ndarray


def _block_sums(
    problem: Problem,
    given: Coefficients,
    labels: _Labels,
    block: Block,
    weight: jax.Array,
    linear: Linear,
    posterior: LatentPosterior,
) -> _BlockSums:
    if problem.settings.algorithm == "als":
        posterior = posterior._replace(covariance=np.zeros(posterior.covariance.shape, np.float32))
    flux, log_density = statistics(block.flux, weight, linear, posterior.mean, posterior.covariance)
    mean, covariance, log_determinant = (block.unpad(array) for array in posterior)
    value = _log_likelihood(problem, given, labels, mean, log_determinant) + block.unpad(log_density).sum()
    return _BlockSums(flux, (*_label_sums(given, labels, mean, covariance), covariance.sum(axis=0), value), mean)


def _total(found: Iterable[_BlockSums]) -> tuple[Expectations, np.ndarray]:
    """Return the sums over all blocks, and their latents (n, P)."""
    flux: Any = None
    others: Any = None
    means = []
    for each in found:
        flux = each.flux if flux is None else add(flux, each.flux)
        others = each.others if others is None else jax.tree.map(np.add, others, each.others)
        means.append(each.latents)
    latents = np.concatenate(means)
    return Expectations(to_host(flux), latents.sum(axis=0), latents.T @ latents, *others), latents


def _of_blocks(part: Part, given: Coefficients, work: Callable[[Block, jax.Array, Linear], Result]) -> Iterator[Result]:
    """Yield what `work` makes of each block, its weights, and the flux coefficients on the device."""
    linear, variance = to_device((given.flux_linear, given.scatter_variance))
    for block in part.blocks():
        yield work(block, total_weight(block.ivar, variance), linear)


def _unit_labels(part: Part, problem: Problem) -> _Labels:
    values = np.nan_to_num((part.labels - problem.center) / problem.scale)
    return _Labels(values, np.where(np.isnan(part.labels), 0, (problem.scale / part.label_err) ** 2))


def _labels_of_cycle(part: Part, problem: Problem, cycle: Cycle) -> np.ndarray:
    """Return the labels (n, M) read off the latents of a cycle, on unit scale: kept, or inferred again."""
    number, labels = part.kept.get(_LABELS, (None, None))
    if number == cycle.number:
        return labels
    number, latents = part.kept.get(_LATENTS, (None, None))
    if number != cycle.number:
        _, latents = final_latents(part, problem, cycle.given)
    offset, loadings = cycle.label_linear
    return offset + latents @ loadings.T


def _posterior(
    problem: Problem, given: Coefficients, labels: _Labels, block: Block, weight: jax.Array, linear: Linear
) -> LatentPosterior:
    """Return the posterior of the latents of a block given flux, labels and prior."""
    offset, loadings = given.label_linear
    precision = np.einsum("nm,mi,mj->nij", labels.weight, loadings, loadings, optimize=True) + problem.prior_precision
    moment = (labels.weight * (labels.values - offset)) @ loadings
    return infer(block.flux, weight, linear, *block.latent_prior(precision, moment))


def _fixed(block: Block, latents: np.ndarray) -> LatentPosterior:
    """Return a posterior that holds the latents of a block's stars exact."""
    length, size = len(block.flux), latents.shape[1]
    mean = block.pad(latents[block.rows])
    return LatentPosterior(mean, np.zeros((length, size, size), np.float32), np.zeros(length, np.float32))


def _label_sums(
    given: Coefficients, labels: _Labels, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal matrices (M, P + 1, P + 1) and moments (M, P + 1) of the labels, as of the pixels."""
    factors = np.insert(mean, 0, 1, axis=1)
    second = factors[:, :, None] * factors[:, None, :]
    second[:, 1:, 1:] += covariance
    moment = (labels.weight * (labels.values - given.label_linear[0])).T @ factors
    return np.tensordot(labels.weight, second, axes=(0, 0)), moment


def _log_likelihood(
    problem: Problem, given: Coefficients, labels: _Labels, mean: np.ndarray, log_determinant: np.ndarray
) -> float:
    """Return what the labels and latents of a block add to the objective, constants left out."""
    offset, loadings = given.label_linear
    residual = labels.values - offset - mean @ loadings.T
    value = -0.5 * np.sum(labels.weight * residual**2)
    value -= 0.5 * np.sum((mean @ problem.prior_precision) * mean)
    if problem.settings.algorithm == "em":
        value += 0.5 * (len(mean) * np.linalg.slogdet(problem.prior_precision)[1] - log_determinant.sum())
    return float(value)
