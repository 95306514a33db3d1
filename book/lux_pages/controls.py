"""Numbers and tables of the chapter on controls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lux.auditing.report import VERDICTS
from lux.controls.ensemble import (
    BESIDES,
    DEPTH_BESIDE,
    GENERATORS,
    SIZES,
    TAUS,
    WINDOWS,
    beside_key,
    depth_key,
    sized_key,
)
from lux.controls.runner import SHARED
from lux.controls.scoreboard import LINE_DEPTHS, Scoreboard
from lux.controls.scores import OPTIMAL_SIGNIFICANCE
from lux.controls.techniques import TECHNIQUES
from lux.paper.record import Record
from lux.paper.setup import default_survey
from lux.statistics import Estimate
from lux_pages.trial import record_share

# True labels, and a star of a larger survey; others are told the lines.
_HELPED = ("response", "doppelganger")
_SHOWN_DEPTHS = (0.003, 0.01, 0.03)
# Techniques whose areas the text quotes: with something else planted, and with lines beside it.
_QUOTED_ELSEWHERE = ("partial_inferred", "unique", "probe_ours", "response", "stack_maximum")
_QUOTED_BESIDE = ("response", "partial_inferred", "jacobian", "audit_lines", "matched_filter", "ablation")
_BY_SCATTER = ("rmse", "shap_own", "probe", "response", "jacobian", "partial_inferred", "matched_filter", "audit_lines")
# Key, kind of world, and the verdicts that count.
_RATES = (
    ("known_leaked", "lines at 5σ or more", ("leaked",)),
    ("weak_guessed", "weaker lines", ("guessed",)),
    ("false_verdicts", "no line", ("known", "proxy")),
    ("known_rate", "lines at 5σ or more", ("known",)),
    ("five_sigma_rate", "lines at about 5σ", ("known",)),
    ("proxy_rate", "proxy", ("proxy",)),
    ("leak_rate", "leak", ("leaked",)),
    ("artefact_rate", "artefact", ("artefact",)),
    ("lines_and_leak", "lines and leak", ("leaked",)),
    ("lines_and_proxy", "lines and proxy", ("known",)),
    ("lines_and_artefact", "lines and artefact", ("known",)),
)
# What the audit was to reach, set before it was tried: key of the rate, what it is of, and the goal.
_GOALS = (
    ("false_verdicts", "no line, called known or a proxy", "at most 5 %"),
    ("known_rate", "lines at 5σ or more, called known", "90 %"),
    ("known_leaked", "lines at 5σ or more, called leaked", ""),
    ("five_sigma_rate", "lines at about 5σ, called known", "90 %"),
    ("proxy_rate", "proxy, called a proxy", "80 %"),
    ("leak_rate", "leak, called leaked", "95 %"),
    ("artefact_rate", "artefact, called an artefact", "80 %"),
    ("lines_and_proxy", "lines and a proxy, called known", ""),
    ("lines_and_leak", "lines and a leak, called leaked", ""),
    ("lines_and_artefact", "lines and an artefact, called known", ""),
)


def names(techniques: Sequence[str] = tuple(TECHNIQUES)) -> list[str]:
    """Return the names of techniques for readers, of all by default."""
    return [TECHNIQUES[technique].name for technique in techniques]


def marked_names(techniques: Sequence[str]) -> list[str]:
    """Return the names of techniques, with a dagger where one is given more than spectra and catalogue."""
    helped = {*_HELPED, *(name for name in techniques if TECHNIQUES[name].told)}
    return [f"{TECHNIQUES[name].name}{' †' * (name in helped)}" for name in techniques]


def record_ensemble(record: Record, board: Scoreboard, n_seeds: Sequence[int], first_seed: int) -> None:
    """Record the size of what is executed here, and the table of the techniques."""
    example = default_survey("synthetic", n_stars=10, seed=first_seed, wavelength_range=WINDOWS)
    record.numbers(n_worlds=len(board.worlds), pixels_per_world=example.n_pixels, shared=SHARED)
    record.numbers(stars_small=SIZES[0], stars_medium=SIZES[1], stars_large=SIZES[2])
    record.numbers(seeds_per_cell=n_seeds[0], seeds_beside=n_seeds[1])
    columns = {
        "technique": names(),
        "its number": [technique.scalar for technique in TECHNIQUES.values()],
        "asks": [technique.asks for technique in TECHNIQUES.values()],
        "told the lines": ["yes" if technique.told else "" for technique in TECHNIQUES.values()],
        "published": ["yes" if technique.published else "" for technique in TECHNIQUES.values()],
    }
    record.table("techniques", columns)
    record("tau", TAUS[1], unit="dex", digits=1)


def record_observer(record: Record, board: Scoreboard) -> None:
    """Record what the optimal observer needs, in a sample and in one star."""
    record("optimal_sigma", OPTIMAL_SIGNIFICANCE, digits=3)
    record.numbers(unit="%", digits=2, bound_depth=100 * board.optimal_depth(), star_depth=100 * board.star_depth)


def record_scores(record: Record, board: Scoreboard) -> None:
    """Record how well each technique tells worlds with lines from worlds without."""
    found = board.techniques
    columns: dict[str, list[Any]] = {"technique": names()}
    for depth in _SHOWN_DEPTHS:
        columns[f"area, {100 * depth:g} %"] = [each.at(depth).auc for each in found.values()]
    columns["power, 1 %"] = [each.at(0.01).power for each in found.values()]
    smallest = [each.smallest_depth for each in found.values()]
    columns["depth found (%)"] = [_with_range(each, 0.01) or "> 10" for each in smallest]
    columns["over the sample's bound"] = [_with_range(each, board.optimal_depth()) for each in smallest]
    columns["over one star's"] = [_with_range(each, board.star_depth) for each in smallest]
    record.table("scores", columns)
    for key, technique in (("audit_over_bound", "audit_lines"), ("filter_over_bound", "matched_filter")):
        record(key, found[technique].smallest_depth.value / board.optimal_depth(), digits=2)
    for name in _QUOTED_ELSEWHERE:
        for cell, score in zip(BESIDES, found[name].elsewhere, strict=True):
            record(f"auc_{name}_{cell}", score.auc.value, digits=2)


def others_alt(areas: Mapping[str, Sequence[float]]) -> str:
    """Return what the matrix of small surveys shows, in words."""
    place = LINE_DEPTHS.index(0.01)
    shown = {technique: f"{found[place]:.2f}" for technique, found in areas.items()}
    return (
        "Matrix of areas under ROC curves, techniques against depths of planted lines. At lines of 1 per cent RMSE has "
        f"{shown['rmse']}, the gap {shown['mig']} and the share of europium's own latent {shown['shap_own']}; the "
        f"matched filter, the Jacobian and the audit have {shown['matched_filter']}, {shown['jacobian']} and "
        f"{shown['audit_lines']}."
    )


def power_alt(powers: Mapping[str, np.ndarray]) -> str:
    """Return what the figure of powers shows, in words."""
    low, high = (f"{100 * LINE_DEPTHS[place]:g} per cent" for place in (1, -1))
    return (
        "Power at five per cent of false alarms against line depth. The audit at its own lines and the matched filter "
        f"come nearest to the optimal observer and reach {powers['audit_lines'][1]:.2f} and "
        f"{powers['matched_filter'][1]:.2f} at {low}; RMSE has {powers['rmse'][1]:.2f} there and "
        f"{powers['rmse'][-1]:.2f} at {high}."
    )


def _with_range(found: Estimate, unit: float) -> str:
    """Return an estimate in some unit with its interval in brackets, or nothing if it is infinite."""
    if not np.isfinite(found.value):
        return ""
    value, low, high = (f"{each / unit:.2g}".replace("inf", "∞") for each in (found.value, *found.interval))
    return f"{value} ({low}–{high})"


def record_again(record: Record, board: Scoreboard, n_stars: int) -> None:
    """Record areas at lines of 1 % in the largest surveys, as executed here, by generator."""
    columns: dict[str, list[Any]] = {"technique": names()}
    for generator in GENERATORS:
        cells = [sized_key(depth, n_stars, generator) for depth in (0.01, 0.0)]
        scores = [board.score(technique, *cells) for technique in TECHNIQUES]
        columns[f"area, {generator}"] = [score.auc for score in scores]
    record("stars_again", n_stars)
    record.table("again", columns)


def record_scatter(record: Record, board: Scoreboard) -> None:
    """Record the smallest depth that is found, for each scatter of europium."""
    columns: dict[str, list[str]] = {"technique": [*names(_BY_SCATTER), "optimal observer"]}
    for tau in TAUS:
        smallest = [board.smallest_depth(technique, tau) for technique in _BY_SCATTER]
        optimal = board.optimal_depth(tau)
        shown = f"{100 * optimal:.2g}" if np.isfinite(optimal) else "> 10"
        columns[f"τ = {tau:g}"] = [*(_with_range(each, 0.01) or "> 10" for each in smallest), shown]
    record.table("scatter", columns)


def record_besides(record: Record, board: Scoreboard) -> None:
    """Record whether techniques still find lines when something else is planted in both kinds of worlds."""
    cells = {"nothing": (depth_key(DEPTH_BESIDE), depth_key(0.0))}
    cells |= {name: (beside_key(name, DEPTH_BESIDE), name) for name in BESIDES}
    columns: dict[str, list[Any]] = {"technique": names()}
    for name, (planted, without) in cells.items():
        areas = {technique: board.score(technique, planted, without).auc for technique in TECHNIQUES}
        columns[f"beside {name}"] = list(areas.values())
        for technique in _QUOTED_BESIDE:
            record(f"beside_{name}_{technique}", areas[technique].value, digits=2)
    record.table("besides", columns)
    for name in ("nothing", "proxy", "artefact"):
        record(f"lines_beside_{name}", np.mean(board.numbers(cells[name][0], "audit_lines")), digits=2)


def record_verdicts(record: Record, board: Scoreboard) -> None:
    """Record the verdicts of the audit by what was planted."""
    groups = board.groups
    columns: dict[str, list] = {"world": list(groups), "worlds": [len(worlds) for worlds in groups.values()]}
    for verdict in VERDICTS:
        columns[verdict] = [sum(world["verdict"] == verdict for world in worlds) for worlds in groups.values()]
    record.table("confusion", columns)
    reached: dict[str, str] = {}
    groups["weak"] = board.cells[depth_key(0.003)]
    for key, kind, verdicts in (("known_weak", "weak", ("known",)), *_RATES):
        hits, total = sum(world["verdict"] in verdicts for world in groups[kind]), len(groups[kind])
        reached[key] = record_share(record, key, hits, total)
    worlds, goals = zip(*((what, goal or "none set") for _, what, goal in _GOALS), strict=True)
    record.table("wanted", {"world": worlds, "goal": goals, "reached": [reached[key] for key, _, _ in _GOALS]})


def record_calibration(record: Record, board: Scoreboard) -> None:
    """Record the audit's significance at lines over the optimal observer's, and what it is where there is nothing."""
    edge, nothing = board.groups["lines at about 5σ"], board.groups["no line"]
    record("five_sigma_bound", np.mean([world["bound"] for world in edge]), digits=2)
    record.mean("efficiency", np.array([world["audit_lines"] / world["bound"] for world in edge]))
    for key, technique in (("null_lines", "audit_lines"), ("null_features", "audit_features")):
        values = np.array([world[technique] for world in nothing])
        record.mean(f"{key}_mean", values)
        record(f"{key}_scatter", values.std(), uncertainty=values.std() / np.sqrt(2 * len(values)))
