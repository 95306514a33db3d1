"""How many latents: chosen on the training stars alone, by cross-validation inside them."""

from collections.abc import Iterable

import numpy as np

from lux.diagnostics.transfer import cross_validate, folds_by_star
from lux.models.lux import Lux
from lux.survey import Survey


def score_latent_numbers(
    survey: Survey, candidates: Iterable[int], n_folds: int = 3, seed: int = 0, **settings
) -> dict[int, np.ndarray]:
    """Return the held-out error of each label for each number of latents, by cross-validation within the survey.

    Parameters
    ----------
    survey : Survey
        Training stars.
    candidates : iterable of int
    n_folds, seed : int
        Folds of stars and the seed that deals them.
    **settings
        Of `lux.Lux`, such as ``tolerance``.

    Returns
    -------
    dict of number of latents to array (M,)
        Root mean square of prediction minus catalogue over the catalogue's root-mean-square error (no unit).
    """

    def errors(n_latents: int) -> np.ndarray:
        folds = folds_by_star(survey, n_folds, seed)
        predicted = cross_validate(
            survey, folds, lambda train, test: {"Lux": Lux(n_latents, **settings).fit(train).predict_labels(test)}
        )["Lux"]
        noise = np.sqrt(np.nanmean(np.where(np.isnan(survey.labels), np.nan, survey.label_err) ** 2, axis=0))
        return np.sqrt(np.nanmean((predicted.labels - survey.labels) ** 2, axis=0)) / noise

    return {n_latents: errors(n_latents) for n_latents in candidates}


def best_latent_number(scores: dict[int, np.ndarray]) -> int:
    """Return the number of latents with the least mean square of its scores over the labels."""
    return min(scores, key=lambda n_latents: float(np.mean(scores[n_latents] ** 2)))
