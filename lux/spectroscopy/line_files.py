"""Lists of lines as others write them: VALD, Kurucz, MOOG, and tables with a column of wavelengths."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import ascii as text_tables
from astropy.io import registry
from astropy.table import Table
from astropy.utils.data import get_readable_fileobj

from lux.survey import ELEMENTS, LEAST_WAVELENGTH

# Names of the columns of a table, in lower case.
WAVELENGTH_COLUMNS = ("wavelength", "wave", "lambda", "wl", "wavelength_vac")
_OTHER_NAMES = {
    "log_gf": ("log_gf", "loggf", "log gf", "log(gf)"),
    "excitation": ("excitation", "ep", "e_low", "elow", "excit", "expot", "chi"),
}
_SYMBOLS = tuple(symbol.capitalize() for symbol in ELEMENTS)
# ELEMENTS leaves out what no star shows beyond bismuth, 83.
_NUMBERED = {number: symbol for number, symbol in enumerate(_SYMBOLS[:83], start=1)} | {90: "Th", 92: "U"}
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
# Of molecules, by the atomic numbers in their codes.
_MOLECULES = {
    (1, 1): "H2", (1, 6): "CH", (1, 7): "NH", (1, 8): "OH", (1, 12): "MgH", (1, 13): "AlH", (1, 14): "SiH",
    (1, 20): "CaH", (1, 22): "TiH", (1, 24): "CrH", (1, 26): "FeH", (6, 6): "C2", (6, 7): "CN", (6, 8): "CO",
    (7, 7): "N2", (7, 8): "NO", (8, 8): "O2", (8, 12): "MgO", (8, 13): "AlO", (8, 14): "SiO", (8, 20): "CaO",
    (8, 22): "TiO", (8, 23): "VO", (8, 39): "YO", (8, 40): "ZrO", (8, 57): "LaO", (1, 1, 8): "H2O",
}  # fmt: skip
# Below this (Angstrom) lists in air give wavelengths in vacuum.
VACUUM_BELOW = 2000.0
_INVERSE_CM = float((1 / units.cm).to_value(units.eV, equivalencies=units.spectral()))
_VALD_LINE = re.compile(r"\s*'\s*[A-Z][A-Za-z0-9]*\s+\d+\s*'\s*,")
_VALD_WAVELENGTH = re.compile(r"WL(?:_(air|vac))?\(([^)]*)\)")
_VALD_ENERGY = re.compile(r"(?:E_low|Excit)\(([^)]*)\)")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d?)+")
# First and last character of what is read of Kurucz' lines, FORMAT(F11.4, F7.3, F6.2, F12.3, F5.2, 1X, A10, ...).
_KURUCZ = {
    "wavelength": (0, 10), "log_gf": (11, 17), "code": (18, 23), "first": (24, 35), "second": (52, 63),
    "damping": (92, 97), "hyperfine": (109, 114), "isotopic": (118, 123),
}  # fmt: skip


@dataclass(frozen=True)
class _File:
    """A list of lines as text; `rows` are those that hold a spectral line each, `numbers` theirs, from 1."""

    path: str
    rows: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def keep(self, wanted: Callable[[str], Any]) -> "_File":
        kept = [(row, number) for row, number in zip(self.rows, self.numbers, strict=True) if wanted(row)]
        return _File(self.path, [row for row, _ in kept], [number for _, number in kept])

    def error(self, row: int, message: str) -> ValueError:
        return ValueError(f"{self.path}, line {self.numbers[row]}: {message}: {self.rows[row].strip()[:60]!r}")

    def floats(self, name: str, values: Iterable[str], blank: float | None = None) -> np.ndarray:
        """Return a column as numbers; ValueError with the line if there is something else."""
        found = []
        for row, value in enumerate(values):
            try:
                found.append(blank if blank is not None and not value.strip() else float(value))
            except ValueError:
                raise self.error(row, f"expected a number as {name}, got {value.strip()!r}") from None
        return np.array(found, float)


def read_columns(path: str | os.PathLike, file_format: str | None = None) -> tuple[dict[str, np.ndarray], bool]:
    """Return the columns of a `LineList`, wavelengths in Angstrom as listed, and whether those above 2000 are in air.

    Arguments and errors are those of `LineList.read`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no list of lines at {path}")
    if file_format is not None and file_format not in _READERS:
        raise ValueError(f"lists of lines have the format {', '.join(map(repr, _READERS))}, got {file_format!r}")
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
        with get_readable_fileobj(str(path), encoding="utf-8") as file:
            rows = file.read().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}; for a table, give format='table'") from error
    return _File(str(path), rows, list(range(1, len(rows) + 1)))


def _recognized(path: str | os.PathLike) -> str:
    if re.search(r"\.(ecsv|csv|fits?|vot|xml|parquet|h5|hdf5)(\.gz)?$", str(path).casefold()):
        return "table"
    rows = _lines_of_text(path).rows
    if any(_VALD_WAVELENGTH.search(row) for row in rows[:10]):
        return "vald"
    filled = [row for row in rows if row.strip()][:50]
    if filled and all(len(row) > _KURUCZ["second"][1] and _is_kurucz(row) for row in filled):
        return "kurucz"
    return "moog" if len(filled) > 1 and all(_moog_fields(row) for row in filled[1:]) else "table"


def _is_kurucz(row: str) -> bool:
    fields = [row[begin : end + 1] for begin, end in _KURUCZ.values()]
    return bool(re.fullmatch(r"\s*\d+\.\d{4}", fields[0]) and re.fullmatch(r"\s*\d+\.\d\d", fields[2])) and all(
        re.fullmatch(r"\s*-?\d+\.\d*\s*", each) for each in (fields[1], fields[3], fields[4])
    )


def _moog_fields(row: str) -> list[str]:
    """Return wavelength, species, excitation and log gf of a row of MOOG's, none if it is another row."""
    fields = row.split()[:4]
    number = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?\.?"
    return fields if len(fields) == 4 and all(re.fullmatch(number, each) for each in fields) else []


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
    text = text.keep(_VALD_LINE.match)
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
    species = [_named_species(text, row, name, match[1] is None) for row, name in enumerate(table["species"])]
    # Above zero it is a cross-section and its exponent instead (Anstee, Barklem and O'Mara).
    return columns | _species_columns(species) | {"damping": np.where(widths < 0, widths, 0)}, match[1] != "vac"


def _vald_fields(text: _File, count: int) -> list[list[str]]:
    reader = text_tables.get_reader(reader_cls=text_tables.NoHeader, delimiter=",", quotechar="'")
    rows = list(reader.data.splitter(text.rows))
    for row, fields in enumerate(rows):
        if len(fields) < count or len(fields) != len(rows[0]):
            raise text.error(row, f"expected {max(count, len(rows[0]))} fields, got {len(fields)}")
    return rows


def _kurucz(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read Kurucz' gf files of 160 columns: nm in air, cm^-1, components of hyperfine structure and isotopes."""
    text = _lines_of_text(path).keep(str.strip)
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
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
    species = [_coded_species(text, row, code, ion_digits=2) for row, code in enumerate(table["code"])]
    # An energy below zero is predicted; the lower of the two levels may come second.
    energy = np.minimum(np.abs(column["first"]), np.abs(column["second"]))
    return _species_columns(species) | {
        "wavelength": 10 * column["wavelength"],
        "log_gf": column["log_gf"] + parts["hyperfine"] + parts["isotopic"],
        "excitation": energy * _INVERSE_CM,
        "damping": parts["damping"],
    }, True


def _moog(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read MOOG's and linemake's lists: Angstrom in air, a code such as 63.1, eV, log gf; the first row is a title."""
    text = _lines_of_text(path)
    if text.rows and not _moog_fields(text.rows[0]):
        text = _File(path, text.rows[1:], text.numbers[1:])
    text = text.keep(lambda row: row.strip() and not row.lstrip().startswith("#"))
    for row, each in enumerate(text.rows):
        if not _moog_fields(each):
            raise text.error(row, "expected wavelength, species, excitation and log gf")
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
    names = ["wavelength", "code", "excitation", "log_gf"]
    rows = [" ".join(_moog_fields(row)) for row in text.rows]
    table = text_tables.read(rows, format="no_header", names=names, converters={"*": [str]}, guess=False)
    species = [_coded_species(text, row, code, ion_digits=1) for row, code in enumerate(table["code"])]
    columns = {name: text.floats(name, table[name]) for name in ("wavelength", "excitation", "log_gf")}
    # MOOG marks blends by a negative wavelength.
    return columns | _species_columns(species) | {"wavelength": np.abs(columns["wavelength"])}, True


def _table(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read a table that astropy reads, with a column of wavelengths in vacuum."""
    try:
        table = Table.read(path, format="ascii.csv") if path.casefold().endswith(".csv") else _any_table(path)
        table.convert_bytestring_to_unicode()
    except Exception as error:
        # Readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} is no list of VALD, Kurucz or MOOG and cannot be read as a table: {error}") from error
    found = {str(name).casefold(): name for name in table.colnames}
    wavelength = next((found[name] for name in WAVELENGTH_COLUMNS if name in found), None)
    if wavelength is None:
        raise ValueError(f"{path} has no column {WAVELENGTH_COLUMNS[0]!r}; it has {', '.join(table.colnames)}")
    columns = {"wavelength": _angstrom(path, table[wavelength])}
    for name, others in _OTHER_NAMES.items():
        column = next((table[found[other]] for other in others if other in found), None)
        columns[name] = np.full(len(table), np.nan) if column is None else _numbers(column, name)
    columns |= {name: _numbers(table[found[name]], name) for name in ("damping",) if name in found}
    text = {name: _text(table[found[name]]) for name in ("isotope", "source") if name in found}
    return columns | _table_species(path, table, found) | text, False


def _any_table(path: str) -> Table:
    try:
        return Table.read(path)
    except (OSError, registry.IORegistryError):
        pass
    try:
        return Table.read(path, format="ascii")
    except Exception:
        # What astropy says is a page of all that it tried.
        raise ValueError("astropy recognizes no format of tables in it") from None


def _angstrom(path: str, column: Any) -> np.ndarray:
    values: np.ndarray = np.ma.filled(np.ma.asarray(getattr(column, "value", column), float), np.nan)
    if column.unit is not None:
        values = units.Quantity(values, column.unit).to_value("Angstrom", equivalencies=units.spectral())
    elif len(values) and np.nanmax(values) < LEAST_WAVELENGTH:
        raise ValueError(
            f"{path} has wavelengths of {np.nanmin(values):g} to {np.nanmax(values):g}, which are no Angstrom: give "
            "the column its unit, as ECSV, FITS and VOTable keep it"
        )
    if not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError(f"{path} has wavelengths that are missing or not positive")
    return values


def _numbers(column: Any, name: str) -> np.ndarray:
    values: np.ndarray = np.ma.filled(np.ma.asarray(getattr(column, "value", column), float), np.nan)
    if name == "excitation" and column.unit is not None:
        return units.Quantity(values, column.unit).to_value("eV", equivalencies=units.spectral())
    return values


def _text(column: Any) -> np.ndarray:
    return np.array([str(each) for each in np.ma.filled(np.ma.asarray(column).astype(str), "")])


def _table_species(path: str, table: Table, found: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the species of a table by its column "species", or "element" and "ion"; empty text without either."""
    text = _File(path, [str(tuple(row)) for row in table], list(range(1, len(table) + 1)))
    if "species" in found:
        names = _text(table[found["species"]])
        coded = [bool(re.fullmatch(r"\d+\.\d*", name)) for name in names]
        return _species_columns(
            [
                _coded_species(text, row, name, 1) if coded[row] else _named_species(text, row, name)
                for row, name in enumerate(names)
            ]
        )
    if "element" in found:
        ions = np.asarray(table[found["ion"]], int) if "ion" in found else np.zeros(len(table), int)
        given = [f"{name} {ion + 1}" for name, ion in zip(_text(table[found["element"]]), ions, strict=True)]
        return _species_columns([_named_species(text, row, name) for row, name in enumerate(given)])
    return _species_columns([("", 0, "")] * len(table))


_READERS: dict[str, Callable[[str], tuple[dict[str, np.ndarray], bool]]] = {
    "vald": _vald,
    "kurucz": _kurucz,
    "moog": _moog,
    "table": _table,
}


def _species_columns(species: Sequence[tuple[str, int, str]]) -> dict[str, np.ndarray]:
    """Return the columns of elements or molecules, their charges and isotopes."""
    elements, ions, isotopes = (list(column) for column in zip(*species, strict=True)) if species else ([], [], [])
    names = [
        f"{element} {_ROMAN[ion]}" if element in _SYMBOLS else element
        for element, ion in zip(elements, ions, strict=True)
    ]
    return {
        "species": np.array(names, str),
        "element": np.array(elements, str),
        "ion": np.array(ions, int),
        "isotope": np.array(isotopes, str),
    }


def _named_species(text: _File, row: int, name: str, capitals: bool = False) -> tuple[str, int, str]:
    """Return the element or molecule and the charge of a name such as "Fe 1", "Fe II", "CO 1"."""
    symbol, _, stage = name.strip().partition(" ")
    stage = stage.strip().upper() or "I"
    ion = int(stage) - 1 if stage.isdigit() else _ROMAN.index(stage) if stage in _ROMAN else -1
    if capitals or (symbol not in _SYMBOLS and not _is_formula(symbol)):
        symbol = symbol.capitalize()
    if not 0 <= ion < len(_ROMAN) or not (symbol in _SYMBOLS or _is_formula(symbol)):
        raise text.error(row, f"expected a species such as 'Fe 1', 'Eu II' or 'CN', got {name.strip()!r}")
    return symbol, ion, ""


def _is_formula(name: str) -> bool:
    return bool(_FORMULA.fullmatch(name)) and all(each in _SYMBOLS for each in re.findall(r"[A-Z][a-z]?", name))


def _coded_species(text: _File, row: int, code: str, ion_digits: int) -> tuple[str, int, str]:
    """Return the element or molecule, charge and isotopes of a code.

    Before the point stand the atomic numbers, two digits each, after it the charge in `ion_digits`; then, in MOOG's
    codes, the masses of a molecule's atoms, as in 106.00112 for CH of hydrogen 1 and carbon 12.
    """
    numbers, _, rest = code.strip().partition(".")
    pairs = re.findall("..", numbers.zfill(len(numbers) + len(numbers) % 2))
    atoms = tuple(int(pair) for pair in pairs)
    charge = rest[:ion_digits].ljust(ion_digits, "0")
    element = _NUMBERED.get(atoms[0]) if len(atoms) == 1 else _MOLECULES.get(tuple(sorted(atoms)))
    if element is None or not charge.isdigit() or int(charge) >= len(_ROMAN):
        raise text.error(row, f"the code {code.strip()!r} is of no element or molecule that is known here")
    masses = [int(mass) for mass in re.findall("..", rest[ion_digits:])]
    if len(atoms) != 2 or len(masses) != 2 or 0 in masses:
        return element, int(charge), ""
    return element, int(charge), _isotope(element, dict(zip(atoms, masses, strict=True)), masses)


def _isotope(formula: str, mass_of: Mapping[int, int], masses: Sequence[int]) -> str:
    """Return the isotopes of a molecule as text such as "12C14N", its atoms in the order of the formula."""
    symbols = re.findall(r"[A-Z][a-z]?", formula)
    if len(symbols) == 1:
        return "".join(f"{mass}{symbols[0]}" for mass in sorted(masses))
    by_symbol = {_NUMBERED[number]: mass for number, mass in mass_of.items()}
    return "".join(f"{by_symbol[symbol]}{symbol}" for symbol in symbols)
