"""Columns of users' tables by their names: astropy tables, data frames, FITS and structured arrays, mappings."""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from astropy.units import Quantity, Unit

from lux.store.columns import holds_numbers
from lux.store.label_names import plain_name
from lux.store.user_warnings import warn_user

# Dimensions of labels in an array.
_OF_ARRAY = 2
# How columns of errors are named, and of what.
_OF_FLAGS = re.compile(r"flag_(.+)|(.+)_flag", re.IGNORECASE)
# Measured of stars, and no labels of their atmospheres: where they are, how they move, how far away they are.
_NO_LABEL = re.compile(
    r"(?:.*_)?(?:ra|dec|ra_?j2000|de_?j2000|ra_?icrs|de_?icrs|glon|glat|parallax|plx|pm_?(?:ra|dec?)(?:_?cos_?dec?)?"
    r"|rv|v_?rad|v_?los|v_?helio|(?:radial|heliocentric|observed)_velocity|dist(?:ance)?)(?:_.*)?",
    re.IGNORECASE,
)
_OF_ERRORS = re.compile(r"(?:e|err|sigma)_(.+)|(.+)_(?:err|error)", re.IGNORECASE)


def column_names(table: Any) -> list[str]:
    """Return the names of the columns of an astropy table, a structured array, a data frame or a mapping."""
    # Those of a FITS table in memory are objects in its attribute columns, and its dtype has their names.
    structured = getattr(getattr(table, "dtype", None), "names", None)
    return [str(name) for name in getattr(table, "colnames", structured or getattr(table, "columns", table))]


def as_names(names: Any) -> list[str]:
    """Return names as a list; one alone is one name, and not its letters."""
    return [names] if isinstance(names, str) else list(names)


def as_columns(table: Any) -> Any:
    """Return a table, data frame or structured array as a mapping of its columns; anything else as it is."""
    structured = getattr(getattr(table, "dtype", None), "names", None)
    if isinstance(table, Mapping) or not (structured or hasattr(table, "colnames") or hasattr(table, "columns")):
        return table
    named = structured or getattr(table, "colnames", None)
    names: list[Any] = list(getattr(table, "columns", ()) if named is None else named)
    return {name: of_table(table, name) for name in names} if all(isinstance(name, str) for name in names) else table


def of_table(table: Any, name: Any) -> Any:
    """Return a column by its name; what is not a name as it is."""
    if not isinstance(name, str):
        return name
    if name not in (names := column_names(table)):
        spelled = {each.casefold(): each for each in names}
        near = [spelled[each] for each in difflib.get_close_matches(name.casefold(), spelled, n=3)]
        hint = f"; similar: {', '.join(near)}" if near else ""
        raise ValueError(f"the table has no column {name!r} among its {len(names)}{hint}")
    # The columns of a FITS table in memory have their units beside them.
    units = getattr(getattr(table, "columns", None), "units", None)
    unit = units[names.index(name)] if units else None
    return Quantity(table[name], Unit(unit, format="fits", parse_strict="silent")) if unit else table[name]


def error_column(label: str, table: Any) -> str:
    """Return the column that by its name holds the errors of a label; ValueError if there is none, or are several."""
    found = _error_columns(label, table)
    if not found:
        # It may be the label that is not there.
        of_table(table, label)
        raise ValueError(f"no column is named as that of the errors of {label!r}: give it, or a number, in label_err")
    if len(found) > 1:
        raise ValueError(
            f"the columns {', '.join(found)} may all be the errors of {label!r}: name one, label_err={{{label!r}: "
            f"{found[0]!r}}}"
        )
    return found[0]


def _error_columns(label: str, table: Any) -> list[str]:
    """Return the columns that by their names hold the errors of a label.

    Where some spell it as it is spelled, those; in tables that were joined a label may stand twice, "TEFF" and "teff".
    """
    columns = column_names(table)
    found: dict[str, list[str]] = {}
    for name in columns:
        match = _OF_ERRORS.fullmatch(name)
        of = next(filter(None, match.groups())) if match else ""
        if of.casefold() == label.casefold() and (of == label or of not in columns):
            found.setdefault(of, []).append(name)
    return found.get(label) or [name for names in found.values() for name in names]


def require_table(table: Any, wavelength: Any) -> None:
    """Raise ValueError if what came is the path of a table, or an extension of a file; or a name as wavelengths."""
    if isinstance(table, str | os.PathLike):
        raise ValueError(f"the table is a path, {str(table)!r}: read it, astropy.table.Table.read(path)")
    if hasattr(table, "fileinfo"):
        raise ValueError(f"the table is of the type {type(table).__name__}, a part of a file: give its data, hdu.data")
    if isinstance(wavelength, str):
        raise ValueError(f"wavelength is the name {wavelength!r}: give the wavelengths, an array that all stars share")


def named_labels(labels: Any, label_err: Any, names: Sequence[str]) -> tuple[Any, Any]:
    """Return labels and errors, of columns that have names by those names, where `names` are given beside them.

    Columns of other names are renamed in their order.

    Raises
    ------
    ValueError
        If some of the columns have such names, and some of the names are those of none.
    """
    given = []
    for what, value in (("labels", labels), ("label_err", label_err)):
        columns = as_columns(value)
        if isinstance(columns, Mapping):
            spelled = {plain_name(str(name)): name for name in columns} | {name: name for name in columns}
            known = [name for name in names if plain_name(name) in spelled]
            if len(known) < len(names) and (known or len(columns) != len(names)):
                raise ValueError(
                    f"label_names are {', '.join(names)}, and {what} has the columns {', '.join(map(str, columns))}: "
                    "leave out label_names, or give columns of these names"
                )
            chosen = [spelled.get(name, spelled[plain_name(name)]) for name in names] if known else list(columns)
            columns = {name: columns[each] for name, each in zip(names, chosen, strict=True)}
        given.append(columns)
    labels, label_err = given
    if isinstance(label_err, Mapping) and not isinstance(labels, Mapping):
        if np.ndim(labels) != _OF_ARRAY or np.shape(labels)[1] != len(names):
            raise ValueError(f"labels have shape {np.shape(labels)}; expected a column for each of {', '.join(names)}")
        array = np.asanyarray(labels)
        labels = {name: array[:, place] for place, name in enumerate(names)}
    return labels, label_err


def errors_of(labels: Sequence[str], table: Any, given: Any) -> dict[str, Any]:
    """Return the errors of labels: those given, by any spelling of the label's name, or the columns of a table.

    Errors of other columns are passed over.

    Raises
    ------
    ValueError
        If what is given names no label and no other column, or may mean two labels, or is no number for all.
    """
    if isinstance(given, str) or _is_number(given):
        return dict.fromkeys(labels, of_table(table, given))
    named: dict[str, Any] = {}
    for name, errors in _by_name(given).items():
        label = _label_meant(name, labels, table, set(_by_name(given)))
        if label in named:
            raise ValueError(f"label_err names {label!r} twice")
        if label is not None and errors is not None:
            named[label] = errors
    return {label: of_table(table, named[label] if label in named else error_column(label, table)) for label in labels}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _by_name(given: Any) -> Mapping[str, Any]:
    if given is None or isinstance(given, Mapping):
        return given or {}
    raise ValueError(
        "label_err must map the names of labels to columns, arrays or numbers, or be one number for all, got "
        f"{type(given).__name__}"
    )


def _label_meant(name: str, labels: Sequence[str], table: Any, given: set[str]) -> str | None:
    """Return the label that a name of errors means, None if it is another column."""
    if name in labels:
        return name
    is_column = name in column_names(table)
    alike = [label for label in labels if plain_name(label) == plain_name(str(name))]
    # Where the label itself is named too, a column of a name like it is another one.
    alike = [label for label in alike if label not in given] or ([] if is_column else alike)
    own = [label for label in labels if name in _error_columns(label, table)]
    if is_column and not (alike or own):
        return None
    if len(alike) == 1 and not is_column:
        return alike[0]
    if alike or own:
        raise ValueError(f"label_err names {name!r}, which may mean {' or '.join(alike or own)}: name the label itself")
    raise ValueError(f"label_err names {name!r}, which is not among the labels {', '.join(labels)}")


def labels_of(table: Any, given: Any) -> list[str]:
    """Return the columns of numbers, one a star, that have errors: those given, or a column by its name.

    Positions, motions and distances are passed over if no errors of them are given. Of text are passed over those in
    which no cell is a number; in the others, text that is none is refused later.
    """
    if isinstance(given, str) or _is_number(given):
        raise ValueError("labels= must name the columns to take where label_err= is one for all of them")
    columns = column_names(table)
    spelled = {plain_name(str(name)) for name in _by_name(given) if name not in columns}
    names = [
        name
        for name in columns
        if name in _by_name(given)
        or plain_name(name) in spelled
        or (_error_columns(name, table) and not _NO_LABEL.fullmatch(name))
    ]
    if labels := [name for name in names if holds_numbers(table[name])]:
        return labels
    raise ValueError(
        f"no column of the table is of numbers and has a column of errors, such as e_X or X_err, among "
        f"{', '.join(column_names(table))}: name the columns to take in labels= and their errors in label_err="
    )


def warn_of_flags(labels: Sequence[str], table: Any, rows: Any = slice(None)) -> None:
    """Warn of labels that stars have in these rows though a column of the table flags them: "flag_X" or "X_flag"."""
    found = []
    for name in column_names(table):
        match = _OF_FLAGS.fullmatch(name)
        of = next(filter(None, match.groups())).casefold() if match else ""
        for label in (each for each in labels if each.casefold() == of):
            flags, values = (np.ma.asarray(of_table(table, each))[rows] for each in (name, label))
            kinds = {flags.dtype.kind, values.dtype.kind}
            if not kinds <= set("biuf") or flags.ndim > 1 or flags.shape != values.shape:
                continue
            n_taken = np.sum(np.isfinite(np.ma.filled(values.astype(float), np.nan)) & (np.ma.filled(flags, 0) != 0))
            if n_taken:
                found.append(f"{label} of {n_taken} stars ({name})")
    if found:
        warn_user(f"flagged values are taken as measured: {', '.join(found)}; set them to NaN to leave them out")
