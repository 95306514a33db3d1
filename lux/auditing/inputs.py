"""What an audit asks of the stars that it is given, before it measures them.

What users have is refused where an answer would mislead, and otherwise brought into one form. The module is long
because each input that misleads has a message of its own, with what came and what to do.
"""

import numbers
import re
from collections.abc import Sequence

import numpy as np
from astropy.units import Unit

from lux.auditing.settings import AuditSettings
from lux.models.requirements import (
    LABEL_SENTINELS,
    SENTINEL_DISTANCE,
    errors_of_another_kind,
    flux_range,
    good_pixels,
    of_another_scale,
    refuse_sentinels,
)
from lux.models.weights import without_negligible
from lux.statistics import nan_median, robust_std, standardize
from lux.store.columns import VELOCITIES as VELOCITIES
from lux.store.user_warnings import warn_user
from lux.survey import LEAST_WAVELENGTH, Survey, plain_name

_FLUX_SENTINELS = (-9999.0, -999.0)
# Of label values that repeat so far from the median, in robust standard deviations, no star has one, nor one of those
# below; farther off, the audited label of one star would decide for all.
_OUTLIER_DISTANCE = 50.0
# Of the way from the median to a value, the part of one step from where on the value stands apart.
_ALONE = 0.3
_USELESS_ERROR = 5.0
# Medians of normalized spectra differ little beside their level, and beside the contrast of a spectrum.
_LEVEL_SCATTER, _CONTRAST_SCATTER = 0.1, 0.3
_N_LEVEL_STARS, _N_LEVEL_PIXELS = 400, 500
# Standard deviations of a pixel above the continuum that are no noise; the share of stars with such from where on it is
# warned of them; stars that are worked on at a time.
_SPIKE, _TO_WARN, _ROWS = 10.0, 0.05, 64
# In narrower bands components of the flux take up single lines.
_LEAST_ELEMENTS = 20
# Of a label with more than so many values, the share of the stars with one of them, and how much more often it stands
# there than any other, beyond which it is no measurement.
_FEW_VALUES, _FILLED, _MORE_THAN_OTHERS = 20, 0.1, 10
# What most labels of stars depend on, each by the names that stand for it: a label that is not given takes its part.
_SHARED_CAUSES = (
    ("teff",),
    ("logg",),
    ("fe_h", "m_h"),
    ("alpha_fe", "alpha_m", "mg_fe", "mg_h", "alpha_h", "si_fe", "ca_fe", "o_fe", "ti_fe"),
)
# Of a label's error, what is left of it where others repeat it; and how many stars a label takes to see that.
_REPEATED, _N_TO_SEE_REPEATS = 0.1, 3
# How catalogues name velocities of stars.
_VELOCITY_NAME = re.compile(
    r"(?!.*(err|flag|scatter))(rv|v_?rad|v_?los|v_?helio|(radial|heliocentric|observed)_velocity)(_.*)?", re.IGNORECASE
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


def check_given(train: Survey, test: Survey, settings: AuditSettings) -> None:
    """Raise ValueError if what came are no surveys, or surveys without a label, or no settings."""
    if not isinstance(settings, AuditSettings):
        raise ValueError(
            f"settings came as {type(settings).__name__}; give lux.auditing.AuditSettings(name=value, ...)"
        )
    for name, survey in (("training", train), ("test", test)):
        if not isinstance(survey, Survey):
            raise ValueError(
                f"the {name} stars came as {type(survey).__name__}; give a Survey, which holds flux, labels and their "
                "errors: Survey.from_arrays(...), Survey.from_table(...)"
            )
        if not survey.n_labels:
            raise ValueError(f"the {name} survey has no labels; join them from a table, survey.with_labels(...)")


def spelled_as(train: Survey, test: Survey) -> Survey:
    """Return the test survey with the names of its labels spelled as in the training survey."""
    spelled = {plain_name(name): name for name in train.label_names}
    names = tuple(spelled.get(plain_name(name), name) for name in test.label_names)
    return test if names == test.label_names or len(set(names)) < len(names) else test.replace(label_names=names)


def check_resolution(wavelength: np.ndarray, resolution: float) -> None:
    """Raise ValueError if a resolving power is none, or so low that the band (D,) holds few resolution elements."""
    if not isinstance(resolution, numbers.Real) or np.isinf(resolution):
        raise ValueError(
            f"resolution is {resolution!r}; expected one number, wavelength over the full width of an unresolved line"
        )
    elements = resolution * np.log(wavelength[-1] / wavelength[0])
    if not elements >= _LEAST_ELEMENTS:
        raise ValueError(
            f"a resolving power of {resolution:g} makes {max(0.0, elements):.2g} resolution elements of the band "
            f"({wavelength[0]:g}-{wavelength[-1]:g} A); an audit needs {_LEAST_ELEMENTS}: give a wider band, and as "
            "resolution wavelength over the full width of an unresolved line"
        )


def without_useless(train: Survey, test: Survey, label: str) -> tuple[Survey, Survey]:
    """Return both surveys with the label missing where it, or its error, exceeds by far all that it scatters.

    Such an error says nothing, and one of them would outweigh those of all other stars; one such value would decide a
    regression. It is warned of them, with their number. What stands for a missing value is refused elsewhere, and
    nothing is done if most errors are such.
    """
    values = np.concatenate([each.label(label) for each in (train, test)])
    present = values[np.isfinite(values)]
    scatter, center = float(robust_std(present)), float(np.median(present))
    if scatter == 0:
        return train, test
    found = []
    for survey in (train, test):
        value, error = survey.label(label), survey.label_err[:, survey.label_index(label)]
        far = (np.abs(value - center) > _OUTLIER_DISTANCE * scatter) & ~np.isin(value, LABEL_SENTINELS)
        found.append((far, np.isfinite(value) & ~far & (error > _USELESS_ERROR * scatter)))
    n_far, n_useless = (sum(int(np.sum(each[kind])) for each in found) for kind in (0, 1))
    if n_useless > len(present) / 2:
        found, n_useless = [(far, np.zeros_like(far)) for far, _ in found], 0
    for count, what in (
        (
            n_far,
            f"{label} more than {_OUTLIER_DISTANCE:g} standard deviations from others, which would decide for all",
        ),
        (n_useless, f"errors of {label} beyond {_USELESS_ERROR:g} times its scatter, which say nothing of it"),
    ):
        if count:
            many = f"{count} of {len(present)} stars have"
            warn_user(f"{many} {what}; the label counts as missing there")
    return _without(train, label, found[0]), _without(test, label, found[1])


def _without(survey: Survey, label: str, rows: tuple[np.ndarray, np.ndarray]) -> Survey:
    """Return a survey with a label missing in some rows."""
    if not np.any(gone := rows[0] | rows[1]):
        return survey
    labels = np.array(survey.labels)
    labels[gone, survey.label_index(label)] = np.nan
    return survey.replace(labels=labels)


def what_is_missing(names: Sequence[str], label: str, verdict: str, unused: Sequence[str] = ()) -> str:
    """Return what the labels of a survey cannot tell for want of others, as the end of a reason; empty if nothing.

    Those `unused` are there in too few stars.
    """
    if verdict in ("known", "proxy") and unused:
        verb = "is" if len(unused) == 1 else "are"
        few = f"; {', '.join(unused)} {verb} missing in too many stars to be asked what the flux says beyond"
        return few + what_is_missing(names, label, verdict)
    given = {plain_name(name) for name in (*names, label)}
    missing = [choices[0] for choices in _SHARED_CAUSES if not given & set(choices)]
    if verdict not in ("known", "proxy") or not missing:
        return ""
    verb, pronoun = ("is", "it") if len(missing) == 1 else ("are", "them")
    return (
        f"; {', '.join(missing)} {verb} not among the labels, and what the flux says of {pronoun} is not told apart "
        f"from what it says of {label}"
    )


def repeats(survey: Survey, label: str) -> str:
    """Return, as the end of a reason, that a label is a combination of others, well within its errors; empty if not."""
    column = survey.label_index(label)
    whole = np.all(np.isfinite(survey.labels), axis=1)
    names = [name for name in survey.label_names if name != label]
    if np.sum(whole) < _N_TO_SEE_REPEATS * len(survey.label_names):
        return ""
    standard = standardize(survey.labels[whole])
    design = np.column_stack([np.ones(len(standard)), np.delete(standard, column, axis=1)])
    left = standard[:, column] - design @ np.linalg.lstsq(design, standard[:, column])[0]
    error = np.median(survey.label_err[whole, column]) / np.std(survey.labels[whole, column])
    if np.std(left) > _REPEATED * min(error, 1.0):
        return ""
    element = plain_name(label).split("_")[0]
    same = ", ".join(name for name in names if plain_name(name).split("_")[0] == element)
    return (
        f"; it is a combination of the other labels, so that whether the model uses it cannot be told: leave out what "
        f"repeats it{f' ({same})' if same else ''}, survey.select_labels(...)"
    )


def rows_to_read(
    train: Survey,
    test: Survey,
    label: str,
    n_spectra: int,
    seed: int,
    star_of: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both surveys that are read of them: with the label, at random, at most `n_spectra` in all.

    Where it is known of which star each spectrum is, stars are taken with all of theirs.
    """
    generator = np.random.default_rng(seed)
    with_label = [np.flatnonzero(~np.isnan(survey.label(label))) for survey in (train, test)]
    share = min(1.0, n_spectra / sum(map(len, with_label)))
    if star_of is None:
        chosen = [np.sort(generator.choice(rows, round(share * len(rows)), replace=False)) for rows in with_label]
    else:
        stars = (names[rows] for names, rows in zip(star_of, with_label, strict=True))
        chosen = [rows[_of_some(each, share, generator)] for rows, each in zip(with_label, stars, strict=True)]
    return chosen[0], chosen[1]


def _of_some(stars: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Return which spectra (N,) are of some stars by name, chosen at random, that have this share of them at most."""
    _, star, count = np.unique(stars, return_inverse=True, return_counts=True)
    order = generator.permutation(len(count))
    taken = np.zeros(len(count), bool)
    taken[order[np.cumsum(count[order]) <= share * len(stars)]] = True
    return taken[star]


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
    _refuse_other_units(train, test)
    _refuse_another_scale(train, test)
    _warn_of_velocities(train)
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
    _refuse_sentinels(survey, np.concatenate([train.star_id, test.star_id]))
    survey = without_spikes(survey)
    _refuse_unnormalized(survey)
    _refuse_errors_of_another_kind(survey)
    _warn_of_repeated_labels(survey)
    return survey


def without_spikes(survey: Survey) -> Survey:
    """Return a survey in which pixels are masked that stand far above the continuum, or are exactly zero.

    A few of the former are all that the first components of the flux then know, and what these should take out of
    the flux, what it says of the other labels, is left in it. Lines of absorption, however deep, are never masked. It
    is warned of them, with their number, where more than a few stars have some.
    """
    if not len(flux := good_pixels(survey, _N_LEVEL_STARS, _N_LEVEL_PIXELS)[0]):
        return survey
    low, _, high = flux_range(flux)
    ivar, spiked, zero = survey.ivar, np.zeros(survey.n_stars, int), np.zeros(survey.n_stars, int)
    for rows in survey.block_rows(_ROWS):
        good, above = survey.ivar[rows] > 0, survey.flux[rows] - high
        spikes = good & (above > high - low) & (above**2 * survey.ivar[rows] > _SPIKE**2)
        zeros = good & (survey.flux[rows] == 0) & (low > 0)
        spiked[rows], zero[rows] = spikes.sum(axis=1), zeros.sum(axis=1)
        if np.any(gone := spikes | zeros):
            ivar = np.array(ivar) if ivar is survey.ivar else ivar
            ivar[rows][gone] = 0
    for counts, what in ((spiked, "stand far above the continuum"), (zero, "are exactly zero, and not masked")):
        if (n_stars := int(np.sum(counts > 0))) > _TO_WARN * survey.n_stars:
            warn_user(f"{counts.sum()} pixels of {n_stars} stars {what}; they count as masked")
    return survey if ivar is survey.ivar else survey.replace(ivar=ivar)


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


def _refuse_other_units(train: Survey, test: Survey) -> None:
    """Raise ValueError if a label has another unit in the test survey; its labels are those of the training survey."""
    for name, one, other in zip(train.label_names, train.label_units, test.label_units, strict=True):
        if one and other and one != other and Unit(one, parse_strict="silent") != Unit(other, parse_strict="silent"):
            raise ValueError(
                f"label {name!r} is in {one} in the training survey and in {other} in the test survey; give both in "
                "one unit, errors likewise"
            )


def _refuse_another_scale(train: Survey, test: Survey) -> None:
    """Raise ValueError if the flux of the test survey is in another unit, or has another zero point."""
    flux = [good_pixels(each, _N_LEVEL_STARS, _N_LEVEL_PIXELS)[0] for each in (train, test)]
    if not all(len(each) for each in flux):
        return
    one, other = (flux_range(each) for each in flux)
    if of_another_scale(one, other):
        raise ValueError(
            f"the median flux is {one[1]:.3g} in the training survey and {other[1]:.3g} in the test survey: bring "
            "both to one scale, as fractions of the continuum, errors likewise"
        )


def _refuse_filled(name: str, distinct: np.ndarray, counts: np.ndarray) -> None:
    """Raise ValueError if one of the distinct values of a label is in many stars, amid others that are in few each.

    The largest or smallest value may be a limit.
    """
    place = int(np.argmax(counts))
    others = np.delete(counts, place).max(initial=0)
    amid = len(distinct) > _FEW_VALUES and 0 < place < len(distinct) - 1
    if amid and counts[place] > max(_FILLED * counts.sum(), _MORE_THAN_OTHERS * others):
        raise ValueError(
            f"label {name!r} is {distinct[place]:g} in {counts[place]} of {counts.sum()} stars, and no other value is "
            f"in more than {others}: does it stand for a missing value? Set it to NaN"
        )


def _refuse_sentinels(survey: Survey, star_id: np.ndarray) -> None:
    """Raise ValueError if values of a label or of the flux repeat where no star could be, or stand for missing ones."""
    for name, values in zip(survey.label_names, survey.labels.T, strict=True):
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        if not len(distinct):
            continue
        _refuse_filled(name, distinct, counts)
        scatter = robust_std(values[~np.isnan(values)]) if len(distinct) > 1 else 0.0
        distance = np.abs(distinct - np.nanmedian(values)) / scatter if scatter > 0 else np.zeros(len(distinct))
        # The end of a long tail, as of whole numbers, is reached by small steps.
        alone = _largest_step(distinct, float(np.nanmedian(values))) > _ALONE * distance * scatter
        refused = ((counts > 1) & alone | np.isin(distinct, LABEL_SENTINELS)) & (distance > SENTINEL_DISTANCE)
        if np.any(refused):
            place = int(np.argmax(np.where(refused, counts, 0)))
            star = star_id[int(np.argmax(values == distinct[place]))]
            where = f"in {counts[place]} stars" if counts[place] > 1 else f"in star {star} alone"
            raise ValueError(
                f"label {name!r} is {distinct[place]:g} {where}, far from all others: does it stand for a missing "
                "value? Set it to NaN"
            )
        refuse_sentinels(name, values[~np.isnan(values)])
    missing = np.isin(survey.flux, _FLUX_SENTINELS) & (survey.ivar > 0)
    if np.any(missing):
        value, n_stars = survey.flux[missing][0], np.sum(missing.any(axis=1))
        raise ValueError(
            f"the flux is {value:g} at {np.sum(missing)} pixels of {n_stars} stars "
            "that are not masked: does it stand for a missing value? Set ivar to 0 there"
        )


def _largest_step(distinct: np.ndarray, median: float) -> np.ndarray:
    """Return the largest step between neighbors on the way from the median to each of sorted values (K,)."""
    middle, steps = int(np.argmin(np.abs(distinct - median))), np.diff(distinct)
    above = np.maximum.accumulate(np.concatenate([[0.0], steps[middle:]]))
    below = np.maximum.accumulate(np.concatenate([[0.0], steps[:middle][::-1]]))[::-1]
    return np.concatenate([below[:-1], above])


def _refuse_errors_of_another_kind(survey: Survey) -> None:
    """Raise ValueError if most pixels have an error as large as the flux and its features, as no spectra do."""
    flux, ivar = good_pixels(survey, _N_LEVEL_STARS, _N_LEVEL_PIXELS)
    if len(flux) and (said := errors_of_another_kind(flux_range(flux), ivar)):
        raise ValueError(said)


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


def _warn_of_velocities(survey: Survey) -> None:
    """Warn if the catalogue has velocities under a name by which they are not known."""
    found = [name for name in survey.catalogue if _VELOCITY_NAME.fullmatch(name.strip())]
    if found and not set(VELOCITIES) & set(survey.catalogue):
        warn_user(
            f"the catalogue has no column {' or '.join(VELOCITIES)}, and residuals of the sky are not looked for; if "
            f"{found[0]!r} holds the velocities of the stars in km/s, give it one of these names"
        )


def _warn_of_repeated_labels(survey: Survey) -> None:
    """Warn if stars have all labels in common, as several spectra of one star have."""
    whole = survey.labels[np.all(np.isfinite(survey.labels), axis=1)]
    repeated = len(whole) - len(np.unique(whole, axis=0))
    if survey.n_labels >= _MIN_REPEATED_LABELS and repeated:
        warn_user(
            f"{repeated} of {survey.n_stars} stars repeat all labels of another to the last digit: if they are spectra "
            "of one star, name the column of the catalogue that says of which, groups=..., for the audit takes stars "
            "for independent (and survey.split(..., groups=...) keeps those of a star on one side)",
        )
