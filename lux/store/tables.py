"""Columns of users' tables by their names: astropy tables, data frames, FITS and structured arrays, mappings."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.units import Quantity, Unit

from lux.store.columns import holds_numbers
from lux.store.label_names import plain_name


def column_names(table: Any) -> list[str]:
    """Return the names of the columns of an astropy table, a structured array, a data frame or a mapping."""
    # Those of a FITS table in memory are objects in its attribute columns, and its dtype has their names.
    structured = getattr(getattr(table, "dtype", None), "names", None)
    return [str(name) for name in getattr(table, "colnames", structured or getattr(table, "columns", table))]


def of_table(table: Any, name: Any) -> Any:
    """Return a column by its name; what is not a name as it is."""
    if not isinstance(name, str):
        return name
    if name not in (names := column_names(table)):
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"; similar: {', '.join(near)}" if near else ""
        raise ValueError(f"the table has no column {name!r} among its {len(names)}{hint}")
    # The columns of a FITS table in memory have their units beside them.
    units = getattr(getattr(table, "columns", None), "units", None)
    unit = units[names.index(name)] if units else None
    return Quantity(table[name], Unit(unit, format="fits", parse_strict="silent")) if unit else table[name]


def error_column(label: str, table: Any) -> str:
    """Return the column that by its name holds the errors of a label."""
    spelled = {name.casefold(): name for name in column_names(table)}
    plain = label.casefold()
    for name in (f"e_{plain}", f"{plain}_err", f"{plain}_error", f"err_{plain}", f"sigma_{plain}"):
        if name in spelled:
            return spelled[name]
    raise ValueError(f"no column is named as that of the errors of {label!r}: give it, or a number, in label_err")


def errors_of(labels: Sequence[str], table: Any, given: Any) -> dict[str, Any]:
    """Return the errors of labels: those given, by any spelling of the label's name, or the columns of a table.

    Raises
    ------
    ValueError
        If errors are given of what is neither a label, by its name, nor a column; or those of a label twice.
    """
    if not isinstance(given, Mapping):
        if not (isinstance(given, str) or np.ndim(given) == 0):
            raise ValueError(
                "label_err must map the names of labels to columns, arrays or numbers, or be one number for all, got "
                f"{type(given).__name__}"
            )
        return dict.fromkeys(labels, of_table(table, given))
    columns = {**dict.fromkeys(column_names(table)), **dict.fromkeys(labels)}
    named: dict[str, Any] = {}
    for name, errors in given.items():
        exact = [name] if name in columns else []
        label = next(iter(exact or [label for label in labels if plain_name(label) == plain_name(str(name))]), None)
        if label is None:
            raise ValueError(f"label_err names {name!r}, which is not among the labels {', '.join(labels)}")
        if label in named:
            raise ValueError(f"label_err names {label!r} twice")
        named[label] = errors
    return {label: of_table(table, named[label] if label in named else error_column(label, table)) for label in labels}


def labels_of(table: Any, given: Any) -> list[str]:
    """Return the columns of numbers, one a star, that have errors: those given, or a column by its name."""
    if not isinstance(given, Mapping):
        raise ValueError("labels= must name the columns to take where label_err= is one for all of them")
    names = [name for name in column_names(table) if name in given or _has_errors(name, table)]
    if labels := [name for name in names if holds_numbers(table[name])]:
        return labels
    raise ValueError(
        f"no column of the table is of numbers and has a column of errors, such as e_X or X_err, among "
        f"{', '.join(column_names(table))}: name the columns to take in labels= and their errors in label_err="
    )


def _has_errors(label: str, table: Any) -> bool:
    try:
        return bool(error_column(label, table))
    except ValueError:
        return False
