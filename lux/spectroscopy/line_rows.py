"""The rows of a list of lines, with the numbers under which messages name them."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.utils.data import get_readable_fileobj

from lux.spectroscopy.species import Species, species_columns

NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?\s*")
# Fortran's exponents of double precision.
_EXPONENTS = str.maketrans("dD", "ee")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


@dataclass(frozen=True)
class ListRows:
    """A list of lines as text; `rows` are those that hold a spectral line each, `numbers` theirs, from 1.

    A `unit` is what is numbered, a line of the file or a row of the table in it.
    """

    path: str
    rows: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unit: str = "line"

    def keep(self, wanted: Callable[[str], Any]) -> "ListRows":
        kept = [(row, number) for row, number in zip(self.rows, self.numbers, strict=True) if wanted(row)]
        return ListRows(self.path, [row for row, _ in kept], [number for _, number in kept], self.unit)

    def error(self, row: int, message: str) -> ValueError:
        return ValueError(f"{self.path}, {self.unit} {self.numbers[row]}: {message}: {self.rows[row].strip()[:60]!r}")

    def floats(self, name: str, values: Iterable[str], blank: float | None = None) -> np.ndarray:
        """Return a column as numbers; ValueError with the line if there is something else."""
        found = []
        for row, value in enumerate(values):
            try:
                found.append(blank if blank is not None and not value.strip() else float(value.translate(_EXPONENTS)))
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

    def without_title(self) -> "ListRows":
        """Return what is left without empty rows, comments, and a first row that has fewer than three numbers."""
        text = self.keep(lambda row: row.strip() and not row.lstrip().startswith("#"))
        title = bool(text.rows) and sum(bool(NUMBER.fullmatch(each)) for each in text.rows[0].split()[:4]) < 3
        return ListRows(text.path, text.rows[title:], text.numbers[title:])


def lines_of_text(path: str | os.PathLike) -> ListRows:
    """Return the lines of a file of text, gzipped or not, in UTF-8 or else in the encoding of Windows and Latin-1.

    Raises
    ------
    ValueError
        If it is no text.
    """
    # Gzipped too, as VALD sends them.
    with get_readable_fileobj(str(path), encoding="binary") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Any bytes can be Latin-1, but text has none of these.
        if _CONTROL.search(data):
            raise ValueError(f"{path} is no text: {error}; for a table, give format='table'") from error
        text = data.decode("cp1252", errors="replace")
    rows = text.splitlines()
    return ListRows(str(path), rows, list(range(1, len(rows) + 1)))
