"""A survey whose spectra stay on the disk gives what it gives in memory, and says what is wrong with it."""

import fcntl
import pickle

import h5py
import jax
import numpy as np
import pytest

import lux
from lux.models.baselines import FluxRegression
from lux.models.blocks import to_device
from lux.store import survey_file

LATENTS = {"n_latents": 4, "block_size": 64, "progress": False}


@pytest.fixture(scope="module")
def path(surveys, tmp_path_factory):
    path = tmp_path_factory.mktemp("lazy") / "survey.h5"
    surveys[0][:300].save(path)
    return path


@pytest.fixture(scope="module", params=["HDF5", "Zarr"])
def pair(path, request):
    """The survey on the disk, and in memory."""
    if request.param == "Zarr":
        path = path.with_suffix(".zarr")
        lux.load(path.with_suffix(".h5")).save(path)
    return lux.open(path), lux.load(path)


def test_what_is_read_is_what_was_saved(pair, tmp_path):
    lazy, whole = pair
    assert lazy.is_lazy
    assert not whole.is_lazy
    assert lazy.flux.shape == whole.flux.shape
    np.testing.assert_array_equal(lazy.flux[100:170], whole.flux[100:170])
    np.testing.assert_array_equal(np.asarray(lazy.ivar), whole.ivar)
    np.testing.assert_array_equal(lazy.flux[7], whole.flux[7])
    assert lazy.flux[-1, 5] == whole.flux[-1, 5]
    np.testing.assert_array_equal(lazy.flux[:, 3], whole.flux[:, 3])
    np.testing.assert_array_equal(lazy.flux[[4, 9], 3], whole.flux[[4, 9], 3])
    np.testing.assert_array_equal(lazy.flux[2:5, 3], whole.flux[2:5, 3])
    with pytest.raises(IndexError, match="which NumPy would pair"):
        lazy.flux[[1, 2], [3, 4]]
    for key in (..., None, (..., 3), np.s_[:, None], np.s_[5, None], np.s_[1, 2, 3], whole.ivar > 0):
        with pytest.raises(IndexError, match="read all of it first"):
            lazy.flux[key]
    assert lazy.digest() == whole.digest()
    for name in ("again.h5", "again.zarr"):
        lazy.save(tmp_path / name)
        assert lux.load(tmp_path / name).digest() == whole.digest()
        assert lux.load(tmp_path / name, lazy=True).is_lazy


def test_stars_pixels_and_labels_are_picked_without_reading(pair, monkeypatch):
    lazy, whole = pair
    pixels, stars = whole.wavelength < 15500, np.array([250, 3, 77])

    def picked(survey):
        train, test = survey.split(0.3, seed=4)
        return train, test.select_pixels(pixels)[stars[1:]], survey[stars].select_labels(["label_1"]), survey[::7]

    with monkeypatch.context() as patched:
        patched.setattr(type(lazy.flux), "_read", None)
        found = picked(lazy)
    for one, other in zip(found, picked(whole), strict=True):
        assert one.is_lazy
        assert list(one.star_id) == list(other.star_id)
        np.testing.assert_array_equal(one.flux[:], other.flux)
        np.testing.assert_array_equal(one.ivar[1:2], other.ivar[1:2])


@pytest.mark.slow
def test_a_fit_and_its_predictions_are_those_in_memory(pair):
    (lazy, lazy_test), (whole, whole_test) = (survey.split(0.3, seed=1) for survey in pair)
    models = [lux.Lux(**LATENTS).fit(survey) for survey in (lazy, whole)]
    np.testing.assert_array_equal(models[0].B_, models[1].B_)
    predicted = [model.predict_labels(test) for model, test in zip(models, (lazy_test, whole_test), strict=True)]
    np.testing.assert_array_equal(predicted[0].labels, predicted[1].labels)
    np.testing.assert_array_equal(models[0].label_jacobian(lazy_test), models[1].label_jacobian(whole_test))


def test_labels_of_a_catalogue_are_joined_without_reading(pair, monkeypatch):
    lazy, whole = pair
    names = [*whole.star_id[::-3], "star-unknown"]
    table = {"star_id": names, "x": np.arange(len(names)), "x_err": np.ones(len(names))}
    with monkeypatch.context() as patched:
        patched.setattr(survey_file.StoredArray, "_read", None)
        joined = lazy.with_labels(table)
    assert joined.is_lazy
    other = whole.with_labels(table)
    for name in ("wavelength", "labels", "label_err", "star_id"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(other, name))
    np.testing.assert_array_equal(joined.flux[:9], whole.flux[np.isin(whole.star_id, names)][:9])
    np.testing.assert_array_equal(np.asarray(joined.ivar), other.ivar)
    assert joined.provenance == other.provenance
    assert joined.label_units == other.label_units


def test_what_is_read_goes_to_a_cpu_without_a_copy(pair):
    read = pair[0].flux[16:48]
    with jax.default_device(jax.devices("cpu")[0]):
        assert to_device(read).unsafe_buffer_pointer() == read.ctypes.data


def test_what_needs_all_spectra_reads_them(pair):
    lazy, whole = pair
    np.testing.assert_array_equal(lazy.ivar > 0, whole.ivar > 0)
    np.testing.assert_array_equal(np.sum(lazy.flux, axis=0), np.sum(whole.flux, axis=0))
    np.testing.assert_array_equal(whole.flux - lazy.flux, 0)
    models = [FluxRegression.pls(3).fit(survey) for survey in pair]
    np.testing.assert_array_equal(*(model.predict_labels(lazy).labels for model in models))
    masked = lazy.mask_wavelengths([(15400, 15420)])
    np.testing.assert_array_equal(masked.ivar, whole.mask_wavelengths([(15400, 15420)]).ivar)


def test_what_only_an_array_in_memory_has_is_told(pair):
    lazy, whole = pair
    with pytest.raises(AttributeError, match=r"no attribute 'T': it is left on the disk; .* numpy.asarray\(flux\)"):
        _ = lazy.flux.T
    with pytest.raises(AttributeError, match=r"no attribute 'spectra'$"):
        _ = lazy.flux.spectra
    assert np.mean(lazy.flux) == np.mean(whole.flux)


def test_another_process_reads_what_it_is_sent(pair):
    lazy, whole = pair
    sent = pickle.loads(pickle.dumps(lazy[np.arange(5, 9)]))
    np.testing.assert_array_equal(sent.flux[1:3], whole.flux[6:8])


@pytest.fixture
def spoiled(path, tmp_path):
    """Return a function that changes values of a copy of the file, which is opened before or after."""
    copy = tmp_path / "spoiled.h5"
    copy.write_bytes(path.read_bytes())

    def spoil(name, value, row=153, pixel=40):
        with h5py.File(copy, "r+") as file:
            file[name][row, pixel] = value
        return copy

    return spoil


@pytest.mark.parametrize(
    ("name", "value"), [("flux", np.nan), ("flux", -np.inf), ("ivar", np.nan), ("ivar", np.inf), ("ivar", -1.0)]
)
def test_a_bad_value_is_named_with_its_place(spoiled, name, value):
    path = spoiled(name, value)
    with pytest.raises(ValueError, match=rf"spoiled.h5: {name} of row 153 at pixel 40 is {value}"):
        lux.Lux(**LATENTS).fit(lux.open(path))


@pytest.mark.parametrize("name", ["flux", "ivar"])
def test_a_file_without_spectra_or_with_other_things_for_them_is_no_survey(spoiled, name):
    path = spoiled("flux", 1.0)
    with h5py.File(path, "r+") as file:
        shape = file[name].shape
        del file[name]
    with pytest.raises(ValueError, match=r"spoiled.h5 cannot be read as a survey"):
        lux.open(path)
    with h5py.File(path, "r+") as file:
        file[name] = np.full(shape, b"a")
    with pytest.raises(ValueError, match=rf"cannot be read as a survey .* {name} is an array of \|S1"):
        lux.open(path)


def test_a_star_of_negative_ivar_is_not_said_to_be_masked(spoiled):
    path = spoiled("ivar", -1.0, row=12, pixel=slice(None))
    with pytest.raises(ValueError, match=r"ivar of row 12 at pixel 0 is -1"):
        lux.Lux(**LATENTS).fit(lux.open(path))


def test_an_error_far_smaller_than_the_others_of_its_star_is_named(spoiled):
    path = spoiled("ivar", 1e14, row=12)
    with pytest.raises(ValueError, match=r"spoiled.h5: the error of row 12 at pixel 40 is .* times smaller"):
        lux.Lux(**LATENTS).fit(lux.open(path))


def test_a_star_without_a_pixel_is_named(spoiled):
    path = spoiled("ivar", 0.0, row=12, pixel=slice(None))
    with pytest.raises(ValueError, match=r"spoiled.h5: row 12 has every pixel masked"):
        lux.Lux(**LATENTS).fit(lux.open(path))


def test_spectra_that_replace_opened_ones_are_checked_as_in_memory(pair):
    lazy, whole = pair
    for name, value, message in (
        ("ivar", np.nan, "ivar of star star-9 .* is not finite"),
        ("ivar", -1.0, "ivar of star star-9 .* is negative"),
        ("ivar", 0.0, "star star-9 has every pixel masked"),
        ("flux", np.inf, "flux of star star-9 .* is not finite"),
    ):
        values = np.array(getattr(whole, name))
        values[7] = value
        for survey in pair:
            with pytest.raises(ValueError, match=message):
                survey.replace(**{name: values})
    assert lazy.replace(ivar=whole.ivar).is_lazy
    for survey in pair:
        with pytest.raises(ValueError, match="has every pixel masked"):
            survey.mask_wavelengths([(survey.wavelength[0], survey.wavelength[-1])])


def test_a_file_that_changes_vanishes_or_is_damaged_stops_the_fit(spoiled, path):
    copy = spoiled("flux", 1.0)
    survey = lux.open(copy)
    copy.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="has changed since it was opened; open it again"):
        lux.Lux(**LATENTS).fit(survey)
    copy.write_bytes(path.read_bytes())
    survey = lux.open(copy)
    copy.unlink()
    with pytest.raises(OSError, match=r"spoiled.h5"):
        survey.flux[:2]
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    copy.write_bytes(content)
    with pytest.raises(OSError, match=r"spoiled.h5: \w+ of rows .* cannot be read"):
        lux.Lux(**LATENTS).fit(lux.open(copy))
    copy.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="truncated, damaged or foreign"):
        lux.open(copy)
    with pytest.raises(FileNotFoundError, match="no survey file"):
        lux.open(copy.with_name("absent.h5"))


@pytest.mark.parametrize("suffix", [".h5", ".zarr"])
def test_labels_of_one_survey_do_not_come_with_spectra_of_another(suffix, path, tmp_path, monkeypatch):
    copy, other, read_fields = tmp_path / f"copy{suffix}", tmp_path / f"other{suffix}", survey_file._read_fields
    lux.load(path).save(copy)
    lux.load(path)[:200].save(other)

    def replaced_meanwhile(*arguments):
        fields = read_fields(*arguments)
        copy.rename(tmp_path / "moved")
        other.rename(copy)
        return fields

    monkeypatch.setattr(survey_file, "_read_fields", replaced_meanwhile)
    with pytest.raises(OSError, match="has changed while it was read; read it again"):
        lux.open(copy)


def test_a_file_that_is_replaced_just_when_it_is_opened_again_is_not_read(path, tmp_path, monkeypatch):
    copy, other, opening = tmp_path / "copy.h5", tmp_path / "other.h5", survey_file._open
    copy.write_bytes(path.read_bytes())
    other.write_bytes(path.read_bytes())
    survey = lux.open(copy)

    def replaced_meanwhile(name):
        other.replace(copy)
        return opening(name)

    monkeypatch.setattr(survey_file, "_open", replaced_meanwhile)
    with pytest.raises(OSError, match="has changed since it was opened; open it again"):
        survey.flux[:5]


def test_a_file_that_another_writes_or_this_user_may_not_read_is_not_said_to_be_damaged(path, tmp_path, monkeypatch):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(path.read_bytes())
    with copy.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="is open for writing elsewhere; close it there"):
            lux.open(copy)
    monkeypatch.setattr(survey_file, "_open", lambda _: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(PermissionError, match=r"copy.h5 may not be read by this user"):
        lux.load(copy)
