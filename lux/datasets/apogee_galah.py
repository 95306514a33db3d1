"""The stars of the published study: spectra of APOGEE DR17 with labels of GALAH DR3, from the archives to a survey.

Two catalogues (4.8 GB) are fetched once, matched and cut (`lux.datasets.crossmatch`); then the spectra of the stars
that are wanted, some 0.27 MB each. All of it is kept under `lux.store.files.cache_dir`, and what is there is never
fetched again: a survey of more stars of the same selection holds those of a smaller one. The stars come in a random but
fixed order.

Whoever uses the data cites Abdurro'uf et al. 2022 (SDSS DR17), Majewski et al. 2017 (APOGEE) and Buder et al. 2021
(GALAH DR3), and acknowledges the surveys with the texts in `_ACKNOWLEDGEMENTS`.
"""

import collections
import contextlib
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import h5py
import numpy as np

from lux.datasets.assembly import READER_VERSION, SpectrumFile, assemble, star_table
from lux.datasets.catalogues import read_apogee, read_galah
from lux.datasets.crossmatch import Sample, Step, needed_labels, select_stars
from lux.datasets.fetch import Outcome, RemoteFile, TransferOptions, fetch_files
from lux.datasets.http import remote_size
from lux.datasets.manifest import read_manifest, read_sha1sums
from lux.datasets.request import APOGEE_FILE, DEFAULT_STARS, GALAH_FILE, Request, spectrum_name
from lux.store.files import atomic_write, make_folder
from lux.survey import Survey, label_unit

# Sizes assumed where an archive does not give them.
_TYPICAL_BYTES = {APOGEE_FILE: 3_970_000_000, GALAH_FILE: 833_000_000, "spectrum": 265_000}
# Seconds that a size is waited for.
_SIZE_TIMEOUT = 10.0
# More stars than this fraction without a spectrum are a sign of something else than gaps in the archive.
_MAX_LEFT_OUT = 0.05

_CITATIONS = (
    "Abdurro'uf et al. 2022, ApJS 259, 35 (SDSS DR17)",
    "Majewski et al. 2017, AJ 154, 94 (APOGEE)",
    "Garcia Perez et al. 2016, AJ 151, 144 (ASPCAP)",
    "Buder et al. 2021, MNRAS 506, 150 (GALAH DR3)",
    "Vasiliev & Baumgardt 2021, MNRAS 505, 5978 (globular clusters)",
)
_ACKNOWLEDGEMENTS = (
    "Funding for the Sloan Digital Sky Survey IV has been provided by the Alfred P. Sloan Foundation, the U.S. "
    "Department of Energy Office of Science, and the Participating Institutions. SDSS-IV acknowledges support and "
    "resources from the Center for High Performance Computing at the University of Utah. SDSS-IV is managed by the "
    "Astrophysical Research Consortium for the Participating Institutions of the SDSS Collaboration, which are listed "
    "at www.sdss4.org.",
    "This work made use of the Third Data Release of the GALAH Survey (Buder et al. 2021). The GALAH Survey is based "
    "on data acquired through the Australian Astronomical Observatory, under programs: A/2013B/13 (The GALAH pilot "
    "survey); A/2014A/25, A/2015A/19, A2017A/18 (The GALAH survey phase 1); A2018A/18 (Open clusters with HERMES); "
    "A2019A/1 (Hierarchical star formation in Ori OB1); A2019A/15 (The GALAH survey phase 2); A/2015B/19, A/2016A/22, "
    "A/2016B/10, A/2017B/16, A/2018B/15 (The HERMES-TESS program); and A/2015A/3, A/2015B/1, A/2015B/19, A/2016A/22, "
    "A/2016B/12, A/2017A/14 (The HERMES K2-follow-up program). We acknowledge the traditional owners of the land on "
    "which the AAT stands, the Gamilaraay people, and pay our respects to elders past and present. This paper includes "
    "data that has been provided by AAO Data Central (datacentral.aao.gov.au).",
    "This work has made use of data from the European Space Agency (ESA) mission Gaia, processed by the Gaia Data "
    "Processing and Analysis Consortium (DPAC).",
)
_KEPT_COLUMNS = (
    "snr", "radial_velocity", "ra", "dec", "gaia_id", "sobject_id", "telescope", "field", "starflag", "aspcapflag",
    "aspcap_teff", "aspcap_logg", "aspcap_m_h", "aspcap_alpha_m", "matched_by",
)  # fmt: skip


def load_apogee_galah(
    n_stars: int = DEFAULT_STARS, *, progress: bool = True, transfer: TransferOptions | None = None, **wanted: Any
) -> Survey:
    """Load APOGEE DR17 spectra with GALAH DR3 labels; what is not on this machine is fetched, once.

    Parameters
    ----------
    n_stars : int
        Most stars; 5000 by default.
    progress : bool
        Show progress on stderr where that is a terminal.
    transfer : lux.datasets.fetch.TransferOptions, optional
    **wanted
        Further fields of `Request`: ``labels``, ``selection``, ``complete``, ``max_disagreement``, ``cache``.

    Returns
    -------
    Survey
        Continuum-normalized flux in the rest frame on the pixels of the DR17 detectors that at least 5 % of the stars
        have unmasked; ivar is 0 and flux 1 where the error is above 0.1 or the flux is not positive. Catalogue columns:
        ``snr``, ``galah_snr``, ``radial_velocity`` (km/s, heliocentric), ``ra``, ``dec`` (degrees), ``gaia_id``,
        ``sobject_id``, ``telescope``, ``field``, ``starflag``, ``aspcapflag``, ASPCAP's own ``aspcap_teff`` (K),
        ``aspcap_logg``, ``aspcap_m_h``, ``aspcap_alpha_m``, and ``matched_by``. The provenance holds the
        table of cuts under "selection" and, under "left_out", the stars without a spectrum and why.

    Raises
    ------
    FileNotFoundError
        If files could not be fetched; the message says which, why, and what to do.
    ValueError
        If a catalogue is not what it should be, or the selection leaves no star.
    """
    request = Request(n_stars=n_stars, **wanted)
    path = request.survey_path
    if path.is_file():
        try:
            if _is_of_catalogues(request, (survey := Survey.load(path)).provenance):
                return survey
        except ValueError:
            pass
        path.unlink()
    make_survey_file(request, progress=progress, transfer=transfer)
    return Survey.load(path)


def _is_of_catalogues(request: Request, provenance: Mapping[str, Any]) -> bool:
    """Return whether a survey is of the catalogues that were accepted last, as far as that is known."""
    accepted, of_survey = _accepted_catalogues(request), provenance.get("catalogues", {})
    return all(of_survey.get(name) in (None, sha256) for name, sha256 in accepted.items() if sha256)


def _accepted_catalogues(request: Request) -> dict[str, str | None]:
    manifest = read_manifest(request.manifest)
    return {name: manifest.get(name, {}).get("sha256") for name in (APOGEE_FILE, GALAH_FILE)}


def make_survey_file(request: Request, *, progress: bool = True, transfer: TransferOptions | None = None) -> Path:
    """Fetch what is missing and assemble the survey, unless it is there; return its path.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_apogee_galah`.
    lux.store.files.LocalDiskError
        If the disk is full.
    """
    if request.survey_path.is_file() and not _leftovers(request):
        return request.survey_path
    make_folder(request.cache, "give another one, cache= or --cache, or set LUX_CACHE")
    with _only_one(request.cache):
        if not request.survey_path.is_file():
            _fetch_and_assemble(request, progress, transfer)
        _remove_leftovers(request)
    return request.survey_path


def _fetch_and_assemble(request: Request, progress: bool, transfer: TransferOptions | None) -> None:
    sample = _select_sample(request, progress=progress, transfer=transfer)
    sums = _listed_sha1(request, _places(sample), transfer=transfer, progress=progress)
    files = [request.spectrum(*place, sums.get(place, "")) for place in _places(sample)]
    outcomes = fetch_files(files, request.manifest, transfer=transfer, progress=progress, description="APOGEE spectra")
    _require_spectra(request, outcomes)
    stars = sample.take(np.array([outcome.arrived for outcome in outcomes]))
    arrived = [outcome for outcome in outcomes if outcome.arrived]
    spectra = [
        SpectrumFile(outcome.file.path, star, outcome.sha256)
        for outcome, (_, _, star) in zip(arrived, _places(stars), strict=True)
    ]
    assemble(request.survey_path, _table(request, stars, outcomes), spectra, progress=progress)
    if left := len(outcomes) - len(arrived):
        print(f"lux: {left} of {len(outcomes)} stars have no spectrum and are left out", file=sys.stderr)


def _listed_sha1(
    request: Request, places: Sequence[tuple[str, str, str]], *, progress: bool, transfer: TransferOptions | None
) -> dict[tuple[str, str, str], str]:
    """Return the SHA-1 that the archive lists of each spectrum to fetch, or put here by somebody else, if it does."""
    known = {path for name in read_manifest(request.manifest) if (path := request.cache / name).is_file()}
    absent = [place for place in places if request.spectrum(*place).path not in known]
    fields = dict.fromkeys(place[:2] for place in absent)
    lists = [request.checksums(*field) for field in fields]
    outcomes = fetch_files(lists, request.manifest, transfer=transfer, progress=progress, description="checksums")
    listed = {
        field: read_sha1sums(outcome.file.path) if outcome.arrived else {}
        for field, outcome in zip(fields, outcomes, strict=True)
    }
    sums = {place: listed[place[:2]].get(spectrum_name(place[2]), "") for place in absent}
    if without := sum(not sha1 for sha1 in sums.values()):
        print(f"lux: no checksum is listed of {without} of {len(absent)} spectra to fetch", file=sys.stderr)
    return sums


def _leftovers(request: Request) -> list[Path]:
    """Return the temporary files and blocks of fetches that were killed; the survey is there."""
    return [*request.cache.glob(f".{request.survey_path.name}.*"), *request.cache.glob(".left_out.json.*")]


def _remove_leftovers(request: Request) -> None:
    for path in _leftovers(request):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def describe(path: str | os.PathLike) -> str:
    """Return the number of stars, the table of cuts and what was left out, of an assembled survey file."""
    with h5py.File(path, "r") as file:
        provenance, n_stars = json.loads(file.attrs["provenance"]), len(file["labels"])
    lines = [f"{path}: {n_stars} of the {provenance['asked']} stars asked for"]
    lines += [f"{step['left']:>10}  {step['name']}" for step in provenance["selection"]]
    lines += [f"left out: {star}: {reason}" for star, reason in provenance["left_out"].items()]
    return "\n".join(lines)


def _select_sample(request: Request, *, progress: bool = True, transfer: TransferOptions | None = None) -> Sample:
    """Return the stars that are wanted, from the catalogues, which are fetched if they are not here."""
    files = request.catalogues()
    sizes = [_size(file) for file in files.values() if not file.path.is_file()]
    outcomes = fetch_files(
        list(files.values()),
        request.manifest,
        transfer=transfer,
        progress=progress and bool(sizes),
        description="catalogues",
        total_bytes=sum(sizes),
    )
    for outcome in outcomes:
        if not outcome.arrived:
            again = "run again to go on with what has come" * (outcome.status == "failed")
            raise FileNotFoundError(
                f"the catalogue {outcome.file.path.name} could not be fetched from {outcome.file.url}: "
                f"{outcome.reason}; {again or 'see whether the address is right'}, or put the file in {request.cache}"
            )
    return _selected(request)


def _selected(request: Request) -> Sample:
    """Return the stars that are wanted, from the catalogues, which are here."""
    files = request.catalogues()
    apogee = read_apogee(files["apogee"].path)
    galah = read_galah(files["galah"].path, needed_labels(request.labels, request.selection))
    sample = select_stars(
        apogee,
        galah,
        request.labels,
        request.selection,
        complete=request.complete,
        max_disagreement=request.max_disagreement,
    )
    return sample.take(slice(request.n_stars))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a fetch would do: files to fetch and their bytes; `exact` says whether the stars are known yet.

    `unanswered` holds, by address, why an archive did not give a size, so that a usual one is assumed.
    """

    catalogues: dict[str, int]
    n_spectra: int
    spectrum_bytes: int
    n_here: int
    exact: bool
    free_bytes: int
    steps: tuple[Step, ...]
    unanswered: dict[str, str]

    @property
    def total_bytes(self) -> int:
        """Bytes to fetch."""
        return sum(self.catalogues.values()) + self.n_spectra * self.spectrum_bytes

    def __str__(self) -> str:
        about = "" if self.exact else "at most "
        lines = [f"{'fetch':<8}{name}  about {_bytes(size)}" for name, size in self.catalogues.items()]
        lines.append(
            f"{'fetch':<8}{about}{self.n_spectra} spectra  about {_bytes(self.n_spectra * self.spectrum_bytes)}"
        )
        lines.append(f"{'here':<8}{self.n_here} spectra")
        lines.append(f"{'total':<8}about {_bytes(self.total_bytes)} to fetch; {_bytes(self.free_bytes)} are free")
        lines += [f"{step.left:>10}  {step.name}" for step in self.steps]
        lines += [f"no answer from {url}: {reason}; sizes are assumed" for url, reason in self.unanswered.items()]
        return "\n".join(lines)


def plan_fetch(request: Request) -> Plan:
    """Return what `make_survey_file` would fetch, asking the archives for sizes only.

    The stars are known once both catalogues are here; before, `n_stars` is the limit.
    """
    unanswered: dict[str, str] = {}
    missing = {
        file.path.name: _size(file, unanswered=unanswered)
        for file in request.catalogues().values()
        if not _is_good(file)
    }
    steps: tuple[Step, ...] = ()
    here, wanted, size = 0, request.n_stars, _TYPICAL_BYTES["spectrum"]
    if not missing:
        sample = _selected(request)
        files = [request.spectrum(*place) for place in _places(sample)]
        absent = [file for file in files if not file.path.is_file()]
        here, wanted, steps = len(files) - len(absent), len(absent), sample.steps
        if absent:
            size = _size(absent[0], "spectrum", unanswered)
    existing = next(folder for folder in (request.cache, *request.cache.parents) if folder.exists())
    return Plan(missing, wanted, size, here, not missing, shutil.disk_usage(existing).free, steps, unanswered)


def _is_good(file: RemoteFile) -> bool:
    """Return whether a file is here and is what it should be."""
    try:
        if file.validate is not None and file.path.is_file():
            file.validate(file.path)
    except ValueError:
        return False
    return file.path.is_file()


def _bytes(size: float) -> str:
    unit = max((unit for unit in (1, 1e3, 1e6, 1e9) if size >= unit), default=1)
    return f"{size / unit:.3g} {({1: 'B', 1e3: 'kB', 1e6: 'MB', 1e9: 'GB'})[unit]}"


def _size(file: RemoteFile, kind: str | None = None, unanswered: dict[str, str] | None = None) -> int:
    """Return the bytes of a remote file, or the usual ones and, in `unanswered`, why the archive gave none."""
    size = None
    try:
        size = remote_size(file.url, timeout=_SIZE_TIMEOUT)
    except OSError as error:
        if unanswered is not None:
            unanswered[file.url] = str(getattr(error, "reason", error))
    return size or _TYPICAL_BYTES[kind or file.path.name]


def _places(sample: Sample) -> list[tuple[str, str, str]]:
    columns = (sample.columns[name].tolist() for name in ("telescope", "field", "apogee_id"))
    return list(zip(*columns, strict=True))


def _require_spectra(request: Request, outcomes: Sequence[Outcome]) -> None:
    """Write the list of stars that cannot be had; raise if it is not known of some, or if they are too many."""
    bad = [outcome for outcome in outcomes if not outcome.arrived]
    report = request.cache / "left_out.json"
    with atomic_write(report) as temporary:
        rows = [{"url": outcome.file.url, "status": outcome.status, "reason": outcome.reason} for outcome in bad]
        temporary.write_text(json.dumps(rows, indent=1))
    failed = [outcome for outcome in bad if outcome.status == "failed"]
    if failed or len(bad) > _MAX_LEFT_OUT * len(outcomes):
        shown = "\n".join(f"  {outcome.file.url}: {outcome.reason}" for outcome in (failed or bad)[:5])
        raise FileNotFoundError(
            f"{len(failed)} of {len(outcomes)} spectra could not be fetched and {len(bad) - len(failed)} are not to be "
            f"had:\n{shown}\n{report} lists all; run again to go on with what is missing"
        )


def _table(request: Request, stars: Sample, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    columns = {name: stars.columns[name] for name in _KEPT_COLUMNS} | {"galah_snr": stars.columns["snr_c3"]}
    missing = [outcome for outcome in outcomes if not outcome.arrived]
    left_out = {outcome.file.path.stem.partition("-dr17-")[2]: outcome.reason for outcome in missing}
    return star_table(
        labels=stars.labels,
        label_err=stars.label_err,
        label_names=stars.label_names,
        label_units=tuple(map(label_unit, stars.label_names)),
        star_id=_unique(stars.columns["apogee_id"]),
        catalogue=columns,
        provenance={
            "source": "APOGEE DR17 spectra with GALAH DR3 labels",
            "asked": request.n_stars,
            "selection_name": request.selection,
            "selection": [dataclasses.asdict(step) for step in stars.steps],
            "left_out": left_out,
            "catalogues": _accepted_catalogues(request),
            "reader_version": READER_VERSION,
            "citations": list(_CITATIONS),
            "acknowledgements": list(_ACKNOWLEDGEMENTS),
        },
    )


def _unique(names: np.ndarray) -> np.ndarray:
    """Return names in which the second spectrum of a star is called "name:2", and so on."""
    seen: collections.Counter[str] = collections.Counter()
    result = []
    for name in names.tolist():
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return np.array(result)


@contextlib.contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder; another waits for it and finds its work done."""
    lock = filelock.FileLock(cache / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"lux: waiting for another fetch into {cache}", file=sys.stderr)
        held = lock.acquire()
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"cannot write in {cache}: {error.strerror}; give another folder, --cache or LUX_CACHE",
        ) from error
    with held:
        yield
