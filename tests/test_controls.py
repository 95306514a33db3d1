"""Ensembles of worlds are run whole, in any order, and never twice."""

import json
from pathlib import Path

import numpy as np
import pytest

from lux import controls
from lux.controls import runner
from lux.simulation.worlds import World

SIGNAL = controls.Cell("depth-0.03-tau-0.06", World("signal", depth=0.03), 0.06, 1)
NOTHING = controls.Cell("depth-0-tau-0.06", World("shortcut"), 0.06, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("controls")


@pytest.fixture(scope="module")
def worlds(folder):
    return controls.run([NOTHING, SIGNAL], 40, workers=1, folder=folder)


def test_every_technique_gives_one_number(worlds):
    for world in worlds:
        assert set(controls.TECHNIQUES) < set(world)
        assert all(np.isfinite(world[key]) for key in controls.TECHNIQUES)


def test_strong_lines_raise_what_looks_at_them_and_the_verdict(worlds):
    nothing, signal = worlds
    for key in ("matched_filter", "jacobian", "ablation", "response", "audit_lines"):
        assert signal[key] > nothing[key] + (0.5 if key == "response" else 3)
    assert (nothing["verdict"], signal["verdict"]) == ("guessed", "known")
    assert nothing["bound"] == 0 < signal["bound"]


def test_a_second_run_reads_what_the_first_measured(worlds, folder, monkeypatch):
    monkeypatch.setattr(runner, "measure", None)
    assert controls.run([NOTHING, SIGNAL], 40, workers=1, folder=folder) == worlds


def test_a_killed_run_goes_on_where_it_stopped(worlds, folder, monkeypatch):
    (path,) = folder.rglob("depth-0.03*.json")
    path.unlink()
    asked = []

    def measure(cell, seed, star_seed):
        asked.append((cell.key, seed, star_seed))
        return worlds[1]

    monkeypatch.setattr(runner, "measure", measure)
    assert controls.run([NOTHING, SIGNAL], 40, workers=1, folder=folder) == worlds
    assert asked == [("depth-0.03-tau-0.06", 1040, 40)]
    assert not list(folder.rglob("*.part"))


def test_another_source_is_another_run(folder, monkeypatch):
    monkeypatch.setattr(runner, "_fingerprint", lambda: "other")
    monkeypatch.setattr(runner, "measure", lambda cell, seed, star_seed: {"cell": cell.key, "seed": seed})
    fresh = controls.run([NOTHING], 40, workers=1, folder=folder)
    assert fresh == [{"cell": NOTHING.key, "seed": 1040}]
    assert json.loads(next((folder / "other").iterdir()).read_text()) == fresh[0]


def test_what_counts_as_source_is_what_the_controls_use_wherever_it_stands(monkeypatch):
    before = runner._fingerprint()
    found = runner.Package(Path(runner.__file__).parents[1]).dependencies("from lux.controls.techniques import measure")
    modules = {module for module, _ in found}
    assert {"lux.auditing.verdict", "lux.models.em", "lux.simulation.worlds", "lux.survey"} <= modules
    assert not modules & {"lux.datasets.apogee_dr10", "lux.paper.record"}
    monkeypatch.setattr(runner.Package, "dependencies", lambda *_: {**found, ("lux.models.em", "new"): "changed"})
    assert runner._fingerprint.__wrapped__() != before


def test_the_ensemble_has_the_asked_number_of_worlds_without_lines():
    ensemble = controls.cells(50)
    assert sum(cell.seeds for cell in ensemble if cell.world == World("shortcut")) == 200
    assert all(cell.seeds >= 50 for cell in ensemble)
    assert len({cell.key for cell in ensemble}) == len(ensemble)
    keys = {controls.depth_key(depth, tau) for depth in controls.DEPTHS for tau in controls.TAUS}
    keys |= {controls.beside_key(name, depth) for name in controls.BESIDES for depth in (0, controls.DEPTH_BESIDE)}
    assert keys | {"five-sigma"} == {cell.key for cell in ensemble}
