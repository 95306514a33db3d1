"""The list of files that were accepted, with their checksums: one JSON object a line, only ever appended to."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lux.store.files import local_disk

_SHA1_LINE = re.compile(r"(?P<sum>[0-9a-fA-F]{40})\s+\*?(?P<name>.+)")


def read_manifest(manifest: str | os.PathLike) -> dict[str, dict]:
    """Return the last entry of each file by name: name, url, size (bytes), sha256.

    A line that a kill cut short, or that lacks name, size or checksum, is passed over.
    """
    manifest, entries = Path(manifest), {}
    if manifest.is_file():
        for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError, AttributeError):
                entry = json.loads(line)
                if entry.keys() >= {"size", "sha256"}:
                    entries[entry["name"]] = entry
    return entries


@contextlib.contextmanager
def open_manifest(manifest: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a manifest to append to it, on a line of its own after one that a kill cut short."""
    with local_disk(Path(manifest)):
        log = open(manifest, "ab+", buffering=0)
    with log:
        if log.tell():
            log.seek(-1, os.SEEK_END)
            if log.read(1) != b"\n":
                log.write(b"\n")
        yield log


def add_entry(log: BinaryIO, *, name: str, url: str, size: int, sha256: str) -> None:
    """Append what is known of one file."""
    log.write(json.dumps({"name": name, "url": url, "size": size, "sha256": sha256}).encode() + b"\n")


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    return _digest(path, "sha256")


def file_sha1(path: str | os.PathLike) -> str:
    """Return the SHA-1 of a file, 40 hexadecimal digits: what the archive of SDSS lists, good against damage alone."""
    return _digest(path, "sha1")


def read_sha1sums(path: str | os.PathLike) -> dict[str, str]:
    """Return the SHA-1 of each file, by name without folders, of a list that ``sha1sum`` wrote.

    Raises
    ------
    ValueError
        If there is none, or a line is something else, such as that of a page in its place.
    """
    sums = {}
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        match = _SHA1_LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{Path(path).name} is no list of SHA-1 checksums: {line[:60]!r}")
        sums[match["name"].rpartition("/")[2]] = match["sum"].lower()
    if not sums:
        raise ValueError(f"{Path(path).name} is no list of SHA-1 checksums: it is empty")
    return sums


def _digest(path: str | os.PathLike, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
