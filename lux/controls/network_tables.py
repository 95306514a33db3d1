"""The trial of networks as tables: every technique on every network, slopes where lines are not linear, and uses.

Its rows are plain records, to be written as JSON: the worlds take a quarter of an hour on two cores.
"""

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lux.controls import scores
from lux.controls.ensemble import GENERATORS, NONLINEAR, SIZES, TAUS, Cell, sized_cells
from lux.controls.model_trial import NAMES, NOISES_INTERROGATED, PROBED, TECHNIQUES
from lux.controls.runner import SHARED
from lux.statistics import Estimate

_N_STARS = SIZES[1]
# By noise in training.
_OF_NOISE = ("own_slope", "noisy_slope", "rmse", "rmse_all", "used")
_Row = dict[str, Any]
_Worlds = Sequence[Mapping[str, Any]]


def network_cells(n_seeds: int, n_without: int) -> tuple[Cell, ...]:
    """Return the worlds in which networks are interrogated: each depth on both generators, and `NONLINEAR` lines.

    There are `n_seeds` of each kind, and `n_without` without lines on each generator.
    """
    cells = tuple(
        cell if cell.depth else dataclasses.replace(cell, seeds=n_without) for cell in sized_cells(n_seeds, (_N_STARS,))
    )
    return *cells, *(Cell(name, world, TAUS[1], n_seeds, _N_STARS) for name, world in NONLINEAR.items())


def network_tables(ensemble: Sequence[Cell], worlds: _Worlds) -> dict[str, list[_Row]]:
    """Return the tables of the trial of networks.

    Parameters
    ----------
    ensemble : sequence of Cell
        Those of `network_cells`.
    worlds : sequence of dict
        What `lux.controls.model_trial.measure_models` measured in them when it interrogated.

    Returns
    -------
    dict of name to rows
        "techniques": of each "model" and "technique" on a "generator", "area" and "power" with their 95 % intervals by
        depth, and the "smallest_depth" found; "slopes": mean and standard deviation of a "number", "own_slope",
        "own_slope_cool" or "response", of each "model" and "cell"; "uses": how often the audit says that a model uses
        the label, by "model" and "cell", and its p-values where there is no line.
    """
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for world in worlds:
        found[world["cell"]].append(world)
    both = list(itertools.product(ensemble, NAMES))
    return {
        "techniques": [row for generator in GENERATORS for row in _techniques(generator, ensemble, found)],
        "slopes": [row for cell, model in both for row in _slopes(cell, model, found[cell.key])],
        "uses": [_uses(cell, model, found[cell.key]) for cell, model in both],
    }


def noise_rows(ensemble: Sequence[Cell], worlds: _Worlds) -> list[_Row]:
    """Return what `lux.controls.model_trial.measure_noise` measured in all worlds of a kind, by model and noise.

    Each row has "generator", "full_band", "n_stars", "model", "noise", and values by survey: "own_slope", "rmse",
    "rmse_all", "used", and "noisy_slope" where it was measured.
    """
    cells, found = {cell.key: cell for cell in ensemble}, defaultdict(list)
    for world in worlds:
        cell = cells[world["cell"]]
        for row in world["rows"]:
            found[cell.generator, cell.full_band, cell.n_stars, row["model"], row["noise"]].append(row)
    return [
        {
            **dict(zip(("generator", "full_band", "n_stars", "model", "noise"), about, strict=True)),
            **{number: [row[number] for row in rows] for number in _OF_NOISE if number in rows[0]},
        }
        for about, rows in found.items()
    ]


def interrogated_rows(ensemble: Sequence[Cell], worlds: _Worlds) -> list[_Row]:
    """Return what `lux.controls.model_trial.measure_interrogated` measured, as scores by technique and noise.

    The surveys, with and without lines, are the same for all noises. Each row has "generator", "n_stars", "technique"
    ("own_slope" among them), by noise its "area" and "power" with their 95 % intervals, and by pair of noises, "1 - 4"
    say, by how much its area "differs": a survey's numbers at both noises are drawn together. "own_slope" has its
    values in surveys with lines by noise, as "slopes", as well.
    """
    rows = []
    for generator in GENERATORS:
        cells = sorted((cell for cell in ensemble if cell.generator == generator), key=lambda cell: cell.depth)
        without, planted = ([world for world in worlds if world["cell"] == cell.key] for cell in cells)
        for technique, sign in {**TECHNIQUES, "own_slope": 1}.items():
            names = {f"{noise:g}": f"{noise:g}: {technique}" for noise in NOISES_INTERROGATED}
            numbers = {
                noise: (_of_worlds(name, planted) * sign, _of_worlds(name, without) * sign)
                for noise, name in names.items()
            }
            scored = {noise: scores.score(*both, level=0.95) for noise, both in numbers.items()}
            row: _Row = {"generator": generator, "n_stars": cells[0].n_stars, "technique": technique}
            row["area"] = {noise: _three(score.auc) for noise, score in scored.items()}
            row["power"] = {noise: _three(score.power) for noise, score in scored.items()}
            row["differs"] = {
                f"{one} - {other}": _three(scores.difference(numbers[one], numbers[other], level=0.95))
                for one, other in itertools.combinations(numbers, 2)
            }
            if technique == "own_slope":
                row["slopes"] = {noise: both[0].tolist() for noise, both in numbers.items()}
            rows.append(row)
    return rows


def _of_worlds(name: str, worlds: _Worlds) -> np.ndarray:
    return np.array([world[name] for world in worlds])


def _techniques(generator: str, ensemble: Sequence[Cell], found: Mapping[str, _Worlds]) -> list[_Row]:
    """Return a row for each technique on each model that is interrogated."""
    cells = [cell for cell in ensemble if cell.generator == generator and cell.key not in NONLINEAR]
    rows = []
    for model, (technique, sign) in itertools.product(PROBED, TECHNIQUES.items()):
        numbers = {
            cell.depth: sign * np.array([world[f"{model}: {technique}"] for world in found[cell.key]]) for cell in cells
        }
        rows.append({"generator": generator, "model": model, "technique": technique, **_scores(numbers)})
    return rows


def _scores(numbers: dict[float, np.ndarray]) -> _Row:
    """Return area, power and the smallest depth, from numbers by depth, zero without lines."""
    without = numbers.pop(0.0)
    scored = {f"{depth:g}": scores.score(each, without, shared=SHARED, level=0.95) for depth, each in numbers.items()}
    smallest = scores.smallest_depth(list(numbers), list(numbers.values()), without, shared=SHARED)
    return {
        "area": {depth: _three(score.auc) for depth, score in scored.items()},
        "power": {depth: _three(score.power) for depth, score in scored.items()},
        "smallest_depth": _three(smallest),
    }


def _slopes(cell: Cell, model: str, worlds: _Worlds) -> list[_Row]:
    rows = []
    for number in ("own_slope", "own_slope_cool", "response"):
        values = np.array([world[f"{model}: {number}"] for world in worlds])
        spread = {"mean": float(values.mean()), "std": float(values.std()), "n": len(values)}
        rows.append({**_about(cell, model), "number": number, **spread})
    return rows


def _uses(cell: Cell, model: str, worlds: _Worlds) -> _Row:
    row = {**_about(cell, model), "used": dict(Counter(world[f"{model}: used"] for world in worlds))}
    if not cell.depth:
        row["p_values"] = [round(world[f"{model}: use_p"], 5) for world in worlds]
    return row


def _about(cell: Cell, model: str) -> _Row:
    return {"cell": cell.key, "generator": cell.generator, "depth": cell.depth, "model": model}


def _three(estimate: Estimate) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in (estimate.value, *estimate.interval)]
