"""The file from which an interrupted fit goes on to the same result."""

import dataclasses
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lux.models.expectations import Coefficients, Cycle
from lux.models.parameters import Settings
from lux.store.files import atomic_write, refuse_another_file
from lux.survey import Survey

# Of which another value goes on with the same fit.
_FREE = ("max_cycles", "tolerance", "progress")
_FORMAT = "lux-checkpoint-3"
_KIND = _FORMAT.rstrip("0123456789")
_SECONDS = 120.0


class State(NamedTuple):
    """What the next cycle begins with, the mean weights of the pixels (D,), and what led there."""

    given: Coefficients
    weight: np.ndarray
    last: Cycle | None = None
    history: tuple[float, ...] = ()
    movement: float = np.inf


class Checkpoint:
    """The last state of one fit on the disk, written whole or not at all.

    Parameters
    ----------
    path : path
    settings, survey : Settings, Survey
        Of the fit.
    checksums : (N,) array
        Of the stars' spectra: with the labels they tell one survey from another.

    Raises
    ------
    FileNotFoundError
        If the file's folder does not exist.
    OSError
        If nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike, settings: Settings, survey: Survey, checksums: np.ndarray):
        self._path, self._written = Path(path).absolute(), time.monotonic()
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"cannot write a checkpoint: there is no folder {self._path.parent}; create it")
        try:
            tempfile.TemporaryFile(dir=self._path.parent).close()
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot write a checkpoint in {self._path.parent}: {error.strerror}; give a path where you may write",
            ) from error
        fixed = {name: value for name, value in dataclasses.asdict(settings).items() if name not in _FREE}
        digest = hashlib.sha256(survey.labels.tobytes() + survey.label_err.tobytes()).hexdigest()
        self._settings, self._labels = json.dumps(fixed, sort_keys=True), digest
        self._spectra = hashlib.sha256(survey.wavelength.tobytes() + checksums.tobytes()).hexdigest()

    def read(self) -> State | None:
        """Return the state of the file, if there is one.

        Raises
        ------
        ValueError
            If it is damaged, or of another fit.
        """
        if not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as archive:
                stored = dict(archive)
            state = _state(stored)
        except Exception as error:
            damaged = self._is_checkpoint()
            way_out = "remove it to begin anew" if damaged else "it holds something else: give another path"
            reason = f" ({error})" * damaged
            raise ValueError(f"{self._path} cannot be read as a checkpoint{reason}; {way_out}") from error
        for what, same in self._agreements(stored).items():
            if not same:
                raise ValueError(
                    f"the checkpoint {self._path} is of a fit with other {what}; give this one another path"
                )
        return state

    def _is_checkpoint(self) -> bool:
        """Return whether the file is a checkpoint, if perhaps a damaged one."""
        try:
            refuse_another_file(self._path, "checkpoint", b"PK", _says_so)
        except (FileExistsError, IsADirectoryError):
            return False
        return self._path.is_file()

    def write(self, state: State, *, now: bool = False) -> None:
        """Write the state if the last writing is long ago, or in any case.

        Raises
        ------
        OSError
            If the disk does not take it; what was written before stands.
        """
        if not now and time.monotonic() - self._written < _SECONDS:
            return
        try:
            with atomic_write(self._path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **self._identity(), **_arrays(state))
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot write the checkpoint {self._path}: {error.strerror or error}; what was written before stands: "
                "make room and call fit again",
            ) from error
        self._written = time.monotonic()

    def _identity(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "settings": self._settings,
            "labels": self._labels,
            "spectra": self._spectra,
        }

    def _agreements(self, stored: dict[str, Any]) -> dict[str, bool]:
        return {what: str(stored[what]) == value for what, value in self._identity().items() if what != "format"}


def _says_so(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as archive:
        return "format" in archive and str(archive["format"]).startswith(_KIND)


def _arrays(state: State) -> dict[str, Any]:
    assert state.last is not None
    arrays = {"weight": state.weight, "history": np.array(state.history), "movement": state.movement}
    for name, given in {"next": state.given, "last": state.last.given}.items():
        arrays |= dict(
            zip(_names(name), (*given.label_linear, *given.flux_linear, given.scatter_variance), strict=True)
        )
    return arrays | {"last_found_a": state.last.label_linear[0], "last_found_A": state.last.label_linear[1]}


def _names(prefix: str) -> list[str]:
    return [f"{prefix}_{name}" for name in ("a", "A", "b", "B", "scatter_variance")]


def _state(stored: dict[str, Any]) -> State:
    if str(stored["format"]) != _FORMAT:
        raise ValueError(f"format {stored['format']}")
    given, last = (
        Coefficients((a, A), (b, B), scatter)
        for a, A, b, B, scatter in ([stored[name] for name in _names(prefix)] for prefix in ("next", "last"))
    )
    history = tuple(stored["history"].tolist())
    cycle = Cycle(len(history), last, (stored["last_found_a"], stored["last_found_A"]))
    return State(given, stored["weight"], cycle, history, float(stored["movement"]))
