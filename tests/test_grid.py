"""No model reads a spectrum on another grid than it was trained on."""

import numpy as np
import pytest
from linear_truth import linear_survey

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
