"""Kill a fetch at random moments, again and again, and let it finish; compare what comes of it.

Usage: python killed_fetch.py CACHE KILLS SEED, with the addresses of the archive in the environment. The modules are
imported once; each fetch is a forked child that ends by SIGKILL or by itself. Whenever one has ended by itself the
cache is emptied and all begins anew. Prints one JSON object a line: the kills so far, and the checksum of each survey.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from lux.datasets.apogee_galah import Request, make_survey_file
from lux.datasets.fetch import Politeness
from lux.survey import Survey

LONGEST_FETCH = 20.0


def fetch(request: Request) -> None:
    """Fetch and assemble in small blocks, so that there is much to break off."""
    import lux.datasets.assembly

    lux.assembly.assemble.__kwdefaults__["block_stars"] = 4
    make_survey_file(request, progress=False, politeness=Politeness(connections=2, first_wait=0.01))


def run_for(request: Request, seconds: float) -> bool:
    """Run a fetch in a child for so long at most; return whether it ended by itself, and well."""
    child = os.fork()
    if child == 0:
        try:
            fetch(request)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"a fetch failed with status {status}")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def content_hash(survey: Survey) -> str:
    """Return a checksum of all that a survey holds."""
    digest = hashlib.sha256()
    arrays = (survey.wavelength, survey.flux, survey.ivar, survey.labels, survey.label_err, survey.star_id)
    for array in (*arrays, *survey.catalogue.values()):
        digest.update(array.tobytes())
    digest.update(json.dumps([survey.provenance, survey.label_names]).encode())
    return digest.hexdigest()


def main() -> None:
    cache, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    generator, killed = random.Random(seed), 0
    request = Request(n_stars=100, cache=cache)
    while killed < kills:
        started = time.monotonic()
        if run_for(request, generator.uniform(0.0, 0.3)):
            print(json.dumps({"kills": killed, "hash": content_hash(Survey.load(request.survey_path))}), flush=True)
            shutil.rmtree(cache)
        else:
            killed += 1
        assert time.monotonic() - started < LONGEST_FETCH
    if not run_for(request, LONGEST_FETCH):
        raise SystemExit("the last fetch did not end")
    print(json.dumps({"kills": killed, "hash": content_hash(Survey.load(request.survey_path))}), flush=True)


if __name__ == "__main__":
    main()
