"""What is wanted of APOGEE DR17 and GALAH DR3, where the archives have it, and where it is kept here."""

import dataclasses
import functools
import hashlib
import json
import numbers
import os
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lux.datasets.aspcap import read_aspcap_star, require_spectrum
from lux.datasets.assembly import READER_VERSION
from lux.datasets.catalogues import APOGEE_COLUMNS, GALAH_COLUMNS, check_columns, check_galah_labels
from lux.datasets.crossmatch import check_selection, cut_names, is_place
from lux.datasets.fetch import RemoteFile
from lux.datasets.manifest import read_sha1sums
from lux.store.files import as_folder, cache_dir

DEFAULT_LABELS = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")
# As many as the published study trained on and tested with.
DEFAULT_STARS = 5000
_SDSS_URL, _SDSS_VARIABLE = "https://data.sdss.org/sas", "LUX_SDSS_URL"
_GALAH_URL, _GALAH_VARIABLE = "https://cloud.datacentral.org.au/teamdata/GALAH/public/GALAH_DR3", "LUX_GALAH_URL"
_ASPCAP = "dr17/apogee/spectro/aspcap/dr17/synspec_rev1"
# As the archive's own list gives it.
_APOGEE_SHA1 = "7aa2f381de0e8e246f9833cc7da540ef45096702"
APOGEE_FILE, GALAH_FILE = "allStar-dr17-synspec_rev1.fits", "GALAH_DR3_main_allstar_v2.fits"
# Bytes of spectra and lists of checksums, beyond which they are none.
_MAX_SMALL = 20_000_000
# Replaced by the folder that the environment names when a request is made.
_DEFAULT_CACHE: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted of the two surveys, and where it is kept.

    Parameters
    ----------
    n_stars : int
        Most stars.
    labels : sequence of str
        Of GALAH: "teff" (K), "logg", "fe_h", "alpha_fe", or an element's such as "eu_fe" or "ba_fe" (dex). Any other
        is refused before a file is looked at.
    selection : {"careful", "published"}
        See `lux.datasets.crossmatch`.
    complete : bool
        In the careful selection, only stars with all labels; else labels may be missing (NaN).
    max_disagreement : float, optional
        Leave out stars in whose Teff or [Fe/H] the surveys differ by more than this many errors; by default none.
    cache : str or path, optional
        Folder for everything fetched; "apogee-galah" in `lux.store.files.cache_dir` by default.
    sdss_url, galah_url : str, optional
        Mirrors; by default the environment variables ``LUX_SDSS_URL`` and ``LUX_GALAH_URL`` where they are set, else
        the archives of the surveys.
    """

    n_stars: int = DEFAULT_STARS
    labels: tuple[str, ...] = DEFAULT_LABELS
    selection: str = "careful"
    complete: bool = True
    max_disagreement: float | None = None
    cache: Path = _DEFAULT_CACHE
    sdss_url: str | None = None
    galah_url: str | None = None

    def __post_init__(self) -> None:
        labels = (self.labels,) if isinstance(self.labels, str) else self.labels
        object.__setattr__(self, "labels", tuple(name.lower() for name in labels))
        object.__setattr__(self, "cache", as_folder(self.cache) if self.cache else cache_dir() / "apogee-galah")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must be given and differ, got {', '.join(self.labels) or 'none'}")
        check_galah_labels(self.labels)
        if isinstance(self.n_stars, bool) or not isinstance(self.n_stars, numbers.Integral) or self.n_stars < 1:
            raise ValueError(f"n_stars must be a whole number, at least 1, got {self.n_stars!r}")
        if self.max_disagreement is not None and not self.max_disagreement > 0:
            raise ValueError(f"max_disagreement must be positive, got {self.max_disagreement}")
        check_selection(self.selection)
        if self.cache.exists() and not self.cache.is_dir():
            raise ValueError(f"cache {self.cache} is a file; give the folder in which all that is fetched is kept")
        for name, url in ((_SDSS_VARIABLE, self._sdss), (_GALAH_VARIABLE, self._galah)):
            _require_url(url, name)

    @property
    def survey_path(self) -> Path:
        """Where the assembled survey is kept: another place for every other set of stars, labels and cuts."""
        cuts = cut_names(self.labels, self.selection, complete=self.complete, max_disagreement=self.max_disagreement)
        wanted = [READER_VERSION, self.n_stars, self.labels, cuts]
        key = hashlib.blake2b(json.dumps(wanted).encode(), digest_size=6).hexdigest()
        return self.cache / f"survey-{self.selection}-{self.n_stars}-{key}.h5"

    @property
    def manifest(self) -> Path:
        """The list of accepted files with their checksums."""
        return self.cache / "manifest.jsonl"

    def catalogues(self) -> dict[str, RemoteFile]:
        """Return the two catalogues, "apogee" and "galah".

        Columns of labels are not among what a catalogue must have to be accepted: a file that lacks one is whole.
        """
        apogee, galah = (functools.partial(check_columns, columns=each) for each in (APOGEE_COLUMNS, GALAH_COLUMNS))
        sha1 = _APOGEE_SHA1 if self._sdss == _SDSS_URL else ""
        return {
            "apogee": RemoteFile(
                f"{self._sdss}/{_ASPCAP}/{APOGEE_FILE}", self.cache / APOGEE_FILE, apogee, sha1, rehash=True
            ),
            "galah": RemoteFile(f"{self._galah}/{GALAH_FILE}", self.cache / GALAH_FILE, galah, rehash=True),
        }

    def checksums(self, telescope: str, field: str) -> RemoteFile:
        """Return the archive's list of the SHA-1 of all spectra of a field by a telescope."""
        run = "synspec_rev1" if telescope == "lco25m" else "synspec"
        return self._in_folder(telescope, field, f"dr17_{run}_{telescope}_{field}.sha1sum", read_sha1sums)

    def spectrum(self, telescope: str, field: str, star: str, sha1: str = "") -> RemoteFile:
        """Return the ``aspcapStar`` file of a star; ValueError if the catalogue gives no usable place."""
        if not is_place(telescope, field, star):
            raise ValueError(f"no file can be named after telescope {telescope!r}, field {field!r}, star {star!r}")
        name = spectrum_name(star)
        check = functools.partial(_check_spectrum, name=name, star_id=star)
        return self._in_folder(telescope, field, name, check, sha1)

    def _in_folder(
        self, telescope: str, field: str, name: str, check: Callable[[Path], object], sha1: str = ""
    ) -> RemoteFile:
        url = f"{self._sdss}/{_ASPCAP}/{urllib.parse.quote(f'{telescope}/{field}/{name}')}"
        path = self.cache / "spectra" / telescope / field / name
        return RemoteFile(url, path, check, sha1, max_size=_MAX_SMALL)

    @property
    def _sdss(self) -> str:
        return (self.sdss_url or os.environ.get(_SDSS_VARIABLE) or _SDSS_URL).strip().rstrip("/")

    @property
    def _galah(self) -> str:
        return (self.galah_url or os.environ.get(_GALAH_VARIABLE) or _GALAH_URL).strip().rstrip("/")


def _require_url(url: str, variable: str) -> None:
    """Raise ValueError, which names the variable that may have set it, if an address is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme == "file" or (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in url):
        raise ValueError(f"{url!r} is no address of an archive, such as {_SDSS_URL}; see the variable {variable}")


def spectrum_name(star: str) -> str:
    """Return what the archive calls the file of a star."""
    return f"aspcapStar-dr17-{star}.fits"


def _check_spectrum(path: Path, name: str, star_id: str) -> None:
    require_spectrum(read_aspcap_star(path, name=name, star_id=star_id), name)
