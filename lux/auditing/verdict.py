"""The audit: is a label that a spectral model predicts *known* or *guessed*?

`audit` puts the measurements of `lux.auditing.measurements` to the survey and to the model and reads a verdict off
them. What the flux says is judged by p-values under null distributions made for the survey at hand; the constants below
say which p-values count, how fast agreement with noise must grow to be a leak, and what must have been in reach for a
guess to be called one.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from lux.auditing import leakage, measurements
from lux.auditing.label_lines import default_lines, label_kind
from lux.auditing.measurements import Design, Readings
from lux.auditing.report import SIGNIFICANT, Evidence, Report
from lux.survey import Survey

# A label is called guessed only if a feature that carries this share of the label's own variance would have been found.
SHARE_TO_FIND = 0.5
POWER = 0.95
FEWEST_STARS = 100
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


def audit(
    model, train: Survey, test: Survey, label: str, own_lines: Sequence[float] | None = None, *, seed: int = 0,
    resolution: float = measurements.RESOLUTION,
) -> Report:  # fmt: skip
    """Tell whether a label is known from the flux or guessed from the other labels.

    Parameters
    ----------
    model : object with ``predict_labels(survey)``
        Fitted. Where it has ``label_jacobian(survey)``, its gradient at the own lines is added to the evidence.
    train, test : Survey
        On one grid; the flux of both is read, the model is asked about the test stars.
    label : str
    own_lines : sequence of float, optional
        Vacuum wavelengths (Angstrom) of the label's own lines. By default what the survey's world planted, else the
        strongest lines of the label's element in the line list (none for europium). Empty: it has none.
    seed : int
        Of the folds and the null distributions.
    resolution : float
        Resolving power of the spectra; APOGEE's by default.

    Returns
    -------
    Report
        "known": the flux speaks of the label at its own lines (or anywhere, for a label such as teff that belongs to no
        element). "proxy": the flux says more than the other labels do, but elsewhere. "guessed": it says nothing more,
        although it would have been noticed. "leaked": what is known is the catalogue's noise. "undecided": too little
        power.

    Raises
    ------
    ValueError
        If the label is unknown, missing in every star or constant, the grids differ, an own line is off the grid, lines
        are not given where the line list does not reach, or a prediction is not finite.
    """
    _check(train, test, label)
    named = own_lines is not None
    column = test.label_index(label)
    n_test = int(np.sum(~np.isnan(test.labels[:, column])))
    lines = default_lines(train, label) if own_lines is None else tuple(float(line) for line in own_lines)
    measurements.locate(test.wavelength, lines, resolution)
    if n_test < FEWEST_STARS:
        reason = f"only {n_test} test stars have the label; {FEWEST_STARS} are needed"
        return Report(label, "undecided", reason, n_test=n_test, own_lines=lines, stars_needed=FEWEST_STARS)
    design = measurements.prepare(_join(train, test), label, lines, seed, resolution)
    found = measurements.read(design, design.labels[:, None])
    chance = measurements.read(design, measurements.surrogates(design, N_SURROGATES, seed))
    taken = _flux_evidence(design, found, chance, seed)
    taken.extend(_noise_evidence(design, found, chance, {each.name: each for each in taken}))
    taken.append(_canary(model, test, label, seed))
    taken.extend(_model_evidence(model, test, label, design, seed))
    out = np.where(design.near_own, 0, np.abs(found.lines[0]))
    by_name = {each.name: each for each in taken}
    verdict, reason, needed = _judge(label_kind(label, test.wavelength, named), design, found, by_name)
    if verdict in ("known", "proxy") and not by_name["model uses it"].significant:
        reason += "; there is no sign that this model uses it"
    if verdict in ("known", "proxy") and np.isinf(by_name["grows with noise"].needed):
        reason += "; a leak of the catalogue's errors, which are too alike or the evidence too weak, is not excluded"
    return Report(
        label, verdict, reason, tuple(taken), design.n_stars, n_test, lines,
        float(np.sqrt(max(0.0, measurements.own_variance(design, found.residual[:, 0])))),
        float(design.wavelength[np.argmax(out)]), needed, design.wavelength, found.lines[0],
    )  # fmt: skip


def audit_all(model, train: Survey, test: Survey, *, seed: int = 0) -> dict[str, Report]:
    """Audit every label of the test survey with its default lines; return reports by label.

    A label that cannot be audited is "undecided", with what `audit` says of it as the reason.
    """
    reports = {}
    for label in test.label_names:
        try:
            reports[label] = audit(model, train, test, label, seed=seed)
        except ValueError as error:
            reports[label] = Report(label, "undecided", str(error))
    return reports


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


def _judge(kind: str, design: Design, found: Readings, taken: dict[str, Evidence]) -> tuple[str, str, int | None]:
    """Return verdict, reason and the number of stars needed, from the evidence; for `kind` see `label_kind`."""
    own = "own lines" in taken and taken["own lines"].significant
    elsewhere = [name for name in ("strong features", "any one line") if name in taken and taken[name].significant]
    if taken["label canary"].significant:
        return "leaked", "the prediction moves when only the test stars' label does", None
    if (own or elsewhere) and taken["grows with noise"].significant:
        return "leaked", "what the flux says of the label grows with the catalogue's error: it is the error", None
    if taken["closer than noise"].significant and _errors_are_believable(design, found, taken["grows with noise"]):
        return "leaked", "the flux predicts the catalogue better than errors allow that are not overstated", None
    if own:
        return "known", "the label beyond the other labels goes with absorption at its own lines", None
    if not elsewhere and kind == "dense":
        return "undecided", "its lines are everywhere, but they say no more of it than the other labels do", None
    if not elsewhere:
        return _guessed_or_undecided(design, found, taken["strong features"])
    found_there = f"the flux says more of it than the other labels do ({' and '.join(elsewhere)})"
    if kind == "parameter":
        return "known", found_there, None
    if kind == "dense":
        return "known", f"{found_there}, and its lines are everywhere", None
    if not len(design.own_pixels):
        return "proxy", f"{found_there}, and no lines of its own are listed", None
    return "proxy", f"{found_there}, but not at lines of its own", None


def _errors_are_believable(design: Design, found: Readings, growth: Evidence) -> bool:
    """Whether a prediction closer than the errors betrays a leak, and not errors that the catalogue overstates.

    It does if the label's scatter about the other labels leaves room for the errors, and, where they differ enough from
    star to star, if the agreement grows with them.
    """
    before, uncertainty = leakage.unexplained(design, found.residual[:, 0], [])
    return before > 1 - 2 * uncertainty and (np.isinf(growth.needed) or growth.significant)


def _growth_of_leak(expected: float) -> float:
    """Return from where on growth with the catalogue's error counts as a leak, given what it would be in one."""
    return max(LEAST_GROWTH, SHARE_OF_GROWTH * expected) if expected > LEAST_GROWTH else np.inf


def _guessed_or_undecided(design: Design, found: Readings, strong: Evidence) -> tuple[str, str, int | None]:
    residual = found.residual[:, 0]
    own = measurements.own_variance(design, residual)
    noise = np.sqrt(2 / design.n_stars) * np.var(residual)
    if own < 2 * noise:
        return "undecided", "beyond the other labels it has no scatter but its catalogue errors: nothing to know", None
    needed = strong.null_spread * (stats.norm.isf(SIGNIFICANT) + stats.norm.isf(1 - POWER))
    share = SHARE_TO_FIND * own / np.var(residual)
    significance = measurements.significance_of_share(design, share)
    if significance < needed:
        # Significance grows at first with the number of stars, later with its root: this is on the safe side.
        stars = int(np.ceil(design.n_stars * (needed / significance) ** 2))
        reason = f"a feature with {SHARE_TO_FIND:.0%} of its own variance could be missed; {stars} stars would decide"
        return "undecided", reason, stars
    reason = (
        "the flux says nothing of it beyond what it says of the other labels; a strong feature with "
        f"{SHARE_TO_FIND:.0%} of its own variance would have been found"
    )
    return "guessed", reason, None


def _gumbel(values: np.ndarray) -> tuple[float, float]:
    """Return location and scale of the Gumbel distribution with the mean and spread of the values."""
    scale = np.sqrt(6) / np.pi * np.std(values)
    return float(np.mean(values) - np.euler_gamma * scale), float(scale)


def _join(train: Survey, test: Survey) -> Survey:
    """Return the stars of both surveys, with what an audit reads of them."""
    test = test.select_labels(train.label_names)
    return Survey(
        wavelength=train.wavelength,
        flux=np.concatenate([train.flux, test.flux]),
        ivar=np.concatenate([train.ivar, test.ivar]),
        labels=np.concatenate([train.labels, test.labels]),
        label_err=np.concatenate([train.label_err, test.label_err]),
        label_names=train.label_names,
        label_units=train.label_units,
    )


def _check(train: Survey, test: Survey, label: str) -> None:
    if train.n_pixels != test.n_pixels or np.any(np.abs(train.wavelength / test.wavelength - 1) > 1e-6):
        raise ValueError("training and test survey have different wavelength grids; resample the spectra to one grid")
    for name, survey in (("training", train), ("test", test)):
        values = survey.label(label)
        present = values[~np.isnan(values)]
        if present.size == 0:
            raise ValueError(f"label {label!r} is missing in every star of the {name} survey; nothing can be audited")
        if np.all(present == present[0]):
            raise ValueError(f"label {label!r} is {present[0]} in every star of the {name} survey; it has no variance")
