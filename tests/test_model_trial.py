"""Models on trial: the slope of each on the truth, what the audit says of it, and what can be seen of it."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from linear_truth import linear_survey
from sklearn.linear_model import LinearRegression

from lux import controls
from lux.controls import model_trial
from lux.controls.pixel_techniques import PIXEL_TECHNIQUES
from lux.figures import networks
from lux.simulation.worlds import World

pytestmark = pytest.mark.slow

DEEP = controls.Cell("deep", World("signal", depth=0.1), 0.06, 1, 400)


@pytest.fixture(scope="module")
def measured():
    return model_trial.measure_models(DEEP, 5, 2, interrogate=True)


def test_every_model_is_measured_in_every_way(measured):
    names = (*model_trial.MODELS, model_trial.LABELS_ONLY)
    for name in names:
        assert {number for number in model_trial.NUMBERS if f"{name}: {number}" in measured} == set(model_trial.NUMBERS)
    for name in model_trial.PROBED:
        assert np.isfinite([measured[f"{name}: {technique}"] for technique in PIXEL_TECHNIQUES]).all()
    assert (measured["cell"], measured["seed"]) == ("deep", 5)


def test_a_model_that_reads_lines_follows_europium_and_one_that_cannot_does_not(measured):
    assert measured["mean: own_slope"] == pytest.approx(0, abs=1e-9)
    assert abs(measured["labels only: own_slope"]) < 0.25
    assert measured["Lux: own_slope"] > 0.5
    assert measured["Lux: used"] == "yes"
    assert measured["mean: used"] != "yes"
    assert measured["Lux: gradient"] > 2


def test_every_kind_is_trained_against_each_noise_and_of_whole_spectra_not_the_convolutional():
    rows = model_trial.measure_noise(DEEP, 5, 2, noises=(0.0, 50.0))["rows"]
    assert [(row["model"], row["noise"]) for row in rows] == [
        (name, noise) for name in (*model_trial.NETWORKS, model_trial.LINEAR) for noise in (0.0, 50.0)
    ]
    # Against so much noise little is learned.
    assert rows[0]["own_slope"] > rows[1]["own_slope"] + 0.1
    assert rows[0]["rmse_all"] < rows[1]["rmse_all"]
    whole = dataclasses.replace(DEEP, n_stars=150, full_band=True)
    names = [row["model"] for row in model_trial.measure_noise(whole, 5, 2, noises=(0.0, 50.0))["rows"]]
    assert names == ["dense network"] * 2 + [model_trial.LINEAR] * 2


def test_networks_of_each_noise_are_interrogated_in_one_world(monkeypatch):
    monkeypatch.setattr(model_trial, "NOISES_INTERROGATED", (0.0, 50.0))
    found = model_trial.measure_interrogated(DEEP, 5, 2)
    numbers = [*model_trial.TECHNIQUES, "own_slope"]
    assert set(found) == {"cell", "seed", *(f"{noise}: {number}" for noise in (0, 50) for number in numbers)}
    assert found["0: own_slope"] > found["50: own_slope"] + 0.1
    assert found["0: gradient"] > found["50: gradient"]


def test_the_slope_of_a_linear_model_is_the_same_on_noisy_flux():
    rows = model_trial.measure_noise(DEEP, 5, 2, kinds=[model_trial.LINEAR], noises=(0.0, 4.0), on_noisy=True)["rows"]
    assert rows[0]["noisy_slope"] == pytest.approx(rows[0]["own_slope"], abs=1e-5)
    assert rows[1]["noisy_slope"] != rows[1]["own_slope"]
    assert rows[1]["noisy_slope"] == pytest.approx(rows[1]["own_slope"], abs=0.05)


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_the_linear_regression_against_noise_is_that_of_many_noisy_copies(noise):
    survey = linear_survey(n_stars=150, n_pixels=8, n_latents=3, noise=0.05, masked=0.0)
    copies, generator = 1000, np.random.default_rng(0)
    drawn = noise * generator.normal(size=(copies, *survey.flux.shape)) / np.sqrt(survey.ivar)
    noisy = (survey.flux + drawn).reshape(-1, survey.n_pixels)
    many = LinearRegression().fit(noisy, np.tile(survey.labels, (copies, 1)))
    found = model_trial.linear_against(noise, survey).predict_labels(survey).labels
    expected = many.predict(survey.flux)
    np.testing.assert_allclose(found, expected, atol=0.05 * expected.std())
    plain = LinearRegression().fit(survey.flux, survey.labels).predict(survey.flux)
    assert np.abs(plain - expected).max() > 0.2 * expected.std()
    np.testing.assert_allclose(model_trial.linear_against(0.0, survey).predict_labels(survey).labels, plain, atol=1e-3)


def test_the_drawing_has_a_line_for_each_model_in_both_panels():
    slopes = {name: [np.array([value, value + 0.1]) for value in (0.0, 0.5)] for name in ("mean", "Lux")}
    figure = networks.where_models_begin((0.0, 0.01), slopes, (500, 4000), slopes)
    left, right = figure.axes
    for axis in (left, right):
        drawn = [np.asarray(container[0].get_ydata(), float) for container in axis.containers]
        np.testing.assert_allclose(drawn, [[0.05, 0.55]] * 2)
    assert [text.get_text() for text in left.get_xticklabels()] == ["none", "1"]
    assert [text.get_text() for text in right.get_xticklabels()] == ["500", "4,000"]
    plt.close(figure)


def test_the_drawing_of_noise_in_training_shows_errors_and_slopes_of_every_kind_of_survey():
    rows = [
        {
            "model": model,
            "generator": generator,
            "full_band": False,
            "noise": noise,
            "rmse_all": [1.1],
            "own_slope": [slope],
        }
        for model in model_trial.NETWORKS
        for generator in ("physical", "empirical")
        for noise, slope in ((8.0, 0.1), (0.0, 0.3))
    ]
    figure = networks.noise_in_training(rows, (0.5, 0.2))
    errors, slopes = figure.axes
    assert len(errors.containers) == len(slopes.containers) == 4
    np.testing.assert_allclose([np.asarray(each[0].get_ydata(), float) for each in slopes.containers], [[0.3, 0.1]] * 4)
    assert [text.get_text() for text in errors.get_xticklabels()] == ["0", "8"]
    (best,) = (line for line in slopes.lines if line.get_label() == "least error for so much noise")
    np.testing.assert_allclose(best.get_ydata(), [0.5, 0.2])
    plt.close(figure)
