"""The two catalogues of the study, read by column: APOGEE DR17 ``allStar`` and the main table of GALAH DR3.

Both are FITS tables too large to hold (4 GB and 0.8 GB): astropy maps them, rows pass by in blocks, and only the wanted
columns are kept, in the machine's byte order. What is odd in such tables, and what the reader does about it:

- A Gaia identifier needs 64 bits: a column that holds it in 32 bits, or as a floating-point number, is refused.
- A set of flags is not a number: 32 bits with the highest one set would read as negative and, widened, would set all
  the bits above. Flags are taken as unsigned and come back as 64 bits.
- Missing numbers are NaN, but also -9999 in older columns; missing integers are 0, negative, or the column's TNULL; a
  missing flag counts as every flag set.
- Text is padded by blanks or zero bytes.
- Names of columns are compared without case; their order does not matter, and unknown ones are ignored.

References
----------
.. [1] Abdurro'uf et al. 2022, ApJS 259, 35 (APOGEE DR17)
.. [2] Buder et al. 2021, MNRAS 506, 150 (GALAH DR3)
"""

import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from lux.store.fits_files import open_fits, require_table_sum

BLOCK_BYTES = 128 * 2**20
# Magnitude from which a stored number is a sentinel for "missing"; of positive ones a column may allow larger.
_SENTINEL = 9990.0
_GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column to read: its name in the file, and what its values mean.

    `kind` is "number" (float64, NaN where missing), "flag" (int64, -1 where missing), "id" (int64, 0 where missing) or
    "text" (str without padding). Numbers from -9990 down and from `limit` up are missing.
    """

    name: str
    kind: str = "number"
    limit: float = _SENTINEL


APOGEE_COLUMNS = {
    "apogee_id": Column("APOGEE_ID", "text"),
    "telescope": Column("TELESCOPE", "text"),
    "field": Column("FIELD", "text"),
    "gaia_id": Column("GAIAEDR3_SOURCE_ID", "id"),
    "ra": Column("RA"),
    "dec": Column("DEC"),
    "pmra": Column("GAIAEDR3_PMRA"),
    "pmdec": Column("GAIAEDR3_PMDEC"),
    "snr": Column("SNR", limit=1e5),
    "radial_velocity": Column("VHELIO_AVG"),
    "starflag": Column("STARFLAG", "flag"),
    "aspcapflag": Column("ASPCAPFLAG", "flag"),
    "aspcap_teff": Column("TEFF", limit=1e5),
    "aspcap_teff_err": Column("TEFF_ERR", limit=1e5),
    "aspcap_logg": Column("LOGG"),
    "aspcap_m_h": Column("M_H"),
    "aspcap_m_h_err": Column("M_H_ERR"),
    "aspcap_alpha_m": Column("ALPHA_M"),
}
GALAH_COLUMNS = {
    "galah_2mass": Column("star_id", "text"),
    "sobject_id": Column("sobject_id", "id"),
    "gaia_id": Column("dr3_source_id", "id"),
    "flag_sp": Column("flag_sp", "flag"),
    **{f"snr_c{camera}": Column(f"snr_c{camera}_iraf", limit=1e5) for camera in (1, 2, 3, 4)},
}
# Labels of which GALAH keeps no flag of their own; flag_sp speaks of them.
_WITHOUT_FLAG = ("teff", "logg")
_GALAH_SPECIES = (
    "li", "c", "o", "na", "mg", "al", "si", "k", "ca", "sc", "ti", "ti2", "v", "cr", "cr2", "mn", "co", "ni", "cu",
    "zn", "rb", "sr", "y", "zr", "mo", "ru", "ba", "la", "ce", "nd", "sm", "eu",
)  # fmt: skip
GALAH_LABELS = (*_WITHOUT_FLAG, "fe_h", "alpha_fe", *(f"{species}_fe" for species in _GALAH_SPECIES))


def galah_label_columns(labels: Sequence[str]) -> dict[str, Column]:
    """Return the columns of value, error and flag of GALAH labels such as "teff", "fe_h" or "eu_fe"."""
    columns = {}
    for label in dict.fromkeys(labels):
        columns[label] = Column(label, limit=1e5 if label == "teff" else _SENTINEL)
        columns[f"e_{label}"] = Column(f"e_{label}", limit=1e5 if label == "teff" else _SENTINEL)
        if label not in _WITHOUT_FLAG:
            columns[f"flag_{label}"] = Column(f"flag_{label}", "flag")
    return columns


def check_galah_labels(labels: Sequence[str]) -> None:
    """Raise ValueError, with what resembles it, if the main table of GALAH DR3 has no label of a name."""
    for label in labels:
        if label not in GALAH_LABELS:
            near = difflib.get_close_matches(label, GALAH_LABELS, n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(f"GALAH DR3 has no label {label!r}; {hint}it has {', '.join(GALAH_LABELS)}")


def read_apogee(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read what the cross-match needs of an APOGEE DR17 ``allStar`` table.

    Parameters
    ----------
    path : str or path
        Of ``allStar-dr17-synspec_rev1.fits``.

    Returns
    -------
    dict of name to (N,) array
        See `APOGEE_COLUMNS`: angles in degrees, proper motions in mas/yr, velocities in km/s, temperatures in K.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_columns`.
    """
    return read_columns(path, APOGEE_COLUMNS)


def read_galah(path: str | os.PathLike, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Read what the cross-match needs of the main table of GALAH DR3, and the labels.

    Parameters
    ----------
    path : str or path
        Of ``GALAH_DR3_main_allstar_v2.fits``.
    labels : sequence of str
        GALAH's names in lower case: "teff" (K), "logg", "fe_h", "alpha_fe", or an element's such as "eu_fe" (dex).

    Returns
    -------
    dict of name to (N,) array
        See `GALAH_COLUMNS`; for each label also its error ``e_...`` and, except for teff and logg, ``flag_...``.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_columns`.
    """
    return read_columns(path, GALAH_COLUMNS | galah_label_columns(labels))


def read_columns(path: str | os.PathLike, columns: Mapping[str, Column]) -> dict[str, np.ndarray]:
    """Read some columns of the first table of a FITS file, a block of rows at a time.

    Parameters
    ----------
    path : str or path
    columns : mapping of name to Column

    Returns
    -------
    dict of name to (N,) array
        In the machine's byte order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no FITS table or truncated, or a column is missing or cannot hold what it should; the message
        names file and column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no catalogue at {path}")
    rows = _open_table(path)
    names = {key: _find(path, rows.columns, column) for key, column in columns.items()}
    collected: dict[str, list[np.ndarray]] = {key: [] for key in columns}
    rows_at_once = max(1, BLOCK_BYTES // rows.itemsize)
    # A block touches each page of the mapped file once; column after column would read the whole file for each.
    for first in range(0, max(1, len(rows)), rows_at_once):
        block = rows[first : first + rows_at_once]
        for key, name in names.items():
            collected[key].append(_converted(columns[key], block, name))
    return {key: np.concatenate(parts) for key, parts in collected.items()}


def check_columns(path: str | os.PathLike, columns: Mapping[str, Column]) -> None:
    """Raise what `read_columns` would raise of a file, from its header and size, without reading its rows.

    ValueError also if it has no row, or its data contradict a checksum that its header carries.
    """
    path = Path(path)
    rows = _open_table(path)
    for column in columns.values():
        _find(path, rows.columns, column)
    if not len(rows):
        raise ValueError(f"the table of {path} has no row")
    with open_fits(path, memmap=True, lazy_load_hdus=True) as file:
        require_table_sum(path, file)


def _open_table(path: Path) -> fits.FITS_rec:
    """Return the rows of the first table, mapped and not read."""
    with open(path, "rb") as file:
        if file.read(2) == _GZIP:
            raise ValueError(f"{path} is compressed, and is read a part at a time: unpack it with gunzip")
    try:
        with open_fits(path, memmap=True, lazy_load_hdus=True) as file:
            for hdu in file:
                if isinstance(hdu, fits.BinTableHDU):
                    end = hdu.fileinfo()["datLoc"] + hdu.header["NAXIS1"] * hdu.header["NAXIS2"]
                    if path.stat().st_size < end:
                        raise ValueError(f"it has {path.stat().st_size} bytes where its table ends at {end}")
                    return hdu.data
    except Exception as error:
        # astropy reports a broken file by many exception types.
        raise ValueError(f"{path} cannot be read as a FITS table (truncated, damaged or foreign): {error}") from error
    raise ValueError(f"{path} holds no FITS table")


def _find(path: Path, table: fits.ColDefs, column: Column) -> str:
    """Return the column's name as the file spells it, if it is there and can hold what it should."""
    names = {name.lower(): name for name in table.names}
    if column.name.lower() not in names:
        near = difflib.get_close_matches(column.name.lower(), names, n=3)
        hint = f"; similar: {', '.join(names[name] for name in near)}" if near else ""
        raise ValueError(f"{path.name} has no column {column.name!r} among its {len(names)}{hint}")
    name = names[column.name.lower()]
    dtype = table.dtype[name]
    if dtype.shape not in ((), (1,)):
        raise ValueError(
            f"column {name!r} of {path.name} holds arrays of shape {dtype.shape}, expected one value a row"
        )
    if column.kind == "id" and not (dtype.base.kind in "iu" and dtype.base.itemsize == 8):
        raise ValueError(
            f"column {name!r} of {path.name} holds identifiers as {dtype.base.name}, which loses their last digits; "
            "64-bit integers are needed: fetch the catalogue of the release itself"
        )
    fitting = {"text": "SU", "number": "fiu", "flag": "fiu", "id": "iu"}[column.kind]
    if dtype.base.kind not in fitting:
        raise ValueError(f"column {name!r} of {path.name} holds {dtype.base.name}, expected a {column.kind}")
    return name


def _converted(column: Column, block: fits.FITS_rec, name: str) -> np.ndarray:
    """Return a column as `Column` describes it. Of the header, astropy applies TSCAL and TZERO, but not TNULL."""
    stored, null = block.view(np.ndarray)[name].reshape(len(block)), block.columns[name].null
    if column.kind == "text":
        texts = (text.partition(b"\0")[0].decode("ascii", "replace").strip() for text in stored.tolist())
        return np.array(list(texts), dtype=f"U{stored.dtype.itemsize}")
    missing = stored == null if stored.dtype.kind in "iu" and null not in (None, "") else np.zeros(len(stored), bool)
    values = block.field(name).reshape(len(block))
    if column.kind == "number":
        number = values.astype(np.float64)
        return np.where(missing | ~((number > -_SENTINEL) & (number < column.limit)), np.nan, number)
    if column.kind == "id":
        return np.where(missing | (values <= 0), 0, values.astype(np.int64))
    if values.dtype.kind == "f":
        missing = ~np.isfinite(values)
        values = np.where(missing, 0, values).astype(np.int64)
    unsigned = values.astype(values.dtype.str.replace("i", "u").replace(">", "="))
    return np.where(missing, -1, unsigned.astype(np.int64))
