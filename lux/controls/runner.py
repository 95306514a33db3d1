"""Measuring an ensemble of worlds on several cores; what was measured before is read."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib import metadata
from pathlib import Path

from lux.controls.ensemble import TAUS, Cell
from lux.controls.techniques import measure
from lux.dependencies import Package, data_files_digest
from lux.storage import atomic_write, cache_dir

# Seeds that share their stars, and the seconds between two lines of progress.
SHARED, REPORT_EVERY = 5, 10.0


_PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "scikit-learn")


def run(
    ensemble: Sequence[Cell],
    first_seed: int,
    *,
    workers: int = 2,
    folder: Path | None = None,
    progress: bool | None = None,
) -> list[dict]:
    """Measure every world of an ensemble, on several cores; what was measured before is read, not measured again.

    Parameters
    ----------
    ensemble : sequence of Cell
    first_seed : int
        Cells of one tau have the seeds from ``first_seed + 1000 k`` on, k counting the values of tau, so that no two
        taus share anything but the stars.
    workers : int
        Processes; 1 runs in this one.
    folder : path, optional
        Where each world's numbers are kept, by the contents of `lux` and the versions it runs with; in
        `lux.storage.cache_dir` by default.
    progress : bool, optional
        Whether to print how far it is; by default on a terminal.

    Returns
    -------
    list of dict
        What `measure` returns, in the order of cells and seeds.
    """
    folder = Path(cache_dir() / "controls" if folder is None else folder) / _fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [task for cell in ensemble for task in _tasks(cell, first_seed)]
    paths = {task: folder / f"{task[0].key}-{_digest(repr(task))[:12]}-{task[1]}.json" for task in tasks}
    todo = [task for task in tasks if not paths[task].exists()]
    # Worlds of the same stars go to one process, seed by seed: their noise-free spectra and noise are computed once.
    groups = {star_seed for _, _, star_seed in todo}
    batches = collections.defaultdict(list)
    for task in sorted(todo, key=lambda task: (task[2], task[1], task[0].key)):
        batches[task[2] if len(groups) >= workers else task[1]].append((*task, paths[task]))
    shown = sys.stderr.isatty() if progress is None else progress
    _work_off(list(batches.values()), workers, _Progress([paths[task] for task in todo], shown))
    return [json.loads(paths[task].read_text()) for task in tasks]


def _tasks(cell: Cell, first_seed: int) -> Iterator[tuple[Cell, int, int]]:
    """Yield a cell with the seed and the star seed of each of its worlds."""
    n_seeds, cell = cell.seeds, dataclasses.replace(cell, seeds=1)
    for number in range(n_seeds):
        yield cell, first_seed + 1000 * TAUS.index(cell.tau) + number, first_seed + number // SHARED


def _work_off(batches: list[list], workers: int, progress: "_Progress") -> None:
    """Measure batches of cells, seeds, star seeds and paths."""
    if workers < 2 or len(batches) < 2:
        for batch in batches:
            _measure_batch(batch)
            progress.show()
        return
    with _one_thread_each(), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(_measure_batch, batch) for batch in batches}
        try:
            while pending:
                done, pending = wait(pending, timeout=REPORT_EVERY, return_when=FIRST_COMPLETED)
                for job in done:
                    job.result()
                progress.show()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _measure_batch(batch: list) -> None:
    for *task, path in batch:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(measure(*task)))


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile use one thread each, so that they do not stand in each other's way."""
    wanted = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
              "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"}  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Progress:
    """A line on standard error that says how many worlds are done and how long the rest takes."""

    def __init__(self, paths: list[Path], shown: bool):
        self.paths, self.shown, self.start = paths, shown and len(paths) > 0, time.monotonic()

    def show(self) -> None:
        if self.shown:
            total, done = len(self.paths), sum(path.exists() for path in self.paths)
            left = (time.monotonic() - self.start) * (total / max(1, done) - 1)
            print(f"controls: {done} of {total} worlds, {left:.0f} s left", file=sys.stderr, flush=True)


@functools.cache
def _fingerprint() -> str:
    """Return what results depend on besides their parameters: definitions, tables, and the versions of packages."""
    folder = Path(__file__).parents[1]
    found = Package(folder).dependencies("from lux.controls.techniques import measure")
    parts = sorted(f"{module}.{name} {digest}" for (module, name), digest in found.items())
    parts += [data_files_digest(folder), *(f"{name} {metadata.version(name)}" for name in _PACKAGES)]
    return _digest("\n".join(parts))[:16]


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
