"""Where a fit begins does not decide where it ends."""

import numpy as np
from linear_truth import TIGHT, errors_apart, linear_survey

import lux
from lux.models.parts import LocalParts
from lux.models.starts import pixel_means, start_latents


def test_every_start_reaches_the_same_predictions(surveys_with_scatter, converged_model):
    train, test = surveys_with_scatter
    expected = converged_model.predict_labels(test)
    names = list(train.label_names)
    for start in ("labels", "random"):
        other = lux.Lux(4, start=start, **TIGHT).fit(train)
        assert errors_apart(other.predict_labels(test), expected, test) < 0.02
    reversed_ = lux.Lux(4, start="labels", **TIGHT).fit(train.select_labels(names[::-1])).predict_labels(test)
    assert np.max(np.abs(reversed_.labels[:, ::-1] - expected.labels)) < 0.02 * np.median(test.label_err)


def settings(start):
    return lux.Lux(3, start=start)._settings()


def test_principal_components_of_the_start_are_those_of_the_singular_value_decomposition():
    survey = linear_survey(n_stars=200, n_pixels=80, n_latents=3, masked=0, noise=0.005)
    survey = survey.replace(ivar=survey.ivar * np.linspace(0.1, 5, 80) ** 2)
    parts = LocalParts(survey, 64)
    mean, weight, _ = pixel_means(parts)
    np.testing.assert_allclose(mean, np.average(survey.flux, axis=0, weights=survey.ivar), rtol=1e-5)
    np.testing.assert_allclose(weight, survey.ivar.mean(axis=0), rtol=1e-5)
    latents = start_latents(settings("pca"), survey, parts, mean, weight)
    left = np.linalg.svd((survey.flux - mean) * np.sqrt(weight))[0][:, :3]
    correlation = np.abs(np.corrcoef(left.T, latents.T)[:3, 3:])
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.05)


def test_the_published_start_is_the_labels_on_unit_scale():
    survey = linear_survey(n_stars=200, n_pixels=80, n_labels=2)
    parts = LocalParts(survey, 64)
    latents = start_latents(settings("labels"), survey, parts, *pixel_means(parts)[:2])
    np.testing.assert_allclose(
        np.corrcoef(survey.labels.T, latents.T)[:2, 2:4], np.corrcoef(survey.labels.T), atol=1e-9
    )
    assert np.abs(latents[:, 2]).max() < 0.01
