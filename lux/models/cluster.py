"""The parts of a survey on the workers of a Dask cluster, which read the survey's file themselves."""

import itertools
import operator
import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from lux.jax_settings import one_blas_thread
from lux.models.parts import TURN, LocalParts, Part, PartFunction, Parts, add, cut, pairwise
from lux.store.user_warnings import warn_user
from lux.survey import Survey

# Dask sets it by default: then each array is given back to the system and fetched again, page by page.
_TRIMMING = "MALLOC_TRIM_THRESHOLD_"
# Bytes; a block's arrays are smaller.
_LEAST_TRIMMED = 1 << 24
_TRIMMED = (
    f"the workers run with {_TRIMMING} set, as Dask starts them, and are about three times as slow for it; before the "
    f"workers start: dask.config.set({{'distributed.nanny.pre-spawn-environ.{_TRIMMING}': None}})"
)


def spread(survey: Survey, block_size: int, client: Any = None, progress: bool | None = False) -> Parts:
    """Return the parts of a survey: of this process, or of the workers of a client's cluster."""
    if client is None:
        return LocalParts(survey, block_size, progress)
    return ClusterParts(survey, block_size, client)


class ClusterParts:
    """The parts of a survey, each on one worker of a cluster.

    A call sends its arguments out once and adds the sums in a tree. Every task is a pure function of what the scheduler
    knows: those of a worker that is lost are done again by others.

    Parameters
    ----------
    survey : Survey
        Opened by `lux.open`, at a path that is the same file for every worker.
    block_size : int
    client : distributed.Client

    Raises
    ------
    ValueError
        If the survey is in memory, or the client is none, or an asynchronous one.
    ConnectionError
        If the cluster has no worker, or its scheduler is lost.
    """

    def __init__(self, survey: Survey, block_size: int, client: Any):
        if not survey.is_lazy:
            raise ValueError(
                "a cluster's workers read the spectra themselves: save the survey where all of them can read it and "
                "give the fit lux.open(path), or parts of that"
            )
        _require_client(client)
        self._client, self._name, self._calls = client, f"lux-{uuid.uuid4().hex[:12]}", itertools.count()
        parts = cut(survey, block_size)
        self.rows = [part.rows for part in parts]
        self._workers = self._present()
        given = client.run(os.environ.get, _TRIMMING, "").values()
        if any(value.isdigit() and int(value) < _LEAST_TRIMMED for value in given):
            warn_user(_TRIMMED, RuntimeWarning)
        self._parts = [self._submit(number, _same, part) for number, part in enumerate(parts)]

    def run(self, function: PartFunction, *arguments: Any, each: Sequence[Any] | None = None) -> tuple[Any, list[Any]]:
        """Call a function of every part; see `lux.models.parts.Parts`."""
        self._notice_losses()
        try:
            return tuple(self._client.gather(self._futures(function, arguments, each)))
        except (CancelledError, OSError, RuntimeError) as error:
            if self._client.status == "running" and not isinstance(error, CancelledError):
                raise
            raise ConnectionError(
                f"the scheduler of the cluster was lost ({error}); start a cluster and call again: with a checkpoint a "
                "fit goes on from there"
            ) from error

    def _futures(
        self, function: PartFunction, arguments: tuple[Any, ...], each: Sequence[Any] | None
    ) -> tuple[Any, list[Any]]:
        """Send a call out; return futures of the sums in total and of the other results by part."""
        shared = self._submit(None, _same, arguments)
        others: list[Any] = []

        def sums() -> Iterator[Any]:
            for number, part in enumerate(self._parts):
                own = () if each is None else (each[number],)
                result = self._submit(number, _call, function, part, own, shared)
                others.append(self._submit(number, operator.itemgetter(1), result))
                yield self._submit(number, operator.itemgetter(0), result)

        return pairwise(lambda one, other: self._submit(None, add, one, other), sums()), others

    def _submit(self, number: int | None, function: Any, *arguments: Any) -> Any:
        """Return the future of a task, at the worker of a part if it can be had."""
        key = f"{self._name}-{next(self._calls)}"
        place: dict[str, Any] = {}
        if number is not None:
            # Neighbors in the tree of sums share a worker.
            address = self._workers[number * len(self._workers) // len(self.rows)]
            place = {"workers": [address], "allow_other_workers": True}
        return self._client.submit(function, *arguments, key=key, pure=False, **place)

    def _present(self) -> list[str]:
        """Return the addresses of the workers, in a fixed order."""
        if self._client.status != "running":
            raise ConnectionError(f"the client of the cluster is {self._client.status}; connect another")
        if not (workers := sorted(self._client.nthreads())):
            raise ConnectionError("the cluster has no worker; wait for one with client.wait_for_workers(1)")
        return workers

    def _notice_losses(self) -> None:
        """Say which workers are gone, and go on with those that are there now."""
        before, self._workers = self._workers, self._present()
        if lost := sorted(set(before) - set(self._workers)):
            warn_user(f"lost {', '.join(lost)}: others go on with its stars", RuntimeWarning)


def _require_client(client: Any) -> None:
    if not all(hasattr(client, name) for name in ("submit", "gather", "nthreads")):
        raise ValueError(f"client is {client!r}; expected a distributed.Client of the cluster, Client(cluster)")
    if client.asynchronous:
        raise ValueError("the client is asynchronous, and a fit waits for its workers; connect one that is not")


def _same(value: Any) -> Any:
    """Return the value: as a task, so that a worker that is lost with it does not take it along."""
    return value


def _call(function: PartFunction, part: Part, own: tuple[Any, ...], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    with TURN, one_blas_thread():
        return function(part, *own, *arguments)
