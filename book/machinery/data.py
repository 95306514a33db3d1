"""The data that chapters read: fetched before they run, so that chapters executed at once do not fetch twice."""

import hashlib
import subprocess
import sys
from pathlib import Path

from machinery.errors import BuildError

# The data set that is assembled on this machine, of what the archives gave.
ASSEMBLED = "apogee-galah"


def data_digests(settings):
    """Return the content hash of a data set given by path, or assembled on this machine.

    The others need none: one is computed, and the code of the other holds the checksum that the data must have.
    """
    path = _assembled() if settings.dataset == ASSEMBLED else Path(settings.dataset)
    if not path.suffix or (settings.dataset == ASSEMBLED and not path.exists()):
        return {}
    if not path.exists():
        raise BuildError(f"there is no data set at {path}; give a name or the path of a saved survey")
    with open(path, "rb") as file:
        return {settings.dataset: hashlib.file_digest(file, "sha256").hexdigest()}


def fetch_data(settings, say, *, assembled=True):
    """Bring the real spectra to this machine; a chapter that needs those of DR10 and finds none says so itself.

    Those of the study come if they are the data set of the paper, and `assembled`.

    Raises
    ------
    BuildError
        If the stars of the study are asked for and cannot be had.
    """
    if not (settings.root / "lux" / "datasets").is_dir():
        return
    command = [sys.executable, "-c", "import lux; lux.load('apogee-dr10')"]
    fetched = subprocess.run(command, cwd=settings.root, capture_output=True, text=True)
    if fetched.returncode:
        say(f"The real spectra could not be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    if assembled and settings.dataset == ASSEMBLED and not _assembled().exists():
        say("Fetching the stars of the study; this takes hours the first time, and goes on where it broke off.")
        # Progress and errors go where the build was started: this is no work to do in silence.
        if subprocess.run([sys.executable, "-m", "lux", "fetch", ASSEMBLED], cwd=settings.root).returncode:
            raise BuildError("the stars of the study could not be fetched; the lines above say why")


def _assembled():
    from lux.datasets.request import Request

    return Request().survey_path
