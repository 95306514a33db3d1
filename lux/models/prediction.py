"""What every model returns: labels with their errors."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lux.survey import Survey


def label_row(names: Sequence[str], name: str) -> int:
    """Return the place of a label among names; ValueError, with these, if it is not among them."""
    if name not in names:
        raise ValueError(f"unknown label {name!r}; predicted are {', '.join(names)}")
    return list(names).index(name)


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Labels that a model predicts.

    Parameters
    ----------
    names : tuple of M str
    labels, err : (N, M) arrays
        Predicted labels and their standard errors, in the labels' units; an error that a model does not know is NaN.
    covariance : (N, M, M) array or None
        Covariance between the predicted labels.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    err: np.ndarray
    covariance: np.ndarray | None = None

    def label(self, name: str) -> np.ndarray:
        """Return one predicted label of every star, (N,)."""
        return self.labels[:, label_row(self.names, name)]


@dataclasses.dataclass(frozen=True)
class StoredPrediction:
    """A model of which nothing is at hand but what it predicted for the stars of one survey.

    An audit of it has all evidence but the canary, which asks the model again.
    """

    prediction: Prediction

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the prediction; ValueError if the survey has another number of stars."""
        if survey.n_stars != len(self.prediction.labels):
            raise ValueError(
                f"the survey has {survey.n_stars} stars, the prediction {len(self.prediction.labels)}; "
                "give the survey whose stars were predicted, in the same order"
            )
        return self.prediction
