"""Numbers and tables of the page on the verdicts of the audit: how often they are right, and those on many elements."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from lux.auditing.audit import audit_models
from lux.auditing.evidence import FLUX_KINDS, Kind
from lux.auditing.report import VERDICTS, Report
from lux.auditing.settings import AuditSettings
from lux.controls.calibration import RIGHT
from lux.controls.ensemble import GENERATORS, SIZES
from lux.figures import controls as drawing
from lux.figures import label_name, label_text
from lux.models.baselines import FluxRegression
from lux.models.cannon import Cannon
from lux.models.prediction import StoredPrediction
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.survey import Survey
from lux_pages.trial import FALSE, FullTrial, record_share, total

# Of spectra as they are, of spectra that were resampled, and of surveys larger than those of the grid.
_VERDICTS = {"all": "verdict_trial.json", "resampled": "resampled_trial.json", "larger": "larger_verdicts.json"}
_KEYS_OF_SEEDS = {"all": "verdict_seeds", "resampled": "resampled_seeds", "larger": "larger_seeds_of_verdicts"}
_LABELS = (
    "teff", "logg", "fe_h", "alpha_fe", "li_fe", "o_fe", "na_fe", "mg_fe", "si_fe", "ca_fe", "ti_fe", "mn_fe", "ni_fe",
    "y_fe", "ba_fe", "la_fe", "ce_fe", "nd_fe", "eu_fe",
)  # fmt: skip
_FEW_LABELS = ("teff", "logg", "fe_h", "alpha_fe", "li_fe", "mg_fe", "si_fe", "ba_fe", "ce_fe", "eu_fe")
_MAPPED = (*_FEW_LABELS, "y_fe", "la_fe")
_FEW_WINDOWS = ((15200, 15420), (15760, 15820), (16040, 16080), (16360, 16620))
_INVISIBLE = ("li_fe", "y_fe", "ba_fe", "la_fe", "eu_fe")


def record_by_size(record: Record, found: FullTrial) -> None:
    """Record the verdicts of the audit in the dense grid, told the lines and blind, by size and depth."""
    columns: dict[str, list[Any]] = {"spectra": [], "stars": [], "lines": []}
    columns |= {f"{name}, {how}": [] for how in ("told", "blind") for name in VERDICTS}
    for generator in GENERATORS:
        for n_stars in SIZES:
            about = {"generator": generator, "n_stars": n_stars}
            for depth in found.depths:
                columns["spectra"].append(generator)
                columns["stars"].append(n_stars)
                columns["lines"].append(f"{100 * depth:g} %" if depth else "none")
                for how in ("told", "blind"):
                    counts = found.verdicts(how == "told", (depth,), **about)
                    for name in VERDICTS:
                        columns[f"{name}, {how}"].append(counts.get(name, 0))
    record.table("verdicts_by_size", columns)


def record_all_verdicts(record: Record) -> None:
    """Record the verdicts on everything that can be planted, by size and generator, from `tools/full_trial.py`."""
    for source in _VERDICTS:
        _record_calibration(record, source)


def _record_calibration(record: Record, source: str) -> None:
    content = json.loads(files("lux_pages").joinpath(_VERDICTS[source]).read_text(encoding="utf-8"))
    counts = {
        (row["planted"], row["n_stars"], row["generator"], row["told"]): row["verdicts"] for row in content["verdicts"]
    }
    kinds = sorted({kind[:2] for kind in counts}, key=lambda kind: (list(RIGHT).index(kind[0]), kind[1]))
    columns: dict[str, list[Any]] = {"planted": [kind[0] for kind in kinds], "stars": [kind[1] for kind in kinds]}
    for generator in GENERATORS:
        for how in ("told", "blind"):
            found = [counts[*kind, generator, how == "told"] for kind in kinds]
            columns[f"{generator}, {how}"] = [_said(each) for each in found]
    record.table(f"{source}_verdicts", columns)
    record(_KEYS_OF_SEEDS[source], min(map(total, counts.values())))
    record(f"{source}_commit", content["about"]["commit"], text=content["about"]["commit"][:7])
    if source == "all":
        sizes = [n_stars for _, n_stars in kinds]
        record.numbers(least_stars=min(sizes), most_stars=max(sizes))
    weak = [each for kind, each in counts.items() if kind[0] == "lines at 5σ" and not kind[-1]]
    guessed, prefix = sum(each.get("guessed", 0) for each in weak), "" if source == "all" else f"{source}_"
    record_share(record, f"{prefix}blind_guessed_at_5_sigma", guessed, sum(map(total, weak)))
    for planted in dict.fromkeys(planted for planted, _ in kinds):
        for how, wanted in zip(("told", "blind"), RIGHT[planted], strict=True):
            found = [each for kind, each in counts.items() if kind[0] == planted and kind[-1] == (how == "told")]
            hits = sum(each.get(name, 0) for each in found for name in wanted)
            key = f"{source}_{planted.replace(' ', '_').replace('σ', '_sigma')}_{how}"
            record_share(record, key, hits, sum(map(total, found)))
            if planted == "nothing":
                false = sum(each.get(name, 0) for each in found for name in FALSE)
                record_share(record, f"{source}_false_{how}", false, sum(map(total, found)))


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)


def survey_of_elements(chapter: Chapter, first_seed: int) -> Survey:
    """Return a synthetic survey with the labels of many elements."""
    if chapter.quick:
        windows = list(_FEW_WINDOWS)
        return chapter.world(n_stars=500, seed=first_seed, label_names=_FEW_LABELS, wavelength_range=windows)
    return chapter.world(n_stars=900, seed=first_seed, label_names=_LABELS)


def audit_elements(chapter: Chapter, survey: Survey) -> Mapping[str, Mapping[str, Report]]:
    """Audit all labels of a survey for Lux, and some for two other models; what the flux says is the same for all."""
    fitted = chapter.fitted(survey, 0.3)
    some = tuple(name for name in survey.label_names if name in _MAPPED)
    others: dict[str, Any] = {"PLS": FluxRegression.pls(), "Cannon": Cannon()}
    models: dict[str, Any] = {"Lux": fitted.model}
    for name, model in others.items():
        # A quadratic model of many labels takes much memory.
        fewer = model.fit(fitted.train.select_labels(some))
        models[name] = StoredPrediction(fewer.predict_labels(fitted.test.select_labels(some)))
    reports: dict[str, dict[str, Report]] = {name: {} for name in models}
    for label in survey.label_names:
        asked = models if label in some else {"Lux": fitted.model}
        for name, report in audit_models(asked, fitted.train, fitted.test, label, seed=chapter.seed).items():
            reports[name][label] = report
    return reports


def draw_map(reports: Mapping[str, Mapping[str, Report]]) -> Figure:
    """Draw what the flux has of each label against what each model uses of it."""
    points = {model: _map_points(found) for model, found in reports.items()}
    return drawing.information_and_use(points, float(norm.isf(AuditSettings.significance)))


def _map_points(reports: Mapping[str, Report]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the strongest evidence in the flux and the slope of the model for each label that has both, and these."""
    usable = {name: report for name, report in reports.items() if report.evidence and report.model_use}
    found = [max(report[kind].z_score for kind in FLUX_KINDS if kind in report) for report in usable.values()]
    used = [report.model_use.slope for report in usable.values() if report.model_use]
    return np.array(found), np.array(used), list(usable)


def map_alt(reports: Mapping[str, Mapping[str, Report]]) -> str:
    """Return what the map shows, in words."""
    found, used, labels = _map_points(reports["Lux"])
    names = [label_name(label) for label in labels]
    strongest, weakest = int(np.argmax(found)), int(np.argmin(found))
    return (
        f"Slope of predictions against evidence in the flux, for {len(names)} labels and three models. "
        f"{names[strongest]} has the strongest evidence, {found[strongest]:.0f} standard deviations, and Lux follows "
        f"its own part with a slope of {used[strongest]:.2f}; {names[weakest]} has the weakest, {found[weakest]:.1f}, "
        f"and a slope of {used[weakest]:.2f}."
    )


def record_elements(record: Record, reports: Mapping[str, Report]) -> None:
    """Record the verdict on each element, and how many contradict the truth."""
    columns = {
        "label": [label_text(name, False) for name in reports],
        "in the band": [_in_the_band(name) for name in reports],
        "verdict": [report.verdict for report in reports.values()],
        "own lines (σ)": [_significance(report, Kind.OWN_LINES) for report in reports.values()],
        "strong features (σ)": [_significance(report, Kind.STRONG_FEATURES) for report in reports.values()],
        "own scatter": [report.own_scatter for report in reports.values()],
    }
    record.table("elements", columns, formats={"own scatter": ".3f"})
    record.numbers(n_elements=len(reports), n_element_stars=max(report.n_stars for report in reports.values()))
    visible = {name: report.verdict for name, report in reports.items() if name not in _INVISIBLE}
    unseen = {name: report.verdict for name, report in reports.items() if name in _INVISIBLE}
    record("elements_without_lines", len(unseen), text=_listed(list(unseen)))
    known = sum(verdict == "known" for verdict in visible.values())
    record("known_visible", known, text=f"{known} of {len(visible)}")
    guessed = sum(verdict in ("guessed", "undecided") for verdict in unseen.values())
    record("guessed_invisible", guessed, text=f"{guessed} of {len(unseen)}")
    undecided = [name for name, verdict in visible.items() if verdict == "undecided"]
    record("undecided_visible", len(undecided), text=_listed(undecided))
    wrong = [name for name in reports if reports[name].verdict in ("proxy", "leaked", _contradiction(name))]
    record("wrong_elements", len(wrong), text=_listed(wrong))


def _contradiction(name: str) -> str:
    return "known" if name in _INVISIBLE else "guessed"


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(label_name(name) for name in labels) or "none"


def _in_the_band(name: str) -> str:
    """Return what of a label the spectra of the synthetic survey hold."""
    if name in _INVISIBLE:
        return "nothing of its own"
    return "parameter" if name in ("teff", "logg") else "lines"


def _significance(report: Report, kind: Kind) -> str:
    return f"{report[kind].z_score:.1f}" if kind in report else ""
