"""The evidence of an audit: what was measured, beside what chance would give."""

import dataclasses
import enum
from collections.abc import Mapping

import numpy as np
from scipy import stats

from lux.auditing import leakage, measurements, other_labels
from lux.auditing.measurements import Measured
from lux.auditing.model_outputs import ModelOutputs
from lux.auditing.observer_frame import ObserverFrame
from lux.auditing.settings import AuditSettings
from lux.statistics import Estimate, PermutationTest, gumbel_by_moments


class Kind(enum.StrEnum):
    """What a piece of evidence is about; the values are the names in reports."""

    OWN_LINES = "own lines"
    STRONG_FEATURES = "strong features"
    ANY_LINE = "any one line"
    LEAK_GROWTH = "grows with noise"
    CLOSER_THAN_NOISE = "closer than noise"
    LABEL_CANARY = "label canary"
    MODEL_USE = "model uses it"
    GRADIENT = "gradient at own lines"
    OBSERVED_PLACE = "any observed place"
    SKY_LINES = "sky lines"


# What speaks for the label in the flux.
FLUX_KINDS = (Kind.OWN_LINES, Kind.STRONG_FEATURES, Kind.ANY_LINE)
# What speaks for the sky or the instrument.
OBSERVED_KINDS = (Kind.OBSERVED_PLACE, Kind.SKY_LINES)
# Share of the label's own variance, which a slope is, below which a use is little.
_LITTLE = 0.1

_QUESTIONS = {
    Kind.OWN_LINES: "does the label beyond the others correlate with absorption at its own lines?",
    Kind.STRONG_FEATURES: "does the label beyond the others correlate with strong features of the flux?",
    Kind.ANY_LINE: "does it correlate with absorption at any one place outside its own lines?",
    Kind.LEAK_GROWTH: "does the agreement grow with the catalogue's error, as that of noise would?",
    Kind.CLOSER_THAN_NOISE: "does the flux predict the catalogue better than its errors allow?",
    Kind.OBSERVED_PLACE: "does it correlate with the flux at any one wavelength fixed in the observer's frame?",
    Kind.SKY_LINES: "does it correlate with the flux at the observed wavelengths of airglow?",
    Kind.LABEL_CANARY: "does the prediction move when only the test stars' label does?",
    Kind.MODEL_USE: "does the prediction beyond the other predictions correlate with the label?",
    Kind.GRADIENT: "does the model read the label from its own lines?",
}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One measurement and what chance makes of it.

    Parameters
    ----------
    name : Kind
        Or its value, such as "own lines".
    question : str
        What it asks, in words.
    statistic : float
    null_center, null_scatter : float
        Mean or median, and standard deviation, of the statistic under the null hypothesis, from this survey.
    p_value : float
        One-sided.
    needed : float, optional
        What the statistic must exceed to count, where that is not a matter of the p-value alone.
    threshold : float
        p-value below which the evidence counts, where nothing is `needed`.
    """

    name: Kind
    question: str
    statistic: float
    null_center: float
    null_scatter: float
    p_value: float
    needed: float | None = None
    threshold: float = AuditSettings.significance

    @property
    def significant(self) -> bool:
        """Whether the statistic exceeds what is `needed`, or without that, the p-value lies below the `threshold`."""
        return self.p_value < self.threshold if self.needed is None else self.statistic > self.needed

    @property
    def z_score(self) -> float:
        """The statistic in standard deviations of its null distribution; NaN where that has none."""
        if self.null_scatter == 0:
            return float("nan")
        return (self.statistic - self.null_center) / self.null_scatter


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What the survey could have shown of the label beyond the other labels.

    Parameters
    ----------
    n_stars, n_own_lines : int
    own_variance, own_variance_error : float
        What the catalogue's errors do not explain, in the label's unit squared.
    mean_square, mean_square_error : float
        Of the label beyond the others, in catalogue errors: one if they explain all of it.
    feature_significance : float
        The statistic of a strong feature that carries ``settings.share_to_find`` of it.
    of_most : float
        Share of the own variance that is left where few stars are far off the others: one if none are.
    """

    n_stars: int
    n_own_lines: int
    own_variance: float
    own_variance_error: float
    mean_square: float
    mean_square_error: float
    feature_significance: float
    of_most: float = 1.0

    @property
    def has_own_scatter(self) -> bool:
        """Whether the label has scatter beyond the others that its catalogue's errors do not explain."""
        return self.own_variance >= 2 * self.own_variance_error


@dataclasses.dataclass(frozen=True)
class ModelUse:
    """Whether the model's prediction follows the label's own part: what the other labels, as predicted, do not say.

    Parameters
    ----------
    answer : {"yes", "no", "cannot tell"}
        "yes" if the two are correlated significantly, "no" if they are not and a slope of ``settings.share_to_find``
        would have been found, with ``settings.power``. What a report shows is "yes, but little" of a use that is
        `little`.
    slope, error : float
        Of the prediction on the label's own part, and its standard error; zero in a guess. In a prediction that is not
        biased it is the share of the label's own variance that is predicted.
    least : bool
        Whether the slope is a lower limit, no allowance being made for the catalogue's errors: these as stated would
        explain all of the label's own part.
    findable : float
        Slope that would have been found with that power.
    """

    answer: str
    slope: float
    error: float
    least: bool
    findable: float

    @property
    def little(self) -> bool:
        """Whether at most a tenth of the label's own variance is predicted: slope and twice its error lie below it."""
        return self.answer == "yes" and not self.least and self.slope + 2 * self.error < _LITTLE

    @property
    def shown(self) -> str:
        """The answer, and whether there is little in it."""
        return f"{self.answer}, but little" if self.little else self.answer

    def __str__(self) -> str:
        """Return the answer with its numbers, and whether there is little in it."""
        found = f"slope {self.slope:.2f} +- {self.error:.2f}{' or more' if self.least else ''}"
        return f"{self.shown} ({found} on the label's own part; {self.findable:.2f} would be found)"


def collect(measured: Measured, outputs: ModelOutputs) -> dict[Kind, Evidence]:
    """Return the evidence on a label: that of the flux, of a leak, and of the model."""
    flux = _flux_evidence(measured)
    items = [*flux.values(), *_leak_evidence(measured, flux), _canary(outputs, measured.design.settings)]
    items.append(_model_use(measured, outputs))
    if outputs.gradient is not None and measured.moved.size:
        items.append(_gradient(measured, outputs.gradient))
    return {item.name: item for item in items}


def sensitivity(measured: Measured) -> Sensitivity:
    """Return what the survey could have shown."""
    design, variance = measured.design, np.var(measured.residual)
    own = measurements.own_variance(design, measured.residual)
    share = float(design.settings.share_to_find * max(own, 0.0) / variance)
    return Sensitivity(
        design.n_stars,
        len(design.own_pixels),
        own,
        float(np.sqrt(2 / design.n_stars) * variance),
        *leakage.unexplained(design, measured.residual, []),
        measurements.significance_of_share(measured, share),
        measurements.variance_of_most(design, measured.residual) / max(own, 1e-300) if own > 0 else 1.0,
    )


def _evidence(
    kind: Kind, statistic: float, null: tuple[float, float], p_value: float, settings: AuditSettings, **more: float
) -> Evidence:
    """Return evidence of a kind from its statistic, the center and standard deviation of its null, and its p-value."""
    threshold = settings.significance_at_own_lines if kind is Kind.OWN_LINES else settings.significance
    threshold = settings.significance_of_artefact if kind in OBSERVED_KINDS else threshold
    numbers = [float(value) for value in (statistic, *null, p_value)]
    return Evidence(kind, _QUESTIONS[kind], *numbers, **{"threshold": threshold, **more})


def _flux_evidence(measured: Measured) -> dict[Kind, Evidence]:
    """Return the evidence that the flux shows the label: at its own lines, in strong features, in any one line."""
    design, chance = measured.design, measured.surrogate.strong
    evidence = {}
    if len(design.own_pixels):
        evidence[Kind.OWN_LINES] = _own_lines(measured)
    statistic, null = measured.observed.strong[0], (chance.mean(), chance.std())
    p_value = stats.t.sf((statistic - null[0]) / null[1], design.settings.n_surrogates - 1)
    evidence[Kind.STRONG_FEATURES] = _evidence(Kind.STRONG_FEATURES, statistic, null, p_value, design.settings)
    if not np.all(design.near_own):
        largest, maxima = np.abs(measured.lines_elsewhere).max(), measured.largest_by_chance
        p_value = stats.gumbel_r.sf(largest, *gumbel_by_moments(maxima))
        null = maxima.mean(), maxima.std()
        evidence[Kind.ANY_LINE] = _evidence(Kind.ANY_LINE, largest, null, p_value, design.settings)
    return evidence


def observed_evidence(frame: ObserverFrame) -> dict[Kind, Evidence]:
    """Return the evidence that what correlates with a label stands still in the observer's frame."""
    largest, maxima = np.abs(frame.lines).max(), frame.largest_by_chance
    p_value = stats.gumbel_r.sf(largest, *gumbel_by_moments(maxima))
    null = maxima.mean(), maxima.std()
    found = [_evidence(Kind.OBSERVED_PLACE, largest, null, p_value, frame.settings)]
    if np.any(frame.sky_weight):
        statistic, chance = frame.at_sky[0], frame.at_sky[1:]
        null = chance.mean(), chance.std()
        p_value = 2 * stats.t.sf(np.abs(statistic - null[0]) / null[1], len(chance) - 1)
        found.append(_evidence(Kind.SKY_LINES, statistic, null, p_value, frame.settings))
    return {item.name: item for item in found}


def _own_lines(measured: Measured) -> Evidence:
    """Return the evidence at the own lines together, against the same list moved in wavelength."""
    root = np.sqrt(len(measured.design.own_pixels))
    statistic = measured.lines[measured.design.own_pixels].sum() / root
    moved = measured.lines[measured.moved].sum(axis=1) / root
    null = (float(np.median(moved)), max(1.0, float(np.std(moved)))) if len(moved) else (0.0, 1.0)
    tail = stats.norm.sf((statistic - null[0]) / null[1])
    rank = PermutationTest(float(statistic), moved).p_value
    # Where hardly a moved list reaches the statistic, its rank says no more than that, and the tail is extrapolated.
    p_value = max(tail, rank) if rank > 2 / (1 + len(moved)) else tail
    return _evidence(Kind.OWN_LINES, statistic, null, p_value, measured.design.settings)


def _leak_evidence(measured: Measured, flux: dict[Kind, Evidence]) -> tuple[Evidence, Evidence]:
    """Return the evidence that what the flux shows is the catalogue's noise."""
    design, settings = measured.design, measured.design.settings
    channels = _channels(measured, flux)
    growths = [growth for channel in channels for growth in leakage.growth(design, channel, measured.residual)]
    growth = max(growths, key=lambda growth: growth.observed - settings.min_growth(growth.expected))
    left, error = leakage.unexplained(design, measured.residual, channels)
    closer = stats.norm.cdf((left - 1) / error)
    needed = settings.min_growth(growth.expected)
    return (
        _evidence(Kind.LEAK_GROWTH, growth.observed, (0, 1), stats.norm.sf(growth.observed), settings, needed=needed),
        _evidence(Kind.CLOSER_THAN_NOISE, left, (1, error), closer, settings),
    )


def _channels(measured: Measured, flux: Mapping[Kind, Evidence]) -> list[leakage.Channel]:
    """Return what the flux gives for each star wherever its evidence counts; from strong features if nowhere."""
    design = measured.design
    channels = {Kind.STRONG_FEATURES: leakage.prediction_channel(measured)}
    if Kind.OWN_LINES in flux:
        channels[Kind.OWN_LINES] = leakage.line_channel(design, design.own_pixels)
    if Kind.ANY_LINE in flux:
        channels[Kind.ANY_LINE] = leakage.line_channel(design, *leakage.places_elsewhere(measured))
    significant = [channel for kind, channel in channels.items() if flux[kind].significant]
    return significant or [channels[Kind.STRONG_FEATURES]]


def _canary(outputs: ModelOutputs, settings: AuditSettings) -> Evidence:
    """Return the evidence that a prediction changes when only that label of the test stars is shuffled."""
    # What a model does at random is not held against it.
    random = 2 * np.max(np.abs(outputs.repeated - outputs.predicted))
    shift = max(0.0, np.max(np.abs(outputs.shuffled - outputs.predicted)) - random)
    shift /= max(np.std(outputs.predicted), 1e-30)
    return _evidence(Kind.LABEL_CANARY, shift, (0, 0), 0.0 if shift > settings.min_shift else 1.0, settings)


def _model_use(measured: Measured, outputs: ModelOutputs) -> Evidence:
    """Return the evidence that the model uses what the flux says: that its prediction correlates with the label."""
    predicted, label, dof = _own_parts(measured, outputs)
    statistic = np.sqrt(dof) * np.corrcoef(predicted, label)[0, 1] if np.any(predicted) else 0.0
    return _evidence(Kind.MODEL_USE, statistic, (0, 1), stats.norm.sf(statistic), measured.design.settings)


def _own_parts(measured: Measured, outputs: ModelOutputs) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the own parts of the prediction and the label, (T,) each, and the degrees of freedom.

    The prediction loses what the model's own predictions of the other labels say; the label that, and before it what
    the flux gives of them. Either alone would do if it said all there is to say: of a model whose other predictions are
    poorer than what it makes of this label, the former leaves a correlation that is the other labels'.
    """
    present = ~np.isnan(outputs.catalogue)
    predicted = outputs.predicted[present]
    # The test stars are the last of those that were measured.
    given = np.linalg.qr(measured.design.others[-len(predicted) :])[0]
    others, settings = outputs.others[present], measured.design.settings
    basis = other_labels.label_basis(others, settings.stars_per_term) if others.shape[1] else given
    residual = measurements.partial_out(predicted, basis)
    label = measurements.partial_out(measured.residual[-len(predicted) :], basis)
    # What rounding leaves of a prediction that is constant, or that the others determine, is no prediction.
    independent = np.std(residual) > 1e-6 * np.std(predicted) + 1e-12 * np.max(np.abs(predicted))
    return residual * independent, label, max(0, len(predicted) - basis.shape[1])


def flux_share(measured: Measured, evidence: Mapping[Kind, Evidence], reach: Sensitivity) -> Estimate | None:
    """Return which share of the label's own variance the flux explains, with its interval of 95 %; None if it has none.

    By regressions on what the flux shows where its evidence counts, each fitted to all other stars: what so many stars
    teach, which is less than what the flux holds.
    """
    if not reach.has_own_scatter:
        return None
    design, residual = measured.design, measured.residual
    explained = residual**2 - leakage.left_by(design, residual, _channels(measured, evidence), 1.0) ** 2
    explained /= design.dof_fraction * reach.own_variance
    share = float(explained.mean())
    error = np.hypot(explained.std() / np.sqrt(len(explained)), share * reach.own_variance_error / reach.own_variance)
    half = float(stats.norm.isf(0.025) * error)
    return Estimate(share, share - half, share + half)


def model_use(
    measured: Measured, outputs: ModelOutputs, evidence: Evidence, reach: Sensitivity, leak: bool
) -> ModelUse:
    """Return whether the model uses the label; after a leak this cannot be told from its use of the noise."""
    settings = measured.design.settings
    predicted, label, dof = _own_parts(measured, outputs)
    products = predicted * label
    variance = reach.own_variance if reach.has_own_scatter else np.sum(label**2) / dof
    slope = float(np.sum(products) / dof / variance)
    error = float(np.sqrt(np.sum((products - products.mean()) ** 2)) / dof / variance)
    scale = reach.own_variance_error / variance if reach.has_own_scatter else 0.0
    findable = error * float(stats.norm.isf(settings.significance) + stats.norm.isf(1 - settings.power))
    # Of what most stars have of their own, it is less that would be found.
    enough = reach.has_own_scatter and findable < settings.share_to_find * reach.of_most
    answer = "no" if enough else "cannot tell"
    if evidence.significant:
        answer = "cannot tell" if leak else "yes"
    return ModelUse(answer, slope, float(np.hypot(error, slope * scale)), not reach.has_own_scatter, findable)


def _gradient(measured: Measured, gradient: np.ndarray) -> Evidence:
    """Return the model's gradient (D,) at the own lines, downwards, against the same list moved in wavelength."""
    statistic = -gradient[measured.design.own_pixels].sum()
    test = PermutationTest(float(statistic), -gradient[measured.moved].sum(axis=1))
    null = np.median(test.null), np.std(test.null)
    return _evidence(Kind.GRADIENT, statistic, null, test.p_value, measured.design.settings)
