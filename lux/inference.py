r"""The numerical steps of Lux on one block of stars, in JAX, in single precision.

The data of a star come in two parts, its labels and its flux. A part is the triple ``(values, weight, linear)`` with
values and weights (n, K) and ``linear = (offset (K,), loadings (K, P))``: values ~ N(offset + loadings z, 1 / weight),
where a weight of zero means no datum. The prior is z ~ N(0, prior_precision^-1).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lux.normal_equations import (
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
    """What the update of one part needs of the stars, summed over them unless said otherwise.

    `normal` ((P+1)(P+2)/2, K) are packed normal matrices of the factors [1, z]; `moment` (P+1, K) goes with the
    residual from the old offset; `leverage` (P(P+1)/2, K) is the packed covariance of the latents, weighted by squared
    weights; `score` (K,) and `information` (K,) are the gradient (at exact latents) and the Fisher information of the
    log-likelihood with respect to the scatter variance, each times two; `log_density` (n,), per star, is the
    log-density of the values at the mean latents, without the term in the number of values.
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


def _residual(part, latents):
    values, _, (offset, loadings) = part
    return values - offset - latents @ loadings.T


@jax.jit
def infer(parts, prior_precision) -> LatentPosterior:
    """Return the posterior of the latents given the parts: weighted least squares, solved exactly and refined once.

    The refinement takes the gradient at the first solution, where the residuals are small, which removes the rounding
    error that single precision leaves in the normal matrices.
    """
    size = prior_precision.shape[0]
    precision = prior_precision + sum(
        unpack_symmetric(weight @ packed_products(loadings), size) for _, weight, (_, loadings) in parts
    )
    factor, scale = scaled_cholesky(precision)
    covariance = scaled_inverse(factor, scale)

    def step(latents):
        gradient = -latents @ prior_precision
        for part in parts:
            gradient += (part[1] * _residual(part, latents)) @ part[2][1]
        return latents + jnp.einsum("nij,nj->ni", covariance, gradient)

    mean = step(step(jnp.zeros(covariance.shape[:2], covariance.dtype)))
    log_diagonal = jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)) - jnp.log(scale)
    return LatentPosterior(mean, covariance, 2 * jnp.sum(log_diagonal, axis=1))


def statistics(part, mean, covariance, with_scatter: bool) -> Statistics:
    """Return the sums over the block's stars that update the offset, loadings and scatter of one part.

    Parameters
    ----------
    part : tuple
        Values, weights and (offset, loadings), see the module.
    mean, covariance : (n, P), (n, P, P) arrays
        Posterior of the latents; a zero covariance gives plain alternating least squares.
    with_scatter : bool
        Whether the part has a scatter; otherwise `leverage` is zero.

    Notes
    -----
    The sums are compiled apart: in one program the compiler lays out the weights for one of them and is slow in the
    others.
    """
    weight = part[1]
    factors, second, spread = _products(mean, covariance)
    return Statistics(
        _weighted(second, weight),
        _moment(part, factors),
        _weighted(spread, _square(weight)) if with_scatter else np.zeros((spread.shape[1], weight.shape[1])),
        *_residual_sums(part, mean),
    )


@jax.jit
def _products(mean, covariance):
    factors = jnp.concatenate([jnp.ones((len(mean), 1), mean.dtype), mean], axis=1)
    spread = pack_symmetric(covariance)
    return factors, packed_products(factors).at[:, mean.shape[1] + 1 :].add(spread), spread


@jax.jit
def _weighted(factors, weight):
    return factors.T @ weight


@jax.jit
def _square(weight):
    return weight**2


@jax.jit
def _moment(part, factors):
    values, weight, (offset, _) = part
    return factors.T @ (weight * (values - offset))


@jax.jit
def _residual_sums(part, mean):
    weight = part[1]
    chi = weight * _residual(part, mean) ** 2
    score, information = jnp.sum(weight * (chi - 1), axis=0), jnp.sum(weight**2, axis=0)
    return score, information, 0.5 * jnp.sum(jnp.log(jnp.where(weight > 0, weight, 1)) - chi, axis=1)


@jax.jit
def add(total, other):
    """Return the sums of the arrays of two equal trees."""
    return jax.tree.map(jnp.add, total, other)


@jax.jit
def pixel_sums(values, weight):
    """Return the sums over the block's stars of the weights and of the weighted values, (K,) each."""
    return jnp.sum(weight, axis=0), jnp.sum(weight * values, axis=0)


@jax.jit
def project(values, weight, offset, root_weight, directions):
    """Return the projections (n, Q) of weighted, masked deviations on `directions` (K, Q), and their transpose."""
    deviation = (values - offset) * root_weight * (weight > 0)
    scores = deviation @ directions
    return scores, deviation.T @ scores
