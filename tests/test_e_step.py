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


N_STARS, SIZE = 40, 3


# On a CPU one tile of pixels, and four of which the last two overlap.
@pytest.fixture(params=[30, 3601])
def block(request):
    """Return flux, inverse variances, offset, loadings and scatter variance of stars drawn at random, some masked."""
    generator, n_pixels = np.random.default_rng(0), request.param
    ivar = generator.uniform(0, 2, size=(N_STARS, n_pixels))
    ivar[generator.random(ivar.shape) < 0.1] = 0
    offset, loadings = generator.normal(size=n_pixels), generator.normal(size=(n_pixels, SIZE))
    return generator.normal(size=ivar.shape), ivar, offset, loadings, generator.uniform(0, 0.1, size=n_pixels)


def on_device(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def test_the_sums_are_those_of_dense_algebra(block):
    flux, ivar, offset, loadings, scatter = block
    generator = np.random.default_rng(1)
    mean, half = generator.normal(size=(N_STARS, SIZE)), generator.normal(size=(N_STARS, SIZE, SIZE))
    covariance = half @ np.swapaxes(half, 1, 2)
    begin = e_step.no_statistics(*loadings.shape)
    model = e_step.FluxModel(*on_device(offset, loadings, scatter))
    sums, log_density = e_step.add_statistics(begin, *on_device(flux, ivar), model, *on_device(mean, covariance))
    assert begin.normal.is_deleted(), "added in place"
    weight = ivar / (1 + ivar * scatter)
    factors = np.column_stack([np.ones(N_STARS), mean])
    second = factors[:, :, None] * factors[:, None, :]
    second[:, 1:, 1:] += covariance
    residual = flux - offset - mean @ loadings.T
    uncertain = np.einsum("di,nij,dj->nd", loadings, covariance, loadings)
    for value, expected in (
        (unpack_columns(np.asarray(sums.normal), SIZE + 1), np.einsum("nd,nij->dij", weight, second)),
        (sums.moment, factors.T @ (weight * (flux - offset))),
        (sums.score, np.sum(weight**2 * (residual**2 + uncertain) - weight, axis=0)),
        (sums.information, np.sum(weight**2, axis=0)),
        (log_density, 0.5 * np.sum(np.log(np.where(weight > 0, weight, 1)) - weight * residual**2, axis=1)),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-3)


def test_latents_without_a_covariance_are_exact(block):
    flux, ivar, *model = block
    mean = np.random.default_rng(1).normal(size=(N_STARS, SIZE))
    blocks, model = on_device(flux, ivar), e_step.FluxModel(*on_device(*model))
    (exact, density), (zero, same) = (
        e_step.add_statistics(e_step.no_statistics(flux.shape[1], SIZE), *blocks, model, mean, covariance)
        for covariance in (None, np.zeros((N_STARS, SIZE, SIZE)))
    )
    for one, other in zip((*exact, density), (*zero, same), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_posterior_is_that_of_dense_algebra(block):
    flux, ivar, offset, loadings, scatter = block
    moment = np.random.default_rng(1).normal(size=(N_STARS, SIZE))
    prior = np.tile(np.eye(SIZE), (N_STARS, 1, 1))
    model = e_step.FluxModel(*on_device(offset, loadings, scatter))
    posterior = e_step.infer(*on_device(flux, ivar), model, *on_device(prior, moment))
    weight = ivar / (1 + ivar * scatter)
    precision = prior + np.einsum("nd,di,dj->nij", weight, loadings, loadings)
    mean = np.linalg.solve(precision, (moment + (weight * (flux - offset)) @ loadings)[..., None])[..., 0]
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(posterior.covariance, np.linalg.inv(precision), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(posterior.log_determinant, np.linalg.slogdet(precision)[1], rtol=1e-5)
