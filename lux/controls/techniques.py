"""Controls: every technique is tried on planted truth, in hundreds of synthetic surveys.

A `Cell` is one kind of world. Each of its seeds makes a survey of stars in a few stretches of spectrum; Lux models are
fitted to seventy per cent of it, once in the published recipe and once in ours; and every technique gives *one number*,
declared in `TECHNIQUES` before anything was run: the larger, the better the evidence for knowledge.
`lux.controls.scores` compares these numbers between worlds. What the published study said is measured as well, each
statement of `STATEMENTS` true or not.

A survey is made of `star_seed` (the stars, shared by `SHARED` seeds of a cell, which makes hundreds of them cheap) and
a seed of its own for europium, noise, masks and catalogue. Worlds of one tau, size and seed differ only in what is
planted.
"""

import dataclasses
import warnings
from typing import Any, NamedTuple

import numpy as np

from lux.auditing import measurements, observer_frame
from lux.auditing.audit import audit_told_and_blind
from lux.auditing.evidence import Kind
from lux.controls.ensemble import CANDIDATE_LINES, LABEL, WINDOWS, Cell
from lux.diagnostics import counterfactuals, erasure, line_matching, matching, mutual_information, probing, saliency
from lux.diagnostics.attribution import latent_shap
from lux.diagnostics.transfer import response_slope
from lux.models.lux import Lux
from lux.simulation import cramer_rao
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.synthetic import make_survey
from lux.statistics import quadratic_terms
from lux.survey import Survey

_N_RESPONSE_STARS, _TEST_FRACTION = 120, 0.3
_LUX: dict[str, Any] = {"n_latents": 21, "block_size": 1024, "progress": False}
OURS = {**_LUX, "tolerance": 0.1}
# On all pixels the coarse tolerance is met after two cycles, before weak lines can have been learned.
_WHOLE_SPECTRA = {"tolerance": 0.02}
# Five rounds of alternating least squares from the labels, with a prior too wide to matter (Horta et al. 2025).
_PUBLISHED = {**_LUX, "start": "labels", "algorithm": "als", "omega": 1000.0, "max_cycles": 5, "tolerance": 1e-9}
# The model without europium, by which pairs are matched, needs the other labels only.
_BLIND = {**OURS, "max_cycles": 2}
# Enhanced stars among the 50,000 of the published study, at a fraction of one in a thousand.
_N_ENHANCED = 50
_N_ORDINARY, _N_ABLATIONS, _N_SHIFTS = 60, 8, 200
_N_PROBE_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class Technique:
    """A technique and the one number that stands for it.

    Parameters
    ----------
    name, scalar : str
        What it is called, and what the number is.
    published : bool
        Whether the published study used it; then the model is fitted in the published recipe.
    asks : str
        "model": what the model does; "flux": what the spectra hold.
    told : bool
        Whether it is given the three candidate wavelengths.
    """

    name: str
    scalar: str
    published: bool = False
    asks: str = "model"
    told: bool = False


TECHNIQUES = {
    "rmse": Technique("RMSE over error", "minus the RMSE of predicted [Eu/Fe] over the catalogue's error", True),
    "mig": Technique("MIG", "the Mutual Information Gap of europium", True),
    "mig_rank": Technique("MIG rank", "how many other labels have a smaller gap than europium", True),
    "shap": Technique("SHAP latents", "minus the number of latents over which SHAP distributes europium", True),
    "shap_own": Technique("SHAP own latent", "the share of the latent that began as europium", True),
    "probe": Technique("linear probe", "cross-validated R² of a linear probe of flux-only latents", True),
    "mlp": Technique("MLP minus linear", "R² of a perceptron probe minus that of the linear one", True),
    "line_match": Technique(
        "saliency line match", "spikes of the backward map at candidate lines, minus chance", True, told=True
    ),
    "doppelganger": Technique(
        "doppelganger", "largest residual of the richest star against two doppelgangers", True, asks="flux"
    ),
    "rmse_ours": Technique("RMSE over error, EM", "the same, of the model as we fit it"),
    "mig_canonical": Technique("MIG rank, canonical", "the rank in the canonical gauge of the model as we fit it"),
    "shap_canonical": Technique("SHAP latents, canonical", "minus the number of latents in that gauge"),
    "probe_ours": Technique("linear probe, EM", "R² of a linear probe of the model as we fit it"),
    "response": Technique("response slope", "slope of prediction against truth for r-process-enhanced stars"),
    "ablation": Technique("masked lines", "growth of the error by masking the lines, against moved masks", told=True),
    "jacobian": Technique("backward Jacobian", "significance of the backward map, downwards, at the lines", told=True),
    "partial_noisy": Technique("partial correlation, catalogue", "of prediction and catalogue, given catalogue labels"),
    "partial_inferred": Technique("partial correlation, inferred", "the same, given the other labels as inferred"),
    "leace": Technique("LEACE remainder", "R² of a linear probe after the other labels are erased from the latents"),
    "unique": Technique("unique information", "nats of the latents about europium beyond the other inferred labels"),
    "stack_maximum": Technique("stacked pairs, maximum", "significance of stacked pairs, anywhere", asks="flux"),
    "matched_filter": Technique(
        "matched filter", "significance of stacked matched pairs at the lines", asks="flux", told=True
    ),
    "audit_lines": Technique("audit, own lines", "significance of absorption at the lines", asks="flux", told=True),
    "audit_any": Technique("audit, any line", "significance of the strongest line, not told where", asks="flux"),
    "audit_features": Technique("audit, strong features", "significance of strong features, not told", asks="flux"),
}

STATEMENTS = {
    "rmse_comparable": "europium's RMSE is at most 1.34 of the catalogue's mean error, as published",
    "mig_lowest": "its gap is the lowest of five",
    "probe_weakest": "a linear probe predicts it worst of five",
    "mlp_no_better": "a perceptron probe gains less than 0.02 in R²",
    "shap_elsewhere": "its dominant latent is one that began as another label",
    "spikes_elsewhere": "spikes of its Jacobian match the lines no better than chance (p > 0.05)",
    "star_ordinary": "the richest star shows nothing against its doppelgangers (p > 0.05)",
}
# Slopes of the prediction on true europium: of our model and of the published recipe's, see `_use`.
USES = ("response", "own_slope", "response_published", "own_slope_published")
_PUBLISHED_RMSE_OVER_MEAN_ERROR = 1.34
_PERCEPTRON_GAIN, _BY_CHANCE = 0.02, 0.05
_COLUMNS = ("flux", "ivar", "labels", "label_err")


def measure(cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None) -> dict[str, Any]:
    """Return what every technique says of one world, as plain numbers and strings.

    Keys are those of `TECHNIQUES` and `STATEMENTS`; "cell", "seed"; "verdict" and "reason" of the audit that is told
    the candidate lines, "blind_verdict" of the one that is not; `USES`; "rmse_over_mean", that of the published recipe
    over the mean error; "bound", the significance of the lines to the optimal observer, and "star_bound", what that
    knows of the median star, in dex (`lux.simulation.cramer_rao`).
    `spectra` are those of an empirical cell.
    """
    survey, train, test, enhanced, options = make_world(cell, seed, star_seed, spectra)
    limits = cramer_rao.star_bound(survey)
    rich = make_survey(_N_ENHANCED, seed + 700, cell.world, r_enhanced_fraction=1.0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        published = published_model(train)
        model = Lux(**{**OURS, **(_WHOLE_SPECTRA if cell.full_band else {})}).fit(train)
        others = tuple(name for name in survey.label_names if name != LABEL)
        blind = Lux(**_BLIND).fit(train.select_labels(others))
        audited = observer_frame.with_velocities(train), observer_frame.with_velocities(test)
        report, blind_report = audit_told_and_blind(model, *audited, LABEL, CANDIDATE_LINES, seed=seed)
        numbers = {
            **published_statistics(published, test, seed),
            **{f"{key}_published": value for key, value in use_of_model(published, test, enhanced).items()},
            **use_of_model(model, test, enhanced),
            **_of_richest(survey, rich, seed),
            **_of_predictions(model, test),
            **_of_latents(model, train, test, seed),
            **_of_pixels(model, test, seed),
            **_of_pairs(blind, survey, seed),
        }
    numbers.update(
        audit_lines=report[Kind.OWN_LINES].z_score,
        audit_any=blind_report[Kind.ANY_LINE].z_score,
        audit_features=blind_report[Kind.STRONG_FEATURES].z_score,
        bound=cramer_rao.sample_significance(survey, limits),
        star_bound=np.median(limits),
    )
    words = {"cell": cell.key, "seed": seed, "verdict": report.verdict, "reason": report.reason}
    keys = {*TECHNIQUES, *STATEMENTS, *USES, "rmse_over_mean", "bound", "star_bound"}
    return {**words, "blind_verdict": blind_report.verdict, **{key: float(numbers[key]) for key in keys}}


def measure_own_star(cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None) -> dict[str, Any]:
    """Return the doppelganger's number where the survey's own richest star is compared, as "own_star".

    `measure` lends it a star of a larger survey. Arguments are those of `measure`, and so is the survey.
    """
    survey = make_world(cell, seed, star_seed, spectra).survey
    found = counterfactuals.doppelganger_test(survey, LABEL, n_ordinary=_N_ORDINARY, seed=seed)
    return {"cell": cell.key, "seed": seed, "own_star": float(found.largest.statistic)}


class MadeWorld(NamedTuple):
    """A survey, its training and test stars, enhanced stars that are in neither, and the options of them all."""

    survey: Survey
    train: Survey
    test: Survey
    enhanced: Survey
    options: dict[str, Any]


def make_world(cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None) -> MadeWorld:
    """Return one world of a cell; arguments are those of `measure`."""
    options: dict[str, Any] = {"tau": cell.tau, "star_seed": star_seed, "spectra": spectra}
    options |= {"release": "dr10" if spectra else "dr17", "wavelength_range": None if cell.full_band else WINDOWS}
    survey = make_survey(cell.n_stars, seed, cell.world, **options)
    # Noise of its own, which the model has not seen.
    enhanced = make_survey(_N_RESPONSE_STARS, seed + 500, cell.world, population="r-I", **options)
    return MadeWorld(survey, *survey.split(_TEST_FRACTION, seed=seed), enhanced, options)


def published_model(train: Survey, **changes: Any) -> Lux:
    """Return the fit of the published study, with some of its settings changed."""
    return Lux(**{**_PUBLISHED, **changes}).fit(train)


def published_statistics(model: Lux, test: Survey, seed: int) -> dict[str, float]:
    """Return the statistics and statements of the published study about the model in its recipe."""
    latents, column = model.infer_latents(test), test.label_index(LABEL)
    gaps = mutual_information.mutual_information_gap(latents, test.labels, test.label_names).corrected_gap
    attributed = latent_shap(model, latents)
    probes = [_probe(latents, values, seed) for values in test.labels.T]
    perceptron = _probe(latents, test.label(LABEL), seed, kind="mlp")
    over_mean = rmse_over_mean_error(model, test)
    matched = _match(saliency.backward_map(model, test).of(LABEL), test, seed)
    return {
        "rmse": -rmse_over_error(model, test),
        "mig": gaps[column],
        "mig_rank": np.sum(gaps < gaps[column]),
        "shap": -attributed.participation[column],
        # The latents begin as the labels, in their order.
        "shap_own": attributed.share[column, column],
        "probe": probes[column],
        "mlp": perceptron - probes[column],
        "line_match": matched.n_matched - matched.expected,
        "rmse_over_mean": over_mean,
        "rmse_comparable": over_mean <= _PUBLISHED_RMSE_OVER_MEAN_ERROR,
        "mig_lowest": np.argmin(gaps) == column,
        "probe_weakest": np.argmin(probes) == column,
        "mlp_no_better": perceptron - probes[column] < _PERCEPTRON_GAIN,
        "shap_elsewhere": attributed.dominant[column] != column,
        "spikes_elsewhere": matched.test.p_value > _BY_CHANCE,
    }


def _of_richest(survey: Survey, rich: Survey, seed: int) -> dict[str, float]:
    """Compare the richest star of a survey of the published size with doppelgangers in this survey."""
    row = [int(np.argmax(rich.label(LABEL)))]
    both = {name: (getattr(survey, name), getattr(rich, name)[row]) for name in _COLUMNS}
    columns: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in both.items()}
    sample = Survey(wavelength=survey.wavelength, label_names=survey.label_names, **columns)
    found = counterfactuals.doppelganger_test(sample, LABEL, n_ordinary=_N_ORDINARY, seed=seed)
    return {"doppelganger": found.largest.statistic, "star_ordinary": found.largest.p_value > _BY_CHANCE}


def _probe(latents: np.ndarray, label: np.ndarray, seed: int, kind: str = "linear") -> float:
    return probing.probe(latents, label, kind=kind, n_folds=_N_PROBE_FOLDS, n_control=0, seed=seed).r2


def rmse_over_error(model: Any, test: Survey) -> float:
    """Return the RMSE of a model's prediction of europium over the root mean square of the catalogue's errors."""
    error = test.label_err[:, test.label_index(LABEL)]
    return _rmse(model, test) / float(np.sqrt(np.mean(error**2)))


def rmse_over_mean_error(model: Any, test: Survey) -> float:
    """Return that RMSE over the mean of the catalogue's errors, by which the study divides."""
    return _rmse(model, test) / float(np.mean(test.label_err[:, test.label_index(LABEL)]))


def _rmse(model: Any, test: Survey) -> float:
    return float(np.sqrt(np.mean((model.predict_labels(test).label(LABEL) - test.label(LABEL)) ** 2)))


def _match(values: np.ndarray, test: Survey, seed: int) -> line_matching.LineMatch:
    spikes = line_matching.find_spikes(test.wavelength, values)
    return line_matching.match_lines(spikes, CANDIDATE_LINES, test.wavelength, n_shifts=_N_SHIFTS, seed=seed)


def use_of_model(model: Any, test: Survey, enhanced: Survey) -> dict[str, float]:
    """Return how far a model's prediction follows europium: in enhanced stars, and in its own scatter in ordinary ones.

    The latter is the slope on the true europium beyond the disc's relation, with the true other labels held fixed.
    """
    beyond = enhanced.truth
    assert beyond is not None, "simulated surveys have their truth"
    true = beyond.labels[:, enhanced.label_index(LABEL)]
    slope = response_slope(model.predict_labels(enhanced), true, LABEL, n_bootstrap=2)
    return {"response": slope.value, "own_slope": own_slope(model, test)}


def own_slope(model: Any, test: Survey, below_teff: float = np.inf) -> float:
    """Return the slope of a prediction on europium's own scatter in ordinary stars, or in those below a Teff (K)."""
    column, truth = test.label_index(LABEL), test.truth
    assert truth is not None, "simulated surveys have their truth"
    chosen = ~truth.columns["r_enhanced"] & (truth.labels[:, test.label_index("teff")] < below_teff)
    predicted = model.predict_labels(test).label(LABEL)[chosen]
    others = np.delete(truth.labels, column, axis=1)[chosen]
    return slope_on_own_part(predicted, truth.columns["eu_residual"][chosen], others)


def slope_on_own_part(predicted: np.ndarray, own: np.ndarray, others: np.ndarray) -> float:
    """Return the slope of predictions (N,) on a label's own part (N,), with the true other labels (N, M) held fixed."""
    design = np.column_stack([own, np.ones(len(others)), quadratic_terms(others)])
    return float(np.linalg.lstsq(design, predicted)[0][0])


def _of_predictions(model: Lux, test: Survey) -> dict[str, float]:
    prediction = model.predict_labels(test)
    column = test.label_index(LABEL)
    label, predicted = test.label(LABEL), prediction.labels[:, column]
    noisy, inferred = np.delete(test.labels, column, axis=1), np.delete(prediction.labels, column, axis=1)
    return {
        "rmse_ours": -rmse_over_error(model, test),
        "partial_noisy": _partial_correlation(predicted, label, noisy),
        "partial_inferred": _partial_correlation(predicted, label, inferred),
    }


def _partial_correlation(first: np.ndarray, second: np.ndarray, given: np.ndarray) -> float:
    """Return the correlation of two variables (N,) after a quadratic regression of both on given (N, Q)."""
    design = np.column_stack([np.ones(len(given)), quadratic_terms(given)])
    residuals = [values - design @ np.linalg.lstsq(design, values)[0] for values in (first, second)]
    return float(np.corrcoef(*residuals)[0, 1])


def _of_latents(model: Lux, train: Survey, test: Survey, seed: int) -> dict[str, float]:
    latents, column = model.infer_latents(test), test.label_index(LABEL)
    label = test.label(LABEL)
    gaps = mutual_information.mutual_information_gap(latents, test.labels, test.label_names).corrected_gap
    eraser = erasure.fit_eraser(model.infer_latents(train), np.delete(train.labels, column, axis=1))
    inferred = np.delete(model.predict_labels(test).labels, column, axis=1)
    return {
        "mig_canonical": np.sum(gaps < gaps[column]),
        "shap_canonical": -latent_shap(model, latents).participation[column],
        "probe_ours": _probe(latents, label, seed),
        "leace": _probe(eraser.apply(latents), label, seed),
        "unique": probing.information_gain(latents, label, inferred, n_permutations=0, seed=seed).nats,
    }


def _of_pixels(model: Lux, test: Survey, seed: int) -> dict[str, float]:
    backward = saliency.backward_map(model, test)
    pixels, near = measurements.locate(test.wavelength, CANDIDATE_LINES)
    shifts = np.random.default_rng(seed).choice(np.arange(50, test.n_pixels - 50), _N_ABLATIONS, replace=False)
    losses = np.array([_loss_without(model, test, np.roll(near, shift)) for shift in (0, *shifts)])
    return {
        "jacobian": -np.sum(backward.z(LABEL)[pixels]) / np.sqrt(len(pixels)),
        "ablation": (losses[0] - losses[1:].mean()) / losses[1:].std(),
    }


def _loss_without(model: Lux, test: Survey, masked: np.ndarray) -> float:
    """Return the mean squared error of the prediction without some pixels (D,)."""
    without = test.replace(ivar=np.where(masked, np.float32(0), test.ivar))
    column = test.label_index(LABEL)
    predicted = model.a_[column] + model.infer_latents(without) @ model.A_[column]
    return float(np.mean((predicted - test.label(LABEL)) ** 2))


def _of_pairs(blind: Lux, survey: Survey, seed: int) -> dict[str, float]:
    pairs, others = matching.match_on_inferred(survey, matching.refined_prediction(blind, survey), LABEL)
    stack = counterfactuals.stack_pairs(survey, pairs, quadratic_terms(others), n_flips=1, seed=seed)
    pixels, _ = measurements.locate(survey.wavelength, CANDIDATE_LINES)
    return {
        "stack_maximum": stack.test.largest.statistic,
        "matched_filter": stack.test.z[pixels].sum() / np.sqrt(len(pixels)),
    }
