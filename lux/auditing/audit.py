"""The audit: is a label that a spectral model predicts *known* or *guessed*?

The module is long because an audit, of one label or of all, is one procedure in a fixed order: what is wrong with the
input is said before a model is asked, and that before anything is measured.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lux.auditing import inputs, label_lines, measurements, observer_frame, other_labels, repeated_spectra, star_groups
from lux.auditing.evidence import (
    FLUX_KINDS,
    Evidence,
    Kind,
    collect,
    flux_share,
    model_use,
    observed_evidence,
    sensitivity,
)
from lux.auditing.limits import detection_limits
from lux.auditing.measurements import Measured
from lux.auditing.model_outputs import (
    LabelModel,
    ModelOutputs,
    follows_noise,
    interrogate,
    of_rows,
    of_stars,
    off_scale,
)
from lux.auditing.places import evidence_places
from lux.auditing.report import Report
from lux.auditing.settings import AuditSettings
from lux.auditing.verdict import judge
from lux.spectroscopy.lines import LineList
from lux.statistics import robust_std
from lux.survey import Survey

# Of the stars, how many show a line that an audit asks about, at least.
_LEAST_SHOWN = 0.1
# In robust standard deviations: no limit.
_NO_CLIP = 1e3
_OF_MOST = (
    "; the labels of a few stars are far from what the other labels make of them, and of what is most stars' own the "
    "model may use more than the slope says"
)


def audit(
    model: LabelModel,
    train: Survey,
    test: Survey,
    label: str,
    own_lines: label_lines.Lines | None = None,
    *,
    seed: int = 0,
    resolution: float | None = None,
    groups: str | None = None,
    settings: AuditSettings = AuditSettings(),
) -> Report:
    """Tell whether a label is known from the flux or guessed from the other labels.

    Parameters
    ----------
    model : object, function or array
        Fitted: an object with ``predict_labels(survey)``, a scikit-learn estimator or other object with
        ``predict(flux)``, a function of flux (T, D) or of flux and ivar; or the predictions of the test stars alone, in
        their order, or with a column ``star_id``, another column or an index of pandas that holds their ids.
        Predictions are an array (T,) of the label, one (T, M) of the survey's labels, a mapping, table or data frame
        with their names as columns, or a `lux.Prediction`. Where the model has ``label_jacobian(survey)``, its gradient
        at the own lines is added to the evidence.
    train, test : Survey
        On one grid; the flux of both is read, the model predicts the test stars. Where either was opened and not loaded
        (`lux.open`), and they have more than ``settings.max_opened_stars`` stars, so many are chosen at random.
    label : str
    own_lines : sequence of float, float, Quantity or table, optional
        Vacuum wavelengths (Angstrom if without a unit) of the label's own lines; of a table those in its column
        ``wavelength``, of a `LineList` the strongest ones of the label's element. By default
        what the survey's world planted, else the strongest lines of the label's element in the line list (none for
        europium). Empty: it has none.
    seed : int
        Of the null distributions, of the shuffled labels of the canary and, of surveys that were opened, of the stars
        that are read.
    resolution : float, optional
        Resolving power of the spectra; by default APOGEE's, or, where pixels are too wide for it, that of which two
        pixels are the full width of a line.
    groups : str, optional
        Column of both catalogues that says which star a spectrum is of, where stars have several: the spectra of a star
        are combined, and so are the predictions of them. Without it, spectra that are nearer to each other than those
        of different stars would be are not taken for independent, and the reason says so where they are many.
    settings : AuditSettings
        What counts as significant and how it is measured.

    Returns
    -------
    Report
        "known": the flux shows the label at its own lines (or anywhere, for a label such as teff that belongs to no
        element). "proxy": the flux says more than the other labels do, but elsewhere. "guessed": it says nothing more,
        although it would have been noticed. "leaked": what is known is the catalogue's noise. "artefact": what
        correlates with the label stands still in the observer's frame, as residuals of the sky do; this is asked if the
        catalogue of both surveys has a column ``observed_velocity`` (of the star towards the telescope, km/s) or
        ``radial_velocity``, and what is found is masked before the flux is read. "undecided": too little power.

    Raises
    ------
    ValueError
        If the label is unknown, missing in every star or constant, the grids differ, an own line is off the grid, lines
        are not given where the line list does not reach, the band holds few resolution elements, the model gives
        nothing that can be read as labels of the test stars, or in an order that cannot be known, a prediction is not
        finite or stands for a missing one, a test star was trained on, groups are no column of both catalogues or name
        one star at very many spectra, a label or flux holds values that stand for missing ones, velocities are none in
        km/s, spectra are not normalized, the surveys differ in the scale of the flux or the unit of a label, or lines
        that are named by their wavelengths are masked in nearly all stars or leave few pixels beside.

    Warns
    -----
    UserWarning
        If spectra repeat others, noise and all, of which the first is kept, labels repeat as those of several spectra
        of one star would, the label counts as missing in stars where it, or its error, exceeds by far all that it
        scatters, or pixels count as masked that stand far above the continuum or are exactly zero.
    """
    options: dict[str, Any] = {"seed": seed, "resolution": resolution, "groups": groups, "settings": settings}
    return audit_models({"": model}, train, test, label, own_lines, **options)[""]


def audit_models(
    models: Mapping[str, LabelModel],
    train: Survey,
    test: Survey,
    label: str,
    own_lines: label_lines.Lines | None = None,
    *,
    seed: int = 0,
    resolution: float | None = None,
    groups: str | None = None,
    settings: AuditSettings = AuditSettings(),
) -> dict[str, Report]:
    """Audit a label of several models by name; what the flux says is measured once. Arguments are those of `audit`."""
    options: dict[str, Any] = {"seed": seed, "resolution": resolution, "groups": groups, "settings": settings}
    return _audited(models, train, test, label, [own_lines], **options)[0]


def audit_told_and_blind(
    model: LabelModel, train: Survey, test: Survey, label: str, own_lines: label_lines.Lines, *, seed: int = 0
) -> tuple[Report, Report]:
    """Audit a label once with its own lines and once as if it had none; arguments are those of `audit`."""
    told, blind = _audited({"": model}, train, test, label, [own_lines, ()], seed=seed)
    return told[""], blind[""]


def _audited(
    models: Mapping[str, LabelModel],
    train: Survey,
    test: Survey,
    label: str,
    own_lines: Sequence[label_lines.Lines | None],
    *,
    seed: int = 0,
    resolution: float | None = None,
    groups: str | None = None,
    settings: AuditSettings = AuditSettings(),
) -> list[dict[str, Report]]:
    """Audit a label of several models with each of several sets of own lines: for each set, reports by model.

    The spectra are read, and the models asked, once for all of them. Other arguments are those of `audit`.
    """
    inputs.check_given(train, test, settings)
    test = inputs.spelled_as(train, test)
    label = test.label_names[test.label_index(label)]
    inputs.check_label(train, test, label)
    train, test = inputs.without_useless(train, test, label)
    if resolution is None:
        resolution = measurements.sampled_resolution(train.wavelength)
    inputs.check_resolution(train.wavelength, resolution)
    left_out = ""
    if train.is_lazy or test.is_lazy:
        owners = None if groups is None else [star_groups.star_of_spectrum(each, groups) for each in (train, test)]
        rows = inputs.rows_to_read(train, test, label, settings.max_opened_stars, seed, owners)
        n_all, n_read = int(np.sum(~np.isnan([*train.label(label), *test.label(label)]))), sum(map(len, rows))
        what = "stars" if groups is None else "spectra"
        left_out = f"; of {n_all} {what} with the label {n_read} were read, chosen at random" * (n_read < n_all)
        models = {name: of_stars(model, test, rows[1], label, train.label_names) for name, model in models.items()}
        train, test = (inputs.in_memory(survey[each]) for survey, each in zip((train, test), rows, strict=True))
    lines = [_own_lines((train, test), label, each, resolution, settings) for each in own_lines]
    spectra, star_of = test, None
    if groups is not None:
        trained, star_of = (star_groups.star_of_spectrum(each, groups) for each in (train, test))
        star_groups.refuse_shared(trained, star_of, groups)
        train, test = star_groups.combined(train, trained), star_groups.combined(test, star_of)
    n_train, n_test = (int(np.sum(~np.isnan(survey.label(label)))) for survey in (train, test))
    if few := _too_few(label, n_train, n_test, settings, left_out):
        return [dict.fromkeys(models, few(own_lines=each)) for each in lines]
    # Before anything is measured, so that a model that cannot be asked is found at once.
    outputs = {name: interrogate(model, spectra, label, seed, train.label_names) for name, model in models.items()}
    if star_of is not None:
        outputs = {
            name: star_groups.combined_outputs(each, star_of, test.label(label)) for name, each in outputs.items()
        }
    stars = inputs.joined(train, test, settings)
    in_test = np.arange(test.n_stars)
    copies = repeated_spectra.copies_among(stars, label, [*train.star_id, *test.star_id], train.n_stars)
    if len(copies):
        left_out += f"; repeats of other spectra, noise and all, were left out: {len(copies)}"
    far = measurements.out_of_reach(stars, label, settings)
    if len(strange := np.flatnonzero(far.any(axis=1))):
        names = ", ".join(stars.label_names[column] for column in np.unique(np.nonzero(far)[1]))
        left_out += f"; stars without {names} that are like none that has it were left out: {len(strange)}"
    if len(gone := np.union1d(copies, strange)):
        n_train -= int(np.sum(gone < train.n_stars))
        n_test -= int(np.sum(gone >= train.n_stars))
        if few := _too_few(label, n_train, n_test, settings, left_out):
            return [dict.fromkeys(models, few(own_lines=each)) for each in lines]
        in_test = np.delete(in_test, gone[gone >= train.n_stars] - train.n_stars)
        stars = stars[np.delete(np.arange(stars.n_stars), gone)]
        outputs = {name: of_rows(each, in_test) for name, each in outputs.items()}
    if robust_std(stars.label(label)) == 0:
        # Of a label with one value in most stars the others are no outliers.
        settings = dataclasses.replace(settings, clip=_NO_CLIP)
    errors = test.label_err[in_test, test.label_index(label)]
    read = _Read(label, stars, errors, outputs, n_test, left_out, grouped=groups is not None)
    return [
        _reports(read, each, given is not None, seed, resolution, settings)
        for each, given in zip(lines, own_lines, strict=True)
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _Read:
    """What an audit has read of the stars, and heard of the models, before it asks about lines.

    Parameters
    ----------
    label : str
    stars : Survey
        Those of both surveys, without repeats.
    errors : (T,) array
        Of the label in the T test stars.
    outputs : mapping of model to ModelOutputs
    n_test : int
        Test stars that have the label.
    left_out : str
        What is said of stars that were left out.
    grouped : bool
        Whether it was said of which star each spectrum is.
    """

    label: str
    stars: Survey
    errors: np.ndarray
    outputs: Mapping[str, ModelOutputs]
    n_test: int
    left_out: str
    grouped: bool


def _reports(
    read: _Read, lines: tuple[float, ...], named: bool, seed: int, resolution: float, settings: AuditSettings
) -> dict[str, Report]:
    """Return the report of each model, with own lines that were named by who asks or are the label's by default."""
    label, left_out = read.label, read.left_out
    report = functools.partial(Report, label, n_test=read.n_test, own_lines=lines, settings=settings)
    stars, measured, observed, fixed, n_patterned = _measured(read.stars, label, lines, seed, resolution, settings)
    reach = sensitivity(measured)
    kind = label_lines.label_kind(label, stars.wavelength, named, bool(lines), settings.dense_spacing)
    if not read.grouped:
        left_out = repeated_spectra.remark(measured.design.star) + left_out
    remark = label_lines.unrecognized(label)
    if lines:
        remark = _other_medium(stars, measured, lines, resolution)
    inferred = other_labels.can_be_inferred(measured.design.basis, stars.labels)
    unused = [name for name, used in zip(stars.label_names, inferred, strict=True) if not used and name != label]
    repeated = inputs.repeats(stars, label)
    if n_patterned:
        left_out += f"; {n_patterned} pixels, masked rather in stars of large or of small {label}, were left out"
    in_dex = kind != "parameter" and stars.label_units[stars.label_index(label)] == "dex"

    def judged(said: ModelOutputs) -> Report:
        evidence = collect(measured, said) | observed
        verdict, reason, stars_needed = judge(kind, evidence, reach, settings)
        missing = inputs.what_is_missing(stars.label_names, label, verdict, unused)
        use = model_use(measured, said, evidence[Kind.MODEL_USE], reach, verdict == "leaked")
        # What a prediction follows beside noise, or beside labels that repeat this one, cannot be told.
        noise = follows_noise(said, read.errors, settings) if verdict != "leaked" else ""
        if doubt := repeated + off_scale(said) + noise:
            use = dataclasses.replace(use, answer="cannot tell")
        if reach.of_most < 1 and use.answer == "cannot tell":
            doubt += _OF_MOST
        return report(
            verdict,
            reason + remark * (verdict != "known") + missing + doubt + left_out,
            tuple(evidence.values()),
            reach.n_stars,
            own_scatter=float(np.sqrt(max(0.0, reach.own_variance))),
            strongest=float(stars.wavelength[np.argmax(np.abs(measured.lines_elsewhere))]),
            stars_needed=stars_needed,
            observed_places=fixed,
            places=evidence_places(stars, measured, evidence, resolution),
            flux_share=flux_share(measured, evidence, reach),
            model_use=use,
            limits=detection_limits(measured, evidence, reach, resolution, in_dex),
            wavelength=stars.wavelength,
            significance=measured.lines,
        )

    return {name: judged(said) for name, said in read.outputs.items()}


def _own_lines(
    surveys: tuple[Survey, Survey],
    label: str,
    own_lines: label_lines.Lines | None,
    resolution: float,
    settings: AuditSettings,
) -> tuple[float, ...]:
    """Return the own lines of a label that its stars show; of a list the strongest, as many as leave room beside them.

    ValueError if a line that was named by its wavelength is masked in nearly all stars.
    """
    survey = surveys[0]
    named = functools.partial(label_lines.named_lines, own_lines, survey, label)
    listed = functools.partial(label_lines.default_lines, survey, label) if own_lines is None else named
    lines = listed(settings.max_own_lines)
    room = functools.partial(
        measurements.leave_room, survey.wavelength, resolution=resolution, reach=settings.own_reach
    )
    while len(lines) > 1 and not room(lines) and len(fewer := listed(len(lines) - 1)) < len(lines):
        lines = fewer
    pixels, near = measurements.locate(survey.wavelength, lines, resolution, settings.own_reach)
    named_by_wavelength = own_lines is not None and not isinstance(own_lines, LineList)
    if named_by_wavelength and len(lines) and np.sum(~near) < settings.n_components:
        raise ValueError(
            f"beside the own lines there are {np.sum(~near)} pixels; an audit needs {settings.n_components} to tell "
            "what else the flux says: give a wider range of wavelengths"
        )
    beside = np.clip(pixels[:, None] + np.arange(-2, 3), 0, survey.n_pixels - 1)
    shown = np.concatenate([np.any(each.ivar[:, beside] > 0, axis=2) for each in surveys]).mean(axis=0)
    masked = [line for line, share in zip(lines, shown, strict=True) if share < _LEAST_SHOWN]
    if masked and named_by_wavelength:
        raise ValueError(
            f"own line {masked[0]:.2f} A is masked in {1 - shown[lines.index(masked[0])]:.0%} of the stars, and they "
            "cannot tell of it; leave it out (own_lines=() if none is left)"
        )
    return tuple(line for line in lines if line not in masked)


def _other_medium(stars: Survey, measured: Measured, lines: tuple[float, ...], resolution: float) -> str:
    """Return the remark of `lux.auditing.label_lines.other_medium`.

    Strong lines that are not named as the label's own are among the components of the flux, which take them out.
    """
    said = functools.partial(label_lines.other_medium, stars.wavelength, lines=lines, moved=measured.moved)
    if remark := said(measured.lines):
        return remark
    if not np.any(np.abs(measured.observed.strong) > measured.surrogate.strong.max()):
        return ""
    plain, _ = measurements.plain_significance(stars, measured, resolution)
    return said(plain)


def _measured(
    stars: Survey, label: str, lines: tuple[float, ...], seed: int, resolution: float, settings: AuditSettings
) -> tuple[Survey, Measured, dict[Kind, Evidence], tuple[float, ...], int]:
    """Return what the flux says of a label at rest, and in the observer's frame, with the places of an artefact there.

    Where there is an artefact, what stands at its places is masked for the former. The survey is that of the stars that
    were measured, so masked. The last is the number of pixels that were left out for the label goes with their masks.
    """
    if np.any(missing := np.isnan(stars.label(label))):
        stars = stars[~missing]
    measure = functools.partial(
        measurements.measure, label=label, own_lines=lines, seed=seed, resolution=resolution, settings=settings
    )
    measured, velocity = measure(stars), observer_frame.velocities(stars)
    patterned = measurements.masks_that_follow(stars, measured)
    if n_patterned := int(np.sum(patterned)):
        stars = stars.replace(ivar=np.where(patterned, np.float32(0), stars.ivar))
        measured = measure(stars)
    frame = None if velocity is None else observer_frame.look(stars, velocity, measured, resolution)
    if velocity is None or frame is None:
        return stars, measured, {}, (), n_patterned
    evidence = observed_evidence(frame)
    if not any(item.significant for item in evidence.values()):
        return stars, measured, evidence, (), n_patterned
    at_sky = Kind.SKY_LINES in evidence and evidence[Kind.SKY_LINES].significant
    places = frame.places(at_sky=at_sky)
    stars = observer_frame.masked(stars, velocity, places)
    # What was measured is as large as the flux.
    del measured, frame
    return stars, measure(stars), evidence, tuple(places.tolist()), n_patterned


def audit_all(
    model: LabelModel,
    train: Survey,
    test: Survey,
    own_lines: Mapping[str, label_lines.Lines] | None = None,
    *,
    seed: int = 0,
    resolution: float | None = None,
    groups: str | None = None,
    settings: AuditSettings = AuditSettings(),
) -> dict[str, Report]:
    """Audit every label of the test survey; return reports by label. Arguments are those of `audit`.

    But `own_lines` are those of labels by name, as `audit` takes them; other labels have their default lines.

    `lux.auditing.summary` makes a table of them. Of all labels together, as of one audited alone, the chance that any
    is called known or proxy falsely is at most five per cent: the p-values that count are divided by the number of
    labels as Holm's procedure does it, and the settings of a report say by how much.

    A label that cannot be audited is "undecided", with what `audit` says of it as the reason.
    """
    reports = {}
    inputs.check_given(train, test, settings)
    if not isinstance(own_lines, Mapping | None):
        kind = type(own_lines).__name__
        raise ValueError(f"own_lines are those of labels by name, {{label: wavelengths}}, got {kind}")
    lines = {test.label_names[test.label_index(name)]: given for name, given in (own_lines or {}).items()}
    if len(lines) < len(own_lines or {}):
        raise ValueError(f"own_lines names a label twice, in two spellings: {', '.join(own_lines or {})}")
    audited = functools.partial(audit, model, train, test, seed=seed, resolution=resolution, groups=groups)
    for label in test.label_names:
        try:
            reports[label] = audited(label, lines.get(label), settings=settings)
        except ValueError as error:
            reports[label] = Report(label, "undecided", str(error), settings=settings)
    chances = {label: chance for label, report in reports.items() if (chance := _chance(report)) < 1}
    for label, share in _holm(chances, sum(bool(report.evidence) for report in reports.values())).items():
        stricter = dataclasses.replace(
            settings,
            significance=share * settings.significance,
            significance_at_own_lines=share * settings.significance_at_own_lines,
        )
        reports[label] = audited(label, lines.get(label), settings=stricter)
    return reports


def _chance(report: Report) -> float:
    """Return the smallest p-value that made a label known or a proxy, in units of what counts; one if none did."""
    found = [item.p_value / item.threshold for item in report.evidence if item.name in FLUX_KINDS and item.significant]
    return min(found, default=1.0) if report.verdict in ("known", "proxy") else 1.0


def _holm(chances: Mapping[str, float], n_labels: int) -> dict[str, float]:
    """Return which labels, of so many, do not pass Holm's step-down procedure, and the share of p that they had to."""
    ordered = sorted(chances, key=lambda label: chances[label])
    for place, label in enumerate(ordered):
        if chances[label] > 1 / (n_labels - place):
            return dict.fromkeys(ordered[place:], 1 / (n_labels - place))
    return {}


def _too_few(
    label: str, n_train: int, n_test: int, settings: AuditSettings, left_out: str
) -> Callable[..., Report] | None:
    """Return the report, but for own lines, on a label that too few stars have; None if they are not too few."""
    report = functools.partial(Report, label, "undecided", n_test=n_test, settings=settings)
    if (n_stars := n_train + n_test) < settings.min_stars:
        reason = f"only {_have(n_stars, 'star')} the label; {settings.min_stars} are needed"
        return functools.partial(report, reason + left_out, stars_needed=settings.min_stars)
    if n_test < settings.min_test_stars:
        share = settings.min_test_stars / n_stars
        reason = (
            f"only {_have(n_test, 'test star')} the label; {settings.min_test_stars} are needed: hold out at least "
            f"{share:.0%} of the {n_stars} stars that have it"
        )
        return functools.partial(report, reason + left_out)
    return None


def _have(count: int, what: str) -> str:
    return f"{count} {what} has" if count == 1 else f"{count} {what}s have"
