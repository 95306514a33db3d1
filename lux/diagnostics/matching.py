"""Which stars to compare: doppelgangers of one star, and pairs alike in everything but one label."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from lux.diagnostics.checks import require_labels, require_stars
from lux.models.prediction import Prediction
from lux.statistics import quadratic_terms
from lux.store.label_names import plain_name
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.models.lux import Lux


@dataclasses.dataclass(frozen=True)
class Pairs:
    """K pairs of stars.

    `first` and `second` (K,): rows of the stars with more and with less of the label; `distance` (K,): in the other
    labels, in standard errors; `contrast` (K,): their difference in the label.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    contrast: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def doppelgangers(
    labels: np.ndarray, errors: np.ndarray, star: int, candidates: np.ndarray, n_twins: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return the candidates nearest to a star, (n_twins,) rows, and their distances, in the metric of the label errors.

    The distance is the root of the sum over labels of (difference)^2 / (sum of both squared errors). `labels`, `errors`
    (N, M); `candidates` (C,) rows, among which the star itself does not count.
    """
    candidates = np.asarray(candidates)
    candidates = candidates[candidates != star]
    if len(candidates) < n_twins:
        raise ValueError(f"only {len(candidates)} candidates for {n_twins} doppelgangers; widen the choice")
    variance = errors[star] ** 2 + errors[candidates] ** 2
    distance = np.sqrt(np.sum((labels[candidates] - labels[star]) ** 2 / variance, axis=1))
    nearest = np.argsort(distance, kind="stable")[:n_twins]
    return candidates[nearest], distance[nearest]


def matched_pairs(
    others: np.ndarray, scale: np.ndarray, excess: np.ndarray, label: np.ndarray, fraction: float = 1 / 3
) -> Pairs:
    """Pair stars with much of a label with stars of little, each star once, as near as can be in the other labels.

    Parameters
    ----------
    others : (N, Q) array
        What the two stars of a pair shall share.
    scale : (Q, Q) array
        Covariance that sets the metric: distances are Mahalanobis distances of a difference.
    excess : (N,) array
        The label above what the others let expect: its top `fraction` is paired with its bottom `fraction`.
    label : (N,) array
        The label, whose difference is the contrast; stars without it (NaN) are left out.

    Raises
    ------
    ValueError
        If the fraction makes less than two pairs, or more than there are stars for.
    """
    if not 0 < fraction <= 0.5:
        raise ValueError(
            f"fraction={fraction}; expected above 0 and at most 0.5, the fraction of the stars with most of the label, "
            "which is paired with that with least"
        )
    present = np.flatnonzero(np.isfinite(label) & np.isfinite(excess))
    n_pairs = int(fraction * len(present))
    if n_pairs < 2:
        raise ValueError(f"fraction={fraction} of {len(present)} stars gives {n_pairs} pairs; at least 2 are needed")
    order = present[np.argsort(excess[present], kind="stable")]
    low, high = order[:n_pairs], order[-n_pairs:]
    whitened = np.linalg.solve(np.linalg.cholesky(np.atleast_2d(scale)), others.T).T
    distance = cdist(whitened[high], whitened[low])
    rows, columns = linear_sum_assignment(distance)
    first, second = high[rows], low[columns]
    return Pairs(first, second, distance[rows, columns], label[first] - label[second])


def excess_label(label: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return a label (N,) minus its least-squares expectation from `quadratic_terms` of others (N, Q); NaN stays."""
    design = np.column_stack([np.ones(len(others)), quadratic_terms(others)])
    present = np.isfinite(label)
    return label - design @ np.linalg.lstsq(design[present], label[present])[0]


def refined_prediction(model: "Lux", survey: Survey) -> Prediction:
    """Return the labels that a model infers from the flux of a survey, refined by a regression on the catalogue's.

    Each is the least-squares fit of the catalogue's label on the latents and on the squares and products of the labels
    that the model reads off them. The model's own coefficients were fitted to latents that knew the labels; of latents
    that know the flux alone they are not the best linear reader, and the relation is not quite linear. What they miss
    of iron counts as europium's where europium follows iron. In windows of 700 pixels, `stack_pairs` gave 8 false
    alarms of 20 at 5 % with the model's own labels, and 2 with refined or with true ones.

    Parameters
    ----------
    model : Lux
    survey : Survey
        Whose catalogue has the model's labels, and for each more stars than twice the latents.

    Returns
    -------
    Prediction
        With the covariance of the model's own.
    """
    prediction = model.predict_labels(survey)
    terms = [np.ones(survey.n_stars), model.infer_latents(survey), quadratic_terms(prediction.labels)]
    design, columns = np.column_stack(terms), []
    for name in prediction.names:
        label = survey.label(name)
        present = np.isfinite(label)
        columns.append(design @ np.linalg.lstsq(design[present], label[present])[0])
    return dataclasses.replace(prediction, labels=np.column_stack(columns))


def match_on_inferred(
    survey: Survey, prediction: Prediction, name: str, fraction: float = 1 / 3
) -> tuple[Pairs, np.ndarray]:
    """Return `Pairs` matched in the other labels as inferred from flux, and those labels (N, Q).

    Catalogue labels are noisy: of two stars alike in them, the one with more of a correlated label truly has more of
    the others too. Labels inferred from flux hold all that the flux says, and have no such bias.

    Parameters
    ----------
    survey : Survey
    prediction : Prediction
        The other labels of its stars with their covariance, by a model that never saw the label `name`; best those of
        `refined_prediction`.
    name : str
    fraction : float
        As in `matched_pairs`.

    Raises
    ------
    ValueError
        If the prediction holds the label `name`, has no covariance or is of another number of stars, or no star has the
        label.
    """
    require_stars(prediction.labels, survey.n_stars, "are predicted")
    require_labels(survey, [name])
    if plain_name(name) in map(plain_name, prediction.names):
        raise ValueError(f"the prediction must not know {name!r}: fit its model to the survey without that label")
    if prediction.covariance is None:
        raise ValueError(
            "the prediction has no covariance, which sets the metric of the match; give one of a Lux model"
        )
    others, label = prediction.labels, survey.label(name)
    scale = np.mean(prediction.covariance, axis=0)
    return matched_pairs(others, scale, excess_label(label, others), label, fraction), others


def match_on_catalogue(survey: Survey, name: str, fraction: float = 1 / 3) -> tuple[Pairs, np.ndarray]:
    """Return `Pairs` matched in the other labels of the catalogue, and those labels (N, Q).

    Biased by the errors of those labels, as `match_on_inferred` explains.

    Raises
    ------
    ValueError
        If a label is missing in every star, or as `matched_pairs`.
    """
    require_labels(survey, survey.label_names)
    columns = np.delete(np.arange(survey.n_labels), survey.label_index(name))
    others, label = survey.labels[:, columns], survey.label(name)
    complete = np.all(np.isfinite(others), axis=1)
    others = np.where(complete[:, None], others, np.nanmean(others, axis=0))
    errors = survey.label_err[complete][:, columns]
    excess = np.where(complete, excess_label(label, others), np.nan)
    return matched_pairs(others, 2 * np.diag(np.mean(errors**2, axis=0)), excess, label, fraction), others
