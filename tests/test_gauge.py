"""Changes of the latent basis leave every prediction as it is."""

import numpy as np
import pytest
from linear_truth import errors_apart, linear_survey
from scipy import stats

import lux
from lux.models import gauge


def test_predictions_do_not_depend_on_the_gauge(surveys_with_scatter, converged_model):
    test, generator = surveys_with_scatter[1], np.random.default_rng(5)
    expected, jacobian = converged_model.predict_labels(test), converged_model.label_jacobian(test)
    for _ in range(20):
        rotated = converged_model.rotate(np.linalg.qr(generator.normal(size=(4, 4)))[0])
        assert errors_apart(rotated.predict_labels(test), expected, test) < 1e-5
        np.testing.assert_allclose(rotated.predict_labels(test).err, expected.err, rtol=1e-4)
        np.testing.assert_allclose(rotated.label_jacobian(test), jacobian, atol=1e-9 * np.abs(jacobian).max())
    sheared = converged_model.rotate(generator.normal(size=(4, 4)) + 3 * np.eye(4))
    assert errors_apart(sheared.predict_labels(test), expected, test) < 1e-4
    training_flux = converged_model.latents_ @ converged_model.B_.T
    np.testing.assert_allclose(sheared.latents_ @ sheared.B_.T, training_flux, atol=1e-9)


def test_the_canonical_gauge_is_found_from_any_other(converged_model):
    rotated = converged_model.rotate(np.random.default_rng(2).normal(size=(4, 4)) + 2 * np.eye(4)).canonical()
    np.testing.assert_allclose(rotated.B_, converged_model.B_, atol=1e-8)
    np.testing.assert_allclose(rotated.A_, converged_model.A_, atol=1e-7)
    np.testing.assert_allclose(rotated.prior_precision_, np.eye(4), atol=1e-10)
    information = (converged_model.B_ * converged_model.weight_[:, None]).T @ converged_model.B_
    np.testing.assert_allclose(information, np.diag(np.diagonal(information)), atol=1e-8 * information.max())
    assert np.all(np.diff(np.diagonal(information)) < 0)


def test_shrinking_noisy_loadings_predicts_new_stars_better_and_hardly_touches_strong_ones():
    survey = linear_survey(n_stars=1100, n_pixels=2000, n_latents=6, noise=0.3)
    train, test = survey[:100], survey[100:]
    model = lux.Lux(6).fit(train)

    def rmse(each):
        return np.sqrt(np.mean((each.predict_labels(test).labels - test.truth.labels) ** 2))

    assert rmse(model.shrunk()) < 0.97 * rmse(model)
    turned = model.rotate(np.random.default_rng(3).normal(size=(6, 6)) + 3 * np.eye(6)).shrunk()
    assert errors_apart(turned.predict_labels(test), model.shrunk().predict_labels(test), test) < 1e-3
    strong = linear_survey(n_stars=600, n_pixels=100, n_latents=3).split(0.3)
    fitted = lux.Lux(3).fit(strong[0])
    assert errors_apart(fitted.shrunk().predict_labels(strong[1]), fitted.predict_labels(strong[1]), strong[1]) < 0.05


def test_rotations_are_uniform_orthogonal_and_seeded():
    rotations = gauge.random_rotations(6, 500, seed=4)
    identities = np.broadcast_to(np.eye(6), (500, 6, 6))
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2), identities, atol=1e-12)
    assert np.array_equal(rotations, gauge.random_rotations(6, 500, seed=4))
    assert stats.kstest(rotations[:, 0, 0] ** 2, stats.beta(0.5, 2.5).cdf).pvalue > 0.01


def test_a_matrix_that_cannot_be_inverted_is_refused(converged_model):
    for matrix in (np.ones((4, 4)), np.eye(3), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match=r"finite, invertible \(4, 4\) matrix"):
            gauge.rotate(converged_model.parameters_, matrix)
