"""Which lines a model learns, as the chapter on controls shows it.

Measured by ``tools/full_trial.py --learning`` (`lux.controls.learning`); the numbers are kept in a file beside this
module.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lux.controls.ensemble import GENERATORS
from lux.controls.learning import LENT_DEPTH, N_LATENTS
from lux.paper.record import Record
from lux_pages.trial import FullTrial, record_share

SOURCE = "learning_trial.json"
RECIPES = {"default": "our fit", "published": "published recipe"}
# A model uses lines whose europium its prediction follows, in enhanced stars, by more than this slope.
_USES = 0.5
# Bounds of the power of lines in units of that of the weakest latent, and what they are called.
_BINS = {"below": (0.0, 0.5), "around": (0.5, 2.0), "above": (2.0, np.inf)}
_BIN_NAMES = ("less than half", "half to twice", "more than twice")
_STARS = {"all": "all of its stars", "without rich": "without the enhanced", "one lent": "and one lent"}
_Row = dict[str, Any]


def record_learning(record: Record, trial: FullTrial) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Record which lines models learn; return what `lux.figures.controls.learned` draws."""
    rows = trial.rows("learning")
    record("learning_commit", trial.about["commit"], text=trial.about["commit"][:7])
    record("learning_surveys", trial.about["seeds"])
    columns: dict[str, list[str]] = {"own power of the lines": list(_BIN_NAMES)}
    for recipe, heading in RECIPES.items():
        of_recipe = [row for row in rows if row["recipe"] == recipe]
        for name, limits in _BINS.items():
            record_share(record, f"learned_{name}_{recipe}", *_learned(of_recipe, *limits))
        for generator in GENERATORS:
            found = [row for row in of_recipe if row["generator"] == generator]
            counts = [_learned(found, *limits) for limits in _BINS.values()]
            columns[f"{generator}, {heading}"] = [f"{hits} of {total}" for hits, total in counts]
    record.table("learned", columns)
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
                record(f"slope_{stars.replace(' ', '_')}_{recipe}_{generator}", np.mean(slopes), digits=2)
                columns[heading].append(", ".join(f"{slope + 0.0:.2f}".replace("-", "−") for slope in slopes))
    record.table("rich_stars", columns)


def _learned(rows: Iterable[_Row], low: float, high: float) -> tuple[int, int]:
    """Return in how many fits, of how many whose lines have such a power, the model uses them."""
    slopes = [row["response"] for row in rows if low <= row["power"] / row["weakest"] < high]
    return sum(slope > _USES for slope in slopes), len(slopes)


def _points(rows: Iterable[_Row]) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([(row["power"] / row["weakest"], row["response"]) for row in rows]).reshape(-1, 2)
    return points[:, 0], points[:, 1]
