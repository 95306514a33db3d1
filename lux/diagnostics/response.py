"""How far the prediction of europium follows europium, where the truth is known."""

from dataclasses import dataclass

import numpy as np

from lux.diagnostics.transfer import response_slope
from lux.models.lux import Lux
from lux.statistics import Estimate
from lux.survey import Survey


@dataclass(frozen=True)
class Response:
    """True and predicted values (N,) of a label, and the slope of one against the other: 1 is knowledge, 0 a guess."""

    true: np.ndarray
    predicted: np.ndarray
    slope: Estimate

    @property
    def residual(self) -> np.ndarray:
        """Prediction minus truth (N,)."""
        return self.predicted - self.true


def response(model: Lux, survey: Survey, label: str = "eu_fe") -> Response:
    """Return how the predictions of a model follow the true label of a synthetic survey's stars.

    Raises
    ------
    ValueError
        If the truth of the survey is not known.
    """
    if survey.truth is None:
        raise ValueError(f"how a prediction follows {label} needs a survey whose truth is known, and this one has none")
    true, prediction = survey.truth.labels[:, survey.label_index(label)], model.predict_labels(survey)
    return Response(true, prediction.label(label), response_slope(prediction, true, label))
