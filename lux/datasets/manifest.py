"""The list of files that were accepted, with their checksums: one JSON object a line, only ever appended to."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def read_manifest(manifest: str | os.PathLike) -> dict[str, dict]:
    """Return the last entry of each file by name: name, url, size (bytes), sha256.

    A line that a kill cut short is passed over.
    """
    manifest, entries = Path(manifest), {}
    if manifest.is_file():
        for line in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                entry = json.loads(line)
                entries[entry["name"]] = entry
    return entries


@contextlib.contextmanager
def open_manifest(manifest: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a manifest to append to it, on a line of its own after one that a kill cut short."""
    with open(manifest, "ab+") as log:
        if log.tell():
            log.seek(-1, os.SEEK_END)
            if log.read(1) != b"\n":
                log.write(b"\n")
        yield log


def add_entry(log: BinaryIO, *, name: str, url: str, size: int, sha256: str) -> None:
    """Append what is known of one file."""
    log.write(json.dumps({"name": name, "url": url, "size": size, "sha256": sha256}).encode() + b"\n")
    log.flush()


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
