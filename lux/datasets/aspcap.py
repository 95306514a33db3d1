"""One ``aspcapStar`` file: the continuum-normalized spectrum of a star, as ASPCAP fitted it.

The format is the same from DR10 to DR17: flux, error and best fit as images on the one logarithmic grid of
`lux.spectroscopy.instrument`, then a table of one row. The star is named in the row (``OBJ`` in DR10, later
``APOGEE_ID``) and, but for DR17, in the primary header too. There is no mask: a bad pixel has an error up to 1e10, a
pixel off the detectors a flux of zero or NaN.
"""

import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from lux.spectroscopy.instrument import LOG10_FIRST_WAVELENGTH, LOG10_STEP, N_PIXELS
from lux.store.fits_files import open_fits, require_whole

# A pixel with a larger error carries no information; the pipeline's bad pixels have errors up to 100 and more.
_MAX_ERROR = 0.1
# A spectrum normalized to its continuum has a median flux near one; anything else is another kind of file.
_MEDIAN_FLUX = (0.2, 2.0)
# Pixels that fewer than this fraction of the stars have unmasked are dropped from a survey.
MIN_GOOD_FRACTION = 0.05
# A primary header, flux, error, fit and a table of one row, at least.
_EXTENSIONS = 5
_NAMES = ("OBJ", "OBJID", "APOGEE_ID")


class AspcapStar(NamedTuple):
    """One spectrum as stored.

    `flux` and `error` (8575,) are float32 in the machine's byte order; `names` are the stars that the file says it is
    of; `header` is the primary header; `row` the row of the table.
    """

    flux: np.ndarray
    error: np.ndarray
    names: frozenset[str]
    header: fits.Header
    row: Any


def read_aspcap_star(source: bytes | str | os.PathLike, *, name: str = "", star_id: str | None = None) -> AspcapStar:
    """Read an ``aspcapStar`` file of DR10 to DR17.

    Parameters
    ----------
    source : bytes, str or path
        The content of the file, or where it is.
    name : str
        What messages call the file; by default the name of the path.
    star_id : str, optional
        The star whose file it must be, such as "2M03471806+2423268".

    Raises
    ------
    ValueError
        If the file is truncated, damaged or foreign, lies on another grid, or is of another star.
    """
    if not isinstance(source, bytes):
        name = name or Path(source).name
        source = Path(source).read_bytes()
    try:
        with open_fits(io.BytesIO(source), memmap=False) as file:
            require_whole(file, len(source))
            if len(file) < _EXTENSIONS:
                raise ValueError(f"it has {len(file)} extensions of {_EXTENSIONS}, as where it was cut")
            row = file[4].data[0]
            header, grid = file[0].header, file[1].header
            flux, flux_error = (np.asarray(file[place].data, np.float32) for place in (1, 2))
            star = AspcapStar(flux, flux_error, _names(header, row), header, row)
    except Exception as error:
        # astropy reports a broken file by many exception types, down to struct and zlib errors.
        raise ValueError(f"{name} cannot be read as an aspcapStar file: {error}") from error
    if flux.shape != (N_PIXELS,) or flux_error.shape != (N_PIXELS,):
        raise ValueError(f"{name} holds flux of shape {flux.shape}, expected ({N_PIXELS},)")
    first, step = grid.get("CRVAL1"), grid.get("CDELT1")
    if not (np.isclose(first or 0, LOG10_FIRST_WAVELENGTH, atol=1e-9) and np.isclose(step or 0, LOG10_STEP, rtol=1e-9)):
        raise ValueError(
            f"{name} lies on another grid: log10 wavelength starts at {first} in steps of {step}, expected "
            f"{LOG10_FIRST_WAVELENGTH} and {LOG10_STEP}"
        )
    if star_id is not None and star_id not in star.names:
        stars = ", ".join(sorted(star.names)) or "no star"
        raise ValueError(f"{name} names {stars}, expected {star_id}: the archive handed over the wrong file")
    return star


def flux_and_ivar(flux: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and inverse variance (any shape), float32; a bad pixel has flux 1 and inverse variance 0.

    A pixel is bad if its flux is not positive and finite, or its error is not positive or above 0.1.
    """
    good = np.isfinite(flux) & (flux > 0) & np.isfinite(error) & (error > 0) & (error <= _MAX_ERROR)
    ivar = np.where(good, 1 / np.where(good, error, np.float32(1)) ** 2, np.float32(0))
    return np.where(good, flux, np.float32(1)), ivar


def require_spectrum(star: AspcapStar, name: str) -> None:
    """Raise ValueError if the star has no usable pixel, or its flux is not normalized to the continuum."""
    flux, ivar = flux_and_ivar(star.flux, star.error)
    if not np.any(ivar):
        raise ValueError(f"{name} has no usable pixel")
    median = float(np.median(flux[ivar > 0]))
    if not _MEDIAN_FLUX[0] < median < _MEDIAN_FLUX[1]:
        raise ValueError(f"{name} has a median flux of {median:.3g}: it is not normalized to its continuum")


def _names(header: fits.Header, row: Any) -> frozenset[str]:
    found = {str(header[key]).strip() for key in _NAMES if key in header}
    columns = {name.upper() for name in row.array.names}
    found |= {str(row[key]).strip() for key in _NAMES if key in columns}
    return frozenset(found - {""})
