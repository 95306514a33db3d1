"""What users' arrays and columns mean: units, masks, gaps, star names; `lux.store.tables` finds columns by their names.

Every way in which a value can be masked, or have a unit, is read here; wavelengths are in `lux.store.wavelengths`.
The module is long because each way that is wrong has a message of its own, with what came and what to do.
"""

import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from astropy.units import (
    Quantity,
    Unit,
    UnitBase,
    UnitConversionError,
    UnrecognizedUnit,
    dimensionless_unscaled,
)

from lux.store.label_names import plain_name
from lux.store.quantities import conversion, to_unit_of_flux, without_mask
from lux.store.user_warnings import warn_user

# A pixel whose error is so many times that of the star's good pixels is a bad one, whatever marks it.
MAX_ERROR_RATIO = 30.0
# Of a star towards the telescope, and about the Sun, in km/s.
VELOCITIES = ("observed_velocity", "radial_velocity")
_VELOCITY = Unit("km / s")
# As what objects print that stand for no value: those of Python, numpy and pandas.
_NO_VALUE = frozenset(("None", "nan", "NaT", "<NA>", "--"))
# Texts that stand for no number in a column of numbers, in small letters.
_NO_TEXT = ("", "--", "nan", "none", "null", "n/a", "na", "<na>", "nat")
# Texts that stand for no name, and how the name begins that is given to what has none.
_NO_NAME, UNNAMED = ("", "nan", "None", "<NA>", "--"), "unnamed "
# And numbers that do, as of what clustering leaves over, and in tables of surveys.
_NO_NUMBER = re.compile(r"-(1|9+)(\.0*)?")
# The part of all pixels that a mask leaves.
_LEAST_UNMASKED = 0.2
_ZEROS_LOST = ": ids have lost their leading zeros; read them as text"
# Whole numbers beyond it are not exact as floating-point numbers.
_LARGEST_EXACT = 2**53


def _stacked(name: str, value: Any) -> Any:
    """Return a list of quantities, of which numpy would drop the units, as one quantity, and a column of arrays as one.

    What else comes as it is.
    """
    rows: Sequence[Any] = value if isinstance(value, list | tuple) else ()
    if getattr(getattr(value, "dtype", None), "kind", "") == "O" and value.ndim == 1:
        rows = list(value)
    quantities = bool(rows) and isinstance(rows[0], Quantity)
    if not quantities and not (rows is not value and rows and isinstance(rows[0], list | tuple | np.ndarray)):
        return value
    try:
        return np.stack(rows) if quantities else np.ma.stack([np.ma.asarray(row, float) for row in rows])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers of one unit and shape: {error}") from error


def _unit(value: Any) -> UnitBase | None:
    """Return the unit of a value; None if it has none, or one that astropy does not know.

    Of logarithmic units, such as dex(cm / s2), it is that of the logarithm: errors are in dex.
    """
    given = getattr(value, "unit", None)
    return None if given is None else _known_unit(given)


def _known_unit(given: UnitBase | str) -> UnitBase | None:
    unit = Unit(given, parse_strict="silent")
    return None if isinstance(unit, UnrecognizedUnit) else getattr(unit, "function_unit", unit)


def _factor(name: str, own: UnitBase, unit: UnitBase) -> float:
    """Return by what numbers in one unit are multiplied for another; ValueError if there is no such number."""
    try:
        # A magnitude is a negative number of dex, and an error has no sign.
        return abs(conversion(own, unit))
    except UnitConversionError as error:
        raise ValueError(
            f"{name} is in {own}, expected {str(unit) or 'no unit'} or one that converts to it: convert it, or leave "
            "its unit out if that is wrong"
        ) from error


def numbers(name: str, value: Any, unit: UnitBase | None = None, assumed: UnitBase | None = None) -> np.ma.MaskedArray:
    """Return an array or a quantity as numbers, masked where it is, in a unit if one is given.

    What has no unit is in the assumed one, by default that which is given.
    """
    value = _stacked(name, value)
    values = _floats(name, getattr(value, "value", value) if hasattr(value, "unit") else value)
    if unit is None:
        return values
    factor = _factor(name, _unit(value) or assumed or unit, unit)
    return values if factor == 1 else values * factor


def _floats(name: str, value: Any) -> np.ma.MaskedArray:
    try:
        return np.ma.asarray(value, float)
    except (TypeError, ValueError):
        values, gaps = with_gaps(value)
    gaps = gaps | _is_missing_text(values)
    try:
        # Without its gaps: what is left may be text of numbers.
        return np.ma.asarray(np.where(gaps, np.nan, values.astype(object)), float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of numbers, NaN, masked, empty or such as '--' where one is missing: {error}"
        ) from error


def _is_missing_text(values: np.ndarray) -> np.ndarray:
    """Return where text (N,) stands for no number: empty, or such as "--" or "N/A"."""
    texts = (each.decode(errors="replace") if isinstance(each, bytes) else each for each in values.ravel().tolist())
    missing = [isinstance(each, str) and each.strip().casefold() in _NO_TEXT for each in texts]
    return np.reshape(np.array(missing, bool), values.shape)


def _is_gap(value: Any) -> bool:
    return not isinstance(value, str | bytes) and str(value) in _NO_VALUE


def with_gaps(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a column (N,) as an array, and where it has no value (N,): masked, or an object such as None."""
    # As an array of its own choice, a column of pandas makes floating-point numbers of whole ones with gaps.
    foreign = not isinstance(getattr(column, "dtype", np.dtype(float)), np.dtype)
    # As one, a list of text and NaN makes text of that too.
    mixed = isinstance(column, list | tuple) and len({isinstance(each, str) for each in column}) > 1
    values = np.asarray(column, object) if foreign or mixed else np.asarray(column)
    gaps = np.broadcast_to(np.ma.getmask(column), values.shape)
    if values.dtype.kind == "O":
        gaps = gaps | np.asarray(np.frompyfunc(_is_gap, 1, 1)(values), bool)
    return (values if np.any(gaps) else np.asarray(column)), gaps


def _typed(values: np.ndarray) -> np.ndarray:
    """Return objects as the text or the numbers that all of them are; what else comes as it is."""
    values = as_text(values)
    if values.dtype.kind != "O" or any(isinstance(each, str | bytes) for each in values.flat):
        return values
    return np.array(values.tolist())


def catalogue_column(name: str, column: Any) -> np.ndarray:
    """Return a further column of the stars as an array: velocities in km/s, NaN or empty text where it has gaps."""
    what = f"column {name!r}"
    column = _stacked(what, column)
    if name in VELOCITIES and _factor(what, _unit(column) or _VELOCITY, _VELOCITY) != 1:
        column = numbers(what, column, _VELOCITY)
    values, gaps = with_gaps(column)
    return _filled(values, gaps) if np.any(gaps) else as_text(values)


def _filled(values: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    there = _typed(values[~gaps])
    if there.dtype.kind in "biu":
        # Ids of 64 bits would lose digits as the numbers that NaN is one of.
        exact = np.all(np.abs(there.astype(float)) <= _LARGEST_EXACT)
        there = there.astype(float if exact else str)
    if there.dtype.kind not in "fU":
        return values
    filled = np.full(gaps.shape, "" if there.dtype.kind == "U" else np.nan, there.dtype)
    filled[~gaps] = there
    return filled


def _spread(name: str, values: Any, shape: tuple[int, ...], partner: str) -> np.ndarray:
    """Return values repeated to a shape, that of their partner; ValueError, which names both, if they cannot be."""
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise ValueError(
            f"{name} has shape {np.shape(values)}, expected {shape} as {partner}, or what repeats to it: one number, "
            "or one row for all stars"
        ) from error


def normalized_flux(flux: Any) -> tuple[np.ma.MaskedArray, UnitBase]:
    """Return flux as fractions of the continuum, masked where it is or not finite, and the unit that it had."""
    flux = _stacked("flux", flux)
    unit = _unit(flux) or dimensionless_unscaled
    if not unit.is_equivalent(dimensionless_unscaled):
        raise ValueError(
            f"flux is in {unit}, so not divided by its continuum: divide each spectrum by its continuum, errors "
            "likewise; if the unit is wrong and the flux normalized, give its numbers alone"
        )
    return np.ma.masked_invalid(numbers("flux", flux, dimensionless_unscaled, unit)), unit


def inverse_variance(
    ivar: Any, error: Any, shape: tuple[int, ...], unit: UnitBase = dimensionless_unscaled
) -> np.ndarray:
    """Return inverse variances of a normalized flux, 0 where they or errors are masked or errors not positive.

    `unit` is that which the flux had: what comes without any is in it.
    """
    if (ivar is None) == (error is None):
        raise ValueError("the errors of the flux are needed once: give either ivar or error")
    uncertainty = error if ivar is None else ivar
    if kind := getattr(uncertainty, "uncertainty_type", None):
        # It says itself which of the two it is.
        if kind == "unknown":
            raise ValueError(
                f"{type(uncertainty).__name__} does not say what it is: give a StdDevUncertainty, or numbers"
            )
        ivar, error = None, standard_error(uncertainty, unit, "the spectra")
    if ivar is not None:
        weights = numbers("ivar", ivar, dimensionless_unscaled, unit**-2)
        return _spread("ivar", np.ma.filled(weights, 0), shape, "flux")
    errors = numbers("error", error, dimensionless_unscaled, unit)
    sigma = _spread("error", np.ma.filled(errors, np.nan), shape, "flux")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(sigma > 0, sigma**-2.0, 0)


def unmasked(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return where a mask of pixels is zero; a flag that is itself masked is not. Warn of one of most pixels."""
    flags: Any = np.ma.asarray(mask)
    if flags.dtype.kind == "O" and all(isinstance(each, bool | int | np.bool_) for each in np.ravel(flags.data)):
        flags = flags.astype(bool)
    if flags.dtype.kind not in "biuf":
        example = np.ravel(flags.data)[:1].tolist()
        raise ValueError(
            f"mask holds {flags.dtype} such as {example}; expected booleans, true where a pixel is bad, or numbers of "
            "which 0 is good"
        )
    left = _spread("mask", np.ma.filled(flags, 1), shape, "flux") == 0
    if np.mean(left) < _LEAST_UNMASKED:
        what = f"the mask takes {1 - np.mean(left):.0%} of all pixels: it is true where pixels are bad; is it inverted?"
        warn_user(what)
    return left


def paired_labels(
    labels: Any, label_err: Any, named: Sequence[str], n_stars: int
) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """Return labels and their errors (N, M), NaN where masked, and the units of both, None if they are not known.

    Errors are converted to the units of their labels: those of the columns, or else those that the names say, `named`.
    """
    if isinstance(labels, Mapping):
        return _paired_columns(labels, label_err, named, n_stars)
    labels, label_err = _stacked("labels", labels), _stacked("label_err", label_err)
    values = np.ma.filled(numbers("labels", labels), np.nan)
    errors = _spread("label_err", np.ma.filled(numbers("label_err", label_err), np.nan), values.shape, "labels")
    own, unit = _unit(label_err), getattr(labels, "unit", None)
    units = [str(unit)] * len(named) if unit is not None else None
    if own is not None and values.shape[-1:] == (len(named),):
        errors = errors * [_factor("label_err", own, _label_unit(labels, name) or own) for name in named]
    return values, errors, units


def _paired_columns(
    labels: Mapping[str, Any], label_err: Any, named: Sequence[str], n_stars: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    given = label_err if isinstance(label_err, Mapping) else dict.fromkeys(labels, label_err)
    spelled = {plain_name(name): name for name in given}
    given = {name: given[spelled[key]] for name in labels if (key := plain_name(name)) in spelled} | dict(given)
    values, errors, units = [], [], []
    for (name, column), unit in zip(labels.items(), named, strict=True):
        if name not in given:
            raise ValueError(f"label_err lacks {name!r}; give a number if one error holds for all stars")
        column = _stacked(f"label {name!r}", column)
        units.append(str(getattr(column, "unit", None) or unit))
        values.append(_label_column(f"label {name!r}", column, n_stars))
        errors.append(_label_column(f"label_err of {name!r}", given[name], n_stars, _label_unit(column, unit)))
    if not units:
        return np.empty((n_stars, 0)), np.empty((n_stars, 0)), units
    return np.stack(values, axis=1), np.stack(errors, axis=1), units


def _label_unit(column: Any, named: str) -> UnitBase | None:
    """Return the unit of a label's errors; that of the name if the column has none, or none that has a dimension."""
    if getattr(column, "unit", None) is None or _unit(column) == dimensionless_unscaled:
        return _known_unit(named)
    return _unit(column)


def _label_column(what: str, column: Any, n_stars: int, unit: UnitBase | None = None) -> np.ndarray:
    values = np.ma.filled(numbers(what, column, unit), np.nan)
    if values.shape not in ((), (n_stars,)):
        raise ValueError(
            f"{what} has shape {values.shape}, expected ({n_stars},), a number for each star, NaN where it is missing; "
            "or one number for all"
        )
    return np.broadcast_to(values, n_stars)


def at_rows(what: str, column: Any, rows: np.ndarray, n_rows: int) -> Any:
    """Return some of the rows of a column, by their places, with its unit and mask; a single number as it is."""
    column = _stacked(what, column)
    if np.ndim(column) == 0:
        return column
    if np.shape(column)[0] != n_rows:
        raise ValueError(f"{what} has {np.shape(column)[0]} rows, expected one for each of {n_rows} rows of the table")
    # A data frame's column takes whole numbers for labels of its index, and a list takes one of them only.
    return column[rows] if isinstance(column, np.ndarray) else np.asarray(column)[rows]


def holds_numbers(column: Any) -> bool:
    """Return whether a column has one number for each row, or gaps; or numbers as text, beside any other text."""
    values, gaps = with_gaps(column)
    if values.ndim != 1:
        return False
    there = _typed(values[~gaps])
    return there.dtype.kind in "biuf" or any(map(_is_number, there.tolist() if there.dtype.kind in "OU" else ()))


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number, or the text of one."""
    try:
        return isinstance(value, str | bytes | Real) and bool(np.isfinite(float(value)))
    except ValueError:
        return False


def standard_error(uncertainty: Any, unit: Any, name: str) -> np.ndarray:
    """Return an uncertainty as standard errors in the unit of the flux, which it has where it has none; NaN if masked.

    The uncertainties of `astropy.nddata` drop the mask of what they are made of, so that nothing can keep it here.
    """
    from astropy.nddata import StdDevUncertainty

    # An inverse variance of zero is an infinite error. Taken for a variance, a negative error would become positive.
    with np.errstate(divide="ignore", invalid="ignore"):
        as_error = uncertainty if uncertainty.uncertainty_type == "std" else uncertainty.represent_as(StdDevUncertainty)
    try:
        return to_unit_of_flux(np.asarray(without_mask(as_error.array), float), as_error.unit, unit)
    except UnitConversionError as error:
        raise ValueError(
            f"the uncertainty of {name} is in {as_error.unit} and its flux in "
            f"{str(unit) or 'numbers without a unit'}: give both in one unit, or the uncertainty without any"
        ) from error


def without_negligible(ivar: np.ndarray, max_error_ratio: float = MAX_ERROR_RATIO) -> np.ndarray:
    """Return inverse variances (N, D), zero where an error is many times that of the star's good pixels.

    Good are its best tenth: bad pixels stand below them in order, so that the result does not depend on how they are
    marked.
    """
    place = int(0.9 * (ivar.shape[1] - 1))
    good = np.partition(ivar, place, axis=1)[:, [place]]
    return np.where(ivar < good / max_error_ratio**2, np.float32(0), ivar)


def as_text(column: Any) -> np.ndarray:
    """Return a column whose text came as objects or bytes as text; others as they are."""
    column = np.asarray(column)
    if column.dtype.kind == "S" or (column.dtype.kind == "O" and all(isinstance(each, str | bytes) for each in column)):
        return np.array([each.decode() if isinstance(each, bytes) else str(each) for each in column.tolist()])
    return column


def star_names(star_id: Any, n_stars: int) -> np.ndarray:
    """Return the names of stars, their row numbers by default.

    ValueError for one that is missing, and for floating-point numbers, which cannot hold an id of 64 bits.
    """
    if star_id is None:
        return np.arange(n_stars).astype(str)
    names, gaps = with_gaps(star_id)
    if np.any(gaps):
        raise ValueError(
            f"star_id of row {np.argmax(gaps)} is masked or missing: name each star, or leave star_id out to have them "
            "numbered"
        )
    return _names(names)


def _names(star_id: np.ndarray) -> np.ndarray:
    names = as_text(star_id)
    inexact = [each for each in names.flat if isinstance(each, float | np.floating)] if names.dtype.kind == "O" else []
    if names.dtype.kind == "f" or inexact:
        example = inexact[0] if inexact else names.flat[0]
        raise ValueError(
            f"star_id holds {names.dtype} numbers such as {example!r}, in which ids of 64 bits lose digits: read "
            "them as integers or text"
        )
    # Tables of fixed width pad names, and other tables do not.
    names = np.char.strip(names.astype(str))
    if np.any(names == ""):
        raise ValueError(f"star_id of row {np.argmax(names == '')} is blank: name each star, or leave star_id out")
    return names


def own_where_unnamed(groups: np.ndarray, star_id: np.ndarray) -> np.ndarray:
    """Return groups (N,) by name, in which what belongs to none is alone; numbers as they are where all are named.

    Blanks around a name do not count.
    """
    names = np.char.strip(groups.astype(str))
    if np.any(unnamed := without_name(groups)):
        return np.where(unnamed, np.char.add(UNNAMED, star_id), names)
    return names if groups.dtype.kind in "USO" else groups


def without_name(groups: np.ndarray) -> np.ndarray:
    """Return which stars (N,) belong to no group: they have no name, or a number that stands for none, -1 or -9999."""
    names, place = np.unique(np.char.strip(groups.astype(str)), return_inverse=True)
    none = np.isin(names, _NO_NAME) | [_NO_NUMBER.fullmatch(name) is not None for name in names.tolist()]
    return none[place]


def refuse_other_order(*given: Any, star_id: Any = None) -> None:
    """Raise ValueError if two series or frames of pandas have the same index in another order, or that of the stars.

    They would be paired row by row. Mappings are looked into.
    """
    nested = [each for value in given for each in (value.values() if isinstance(value, Mapping) else [value])]
    indexed = [each.index for each in nested if hasattr(each, "iloc") and hasattr(each, "index")]
    names = [] if star_id is None else list(map(str, np.ravel(np.asarray(star_id)).tolist()))
    for index in indexed:
        # An index that numbers the rows is none of names.
        listed = [] if hasattr(index, "step") else list(map(str, index))
        if len(listed) == len(names) and listed != names and set(listed) == set(names):
            raise ValueError(
                f"a table of pandas has the stars as its index in another order ({listed[0]}, ...) than star_id "
                f"({names[0]}, ...): bring them into one, such as labels.loc[star_id], for rows are taken in order"
            )
    indexes = [np.asarray(index) for index in indexed]
    for index in indexes[1:]:
        if len(index) == len(indexes[0]) and not np.array_equal(index, indexes[0]) and set(index) == set(indexes[0]):
            raise ValueError(
                f"two tables of pandas have one index in different orders ({indexes[0][0]}, ... and {index[0]}, ...): "
                "bring them into one, such as labels.loc[flux.index], for rows are taken in order"
            )


def join_stars(star_id: np.ndarray, column: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which stars (N,) a table's column of names has, and the rows of these, in the order of the stars.

    `where` says in messages where the names stand.

    Blanks around names do not count, and rows without a name are left out. ValueError if no star is found, one stands
    in two rows, or ids lost digits.
    """
    ids, gaps = with_gaps(column)
    listed = np.flatnonzero(~gaps)
    if not listed.size:
        raise ValueError(f"the {where} names no star: it has {len(ids)} rows, each masked or missing")
    names = _names(ids[listed])
    order = np.argsort(names)
    if np.any(repeated := names[order][1:] == names[order][:-1]):
        raise ValueError(f"the {where} names {names[order][1:][repeated][0]} twice; give each star once")
    wanted = np.char.strip(star_id)
    place = np.minimum(np.searchsorted(names[order], wanted), len(names) - 1)
    found = names[order][place] == wanted
    if not np.any(found):
        raise ValueError(
            f"no star of the survey is in the {where}: the survey has {star_id[0]}, ..., the table {names[0]}, ..."
            + _ZEROS_LOST * bool(np.any(np.isin(np.char.lstrip(wanted, "0"), names)))
        )
    if np.any(lost := np.isin(np.char.lstrip(wanted[~found], "0"), names) & np.char.startswith(wanted[~found], "0")):
        raise ValueError(f"the {where} lacks {wanted[~found][lost][0]}, but it has that without its zeros{_ZEROS_LOST}")
    return found, listed[order[place[found]]]
