"""No model reads a spectrum unlike those it was trained on, or is trained on labels that tell it nothing."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.models import baselines
from lux.models.cannon import Cannon
from lux.models.neural import NeuralNetwork

MODELS = {
    "Cannon": Cannon(n_cycles=1),
    "ridge": baselines.FluxRegression.ridge(),
    "network": NeuralNetwork(hidden=(8,), n_epochs=1),
}


@pytest.mark.parametrize("kind", MODELS)
def test_another_grid_is_refused_by_its_pixel(kind):
    survey = linear_survey(n_stars=100, n_pixels=40)
    model = MODELS[kind].fit(survey)
    stored = survey.replace(wavelength=survey.wavelength.astype(np.float32).astype(float))
    assert np.isfinite(model.predict_labels(stored).labels).all()
    for other, message in (
        (survey.replace(wavelength=survey.wavelength + 0.5), "pixel 0 is at 15100.500 A, in training at 15100.000 A"),
        (survey.select_pixels(np.arange(40) > 0), "has 39 pixels, the model was trained on 40"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict_labels(other)


UNFITTED = {**MODELS, "PLS": baselines.FluxRegression.pls(2), "Lux": lux.Lux(2)}


@pytest.mark.parametrize("kind", UNFITTED)
def test_labels_that_are_none_or_the_same_in_all_stars_are_refused(kind):
    survey = linear_survey(n_stars=100, n_pixels=40)
    first = survey.label_names[0]
    for values, told in (
        (np.full(100, 0.5), "is 0.5 in every training star that has it"),
        (np.where(np.arange(100) == 7, 0.5, np.nan), "is 0.5 in every training star that has it"),
        (np.full(100, np.nan), "is missing in every training star"),
    ):
        labels = np.where(np.arange(survey.n_labels) == 0, values[:, None], survey.labels)
        spoilt = survey.replace(labels=labels, label_err=np.where(np.isnan(labels), np.nan, survey.label_err))
        with pytest.raises(ValueError, match=f"label '{first}' {told}; leave it out"):
            UNFITTED[kind].fit(spoilt)
    with pytest.raises(ValueError, match="no labels to train on"):
        UNFITTED[kind].fit(survey.select_labels([]))


@pytest.mark.parametrize("kind", UNFITTED)
def test_an_array_is_no_survey(kind):
    survey = linear_survey(n_stars=100, n_pixels=40)
    with pytest.raises(ValueError, match=r"models take a lux.Survey, .* got ndarray; make one"):
        UNFITTED[kind].fit(survey.flux)
    model = UNFITTED[kind].fit(survey)
    with pytest.raises(ValueError, match=r"models take a lux.Survey, .* got ndarray; make one"):
        model.predict_labels(survey.flux)


def with_first_label(survey, first):
    return survey.replace(labels=np.column_stack([first, survey.labels[:, 1:]]))


@pytest.mark.parametrize("kind", [*UNFITTED, "mean"])
@pytest.mark.filterwarnings("ignore:Lux did not converge")
def test_a_number_that_stands_for_missing_labels_is_refused(kind):
    survey = linear_survey(n_stars=100, n_pixels=40)
    some, model = np.arange(100) < 5, baselines.Mean() if kind == "mean" else UNFITTED[kind]
    name, label = survey.label_names[0], survey.labels[:, 0]
    # The second is near, as -999 is to temperatures, and below zero as no other is.
    for values, missing in ((label, 99.99), (4800 + 400 * label, -999.0)):
        with pytest.raises(ValueError, match=f"label '{name}' is {missing:g} in 5 of 100 stars, far from all others"):
            model.fit(with_first_label(survey, np.where(some, missing, values)))
    # A number of stars that may be one of those is a number.
    model.fit(with_first_label(survey, np.where(some, 9999.0, 9000 + 400 * label)))


@pytest.mark.parametrize("kind", UNFITTED)
@pytest.mark.filterwarnings("ignore:Lux did not converge")
def test_flux_unlike_that_of_the_training_is_refused_and_errors_as_large_as_it_are_told(kind, tmp_path):
    survey = linear_survey(n_stars=100, n_pixels=40)
    model = UNFITTED[kind].fit(survey)
    counts = survey.replace(flux=5000 * survey.flux, ivar=survey.ivar / 5000**2)
    counts.save(tmp_path / "counts.h5")
    for other in (counts, counts[:1], lux.open(tmp_path / "counts.h5")):
        with pytest.raises(ValueError, match=r"the median flux is [45]e\+03|the median flux is [45]\.\d+e\+03, and"):
            model.predict_labels(other)
    with pytest.warns(UserWarning, match="the median error of a pixel is .* ivar is one over the square of the error"):
        model.predict_labels(survey.replace(ivar=np.where(survey.ivar > 0, 1e-4, 0)))
    # What is merely noisy, or masked, is what it is.
    noisy = survey.replace(ivar=np.tile(np.where(np.arange(40) < 38, 0, 0.2), (100, 1)))
    assert np.all(np.isfinite(model.predict_labels(noisy).labels))
