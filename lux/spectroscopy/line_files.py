"""Lists of lines as others write them: VALD, Kurucz, MOOG, and tables with a column of wavelengths."""

import codecs
import functools
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import ascii as text_tables
from astropy.io import registry
from astropy.table import Table
from astropy.utils.data import get_readable_fileobj

from lux.spectroscopy.species import (
    Species,
    coded_species,
    has_stage,
    ionized_species,
    named_species,
    species_columns,
)
from lux.survey import LEAST_WAVELENGTH

# Names of the columns of a table, in lower case.
WAVELENGTH_COLUMNS = ("wavelength", "wave", "lambda", "wl", "wavelength_vac")
_OTHER_NAMES = {
    "log_gf": ("log_gf", "loggf", "log gf", "log(gf)"),
    "excitation": ("excitation", "ep", "e_low", "elow", "excit", "expot", "chi"),
}
# Below this (Angstrom) lists in air give wavelengths in vacuum.
VACUUM_BELOW = 2000.0
_OTHERWISE = (
    "; if it is a list of VALD, Kurucz or MOOG, name it as format='vald', 'kurucz' or 'moog' (of MOOG four columns: "
    "wavelength, species, excitation, log gf)"
)
_INVERSE_CM = float((1 / units.cm).to_value(units.eV, equivalencies=units.spectral()))
# Above this an energy is no eV.
_MOST_EXCITATION = 50.0
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?\s*")
_VALD_LINE = re.compile(r"\s*'\s*[A-Z][A-Za-z0-9]*\s+\d+\s*'\s*,")
_VALD_WAVELENGTH = re.compile(r"W[LN](?:_(air|vac))?\(([^)]*)\)")
_VALD_ENERGY = re.compile(r"(?:E_low|Excit)\(([^)]*)\)")
_KURUCZ_MOLECULE = re.compile(r"\s*\d+\.\d{4}\s*-?\d+\.\d{3}(?:\s*\d+\.\d\s*-?\d+\.\d{3}){2}\s*\d{3,4}[A-Z]")
_MOOG = ("wavelength", "code", "excitation", "log_gf")
# First and last character of what is read of Kurucz' lines, FORMAT(F11.4, F7.3, F6.2, F12.3, F5.2, 1X, A10, ...).
_KURUCZ = {
    "wavelength": (0, 10), "log_gf": (11, 17), "code": (18, 23), "first": (24, 35), "second": (52, 63),
    "damping": (92, 97), "hyperfine": (109, 114), "isotopic": (118, 123),
}  # fmt: skip


@dataclass(frozen=True)
class _File:
    """A list of lines as text; `rows` are those that hold a spectral line each, `numbers` theirs, from 1.

    A `unit` is what is numbered, a line of the file or a row of the table in it.
    """

    path: str
    rows: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unit: str = "line"

    def keep(self, wanted: Callable[[str], Any]) -> "_File":
        kept = [(row, number) for row, number in zip(self.rows, self.numbers, strict=True) if wanted(row)]
        return _File(self.path, [row for row, _ in kept], [number for _, number in kept], self.unit)

    def error(self, row: int, message: str) -> ValueError:
        return ValueError(f"{self.path}, {self.unit} {self.numbers[row]}: {message}: {self.rows[row].strip()[:60]!r}")

    def floats(self, name: str, values: Iterable[str], blank: float | None = None) -> np.ndarray:
        """Return a column as numbers; ValueError with the line if there is something else."""
        found = []
        for row, value in enumerate(values):
            try:
                found.append(blank if blank is not None and not value.strip() else float(value))
            except ValueError:
                raise self.error(row, f"expected a number as {name}, got {value.strip()!r}") from None
        return np.array(found, float)

    def species(self, found: Iterable[Species | ValueError]) -> dict[str, np.ndarray]:
        """Return the columns of species; ValueError with the line of the first that is wrong."""
        known = []
        for row, each in enumerate(found):
            if isinstance(each, ValueError):
                raise self.error(row, str(each))
            known.append(each)
        return species_columns(known)

    def without_title(self) -> "_File":
        """Return what is left without empty rows, comments, and a first row that has fewer than three numbers."""
        text = self.keep(lambda row: row.strip() and not row.lstrip().startswith("#"))
        title = bool(text.rows) and sum(bool(_NUMBER.fullmatch(each)) for each in text.rows[0].split()[:4]) < 3
        return _File(text.path, text.rows[title:], text.numbers[title:])


def read_columns(path: str | os.PathLike, file_format: str | None = None) -> tuple[dict[str, np.ndarray], bool]:
    """Return the columns of a `LineList`, wavelengths in Angstrom as listed, and whether those above 2000 are in air.

    Arguments and errors are those of `LineList.read`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no list of lines at {path}")
    if file_format is not None and file_format not in _READERS:
        raise ValueError(f"lists of lines have the format {', '.join(map(repr, _READERS))}, got {file_format!r}")
    with open(path, "rb") as file:
        if not file.read(10_000).removeprefix(codecs.BOM_UTF8).strip():
            raise ValueError(f"{path} is empty; expected a list of lines")
    file_format = file_format or _recognized(path)
    columns, in_air = _READERS[file_format](str(path))
    n_lines = len(columns["wavelength"])
    if not n_lines:
        raise ValueError(f"{path}, read as {file_format!r}, has no lines; if it is another format, name it as format=")
    columns.setdefault("damping", np.zeros(n_lines))
    columns.setdefault("source", np.full(n_lines, Path(path).name))
    return columns, in_air


def _lines_of_text(path: str | os.PathLike) -> _File:
    try:
        # Gzipped too, as VALD sends them.
        with get_readable_fileobj(str(path), encoding="utf-8-sig") as file:
            rows = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}; for a table, give format='table'") from error
    return _File(str(path), rows, list(range(1, len(rows) + 1)))


def _recognized(path: str | os.PathLike) -> str:
    if re.search(r"\.(ecsv|csv|fits?|vot|xml|parquet|h5|hdf5)(\.gz)?$", str(path).casefold()):
        return "table"
    text = _lines_of_text(path)
    if any(_VALD_WAVELENGTH.search(row) for row in text.rows[:10]):
        return "vald"
    rows = text.without_title().rows[:50]
    if rows and (_KURUCZ_MOLECULE.match(rows[0]) or all(map(_is_kurucz, rows))):
        return "kurucz"
    if not rows or _names_of_columns(text):
        return "table"
    return "moog" if all(map(_moog_fields, rows)) else "table"


def _names_of_columns(text: _File) -> bool:
    """Whether one of the rows before the first of numbers names a column of wavelengths."""
    for row in filter(str.strip, text.rows[:50]):
        if _moog_fields(row):
            return False
        if set(re.split(r"[\s,;|]+", row.casefold().lstrip("# "))) & set(WAVELENGTH_COLUMNS):
            return True
    return False


def _is_kurucz(row: str) -> bool:
    if len(row) <= _KURUCZ["second"][1]:
        return False
    fields = [row[begin : end + 1] for begin, end in _KURUCZ.values()]
    return bool(re.fullmatch(r"\s*\d+\.\d{4}", fields[0]) and re.fullmatch(r"\s*\d+\.\d\d", fields[2])) and all(
        re.fullmatch(r"\s*-?\d+\.\d*\s*", each) for each in (fields[1], fields[3], fields[4])
    )


def _moog_fields(row: str) -> list[str]:
    """Return wavelength, species, excitation and log gf of a row of MOOG's, none if it is another row."""
    fields = row.split()[:4]
    return fields if len(fields) == 4 and all(map(_NUMBER.fullmatch, fields)) else []


def _is_vald(row: str) -> bool:
    """Whether a row has a name in quotes and numbers, unlike those of levels, references and abundances."""
    if _VALD_LINE.match(row):
        return True
    _, quote, rest = row.lstrip().removeprefix("'").partition("'")
    is_named = bool(quote) and row.lstrip().startswith("'") and rest.lstrip().startswith(",")
    return is_named and sum(bool(_NUMBER.fullmatch(each)) for each in rest.split(",")[1:]) >= 6


def _vald(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read what VALD extracts: of a star, an element or all, long (four rows a line) or short.

    The header says the units, and air or vacuum; VALD 2, which says neither, gave air and elements in capitals.
    """
    text = _lines_of_text(path)
    header = next((row for row in text.rows if _VALD_WAVELENGTH.search(row)), "")
    match, energy = _VALD_WAVELENGTH.search(header), _VALD_ENERGY.search(header)
    if match is None or energy is None:
        raise ValueError(f"{path} has no header of VALD, such as 'Elm Ion  WL_air(A)  Excit(eV)  log gf*'")
    scale = {"A": 1.0, "nm": 10.0}.get(match[2])
    if scale is None:
        raise ValueError(f"{path} has wavelengths in {match[2]}; extract them from VALD in Angstrom or nm")
    text = text.keep(_is_vald)
    names = ["species", "wavelength", "excitation", *["vmic"] * ("Vmic" in header or "Vmct" in header), "log_gf"]
    damping = names.index("log_gf") + 3
    if "E_low" in header:
        names, damping = ["species", "wavelength", "log_gf", "excitation"], 12
    rows = _vald_fields(text, damping + 1)
    if not rows:
        return {"wavelength": np.empty(0)}, True
    table = {name: [fields[column] for fields in rows] for column, name in enumerate(names)}
    columns = {name: text.floats(name, table[name]) for name in ("wavelength", "log_gf", "excitation")}
    widths = text.floats("the Waals damping", (row[damping] for row in rows))
    columns["wavelength"] *= scale
    columns["excitation"] *= 1.0 if energy[1] == "eV" else _INVERSE_CM
    species = text.species(named_species(table["species"], capitals=match[1] is None))
    # Above zero it is a cross-section and its exponent instead (Anstee, Barklem and O'Mara).
    return columns | species | {"damping": np.where(widths < 0, widths, 0)}, match[1] != "vac"


def _vald_fields(text: _File, count: int) -> list[list[str]]:
    reader = text_tables.get_reader(reader_cls=text_tables.NoHeader, delimiter=",", quotechar="'")
    rows = list(reader.data.splitter(text.rows))
    for row, fields in enumerate(rows):
        if len(fields) < count or len(fields) != len(rows[0]):
            raise text.error(row, f"expected {max(count, len(rows[0]))} fields, got {len(fields)}")
    return rows


def _kurucz(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read Kurucz' gf files of 160 columns: nm in air, cm^-1, components of hyperfine structure and isotopes."""
    text = _lines_of_text(path).without_title()
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
    if _KURUCZ_MOLECULE.match(text.rows[0]):
        raise text.error(0, "Kurucz' lists of molecules are not read, but his gf files; give the lines as a table")
    width = max(end for _, end in _KURUCZ.values()) + 1
    table = text_tables.read(
        [row.ljust(width) for row in text.rows],
        format="fixed_width_no_header",
        names=list(_KURUCZ),
        col_starts=[begin for begin, _ in _KURUCZ.values()],
        col_ends=[end for _, end in _KURUCZ.values()],
        converters={"*": [str]},
        fill_values=[],
    )
    column = {name: text.floats(name, table[name]) for name in ("wavelength", "log_gf", "first", "second")}
    parts = {name: text.floats(name, table[name], blank=0.0) for name in ("damping", "hyperfine", "isotopic")}
    species = text.species(coded_species(list(table["code"]), ion_digits=2))
    # An energy below zero is predicted; the lower of the two levels may come second.
    energy = np.minimum(np.abs(column["first"]), np.abs(column["second"]))
    return species | {
        "wavelength": 10 * column["wavelength"],
        "log_gf": column["log_gf"] + parts["hyperfine"] + parts["isotopic"],
        "excitation": energy * _INVERSE_CM,
        "damping": parts["damping"],
    }, True


def _moog(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read MOOG's and linemake's lists: Angstrom in air, a code such as 63.1, eV, log gf; the first row is a title."""
    text = _lines_of_text(path).without_title()
    rows = [_moog_fields(row) for row in text.rows]
    for row, fields in enumerate(rows):
        if not fields:
            raise text.error(row, "expected wavelength, species, excitation and log gf, four numbers")
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
    table = {name: [fields[place] for fields in rows] for place, name in enumerate(_MOOG)}
    columns = {name: text.floats(name, table[name]) for name in ("wavelength", "excitation", "log_gf")}
    if len(text.rows) > 1 and np.all(columns["log_gf"] > 0):
        raise ValueError(
            f"{path} has only values above zero as log gf, from {columns['log_gf'].min():g} to "
            f"{columns['log_gf'].max():g}, as if they were gf: give log gf; if they are that, give the lines as a "
            "table with a column 'log_gf', in vacuum"
        )
    columns["excitation"] *= _unit_of_moog(text, columns["excitation"])
    species = text.species(coded_species(table["code"], ion_digits=1))
    # MOOG marks blends by a negative wavelength.
    return columns | species | {"wavelength": np.abs(columns["wavelength"])}, True


def _unit_of_moog(text: _File, energy: np.ndarray) -> float:
    """Return the eV in which energies (L,) are given: where one is above 50 MOOG's Inlines.f takes all for cm^-1."""
    for row in np.flatnonzero(energy < 0)[:1]:
        raise text.error(row, f"expected the excitation as the third number, not below zero, got {energy[row]:g}")
    high = energy > _MOST_EXCITATION
    for row in np.flatnonzero(high)[:1]:
        if np.any(~high & (energy > 0)):
            raise text.error(row, f"an excitation of {energy[row]:g} is no eV, and others are no cm^-1; give all in eV")
    return _INVERSE_CM if np.any(high) else 1.0


def _table(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read a table that astropy reads, with a column of wavelengths in vacuum."""
    try:
        table = _any_table(path)
        table.convert_bytestring_to_unicode()
    except Exception as error:
        # Readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} cannot be read as a table: {error}{_OTHERWISE}") from error
    found = {str(name).casefold(): name for name in table.colnames}
    wavelength = next((found[name] for name in WAVELENGTH_COLUMNS if name in found), None)
    if wavelength is None:
        raise ValueError(
            f"{path}, read as a table, has no column {WAVELENGTH_COLUMNS[0]!r}; it has {', '.join(table.colnames)}"
            f"{_OTHERWISE}"
        )
    text = _File(path, [", ".join(map(str, row)) for row in table], list(range(1, len(table) + 1)), "row")
    columns = {"wavelength": _angstrom(text, table[wavelength])}
    for name, others in _OTHER_NAMES.items():
        column = next((table[found[other]] for other in others if other in found), None)
        columns[name] = np.full(len(table), np.nan) if column is None else _numbers(text, column, name)
    columns |= {name: _numbers(text, table[found[name]], name) for name in ("damping",) if name in found}
    words = {name: np.array(_text(table[found[name]]), str) for name in ("isotope", "source") if name in found}
    return columns | _table_species(text, table, found) | words, False


def _any_table(path: str) -> Table:
    csv = re.search(r"\.csv(\.gz)?$", path.casefold())
    with open(path, "rb") as file:
        marked = file.read(3) == codecs.BOM_UTF8
    if not csv and not marked:
        try:
            return Table.read(path)
        except (OSError, registry.IORegistryError):
            pass
    rows = _lines_of_text(path).rows
    if csv:
        return Table.read(rows, format="ascii.csv")
    try:
        return Table.read(rows, format="ascii")
    except Exception:
        # What astropy says is a page of all that it tried.
        raise ValueError("astropy recognizes no format of tables in it") from None


def _angstrom(text: _File, column: Any) -> np.ndarray:
    values = _in_unit(text, column, "wavelength", "Angstrom")
    for row in np.flatnonzero(~(np.isfinite(values) & (values > 0)))[:1]:
        raise text.error(row, f"expected a wavelength above zero, got {values[row]:g}")
    if column.unit is None and len(values) and values.max() < LEAST_WAVELENGTH:
        raise ValueError(
            f"{text.path} has wavelengths of {values.min():g} to {values.max():g}, which are no Angstrom: give the "
            "column its unit, as ECSV, FITS and VOTable keep it"
        )
    return values


def _numbers(text: _File, column: Any, name: str) -> np.ndarray:
    if name != "excitation":
        return _in_unit(text, column, name)
    values = _in_unit(text, column, name, "eV")
    for row in np.flatnonzero((values < 0) | ((values > _MOST_EXCITATION) & (column.unit is None)))[:1]:
        raise text.error(
            row,
            f"expected an excitation of 0 to {_MOST_EXCITATION:g} eV, got {values[row]:g}; if it is in cm^-1, give "
            "the column this unit, as ECSV, FITS and VOTable keep it, or divide by 8065.544",
        )
    return values


def _in_unit(text: _File, column: Any, name: str, unit: str = "") -> np.ndarray:
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


def _table_species(text: _File, table: Table, found: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the species of a table by its column "species", or "element" and "ion"; empty text without either."""
    column = next((found[name] for name in ("species", "element") if name in found), None)
    if column is None:
        return text.species([("", 0, "")] * len(table))
    names = _text(table[column])
    coded = [bool(re.fullmatch(r"\d+\.\d*", name)) for name in names]
    if "ion" in found and not any(coded) and not any(map(has_stage, names)):
        return text.species(ionized_species(names, _text(table[found["ion"]])))
    of_codes, of_names = (
        iter(parse([name for name, each in zip(names, coded, strict=True) if each is wanted]))
        for parse, wanted in ((functools.partial(coded_species, ion_digits=1), True), (named_species, False))
    )
    return text.species(next(of_codes if each else of_names) for each in coded)


_READERS: dict[str, Callable[[str], tuple[dict[str, np.ndarray], bool]]] = {
    "vald": _vald,
    "kurucz": _kurucz,
    "moog": _moog,
    "table": _table,
}
