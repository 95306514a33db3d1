"""The bench: worlds of planted truth that are the same for everybody, and how a number is scored on them.

Chapter 8 scores the techniques of the paper in many more worlds; these are few enough for anybody's technique or model,
`lux.controls.on_trial`, and for those who work in other languages, `lux.controls.bench_files`.
"""

import dataclasses
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from lux.controls import scores
from lux.controls.ensemble import BESIDES, DEPTH_BESIDE, DEPTHS, NONLINEAR, SIZES, TAUS, Cell, sized_cells
from lux.controls.runner import SHARED, run
from lux.controls.techniques import TECHNIQUES, make_world, measure
from lux.datasets.load import load
from lux.simulation.empirical import EmpiricalSpectra, fit_empirical
from lux.simulation.worlds import World
from lux.statistics import Estimate
from lux.survey import Survey

# Raised when anything changes of the worlds.
VERSION = "1"
N_STARS, N_SEEDS = SIZES[1], 20
# Never used while a technique was chosen or the audit calibrated.
FIRST_SEED = 980_000
LINE_DEPTHS = tuple(depth for depth in DEPTHS if depth)
# Of the lines of one depth by whose power two kinds of worlds are compared.
_SHOWN_DEPTH = DEPTH_BESIDE
_NOTHING, _NOTHING_EMPIRICAL = "nothing", "nothing, empirical"
_LINES_EMPIRICAL = f"lines of {100 * _SHOWN_DEPTH:g} %, empirical"
ELSEWHERE = (*BESIDES, *NONLINEAR)
PUBLISHED = "bench_scores.json"


def lines_key(depth: float) -> str:
    """Return the key of the worlds with lines of a depth per standard deviation of [Eu/Fe]."""
    return f"lines of {100 * depth:g} %"


# Kind of planted worlds -> its heading in a table.
COLUMNS = {
    **{lines_key(depth): f"{100 * depth:g} %" for depth in LINE_DEPTHS},
    _LINES_EMPIRICAL: f"{100 * _SHOWN_DEPTH:g} % emp.",
    **{name: name for name in ELSEWHERE},
}


def bench_cells(n_seeds: int = N_SEEDS) -> tuple[Cell, ...]:
    """Return the worlds of the bench: `n_seeds` of a kind, twice as many without lines."""
    planted = {name: World("shortcut", also=besides) for name, besides in BESIDES.items()} | NONLINEAR
    cells = sized_cells(n_seeds, (N_STARS,), ("physical",), depths=(0.0, *LINE_DEPTHS))
    cells += sized_cells(n_seeds, (N_STARS,), ("empirical",), depths=(0.0, _SHOWN_DEPTH))
    names = (_NOTHING, *map(lines_key, LINE_DEPTHS), _NOTHING_EMPIRICAL, _LINES_EMPIRICAL)
    named = [dataclasses.replace(cell, key=name) for cell, name in zip(cells, names, strict=True)]
    return *named, *(Cell(name, world, TAUS[1], n_seeds, N_STARS) for name, world in planted.items())


@dataclasses.dataclass(frozen=True, eq=False)
class BenchRow:
    """How one number tells the worlds of the bench apart.

    Parameters
    ----------
    name : str
    n_seeds : int
        Worlds of a kind; twice as many without lines.
    area : mapping of key to Estimate
        Area under the ROC curve of each kind of planted worlds against those without, of the same generator; half is
        chance, and less speaks against the number. Lines should raise it and what else is planted should not.
    power : mapping of key to Estimate
        At 5 % false alarms.
    smallest_depth : Estimate
        Of the lines found with a power of 95 %, flux per standard deviation of [Eu/Fe]; infinite if none are.
    optimal_depth : float
        That of the optimal observer (Cramér and Rao's bound).
    """

    name: str
    n_seeds: int
    area: Mapping[str, Estimate]
    power: Mapping[str, Estimate]
    smallest_depth: Estimate
    optimal_depth: float

    @property
    def ratio(self) -> float:
        """How many times deeper lines must be than the optimal observer needs."""
        return self.smallest_depth.value / self.optimal_depth

    @property
    def depth_text(self) -> str:
        """The smallest depth found, in percent; "at most" where the shallowest lines of the bench are found."""
        if not math.isfinite(self.smallest_depth.value):
            return "none"
        return f"{self._at_most}{100 * self.smallest_depth.value:.2g} %"

    @property
    def ratio_text(self) -> str:
        """The ratio in words, likewise."""
        return f"{self._at_most}{self.ratio:.1f}" if math.isfinite(self.ratio) else "none"

    @property
    def _at_most(self) -> str:
        return "at most " if self.smallest_depth.value <= LINE_DEPTHS[0] else ""

    @property
    def powers(self) -> np.ndarray:
        """Power for lines of each depth of `LINE_DEPTHS`, (K,)."""
        return np.array([self.power[lines_key(depth)].value for depth in LINE_DEPTHS])

    @property
    def optimal_significance(self) -> list[float]:
        """At how many standard deviations the optimal observer sees lines of each depth, (K,)."""
        return [scores.OPTIMAL_SIGNIFICANCE * depth / self.optimal_depth for depth in LINE_DEPTHS]

    def to_dict(self) -> dict[str, Any]:
        """Return it in values that JSON can hold; an infinite depth is None."""
        return {
            "name": self.name,
            "n_seeds": self.n_seeds,
            "area": {key: _numbers(value) for key, value in self.area.items()},
            "power": {key: _numbers(value) for key, value in self.power.items()},
            "smallest_depth": _numbers(self.smallest_depth),
            "optimal_depth": self.optimal_depth,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "BenchRow":
        """Return the row that `to_dict` wrote."""
        estimates = {name: {key: _estimate(each) for key, each in content[name].items()} for name in ("area", "power")}
        depth = _estimate(content["smallest_depth"])
        return cls(
            content["name"],
            content["n_seeds"],
            **estimates,
            smallest_depth=depth,
            optimal_depth=content["optimal_depth"],
        )


def check_seeds(n_seeds: int) -> None:
    """Raise ValueError if the bench has not so many worlds of a kind."""
    if not 2 <= n_seeds <= N_SEEDS:
        raise ValueError(f"n_seeds must lie between 2 and {N_SEEDS}, got {n_seeds}")


def bench_spectra() -> EmpiricalSpectra:
    """Return the generator of the empirical worlds."""
    return fit_empirical(load("apogee-dr10"))


def bench_row(name: str, worlds: Sequence[Mapping[str, Any]], key: str, n_seeds: int) -> BenchRow:
    """Return how a number of the worlds, by its key, tells them apart; they have "cell" and "bound" as well."""
    found = defaultdict(list)
    for world in worlds:
        found[world["cell"]].append(world)
    numbers = {cell: np.array([world[key] for world in members], float) for cell, members in found.items()}
    against = {cell: _NOTHING_EMPIRICAL if cell == _LINES_EMPIRICAL else _NOTHING for cell in numbers}
    for without in (_NOTHING, _NOTHING_EMPIRICAL):
        del against[without]
    scored = {
        cell: scores.score(numbers[cell], numbers[without], shared=SHARED, level=0.95)
        for cell, without in against.items()
    }
    with_lines = [numbers[lines_key(depth)] for depth in LINE_DEPTHS]
    seen = np.mean([world["bound"] for world in found[lines_key(LINE_DEPTHS[0])]])
    return BenchRow(
        name,
        n_seeds,
        {cell: score.auc for cell, score in scored.items()},
        {cell: score.power for cell, score in scored.items()},
        scores.smallest_depth(LINE_DEPTHS, with_lines, numbers[_NOTHING], shared=SHARED),
        float(LINE_DEPTHS[0] * scores.OPTIMAL_SIGNIFICANCE / seen),
    )


def published_rows() -> tuple[BenchRow, ...]:
    """Return the rows of all techniques of the paper, as measured once (``tools/full_trial.py --bench``)."""
    path = files("lux.controls").joinpath(PUBLISHED)
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"bench": VERSION, "rows": []}
    if content["bench"] != VERSION:
        return ()
    return tuple(map(BenchRow.from_dict, content["rows"]))


def measure_published(n_seeds: int, workers: int | None = None) -> list[BenchRow]:
    """Measure all techniques of the paper on the bench; hours of a processor if there are many worlds."""
    worlds = run(bench_cells(n_seeds), FIRST_SEED, bench_spectra(), what=measure, workers=workers, progress=True)
    return [bench_row(technique.name, worlds, key, n_seeds) for key, technique in TECHNIQUES.items()]


def table(rows: Sequence[BenchRow]) -> str:
    """Return rows as text: areas by what is planted, the smallest depth, and that over the optimal observer's."""
    cells = [["area under the ROC curve", *COLUMNS.values(), "smallest", "over bound"]]
    for row in rows:
        ends = [row.depth_text, row.ratio_text]
        cells.append([row.name, *(f"{row.area[column].value:.2f}" for column in COLUMNS), *ends])
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in cells
    )


def fingerprint(n_seeds: int = 1) -> str:
    """Return a hash of the first worlds of the bench: of every array's mean and deviation, to four digits."""
    digest = hashlib.sha256(VERSION.encode())
    for cell in bench_cells(n_seeds):
        if cell.generator == "physical":
            survey = make_world(dataclasses.replace(cell, seeds=1), FIRST_SEED + 1000, FIRST_SEED).survey
            for values in (survey.flux, survey.ivar, survey.labels, survey.label_err):
                summary = np.mean(values, axis=0, dtype=float), np.std(values, axis=0, dtype=float)
                digest.update(" ".join(f"{value:.3e}" for value in np.concatenate(summary)[::97]).encode())
    return digest.hexdigest()


def sealed(survey: Survey) -> Survey:
    """Return a survey that does not say what is planted in it."""
    ids = np.array([f"star-{number:06d}" for number in range(survey.n_stars)])
    return survey.replace(truth=None, provenance={"source": f"bench {VERSION}"}, star_id=ids)


def _numbers(estimate: Estimate) -> list[float | None]:
    values = (estimate.value, *estimate.interval)
    return [float(value) if math.isfinite(value) else None for value in values]


def _estimate(values: Sequence[float | None]) -> Estimate:
    return Estimate(*(math.inf if value is None else value for value in values))
