"""Evidence says whether it counts by its own threshold; that of the model sees what the model does and no chance."""

import numpy as np
import pytest
from linear_truth import linear_survey, survey_with_own_part

from lux.auditing import AuditSettings, Evidence, Kind, measurements
from lux.auditing.evidence import collect, model_use, sensitivity
from lux.auditing.model_outputs import ModelOutputs


def test_each_evidence_has_its_own_threshold():
    weak = {"question": "?", "statistic": 2.0, "null_center": 0.0, "null_scatter": 1.0, "p_value": 0.01}
    assert not Evidence(Kind.STRONG_FEATURES, **weak).significant
    assert Evidence(Kind.OWN_LINES, **weak, threshold=0.015).significant
    assert Evidence(Kind.LEAK_GROWTH, **weak, needed=1.9).significant
    assert not Evidence(Kind.LEAK_GROWTH, **weak, needed=np.inf).significant


def test_a_z_score_is_in_standard_deviations_of_the_null():
    assert Evidence(Kind.OWN_LINES, "?", 5.0, 1.0, 2.0, 0.02).z_score == 2.0


def test_names_are_those_that_reports_have_always_had():
    assert Kind.LEAK_GROWTH == "grows with noise"
    assert f"{Kind.GRADIENT:<22}|" == "gradient at own lines |"


@pytest.fixture(scope="module")
def measured():
    survey = linear_survey(n_stars=500, n_pixels=300, n_latents=3, n_labels=3)
    settings = AuditSettings(n_surrogates=40, significance=0.004, significance_at_own_lines=0.02)
    return measurements.measure(survey, "label_0", [15130.0], settings=settings)


def outputs(measured, predicted, shuffled=0.0, repeated=0.0, gradient=None):
    """Return outputs of a model on the stars that were measured; the latter are shifts of the prediction."""
    others = np.random.default_rng(5).normal(size=(len(predicted), 2))
    labels = measured.design.labels
    return ModelOutputs(predicted, predicted + repeated, predicted + shuffled, others, labels, gradient)


def test_evidence_is_collected_by_kind_with_the_thresholds_of_the_settings(measured):
    evidence = collect(measured, outputs(measured, measured.design.labels, gradient=np.zeros(300)))
    assert set(evidence) == set(Kind) - {Kind.OBSERVED_PLACE, Kind.SKY_LINES}
    assert all(item.name is kind for kind, item in evidence.items())
    assert evidence[Kind.OWN_LINES].threshold == 0.02
    assert {item.threshold for kind, item in evidence.items() if kind is not Kind.OWN_LINES} == {0.004}
    assert Kind.GRADIENT not in collect(measured, outputs(measured, measured.design.labels))


def test_the_canary_counts_a_shift_beyond_what_the_model_does_at_random(measured):
    predicted = np.random.default_rng(1).normal(size=500)
    for shuffled, repeated, expected in ((0.0, 0.0, False), (0.1, 0.0, True), (0.1, 0.06, False), (1e-4, 0.0, False)):
        item = collect(measured, outputs(measured, predicted, shuffled, repeated))[Kind.LABEL_CANARY]
        assert item.significant == expected


def test_a_prediction_that_follows_the_label_is_used_and_a_constant_one_is_nothing(measured):
    labels = measured.design.labels
    noise = np.random.default_rng(2).normal(size=500)
    use = [collect(measured, outputs(measured, p))[Kind.MODEL_USE] for p in (labels + noise, noise, 0 * noise + 0.1)]
    assert use[0].p_value < 1e-6
    assert 0.001 < use[1].p_value < 0.999
    assert (use[2].statistic, use[2].p_value) == (0.0, 0.5)


def test_a_gradient_counts_if_it_is_lowest_at_the_own_line(measured):
    gradient = np.random.default_rng(3).normal(size=300)
    gradient[measured.design.own_pixels] = -9
    down = collect(measured, outputs(measured, gradient[:1].repeat(500), gradient=gradient))[Kind.GRADIENT]
    assert down.p_value == pytest.approx(1 / (1 + len(measured.moved)))


def test_a_survey_without_own_variance_is_not_sensitive(measured):
    reach = sensitivity(measured)
    assert reach.own_variance == pytest.approx(np.var(measured.residual), rel=0.3)
    assert 0 < reach.feature_significance < np.sqrt(500)
    assert (reach.n_stars, reach.n_own_lines) == (500, 1)


def use_of(follows, noise, factor=1.0, leak=False):
    """Return whether a model uses a label whose own part it follows by a factor, and noise; errors are multiplied."""
    survey, own = survey_with_own_part(0, n_stars=600)
    measured = measurements.measure(survey.replace(label_err=factor * survey.label_err), "label_0")
    others = survey.truth.labels[:, 1:]
    predicted = follows * own + noise * np.random.default_rng(4).normal(size=600) + others @ [0.3, -0.2]
    given = ModelOutputs(predicted, predicted, predicted, others, survey.label("label_0"), None)
    evidence = collect(measured, given)[Kind.MODEL_USE]
    return model_use(measured, given, evidence, sensitivity(measured), leak)


def test_the_slope_of_a_prediction_on_the_own_part_is_free_of_the_catalogues_errors():
    use = use_of(0.6, 0.1)
    assert use.answer == "yes"
    assert use.slope == pytest.approx(0.6, abs=3 * use.error)
    # Errors attenuate a slope on the catalogue's values by a third here.
    assert use.error < 0.09


def test_a_model_that_does_not_use_a_label_is_told_from_one_of_which_nothing_can_be_said():
    guess = use_of(0.0, 0.2)
    assert (guess.answer, guess.least) == ("no", False)
    assert abs(guess.slope) < 3 * guess.error
    assert use_of(0.0, 9.0).answer == "cannot tell"
    assert use_of(0.6, 0.1, leak=True).answer == "cannot tell"


def test_errors_that_explain_all_scatter_make_the_slope_a_lower_limit():
    use = use_of(0.6, 0.1, factor=4)
    assert (use.answer, use.least) == ("yes", True)
    assert 0.2 < use.slope < 0.6
    assert "or more" in str(use)
    assert use_of(0.0, 0.2, factor=4).answer == "cannot tell"


def test_a_guess_from_the_other_labels_is_no_use_though_its_own_predictions_of_them_are_poor():
    survey, _ = survey_with_own_part(0, n_stars=600)
    others = survey.truth.labels[:, 1:]
    guess = 0.1 * others.sum(axis=1)
    labels = np.column_stack([survey.label("label_0") + guess, survey.labels[:, 1:]])
    measured = measurements.measure(survey.replace(labels=labels), "label_0")
    poor = others + 3 * np.std(others, axis=0) * np.random.default_rng(6).normal(size=others.shape)
    assert np.corrcoef(guess, labels[:, 0])[0, 1] > 0.3
    evidence = collect(measured, ModelOutputs(guess, guess, guess, poor, labels[:, 0], None))[Kind.MODEL_USE]
    assert not evidence.significant
