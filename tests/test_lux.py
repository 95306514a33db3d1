"""Lux is right: against closed forms, against double precision, and under every change that must not matter.

The module is long because all of these claims are about one object, and share its fits.
"""

import dataclasses
import doctest
import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_truth import linear_survey
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import lux
from lux.models import e_step

TIGHT = {"tolerance": 1e-5, "max_cycles": 500}


@pytest.fixture(scope="module")
def surveys():
    scatter = np.where(np.arange(300) % 4 == 0, 0.03, 0.0)
    return linear_survey(n_stars=600, missing=0.1, scatter=scatter).split(0.3, seed=1)


@pytest.fixture(scope="module")
def model(surveys):
    return lux.Lux(4, **TIGHT).fit(surveys[0])


def errors_apart(prediction, other, survey):
    """Return the largest difference of predicted labels in units of the median catalogue error."""
    return np.max(np.abs(prediction.labels - other.labels)) / np.median(survey.label_err)


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


def test_the_likelihood_never_falls(surveys):
    history = lux.Lux(4, **TIGHT, start="random").fit(surveys[0]).history_
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
        spread = np.einsum("di,nij,dj->nd", B, covariance, B, optimize=True)
        squared = (flux - b - mean @ B.T) ** 2 + spread
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


def test_single_precision_agrees_with_a_double_precision_reference_to_a_thousandth_of_a_label_error(surveys, model):
    train, test = surveys
    reference = reference_predictions(model, train, test)
    difference = model.predict_labels(test).labels - reference
    assert np.max(np.abs(difference)) < 1e-3 * np.median(test.label_err)


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


def test_a_prediction_does_not_know_the_test_labels(surveys, model):
    test = surveys[1]
    changed = test.replace(labels=test.labels[::-1] * 3 + 7, label_err=test.label_err * 9)
    none = test.replace(labels=np.full_like(test.labels, np.nan))
    for other in (changed, none):
        assert np.array_equal(model.predict_labels(test).labels, model.predict_labels(other).labels)


def test_masked_pixels_and_missing_labels_have_no_influence(surveys, model):
    train, test = surveys
    junk = np.random.default_rng(0).normal(size=train.flux.shape) * 1e3
    scrambled = train.replace(
        flux=np.where(train.ivar > 0, train.flux, junk),
        label_err=np.where(np.isnan(train.labels), 1e-3, train.label_err),
    )
    again = lux.Lux(4, **TIGHT).fit(scrambled)
    assert np.array_equal(again.B_, model.B_)
    assert np.array_equal(again.A_, model.A_)
    junk_test = test.replace(flux=np.where(test.ivar > 0, test.flux, -50.0))
    assert np.array_equal(model.predict_labels(junk_test).labels, model.predict_labels(test).labels)


def test_the_jacobian_equals_autodiff_and_finite_differences(surveys, model):
    test = surveys[1]
    jacobian = model.label_jacobian(test)
    weight = np.mean(test.ivar / (1 + test.ivar.astype(float) * model.scatter_**2), axis=0)
    ivar = weight / (1 - weight * model.scatter_**2)
    star = test[:1].replace(ivar=ivar[None], flux=np.ones((1, test.n_pixels)))

    def labels(flux):
        linear = (jnp.asarray(model.b_, jnp.float32), jnp.asarray(model.B_, jnp.float32))
        prior = jnp.asarray(model.prior_precision_[None], jnp.float32)
        pixel_weight = jnp.asarray(weight[None], jnp.float32)
        mean = e_step.infer(flux[None], pixel_weight, linear, prior, jnp.zeros((1, 4))).mean
        return jnp.asarray(model.a_, jnp.float32) + mean[0] @ jnp.asarray(model.A_, jnp.float32).T

    scale = np.abs(jacobian).max()
    np.testing.assert_allclose(jax.jacobian(labels)(jnp.ones(test.n_pixels)), jacobian, atol=1e-4 * scale)
    base = model.predict_labels(star).labels[0]
    for pixel in (0, 17, 123, 299):
        bumped = np.array(star.flux)
        bumped[0, pixel] += 0.5
        slope = (model.predict_labels(star.replace(flux=bumped)).labels[0] - base) / 0.5
        np.testing.assert_allclose(slope, jacobian[:, pixel], atol=2e-4 * scale)


def test_predictions_do_not_depend_on_the_gauge(surveys, model):
    test, generator = surveys[1], np.random.default_rng(5)
    expected, jacobian = model.predict_labels(test), model.label_jacobian(test)
    for _ in range(20):
        rotated = model.rotate(np.linalg.qr(generator.normal(size=(4, 4)))[0])
        assert errors_apart(rotated.predict_labels(test), expected, test) < 1e-5
        np.testing.assert_allclose(rotated.predict_labels(test).err, expected.err, rtol=1e-4)
        np.testing.assert_allclose(rotated.label_jacobian(test), jacobian, atol=1e-9 * np.abs(jacobian).max())
    sheared = model.rotate(generator.normal(size=(4, 4)) + 3 * np.eye(4))
    assert errors_apart(sheared.predict_labels(test), expected, test) < 1e-4


def test_the_canonical_gauge_is_found_from_any_other(model):
    rotated = model.rotate(np.random.default_rng(2).normal(size=(4, 4)) + 2 * np.eye(4)).canonical()
    np.testing.assert_allclose(rotated.B_, model.B_, atol=1e-8)
    np.testing.assert_allclose(rotated.A_, model.A_, atol=1e-7)
    np.testing.assert_allclose(rotated.prior_precision_, np.eye(4), atol=1e-10)
    information = (model.B_ * model.weight_[:, None]).T @ model.B_
    np.testing.assert_allclose(information, np.diag(np.diagonal(information)), atol=1e-8 * information.max())
    assert np.all(np.diff(np.diagonal(information)) < 0)


def test_every_start_reaches_the_same_predictions(surveys, model):
    train, test = surveys
    expected = model.predict_labels(test)
    names = list(train.label_names)
    for start in ("labels", "random"):
        other = lux.Lux(4, start=start, **TIGHT).fit(train)
        assert errors_apart(other.predict_labels(test), expected, test) < 0.02
    reversed_ = lux.Lux(4, start="labels", **TIGHT).fit(train.select_labels(names[::-1])).predict_labels(test)
    assert np.max(np.abs(reversed_.labels[:, ::-1] - expected.labels)) < 0.02 * np.median(test.label_err)


def test_the_size_of_the_blocks_does_not_matter(surveys, model):
    train, test = surveys
    small = lux.Lux(4, block_size=100, **TIGHT).fit(train)
    assert errors_apart(small.predict_labels(test), model.predict_labels(test), test) < 1e-3


@pytest.mark.parametrize("settings_", [{}, {"algorithm": "als", "start": "labels", "omega": 1000.0}])
def test_stars_that_do_not_fill_the_blocks_are_fitted_all_the_same(surveys, settings_):
    train, test = surveys[0][:407], surveys[1]
    fixed = {"max_cycles": 30, "tolerance": 1e-3} | settings_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = lux.Lux(4, block_size=407, **fixed).fit(train)
        for block_size in (100, 406):
            model = lux.Lux(4, block_size=block_size, **fixed).fit(train)
            assert errors_apart(model.predict_labels(test), whole.predict_labels(test), test) < 1e-4
            np.testing.assert_allclose(model.latents_, whole.latents_, atol=1e-3)


def test_fits_of_one_shape_do_not_compile_again(surveys):
    train = surveys[0]
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train)
    compiled = [value for value in vars(e_step).values() if hasattr(value, "_cache_size")]
    sizes = [function._cache_size() for function in compiled]
    assert len(compiled) > 5
    lux.Lux(3, max_cycles=2, tolerance=1.0).fit(train[::-1])
    assert sizes == [function._cache_size() for function in compiled]


def test_a_fit_that_is_not_done_says_so(surveys):
    with pytest.warns(ConvergenceWarning, match=r"after 2 cycles the labels still move .* raise max_cycles"):
        model = lux.Lux(4, start="random", max_cycles=2).fit(surveys[0])
    assert not model.converged_
    assert len(model.history_) == 2


def test_a_model_survives_the_file(surveys, model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = lux.Lux.load(tmp_path / "model.npz")
    assert np.array_equal(loaded.predict_labels(surveys[1]).labels, model.predict_labels(surveys[1]).labels)
    assert np.array_equal(loaded.predict_labels(surveys[1]).err, model.predict_labels(surveys[1]).err)
    assert (loaded.label_names_, loaded.converged_, loaded.tolerance) == (model.label_names_, True, model.tolerance)
    whole = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "foreign.npz", spectra=np.ones(3))
    np.savez(tmp_path / "pickle.npz", format=np.array([{"a": 1}], dtype=object))
    for name in ("half", "foreign", "pickle"):
        with pytest.raises(ValueError, match="cannot be read as a Lux model"):
            lux.Lux.load(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError, match="no model file"):
        lux.Lux.load(tmp_path / "absent.npz")


def test_the_example_of_the_docstring_runs():
    results = doctest.testmod(importlib.import_module("lux.models.lux"))
    assert results.attempted > 5
    assert results.failed == 0


def test_a_clone_has_the_settings_and_is_not_fitted(surveys, model):
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert repr(copy) == "Lux(max_cycles=500, n_latents=4, tolerance=1e-05)"
    with pytest.raises(NotFittedError, match="call fit"):
        _ = copy.A_
    with pytest.raises(ValueError, match="unknown start"):
        copy.set_params(start="zeros").fit(surveys[0])


def test_settings_that_make_no_model_are_refused():
    for settings_, message in (
        ({"start": "zeros"}, "unknown start 'zeros'; expected one of pca, labels, random"),
        ({"algorithm": "adam"}, "unknown algorithm"),
        ({"n_latents": 0}, "n_latents must be at least 1"),
        ({"omega": 0.0}, "omega is a standard deviation"),
        ({"omega": np.inf}, "omega is a standard deviation"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Lux(**settings_)


def test_surveys_that_cannot_be_fitted_are_refused(surveys):
    train = surveys[0]
    constant = np.array(train.labels)
    constant[:, 1] = 4.5
    missing = np.array(train.labels)
    missing[:, 2] = np.nan
    for survey, message in (
        (train[:4], "4 stars cannot fix 4 latents"),
        (train.replace(labels=constant), "label 'label_1' is 4.5 in every training star"),
        (train.replace(labels=missing), "label 'label_2' is missing in every training star"),
        (train.mask_wavelengths([(15101.0, 15101.1)]), r"pixel 5 \(15101.000 A\) is masked .* drop_masked_pixels"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Lux(4).fit(survey)


def test_a_different_grid_is_refused(surveys, model):
    test = surveys[1]
    with pytest.raises(ValueError, match="299 pixels, the model was trained on 300"):
        model.predict_labels(test.select_pixels(np.arange(300) > 0))
    with pytest.raises(ValueError, match=r"pixel 0 is at 15100.200 A, in training at 15100.000 A"):
        model.predict_labels(test.replace(wavelength=test.wavelength + 0.2))
    with pytest.raises(NotFittedError, match="call fit"):
        lux.Lux().predict_labels(test)
    with pytest.raises(ValueError, match=r"invertible \(4, 4\) matrix"):
        model.rotate(np.ones((4, 4)))


@settings(max_examples=15, deadline=None)
@given(
    n_stars=st.integers(3, 80), n_pixels=st.integers(1, 40), n_latents=st.integers(1, 4), n_labels=st.integers(1, 3),
    masked=st.floats(0, 0.95), missing=st.floats(0, 0.9), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_shape_and_mask_is_fitted_or_refused_and_never_gives_nan(
    n_stars, n_pixels, n_latents, n_labels, masked, missing, seed
):
    try:
        survey = linear_survey(n_stars, n_pixels, n_latents, n_labels, seed, masked, missing).drop_masked_pixels()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = lux.Lux(n_latents, max_cycles=5).fit(survey)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal:
        assert any(word in refusal for word in ("masked", "cannot fix", "missing", "in every training star"))
        return
    prediction = model.predict_labels(survey)
    for array in (prediction.labels, prediction.err, prediction.covariance, model.history_, model.latents_):
        assert np.all(np.isfinite(array))
