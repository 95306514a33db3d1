"""What an audit asks of the stars that it is given, before it measures them.

What users have is refused where an answer would mislead, and otherwise brought into one form.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from lux.auditing.settings import AuditSettings
from lux.models.weights import without_negligible
from lux.statistics import nan_median, robust_std
from lux.store.columns import VELOCITIES as VELOCITIES
from lux.survey import LEAST_WAVELENGTH, Survey, plain_name

_FLUX_SENTINELS = (-9999.0, -999.0)
# Of label values that repeat so far from the median, in robust standard deviations, no star has one.
_SENTINEL_DISTANCE = 20.0
# Medians of normalized spectra differ little beside their level, and beside the contrast of a spectrum.
_LEVEL_SCATTER, _CONTRAST_SCATTER = 0.1, 0.3
_N_LEVEL_PIXELS = 500
# What most labels of stars depend on, each by the names that stand for it: a label that is not given takes its part.
_SHARED_CAUSES = (
    ("teff",),
    ("logg",),
    ("fe_h", "m_h"),
    ("alpha_fe", "alpha_m", "mg_fe", "mg_h", "alpha_h", "si_fe", "ca_fe", "o_fe", "ti_fe"),
)
# Fewer labels may agree by chance.
_MIN_REPEATED_LABELS = 3


def check_label(train: Survey, test: Survey, label: str) -> None:
    """Raise ValueError if the grids differ, or the label is unknown, missing everywhere or constant."""
    if train.n_pixels != test.n_pixels or np.any(np.abs(train.wavelength / test.wavelength - 1) > 1e-6):
        raise ValueError("training and test survey have different wavelength grids; resample the spectra to one grid")
    if train.wavelength[-1] < LEAST_WAVELENGTH:
        raise ValueError(
            f"wavelengths end at {train.wavelength[-1]:g}: are they in nm, microns or log10? Survey.from_arrays takes "
            "them with their unit"
        )
    for name, survey in (("training", train), ("test", test)):
        values = survey.label(label)
        present = values[~np.isnan(values)]
        if present.size == 0:
            raise ValueError(f"label {label!r} is missing in every star of the {name} survey; nothing can be audited")
        if np.all(present == present[0]):
            raise ValueError(f"label {label!r} is {present[0]} in every star of the {name} survey; it has no variance")


def what_is_missing(names: Sequence[str], label: str, verdict: str) -> str:
    """Return what the labels of a survey cannot tell for want of others, as the end of a reason; empty if nothing."""
    given = {plain_name(name) for name in (*names, label)}
    missing = [choices[0] for choices in _SHARED_CAUSES if not given & set(choices)]
    if verdict not in ("known", "proxy") or not missing:
        return ""
    verb, pronoun = ("is", "it") if len(missing) == 1 else ("are", "them")
    return (
        f"; {', '.join(missing)} {verb} not among the labels, and what the flux says of {pronoun} is not told apart "
        f"from what it says of {label}"
    )


def rows_to_read(train: Survey, test: Survey, label: str, n_stars: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both surveys that are read of them: with the label, at random, at most `n_stars` in all."""
    generator = np.random.default_rng(seed)
    with_label = [np.flatnonzero(~np.isnan(survey.label(label))) for survey in (train, test)]
    share = min(1.0, n_stars / sum(map(len, with_label)))
    chosen = [np.sort(generator.choice(rows, round(share * len(rows)), replace=False)) for rows in with_label]
    return chosen[0], chosen[1]


def in_memory(survey: Survey) -> Survey:
    """Return a survey whose spectra have been read."""
    return survey.replace(flux=np.asarray(survey.flux), ivar=np.asarray(survey.ivar)) if survey.is_lazy else survey


def joined(train: Survey, test: Survey, settings: AuditSettings) -> Survey:
    """Return the stars of both surveys, with what an audit reads of them; they are checked first.

    A pixel of negligible weight is a masked one: surveys mark bad pixels by either, and the flux there may be anything.

    Raises
    ------
    ValueError
        If a star stands in both, a value of a label or flux stands for a missing one, or spectra are not normalized.
    """
    test = test.select_labels(train.label_names)
    if train.n_pixels <= settings.n_components:
        raise ValueError(f"the spectra have {train.n_pixels} pixels; an audit needs more than {settings.n_components}")
    _refuse_shared_stars(train, test)
    survey = Survey(
        wavelength=train.wavelength,
        flux=np.concatenate([train.flux, test.flux]),
        ivar=np.concatenate([without_negligible(each.ivar, settings.max_error_ratio) for each in (train, test)]),
        labels=np.concatenate([train.labels, test.labels]),
        label_err=np.concatenate([train.label_err, test.label_err]),
        label_names=train.label_names,
        label_units=train.label_units,
        catalogue={
            name: np.concatenate([train.catalogue[name], test.catalogue[name]])
            for name in VELOCITIES
            if name in train.catalogue and name in test.catalogue
        },
    )
    _refuse_sentinels(survey)
    _refuse_unnormalized(survey)
    _warn_of_repeated_labels(survey)
    return survey


def _refuse_shared_stars(train: Survey, test: Survey) -> None:
    """Raise ValueError if stars of both surveys have one id and one set of labels.

    Ids alone may agree by chance: where none are given, stars are numbered.
    """
    _, here, there = np.intersect1d(train.star_id, test.star_id, return_indices=True)
    same = np.all((train.labels[here] == test.labels[there]) | np.isnan(train.labels[here]), axis=1)
    if np.any(same):
        raise ValueError(
            f"{np.sum(same)} of {test.n_stars} test stars are in the training survey too, such as "
            f"{test.star_id[there[same][0]]}: a model may know their labels by heart; divide the stars with "
            "survey.split(...), and fit the model to the training stars only"
        )


def _refuse_sentinels(survey: Survey) -> None:
    """Raise ValueError if values of a label or of the flux repeat where no star could be."""
    for name, values in zip(survey.label_names, survey.labels.T, strict=True):
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        scatter = robust_std(values[~np.isnan(values)]) if len(distinct) > 1 else 0.0
        far = np.abs(distinct - np.nanmedian(values)) > _SENTINEL_DISTANCE * scatter if scatter > 0 else counts < 0
        if np.any(far & (counts > 1)):
            place = int(np.argmax(np.where(far, counts, 0)))
            raise ValueError(
                f"label {name!r} is {distinct[place]:g} in {counts[place]} stars, far from all others: does it stand "
                "for a missing value? Set it to NaN"
            )
    missing = np.isin(survey.flux, _FLUX_SENTINELS) & (survey.ivar > 0)
    if np.any(missing):
        value, n_stars = survey.flux[missing][0], np.sum(missing.any(axis=1))
        raise ValueError(
            f"the flux is {value:g} at {np.sum(missing)} pixels of {n_stars} stars "
            "that are not masked: does it stand for a missing value? Set ivar to 0 there"
        )


def _refuse_unnormalized(survey: Survey) -> None:
    """Raise ValueError if the level of the spectra differs from star to star; unit and offset do not matter."""
    pixels = slice(None, None, max(1, survey.n_pixels // _N_LEVEL_PIXELS))
    flux = np.where(survey.ivar[:, pixels] > 0, survey.flux[:, pixels], np.nan)
    flux = flux[:, np.mean(np.isfinite(flux), axis=0) > 0.5]
    if flux.shape[1] == 0:
        return
    levels, spectrum = nan_median(flux, axis=1), nan_median(flux, axis=0)
    scatter = float(robust_std(levels[np.isfinite(levels)]))
    contrast = float(np.subtract(*np.quantile(spectrum, (0.95, 0.05))))
    level = abs(float(np.nanmedian(levels)))
    if scatter > _LEVEL_SCATTER * level and scatter > _CONTRAST_SCATTER * contrast:
        raise ValueError(
            f"the median flux of a star is {level:.3g}, and differs by {scatter:.2g} from star to star, more than "
            "lines do: divide each spectrum by its continuum"
        )


def _warn_of_repeated_labels(survey: Survey) -> None:
    """Warn if stars have all labels in common, as several spectra of one star have."""
    whole = survey.labels[np.all(np.isfinite(survey.labels), axis=1)]
    repeated = len(whole) - len(np.unique(whole, axis=0))
    if survey.n_labels >= _MIN_REPEATED_LABELS and repeated:
        warnings.warn(
            f"{repeated} of {survey.n_stars} stars repeat all labels of another to the last digit: if they are spectra "
            "of one star, name the column of the catalogue that says of which, groups=..., for the audit takes stars "
            "for independent (and survey.split(..., groups=...) keeps those of a star on one side)",
            stacklevel=4,
        )
