"""Where files are kept, and how they are written: whole or not at all, with an error that says what to do."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from platformdirs import user_cache_path

# Bytes of chunks of HDF5, of which the last ones are in part empty, and what of the arrays it takes to find them all.
_PADDING, _INDEX_PART = 1 << 22, 50


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
    folder = as_folder(explicit) if explicit else user_cache_path("lux", appauthor=False)
    make_folder(folder, "give another one in LUX_CACHE")
    return folder


def as_folder(path: str | os.PathLike) -> Path:
    """Return the path of a folder as it is whatever the working directory, "~" being one's own."""
    return Path(path).expanduser().absolute()


def make_folder(folder: Path, way_out: str) -> None:
    """Make a folder if it is not there; OSError, which says what to do, if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"{folder} cannot be a folder for what is fetched: {error.strerror or error}; {way_out}"
        raise type(error)(error.errno, what) from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place only if the block succeeds.

    A killed or failing block leaves the old file (or none), never half of a new one. A link stays one: what it leads to
    is written.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    IsADirectoryError
        If `path` is a folder.
    PermissionError
        If no file may be made in the folder of `path`.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path.name}: the folder {path.parent} does not exist; create it first")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except PermissionError as error:
        raise PermissionError(
            error.errno, f"cannot write {path.name}: no file may be made in the folder {path.parent}"
        ) from error
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


def refuse_another_file(path: str | os.PathLike, kind: str, begins: bytes, is_ours: Callable[[Path], bool]) -> None:
    """Raise FileExistsError if a file is there that is not of a kind, and would be replaced.

    Files of the kind begin so; one that does and that `is_ours` cannot read is a damaged one.
    """
    path = Path(path)
    if not path.is_file() or not path.stat().st_size:
        return
    with open(path, "rb") as file:
        ours = file.read(len(begins)) == begins
    if ours:
        try:
            ours = bool(is_ours(path))
        except BlockingIOError as error:
            raise FileExistsError(
                f"{path} is open for writing elsewhere; close it there, or give another name"
            ) from error
        except Exception:
            ours = True
    if not ours:
        raise FileExistsError(f"{path} is there and holds no {kind}, which would replace it: give another name")


def require_space(folder: Path, n_bytes: int) -> None:
    """Raise OSError if an HDF5 file with arrays of so many bytes cannot be written to a folder now.

    HDF5 must not meet a full disk: it notices when it closes the file, and then takes the process down with it. Its
    file is larger than the arrays, each of which ends in a chunk that need not be full and has an index.
    """
    n_bytes += _PADDING + n_bytes // _INDEX_PART
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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        way_out = "make room there" if full else "see to that folder, or give another one"
        raise LocalDiskError(
            error.errno,
            f"cannot write {path.name} in {path.parent}: {error.strerror or error}; {way_out} and run again, what has "
            "arrived is kept",
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
