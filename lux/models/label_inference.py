"""Latents and labels of stars given their flux alone, from the parameters of a fitted Lux."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq

from lux.jax_settings import one_blas_thread
from lux.models.blocks import Block, to_device
from lux.models.e_step import FluxModel, infer
from lux.models.parameters import Parameters
from lux.models.parts import Part, Parts, cut
from lux.survey import Survey

# A residual is divided by one minus the leverage; the bound keeps single stars of tiny label errors from deciding.
_MAX_LEVERAGE = 0.5


def infer_latents(parameters: Parameters, survey: Survey, block_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield mean (n, P) and covariance (n, P, P) of the latents, block by block, in double precision."""
    for part in cut(survey, block_size):
        yield from _latents(part, parameters)


def _latents(part: Part, parameters: Parameters) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    model = FluxModel(*to_device((parameters.b, parameters.B, parameters.scatter**2)))

    def inferred(block: Block) -> tuple[np.ndarray, np.ndarray]:
        prior = np.broadcast_to(parameters.prior_precision, (len(block.flux), *parameters.prior_precision.shape))
        moment = np.zeros(prior.shape[:2])
        posterior = infer(block.flux, block.ivar, model, *to_device((prior, moment)))
        return block.unpad(posterior.mean), block.unpad(posterior.covariance)

    return map(inferred, part.blocks())


def infer_labels(parameters: Parameters, parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (N, M) and their covariance (N, M, M) without label scatter."""
    with one_blas_thread():
        _, inferred = parts.run(_inferred, _without_stars(parameters))
    labels, covariances, _ = zip(*inferred, strict=True)
    return np.concatenate(labels), np.concatenate(covariances)


def _inferred(part: Part, parameters: Parameters) -> tuple[None, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return labels of the part's stars, their covariance, and the latents behind them."""
    n_labels, n_latents = parameters.A.shape
    latents, covariances = np.empty((part.n_stars, n_latents)), np.empty((part.n_stars, n_labels, n_labels))
    first = 0
    for mean, covariance in _latents(part, parameters):
        rows = slice(first, first := first + len(mean))
        latents[rows] = mean
        covariances[rows] = parameters.A @ covariance @ parameters.A.T
        covariances[rows] += _coefficient_variance(parameters, mean, covariance)
    return None, (parameters.a + latents @ parameters.A.T, covariances, latents)


def _without_stars(parameters: Parameters) -> Parameters:
    """Return the parameters without what they hold of each training star, for others to work with."""
    return dataclasses.replace(parameters, latents=parameters.latents[:0])


def label_scatter(parameters: Parameters, survey: Survey, parts: Parts) -> np.ndarray:
    """Return by how much (M,) labels of the training stars miss the prediction beyond all stated errors.

    The residual of a star is taken without the star's own leverage on the label coefficients.
    """
    _, missed = parts.run(_misses, _without_stars(parameters))
    residual, variance = (np.concatenate(each) for each in zip(*missed, strict=True))
    columns = zip(residual.T, variance.T, ~np.isnan(survey.labels.T), strict=True)
    return np.array([_excess_scatter(values[present], stated[present]) for values, stated, present in columns])


def _misses(part: Part, parameters: Parameters) -> tuple[None, tuple[np.ndarray, np.ndarray]]:
    """Return by how much labels miss the prediction, and the variance that is stated of it, (n, M) each."""
    _, (labels, covariance, latents) = _inferred(part, parameters)
    leverage = _quadratic_form(latents, parameters.label_coefficient_covariance) / part.label_err**2
    residual = (part.labels - labels) / (1 - np.minimum(leverage, _MAX_LEVERAGE))
    return None, (residual, part.label_err**2 + np.diagonal(covariance, axis1=1, axis2=2))


def _quadratic_form(latents: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return [1, z] C [1, z] for latents z (n, P) and matrices C (M, P + 1, P + 1), as (n, M)."""
    factors = np.insert(latents, 0, 1, axis=1)
    return np.einsum("ni,mij,nj->nm", factors, matrices, factors, optimize=True)


def _coefficient_variance(parameters: Parameters, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return what the errors of the label coefficients add to the label covariances, (n, M, M), diagonal."""
    coefficients = parameters.label_coefficient_covariance
    variance = _quadratic_form(mean, coefficients)
    variance += np.einsum("nij,mij->nm", covariance, coefficients[:, 1:, 1:], optimize=True)
    return variance[:, :, None] * np.eye(len(coefficients))


def _excess_scatter(residual: np.ndarray, variance: np.ndarray) -> float:
    """Return the standard deviation that, added to stated variances (n,), makes the mean of chi squared one, or zero.

    The moment estimate of Paule & Mandel 1982 (J. Res. NBS 87, 377).
    """

    def surplus(extra: float) -> float:
        return float(np.mean(residual**2 / (variance + extra)) - 1)

    if surplus(0.0) <= 0:
        return 0.0
    return float(np.sqrt(brentq(surplus, 0.0, np.mean(residual**2) + variance.max(), xtol=1e-12 * variance.max())))
