"""A fit on the workers of a cluster is the fit of one process, whoever is lost on the way."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from linear_truth import errors_apart, linear_survey

import lux
from lux import controls
from lux.models import cluster, parts

LATENTS = {"n_latents": 4, "max_cycles": 6, "tolerance": 1e-9, "block_size": 16, "progress": False}
pytestmark = pytest.mark.filterwarnings("ignore:Lux did not converge")
AS_FAST = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.comm.timeouts.connect": "1s",
    "distributed.scheduler.allowed-failures": 20,
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "survey.h5"
    linear_survey(n_stars=1100).save(path)
    return lux.open(path)


@pytest.fixture(scope="module")
def alone(opened):
    return lux.Lux(**LATENTS).fit(opened)


@pytest.fixture(scope="module")
def workers():
    """Two workers of one thread each."""
    with dask.config.set(AS_FAST), LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as started:
        yield started


@pytest.fixture
def client(workers):
    with Client(workers) as connected:
        connected.wait_for_workers(2)
        yield connected


def do_in_cycle(number, monkeypatch, action):
    """Do something in the middle of a cycle: when the tasks of all parts have just been sent."""
    whole, calls = cluster.ClusterParts._submit, []

    def submit(self, place, function, *arguments):
        future = whole(self, place, function, *arguments)
        if function is cluster._call and arguments[0].__name__ == "expectations" and place == len(self.rows) - 1:
            calls.append(place)
            if len(calls) == number:
                action()
        return future

    monkeypatch.setattr(cluster.ClusterParts, "_submit", submit)


def test_the_parts_of_a_survey_hold_each_star_once(opened):
    found = parts.cut(opened, 16)
    assert len(found) == 5
    assert [star for part in found for star in range(part.rows.start, part.rows.stop)] == list(range(1100))
    assert len({block.flux.shape for part in found for block in part.blocks()}) == 1


def test_sums_are_added_in_one_tree_however_many_there_are():
    def tree(terms):
        return parts.pairwise(lambda one, other: f"({one}{other})", terms)

    assert tree("abcde") == "(((ab)(cd))e)"
    assert tree("abcdefg") == "(((ab)(cd))((ef)g))"
    assert tree("a") == "a"


@pytest.mark.slow
def test_a_fit_on_two_workers_is_that_of_one_process(opened, alone, client):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        shared = lux.Lux(**LATENTS).fit(opened, client=client)
        predicted = shared.predict_labels(opened, client=client)
    assert errors_apart(predicted, alone.predict_labels(opened), opened) < 1e-4
    np.testing.assert_allclose(shared.label_scatter_, alone.label_scatter_, atol=1e-4)
    np.testing.assert_allclose(shared.history_, alone.history_, rtol=1e-6)
    in_memory = lux.Lux(**LATENTS).fit(lux.load(opened.flux.path))
    assert errors_apart(in_memory.predict_labels(opened), predicted, opened) < 1e-4


@pytest.mark.slow
def test_workers_read_a_survey_of_zarr_as_they_do_one_of_hdf5(opened, alone, client, tmp_path):
    lux.load(opened.flux.path).save(tmp_path / "survey.zarr")
    of_zarr = lux.open(tmp_path / "survey.zarr")
    shared = lux.Lux(**LATENTS).fit(of_zarr, client=client)
    np.testing.assert_allclose(shared.history_, alone.history_, rtol=1e-6)
    assert errors_apart(shared.predict_labels(of_zarr, client=client), alone.predict_labels(opened), opened) < 1e-4


@pytest.mark.slow
def test_what_the_page_shows_runs_as_it_stands_there(opened, workers, tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[1] / "book" / "large_surveys.md").read_text(encoding="utf-8")
    snippet = re.search(r"^```python\n(# Two workers.*?)^```", page, re.DOTALL | re.MULTILINE)[1]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("distributed.LocalCluster", lambda **_: contextlib.nullcontext(workers))
    train, test = opened.split(0.3)
    names = {"lux": lux, "train": train, "test": test}
    with dask.config.set({}):
        exec(compile(snippet, "book/large_surveys.md", "exec"), names)
    assert names["predicted"].labels.shape == test.labels.shape
    assert (tmp_path / "fit.npz").exists()


@pytest.mark.slow
def test_a_worker_killed_in_a_cycle_is_named_and_changes_nothing(opened, alone, client, monkeypatch):
    victim = next(iter(client.run(os.getpid).values()))
    do_in_cycle(3, monkeypatch, lambda: os.kill(victim, signal.SIGKILL))
    with pytest.warns(RuntimeWarning, match=r"lost tcp://\S+: others go on with its stars"):
        shared = lux.Lux(**LATENTS).fit(opened, client=client)
    assert errors_apart(shared.predict_labels(opened), alone.predict_labels(opened), opened) < 1e-4


def test_an_error_of_a_star_comes_back_from_the_worker(opened, client, tmp_path):
    path = tmp_path / "survey.h5"
    path.write_bytes(opened.flux.path.read_bytes())
    survey = lux.open(path)
    path.unlink()
    with pytest.raises(OSError, match=r"survey.h5"):
        lux.Lux(**LATENTS).fit(survey, client=client)


def test_a_survey_in_memory_and_a_cluster_without_workers_are_refused(opened, client, monkeypatch):
    with pytest.raises(ValueError, match=r"save the survey where all of them can read it and give the fit lux.open"):
        lux.Lux(**LATENTS).fit(lux.load(opened.flux.path), client=client)
    monkeypatch.setattr(type(client), "nthreads", lambda _: {})
    with pytest.raises(ConnectionError, match="the cluster has no worker"):
        lux.Lux(**LATENTS).fit(opened, client=client)


def test_what_is_no_client_and_a_client_that_is_closed_are_refused(opened, client, workers, monkeypatch):
    for other in ("tcp://127.0.0.1:8786", True, workers):
        with pytest.raises(ValueError, match=r"client is .*; expected a distributed.Client"):
            lux.Lux(**LATENTS).fit(opened, client=other)
    monkeypatch.setattr(type(client), "asynchronous", True)
    with pytest.raises(ValueError, match="the client is asynchronous"):
        lux.Lux(**LATENTS).fit(opened, client=client)
    monkeypatch.undo()
    client.close()
    with pytest.raises(ConnectionError, match="client of the cluster is closed; connect another"):
        lux.Lux(**LATENTS).fit(opened, client=client)


def where(cell, seed, star_seed, spectra=None):
    """Return the process that measured a world."""
    return {"seed": seed, "process": os.getpid()}


@pytest.mark.slow
def test_worlds_are_measured_by_the_workers(client, tmp_path):
    cell = controls.Cell("nothing", lux.World("shortcut"), 0.06, 12)
    worlds = controls.run([cell], 40, what=where, folder=tmp_path, client=client)
    assert [world["seed"] for world in worlds] == list(range(1040, 1052))
    assert {world["process"] for world in worlds} <= set(client.run(os.getpid).values())
    assert controls.run([cell], 40, what=where, folder=tmp_path) == worlds


def test_workers_that_give_memory_back_at_once_are_told_of(opened, client, monkeypatch):
    monkeypatch.setattr(type(client), "run", lambda *_: {"one": "65536"})
    with pytest.warns(RuntimeWarning, match="three times as slow") as told:
        cluster.ClusterParts(opened, 16, client)
    assert len(told) == 1
    monkeypatch.setattr(type(client), "run", lambda *_: {"one": str(1 << 32), "two": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        cluster.ClusterParts(opened, 16, client)


@pytest.mark.slow
def test_a_killed_scheduler_is_an_error_and_the_checkpoint_stands(opened, alone, tmp_path, monkeypatch):
    """The process of a scheduler is killed in a cycle: nothing waits for it for ever."""
    path, address = tmp_path / "fit.npz", tmp_path / "scheduler.json"
    monkeypatch.setattr("lux.models.checkpoints._SECONDS", 0)
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(address)]
    with dask.config.set(AS_FAST), subprocess.Popen(command, stderr=subprocess.DEVNULL) as scheduler:
        command = [sys.executable, "-m", "dask", "worker", "--scheduler-file", str(address)]
        command += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "5"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
            try:
                with Client(scheduler_file=str(address), timeout="30s") as connected:
                    connected.wait_for_workers(1, timeout=60)
                    do_in_cycle(4, monkeypatch, scheduler.kill)
                    with pytest.raises(ConnectionError, match="scheduler of the cluster was lost"):
                        lux.Lux(**LATENTS).fit(opened, client=connected, checkpoint=path)
            finally:
                scheduler.kill()
                worker.kill()
    assert np.load(path)["history"].size == 3
    again = lux.Lux(**LATENTS).fit(opened, checkpoint=path)
    assert errors_apart(again.predict_labels(opened), alone.predict_labels(opened), opened) < 1e-4
