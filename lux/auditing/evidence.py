"""The evidence of an audit: what was measured, beside what chance would give."""

import dataclasses

import numpy as np
from scipy import stats

from lux.auditing import leakage, measurements
from lux.auditing.measurements import Design, Readings
from lux.survey import Survey

# Five per cent of shortcuts may be called something else. Lines that were named beforehand are one hypothesis and get
# the larger part of that; what is searched for (strong features, any one line, a leak) needs a smaller p-value.
SIGNIFICANT, SIGNIFICANT_AT_OWN_LINES = 0.005, 0.015
N_SURROGATES = 200
N_MOVED = 2000
# Agreement that grows with the catalogue's error significantly, in one of two ways, and by half of what it would if all
# of it were noise, is a leak; the p-value is that of the one way. Where even that would not be significant, the errors
# are too alike to tell.
LEAST_GROWTH, SHARE_OF_GROWTH = float(stats.norm.isf(SIGNIFICANT)), 0.5
# Quantile of the largest significance by chance beyond which more than one place is looked at for a leak.
SURELY_A_LINE = 0.95
# Move of a prediction, in units of its spread, that betrays that it reads the test stars' labels.
LEAST_MOVE = 1e-3


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One measurement and what chance makes of it.

    Parameters
    ----------
    name : str
    question : str
        What it asks, in words.
    statistic : float
    null_center, null_spread : float
        Of the statistic under the null hypothesis, from this survey.
    p_value : float
        One-sided.
    needed : float, optional
        What the statistic must exceed to count, where that is not a matter of the p-value alone.
    """

    name: str
    question: str
    statistic: float
    null_center: float
    null_spread: float
    p_value: float
    needed: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the p-value lies below `SIGNIFICANT`, or at the own lines below `SIGNIFICANT_AT_OWN_LINES`.

        Where a statistic is `needed`, whether it is reached.
        """
        if self.needed is not None:
            return self.statistic > self.needed
        return self.p_value < (SIGNIFICANT_AT_OWN_LINES if self.name == "own lines" else SIGNIFICANT)


def _flux_evidence(design: Design, found: Readings, chance: Readings, seed: int) -> list[Evidence]:
    """Return the evidence that the flux speaks of the label: at its own lines, in strong features, in any one line."""
    taken = []
    if len(design.own_pixels):
        taken.append(_own_line_evidence(design, found.lines[0], seed))
    center, spread = chance.strong.mean(), chance.strong.std()
    taken.append(
        Evidence(
            "strong features", "does the label beyond the others go with strong features of the flux?",
            float(found.strong[0]), float(center), float(spread),
            float(stats.t.sf((found.strong[0] - center) / spread, N_SURROGATES - 1)),
        )
    )  # fmt: skip
    elsewhere = ~design.near_own
    if not np.any(elsewhere):
        return taken
    largest, null = np.abs(found.lines[0, elsewhere]).max(), np.abs(chance.lines[:, elsewhere]).max(axis=1)
    taken.append(
        Evidence(
            "any one line", "does it go with absorption at any one place outside its own lines?",
            float(largest), float(null.mean()), float(null.std()), float(stats.gumbel_r.sf(largest, *_gumbel(null))),
        )
    )  # fmt: skip
    return taken


def _own_line_evidence(design: Design, lines: np.ndarray, seed: int) -> Evidence:
    """Return the evidence at the own lines together, against the same list moved in wavelength."""
    root = np.sqrt(len(design.own_pixels))
    statistic = lines[design.own_pixels].sum() / root
    moved = lines[measurements.moved_lines(design, N_MOVED, seed)].sum(axis=1) / root
    center = float(np.median(moved)) if len(moved) else 0.0
    spread = max(1.0, float(np.std(moved))) if len(moved) else 1.0
    tail = stats.norm.sf((statistic - center) / spread)
    rank = (1 + np.sum(moved >= statistic)) / (1 + len(moved))
    p_value = max(tail, rank) if rank > 2 / (1 + len(moved)) else tail
    return Evidence("own lines", "does the label beyond the others go with absorption at its own lines?",
                    float(statistic), center, spread, float(p_value))  # fmt: skip


def _noise_evidence(design: Design, found: Readings, chance: Readings, taken: dict[str, Evidence]) -> list[Evidence]:
    """Return the evidence that what the flux was found to say is the catalogue's noise."""
    residual = found.residual[:, 0]
    channels = {"strong features": leakage.prediction_channel(found)}
    if len(design.own_pixels):
        channels["own lines"] = leakage.line_channel(design, design.own_pixels)
    if "any one line" in taken:
        largest = np.abs(chance.lines[:, ~design.near_own]).max(axis=1)
        places = leakage.places_elsewhere(design, found, float(np.quantile(largest, SURELY_A_LINE)))
        channels["any one line"] = leakage.line_channel(design, *places)
    speaking = [channels[name] for name in channels if taken[name].significant] or [channels["strong features"]]
    growths = [each for channel in speaking for each in leakage.growth(design, channel, residual)]
    growth = max(growths, key=lambda each: each.found - _growth_of_leak(each.expected))
    left, error = leakage.unexplained(design, residual, speaking)
    return [
        Evidence("grows with noise", "does the agreement grow with the catalogue's error, as that of noise would?",
                 growth.found, 0.0, 1.0, float(stats.norm.sf(growth.found)),
                 needed=_growth_of_leak(growth.expected)),
        Evidence("closer than noise", "does the flux predict the catalogue better than its errors allow?",
                 left, 1.0, error, float(stats.norm.cdf((left - 1) / error))),
    ]  # fmt: skip


def _canary(model, test: Survey, label: str, seed: int) -> Evidence:
    """Return the evidence that a prediction changes when only that label of the test stars is dealt out anew."""
    column = test.label_index(label)
    order = np.random.default_rng(seed).permutation(test.n_stars)
    labels, errors = np.array(test.labels), np.array(test.label_err)
    labels[:, column], errors[:, column] = labels[order, column], errors[order, column]
    before, again, after = (
        _predicted(model, each, label) for each in (test, test, test.replace(labels=labels, label_err=errors))
    )
    spread = max(np.std(before), 1e-30)
    # What a model does at random is not held against it.
    moved = float(max(0.0, np.max(np.abs(after - before)) - 2 * np.max(np.abs(again - before))) / spread)
    return Evidence("label canary", "does the prediction move when only the test stars' label does?",
                    moved, 0.0, 0.0, 0.0 if moved > LEAST_MOVE else 1.0)  # fmt: skip


def _predicted(model, survey: Survey, label: str) -> np.ndarray:
    """Return a model's prediction (N,) of one label; ValueError if it is not finite."""
    prediction = model.predict_labels(survey)
    values = np.asarray(prediction.labels, float)[:, list(prediction.names).index(label)]
    if not np.all(np.isfinite(values)):
        star = survey.star_id[int(np.argmin(np.isfinite(values)))]
        raise ValueError(f"the model's prediction of {label} for star {star} is not finite; nothing can be audited")
    return values


def _model_evidence(model, test: Survey, label: str, design: Design, seed: int) -> list[Evidence]:
    """Return whether the model uses what the flux says: its response, and its gradient where it has one."""
    test = test[~np.isnan(test.label(label))]
    prediction = model.predict_labels(test)
    predicted = np.asarray(prediction.labels)
    column = prediction.names.index(label)
    others = np.delete(predicted, column, axis=1)
    basis = np.linalg.qr(measurements.second_order_terms(others))[0]
    used, wanted = (each - basis @ (basis.T @ each) for each in (predicted[:, column], test.label(label)))
    freedom = max(0, test.n_stars - basis.shape[1])
    # What rounding leaves of a prediction that the others determine is no prediction.
    alive = np.std(used) > 1e-6 * np.std(predicted[:, column])
    statistic = np.sqrt(freedom) * np.corrcoef(used, wanted)[0, 1] if alive else 0.0
    taken = [
        Evidence("model uses it", "does the prediction beyond the other predictions go with the label?",
                 float(statistic), 0.0, 1.0, float(stats.norm.sf(statistic))),
    ]  # fmt: skip
    moved = measurements.moved_lines(design, N_MOVED, seed)
    if hasattr(model, "label_jacobian") and moved.size:
        taken.append(_gradient_evidence(model.label_jacobian(test)[column], design.own_pixels, moved))
    return taken


def _gradient_evidence(jacobian: np.ndarray, own_pixels: np.ndarray, moved_pixels: np.ndarray) -> Evidence:
    """Return the model's gradient at the own lines, downwards, against the same list moved in wavelength."""
    statistic, moved = -jacobian[own_pixels].sum(), -jacobian[moved_pixels].sum(axis=1)
    rank = (1 + np.sum(moved >= statistic)) / (1 + len(moved))
    return Evidence("gradient at own lines", "does the model read the label from its own lines?",
                    float(statistic), float(np.median(moved)), float(np.std(moved)), float(rank))  # fmt: skip


def _growth_of_leak(expected: float) -> float:
    """Return from where on growth with the catalogue's error counts as a leak, given what it would be in one."""
    return max(LEAST_GROWTH, SHARE_OF_GROWTH * expected) if expected > LEAST_GROWTH else np.inf


def _gumbel(values: np.ndarray) -> tuple[float, float]:
    """Return location and scale of the Gumbel distribution with the mean and spread of the values."""
    scale = np.sqrt(6) / np.pi * np.std(values)
    return float(np.mean(values) - np.euler_gamma * scale), float(scale)
