"""The one home of statistics: an estimate with its interval, permutation tests, quadratic terms of labels."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic with its 68 % bootstrap interval."""

    value: float
    low: float
    high: float

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
        """Fraction of the null at least as large, the observed value counted in (Phipson & Smyth 2010, eq. 2)."""
        return float((1 + np.count_nonzero(self.null >= self.statistic)) / (1 + len(self.null)))

    def threshold(self, level: float = 0.05) -> float:
        """Return the value that the null exceeds with probability `level`."""
        return float(np.quantile(self.null, 1 - level))


def second_order(others) -> np.ndarray:
    """Return others (N, Q) scaled to zero mean and unit spread, with their squares and products, (N, Q (Q + 3) / 2)."""
    scaled = (others - np.mean(others, axis=0)) / np.std(others, axis=0)
    upper = np.triu_indices(scaled.shape[1])
    return np.concatenate([scaled, scaled[:, upper[0]] * scaled[:, upper[1]]], axis=1)
