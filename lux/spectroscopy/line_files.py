"""Lists of lines as others write them: VALD, Kurucz, MOOG, and tables with a column of wavelengths."""

import codecs
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import ascii as text_tables

from lux.spectroscopy.line_rows import NUMBER, ListRows, lines_of_text
from lux.spectroscopy.line_tables import (
    MOST_EXCITATION,
    OTHER_NAMES,
    WAVELENGTH_COLUMNS,
    read_table,
    refuse_other_unit,
)
from lux.spectroscopy.species import coded_species, named_species

# Below this (Angstrom) lists in air give wavelengths in vacuum.
VACUUM_BELOW = 2000.0
# In the row of names of a table with MOOG's columns, one of these stands beside that of the wavelengths.
_BESIDE_WAVELENGTH = {"species"}.union(*OTHER_NAMES.values())
_INVERSE_CM = float((1 / units.cm).to_value(units.eV, equivalencies=units.spectral()))
_VALD_LINE = re.compile(r"\s*'\s*[A-Z][A-Za-z0-9]*\s+\d+\s*'\s*,")
_VALD_WAVELENGTH = re.compile(r"W[LN](?:_(air|vac))?\(([^)]*)\)")
_VALD_ENERGY = re.compile(r"(?:E_low|Excit)\(([^)]*)\)")
_KURUCZ_WAVELENGTH = re.compile(r"\s*\d+\.\d{4}(?!\d)")
_KURUCZ_MOLECULE = re.compile(r"\s*\d+\.\d{4}\s*-?\d+\.\d{3}(?:\s*\d+\.\d\s*-?\d+\.\d{3}){2}\s*\d{3,4}[A-Z]")
_MOOG = ("wavelength", "code", "excitation", "log_gf")
# First and last character of what is read of Kurucz' lines, FORMAT(F11.4, F7.3, F6.2, F12.3, F5.2, 1X, A10, ...).
_KURUCZ = {
    "wavelength": (0, 10), "log_gf": (11, 17), "code": (18, 23), "first": (24, 35), "second": (52, 63),
    "damping": (92, 97), "hyperfine": (109, 114), "isotopic": (118, 123),
}  # fmt: skip


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


def _recognized(path: str | os.PathLike) -> str:
    if re.search(r"\.(ecsv|csv|fits?|vot|xml|parquet|h5|hdf5)(\.gz)?$", str(path).casefold()):
        return "table"
    text = lines_of_text(path)
    if any(_VALD_WAVELENGTH.search(row) for row in text.rows[:10]):
        return "vald"
    rows = text.without_title().rows[:50]
    if rows and (_KURUCZ_MOLECULE.match(rows[0]) or all(map(_is_kurucz, rows))):
        return "kurucz"
    if not rows or not all(map(_moog_fields, rows)):
        return "table"
    return "table" if _names_of_columns(text, {len(row.split()) for row in rows}) else "moog"


def _names_of_columns(text: ListRows, counts: set[int]) -> bool:
    """Whether one of the rows before the first of numbers names columns; `counts` are how many those of numbers have.

    Raises
    ------
    ValueError
        If it names one of wavelengths alone, as the title of a list of MOOG may.
    """
    for number, row in enumerate(text.rows[:50]):
        if _moog_fields(row):
            return False
        words = re.findall(r"[^\s,;|#]+", row.casefold().replace("log gf", "log_gf"))
        if not set(words) & set(WAVELENGTH_COLUMNS):
            continue
        if set(words) & _BESIDE_WAVELENGTH:
            return True
        if len(words) in counts:
            raise text.error(
                number,
                "expected a title, or names of columns such as 'wavelength species excitation log_gf', and this may be "
                "either: give format='moog' or format='table'",
            )
    return False


def _with_blanks(row: str) -> str:
    """Return a row of Kurucz' with the blanks that it begins with, if they were cut off."""
    match = _KURUCZ_WAVELENGTH.match(row)
    return " " * (_KURUCZ["log_gf"][0] - match.end()) + row if match else row


def _is_kurucz(row: str) -> bool:
    row = _with_blanks(row)
    if len(row) <= _KURUCZ["second"][1]:
        return False
    fields = [row[begin : end + 1] for begin, end in _KURUCZ.values()]
    return bool(re.fullmatch(r"\s*\d+\.\d{4}", fields[0]) and re.fullmatch(r"\s*\d+\.\d\d", fields[2])) and all(
        re.fullmatch(r"\s*-?(\d+\.\d*|\.\d+)\s*", each) for each in (fields[1], fields[3], fields[4])
    )


def _moog_fields(row: str) -> list[str]:
    """Return wavelength, species, excitation and log gf of a row of MOOG's, none if it is another row."""
    fields = row.split()[:4]
    return fields if len(fields) == 4 and all(map(NUMBER.fullmatch, fields)) else []


def _is_vald(row: str) -> bool:
    """Whether a row has a name in quotes and numbers, unlike those of levels, references and abundances."""
    if _VALD_LINE.match(row):
        return True
    _, quote, rest = row.lstrip().removeprefix("'").partition("'")
    is_named = bool(quote) and row.lstrip().startswith("'") and rest.lstrip().startswith(",")
    return is_named and sum(bool(NUMBER.fullmatch(each)) for each in rest.split(",")[1:]) >= 6


def _vald(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read what VALD extracts: of a star, an element or all, long (four rows a line) or short.

    The header says the units, and air or vacuum; VALD 2, which says neither, gave air and elements in capitals.
    """
    text = lines_of_text(path)
    header = _vald_header(text)
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


def _vald_header(text: ListRows) -> str:
    """Return the row that says the units, empty if there is none; ValueError if extractions with others follow."""
    headers = [
        (row, " ".join(row.split())) for row in text.rows if _VALD_WAVELENGTH.search(row) and _VALD_ENERGY.search(row)
    ]
    if others := [said for _, said in headers if said != headers[0][1]]:
        raise ValueError(
            f"{text.path} has extractions of VALD with different columns or units, {headers[0][1][:50]!r} and "
            f"{others[0][:50]!r}: give each as a file of its own"
        )
    return headers[0][0] if headers else next(filter(_VALD_WAVELENGTH.search, text.rows), "")


def _vald_fields(text: ListRows, count: int) -> list[list[str]]:
    reader = text_tables.get_reader(reader_cls=text_tables.NoHeader, delimiter=",", quotechar="'")
    rows = list(reader.data.splitter(text.rows))
    for row, fields in enumerate(rows):
        if len(fields) < count or len(fields) != len(rows[0]):
            raise text.error(row, f"expected {max(count, len(rows[0]))} fields, got {len(fields)}")
    return rows


def _kurucz(path: str) -> tuple[dict[str, np.ndarray], bool]:
    """Read Kurucz' gf files of 160 columns: nm in air, cm^-1, components of hyperfine structure and isotopes."""
    text = lines_of_text(path).without_title()
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
    if _KURUCZ_MOLECULE.match(text.rows[0]):
        raise text.error(0, "Kurucz' lists of molecules are not read, but his gf files; give the lines as a table")
    width = max(end for _, end in _KURUCZ.values()) + 1
    table = text_tables.read(
        [_with_blanks(row).ljust(width) for row in text.rows],
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
    text = lines_of_text(path).without_title()
    rows = [_moog_fields(row) for row in text.rows]
    for row, fields in enumerate(rows):
        if not fields:
            raise text.error(row, "expected wavelength, species, excitation and log gf, four numbers")
    if not text.rows:
        return {"wavelength": np.empty(0)}, True
    table = {name: [fields[place] for fields in rows] for place, name in enumerate(_MOOG)}
    columns = {name: text.floats(name, table[name]) for name in ("wavelength", "excitation", "log_gf")}
    refuse_other_unit(
        path,
        np.abs(columns["wavelength"]),
        "MOOG's are; give them so, or name what it is, such as format='kurucz', of which the wavelengths are in nm",
    )
    if len(text.rows) > 1 and np.all(columns["log_gf"] > 0):
        raise ValueError(
            f"{path} has only values above zero as log gf, from {columns['log_gf'].min():g} to "
            f"{columns['log_gf'].max():g}, as if they were gf: give log gf; if they are that, give the lines as a "
            "table with a column 'log_gf', in vacuum; if it is a list of Kurucz, give format='kurucz'"
        )
    columns["excitation"] *= _unit_of_moog(text, columns["excitation"])
    species = text.species(coded_species(table["code"], ion_digits=1))
    # MOOG marks blends by a negative wavelength.
    return columns | species | {"wavelength": np.abs(columns["wavelength"])}, True


def _unit_of_moog(text: ListRows, energy: np.ndarray) -> float:
    """Return the eV in which energies (L,) are given: where one is above 50 MOOG's Inlines.f takes all for cm^-1."""
    for row in np.flatnonzero(energy < 0)[:1]:
        raise text.error(row, f"expected the excitation as the third number, not below zero, got {energy[row]:g}")
    high = energy > MOST_EXCITATION
    for row in np.flatnonzero(high)[:1]:
        if np.any(~high & (energy > 0)):
            raise text.error(row, f"an excitation of {energy[row]:g} is no eV, and others are no cm^-1; give all in eV")
    return _INVERSE_CM if np.any(high) else 1.0


_READERS: dict[str, Callable[[str], tuple[dict[str, np.ndarray], bool]]] = {
    "vald": _vald,
    "kurucz": _kurucz,
    "moog": _moog,
    "table": read_table,
}
