"""How many latents: chosen on the training stars alone, by cross-validation inside them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.store.columns import own_where_unnamed, without_name
from lux.survey import Survey


def score_latent_numbers(
    survey: Survey, candidates: Iterable[int], n_folds: int = 3, seed: int = 0, **settings: Any
) -> dict[int, np.ndarray]:
    """Return the held-out error of each label for each number of latents, by cross-validation within the survey.

    Parameters
    ----------
    survey : Survey
        Training stars.
    candidates : iterable of int
    n_folds, seed : int
        Number of folds and seed of the random assignment of stars to them.
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


def folds_by_star(survey: Survey, n_folds: int = 5, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield a boolean mask (N,) of the test stars of each fold, stars assigned at random."""
    if not 1 < n_folds <= survey.n_stars:
        raise ValueError(f"n_folds must be from 2 to the number of stars, {survey.n_stars}; got {n_folds}")
    fold = np.random.default_rng(seed).permutation(survey.n_stars) % n_folds
    for number in range(n_folds):
        yield fold == number


def folds_by_group(survey: Survey, column: str = "cluster") -> Iterator[np.ndarray]:
    """Yield a boolean mask (N,) of the test stars of each fold: all stars that share a value of a catalogue column.

    Raises
    ------
    ValueError
        If the catalogue has no such column, or no value of it for some stars.
    """
    if column not in survey.catalogue:
        raise ValueError(f"the catalogue has no column {column!r}; it has {', '.join(survey.catalogue) or 'none'}")
    groups = own_where_unnamed(survey.catalogue[column], survey.star_id)
    if np.any(without_name(survey.catalogue[column])):
        raise ValueError(f"the column {column!r} has no value for some stars, which would be a group; leave them out")
    for group in np.unique(groups):
        yield groups == group


def cross_validate(
    survey: Survey, folds: Iterator[np.ndarray], make_predictions: Callable[[Survey, Survey], Mapping[str, Prediction]]
) -> dict[str, Prediction]:
    """Predict every star by models that were trained without its fold.

    Parameters
    ----------
    survey : Survey
    folds : iterator of boolean masks (N,)
        The test stars of each fold; together they hold each star once.
    make_predictions : callable
        Given training and test survey, returns predictions by name.

    Returns
    -------
    dict of name to Prediction
        For the stars of the survey, in its order.

    Raises
    ------
    ValueError
        If a star is in no fold or in several.
    """
    labels: dict[str, np.ndarray] = {}
    errors: dict[str, np.ndarray] = {}
    names, times_seen = {}, np.zeros(survey.n_stars, int)
    for held_out in folds:
        times_seen += held_out
        for name, prediction in make_predictions(survey[~held_out], survey[held_out]).items():
            shape = (survey.n_stars, len(prediction.names))
            labels.setdefault(name, np.full(shape, np.nan))[held_out] = prediction.labels
            errors.setdefault(name, np.full(shape, np.nan))[held_out] = prediction.err
            names[name] = prediction.names
    if np.any(times_seen != 1):
        star = int(np.argmax(times_seen != 1))
        raise ValueError(f"star {survey.star_id[star]} is in {times_seen[star]} folds; each star must be in one")
    return {name: Prediction(names[name], labels[name], errors[name]) for name in labels}
