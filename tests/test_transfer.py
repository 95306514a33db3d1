"""The measures of label transfer are what they say."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.diagnostics import transfer
from lux.models import baselines


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


def test_where_groups_share_their_residual_the_interval_is_that_of_so_few():
    survey = linear_survey(n_stars=600, n_pixels=5)
    groups = np.arange(600) // 30
    shared = np.random.default_rng(1).normal(size=20)[groups][:, None] * np.ones_like(survey.labels)
    prediction = lux.Prediction(survey.label_names, survey.labels + shared, shared)
    by_star, by_group = (transfer.score(prediction, survey, groups=each)["label_0"] for each in (None, groups))
    assert by_group.bias.value == by_star.bias.value
    assert by_group.bias.uncertainty == pytest.approx(shared.std() / np.sqrt(20), rel=0.15)
    assert by_star.bias.uncertainty < 0.3 * by_group.bias.uncertainty


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
    for call, message in (
        (
            lambda: transfer.response_slope(prediction, np.ones(9), "label_0"),
            "9 stars have a true label, the prediction",
        ),
        (lambda: transfer.response_slope(prediction, np.full(280, 0.3), "label_0"), "'label_0' is 0.3 in every star"),
        (lambda: transfer.paired_difference(prediction, prediction, train, "label_0"), "280 stars are predicted"),
        (lambda: transfer.score(prediction, test, n_bootstrap=0), "draws is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
