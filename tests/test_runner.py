"""Ensembles of worlds are run whole, in any order, and never twice."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from lux import controls
from lux.controls import runner
from lux.simulation.worlds import World

SIGNAL = controls.Cell("depth-0.03-tau-0.06", World("signal", depth=0.03), 0.06, 1)
NOTHING = controls.Cell("depth-0-tau-0.06", World("shortcut"), 0.06, 1)
EXPECTED = [{"cell": cell.key, "seed": 1040, "star_seed": 40} for cell in (NOTHING, SIGNAL)]


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurement by one that takes no time; return the keys of the cells that it was called for."""
    keys = []

    def measure(cell, seed, star_seed, spectra=None):
        keys.append(cell.key)
        return {"cell": cell.key, "seed": seed, "star_seed": star_seed}

    monkeypatch.setattr(runner, "measure", measure)
    return keys


def run(folder, *cells, workers=1):
    return controls.run(cells, 40, workers=workers, folder=folder)


def test_worlds_come_in_the_order_of_the_cells_with_their_seeds(measured, tmp_path):
    assert run(tmp_path, SIGNAL, NOTHING) == EXPECTED[::-1]


@pytest.mark.parametrize(("shared", "stars"), [(1, [40, 41, 42]), (2, [40, 40, 41])])
def test_as_many_surveys_as_are_said_have_the_same_stars(measured, tmp_path, shared, stars):
    cell = dataclasses.replace(SIGNAL, seeds=3)
    found = controls.run([cell], 40, workers=1, folder=tmp_path, shared=shared)
    assert [world["star_seed"] for world in found] == stars


def test_a_second_run_reads_what_the_first_measured(measured, tmp_path):
    assert run(tmp_path, NOTHING, SIGNAL) == run(tmp_path, NOTHING, SIGNAL) == EXPECTED
    assert len(measured) == 2


def test_a_killed_run_goes_on_where_it_stopped(measured, tmp_path):
    run(tmp_path, NOTHING, SIGNAL)
    next(tmp_path.rglob("depth-0.03*.json")).unlink()
    assert run(tmp_path, NOTHING, SIGNAL) == EXPECTED
    assert measured[2:] == [SIGNAL.key]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("text", ["", '{"cell": "dep', "[]", "\0\0\0\0"])
def test_numbers_that_are_not_whole_are_measured_again(measured, tmp_path, text):
    run(tmp_path, NOTHING, SIGNAL)
    next(tmp_path.rglob("depth-0.03*.json")).write_text(text)
    assert run(tmp_path, NOTHING, SIGNAL) == EXPECTED
    assert measured[2:] == [SIGNAL.key]


def test_a_number_of_processes_that_is_none_is_refused(measured, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="workers must be a whole number above zero, got -3"):
        run(tmp_path, NOTHING, workers=-3)
    monkeypatch.setenv("LUX_WORKERS", "many")
    with pytest.raises(ValueError, match="LUX_WORKERS must be a whole number above zero, got many"):
        run(tmp_path, NOTHING, workers=None)


def test_a_failing_world_is_named_and_those_before_it_are_kept(measured, tmp_path, monkeypatch):
    working = runner.measure

    def measure(cell, seed, star_seed, spectra=None):
        if cell == SIGNAL:
            raise ValueError("no such line")
        return working(cell, seed, star_seed, spectra)

    monkeypatch.setattr(runner, "measure", measure)
    with pytest.raises(RuntimeError, match=r"world 'depth-0.03-tau-0.06' of seed 1040 cannot be .* no such line"):
        run(tmp_path, NOTHING, SIGNAL)
    assert [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")] == EXPECTED[:1]


@pytest.mark.slow
def test_worker_processes_name_a_failing_world(tmp_path):
    off = controls.Cell("off", World("signal", depth=0.03, wavelengths=(15000.0,)), 0.06, 2)
    with pytest.raises(RuntimeError, match=r"world 'off' of seed 104\d cannot be measured"):
        run(tmp_path, off, workers=2)


def leaves_python(cell, seed, star_seed, spectra=None):
    os._exit(1)


@pytest.mark.slow
def test_a_process_that_ends_without_a_word_and_what_cannot_be_sent_are_told(tmp_path):
    two = [dataclasses.replace(SIGNAL, seeds=2)]
    with pytest.raises(RuntimeError, match=r"ended without a word: .* \(os._exit\); 0 of 2 worlds are measured"):
        controls.run(two, 40, what=leaves_python, code="import os", workers=2, folder=tmp_path)
    locked = functools.partial(leaves_python, lock=threading.Lock())
    with pytest.raises(
        TypeError, match=r"cannot be sent to other processes .TypeError: .*lock.*measure with workers=1"
    ):
        controls.run(two, 40, what=locked, code="import os", workers=2, folder=tmp_path)


def test_another_source_is_another_run(measured, tmp_path, monkeypatch):
    run(tmp_path, NOTHING)
    monkeypatch.setattr(runner, "product_key", lambda *_: "other")
    assert run(tmp_path, NOTHING) == EXPECTED[:1]
    assert measured == [NOTHING.key] * 2
    assert json.loads(next((tmp_path / "other").iterdir()).read_text()) == EXPECTED[0]


def test_empirical_worlds_need_spectra_and_are_known_by_them(measured, tmp_path):
    empirical = controls.sized_cells(1, (300,), ("empirical",), depths=(0.01,))
    with pytest.raises(ValueError, match=r"needs spectra: fit_empirical"):
        run(tmp_path, *empirical)
    for name in ("one", "two", "one"):
        controls.run(empirical, 40, types.SimpleNamespace(fingerprint=name), workers=1, folder=tmp_path)
    assert len(measured) == 2


_ENDLESS = """
import os, sys, time
from pathlib import Path
from lux import controls
from lux.simulation.worlds import World

def measure(cell, seed, star_seed, spectra=None):
    (Path(sys.argv[1]) / f"{os.getpid()}.pid").touch()
    time.sleep(300)

cells = [controls.Cell(f"depth-0-tau-{tau}", World("shortcut"), tau, 1) for tau in (0.03, 0.06)]
controls.run(cells, 40, what=measure, code="import os", workers=2, folder=Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_the_workers_of_a_run_that_is_terminated_end_with_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(tmp_path)], env=environment)
    try:
        assert _within(60, lambda: len(list(tmp_path.glob("*.pid"))) == 2 or run.poll() is not None)
        workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 128 + signal.SIGTERM
        assert len(workers) == 2
        assert _within(60, lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    finally:
        run.kill()


def _within(seconds, happened):
    """Wait for something to happen; return whether it did, in time."""
    end = time.monotonic() + seconds
    while not (done := happened()) and time.monotonic() < end:
        time.sleep(0.05)
    return done


def test_surveys_of_the_same_stars_share_a_process_and_the_largest_begin():
    cells = [
        controls.Cell(f"{size} {depth}", World("signal", depth=depth), 0.06, 4, size)
        for size in (500, 8000)
        for depth in (0.01, 0.1)
    ]
    tasks = [task for cell in cells for task in runner.tasks_of(cell, 0, shared=2)]
    batches = runner._batches(tasks, 2)
    assert [{(task.star_seed, task.cell.n_stars) for task in batch} for batch in batches] == [
        {(0, 8000)},
        {(1, 8000)},
        {(0, 500)},
        {(1, 500)},
    ]
    assert sorted(map(str, (task for batch in batches for task in batch))) == sorted(map(str, tasks))
    # What is more than a fifth of all is divided among five processes, seed by seed.
    seeds = [
        (task.cell.n_stars, sorted({task.seed for task in batch}))
        for batch in runner._batches(tasks, 5)
        for task in batch[:1]
    ]
    assert sorted(seeds) == [(500, [1000, 1001]), (500, [1002, 1003]), *((8000, [1000 + seed]) for seed in range(4))]


@pytest.mark.parametrize("flags", ["", "--xla_dump_to=x", "--xla_cpu_multi_thread_eigen=false --xla_dump_to=x"])
def test_programs_of_workers_are_kept_under_the_flags_of_the_process_that_began_them(monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    runner._use_one_thread()
    assert sorted(os.environ["XLA_FLAGS"].split()) == sorted({*flags.split(), "--xla_cpu_multi_thread_eigen=false"})
