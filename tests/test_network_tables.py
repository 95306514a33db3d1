"""The tables of the trial of networks say how a number tells lines from none, and count what the audit says."""

import numpy as np
import pytest

from lux.controls import network_tables as tables
from lux.controls import sized_cells
from lux.controls.model_trial import NAMES, NOISES, NOISES_INTERROGATED, NUMBERS, PROBED, TECHNIQUES


@pytest.fixture(scope="module")
def made():
    """Tables of invented worlds: every number is the depth of the lines and noise; errors fall with it."""
    generator, cells, worlds = np.random.default_rng(0), tables.network_cells(6, 10), []
    for cell in cells:
        for seed in range(cell.seeds):
            world = {"cell": cell.key, "seed": seed}
            for name in NAMES:
                world |= {f"{name}: {number}": cell.depth for number in NUMBERS}
                world |= {f"{name}: used": "yes" if cell.depth else "no", f"{name}: use_p": 0.5}
            for name in PROBED:
                noise = 0.0003 * generator.normal(size=len(TECHNIQUES))
                values = [sign * cell.depth for sign in TECHNIQUES.values()] + noise
                world |= {f"{name}: {key}": value for key, value in zip(TECHNIQUES, values, strict=True)}
            worlds.append(world)
    return tables.network_tables(cells, worlds)


def test_every_technique_is_scored_on_every_model_and_generator(made):
    rows = made["techniques"]
    assert len(rows) == 2 * len(PROBED) * len(TECHNIQUES)
    for row in rows:
        assert row["area"]["0.03"][0] == row["power"]["0.01"][0] == 1
        assert row["smallest_depth"][0] <= 0.003


def test_slopes_and_uses_are_those_of_each_kind_of_world(made):
    assert {row["cell"] for row in made["slopes"]} >= {"saturated", "cool stars"}
    assert all(row["mean"] == pytest.approx(row["depth"]) for row in made["slopes"])
    for row in made["uses"]:
        assert row["used"] == ({"yes": 6} if row["depth"] else {"no": 10})
        assert ("p_values" in row) == (not row["depth"])


def test_noise_in_training_has_a_row_for_each_kind_of_survey_network_and_noise():
    cells = [
        cell for full_band in (False, True) for cell in sized_cells(2, (4000,), depths=(0.01,), full_band=full_band)
    ]
    row = {"own_slope": 0.1, "rmse": 1.2, "rmse_all": 1.1, "used": "no"}
    worlds = [
        {
            "cell": cell.key,
            "seed": seed,
            "rows": [{"model": "dense network", "noise": noise, **row} for noise in NOISES],
        }
        for cell in cells
        for seed in range(2)
    ]
    rows = tables.noise_rows(cells, worlds)
    assert len(rows) == 2 * 2 * len(NOISES)
    assert {row["n_stars"] for row in rows} == {4000}
    assert {(row["generator"], row["full_band"]) for row in rows} == {
        (generator, full_band) for generator in ("physical", "empirical") for full_band in (False, True)
    }
    assert all(row["own_slope"] == [0.1, 0.1] and row["used"] == ["no", "no"] for row in rows)


def test_noise_changes_what_a_technique_finds_in_the_same_surveys():
    generator, worlds = np.random.default_rng(1), []
    cells = sized_cells(30, (1500,), depths=(0.0, 0.01))
    for cell in cells:
        for seed in range(cell.seeds):
            luck = generator.normal()
            # What the noise in training hides: from half of the lines on, nothing is seen.
            seen = {f"{noise:g}": luck + 300 * cell.depth * (noise < 4) for noise in NOISES_INTERROGATED}
            signs = {**TECHNIQUES, "own_slope": 1}
            numbers = {
                f"{noise}: {name}": sign * value for noise, value in seen.items() for name, sign in signs.items()
            }
            worlds.append({"cell": cell.key, "seed": seed, **numbers})
    rows = tables.interrogated_rows(cells, worlds)
    assert {(row["generator"], row["n_stars"]) for row in rows} == {("physical", 1500), ("empirical", 1500)}
    assert len(rows) == 2 * (len(TECHNIQUES) + 1)
    for row in rows:
        assert row["area"]["1"] == row["area"]["2"]
        assert row["area"]["1"][0] > 0.95
        assert row["differs"]["1 - 2"] == [0, 0, 0]
        assert row["differs"]["2 - 4"][1] > 0.2
        assert ("slopes" in row) == (row["technique"] == "own_slope")
