"""The measures of label transfer are what they say, and the yardsticks behave as their names promise."""

import numpy as np
import pytest
from linear_truth import linear_survey
from sklearn.linear_model import Ridge

import lux
from lux.diagnostics import transfer
from lux.models import baselines
from lux.models.cannon import Cannon
from lux.models.model_selection import cross_validate, folds_by_group, folds_by_star


def test_scores_are_the_textbook_statistics(surveys):
    test = surveys[1]
    residual = np.random.default_rng(0).normal(0.3, 0.5, size=test.labels.shape)
    prediction = lux.Prediction(test.label_names, test.labels + residual, np.ones_like(residual))
    for column, (name, result) in enumerate(transfer.score(prediction, test).items()):
        present = ~np.isnan(test.labels[:, column])
        expected = residual[present, column]
        error = test.label_err[present, column]
        assert result.n_stars == present.sum()
        assert result.rmse.value == pytest.approx(np.sqrt(np.mean(expected**2)))
        assert result.bias.value == pytest.approx(expected.mean())
        assert result.chi.value == pytest.approx(np.sqrt(np.mean((expected / error) ** 2)))
        assert result.intrinsic.value == pytest.approx(np.sqrt(np.mean(expected**2) - np.mean(error**2)))
        assert result.scatter.value == pytest.approx(0.5, rel=0.2)
        assert result.rmse.low < result.rmse.value < result.rmse.high
        assert (result.name, result.unit) == (name, "dex")


def test_bootstrap_intervals_have_the_width_of_theory():
    survey = linear_survey(n_stars=2000, n_pixels=5)
    residual = np.random.default_rng(1).normal(size=survey.labels.shape)
    result = transfer.score(lux.Prediction(survey.label_names, survey.labels + residual, residual), survey)["label_0"]
    assert result.bias.uncertainty == pytest.approx(1 / np.sqrt(2000), rel=0.1)
    assert result.rmse.uncertainty == pytest.approx(1 / np.sqrt(2 * 2000), rel=0.15)


def test_the_intrinsic_error_is_the_error_of_the_model_without_the_catalogue_noise(surveys, model):
    test = surveys[1]
    prediction = model.predict_labels(test)
    true_rmse = np.sqrt(np.mean((prediction.labels - test.truth.labels) ** 2, axis=0))
    scores = transfer.score(prediction, test)
    for column, result in enumerate(scores.values()):
        assert result.rmse.value > 2 * true_rmse[column]
        allowed = 3 * 2 * result.rmse.value * result.rmse.uncertainty
        assert abs(result.intrinsic.value**2 - true_rmse[column] ** 2) < allowed


def test_a_paired_difference_is_sharper_than_two_intervals(surveys, model):
    test = surveys[1]
    prediction = model.predict_labels(test)
    nearby = lux.Prediction(prediction.names, prediction.labels + 0.01, prediction.err)
    difference = transfer.paired_difference(nearby, prediction, test, "label_0")
    single = transfer.score(prediction, test)["label_0"].rmse
    assert difference.high - difference.low < 0.5 * (single.high - single.low)
    same = transfer.paired_difference(prediction, prediction, test, "label_0")
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_every_yardstick_beats_the_mean_where_flux_knows_the_label(surveys, model):
    train, test = surveys
    predictions = transfer.compare(model, train, test)
    rmse = {name: transfer.score(each, test)["label_1"].rmse.value for name, each in predictions.items()}
    for name in ("ridge", "PLS", "Cannon", "labels only", "Lux"):
        assert rmse[name] < 0.8 * rmse["mean"], name
    assert rmse["Lux"] <= 1.01 * min(rmse.values())


def test_ridge_equals_scikit_learn_on_complete_data():
    train, test = linear_survey(n_stars=200, n_pixels=60, masked=0).split(0.25)
    regression = baselines.FluxRegression(Ridge(alpha=2.0)).fit(train)
    peer = Ridge(alpha=2.0).fit(train.flux, train.labels)
    np.testing.assert_allclose(regression.predict_labels(test).labels, peer.predict(test.flux), atol=1e-3)


def test_the_cannon_recovers_labels_through_a_quadratic_world():
    generator = np.random.default_rng(3)
    labels = generator.normal(size=(500, 2))
    terms = np.stack([labels[:, 0], labels[:, 1], labels[:, 0] ** 2, labels[:, 0] * labels[:, 1]], axis=1)
    flux = 1 + terms @ (generator.normal(size=(4, 300)) * 0.02) + 0.01 * generator.normal(size=(500, 300))
    survey = lux.Survey(
        wavelength=15100.0 + np.arange(300), flux=flux, ivar=np.full(flux.shape, 1e4), labels=labels,
        label_err=np.full(labels.shape, 0.01), label_names=["one", "two"],
    )  # fmt: skip
    prediction = Cannon().fit(survey[:400]).predict_labels(survey[400:])
    residual = prediction.labels - labels[400:]
    assert 0.8 < (residual / prediction.err).std() < 1.2
    assert residual.std() < 0.1


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


def test_cross_validation_predicts_every_star_without_itself(surveys):
    survey = surveys[1]
    seen = []

    def remember(train, test):
        assert not set(train.star_id) & set(test.star_id)
        seen.extend(test.star_id)
        return {"mean": baselines.Mean().fit(train).predict_labels(test)}

    for folds in (folds_by_star(survey, 4), folds_by_group(survey, "group")):
        seen.clear()
        prediction = cross_validate(survey, folds, remember)["mean"]
        assert sorted(seen) == sorted(survey.star_id)
        assert np.all(np.isfinite(prediction.labels))
    with pytest.raises(ValueError, match=r"is in 0 folds; each star must be in one"):
        cross_validate(survey, iter([np.arange(survey.n_stars) > 3]), remember)
    with pytest.raises(ValueError, match=r"no column 'cluster'; it has group"):
        list(folds_by_group(survey))


def test_the_response_slope_tells_knowledge_from_a_guess():
    generator = np.random.default_rng(0)
    true = generator.normal(size=500)
    noise = generator.normal(size=500) * 0.1
    for predicted, expected in ((true + noise, 1.0), (noise, 0.0)):
        prediction = lux.Prediction(("eu_fe",), predicted[:, None], np.ones((500, 1)))
        slope = transfer.response_slope(prediction, true, "eu_fe")
        assert slope.value == pytest.approx(expected, abs=0.02)
        assert slope.low < slope.value < slope.high


def test_what_cannot_be_scored_is_refused(surveys):
    train, test = surveys
    prediction = baselines.Mean().fit(train).predict_labels(test)
    with pytest.raises(ValueError, match="280 stars are predicted, the survey has 420"):
        transfer.score(prediction, train)
    with pytest.raises(ValueError, match="no star of the survey has label 'label_0'"):
        transfer.score(prediction, test.replace(labels=np.full_like(test.labels, np.nan)))
    with pytest.raises(ValueError, match="unknown label 'eu_fe'"):
        prediction.label("eu_fe")
    with pytest.raises(ValueError, match="have all labels; the quadratic model has 15 terms"):
        Cannon().fit(train[:5])
