"""Thousands of ``aspcapStar`` files become one survey file, a block of stars at a time.

Each block is written beside the survey when it is done, so that an assembly that was killed goes on with the next one;
the memory in use is that of one block, whatever the number of stars. Blocks know which spectra they hold, and one that
holds others, or is damaged, is made again. The survey gets its name when it is whole; then the blocks go.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lux.datasets.aspcap import MIN_GOOD_FRACTION, AspcapStar, flux_and_ivar, read_aspcap_star
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.store.files import atomic_write
from lux.store.survey_file import write_survey
from lux.survey import Survey

_BLOCK_STARS = 512
# A change of what is done to spectra makes blocks of an earlier version useless.
READER_VERSION = 1


@dataclasses.dataclass(frozen=True)
class SpectrumFile:
    """Where the spectrum of a star is: its file, the name of the star that it must bear, and its checksum if known."""

    path: Path
    star_id: str
    sha256: str = ""


def assemble(
    destination: str | os.PathLike,
    table: Mapping[str, Any],
    spectra: Sequence[SpectrumFile],
    *,
    release: str = "dr17",
    block_stars: int = _BLOCK_STARS,
    progress: bool = True,
) -> None:
    """Write a survey from a table of stars and their ``aspcapStar`` files.

    Parameters
    ----------
    destination : str or path
        The HDF5 survey; blocks are kept in a folder beside it until it is whole.
    table : mapping
        Everything but the spectra, from `star_table`.
    spectra : sequence of SpectrumFile
        One for each star of the table, in its order.
    release : str
        Data release whose detectors say which pixels carry light; of these, pixels that fewer than 5 % of the stars
        have unmasked are dropped.
    block_stars : int
        Stars held at a time.
    progress : bool
        Show progress on stderr where that is a terminal.

    Raises
    ------
    ValueError
        If a file cannot be read, is of another star or not that of its checksum. It is set aside as ``.unusable``, so
        that another fetch replaces it.
    FileNotFoundError
        If a file is not there.
    """
    destination = Path(destination)
    folder = destination.with_name(f".{destination.name}.blocks")
    folder.mkdir(parents=True, exist_ok=True)
    pixels = on_chip(release)
    parts = [spectra[start : start + block_stars] for start in range(0, len(spectra), block_stars)]
    bar = tqdm(total=len(spectra), desc="assembling", unit="star", disable=None if progress else True)
    blocks = []
    with bar:
        for part in parts:
            blocks.append(_block(folder, part, pixels, release))
            bar.update(len(part))
    counts = np.sum([_read_block(block, "unmasked") for block in blocks], axis=0)
    kept = counts >= max(1, MIN_GOOD_FRACTION * len(spectra))
    write_survey(destination, table, _spectra(blocks, kept), wavelength=wavelength_grid()[pixels][kept])
    shutil.rmtree(folder)


def star_table(**fields: Any) -> dict[str, Any]:
    """Return all fields of a survey but its spectra, validated, as `lux.store.survey_file.write_survey` takes them."""
    any_spectrum = np.ones((len(fields["labels"]), 1), np.float32)
    columns = Survey(wavelength=np.ones(1), flux=any_spectrum, ivar=any_spectrum, **fields).columns()
    return {name: column for name, column in columns.items() if name != "wavelength"}


def _block(folder: Path, part: Sequence[SpectrumFile], pixels: np.ndarray, release: str) -> Path:
    """Return the file of a block of spectra, made if it is not there or is no good."""
    files = [(*spectrum.path.parts[-3:], *_state(spectrum.path)) for spectrum in part]
    key = hashlib.blake2b(json.dumps([READER_VERSION, release, files]).encode(), digest_size=12).hexdigest()
    path = folder / f"{key}.npz"
    if not _is_whole(path, len(part)):
        flux, ivar = np.empty((2, len(part), np.count_nonzero(pixels)), np.float32)
        for row, spectrum in enumerate(part):
            star = _read(spectrum)
            flux[row], ivar[row] = flux_and_ivar(star.flux[pixels], star.error[pixels])
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, flux=flux, ivar=ivar, unmasked=np.count_nonzero(ivar, axis=0))
    return path


def _state(path: Path) -> tuple[int, int]:
    """Return what tells a file from one that takes its place: its size, and when it was written."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _read(spectrum: SpectrumFile) -> AspcapStar:
    content = spectrum.path.read_bytes()
    try:
        if spectrum.sha256 and hashlib.sha256(content).hexdigest() != spectrum.sha256:
            raise ValueError(f"{spectrum.path.name} is not as it was fetched")
        return read_aspcap_star(content, name=spectrum.path.name, star_id=spectrum.star_id)
    except ValueError as error:
        aside = spectrum.path.with_name(f"{spectrum.path.name}.unusable")
        os.replace(spectrum.path, aside)
        raise ValueError(f"{error}; it was set aside as {aside}, run again to fetch it again") from error


def _is_whole(path: Path, n_stars: int) -> bool:
    try:
        return path.is_file() and len(_read_block(path, "flux")) == len(_read_block(path, "ivar")) == n_stars
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False


def _read_block(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        return file[name]


def _spectra(blocks: Sequence[Path], kept: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for block in blocks:
        yield _read_block(block, "flux")[:, kept], _read_block(block, "ivar")[:, kept]
