"""What the audited model does with the test stars: it predicts them, again, and with the label's values shuffled."""

import dataclasses
from typing import Protocol

import numpy as np

from lux.models.prediction import Prediction
from lux.survey import Survey


class LabelModel(Protocol):
    """A fitted model that can be audited; it may have ``label_jacobian(survey)`` as well, (M, D)."""

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the labels of the stars of a survey."""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Predictions of one label for the T test stars.

    Parameters
    ----------
    predicted, repeated : (T,) arrays
        Two predictions from the same survey.
    shuffled : (T,) array
        Prediction after the label's catalogue values and errors were shuffled among the test stars.
    others : (T, M - 1) array
        Predictions of the other labels.
    catalogue : (T,) array
        The label; NaN where missing.
    gradient : (D,) array or None
        Of the predicted label with respect to the flux, where the model has it.
    """

    predicted: np.ndarray
    repeated: np.ndarray
    shuffled: np.ndarray
    others: np.ndarray
    catalogue: np.ndarray
    gradient: np.ndarray | None


def interrogate(model: LabelModel, test: Survey, label: str, seed: int) -> ModelOutputs:
    """Return what a model predicts of the test stars; `seed` is that of the shuffle.

    Raises
    ------
    ValueError
        If a prediction of the label is not finite.
    """
    column = test.label_index(label)
    order = np.random.default_rng(seed).permutation(test.n_stars)
    labels, errors = np.array(test.labels), np.array(test.label_err)
    labels[:, column], errors[:, column] = labels[order, column], errors[order, column]
    first = model.predict_labels(test)
    second, third = (model.predict_labels(survey) for survey in (test, test.replace(labels=labels, label_err=errors)))
    place = list(first.names).index(label)
    gradient = None
    if hasattr(model, "label_jacobian"):
        gradient = model.label_jacobian(test[~np.isnan(test.label(label))])[place]
    return ModelOutputs(
        predicted=_column(first, test, label),
        repeated=_column(second, test, label),
        shuffled=_column(third, test, label),
        others=np.delete(np.asarray(first.labels, float), place, axis=1),
        catalogue=test.label(label),
        gradient=gradient,
    )


def _column(prediction: Prediction, survey: Survey, label: str) -> np.ndarray:
    """Return the prediction (T,) of one label; ValueError if it is not finite."""
    values = np.asarray(prediction.labels, float)[:, list(prediction.names).index(label)]
    if not np.all(np.isfinite(values)):
        star = survey.star_id[int(np.argmin(np.isfinite(values)))]
        raise ValueError(f"the model's prediction of {label} for star {star} is not finite; nothing can be audited")
    return values
