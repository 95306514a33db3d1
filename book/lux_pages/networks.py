"""The chapter on neural networks: what every model makes of europium, and what can be seen of it."""

import functools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.stats import kstest

from lux.auditing.settings import AuditSettings
from lux.controls import Cell, run, sized_cells
from lux.controls.ensemble import COOL, GENERATORS, NONLINEAR, WINDOWS, sized_key
from lux.controls.model_trial import (
    LABELS_ONLY,
    LESS_NOISE,
    MODELS,
    NAMES,
    NETWORKS,
    PROBED,
    TECHNIQUES,
    measure_models,
    measure_planted,
    measure_trainings,
)
from lux.controls.pixel_techniques import PIXEL_TECHNIQUES
from lux.diagnostics.transfer import score
from lux.figures import label_name
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.simulation.empirical import EmpiricalSpectra
from lux.survey import Survey
from lux_pages.trial import record_share

DEPTHS = (0.0, 0.003, 0.01, 0.03)
DEPTH = 0.01
# What is tried on the two networks and on Lux.
HEADINGS = {
    "rmse": "RMSE over error",
    **PIXEL_TECHNIQUES,
    "use_slope": "slope on the own part, as the audit has it",
}
_FULL = "network_trial.json"
# p-values of PLS below 0.05 without lines, of how many: of the rounds on seeds from 965000 and from 1030000 on.
_EARLIER_NULLS = ((10, 100), (2, 100))
# Per standard deviation of [Eu/Fe], planted in genuine spectra; the deepest are the deepest of the chapter on these.
_GENUINE_DEPTHS = (0.0, 0.03, 0.1)
# Stars of the quick profile, by which all its surveys train on as many: programs are compiled for each number.
QUICK_STARS, _QUICK_DEFAULT, _QUICK_GENUINE = 300, 262, 350


@dataclass(frozen=True)
class Trial:
    """What was measured of every model in every world, by cell.

    Parameters
    ----------
    worlds : mapping of key to list of dict
        See `lux.controls.model_trial.measure_models`.
    sizes : (int, int, int, int)
        Stars of the surveys by which size is varied; the second has all depths.
    trainings : mapping of network to list of float
        Slopes on europium's own scatter of several trainings in one survey with lines of `DEPTH`.
    """

    worlds: Mapping[str, Sequence[Mapping[str, Any]]]
    sizes: tuple[int, ...]
    trainings: Mapping[str, Sequence[float]]

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
    sizes = (QUICK_STARS,) * 4 if chapter.quick else (500, 1500, 4000, 8000)
    seeds = (2,) * 4 if chapter.quick else (6, 6, 3, 2)
    ensemble: list[Cell] = list(sized_cells(seeds[1], (sizes[1],), ("physical",), depths=DEPTHS))
    ensemble += sized_cells(seeds[1], (sizes[1],), ("empirical",), depths=(0.0, DEPTH))
    for n_stars, n_seeds in zip(sizes, seeds, strict=True):
        if n_stars != sizes[1]:
            ensemble += sized_cells(n_seeds, (n_stars,), ("physical",), depths=(DEPTH,))
    found = defaultdict(list)
    for world in run(ensemble, first_seed, spectra, what=measure_models):
        found[world["cell"]].append(world)
    (again,) = run(
        sized_cells(1, (sizes[1],), ("physical",), depths=(DEPTH,)), first_seed + 500, what=measure_trainings
    )
    return Trial(dict(found), sizes, {name: again[name] for name in NETWORKS})


def slopes(trial: Trial) -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """Return slopes on europium's own scatter of every model, by depth and by size."""
    by_depth = {name: [trial.values(name, "own_slope", depth) for depth in DEPTHS] for name in NAMES}
    by_size = {name: [trial.values(name, "own_slope", size=size) for size in trial.sizes] for name in NAMES}
    return by_depth, by_size


def record_models(record: Record, trial: Trial) -> None:
    """Record what each model reaches, how far it follows europium, and what the audit says of that."""
    columns: dict[str, list[Any]] = {"model": list(NAMES)}
    columns["RMSE over error, no line"] = [trial.values(name, "rmse", 0.0).mean() for name in NAMES]
    columns["RMSE over error, 1 %"] = [trial.values(name, "rmse").mean() for name in NAMES]
    for heading, number in (("slope, own scatter", "own_slope"), ("slope, enhanced stars", "response")):
        columns[heading] = [spread(trial.values(name, number)) for name in NAMES]
    columns["the audit's slope"] = [spread(trial.values(name, "use_slope")) for name in NAMES]
    for heading, depth in (("uses it, no line", 0.0), ("uses it, 1 %", DEPTH)):
        columns[heading] = [_counts(trial.values(name, "used", depth)) for name in NAMES]
    formats = {"RMSE over error, no line": ".2f", "RMSE over error, 1 %": ".2f"}
    record.table("models", columns, formats=formats)
    for name in NAMES[1:]:
        key = key_of(name)
        for depth in DEPTHS:
            record.mean(f"slope_{key}_{round(1000 * depth)}", trial.values(name, "own_slope", depth))
        # Of so few surveys the scatter is not known; that of the smaller ones stands for it.
        few = trial.values(name, "own_slope", size=trial.sizes[-1])
        error = float(trial.values(name, "own_slope").std(ddof=1) / np.sqrt(len(few)))
        record(f"slope_{key}_large", float(few.mean()), uncertainty=error)
        record.mean(f"slope_{key}_empirical", trial.values(name, "own_slope", generator="empirical"))
        record.mean(f"rmse_{key}_0", trial.values(name, "rmse", 0.0))
        record.mean(f"rmse_{key}_10", trial.values(name, "rmse"))
    small, medium, large, largest = trial.sizes
    record.numbers(stars_small=small, stars_medium=medium, stars_large=large, stars_largest=largest)
    record.numbers(n_worlds=sum(map(len, trial.worlds.values())), n_each=len(trial.values("Lux", "rmse")))
    falsely = np.any([trial.values(name, "used", 0.0) == "yes" for name in NAMES], axis=0)
    record_share(record, "used_falsely", int(falsely.sum()), len(falsely))
    for key, within in (("use_follows", False), ("use_follows_within", True)):
        record(key, _follows(trial, within=within), digits=2)
    for depth in (0.0, DEPTH):
        record.mean(f"use_slope_labels_{round(1000 * depth)}", trial.values(LABELS_ONLY, "use_slope", depth))
    for name, slopes in trial.trainings.items():
        text = f"{np.mean(slopes):.3f} ± {np.std(slopes, ddof=1):.3f}"
        record(f"trainings_{key_of(name)}", float(np.mean(slopes)), text=text)
    record("n_trainings", len(slopes))


def _follows(trial: Trial, *, within: bool) -> float:
    """Return the correlation of the audit's slope with the true one, over all models and worlds.

    Within a model and a kind of world, it is of the deviations from their means.
    """
    groups = [
        np.array([[world[f"{name}: {slope}"] for slope in ("use_slope", "own_slope")] for world in worlds])
        for worlds in trial.worlds.values()
        for name in NAMES
        if name != "mean"
    ]
    pairs = np.concatenate([group - group.mean(axis=0) if within else group for group in groups])
    return float(np.corrcoef(pairs.T)[0, 1])


def record_default(record: Record, chapter: Chapter) -> None:
    """Record the errors of both networks beside those of Lux on the survey of the other chapters."""
    survey = chapter.survey()
    if chapter.quick:
        survey = survey[:_QUICK_DEFAULT].select_pixels(survey.pixels_within(WINDOWS))
    fitted = chapter.fitted(survey, 0.2)
    scores = {"Lux": score(fitted.prediction, fitted.test)}
    for name in NETWORKS:
        predicted = MODELS[name](fitted.train, chapter.seed).predict_labels(fitted.test)
        scores[name] = score(predicted, fitted.test)
    columns: dict[str, list[str]] = {"label": [label_name(name) for name in survey.label_names]}
    for name, found in scores.items():
        columns[f"RMSE, {name}"] = [f"{found[label].rmse.value:.3g}" for label in survey.label_names]
    for name in NETWORKS:
        ratios = [scores[name][label].rmse.value / scores["Lux"][label].rmse.value for label in survey.label_names]
        columns[f"{name} over Lux"] = [f"{ratio:.2f}" for ratio in ratios]
        record(f"default_worst_{key_of(name)}", max(ratios), digits=2)
    record.table("default", columns)
    record.numbers(default_train=fitted.train.n_stars, default_pixels=survey.n_pixels)


def plant_and_audit(chapter: Chapter, spectra: Survey, n_draws: int, first_seed: int) -> list[dict[str, Any]]:
    """Return what every model makes of europium that was planted in genuine spectra, a row for each draw and depth.

    Rows are those of `lux.controls.model_trial.measure_planted`. The quick profile looks at windows of some of the
    stars, the paper at all pixels.
    """
    if chapter.quick:
        spectra = spectra[:_QUICK_GENUINE].select_pixels(spectra.pixels_within(WINDOWS))
    chapter.record.numbers(genuine_stars=spectra.n_stars, genuine_pixels=spectra.n_pixels)
    size = (spectra.n_stars,)
    listed = sized_cells(n_draws, size, ("genuine",), depths=_GENUINE_DEPTHS, full_band=not chapter.quick)
    worlds = run(
        [replace(cell, seeds=n_draws) for cell in listed],
        # Seeds of the middle tau begin a thousand later.
        first_seed - 1000,
        what=functools.partial(measure_planted, spectra),
        code="from lux.controls.model_trial import measure_planted",
        parameters={"survey": spectra.digest()},
        shared=1,
    )
    return [row for world in worlds for row in world["rows"]]


def record_genuine(record: Record, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record how far each model follows europium that was planted in genuine spectra, beside what the flux has."""

    def values(name: str, number: str, depth: float) -> np.ndarray:
        return np.array([row[number] for row in rows if row["model"] == name and row["depth"] == depth])

    names = tuple(dict.fromkeys(row["model"] for row in rows))
    deepest, columns = _GENUINE_DEPTHS[-1], {"model": list(names)}
    columns["RMSE over error, no line"] = [f"{values(name, 'rmse', 0.0).mean():.2f}" for name in names]
    for depth in _GENUINE_DEPTHS:
        heading = f"slope, {100 * depth:g} %" if depth else "slope, no line"
        columns[heading] = [spread(values(name, "slope", depth)) for name in names]
    for depth in _GENUINE_DEPTHS[1:]:
        columns[f"the audit's slope, {100 * depth:g} %"] = [spread(values(name, "use_slope", depth)) for name in names]
        columns[f"uses it, {100 * depth:g} %"] = [_counts(values(name, "used", depth)) for name in names]
    record.table("genuine", columns)
    for name in names:
        for depth in _GENUINE_DEPTHS:
            record.mean(f"genuine_{key_of(name)}_{round(1000 * depth)}", values(name, "slope", depth))
    for depth in _GENUINE_DEPTHS[1:]:
        verdicts = values("Lux", "verdict", depth)
        hits = int(np.sum(verdicts == "known"))
        record(f"genuine_known_{round(1000 * depth)}", hits, text=f"{hits} of {len(verdicts)}")
    record("genuine_draws", len(verdicts))
    for key, which, depth in (("networks", NETWORKS, deepest), ("without", names, 0.0)):
        used = np.any([values(name, "used", depth) == "yes" for name in which], axis=0)
        record(f"genuine_used_{key}", int(used.sum()), text=f"{used.sum()} of {len(used)}")


@functools.cache
def full_trial() -> dict[str, Any]:
    """Return the tables of `lux.controls.network_tables`, as ``tools/full_trial.py --networks`` measured them."""
    return json.loads(files("lux_pages").joinpath(_FULL).read_text(encoding="utf-8"))


def record_techniques(record: Record) -> None:
    """Record how techniques tell worlds with lines of 1 % from worlds without, on Lux and on the networks."""
    about, depth = full_trial()["about"], f"{DEPTH:g}"
    columns: dict[str, list[Any]] = defaultdict(list)
    found = {(row["technique"], row["model"], row["generator"]): row for row in full_trial()["techniques"]}
    for technique in TECHNIQUES:
        for generator in GENERATORS:
            columns["technique"].append(HEADINGS[technique])
            columns["spectra"].append(generator)
            for model in PROBED:
                row = found[technique, model, generator]
                (area, low, high), power = row["area"][depth], row["power"][depth][0]
                columns[model].append(f"{area:.2f} ({low:.2f}–{high:.2f}), {power:.2f}, {_depth(row)}")
                key = f"{technique}_{key_of(model)}_{generator}"
                record(f"area_{key}", area, interval=(low, high), digits=2)
                record(f"power_{key}", power, digits=2)
                record(f"smallest_{key}", row["smallest_depth"][0] or 1.0, text=_depth(row))
    record.table("network_techniques", dict(columns))
    record.numbers(full_seeds=about["seeds"], full_worlds=about["worlds"], stars_of_trial=full_trial_stars())
    record("full_commit", about["commit"], text=about["commit"][:7])


def record_nonlinear(record: Record) -> None:
    """Record who finds lines that hardly grow, and lines of cool stars alone: slopes on europium's own scatter."""
    slopes = {(row["cell"], row["model"], row["number"]): row for row in full_trial()["slopes"]}
    uses = {(row["cell"], row["model"]): row["used"] for row in full_trial()["uses"]}
    kinds = {
        "lines of 1 %": sized_key(DEPTH, full_trial_stars(), GENERATORS[0]),
        **{name: name for name in NONLINEAR},
    }
    columns: dict[str, list[Any]] = {"model": list(NAMES)}
    for heading, cell in kinds.items():
        rows = [slopes[cell, name, "own_slope"] for name in NAMES]
        columns[f"{heading}: slope"] = [plus_minus(row["mean"], row["std"]) for row in rows]
        columns["used" if cell == kinds["lines of 1 %"] else f"used, {heading}"] = [
            f"{uses[cell, name].get('yes', 0)} of {row['n']}" for name, row in zip(NAMES, rows, strict=True)
        ]
        for name, row in list(zip(NAMES, rows, strict=True))[1:]:
            key = f"full_{key_of(name)}_{heading.split(' ')[0]}"
            record(key, row["mean"], uncertainty=row["std"] / np.sqrt(row["n"]))
    for heading, cell in (("lines of 1 %", kinds["lines of 1 %"]), ("cool stars", "cool stars")):
        rows = [slopes[cell, name, "own_slope_cool"] for name in NAMES]
        columns[f"{heading}: slope below {COOL:.0f} K"] = [plus_minus(row["mean"], row["std"]) for row in rows]
        for name, row in list(zip(NAMES, rows, strict=True))[1:]:
            key = f"full_below_{key_of(name)}_{heading.split(' ')[0]}"
            record(key, row["mean"], uncertainty=row["std"] / np.sqrt(row["n"]))
    record.table("nonlinear", columns)


def record_null(record: Record) -> None:
    """Record whether p-values of the use of europium are uniform where it has no line, by model."""
    # The second is the level at which the audit says that a model uses a label.
    levels = (0.05, AuditSettings().significance)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("model", *(f"p < {level:g}" for level in levels), "Kolmogorov–Smirnov p")
    }
    # A constant has no p-values.
    for model in NAMES[1:]:
        rows = [row for row in full_trial()["uses"] if row["model"] == model and not row["depth"]]
        p_values = np.array([p for row in rows for p in row["p_values"]])
        columns["model"].append(model)
        for level in levels:
            columns[f"p < {level:g}"].append(f"{np.sum(p_values < level)} of {len(p_values)}")
        if model == "PLS":
            small_of_pls = int(np.sum(p_values < levels[0])), len(p_values)
        columns["Kolmogorov–Smirnov p"].append(f"{kstest(p_values, 'uniform').pvalue:.2g}")
        for key, level in zip(("null", "null_strict"), levels, strict=True):
            record_share(record, f"{key}_{key_of(model)}", int(np.sum(p_values < level)), len(p_values))
        record_share(record, f"null_above_half_{key_of(model)}", int(np.sum(p_values > 0.5)), len(p_values))
    record.table("null_of_use", columns)
    record_share(record, "null_first_pls", *_EARLIER_NULLS[0])
    record_share(record, "null_all_pls", *np.sum([*_EARLIER_NULLS, small_of_pls], axis=0).tolist())


def full_trial_stars() -> int:
    """Return the number of stars of a survey of the full trial."""
    keys = {row["cell"] for row in full_trial()["slopes"]}
    return next(int(key.split("-")[-2]) for key in keys if key.endswith(GENERATORS[0]))


def _depth(row: Mapping[str, Any]) -> str:
    """Return the smallest depth found, in words."""
    value = row["smallest_depth"][0]
    return "none" if value is None else f"{100 * value:.2g} %"


def plus_minus(value: float, scatter: float) -> str:
    """Return a value with its scatter."""
    return f"{value + 0.0:.2f} ± {scatter:.2f}".replace("-0.00", "0.00").replace("-", "−")


def key_of(name: str) -> str:
    """Return what stands for a model in the keys of records."""
    return "less_noise" if name == LESS_NOISE else name.split(" ")[0].lower()


def spread(values: np.ndarray) -> str:
    """Return mean and standard deviation."""
    return plus_minus(float(values.mean()), float(values.std(ddof=1)))


def _counts(values: np.ndarray) -> str:
    return ", ".join(f"{np.sum(values == name)} {name}" for name in ("yes", "no", "cannot tell") if name in values)
