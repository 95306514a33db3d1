"""Numbers and the table of the discussion."""

from collections.abc import Mapping

from lux.diagnostics.response import Response, response
from lux.models.lux import Lux
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.survey import Survey

_POPULATIONS = ("disc", "gse", "in-situ", "r-I", "r-II", "decorrelated")
_WORLD_NAMES = {"shortcut": "no line", "signal": "planted lines"}


def responses(chapter: Chapter, model: Lux, disc: Survey, world: str) -> dict[str, Response]:
    """Return how the predictions of a model follow europium in each population; `disc` holds the test stars."""
    n_stars, found = 150 if chapter.quick else 400, {}
    for number, population in enumerate(_POPULATIONS):
        options = {"n_stars": n_stars, "seed": chapter.seed + 2000 + number, "population": population}
        found[population] = response(model, disc if population == "disc" else chapter.world(world, **options))
    return found


def record_populations(record: Record, responses: Mapping[str, Mapping[str, Response]]) -> None:
    """Record slope and bias of each population in each world, and their table."""
    columns = {"population": list(_POPULATIONS)}
    for world, name in _WORLD_NAMES.items():
        columns[f"slope, {name}"], columns[f"bias, {name}"] = [], []
        for population, found in responses[world].items():
            key = f"{population.lower().replace('-', '_')}_{world}"
            columns[f"slope, {name}"].append(record.estimate(f"slope_{key}", found.slope))
            columns[f"bias, {name}"].append(record.mean(f"bias_{key}", found.residual, unit="dex"))
    record.table("populations", columns)
    record("n_enhanced", len(responses["shortcut"]["r-I"].true))
