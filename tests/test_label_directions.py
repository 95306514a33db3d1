"""Directions of labels in latent space: spans and angles against their definitions."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.models.label_directions import label_angles, unique_direction
from lux.models.weights import mean_pixel_weight


def test_a_label_that_is_a_combination_of_others_lies_in_their_span():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(900, 4))
    clean = latents @ np.array([[1.0, 0.3, 0], [0, 1.0, 0], [0, 0, 0], [0, 0, 1.0]])
    follower, free = clean[:, 0] - 0.5 * clean[:, 1], clean[:, 0] + 1.0 * latents[:, 2]
    survey = linear_survey(n_stars=900)
    labels = np.column_stack([clean, follower, free]) + 0.1 * generator.normal(size=(900, 5))
    flux = 1 + latents @ generator.normal(size=(4, 300)) * 0.05 + 0.01 * generator.normal(size=(900, 300))
    survey = survey.replace(
        labels=labels,
        label_err=np.full((900, 5), 0.1),
        label_names=tuple("abcde"),
        flux=flux,
        ivar=np.full((900, 300), 1e4),
        label_units=None,
        truth=None,
    )
    model = lux.Lux(4).fit(survey.select_labels(list("abcd")))
    inside = unique_direction(model, "d")
    assert inside.p_value > 0.01
    assert inside.angle < 3
    np.testing.assert_allclose(inside.coefficients, [1, -0.5, 0], atol=0.03)
    outside = unique_direction(lux.Lux(4).fit(survey.select_labels(list("abce"))), "e")
    assert outside.p_value < 0.001
    assert outside.angle == pytest.approx(np.degrees(np.arctan2(1, np.hypot(1, 0.3))), abs=2)


def test_angles_in_the_prior_metric_are_those_between_predicted_labels(surveys, model):
    angles = label_angles(model)
    assert np.allclose(np.diag(angles.cosine), 1)
    covariance = model.A_ @ np.linalg.inv(model.prior_precision_) @ model.A_.T
    np.testing.assert_allclose(angles.cosine[0, 1], covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    assert angles.degrees[0, 1] == pytest.approx(np.degrees(np.arccos(angles.cosine[0, 1])))


def test_the_posterior_metric_is_that_of_the_given_stars(surveys, model):
    weight = mean_pixel_weight(surveys[1], model.scatter_)
    covariance = model.A_ @ np.linalg.inv((model.B_.T * weight) @ model.B_ + model.prior_precision_) @ model.A_.T
    cosine = label_angles(model, "posterior", surveys[1]).cosine
    np.testing.assert_allclose(cosine[0, 1], covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_unknown_labels_and_metrics_are_refused(model):
    with pytest.raises(ValueError, match="unknown metric 'flat'"):
        label_angles(model, "flat")
    with pytest.raises(ValueError, match="'eu_fe' must be one of several"):
        unique_direction(model, "eu_fe")
