"""Attributions sum to what they share out, agree where a model is linear, and see nothing but predictions."""

import numpy as np
import pytest

import lux
from lux.diagnostics import pixel_attribution as pixels
from lux.models.baselines import FluxRegression
from lux.models.neural import NeuralNetwork
from lux.models.weights import mean_flux
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World

LABEL = "fe_h"


@pytest.fixture(scope="module")
def stars():
    """Training and test stars of few pixels, some of them masked."""
    survey = make_survey(260, seed=3, world=World("shortcut"), wavelength_range=((15420, 15460), (16100, 16140)))
    ivar = np.array(survey.ivar)
    ivar[::7, 20:30] = 0
    return survey.replace(ivar=ivar).split(60 / 260, seed=1)


@pytest.fixture(scope="module")
def models(stars):
    train, _ = stars
    fitted = {
        "Lux": lux.Lux(6, progress=False),
        "ridge": FluxRegression.ridge(),
        "PLS": FluxRegression.pls(5),
        "dense": NeuralNetwork("dense", n_epochs=15),
        "convolutional": NeuralNetwork("convolutional", n_epochs=15),
    }
    return {name: model.fit(train) for name, model in fitted.items()}


LINEAR, NETWORKS = ("Lux", "ridge", "PLS"), ("dense", "convolutional")


def baseline_prediction(model, test):
    flux = np.broadcast_to(mean_flux(test.flux, test.ivar), test.flux.shape).astype(np.float32)
    return model.predict_labels(test.replace(flux=flux)).label(LABEL)


@pytest.mark.parametrize("name", [*LINEAR, *NETWORKS])
def test_a_gradient_is_that_of_the_prediction(models, stars, name):
    model, test = models[name], stars[1]
    step = 2e-3 * np.random.default_rng(0).normal(size=test.flux.shape)
    moved = (test.replace(flux=(test.flux + sign * step).astype(np.float32)) for sign in (1, -1))
    there, back = (model.predict_labels(each) for each in moved)
    expected = np.sum(model.gradient(test, LABEL) * step, axis=1)
    np.testing.assert_allclose((there.label(LABEL) - back.label(LABEL)) / 2, expected, atol=3e-2 * expected.std())
    assert not np.any(model.gradient(test, LABEL)[test.ivar == 0])


@pytest.mark.parametrize("name", [*LINEAR, *NETWORKS])
def test_integrated_gradients_are_complete(models, stars, name):
    model, test = models[name], stars[1]
    owed = pixels.integrated_gradients(model, test, LABEL)
    moved = model.predict_labels(test).label(LABEL) - baseline_prediction(model, test)
    np.testing.assert_allclose(owed.sum(axis=1), moved, atol=1e-4)
    assert not np.any(owed[test.ivar == 0])


@pytest.mark.slow
@pytest.mark.parametrize("name", LINEAR)
def test_of_a_linear_model_all_attributions_are_one(models, stars, name):
    model, test = models[name], stars[1]
    exact = pixels.gradient_times_input(model, test, LABEL)
    np.testing.assert_allclose(pixels.integrated_gradients(model, test, LABEL), exact, atol=1e-9)
    np.testing.assert_allclose(pixels.smooth_gradient(model, test, LABEL), model.gradient(test, LABEL), atol=1e-6)
    windows = np.arange(test.n_pixels) // 40 == np.arange(4)[:, None]
    lost = pixels.occlusion(model, test, LABEL, windows)
    np.testing.assert_allclose(lost, windows @ exact.T, atol=2e-5)
    names = [f"window {number}" for number in range(4)]
    shap = pixels.group_shap(model, test, LABEL, dict(zip(names, windows, strict=True)))
    np.testing.assert_allclose([shap[each] for each in names], windows @ exact.T, atol=2e-5)


@pytest.mark.parametrize("name", ["ridge", *NETWORKS])
def test_expected_gradients_sum_to_the_distance_from_the_mean_prediction(models, stars, name):
    model, test = models[name], stars[1]
    predicted = model.predict_labels(test).label(LABEL)
    owed = pixels.expected_gradients(model, test, LABEL, n_draws=128).sum(axis=1)
    assert np.std(owed - (predicted - predicted.mean())) < 0.15 * predicted.std()
    fewer = pixels.expected_gradients(model, test, LABEL, stars[0][:20], n_draws=4)
    assert fewer.shape == test.flux.shape
    assert not np.any(fewer[test.ivar == 0])


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_shap_of_groups_sums_to_the_prediction_and_gives_nothing_to_a_group_without_flux(models, stars, name):
    model, test = models[name], stars[1]
    half = np.arange(test.n_pixels) < test.n_pixels // 2
    shap = pixels.group_shap(model, test, LABEL, {"first": half, "second": ~half, "none": np.zeros_like(half)})
    moved = model.predict_labels(test).label(LABEL) - baseline_prediction(model, test)
    np.testing.assert_allclose(sum(shap.values()), moved, atol=1e-4)
    np.testing.assert_allclose(shap["none"], 0, atol=1e-6)


def test_attributions_do_not_depend_on_the_basis_of_latents(models, stars):
    model, test = models["Lux"], stars[1]
    matrix = np.random.default_rng(2).normal(size=(6, 6))
    turned = pixels.integrated_gradients(model.rotate(matrix), test, LABEL)
    np.testing.assert_allclose(turned, pixels.integrated_gradients(model, test, LABEL), atol=1e-4)


def test_a_contrast_is_rare_where_the_map_stands_out_and_common_where_it_does_not():
    values, near = np.random.default_rng(3).normal(size=300), np.zeros(300, bool)
    near[[40, 41, 150, 151]] = True
    assert pixels.contrast_at(values + 5 * near, near).p_value < 0.01
    assert pixels.contrast_at(values - values * near, near).p_value > 0.2
    assert pixels.contrast_at(values, near).null.shape == (200,)


def test_a_network_with_random_weights_keeps_little_of_the_map(models, stars):
    model, test = models["dense"], stars[1]
    maps = [each.gradient(test, LABEL).mean(axis=0) for each in (model, model.randomized(5), model.randomized(5))]
    assert pixels.rank_agreement(maps[1], maps[2]) == pytest.approx(1)
    assert abs(pixels.rank_agreement(maps[0], maps[1])) < 0.3
    assert np.isfinite(model.randomized().predict_labels(test).labels).all()


def shifted(survey):
    return survey.replace(wavelength=survey.wavelength + 0.2)


def part(survey):
    return survey.select_pixels(survey.wavelength > survey.wavelength[3])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda model, test: pixels.integrated_gradients(model, test, LABEL, np.ones(3)), r"shape \(3,\); expected"),
        (lambda model, test: pixels.group_shap(model, test, LABEL, {}), "0 groups"),
        (lambda model, test: pixels.group_shap(model, test, LABEL, dict.fromkeys("ab", test.wavelength > 0)), "two"),
        (
            lambda model, test: pixels.group_shap(model, test, LABEL, {"a": np.arange(5), "b": np.arange(5, 9)}),
            "a boolean",
        ),
        (lambda model, test: pixels.occlusion(model, test, LABEL, test.wavelength > 0), "boolean mask of shape"),
        (lambda model, test: pixels.smooth_gradient(model, test, LABEL, n_draws=0), "n_draws is 0; expected 1"),
        (lambda model, test: pixels.smooth_gradient(model, test, LABEL, n_draws=-2), "n_draws is -2; expected 1"),
        (lambda model, test: pixels.expected_gradients(model, test, LABEL, n_draws=0), "n_draws is 0; expected 1"),
        (lambda model, test: pixels.expected_gradients(model, test, LABEL, shifted(test)), "the background has"),
        (lambda model, test: pixels.expected_gradients(model, test, LABEL, part(test)), "the background has"),
        (lambda model, test: pixels.integrated_gradients(model, test, LABEL, n_steps=0), "n_steps is 0; expected 1"),
        (lambda model, test: model.gradient(test, "eu"), "unknown label 'eu'; predicted are teff"),
    ],
)
def test_wrong_input_is_refused(models, stars, wrong, message):
    for name in ("Lux", "ridge", "dense"):
        with pytest.raises(ValueError, match=message):
            wrong(models[name], stars[1])


def test_a_regressor_without_coefficients_has_no_gradient(stars):
    from sklearn.neighbors import KNeighborsRegressor

    model = FluxRegression(KNeighborsRegressor(3)).fit(stars[0])
    with pytest.raises(ValueError, match="KNeighborsRegressor has no coef_"):
        model.gradient(stars[1], LABEL)
