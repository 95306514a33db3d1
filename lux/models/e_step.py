r"""The numerical steps of Lux on the flux of one block of stars, in JAX, in single precision.

Throughout, `flux` and `weight` are (n, D), a weight of zero meaning no datum, and `linear` is the pair of offset (D,)
and loadings (D, P): flux ~ N(offset + loadings z, 1 / weight). The prior of the latents z and the labels of the star
enter as one Gaussian of the latents: its precision (n, P, P) and precision times mean, the moment (n, P).
"""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lux.jax_settings import own_settings
from lux.models.normal_equations import (
    Array,
    ArrayT,
    pack_symmetric,
    packed_products,
    scaled_cholesky,
    scaled_inverse,
    unpack_symmetric,
)
from lux.models.weights import pixel_weight

Linear = tuple[jax.Array, jax.Array]

total_weight = own_settings()(jax.jit(pixel_weight))


class LatentPosterior(NamedTuple):
    """Gaussian posterior of the latents of n stars.

    `mean` (n, P), `covariance` (n, P, P), and `log_determinant` (n,) of the inverse covariance.
    """

    mean: Array
    covariance: Array
    log_determinant: Array


class Statistics(NamedTuple, Generic[ArrayT]):
    """Sums over stars that the update of offset, loadings and scatter needs.

    `normal` ((P+1)(P+2)/2, D) are packed normal matrices of the factors [1, z]; `moment` (P+1, D) is their right-hand
    side for the residual from the old offset; `leverage` (P(P+1)/2, D) is the packed covariance of the latents,
    weighted by squared weights; `score` (D,) and `information` (D,) are the gradient (at exact latents) and the Fisher
    information of the log-likelihood with respect to the scatter variance, each times two.
    """

    normal: ArrayT
    moment: ArrayT
    leverage: ArrayT
    score: ArrayT
    information: ArrayT


def _residual(flux: jax.Array, linear: Linear, latents: Array) -> jax.Array:
    offset, loadings = linear
    return flux - offset - jnp.matmul(latents, loadings.T)


@own_settings()
@jax.jit
def infer(
    flux: jax.Array, weight: jax.Array, linear: Linear, precision: jax.Array, moment: jax.Array
) -> LatentPosterior:
    """Return the posterior of the latents: weighted least squares, solved exactly and refined once.

    The refinement takes the gradient at the first solution, where the residuals are small, which removes the rounding
    error that single precision leaves in the normal matrices.
    """
    loadings = linear[1]
    total = precision + unpack_symmetric(weight @ packed_products(loadings), loadings.shape[1])
    factor, scale = scaled_cholesky(total)
    covariance = scaled_inverse(factor, scale)

    def step(_: int, latents: jax.Array) -> jax.Array:
        gradient = moment - jnp.einsum("nij,nj->ni", precision, latents)
        gradient += (weight * _residual(flux, linear, latents)) @ loadings
        return latents + jnp.einsum("nij,nj->ni", covariance, gradient)

    mean = jax.lax.fori_loop(0, 2, step, jnp.zeros_like(moment))
    log_diagonal = jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)) - jnp.log(scale)
    return LatentPosterior(mean, covariance, 2 * jnp.sum(log_diagonal, axis=1))


def statistics(
    flux: jax.Array, weight: jax.Array, linear: Linear, mean: Array, covariance: Array
) -> tuple[Statistics[jax.Array], jax.Array]:
    """Return the sums over the block's stars that update the offset, loadings and scatter, and the log-density.

    Parameters
    ----------
    mean, covariance : (n, P), (n, P, P) arrays
        Posterior of the latents; a zero covariance gives plain alternating least squares.

    Returns
    -------
    Statistics
    log_density : (n,) array
        Log-density of each star's flux at the mean latents, without the term in the number of pixels.

    Notes
    -----
    The sums are compiled apart: in one program the compiler lays out the weights for one of them and is slow in the
    others.
    """
    factors, second, packed_covariance = _products(np.asarray(mean), np.asarray(covariance))
    score, information, log_density = _residual_sums(flux, weight, linear, mean)
    normal, moment = _weighted(second, weight), _moment(flux, weight, linear, factors)
    leverage = _weighted(packed_covariance, _square(weight))
    return Statistics(normal, moment, leverage, score, information), log_density


def _products(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors [1, z], their packed second moments and the packed covariances; small, so on the host."""
    factors = np.insert(mean, 0, 1, axis=1)
    packed_covariance = pack_symmetric(covariance)
    second = packed_products(factors)
    second[:, mean.shape[1] + 1 :] += packed_covariance
    return factors, second, packed_covariance


@own_settings()
@jax.jit
def _weighted(factors: Array, weight: jax.Array) -> jax.Array:
    return jnp.matmul(factors.T, weight)


@own_settings()
@jax.jit
def _square(weight: jax.Array) -> jax.Array:
    return weight**2


@own_settings()
@jax.jit
def _moment(flux: jax.Array, weight: jax.Array, linear: Linear, factors: Array) -> jax.Array:
    return jnp.matmul(factors.T, weight * (flux - linear[0]))


@own_settings()
@jax.jit
def _residual_sums(
    flux: jax.Array, weight: jax.Array, linear: Linear, mean: Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    chi = weight * _residual(flux, linear, mean) ** 2
    score, information = jnp.sum(weight * (chi - 1), axis=0), jnp.sum(weight**2, axis=0)
    return score, information, 0.5 * jnp.sum(jnp.log(jnp.where(weight > 0, weight, 1)) - chi, axis=1)


@own_settings()
@jax.jit
def add(total: Statistics[jax.Array], other: Statistics[jax.Array]) -> Statistics[jax.Array]:
    """Return the statistics of two groups of stars together."""
    return jax.tree.map(jnp.add, total, other)


@own_settings()
@jax.jit
def pixel_sums(flux: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the sums over the block's stars of the weights and of the weighted flux, (D,) each."""
    return jnp.sum(weight, axis=0), jnp.sum(weight * flux, axis=0)


@own_settings()
@jax.jit
def project(
    flux: jax.Array, weight: jax.Array, offset: jax.Array, root_weight: jax.Array, directions: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the projections (n, Q) of weighted, masked deviations on `directions` (D, Q), and their transpose."""
    deviation = (flux - offset) * root_weight * (weight > 0)
    scores = deviation @ directions
    return scores, deviation.T @ scores
