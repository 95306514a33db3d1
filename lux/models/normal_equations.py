r"""Many small weighted least-squares problems as one matrix product.

The normal matrix of problem :math:`k` is :math:`\sum_n w_{nk} x_n x_n^T`. It differs between problems only through the
weights, and is symmetric: all the upper triangles together are the product of the weights with the table of pairwise
products of the factors :math:`x`.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray
ArrayT = TypeVar("ArrayT", jax.Array, np.ndarray)

_JITTER = 1e-6


def packed_products(factors: ArrayT) -> ArrayT:
    """Return the pairwise products of the columns of `factors` (K, P) as (K, P (P + 1) / 2), upper triangle by rows."""
    rows, columns = np.triu_indices(factors.shape[-1])
    return factors[:, rows] * factors[:, columns]


def pack_symmetric(matrices: ArrayT) -> ArrayT:
    """Return the upper triangles of symmetric matrices (..., P, P) as (..., P (P + 1) / 2)."""
    rows, columns = np.triu_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


def unpack_symmetric(packed: ArrayT, size: int) -> ArrayT:
    """Return symmetric matrices (..., P, P) from their packed upper triangles (..., P (P + 1) / 2)."""
    return packed[..., _places(size)]


def unpack_columns(packed: np.ndarray, size: int) -> np.ndarray:
    """Return symmetric matrices (K, P, P) from packed triangles standing in columns (P (P + 1) / 2, K)."""
    return np.moveaxis(packed[_places(size)], -1, 0)


def _places(size: int) -> np.ndarray:
    """Return where each element of a symmetric matrix (P, P) stands in its packed upper triangle."""
    rows, columns = np.triu_indices(size)
    places = np.zeros((size, size), int)
    places[rows, columns] = places[columns, rows] = np.arange(len(rows))
    return places


def double_off_diagonal(packed: ArrayT) -> ArrayT:
    """Return packed triangles whose plain dot product with another is the trace of the product of the matrices."""
    size = int(np.sqrt(2 * packed.shape[-1]))
    rows, columns = np.triu_indices(size)
    return packed * np.where(rows == columns, 1, 2)


def scaled_cholesky(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Factor positive-definite matrices (..., P, P) after scaling each to a unit diagonal.

    Returns
    -------
    factor : (..., P, P) array
        Lower Cholesky factor of the scaled matrices.
    scale : (..., P) array
        One over the root of the diagonal, by which rows and columns were multiplied.

    Notes
    -----
    The scaling keeps single precision sufficient where the diagonal spans many orders of magnitude. A millionth is
    added to the scaled diagonal, so that rounding cannot make a nearly singular matrix indefinite.
    """
    scale = 1 / jnp.sqrt(jnp.diagonal(matrices, axis1=-2, axis2=-1))
    scaled = matrices * scale[..., :, None] * scale[..., None, :]
    return jnp.linalg.cholesky(scaled + _JITTER * jnp.eye(matrices.shape[-1], dtype=matrices.dtype)), scale


def scaled_inverse(factor: jax.Array, scale: jax.Array) -> jax.Array:
    """Return the inverses (..., P, P) of matrices from their `scaled_cholesky`."""
    identity = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
    half = jax.lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)
    return jnp.einsum("...ki,...kj->...ij", half, half) * scale[..., :, None] * scale[..., None, :]
