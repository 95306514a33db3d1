"""Opening FITS files whatever thread it is, and making sure that they are whole."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

# The filters of warnings belong to the whole process: two threads that change them at once leave a mess.
_FILTERS = threading.Lock()


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
