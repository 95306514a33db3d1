"""A small archive in the formats of APOGEE DR17 and GALAH DR3, made from a synthetic survey and served on loopback.

The catalogues have the columns of the real ones that matter, with their types and null values, among others that do
not, and what makes real catalogues awkward: stars observed twice, members of clusters, flagged stars, identifiers
missing. The server can be told to fail in the ways that servers fail. It stops by itself.

The module is long because the files and the server that fails with them are one archive to its tests.
"""

import argparse
import collections
import contextlib
import hashlib
import http.server
import io
import json
import socket
import struct
import threading
import time
import urllib.parse
from pathlib import Path

import numpy as np
from astropy.io import fits

from lux.simulation.synthetic import make_survey
from lux.spectroscopy.instrument import N_PIXELS, on_chip
from lux.survey import Survey

SDSS, GALAH = "sas", "GALAH_DR3"
ASPCAP = Path(SDSS, "dr17/apogee/spectro/aspcap/dr17/synspec_rev1")
MAX_SERVICE_SECONDS = 1800.0
TELESCOPES = ("apo25m", "lco25m")
# Right ascension, declination, proper motion and velocity of 47 Tucanae.
CLUSTER = (6.024, -72.081, 5.25, -2.55, -17.2)


def star_names(n_stars: int, seed: int = 7) -> np.ndarray:
    """Return 2MASS-like names, unique, with the prefix of APOGEE."""
    generator = np.random.default_rng(seed)
    right_ascension, declination = generator.integers(0, 8_640_000, n_stars), generator.integers(0, 2_000_000, n_stars)
    hours = [f"{v // 360000:02d}{v // 6000 % 60:02d}{v % 6000:04d}" for v in right_ascension]
    degrees = [f"{'+-'[v % 2]}{v // 40000:02d}{v // 600 % 60:02d}{v % 600:03d}" for v in declination]
    return np.array([f"2M{a}{b}" for a, b in zip(hours, degrees, strict=True)])


def make_fixture_survey(n_stars: int, seed: int = 3) -> Survey:
    """Return synthetic stars that pass a careful selection; `n_stars` are drawn, some fewer remain."""
    survey = make_survey(n_stars, seed=seed)
    teff, logg, fe_h = (survey.label(name) for name in ("teff", "logg", "fe_h"))
    passing = (teff > 3800) & (teff < 6000) & (logg > 0) & (logg < 3.5) & (fe_h > -2) & (fe_h < 1)
    return survey[passing & (survey.catalogue["galah_snr"] > 31)]


def spectrum_content(flux, error, star: str, field: str, telescope: str) -> bytes:
    """Return an aspcapStar file of DR17 as bytes; `flux` and `error` are on the whole grid (8575,).

    As the pipeline writes it: a bare primary header, images in double precision, the star named in the table alone.
    """
    primary = fits.PrimaryHDU()
    grid = fits.Header({"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1, "CTYPE1": "LOG-LINEAR", "DC-FLAG": 1})
    images = [fits.ImageHDU(np.asarray(image, ">f8"), grid) for image in (flux, error, np.ones(N_PIXELS))]
    row = np.zeros(
        1, [("APOGEE_ID", "S30"), ("TELESCOPE", "S6"), ("FIELD", "S20"), ("SNR", ">f4"), ("FPARAM", ">f4", 20)]
    )
    row["APOGEE_ID"], row["TELESCOPE"], row["FIELD"] = star, telescope, field
    buffer = io.BytesIO()
    fits.HDUList([primary, *images, fits.BinTableHDU(row)]).writeto(buffer)
    return buffer.getvalue()


def whole_grid(survey: Survey, star: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and error of a star on the whole grid; masked pixels have the pipeline's huge error, gaps zero."""
    flux, error = np.zeros((2, N_PIXELS), np.float32)
    masked = survey.ivar[star] == 0
    flux[on_chip("dr17")] = np.where(masked, np.float32(0.3), survey.flux[star])
    error[on_chip("dr17")] = np.where(masked, np.float32(1e10), 1 / np.sqrt(np.where(masked, 1, survey.ivar[star])))
    return flux, error


class FixtureArchive:
    """Files of an archive under a folder, and what each star of the survey should come out as.

    Parameters
    ----------
    folder : path
    survey : Survey
        Synthetic, on all pixels of the DR17 detectors.
    awkward : bool
        Add rows that a careful selection must leave out; the stars of `survey` all pass.
    """

    def __init__(self, folder: Path, survey: Survey, *, awkward: bool = True):
        self.folder, self.survey = Path(folder), survey
        self.names = star_names(survey.n_stars)
        generator = np.random.default_rng(11)
        self.gaia = generator.integers(2**60, 2**62, survey.n_stars) | 1
        self.telescopes = np.array([TELESCOPES[i % 2] for i in range(survey.n_stars)])
        self.fields = np.array([("120+30", "K2_C4_168-21", "N2243")[i % 3] for i in range(survey.n_stars)])
        self.apogee, self.galah = self._apogee_rows(), self._galah_rows()
        self.star_of_row = list(range(survey.n_stars))
        if awkward:
            self._add_awkward_rows()
        for place, rows in (
            (ASPCAP / "allStar-dr17-synspec_rev1.fits", self.apogee),
            (Path(GALAH, "GALAH_DR3_main_allstar_v2.fits"), self.galah),
        ):
            path = self.folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(path, rows)
        for row, star in enumerate(self.star_of_row):
            path = self.folder / self.spectrum_path(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(spectrum_content(*whole_grid(survey, star), *self._place(row)))
        for folder in {(self.folder / self.spectrum_path(row)).parent for row in range(len(self.star_of_row))}:
            self._list_checksums(folder)

    @staticmethod
    def _list_checksums(folder: Path) -> None:
        """Write the list of the SHA-1 of a field's spectra beside them, named as the archive does."""
        telescope, field = folder.parts[-2:]
        run = "synspec_rev1" if telescope == "lco25m" else "synspec"
        sums = {path.name: hashlib.sha1(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.fits"))}
        lines = [f"{sha1}  {name}" for name, sha1 in sums.items()]
        (folder / f"dr17_{run}_{telescope}_{field}.sha1sum").write_text("\n".join(lines) + "\n")

    def spectrum_path(self, row: int) -> Path:
        """Return where the spectrum of a row of allStar is, from the root of the archive; stars of the survey first."""
        name, field, telescope = self._place(row)
        return ASPCAP / telescope / field / f"aspcapStar-dr17-{name}.fits"

    def _place(self, row: int) -> tuple[str, str, str]:
        return tuple(self.apogee[column][row].decode() for column in ("APOGEE_ID", "FIELD", "TELESCOPE"))

    def _apogee_rows(self) -> dict[str, np.ndarray]:
        survey, n = self.survey, self.survey.n_stars
        generator = np.random.default_rng(5)
        return {
            "FILE": np.array([f"apStar-dr17-{name}.fits" for name in self.names], "S64"),
            "APOGEE_ID": self.names.astype("S30"),
            "TELESCOPE": self.telescopes.astype("S6"),
            "LOCATION_ID": np.full(n, 4259, np.int32),
            "FIELD": self.fields.astype("S20"),
            "RA": generator.uniform(30, 330, n),
            "DEC": generator.uniform(-40, -10, n),
            "APOGEE2_TARGET1": np.full(n, -(2**31), np.int32),
            "EXTRATARG": np.zeros(n, np.int32),
            "SNR": survey.catalogue["snr"].astype(np.float32),
            "STARFLAG": np.full(n, 1 << 9, np.int64),
            "ANDFLAG": np.zeros(n, np.int64),
            "VHELIO_AVG": survey.catalogue["radial_velocity"].astype(np.float32),
            "GAIAEDR3_SOURCE_ID": self.gaia.copy(),
            "GAIAEDR3_PMRA": generator.normal(0, 3, n).astype(np.float32),
            "GAIAEDR3_PMDEC": generator.normal(0, 3, n).astype(np.float32),
            "FPARAM": np.zeros((n, 20), np.float32),
            "ASPCAPFLAG": np.full(n, 1 << 7, np.int64),
            "TEFF": survey.label("teff").astype(np.float32),
            "TEFF_ERR": np.full(n, 10, np.float32),
            "LOGG": survey.label("logg").astype(np.float32),
            "M_H": survey.label("fe_h").astype(np.float32),
            "M_H_ERR": np.full(n, 0.01, np.float32),
            "ALPHA_M": np.where(np.arange(n) % 10 == 0, np.nan, survey.label("alpha_fe")).astype(np.float32),
            "MG_FE": np.full(n, np.nan, np.float32),
            "MEMBER": np.full(n, b"", "S28"),
        }

    def _galah_rows(self) -> dict[str, np.ndarray]:
        """Return GALAH's rows in another order than APOGEE's."""
        survey, n = self.survey, self.survey.n_stars
        order = np.random.default_rng(3).permutation(n)
        snr = survey.catalogue["galah_snr"][order]
        rows = {
            "star_id": np.array([name[2:] for name in self.names[order]], "S16"),
            "sobject_id": 140_000_000_000_000 + order,
            "dr2_source_id": self.gaia[order] - 1,
            "dr3_source_id": self.gaia[order],
            "survey_name": np.full(n, b"galah_main", "S13"),
            "flag_repeat": np.zeros(n, np.int64),
            "flag_sp": np.zeros(n, np.int64),
        }
        for name in (*survey.label_names, "Mg_fe"):
            values = survey.label(name)[order] if name != "Mg_fe" else survey.label("alpha_fe")[order]
            errors = survey.label_err[order, survey.label_index(name if name != "Mg_fe" else "alpha_fe")]
            name = "Eu_fe" if name == "eu_fe" else name
            rows[name], rows[f"e_{name}"] = values.astype(np.float32), errors.astype(np.float32)
            if name not in ("teff", "logg"):
                rows[f"flag_{name}"] = np.where(np.isnan(values), 32, 0).astype(np.int64)
        return rows | {
            f"snr_c{camera}_iraf": (snr * (0.8 + 0.1 * camera) / 1.1).astype(np.float32) for camera in (1, 2, 3, 4)
        }

    def _add_awkward_rows(self) -> None:
        """Add a second, poorer spectrum of one star, flagged stars, and a member of a cluster; hide two Gaia ids.

        All are copies of stars of the survey, under other names where they stand for other stars.
        """
        self.apogee["GAIAEDR3_SOURCE_ID"][2] = 0
        self.apogee["GAIAEDR3_SOURCE_ID"][4] = -9999
        place = int(np.flatnonzero(self.galah["dr3_source_id"] == self.gaia[4])[0])
        self.galah["dr3_source_id"][place] = -(2**63)
        self._copy(0, same_star=True, SNR=60.0, FIELD=b"other", TELESCOPE=b"apo1m")
        self._copy(1, STARFLAG=1 << 3)
        self._copy(1, ASPCAPFLAG=1 << 41)
        self._copy(1, SNR=40.0)
        self._copy(1, galah={"flag_sp": 1})
        self._copy(1, galah={"flag_Eu_fe": 1})
        self._copy(1, galah={"Eu_fe": np.nan, "flag_Eu_fe": 32})
        self._copy(1, galah={"logg": 4.4})
        keys = ("RA", "DEC", "GAIAEDR3_PMRA", "GAIAEDR3_PMDEC", "VHELIO_AVG")
        self._copy(1, **dict(zip(keys, CLUSTER, strict=True)))

    def _copy(self, star: int, *, same_star: bool = False, galah: dict | None = None, **changes) -> None:
        number = len(self.apogee["SNR"])
        if not same_star:
            name, gaia = star_names(1, 1000 + number)[0], 2**59 + number
            changes |= {"APOGEE_ID": name.encode(), "GAIAEDR3_SOURCE_ID": gaia}
            changes_galah = {"star_id": name[2:].encode(), "dr3_source_id": gaia, **(galah or {})}
            row = int(np.flatnonzero(self.galah["star_id"] == self.names[star][2:].encode())[0])
            self.galah = _with_copy(self.galah, row, changes_galah)
        self.apogee = _with_copy(self.apogee, star, changes)
        self.star_of_row.append(star)


def _with_copy(rows: dict, row: int, changes: dict) -> dict:
    copied = {name: np.concatenate([column, column[[row]]]) for name, column in rows.items()}
    for name, value in changes.items():
        copied[name][-1] = value
    return copied


def write_table(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Write columns as the first extension of a FITS file."""
    table = np.empty(len(next(iter(rows.values()))), [(name, c.dtype, c.shape[1:]) for name, c in rows.items()])
    for name, column in rows.items():
        table[name] = column
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table)]).writeto(path, overwrite=True)


class Faults:
    """What is to go wrong: for each path a queue of faults, each used once; "always" faults stay.

    One that is a function of the handler and the content answers by itself.
    """

    def __init__(self):
        self._queues: dict[str, collections.deque] = collections.defaultdict(collections.deque)
        self._always: dict[str, tuple] = {}
        self._lock = threading.Lock()

    def add(self, path, *faults) -> None:
        """Let the next answers for a path fail so, one after the other."""
        self._queues["/" + str(path).lstrip("/")].extend(faults)

    def always(self, path, fault) -> None:
        """Let every answer for a path fail so."""
        self._always["/" + str(path).lstrip("/")] = fault

    def next(self, path: str):
        """Return the fault of this answer, or None."""
        with self._lock:
            queue = self._queues.get(path)
            return queue.popleft() if queue else self._always.get(path)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ArchiveServer"

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = urllib.parse.unquote(self.path)
        server = self.server
        with server.lock:
            server.requests[path] += body
            server.log.append((time.monotonic(), path, self.headers.get("Range", "")))
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            self.close_connection = True
            self._respond(path, server.faults.next(path) if body else None, body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with server.lock:
                server.busy -= 1

    def _respond(self, path: str, fault, body: bool) -> None:
        name, argument = fault if isinstance(fault, tuple) else (fault, None)
        file = self.server.folder / path.lstrip("/")
        if isinstance(name, int) or not file.is_file():
            return self._refuse(name or 404, argument)
        content = file.read_bytes()
        if callable(fault):
            return fault(self, content)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        expected = tag if self.server.strong_tags else self.server.date
        if name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if name == "hang":
            self.server.stopped.wait(argument)
            return None
        if name == "wrong":
            content = argument
        if name == "corrupt":
            content = content[:200] + b"\0" * 3000 + content[3200:]
        start = self._range_start(expected)
        self._head(start, len(content), tag)
        if body:
            self._send(content[start:], name, argument)
        return None

    def _range_start(self, expected: str) -> int:
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range")
        if not asked.startswith("bytes=") or (condition and condition != expected):
            return 0
        return int(asked[6:].split("-")[0])

    def _head(self, start: int, size: int, tag: str) -> None:
        if start >= size > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            start = size
        elif start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag if self.server.strong_tags else f"W/{tag}")
        if not self.server.strong_tags:
            self.send_header("Last-Modified", self.server.date)
        self.send_header("Content-Length", str(size - start))
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, content: bytes, name, argument) -> None:
        if name == "truncate":
            self.wfile.write(content[: int(len(content) * argument)])
        elif name == "drip":
            for place in range(0, len(content), 64):
                self.wfile.write(content[place : place + 64])
                if self.server.stopped.wait(argument):
                    return
        else:
            if self.server.delay:
                self.server.stopped.wait(self.server.delay)
            self.wfile.write(content)

    def _refuse(self, status: int, retry_after) -> None:
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


class ArchiveServer(http.server.ThreadingHTTPServer):
    """Serve a folder on loopback, with faults; it stops after half an hour at the latest.

    Attributes
    ----------
    faults : Faults
    requests : Counter
        GET requests by path.
    log : list of (time, path, range asked for)
    fits_requests : int
        Those of catalogues and spectra.
    most_busy : int
        Most requests under way at once.
    delay : float
        Seconds before each body.
    strong_tags : bool
        Whether files are told apart by tags, else by the date `date`.
    """

    daemon_threads = True

    def __init__(self, folder: Path, delay: float = 0.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.delay = Path(folder), delay
        self.faults, self.requests, self.log = Faults(), collections.Counter(), []
        self.lock, self.busy, self.most_busy = threading.Lock(), 0, 0
        self.stopped = threading.Event()
        self.strong_tags, self.date = True, "Fri, 01 Jan 2021 00:00:00 GMT"

    @property
    def fits_requests(self) -> int:
        return sum(count for path, count in self.requests.items() if path.endswith(".fits"))

    @property
    def urls(self) -> dict[str, str]:
        """The environment variables that point the package at this archive."""
        base = f"http://127.0.0.1:{self.server_address[1]}"
        return {"LUX_SDSS_URL": f"{base}/{SDSS}", "LUX_GALAH_URL": f"{base}/{GALAH}"}

    @contextlib.contextmanager
    def running(self):
        """Serve in a thread of its own."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        timer = threading.Timer(MAX_SERVICE_SECONDS, self.shutdown)
        timer.daemon = True
        thread.start(), timer.start()
        try:
            yield self
        finally:
            self.stopped.set()
            timer.cancel()
            self.shutdown()
            self.server_close()


def main() -> None:
    """Write an archive of synthetic stars and serve it until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=MAX_SERVICE_SECONDS)
    options = parser.parse_args()
    if not options.folder.exists():
        FixtureArchive(options.folder, make_fixture_survey(options.stars))
    with ArchiveServer(options.folder).running() as server:
        print(json.dumps(server.urls), flush=True)
        time.sleep(min(options.seconds, MAX_SERVICE_SECONDS))


if __name__ == "__main__":
    main()
