"""The weight of a pixel is one over its total variance."""

import jax.numpy as jnp
import numpy as np

from lux.models.weights import mean_pixel_weight, pixel_weight


def test_the_weight_is_one_over_the_total_variance_and_zero_where_there_is_no_datum():
    ivar, variance = np.array([0.0, 4.0, 1e6]), np.array([1.0, 0.75, 0.0])
    np.testing.assert_allclose(pixel_weight(ivar, variance), [0, 1, 1e6])
    np.testing.assert_allclose(pixel_weight(jnp.asarray(ivar), jnp.asarray(variance)), [0, 1, 1e6])


def test_the_mean_weight_does_not_depend_on_the_blocks(surveys):
    scatter = np.linspace(0, 0.05, surveys[0].n_pixels)
    variance = np.divide(1, surveys[0].ivar, where=surveys[0].ivar > 0, out=np.full(surveys[0].ivar.shape, np.inf))
    expected = np.mean(1 / (variance + scatter**2), axis=0)
    for block_size in (7, 10_000):
        np.testing.assert_allclose(mean_pixel_weight(surveys[0], scatter, block_size), expected, rtol=1e-6)
