"""The numerical steps compile once, and their sums are those of dense algebra."""

import jax.numpy as jnp
import numpy as np

import lux
from lux.models import e_step
from lux.models.normal_equations import unpack_columns


def test_fits_of_one_shape_do_not_compile_again(surveys_with_scatter):
    train = surveys_with_scatter[0]
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train)
    programs = [getattr(value, "__wrapped__", None) for value in vars(e_step).values()]
    compiled = [program for program in programs if hasattr(program, "_cache_size")]
    sizes = [function._cache_size() for function in compiled]
    assert len(compiled) > 5
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train[::-1])
    assert sizes == [function._cache_size() for function in compiled]


def test_the_sums_are_those_of_dense_algebra():
    generator = np.random.default_rng(0)
    n_stars, n_pixels, size = 40, 30, 3
    flux, weight = generator.normal(size=(n_stars, n_pixels)), generator.uniform(0, 2, size=(n_stars, n_pixels))
    offset, loadings = generator.normal(size=n_pixels), generator.normal(size=(n_pixels, size))
    mean, half = generator.normal(size=(n_stars, size)), generator.normal(size=(n_stars, size, size))
    covariance = half @ np.swapaxes(half, 1, 2)
    device = [jnp.asarray(array, jnp.float32) for array in (flux, weight, offset, loadings, mean, covariance)]
    sums, log_density = e_step.statistics(*device[:2], tuple(device[2:4]), *device[4:])
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
        (log_density, 0.5 * np.sum(np.log(weight) - weight * residual**2, axis=1)),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-3)
