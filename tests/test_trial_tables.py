"""The tables of a trial: scores, nulls, statements, verdicts and slopes of each size and generator."""

import json

import numpy as np
import pytest

from lux.controls import sized_cells
from lux.controls.techniques import STATEMENTS, TECHNIQUES, USES
from lux.controls.trial_tables import own_star_rows, trial_tables


@pytest.fixture(scope="module")
def tables():
    """Of twenty worlds a cell in which one technique follows the lines and the model's slope, the others nothing."""
    rng, worlds = np.random.default_rng(0), []
    ensemble = sized_cells(20, (600, 1500), depths=(0.0, 0.01))
    for cell in ensemble:
        depth = getattr(cell.world, "depth", 0.0)
        for _ in range(cell.seeds):
            world = dict(zip((*TECHNIQUES, *USES), rng.normal(size=len(TECHNIQUES) + len(USES)), strict=True))
            world |= {name: float(not depth) for name in STATEMENTS}
            world |= {"cell": cell.key, "bound": 0.0, "rmse_over_mean": 1.3, "verdict": "known" if depth else "guessed"}
            world |= {"blind_verdict": "proxy" if depth else "guessed"}
            world["own_slope"] = depth + 1e-3 * rng.normal()
            world["jacobian"] = 1000 * world["own_slope"]
            worlds.append(world)
    return trial_tables(ensemble, worlds)


def of(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_a_technique_that_follows_lines_and_slope_has_full_power_and_rank(tables):
    for row in of(tables["scores"], technique="jacobian"):
        assert row["area"][0] == row["power"][0] == 1.0
        assert row["reverse"][0] == 0.0
    assert all(row["correlation"] > 0.99 for row in of(tables["follows"], technique="jacobian"))
    assert all(abs(row["correlation"]) < 0.5 for row in of(tables["follows"], technique="rmse"))


def test_every_group_has_its_rows(tables):
    for n_stars in (600, 1500):
        for generator in ("physical", "empirical"):
            about = {"n_stars": n_stars, "generator": generator, "full_band": False}
            assert len(of(tables["scores"], **about)) == len(TECHNIQUES)
            assert len(of(tables["nulls"], **about)) == len(TECHNIQUES)
            assert len(of(tables["statements"], **about)) == 2 * len(STATEMENTS)


def test_verdicts_told_and_blind_are_counted_apart_with_their_intervals(tables):
    about = {"n_stars": 600, "generator": "physical", "depth": 0.01}
    (told,) = of(tables["verdicts"], told=True, **about)
    (blind,) = of(tables["verdicts"], told=False, **about)
    assert (told["verdict"], blind["verdict"], told["count"], told["total"]) == ("known", "proxy", 20, 20)
    assert told["share"][1] < told["share"][0] == 1.0


def test_tables_can_be_written_as_json(tables):
    assert json.loads(json.dumps(tables)) == tables


def test_surveys_with_lines_are_scored_against_those_of_their_size_without():
    ensemble = sized_cells(10, (600, 1500), ("physical",), depths=(0.0, 0.01))
    worlds = [
        {"cell": cell.key, "own_star": cell.depth * (cell.n_stars == 1500) + 1e-6 * number}
        for cell in ensemble
        for number in range(cell.seeds)
    ]
    small, large = own_star_rows(ensemble, worlds)
    assert (small["n_stars"], large["n_stars"], large["depth"], large["full_band"]) == (600, 1500, 0.01, False)
    assert large["power"][0] == 1.0
    assert small["power"][0] < 0.5
