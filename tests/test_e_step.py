"""The numerical steps compile once, and their sums are those of dense algebra."""

import jax.numpy as jnp
import numpy as np
import pytest

import lux
from lux.models import e_step
from lux.models.normal_equations import unpack_columns


def test_fits_of_one_shape_do_not_compile_again(surveys_with_scatter):
    train = surveys_with_scatter[0]
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train)
    programs = [getattr(value, "__wrapped__", None) for value in vars(e_step).values()]
    compiled = [program for program in programs if hasattr(program, "_cache_size")]
    sizes = [function._cache_size() for function in compiled]
    assert {e_step.infer.__wrapped__, e_step._add_statistics.__wrapped__} < set(compiled)
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train[::-1])
    assert sizes == [function._cache_size() for function in compiled]


# On a CPU one tile of pixels, and four of which the last two overlap.
N_PIXELS = (30, 3601)


@pytest.mark.parametrize("n_pixels", N_PIXELS)
def test_the_sums_are_those_of_dense_algebra(n_pixels):
    generator = np.random.default_rng(0)
    n_stars, size = 40, 3
    flux, ivar = generator.normal(size=(n_stars, n_pixels)), generator.uniform(0, 2, size=(n_stars, n_pixels))
    offset, loadings = generator.normal(size=n_pixels), generator.normal(size=(n_pixels, size))
    mean, half = generator.normal(size=(n_stars, size)), generator.normal(size=(n_stars, size, size))
    covariance = half @ np.swapaxes(half, 1, 2)
    ivar[generator.random(ivar.shape) < 0.1] = 0
    scatter = generator.uniform(0, 0.1, size=n_pixels)
    weight = ivar / (1 + ivar * scatter)
    device = [jnp.asarray(array, jnp.float32) for array in (flux, ivar, offset, loadings, scatter, mean, covariance)]
    model = e_step.FluxModel(*device[2:5])
    begin = e_step.no_statistics(n_pixels, size)
    sums, log_density = e_step.add_statistics(begin, *device[:2], model, *device[5:])
    assert begin.normal.is_deleted(), "added in place"
    factors = np.column_stack([np.ones(n_stars), mean])
    second = factors[:, :, None] * factors[:, None, :]
    second[:, 1:, 1:] += covariance
    residual = flux - offset - mean @ loadings.T
    for value, expected in (
        (unpack_columns(np.asarray(sums.normal), size + 1), np.einsum("nd,nij->dij", weight, second)),
        (sums.moment, factors.T @ (weight * (flux - offset))),
        (unpack_columns(np.asarray(sums.leverage), size), np.einsum("nd,nij->dij", weight**2, covariance)),
        (sums.score, np.sum(weight**2 * residual**2 - weight, axis=0)),
        (sums.information, np.sum(weight**2, axis=0)),
        (log_density, 0.5 * np.sum(np.log(np.where(weight > 0, weight, 1)) - weight * residual**2, axis=1)),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("n_pixels", N_PIXELS)
def test_the_posterior_is_that_of_dense_algebra(n_pixels):
    generator = np.random.default_rng(1)
    n_stars, size = 20, 3
    flux, ivar = generator.normal(size=(n_stars, n_pixels)), generator.uniform(0, 2, size=(n_stars, n_pixels))
    offset, loadings = generator.normal(size=n_pixels), generator.normal(size=(n_pixels, size))
    moment = generator.normal(size=(n_stars, size))
    device = [jnp.asarray(array, jnp.float32) for array in (flux, ivar, offset, loadings, np.full(n_pixels, 0.1))]
    prior = jnp.tile(jnp.eye(size), (n_stars, 1, 1)), jnp.asarray(moment, jnp.float32)
    posterior = e_step.infer(*device[:2], e_step.FluxModel(*device[2:]), *prior)
    weight = ivar / (1 + 0.1 * ivar)
    precision = np.eye(size) + np.einsum("nd,di,dj->nij", weight, loadings, loadings)
    mean = np.linalg.solve(precision, (moment + (weight * (flux - offset)) @ loadings)[..., None])[..., 0]
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(posterior.covariance, np.linalg.inv(precision), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(posterior.log_determinant, np.linalg.slogdet(precision)[1], rtol=1e-5)
