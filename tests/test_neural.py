"""Networks learn what a linear model knows, heed masks, missing labels and seeds, and give their gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear_truth import linear_survey
from scipy.stats import kstest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lux.models.neural import _DEVIATES, _STRIDE, _WIDTH, NeuralNetwork, _normal, _patches

QUICK = {"hidden": (32, 16), "n_epochs": 40, "noise": 1.0}


@pytest.fixture(scope="module")
def parts():
    return linear_survey(n_stars=900, n_pixels=130, missing=0.1).split(0.3)


@pytest.fixture(scope="module", params=["dense", "convolutional"])
def network(request, parts):
    return NeuralNetwork(request.param, **QUICK).fit(parts[0])


def test_a_network_predicts_labels_and_states_its_errors(network, parts):
    test = parts[1]
    predicted = network.predict_labels(test)
    error = predicted.labels - test.truth.labels
    assert np.all(np.sqrt(np.mean(error**2, axis=0)) < 0.25 * test.truth.labels.std(axis=0))
    assert np.all(predicted.err > 0)
    assert network.loss_[-1, 0] < network.loss_[0, 0] - 0.5


def test_the_flux_of_a_masked_pixel_does_not_matter(network, parts):
    test = parts[1]
    spoiled = test.replace(flux=np.where(test.ivar > 0, test.flux, 7.0))
    np.testing.assert_array_equal(network.predict_labels(spoiled).labels, network.predict_labels(test).labels)
    huge = test.replace(ivar=np.where(test.ivar > 0, test.ivar, 1e-12), flux=spoiled.flux)
    np.testing.assert_array_equal(network.predict_labels(huge).labels, network.predict_labels(test).labels)


def test_the_gradient_is_the_slope_of_the_prediction_and_zero_where_masked(network, parts):
    test = parts[1][:40]
    gradient = network.gradient(test, "label_1")
    assert gradient.shape == test.flux.shape
    assert np.all(gradient[test.ivar == 0] == 0)
    direction = np.random.default_rng(0).normal(size=test.flux.shape) * (test.ivar > 0)
    step = 3e-3
    ends = (network.predict_labels(test.replace(flux=test.flux + sign * step * direction)) for sign in (1, -1))
    slope = np.subtract(*(each.label("label_1") for each in ends)) / (2 * step)
    np.testing.assert_allclose(np.sum(gradient * direction, axis=1), slope, rtol=0.02, atol=0.02 * np.std(slope))
    np.testing.assert_allclose(network.label_jacobian(test)[1], gradient.mean(axis=0))


def test_the_last_hidden_layer_has_a_row_for_each_star(network, parts):
    hidden = network.hidden_layer(parts[1])
    assert hidden.shape == (parts[1].n_stars, 16)
    assert np.isfinite(hidden).all()


def test_predictions_do_not_depend_on_the_stars_beside(network, parts):
    many = linear_survey(n_stars=600, n_pixels=130, seed=3)
    np.testing.assert_allclose(
        network.predict_labels(many).labels[510:], network.predict_labels(many[510:]).labels, rtol=1e-5
    )


def test_a_seed_gives_one_network_and_another_seed_another(parts):
    train, test = parts
    quick = NeuralNetwork(hidden=(8,), n_epochs=2)
    first, again, other = (clone(quick).set_params(seed=seed).fit(train).predict_labels(test) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.allclose(first.labels, other.labels)


@pytest.mark.slow
def test_a_network_trained_in_double_precision_predicts_in_single_precision_like_any_other(parts):
    train, test = parts
    network = NeuralNetwork(**QUICK, double=True).fit(train)
    assert {leaf.dtype for leaf in jax.tree.leaves(network.network_)} == {np.dtype("float32")}
    error = network.predict_labels(test).labels - test.truth.labels
    assert np.all(np.sqrt(np.mean(error**2, axis=0)) < 0.25 * test.truth.labels.std(axis=0))


def test_stars_of_large_errors_hardly_count(parts):
    train, test = parts
    wrong, errors = np.array(train.labels), np.array(train.label_err)
    rows = np.random.default_rng(1).random(train.n_stars) < 0.4
    shift = 8.0
    wrong[rows, 0] += shift
    errors[rows, 0] = 100.0
    spoiled = NeuralNetwork(**QUICK).fit(train.replace(labels=wrong, label_err=errors)).predict_labels(test)
    assert abs(np.mean(spoiled.labels[:, 0] - test.truth.labels[:, 0])) < 0.1 * shift


def test_a_convolution_sees_windows_that_overlap_and_zeros_beyond_the_end():
    values = np.arange(11.0)[:, None] + 1
    windows = np.asarray(_patches(jnp.asarray(values)))
    padded = np.concatenate([values[:, 0], np.zeros(_WIDTH)])
    expected = [padded[first : first + _WIDTH] for first in range(0, 11, _STRIDE)]
    np.testing.assert_array_equal(windows, expected)


def test_the_noise_of_training_is_normal_and_new_with_each_key():
    shape = jnp.zeros((300, 400))
    first, second = (np.asarray(_normal(jax.random.key(seed), shape), float) for seed in (0, 1))
    assert kstest(first.ravel(), "norm").pvalue > 0.01
    assert _DEVIATES.std() == pytest.approx(1, abs=1e-4)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)
    assert abs(np.corrcoef(first[:, 0::2].ravel(), first[:, 1::2].ravel())[0, 1]) < 6 / np.sqrt(first.size)


def test_stars_held_out_without_a_label_choose_no_epoch(parts):
    train, _ = parts
    labels = np.where(np.arange(train.n_stars)[:, None] < 6, train.labels, np.nan)
    few = train.replace(labels=np.where(np.isnan(labels[:6]).any(), train.truth.labels, labels), truth=None)
    few = few.replace(labels=np.where(np.arange(train.n_stars)[:, None] < 6, train.truth.labels, np.nan))
    with pytest.raises(ValueError, match="none of the 6 stars held out has a label"):
        NeuralNetwork(**QUICK, held_out=0.01).fit(few)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("batch_size", 0, "a whole number, at least 1"),
        ("n_epochs", 0, "a whole number, at least 1"),
        ("n_epochs", 2.5, "a whole number, at least 1"),
        ("seed", -1, "a whole number, at least 0"),
        ("hidden", 64, "a tuple of whole numbers, each at least 1"),
        ("hidden", (0,), "a tuple of whole numbers, each at least 1"),
        ("hidden", (8.5,), "a tuple of whole numbers, each at least 1"),
        ("learning_rate", -1, "a number above 0"),
        ("weight_decay", "0.1", "a number not below 0"),
        ("noise", -1.0, "a number not below 0"),
        ("held_out", -1, "a number between 0 and 1"),
        ("held_out", np.nan, "a number between 0 and 1"),
    ],
)
def test_settings_that_train_nothing_are_refused(parts, name, value, expected):
    with pytest.raises(ValueError, match=re.escape(f"{name} must be {expected}; got {value!r}")):
        NeuralNetwork(**{**QUICK, name: value}).fit(parts[0])


def test_what_cannot_be_trained_is_refused(parts):
    train = parts[0]
    with pytest.raises(ValueError, match="unknown kind of network 'deep'; choose one of dense, convolutional"):
        NeuralNetwork("deep").fit(train)
    with pytest.raises(ValueError, match="1 stars are too few"):
        NeuralNetwork().fit(train[:1])
    labels = np.array(train.labels)
    labels[:, 2] = np.nan
    with pytest.raises(ValueError, match="label 'label_2' is missing in every training star"):
        NeuralNetwork().fit(train.replace(labels=labels))
    with pytest.raises(FloatingPointError, match="try a lower learning_rate than 1e"):
        NeuralNetwork(hidden=(8,), n_epochs=3, learning_rate=1e30).fit(train)
    with pytest.raises(NotFittedError):
        NeuralNetwork().predict_labels(train)
    with pytest.raises(ValueError, match="unknown label 'age'; predicted are label_0"):
        NeuralNetwork(hidden=(8,), n_epochs=1).fit(train).gradient(train, "age")
