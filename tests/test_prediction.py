"""A prediction hands out its labels by name."""

import numpy as np
import pytest

import lux


def test_a_label_is_found_by_its_name_and_an_unknown_one_is_refused():
    prediction = lux.Prediction(("teff", "fe_h"), np.array([[5000.0, -0.5], [4000.0, 0.1]]), np.ones((2, 2)))
    assert np.array_equal(prediction.label("fe_h"), [-0.5, 0.1])
    with pytest.raises(ValueError, match="unknown label 'eu_fe'; predicted are teff, fe_h"):
        prediction.label("eu_fe")
