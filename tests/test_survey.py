"""A survey refuses what is wrong, says where, and loses nothing on the way to disk and back."""

import dataclasses
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from linear_truth import linear_survey

import lux


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=40, n_pixels=30, missing=0.2)


def assert_same(first, second):
    for name in ("wavelength", "flux", "ivar", "labels", "label_err", "star_id"):
        one, other = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for name in ("label_names", "label_units", "provenance"):
        assert getattr(first, name) == getattr(second, name)
    assert first.catalogue.keys() == second.catalogue.keys()
    for name, column in first.catalogue.items():
        np.testing.assert_array_equal(column, second.catalogue[name])
        assert column.dtype == second.catalogue[name].dtype
    assert (first.truth is None) == (second.truth is None)
    if first.truth is not None:
        np.testing.assert_array_equal(first.truth.labels, second.truth.labels)
        assert first.truth.world == second.truth.world
        for name, column in first.truth.columns.items():
            np.testing.assert_array_equal(column, second.truth.columns[name])


def broken(survey, name, index, value):
    array = np.array(getattr(survey, name))
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("flux", (3, 7), np.nan, r"flux of star star-3 .* pixel 7 .* not finite"),
        ("flux", (3, 7), np.inf, r"flux of star star-3 .* pixel 7 .* not finite"),
        ("ivar", (5, 2), -1.0, r"ivar of star star-5 .* pixel 2 .* negative"),
        ("ivar", (5, 2), np.nan, r"ivar of star star-5 .* pixel 2 .* not finite"),
        ("ivar", (5, 2), np.inf, r"ivar of star star-5 .* pixel 2 .* not finite"),
        ("ivar", 4, 0.0, r"star star-4 has every pixel masked"),
        ("wavelength", 9, 15101.6, r"pixel 9 repeats pixel 8"),
        ("wavelength", 9, 15000.0, r"pixel 9 falls below pixel 8"),
        ("wavelength", 9, np.nan, r"wavelength must be finite"),
        ("labels", (6, 1), np.inf, r"label 'label_1' of star star-6 .* is inf"),
        ("star_id", 1, "star-0", r"star_id must be unique, 'star-0' stands 2 times"),
    ],
)
def test_bad_values_are_refused_by_star_pixel_or_label(survey, name, index, value, message):
    with pytest.raises(ValueError, match=message):
        survey.replace(**broken(survey, name, index, value))


def test_a_label_that_is_there_needs_a_positive_error(survey):
    star, label = np.argwhere(~np.isnan(survey.labels))[0]
    for error in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=rf"label_err 'label_{label}' of star star-{star}"):
            survey.replace(**broken(survey, "label_err", (star, label), error))
    star, label = np.argwhere(np.isnan(survey.labels))[0]
    survey.replace(**broken(survey, "label_err", (star, label), np.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wavelength": np.arange(1.0, 30)}, r"wavelength must have shape \(30,\)"),
        ({"ivar": np.ones((40, 29))}, r"ivar must have shape \(40, 30\)"),
        ({"labels": np.ones((39, 3))}, r"labels must have shape \(40, 3\)"),
        ({"label_names": ["a", "b"]}, r"must have shape \(40, 2\)"),
        ({"label_names": ["a", "b", "a"]}, r"label_names must be unique"),
        ({"label_units": ["K"]}, r"3 label names but 1 label units"),
        ({"flux": np.ones(30)}, r"flux must have 2 dimension"),
        ({"flux": "spectrum"}, r"flux must be an array of numbers"),
        ({"catalogue": {"snr": np.ones(3)}}, r"catalogue column 'snr' must have shape \(40,\)"),
        ({"provenance": {"when": object()}}, r"provenance must hold values that JSON can hold"),
    ],
)
def test_what_does_not_fit_together_is_refused(survey, change, message):
    with pytest.raises(ValueError, match=message):
        survey.replace(**change)


def test_a_survey_is_frozen(survey):
    with pytest.raises(dataclasses.FrozenInstanceError):
        survey.flux = survey.ivar
    with pytest.raises(ValueError, match="read-only"):
        survey.flux[0, 0] = 2


def test_slicing_carries_everything_along(survey):
    for picked in (slice(3, 9), np.arange(40) % 3 == 0, [5, 2, 7], 4):
        part, rows = survey[picked], np.atleast_1d(np.arange(40)[picked])
        assert part.star_id.tolist() == survey.star_id[rows].tolist()
        np.testing.assert_array_equal(part.flux, survey.flux[rows])
        np.testing.assert_array_equal(part.truth.labels, survey.truth.labels[rows])
        np.testing.assert_array_equal(part.catalogue["group"], survey.catalogue["group"][rows])


@pytest.mark.parametrize(
    ("picked", "message"),
    [
        (np.zeros(40, bool), "leaves no star"),
        (np.ones(39, bool), r"shape \(40,\)"),
        ([0.5], "picked by"),
        ([], "no star"),
    ],
)
def test_a_selection_that_makes_no_survey_is_refused(survey, picked, message):
    with pytest.raises(ValueError, match=message):
        survey[picked]


def test_a_split_deals_out_every_star_once_and_repeats_with_its_seed(survey):
    train, test = survey.split(0.25, seed=3)
    assert (train.n_stars, test.n_stars) == (30, 10)
    assert sorted([*train.star_id, *test.star_id]) == sorted(survey.star_id)
    assert_same(test, survey.split(0.25, seed=3)[1])
    assert test.star_id.tolist() != survey.split(0.25, seed=4)[1].star_id.tolist()
    with pytest.raises(ValueError, match="both sides need at least one star"):
        survey.split(1.0)


def test_masking_wavelengths_zeroes_ivar_inside_and_nothing_else(survey):
    masked = survey.mask_wavelengths([(15101.0, 15101.4), (15103.0, 15103.1)])
    inside = survey.pixels_within([(15101.0, 15101.4), (15103.0, 15103.1)])
    assert inside.sum() == 4
    assert np.all(masked.ivar[:, inside] == 0)
    np.testing.assert_array_equal(masked.ivar[:, ~inside], survey.ivar[:, ~inside])
    np.testing.assert_array_equal(masked.flux, survey.flux)
    with pytest.raises(ValueError, match="low <= high"):
        survey.mask_wavelengths([(2.0, 1.0)])


def test_pixels_that_no_star_has_can_be_dropped(survey):
    holed = survey.mask_wavelengths([(15101.0, 15101.4)]).drop_masked_pixels()
    assert holed.n_pixels == survey.n_pixels - 3
    with pytest.raises(ValueError, match=r"boolean mask of shape \(30,\)"):
        survey.select_pixels(np.arange(3))


@pytest.mark.parametrize(("fraction", "n_kept"), [(0.0, 30), (0.5, 30), (0.51, 27)])
def test_pixels_that_few_stars_have_can_be_dropped(survey, fraction, n_kept):
    ivar = np.ones((10, survey.n_pixels))
    ivar[:5, 4:7] = 0
    assert survey[:10].replace(ivar=ivar).drop_masked_pixels(fraction=fraction).n_pixels == n_kept


def test_labels_are_selected_by_name(survey):
    part = survey.select_labels(["label_2", "label_0"])
    np.testing.assert_array_equal(part.labels, survey.labels[:, [2, 0]])
    np.testing.assert_array_equal(part.truth.labels, survey.truth.labels[:, [2, 0]])
    with pytest.raises(ValueError, match="unknown label 'eu_fe'; this survey has label_0"):
        survey.label("eu_fe")


def test_the_file_loses_nothing(survey, tmp_path):
    for number, one in enumerate((survey, survey.replace(truth=None, catalogue=None, star_id=None), survey[:1])):
        one.save(tmp_path / f"{number}.h5")
        assert_same(one, lux.load(tmp_path / f"{number}.h5"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_survey_that_is_accepted_survives_the_file_and_its_own_slices(data, tmp_path):
    n_stars, n_pixels, n_labels = (data.draw(st.integers(1, 6)) for _ in range(3))
    flux = data.draw(hnp.arrays(np.float32, (n_stars, n_pixels), elements=st.floats(-10, 10, width=32)))
    mask = data.draw(hnp.arrays(bool, (n_stars, n_pixels)))
    values = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))
    labels = data.draw(hnp.arrays(float, (n_stars, n_labels), elements=values))
    names = data.draw(st.lists(st.text(max_size=5), min_size=n_labels, max_size=n_labels, unique=True))
    column = data.draw(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4),
                                min_size=n_stars, max_size=n_stars))  # fmt: skip
    fields = {
        "wavelength": 15000.0 + np.arange(n_pixels), "flux": flux, "ivar": mask * 4.0, "labels": labels,
        "label_err": np.ones_like(labels), "label_names": names, "catalogue": {"column": np.array(column)},
    }  # fmt: skip
    if not mask.any(axis=1).all():
        with pytest.raises(ValueError, match="every pixel masked"):
            lux.Survey(**fields)
        return
    survey = lux.Survey(**fields)
    survey.save(tmp_path / "survey.h5")
    assert_same(survey, lux.Survey.load(tmp_path / "survey.h5"))
    assert_same(survey[np.arange(n_stars)], survey)


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


def test_unknown_data_sets_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown data set 'apogee-dr99'; expected synthetic, apogee-dr10"):
        lux.load("apogee-dr99")


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
        assert_same(survey, lux.load(path))


def test_a_failing_save_keeps_the_old_file_and_leaves_no_litter(survey, tmp_path, monkeypatch):
    path = tmp_path / "survey.h5"
    survey.save(path)
    monkeypatch.setattr("lux.survey_io._write_columns", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        survey[:2].save(path)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["survey.h5"]
    assert_same(survey, lux.load(path))
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        survey.save(tmp_path / "absent" / "survey.h5")
