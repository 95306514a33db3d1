"""Products that several chapters need are computed once, and kept under a key of everything that they depend on.

The key holds the definitions of `lux` that the computation uses, its tables, the parameters, the versions of the
packages and of Python: a change of any of them leads to another file, and never to an old one. joblib.Memory keys on
the text of one function and pickles; here the whole call tree counts, and products are files of their own formats.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from lux.store.dependencies import Package, data_files_digest
from lux.store.files import atomic_write, cache_dir
from lux.store.user_warnings import warn_user

_PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "astropy", "h5py", "scikit-learn")
_MAX_BYTES = 8 * 2**30
# A product is one that can write itself to a file and be read from it: a survey, a fitted model.
Product = TypeVar("Product")


def store_dir() -> Path:
    """Return the folder of kept products, made if needed: ``$LUX_STORE``, else ``store`` in `cache_dir`."""
    given = os.environ.get("LUX_STORE")
    folder = Path(given).expanduser() if given else cache_dir() / "store"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def product_key(code: str, parameters: Mapping[str, Any], folder: Path | None = None) -> str:
    """Return the key of what a piece of code computes with these parameters.

    Parameters
    ----------
    code : str
        Imports of what is used, such as ``"from lux.models.lux import Lux"``; all that these definitions use counts.
    parameters : mapping
        Values that JSON can hold, or whose ``repr`` says all of them.
    folder : path, optional
        Of the package; this one by default.
    """
    parts = [
        _source_digest(code, folder or Path(__file__).parents[1]),
        json.dumps(parameters, sort_keys=True, default=repr),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


_package = functools.lru_cache(maxsize=1)(Package)


@functools.lru_cache(maxsize=32)
def _source_digest(code: str, folder: Path) -> str:
    found = _package(folder).dependencies(code)
    lines = sorted(f"{module}.{name} {digest}" for (module, name), digest in found.items())
    lines += [data_files_digest(folder), f"python {platform.python_version()}"]
    lines += [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def kept(
    kind: type[Product], code: str, parameters: Mapping[str, Any], compute: Callable[[], Product], **options: Any
) -> Product:
    """Return a product, read where it is kept and otherwise computed and kept, whole or not at all.

    Processes that want the same product at once wait for the one that computes it. A file that cannot be read is made
    anew, with a warning. The least recently used files go when the folder grows beyond 8 GiB.

    Parameters
    ----------
    kind : type
        With a class method ``load(path)``; its instances have ``save(path)``.
    code, parameters
        As `product_key` takes them.
    compute : callable
        Makes the product.
    **options
        Of ``save``.
    """
    folder = store_dir()
    path = folder / f"{kind.__name__.lower()}-{product_key(code, parameters)}"
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            try:
                product = kind.load(path)  # type: ignore[attr-defined]
            except (ValueError, OSError, KeyError) as error:
                warn_user(f"{path} cannot be read ({error}); it is computed again")
            else:
                os.utime(path)
                return product
        product = compute()
        product.save(path, **options)  # type: ignore[attr-defined]
    _remove_least_used(folder)
    return product


def is_kept(path: Path) -> bool:
    """Return whether a file is there and not empty, as a full disk may have left it."""
    return path.exists() and path.stat().st_size > 0


def kept_json(path: Path, compute: Callable[[], Any]) -> Any:
    """Return what a JSON file holds; where it is not there, it is computed and written, whole or not at all."""
    if is_kept(path):
        return json.loads(path.read_text(encoding="utf-8"))
    content = compute()
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return content


def _remove_least_used(folder: Path) -> None:
    """Remove the files that were not used for longest until the others are within the limit."""
    files = []
    for path in folder.iterdir():
        # Other processes remove files too.
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                files.append(((status := path.stat()).st_mtime, status.st_size, path))
    files.sort()
    excess = sum(size for _, size, _ in files) - _MAX_BYTES
    for _, size, path in files:
        if excess <= 0:
            return
        if path.suffix != ".lock":
            path.unlink(missing_ok=True)
            excess -= size
