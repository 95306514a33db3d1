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

where the label's own scatter is the same at all errors. Where it grows with them, as in a label whose errors are a part
of its value, :math:`cr` and :math:`c^2` of a channel that knows the label grow as :math:`u^2` does, which is that of
:math:`r^2 - s^2`; a leak makes them grow, and this not, unless the errors are understated. Then both are taken beyond
as much of it as their means hold. Where errors follow the label itself, as where weak lines are measured worse, a
label that is known agrees more, or less, where they are large: growth then tells nothing.

Both slopes on :math:`s` and their covariance are estimated together, without assuming any distribution (a regression
with sandwich errors, variant HC3: MacKinnon & White 1985, J. Econometrics 29, 305); where the third row is not the
question, :math:`c^2` is a control variate for :math:`cr`, whose scatter it shares. The channel's noise is known up to a
factor at best, and the catalogue's errors may vary with it: :math:`c^2` is regressed on :math:`s` at fixed noise.
"""

import dataclasses

import numpy as np
from scipy import stats

from lux.auditing.measurements import Design, Measured, label_variance
from lux.auditing.settings import AuditSettings
from lux.statistics import left_out

# Standard deviations of the product of error and residual: in a leak its mean is zero.
_FOLLOW = 4.0
_MEDIAN_OF_CHI2 = float(stats.chi2(1).median())


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
    observed : float
        Along the growth of one kind of leak.
    expected : float
        What it would be in such a leak; zero where too few of the catalogue's errors differ.
    """

    observed: float
    expected: float


def line_channel(design: Design, pixels: np.ndarray, signs: np.ndarray | float = 1.0) -> Channel:
    """Return each star's summed depth, times signs (L,), of lines at pixels (L,), in an arbitrary unit.

    A score is a depth times what the star's spectrum can tell of it, and grows with the square of its S/N.
    """
    noise = np.maximum(design.star_noise, 1e-3 * np.median(design.star_noise))
    values = (design.line_scores[:, pixels] * signs).sum(axis=1) / noise**2
    return Channel(values, np.sqrt(len(pixels)) / noise)


def prediction_channel(measured: Measured) -> Channel:
    """Return the prediction of the label's residual from strong features, as other stars teach it."""
    predicted = measured.observed.predicted[:, 0]
    return Channel(predicted - predicted.mean(), np.zeros(len(predicted)))


def places_elsewhere(measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (L,) off the own lines where absorption correlates with the label, and the signs (L,) of that.

    The most significant one, and others more significant than a quantile of the largest by chance.
    """
    settings, lines = measured.design.settings, measured.lines_elsewhere
    threshold = float(np.quantile(measured.largest_by_chance, settings.quantile_of_lines))
    strength, pixels = np.abs(lines), list[int]()
    while len(pixels) < settings.max_places and (not pixels or strength.max() > threshold):
        best = int(np.argmax(strength))
        pixels.append(best)
        strength[max(0, best - settings.min_separation) : best + settings.min_separation + 1] = 0
    return np.array(pixels), np.sign(lines[pixels])


def growth(design: Design, channel: Channel, residual: np.ndarray) -> tuple[Growth, Growth]:
    """Return how what a channel knows of the residual (N,) grows with the catalogue's error: see the module.

    Of noise in units of its error, and of noise. The channel must respond to what it knows alike in all stars.
    """
    settings, nothing = design.settings, (Growth(0.0, 0.0), Growth(0.0, 0.0))
    variance = channel.variance + channel.noise**2
    if not np.all(variance > 0):
        return nothing
    limit = settings.clip * np.sqrt(variance)
    values = np.clip(channel.values, -limit, limit)
    # Products scatter as residual and channel do: stars of small error say most.
    weight = 1 / label_variance(design, residual[:, None])[:, 0] / variance
    weight /= weight.sum()
    regressors = _regressors(design, channel, weight)
    if not regressors or _follow_the_label(regressors[0], residual, weight):
        return nothing
    moments = np.stack([values * residual, values**2 - channel.noise**2][: len(regressors)])
    own = residual**2 / design.dof_fraction - design.errors**2
    mean = moments @ weight
    alike = own @ weight <= 0 or not _grows(own, regressors[0], weight, settings)
    slopes, information, contrasts = _slopes(
        np.stack(regressors), moments, weight, settings.max_leverage, None if alike else own
    )
    signal = np.array([mean[0], *np.maximum(mean[1:], 0)])
    in_errors = signal * (contrasts @ design.errors) / (weight @ design.errors) * (np.arange(len(signal)) == 0)
    as_noise = signal * (contrasts @ design.errors**2) / (weight @ design.errors**2)
    if not alike:
        # Lines that saturate grow less than the label's own scatter: only more is a leak.
        in_errors, as_noise = np.maximum(in_errors, 0), np.maximum(as_noise, 0)
    return _along(in_errors, slopes, information), _along(as_noise, slopes, information)


def _regressors(design: Design, channel: Channel, weight: np.ndarray) -> list[np.ndarray]:
    """Return the centered catalogue errors (N,), and their part beyond the channel's noise, if many stars carry them.

    None if not even the errors differ in many stars.
    """
    settings = design.settings
    error, noise = (values - weight @ values for values in (design.errors, channel.noise**2))
    beyond_noise = error - noise * (weight @ (error * noise) / max(weight @ noise**2, 1e-300))
    alike = np.std(error) < settings.min_error_std * design.errors.mean()
    if alike or not _carried_by_many(weight * error**2, settings.min_slope_stars):
        return []
    share = settings.min_error_share * (weight @ error**2)
    if weight @ beyond_noise**2 > share and _carried_by_many(weight * beyond_noise**2, settings.min_slope_stars):
        return [error, beyond_noise]
    return [error]


def _follow_the_label(error: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> bool:
    """Return whether the centered catalogue errors (N,) differ between large and small residuals (N,)."""
    products = weight * error * residual
    return bool(abs(products.sum()) > _FOLLOW * np.sqrt(np.sum(products**2)))


def _grows(own: np.ndarray, error: np.ndarray, weight: np.ndarray, settings: AuditSettings) -> bool:
    """Return whether squares (N,) grow with the centered catalogue errors (N,) beyond chance."""
    slope, information, _ = _slopes(error[None], own[None], weight, settings.max_leverage)
    return bool(slope[0] * np.sqrt(information[0, 0]) > stats.norm.isf(settings.significance))


def _slopes(
    regressors: np.ndarray, moments: np.ndarray, weight: np.ndarray, max_leverage: float, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the slope (K,) of each moment (K, N) on its regressor (K, N), the inverse of their covariance (K, K), and
    the weights (K, N) that make a slope of a moment.

    With `own` (N,) they are those of the moments beyond as much of it as the mean of a moment holds.
    """
    contrasts = np.stack([weight * regressor / (weight @ regressor**2) for regressor in regressors])
    leverage = np.minimum(weight + contrasts * regressors, max_leverage)
    if own is not None:
        moments = moments - np.outer(moments @ weight / (own @ weight), own)
        contrasts = contrasts - np.outer(contrasts @ own / (own @ weight), weight)
    slopes = np.sum(contrasts * moments, axis=1)
    residue = moments - (moments @ weight)[:, None] - regressors * slopes[:, None]
    terms = contrasts * residue / (1 - leverage)
    return slopes, np.linalg.pinv(terms @ terms.T), contrasts


def _carried_by_many(shares: np.ndarray, min_stars: int) -> bool:
    """Whether no few of the shares (N,) that stars have in a slope outweigh all others."""
    return bool(np.sum(shares) ** 2 > min_stars * np.sum(shares**2))


def _along(leak: np.ndarray, slopes: np.ndarray, information: np.ndarray) -> Growth:
    """Return slopes (K,) found, and those of a leak, in standard deviations along the latter."""
    expected = np.sqrt(max(0.0, leak @ information @ leak))
    return Growth(float(leak @ information @ slopes / expected), float(expected)) if expected > 0 else Growth(0.0, 0.0)


def unexplained(design: Design, residual: np.ndarray, channels: list[Channel]) -> tuple[float, float]:
    """Return what channels together leave of the residual (N,), its mean square in catalogue errors, and the error.

    Below one, the flux knows noise that only the catalogue has.
    """
    # The residual was made by a regression on the other labels.
    square = (left_by(design, residual, channels) / design.errors) ** 2 / design.dof_fraction
    return float(square.mean()), float(square.std() / np.sqrt(len(square)))


def left_by(design: Design, residual: np.ndarray, channels: list[Channel], least: float = 0.0) -> np.ndarray:
    """Return what channels together leave of the residual (N,).

    Each channel is shrunk towards zero as its noise wants and enters a regression that was fitted to all other stars.
    What it knows is taken to have at least a variance of `least` times that of its noise.
    """
    terms = [np.ones(len(residual))]
    for channel in channels:
        signal = max(channel.variance, least * float(np.median(channel.noise**2)))
        terms.append(channel.values * (signal / (signal + channel.noise**2) if signal > 0 else 0))
    return residual - left_out(np.stack(terms, axis=1), residual, max_leverage=design.settings.max_leverage)
