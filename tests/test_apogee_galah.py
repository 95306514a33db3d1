"""The study's own data, from a loopback archive in the real formats to a survey equal to what was published."""

import json
import resource
import signal
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import killed_fetch
import numpy as np
import pytest
from astropy.io import fits
from fixture_archive import spectrum_content, whole_grid
from machinery.data import data_digests

import lux
from lux.__main__ import main
from lux.datasets import apogee_galah
from lux.datasets.apogee_galah import make_survey_file, plan_fetch
from lux.datasets.crossmatch import in_globular_cluster
from lux.datasets.fetch import TransferOptions
from lux.datasets.manifest import file_sha256
from lux.datasets.request import DEFAULT_LABELS, Request
from lux.store.files import LocalDiskError

QUICK = TransferOptions(connections=4, attempts=4, timeout=1.0, first_wait=0.01, max_wait=0.2)
# Stars whose Gaia identifier is missing in APOGEE, and in both catalogues.
WITHOUT_GAIA_IN_APOGEE, WITHOUT_GAIA = 2, 4


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def load(cache, **options):
    options = {"n_stars": 1000, "transfer": QUICK} | options
    return lux.load("apogee-galah", cache=cache, progress=False, **options)


def rows_of(survey, published):
    place = {name: row for row, name in enumerate(published.names.tolist())}
    return np.array([place[name] for name in survey.star_id.tolist()])


def assert_as_published(survey, published):
    """Every star, pixel, mask and label is that of the survey from which the archive was made, to float32."""
    original, rows = published.survey, rows_of(survey, published)
    assert np.array_equal(survey.wavelength, original.wavelength)
    assert np.array_equal(survey.flux, original.flux[rows])
    assert np.array_equal(survey.ivar == 0, original.ivar[rows] == 0)
    np.testing.assert_allclose(survey.ivar, original.ivar[rows], rtol=3e-7)
    assert survey.label_names == original.label_names
    assert np.array_equal(survey.labels.astype(np.float32), original.labels[rows].astype(np.float32))
    assert np.array_equal(survey.label_err.astype(np.float32), original.label_err[rows].astype(np.float32))
    assert np.array_equal(survey.catalogue["gaia_id"], np.where(rows == WITHOUT_GAIA, 0, published.gaia[rows]))
    assert np.array_equal(survey.catalogue["telescope"], published.telescopes[rows])
    assert np.array_equal(survey.catalogue["field"], published.fields[rows])
    np.testing.assert_allclose(survey.catalogue["snr"], original.catalogue["snr"][rows], rtol=1e-6)


def test_the_round_trip_loses_nothing_and_lets_only_the_right_stars_in(server, published, cache):
    survey = load(cache)
    assert_as_published(survey, published)
    rows = rows_of(survey, published)
    assert sorted(rows) == list(range(published.survey.n_stars))
    assert set(rows[survey.catalogue["matched_by"] == "2mass"]) == {WITHOUT_GAIA_IN_APOGEE, WITHOUT_GAIA}
    steps = {step["name"]: step["removed"] for step in survey.provenance["selection"] if step["removed"]}
    assert sum(steps.values()) == len(published.apogee["SNR"]) - survey.n_stars == 9
    assert steps["all labels measured and unflagged (teff, logg, fe_h, alpha_fe, eu_fe)"] == 2
    assert survey.provenance["left_out"] == {}
    assert not np.any(in_globular_cluster(survey.catalogue | {"pmra": np.nan, "pmdec": np.nan}) == "NGC104")
    assert survey.truth is None


def test_a_second_load_asks_the_archive_for_nothing(server, cache):
    first = load(cache)
    requested = server.fits_requests
    assert np.array_equal(load(cache).flux, first.flux)
    assert server.fits_requests == requested


def test_two_loads_at_once_fetch_once(server, cache, capfd):
    server.delay = 0.02
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: load(cache, n_stars=15), range(2))
    assert np.array_equal(first.flux, second.flux)
    assert server.fits_requests == 2 + 15
    assert "waiting for another fetch" in capfd.readouterr().err


def test_fewer_stars_are_the_first_of_more_and_more_fetch_only_what_is_new(server, cache):
    few = load(cache, n_stars=10)
    requested = server.fits_requests
    assert requested == 2 + 10
    more = load(cache, n_stars=25)
    assert server.fits_requests == requested + 15
    assert more.star_id[:10].tolist() == few.star_id.tolist()
    assert np.array_equal(more.flux[:10], few.flux)


def test_other_labels_and_the_published_selection_are_had_by_name(server, published, cache):
    survey = load(cache, labels=("mg_fe", "teff"), selection="published")
    assert survey.label_names == ("mg_fe", "teff")
    assert survey.label_units == ("dex", "K")
    assert survey.n_stars > published.survey.n_stars, "no flag, no cluster and no repetition is looked at"
    names = [name.partition(":")[0] for name in survey.star_id.tolist()]
    assert len(set(names)) == len(names) - 1, "one star was observed twice"
    assert published.names[0] in names


def test_stars_without_a_spectrum_are_left_out_and_counted(published, server, cache):
    for star in (5, 6):
        server.faults.always(published.spectrum_path(star), 404)
    survey = load(cache)
    assert survey.n_stars == published.survey.n_stars - 2
    reason = "the server answered 404 Not Found"
    assert survey.provenance["left_out"] == {published.names[star]: reason for star in (5, 6)}
    assert_as_published(survey, published)
    left_out = json.loads((cache / "left_out.json").read_text())
    missing = {row["url"].rpartition("-dr17-")[2] for row in left_out}
    assert missing == {f"{published.names[star].replace('+', '%2B')}.fits" for star in (5, 6)}


def test_too_many_stars_without_a_spectrum_are_an_error(published, server, cache):
    for star in range(8):
        server.faults.always(published.spectrum_path(star), 404)
    with pytest.raises(FileNotFoundError, match=r"0 of \d+ spectra could not be fetched and 8 are not to be had:\n"):
        load(cache)
    assert not list(cache.glob("*.h5"))


def test_spectra_to_which_no_answer_comes_are_named_and_another_run_goes_on(published, server, cache):
    server.faults.always(published.spectrum_path(3), 503)
    with pytest.raises(FileNotFoundError, match=rf"{published.names[3][2:10]}.*503(.|\n)*left_out.json .*run again"):
        load(cache)
    server.faults.always(published.spectrum_path(3), None)
    requested = server.fits_requests
    assert_as_published(load(cache), published)
    assert server.fits_requests == requested + 1


def test_faults_of_every_kind_at_once_change_nothing_in_the_survey(published, server, cache):
    other_star = (published.folder / published.spectrum_path(1)).read_bytes()
    faults = [
        500,
        503,
        (429, 0),
        "reset",
        ("truncate", 0.4),
        ("wrong", b"<html>maintenance</html>"),
        "corrupt",
        ("wrong", other_star),
        ("wrong", b""),
    ]
    for place, fault in enumerate(faults * 3):
        server.faults.add(published.spectrum_path(10 + place % 25), fault)
    survey = load(cache)
    assert_as_published(survey, published)
    assert survey.n_stars == published.survey.n_stars


def test_the_file_of_another_star_is_never_taken(published, server, cache):
    other_star = (published.folder / published.spectrum_path(1)).read_bytes()
    for star in range(5):
        if star != 1:
            server.faults.always(published.spectrum_path(star), ("wrong", other_star))
    with pytest.raises(FileNotFoundError, match=rf"names {published.names[1].replace('+', '[+]')}, expected 2M"):
        load(cache)


def test_a_spectrum_that_does_not_agree_with_the_listed_checksum_is_never_taken(published, server, cache):
    """Another spectrum of the right star: only its checksum tells it apart."""
    path, (name, field, telescope) = published.spectrum_path(3), published._place(3)
    other = spectrum_content(*whole_grid(published.survey, 4), name, field, telescope)
    server.faults.add(path, ("wrong", other))
    assert_as_published(load(cache), published)
    assert server.requests[f"/{path}"] == 2


def test_where_no_checksum_is_listed_the_content_alone_is_looked_at_and_it_is_said(published, server, cache, capsys):
    for row in range(len(published.apogee["SNR"])):
        telescope, field = published.spectrum_path(row).parts[-3:-1]
        name = Request(cache=cache).checksums(telescope, field).path.name
        server.faults.always(published.spectrum_path(row).with_name(name), 404)
    make_survey_file(Request(n_stars=20, cache=cache), transfer=QUICK)
    assert "no checksum is listed of 20 of 20 spectra" in capsys.readouterr().err


def test_a_catalogue_that_is_not_to_be_had_is_said_so(server, cache):
    server.faults.always("GALAH_DR3/GALAH_DR3_main_allstar_v2.fits", 404)
    with pytest.raises(FileNotFoundError, match=r"GALAH_DR3_main_allstar_v2.fits could not be fetched .*404.*or put"):
        load(cache)
    assert not (cache / "GALAH_DR3_main_allstar_v2.fits").exists()


def test_a_page_in_place_of_a_catalogue_is_refused(server, cache):
    server.faults.always("GALAH_DR3/GALAH_DR3_main_allstar_v2.fits", ("wrong", b"<html>log in</html>" * 200))
    with pytest.raises(FileNotFoundError, match="cannot be read as a FITS table"):
        load(cache)


def test_a_spectrum_damaged_on_disk_is_removed_and_fetched_again(published, server, cache):
    load(cache, n_stars=20)
    path = next((cache / "spectra").rglob("*.fits"))
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(5000) + content[5100:])
    with pytest.raises(ValueError, match=r"is not as it was fetched; it was set aside.*run again to fetch it again"):
        load(cache, n_stars=30)
    assert_as_published(load(cache, n_stars=30), published)


def test_a_damaged_survey_file_is_made_again(published, server, cache):
    load(cache)
    path = Request(n_stars=1000, cache=cache).survey_path
    path.write_bytes(path.read_bytes()[:20000])
    assert_as_published(load(cache), published)


def test_a_dry_run_states_count_and_volume_and_fetches_nothing(server, cache, capsys):
    assert main(["fetch", "apogee-galah", "--stars", "30", "--cache", str(cache), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "allStar-dr17-synspec_rev1.fits" in printed
    assert "at most 30 spectra" in printed
    assert not sum(server.requests.values())
    load(cache, n_stars=10)
    plan = plan_fetch(Request(n_stars=30, cache=cache))
    assert (plan.n_spectra, plan.n_here, plan.exact) == (20, 10, True)
    size = next((cache / "spectra").rglob("*.fits")).stat().st_size
    assert plan.total_bytes == 20 * size


def test_a_mistyped_label_is_refused_before_a_file_or_the_archive_is_touched(server, cache, capsys):
    load(cache, n_stars=5)
    requested, before = server.fits_requests, {path: path.read_bytes() for path in cache.glob("*.*")}
    for options in (["--dry-run"], []):
        command = ["fetch", "apogee-galah", "--stars", "5", "--cache", str(cache), "--labels", "eu_fe", "fe_he"]
        assert main([*command, *options]) == 2
        assert "no label 'fe_he'; did you mean fe_h" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in cache.glob("*.*")} == before
    assert server.fits_requests == requested


def test_a_catalogue_that_lacks_a_label_is_fetched_once_and_kept(server, cache):
    for _ in range(2):
        with pytest.raises(ValueError, match=r"GALAH_DR3_main_allstar_v2.fits has no column 'ba_fe'"):
            load(cache, labels=("teff", "ba_fe"))
    assert server.requests["/GALAH_DR3/GALAH_DR3_main_allstar_v2.fits"] == 1
    assert (cache / "GALAH_DR3_main_allstar_v2.fits").is_file()


def test_a_dry_run_says_that_no_archive_answered(cache, capsys, monkeypatch):
    for name in ("LUX_SDSS_URL", "LUX_GALAH_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert main(["fetch", "apogee-galah", "--cache", str(cache), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("no answer from http://127.0.0.1:9/") == 2
    assert printed.count("sizes are assumed") == 2


def test_a_full_disk_is_named_and_another_run_goes_on(published, server, cache):
    """No file may grow beyond a size at which spectra fit and a block of the survey does not."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit, expected in ((60_000, LocalDiskError), (400_000, OSError)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            with pytest.raises(expected, match=r"(?i)file too large"):
                make_survey_file(Request(n_stars=1000, cache=cache), progress=False, transfer=QUICK)
            assert not list(cache.glob("*.h5"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_as_published(load(cache), published)
    assert not [path for path in cache.rglob(".*") if path.name != ".lock"], "nothing half-made is left"


def test_a_file_accepted_but_not_yet_listed_when_the_work_was_killed_is_listed(published, server, cache):
    expected = load(cache, n_stars=20)
    (cache / "manifest.jsonl").unlink()
    Request(n_stars=20, cache=cache).survey_path.unlink()
    requested = server.fits_requests
    assert killed_fetch.content_hash(load(cache, n_stars=20)) == killed_fetch.content_hash(expected)
    assert server.fits_requests == requested


@pytest.mark.slow
def test_killed_in_any_phase_the_next_fetch_gives_the_same_survey_and_leaves_nothing_half_made(server, cache):
    expected = load(cache / "undisturbed", n_stars=3)
    command = [sys.executable, killed_fetch.__file__, str(cache / "killed"), "3"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    reports = [json.loads(line) for line in run.stdout.splitlines()]
    assert {report["hash"] for report in reports} == {killed_fetch.content_hash(expected)}
    assert not [report for report in reports if report["left"]]
    phases = {report["phase"] for report in reports if report["killed"]}
    assert phases == {report["phase"] for report in reports}
    assert {"receive a piece", "rename a spectrum", "open a block", "rename a survey", "remove a block"} <= phases


def test_the_build_knows_the_survey_by_its_content(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LUX_CACHE", str(tmp_path))
    settings = types.SimpleNamespace(dataset="apogee-galah")
    assert data_digests(settings) == {}, "not there yet"
    make_survey_file(Request(), progress=False, transfer=QUICK)
    first = data_digests(settings)
    assert first == {"apogee-galah": file_sha256(Request().survey_path)}
    Request().survey_path.unlink()
    make_survey_file(Request(), progress=False, transfer=QUICK)
    assert data_digests(settings) == first, "the same stars make the same file, to the byte"


def test_the_acknowledgements_and_citations_travel_with_the_survey(server, cache):
    provenance = load(cache, n_stars=5).provenance
    assert any("Abdurro'uf" in citation for citation in provenance["citations"])
    assert any("GALAH" in text for text in provenance["acknowledgements"])
    assert all(len(digest) == 64 for digest in provenance["catalogues"].values())
    assert DEFAULT_LABELS == lux.Survey.load(Request(n_stars=5, cache=cache).survey_path).label_names


def with_more_europium(path):
    """Write a catalogue of the same size with all [Eu/Fe] larger by one."""
    with fits.open(path) as file:
        file[1].data["Eu_fe"] += 1
        file.writeto(path, overwrite=True)


def test_a_survey_says_of_which_catalogues_it_is_and_is_made_again_for_others(server, cache):
    before = load(cache, n_stars=20)
    catalogue = cache / "GALAH_DR3_main_allstar_v2.fits"
    with_more_europium(catalogue)
    other = load(cache, n_stars=21)
    again = load(cache, n_stars=20)
    for survey in (other, again):
        assert survey.provenance["catalogues"][catalogue.name] == file_sha256(catalogue)
        np.testing.assert_allclose(survey.label("eu_fe")[:20], before.label("eu_fe") + 1, atol=1e-6)


def test_a_spectrum_put_there_by_hand_must_be_that_of_the_list(published, server, cache):
    load(cache, n_stars=5)
    place = Request(n_stars=40, cache=cache)
    star = next(row for row, name in enumerate(published.names) if not list(cache.rglob(f"*{name}*")))
    flux, error = whole_grid(published.survey, star)
    given = [str(each[star]) for each in (published.names, published.fields, published.telescopes)]
    file = place.spectrum(*given[::-1])
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(spectrum_content(flux * 0.9, error, *given))
    survey = load(cache)
    assert published.names[star] not in survey.star_id
    assert "archive lists" in survey.provenance["left_out"][published.names[star]]


@pytest.mark.parametrize("status", [401, 403])
def test_spectra_that_are_not_given_now_make_no_survey_without_them(published, server, cache, status):
    for row in range(3):
        server.faults.add(published.spectrum_path(row), status)
    with pytest.raises(FileNotFoundError, match=r"3 of \d+ spectra could not be fetched and 0 are not to be had"):
        load(cache)
    assert_as_published(load(cache), published)


def test_a_survey_with_fewer_stars_than_were_to_be_had_is_told(published, server, cache, capsys):
    server.faults.always(published.spectrum_path(0), 404)
    assert load(cache).n_stars == published.survey.n_stars - 1
    assert f"lux: 1 of {published.survey.n_stars} stars have no spectrum and are left out" in capsys.readouterr().err


def test_a_dry_run_leaves_a_damaged_catalogue_to_the_fetch(server, cache, capsys):
    load(cache, n_stars=5)
    catalogue = cache / "GALAH_DR3_main_allstar_v2.fits"
    catalogue.write_bytes(catalogue.read_bytes()[:8000])
    requested = sum(server.requests.values())
    assert list(plan_fetch(Request(n_stars=9, cache=cache)).catalogues) == [catalogue.name]
    assert sum(server.requests.values()) == requested
    assert catalogue.stat().st_size == 8000


def test_a_survey_that_is_there_needs_no_writing(server, cache, monkeypatch):
    path = make_survey_file(Request(n_stars=5, cache=cache), transfer=QUICK, progress=False)
    monkeypatch.setattr(apogee_galah, "_only_one", lambda _: pytest.fail("the folder was locked"))
    assert make_survey_file(Request(n_stars=5, cache=cache)) == path


def test_a_folder_in_which_nothing_may_be_written_is_named(cache, monkeypatch):
    cache.mkdir()

    class Lock:
        def __init__(self, path):
            self.path = path

        def acquire(self, timeout=None):
            raise PermissionError(13, "Permission denied", str(self.path))

    monkeypatch.setattr(apogee_galah.filelock, "FileLock", Lock)
    with pytest.raises(PermissionError, match=r"cannot write in .*cache: .*; give another folder, --cache or"):
        make_survey_file(Request(n_stars=5, cache=cache))
