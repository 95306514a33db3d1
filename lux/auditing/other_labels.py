"""What the other labels make of one: the labels as the flux gives them, and functions of them that it follows."""

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn.preprocessing import SplineTransformer

from lux.auditing.settings import AuditSettings
from lux.statistics import clipped, left_out, quadratic_terms, standardize

# Of the splines of a label, at its quantiles.
_N_KNOTS = 5
# The p-value at which a label follows terms that are not among those of all, and what is left of dependent ones.
_FOLLOWED, _DEPENDENT = 0.01, 1e-6
# Of the regressions that give the other labels from the flux, stars for each term: where a label has fewer, it takes no
# part.
_STARS_TO_INFER = 5
# Variance of what a regression makes of a star that it was not fitted to, over that of a label about it: beyond this
# the star is like none that it was fitted to.
_MOST_VARIANCE = 1.0


def can_be_inferred(basis: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which labels (N, M) a regression on a basis (N, H) can give in most stars.

    They are there in enough stars for so many terms, and most of the others are like one of these.
    """
    present = np.sum(np.isfinite(labels), axis=0)
    enough = (present > len(labels) // 2) | (present > _STARS_TO_INFER * basis.shape[1])
    return enough & (np.mean(_out_of_reach(basis, labels), axis=0) < 0.5)


def extrapolated(basis: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return where a star lacks one of the labels (N, M) that can be inferred, and is like no star that has it."""
    return _out_of_reach(basis, labels) & can_be_inferred(basis, labels)


def _out_of_reach(basis: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return where a label (N, M) is missing and a regression on a basis (N, H) would extrapolate to it."""
    missing = np.isnan(labels)
    far = np.zeros(labels.shape, bool)
    for column in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        without = missing[:, column]
        taught = np.linalg.pinv(basis[~without])
        far[without, column] = np.sum((basis[without] @ taught) ** 2, axis=1) > _MOST_VARIANCE
    return far


def inferred_labels(
    basis: np.ndarray, labels: np.ndarray, max_leverage: float, maybe_same: np.ndarray | None = None
) -> np.ndarray:
    """Return labels (N, M) as all other stars teach them by a regression on a basis (N, H); a NaN teaches nothing.

    Nor do the stars that may be `maybe_same` (N, K) as each, where given. A star without a label is extrapolated to:
    kept to the range of the others, it would leave in its residual what a label follows of this one.
    """
    present = np.isfinite(labels)
    predicted = left_out(basis, np.where(present, labels, 0), max_leverage=max_leverage, also=maybe_same)
    for column in np.flatnonzero(~present.all(axis=0)):
        predicted[:, column] = left_out(basis, labels[:, column], present[:, column], max_leverage, maybe_same)
    return predicted


def partial_out(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return values (N,) or (N, S) minus their projection on the columns of an orthonormal basis (N, H)."""
    projection = basis @ (basis.T @ values)
    return np.subtract(values, projection, out=projection)


def label_basis(
    labels: np.ndarray, stars_per_term: int, of_them: np.ndarray | None = None, clip: float = AuditSettings.clip
) -> np.ndarray:
    """Return an orthonormal basis (N, Q) of a constant and functions of labels (N, M).

    They are cubic splines of each label and products of two. A label need not depend on the others by a quadratic: that
    of europium on iron has a knee, of which in thousands of stars a quadratic leaves enough to look like knowledge. Of
    few stars only as many terms are used as leave `stars_per_term` stars for each, or twice as many for splines: the
    labels with their squares and products, with their squares, or alone. Then the splines of a label, or the product of
    two, are added where values `of_them` (N,) follow these, as long as half as many stars are left for each term: at a
    p-value of .01 for each such group, for one too many costs little, and one too few is taken for knowledge.
    Residuals are limited to `clip` robust standard deviations for it.
    """
    if labels.shape[1] == 0:
        return np.full((len(labels), 1), len(labels) ** -0.5)
    scaled, quadratic = standardize(labels), quadratic_terms(labels)
    rows, columns = np.triu_indices(labels.shape[1])
    products = quadratic[:, labels.shape[1] :][:, rows != columns]
    splines = SplineTransformer(_N_KNOTS, knots="quantile", include_bias=False, extrapolation="linear")
    with_splines = np.column_stack([splines.fit_transform(scaled), products])
    most = len(labels) // stars_per_term - 1
    richer = (with_splines, most // 2), (quadratic, most), (np.column_stack([scaled, scaled**2]), most)
    terms = next((terms for terms, allowed in richer if terms.shape[1] <= allowed), scaled)
    basis = np.linalg.qr(np.column_stack([np.ones(len(labels)), terms]))[0]
    if of_them is None or terms is with_splines:
        return basis
    each = np.split(with_splines, with_splines.shape[1] - products.shape[1] + np.arange(products.shape[1]), axis=1)
    groups = [*np.split(each[0], labels.shape[1], axis=1), *each[1:]]
    residual = clipped(partial_out(of_them, basis), clip)
    return _with_what_is_followed(basis, groups, residual, 2 * len(labels) // stars_per_term)


def _with_what_is_followed(
    basis: np.ndarray, groups: Sequence[np.ndarray], residual: np.ndarray, most: int
) -> np.ndarray:
    """Return an orthonormal basis (N, Q) with those of the groups (N, K) of terms that a residual (N,) follows.

    There are at most `most` terms. The group of the smallest p-value in an F test is added, and so on as long as that
    is below `_FOLLOWED`.
    """
    least = [_DEPENDENT * np.linalg.norm(group) for group in groups]
    beyond = [partial_out(group, basis) for group in groups]
    while True:
        best: tuple[float, np.ndarray] = (_FOLLOWED, basis[:, :0])
        for place, group in enumerate(beyond):
            left, sizes, _ = np.linalg.svd(group, full_matrices=False)
            new = left[:, sizes > least[place]]
            free = len(residual) - basis.shape[1] - new.shape[1]
            if not new.shape[1] or basis.shape[1] + new.shape[1] > most:
                continue
            explained = float(np.sum((new.T @ residual) ** 2))
            ratio = explained / new.shape[1] / max((float(residual @ residual) - explained) / free, 1e-300)
            best = min(best, (float(stats.f.sf(ratio, new.shape[1], free)), new), key=lambda each: each[0])
        if not best[1].shape[1]:
            return basis
        # Twice, for the first leaves rounding.
        new = np.linalg.qr(partial_out(best[1], basis))[0]
        basis, residual = np.column_stack([basis, new]), partial_out(residual, new)
        beyond = [partial_out(group, new) for group in beyond]
