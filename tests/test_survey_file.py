"""A survey comes back whole from its file, or not at all."""

import os
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from linear_truth import assert_same_survey, linear_survey

import lux
from lux.store import survey_file

BLOCKS = (slice(0, 17), slice(17, 18), slice(18, 40))


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=40, n_pixels=30, missing=0.2)


def test_the_file_loses_nothing(survey, tmp_path):
    for number, one in enumerate((survey, survey.replace(truth=None, catalogue=None, star_id=None), survey[:1])):
        for name in (f"{number}.h5", f"{number}.zarr"):
            one.save(tmp_path / name)
            assert_same_survey(one, lux.load(tmp_path / name))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_survey_that_is_accepted_survives_the_file_and_its_own_slices(data, tmp_path):
    n_stars, n_pixels, n_labels = (data.draw(st.integers(1, 6)) for _ in range(3))
    flux = data.draw(hnp.arrays(np.float32, (n_stars, n_pixels), elements=st.floats(-10, 10, width=32)))
    mask = data.draw(hnp.arrays(bool, (n_stars, n_pixels)))
    values = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))
    labels = data.draw(hnp.arrays(float, (n_stars, n_labels), elements=values))
    names = data.draw(
        st.lists(
            st.text(st.characters(exclude_characters="\x00"), max_size=5),
            min_size=n_labels,
            max_size=n_labels,
            unique=True,
        )
    )
    column = data.draw(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4), min_size=n_stars, max_size=n_stars
        )
    )
    fields = {
        "wavelength": 15000.0 + np.arange(n_pixels),
        "flux": flux,
        "ivar": mask * 4.0,
        "labels": labels,
        "label_err": np.ones_like(labels),
        "label_names": names,
        "catalogue": {"column": np.array(column)},
    }
    if not mask.any(axis=1).all():
        with pytest.raises(ValueError, match="every pixel masked"):
            lux.Survey(**fields)
        return
    survey = lux.Survey(**fields)
    survey.save(tmp_path / "survey.h5")
    assert_same_survey(survey, lux.Survey.load(tmp_path / "survey.h5"))
    assert_same_survey(survey[np.arange(n_stars)], survey)


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_columns_of_any_name_come_back(suffix, survey, tmp_path):
    names = ["S/N", "a/b/c", ".", "..", "", "A\0b", "\\", "column 1", "__x", "zarr.json", "x" * 300, "é b"]
    columns = {name: np.arange(40) + number for number, name in enumerate(names)} | {"S/N ": survey.star_id}
    named = survey.replace(catalogue=columns, truth=lux.Truth(survey.truth.labels, {}, columns))
    named.save(tmp_path / f"named{suffix}")
    again = lux.load(tmp_path / f"named{suffix}")
    assert_same_survey(named, again)
    assert list(again.catalogue) == list(columns) == list(again.truth.columns)


def test_truncated_damaged_and_foreign_files_are_refused(survey, tmp_path):
    path = tmp_path / "survey.h5"
    survey.save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cannot be read as a survey|not a survey"):
            lux.load(path)
    for array in (survey.labels, survey.label_err, survey.wavelength):
        place = whole.find(array.tobytes()[:64])
        path.write_bytes(whole[: place + 9] + b"\x00\x01" + whole[place + 11 :])
        with pytest.raises(ValueError, match="cannot be read as a survey"):
            lux.load(path)
    with h5py.File(path, "w") as file:
        file["spectra"] = np.ones(3)
    with pytest.raises(ValueError, match="not a survey"):
        lux.load(path)
    with pytest.raises(FileNotFoundError, match="no survey file"):
        lux.load(tmp_path / "absent.h5")


SAVE_FOR_EVER = """
import sys
from lux.survey import Survey
survey = Survey.load(sys.argv[1])
print("ready", flush=True)
while True:
    survey.save(sys.argv[1])
"""


def test_a_killed_save_leaves_a_whole_file(survey, tmp_path):
    path = tmp_path / "survey.h5"
    survey.save(path)
    for delay in (0.0, 0.003, 0.011, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, path], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(delay)
        writer.kill()
        writer.communicate()
        assert_same_survey(survey, lux.load(path))


def test_a_failing_save_keeps_the_old_file_and_leaves_no_litter(survey, tmp_path, monkeypatch):
    path = tmp_path / "survey.h5"
    survey.save(path)
    monkeypatch.setattr("lux.store.survey_file._write_columns", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        survey[:2].save(path)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["survey.h5"]
    assert_same_survey(survey, lux.load(path))
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        survey.save(tmp_path / "absent" / "survey.h5")


def test_a_file_is_not_begun_where_the_disk_may_fill_before_it_ends(survey, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _, first, n_bytes: asked.append(n_bytes))
    long_names = {"star_id": [f"{number:0400d}" for number in range(40)]}
    for changes in (
        {},
        long_names,
        {"provenance": {"log": "x" * 6_000_000}},
        {"catalogue": {"text": ["ä" * 500] * 40}},
    ):
        survey.replace(**changes).save(tmp_path / "survey.h5", compress=False)
        assert (tmp_path / "survey.h5").stat().st_size < asked[-1]
    long = linear_survey(n_stars=500, n_pixels=600)
    long.save(tmp_path / "long.h5", compress=False)
    assert (tmp_path / "long.h5").stat().st_size < asked[-1]
    assert asked[-1] < 2.5 * long.flux.nbytes + (1 << 23)


def test_spectra_that_come_in_blocks_make_the_same_file(survey, tmp_path):
    survey_file.write_survey(
        tmp_path / "blocks.h5", survey.columns(), [(survey[rows].flux, survey[rows].ivar) for rows in BLOCKS]
    )
    assert_same_survey(survey, lux.load(tmp_path / "blocks.h5"))
    with pytest.raises(ValueError, match="17 spectra came for the 40 stars"):
        survey_file.write_survey(tmp_path / "few.h5", survey.columns(), [(survey[:17].flux, survey[:17].ivar)])
    assert not (tmp_path / "few.h5").exists()


@pytest.mark.parametrize("name", ["labels", "label_err", "flux", "star/star_id"])
def test_a_file_that_lost_parts_of_an_array_is_refused(survey, tmp_path, name):
    survey.save(tmp_path / "survey.h5")
    with h5py.File(tmp_path / "survey.h5", "r+") as file:
        lost, attributes = file[name], dict(file[name].attrs)
        shape, dtype = lost.shape, lost.dtype
        del file[name]
        # HDF5 reads zeros where nothing was written.
        file.create_dataset(name, shape, dtype, chunks=True).attrs.update(attributes)
    with pytest.raises(ValueError, match=rf"survey.h5 is damaged: parts of /{name} are lost; write it again"):
        lux.load(tmp_path / "survey.h5")
