"""Observed APOGEE spectra: the cluster giants on which data release 10 was calibrated.

The spectra and the table of their labels travel in the source archive of the Python package ``TheCannon`` 0.3.4 (MIT
license). Work that uses them cites Ahn et al. 2014 (ApJS 211, 17; SDSS DR10), Meszaros et al. 2013 (AJ 146, 133; the
calibrated labels) and Ness et al. 2015 (ApJ 808, 16; this selection), and acknowledges SDSS-III.

Odd things in those files, and what the reader does about them:

- The rows of the table stand in another order than the files: they are joined on the name.
- From [C/M] on, the rows of the Pleiades are shifted by one column, so that their "S/N" is [alpha/M]. The abundances
  and the S/N are therefore read from the FITS files, which agree with the table for all other stars.
- The Pleiades are dwarfs whose temperature, gravity and metallicity were assigned, not measured: left out by default.
- [N/M] of some stars lies on the edge of the ASPCAP grid, a limit and not a measurement: missing (NaN).
- The header velocity of some stars is the sentinel 999999; the table has the right one.
- M 3 was observed in two fields, and the field M35N2158 holds stars of NGC 2158: the column "cluster" says what a star
  belongs to, "field" where it was observed.
"""

import csv
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lux.datasets.aspcap import MIN_GOOD_FRACTION, flux_and_ivar, read_aspcap_star
from lux.datasets.sdist import SourceArchive, obtain_archive
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.store.files import as_folder, cache_dir, make_folder
from lux.survey import Survey, label_unit

ARCHIVE = SourceArchive(
    package="TheCannon",
    version="0.3.4",
    filename="TheCannon-0.3.4.tar.gz",
    size=35_161_483,
    sha256="9bdb53cc31dcaa4fe46549ccaf1cfa22b0f095119fc355e24067d74edf329e2f",
    override="LUX_DR10_ARCHIVE",
)
READER_VERSION = 1

_LABEL_NAMES = ("teff", "logg", "m_h", "alpha_m", "c_m", "n_m")
_ACKNOWLEDGEMENT = (
    "SDSS-III was funded by the Alfred P. Sloan Foundation, its participating institutions, the National Science "
    "Foundation and the U.S. Department of Energy Office of Science; it was managed by the Astrophysical Research "
    "Consortium."
)
_CITATIONS = (
    "Ahn et al. 2014, ApJS 211, 17 (SDSS DR10)",
    "Meszaros et al. 2013, AJ 146, 133 (ASPCAP calibration)",
    "Ness et al. 2015, ApJ 808, 16 (The Cannon)",
)

# Errors that the table does not give. These are the floors of PARAM_COV in the same files, which ASPCAP took from the
# calibration of DR10; the entries above the floors are 15 times the formal errors and are not standard deviations.
_FLOOR_ERRORS = {"logg": 0.2, "alpha_m": 0.1, "c_m": 0.3, "n_m": 0.3}
# The assigned labels of the Pleiades come without errors: typical ones of the calibrated labels.
_ASSIGNED_ERRORS = {"teff": 150.0, "m_h": 0.1}

_ROOT = "TheCannon-0.3.4/TheCannon/example_DR10/"
_TABLE = f"{_ROOT}reference_labels.csv"
_SPECTRUM = re.compile(re.escape(f"{_ROOT}Data/") + r"(aspcapStar-v304-(2M\d{8}[+-]\d{7})\.fits)")
_MAX_MEMBER_BYTES = 2_000_000
# Bits GRIDEDGE_BAD, CALRANGE_BAD and OTHER_BAD of APOGEE_PARAMFLAG.
_PARAMETER_BAD = 0b111
# Places in the arrays FPARAM and PARAMFLAG: teff, logg, log vmicro, [M/H], [C/M], [N/M], [alpha/M].
_CATALOGUE = ("field", "snr", "radial_velocity", "starflag", "aspcapflag")
_PARAMETERS = {"c_m": 4, "n_m": 5, "alpha_m": 6}
_COLUMNS = {
    "teff": "Teff_{corr}",
    "logg": "logg_{corr}",
    "m_h": "[M/H]_{corr}",
    "teff_err": "e_Teff_corr",
    "m_h_err": "e_[MH]+corr",
    "radial_velocity": "Rvel",
}


def load_dr10(
    *,
    pleiades: bool = False,
    archive: str | os.PathLike | None = None,
    cache: str | os.PathLike | None = None,
    progress: bool = True,
) -> Survey:
    """Load the APOGEE DR10 spectra of cluster stars with their calibrated ASPCAP labels.

    Parameters
    ----------
    pleiades : bool
        Keep the 74 dwarfs of the Pleiades, whose labels were assigned; else 479 giants of 18 clusters remain.
    archive : str or path, optional
        The source archive, if it is on this machine; else ``$LUX_DR10_ARCHIVE``, else it is fetched with pip, once.
    cache : str or path, optional
        Folder for the archive and the spectra read from it; `lux.store.files.cache_dir` by default.
    progress : bool
        Show progress on stderr where that is a terminal.

    Returns
    -------
    Survey
        Continuum-normalized flux on the pixels of the DR10 chips (those that at least 5 % of the stars have unmasked),
        rest frame; ivar is 0 and flux 1 where the error is above 0.1 or the flux is not positive. Labels ``teff`` (K),
        ``logg``, ``m_h`` (calibrated), ``alpha_m``, ``c_m``, ``n_m`` (as fitted). Catalogue columns: ``cluster``,
        ``field``, ``snr``, ``radial_velocity`` (km/s, heliocentric), ``starflag``, ``aspcapflag``.

    Raises
    ------
    FileNotFoundError
        If the archive is not where `archive` says, or cannot be fetched.
    ValueError
        If the archive has another size or checksum than the published one, or a file in it cannot be read.
    """
    folder = cache_dir() if cache is None else as_folder(cache)
    survey = _cached(folder, archive, progress)
    if not pleiades:
        survey = survey[survey.catalogue["cluster"] != "Pleiades"]
    return survey.drop_masked_pixels(fraction=MIN_GOOD_FRACTION)


def _cached(folder: Path, archive: str | os.PathLike | None, progress: bool) -> Survey:
    path = folder / f"apogee-dr10-{ARCHIVE.sha256[:12]}-v{READER_VERSION}.h5"
    if path.is_file():
        try:
            return Survey.load(path)
        except ValueError:
            path.unlink()
    make_folder(folder, "give another one as cache=")
    survey = read_archive(obtain_archive(ARCHIVE, archive=archive, cache=folder, progress=progress), progress=progress)
    survey.save(path)
    return survey


def read_archive(path: str | os.PathLike, *, progress: bool = True) -> Survey:
    """Read all spectra and labels from an archive; load_dr10 verifies, caches and selects.

    Nothing is unpacked: only members with the expected names are read, straight from the compressed stream.

    Raises
    ------
    ValueError
        If the archive is truncated, a member is missing or broken, or table and spectra name different stars.
    """
    table, stars = None, {}
    # disable=None lets tqdm draw on a terminal only.
    members = tqdm(_members(path), desc="reading APOGEE DR10", unit="star", disable=None if progress else True)
    for name, content in members:
        if spectrum := _SPECTRUM.fullmatch(name):
            filename, star_id = spectrum.groups()
            stars[filename] = {"star_id": star_id, **_read_spectrum(filename, content)}
        else:
            table = _read_table(content)
    if table is None:
        raise ValueError(f"{path} holds no {_TABLE}")
    if set(table) != set(stars):
        missing = sorted(set(table) ^ set(stars))
        raise ValueError(
            f"{path}: {len(table)} stars in the table and {len(stars)} spectra; {missing[0]} is only in one of them"
        )
    return _to_survey([{**table[name], **stars[name]} for name in sorted(stars)])


def _members(path: str | os.PathLike) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                wanted = member.isreg() and (member.name == _TABLE or _SPECTRUM.fullmatch(member.name))
                if not wanted:
                    continue
                if member.size > _MAX_MEMBER_BYTES:
                    raise ValueError(f"{member.name} in {path} has {member.size} bytes, more than any spectrum")
                file = archive.extractfile(member)
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as an archive (truncated or damaged): {error}") from error


def _read_table(content: bytes) -> dict[str, dict[str, float]]:
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    try:
        return {row["ID"]: {name: float(row[column]) for name, column in _COLUMNS.items()} for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_TABLE} lacks a column or holds something that is no number: {error}") from error


def _read_spectrum(filename: str, content: bytes) -> dict:
    spectrum = read_aspcap_star(content, name=filename)
    try:
        star = {
            "flux": spectrum.flux,
            "error": spectrum.error,
            "field": str(spectrum.header["FIELD"]).strip(),
            "snr": float(spectrum.header["SNR"]),
            "starflag": int(spectrum.row["STARFLAG"]),
            "aspcapflag": int(spectrum.row["ASPCAPFLAG"]),
        }
        for name, place in _PARAMETERS.items():
            fitted, flag = spectrum.row["FPARAM"][place], int(spectrum.row["PARAMFLAG"][place])
            star[name] = np.nan if flag & _PARAMETER_BAD or fitted < -100 else float(fitted)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{filename} cannot be read as an aspcapStar file of DR10: {error}") from error
    return star


def _cluster(field: str) -> str:
    return {"M5PAL5": "M5", "M35N2158": "N2158"}.get(field, field.removeprefix("APGS_"))


def _to_survey(stars: list[dict]) -> Survey:
    pixels = on_chip("dr10")
    flux, ivar = flux_and_ivar(*(np.stack([star[name][pixels] for star in stars]) for name in ("flux", "error")))
    labels = np.array([[star[name] for name in _LABEL_NAMES] for star in stars])
    return Survey(
        wavelength=wavelength_grid()[pixels],
        flux=flux,
        ivar=ivar,
        labels=np.where(labels > -100, labels, np.nan),
        label_err=np.array([[_label_error(star, name) for name in _LABEL_NAMES] for star in stars]),
        label_names=_LABEL_NAMES,
        label_units=tuple(map(label_unit, _LABEL_NAMES)),
        star_id=np.array([star["star_id"] for star in stars]),
        catalogue={
            "cluster": np.array([_cluster(star["field"]) for star in stars]),
            **{name: np.array([star[name] for star in stars]) for name in _CATALOGUE},
        },
        provenance={
            "source": "APOGEE DR10 aspcapStar spectra of calibration clusters",
            "archive": f"{ARCHIVE.requirement} ({ARCHIVE.filename})",
            "sha256": ARCHIVE.sha256,
            "reader_version": READER_VERSION,
            "citations": list(_CITATIONS),
            "acknowledgement": _ACKNOWLEDGEMENT,
        },
    )


def _label_error(star: dict, name: str) -> float:
    if name in _FLOOR_ERRORS:
        return _FLOOR_ERRORS[name]
    error = star[f"{name}_err"]
    return error if error > 0 else _ASSIGNED_ERRORS[name]
