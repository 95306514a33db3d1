"""Predictions written block by block are those of the whole survey, and stand whole or not at all."""

import json

import numpy as np
import pytest
from astropy.table import Table
from sklearn.linear_model import Ridge

import lux
from lux.models import Cannon, write_predictions
from lux.models.baselines import FluxRegression


@pytest.fixture(scope="module")
def opened(surveys, tmp_path_factory):
    path = tmp_path_factory.mktemp("predictions") / "survey.h5"
    names = np.array([f"étoile {number}" for number in range(300)])
    surveys[0][:300].replace(star_id=names).save(path)
    return lux.open(path)


MODELS = {
    "Lux": lambda: lux.Lux(n_latents=4, block_size=64, progress=False),
    "Cannon": lambda: Cannon(n_cycles=2, block_size=64),
    "FluxRegression": lambda: FluxRegression(Ridge()),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_table_holds_what_the_model_predicts_of_all_stars_at_once(kind, opened, tmp_path):
    model = MODELS[kind]().fit(opened)
    write_predictions(model, opened, tmp_path / "predicted.h5", block_size=77, progress=False)
    table, whole = Table.read(tmp_path / "predicted.h5"), model.predict_labels(opened)
    assert [text.decode() for text in np.asarray(table["star_id"])] == list(opened.star_id)
    for name, labels, err in zip(whole.names, whole.labels.T, whole.err.T, strict=True):
        assert np.all(np.abs(table[name] - labels) <= 1e-3 * opened.label_err.min())
        np.testing.assert_allclose(table[f"{name}_err"], err, rtol=1e-4)
    assert table.meta["model"] == kind
    assert json.loads(table.meta["units"]) == dict(zip(opened.label_names, opened.label_units, strict=True))


def test_an_opened_survey_and_one_in_memory_make_the_same_cannon(opened):
    lazy, whole = (MODELS["Cannon"]().fit(survey) for survey in (opened, lux.load(opened.flux.path)))
    np.testing.assert_array_equal(lazy.coefficients_, whole.coefficients_)
    np.testing.assert_array_equal(lazy.scatter_, whole.scatter_)


@pytest.mark.parametrize("model", [Ridge(), lambda flux: flux[:, 0]], ids=["regressor", "function"])
def test_a_model_that_predicts_no_survey_is_refused(model, opened, tmp_path):
    with pytest.raises(ValueError, match=rf"predict_labels\(survey\), .* got {type(model).__name__}; give it as"):
        write_predictions(model, opened, tmp_path / "predicted.h5")
    assert not list(tmp_path.iterdir())


class Failing:
    """Says the mean of the labels, and of the third block something else."""

    def __init__(self, answer):
        self.answer, self.blocks = answer, 0

    def predict_labels(self, survey):
        self.blocks += 1
        labels = np.zeros((survey.n_stars, 1))
        if self.blocks < 3:
            return lux.Prediction(("teff",), labels, labels)
        return self.answer(labels)


def out_of_memory(labels):
    raise MemoryError("no memory for block three")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (out_of_memory, MemoryError, "block three"),
        (lambda labels: lux.Prediction(("logg",), labels, labels), ValueError, r"100 to 149 .*'logg'.* not .*'teff'"),
        (lambda labels: lux.Prediction(("teff",), labels[1:], labels[1:]), ValueError, "labels of 49 stars for 50"),
        (
            lambda labels: lux.Prediction(("teff",), labels, np.ones((1, 1))),
            ValueError,
            r"err of shape \(1, 1\) for 50",
        ),
        (lambda labels: lux.Prediction(("teff",), labels, None), ValueError, r"err of shape \(\) .* \(50, 1\), NaN"),
        (lambda labels: lux.Prediction(("a", "b"), labels, labels), ValueError, r"names a, b; expected \(50, 2\)"),
    ],
)
def test_a_model_that_fails_on_the_way_leaves_what_stood_there(answer, error, message, opened, tmp_path):
    path = tmp_path / "predicted.h5"
    write_predictions(Failing(lambda labels: lux.Prediction(("teff",), labels, labels)), opened, path, block_size=50)
    of_last_week = path.read_bytes()
    with pytest.raises(error, match=message):
        write_predictions(Failing(answer), opened, path, block_size=50)
    assert path.read_bytes() == of_last_week
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_before_anything_is_written(opened, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left: make room and run again")

    monkeypatch.setattr("lux.models.prediction_file.require_space", full)
    with pytest.raises(OSError, match="make room"):
        write_predictions(Failing(None), opened, tmp_path / "predicted.h5", block_size=200)
    assert not list(tmp_path.iterdir())


def test_names_that_would_stand_twice_are_refused(opened, tmp_path):
    names = ("teff", "teff_err")
    clash = opened.select_labels(opened.label_names[:2]).replace(label_names=names)
    model = FluxRegression(Ridge()).fit(clash)
    with pytest.raises(ValueError, match="would have teff_err twice"):
        write_predictions(model, clash, tmp_path / "p.h5", progress=False)


def test_blocks_without_stars_are_refused(opened, tmp_path):
    for block_size in (0, 2.5, None):
        with pytest.raises(ValueError, match=rf"block_size = {block_size}; expected the number of stars"):
            write_predictions(Failing(None), opened, tmp_path / "predicted.h5", block_size=block_size)


def test_predictions_replace_predictions_and_nothing_else(opened, tmp_path):
    model = Failing(lambda labels: lux.Prediction(("teff",), labels, labels))
    survey = tmp_path / "survey.h5"
    opened.save(survey)
    whole = survey.read_bytes()
    with pytest.raises(ValueError, match=r"survey.h5 is there and holds no predictions, .* give another name"):
        write_predictions(model, lux.open(survey), survey)
    assert survey.read_bytes() == whole
    (tmp_path / "notes.h5").write_text("mine")
    with pytest.raises(ValueError, match="holds no predictions"):
        write_predictions(model, opened, tmp_path / "notes.h5")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder.h5: it is a folder"):
        write_predictions(model, opened, tmp_path / "folder.h5")
    for name in ("predicted.zarr", "predicted.csv", "predicted"):
        with pytest.raises(ValueError, match=f"HDF5 file, and '{name}' ends in none"):
            write_predictions(model, opened, tmp_path / name)


def test_predictions_that_failed_are_written_and_told_with_their_number(opened, tmp_path):
    class Failing:
        def predict_labels(self, survey):
            labels = np.where(survey.labels > np.nanmedian(survey.labels, axis=0), np.nan, 0.5)
            return lux.Prediction(survey.label_names, labels, np.full(labels.shape, np.nan))

    with pytest.warns(UserWarning, match=rf"Failing predicts nothing finite for .* 300 stars: {opened.label_names[0]}"):
        write_predictions(Failing(), opened, tmp_path / "predicted.h5", progress=False)
    assert np.any(np.isnan(Table.read(tmp_path / "predicted.h5")[opened.label_names[0]]))


def test_what_is_masked_is_written_as_missing(opened, tmp_path):
    class Masking:
        def predict_labels(self, survey):
            bad = np.broadcast_to(survey.star_id[:, None] == "étoile 7", survey.labels.shape)
            labels = np.ma.array(np.full(survey.labels.shape, 0.5), mask=bad)
            return lux.Prediction(survey.label_names, labels, np.full(labels.shape, 0.1))

    with pytest.warns(UserWarning, match=rf"{opened.label_names[0]} of 1"):
        write_predictions(Masking(), opened, tmp_path / "predicted.h5", progress=False)
    written = np.asarray(Table.read(tmp_path / "predicted.h5")[opened.label_names[0]])
    assert np.flatnonzero(np.isnan(written)).tolist() == [7]
