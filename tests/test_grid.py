"""No model reads a spectrum on another grid than it was trained on, or is trained on labels that tell it nothing."""

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
