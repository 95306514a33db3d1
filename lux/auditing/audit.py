"""The audit: is a label that a spectral model predicts *known* or *guessed*?"""

from collections.abc import Sequence

import numpy as np

from lux.auditing import measurements
from lux.auditing.evidence import N_SURROGATES, _canary, _flux_evidence, _model_evidence, _noise_evidence
from lux.auditing.label_lines import default_lines, label_kind
from lux.auditing.report import Report
from lux.auditing.verdict import FEWEST_STARS, _judge
from lux.survey import Survey


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
