"""Files of spectra, read by specutils: which spectra of a file are stars, and which are parts of the same ones."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import StdDevUncertainty

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


@dataclass(frozen=True)
class Parts:
    """Spectra of the same stars, a row of each for each star; `file` and `stars` are their names, empty in memory."""

    name: str
    arms: Sequence[Any]
    file: str = ""
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
    file_format = _known(file_format, specutils) if file_format else _recognized(path, specutils)
    one = file_format not in _ARMS and _has_reader(file_format, specutils.Spectrum)
    kind = specutils.Spectrum if one else specutils.SpectrumList
    try:
        found = kind.read(str(path), format=file_format)
    except Exception as error:
        # The readers of the many formats raise exceptions of as many types.
        raise ValueError(f"{path} cannot be read as {file_format!r} by specutils: {error}") from error
    name, file = str(path), Path(path).name.partition(".")[0]
    if file_format == _GALAH:
        return [Parts(name, [_galah(found)], file)]
    if file_format in _ARMS:
        return [Parts(name, found, file, _targets(found[0]))]
    if one:
        return [Parts(name, [found], file)]
    return [Parts(f"{name}, spectrum {row}", [each], f"{file}-{row}") for row, each in enumerate(found)]


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
