"""A survey in parts: runs of stars over each of which a fit takes sums, here or on a cluster's workers.

Here each of several devices (graphics cards, say) has one part at a time.

Inside a part the sums are added in single precision, those of parts in double and in a fixed order: what comes out
depends neither on who took them nor on who was done first.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import jax
import numpy as np
from tqdm import tqdm

from lux.models.blocks import Block, block_length, blocks
from lux.survey import Survey

# A function of a part and arguments that returns sums over its stars, and values of each star (or None).
PartFunction = Callable[..., tuple[Any, Any]]
# Blocks that a part has.
_BLOCKS = 16
# Programs that run at once on the processors of one process may wait for each other for ever: threads take turns.
TURN = threading.Lock()


class Part:
    """Consecutive stars of a survey.

    Parameters
    ----------
    survey : Survey
    rows : slice
        Of the survey.
    length : int
        Stars of a block.

    Attributes
    ----------
    kept : dict
        What functions of the part want to find again at the next call. It stays behind when the part is sent to another
        process, so that all of it must be such that it can be made anew.
    """

    def __init__(self, survey: Survey, rows: slice, length: int):
        self._survey, self.rows, self.length = survey, rows, length
        self.labels, self.label_err = survey.labels[rows], survey.label_err[rows]
        self.kept: dict[str, Any] = {}

    @property
    def n_stars(self) -> int:
        """Number of its stars."""
        return len(self.labels)

    def blocks(self) -> Iterator[Block]:
        """Yield the flux in blocks, whose rows count from the part's first star."""
        return blocks(self._survey, self.length, self.rows)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: of the survey its own stars, and nothing of what was kept."""
        survey = self._survey[np.arange(self.rows.start, self.rows.stop)]
        bare = survey.replace(catalogue={}, provenance={}, truth=None)
        return {**vars(self), "_survey": bare, "rows": slice(0, self.n_stars), "kept": {}}


class Parts(Protocol):
    """All parts of a survey, wherever they are."""

    @property
    def rows(self) -> Sequence[slice]:
        """The stars of each part."""

    def run(self, function: PartFunction, *arguments: Any, each: Sequence[Any] | None = None) -> tuple[Any, list[Any]]:
        """Call ``function(part, *arguments)`` of every part; return the sums in total and the other results by part.

        With `each`, the item of a part is its second argument.
        """


def cut(survey: Survey, block_size: int) -> list[Part]:
    """Return the parts of a survey."""
    length = block_length(survey.n_stars, block_size)
    return [Part(survey, rows, length) for rows in survey.block_rows(_BLOCKS * length)]


class LocalParts:
    """The parts of a survey, handled by this process: one at a time on each device that JAX finds.

    Inside ``with jax.default_device(...)`` the one that it names is used alone.

    Parameters
    ----------
    survey : Survey
    block_size : int
    progress : bool
        Whether to show how many stars a call has been through, where there are several parts.
    """

    def __init__(self, survey: Survey, block_size: int, progress: bool | None = False):
        self._parts = cut(survey, block_size)
        self.rows = [part.rows for part in self._parts]
        self._hidden = len(self.rows) == 1 or (None if progress is None else not progress)
        chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
        self._devices = jax.local_devices()[: len(self.rows)] if chosen is None else [chosen]

    def run(self, function: PartFunction, *arguments: Any, each: Sequence[Any] | None = None) -> tuple[Any, list[Any]]:
        """Call a function of every part; see `Parts`."""
        others: list[Any] = []

        def call(number: int) -> tuple[Any, Any]:
            own = () if each is None else (each[number],)
            return function(self._parts[number], *own, *arguments)

        def sums() -> Iterator[Any]:
            with tqdm(total=self.rows[-1].stop, unit="star", leave=False, disable=self._hidden) as bar:
                for part, (total, other) in zip(self._parts, self._in_order(call), strict=True):
                    others.append(other)
                    bar.update(part.n_stars)
                    yield total

        return pairwise(add, sums()), others

    def _in_order(self, call: Callable[[int], Any]) -> Iterator[Any]:
        """Yield what a call returns of each part by its number; no more run at once than there are devices."""
        if len(self._devices) == 1:
            yield from map(call, range(len(self.rows)))
            return
        with contextlib.ExitStack() as stack:
            threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self._devices]
            waiting: deque[Future[Any]] = deque()
            for number in range(len(self.rows)):
                if len(waiting) == len(threads):
                    yield waiting.popleft().result()
                place = number % len(threads)
                waiting.append(threads[place].submit(_on_device, self._devices[place], call, number))
            while waiting:
                yield waiting.popleft().result()


def _on_device(device: jax.Device, call: Callable[[int], Any], number: int) -> Any:
    with TURN if device.platform == "cpu" else contextlib.nullcontext(), jax.default_device(device):
        return call(number)


def add(one: Any, other: Any) -> Any:
    """Return the sum of two trees of arrays."""
    return jax.tree.map(np.add, one, other)


def pairwise(combine: Callable[[Any, Any], Any], terms: Iterable[Any]) -> Any:
    """Return all terms combined, two by two: the tree is that of their number, and few are held at a time."""
    waiting: list[tuple[int, Any]] = []
    for term in terms:
        level = 0
        while waiting and waiting[-1][0] == level:
            term, level = combine(waiting.pop()[1], term), level + 1
        waiting.append((level, term))
    _, total = waiting.pop()
    while waiting:
        total = combine(waiting.pop()[1], total)
    return total


def by_rows(parts: Parts, array: np.ndarray) -> list[np.ndarray]:
    """Return an array with a row for each star, cut as the parts are."""
    return [array[rows] for rows in parts.rows]
