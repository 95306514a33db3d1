"""Files of spectra, read by specutils: which spectra of a file are stars, and which are parts of the same ones."""

import gzip
import io
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.table import Table

from lux.store.fits_files import open_fits, require_whole
from lux.store.quantities import without_mask

# Where several formats are recognized, the first of these that is among them.
_PREFERRED = (
    "SDSS-V mwm",
    "SDSS-V apStar",
    "APOGEE apStar",
    "APOGEE aspcapStar",
    "DESI coadd",
    "DESI spectra",
    "GALAH",
)
# Formats of anything that has wavelengths and a flux, recognized beside that of the survey.
_GENERIC = ("tabular-fits", "wcs1d-fits", "ASCII", "ECSV", "IPAC")
# The spectra in a file of these are parts of the spectra of the same stars.
_ARMS = ("SDSS-V mwm", "DESI coadd", "DESI spectra")
_GALAH = "GALAH"
# In a file of these a spectrum of several is a row, and a single one an array of one dimension.
_ROWS = ("SDSS-V apStar", "APOGEE apStar")
# Files of these are tables; the name under which astropy reads them.
_TABLES = {"ECSV": "ascii.ecsv", "ASCII": "ascii", "IPAC": "ascii.ipac"}
# Of these the wavelengths are in air, whatever else the file says.
_IN_AIR = (_GALAH,)
# With which files begin that are compressed, and those of FITS.
_GZIP, _FITS = b"\x1f\x8b", b"SIMPLE  ="
_AXIS = re.compile("CTYPE[1-9]")
_EXTENSION = re.compile(
    r"(\.(fits?|fts|ecsv|csv|tsv|txt|dat|ascii|asc|tbl|vot|xml|hdf5|h5|asdf))?(\.(gz|fz|bz2|xz|zip|z))?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Piece:
    """A spectrum with the file or the place that it comes from, and whether its wavelengths are in air.

    `air` is None for a spectrum in memory, which may have been converted since its header was written.
    """

    spectrum: Any
    source: str
    air: bool | None = None


@dataclass(frozen=True)
class Parts:
    """Spectra of the same stars, a row of each for each star; `file` and `stars` are their names, empty in memory."""

    name: str
    arms: Sequence[Piece]
    file: str = ""
    folder: str = ""
    stars: tuple[str, ...] = ()


def read(path: str | os.PathLike, file_format: str | None = None) -> list[Parts]:
    """Return the spectra in a file, one item for each set of stars.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If specutils is not installed.
    ValueError
        If its format is not recognized, or the file damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file of spectra at {path}")
    specutils = _specutils()
    _require_whole(Path(path))
    file_format = _known(file_format, specutils) if file_format else _recognized(path, specutils)
    one = file_format not in _ARMS and _has_reader(file_format, specutils.Spectrum)
    kind = specutils.Spectrum if one else specutils.SpectrumList
    try:
        reader = _read_rows if file_format in _ROWS else _read_table if file_format in _TABLES else _read_file
        found = reader(path, file_format, kind)
    except Exception as error:
        # The readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} cannot be read as {file_format!r} by specutils: {error}") from error
    name = str(path)
    spectra = [_galah(found)] if file_format == _GALAH else [found] if one else found
    pieces = [Piece(each, name, file_format in _IN_AIR or says_air(each)) for each in spectra]
    file, folder = _EXTENSION.sub("", Path(path).name), Path(path).absolute().parent.name
    if len(pieces) == 1 or file_format in _ARMS:
        return [Parts(name, pieces, file, folder, _targets(spectra[0]) if file_format in _ARMS else ())]
    return [Parts(f"{name}, spectrum {row}", [piece], f"{file}-{row}", folder) for row, piece in enumerate(pieces)]


def _require_whole(path: Path) -> None:
    """Raise ValueError if a FITS file ends too early, or its data contradict a checksum that it carries.

    A header may have been edited since its checksum was made.
    """
    content = path.read_bytes()
    try:
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        if content.startswith(_FITS):
            with open_fits(io.BytesIO(content), disable_image_compression=True) as file:
                require_whole(file, len(content), headers=False)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; fetch it again") from error


def _read_file(path: str | os.PathLike, file_format: str, kind: Any) -> Any:
    return kind.read(str(path), format=file_format)


def _read_rows(path: str | os.PathLike, file_format: str, kind: Any) -> Any:
    """Read an apStar file, also one of a single visit, which has no rows: specutils takes its first pixel for one."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus[1:4]:
            if np.ndim(hdu.data) == 1 and hdu.is_image:
                hdu.data = hdu.data[np.newaxis]
        return kind.read(hdus, format=file_format)


def _read_table(path: str | os.PathLike, file_format: str, kind: Any) -> Any:
    """Read a table of text; specutils takes what stands under the mask of an empty cell for a number."""
    from specutils.io.parsing_utils import generic_spectrum_from_table

    table = Table.read(str(path), format=_TABLES[file_format])
    for name in table.colnames:
        if table[name].dtype.kind in "iuf":
            table[name] = without_mask(table[name])
    return generic_spectrum_from_table(table)


def says_air(spectrum: Any) -> bool:
    """Return whether a spectrum has a FITS header, or a WCS, with an axis of wavelengths in air (AWAV)."""
    header: Any = (getattr(spectrum, "meta", None) or {}).get("header")
    cards = header.items() if hasattr(header, "items") else ()
    axes = [value for key, value in cards if _AXIS.fullmatch(str(key))]
    # A spectrum that was made with a WCS has no header.
    axes += getattr(getattr(getattr(spectrum, "wcs", None), "wcs", None), "ctype", ())
    return any(str(axis).startswith("AWAV") for axis in axes)


def _specutils() -> Any:
    try:
        import specutils
    except ImportError as error:
        raise ImportError(
            "files of spectra need the package specutils: pip install 'lux-paper[spectra]'; spectra that are in memory "
            "need nothing more"
        ) from error
    return specutils


def _recognized(path: str | os.PathLike, specutils: Any) -> str:
    from specutils.io.registers import identify_spectrum_format

    found: list[str] = []
    for kind in (specutils.Spectrum, specutils.SpectrumList):
        formats = identify_spectrum_format(str(path), kind)
        found += [formats] if isinstance(formats, str) else formats
    specific = [each for each in dict.fromkeys(found) if each not in _GENERIC]
    for name in _PREFERRED:
        if name in specific:
            return name
    if len(specific or set(found)) == 1:
        return (specific or found)[0]
    said = f"may be {', '.join(specific or found)}" if found else "is of no format that specutils recognizes"
    raise ValueError(f"{path} {said}: name it with format=, such as {_PREFERRED[1]!r}")


def _known(file_format: str, specutils: Any) -> str:
    if not any(_has_reader(file_format, kind) for kind in (specutils.Spectrum, specutils.SpectrumList)):
        from astropy.io import registry

        formats = sorted(set(registry.get_formats(specutils.SpectrumList, "Read")["Format"]))
        raise ValueError(f"specutils knows no format {file_format!r}; it knows {', '.join(formats)}")
    return file_format


def _has_reader(file_format: str, kind: type) -> bool:
    from astropy.io import registry

    try:
        return bool(registry.get_reader(file_format, kind))
    except registry.IORegistryError:
        return False


def _targets(spectrum: Any) -> tuple[str, ...]:
    """Return the names of the stars of a DESI file, none for others."""
    fibers = spectrum.meta.get("fibermap")
    return () if fibers is None or "TARGETID" not in fibers.colnames else tuple(map(str, fibers["TARGETID"]))


def _galah(spectra: Sequence[Any]) -> Any:
    """Return the normalized spectrum of a GALAH file, or else the reduced one, with its error.

    The file has relative errors, which specutils takes for those of the counts, and none of the normalized flux.
    """
    by_purpose = {spectrum.meta["purpose"]: spectrum for spectrum in spectra}
    reduced = by_purpose["reduced"]
    chosen = by_purpose.get("normalised", reduced)
    error = np.asarray(reduced.uncertainty.array, float) * np.abs(np.asarray(chosen.flux.value, float))
    chosen.uncertainty = StdDevUncertainty(error)
    return chosen
