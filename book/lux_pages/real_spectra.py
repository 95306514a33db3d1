"""Numbers and tables of the chapter on genuine spectra.

The module is long because the chapter has three experiments: planted labels, held-out clusters, masked lines.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lux.auditing.audit import audit, audit_all, audit_models
from lux.auditing.evidence import Kind, ModelUse
from lux.auditing.model_outputs import LabelModel
from lux.auditing.report import VERDICTS, Report
from lux.auditing.settings import AuditSettings
from lux.controls.scores import fraction
from lux.figures import label_name, label_text
from lux.models.baselines import FluxRegression
from lux.models.lux import Lux
from lux.models.model_selection import cross_validate, folds_by_star
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import default_model
from lux.simulation.equilibrium import ALPHA_ELEMENTS
from lux.simulation.semisynthetic import plant_europium
from lux.simulation.strengths import line_strengths
from lux.simulation.synthesis import line_strength
from lux.simulation.worlds import PLANTED_WAVELENGTHS, Artefact, Leak, Shortcut, Signal, World
from lux.spectroscopy.instrument import RESOLUTION
from lux.spectroscopy.lines import airglow_lines, load_lines
from lux.statistics import bootstrap
from lux.survey import Survey

OWN_LINES = PLANTED_WAVELENGTHS[:3]
# Change of flux per standard deviation of [Eu/Fe].
DEPTHS = (0.003, 0.01, 0.03, 0.1)
# Scatter of the planted [Eu/Fe], dex.
_TAU = 0.06
_ELSEWHERE = Signal(depth=0.05, wavelengths=PLANTED_WAVELENGTHS[3:6])
# DR10 masks the strong airglow itself. This stands for a fault of the detectors or a faint line of the sky.
_FIXED = Artefact(amplitude=0.02, wavelengths=PLANTED_WAVELENGTHS[6:9])
# What the claim counts.
_JUDGED = ("nothing", "lines of 1 %", "lines of 3 %", "lines elsewhere", "error of the label", "fixed as observed")
_REAL_LABELS = ("teff", "logg", "m_h", "alpha_m", "c_m", "n_m")
_N_LATENTS = 20
_N_COMPONENTS = 8
# Lines are masked whose opacity in this giant, over that of the continuum, is at least so large.
_REFERENCE_GIANT = (4500.0, 2.0, -0.1)
_LEAST_STRENGTH = 0.01
# Elements and molecules whose lines are masked, by the label that they are to leave no line of.
_CARBON_NITROGEN = ("CN", "CO", "C2", "C", "N")
_KNOCKED_OUT = {"n_m": _CARBON_NITROGEN, "c_m": _CARBON_NITROGEN, "alpha_m": (*ALPHA_ELEMENTS, "OH")}
# What is masked, and its name in recorded numbers.
_MASKS = {"nothing": "unmasked", "as many elsewhere": "elsewhere", "its lines": "without"}
_MOVED_PIXELS = 700
_ANSWERS = ("yes", "no", "cannot tell")
# Airglow lines with this share of the strength of the strongest, and what counts as beside one, Angstrom.
_STRONG_AIRGLOW, _BESIDE_AIRGLOW = 0.1, 1.5

# Heading and format of the columns.
_REAL_COLUMNS = {
    "label": "",
    "verdict": "",
    "the model uses it": "",
    "slope": "",
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
    "fixed as observed": (_FIXED, "artefact"),
}


@dataclass(frozen=True)
class Draws:
    """Reports on every draw of a planted label, by what was planted.

    Parameters
    ----------
    told, blind : mapping of lists of Report
        Of the audit with and without the wavelengths of the lines.
    uses : mapping of mappings of lists of ModelUse
        Whether a model uses the label, by the name of the model and what was planted.
    """

    told: Mapping[str, Sequence[Report]]
    blind: Mapping[str, Sequence[Report]]
    uses: Mapping[str, Mapping[str, Sequence[ModelUse]]]

    @property
    def n_seeds(self) -> int:
        """Number of draws of each kind."""
        return len(self.told["nothing"])

    @property
    def significance(self) -> dict[str, list[float]]:
        """Significance at the own lines."""
        return {title: [report[Kind.OWN_LINES].z_score for report in reports] for title, reports in self.told.items()}

    @property
    def verdicts(self) -> dict[str, list[str]]:
        """Verdicts of the audit that is given the wavelengths."""
        return {title: [report.verdict for report in reports] for title, reports in self.told.items()}

    def count(self, title: str, verdict: str | None = None, *, blind: bool = False) -> int:
        """How many draws have a verdict, by default the expected one."""
        reports = (self.blind if blind else self.told)[title]
        return [report.verdict for report in reports].count(verdict or _WORLDS[title][1])

    def right(self) -> np.ndarray:
        """Return whether the audit that was told names what was planted, by the worlds that are judged and by draws."""
        return np.array([[report.verdict == _WORLDS[title][1] for report in self.told[title]] for title in _JUDGED])


def audit_draws(spectra: Survey, n_seeds: int, n_model_seeds: int, first_seed: int) -> Draws:
    """Plant the label in the spectra, with every seed in every way, and audit it, with and without its lines.

    The first `n_model_seeds` draws are audited with the other models as well.
    """
    told, blind = defaultdict(list), defaultdict(list)
    uses: dict[str, dict[str, list[ModelUse]]] = {name: defaultdict(list) for name in _OTHER_MODELS}
    for number in range(n_seeds):
        for title, (world, _) in _WORLDS.items():
            train, test = _planted(spectra, world, first_seed + number)
            pls = _pls(train)
            others = {name: fit(train) for name, fit in _OTHER_MODELS.items() if number < n_model_seeds}
            reports = audit_models({"PLS": pls, **others}, train, test, "eu_fe", OWN_LINES, seed=number)
            told[title].append(reports["PLS"])
            blind[title].append(audit(pls, train, test, "eu_fe", (), seed=number))
            for name in others:
                uses[name][title].append(_use(reports[name]))
    of_pls = {title: [_use(report) for report in reports] for title, reports in told.items()}
    return Draws(dict(told), dict(blind), {"PLS": of_pls, **uses})


def _use(report: Report) -> ModelUse:
    assert report.model_use is not None, "there are stars enough to audit"
    return report.model_use


def _planted(spectra: Survey, world: World, seed: int) -> tuple[Survey, Survey]:
    return plant_europium(spectra, world, tau=_TAU, seed=seed).split(0.4, seed=seed)


def _pls(train: Survey) -> FluxRegression:
    return FluxRegression.pls(_N_COMPONENTS).fit(train)


def _lux(train: Survey) -> Lux:
    return default_model(train, n_latents=_N_LATENTS, tolerance=0.02)


_OTHER_MODELS: Mapping[str, Callable[[Survey], LabelModel]] = {
    "ridge regression": lambda train: FluxRegression.ridge().fit(train),
    "Lux": _lux,
}


def threshold() -> float:
    """Return the significance that counts at own lines, in standard deviations."""
    return float(stats.norm.isf(AuditSettings().significance_at_own_lines))


def record_verdicts(record: Record, draws: Draws) -> None:
    """Record the verdicts by what was planted, told and blind, and how many are right."""
    n_seeds, significance = draws.n_seeds, draws.significance
    columns: dict[str, list] = {"planted": list(_WORLDS)}
    for heading, reports in (("given the lines", draws.told), ("given none", draws.blind)):
        columns[heading] = [_counts([report.verdict for report in reports[title]], VERDICTS) for title in _WORLDS]
    columns["own lines (σ)"] = [f"{np.mean(each):.1f} ± {np.std(each, ddof=1):.1f}" for each in significance.values()]
    record.table("verdicts", columns)
    record.numbers(n_seeds=n_seeds, n_components=_N_COMPONENTS, n_latents=_N_LATENTS)
    record("tau", _TAU, unit="dex", digits=1)
    right = draws.right()
    _record_count(record, "right", int(right.sum()), right.size)
    # What is planted in one draw shares its label and its division in all worlds: draws are drawn together.
    share = bootstrap(lambda hits: 100 * hits.mean(axis=-1), right.mean(axis=0), level=0.95)
    low, high = share.interval
    if low == high:
        low, high = (100 * end for end in fraction(n_seeds, n_seeds, level=0.95).interval)
    record("right_share", share.value, unit="%", text=f"{low:.0f}–{high:.0f} %", interval=(low, high))
    _record_count(record, "all_of_them", n_seeds, n_seeds, share=True)
    for key, title in zip(("nothing", "elsewhere", "leak", "fixed"), ("nothing", *_JUDGED[-3:]), strict=True):
        _record_count(record, f"right_{key}", draws.count(title), n_seeds)
    _record_count(record, "blind_nothing", draws.count("nothing", blind=True), n_seeds)
    for depth in DEPTHS:
        title, number = with_lines(depth), round(1000 * depth)
        _record_count(record, f"known_{number}", draws.count(title), n_seeds)
        _record_count(record, f"blind_guessed_{number}", draws.count(title, "guessed", blind=True), n_seeds)
        _record_count(record, f"blind_proxy_{number}", draws.count(title, "proxy", blind=True), n_seeds)
    width = np.std(significance["nothing"], ddof=1)
    record("null_scatter", width, uncertainty=width / np.sqrt(2 * n_seeds))


def _counts(values: Sequence[str], order: Sequence[str]) -> str:
    return ", ".join(f"{values.count(value)} {value}" for value in order if value in values)


def _record_count(record: Record, key: str, hits: int, total: int, *, share: bool = False) -> None:
    """Record hits among draws, and if wanted the 95 % interval of their share."""
    record(key, hits, text=f"{hits} of {total}")
    if share:
        low, high = (100 * end for end in fraction(hits, total, level=0.95).interval)
        record(f"{key}_share", 100 * hits / total, unit="%", text=f"{low:.0f}–{high:.0f} %", interval=(low, high))


def record_limits(record: Record, spectra: Survey, draws: Draws, first_seed: int) -> None:
    """Record what the audit says that it would find, and how often it finds lines that are planted at that limit."""
    found = {key: _limits(reports["nothing"]) for key, reports in (("told", draws.told), ("blind", draws.blind))}
    own, anywhere = found["told"][Kind.OWN_LINES], found["blind"][Kind.ANY_LINE]
    for key, (share, depth, width) in (("own", own), ("anywhere", anywhere)):
        record.numbers(unit="%", digits=2, **{f"limit_{key}": 100 * depth, f"limit_{key}_share": 100 * share})
        record(f"limit_{key}_width", width, unit="mÅ", digits=2)
    feature = found["blind"][Kind.STRONG_FEATURES][0]
    record("limit_feature_share", 100 * feature, unit="%", digits=2)
    columns: dict[str, list[str]] = {
        "trace": ["three lines at given wavelengths", "one line at a wavelength that nobody names", "strong features"],
        "depth (%)": [*(f"{100 * depth:.2g}" for _, depth, _ in (own, anywhere)), "–"],
        "equivalent width (mÅ)": [*(f"{width:.2g}" for *_, width in (own, anywhere)), "–"],
        "share (%)": [f"{100 * share:.2g}" for share in (own[0], anywhere[0], feature)],
    }
    record.table("limits", columns)
    # Depths of weak lines are proportional.
    at_limit = Signal(depth=0.01 * own[1] / _mean_depth(spectra, Signal(depth=0.01), first_seed))
    record("limit_change", 100 * at_limit.depth, unit="%", digits=2)
    hits = 0
    for number in range(draws.n_seeds):
        train, test = _planted(spectra, at_limit, first_seed + number)
        report = audit(_pls(train), train, test, "eu_fe", OWN_LINES, seed=number)
        hits += report[Kind.OWN_LINES].significant
    _record_count(record, "at_limit", hits, draws.n_seeds, share=True)


def _limits(reports: Sequence[Report]) -> dict[Kind, np.ndarray]:
    """Return the median limit of each kind of evidence: share, depth and width."""
    found = defaultdict(list)
    for limit in (limit for report in reports for limit in report.limits):
        found[limit.kind].append((limit.share, limit.depth, limit.width))
    return {kind: np.median(values, axis=0) for kind, values in found.items()}


def _mean_depth(spectra: Survey, world: Signal, seed: int) -> float:
    """Return the depth of planted lines at their centers, as the mean of the stars that their noise weighs."""
    planted = plant_europium(spectra, world, tau=_TAU, seed=seed)
    pixels = [int(np.argmin(np.abs(spectra.wavelength - line))) for line in world.wavelengths]
    depth = 1 - planted.flux[:, pixels] / spectra.flux[:, pixels]
    return float(np.average(depth, weights=spectra.ivar[:, pixels]))


def record_uses(record: Record, draws: Draws) -> None:
    """Record whether models use the label, beside whether the flux has it."""
    columns: dict[str, list] = {"planted": list(_WORLDS)}
    columns["verdict on the flux"] = [_counts(draws.verdicts[title], VERDICTS) for title in _WORLDS]
    for model, uses in draws.uses.items():
        columns[f"{model}: slope"] = [_mean_slope(uses[title]) for title in _WORLDS]
        columns[f"{model} uses it"] = [_counts([use.answer for use in uses[title]], _ANSWERS) for title in _WORLDS]
        name = model.split()[0].lower()
        for key, title in {"nothing": "nothing", "30": with_lines(0.03), "100": with_lines(0.1)}.items():
            slopes, answers = zip(*((use.slope, use.answer) for use in uses[title]), strict=True)
            scatter = np.std(slopes, ddof=1) if len(slopes) > 1 else 0.0
            error = max(np.mean([use.error for use in uses[title]]), scatter) / np.sqrt(len(slopes))
            record(f"use_{name}_{key}", np.mean(slopes), uncertainty=error)
            _record_count(record, f"uses_{name}_{key}", answers.count("yes"), len(answers))
    record.table("uses", columns)
    record("n_model_seeds", len(draws.uses["Lux"]["nothing"]))


def _mean_slope(uses: Sequence[ModelUse]) -> str:
    """Return the mean slope of draws, with the error of a single one: they share their stars."""
    return f"{np.mean([use.slope for use in uses]):.2f} ± {np.mean([use.error for use in uses]):.2f}"


def record_lines(record: Record, spectra: Survey, first_seed: int) -> None:
    """Record how deep planted lines are, in the disc and in the spectra, and how many of the stars are metal-poor."""
    columns: dict[str, list] = defaultdict(list)
    for depth in (*DEPTHS, _ELSEWHERE.depth):
        world = _ELSEWHERE if depth == _ELSEWHERE.depth else Signal(depth=depth)
        strengths, here = line_strengths(world, _TAU), _mean_depth(spectra, world, first_seed)
        columns["planted"].append("lines elsewhere" if world is _ELSEWHERE else with_lines(depth))
        columns["change per standard deviation (%)"].append(100 * depth)
        columns["depth, mean star of the disc (%)"].append(100 * strengths.depth[0])
        columns["width, mean star of the disc (mÅ)"].append(strengths.equivalent_width.mean())
        columns["mean depth in these spectra (%)"].append(100 * here)
        record(f"width_{round(1000 * depth)}", strengths.equivalent_width.mean(), unit="mÅ", digits=2)
    record.table("strengths", dict(columns), formats=dict.fromkeys(list(columns)[1:], ".2g"))
    record("poor_share", 100 * np.mean(spectra.label("m_h") < -1), unit="%", digits=2)
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
    return {"Lux": _lux(train).predict_labels(test)}


def record_clusters(record: Record, spectra: Survey, ways: Mapping[str, Folds], first_seed: int) -> None:
    """Record how far the prediction of the planted label follows what is its own, by either way of holding out."""
    columns: dict[str, list] = defaultdict(list)
    for depth in (0.0, 0.1):
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
    return audit_all(_lux(train), train, test, seed=seed)


def record_divisions(record: Record, survey: Survey, n_divisions: int, seed: int) -> None:
    """Record the verdicts on the metallicity over divisions of the stars; no such verdict depends on the model.

    And by how much what the flux says of it grows with the catalogue's error, beside what would make it a leak.
    """
    reports = []
    for division in range(n_divisions):
        train, test = survey.split(0.4, seed=seed + division)
        reports.append(audit(_pls(train), train, test, "m_h", seed=seed + division))
    record.numbers(n_divisions_m_h=n_divisions)
    record("m_h_verdicts", _counts([report.verdict for report in reports], VERDICTS))
    growth = max((report[Kind.LEAK_GROWTH] for report in reports), key=lambda found: found.statistic)
    record("m_h_growth", growth.statistic, digits=2, sampling_error=1.0)
    record("m_h_growth_of_a_leak", growth.needed, digits=2, sampling_error=1.0)


def knock_out(survey: Survey, n_divisions: int, seed: int) -> dict[tuple[str, str], list[Report]]:
    """Audit labels with all pixels, without those of their lines, and without as many others.

    Returns
    -------
    dict
        Reports by label and by what was masked. Where lines are masked, or others, none are given to the audit.
    """
    reports = defaultdict(list)
    for elements in dict.fromkeys(_KNOCKED_OUT.values()):
        mask = near_lines(survey.wavelength, elements)
        masks = dict(zip(_MASKS, (np.zeros(len(mask), bool), np.roll(mask, _MOVED_PIXELS), mask), strict=True))
        for division in range(n_divisions):
            for title, masked in masks.items():
                train, test = survey.select_pixels(~masked).split(0.4, seed=seed + division)
                model = _lux(train)
                for label in (name for name, lines in _KNOCKED_OUT.items() if lines == elements):
                    report = audit(model, train, test, label, None if title == "nothing" else (), seed=seed + division)
                    reports[label, title].append(report)
    return dict(reports)


def near_lines(wavelength: np.ndarray, elements: Sequence[str]) -> np.ndarray:
    """Return which pixels (D,) lie within a resolution element of a line of the elements and molecules, weak or not."""
    lines = load_lines()
    lines = lines[np.isin(lines.element, elements)]
    place = np.sort(lines.wavelength[line_strength(*_REFERENCE_GIANT, lines=lines)[0] > _LEAST_STRENGTH])
    after = np.clip(np.searchsorted(place, wavelength), 1, len(place) - 1)
    distance = np.minimum(np.abs(wavelength - place[after - 1]), np.abs(wavelength - place[after]))
    return distance < wavelength / RESOLUTION


def record_knock_out(record: Record, survey: Survey, reports: Mapping[tuple[str, str], Sequence[Report]]) -> None:
    """Record what becomes of the verdict on a label, and of the model's use of it, without the lines of the label."""
    columns: dict[str, list] = defaultdict(list)
    for (label, title), found in reports.items():
        pixels = found[0].wavelength
        assert pixels is not None, "there are stars enough to audit"
        share = 1 - len(pixels) / survey.n_pixels
        features = [report[Kind.STRONG_FEATURES].z_score for report in found]
        columns["label"].append(label_text(label, False))
        columns["masked"].append(title)
        columns["pixels masked (%)"].append(100 * share)
        columns["verdicts"].append(_counts([report.verdict for report in found], VERDICTS))
        columns["strong features (σ)"].append(f"{np.mean(features):.1f}")
        uses = [_use(report) for report in found]
        slopes = [use.slope for use in uses]
        columns["slope of the model"].append(_mean_slope(uses))
        columns["the model uses it"].append(_counts([use.answer for use in uses], _ANSWERS))
        record(
            f"{_MASKS[title]}_slope_{label}", np.mean(slopes), uncertainty=float(np.mean([use.error for use in uses]))
        )
        if title == "its lines":
            record(f"masked_{label}", 100 * share, unit="%", digits=2)
    record.table("knock_out", dict(columns), formats={"pixels masked (%)": ".0f"})
    for title, key in _MASKS.items():
        verdicts = [report.verdict for (_, masked), found in reports.items() if masked == title for report in found]
        for verdict in ("proxy", "undecided", "guessed"):
            _record_count(record, f"{key}_{verdict}", verdicts.count(verdict), len(verdicts))


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
        use = _use(reports[name])
        slope = f"{use.slope:.2f} ± {use.error:.2f}{' or more' if use.least else ''}"
        shown = (label_text(name, False), reports[name].verdict, use.answer, slope)
        row = (*shown, errors["star"], errors["cluster"], by_name, within)
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
    fixed = {name: reports[name].observed_places for name in survey.label_names if reports[name].observed_places}
    said = (f"{label_name(name)} at {_angstrom(places)}" for name, places in fixed.items())
    record("real_fixed", len(fixed), text="; ".join(said) or "none")
    _record_airglow(record, survey.wavelength, np.array([place for places in fixed.values() for place in places]))
    for name in ("n_m", "c_m"):
        species = ("/".join(place.species) or "no line listed" for place in reports[name].places)
        where = ", ".join(
            f"{at.wavelength:.1f} Å ({line})" for at, line in zip(reports[name].places, species, strict=True)
        )
        record(f"where_{name}", len(reports[name].places), text=where or "nowhere")


def _record_airglow(record: Record, wavelength: np.ndarray, places: np.ndarray) -> None:
    """Record how many observed places (K,) lie beside strong airglow lines, and which share of the pixels (D,) does."""
    lines = airglow_lines()
    strong = lines.wavelength[lines.strength >= _STRONG_AIRGLOW]

    def beside(values: np.ndarray) -> np.ndarray:
        return np.abs(values[:, None] - strong).min(axis=1) < _BESIDE_AIRGLOW

    record("fixed_at_airglow", int(np.sum(beside(places))), text=f"{np.sum(beside(places))} of {len(places)}")
    record("pixels_at_airglow", float(np.mean(beside(wavelength))), text=f"{100 * np.mean(beside(wavelength)):.0f} %")


def _angstrom(places: Sequence[float]) -> str:
    return ", ".join(f"{place:.1f}" for place in places) + " Å"


def _without_cluster_mean(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Return values (N,) minus the mean of their cluster."""
    return values - np.array([values[cluster == name].mean() for name in cluster])
