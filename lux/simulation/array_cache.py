"""Arrays that were computed before, kept up to a number of bytes."""

import collections
import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

_Arrays = tuple[np.ndarray, ...]


class ArrayCache:
    """Results of functions that return arrays; those that were used least recently make room for new ones.

    Parameters
    ----------
    max_bytes : int
        Size of all arrays together. A result that is larger than that is returned and not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._results: collections.OrderedDict[bytes, _Arrays] = collections.OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Size of what is kept."""
        return sum(array.nbytes for arrays in self._results.values() for array in arrays)

    def get(self, name: str, arguments: tuple[ArrayLike, ...], compute: Callable[[], _Arrays]) -> _Arrays:
        """Return what `compute` returned for a name and arguments, calling it if needed; the arrays are read-only."""
        key = hashlib.blake2b(b"".join([name.encode(), *(np.asarray(item).tobytes() for item in arguments)])).digest()
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        arrays = compute()
        for array in arrays:
            array.setflags(write=False)
        size = sum(array.nbytes for array in arrays)
        while self._results and self.n_bytes + size > self.max_bytes:
            self._results.popitem(last=False)
        if size <= self.max_bytes:
            self._results[key] = arrays
        return arrays

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
