"""The trial on whole spectra, and with each survey's own richest star, beside the grid of `lux_pages.trial`.

Measured by ``tools/full_trial.py --whole``; its tables are kept in a file beside this module.
"""

from typing import Any

import numpy as np

from lux.controls.ensemble import GENERATORS
from lux.controls.techniques import STATEMENTS, TECHNIQUES
from lux.paper.record import Record
from lux_pages.trial import (
    DEPTH,
    FALSE,
    N_PUBLISHED,
    SHOWN,
    FullTrial,
    area_and_powers,
    record_missed,
    record_share,
    total,
)

SOURCE = "whole_trial.json"


def record_whole(record: Record, found: FullTrial, whole: FullTrial) -> None:
    """Record the trial on whole spectra beside that on windows, and the doppelganger test with surveys' own stars."""
    (n_stars,) = {row["n_stars"] for row in whole.rows("scores")}
    columns: dict[str, list[str]] = {"technique": [TECHNIQUES[name].name for name in SHOWN]}
    record("whole_seeds", whole.about["seeds"])
    record("whole_commit", whole.about["commit"], text=whole.about["commit"][:7])
    for generator in GENERATORS:
        for heading, trial in (("windows", found), ("whole", whole)):
            rows = [trial.score(name, n_stars, generator) for name in SHOWN]
            columns[f"{generator}, {heading}"] = [area_and_powers(row) for row in rows]
        for key, as_read in (("missed", False), ("missed_as_read", True)):
            record_missed(record, f"{key}_whole_{generator}", whole.missed(n_stars, generator, as_read=as_read))
        record(f"near_whole_{generator}", len(whole.near(n_stars, generator)))
        uses = {row["name"]: row for row in whole.rows("uses", generator=generator, depth=DEPTH)}
        for name in ("response", "own_slope", "own_slope_published", "bound"):
            record(f"{name}_whole_{generator}", uses[name]["mean"], uncertainty=uses[name]["error"])
        value, low, high = whole.score("line_match", n_stars, generator)["power"]
        record(f"line_match_whole_{generator}", value, interval=(low, high), text=f"{value:.1f}")
        n_seeds = whole.about["seeds"]
        share = whole.score("shap_own", n_stars, generator)["power"][0]
        record_share(record, f"shap_own_whole_{generator}", round(share * n_seeds), n_seeds)
    for how, verdict in (("told", "known"), ("blind", "proxy")):
        planted, without = (whole.verdicts(how == "told", (depth,)) for depth in (DEPTH, 0.0))
        record_share(record, f"{how}_{verdict}_whole", planted.get(verdict, 0), total(planted))
        record_share(record, f"false_{how}_whole", sum(without.get(name, 0) for name in FALSE), total(without))
    record.table("whole", columns)
    _record_statements(record, whole)
    _record_own_stars(record, found, whole)


def record_map(record: Record, found: FullTrial, whole: FullTrial, learned: FullTrial) -> None:
    """Record what the flux holds, what Lux and PLS make of it and what is missed, in windows and in whole spectra.

    `learned` is the trial of `lux_pages.learning`, where PLS was fitted.
    """
    (n_stars,) = {row["n_stars"] for row in whole.rows("scores")}
    columns: dict[str, list[str]] = {}
    for trial, full_band in ((found, False), (whole, True)):
        for generator in GENERATORS:
            about = {"generator": generator, "n_stars": n_stars}
            verdicts = trial.verdicts(True, (DEPTH,), **about)
            ours, published = (
                trial.row("uses", name=name, depth=DEPTH, **about) for name in ("own_slope", "own_slope_published")
            )
            wanted = {"generator": generator, "full_band": full_band, "depth": DEPTH, "model": "PLS", "stars": "all"}
            slopes = np.array([row["own_slope"] for row in learned.rows("others", **wanted)])
            said = {
                "spectra": f"{'whole' if full_band else 'windows'}, {generator}",
                "known, told": f"{verdicts.get('known', 0)} of {total(verdicts)}",
                "slope, Lux": f"{ours['mean']:.2f} ± {ours['error']:.2f}",
                "slope, published recipe": f"{published['mean']:.2f} ± {published['error']:.2f}",
                "slope, PLS": f"{slopes.mean():.2f} ± {slopes.std(ddof=1) / np.sqrt(len(slopes)):.2f}",
                **{
                    heading: f"{len(trial.missed(n_stars, generator, as_read=as_read))} of {N_PUBLISHED}"
                    for heading, as_read in (("missed, as read", True), ("missed, either way", False))
                },
            }
            for heading, text in said.items():
                columns.setdefault(heading, []).append(text)
    record.table("where", columns)


def _record_statements(record: Record, whole: FullTrial) -> None:
    """Record how often each statement of the study would be made of whole spectra, without lines and with them."""
    columns: dict[str, list[str]] = {"statement": list(STATEMENTS.values())}
    for generator in GENERATORS:
        for depth in (0.0, DEPTH):
            rows = [whole.row("statements", statement=name, generator=generator, depth=depth) for name in STATEMENTS]
            counts = [f"{row['count']} of {row['total']}" for row in rows]
            columns[f"{100 * depth:g} %, {generator}" if depth else f"no line, {generator}"] = counts
            row = whole.row("statements", statement="mig_lowest", generator=generator, depth=depth)
            key = f"mig_lowest_{round(1000 * depth)}_whole_{generator}"
            record(key, row["count"], text=f"{row['count']} of {row['total']}")
    record.table("whole_statements", columns)


def _record_own_stars(record: Record, found: FullTrial, whole: FullTrial) -> None:
    """Record the power of the doppelganger test with a star that it is lent, and with the survey's own richest."""
    columns: dict[str, list[Any]] = {"spectra": [], "stars": [], "a star it is lent": [], "its own richest": []}
    for row in whole.rows("own_star", depth=DEPTH):
        generator, n_stars = row["generator"], row["n_stars"]
        lent = found.score("doppelganger", n_stars, generator)
        columns["spectra"].append(generator)
        columns["stars"].append(n_stars)
        for heading, each in (("a star it is lent", lent), ("its own richest", row)):
            value, low, high = each["power"]
            columns[heading].append(f"{value:.2f} ({low:.2f}–{high:.2f})")
        record_missed(record, f"missed_own_{n_stars}_{generator}", found.missed(n_stars, generator, own_star=row))
    record.table("own_star", columns)
