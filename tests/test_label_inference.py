"""Labels given flux alone: the Gaussian conditional, errors that hold, and no knowledge of the test labels."""

import dataclasses

import numpy as np
from linear_truth import linear_survey

import lux


def held_out_chi(model, test):
    """Return the root mean square of held-out labels in units of both errors, for each label."""
    prediction = model.predict_labels(test)
    return np.sqrt(np.nanmean((prediction.labels - test.labels) ** 2 / (prediction.err**2 + test.label_err**2), axis=0))


def test_the_scatter_of_labels_that_the_flux_does_not_know_is_recovered():
    survey = linear_survey(n_stars=4000, missing=0.1)
    extra = np.array([0.0, 0.3, 0.6])
    noise = np.random.default_rng(9).normal(size=survey.labels.shape)
    train, test = survey.replace(labels=survey.labels + extra * noise).split(0.5)
    model = lux.Lux(4).fit(train)
    np.testing.assert_allclose(model.label_scatter_[1:], extra[1:], rtol=0.1)
    assert model.label_scatter_[0] < 0.06
    np.testing.assert_allclose(held_out_chi(model, test), 1, atol=0.1)
    plain = model.predict_labels(test)
    model.parameters_ = dataclasses.replace(model.parameters_, label_scatter=np.zeros(3))
    assert np.array_equal(model.predict_labels(test).labels, plain.labels)
    assert np.all(held_out_chi(model, test)[1:] > 1.4)


def test_labels_drawn_from_the_model_need_no_scatter():
    train, test = linear_survey(n_stars=4000, seed=3).split(0.5)
    model = lux.Lux(4).fit(train)
    noise_of_the_estimate = np.mean(train.label_err**2) * np.sqrt(2 / train.n_stars)
    assert np.all(model.label_scatter_**2 < 3 * noise_of_the_estimate)
    np.testing.assert_allclose(held_out_chi(model, test), 1, atol=0.1)


def test_inference_is_the_gaussian_conditional_even_at_high_signal_to_noise():
    survey = linear_survey(n_stars=200, n_pixels=4000, n_latents=6, noise=0.002)
    model = lux.Lux(6).fit(survey)
    prediction = model.predict_labels(survey)
    weight = survey.ivar / (1 + survey.ivar.astype(float) * model.scatter_**2)
    precision = np.einsum("nd,di,dj->nij", weight, model.B_, model.B_, optimize=True) + model.prior_precision_
    moment = (weight * (survey.flux - model.b_)) @ model.B_
    latents = np.linalg.solve(precision, moment[..., None])[..., 0]
    np.testing.assert_allclose(model.infer_latents(survey), latents, atol=2e-5)
    labels = model.a_ + latents @ model.A_.T
    assert np.max(np.abs(prediction.labels - labels)) < 1e-3 * np.median(survey.label_err)
    posterior = model.A_ @ np.linalg.inv(precision) @ model.A_.T
    off_diagonal = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(prediction.covariance[:, off_diagonal], posterior[:, off_diagonal], rtol=0.02, atol=1e-9)
    assert np.all(prediction.err**2 >= 0.99 * np.diagonal(posterior, axis1=1, axis2=2))


def test_a_prediction_does_not_know_the_test_labels(surveys_with_scatter, converged_model):
    test = surveys_with_scatter[1]
    changed = test.replace(labels=test.labels[::-1] * 3 + 7, label_err=test.label_err * 9)
    none = test.replace(labels=np.full_like(test.labels, np.nan))
    for other in (changed, none):
        assert np.array_equal(converged_model.predict_labels(test).labels, converged_model.predict_labels(other).labels)
