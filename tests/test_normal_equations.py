"""Packed triangles and scaled factors give what dense linear algebra gives."""

import jax.numpy as jnp
import numpy as np

from lux.models import normal_equations as ne


def symmetric(count, size, seed=0):
    factor = np.random.default_rng(seed).normal(size=(count, size, size + 2))
    return factor @ np.swapaxes(factor, 1, 2)


def test_weights_times_packed_products_are_the_normal_matrices():
    generator = np.random.default_rng(1)
    factors, weight = generator.normal(size=(30, 4)), generator.uniform(size=(7, 30))
    dense = np.einsum("kn,ni,nj->kij", weight, factors, factors)
    packed = weight @ ne.packed_products(factors)
    np.testing.assert_allclose(ne.unpack_symmetric(packed, 4), dense)
    np.testing.assert_allclose(ne.unpack_columns(packed.T, 4), dense)


def test_packing_is_undone_by_unpacking():
    matrices = symmetric(5, 4)
    np.testing.assert_array_equal(ne.unpack_symmetric(ne.pack_symmetric(matrices), 4), matrices)


def test_doubled_triangles_give_the_trace_of_a_product():
    one, other = symmetric(5, 4), symmetric(5, 4, seed=1)
    trace = np.sum(ne.double_off_diagonal(ne.pack_symmetric(one)) * ne.pack_symmetric(other), axis=1)
    np.testing.assert_allclose(trace, np.trace(one @ other, axis1=1, axis2=2))


def test_scaling_lets_single_precision_invert_matrices_of_many_magnitudes():
    scale = 10.0 ** np.arange(-6, 6, 3)
    matrices = symmetric(5, 4) * scale[:, None] * scale
    factor, root = ne.scaled_cholesky(jnp.asarray(matrices, jnp.float32))
    product = np.asarray(ne.scaled_inverse(factor, root), float) @ matrices
    np.testing.assert_allclose(product * scale[:, None] / scale, np.broadcast_to(np.eye(4), (5, 4, 4)), atol=5e-3)
