"""A survey in a Zarr folder is whole or not there, and says what is wrong with it."""

import json
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from linear_truth import assert_same_survey, linear_survey

import lux
from lux.store.survey_file import write_survey

LATENTS = {"n_latents": 3, "block_size": 64, "progress": False}


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=300, n_pixels=30, missing=0.2)


@pytest.fixture
def path(survey, tmp_path):
    path = tmp_path / "survey.zarr"
    survey.save(path)
    return path


def test_a_damaged_chunk_is_named_with_its_rows(path):
    opened, chunk = lux.open(path), path / "flux" / "c" / "1" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(OSError, match=r"survey.zarr: flux of rows .* cannot be read: a chunk of flux is damaged"):
        lux.Lux(**LATENTS).fit(opened)
    with pytest.raises(ValueError, match="cannot be read as a survey"):
        lux.load(path)


def test_a_chunk_that_vanished_is_no_spectrum(path):
    opened = lux.open(path)
    (path / "flux" / "c" / "1" / "0").unlink()
    with pytest.raises(ValueError, match=r"flux of row 256 at pixel 0 is nan"):
        lux.Lux(**LATENTS).fit(opened)
    with pytest.raises(ValueError, match="flux"):
        lux.load(path)


@pytest.mark.parametrize("name", ["labels/c", "label_err", "catalogue/group", "catalogue/group/c", "truth", "star"])
def test_what_vanished_beside_the_spectra_is_told(name, path):
    shutil.rmtree(path / name)
    for read in (lux.open, lux.load):
        with pytest.raises(ValueError, match=r"survey.zarr cannot be read as a survey .* is missing"):
            read(path)


def test_arrays_that_hold_nothing_but_nan_or_zeros_are_not_taken_for_lost(survey, tmp_path):
    blank = survey.replace(labels=np.full((300, 3), np.nan), catalogue={"zero": np.zeros(300, int)})
    blank.save(tmp_path / "blank.zarr")
    assert_same_survey(blank, lux.load(tmp_path / "blank.zarr"))


@pytest.mark.parametrize(
    "text", [('"bytes"', '"bites"'), ('"regular"', '"irregular"'), ('"attributes"', '"attributed"')]
)
def test_damaged_metadata_of_an_array_is_told(text, path):
    metadata = path / "catalogue" / "group" / "zarr.json"
    metadata.write_text(metadata.read_text().replace(*text))
    with pytest.raises(ValueError, match=r"survey.zarr cannot be read as a survey .* group is damaged"):
        lux.load(path)


def test_a_folder_that_changes_or_vanishes_stops_the_fit(survey, path):
    opened = lux.open(path)
    shutil.rmtree(path)
    with pytest.raises(OSError, match=r"survey.zarr"):
        lux.Lux(**LATENTS).fit(opened)
    survey[:280].save(path)
    with pytest.raises(OSError, match="has changed since it was opened; open it again"):
        lux.Lux(**LATENTS).fit(opened)


def test_what_is_no_survey_is_refused(path, tmp_path):
    metadata = json.loads((path / "zarr.json").read_text())
    for content in ("", "{", json.dumps(metadata | {"attributes": {}}), json.dumps(metadata | {"node_type": "array"})):
        (path / "zarr.json").write_text(content)
        with pytest.raises(ValueError, match=r"cannot be read as a survey|not a survey"):
            lux.load(path)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(FileNotFoundError, match="no survey file"):
        lux.open(tmp_path / "empty.zarr")


def test_it_replaces_nothing_and_leaves_no_litter(survey, path, tmp_path):
    with pytest.raises(FileExistsError, match="exists, and a Zarr folder replaces nothing"):
        survey[:5].save(path)
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        survey.save(tmp_path / "absent" / "survey.zarr")
    with pytest.raises(ValueError, match="spectra came for"):
        write_survey(tmp_path / "few.zarr", survey.columns(), [(survey.flux[:9], survey.ivar[:9])])
    assert [each.name for each in tmp_path.iterdir()] == ["survey.zarr"]
    assert_same_survey(survey, lux.load(path))


def test_an_interrupted_save_leaves_no_litter_though_a_thread_still_writes(survey, tmp_path):
    writers = []

    def write_on(chunk):
        time.sleep(0.15)
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_text("of the save that was interrupted")

    def blocks():
        (work,) = tmp_path.iterdir()
        writers.append(threading.Thread(target=write_on, args=(work / "new" / "flux" / "c" / "0",)))
        writers[0].start()
        yield survey.flux[:200], survey.ivar[:200]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_survey(tmp_path / "survey.zarr", survey.columns(), blocks())
    writers[0].join()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_wrote_meanwhile_stands(survey, path, tmp_path):
    def blocks():
        survey[:9].save(tmp_path / "twice.zarr")
        yield survey.flux, survey.ivar

    with pytest.raises(FileExistsError, match=r"twice.zarr has come to be meanwhile"):
        write_survey(tmp_path / "twice.zarr", survey.columns(), blocks())
    assert lux.load(tmp_path / "twice.zarr").n_stars == 9
    assert sorted(each.name for each in tmp_path.iterdir()) == ["survey.zarr", "twice.zarr"]


KILLED = """
import os, signal, sys
from lux.store import survey_file
from lux.survey import Survey
survey = Survey.load(sys.argv[1])
def blocks():
    yield survey.flux[:200], survey.ivar[:200]
    os.kill(os.getpid(), signal.SIGKILL)
survey_file.write_survey(sys.argv[2], survey.columns(), blocks())
"""


def test_a_killed_save_gives_nothing_the_name(survey, path, tmp_path):
    again = tmp_path / "again.zarr"
    assert subprocess.run([sys.executable, "-c", KILLED, path, again], check=False).returncode < 0
    assert not again.exists()
    survey.save(again)
    assert_same_survey(survey, lux.load(again))


def test_without_the_package_the_error_says_what_to_install(survey, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    for call in (lambda: lux.open(path), lambda: survey.save(path.with_name("other.zarr"))):
        with pytest.raises(ImportError, match=r"needs the package zarr: pip install 'lux-paper\[cluster\]'"):
            call()


def test_chunks_hold_whole_rows_and_compress(survey, path):
    import zarr

    flux = zarr.open_array(path / "flux", mode="r")
    assert flux.chunks == (256, 30)
    assert np.isnan(flux.fill_value)
    assert flux.nbytes_stored() < 1.2 * flux.nbytes
