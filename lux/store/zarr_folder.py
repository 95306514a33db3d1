"""A survey as a Zarr folder, which clusters read in parallel: the part of h5py's groups that a survey needs.

Every chunk ends in its checksum. One of spectra that is missing reads as NaN, which no survey holds; of other arrays it
is told. Text is kept as bytes, each a row of an array, since Zarr's format has no text of a fixed length.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lux.store.user_warnings import warn_user

SUFFIX = ".zarr"
# Zarr's file that every group has; written last, with the attributes.
METADATA = "zarr.json"
# Rows of a chunk of spectra; 8 MB on APOGEE's pixels, since file systems of clusters dislike many small files.
_CHUNK_ROWS = 256
_BYTES = "bytes"
# So long may a thread of Zarr write a chunk, and so often is it waited for.
_SECONDS_TO_WRITE, _MOST_REMOVALS = 0.2, 20
# Attribute of an array of which every chunk was written, so that one that is missing was lost.
_WHOLE = "whole"


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            f"a survey named *{SUFFIX} needs the package zarr: pip install 'lux-paper[cluster]'; any other name gives "
            "an HDF5 file, which needs nothing more"
        ) from error
    return zarr


class ZarrDataset:
    """An array of a Zarr folder, read by slices of rows; of bytes where it was given bytes."""

    def __init__(self, array: Any):
        self._array = array
        self.attrs, self.shape, self.dtype = array.attrs, array.shape, array.dtype

    def __getitem__(self, key: Any) -> Any:
        """Return a part, all of it for ``()``; OSError if a chunk is damaged, or was lost where NaN may stand."""
        if self.attrs.get(_WHOLE) and self._array.nchunks_initialized < self._array.nchunks:
            raise OSError(f"a chunk of {self._array.path} is missing")
        try:
            values = np.asarray(self._array[key])
        except (ValueError, TypeError, RuntimeError) as error:
            raise OSError(f"a chunk of {self._array.path} is damaged: {error}") from error
        width = self.attrs.get(_BYTES)
        return values if width is None else np.ascontiguousarray(values).view(f"S{width}")[..., 0]

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        self._array[rows] = values

    def read_direct(self, out: np.ndarray, rows: slice) -> None:
        """Read rows into an array; OSError if a chunk is damaged."""
        out[...] = self[rows]


class ZarrGroup(Mapping[str, Any]):
    """A group of a Zarr folder."""

    def __init__(self, group: Any):
        self._group = group
        self.attrs = group.attrs

    @classmethod
    def open(cls, path: Path) -> "ZarrGroup":
        """Open the folder of a survey to read it; OSError if it is none of Zarr."""
        try:
            return cls(_zarr().open_group(path, mode="r"))
        except (ValueError, TypeError, FileNotFoundError) as error:
            raise OSError(f"no Zarr folder: {error}") from error

    def __getitem__(self, name: str) -> Any:
        """Return a member; OSError if it is damaged, or was there and is missing."""
        try:
            member = self._group[name]
        except KeyError as error:
            if name in self.attrs.get("order", []):
                raise OSError(f"{name} is missing") from error
            raise
        except (ValueError, TypeError) as error:
            raise OSError(f"{name} is damaged: {error}") from error
        return ZarrDataset(member) if hasattr(member, "shape") else ZarrGroup(member)

    def __iter__(self) -> Iterator[str]:
        """Yield names of members in the order in which they were made, and of those that are missing."""
        return iter(self.attrs.get("order", []))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def create_group(self, name: str, **_: Any) -> "ZarrGroup":
        """Create a group in this one."""
        self._remember(name)
        return ZarrGroup(self._group.create_group(name))

    def create_dataset(
        self,
        name: str,
        *,
        data: np.ndarray | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        compression: str | None = None,
        **_: Any,
    ) -> ZarrDataset:
        """Create an array of `data`, or an empty one of a shape and type, whose rows are set later."""
        codecs = _zarr().codecs
        self._remember(name)
        width = None
        if data is not None:
            if data.dtype.kind == "S":
                width = data.dtype.itemsize
                data = np.ascontiguousarray(data[..., None]).view(np.uint8)
            shape, dtype = data.shape, data.dtype
        assert shape is not None, "an array has data or a shape"
        chunks = tuple(max(1, size) for size in ((min(shape[0], _CHUNK_ROWS), *shape[1:]) if data is None else shape))
        packing = [codecs.BloscCodec(cname="zstd", clevel=1)] if compression else []
        fill = {"fill_value": np.nan} if np.dtype(dtype).kind == "f" else {}
        array = self._group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            compressors=[*packing, codecs.Crc32cCodec()],
            config={"write_empty_chunks": True},
            **fill,
        )
        if data is not None:
            array[...] = data
            array.attrs[_WHOLE] = True
        dataset = ZarrDataset(array)
        if width is not None:
            dataset.attrs[_BYTES] = width
        return dataset

    def _remember(self, name: str) -> None:
        self.attrs["order"] = [*self.attrs.get("order", []), name]


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[ZarrGroup]:
    """Yield a group beside `path` that gets this name only if the block succeeds.

    Raises
    ------
    FileNotFoundError
        If the folder in which it is to lie does not exist.
    FileExistsError
        If something has that name: no folder can take the place of another at once.
    """
    zarr = _zarr()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path.name}: the folder {path.parent} does not exist; create it first")
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists, and a Zarr folder replaces nothing; choose another name, or remove it")
    work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield ZarrGroup(zarr.create_group(work / "new"))
        try:
            os.replace(work / "new", path)
        except OSError as error:
            if not os.path.lexists(path):
                raise
            raise FileExistsError(f"{path} has come to be meanwhile, and a Zarr folder replaces nothing") from error
    except BaseException:
        _remove_for_good(work)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _remove_for_good(folder: Path) -> None:
    """Remove a folder in which something was broken off: threads of Zarr end what they write, and make it anew."""
    for _ in range(_MOST_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_SECONDS_TO_WRITE)
        if not folder.exists():
            return
    warn_user(f"{folder}, which was broken off, could not be removed; remove it", RuntimeWarning)
