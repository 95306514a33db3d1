"""Which lines a model learns, as the chapter on controls shows it.

Measured by ``tools/full_trial.py --learning`` (`lux.controls.learning`); the numbers are kept in a file beside this
module.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lux.controls.ensemble import GENERATORS
from lux.controls.learning import LENT_DEPTH, N_LATENTS, QUICK, SLOW
from lux.paper.record import Record
from lux.statistics import Estimate
from lux_pages.trial import FullTrial

SOURCE = "learning_trial.json"
RECIPES = {"default": "our fit", "published": "published recipe"}
# A model uses lines whose europium its prediction follows, in enhanced stars, by more than this slope.
_USES, _NEXT_TO_NOTHING = 0.5, 0.1
# Bounds of what a latent gains by lines, in units of what the weakest latent gains; the last two are pooled.
_BINS = {"low": (0.0, 0.5), "near": (0.5, 1.0), "above": (1.0, 2.0), "high": (2.0, np.inf)}
_BIN_NAMES = ("less than half", "half to one", "one to two", "more than two")
_POOLED = {"below_one": (0.0, 1.0), "above_one": (1.0, np.inf)}
_STARS = {"all": "all stars", "without rich": "without enhanced stars", "one lent": "with one lent instead"}
_Row = dict[str, Any]


def record_learning(record: Record, trial: FullTrial) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Record which lines models learn; return what `lux.figures.controls.learned` draws."""
    rows = trial.rows("learning")
    record("learning_commit", trial.about["commit"], text=trial.about["commit"][:7])
    record("learning_surveys", trial.about["seeds"])
    columns: dict[str, list[str]] = {"gain by the lines": list(_BIN_NAMES)}
    for recipe, heading in RECIPES.items():
        for name, limits in {**_BINS, **_POOLED}.items():
            used, text = _learned(_of(rows, recipe=recipe), *limits)
            record(f"learned_{name}_{recipe}", used, text=text)
        for generator in GENERATORS:
            found = _of(rows, recipe=recipe, generator=generator)
            columns[f"{generator}, {heading}"] = [_learned(found, *limits)[1] for limits in _BINS.values()]
    record.table("learned", columns)
    typical = {"recipe": "default", "n_latents": N_LATENTS, "stars": "all", "depth": LENT_DEPTH}
    for generator in GENERATORS:
        for full_band, band in ((False, "windows"), (True, "whole")):
            found = _of(rows, generator=generator, full_band=full_band, **typical)
            for name in ("gain", "weakest_gain"):
                median = float(f"{np.median([row[name] for row in found]):.2g}")
                record(f"{name}_{band}_{generator}", median, text=f"{median:,.0f}")
    _record_kinds(record, trial)
    _record_rich_stars(record, _of(rows, full_band=True, depth=LENT_DEPTH, n_latents=N_LATENTS))
    return {
        heading: {
            f"{generator}, {'whole spectra' if full_band else 'windows'}": _points(
                _of(rows, generator=generator, full_band=full_band, recipe=recipe)
            )
            for generator in GENERATORS
            for full_band in (False, True)
        }
        for recipe, heading in RECIPES.items()
    }


def _record_kinds(record: Record, trial: FullTrial) -> None:
    """Record the slopes of models of every kind, for the same weak lines."""
    groups = {
        f"{generator}, {'whole' if full_band else 'windows'}": {"generator": generator, "full_band": full_band}
        for generator in GENERATORS
        for full_band in (False, True)
    }
    lux = {"depth": LENT_DEPTH, "n_latents": N_LATENTS, "stars": "all"}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        f"Lux, {heading}": ("learning", {**lux, "recipe": recipe}) for recipe, heading in RECIPES.items()
    }
    for name in (*QUICK, *SLOW):
        kinds[name] = ("others", {"depth": LENT_DEPTH, "model": name, "stars": "all"})
        if name in QUICK:
            poor = {"depth": LENT_DEPTH, "model": name, "stars": "without rich"}
            kinds[f"{name}, without enhanced stars"] = ("others", poor)
    columns: dict[str, list[Any]] = {"model": list(kinds)}
    for heading, group in groups.items():
        columns[heading] = [
            _mean([row["own_slope"] for row in trial.rows(table, **group, **wanted)])
            for table, wanted in kinds.values()
        ]
    record.table("kinds", columns)
    for name in QUICK:
        for depth, lines in ((0.0, "without"), (LENT_DEPTH, "with")):
            found = trial.rows("others", depth=depth, model=name, full_band=True, stars="all")
            for use in ("own_slope", "response"):
                slopes = [row[use] for row in found]
                text = f"{_slope(min(slopes))} to {_slope(max(slopes))}"
                record(f"{use}_{lines}_{name.lower()}", max(slopes), text=text)


def _record_rich_stars(record: Record, rows: Iterable[_Row]) -> None:
    """Record what a model makes of the same weak lines with its own rich stars, without them, and with one lent."""
    rows = list(rows)
    with_rich = {row["seed"] for row in rows if row["n_rich"] and row["stars"] == "all"}
    record("n_with_rich", len(with_rich))
    columns: dict[str, list[Any]] = {"spectra": [], "fit": [], **{heading: [] for heading in _STARS.values()}}
    for generator in GENERATORS:
        for recipe, fit in RECIPES.items():
            columns["spectra"].append(generator)
            columns["fit"].append(fit)
            for stars, heading in _STARS.items():
                found = _of(rows, generator=generator, recipe=recipe, stars=stars)
                found = [row for row in found if row["seed"] in with_rich]
                columns[heading].append(", ".join(_slope(slope) for slope in sorted(row["response"] for row in found)))
                for use in ("response", "own_slope"):
                    mean = float(np.mean([row[use] for row in found]))
                    record(f"{use}_{stars.replace(' ', '_')}_{recipe}_{generator}", mean, text=_slope(mean))
    record.table("rich_stars", columns)
    slopes = [row["response"] for row in _of(rows, generator=GENERATORS[0], recipe="default", stars="all")]
    record("slopes_small", sum(slope < _NEXT_TO_NOTHING for slope in slopes))
    record("slope_largest", max(slopes), text=_slope(max(slopes)))


def _of(rows: Iterable[_Row], **wanted: Any) -> list[_Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _learned(rows: Iterable[_Row], low: float, high: float) -> tuple[int, str]:
    """Return in how many fits in which a latent gains so much by the lines the model uses them, and of how many."""
    slopes = [row["response"] for row in rows if low <= row["gain"] / row["weakest_gain"] < high]
    used = sum(slope > _USES for slope in slopes)
    return used, f"{used} of {len(slopes)}"


def _points(rows: Iterable[_Row]) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([(row["gain"] / row["weakest_gain"], row["response"]) for row in rows]).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _slope(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _mean(values: Sequence[float]) -> Estimate:
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    return Estimate(float(mean), float(mean - error), float(mean + error))
