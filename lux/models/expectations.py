"""What the stars of one part add to a fit of Lux: sums over the posterior of their latents, and how labels move."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from lux.models.blocks import Block, to_device, to_host
from lux.models.e_step import FluxModel, LatentPosterior, Statistics, add_statistics, infer, no_statistics
from lux.models.parameters import Settings
from lux.models.parts import Part

_LATENTS, _LABELS = "latents", "labels"


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
    total, latents = _summed(part, problem, given, functools.partial(_posterior, problem, given))
    part.kept[_LATENTS] = number, latents
    return total, None


def fixed_expectations(
    part: Part, latents: np.ndarray, problem: Problem, given: Coefficients
) -> tuple[Expectations, None]:
    """Return the sums if the latents of the part's stars (n, P) were exact."""
    return _summed(part, problem, given, lambda labels, block, model: _fixed(block, latents))[0], None


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
    labels, model = _unit_labels(part, problem), _flux_model(given)

    def inferred(block: Block) -> tuple[np.ndarray, np.ndarray]:
        posterior = _posterior(problem, given, labels.of(block), block, model)
        mean = block.unpad(posterior.mean)
        return _label_sums(given, labels.of(block), mean, block.unpad(posterior.covariance))[0], mean

    normals, latents = zip(*map(inferred, part.blocks()), strict=True)
    return functools.reduce(np.add, normals), np.concatenate(latents)


def _summed(
    part: Part,
    problem: Problem,
    given: Coefficients,
    posterior_of: Callable[[_Labels, Block, FluxModel], LatentPosterior],
) -> tuple[Expectations, np.ndarray]:
    """Return the sums over all stars of a part, and their latents (n, P); `posterior_of` gives that of a block."""
    labels, model = _unit_labels(part, problem), _flux_model(given)
    flux = no_statistics(*given.flux_linear[1].shape)
    others: Any = None
    means = []
    for block in part.blocks():
        posterior = posterior_of(labels.of(block), block, model)
        exact = problem.settings.algorithm == "als"
        if exact:
            posterior = posterior._replace(covariance=np.zeros(posterior.covariance.shape, np.float32))
        uncertain = None if exact else posterior.covariance
        flux, log_density = add_statistics(flux, block.flux, block.ivar, model, posterior.mean, uncertain)
        mean, covariance, log_determinant = (block.unpad(array) for array in posterior)
        value = _log_likelihood(problem, given, labels.of(block), mean, log_determinant)
        value += block.unpad(log_density).sum()
        own = *_label_sums(given, labels.of(block), mean, covariance), covariance.sum(axis=0), value
        others = own if others is None else jax.tree.map(np.add, others, own)
        means.append(mean)
    latents = np.concatenate(means)
    return Expectations(to_host(flux), latents.sum(axis=0), latents.T @ latents, *others), latents


def _flux_model(given: Coefficients) -> FluxModel:
    return FluxModel(*to_device((*given.flux_linear, given.scatter_variance)))


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
    problem: Problem, given: Coefficients, labels: _Labels, block: Block, model: FluxModel
) -> LatentPosterior:
    """Return the posterior of the latents of a block given flux, labels and prior."""
    offset, loadings = given.label_linear
    precision = np.einsum("nm,mi,mj->nij", labels.weight, loadings, loadings, optimize=True) + problem.prior_precision
    moment = (labels.weight * (labels.values - offset)) @ loadings
    return infer(block.flux, block.ivar, model, *block.latent_prior(precision, moment))


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
