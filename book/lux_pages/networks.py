"""The chapter on neural networks: what every model makes of europium, and what can be seen of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lux.controls import Cell, run, score, sized_cells
from lux.controls.ensemble import sized_key
from lux.controls.model_trial import LABELS_ONLY, MODELS, NETWORKS, measure_models
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.simulation.empirical import EmpiricalSpectra
from lux_pages.trial import record_share

DEPTHS = (0.0, 0.003, 0.01, 0.03)
DEPTH = 0.01
NAMES = (*MODELS, LABELS_ONLY)
# What is tried on the two networks and on Lux: what it is called, and the sign with which it speaks for knowledge.
_TECHNIQUES = {
    "rmse": ("RMSE over error", -1),
    "probe": ("linear probe of the last layer", 1),
    "gradient": ("gradient at the lines", 1),
    "use_slope": ("slope on the own part, as the audit has it", 1),
}
_PROBED = ("Lux", *NETWORKS)


@dataclass(frozen=True)
class Trial:
    """What was measured of every model in every world, by cell.

    Parameters
    ----------
    worlds : mapping of key to list of dict
        See `lux.controls.model_trial.measure_models`.
    sizes : (int, int, int, int)
        Stars of the surveys by which size is varied; the second has all depths.
    """

    worlds: Mapping[str, Sequence[Mapping[str, Any]]]
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Stars of the surveys with all depths."""
        return self.sizes[1]

    def values(
        self, model: str, number: str, depth: float = DEPTH, size: int | None = None, generator: str = "physical"
    ) -> np.ndarray:
        """Return a number of a model in the worlds of a cell."""
        worlds = self.worlds[sized_key(depth, size or self.size, generator)]
        return np.array([world[f"{model}: {number}"] for world in worlds])


def run_trial(chapter: Chapter, spectra: EmpiricalSpectra, first_seed: int) -> Trial:
    """Fit every model in every world of the chapter."""
    # Programs are compiled for each size; the quick profile has one.
    sizes = (300,) * 4 if chapter.quick else (500, 1500, 4000, 8000)
    seeds = (2,) * 4 if chapter.quick else (6, 6, 3, 2)
    ensemble: list[Cell] = list(sized_cells(seeds[1], (sizes[1],), ("physical",), depths=DEPTHS))
    ensemble += sized_cells(seeds[1], (sizes[1],), ("empirical",), depths=(0.0, DEPTH))
    for n_stars, n_seeds in zip(sizes, seeds, strict=True):
        if n_stars != sizes[1]:
            ensemble += sized_cells(n_seeds, (n_stars,), ("physical",), depths=(DEPTH,))
    found = defaultdict(list)
    for world in run(ensemble, first_seed, spectra, what=measure_models):
        found[world["cell"]].append(world)
    return Trial(dict(found), sizes)


def slopes(trial: Trial) -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """Return slopes on europium alone of every model, by depth and by size."""
    by_depth = {name: [trial.values(name, "own_slope", depth) for depth in DEPTHS] for name in NAMES}
    by_size = {name: [trial.values(name, "own_slope", size=size) for size in trial.sizes] for name in NAMES}
    return by_depth, by_size


def record_models(record: Record, trial: Trial) -> None:
    """Record what each model reaches, how far it follows europium, and what the audit says of that."""
    columns: dict[str, list[Any]] = {"model": list(NAMES)}
    columns["RMSE over error, no line"] = [trial.values(name, "rmse", 0.0).mean() for name in NAMES]
    columns["RMSE over error, 1 %"] = [trial.values(name, "rmse").mean() for name in NAMES]
    for heading, number in (("slope, own scatter", "own_slope"), ("slope, enhanced stars", "response")):
        columns[heading] = [_spread(trial.values(name, number)) for name in NAMES]
    columns["the audit's slope"] = [_spread(trial.values(name, "use_slope")) for name in NAMES]
    for heading, depth in (("uses it, no line", 0.0), ("uses it, 1 %", DEPTH)):
        columns[heading] = [_counts(trial.values(name, "used", depth)) for name in NAMES]
    formats = {"RMSE over error, no line": ".2f", "RMSE over error, 1 %": ".2f"}
    record.table("models", columns, formats=formats)
    for name in NAMES[1:]:
        key = _key(name)
        for depth in DEPTHS:
            record.mean(f"slope_{key}_{round(1000 * depth)}", trial.values(name, "own_slope", depth))
        record.mean(f"slope_{key}_large", trial.values(name, "own_slope", size=trial.sizes[-1]))
        record.mean(f"slope_{key}_empirical", trial.values(name, "own_slope", generator="empirical"))
        record.mean(f"rmse_{key}_0", trial.values(name, "rmse", 0.0))
        record.mean(f"rmse_{key}_10", trial.values(name, "rmse"))
    small, medium, large, largest = trial.sizes
    record.numbers(stars_small=small, stars_medium=medium, stars_large=large, stars_largest=largest)
    record.numbers(n_worlds=sum(map(len, trial.worlds.values())), n_each=len(trial.values("Lux", "rmse")))
    falsely = np.concatenate([trial.values(name, "used", 0.0) for name in NAMES]) == "yes"
    record_share(record, "used_falsely", int(falsely.sum()), len(falsely))
    record("used_falsely_labels", int(np.sum(trial.values(LABELS_ONLY, "used", 0.0) == "yes")))
    record("use_follows", _follows(trial), digits=2)


def _follows(trial: Trial) -> float:
    """Return the correlation of the audit's slope with the true one, over all models and worlds."""
    pairs = [
        (world[f"{name}: use_slope"], world[f"{name}: own_slope"])
        for worlds in trial.worlds.values()
        for world in worlds
        for name in NAMES
        if name != "mean"
    ]
    return float(np.corrcoef(np.transpose(pairs))[0, 1])


def record_techniques(record: Record, trial: Trial) -> None:
    """Record how techniques tell worlds with lines of 1 % from worlds without, on Lux and on the networks."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for number, (heading, sign) in _TECHNIQUES.items():
        for generator in ("physical", "empirical"):
            columns["technique"].append(heading)
            columns["spectra"].append(generator)
            for model in _PROBED:
                planted, without = (
                    sign * trial.values(model, number, depth, generator=generator) for depth in (DEPTH, 0.0)
                )
                area = score(planted, without, level=0.95).auc
                columns[model].append(f"{area.value:.2f} ({area.low:.2f}–{area.high:.2f})")
                record(f"area_{number}_{_key(model)}_{generator}", area.value, interval=area.interval, digits=2)
    record.table("network_techniques", dict(columns))
    for model in _PROBED:
        for depth in (0.0, DEPTH):
            record.mean(f"probe_{_key(model)}_{round(1000 * depth)}", trial.values(model, "probe", depth))


def _key(name: str) -> str:
    return name.split(" ")[0].lower()


def _spread(values: np.ndarray) -> str:
    return f"{values.mean() + 0.0:.2f} ± {values.std():.2f}".replace("-0.00", "0.00").replace("-", "−")


def _counts(values: np.ndarray) -> str:
    return ", ".join(f"{np.sum(values == name)} {name}" for name in ("yes", "no", "cannot tell") if name in values)
