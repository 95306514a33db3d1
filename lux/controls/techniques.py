"""Controls: every technique is tried on planted truth, in hundreds of small synthetic surveys.

A `Cell` is one kind of world. Each of its seeds makes a survey of hundreds of stars in a few stretches of spectrum, a
Lux model is fitted to seventy per cent of it, and every technique gives *one number*, declared in `TECHNIQUES` before
anything was run: the larger, the better the evidence for knowledge. `lux.controls.scores` compares these numbers
between worlds.

A survey is made of `star_seed` (the stars, shared by `SHARED` seeds of a cell, which makes hundreds of them cheap) and
a seed of its own for europium, noise, masks and catalogue. Worlds of one tau and seed differ only in what is planted.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np

from lux.auditing import measurements
from lux.auditing.audit import audit
from lux.auditing.evidence import Kind
from lux.controls.ensemble import CANDIDATE_LINES, LABEL, WINDOWS, Cell
from lux.diagnostics import counterfactuals, erasure, line_matching, matching, mutual_information, probing, saliency
from lux.diagnostics.attribution import latent_shap
from lux.diagnostics.transfer import response_slope
from lux.models.lux import Lux
from lux.simulation import cramer_rao
from lux.simulation.synthetic import make_survey
from lux.statistics import quadratic_terms
from lux.survey import Survey

N_STARS, _N_RESPONSE_STARS, _TEST_FRACTION = 600, 120, 0.3
_LUX: dict[str, Any] = {"n_latents": 12, "tolerance": 0.1, "block_size": N_STARS, "progress": False}
# The model without europium, by which pairs are matched, needs the other labels only.
_BLIND = {**_LUX, "max_cycles": 2}
_N_ORDINARY, _N_ABLATIONS, _N_SHIFTS = 60, 8, 200
_N_PROBE_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class Technique:
    """A technique and the one number that stands for it; `published` if the published study used it."""

    name: str
    scalar: str
    published: bool = False


TECHNIQUES = {
    "rmse": Technique("RMSE over error", "minus the RMSE of predicted [Eu/Fe] over the catalogue's error", True),
    "mig": Technique("MIG rank", "how many other labels have a smaller Mutual Information Gap than europium", True),
    "shap": Technique("SHAP spread", "minus the number of latents over which SHAP spreads europium", True),
    "probe": Technique("linear probe", "cross-validated R² of a linear probe of flux-only latents", True),
    "mlp": Technique("MLP minus linear", "R² of a perceptron probe minus that of the linear one", True),
    "doppelganger": Technique("doppelganger", "largest residual of the richest star against two doppelgangers", True),
    "line_match": Technique("saliency line match", "spikes of the backward map at candidate lines, minus chance", True),
    "stack_maximum": Technique("stacked pairs, maximum", "largest significance of stacked matched pairs, anywhere"),
    "matched_filter": Technique("matched filter", "significance of stacked matched pairs at the candidate lines"),
    "jacobian": Technique("backward Jacobian", "significance of the backward map, downwards, at the candidate lines"),
    "partial_noisy": Technique("partial correlation, catalogue", "of prediction and catalogue, given catalogue labels"),
    "partial_inferred": Technique("partial correlation, inferred", "the same, given the other labels as inferred"),
    "leace": Technique("LEACE remainder", "R² of a linear probe after the other labels are erased from the latents"),
    "ablation": Technique("masked lines", "growth of the error by masking candidate lines, against moved masks"),
    "unique": Technique("unique information", "nats of the latents about europium beyond the other inferred labels"),
    "response": Technique("response slope", "slope of prediction against truth for r-process-enhanced stars"),
    "leak_growth": Technique("leak growth", "how significantly agreement grows with the catalogue's error"),
    "audit_lines": Technique("audit, own lines", "the audit's significance of absorption at the candidate lines"),
    "audit_features": Technique("audit, strong features", "the audit's significance of strong features elsewhere"),
}


def measure(cell: Cell, seed: int, star_seed: int) -> dict[str, Any]:
    """Return what every technique says of one world, as plain numbers and strings.

    Keys are those of `TECHNIQUES`, and "cell", "seed", "verdict", "reason", "bound", the significance of the lines to
    the optimal observer, and "star_bound", what that knows of the median star, in dex (`lux.simulation.cramer_rao`).
    """
    options: dict[str, Any] = {"tau": cell.tau, "star_seed": star_seed, "wavelength_range": WINDOWS}
    survey = make_survey(N_STARS, seed, cell.world, **options)
    limits = cramer_rao.star_bound(survey)
    # Noise of its own, which the model has not seen.
    enhanced = make_survey(_N_RESPONSE_STARS, seed + 500, cell.world, population="r-I", **options)
    train, test = survey.split(_TEST_FRACTION, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Lux(**_LUX).fit(train)
        others = tuple(name for name in survey.label_names if name != LABEL)
        blind = Lux(**_BLIND).fit(train.select_labels(others))
        report = audit(model, train, test, LABEL, own_lines=CANDIDATE_LINES, seed=seed)
        numbers = {
            **_of_predictions(model, test, enhanced),
            **_of_latents(model, train, test, seed),
            **_of_pixels(model, test, seed),
            **_of_pairs(blind, survey, seed),
        }
    numbers.update(
        leak_growth=report[Kind.LEAK_GROWTH].statistic,
        audit_lines=report[Kind.OWN_LINES].z_score,
        audit_features=report[Kind.STRONG_FEATURES].z_score,
    )
    what = {"cell": cell.key, "seed": seed, "verdict": report.verdict, "reason": report.reason}
    bounds = {"bound": cramer_rao.sample_significance(survey, limits), "star_bound": float(np.median(limits))}
    return {**what, **bounds, **{key: float(numbers[key]) for key in TECHNIQUES}}


def _of_predictions(model: Lux, test: Survey, enhanced: Survey) -> dict[str, float]:
    prediction = model.predict_labels(test)
    column = test.label_index(LABEL)
    label, error, predicted = test.label(LABEL), test.label_err[:, column], prediction.labels[:, column]
    noisy, inferred = np.delete(test.labels, column, axis=1), np.delete(prediction.labels, column, axis=1)
    assert enhanced.truth is not None, "simulated surveys have their truth"
    true = enhanced.truth.labels[:, enhanced.label_index(LABEL)]
    return {
        "rmse": -np.sqrt(np.mean((predicted - label) ** 2) / np.mean(error**2)),
        "partial_noisy": _partial_correlation(predicted, label, noisy),
        "partial_inferred": _partial_correlation(predicted, label, inferred),
        "response": response_slope(model.predict_labels(enhanced), true, LABEL).value,
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
    attributed = latent_shap(model, latents)
    eraser = erasure.fit_eraser(model.infer_latents(train), np.delete(train.labels, column, axis=1))
    inferred = np.delete(model.predict_labels(test).labels, column, axis=1)
    linear = probing.probe(latents, label, n_folds=_N_PROBE_FOLDS, n_control=0, seed=seed).r2
    return {
        "mig": np.sum(gaps < gaps[column]),
        "shap": -attributed.participation[column],
        "probe": linear,
        "mlp": probing.probe(latents, label, kind="mlp", n_folds=_N_PROBE_FOLDS, n_control=0, seed=seed).r2 - linear,
        "leace": probing.probe(eraser.apply(latents), label, n_folds=_N_PROBE_FOLDS, n_control=0, seed=seed).r2,
        "unique": probing.information_gain(latents, label, inferred, n_permutations=0, seed=seed).nats,
    }


def _of_pixels(model: Lux, test: Survey, seed: int) -> dict[str, float]:
    backward = saliency.backward_map(model, test)
    pixels, near = measurements.locate(test.wavelength, CANDIDATE_LINES)
    spikes = line_matching.find_spikes(test.wavelength, backward.of(LABEL))
    matched = line_matching.match_lines(spikes, CANDIDATE_LINES, test.wavelength, n_shifts=_N_SHIFTS, seed=seed)
    shifts = np.random.default_rng(seed).choice(np.arange(50, test.n_pixels - 50), _N_ABLATIONS, replace=False)
    losses = np.array([_loss_without(model, test, np.roll(near, shift)) for shift in (0, *shifts)])
    return {
        "jacobian": -np.sum(backward.z(LABEL)[pixels]) / np.sqrt(len(pixels)),
        "line_match": matched.n_matched - matched.expected,
        "ablation": (losses[0] - losses[1:].mean()) / losses[1:].std(),
    }


def _loss_without(model: Lux, test: Survey, masked: np.ndarray) -> float:
    """Return the mean squared error of the prediction without some pixels (D,)."""
    without = test.replace(ivar=np.where(masked, np.float32(0), test.ivar))
    column = test.label_index(LABEL)
    predicted = model.a_[column] + model.infer_latents(without) @ model.A_[column]
    return float(np.mean((predicted - test.label(LABEL)) ** 2))


def _of_pairs(blind: Lux, survey: Survey, seed: int) -> dict[str, float]:
    pairs, others = matching.match_on_inferred(survey, blind.predict_labels(survey), LABEL)
    stack = counterfactuals.stack_pairs(survey, pairs, quadratic_terms(others), n_flips=1, seed=seed)
    pixels, _ = measurements.locate(survey.wavelength, CANDIDATE_LINES)
    richest = counterfactuals.doppelganger_test(survey, LABEL, n_ordinary=_N_ORDINARY, seed=seed)
    return {
        "stack_maximum": stack.test.largest.statistic,
        "matched_filter": stack.test.z[pixels].sum() / np.sqrt(len(pixels)),
        "doppelganger": richest.largest.statistic,
    }
