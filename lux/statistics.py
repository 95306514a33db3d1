"""The one home of statistics: estimates with intervals, permutation tests, robust scatter, regression out of sample.

Whatever draws at random takes a seed, or a `numpy.random.Generator`, from which it goes on drawing.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

# Of a star's leverage, in a division by it.
_LEAST_FREE = 1e-9
# Rows that are compared with all others at a time.
_ROWS = 512


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic with an interval, by convention the central 68 % of its bootstrap distribution."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, value: float | np.ndarray, draws: np.ndarray, level: float = 0.68) -> "Estimate":
        """Return a value with the percentile interval that holds a fraction `level` of its bootstrap draws (n,)."""
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return cls(float(value), float(low), float(high))

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the interval."""
        return self.low, self.high

    @property
    def uncertainty(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the two intervals share a value."""
        return self.low <= other.high and other.low <= self.high


@dataclasses.dataclass(frozen=True)
class PermutationTest:
    """A statistic with its distribution under the null hypothesis, (n,), and the p-value of a larger one."""

    statistic: float
    null: np.ndarray

    @property
    def p_value(self) -> float:
        """Fraction of the null at least as large, the observed value counted in (Phipson & Smyth 2010, eq. 2).

        NaN of a statistic that is NaN.
        """
        if np.isnan(self.statistic):
            return float("nan")
        return float((1 + np.count_nonzero(self.null >= self.statistic)) / (1 + len(self.null)))

    def threshold(self, level: float = 0.05) -> float:
        """Return the value that the null exceeds with probability `level`."""
        return float(np.quantile(self.null, 1 - level))


def require_count(name: str, count: int, least: int = 1) -> None:
    """Refuse a parameter that counts draws, stars or the like and is less than it must be."""
    if count < least:
        raise ValueError(f"{name} is {count}; expected {least} or more")


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return the p-values (K,) of K tests adjusted for their number (Holm 1979, Scand. J. Stat. 6, 65).

    Those below a level are significant together: the probability of any false one among them is at most the level.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return np.minimum(1, steps[np.argsort(order)])


def bootstrap_rows(count: int, n_draws: int = 500, seed: int | np.random.Generator = 0, block: int = 1) -> np.ndarray:
    """Return which rows of a sample each bootstrap draw takes, (n_draws, count), with replacement.

    Parameters
    ----------
    count : int
        Size of the sample.
    n_draws : int
    seed : int or Generator
    block : int
        So many rows in a row are drawn together, because they are not independent (the block bootstrap; Künsch 1989,
        Ann. Stat. 17, 1217); what is over is left out. Where there are not two blocks, each row is drawn by itself.

    Raises
    ------
    ValueError
        If there are no draws.
    """
    require_count("the number of bootstrap draws", n_draws)
    if count // block < 2:
        block = 1
    first = block * np.random.default_rng(seed).integers(count // block, size=(n_draws, count // block))
    return (first[:, :, None] + np.arange(block)).reshape(n_draws, -1)


def bootstrap_groups(groups: ArrayLike, n_draws: int = 500, seed: int | np.random.Generator = 0) -> list[np.ndarray]:
    """Return which rows of a sample each bootstrap draw takes where whole groups (N,) are drawn, with replacement.

    What is alike within a group, such as the stars of a cluster, is then no independent witness.

    Raises
    ------
    ValueError
        If there are no draws.
    """
    require_count("the number of bootstrap draws", n_draws)
    names, group = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group == place) for place in range(len(names))]
    drawn = np.random.default_rng(seed).integers(len(names), size=(n_draws, len(names)))
    return [np.concatenate([members[place] for place in each]) for each in drawn]


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *samples: np.ndarray,
    n_draws: int = 500,
    level: float = 0.68,
    seed: int | np.random.Generator = 0,
) -> Estimate:
    """Return a statistic of paired samples with its percentile interval (Efron & Tibshirani 1993, section 13.3).

    Equivalent to ``scipy.stats.bootstrap(samples, statistic, paired=True, vectorized=True, method="percentile")``.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays (..., N) as there are samples and returns their statistic (...), over the last axis.
    *samples : (N,) arrays
        Observed on the same N stars, which are drawn together.
    n_draws, level, seed
        Number of bootstrap draws, the fraction of them in the interval, and the seed of the draws.
    """
    rows = bootstrap_rows(len(samples[0]), n_draws, seed)
    return Estimate.from_draws(statistic(*samples), statistic(*(sample[rows] for sample in samples)), level)


def robust_std(values: np.ndarray, axis: int | None = None, center: float | None = None) -> np.ndarray:
    """Return the standard deviation of a normal distribution with the median absolute deviation of the values.

    Parameters
    ----------
    values : array
        NaN is left out.
    axis : int, optional
        All axes by default.
    center : float, optional
        From where deviations count; the median of the values by default.

    Returns
    -------
    array
        Without the axis; NaN where no value is left.
    """
    if axis is None:
        values, axis = np.ravel(values), 0
    about = np.expand_dims(nan_median(values, axis), axis) if center is None else values.dtype.type(center)
    return nan_median(np.abs(values - about), axis) / values.dtype.type(norm.ppf(0.75))


def nan_median(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the median along an axis, NaN left out; NumPy's takes a call of Python for each column."""
    ordered = np.sort(values, axis=axis)
    count = np.count_nonzero(~np.isnan(values), axis=axis, keepdims=True)
    places = (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[axis] - 1))
    low, high = (np.take_along_axis(ordered, place, axis) for place in places)
    return np.squeeze((low + high) / 2, axis)


def gumbel_by_moments(values: np.ndarray) -> tuple[float, float]:
    """Return location and scale of the Gumbel distribution with the mean and standard deviation of the values."""
    scale = float(np.std(values)) * np.sqrt(6) / np.pi
    return float(np.mean(values)) - np.euler_gamma * scale, scale


def clipped(values: np.ndarray, clip: float) -> np.ndarray:
    """Return values (N, ...) with zero median, limited to `clip` robust standard deviations."""
    centered = values - np.median(values, axis=0)
    scatter = np.asarray(robust_std(centered, axis=0))
    # Where most values are one, as in a label of two values, the robust scatter is zero.
    limit = clip * np.where(scatter > 0, scatter, np.std(centered, axis=0))
    return np.clip(centered, -limit, limit)


def standardize(values: np.ndarray) -> np.ndarray:
    """Return columns (N, Q) with zero mean and unit standard deviation; a constant column becomes zero."""
    scale = np.std(values, axis=0)
    return (values - np.mean(values, axis=0)) / np.where(scale > 0, scale, 1)


def quadratic_terms(values: np.ndarray) -> np.ndarray:
    """Return columns (N, Q), standardized, with their squares and products, (N, Q (Q + 3) / 2).

    The columns come in the order of ``sklearn.preprocessing.PolynomialFeatures(2, include_bias=False)``: x, y, z, then
    xx, xy, xz, yy, yz, zz.
    """
    scaled = standardize(values)
    rows, columns = np.triu_indices(scaled.shape[1])
    return np.concatenate([scaled, scaled[:, rows] * scaled[:, columns]], axis=1)


def out_of_fold(
    design: np.ndarray, targets: np.ndarray, folds: np.ndarray, rank_tolerance: float | None = None
) -> np.ndarray:
    """Return each target as a least-squares regression predicts it that was fitted to the other folds (cross-fitting).

    Equivalent to ``cross_val_predict(LinearRegression(fit_intercept=False), design, targets,
    cv=PredefinedSplit(folds))`` of scikit-learn where the design has full rank.

    Parameters
    ----------
    design : (N, Q) array
        Regressors, a constant among them where an intercept is wanted.
    targets : (N,) or (N, T) array
    folds : (N,) array of int
        The fold of each star.
    rank_tolerance : float, optional
        Singular values below this fraction of the largest count as zero, as in `numpy.linalg.lstsq`.

    Returns
    -------
    array
        Predictions in the shape of `targets`.
    """
    predicted = np.empty(np.shape(targets))
    for fold in np.unique(folds):
        test = folds == fold
        coefficients = np.linalg.lstsq(design[~test], targets[~test], rcond=rank_tolerance)[0]
        predicted[test] = design[test] @ coefficients
    return predicted


def left_out(
    design: np.ndarray,
    targets: np.ndarray,
    present: np.ndarray | None = None,
    max_leverage: float = 0.9,
    also: np.ndarray | None = None,
) -> np.ndarray:
    """Return each target as a least-squares regression predicts it that was fitted to all other stars.

    No chance is in it, and the order of the stars does not matter. In closed form (Allen 1974, Technometrics 16, 125,
    for one star): let q (K, Q) be the regressors of the stars left out, in coordinates in which those of all stars are
    orthonormal. The coefficients of the fit to the others are the inverse of 1 - q^T q times the sum, over these
    others, of regressor times target.

    Parameters
    ----------
    design : (N, Q) array
        Regressors, a constant among them where an intercept is wanted; they may depend on each other.
    targets : (N,) or (N, T) array
    present : (N,) boolean array, optional
        The stars whose targets there are; the others are predicted and teach nothing.
    max_leverage : float
        Leverages, of stars that are left out together the principal ones, count as no more than this, so that stars
        which alone have a feature are predicted near zero and not by what no star teaches.
    also : (N, K) array of int, optional
        Places of other stars that are left out with each, -1 where there are no more; none twice, nor the star itself.

    Returns
    -------
    array
        Predictions in the shape of `targets`.
    """
    design, shape = np.asarray(design, float), np.shape(targets)
    known = np.asarray(targets, float).reshape(len(design), math.prod(shape[1:]))
    taught = design
    if present is not None:
        taught, known = design * present[:, None], np.where(present[:, None], known, 0)
    left, sizes, right = np.linalg.svd(taught, full_matrices=False)
    kept = sizes > len(design) * np.finfo(float).eps * sizes.max(initial=0.0)
    left = left[:, kept]
    reached, of_all = design @ (right[kept].T / sizes[kept]), left.T @ known
    itself = np.arange(len(design))[:, None]
    out = itself if also is None else np.column_stack([itself, also])
    least, predicted = max(1 - max_leverage, _LEAST_FREE), np.empty(known.shape)
    for start in range(0, len(design), _ROWS):
        rows = slice(start, start + _ROWS)
        group = out[rows][:, np.any(out[rows] >= 0, axis=0)]
        of_group, star = np.where(group[:, :, None] >= 0, left[group], 0), reached[rows][:, :, None]
        leverage, turn = np.linalg.eigh(of_group @ of_group.mT)
        leverage = np.clip(leverage, _LEAST_FREE, 1)
        inverse = np.minimum(1, max_leverage / leverage) / np.maximum(1 - leverage, least)
        star = star + of_group.mT @ (turn @ (inverse[:, :, None] * (turn.mT @ (of_group @ star))))
        own = (of_group @ star)[:, :, 0]
        predicted[rows] = star[:, :, 0] @ of_all - np.einsum("nk,nkt->nt", own, known[group])
    return predicted.reshape(shape)
