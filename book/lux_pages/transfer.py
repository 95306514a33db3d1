"""Numbers and tables of the chapter on label transfer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lux.diagnostics.response import Response, response
from lux.diagnostics.transfer import Baseline, LabelScore, compare, paired_difference, response_slope, score
from lux.figures import label_name, label_text
from lux.models.baselines import FluxRegression, LabelsOnly, Mean
from lux.models.lux import Lux
from lux.models.model_selection import cross_validate, folds_by_group, folds_by_star
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.statistics import Estimate
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
    record("eu_rmse_over_error", europium.rmse.value / europium.catalogue_error, digits=3)
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
    return ratios, max(ratios[name] for name in beaten)


@dataclass(frozen=True)
class World:
    """How a model that was trained on a world predicts europium, of ordinary stars and of enhanced ones.

    Parameters
    ----------
    compared : Compared
        "Lux" and "labels only" among its models.
    ordinary, enhanced : Response
    enhanced_stars : Survey
    disc_slope : Estimate
        Slope of the prediction against europium's own scatter in the disc.
    """

    compared: Compared
    ordinary: Response
    enhanced: Response
    enhanced_stars: Survey
    disc_slope: Estimate

    @property
    def panel(self) -> tuple[np.ndarray, ...]:
        """What `lux.figures.transfer.paradox` draws."""
        return (self.ordinary.true, self.ordinary.predicted, self.enhanced.true, self.enhanced.predicted)


def world_of(chapter: Chapter, compared: Compared, world: str) -> World:
    """Return how the model of a synthetic world predicts europium, of its test stars and of enhanced ones."""
    model, test = compared.model, compared.test
    n_stars = 200 if chapter.quick else 500
    enhanced = chapter.world(world, n_stars=n_stars, seed=chapter.seed + 1000, population="r-I")
    disc = test[~test.truth.columns["r_enhanced"]]
    slope = response_slope(model.predict_labels(disc), disc.truth.columns["eu_residual"], "eu_fe")
    return World(compared, response(model, test), response(model, enhanced), enhanced, slope)


def record_worlds(record: Record, worlds: Mapping[str, World]) -> dict[str, str]:
    """Record what tells a guess from knowledge of europium in each world; return the slopes of enhanced stars."""
    columns: dict[str, list] = {"world": list(worlds), "RMSE": [], "labels only": []}
    columns |= {"slope, enhanced stars": [], "bias, enhanced stars": [], "slope, own scatter of the disc": []}
    for name, world in worlds.items():
        scores = world.compared.scores
        columns["RMSE"].append(record.estimate(f"eu_rmse_{name}", scores["Lux"]["eu_fe"].rmse, unit="dex"))
        columns["labels only"].append(scores["labels only"]["eu_fe"].rmse)
        slope = record.estimate(f"r_enhanced_slope_{name}", world.enhanced.slope)
        columns["slope, enhanced stars"].append(slope)
        bias = record.mean(f"r_enhanced_bias_{name}", world.enhanced.residual, unit="dex")
        columns["bias, enhanced stars"].append(bias)
        columns["slope, own scatter of the disc"].append(record.estimate(f"disc_slope_{name}", world.disc_slope))
    record.table("worlds", columns, formats={"labels only": ".4f"})
    signal = worlds["signal"].compared
    guess = columns["labels only"][1]
    record("eu_labels_only_rmse_signal", guess.value, unit="dex", sampling_error=guess.uncertainty)
    models = signal.predictions["Lux"], signal.predictions["labels only"]
    difference = paired_difference(*models, signal.test, "eu_fe")
    record.estimate("eu_paired_difference_signal", difference, unit="dex", in_brackets=True)
    record("planted_depth", 100 * signal.test.truth.world["depth"], unit="%", digits=1)
    record("tau", signal.test.truth.world["tau"], unit="dex", digits=1)
    return dict(zip(worlds, columns["slope, enhanced stars"], strict=True))


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
    scores = {(by, name): score(held_out.predictions[by][name], held_out.survey, n_bootstrap=200) for by, name in keys}
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
    record("dr10_m_h_growth", rmse["cluster", "Lux"]["m_h"] / rmse["star", "Lux"]["m_h"], digits=2)
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
