"""Kill a fetch in each of its phases and let the next one finish; say what comes of it.

Usage: python killed_fetch.py CACHE N_STARS, with the addresses of the archive in the environment. A phase is a kind of
thing that a fetch does to the outside: request a file, receive a piece, open, rename or remove a file of some kind. An
undisturbed fetch counts them. Then, for the first and the last time of each, a fetch is killed just before it does that
thing, and the next one runs to its end. The modules are imported once; each fetch is a forked child. Prints one JSON
object a line: the phase, whether the fetch was killed there, the checksum of the survey, and what is left beside it.
"""

import collections
import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from lux.datasets import assembly
from lux.datasets.apogee_galah import make_survey_file
from lux.datasets.fetch import TransferOptions
from lux.datasets.request import Request
from lux.survey import Survey

_FILES = {
    "allStar": "catalogue",
    "GALAH": "catalogue",
    "aspcapStar": "spectrum",
    ".sha1sum": "list of checksums",
    ".npz": "block",
    "survey": "survey",
    "manifest": "manifest",
    "left_out": "list of stars left out",
}
_EVENTS = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "urllib.Request": "request",
}


def phase_of(event: str, arguments: tuple) -> str | None:
    """Return the phase that an audit event of Python belongs to, such as "rename a spectrum"."""
    if event in _EVENTS and arguments and isinstance(arguments[0], str | os.PathLike):
        name = os.fspath(arguments[0]).rpartition("/")[2]
        kind = next((kind for part, kind in _FILES.items() if part in name), None)
        return kind and f"{_EVENTS[event]} a {kind}{' tag' if name.endswith('.tag') else ''}"
    return None


def watch(reached: Callable[[str], None]) -> None:
    """Call `reached` with each phase that this process comes to; for good, as audit hooks cannot be taken away."""
    lock, read1 = threading.Lock(), http.client.HTTPResponse.read1

    def hook(event: str, arguments: tuple) -> None:
        if (phase := phase_of(event, arguments)) is not None:
            with lock:
                reached(phase)

    def receive(*arguments):
        with lock:
            reached("receive a piece")
        return read1(*arguments)

    sys.addaudithook(hook)
    http.client.HTTPResponse.read1 = receive


def run(request: Request, reached: Callable[[str], None], ended: Callable[[], None] = lambda: None) -> bool:
    """Fetch in a child, in small blocks, so that there is much to break off; return whether it ended by itself."""
    if (child := os.fork()) == 0:
        try:
            watch(reached)
            assembly.assemble.__kwdefaults__["block_stars"] = 2
            make_survey_file(request, progress=False, transfer=TransferOptions(connections=2, first_wait=0.01))
            ended()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a fetch failed with status {status}")
    return not os.WIFSIGNALED(status)


def kill_at(phase: str, time: int) -> Callable[[str], None]:
    """Return what kills its process when that phase is reached for the given time, counted from 1."""
    seen: collections.Counter[str] = collections.Counter()

    def reached(now: str) -> None:
        seen[now] += 1
        if now == phase and seen[now] == time:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def content_hash(survey: Survey) -> str:
    """Return a checksum of all that a survey holds."""
    digest = hashlib.sha256()
    arrays = (survey.wavelength, survey.flux, survey.ivar, survey.labels, survey.label_err, survey.star_id)
    for array in (*arrays, *survey.catalogue.values()):
        digest.update(array.tobytes())
    digest.update(json.dumps([survey.provenance, survey.label_names]).encode())
    return digest.hexdigest()


def main() -> None:
    cache, n_stars = Path(sys.argv[1]), int(sys.argv[2])
    counted, seen = cache.with_name("phases.json"), collections.Counter()
    run(
        Request(n_stars=n_stars, cache=cache),
        lambda phase: seen.update([phase]),
        ended=lambda: counted.write_text(json.dumps(seen)),
    )
    for phase, times in json.loads(counted.read_text()).items():
        for time in sorted({1, times}):
            shutil.rmtree(cache)
            request = Request(n_stars=n_stars, cache=cache)
            killed = not run(request, kill_at(phase, time))
            run(request, lambda phase: None)
            left = [path.name for path in cache.rglob(".*") if path.name != ".lock"]
            report = {
                "phase": phase,
                "killed": killed,
                "hash": content_hash(Survey.load(request.survey_path)),
                "left": left,
            }
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
