"""The noise in a network's training: what it decides of slopes, errors, and what techniques find."""

import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from lux.controls import sized_cells
from lux.controls.ensemble import GENERATORS
from lux.controls.model_trial import LINEAR, NETWORKS, NOISES, NOISES_INTERROGATED, NOISES_OF_MANY
from lux.controls.techniques import make_world
from lux.paper.record import Record
from lux.simulation.cramer_rao import best_slope
from lux_pages.networks import DEPTH, HEADINGS, QUICK_STARS, full_trial, key_of, spread

_TRIAL, _MANY = "noise_trial.json", "many_trial.json"
# In training, between which the errors of labels hardly differ.
_NOISES_ALIKE = (2.0, 4.0)


def record_noise(record: Record, first_seed: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Record errors and slopes of models by the noise in their training; return what the chapter draws.

    Beside the rows these are slopes of the prediction of least error for flux with so much noise added, of one physical
    survey: those of the other generator and of whole spectra have the same stars and the same lines.
    """
    rows = full_trial()["noise"]
    n_stars = QUICK_STARS if record.parameters["profile"] == "quick" else rows[0]["n_stars"]
    (cell,) = sized_cells(1, (n_stars,), ("physical",), depths=(DEPTH,))
    planted = make_world(cell, first_seed, first_seed).test
    best = {noise: best_slope(planted, noise) for noise in NOISES}
    for noise, slope in best.items():
        record(f"noise_best_{noise:g}", slope, digits=2)
    columns: dict[str, list[Any]] = defaultdict(list)
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row["generator"], row["full_band"], row["model"]].append(row)
    for (generator, full_band, model), found in by_kind.items():
        key = f"{key_of(model)}_{'whole' if full_band else 'windows'}_{generator}"
        errors = {row["noise"]: np.array(row["rmse_all"]) for row in found}
        columns["spectra"] += [f"{generator}, {'whole' if full_band else 'windows'}", "", ""]
        columns["model"] += [model, "", ""]
        columns["number"] += ["mean error", "error of [Eu/Fe]", "slope"]
        for row in found:
            noise, slopes = row["noise"], np.array(row["own_slope"])
            numbers = [f"{errors[noise].mean():.3f}", f"{np.mean(row['rmse']):.3f}", spread(slopes)]
            columns[f"noise {noise:g}"] += numbers
            record.mean(f"noise_slope_{key}_{noise:g}", slopes)
            record.mean(f"noise_error_{key}_{noise:g}", errors[noise])
            used = int(np.sum(np.array(row["used"]) == "yes"))
            record(f"noise_used_{key}_{noise:g}", used, text=f"{used} of {len(slopes)}")
        low, high = _NOISES_ALIKE
        europium = {row["noise"]: np.array(row["rmse"]) for row in found}
        for what, values in (("errors", errors), ("europium", europium)):
            record.mean(f"noise_{what}_differ_{key}", 100 * (values[high] / values[low] - 1), unit="%")
    columns["spectra"].append("")
    columns["model"].append("least error")
    columns["number"].append("slope")
    for noise, slope in best.items():
        columns[f"noise {noise:g}"].append(f"{slope:.2f}")
    record.table("noise_numbers", dict(columns))
    better = _linear_better(by_kind)
    record("noise_linear_better", int(better.sum()), text=f"{better.sum()} of {len(better)} surveys")
    counts = {row["full_band"]: len(row["own_slope"]) for row in rows}
    record.numbers(
        noise_stars=rows[0]["n_stars"], noise_surveys_windows=counts[False], noise_surveys_whole=counts[True]
    )
    return rows, list(best.values())


def _linear_better(by_kind: Mapping[tuple[str, bool, str], Sequence[Mapping[str, Any]]]) -> np.ndarray:
    """Return of each survey of whole spectra whether the linear regression is better there than the dense network.

    An array of booleans, of the surveys of one generator after those of the other. Better means that its errors of all
    labels and of europium are smaller and its slope is larger, at noise of three errors and of four.
    """
    better = []
    for generator in GENERATORS:
        linear, dense = (
            {row["noise"]: row for row in by_kind[generator, True, name]} for name in (LINEAR, NETWORKS[0])
        )
        signs = {"rmse_all": -1, "rmse": -1, "own_slope": 1}
        gains = [
            sign * (np.array(linear[noise][number]) - np.array(dense[noise][number]))
            for noise in (3.0, 4.0)
            for number, sign in signs.items()
        ]
        better.append(np.all(np.array(gains) > 0, axis=0))
    return np.concatenate(better)


@functools.cache
def noise_trial() -> dict[str, Any]:
    """Return the tables that ``tools/full_trial.py --training-noise`` measured."""
    return json.loads(files("lux_pages").joinpath(_TRIAL).read_text(encoding="utf-8"))


@functools.cache
def many_trial() -> dict[str, Any]:
    """Return the tables that ``tools/full_trial.py --many-stars`` measured."""
    return json.loads(files("lux_pages").joinpath(_MANY).read_text(encoding="utf-8"))


def record_many(record: Record) -> None:
    """Record slopes of models trained on many stars, by the noise in their training, beside those trained on fewer."""
    columns: dict[str, list[Any]] = defaultdict(list)
    many = many_trial()["noise"]
    fewer = [
        row
        for row in full_trial()["noise"]
        if not row["full_band"] and row["model"] in (NETWORKS[0], LINEAR) and row["noise"] in NOISES_OF_MANY
    ]
    by_kind = defaultdict(list)
    for row in (*fewer, *many):
        by_kind[row["generator"], row["model"], row["n_stars"]].append(row)
    for (generator, model, n_stars), rows in sorted(
        by_kind.items(), key=lambda item: (item[0][0] != "physical", item[0])
    ):
        columns["model, spectra"].append(f"{model}, {generator}")
        columns["stars"].append(n_stars)
        for row in rows:
            noisy = f", {np.mean(row['noisy_slope']):.2f}" if "noisy_slope" in row else ""
            columns[f"noise {row['noise']:g}"].append(spread(np.array(row["own_slope"])) + noisy)
    for row in many:
        key = f"{key_of(row['model'])}_{row['generator']}_{row['noise']:g}"
        record.mean(f"many_{key}", np.array(row["own_slope"]))
        record.mean(f"many_noisy_{key}", np.array(row["noisy_slope"]))
    record.table("noise_many", dict(columns))
    record.numbers(stars_many=many[0]["n_stars"], many_surveys=len(many[0]["own_slope"]))
    record("many_commit", many_trial()["about"]["commit"], text=many_trial()["about"]["commit"][:7])


def record_interrogated(record: Record) -> None:
    """Record what techniques find in the same surveys, by the noise in the training of the dense network."""
    about, rows = noise_trial()["about"], noise_trial()["techniques"]
    low, high = (f"{noise:g}" for noise in _NOISES_ALIKE)
    headings = {**HEADINGS, "own_slope": "true slope on own scatter"}
    columns: dict[str, list[Any]] = defaultdict(list)
    by_kind = {(row["technique"], row["generator"]): row for row in rows}
    for (technique, heading), generator in itertools.product(headings.items(), GENERATORS):
        row = by_kind[technique, generator]
        columns["technique"].append(heading)
        columns["spectra"].append(generator)
        for noise in NOISES_INTERROGATED:
            area, power = row["area"][f"{noise:g}"], row["power"][f"{noise:g}"][0]
            columns[f"noise {noise:g}"].append(f"{area[0]:.2f}, {power:.2f}")
            record(f"same_{technique}_{generator}_{noise:g}", area[0], interval=tuple(area[1:]), digits=2)
            record(f"same_power_{technique}_{generator}_{noise:g}", power, digits=2)
        lost, least, most = row["differs"][f"{low} - {high}"]
        columns[f"{low} less {high}"].append(f"{lost:+.2f} ({least:+.2f} to {most:+.2f})".replace("-", "−"))
        record(f"same_{technique}_{generator}_lost", lost, interval=(least, most), digits=2)
    record.table("noise_techniques", dict(columns))
    for generator in GENERATORS:
        for noise, slopes in by_kind["own_slope", generator]["slopes"].items():
            record.mean(f"same_slope_{generator}_{noise}", np.array(slopes))
    record.numbers(stars_same=rows[0]["n_stars"], same_surveys=len(rows[-1]["slopes"][low]))
    record("noise_commit", about["commit"], text=about["commit"][:7])
