"""Measuring an ensemble of worlds on several cores; what was measured before is read."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from pickle import PicklingError
from typing import Any, NamedTuple

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from lux.controls.ensemble import TAUS, Cell
from lux.controls.subject_source import is_users
from lux.controls.techniques import measure
from lux.simulation.empirical import EmpiricalSpectra
from lux.store.products import is_kept, kept_json, product_key, store_dir

_LOG = logging.getLogger(__name__)
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
# Seeds that share their stars.
SHARED = 5
_ENDED = (
    "a process that measured worlds ended without a word: the memory was full, or what it ran left Python (os._exit)"
)
# What the numbers of a world depend on besides its parameters.
_CODE = "from lux.controls.techniques import measure"
Measure = Callable[[Cell, int, int, EmpiricalSpectra | None], dict[str, Any]]


class Task(NamedTuple):
    """One world to measure."""

    cell: Cell
    seed: int
    star_seed: int


def run(
    ensemble: Sequence[Cell],
    first_seed: int,
    spectra: EmpiricalSpectra | None = None,
    *,
    what: Measure | None = None,
    code: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    folder: Path | None = None,
    progress: bool | None = None,
    client: Any = None,
    shared: int = SHARED,
) -> list[dict[str, Any]]:
    """Measure every world of an ensemble, on several cores; what was measured before is read, not measured again.

    Parameters
    ----------
    ensemble : sequence of Cell
    first_seed : int
        Cells of one tau have the seeds from ``first_seed + 1000 k`` on, k counting the values of tau, so that no two
        taus share anything but the stars.
    spectra : EmpiricalSpectra, optional
        Those of empirical cells.
    what : function of a cell, a seed, a seed of the stars and `spectra`, optional
        What is measured; by default every technique.
    code : str, optional
        Import of what measures, by whose definitions the numbers are kept (`lux.store.products.product_key`); needed
        where `what` is no function at the top of a module.
    parameters : mapping, optional
        Of what is measured, for their key.
    workers : int
        Processes; 1 runs in this one. By default ``$LUX_WORKERS``, else as many as there are cores.
    folder : path, optional
        Where each world's numbers are kept, by the definitions and versions that they depend on; in
        `lux.store.products.store_dir` by default.
    progress : bool, optional
        Whether to show how far it is; by default on a terminal.
    client : distributed.Client, optional
        Of a Dask cluster whose workers measure; `folder` must be one that all of them can write to.
    shared : int
        So many surveys of a cell, one after the other, have the same stars.

    Returns
    -------
    list of dict
        What it returns, in the order of cells and seeds.

    Raises
    ------
    ValueError
        If there are empirical cells and no `spectra`, or `workers` are no number above zero.
    TypeError
        If what measures cannot be sent to other processes.
    RuntimeError
        If a world cannot be measured; it is named, and what was measured before is kept.
    """
    if code is None:
        code = _CODE if what is None else f"from {what.__module__} import {what.__name__}"
    workers = _number_of_workers(workers) if client is None else sum(client.nthreads().values())
    # What is measured may go to another folder.
    folder = Path(store_dir() / "worlds" if folder is None else folder).absolute() / product_key(code, parameters or {})
    folder.mkdir(parents=True, exist_ok=True)
    empirical = next((cell.key for cell in ensemble if cell.generator == "empirical"), None)
    if empirical and spectra is None:
        raise ValueError(f"cell {empirical!r} needs spectra: fit_empirical(load('apogee-dr10'))")
    tasks = [task for cell in ensemble for task in tasks_of(cell, first_seed, shared)]
    paths = {task: folder / f"{task.cell.key}-{_digest(task, spectra)}-{task.seed}.json" for task in tasks}
    todo = [task for task in tasks if _numbers(paths[task]) is None]
    _LOG.info("%d worlds are to be measured, of %d; their numbers are kept in %s", len(todo), len(tasks), folder)
    batches = _batches(todo, workers)
    hidden = not (sys.stderr.isatty() if progress is None else progress)
    n_jobs = max(1, min(workers, len(batches)))
    own = {"inner_max_num_threads": 1, "initializer": _use_one_thread, "idle_worker_timeout": 10}
    with (
        _terminated_by_an_exception(),
        parallel_config("loky", **own) if client is None else parallel_config("dask", client=client),
        tqdm(total=len(todo), desc="controls", unit="world", disable=hidden) as bar,
    ):
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        try:
            listed = ([(task, paths[task]) for task in batch] for batch in batches)
            for count in parallel(delayed(_measure_batch)(what or measure, each, spectra) for each in listed):
                bar.update(count)
        except PicklingError as error:
            # The cause is the text of a traceback in quotation marks.
            reason = (str(error.__cause__ or error).strip('"\n') or "PicklingError").splitlines()[-1]
            raise TypeError(
                f"what measures a world cannot be sent to other processes ({reason}): make what it holds where it is "
                "used, or measure with workers=1"
            ) from error
        except (RuntimeError, KeyboardInterrupt) as error:
            kept = sum(map(is_kept, paths.values()))
            told = _ENDED if isinstance(error, TerminatedWorkerError) else str(error) or "interrupted"
            told += f"; {kept} of {len(tasks)} worlds are measured, and the next run goes on"
            raise (KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else RuntimeError)(told) from error
    return [json.loads(paths[task].read_text(encoding="utf-8")) for task in tasks]


def _number_of_workers(given: int | None) -> int:
    """Return how many processes measure; ValueError if what is given, or what the environment says, is no number."""
    name, said = ("LUX_WORKERS", os.environ.get("LUX_WORKERS")) if given is None else ("workers", str(given))
    if not said:
        return os.cpu_count() or 1
    if not said.strip().isdecimal() or int(said) < 1:
        raise ValueError(f"{name} must be a whole number above zero, got {said}")
    return int(said)


def _numbers(path: Path) -> dict[str, Any] | None:
    """Return the numbers of a world; None if they are not there, or not whole, as after a loss of power."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@contextlib.contextmanager
def _terminated_by_an_exception() -> Iterator[None]:
    """Let SIGTERM raise SystemExit here, at which joblib ends its workers; else they would finish their batches."""
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def terminated(number: int, frame: Any) -> None:
        # The status that a shell gives a process which a signal ended.
        raise SystemExit(128 + number)

    if mine:
        signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def tasks_of(cell: Cell, first_seed: int, shared: int = SHARED) -> Iterator[Task]:
    """Yield the worlds of a cell, of which so many have the same stars."""
    n_seeds, cell = cell.seeds, dataclasses.replace(cell, seeds=1)
    for number in range(n_seeds):
        yield Task(cell, first_seed + 1000 * TAUS.index(cell.tau) + number, first_seed + number // shared)


def _batches(tasks: Sequence[Task], workers: int) -> list[list[Task]]:
    """Return tasks in batches, each for one process, those of most stars first, so that no process is left with much.

    Worlds of the same stars, as many, go to one process, seed by seed: their noise-free spectra and noise are computed
    once. Where these are more than one process's share of all, only worlds of one seed stay together.
    """
    stars: collections.Counter[tuple[int, int]] = collections.Counter()
    for task in tasks:
        stars[task.star_seed, task.cell.n_stars] += task.cell.n_stars
    batches = collections.defaultdict(list)
    for task in sorted(tasks, key=lambda task: (task.star_seed, task.seed, task.cell.key)):
        group = (task.star_seed, task.cell.n_stars)
        batches[group, task.seed if stars[group] * workers > stars.total() else None].append(task)
    return sorted(batches.values(), key=lambda batch: -sum(task.cell.n_stars for task in batch))


def _use_one_thread() -> None:
    """Let JAX use one thread in this process, so that workers do not stand in each other's way.

    XLA reads its flags when it first computes; the thread pools that joblib limits are those of BLAS and OpenMP.
    Compiled programs are kept by the flags as they are written: one that is there is not repeated.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*flags, *{_ONE_THREAD}.difference(flags)])


def _measure_batch(what: Measure, batch: list[tuple[Task, Path]], spectra: EmpiricalSpectra | None) -> int:
    """Measure worlds, each into its file; return how many."""
    for task, path in batch:
        if path.exists() and _numbers(path) is None:
            path.unlink(missing_ok=True)
        try:
            kept_json(path, functools.partial(what, *task, spectra if _is_empirical(task) else None))
        except Exception as error:
            raise RuntimeError(
                f"world {task.cell.key!r} of seed {task.seed} cannot be measured: {_told(error)}"
            ) from error
    return len(batch)


def _told(error: Exception) -> str:
    """Return what an error says, with its type and the last line of a user's, without which "'eu_fe'" says little."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}".removesuffix(": ") + where


def _is_empirical(task: Task) -> bool:
    return task.cell.generator == "empirical"


def _digest(task: Task, spectra: EmpiricalSpectra | None) -> str:
    """Return a name for a world and, where they matter, the spectra that it is made of."""
    source = spectra.fingerprint if spectra and _is_empirical(task) else ""
    return hashlib.sha256(f"{task!r}{source}".encode()).hexdigest()[:12]
