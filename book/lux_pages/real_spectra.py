"""Numbers and tables of the chapter on genuine spectra."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lux.auditing.audit import audit, audit_all
from lux.auditing.evidence import Kind
from lux.auditing.report import VERDICTS, Report
from lux.auditing.settings import AuditSettings
from lux.controls.scores import fraction, smallest_depth
from lux.figures import label_name, label_text
from lux.models.baselines import FluxRegression
from lux.models.model_selection import cross_validate, folds_by_star
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import default_model
from lux.simulation.semisynthetic import plant_europium
from lux.simulation.worlds import PLANTED_WAVELENGTHS, Leak, Shortcut, Signal, World
from lux.survey import Survey

OWN_LINES = PLANTED_WAVELENGTHS[:3]
DEPTHS = (0.002, 0.005, 0.01, 0.03)
# Scatter of the planted [Eu/Fe], dex.
_TAU = 0.06
_ELSEWHERE = Signal(depth=0.05, wavelengths=PLANTED_WAVELENGTHS[3:6])
# What the claim counts.
_JUDGED = ("nothing", "lines of 1 %", "lines of 3 %", "lines elsewhere", "error of the label")
_REAL_LABELS = ("teff", "logg", "m_h", "alpha_m", "c_m", "n_m")

# Heading and format of the columns.
_REAL_COLUMNS = {
    "label": "",
    "verdict": "",
    "Lux, by star": ".3g",
    "Lux, by cluster": ".3g",
    "cluster's name": ".3g",
    "correlation within clusters": ".2f",
}


def with_lines(depth: float) -> str:
    """Return the title of spectra with planted lines."""
    return f"lines of {100 * depth:g} %"


# World and expected verdict by what is planted.
_WORLDS: Mapping[str, tuple[World, str]] = {
    "nothing": (Shortcut(), "guessed"),
    **{with_lines(depth): (Signal(depth=depth), "known") for depth in DEPTHS},
    "lines elsewhere": (_ELSEWHERE, "proxy"),
    "error of the label": (Leak(), "leaked"),
}


@dataclass(frozen=True)
class Draws:
    """Significance at the own lines, and verdict, of every draw of a planted label, by what was planted."""

    significance: Mapping[str, Sequence[float]]
    verdicts: Mapping[str, Sequence[str]]
    n_seeds: int

    def right(self, title: str) -> int:
        """How many verdicts are the expected one."""
        return self.verdicts[title].count(_WORLDS[title][1])


def audit_draws(spectra: Survey, n_seeds: int, first_seed: int) -> Draws:
    """Plant the label in the spectra, with every seed in every way, and audit it."""
    significance, verdicts = defaultdict(list), defaultdict(list)
    for number in range(n_seeds):
        for title, (world, _) in _WORLDS.items():
            planted = plant_europium(spectra, world, seed=first_seed + number)
            train, test = planted.split(0.4, seed=first_seed + number)
            model = FluxRegression.pls(8).fit(train)
            report = audit(model, train, test, "eu_fe", OWN_LINES, seed=number)
            significance[title].append(report[Kind.OWN_LINES].z_score)
            verdicts[title].append(report.verdict)
    return Draws(dict(significance), dict(verdicts), n_seeds)


def threshold() -> float:
    """Return the significance that counts at own lines, in standard deviations."""
    return float(stats.norm.isf(AuditSettings().significance_at_own_lines))


def record_verdicts(record: Record, draws: Draws) -> None:
    """Record the verdicts by what was planted, and how many are right."""
    n_seeds, significance = draws.n_seeds, draws.significance
    columns: dict[str, list] = {"planted": list(_WORLDS), "expected": [expected for _, expected in _WORLDS.values()]}
    columns |= {verdict: [draws.verdicts[title].count(verdict) for title in _WORLDS] for verdict in VERDICTS}
    columns["own lines (σ)"] = [f"{np.mean(values):.1f} ± {np.std(values):.1f}" for values in significance.values()]
    record.table("verdicts", columns)
    record("n_seeds", n_seeds)
    record("tau", _TAU, unit="dex", digits=1)
    right, total = sum(draws.right(title) for title in _JUDGED), n_seeds * len(_JUDGED)
    low, high = (100 * end for end in fraction(right, total).interval)
    record("right", right, text=f"{right} of {total}")
    record("right_share", 100 * fraction(right, total).value, unit="%", interval=(low, high))
    for key, title in (("nothing", "nothing"), ("elsewhere", "lines elsewhere"), ("leak", "error of the label")):
        record(f"right_{key}", draws.right(title), text=f"{draws.right(title)} of {n_seeds}")
    for depth in DEPTHS:
        known = 100 * draws.verdicts[with_lines(depth)].count("known") / n_seeds
        record(f"known_{round(1000 * depth)}", known, unit="%", digits=3)
    planted = [np.array(significance[with_lines(depth)]) for depth in DEPTHS]
    limit = smallest_depth(DEPTHS, planted, np.array(significance["nothing"]), seed=record.parameters["seed"])
    ends = (f"{100 * end:.2g}".replace("inf", "∞") for end in limit.interval)
    record("limit", 100 * limit.value, unit="%", text=f"{100 * limit.value:.2g} % ({'–'.join(ends)} %)")
    width = np.std(significance["nothing"])
    record("null_spread", width, uncertainty=width / np.sqrt(2 * n_seeds))


def record_lines(record: Record, spectra: Survey, first_seed: int) -> None:
    """Record how deep a planted line is in the spectra, and how many of the stars are metal-poor."""
    planted = plant_europium(spectra, Signal(depth=0.01), seed=first_seed)
    pixel = int(np.argmin(np.abs(spectra.wavelength - OWN_LINES[1])))
    seen = spectra.ivar[:, pixel] > 0
    depth = np.median((spectra.flux - planted.flux)[seen, pixel])
    poor = np.mean(spectra.label("m_h") < -1)
    record.numbers(unit="%", digits=2, median_line=100 * depth, poor_share=100 * poor)
    record("n_real", spectra.n_stars)


def shown_stars(spectra: Survey) -> list[int]:
    """Return the rows of two stars of high signal-to-noise ratio, a metal-rich one and a poorer one."""
    best, m_h = np.argsort(-spectra.catalogue["snr"]), spectra.label("m_h")
    return [next(star for star in best if low < m_h[star] < high) for low, high in ((-0.1, 0.5), (-0.8, -0.3))]


Folds = Callable[[Survey], Iterator[np.ndarray]]


def ways_to_hold_out(spectra: Survey, n_folds: int, seed: int) -> dict[str, Folds]:
    """Return how stars are held out: at random, and by whole clusters; each makes the folds of a survey.

    Whole clusters are dealt out to folds, the large ones first, to the fold with fewest stars.
    """
    names, sizes = np.unique(spectra.catalogue["cluster"], return_counts=True)
    fold_of, stars_in = {}, np.zeros(n_folds, int)
    for name, size in sorted(zip(names, sizes, strict=True), key=lambda each: -each[1]):
        fold_of[name] = int(np.argmin(stars_in))
        stars_in[fold_of[name]] += size

    def by_cluster(survey: Survey) -> Iterator[np.ndarray]:
        fold = np.array([fold_of[name] for name in survey.catalogue["cluster"]])
        return (fold == number for number in range(n_folds))

    return {"star": lambda survey: folds_by_star(survey, n_folds, seed=seed), "cluster": by_cluster}


def _predict(train: Survey, test: Survey) -> dict[str, Prediction]:
    return {"Lux": default_model(train, n_latents=20, tolerance=0.02).predict_labels(test)}


def record_clusters(record: Record, spectra: Survey, ways: Mapping[str, Folds], first_seed: int) -> None:
    """Record how far the prediction of the planted label follows what is its own, by either way of holding out."""
    columns = defaultdict(list)
    for depth in (0.0, 0.03, 0.1):
        title = with_lines(depth) if depth else "nothing"
        planted = plant_europium(spectra, Signal(depth=depth) if depth else Shortcut(), seed=first_seed)
        own, true = planted.truth.columns["eu_residual"], planted.truth.columns["eu_fe"]
        for way, folds in ways.items():
            predicted = cross_validate(planted, folds(planted), _predict)["Lux"].label("eu_fe")
            slope = stats.linregress(own, predicted - (true - own))
            error = np.mean((predicted - planted.label("eu_fe")) ** 2) / np.mean(planted.label_err[:, -1] ** 2)
            key = f"{round(100 * depth) or title}_{way}"
            columns["planted"].append(title)
            columns["held out by"].append(way)
            columns["RMSE over error"].append(np.sqrt(error))
            columns["slope on its own part"].append(record(f"slope_{key}", slope.slope, uncertainty=slope.stderr))
            record(f"ratio_{key}", np.sqrt(error), digits=3)
    record.table("clusters", dict(columns), formats={"RMSE over error": ".2f"})


def with_real_labels(spectra: Survey) -> Survey:
    """Return the stars that have all of the labels that are audited, and these labels."""
    labels = np.stack([spectra.label(name) for name in _REAL_LABELS])
    return spectra[np.all(np.isfinite(labels), axis=0)].select_labels(_REAL_LABELS)


def audit_real_labels(survey: Survey, seed: int) -> dict[str, Report]:
    """Audit all labels of the genuine spectra."""
    train, test = survey.split(0.4, seed=seed)
    return audit_all(default_model(train, n_latents=20, tolerance=0.02), train, test, seed=seed)


def record_real_labels(
    record: Record, survey: Survey, ways: Mapping[str, Folds], reports: Mapping[str, Report]
) -> None:
    """Record the verdict on each genuine label, and what of its prediction comes of membership in a cluster."""
    predicted = {way: cross_validate(survey, folds(survey), _predict)["Lux"] for way, folds in ways.items()}
    cluster, columns = survey.catalogue["cluster"], defaultdict(list)
    for name in survey.label_names:
        catalogue = survey.label(name)
        inside = _without_cluster_mean(catalogue, cluster)
        errors = {way: np.sqrt(np.mean((each.label(name) - catalogue) ** 2)) for way, each in predicted.items()}
        count = np.array([np.sum(cluster == each) for each in cluster])
        # Each star against the mean of the other stars of its cluster.
        by_name = np.sqrt(np.mean((inside * count / np.maximum(count - 1, 1)) ** 2))
        within = np.corrcoef(_without_cluster_mean(predicted["star"].label(name), cluster), inside)[0, 1]
        row = (label_text(name, False), reports[name].verdict, errors["star"], errors["cluster"], by_name, within)
        for heading, value in zip(_REAL_COLUMNS, row, strict=True):
            columns[heading].append(value)
        record(f"within_{name}", within, digits=2)
        if name in ("m_h", "alpha_m"):
            record(f"name_{name}", by_name, digits=2)
            record(f"by_cluster_{name}", errors["cluster"], digits=2)
    record.table("real_labels", dict(columns), formats=_REAL_COLUMNS)
    for verdict in VERDICTS:
        names = [label_name(name) for name in survey.label_names if reports[name].verdict == verdict]
        record(f"real_{verdict}", len(names), text=", ".join(names) or "none")


def _without_cluster_mean(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Return values (N,) minus the mean of their cluster."""
    return values - np.array([values[cluster == name].mean() for name in cluster])
