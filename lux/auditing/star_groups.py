"""Several spectra of one star as one: an audit takes stars for independent, and spectra of one star are not."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from lux.auditing.inputs import VELOCITIES
from lux.auditing.model_outputs import ModelOutputs
from lux.store.columns import UNNAMED, own_where_unnamed
from lux.survey import Survey

# Of all spectra, those of one star at most, where it has so many times those of others.
_LARGEST_SHARE, _MORE_THAN_OTHERS = 0.1, 20


def star_of_spectrum(survey: Survey, column: str) -> np.ndarray:
    """Return the name (N,) of the star that each spectrum is of, from a column of the catalogue.

    Blanks around a name do not count, and a spectrum whose star is not named is one of its own.

    Raises
    ------
    ValueError
        If there is no such column, or one name stands at so many spectra that it is of no star.
    """
    if not isinstance(column, str):
        raise ValueError(f"groups is the name of a column of the catalogue, got {type(column).__name__}")
    if column not in survey.catalogue:
        given = ", ".join(survey.catalogue) or "none"
        raise ValueError(f"the catalogue has no column {column!r} that names the star of a spectrum; it has {given}")
    named = own_where_unnamed(np.char.strip(np.asarray(survey.catalogue[column]).astype(str)), survey.star_id)
    names, counts = np.unique(named, return_counts=True)
    if counts.max() > max(_LARGEST_SHARE * len(named), _MORE_THAN_OTHERS * np.median(counts)):
        raise ValueError(
            f"the column {column!r} of the catalogue says that {counts.max()} of {len(named)} spectra are of one star, "
            f"{names[np.argmax(counts)]}: does it stand for none? Leave it blank there, and of one star so many out"
        )
    return named


def refuse_shared(train: ArrayLike, test: ArrayLike, column: str) -> None:
    """Raise ValueError if stars by name have spectra in both the training and the test survey."""
    shared = np.intersect1d(train, test)
    # Of unnamed ones the number may be the same, and nothing else.
    shared = shared[~np.char.startswith(shared, UNNAMED)]
    if shared.size:
        raise ValueError(
            f"{shared.size} stars, such as {shared[0]}, have spectra in the training and in the test survey: divide "
            f"them with survey.split(..., groups={column!r}), and fit the model to the training spectra only"
        )


def combined(survey: Survey, stars: np.ndarray) -> Survey:
    """Return a survey of the G stars of which N spectra are: `stars` (N,) are names, in the order of which they follow.

    The flux is the mean weighted by inverse variance. Values of a label that differ are independent measurements and
    enter by their errors; values that repeat are one. Of velocities the mean is taken, of other columns the first.
    """
    first, order = _first(stars)
    member = csr_array((np.ones(len(order), np.float32), (order, np.arange(len(order)))))
    ivar = member @ survey.ivar
    flux = member @ (survey.flux * survey.ivar) / np.where(ivar > 0, ivar, 1)
    labels, errors = np.array(survey.labels[first]), np.array(survey.label_err[first])
    for star in np.flatnonzero(np.bincount(order) > 1):
        rows = np.flatnonzero(order == star)
        for column in range(survey.n_labels):
            labels[star, column], errors[star, column] = _measurement(
                survey.labels[rows, column], survey.label_err[rows, column]
            )
    catalogue = {name: np.asarray(values)[first] for name, values in survey.catalogue.items()}
    for name in set(VELOCITIES) & set(catalogue):
        catalogue[name] = member @ np.asarray(survey.catalogue[name], float) / np.bincount(order)
    return survey[first].replace(
        flux=np.where(ivar > 0, flux, np.float32(1)),
        ivar=ivar,
        labels=labels,
        label_err=errors,
        star_id=stars[first],
        catalogue=catalogue,
        truth=None,
    )


def combined_outputs(outputs: ModelOutputs, stars: np.ndarray, catalogue: np.ndarray) -> ModelOutputs:
    """Return what a model says of stars, the mean over the spectra (T,) of each; `catalogue` (G,) is their label."""
    _, order = _first(stars)

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.zeros((len(catalogue), *values.shape[1:]))
        np.add.at(total, order, values)
        return (total.T / np.bincount(order)).T

    names = ("predicted", "repeated", "shuffled", "others")
    means = {name: mean(getattr(outputs, name)) for name in names}
    return dataclasses.replace(outputs, **means, catalogue=catalogue)


def _first(stars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row (G,) of each star, in order, and the place (N,) of each row's star among these."""
    _, first, inverse = np.unique(stars, return_index=True, return_inverse=True)
    ranked = np.argsort(first)
    place = np.empty(len(first), int)
    place[ranked] = np.arange(len(first))
    return first[ranked], place[inverse]


def _measurement(values: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return the mean of the distinct measurements among values (K,) by their errors (K,), and its error."""
    present = ~np.isnan(values)
    distinct = np.unique(np.stack([values[present], errors[present]]), axis=1)
    if not distinct.size:
        return float("nan"), float(errors[0])
    weight = distinct[1] ** -2.0
    return float(weight @ distinct[0] / weight.sum()), float(weight.sum() ** -0.5)
