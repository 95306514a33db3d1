"""Numbers and tables of the chapter on label transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lux.auditing.audit import audit
from lux.diagnostics.response import Response, atom_slope, response
from lux.diagnostics.transfer import Baseline, LabelScore, compare, paired_difference, response_slope, score
from lux.figures import label_name, label_text
from lux.models.baselines import FluxRegression, LabelsOnly, Mean
from lux.models.lux import Lux
from lux.models.model_selection import cross_validate, folds_by_group, folds_by_star
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.simulation.cramer_rao import best_slope
from lux.simulation.population import disc_moments
from lux.simulation.strengths import line_strengths, natural_strengths
from lux.simulation.worlds import Signal
from lux.simulation.worlds import World as PlantedWorld
from lux.statistics import Estimate, bootstrap_groups
from lux.survey import Survey

# RMSE, mean catalogue error (dex), and whether the element has measurable lines in the band: Horta et al. 2025.
PUBLISHED = {
    "fe_h": (0.093, 0.06, True),
    "li_fe": (0.404, 0.08, False),
    "na_fe": (0.078, 0.04, True),
    "o_fe": (0.214, 0.11, True),
    "mg_fe": (0.087, 0.06, True),
    "y_fe": (0.201, 0.11, False),
    "ce_fe": (0.162, 0.11, True),
    "ba_fe": (0.184, 0.07, False),
    "eu_fe": (0.107, 0.08, False),
}
# Planted lines by their change per standard deviation of [Eu/Fe], and the weak ones of the chapter.
DEPTHS = (0.003, 0.01, 0.03)
WEAK = 0.01
# Europium's own scatter (dex) in the surveys of all chapters but where it is varied.
_TAU = 0.06
WORLDS_WITH_LINES = {"weak": Signal(depth=WEAK), "signal": Signal()}
OPTIONS: dict[str, dict[str, Any]] = {
    "as elsewhere": {},
    "telluric residuals of 1 %": {"telluric_amplitude": 0.01},
    "europium as an upper limit where weak": {"least_europium": -0.5},
    "half of the label errors shared": {"shared_label_errors": 0.5},
    "r-process neighbors follow europium": {"r_process_neighbors": True},
}
OPTIONS["all of these"] = {name: value for options in OPTIONS.values() for name, value in options.items()}
_QUICK_OPTIONS = ("as elsewhere", "all of these")
REAL_LABELS = ("teff", "logg", "m_h", "alpha_m")

Scores = Mapping[str, Mapping[str, LabelScore]]


@dataclass(frozen=True)
class Compared:
    """Lux and the other models, trained on the same stars: predictions of the test stars, and their scores."""

    model: Lux
    test: Survey
    predictions: Mapping[str, Prediction]
    scores: Scores

    @property
    def sentence(self) -> str:
        """The RMSE of Lux for each label, for an alternative text."""
        return ", ".join(
            f"{name} (RMSE {each.rmse.value:.3g} {each.unit})" for name, each in self.scores["Lux"].items()
        )


def compare_models(chapter: Chapter, survey: Survey, *, quick_ones_only: bool = False) -> Compared:
    """Train Lux and the other models, or only the regression on its labels, on four fifths of a survey."""
    train, test = survey.split(0.2, seed=chapter.seed)
    model = chapter.model(train)
    predictions = compare(model, train, test, {"labels only": LabelsOnly(model)} if quick_ones_only else None)
    scores = {name: score(prediction, test) for name, prediction in predictions.items()}
    return Compared(model, test, predictions, scores)


def record_scores(record: Record, compared: Compared) -> None:
    """Record how well Lux predicts each label of held-out stars."""
    test, scores = compared.test, compared.scores["Lux"]
    columns = {
        "label": [label_text(name) for name in scores],
        "catalogue error": [each.catalogue_error for each in scores.values()],
        "RMSE": [_plus_minus(name, each.rmse) for name, each in scores.items()],
        "bias": [_plus_minus(name, each.bias) for name, each in scores.items()],
        "chi": [each.chi.value for each in scores.values()],
        "intrinsic": [each.intrinsic.value for each in scores.values()],
    }
    if test.truth is not None:
        error = compared.predictions["Lux"].labels - test.truth.labels
        columns["true RMSE"] = np.sqrt(np.mean(error**2, axis=0))
    formats = dict.fromkeys(("catalogue error", "intrinsic", "true RMSE"), ".3g")
    record.table("scores", columns, formats={"chi": ".2f"} | formats)


def _plus_minus(name: str, estimate: Estimate) -> str:
    """Return a statistic of a label and half its interval, for a narrow column."""
    places = 0 if name == "teff" else 3
    value = f"{round(estimate.value, places) + 0.0:.{places}f}".replace("-", "−")
    return f"{value}\u00a0±\u00a0{estimate.uncertainty:.{places}f}"


def record_models(record: Record, scores: Scores) -> None:
    """Record the RMSE of each model for each label."""
    names = next(iter(scores.values()))
    columns = {label_text(name): [each[name].rmse for each in scores.values()] for name in names}
    formats = {label_text(name): ".1f" if name == "teff" else ".4f" for name in names}
    record.table("models", {"model": list(scores)} | columns, formats=formats)


def record_europium(record: Record, compared: Compared) -> None:
    """Record how well europium is predicted, and how well from the other labels alone."""
    test, predictions = compared.test, compared.predictions
    europium, guess = compared.scores["Lux"]["eu_fe"], compared.scores["labels only"]["eu_fe"]
    record.estimate("eu_rmse", europium.rmse, unit="dex")
    record("eu_catalogue_error", europium.catalogue_error, unit="dex", digits=2)
    if test.truth is None:
        record("eu_rmse_truth", "an unknown amount")
    else:
        column = test.label_index("eu_fe")
        error = predictions["Lux"].label("eu_fe") - test.truth.labels[:, column]
        record("eu_rmse_truth", np.sqrt(np.mean(error**2)), unit="dex", digits=2)
    record("eu_rmse_over_error", europium.rmse.value / europium.catalogue_error, digits=3)
    mean_error = float(np.nanmean(test.label_err[:, test.label_index("eu_fe")]))
    record("eu_rmse_over_mean_error", europium.rmse.value / mean_error, digits=3)
    record.estimate("eu_bias", europium.bias, unit="dex")
    record.estimate("eu_intrinsic", europium.intrinsic, unit="dex")
    record("eu_spread", np.nanstd(test.label("eu_fe")), unit="dex", digits=2)
    record.estimate("eu_labels_only_rmse", guess.rmse, unit="dex")
    difference = paired_difference(predictions["Lux"], predictions["labels only"], test, "eu_fe")
    record.estimate("eu_paired_difference", difference, unit="dex", in_brackets=True)
    record("eu_paired_difference_covers_zero", difference.low <= 0 <= difference.high)
    column = predictions["Lux"].names.index("eu_fe")
    stated = predictions["Lux"].err[:, column]
    from_latents = np.sqrt(stated**2 - compared.model.label_scatter_[column] ** 2)
    record.numbers(unit="dex", digits=2, stated_eu_error=np.median(stated), latents_eu_error=np.median(from_latents))


def record_ratios(record: Record) -> tuple[dict[str, float], float]:
    """Record what the published ratios of RMSE to catalogue error say; return them, and the largest of those beaten."""
    ratios = {name: rmse / error for name, (rmse, error, _) in PUBLISHED.items()}
    beaten = [name for name, ratio in ratios.items() if PUBLISHED[name][2] and ratio > ratios["eu_fe"]]
    record("published_eu_rmse", PUBLISHED["eu_fe"][0], unit="dex")
    record("published_eu_ratio", ratios["eu_fe"], digits=3)
    record("n_beaten", len(beaten))
    record("n_with_lines", sum(has_lines for _, _, has_lines in PUBLISHED.values()))
    record("beaten", ", ".join(label_name(name) for name in beaten))
    line_free = [name for name, (_, _, has_lines) in PUBLISHED.items() if not has_lines and name != "eu_fe"]
    record("line_free", ", ".join(f"{label_name(name)} {ratios[name]:.2f}" for name in line_free))
    return ratios, max(ratios[name] for name in beaten)


def record_strengths(record: Record) -> None:
    """Record how strong planted lines are in the units of a spectroscopist, beside the strongest of cerium."""
    rows = {f"europium, {100 * change:g} % per σ": line_strengths(Signal(depth=change)) for change in DEPTHS}
    cerium = natural_strengths("Ce II")
    strongest = int(np.argmax(cerium.depth))
    columns: dict[str, list] = {
        "line": [*rows, f"Ce II {cerium.wavelength[strongest]:,.1f} Å, the strongest"],
        "depth (%)": [100 * each.depth[0] for each in rows.values()] + [100 * cerium.depth[strongest]],
        "width (mÅ)": [each.equivalent_width.mean() for each in rows.values()] + [cerium.equivalent_width[strongest]],
        "change per σ of [Eu/Fe] (%)": [100 * each.change[0] for each in rows.values()] + [None],
    }
    record.table("strengths", columns)
    weak, default = line_strengths(Signal(depth=WEAK)), line_strengths(Signal())
    for key, each in (("weak", weak), ("planted", default)):
        record(f"{key}_width", each.equivalent_width.mean(), unit="mÅ", digits=2)
    record("planted_line_depth", 100 * default.depth[0], unit="%", digits=2)
    record("eu_sigma", disc_moments(_TAU)["eu_fe_std"], unit="dex", digits=2)
    record("weak_change", 100 * WEAK, unit="%", digits=1)
    record("cerium_width", cerium.equivalent_width[strongest], unit="mÅ", digits=2)


@dataclass(frozen=True)
class World:
    """How a model that was trained on a world predicts europium, of ordinary stars and of enhanced ones.

    Parameters
    ----------
    compared : Compared
        "Lux" and "labels only" among its models.
    ordinary, enhanced : Response
    enhanced_stars : Survey
    own_scatter : Estimate
        Slope of the prediction against europium's own scatter in the disc.
    best : float
        That slope for an observer who makes the best use of each spectrum.
    atoms, enhanced_atoms : Estimate
        Slope against the number of europium atoms, in the disc and in enhanced stars.
    """

    compared: Compared
    ordinary: Response
    enhanced: Response
    enhanced_stars: Survey
    own_scatter: Estimate
    best: float
    atoms: Estimate
    enhanced_atoms: Estimate

    @property
    def panel(self) -> tuple[np.ndarray, ...]:
        """What `lux.figures.transfer.paradox` draws."""
        return (self.ordinary.true, self.ordinary.predicted, self.enhanced.true, self.enhanced.predicted)


def world_of(chapter: Chapter, compared: Compared, world: PlantedWorld | str) -> World:
    """Return how the model of a synthetic world predicts europium, of its test stars and of enhanced ones."""
    model, test = compared.model, compared.test
    enhanced = _enhanced(chapter, world=world)
    disc = test[~test.truth.columns["r_enhanced"]]
    predictions = model.predict_labels(disc), model.predict_labels(enhanced)
    true = disc.truth.columns
    reference = float(np.mean(true["eu_fe"] + true["fe_h"]))
    return World(
        compared,
        response(model, test),
        response(model, enhanced),
        enhanced,
        own_scatter=response_slope(predictions[0], true["eu_residual"], "eu_fe"),
        best=best_slope(disc),
        atoms=atom_slope(predictions[0], disc, reference),
        enhanced_atoms=atom_slope(predictions[1], enhanced, reference),
    )


def _enhanced(chapter: Chapter, **options: Any) -> Survey:
    """Return stars whose europium alone is raised, observed as the survey with these options is."""
    n_stars = 200 if chapter.quick else 500
    return chapter.world(n_stars=n_stars, seed=chapter.seed + 1000, population="r-I", **options)


def record_worlds(record: Record, worlds: Mapping[str, World]) -> dict[str, str]:
    """Record what tells a guess from knowledge of europium in each world; return the slopes of enhanced stars."""
    rows: dict[str, list] = {}
    slopes = {}
    for name, world in worlds.items():
        scores = world.compared.scores
        record.estimate(f"eu_rmse_{name}", scores["Lux"]["eu_fe"].rmse, unit="dex")
        slopes[name] = record.estimate(f"r_enhanced_slope_{name}", world.enhanced.slope)
        record.estimate(f"disc_slope_{name}", world.own_scatter)
        record(f"best_slope_{name}", world.best, digits=2)
        record.estimate(f"atom_slope_{name}", world.atoms)
        record.estimate(f"r_enhanced_atom_slope_{name}", world.enhanced_atoms)
        cells = {
            "RMSE of Lux (dex)": scores["Lux"]["eu_fe"].rmse,
            "RMSE of labels only (dex)": scores["labels only"]["eu_fe"].rmse,
            "slope on [Eu/Fe], enhanced stars": world.enhanced.slope,
            "bias, enhanced stars (dex)": record.mean(f"r_enhanced_bias_{name}", world.enhanced.residual, unit="dex"),
            "slope on europium's own scatter, disc": world.own_scatter,
            "the same, at best": world.best,
            "slope on atoms, disc": world.atoms,
            "slope on atoms, enhanced stars": world.enhanced_atoms,
        }
        for row, cell in cells.items():
            rows.setdefault(row, []).append(cell)
    titles = ("no line", f"lines of {100 * WEAK:g} % per σ", f"lines of {100 * Signal().depth:g} % per σ")
    columns = dict(zip(titles, zip(*rows.values(), strict=True), strict=True))
    record.table("worlds", {"europium": list(rows)} | columns)
    signal = worlds["signal"].compared
    guess = signal.scores["labels only"]["eu_fe"].rmse
    record("eu_labels_only_rmse_signal", guess.value, unit="dex", sampling_error=guess.uncertainty)
    models = signal.predictions["Lux"], signal.predictions["labels only"]
    difference = paired_difference(*models, signal.test, "eu_fe")
    record.estimate("eu_paired_difference_signal", difference, unit="dex", in_brackets=True)
    record("planted_depth", 100 * signal.test.truth.world["depth"], unit="%", digits=1)
    record("tau", signal.test.truth.world["tau"], unit="dex", digits=1)
    return slopes


def record_richest(record: Record, chapter: Chapter, weak: World) -> None:
    """Record what a model makes of the weak lines without the one training star that has most europium atoms."""
    train, _ = chapter.survey("synthetic", world=WORLDS_WITH_LINES["weak"]).split(0.2, seed=chapter.seed)
    true = train.truth.columns
    atoms = true["eu_fe"] + true["fe_h"]
    richest = int(np.argmax(atoms))
    record("n_train_weak", train.n_stars)
    times = 10 ** (atoms[richest] - np.median(atoms))
    record("richest_times", times, digits=1 if times >= 10 else 2)
    model = chapter.model(train[np.arange(train.n_stars) != richest])
    record.estimate("r_enhanced_slope_without_richest", response(model, weak.enhanced_stars).slope)


def record_options(record: Record, chapter: Chapter) -> None:
    """Record what becomes of the paradox in surveys that are less kind than the default one."""
    n_stars = min(chapter.n_stars, 2000)
    surveys = {name: options for name, options in OPTIONS.items() if not chapter.quick or name in _QUICK_OPTIONS}
    columns: dict[str, list] = {"survey": list(surveys), "RMSE (dex)": [], "slope, enhanced": []}
    columns |= {"slope, own scatter": [], "the audit says": []}
    for options in surveys.values():
        train, test = chapter.world(n_stars=n_stars, **options).split(0.2, seed=chapter.seed)
        model = chapter.model(train)
        prediction = model.predict_labels(test)
        columns["RMSE (dex)"].append(score(prediction, test)["eu_fe"].rmse)
        columns["slope, enhanced"].append(response(model, _enhanced(chapter, **options)).slope)
        slope = response_slope(prediction, test.truth.columns["eu_residual"], "eu_fe")
        columns["slope, own scatter"].append(slope)
        columns["the audit says"].append(audit(model, train, test, "eu_fe", seed=chapter.seed).verdict)
    # The last one has upper limits, among the rest.
    record("upper_limits", 100 * np.mean(np.isnan(train.label("eu_fe"))), unit="%", digits=2)
    record.table("options", columns)
    record("n_stars_options", n_stars)
    slopes = [each.value for each in columns["slope, enhanced"]]
    record("options_largest_slope", max(slopes, key=abs), digits=2)
    rmse = [each.value for each in columns["RMSE (dex)"]]
    record("options_rmse_change", max(abs(value - rmse[0]) for value in rmse), unit="dex", digits=1)
    verdicts = columns["the audit says"]
    record("options_verdicts", ", ".join(sorted(set(verdicts))))


def record_excess(record: Record, world: World) -> None:
    """Record how rich in europium the enhanced stars are, and how much of their excess the prediction misses."""
    excess = world.enhanced_stars.truth.columns["eu_residual"].mean()
    record.numbers(unit="dex", digits=2, r_enhanced_mean=world.enhanced.true.mean(), r_enhanced_excess=excess)
    missed = -world.enhanced.residual.mean() / excess
    record("r_enhanced_missed_shortcut", 100 * missed, unit="%", digits=2)


@dataclass(frozen=True)
class HeldOut:
    """Predictions of genuine spectra by models that did not see the star, or not its cluster: by way, by model."""

    survey: Survey
    predictions: Mapping[str, Mapping[str, Prediction]]
    n_clusters: int
    n_latents: int
    n_folds: int


def hold_out_twice(chapter: Chapter) -> HeldOut:
    """Predict the genuine spectra with stars held out at random, and with whole clusters held out."""
    real = chapter.survey("apogee-dr10")
    n_latents, n_folds = (10, 2) if chapter.quick else (30, 4)

    def predict(train: Survey, test: Survey) -> dict[str, Prediction]:
        model = chapter.model(train, n_latents=n_latents, tolerance=0.05)
        # The quick ones of the other models; the benchmark has all.
        rivals: dict[str, Baseline] = {
            "mean": Mean(),
            "ridge": FluxRegression.ridge(),
            "labels only": LabelsOnly(model),
        }
        return compare(model, train, test, rivals)

    clusters, cluster = np.unique(real.catalogue["cluster"], return_inverse=True)
    real = real.replace(catalogue={**real.catalogue, "held_out_with": cluster % n_folds})
    predictions = {
        "star": cross_validate(real, folds_by_star(real, n_folds, seed=chapter.seed), predict),
        "cluster": cross_validate(real, folds_by_group(real, "held_out_with"), predict),
    }
    return HeldOut(real, predictions, len(clusters), n_latents, n_folds)


def record_real(record: Record, held_out: HeldOut) -> None:
    """Record how well the labels of genuine spectra are predicted, by either way of holding out."""
    ways = held_out.predictions.items()
    keys = [(by, name) for by, predictions in ways for name in predictions]
    survey, cluster = held_out.survey, held_out.survey.catalogue["cluster"]
    scores = {(by, name): score(held_out.predictions[by][name], survey, groups=cluster) for by, name in keys}
    columns: dict[str, list] = {"held out": [by for by, _ in keys] + ["–"]}
    columns["model"] = [name for _, name in keys] + ["catalogue error"]
    for label in REAL_LABELS:
        values = [each[label].rmse for each in scores.values()]
        columns[label_text(label)] = [*values, scores["star", "Lux"][label].catalogue_error]
    formats = {label_text(label): ".0f" if label == "teff" else ".3f" for label in REAL_LABELS}
    record.table("real_models", columns, formats=formats)
    for by in held_out.predictions:
        for label in REAL_LABELS:
            unit = "K" if label == "teff" else "dex"
            record.estimate(f"dr10_{label}_rmse_by_{by}", scores[by, "Lux"][label].rmse, unit=unit)
    rmse = {key: {label: each[label].rmse.value for label in REAL_LABELS} for key, each in scores.items()}
    squares = [(each["Lux"].label("m_h") - survey.label("m_h")) ** 2 for each in held_out.predictions.values()]
    growth = [
        np.sqrt(np.nanmean(squares[1][rows]) / np.nanmean(squares[0][rows])) for rows in bootstrap_groups(cluster)
    ]
    record("dr10_m_h_growth", rmse["cluster", "Lux"]["m_h"] / rmse["star", "Lux"]["m_h"], uncertainty=np.std(growth))
    for name in ("labels only", "mean"):
        key = f"dr10_alpha_m_{name.replace(' ', '_')}"
        record(key, rmse["cluster", name]["alpha_m"], unit="dex", digits=2)
    for by, key in (("star", "dr10_ridge_better"), ("cluster", "dr10_ridge_better_by_cluster")):
        record(key, _where_less(rmse[by, "ridge"], rmse[by, "Lux"]) or "none of the labels")
    record.numbers(n_real=held_out.survey.n_stars, n_clusters=held_out.n_clusters, n_folds=held_out.n_folds)
    record("n_latents_real", held_out.n_latents)


def _where_less(one: Mapping[str, float], other: Mapping[str, float]) -> str:
    names: Sequence[str] = [label for label in one if one[label] < other[label]]
    return ", ".join(label_name(label) for label in names)
