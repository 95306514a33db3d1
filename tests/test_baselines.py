"""The baselines behave as their names promise."""

import numpy as np
import pytest
from linear_truth import linear_survey
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

import lux
from lux.diagnostics import transfer
from lux.models import baselines
from lux.models.cannon import Cannon


def test_every_baseline_beats_the_mean_where_flux_knows_the_label(surveys, model):
    train, test = surveys
    predictions = transfer.compare(model, train, test)
    rmse = {name: transfer.score(prediction, test)["label_1"].rmse.value for name, prediction in predictions.items()}
    for name in ("ridge", "PLS", "Cannon", "labels only", "Lux"):
        assert rmse[name] < 0.8 * rmse["mean"], name
    assert rmse["Lux"] <= 1.01 * min(rmse.values())


def test_ridge_equals_scikit_learn_on_complete_data():
    train, test = linear_survey(n_stars=200, n_pixels=60, masked=0).split(0.25)
    regression = baselines.FluxRegression(Ridge(alpha=2.0)).fit(train)
    peer = Ridge(alpha=2.0).fit(train.flux, train.labels)
    np.testing.assert_allclose(regression.predict_labels(test).labels, peer.predict(test.flux), atol=1e-3)


def test_labels_only_looks_at_nothing_but_the_other_labels(surveys, model):
    train, test = surveys

    class Other:
        """The fitted model, with its own reading of one label spoilt."""

        def predict_labels(self, survey):
            prediction = model.predict_labels(survey)
            labels = prediction.labels.copy()
            labels[:, 0] = np.random.default_rng(0).normal(size=len(labels))
            return lux.Prediction(prediction.names, labels, prediction.err)

    honest, spoilt = (baselines.LabelsOnly(each).fit(train).predict_labels(test) for each in (model, Other()))
    np.testing.assert_array_equal(honest.label("label_0"), spoilt.label("label_0"))
    assert not np.allclose(honest.label("label_1"), spoilt.label("label_1"))


def test_labels_only_needs_another_label(surveys, model):
    alone = surveys[0].select_labels(surveys[0].label_names[:1])
    with pytest.raises(ValueError, match="has the labels label_0: there are no others"):
        baselines.LabelsOnly(FrozenEstimator(model)).fit(alone)


@pytest.mark.parametrize(
    "model",
    [baselines.Mean(), baselines.FluxRegression.ridge(), baselines.FluxRegression.pls(3), Cannon(n_cycles=3)],
    ids=["mean", "ridge", "PLS", "Cannon"],
)
def test_baselines_are_cloned_unfitted_and_say_so(surveys, model):
    fitted = clone(model).fit(surveys[0])
    copy = clone(fitted)
    assert repr(copy) == repr(model)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        copy.predict_labels(surveys[1])
    again = copy.fit(surveys[0]).predict_labels(surveys[1]).labels
    np.testing.assert_array_equal(again, fitted.predict_labels(surveys[1]).labels)


def test_a_frozen_model_keeps_its_fit_when_labels_only_is_cloned(surveys, model):
    copy = clone(baselines.LabelsOnly(FrozenEstimator(model)))
    expected = baselines.LabelsOnly(model).fit(surveys[0]).predict_labels(surveys[1])
    np.testing.assert_array_equal(copy.fit(surveys[0]).predict_labels(surveys[1]).labels, expected.labels)


def test_a_bad_pixel_is_no_news_to_a_regression_whatever_marks_it():
    survey = linear_survey(n_stars=120, n_pixels=80, masked=0.0)
    bad = np.random.default_rng(0).random(survey.flux.shape) < 0.03
    masked = survey.replace(ivar=np.where(bad, np.float32(0), survey.ivar))
    marked = survey.replace(
        flux=np.where(bad, np.float32(0), survey.flux), ivar=np.where(bad, np.float32(1e-20), survey.ivar)
    )
    first, second = (
        baselines.FluxRegression.ridge().fit(each).predict_labels(each).labels for each in (masked, marked)
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)
