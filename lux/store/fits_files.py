"""Opening FITS files whatever thread it is, and making sure that they are whole."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

# The filters of warnings belong to the whole process: two threads that change them at once leave a mess.
_FILTERS = threading.Lock()
# Bits of a word of a checksum, and bytes that are read at a time, whole words.
_WORD, _PART = 32, 1 << 26


@contextlib.contextmanager
def open_fits(source: Any, **options: Any) -> Iterator[fits.HDUList]:
    """Open a FITS file as `astropy.io.fits.open` does, without its warnings, one file at a time in a process."""
    with _FILTERS, warnings.catch_warnings(action="ignore", category=AstropyUserWarning):
        with fits.open(source, **options) as file:
            yield file


def require_whole(file: fits.HDUList, size: int, *, headers: bool = True) -> None:
    """Raise ValueError if a file of `size` bytes ends before its data do, or contradicts a checksum that it carries.

    Those of `headers` may be left out.
    """
    for place, hdu in enumerate(file):
        end = hdu.fileinfo()["datLoc"] + hdu.size
        if end > size:
            raise ValueError(f"it has {size} bytes where the data of extension {place} end at {end}")
        if 0 in (hdu.verify_checksum() if headers else 1, hdu.verify_datasum()):
            raise ValueError(f"the checksum of extension {place} is not that of its content")


def require_table_sum(path: Path, file: fits.HDUList) -> None:
    """Raise ValueError if the first table of a file contradicts its DATASUM, where it has one.

    A part is read at a time: tables of a survey have gigabytes. The sum is that of 32-bit words, with what exceeds them
    carried around (Seaman, Pence & Rots 2012, the checksum convention of FITS).
    """
    hdu = next(each for each in file if isinstance(each, fits.BinTableHDU))
    expected = str(hdu.header.get("DATASUM", "")).strip()
    if not expected.isdecimal():
        return
    place, left, total = hdu.fileinfo()["datLoc"], hdu.fileinfo()["datSpan"], 0
    with open(path, "rb") as content:
        content.seek(place)
        while left and (part := content.read(min(left, _PART))):
            left -= len(part)
            # Where the file ends within a word, it is not whole anyway.
            total += int(np.frombuffer(part + bytes(-len(part) % 4), ">u4").sum(dtype=np.uint64))
    while total >> _WORD:
        total = (total & ((1 << _WORD) - 1)) + (total >> _WORD)
    if left or total != int(expected):
        raise ValueError(f"the table of {path.name} is not that of its own checksum: it was damaged on its way")
