"""Flux of a survey on the device, a block of stars at a time, in single precision."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from lux.models.normal_equations import Array
from lux.survey import Survey


class Block(NamedTuple):
    """The flux of consecutive stars on the device, padded to a fixed length with stars of zero weight."""

    rows: slice
    flux: jax.Array
    ivar: jax.Array

    def unpad(self, array: Array) -> np.ndarray:
        """Return the rows of a device array (length, ...) that belong to stars, in double precision."""
        return to_host(array)[: self.rows.stop - self.rows.start]

    def pad(self, array: np.ndarray) -> np.ndarray:
        """Return an array with a row for each star, padded with zeros to the block's length, in single precision."""
        return _padded(np.asarray(array, np.float32), len(self.flux))

    def latent_prior(self, precision: np.ndarray, moment: np.ndarray) -> tuple[jax.Array, jax.Array]:
        """Return precision (n, P, P) and moment (n, P) of the latents of the block's stars on the device.

        The padding gets a unit precision: a star without flux must have a latent, whatever the prior.
        """
        padded = np.array(self.pad(precision))
        padded[len(precision) :] = np.eye(precision.shape[-1])
        return to_device((padded, self.pad(moment)))


def block_length(n_stars: int, block_size: int) -> int:
    """Return the number of stars of a block: not more than a little above `block_size`, and alike for all blocks."""
    n_blocks = -(-n_stars // block_size)
    return 16 * -(-n_stars // (16 * n_blocks))


def blocks(survey: Survey, length: int, rows: slice | None = None) -> Iterator[Block]:
    """Yield the flux of stars in blocks of one shape, so that nothing compiles twice; their rows count from the first.

    By default they are all stars of the survey.
    """
    first, last = (0, survey.n_stars) if rows is None else (rows.start, rows.stop)
    slices = [slice(start, min(start + length, last)) for start in range(first, last, length)]

    def read(stars: slice) -> tuple[np.ndarray, np.ndarray]:
        return _padded(survey.flux[stars], length), _padded(survey.ivar[stars], length)

    for stars, arrays in zip(slices, _ahead(read, slices) if survey.is_lazy else map(read, slices), strict=True):
        yield Block(slice(stars.start - first, stars.stop - first), *to_device(arrays))


def _ahead(read: Callable[[slice], Any], slices: Sequence[slice]) -> Iterator[Any]:
    """Yield what is read of each slice; the next is read while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(read, slices[0])
        for rows in slices[1:]:
            done, waiting = waiting.result(), reader.submit(read, rows)
            yield done
        yield waiting.result()


def to_device(tree: Any) -> Any:
    """Return the arrays of a tree on the device, in single precision; not copied where JAX can use their memory."""
    return jax.device_put(jax.tree.map(lambda array: np.asarray(array, np.float32), tree))


def to_host(tree: Any) -> Any:
    """Return the arrays of a tree on the host, in double precision."""
    return jax.tree.map(lambda array: np.asarray(array, np.float64), tree)


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    if len(array) == length:
        return array
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])
