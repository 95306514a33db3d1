"""The fit ends where mathematics says it should: against gradients, likelihoods and double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_truth import TIGHT, linear_survey

import lux


def log_evidence(parameters, survey, model):
    """Return the log-likelihood with the latents integrated out, by dense covariances: nothing shared with lux."""
    a, A, b, B, variance = parameters
    values = np.nan_to_num(np.concatenate([survey.labels, survey.flux], axis=1).astype(float))
    present = np.concatenate([~np.isnan(survey.labels), survey.ivar > 0], axis=1)
    safe = np.where(survey.ivar > 0, survey.ivar, 1).astype(float)
    pixel_noise = 1 / jnp.asarray(safe) + variance
    noise = jnp.concatenate([jnp.asarray(survey.label_err**2), pixel_noise], axis=1)
    offset, loadings = jnp.concatenate([a, b]), jnp.concatenate([A, B])
    shared = loadings @ np.linalg.inv(model.prior_precision_) @ loadings.T

    def one(value, there, variances):
        covariance = jnp.where(there[:, None] & there, shared, 0) + jnp.diag(jnp.where(there, variances, 1))
        residual = jnp.where(there, value - offset, 0)
        return -0.5 * residual @ jnp.linalg.solve(covariance, residual) - 0.5 * jnp.linalg.slogdet(covariance)[1]

    return jnp.sum(jax.vmap(one)(jnp.asarray(values), jnp.asarray(present), noise))


@pytest.mark.slow
def test_the_returned_optimum_has_no_gradient():
    survey = linear_survey(n_stars=120, n_pixels=40, n_latents=2, n_labels=2, missing=0.1, scatter=np.full(40, 0.01))
    model = lux.Lux(2, tolerance=1e-6, max_cycles=3000).fit(survey)
    with jax.enable_x64(True):
        parameters = [jnp.asarray(x) for x in (model.a_, model.A_, model.b_, model.B_, model.scatter_**2)]
        gradient = jax.grad(log_evidence)
        at_optimum = gradient(parameters, survey, model)
        for number, name in enumerate(("a", "A", "b", "B", "scatter variance")):
            nudged = list(parameters)
            nudged[number] = parameters[number] * 1.03
            free = np.asarray(parameters[number]) > 0 if number == 4 else np.ones_like(parameters[number], bool)
            size = np.linalg.norm(np.asarray(at_optimum[number])[free])
            nearby = np.linalg.norm(np.asarray(gradient(nudged, survey, model)[number])[free])
            assert size < 0.01 * nearby, name
        assert np.all(np.asarray(at_optimum[4])[np.asarray(parameters[4]) == 0] <= 0)


def test_alternating_least_squares_ends_where_its_own_objective_is_flat():
    survey = linear_survey(n_stars=150, n_pixels=40, n_latents=2, n_labels=2)
    settings_ = {"algorithm": "als", "fit_scatter": False, "tolerance": 1e-5, "max_cycles": 2000}
    model = lux.Lux(2, **settings_).fit(survey)
    ivar = survey.ivar.astype(float)

    def loss(z, a, A, b, B):
        label_part = np.sum(((survey.labels - a - z @ A.T) / survey.label_err) ** 2)
        return 0.5 * (label_part + np.sum(ivar * (survey.flux - b - z @ B.T) ** 2) + np.sum(z**2))

    best = (model.latents_, model.a_, model.A_, model.b_, model.B_)
    generator = np.random.default_rng(0)
    for place in range(5):
        direction = generator.normal(size=best[place].shape) * np.std(best[place])
        step = 1e-3
        moved = [list(best), list(best)]
        moved[0][place], moved[1][place] = best[place] + step * direction, best[place] - step * direction
        up, down, here = loss(*moved[0]), loss(*moved[1]), loss(*best)
        slope, curvature = (up - down) / (2 * step), (up + down - 2 * here) / step**2
        assert abs(slope) < 0.02 * curvature


def test_the_likelihood_never_falls(surveys_with_scatter):
    history = lux.Lux(4, **TIGHT, start="random").fit(surveys_with_scatter[0]).history_
    assert len(history) > 5
    assert np.all(np.diff(history) > -1e-6 * np.abs(history[-1]))


def test_the_generating_parameters_are_recovered():
    scatter = np.where(np.arange(200) % 5 == 0, 0.05, 0.0)
    survey = linear_survey(n_stars=4000, n_pixels=200, n_latents=3, scatter=scatter)
    train, test = survey.split(0.25)
    model = lux.Lux(3).fit(train)
    generator = np.random.default_rng(0)
    generator.normal(size=(4000, 3))
    loadings = generator.normal(size=(200, 3)) * 0.05
    outside = loadings - model.B_ @ np.linalg.lstsq(model.B_, loadings, rcond=None)[0]
    assert np.linalg.norm(outside) < 0.02 * np.linalg.norm(loadings)
    np.testing.assert_allclose(model.scatter_[scatter > 0], 0.05, rtol=0.1)
    assert np.median(model.scatter_[scatter == 0]) < 0.004
    prediction = model.predict_labels(test)
    pull = (prediction.labels - test.truth.labels) / prediction.err
    assert 0.95 < pull.std() < 1.05


def reference_predictions(model, survey, test, cycles=60):
    """Return labels of the test stars after more EM cycles in double precision, written out plainly with NumPy."""
    a, A, b, B, variance = model.a_, model.A_, model.b_, model.B_, model.scatter_**2
    flux, ivar = survey.flux.astype(float), survey.ivar.astype(float)
    label_weight = np.where(np.isnan(survey.labels), 0, survey.label_err**-2.0)
    labels = np.nan_to_num(survey.labels)
    for _ in range(cycles):
        weight = ivar / (1 + ivar * variance)
        precision = np.einsum("nd,di,dj->nij", weight, B, B, optimize=True) + np.eye(A.shape[1])
        precision += np.einsum("nm,mi,mj->nij", label_weight, A, A, optimize=True)
        covariance = np.linalg.inv(precision)
        moment = (weight * (flux - b)) @ B + (label_weight * (labels - a)) @ A
        mean = np.einsum("nij,nj->ni", covariance, moment)
        from_latents = np.einsum("di,nij,dj->nd", B, covariance, B, optimize=True)
        squared = (flux - b - mean @ B.T) ** 2 + from_latents
        factors = np.concatenate([np.ones((len(mean), 1)), mean], axis=1)
        second = np.einsum("ni,nj->nij", factors, factors)
        second[:, 1:, 1:] += covariance
        score, information = np.sum(weight**2 * squared - weight, axis=0), np.sum(weight**2, axis=0)
        solved = []
        for values, weights in ((labels, label_weight), (flux, weight)):
            normal = np.einsum("nd,nij->dij", weights, second, optimize=True)
            right = (weights * values).T @ factors
            solved.append(np.linalg.solve(normal, right[..., None])[..., 0])
        variance = np.maximum(0, variance + score / information)
        center, factor = mean.mean(axis=0), np.linalg.cholesky(np.cov(mean.T, bias=True) + covariance.mean(axis=0))
        (a, A), (b, B) = ((each[:, 0] + each[:, 1:] @ center, each[:, 1:] @ factor) for each in solved)
    weight = test.ivar / (1 + test.ivar * variance)
    precision = np.einsum("nd,di,dj->nij", weight, B, B, optimize=True) + np.eye(A.shape[1])
    mean = np.linalg.solve(precision, ((weight * (test.flux - b)) @ B)[..., None])[..., 0]
    return a + mean @ A.T


def test_single_precision_agrees_with_double_to_a_thousandth_of_a_label_error(surveys_with_scatter, converged_model):
    train, test = surveys_with_scatter
    reference = reference_predictions(converged_model, train, test)
    difference = converged_model.predict_labels(test).labels - reference
    assert np.max(np.abs(difference)) < 1e-3 * np.median(test.label_err)


def test_masked_pixels_and_missing_labels_have_no_influence(surveys_with_scatter, converged_model):
    train, test = surveys_with_scatter
    junk = np.random.default_rng(0).normal(size=train.flux.shape) * 1e3
    scrambled = train.replace(
        flux=np.where(train.ivar > 0, train.flux, junk),
        label_err=np.where(np.isnan(train.labels), 1e-3, train.label_err),
    )
    again = lux.Lux(4, **TIGHT).fit(scrambled)
    assert np.array_equal(again.B_, converged_model.B_)
    assert np.array_equal(again.A_, converged_model.A_)
    junk_test = test.replace(flux=np.where(test.ivar > 0, test.flux, -50.0))
    assert np.array_equal(converged_model.predict_labels(junk_test).labels, converged_model.predict_labels(test).labels)
