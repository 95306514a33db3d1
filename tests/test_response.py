"""The response is that of a prediction to the truth, which must be there."""

import numpy as np
import pytest

from lux.diagnostics.response import atom_slope, response
from lux.diagnostics.transfer import response_slope
from lux.models.prediction import Prediction
from lux.survey import Survey, Truth


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


def test_a_model_linear_in_atoms_has_one_slope_against_them_and_many_against_abundance():
    """It recovers 0.3 of small changes of abundance; on enhanced stars the slope in dex says 1 and more."""
    random = np.random.default_rng(0)
    fe_h, alpha_fe = random.normal(-0.2, 0.2, 4000), random.normal(0.1, 0.05, 4000)
    slopes = {}
    for name, excess in (("disc", random.normal(0, 0.06, 4000)), ("enhanced", random.uniform(0.3, 1.0, 4000))):
        eu_fe = 0.02 - 0.35 * fe_h + excess
        read = 0.3 * 10 ** (eu_fe + fe_h + 0.11) / np.log(10) + 0.5 * fe_h - 0.2 * alpha_fe
        survey = Survey(
            wavelength=np.array([16000.0, 16001.0]),
            flux=np.ones((4000, 2)),
            ivar=np.ones((4000, 2)),
            labels=eu_fe[:, None],
            label_err=np.full((4000, 1), 0.1),
            label_names=("eu_fe",),
            star_id=np.arange(4000).astype(str),
            truth=Truth(eu_fe[:, None], {}, {"eu_fe": eu_fe, "fe_h": fe_h, "alpha_fe": alpha_fe}),
        )
        prediction = Prediction(("eu_fe",), read[:, None], np.ones((4000, 1)))
        slopes[name] = atom_slope(prediction, survey, -0.11).value, response_slope(prediction, excess, "eu_fe").value
    assert slopes["disc"] == pytest.approx((0.3, 0.3), abs=0.02)
    assert slopes["enhanced"][0] == pytest.approx(0.3, abs=0.005)
    assert slopes["enhanced"][1] > 1
