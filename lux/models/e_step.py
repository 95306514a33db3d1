r"""The numerical steps of Lux on the flux of one block of stars, in JAX, in single precision.

Throughout, `flux` and `weight` are (n, D), a weight of zero meaning no datum, and `linear` is the pair of offset (D,)
and loadings (D, P): flux ~ N(offset + loadings z, 1 / weight). What else is known of the latents z of a star, from
their prior and from its labels, comes as a Gaussian: a precision (n, P, P) and precision times mean, the moment (n, P).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lux.models.normal_equations import (
    pack_symmetric,
    packed_products,
    scaled_cholesky,
    scaled_inverse,
    unpack_symmetric,
)


class LatentPosterior(NamedTuple):
    """Gaussian posterior of the latents of n stars.

    `mean` (n, P), `covariance` (n, P, P), and `log_determinant` (n,) of the inverse covariance.
    """

    mean: jax.Array
    covariance: jax.Array
    log_determinant: jax.Array


class Statistics(NamedTuple):
    """What the update of offset, loadings and scatter needs of the stars, summed over them unless said otherwise.

    `normal` ((P+1)(P+2)/2, D) are packed normal matrices of the factors [1, z]; `moment` (P+1, D) goes with the
    residual from the old offset; `leverage` (P(P+1)/2, D) is the packed covariance of the latents, weighted by squared
    weights; `score` (D,) and `information` (D,) are the gradient (at exact latents) and the Fisher information of the
    log-likelihood with respect to the scatter variance, each times two; `log_density` (n,), per star, is the
    log-density of the flux at the mean latents, without the term in the number of pixels.
    """

    normal: jax.Array
    moment: jax.Array
    leverage: jax.Array
    score: jax.Array
    information: jax.Array
    log_density: jax.Array


@jax.jit
def total_weight(ivar, scatter_variance):
    """Return 1 / (1 / ivar + scatter_variance), zero where ivar is zero."""
    return ivar / (1 + ivar * scatter_variance)


def _residual(flux, linear, latents):
    offset, loadings = linear
    return flux - offset - latents @ loadings.T


@jax.jit
def infer(flux, weight, linear, precision, moment) -> LatentPosterior:
    """Return the posterior of the latents: weighted least squares, solved exactly and refined once.

    The refinement takes the gradient at the first solution, where the residuals are small, which removes the rounding
    error that single precision leaves in the normal matrices.
    """
    loadings = linear[1]
    total = precision + unpack_symmetric(weight @ packed_products(loadings), loadings.shape[1])
    factor, scale = scaled_cholesky(total)
    covariance = scaled_inverse(factor, scale)

    def step(_, latents):
        gradient = moment - jnp.einsum("nij,nj->ni", precision, latents)
        gradient += (weight * _residual(flux, linear, latents)) @ loadings
        return latents + jnp.einsum("nij,nj->ni", covariance, gradient)

    mean = jax.lax.fori_loop(0, 2, step, jnp.zeros_like(moment))
    log_diagonal = jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)) - jnp.log(scale)
    return LatentPosterior(mean, covariance, 2 * jnp.sum(log_diagonal, axis=1))


def statistics(flux, weight, linear, mean, covariance) -> Statistics:
    """Return the sums over the block's stars that update the offset, loadings and scatter.

    Parameters
    ----------
    mean, covariance : (n, P), (n, P, P) arrays
        Posterior of the latents; a zero covariance gives plain alternating least squares.

    Notes
    -----
    The sums are compiled apart: in one program the compiler lays out the weights for one of them and is slow in the
    others.
    """
    factors, second, spread = _products(mean, covariance)
    return Statistics(
        _weighted(second, weight),
        _moment(flux, weight, linear, factors),
        _weighted(spread, _square(weight)),
        *_residual_sums(flux, weight, linear, mean),
    )


def _products(mean, covariance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors [1, z], their packed second moments and the packed covariances; small, so on the host."""
    mean = np.asarray(mean)
    factors = np.concatenate([np.ones((len(mean), 1), mean.dtype), mean], axis=1)
    spread = pack_symmetric(np.asarray(covariance))
    second = packed_products(factors)
    second[:, mean.shape[1] + 1 :] += spread
    return factors, second, spread


@jax.jit
def _weighted(factors, weight):
    return factors.T @ weight


@jax.jit
def _square(weight):
    return weight**2


@jax.jit
def _moment(flux, weight, linear, factors):
    return factors.T @ (weight * (flux - linear[0]))


@jax.jit
def _residual_sums(flux, weight, linear, mean):
    chi = weight * _residual(flux, linear, mean) ** 2
    score, information = jnp.sum(weight * (chi - 1), axis=0), jnp.sum(weight**2, axis=0)
    return score, information, 0.5 * jnp.sum(jnp.log(jnp.where(weight > 0, weight, 1)) - chi, axis=1)


@jax.jit
def add(total, other):
    """Return the sums of the arrays of two equal trees."""
    return jax.tree.map(jnp.add, total, other)


@jax.jit
def pixel_sums(flux, weight):
    """Return the sums over the block's stars of the weights and of the weighted flux, (D,) each."""
    return jnp.sum(weight, axis=0), jnp.sum(weight * flux, axis=0)


@jax.jit
def project(flux, weight, offset, root_weight, directions):
    """Return the projections (n, Q) of weighted, masked deviations on `directions` (D, Q), and their transpose."""
    deviation = (flux - offset) * root_weight * (weight > 0)
    scores = deviation @ directions
    return scores, deviation.T @ scores
