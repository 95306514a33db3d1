"""Lux as its users meet it: derivatives, files, clones, and refusals that say what to do."""

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


def test_the_jacobian_equals_autodiff_and_finite_differences(surveys_with_scatter, converged_model):
    test = surveys_with_scatter[1]
    jacobian = converged_model.label_jacobian(test)
    weight = np.mean(test.ivar / (1 + test.ivar.astype(float) * converged_model.scatter_**2), axis=0)
    ivar = weight / (1 - weight * converged_model.scatter_**2)
    star = test[:1].replace(ivar=ivar[None], flux=np.ones((1, test.n_pixels)))

    def labels(flux):
        parts = converged_model.b_, converged_model.B_, converged_model.scatter_**2
        model = e_step.FluxModel(*(jnp.asarray(part, jnp.float32) for part in parts))
        prior = jnp.asarray(converged_model.prior_precision_[None], jnp.float32)
        mean = e_step.infer(flux[None], jnp.asarray(ivar[None], jnp.float32), model, prior, jnp.zeros((1, 4))).mean
        return jnp.asarray(converged_model.a_, jnp.float32) + mean[0] @ jnp.asarray(converged_model.A_, jnp.float32).T

    scale = np.abs(jacobian).max()
    np.testing.assert_allclose(jax.jacobian(labels)(jnp.ones(test.n_pixels)), jacobian, atol=1e-4 * scale)
    base = converged_model.predict_labels(star).labels[0]
    for pixel in (0, 17, 123, 299):
        bumped = np.array(star.flux)
        bumped[0, pixel] += 0.5
        slope = (converged_model.predict_labels(star.replace(flux=bumped)).labels[0] - base) / 0.5
        np.testing.assert_allclose(slope, jacobian[:, pixel], atol=2e-4 * scale)


def test_a_fit_that_is_not_done_says_so(surveys_with_scatter):
    with pytest.warns(ConvergenceWarning, match=r"after 2 cycles the labels still move .* raise max_cycles"):
        model = lux.Lux(4, start="random", max_cycles=2).fit(surveys_with_scatter[0])
    assert not model.converged_
    assert len(model.history_) == 2


def test_a_model_survives_the_file(surveys_with_scatter, converged_model, tmp_path):
    converged_model.save(tmp_path / "model.npz")
    loaded = lux.Lux.load(tmp_path / "model.npz")
    prediction, expected = (each.predict_labels(surveys_with_scatter[1]) for each in (loaded, converged_model))
    assert np.array_equal(prediction.labels, expected.labels)
    assert np.array_equal(prediction.err, expected.err)
    assert (loaded.label_names_, loaded.converged_) == (converged_model.label_names_, True)
    assert loaded.get_params() == converged_model.get_params()
    whole = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "foreign.npz", spectra=np.ones(3))
    np.savez(tmp_path / "pickle.npz", format=np.array([{"a": 1}], dtype=object))
    for name in ("half", "foreign", "pickle"):
        with pytest.raises(ValueError, match="cannot be read as a Lux model"):
            lux.Lux.load(tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError, match="no model file"):
        lux.Lux.load(tmp_path / "absent.npz")


def test_settings_may_be_numbers_of_numpy(surveys_with_scatter, tmp_path):
    train, _ = surveys_with_scatter
    settings = {"n_latents": np.int64(3), "omega": np.float32(1), "max_cycles": 200.0, "fit_scatter": np.True_}
    model = lux.Lux(**settings, tolerance=0.1).fit(train, checkpoint=tmp_path / "fit.npz")
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(lux.Lux.load(tmp_path / "model.npz").A_, model.A_)


def test_a_model_replaces_no_file_but_a_model(surveys_with_scatter, converged_model, tmp_path):
    converged_model.save(tmp_path / "model.npz")
    converged_model.save(tmp_path / "model.npz")
    surveys_with_scatter[0].save(tmp_path / "survey.h5")
    (tmp_path / "code.py").write_text("import lux\n")
    for name in ("survey.h5", "code.py"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(FileExistsError, match=f"{name} is there and holds no Lux model"):
            converged_model.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(FileExistsError, match="holds no survey"):
        surveys_with_scatter[0].save(tmp_path / "model.npz")


def test_a_fit_that_fails_leaves_no_other_fit(surveys_with_scatter):
    train, _ = surveys_with_scatter
    model = lux.Lux(3, tolerance=0.1).fit(train)
    ivar = np.where(np.arange(train.n_pixels) == 2, 0, train.ivar)
    with pytest.raises(ValueError, match="masked in every training star"):
        model.set_params(n_latents=2).fit(train.replace(ivar=ivar))
    with pytest.raises(NotFittedError, match="not fitted"):
        model.A_  # noqa: B018
    with pytest.raises(ValueError, match="stars cannot fix 5000 latents"):
        model.set_params(n_latents=2).fit(train).set_params(n_latents=5000).fit(train)
    assert not hasattr(model, "parameters_")
    with pytest.raises(ValueError, match="no labels to train on"):
        model.fit(train.select_labels([]))


def test_a_clone_has_the_settings_and_is_not_fitted(surveys_with_scatter, converged_model):
    copy = clone(converged_model)
    assert copy.get_params() == converged_model.get_params()
    assert repr(copy) == "Lux(max_cycles=500, n_latents=4, tolerance=1e-05)"
    with pytest.raises(NotFittedError, match="call fit"):
        _ = copy.A_
    with pytest.raises(ValueError, match="unknown start"):
        copy.set_params(start="zeros").fit(surveys_with_scatter[0])


def test_surveys_that_cannot_be_fitted_are_refused(surveys_with_scatter):
    train = surveys_with_scatter[0]
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


def test_a_different_grid_is_refused(surveys_with_scatter, converged_model):
    test = surveys_with_scatter[1]
    with pytest.raises(ValueError, match="299 pixels, the model was trained on 300"):
        converged_model.predict_labels(test.select_pixels(np.arange(300) > 0))
    with pytest.raises(ValueError, match=r"pixel 0 is at 15100.200 A, in training at 15100.000 A"):
        converged_model.predict_labels(test.replace(wavelength=test.wavelength + 0.2))
    with pytest.raises(NotFittedError, match="call fit"):
        lux.Lux().predict_labels(test)


# Few sizes of what a program is compiled for, any number of stars and labels.
@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    n_stars=st.integers(3, 32),
    n_pixels=st.sampled_from([1, 40]),
    n_latents=st.sampled_from([1, 3]),
    n_labels=st.integers(1, 3),
    masked=st.floats(0, 0.95),
    missing=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
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
