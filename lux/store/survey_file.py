"""The file of a survey, HDF5 or a Zarr folder, written whole or not at all, and its spectra read where they lie.

The module is long because what is written, and each way in which it may be damaged when it is read, are one format.
"""

import contextlib
import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from lux.store import zarr_folder
from lux.store.files import atomic_write, refuse_another_file, require_space
from lux.store.survey_checks import too_precise

# A group of HDF5 or of a Zarr folder.
_Group = Any
_FORMAT = "lux-survey-1"
# With which HDF5 files begin.
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Rows of a file that are read at once; 60 MB on APOGEE's pixels.
_MAX_SPAN = 2048
# Bytes of a name, so that it may be that of a folder.
_LONGEST_NAME = 200
# Bytes of whose multiple JAX wants the address of an array.
_ALIGNMENT = 64


def write_survey(
    path: str | os.PathLike,
    columns: Mapping[str, Any],
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    wavelength: np.ndarray | None = None,
    *,
    compress: bool = True,
) -> None:
    """Write a survey whose spectra come in blocks of stars to one HDF5 file or Zarr folder, whole or not at all.

    Parameters
    ----------
    path : str or path
        A Zarr folder if it ends so, in ``.zarr``.
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
    with _new_file(Path(path), columns, len(wavelength)) as file:
        for name in ("wavelength", "labels", "label_err"):
            array = wavelength if name == "wavelength" else columns[name]
            file.create_dataset(name, data=array, fletcher32=array.size > 0)
        shape = (n_stars, len(wavelength))
        chunks = (max(1, min(n_stars, (1 << 20) // (4 * len(wavelength)))), len(wavelength))
        packing = {"shuffle": True, "compression": "gzip", "compression_opts": 1} if compress else {}
        # What is lost of a file reads as NaN, which no survey holds.
        lost = {"fletcher32": True, "fillvalue": np.nan}
        spectra = {"shape": shape, "dtype": np.float32, "chunks": chunks, **lost, **packing}
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
            group.create_dataset("labels", data=truth["labels"], fletcher32=truth["labels"].size > 0)
            _write_columns(group, "columns", truth["columns"])
        file.attrs["format"] = _FORMAT


def read_survey(path: str | os.PathLike, *, lazy: bool = False) -> dict[str, Any]:
    """Return the fields of a survey that `write_survey` wrote, by name; `truth` is a dict of its fields, or None.

    Where it is `lazy`, flux and ivar are each a `StoredArray`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, or not a survey.
    OSError
        If it may not be read, is being written, or is replaced meanwhile.
    """
    path = Path(path)
    if not _metadata(path).is_file():
        by_name = "; a data set by its name is loaded, lux.load(...)" * (not path.suffix)
        raise FileNotFoundError(f"no survey file at {path}{by_name}")
    seen = _signature(path)
    try:
        with contextlib.ExitStack() as stack:
            file = _open(path)
            if isinstance(file, h5py.File):
                stack.enter_context(file)
            if file.attrs.get("format") != _FORMAT:
                raise ValueError(f"{path} can be read but is not a survey (format {file.attrs.get('format')!r})")
            fields = _read_fields(file, () if lazy else ("flux", "ivar"))
        fields |= {name: StoredArray(path, name) for name in ("flux", "ivar") if lazy}
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, f"{path} is open for writing elsewhere; close it there") from error
    except PermissionError as error:
        raise PermissionError(error.errno, f"{path} may not be read by this user") from error
    except (OSError, KeyError, TypeError, RuntimeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a survey (truncated, damaged or foreign): {error}; write it again"
        ) from error
    # Labels of one survey must not come with spectra of another. A file of HDF5 that was read at once is one.
    if (lazy or path.suffix == zarr_folder.SUFFIX) and _signature(path) != seen:
        raise OSError(f"{path} has changed while it was read; read it again")
    return fields


class StoredArray(NDArrayOperatorsMixin):
    """The flux or the inverse variances of a saved survey, left on the disk: (N, D), float32.

    A slice of rows is read, and its values checked. Stars picked by a mask or by numbers, and pixels picked by a mask,
    give a smaller stored array, and nothing is read. Whatever else NumPy is asked to do with it reads all of it.

    Parameters
    ----------
    path : path
        HDF5 file or Zarr folder of a survey.
    name : {"flux", "ivar"}
    """

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, path: str | os.PathLike, name: str):
        self.path, self.name = Path(path).absolute(), name
        self._file: _Group | None = None
        self._seen = _signature(self.path)
        stored = self._dataset()
        if stored.dtype.kind != "f" or len(stored.shape) != 2:
            raise OSError(f"{name} is an array of {stored.dtype} of shape {stored.shape}; expected numbers (N, D)")
        n_stars, n_pixels = stored.shape
        # Of the file; no columns are all.
        self._rows, self._n_pixels = np.arange(n_stars), n_pixels
        self._columns: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of stars and of pixels."""
        return len(self._rows), self._n_pixels if self._columns is None else len(self._columns)

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to read it; an open file is not."""
        return {**vars(self), "_file": None}

    def __getitem__(self, key: Any) -> "np.ndarray | StoredArray":
        """Return the rows of a slice, or one row, read; or the stars or pixels of a mask or of numbers, not read."""
        stars, pixels = self._picks(key)
        if np.ndim(stars) == 0 and not isinstance(stars, slice):
            row = self._read(self._rows[[stars]])[0]
            return row if pixels is None else row[pixels]
        picked = copy.copy(self)
        if np.ndim(pixels) == 0 and pixels is not None and not isinstance(pixels, slice):
            return np.asarray(self[:, [pixels]][stars])[..., 0]
        if not isinstance(stars, slice) and pixels is not None and not isinstance(pixels, slice):
            raise IndexError(
                "stars and pixels are both picked by arrays, which NumPy would pair; pick one after the other, "
                "flux[stars][:, pixels]"
            )
        if pixels is not None:
            everything = np.arange(self._n_pixels) if self._columns is None else self._columns
            picked._columns = everything[pixels]
        if not isinstance(stars, slice):
            picked._rows = self._rows[np.asarray(stars)]
        elif pixels is None or stars != slice(None):
            return picked._read(self._rows[stars])
        return picked

    def _picks(self, key: Any) -> tuple[Any, Any]:
        """Return what picks stars and what picks pixels, None for all; IndexError if it is none of what is known."""
        picks = key if isinstance(key, tuple) else (key,)
        if len(picks) > 2 or any(each is None or each is Ellipsis or np.ndim(each) > 1 for each in picks):
            raise IndexError(
                f"{self.name} is left on the disk, where stars and pixels are picked one by one, by slices, numbers or "
                f"masks of one dimension; for what else NumPy knows read all of it first, numpy.asarray({self.name})"
            )
        return picks[0] if picks else slice(None), picks[1] if len(picks) == 2 else None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all of it, read into memory."""
        return np.asarray(self._read(self._rows), dtype)

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError; of what an array in memory has, it says what to do."""
        hint = ": it is left on the disk; read some rows, flux[:100], or all, numpy.asarray(flux)"
        told = f"{type(self).__name__} has no attribute {name!r}{hint * hasattr(np.ndarray, name)}"
        raise AttributeError(told, name=name, obj=self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Return what a function of NumPy makes of all of it."""
        arrays = (np.asarray(each) if isinstance(each, StoredArray) else each for each in inputs)
        return getattr(ufunc, method)(*arrays, **options)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the file, in pieces of which each spans few rows more than it has."""
        values = _aligned(len(rows), self.shape[1])
        first = 0
        while first < len(rows):
            near = np.abs(rows[first : first + _MAX_SPAN] - rows[first]) < _MAX_SPAN
            count = len(near) if near.all() else int(np.argmin(near))
            part, out = rows[first : first + count], values[first : first + count]
            low, high = int(part.min()), int(part.max()) + 1
            if self._columns is None and np.array_equal(part, np.arange(low, high)):
                self._span(low, high, out)
            else:
                read = self._span(low, high, _aligned(high - low, self._n_pixels))
                read = read if self._columns is None else read[:, self._columns]
                # The numbers of rows are in range, which "clip" need not ask.
                np.take(read, part - low, axis=0, out=out, mode="clip")
            first += count
        self._check(values, rows)
        return values

    def _span(self, low: int, high: int, out: np.ndarray) -> np.ndarray:
        """Read consecutive rows of the file into an array; OSError if it is not what it was, or cannot be read."""
        self._require_same()
        try:
            self._dataset().read_direct(out, np.s_[low:high])
        except OSError as error:
            raise OSError(f"{self.path}: {self.name} of rows {low} to {high - 1} cannot be read: {error}") from error
        # It may have been opened just now, and another one.
        self._require_same()
        return out

    def _require_same(self) -> None:
        if _signature(self.path) != self._seen:
            raise OSError(f"{self.path} has changed since it was opened; open it again")

    def _dataset(self) -> Any:
        if self._file is None:
            self._file = _open(self.path)
        return self._file[self.name]

    def _check(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Refuse what a survey may not hold, with its place."""
        if not values.size:
            return
        least, greatest = values.min(), values.max(axis=1)
        if self.name == "ivar" and least >= 0 and np.any(empty := greatest == 0):
            star = rows[np.argmax(empty)]
            raise ValueError(f"{self.path}: row {star} has every pixel masked (ivar = 0); leave it out")
        # One that is not a number is both the least and the greatest.
        if np.isfinite(least) and np.all(np.isfinite(greatest)) and (least >= 0 or self.name != "ivar"):
            if self.name == "ivar" and (found := too_precise(values)):
                place = f"row {rows[found[0]]} at pixel {self._column(found[1])}"
                raise ValueError(f"{self.path}: the error of {place} {found[2]}")
            return
        bad = ~np.isfinite(values) | ((values < 0) & (self.name == "ivar"))
        star, pixel = np.unravel_index(np.argmax(bad), bad.shape)
        raise ValueError(
            f"{self.path}: {self.name} of row {rows[star]} at pixel {self._column(pixel)} is {values[star, pixel]}; to "
            "mask a pixel, set its flux to 1 and its ivar to 0"
        )

    def _column(self, pixel: np.intp | int) -> int:
        """Return which pixel of the file one of those picked is."""
        return int(pixel if self._columns is None else self._columns[pixel])


def _aligned(n_rows: int, n_columns: int) -> np.ndarray:
    """Return an empty array whose memory JAX takes as it is on a CPU, where it would copy another."""
    n_bytes = 4 * n_rows * n_columns
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + n_bytes].view(np.float32).reshape(n_rows, n_columns)


def _metadata(path: Path) -> Path:
    """Return the file that tells whether a survey is there, and still the same."""
    return path / zarr_folder.METADATA if path.suffix == zarr_folder.SUFFIX else path


def _signature(path: Path) -> tuple[int, int]:
    """Return size and time of the last change of a survey."""
    status = _metadata(path).stat()
    return status.st_size, status.st_mtime_ns


def _open(path: Path) -> _Group:
    return zarr_folder.ZarrGroup.open(path) if path.suffix == zarr_folder.SUFFIX else h5py.File(path, "r")


@contextlib.contextmanager
def _new_file(path: Path, columns: Mapping[str, Any], n_pixels: int) -> Iterator[_Group]:
    """Yield a new file, or folder, that gets its name if all goes well; OSError if there is no room for it."""
    n_bytes = _n_bytes(columns, n_pixels)
    if path.suffix == zarr_folder.SUFFIX:
        with zarr_folder.new_folder(path) as folder:
            require_space(path.parent, n_bytes)
            yield folder
        return
    refuse_another_file(path, "survey", _SIGNATURE, _is_survey)
    with atomic_write(path) as temporary:
        require_space(temporary.parent, n_bytes)
        with h5py.File(temporary, "w") as file:
            yield file


def _n_bytes(columns: Mapping[str, Any], n_pixels: int) -> int:
    """Return the bytes of a survey that is not compressed: of its spectra and of everything else."""
    truth = columns["truth"] or {"labels": np.empty(0), "columns": {}, "world": {}}
    arrays = [columns[name] for name in ("labels", "label_err", "star_id")]
    arrays += [*columns["catalogue"].values(), *truth["columns"].values(), truth["labels"]]
    texts = json.dumps([columns["provenance"], truth["world"]])
    return 8 * (len(columns["labels"]) + 1) * n_pixels + sum(array.nbytes for array in arrays) + len(texts)


def _is_survey(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("format")) == _FORMAT


def _write_columns(parent: _Group, name: str, columns: Mapping[str, np.ndarray]) -> None:
    group = parent.create_group(name, track_order=True)
    for number, (key, column) in enumerate(columns.items()):
        data = column
        if column.dtype.kind == "U":
            width = max(1, max((len(text.encode()) for text in column.tolist()), default=1))
            data = np.array([text.encode() for text in column.tolist()], dtype=f"S{width}")
        place = key if _names_a_place(key) else f"column {number}"
        while place != key and place in columns:
            place += "_"
        dataset = group.create_dataset(place, data=data, fletcher32=True)
        if column.dtype.kind == "U":
            dataset.attrs["text"] = column.dtype.str
        if place != key:
            dataset.attrs["name"] = json.dumps(key)


def _names_a_place(key: str) -> bool:
    """Return whether both formats can have an array of this name: "S/N" would be one in a group "S"."""
    reserved = key.startswith("__") or key == zarr_folder.METADATA or not key.strip(".")
    return key.isprintable() and not reserved and not set("/\\") & set(key) and len(key.encode()) < _LONGEST_NAME


def _whole(dataset: Any) -> Any:
    """Return all of an array; ValueError if parts of it are lost, which HDF5 would fill up with zeros."""
    chunks = getattr(dataset, "chunks", None)
    if isinstance(dataset, h5py.Dataset) and chunks is not None:
        expected = np.prod([-(-length // chunk) for length, chunk in zip(dataset.shape, chunks, strict=True)])
        if dataset.id.get_num_chunks() != expected:
            raise ValueError(f"{dataset.file.filename} is damaged: parts of {dataset.name} are lost; write it again")
    return dataset[()]


def _read_columns(group: _Group) -> dict[str, np.ndarray]:
    columns = {}
    for key, dataset in group.items():
        column = _whole(dataset)
        if "text" in dataset.attrs:
            column = np.array([text.decode() for text in column.tolist()], dtype=str(dataset.attrs["text"]))
        columns[json.loads(dataset.attrs["name"]) if "name" in dataset.attrs else key] = column
    return columns


def _read_fields(file: _Group, spectra: Sequence[str]) -> dict[str, Any]:
    truth = None
    if "truth" in file:
        group = file["truth"]
        truth = {
            "labels": _whole(group["labels"]),
            "world": json.loads(group.attrs["world"]),
            "columns": _read_columns(group["columns"]),
        }
    return {
        **{name: _whole(file[name]) for name in ("wavelength", *spectra, "labels", "label_err")},
        "label_names": tuple(json.loads(file.attrs["label_names"])),
        "label_units": tuple(json.loads(file.attrs["label_units"])),
        "star_id": _read_columns(file["star"])["star_id"],
        "catalogue": _read_columns(file["catalogue"]),
        "provenance": json.loads(file.attrs["provenance"]),
        "truth": truth,
    }
