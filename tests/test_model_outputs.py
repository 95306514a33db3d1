"""A model is asked for the same stars twice, and once with one label's catalogue values shuffled."""

import numpy as np
import pytest

import lux
from lux.auditing.model_outputs import interrogate


class PassThrough:
    """Passes the catalogue's first label through and predicts a constant for the others."""

    def __init__(self, constant=1.0):
        self.constant = constant

    def predict_labels(self, survey):
        labels = np.full(survey.labels.shape, self.constant)
        labels[:, 0] = np.nan_to_num(survey.labels[:, 0])
        return lux.Prediction(survey.label_names, labels, np.zeros_like(labels))


def test_only_the_label_in_question_is_shuffled(surveys):
    test = surveys[1]
    first, second = (interrogate(PassThrough(), test, f"label_{number}", seed=0) for number in (0, 1))
    assert not np.allclose(first.shuffled, first.predicted)
    np.testing.assert_array_equal(np.sort(first.shuffled), np.sort(first.predicted))
    np.testing.assert_array_equal(first.repeated, first.predicted)
    np.testing.assert_array_equal(second.shuffled, second.predicted)
    assert first.others.shape == (test.n_stars, 3)
    assert first.gradient is None


def test_a_gradient_is_that_of_the_label_over_the_stars_that_have_it(surveys, model):
    test = surveys[1]
    outputs = interrogate(model, test, "label_2", seed=0)
    present = test[~np.isnan(test.label("label_2"))]
    np.testing.assert_allclose(outputs.gradient, model.label_jacobian(present)[2])
    np.testing.assert_allclose(outputs.predicted, model.predict_labels(test).label("label_2"))


def test_a_prediction_that_is_not_finite_is_refused(surveys):
    with pytest.raises(ValueError, match="prediction of label_1 for star star-"):
        interrogate(PassThrough(np.nan), surveys[1], "label_1", seed=0)
