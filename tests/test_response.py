"""The response is that of a prediction to the truth, which must be there."""

import numpy as np
import pytest

from lux.diagnostics.response import response


def test_a_model_that_reads_a_label_responds_to_its_truth(surveys, model):
    test = surveys[1]
    found = response(model, test, "label_0")
    np.testing.assert_array_equal(found.true, test.truth.labels[:, 0])
    np.testing.assert_allclose(found.residual, model.predict_labels(test).label("label_0") - found.true)
    assert found.slope.value == pytest.approx(1, abs=0.05)
    centered = found.true - found.true.mean()
    assert found.slope.value == pytest.approx(centered @ found.predicted / (centered @ centered))


def test_a_survey_without_truth_is_refused(surveys, model):
    with pytest.raises(ValueError, match="needs a survey whose truth is known"):
        response(model, surveys[1].replace(truth=None), "label_0")
