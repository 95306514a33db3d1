"""Where files are kept, how they are written, whole or not at all, and the HDF5 file of a survey."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from platformdirs import user_cache_path

_FORMAT = "lux-survey-1"


class LocalDiskError(OSError):
    """The disk here cannot take what arrives; no try will change that."""


def cache_dir() -> Path:
    """Return the folder for fetched and derived data, creating it if needed.

    It is ``$LUX_CACHE`` where that is set, else where the operating system keeps caches: ``~/.cache/lux`` on Linux, or
    under ``$XDG_CACHE_HOME``.

    Raises
    ------
    OSError
        If the folder cannot be created.
    """
    explicit = os.environ.get("LUX_CACHE")
    folder = Path(explicit).expanduser() if explicit else user_cache_path("lux", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds.

    A killed or failing block leaves the old file (or none), never half of a new one.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path.name}: the folder {path.parent} does not exist; create it first")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_space(folder: Path, n_bytes: int) -> None:
    """Raise OSError if a file of so many bytes cannot be written to a folder now.

    HDF5 must not meet a full disk: it notices when it closes the file, and then takes the process down with it.
    """
    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            os.posix_fallocate(probe.fileno(), 0, n_bytes)
            return
        except AttributeError:
            pass
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise OSError(
                    error.errno, f"{error.strerror}: no room for {n_bytes} bytes in {folder}; make room and run again"
                ) from error
    if shutil.disk_usage(folder).free < n_bytes:
        raise OSError(errno.ENOSPC, f"No space left: no room for {n_bytes} bytes in {folder}; make room and run again")


@contextlib.contextmanager
def local_disk(path: Path) -> Iterator[None]:
    """Turn trouble with the disk here into an error that no try can mend, and that says what to do."""
    try:
        yield
    except OSError as error:
        raise LocalDiskError(
            error.errno,
            f"cannot write {path.name} in {path.parent}: {error.strerror or error}; make room there and "
            "run again, what has arrived is kept",
        ) from error


def write_survey(
    path: str | os.PathLike,
    columns: Mapping[str, Any],
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    wavelength: np.ndarray | None = None,
    *,
    compress: bool = True,
) -> None:
    """Write a survey whose spectra come in blocks of stars to one HDF5 file, whole or not at all.

    Parameters
    ----------
    path : str or path
    columns : mapping
        Everything but the spectra, as `lux.Survey.columns` returns it.
    blocks : iterable of (flux, ivar)
        The spectra of all stars in their order, (n, D) each.
    wavelength : (D,) array, optional
        Of the pixels of the blocks; that of the columns by default.
    compress : bool
        Whether the spectra are compressed, which takes ten times as long as writing them.

    Raises
    ------
    ValueError
        If the blocks hold another number of stars than the table.
    OSError
        If the disk has no room for the uncompressed survey.
    """
    n_stars = len(columns["labels"])
    wavelength = columns["wavelength"] if wavelength is None else np.asarray(wavelength, np.float64)
    with atomic_write(path) as temporary, _new_file(temporary, columns, len(wavelength)) as file:
        for name in ("wavelength", "labels", "label_err"):
            array = wavelength if name == "wavelength" else columns[name]
            file.create_dataset(name, data=array, fletcher32=array.size > 0)
        shape = (n_stars, len(wavelength))
        chunks = (max(1, min(n_stars, (1 << 20) // (4 * len(wavelength)))), len(wavelength))
        packing = {"shuffle": True, "compression": "gzip", "compression_opts": 1} if compress else {}
        spectra = {"shape": shape, "dtype": np.float32, "chunks": chunks, "fletcher32": True, **packing}
        flux, ivar = (file.create_dataset(name, **spectra) for name in ("flux", "ivar"))
        written = 0
        for block_flux, block_ivar in blocks:
            rows = slice(written, written + len(block_flux))
            if rows.stop <= n_stars:
                flux[rows], ivar[rows] = block_flux, block_ivar
            written = rows.stop
        if written != n_stars:
            raise ValueError(f"{written} spectra came for the {n_stars} stars of the table")
        _write_columns(file, "star", {"star_id": columns["star_id"]})
        _write_columns(file, "catalogue", columns["catalogue"])
        file.attrs["label_names"] = json.dumps(columns["label_names"])
        file.attrs["label_units"] = json.dumps(columns["label_units"])
        file.attrs["provenance"] = json.dumps(columns["provenance"])
        if (truth := columns["truth"]) is not None:
            group = file.create_group("truth")
            group.attrs["world"] = json.dumps(truth["world"])
            group.create_dataset("labels", data=truth["labels"])
            _write_columns(group, "columns", truth["columns"])
        file.attrs["format"] = _FORMAT


def read_survey(path: str | os.PathLike) -> dict[str, Any]:
    """Return the fields of a survey that `write_survey` wrote, by name; `truth` is a dict of its fields, or None.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, or not a survey.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no survey file at {path}")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != _FORMAT:
                raise ValueError(f"{path} is HDF5 but not a survey (format {file.attrs.get('format')!r})")
            return _read_fields(file)
    except (OSError, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a survey (truncated, damaged or foreign): {error}; write it again"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _new_file(path: Path, columns: Mapping[str, Any], n_pixels: int) -> h5py.File:
    n_stars, n_labels = columns["labels"].shape
    per_star = 8 * (n_pixels + 3 * n_labels)
    truth = columns["truth"]["columns"].values() if columns["truth"] else ()
    n_bytes = sum(column.nbytes for column in (*columns["catalogue"].values(), *truth))
    require_space(path.parent, n_stars * per_star + n_bytes + (1 << 16))
    return h5py.File(path, "w")


def _write_columns(parent: h5py.Group, name: str, columns: Mapping[str, np.ndarray]) -> None:
    group = parent.create_group(name, track_order=True)
    for key, column in columns.items():
        if column.dtype.kind == "U":
            width = max(1, max((len(text.encode()) for text in column.tolist()), default=1))
            data = np.array([text.encode() for text in column.tolist()], dtype=f"S{width}")
            group.create_dataset(key, data=data).attrs["text"] = column.dtype.str
        else:
            group.create_dataset(key, data=column)


def _read_columns(group: h5py.Group) -> dict[str, np.ndarray]:
    columns = {}
    for key, dataset in group.items():
        column = dataset[()]
        if "text" in dataset.attrs:
            column = np.array([text.decode() for text in column.tolist()], dtype=str(dataset.attrs["text"]))
        columns[key] = column
    return columns


def _read_fields(file: h5py.File) -> dict[str, Any]:
    truth = None
    if "truth" in file:
        group = file["truth"]
        truth = {
            "labels": group["labels"][()],
            "world": json.loads(group.attrs["world"]),
            "columns": _read_columns(group["columns"]),
        }
    return {
        **{name: file[name][()] for name in ("wavelength", "flux", "ivar", "labels", "label_err")},
        "label_names": tuple(json.loads(file.attrs["label_names"])),
        "label_units": tuple(json.loads(file.attrs["label_units"])),
        "star_id": _read_columns(file["star"])["star_id"],
        "catalogue": _read_columns(file["catalogue"]),
        "provenance": json.loads(file.attrs["provenance"]),
        "truth": truth,
    }
