"""How well labels are transferred to stars that the model has not seen, and by how much that can be trusted."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from lux.diagnostics.checks import require_labels, require_stars, require_variation
from lux.models.baselines import FluxRegression, LabelsOnly, Mean
from lux.models.cannon import Cannon
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.statistics import Estimate, bootstrap, bootstrap_groups, bootstrap_rows, robust_std
from lux.survey import Survey

Baseline = Mean | FluxRegression | LabelsOnly | Cannon


@dataclasses.dataclass(frozen=True)
class LabelScore:
    """How one label of held-out stars was predicted, in the label's unit where none is stated.

    Parameters
    ----------
    name, unit : str
    n_stars : int
        Stars that have the label.
    catalogue_error : float
        Root mean square of the catalogue's errors.
    rmse, bias : Estimate
        Root mean square and mean of prediction minus catalogue.
    scatter : Estimate
        Robust standard deviation of prediction minus catalogue, `lux.statistics.robust_std`.
    chi : Estimate
        Root mean square of the residual over the catalogue error (no unit).
    intrinsic : Estimate
        What is left of the RMSE when the catalogue's errors are taken out in quadrature; zero where nothing is left.
    """

    name: str
    unit: str
    n_stars: int
    catalogue_error: float
    rmse: Estimate
    bias: Estimate
    scatter: Estimate
    chi: Estimate
    intrinsic: Estimate


def score(
    prediction: Prediction,
    survey: Survey,
    n_bootstrap: int = 500,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, LabelScore]:
    """Compare predicted labels with those of the survey.

    Parameters
    ----------
    prediction : Prediction
        Labels of the survey's stars, in the same order.
    survey : Survey
        Held-out stars. A label that a star lacks is left out.
    n_bootstrap, seed : int
        Resamplings of the stars and their seed.
    groups : (N,) array, optional
        Stars of one group, such as a cluster that was held out as a whole, are drawn together.

    Returns
    -------
    dict of label name to LabelScore

    Raises
    ------
    ValueError
        If the numbers of stars differ, a label is unknown, or no star has it.
    """
    require_stars(prediction.labels, survey.n_stars, "are predicted")
    scores = {}
    for column, name in enumerate(prediction.names):
        index = survey.label_index(name)
        present = ~np.isnan(survey.labels[:, index])
        if not present.any():
            raise ValueError(f"no star of the survey has label {name!r}; there is nothing to compare with")
        residual = prediction.labels[present, column] - survey.labels[present, index]
        error = survey.label_err[present, index]
        values = _statistics(residual, error)
        if groups is None:
            rows = bootstrap_rows(len(residual), n_bootstrap, seed)
            draws = _statistics(residual[rows], error[rows])
        else:
            drawn = bootstrap_groups(np.asarray(groups)[present], n_bootstrap, seed)
            of_each = [_statistics(residual[rows], error[rows]) for rows in drawn]
            draws = {key: np.array([each[key] for each in of_each]) for key in values}
        estimates = {key: Estimate.from_draws(values[key], draws[key]) for key in values}
        scores[name] = LabelScore(
            name, survey.label_units[index], len(residual), float(np.sqrt(np.mean(error**2))), **estimates
        )
    return scores


def paired_difference(
    prediction: Prediction, other: Prediction, survey: Survey, label: str, n_bootstrap: int = 1000, seed: int = 0
) -> Estimate:
    """Return the RMSE of one prediction minus that of another for the same stars, with its 95 % bootstrap interval.

    Raises
    ------
    ValueError
        If the numbers of stars differ, or the label is unknown or missing everywhere.
    """
    catalogue = survey.label(label)
    require_labels(survey, [label])
    for each in (prediction, other):
        require_stars(each.labels, survey.n_stars, "are predicted")
    present = ~np.isnan(catalogue)
    squares = [(each.label(label) - catalogue)[present] ** 2 for each in (prediction, other)]

    def change(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
        return np.sqrt(ours.mean(axis=-1)) - np.sqrt(others.mean(axis=-1))

    return bootstrap(change, *squares, n_draws=n_bootstrap, level=0.95, seed=seed)


def _baseline_models(model: Lux) -> dict[str, Baseline]:
    """Return the baselines by name, not yet fitted; `model` is the fitted model whose labels "labels only" reads."""
    return {
        "mean": Mean(),
        "ridge": FluxRegression.ridge(),
        "PLS": FluxRegression.pls(),
        "Cannon": Cannon(),
        "labels only": LabelsOnly(model),
    }


def compare(
    model: Lux, train: Survey, test: Survey, baselines: Mapping[str, Baseline] | None = None
) -> dict[str, Prediction]:
    """Fit the baselines on the training stars and predict the test stars with them and with the fitted model.

    Returns
    -------
    dict of name to Prediction
        The model's own under "Lux", then the baselines'.
    """
    baselines = _baseline_models(model) if baselines is None else baselines
    predictions = {"Lux": model.predict_labels(test)}
    for name, baseline in baselines.items():
        predictions[name] = baseline.fit(train).predict_labels(test)
    return predictions


def response_slope(
    prediction: Prediction,
    truth: Mapping[str, np.ndarray] | np.ndarray,
    label: str,
    n_bootstrap: int = 500,
    seed: int = 0,
) -> Estimate:
    """Return the slope of the prediction against the true label, with its 68 % interval; 1 is knowledge, 0 a guess.

    Parameters
    ----------
    prediction : Prediction
    truth : (N,) array, or mapping of label to (N,) arrays
    label : str
    n_bootstrap, seed : int
        Resamplings of the stars and their seed.

    Raises
    ------
    ValueError
        If the numbers of stars differ, or the true label is the same in every star.
    """
    true = np.asarray(truth[label] if isinstance(truth, Mapping) else truth, float)
    require_stars(true, len(prediction.labels), "have a true label", "the prediction")
    require_variation(true, label)

    def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        return np.sum(x * y, axis=-1) / np.sum(x**2, axis=-1)

    return bootstrap(slope, true, prediction.label(label), n_draws=n_bootstrap, seed=seed)


def _statistics(residual: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of residuals (..., n) with catalogue errors (..., n)."""
    square, noise = np.mean(residual**2, axis=-1), np.mean(error**2, axis=-1)
    return {
        "rmse": np.sqrt(square),
        "bias": residual.mean(axis=-1),
        "scatter": robust_std(residual, axis=-1),
        "chi": np.sqrt(np.mean((residual / error) ** 2, axis=-1)),
        "intrinsic": np.sqrt(np.maximum(0, square - noise)),
    }
