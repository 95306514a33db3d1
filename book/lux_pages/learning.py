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
from lux_pages.trial import FullTrial, record_share

SOURCE = "learning_trial.json"
RECIPES = {"default": "our fit", "published": "published recipe"}
# A model uses lines whose europium its prediction follows, in enhanced stars, by more than this slope.
_USES = 0.5
# Bounds of the chi-square of lines, what their pixels' scatter leaves of it, in units of that of the weakest latent.
_BINS = {"lowest": (0.0, 0.2), "low": (0.2, 0.5), "near": (0.5, 1.0), "above": (1.0, np.inf)}
_BIN_NAMES = ("less than a fifth", "a fifth to a half", "a half to one", "more than one")
_STARS = {"all": "all stars", "without rich": "without enhanced stars", "one lent": "with one lent instead"}
_Row = dict[str, Any]


def record_learning(record: Record, trial: FullTrial) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Record which lines models learn; return what `lux.figures.controls.learned` draws."""
    rows = trial.rows("learning")
    record("learning_commit", trial.about["commit"], text=trial.about["commit"][:7])
    record("learning_surveys", trial.about["seeds"])
    columns: dict[str, list[str]] = {"own χ² of the lines": list(_BIN_NAMES)}
    for recipe, heading in RECIPES.items():
        of_recipe = [row for row in rows if row["recipe"] == recipe]
        for name, limits in {**_BINS, "below_half": (0.0, 0.5)}.items():
            record_share(record, f"learned_{name}_{recipe}", *_learned(of_recipe, *limits))
        for generator in GENERATORS:
            found = [row for row in of_recipe if row["generator"] == generator]
            counts = [_learned(found, *limits) for limits in _BINS.values()]
            columns[f"{generator}, {heading}"] = [f"{hits} of {total}" for hits, total in counts]
    record.table("learned", columns)
    typical = {"recipe": "default", "n_latents": N_LATENTS, "stars": "all", "depth": LENT_DEPTH}
    for generator in GENERATORS:
        for full_band, band in ((False, "windows"), (True, "whole")):
            found = trial.rows("learning", generator=generator, full_band=full_band, **typical)
            for name in ("weakest", "scattered"):
                median = float(f"{np.median([row[name] for row in found]):.2g}")
                record(f"{name}_{band}_{generator}", median, text=f"{median:,.0f}")
    _record_kinds(record, trial)
    _record_rich_stars(record, [row for row in rows if row["full_band"] and row["depth"] == LENT_DEPTH])
    return {
        heading: {
            f"{generator}, {'whole spectra' if full_band else 'windows'}": _points(
                row for row in trial.rows("learning", generator=generator, full_band=full_band, recipe=recipe)
            )
            for generator in GENERATORS
            for full_band in (False, True)
        }
        for recipe, heading in RECIPES.items()
    }


def _record_kinds(record: Record, trial: FullTrial) -> None:
    """Record the slopes on europium's own scatter of models of every kind, for the same weak lines."""
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
        for stars, remark in {
            "all": "",
            **({"without rich": ", without enhanced stars"} if name in QUICK else {}),
        }.items():
            kinds[name + remark] = ("others", {"depth": LENT_DEPTH, "model": name, "stars": stars})
    columns: dict[str, list[Any]] = {"model": list(kinds)}
    for heading, group in groups.items():
        columns[heading] = [
            _mean([row["own_slope"] for row in trial.rows(table, **group, **wanted)])
            for table, wanted in kinds.values()
        ]
    record.table("kinds", columns)
    for name in QUICK:
        without = [row["own_slope"] for row in trial.rows("others", depth=0.0, model=name)]
        record(f"largest_without_{name.lower()}", max(without, key=abs), digits=1)


def _mean(values: Sequence[float]) -> Estimate:
    mean, error = np.mean(values), np.std(values) / np.sqrt(len(values))
    return Estimate(float(mean), float(mean - error), float(mean + error))


def _record_rich_stars(record: Record, rows: Iterable[_Row]) -> None:
    """Record what a model makes of the same weak lines with its own rich stars, without them, and with one lent."""
    rows = [row for row in rows if row["n_latents"] == N_LATENTS]
    with_rich = {(row["generator"], row["seed"]) for row in rows if row["n_rich"] and row["stars"] == "all"}
    columns: dict[str, list[Any]] = {"spectra": [], "fit": [], **{heading: [] for heading in _STARS.values()}}
    for generator in GENERATORS:
        record(f"n_with_rich_{generator}", sum(each == generator for each, _ in with_rich))
        for recipe, fit in RECIPES.items():
            columns["spectra"].append(generator)
            columns["fit"].append(fit)
            for stars, heading in _STARS.items():
                slopes = np.sort([
                    row["response"]
                    for row in rows
                    if (row["generator"], row["recipe"], row["stars"]) == (generator, recipe, stars)
                    and (generator, row["seed"]) in with_rich
                ])  # fmt: skip
                mean = float(np.mean(slopes))
                record(
                    f"slope_{stars.replace(' ', '_')}_{recipe}_{generator}", mean, text=f"{mean:.2f}".replace("-", "−")
                )
                columns[heading].append(", ".join(f"{round(slope, 2) + 0.0:.2f}".replace("-", "−") for slope in slopes))
    record.table("rich_stars", columns)


def _learned(rows: Iterable[_Row], low: float, high: float) -> tuple[int, int]:
    """Return in how many fits, of how many whose lines have such a power, the model uses them."""
    slopes = [row["response"] for row in rows if low <= row["scattered"] / row["weakest"] < high]
    return sum(slope > _USES for slope in slopes), len(slopes)


def _points(rows: Iterable[_Row]) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([(row["scattered"] / row["weakest"], row["response"]) for row in rows]).reshape(-1, 2)
    return points[:, 0], points[:, 1]
