r"""Is what the flux says of a label the label's, or the noise of the catalogue?

A channel :math:`c` is what the flux gives for each star: the depth of lines, or a prediction. It is held against the
residual :math:`r = u + e` of the catalogue beyond the other labels, the label's own part :math:`u` plus an error of
standard deviation :math:`s`. As functions of :math:`s`, which differs from star to star, the mean of :math:`cr` and the
mean of :math:`c^2` (without the channel's own noise) are

====================================  ==============  ==============
the channel knows                     :math:`cr`      :math:`c^2`
====================================  ==============  ==============
the label, :math:`c \propto u`        constant        constant
noise, :math:`c \propto e / s`        :math:`\propto s`     constant
noise, :math:`c \propto e`            :math:`\propto s^2`   :math:`\propto s^2`
====================================  ==============  ==============

Both slopes on :math:`s` and their covariance are estimated together, without assuming any distribution (a regression
with sandwich errors: White 1980, Econometrica 48, 817); where the third row is not the question, :math:`c^2` is a
control variate for :math:`cr`, whose scatter it shares.
"""

import dataclasses

import numpy as np

from lux.evidence import CLIP, Design, Readings, label_variance

# Catalogue errors that differ by less than this, relative to their mean, are all alike.
LEAST_SPREAD = 1e-6
MOST_PLACES = 10
# Places of one list stand at least this many pixels apart.
APART = 6
_MEDIAN_OF_CHI2 = 0.4549


@dataclasses.dataclass(frozen=True, eq=False)
class Channel:
    """What the flux gives for each of N stars: `values` (N,), and their standard errors `noise` (N,), zero if none."""

    values: np.ndarray
    noise: np.ndarray

    @property
    def variance(self) -> float:
        """Robust estimate of the variance of what the channel knows, its noise left out; not below zero."""
        if not np.any(self.noise):
            return float(np.median(self.values**2) / _MEDIAN_OF_CHI2)
        typical = np.median(self.noise**2)
        return float(max(0.0, np.median(self.values**2) / typical / _MEDIAN_OF_CHI2 - 1) * typical)


@dataclasses.dataclass(frozen=True)
class Growth:
    """How what the flux says of a label grows with the catalogue's error, in standard deviations.

    Parameters
    ----------
    found : float
        Along the growth of the kind of leak that fits better.
    expected : float
        What it would be in such a leak; zero where the catalogue's errors are all alike.
    """

    found: float
    expected: float


def line_channel(design: Design, pixels: np.ndarray, signs: np.ndarray | float = 1.0) -> Channel:
    """Return each star's summed depth, times signs (L,), of lines at pixels (L,), in an arbitrary unit.

    A score is a depth times what the star's spectrum can tell of it, and grows with the square of its S/N.
    """
    noise = np.maximum(design.star_noise, 1e-3 * np.median(design.star_noise))
    values = (design.line_scores[:, pixels] * signs).sum(axis=1) / noise**2
    return Channel(values, np.sqrt(len(pixels)) / noise)


def prediction_channel(found: Readings) -> Channel:
    """Return the cross-fitted prediction of the label's residual from strong features."""
    return Channel(found.predicted[:, 0] - found.predicted[:, 0].mean(), np.zeros(len(found.predicted)))


def places_elsewhere(design: Design, found: Readings, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (L,) off the own lines where absorption goes with the label, and their signs (L,).

    The most significant one, and others as significant as `threshold`, `MOST_PLACES` at most.
    """
    lines = np.where(design.near_own, 0, found.lines[0])
    strength, pixels = np.abs(lines), []
    while len(pixels) < MOST_PLACES and (not pixels or strength.max() > threshold):
        best = int(np.argmax(strength))
        pixels.append(best)
        strength[max(0, best - APART) : best + APART + 1] = 0
    return np.array(pixels), np.sign(lines[pixels])


def growth(design: Design, channel: Channel, residual: np.ndarray) -> Growth:
    """Return how what a channel knows of the residual (N,) grows with the catalogue's error: see the module.

    The channel must respond to what it knows alike in all stars.
    """
    variance = channel.variance + channel.noise**2
    limit = CLIP * np.sqrt(variance)
    values = np.clip(channel.values, -limit, limit)
    # Products scatter as residual and channel do: stars of small error say most.
    weight = 1 / label_variance(design, residual[:, None])[:, 0] / variance
    weight /= weight.sum()
    error = design.errors - weight @ design.errors
    if np.std(error) < LEAST_SPREAD * design.errors.mean():
        return Growth(0.0, 0.0)
    moments = np.stack([values * residual, values**2 - channel.noise**2], axis=1)
    mean = weight @ moments
    lever = weight * error / (weight @ error**2)
    slope = lever @ moments
    remainder = lever[:, None] * (moments - mean - error[:, None] * slope)
    information = np.linalg.inv(remainder.T @ remainder)
    square = lever @ design.errors**2 / (weight @ design.errors**2)
    leaks = np.array([[mean[0] / (weight @ design.errors), 0], [mean[0] * square, max(0.0, mean[1]) * square]])
    expected = np.sqrt(np.einsum("ki,ij,kj->k", leaks, information, leaks))
    if not np.all(expected > 0):
        return Growth(0.0, 0.0)
    along = leaks @ information @ slope / expected
    kind = int(np.argmax(along - expected / 2))
    return Growth(float(along[kind]), float(expected[kind]))


def unexplained(design: Design, residual: np.ndarray, channels: list[Channel]) -> tuple[float, float]:
    """Return what channels together leave of the residual (N,), its mean square in catalogue errors, and the error.

    Below one, the flux knows noise that only the catalogue has. Each channel is drawn towards zero as its noise wants
    and enters a regression that was fitted to the other folds.
    """
    terms = [np.ones(len(residual))]
    for channel in channels:
        known = channel.variance
        terms.append(channel.values * (known / (known + channel.noise**2) if known > 0 else 0))
    terms = np.stack(terms, axis=1)
    left = np.array(residual)
    for fold in np.unique(design.folds):
        out = design.folds == fold
        left[out] -= terms[out] @ np.linalg.lstsq(terms[~out], residual[~out])[0]
    square = (left / design.errors) ** 2
    return float(square.mean()), float(square.std() / np.sqrt(len(square)))
