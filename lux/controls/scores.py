"""How well a number tells two kinds of worlds apart: ROC, power at a fixed rate of false alarms, detection limits."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from lux.statistics import Estimate, bootstrap_rows

FALSE_ALARMS = 0.05
_POWER = 0.95
# Significance at which the optimal one-sided test has that power at that rate of false alarms.
OPTIMAL_SIGNIFICANCE = float(norm.isf(FALSE_ALARMS) + norm.isf(1 - _POWER))


@dataclasses.dataclass(frozen=True)
class Score:
    """How a technique tells worlds with something planted from worlds without, with bootstrap intervals.

    Parameters
    ----------
    auc : Estimate
        Probability that a planted world scores higher than one without, ties counting half.
    power : Estimate
        Fraction of planted worlds above the 95th percentile of those without; ties are broken by chance.
    reverse : Estimate
        The same, if a small number counts as knowledge.
    """

    auc: Estimate
    power: Estimate
    reverse: Estimate


def score(
    planted: np.ndarray,
    without: np.ndarray,
    n_bootstrap: int = 500,
    seed: int = 0,
    *,
    shared: int = 1,
    level: float = 0.68,
) -> Score:
    """Score the numbers of planted worlds (P,) against those of worlds without (W,).

    Parameters
    ----------
    planted, without : arrays
    n_bootstrap, seed : int
        Of the bootstrap of the intervals.
    shared : int
        So many worlds in a row share something, such as their stars, and are drawn together; what is over is left out
        of the draws. Where there are not two such runs, each world is drawn by itself.
    level : float
        Probability of the intervals.

    Raises
    ------
    ValueError
        If there are less than two of either, or a number is not finite.
    """
    planted, without = np.asarray(planted, float), np.asarray(without, float)
    for name, values in (("planted", planted), ("without", without)):
        if len(values) < 2 or not np.all(np.isfinite(values)):
            raise ValueError(f"{len(values)} worlds {name}, of which all must be finite, and two at least")
    generator = np.random.default_rng(seed)
    draws = [_resample(each, n_bootstrap, generator, shared) for each in (planted, without)]
    pair = planted[None], without[None]

    def estimate(statistic: Callable[..., np.ndarray], sign: int = 1) -> Estimate:
        value, drawn = (statistic(*(sign * each for each in both)) for both in (pair, draws))
        return Estimate.from_draws(value[0], drawn, level)

    return Score(estimate(_auc), estimate(_power), estimate(_power, -1))


def difference(
    one: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    n_bootstrap: int = 500,
    seed: int = 0,
    *,
    level: float = 0.68,
) -> Estimate:
    """Return by how much the area of one number is larger than that of another in the same worlds, with its interval.

    Parameters
    ----------
    one, other : pairs of arrays (P,), (W,)
        A number in planted worlds and in worlds without; the same worlds in both, which are drawn together.
    n_bootstrap, seed : int
    level : float

    Raises
    ------
    ValueError
        If the two have not as many worlds.
    """
    if any(len(first) != len(second) for first, second in zip(one, other, strict=True)):
        counts = [tuple(map(len, each)) for each in (one, other)]
        raise ValueError(f"the numbers are of {counts[0]} and {counts[1]} worlds; give both in the same worlds")
    generator = np.random.default_rng(seed)
    rows = [bootstrap_rows(len(values), n_bootstrap, generator) for values in one]
    value = _auc(one[0][None], one[1][None]) - _auc(other[0][None], other[1][None])
    draws = (_auc(*(values[drawn] for values, drawn in zip(each, rows, strict=True))) for each in (one, other))
    return Estimate.from_draws(value[0], next(draws) - next(draws), level)


def smallest_depth(
    depths: Sequence[float],
    planted: Sequence[np.ndarray],
    without: np.ndarray,
    power: float = _POWER,
    n_bootstrap: int = 500,
    seed: int = 0,
    *,
    shared: int = 1,
) -> Estimate:
    """Return the depth from which on worlds are distinguished from those without with a given power, and its interval.

    Parameters
    ----------
    depths : sequence of K float
        Increasing, positive.
    planted : sequence of K arrays
        The numbers of the worlds of each depth.
    without : (W,) array
    power : float
    n_bootstrap, seed, shared : int
        As in `score`.

    Returns
    -------
    Estimate
        Interpolated in the logarithm of the depth between the last depth that falls short and the next; the first depth
        if none falls short, infinite if the last one does.
    """
    generator = np.random.default_rng(seed)
    planted, without = [np.asarray(each, float) for each in planted], np.asarray(without, float)
    value = _crossing(depths, np.array([_power(each[None], without[None])[0] for each in planted]), power)
    resampled = _resample(without, n_bootstrap, generator, shared)
    powers = np.stack([_power(_resample(each, n_bootstrap, generator, shared), resampled) for each in planted], axis=1)
    draws = [_crossing(depths, row, power) for row in powers]
    low, high = np.quantile(draws, [0.16, 0.84], method="nearest")
    return Estimate(value, float(low), float(high))


def fraction(hits: int, total: int, level: float = 1 - 2 * float(norm.sf(1))) -> Estimate:
    """Return a fraction with its Wilson interval, of 68 % by default."""
    interval = binomtest(hits, total).proportion_ci(level, method="wilson")
    return Estimate(hits / total, float(interval.low), float(interval.high))


def _auc(planted: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve (R,) of rows of planted (R, P) and without (R, W): Mann and Whitney's U."""
    count = planted.shape[1]
    ranks = rankdata(np.concatenate([planted, without], axis=1), axis=1)
    return (ranks[:, :count].sum(axis=1) - count * (count + 1) / 2) / (count * without.shape[1])


def _power(planted: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Return the power (R,) of the exact test of that rate of false alarms, which tosses a coin over ties."""
    threshold = np.quantile(without, 1 - FALSE_ALARMS, axis=1, method="higher")[:, None]
    above, at = np.mean(without > threshold, axis=1), np.mean(without == threshold, axis=1)
    toss = np.clip((FALSE_ALARMS - above) / at, 0, 1)
    return np.mean(planted > threshold, axis=1) + toss * np.mean(planted == threshold, axis=1)


def _resample(values: np.ndarray, count: int, generator: np.random.Generator, shared: int) -> np.ndarray:
    """Return bootstrap draws (R, n) of values (n,) in runs of `shared` values."""
    return values[bootstrap_rows(len(values), count, generator, shared)]


def _crossing(depths: Sequence[float], powers: np.ndarray, wanted: float) -> float:
    """Return the depth from which on powers (K,) reach what is wanted, interpolated in the logarithm of the depth.

    The first depth if all do, infinite if the last one does not.
    """
    short = np.flatnonzero(powers < wanted)
    if not len(short):
        return float(depths[0])
    last = short[-1]
    if last == len(depths) - 1:
        return float("inf")
    share = (wanted - powers[last]) / (powers[last + 1] - powers[last])
    return float(depths[last] * (depths[last + 1] / depths[last]) ** share)
