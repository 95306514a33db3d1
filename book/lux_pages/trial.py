"""The dense grid of the trial, `tools/full_trial.py`, as the chapter on controls and other pages show it.

The grid takes half an hour on two cores, so that its tables are kept in a file beside this module; the chapter
re-executes a part of it.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from lux.controls.ensemble import GENERATORS, SIZES
from lux.controls.scores import fraction
from lux.controls.techniques import STATEMENTS, TECHNIQUES
from lux.paper.record import Record

SOURCE, _RECIPES = "full_trial.json", "recipe_trial.json"
# Of an earlier round, 900000 on: large physical surveys without a line whose verdict was false, of how many.
_EARLIER_FALSE = (7, 58)
# Of the three rounds before this one, 910000, 920000 and 930000 on: the same of both generators, told the lines.
_LAST_FALSE = ((8, 200), (8, 200), (6, 200))
# What the prose is about: lines of 1 % per standard deviation of [Eu/Fe].
DEPTH = 0.01
# So deep that they are a strong feature of a small survey.
_DEEP = 0.03
_PUBLISHED = tuple(name for name, technique in TECHNIQUES.items() if technique.published)
N_PUBLISHED = len(_PUBLISHED)
# Of the headline figure.
SHOWN = (
    *_PUBLISHED, "response", "jacobian", "partial_inferred", "matched_filter", "audit_lines", "audit_any",
    "audit_features",
)  # fmt: skip
# Of the published recipe varied.
_VARIED = ("rmse", "mig", "shap_own", "probe", "line_match")
_VARIED_STATEMENTS = {
    "rmse_comparable": "RMSE near the catalogue's, without and with lines",
    "mig_lowest": "lowest gap, without and with lines",
    "shap_elsewhere": "dominant latent of another label, without and with lines",
}
FALSE = ("known", "proxy")
_Row = dict[str, Any]


class FullTrial:
    """The tables of `lux.controls.trial_tables.trial_tables`, looked up by generator, size and depth.

    Those of windows by default, or those of whole spectra and of the surveys' own richest stars, from
    `lux_pages.whole_spectra.SOURCE`.
    """

    def __init__(self, source: str = SOURCE) -> None:
        content = json.loads(files("lux_pages").joinpath(source).read_text(encoding="utf-8"))
        self.about: dict[str, Any] = content.pop("about")
        self.tables: dict[str, list[_Row]] = content

    def rows(self, table: str, **wanted: Any) -> list[_Row]:
        """Return the rows of a table that have some values."""
        return [row for row in self.tables[table] if all(row[name] == value for name, value in wanted.items())]

    def row(self, table: str, **wanted: Any) -> _Row:
        """Return the one row that has some values."""
        (found,) = self.rows(table, **wanted)
        return found

    def score(self, technique: str, n_stars: int, generator: str, depth: float = DEPTH, **wanted: Any) -> _Row:
        """Return area, power and reverse power, each (value, low, high)."""
        about = {"technique": technique, "n_stars": n_stars, "generator": generator, "depth": depth}
        return self.row("scores", **about, **wanted)

    @cached_property
    def depths(self) -> list[float]:
        """Depths of lines of which there are verdicts in the largest surveys."""
        return sorted({row["depth"] for row in self.rows("verdicts", n_stars=self.largest)})

    @cached_property
    def largest(self) -> int:
        """Stars of the largest surveys of which both generators have all depths."""
        return max(SIZES)

    def missed(
        self, n_stars: int, generator: str, depth: float = DEPTH, *, as_read: bool = False, own_star: _Row | None = None
    ) -> list[str]:
        """Return the published statistics that miss lines more often than not, whichever sign counts as knowledge.

        `as_read`: a large number alone counts as knowledge, as the study read it. `own_star`: powers of the
        doppelganger test with a star of the survey, to count in place of those with the star that it was lent.
        """
        scores = {name: self.score(name, n_stars, generator, depth) for name in _PUBLISHED}
        scores |= {"doppelganger": own_star} if own_star else {}
        return [name for name, row in scores.items() if (row["power"][0] if as_read else _best(row)) < 0.5]

    def near(self, n_stars: int, generator: str) -> list[str]:
        """Return the published statistics of which the interval of the power, in either direction, holds one half."""
        return [name for name in _PUBLISHED if _holds_half(self.score(name, n_stars, generator))]

    def verdicts(self, told: bool, depths: Iterable[float] | None = None, **wanted: Any) -> dict[str, int]:
        """Return how often each verdict was given, at some depths (all by default)."""
        counts: dict[str, int] = {}
        for row in self.rows("verdicts", told=told, **wanted):
            if depths is None or row["depth"] in depths:
                counts[row["verdict"]] = counts.get(row["verdict"], 0) + row["count"]
        return counts


def record_recipes(record: Record) -> None:
    """Record what the published recipe's choices do to its statistics and statements, from `tools/full_trial.py`."""
    content = json.loads(files("lux_pages").joinpath(_RECIPES).read_text(encoding="utf-8"))
    rows = content["recipes"]
    columns: dict[str, list[str]] = {"recipe": [], "spectra": []}
    columns |= {f"{TECHNIQUES[name].name}, area": [] for name in _VARIED}
    columns |= {heading: [] for heading in _VARIED_STATEMENTS.values()}
    for recipe, generator in dict.fromkeys((row["recipe"], row["generator"]) for row in rows):
        mine = [row for row in rows if (row["recipe"], row["generator"]) == (recipe, generator)]
        areas = {row["statistic"]: row["area"] for row in mine if "statistic" in row}
        true = {row["statement"]: row for row in mine if "statement" in row}
        columns["recipe"].append(recipe)
        columns["spectra"].append(generator)
        key = f"{re.sub('[^a-z0-9]+', '_', recipe)}_{generator}"
        for name in _VARIED:
            value, low, high = areas[name]
            text = f"{value:.2f} ({low:.2f}–{high:.2f})"
            columns[f"{TECHNIQUES[name].name}, area"].append(text)
            record(f"recipe_{name}_{key}", value, interval=(low, high), text=f"{value:.2f}")
        for name, heading in _VARIED_STATEMENTS.items():
            without, planted = true[name]["true"]
            columns[heading].append(f"{without} and {planted} of {true[name]['of']}")
            record(f"recipe_{name}_{key}", columns[heading][-1])
    record("recipe_seeds", content["about"]["seeds"])
    record.table("recipes", columns)


def total(counts: dict[str, int]) -> int:
    """Return the number of verdicts."""
    return sum(counts.values())


def _best(row: _Row) -> float:
    """Return the power of whichever sign serves better."""
    return max(row["power"][0], row["reverse"][0])


def _falls(row: _Row) -> bool:
    """Return whether the sign that serves better is that of a number which lines lower."""
    return bool(row["reverse"][0] > row["power"][0])


def _holds_half(row: _Row) -> bool:
    """Return whether the interval of the power, of whichever sign serves better, holds one half."""
    _, low, high = max(row["power"], row["reverse"])
    return bool(low <= 0.5 <= high)


def headline(found: FullTrial, whole: FullTrial, techniques: Sequence[str]) -> dict[str, Any]:
    """Return what `lux.figures.controls.size_matrix` draws of techniques at lines of `DEPTH`.

    The columns are windows by size, then whole spectra of the largest size, one generator after the other.
    """
    kinds = [*((found, n_stars) for n_stars in SIZES), (whole, max(SIZES))]
    places = [(*kind, generator) for generator in GENERATORS for kind in kinds]
    rows = [[trial.score(name, n_stars, generator) for trial, n_stars, generator in places] for name in techniques]
    return {
        "groups": GENERATORS,
        "columns": [*map(str, SIZES), "whole"],
        "areas": np.array([[row["area"][0] for row in line] for line in rows]),
        "powers": np.array([[_best(row) for row in line] for line in rows]),
        "falls": np.array([[_falls(row) for row in line] for line in rows]),
    }


def noticed(found: FullTrial, names: Sequence[str]) -> dict[str, Any]:
    """Return what `book/scripts/noticed.js` shows: powers in per cent, by generator, size, depth and technique.

    A power is that of whichever sign serves better; `falls` says where that is the sign of a number which lines lower.
    """
    depths = sorted({row["depth"] for row in found.rows("scores")})
    rows = [
        [[[found.score(name, size, generator, depth) for name in SHOWN] for depth in depths] for size in SIZES]
        for generator in GENERATORS
    ]
    told = [{"name": name, "published": TECHNIQUES[key].published} for name, key in zip(names, SHOWN, strict=True)]
    return {
        "techniques": told,
        "generators": list(GENERATORS),
        "sizes": list(SIZES),
        "depths": [round(100 * depth, 2) for depth in depths],
        "power": _each(rows, lambda row: round(100 * _best(row))),
        "falls": _each(rows, _falls),
    }


def _each(rows: list[Any], value: Callable[[_Row], Any]) -> list[Any]:
    return [_each(row, value) if isinstance(row, list) else value(row) for row in rows]


def headline_alt(found: FullTrial, whole: FullTrial) -> str:
    """Return what the headline figure shows, in words."""
    said = []
    for generator in GENERATORS:
        for name in ("rmse", "shap_own", "audit_lines"):
            places = ((found, min(SIZES)), (found, max(SIZES)), (whole, max(SIZES)))
            small, large, full = (trial.score(name, n_stars, generator)["area"][0] for trial, n_stars in places)
            said.append(f"{TECHNIQUES[name].name} {small:.2f}, {large:.2f} and {full:.2f}")
    half = len(said) // 2
    return (
        "Two matrices, of areas under ROC curves and of powers, techniques against kinds of survey on two generators. "
        f"Areas in the smallest and largest surveys of windows, and in whole physical spectra: {'; '.join(said[:half])}"
        ". "
        f"On empirical spectra: {'; '.join(said[half:])}."
    )


def record_grid(record: Record, found: FullTrial) -> None:
    """Record what the grid is, and how many published statistics miss lines in it."""
    about = found.about
    minutes = round(about["seconds"] / 60)
    record.numbers(grid_worlds=about["worlds"], grid_minutes=minutes, grid_largest=found.largest)
    record("grid_date", about["date"], text=about["date"])
    record("grid_commit", about["commit"], text=about["commit"][:7])
    record("n_published", N_PUBLISHED)
    record("earlier_false", _EARLIER_FALSE[0], text="{} of {}".format(*_EARLIER_FALSE))
    for depth in (DEPTH, _DEEP):
        for key, name in (("any_line", "audit_any"), ("features", "audit_features")):
            power = found.score(name, min(SIZES), "physical", depth)["power"]
            record(f"{key}_{round(1000 * depth)}", power[0], interval=(power[1], power[2]), text=f"{power[0]:.2f}")
    for key, counts in zip(("last_false", "recent_false", "latest_false"), _LAST_FALSE, strict=True):
        record(key, counts[0], text="{} of {}".format(*counts))
    for generator in GENERATORS:
        for n_stars in SIZES:
            for key, as_read in (("missed", False), ("missed_as_read", True)):
                missed = found.missed(n_stars, generator, as_read=as_read)
                record_missed(record, f"{key}_{n_stars}_{generator}", missed)
            record(f"near_{n_stars}_{generator}", len(found.near(n_stars, generator)))
            uses = {row["name"]: row for row in found.rows("uses", n_stars=n_stars, generator=generator, depth=DEPTH)}
            for name in ("response", "own_slope", "own_slope_published"):
                row = uses[name]
                record(f"{name}_{n_stars}_{generator}", row["mean"], uncertainty=row["error"])


def record_missed(record: Record, key: str, missed: Sequence[str]) -> None:
    """Record how many of the published statistics miss the lines."""
    record(key, len(missed), text=f"{len(missed)} of {N_PUBLISHED}")


def record_scores(record: Record, found: FullTrial) -> None:
    """Record area, power and reverse power at each size, a table a generator, and what each number follows."""
    for generator in GENERATORS:
        columns: dict[str, list[str]] = {
            "technique": [technique.name for technique in TECHNIQUES.values()],
            "asks": [f"{technique.asks}{', told' if technique.told else ''}" for technique in TECHNIQUES.values()],
        }
        for n_stars in SIZES:
            rows = [found.score(name, n_stars, generator) for name in TECHNIQUES]
            columns[f"{n_stars} stars"] = [area_and_powers(row) for row in rows]
        follows = [
            found.row("follows", technique=name, n_stars=found.largest, generator=generator) for name in TECHNIQUES
        ]
        columns["follows use"] = [f"{row['correlation']:.2f}" for row in follows]
        record.table(f"trial_{generator}", columns)
    for name in TECHNIQUES:
        for generator in GENERATORS:
            row = found.score(name, found.largest, generator)
            for key in ("area", "power", "reverse"):
                value, low, high = row[key]
                record(f"{key}_{name}_{generator}", value, interval=(low, high), text=f"{value:.2f}")


def area_and_powers(row: _Row) -> str:
    """Return the text of a score: area (power/power the other way round)."""
    return f"{row['area'][0]:.2f} ({row['power'][0]:.2f}/{row['reverse'][0]:.2f})"


def record_nulls(record: Record, found: FullTrial) -> None:
    """Record mean, standard deviation and skewness of every number where there is no line, in the largest surveys."""
    columns: dict[str, list[Any]] = {"technique": [technique.name for technique in TECHNIQUES.values()]}
    for generator in GENERATORS:
        rows = [found.row("nulls", technique=name, n_stars=found.largest, generator=generator) for name in TECHNIQUES]
        for key, heading in (("mean", "mean"), ("std", "standard deviation"), ("skew", "skewness")):
            columns[f"{heading}, {generator}"] = [row[key] for row in rows]
    record.table("nulls", columns, formats={name: ".2f" for name in columns if name != "technique"})


def record_statements(record: Record, found: FullTrial) -> None:
    """Record how often each statement of the study would be made, without lines and with lines of three depths."""
    columns: dict[str, list[str]] = {"statement": list(STATEMENTS.values())}
    for generator in GENERATORS:
        for depth in found.depths:
            about = {"n_stars": found.largest, "generator": generator, "depth": depth}
            rows = {name: found.row("statements", statement=name, **about) for name in STATEMENTS}
            heading = f"{100 * depth:g} %" if depth else "no line"
            columns[f"{heading}, {generator}"] = [f"{100 * row['share'][0]:.0f} %" for row in rows.values()]
            for name, row in rows.items():
                value, low, high = (100 * each for each in row["share"])
                key = f"{name}_{round(1000 * depth)}_{generator}"
                record(key, value, unit="%", interval=(low, high), text=f"{value:.0f} %")
            ratio = found.row("uses", name="rmse_over_mean", **about)
            record(f"rmse_over_mean_{round(1000 * depth)}_{generator}", ratio["mean"], uncertainty=ratio["error"])
    record.table("statements", columns)


def record_verdicts(record: Record, found: FullTrial) -> None:
    """Record how often the audit is false without a line, by size, and right with lines, told them and blind."""
    for how in ("told", "blind"):
        for n_stars in SIZES:
            counts = found.verdicts(how == "told", (0.0,), n_stars=n_stars)
            hits, total = sum(counts.get(name, 0) for name in FALSE), sum(counts.values())
            record_share(record, f"false_{how}_{n_stars}", hits, total)
    for generator in GENERATORS:
        for how, verdict in (("told", "known"), ("blind", "proxy")):
            counts = found.verdicts(how == "told", (DEPTH,), n_stars=found.largest, generator=generator)
            record_share(record, f"{how}_{verdict}_{generator}", counts.get(verdict, 0), sum(counts.values()))


def record_share(record: Record, key: str, hits: int, total: int) -> str:
    """Record a count of a total with its 95 % interval in per cent, and return it as text."""
    share = fraction(hits, total, 0.95)
    low, high = 100 * share.low, 100 * share.high
    text = f"{hits} of {total} ({low:.1f}–{high:.1f} %)"
    record(key, 100 * share.value, unit="%", interval=(low, high), text=text)
    return text


def record_uses(record: Record, found: FullTrial) -> None:
    """Record how far predictions follow europium, by size, depth and generator."""
    columns: dict[str, list[Any]] = {"spectra": [], "stars": [], "lines": []}
    headings = {
        "bound": "optimal observer (σ)",
        "response": "enhanced stars",
        "own_slope": "own scatter",
        "response_published": "enhanced stars, published recipe",
        "own_slope_published": "own scatter, published recipe",
    }
    columns |= {heading: [] for heading in headings.values()}
    for generator in GENERATORS:
        for n_stars in SIZES:
            for depth in found.depths:
                columns["spectra"].append(generator)
                columns["stars"].append(n_stars)
                columns["lines"].append(f"{100 * depth:g} %" if depth else "none")
                for name, heading in headings.items():
                    row = found.row("uses", name=name, generator=generator, n_stars=n_stars, depth=depth)
                    columns[heading].append(row["mean"])
    record.table("uses", columns, formats={name: ".2f" for name in headings.values()})
