"""Tables as lists of lines: which columns there are, in which units."""

import codecs
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy import units
from astropy.io import registry
from astropy.table import Table

from lux.spectroscopy.line_rows import ListRows, lines_of_text
from lux.spectroscopy.species import listed_species
from lux.survey import LEAST_WAVELENGTH

# Names of the columns of a table, in lower case; of several columns of wavelengths the first of these is taken.
WAVELENGTH_COLUMNS = ("wavelength_vac", "wavelength", "wave", "lambda", "wl")
OTHER_NAMES = {
    "log_gf": ("log_gf", "loggf", "log gf", "log(gf)"),
    "excitation": ("excitation", "ep", "e_low", "elow", "excit", "expot", "chi"),
}
# Above this an energy is no eV; a unit says that it is, up to more than any star's lines have.
MOST_EXCITATION, _MOST_WITH_UNIT = 50.0, 1000.0
_OTHERWISE = (
    "; if it is a list of VALD, Kurucz or MOOG, name it as format='vald', 'kurucz' or 'moog' (of MOOG four columns: "
    "wavelength, species, excitation, log gf)"
)


def read_table(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read a table that astropy reads, with a column of wavelengths in vacuum."""
    try:
        table = _any_table(path)
        table.convert_bytestring_to_unicode()
    except Exception as error:
        # Readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} cannot be read as a table: {error}{_OTHERWISE}") from error
    found = {str(name).casefold(): name for name in table.colnames}
    wavelength = wavelength_column(table.colnames)
    if wavelength is None:
        raise ValueError(
            f"{path}, read as a table, has no column 'wavelength'; it has {', '.join(table.colnames)}{_OTHERWISE}"
        )
    text = ListRows(path, [", ".join(map(str, row)) for row in table], list(range(1, len(table) + 1)), "row")
    columns = {"wavelength": _angstrom(text, table[wavelength])}
    for name, others in OTHER_NAMES.items():
        column = next((table[found[other]] for other in others if other in found), None)
        columns[name] = np.full(len(table), np.nan) if column is None else _numbers(text, column, name)
    columns |= {name: _numbers(text, table[found[name]], name) for name in ("damping",) if name in found}
    words = {name: np.array(_text(table[found[name]]), str) for name in ("isotope", "source") if name in found}
    return columns | _table_species(text, table, found) | words, False


def wavelength_column(names: Iterable[Any]) -> Any:
    """Return the name of a table's column of wavelengths, that in vacuum if it has several; None if it has none."""
    spelled = {str(name).casefold(): name for name in names}
    return next((spelled[name] for name in WAVELENGTH_COLUMNS if name in spelled), None)


def refuse_other_unit(path: str, wavelength: np.ndarray, what_to_do: str) -> None:
    """Raise ValueError if wavelengths (L,) are too small for Angstrom."""
    if len(wavelength) and wavelength.max() < LEAST_WAVELENGTH:
        raise ValueError(
            f"{path} has wavelengths of {wavelength.min():g} to {wavelength.max():g}, which are no Angstrom: "
            f"{what_to_do}"
        )


def _any_table(path: str) -> Table:
    csv = re.search(r"\.csv(\.gz)?$", path.casefold())
    with open(path, "rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    if not csv and not marked:
        try:
            return Table.read(path)
        except (OSError, registry.IORegistryError):
            pass
    rows = lines_of_text(path).rows
    if csv:
        return Table.read(rows, format="ascii.csv")
    try:
        return Table.read(rows, format="ascii")
    except Exception:
        # What astropy says is a page of all that it tried.
        raise ValueError("astropy recognizes no format of tables in it") from None


def _angstrom(text: ListRows, column: Any) -> np.ndarray:
    values = _in_unit(text, column, "wavelength", "Angstrom")
    for row in np.flatnonzero(~(np.isfinite(values) & (values > 0)))[:1]:
        raise text.error(row, f"expected a wavelength above zero, got {values[row]:g}")
    if column.unit is None:
        refuse_other_unit(text.path, values, "give the column its unit, as ECSV, FITS and VOTable keep it")
    return values


def _numbers(text: ListRows, column: Any, name: str) -> np.ndarray:
    if name != "excitation":
        return _in_unit(text, column, name)
    values = _in_unit(text, column, name, "eV")
    most = MOST_EXCITATION if column.unit is None else _MOST_WITH_UNIT
    way_out = (
        "if it is in cm^-1, give the column this unit, as ECSV, FITS and VOTable keep it, or divide by 8065.544"
        if column.unit is None
        else f"the unit of the column is {column.unit}: give it the one that it has"
    )
    for row in np.flatnonzero((values < 0) | (values > most))[:1]:
        raise text.error(row, f"expected an excitation of 0 to {most:g} eV, got {values[row]:g}; {way_out}")
    return values


def _in_unit(text: ListRows, column: Any, name: str, unit: str = "") -> np.ndarray:
    """Return a column as numbers, NaN where it has none, in a unit if it has one."""
    given = np.ma.asarray(getattr(column, "value", column))
    is_text = given.dtype.kind not in "biuf"
    values = text.floats(name, _text(given), np.nan) if is_text else np.ma.filled(given.astype(float), np.nan)
    if not unit or column.unit is None:
        return values
    try:
        return units.Quantity(values, column.unit).to_value(unit, equivalencies=units.spectral())
    except (units.UnitsError, TypeError) as error:
        raise ValueError(f"{text.path}: the column of {name} is in {column.unit}, which is no {unit}") from error


def _text(column: Any) -> list[str]:
    return [str(each) for each in np.ma.filled(np.ma.asarray(column).astype(str), "")]


def _table_species(text: ListRows, table: Table, found: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the species of a table by its column "species", or "element" and "ion"; empty text without either."""
    column = next((found[name] for name in ("species", "element") if name in found), None)
    if column is None:
        return text.species([("", 0, "")] * len(table))
    return text.species(listed_species(_text(table[column]), _text(table[found["ion"]]) if "ion" in found else None))
