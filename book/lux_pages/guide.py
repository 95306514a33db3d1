"""The guide: the file of a user, and reports of every verdict."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from sklearn.cross_decomposition import PLSRegression

import lux
from lux.auditing.evidence import Kind
from lux.auditing.report import Report
from lux.controls.ensemble import CANDIDATE_LINES, WINDOWS
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.survey import Survey

_COLUMNS = {"teff": "TEFF", "logg": "LOGG", "fe_h": "FE_H", "alpha_fe": "ALPHA_FE", "eu_fe": "EU_FE"}
# Name of a card -> its world, and the share of the stars that it has.
_CARDS = {
    "lines of its own": ("signal", 1.0),
    "lines elsewhere": ("proxy", 1.0),
    "no line": ("shortcut", 1.0),
    "the catalogue's error": ("leak", 1.0),
    "residuals of airglow": ("artefact", 1.0),
    "no line, few stars": ("shortcut", 0.12),
}
_N_STARS, _N_COMPONENTS = 1200, 20


def write_example(chapter: Chapter, world: str, path: Path) -> Path:
    """Write a survey of a world as users have theirs: a FITS table with a row for each star, and wavelengths."""
    survey = _survey(chapter, world)
    columns = {"STAR": survey.star_id, "FLUX": survey.flux}
    columns["ERROR"] = np.where(survey.ivar > 0, 1 / np.sqrt(np.where(survey.ivar > 0, survey.ivar, 1)), 1e10)
    for name, column in _COLUMNS.items():
        place = survey.label_index(name)
        columns |= {column: survey.labels[:, place], f"{column}_ERR": survey.label_err[:, place]}
    tables = [fits.table_to_hdu(Table(each)) for each in (columns, {"WAVELENGTH": survey.wavelength})]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)
    return path


def _survey(chapter: Chapter, world: str, share: float = 1.0) -> Survey:
    return chapter.world(world, n_stars=int(share * _N_STARS), seed=chapter.seed + 40, wavelength_range=WINDOWS)


def report_cards(chapter: Chapter) -> dict[str, Report]:
    """Return a report for each verdict: of europium, by a regression on the flux, in worlds that differ."""
    cards = {}
    for name, (world, share) in _CARDS.items():
        train, test = _survey(chapter, world, share).split(0.3)
        model = PLSRegression(_N_COMPONENTS).fit(train.flux, train.labels)
        cards[name] = lux.audit(model, train, test, "eu_fe", CANDIDATE_LINES)
    return cards


def record_cards(record: Record, cards: Mapping[str, Report]) -> None:
    """Record the verdicts and the table of the cards."""
    for name, report in cards.items():
        record(f"card_{name.replace(' ', '_').replace(',', '').replace(chr(39), '')}", report.verdict)
    sizes = [report.n_stars for report in cards.values()]
    record.numbers(card_stars=max(sizes), card_few_stars=min(sizes))
    record("card_significance", cards["lines of its own"][Kind.OWN_LINES].z_score, uncertainty=1.0, unit="σ")
    uses = [report.model_use for report in cards.values()]
    record.table(
        "cards",
        {
            "in the flux": list(cards),
            "stars": sizes,
            "verdict": [report.verdict for report in cards.values()],
            "own lines (σ)": [_score(report, Kind.OWN_LINES) for report in cards.values()],
            "the model uses it": ["" if use is None else use.shown for use in uses],
            "reason": [report.reason for report in cards.values()],
        },
    )


def _score(report: Report, kind: Kind) -> str:
    return f"{report[kind].z_score:.1f}".replace("-", "−") if kind in report else ""
