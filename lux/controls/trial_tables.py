"""The trial as a table: every technique by generator, size and depth, its null, and what the study would have said.

Its rows are plain records, to be written as JSON: the dense grid takes half an hour on two cores and is not measured
with every build.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import skew, spearmanr

from lux.controls import scores
from lux.controls.ensemble import Cell
from lux.controls.runner import SHARED
from lux.controls.techniques import STATEMENTS, TECHNIQUES, USES
from lux.statistics import Estimate

_LEVEL = 0.95
_World = Mapping[str, Any]
_Row = dict[str, Any]


def trial_tables(ensemble: Sequence[Cell], worlds: Iterable[_World], *, shared: int = SHARED) -> dict[str, list[_Row]]:
    """Return the tables of a trial.

    Parameters
    ----------
    ensemble : sequence of Cell
        Of worlds with lines or with nothing planted.
    worlds : iterable of dict
        As `lux.controls.runner.run` returns them.
    shared : int
        As many had the same stars, for the intervals.

    Returns
    -------
    dict of name to rows
        Every row has "generator", "n_stars", "full_band", "depth" (0 without lines).
        "scores": area, power and power the other way round of each technique, with 95 % intervals; "nulls": its mean,
        standard deviation and skewness without lines; "follows": its rank correlation with what the model uses, over
        all depths; "statements": how often each is true; "verdicts": how often each is given, told and blind; "uses":
        mean slopes, the published recipe's RMSE over the mean error, and significance to the optimal observer.
    """
    found = defaultdict(list)
    for world in worlds:
        found[world["cell"]].append(world)
    tables: dict[str, list[_Row]] = defaultdict(list)
    for group, members in itertools.groupby(ensemble, lambda cell: (cell.generator, cell.n_stars, cell.full_band)):
        about = dict(zip(("generator", "n_stars", "full_band"), group, strict=True))
        by_depth = {cell.depth: found[cell.key] for cell in members if cell.key in found}
        for name, rows in _tables(by_depth, shared).items():
            tables[name] += [about | row for row in rows]
    return dict(tables)


def own_star_rows(ensemble: Sequence[Cell], worlds: Iterable[_World], *, shared: int = SHARED) -> list[_Row]:
    """Return rows like "scores" of `trial_tables`, of what `lux.controls.techniques.measure_own_star` returns."""
    found = defaultdict(list)
    for world in worlds:
        found[world["cell"]].append(world["own_star"])
    numbers = {
        (cell.generator, cell.n_stars, cell.full_band, cell.depth): np.array(found[cell.key]) for cell in ensemble
    }
    return [
        dict(zip(("generator", "n_stars", "full_band", "depth"), group, strict=True))
        | _score(planted, numbers[*group[:3], 0.0], shared)
        for group, planted in numbers.items()
        if group[-1]
    ]


def _tables(by_depth: Mapping[float, list[_World]], shared: int) -> dict[str, list[_Row]]:
    """Return the tables of one generator and size, from the worlds of each depth."""
    without = by_depth[0.0]
    everything = [world for worlds in by_depth.values() for world in worlds]
    tables: dict[str, list[_Row]] = {
        "scores": [
            {"depth": depth, "technique": name, **_score(_numbers(worlds, name), _numbers(without, name), shared)}
            for depth, worlds in by_depth.items()
            if depth
            for name in TECHNIQUES
        ],
        "nulls": [{"technique": name, **_null(_numbers(without, name))} for name in TECHNIQUES],
        "follows": [{"technique": name, "correlation": _follows(everything, name)} for name in TECHNIQUES],
    }
    for depth, worlds in by_depth.items():
        for name in STATEMENTS:
            tables.setdefault("statements", []).append(
                {"depth": depth, "statement": name, **_share(int(_numbers(worlds, name).sum()), len(worlds))}
            )
        for told, key in ((True, "verdict"), (False, "blind_verdict")):
            for verdict, count in sorted(Counter(world[key] for world in worlds).items()):
                row = {"depth": depth, "told": told, "verdict": verdict, **_share(count, len(worlds))}
                tables.setdefault("verdicts", []).append(row)
        for name in (*USES, "rmse_over_mean", "bound"):
            tables.setdefault("uses", []).append({"depth": depth, "name": name, **_mean(_numbers(worlds, name))})
    return tables


def _numbers(worlds: Iterable[_World], key: str) -> np.ndarray:
    return np.array([world[key] for world in worlds], dtype=float)


def _score(planted: np.ndarray, without: np.ndarray, shared: int) -> _Row:
    score = scores.score(planted, without, shared=shared, level=_LEVEL)
    return {"area": _plain(score.auc), "power": _plain(score.power), "reverse": _plain(score.reverse)}


def _null(numbers: np.ndarray) -> _Row:
    return {"mean": float(numbers.mean()), "std": float(numbers.std(ddof=1)), "skew": float(skew(numbers))}


def _follows(worlds: list[_World], name: str) -> float:
    """Return the rank correlation of a technique with the model's own slope on europium; 0 if it is constant."""
    slope = "own_slope_published" if TECHNIQUES[name].published else "own_slope"
    numbers = _numbers(worlds, name)
    return float(spearmanr(numbers, _numbers(worlds, slope)).statistic) if np.ptp(numbers) else 0.0


def _share(count: int, total: int) -> _Row:
    return {"count": count, "total": total, "share": _plain(scores.fraction(count, total, _LEVEL))}


def _mean(numbers: np.ndarray) -> _Row:
    return {"mean": float(numbers.mean()), "error": float(numbers.std(ddof=1) / np.sqrt(len(numbers)))}


def _plain(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]
