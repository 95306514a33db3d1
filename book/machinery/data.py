"""The data that chapters read: fetched before they run, so that chapters executed at once do not fetch twice."""

import hashlib
import subprocess
import sys
from pathlib import Path

from machinery.errors import BuildError


def data_digests(settings):
    """Return the content hash of a data set given by path.

    Named data sets need none: one is computed, and the code of the others holds the checksum that the data must have.
    """
    path = Path(settings.dataset)
    if not path.suffix:
        return {}
    if not path.exists():
        raise BuildError(f"there is no data set at {path}; give a name or the path of a saved survey")
    with open(path, "rb") as file:
        return {settings.dataset: hashlib.file_digest(file, "sha256").hexdigest()}


def fetch_data(settings, say):
    """Bring the real spectra to this machine; a chapter that needs them and finds none says so itself."""
    if not (settings.root / "lux" / "apogee.py").exists():
        return
    command = [sys.executable, "-c", "import lux; lux.load('apogee-dr10')"]
    fetched = subprocess.run(command, cwd=settings.root, capture_output=True, text=True)
    if fetched.returncode:
        say(f"The real spectra could not be fetched: {fetched.stderr.strip().splitlines()[-1]}")
