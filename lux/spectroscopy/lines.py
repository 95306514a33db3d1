"""Spectral lines of the H band: the lines of a red giant, of heavy elements, and of the night sky."""

import os
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from astropy.table import Table

from lux.spectroscopy.line_files import VACUUM_BELOW, read_columns
from lux.survey import air_to_vacuum as air_to_vacuum
from lux.survey import vacuum_to_air as vacuum_to_air

_GIANT_TABLE = "giant_lines.ecsv"
_HEAVY_TABLE = "heavy_lines.ecsv"
_AIRGLOW_TABLE = "airglow_lines.ecsv"

# Fraction of each element's solar abundance made by the r-process (Sneden, Cowan & Gallino 2008, Table 2 and text).
R_PROCESS_FRACTION = {
    "Rb": 0.50, "Ba": 0.15, "La": 0.25, "Ce": 0.19, "Pr": 0.51, "Nd": 0.42, "Sm": 0.67, "Eu": 0.98,
    "Gd": 0.82, "Dy": 0.88, "Er": 0.83, "Yb": 0.68, "Cs": 0.85,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LineList:
    """Spectral lines, one entry per line in every array; the lists of this module are in order of wavelength.

    `wavelength` vacuum Angstrom; `species` as written ("Fe I", "CO"); `element` symbol, or the formula of a molecule;
    `ion` 0 for neutral atoms and molecules, 1 for singly ionized; `excitation` of the lower level in eV; `log_gf`
    (NaN where only the position is known); `damping` log10 of the van der Waals width per hydrogen atom at 10,000 K
    in rad/s cm^3 (0 = unknown); `isotope` such as "13C16O" ("" = all isotopes); `source` of the data.
    """

    wavelength: np.ndarray
    species: np.ndarray
    element: np.ndarray
    ion: np.ndarray
    excitation: np.ndarray
    log_gf: np.ndarray
    damping: np.ndarray
    isotope: np.ndarray
    source: np.ndarray

    def __post_init__(self) -> None:
        lengths = {field.name: np.shape(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) != 1 or len(lengths["wavelength"]) != 1:
            raise ValueError(f"every column of a LineList must be one-dimensional and equally long, got {lengths}")

    @classmethod
    def read(cls, path: str | os.PathLike, format: str | None = None, air: bool | None = None) -> "LineList":
        """Read a list of lines, in order of wavelength.

        Parameters
        ----------
        path : path of a file
            "vald": what VALD extracts, long or short, gzipped or not; its header says units, and air or vacuum.
            "kurucz": Kurucz' gf files, nm in air; hyperfine and isotopic shares are added to log gf.
            "moog": MOOG's and linemake's lists, Angstrom in air, with a title above; log gf, not gf.
            "table": anything that `astropy.table.Table` reads with a column ``wavelength``, Angstrom in vacuum if the
            column has no unit, and perhaps ``species`` ("Eu II", or a code such as 63.1), or ``element`` and ``ion``
            (0 or "I" for neutral, 1 or "II" for singly ionized), ``excitation`` (eV) and ``log_gf``. Text with such
            a row of at least two names above is a table, also where MOOG's columns follow. Of several columns of
            wavelengths ``wavelength_vac`` is taken.
        format : str, optional
            One of these; by default it is recognized.
        air : bool, optional
            Whether wavelengths above 2000 Angstrom are in air, if that is not as above.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it cannot be read, has no lines, a title that may be names of columns, extractions of VALD in different
            units, a species that is not known or may be either of two, or numbers that are no Angstrom, eV or log gf;
            the message names the line.
        """
        columns, in_air = read_columns(path, format)
        listed = columns["wavelength"]
        convert = (in_air if air is None else air) & (listed > VACUUM_BELOW)
        columns["wavelength"] = np.where(convert, air_to_vacuum(np.maximum(listed, VACUUM_BELOW)), listed)
        return combine(cls(**columns))

    def __len__(self) -> int:
        return len(self.wavelength)

    def __getitem__(self, selection: slice | np.ndarray) -> "LineList":
        """The selected lines (mask, slice or indices) as a new LineList."""
        return LineList(**{field.name: np.atleast_1d(getattr(self, field.name)[selection]) for field in fields(self)})

    def within(self, first: float, last: float) -> "LineList":
        """The lines between two vacuum wavelengths in Angstrom."""
        return self[(self.wavelength >= first) & (self.wavelength <= last)]


@dataclass(frozen=True, kw_only=True)
class AirglowLines:
    """OH night-sky emission lines in order of observed vacuum wavelength (Angstrom).

    `transition` such as "3-1 P1(2)" (the Lambda doublet blended, positions averaged); `separation` of the two
    components in Angstrom; `strength` in photons relative to the strongest line, computed, indicative.
    """

    wavelength: np.ndarray
    transition: np.ndarray
    separation: np.ndarray
    strength: np.ndarray

    def __len__(self) -> int:
        return len(self.wavelength)


def combine(*line_lists: LineList) -> LineList:
    """One LineList with the lines of all, in order of wavelength."""
    columns = {f.name: np.concatenate([getattr(lines, f.name) for lines in line_lists]) for f in fields(LineList)}
    order = np.argsort(columns["wavelength"], kind="stable")
    return LineList(**{name: column[order] for name, column in columns.items()})


def _read_table(name: str) -> dict[str, np.ndarray]:
    """Return the columns of a table of this package."""
    with as_file(files("lux.spectroscopy") / name) as path:
        table = Table.read(path, format="ascii.ecsv")
    # Empty text comes masked.
    return {column: np.array(np.ma.filled(table[column], "")) for column in table.colnames}


def _parse_species(species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Element and ionization stage of names such as "Fe I", "Ce II", "CO"."""
    parts = [name.split() for name in species]
    element = np.array([part[0] for part in parts])
    ion = np.array([{"I": 0, "II": 1}[part[1]] if len(part) > 1 else 0 for part in parts])
    return element, ion


@cache
def _load_table(name: str) -> LineList:
    columns = _read_table(name)
    element, ion = _parse_species(columns["species"])
    n_lines = len(element)
    defaults = {
        "damping": np.zeros(n_lines),
        "isotope": np.full(n_lines, ""),
        "source": np.full(n_lines, "Shetrone et al. 2015"),
    }
    return LineList(element=element, ion=ion, **(defaults | columns))


def load_lines(heavy: bool = True) -> LineList:
    """The lines that shape the spectrum of a red giant between 15050 and 17000 A; with `heavy`, Ce to Yb as well.

    Made by tools/make_line_table.py from the APOGEE line list of 2013-12-16 (Shetrone et al. 2015, ApJS 221, 24).
    """
    giant = _load_table(_GIANT_TABLE)
    return combine(giant, heavy_element_lines()) if heavy else giant


def heavy_element_lines() -> LineList:
    """Lines of neutron-capture elements (Rb, Cs, Ce, Nd, Er, Yb), log_gf NaN where only the position is published."""
    return _load_table(_HEAVY_TABLE)


@cache
def airglow_lines() -> AirglowLines:
    """The strongest OH night-sky lines between 15100 and 17000 A, wavelengths as observed, in vacuum."""
    return AirglowLines(**_read_table(_AIRGLOW_TABLE))


def lines_of(element: str, lines: LineList | None = None) -> LineList:
    """All lines of an element ("Fe", every ionization stage) or molecule ("CO"); an empty LineList if it has none."""
    lines = load_lines() if lines is None else lines
    return lines[lines.element == element]


def strongest(lines: LineList, strength: np.ndarray, n_lines: int, apart: float = 0.0) -> LineList:
    """Return the `n_lines` strongest of the lines, in their order; `strength` (L,), where NaN counts as 0.

    Of two lines nearer than `apart` Angstrom only the stronger is kept.
    """
    kept: list[int] = []
    for row in np.argsort(-np.nan_to_num(strength), kind="stable"):
        if len(kept) == n_lines:
            break
        if not apart or np.all(np.abs(lines.wavelength[kept] - lines.wavelength[row]) > apart):
            kept.append(row)
    return lines[np.sort(np.array(kept, int))]
