r"""The numerical steps of Lux on one block of stars, in JAX, in single precision.

The data of a star come in two parts, its labels and its flux. A part is the triple ``(values, weight, linear)`` with
values and weights (n, K) and ``linear = (offset (K,), loadings (K, P))``: values ~ N(offset + loadings z, 1 / weight),
where a weight of zero means no datum. The prior is z ~ N(0, prior_precision^-1).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lux.normal_equations import (
    double_off_diagonal,
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

    `normal` (K, (P+1)(P+2)/2) are packed normal matrices of the factors [1, z]; `moment` (K, P+1) goes with the
    residual from the old offset; `score` (K,) and `information` (K,) are the gradient and the Fisher information of the
    log-evidence with respect to the scatter variance, each times two; `log_density` (n,), per star, is the log-density
    of the values at the mean latents, without the term in the number of values.
    """

    normal: jax.Array
    moment: jax.Array
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


@jax.jit
def statistics(part, mean, covariance) -> Statistics:
    """Return the sums over the block's stars that update the offset, loadings and scatter of one part.

    Parameters
    ----------
    part : tuple
        Values, weights and (offset, loadings), see the module.
    mean, covariance : (n, P), (n, P, P) arrays
        Posterior of the latents; a zero covariance gives plain alternating least squares.
    """
    values, weight, (offset, loadings) = part
    size = mean.shape[1]
    factors = jnp.concatenate([jnp.ones((len(mean), 1), mean.dtype), mean], axis=1)
    spread = pack_symmetric(covariance)
    second = packed_products(factors).at[:, size + 1 :].add(spread)
    variance = double_off_diagonal(spread, size) @ packed_products(loadings).T
    squared = _residual(part, mean) ** 2
    return Statistics(
        normal=weight.T @ second,
        moment=(weight * (values - offset)).T @ factors,
        score=jnp.sum(weight * (weight * (squared + variance) - 1), axis=0),
        information=jnp.sum(weight**2, axis=0),
        log_density=0.5 * jnp.sum(jnp.log(jnp.where(weight > 0, weight, 1)) - weight * squared, axis=1),
    )


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
