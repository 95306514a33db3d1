"""How far the prediction of europium follows europium, where the truth is known."""

from dataclasses import dataclass

import numpy as np

from lux.diagnostics.transfer import response_slope
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.statistics import Estimate
from lux.survey import Survey, Truth


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
    true, prediction = _truth(survey, label).labels[:, survey.label_index(label)], model.predict_labels(survey)
    return Response(true, prediction.label(label), response_slope(prediction, true, label))


def atom_slope(prediction: Prediction, survey: Survey, reference: float, label: str = "eu_fe") -> Estimate:
    """Return how far a prediction of [X/Fe] follows the number of atoms of X, in stars of equal [Fe/H] and [alpha/Fe].

    Weak lines grow with the number of atoms, 10**[X/H], and not with its logarithm. What a linear model reads off them
    therefore has one slope against 10**([X/H] - reference) / ln 10 in all stars, but one against [X/Fe] that grows with
    the abundance. In that unit the two are the same where [X/H] is the reference.

    Parameters
    ----------
    prediction : Prediction
    survey : Survey
        Of stars whose truth is known.
    reference : float
        [X/H] in dex, such as the mean of the disc.
    label : str
        Name of [X/Fe].

    Raises
    ------
    ValueError
        If the truth of the survey is not known.
    """
    truth = _truth(survey, label).columns
    atoms = 10.0 ** (truth[label] + truth["fe_h"] - reference) / np.log(10)
    others = np.column_stack([np.ones(survey.n_stars), truth["fe_h"], truth["alpha_fe"]])
    own = atoms - others @ np.linalg.lstsq(others, atoms)[0]
    return response_slope(prediction, own, label)


def _truth(survey: Survey, label: str) -> Truth:
    if survey.truth is None:
        raise ValueError(f"how a prediction follows {label} needs a survey whose truth is known, and this one has none")
    return survey.truth
