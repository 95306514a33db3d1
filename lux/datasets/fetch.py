"""Files of a public archive: fetched in parallel and politely, resumed after a break, believed when validated.

Few connections; one pause for all of them where the server asks for it (429 or 503, with Retry-After). The bytes that
have come are kept beside the file as ``.part`` and continued only if the server confirms that its file is still the
same. A file gets its name when it is whole and its content has been looked at, so that a file with its name is whole,
whatever was killed.

The standard library does the transfers: of the clients weighed, those of astropy and pooch neither resume nor run in
parallel, and rely on checksums that these archives do not offer for a spectrum; sdss-access serves one of the two
archives and leaves transfers to rsync or curl.
"""

import collections
import dataclasses
import http.client
import io
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from lux.datasets.http import RefusedError, TryAgainError, answer_to, total_size, validator_of
from lux.datasets.manifest import add_entry, file_sha1, file_sha256, open_manifest, read_manifest
from lux.store.files import local_disk

_CHUNK = 1 << 16
# Tries of a file whose complete content is not what it should be: more would press the archive for nothing.
WRONG_CONTENT_TRIES = 3
# Bytes by which a try must come nearer to the end not to count as one: a large file may break off often.
PROGRESS = 1 << 20
# Files given up in a row, as multiples of the connections, after which the archive counts as out of reach.
_MAX_FAILURES_IN_A_ROW = 2
_SECONDS_BETWEEN_LINES = 0.5


# What is called with the number of bytes that came.
_Count = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Parameters
    ----------
    url : str
    path : Path
        Where it goes.
    validate : callable, optional
        Called with the path of the complete, not yet accepted file; raises ValueError if it is not what it should be.
    sha1 : str
        Of the file as the archive lists it; empty where it does not.
    max_size : int
        Bytes beyond which what comes is another file.
    rehash : bool
        Whether what is there is known by its SHA-256, and not by its size alone.
    """

    url: str
    path: Path
    validate: Callable[[Path], object] | None = None
    sha1: str = ""
    max_size: int = 20_000_000_000
    rehash: bool = False

    def check(self, path: Path) -> None:
        """Raise ValueError if the content of a complete file is not what it should be."""
        if self.validate is not None:
            self.validate(path)
        if self.sha1 and (found := file_sha1(path)) != self.sha1:
            raise ValueError(f"{self.path.name} has the SHA-1 {found}, the archive lists {self.sha1}")


@dataclasses.dataclass(frozen=True)
class TransferOptions:
    """How hard an archive is pressed, and how long it is waited for.

    Parameters
    ----------
    connections : int
        Most transfers at a time.
    attempts : int
        Tries in a row that bring a file no nearer before it is given up.
    timeout : float
        Seconds without a byte after which a transfer is broken off.
    min_rate : float
        Bytes per second, averaged over `timeout` seconds, below which a transfer is broken off.
    first_wait, max_wait : float
        Seconds before the second try, doubled before each further one up to the longest; a server that asks for a
        longer wait than the longest gets the longest.
    """

    connections: int = 4
    attempts: int = 8
    timeout: float = 30.0
    min_rate: float = 1000.0
    first_wait: float = 1.0
    max_wait: float = 120.0

    def __post_init__(self) -> None:
        if self.connections < 1 or self.attempts < 1:
            raise ValueError(f"at least one connection and one attempt are needed, got {self}")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one file.

    `status` is "kept" (was there), "fetched", "refused" (the archive has it not, or what it gives is not that file) or
    "failed" (no whole answer came, or none is given now; another run may succeed). `reason` says why; `size` counts
    bytes.
    """

    file: RemoteFile
    status: str
    reason: str = ""
    size: int = 0
    sha256: str = ""

    @property
    def arrived(self) -> bool:
        """Whether the file is in its place."""
        return self.status in ("kept", "fetched")


class _Gate:
    """The pause that all transfers to an archive share, the sign to stop, and what is said of tries that failed."""

    def __init__(self, patience: int, *, speaks: bool):
        self._open_at, self._lock, self.stop = 0.0, threading.Lock(), threading.Event()
        self._patience, self._in_a_row = patience, 0
        self._speaks, self._silent_until = speaks, 0.0

    def record(self, outcome: Outcome) -> None:
        """Stop the work after too many files in a row to which no whole answer came."""
        self._in_a_row = self._in_a_row + 1 if outcome.status == "failed" else 0
        if self._in_a_row >= self._patience:
            self.stop.set()

    def say(self, file: RemoteFile, reason: str, wait: float) -> None:
        """Print a line about a try that failed, and of many at a time one."""
        with self._lock:
            if not self._speaks or time.monotonic() < self._silent_until:
                return
            self._silent_until = time.monotonic() + _SECONDS_BETWEEN_LINES
        tqdm.write(f"lux: {file.url}: {reason}; next try in {wait:.0f} s", file=sys.stderr)

    def close_for(self, seconds: float) -> None:
        with self._lock:
            self._open_at = max(self._open_at, time.monotonic() + seconds)

    def wait(self) -> bool:
        """Wait until the gate is open; return False if the work is to stop."""
        while not self.stop.is_set():
            left = self._open_at - time.monotonic()
            if left <= 0:
                return True
            self.stop.wait(min(left, 1.0))
        return False


def fetch_files(
    files: Sequence[RemoteFile],
    manifest: Path,
    *,
    transfer: TransferOptions | None = None,
    progress: bool = True,
    description: str = "fetching",
    total_bytes: int | None = None,
) -> list[Outcome]:
    """Fetch files that are not there yet.

    Parameters
    ----------
    files : sequence of RemoteFile
    manifest : path
        File of one JSON object a line, appended to for every file that is accepted; files are named in it by their
        paths from its folder. See `lux.datasets.manifest`.
    transfer : TransferOptions, optional
    progress : bool
        Show rate and time left on stderr where that is a terminal, and a line about a try that failed.
    description : str
        Name of the progress line.
    total_bytes : int, optional
        Let the progress line count bytes up to this many (for few large files), not files.

    Returns
    -------
    list of Outcome
        One for each file, in their order.

    Raises
    ------
    lux.store.files.LocalDiskError
        If the disk is full or not writable. What has arrived stays, and another run continues.
    """
    transfer = transfer or TransferOptions()
    gate = _Gate(_MAX_FAILURES_IN_A_ROW * transfer.connections, speaks=progress)
    known = read_manifest(manifest)
    by_bytes = total_bytes is not None
    total, unit = (total_bytes, "B") if by_bytes else (len(files), "file")
    bar = tqdm(total=total, desc=description, unit=unit, unit_scale=by_bytes, disable=None if progress else True)
    names = [os.path.relpath(file.path, manifest.parent) for file in files]
    asked = collections.Counter(names)
    outcomes: dict[int, Outcome] = {}
    with bar, open_manifest(manifest) as log, ThreadPoolExecutor(transfer.connections) as pool:
        count: _Count = bar.update if by_bytes else (lambda size: None)
        waiting = {
            pool.submit(_obtain, files[place], known.get(names[place], {}), transfer, gate, count): place
            # A file that is asked for twice is fetched once.
            for place in {name: place for place, name in enumerate(names)}.values()
        }
        try:
            for future in as_completed(waiting):
                place = waiting[future]
                outcome = outcomes[place] = future.result()
                if outcome.arrived and known.get(names[place], {}).get("sha256") != outcome.sha256:
                    url, size, sha256 = outcome.file.url, outcome.size, outcome.sha256
                    with local_disk(manifest):
                        add_entry(log, name=names[place], url=url, size=size, sha256=sha256)
                gate.record(outcome)
                if not by_bytes:
                    bar.update(asked[names[place]])
        except BaseException:
            gate.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    found = {names[place]: outcome for place, outcome in outcomes.items()}
    return [dataclasses.replace(found[name], file=file) for file, name in zip(files, names, strict=True)]


def _obtain(file: RemoteFile, entry: dict, transfer: TransferOptions, gate: _Gate, count: _Count) -> Outcome:
    """Return what became of a file: kept if it is there, else fetched in as many tries as it takes or is allowed."""
    if (kept := _kept(file, entry)) is not None:
        return kept
    with local_disk(file.path):
        file.path.parent.mkdir(parents=True, exist_ok=True)
    jitter, reason = random.Random(file.url), "not tried: the archive does not answer"
    tries, wrong, reached = 0, 0, 0
    while tries < transfer.attempts and gate.wait():
        try:
            return _fetch_once(file, transfer, gate, count)
        except RefusedError as error:
            return Outcome(file, "refused" if error.absent else "failed", str(error))
        except TryAgainError as error:
            if error.restart:
                _part_of(file).unlink(missing_ok=True)
            size = _part_of(file).stat().st_size if _part_of(file).exists() else 0
            tries, reached = (1 if size >= reached + PROGRESS else tries + 1), max(reached, size)
            reason, wrong = f"{error} ({tries} tries)", wrong + error.content
            if wrong == WRONG_CONTENT_TRIES:
                return Outcome(file, "refused", reason)
            if error.wait is not None:
                gate.close_for(min(error.wait, transfer.max_wait))
            if tries < transfer.attempts:
                longest = min(transfer.max_wait, transfer.first_wait * 2 ** (tries - 1))
                wait = longest * (0.5 + jitter.random())
                gate.say(file, reason, wait)
                gate.stop.wait(wait)
    return Outcome(file, "failed", reason)


def _kept(file: RemoteFile, entry: dict) -> Outcome | None:
    """Return the outcome of a file that is in its place, or None if it is not, or was altered there and is no good.

    What the manifest does not list was put there by somebody else: it is used or refused. Nothing is removed: a file
    that took the place of a fetched one and is no good is set aside as ``.unusable``.
    """
    if not file.path.is_file():
        return None
    _tag_of(file).unlink(missing_ok=True)
    size = file.path.stat().st_size
    if entry.get("size") == size and not (file.rehash and file_sha256(file.path) != entry["sha256"]):
        return Outcome(file, "kept", size=size, sha256=entry["sha256"])
    try:
        file.check(file.path)
    except ValueError as error:
        if not entry:
            return Outcome(file, "refused", f"{file.path}, which was not fetched, is kept and of no use here: {error}")
        os.replace(file.path, file.path.with_name(f"{file.path.name}.unusable"))
        return None
    return Outcome(file, "kept", size=size, sha256=file_sha256(file.path))


def _fetch_once(file: RemoteFile, transfer: TransferOptions, gate: _Gate, count: _Count) -> Outcome:
    part, tag = _part_of(file), _tag_of(file)
    offset, validator, expected = _resume_point(part, tag)
    headers = {"Range": f"bytes={offset}-", "If-Range": validator} if offset else {}
    with answer_to(file.url, headers, transfer.timeout, offset, transfer.min_rate) as answer:
        if answer is not None:
            total = total_size(answer, offset, validator, expected)
            if answer.status != 206:
                with local_disk(part):
                    # In this order: the old bytes must be gone before a new tag vouches for what is there.
                    part.unlink(missing_ok=True)
                    tag.write_text(f"{validator_of(answer.headers)}\n{'' if total is None else total}")
            _receive(answer, part, min(total or file.max_size, file.max_size), total, gate, count)
    return _accepted(file, part, tag)


def _accepted(file: RemoteFile, part: Path, tag: Path) -> Outcome:
    """Look at a complete file and give it its name."""
    try:
        file.check(part)
    except ValueError as error:
        raise TryAgainError(str(error), content=True) from error
    size, digest = part.stat().st_size, file_sha256(part)
    with local_disk(part):
        with open(part, "rb") as written:
            os.fsync(written.fileno())
        os.replace(part, file.path)
        tag.unlink(missing_ok=True)
    return Outcome(file, "fetched", size=size, sha256=digest)


def _part_of(file: RemoteFile) -> Path:
    return file.path.with_name(f".{file.path.name}.part")


def _tag_of(file: RemoteFile) -> Path:
    return file.path.with_name(f".{file.path.name}.tag")


def _resume_point(part: Path, tag: Path) -> tuple[int, str, int | None]:
    """Return how many bytes are there, the strong validator that ties them to the server's file, and its size."""
    if not (part.is_file() and tag.is_file()):
        return 0, "", None
    validator, _, size = tag.read_text().partition("\n")
    return (part.stat().st_size, validator, int(size) if size.isdecimal() else None) if validator else (0, "", None)


def _receive(
    answer: http.client.HTTPResponse, part: Path, largest: int, total: int | None, gate: _Gate, count: _Count
) -> None:
    """Append the answer to the partial file; break off what ends early or never ends."""
    with local_disk(part):
        # Without a buffer: what it held would be written when the file is closed, and the disk be full then.
        out = open(part, "ab", buffering=0)
    with out:
        size = out.tell()
        while content := answer.read1(_CHUNK):
            with local_disk(part):
                _write(out, content)
            count(len(content))
            size += len(content)
            if gate.stop.is_set():
                raise TryAgainError("stopped")
            if size > largest:
                break
    if total is None and (size > largest or not size):
        part.unlink()
        raise RefusedError(f"more than {largest} bytes came") if size else TryAgainError("an empty answer came")
    if total is not None and size != total:
        raise TryAgainError(f"{size} of {total} bytes came", restart=size > total)


def _write(out: io.RawIOBase, content: bytes) -> None:
    """Write all of it, also where the disk takes a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[out.write(rest) or 0 :]
