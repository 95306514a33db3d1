"""Evidence says whether it counts by its own threshold; that of the model sees what the model does and no chance."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey, survey_with_own_part
from scipy import stats

from lux.auditing import AuditSettings, Evidence, Kind, leakage, measurements
from lux.auditing.evidence import (
    ModelUse,
    _channels,
    _flux_evidence,
    _own_lines,
    collect,
    flux_share,
    model_use,
    observed_evidence,
    sensitivity,
)
from lux.auditing.leakage import Growth
from lux.auditing.model_outputs import ModelOutputs
from lux.auditing.observer_frame import ObserverFrame


def test_each_evidence_has_its_own_threshold():
    weak = {"question": "?", "statistic": 2.0, "null_center": 0.0, "null_scatter": 1.0, "p_value": 0.01}
    assert not Evidence(Kind.STRONG_FEATURES, **weak).significant
    assert Evidence(Kind.OWN_LINES, **weak, threshold=0.015).significant
    assert Evidence(Kind.LEAK_GROWTH, **weak, needed=1.9).significant
    assert not Evidence(Kind.LEAK_GROWTH, **weak, needed=np.inf).significant


def test_a_z_score_is_in_standard_deviations_of_the_null():
    assert Evidence(Kind.OWN_LINES, "?", 5.0, 1.0, 2.0, 0.02).z_score == 2.0
    assert np.isnan(Evidence(Kind.LABEL_CANARY, "?", 5.0, 0.0, 0.0, 1.0).z_score)


def test_a_use_is_little_if_less_than_a_tenth_of_the_own_part_is_followed_with_certainty():
    for slope, error, least, little in (
        (0.05, 0.02, False, True),
        (0.05, 0.03, False, False),
        (0.15, 0.01, False, False),
        (0.05, 0.02, True, False),
    ):
        assert ModelUse("yes", slope, error, least, 0.1).little is little
    assert not ModelUse("no", 0.0, 0.01, False, 0.1).little


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
    shifts = ((0.0, 0.0, False), (0.1, 0.0, True), (0.1, 0.06, False), (0.1, 0.04, True), (1e-4, 0.0, False))
    for shuffled, repeated, expected in shifts:
        assert not collect(measured, outputs(measured, 1e4 * predicted, shuffled))[Kind.LABEL_CANARY].significant
        down = collect(measured, outputs(measured, predicted, -shuffled, repeated))[Kind.LABEL_CANARY]
        assert down.significant == expected
        assert (down.null_center, down.null_scatter) == (0, 0)
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
    up = collect(measured, outputs(measured, gradient[:1].repeat(500), gradient=-gradient))[Kind.GRADIENT]
    assert up.p_value == 1
    gradient = np.random.default_rng(3).normal(-5, 1, size=300)
    gradient[measured.design.own_pixels] = -5
    alike = collect(measured, outputs(measured, gradient[:1].repeat(500), gradient=gradient))[Kind.GRADIENT]
    assert 0.2 < alike.p_value < 0.8
    assert (alike.null_center, alike.null_scatter) == pytest.approx((5, 1), abs=0.2)


def with_lines(measured, own, moved, apart=0.0):
    """Return measurements of one or two own lines of given significance, and of the list moved to (K,) places."""
    lines = np.full(300, apart)
    pixels = np.arange(len(own))
    lines[pixels], lines[10 : 10 + len(moved)] = own, moved
    near = np.isin(np.arange(300), pixels)
    design = dataclasses.replace(measured.design, own_pixels=pixels, near_own=near)
    observed = dataclasses.replace(measured.observed, lines=lines[None])
    places = np.repeat(10 + np.arange(len(moved))[:, None], len(own), axis=1)
    return dataclasses.replace(measured, design=design, observed=observed, moved=places)


def test_own_lines_are_held_against_the_list_moved_in_wavelength(measured):
    normal = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    beyond = _own_lines(with_lines(measured, [8.0], 0.5 + 2 * normal))
    assert beyond.null_center == pytest.approx(0.5)
    assert beyond.null_scatter == pytest.approx(2, rel=0.02)
    assert beyond.p_value == pytest.approx(stats.norm.sf(7.5 / beyond.null_scatter))
    # Chance is never less than that of noise, and two lines add up by the root of two.
    calm = _own_lines(with_lines(measured, [3.0, 4.0], 0.1 * normal))
    assert calm.statistic == pytest.approx(7 / np.sqrt(2))
    assert (calm.null_center, calm.null_scatter) == pytest.approx((0, 1))
    assert _own_lines(with_lines(measured, [3.0, 4.0], 3 * normal)).null_scatter == pytest.approx(3 * 2**0.5, rel=0.02)
    # Where moved lists reach the statistic more often than a normal distribution would, their number counts.
    heavy = _own_lines(with_lines(measured, [9.0], np.where(np.arange(200) < 4, 10.0, normal)))
    assert heavy.p_value == pytest.approx(5 / 201)
    assert heavy.p_value > 10 * stats.norm.sf(heavy.z_score)
    for reached, p_value in ((2, 3 / 201), (1, stats.norm.sf)):
        few = _own_lines(with_lines(measured, [9.0], np.where(np.arange(200) < reached, 10.0, normal)))
        assert few.p_value == pytest.approx(p_value(few.z_score) if callable(p_value) else p_value, abs=0)
    alone = _own_lines(with_lines(measured, [2.0], normal[:0]))
    assert (alone.null_center, alone.null_scatter, alone.p_value) == pytest.approx((0, 1, stats.norm.sf(2)))


def test_features_and_lines_of_the_flux_are_held_against_those_of_surrogates(measured):
    elsewhere = with_lines(measured, [50.0], np.array([-6.0]))
    evidence, surrogate = _flux_evidence(elsewhere), measured.surrogate.strong
    strong, line = evidence[Kind.STRONG_FEATURES], evidence[Kind.ANY_LINE]
    assert (strong.null_center, strong.null_scatter) == pytest.approx((np.mean(surrogate), np.std(surrogate)))
    assert strong.p_value == pytest.approx(stats.t.sf(strong.z_score, 39))
    largest = elsewhere.largest_by_chance
    scale = np.std(largest) * np.sqrt(6) / np.pi
    assert line.statistic == 6
    center = np.mean(largest) - np.euler_gamma * scale
    assert line.p_value == pytest.approx(stats.gumbel_r.sf(6, center, scale), rel=0.1)
    assert (line.null_center, line.null_scatter) == pytest.approx((np.mean(largest), np.std(largest)))
    everywhere = dataclasses.replace(measured.design, near_own=np.ones(300, bool))
    dense = dataclasses.replace(measured, design=everywhere)
    assert Kind.ANY_LINE not in collect(dense, outputs(measured, measured.design.labels))


def test_evidence_in_the_observers_frame_counts_in_absorption_and_in_emission():
    generator, settings = np.random.default_rng(0), AuditSettings()
    surrogate, weight = 1.5 * generator.normal(size=(200, 50)), np.eye(50)[3]
    found = {}
    for sign in (1, -1):
        lines = sign * np.where(np.arange(50) == 3, 9.0, 0.1)
        at_sky = np.array([lines[3], *surrogate[:, 3]])
        found[sign] = observed_evidence(ObserverFrame(np.arange(50.0), lines, surrogate, weight, at_sky, settings))
        assert all(item.significant and item.threshold == 0.001 for item in found[sign].values())
        sky = found[sign][Kind.SKY_LINES]
        assert (sky.null_center, sky.null_scatter) == pytest.approx((np.mean(at_sky[1:]), np.std(at_sky[1:])))
        assert sky.p_value == pytest.approx(2 * stats.t.sf(abs(sky.z_score), 199), abs=0)
    place, largest = found[1][Kind.OBSERVED_PLACE], np.abs(surrogate).max(axis=1)
    assert place == found[-1][Kind.OBSERVED_PLACE]
    assert (place.null_center, place.null_scatter) == pytest.approx((np.mean(largest), np.std(largest)))
    nowhere = ObserverFrame(np.arange(50.0), lines, surrogate, 0 * weight, 0 * at_sky, settings)
    assert set(observed_evidence(nowhere)) == {Kind.OBSERVED_PLACE}


def test_of_what_may_be_a_leak_that_counts_which_exceeds_most_what_it_needs(measured, monkeypatch):
    growths = [Growth(7.0, 0.0), Growth(4.0, 6.0), Growth(5.0, 20.0)]
    monkeypatch.setattr("lux.auditing.evidence.leakage.growth", lambda *_: growths)
    evidence = collect(measured, outputs(measured, measured.design.labels))
    assert (evidence[Kind.LEAK_GROWTH].statistic, evidence[Kind.LEAK_GROWTH].needed) == (4.0, 3.0)
    assert evidence[Kind.LEAK_GROWTH].p_value == pytest.approx(stats.norm.sf(4))
    closer = evidence[Kind.CLOSER_THAN_NOISE]
    assert closer.null_center == 1
    assert closer.p_value == pytest.approx(stats.norm.cdf(closer.z_score))


def test_a_leak_is_sought_wherever_the_evidence_counts_and_in_strong_features_if_nowhere(measured):
    kinds = {
        Kind.OWN_LINES: leakage.line_channel(measured.design, measured.design.own_pixels),
        Kind.STRONG_FEATURES: leakage.prediction_channel(measured),
        Kind.ANY_LINE: leakage.line_channel(measured.design, *leakage.places_elsewhere(measured)),
    }
    for counts in ((Kind.OWN_LINES,), (Kind.ANY_LINE,), (Kind.STRONG_FEATURES, Kind.OWN_LINES, Kind.ANY_LINE), ()):
        flux = {kind: Evidence(kind, "?", 0.0, 0.0, 1.0, 1e-6 if kind in counts else 0.5) for kind in kinds}
        channels = _channels(measured, flux)
        expected = [kinds[kind] for kind in counts or (Kind.STRONG_FEATURES,)]
        assert len(channels) == len(expected)
        for channel, other in zip(channels, expected, strict=True):
            np.testing.assert_allclose(channel.values, other.values)
            np.testing.assert_allclose(channel.noise, other.noise)


def test_a_model_of_one_label_is_asked_on_its_test_stars_alone_beyond_what_the_flux_gives_of_the_others(measured):
    rows, design = slice(300, 500), measured.design
    noise = np.random.default_rng(2).normal(size=200)
    # What the flux gives of the others is no use of this label, and a small unit is no matter.
    predicted = 1e-9 * (design.labels[rows] + noise + 30 * design.others[rows] @ np.arange(design.others.shape[1]))
    given = ModelOutputs(predicted, predicted, predicted, np.empty((200, 0)), design.labels[rows], None)
    use = collect(measured, given)[Kind.MODEL_USE]
    basis = np.linalg.qr(design.others[rows])[0]
    parts = [each - basis @ (basis.T @ each) for each in (predicted, measured.residual[rows])]
    correlation = np.corrcoef(*parts)[0, 1]
    assert use.statistic == pytest.approx(correlation * np.sqrt(200 - basis.shape[1]))
    assert (use.null_center, use.null_scatter) == (0, 1)
    assert use.p_value == pytest.approx(stats.norm.sf(use.statistic))


def test_a_survey_without_own_variance_is_not_sensitive(measured):
    reach = sensitivity(measured)
    assert reach.own_variance == pytest.approx(np.var(measured.residual), rel=0.3)
    assert 0 < reach.feature_significance < np.sqrt(500)
    assert (reach.n_stars, reach.n_own_lines) == (500, 1)
    for own_variance, expected in ((2.1, True), (1.9, False)):
        errors = {"own_variance": own_variance, "own_variance_error": 1.0}
        assert dataclasses.replace(reach, **errors).has_own_scatter is expected
    # Half of the own variance is of that of the residual so much, whatever the unit.
    share = 0.5 * reach.own_variance / np.var(measured.residual)
    assert reach.feature_significance == pytest.approx(measurements.significance_of_share(measured, share))
    assert reach.own_variance_error == pytest.approx(np.sqrt(2 / 500) * np.var(measured.residual))


def use_of(follows, noise, factor=1.0, leak=False, with_reach=False):
    """Return whether a model uses a label whose own part it follows by a factor, and noise; errors are multiplied."""
    survey, own = survey_with_own_part(0, n_stars=600)
    measured = measurements.measure(survey.replace(label_err=factor * survey.label_err), "label_0")
    others = survey.truth.labels[:, 1:]
    predicted = follows * own + noise * np.random.default_rng(4).normal(size=600) + others @ [0.3, -0.2]
    given = ModelOutputs(predicted, predicted, predicted, others, survey.label("label_0"), None)
    evidence = collect(measured, given)[Kind.MODEL_USE]
    use, reach = model_use(measured, given, evidence, sensitivity(measured), leak), sensitivity(measured)
    return (use, reach) if with_reach else use


def test_the_slope_of_a_prediction_on_the_own_part_is_free_of_the_catalogues_errors():
    use = use_of(0.6, 0.1)
    assert use.answer == "yes"
    assert use.slope == pytest.approx(0.6, abs=3 * use.error)
    # Errors attenuate a slope on the catalogue's values by a third here.
    assert use.error < 0.09


def test_the_slope_that_would_have_been_found_is_that_of_the_power_asked_for():
    for factor in (1.0, 4.0):
        use, reach = use_of(0.6, 0.1, factor, with_reach=True)
        # The two quantiles of the normal distribution add up to 4.2207; errors of the own variance count beside.
        scale = 0.0 if use.least else reach.own_variance_error / reach.own_variance
        assert use.findable == pytest.approx(4.2207 * np.sqrt(use.error**2 - (scale * use.slope) ** 2), rel=1e-3)


def test_a_model_that_does_not_use_a_label_is_told_from_one_of_which_nothing_can_be_said():
    guess = use_of(0.0, 0.2)
    assert (guess.answer, guess.least) == ("no", False)
    assert abs(guess.slope) < 3 * guess.error
    assert use_of(0.0, 9.0).answer == "cannot tell"
    assert use_of(0.6, 0.1, leak=True).answer == "cannot tell"


def test_a_few_labels_far_off_are_no_reason_to_say_that_a_model_does_not_use_it():
    survey, _ = survey_with_own_part(0, n_stars=600)
    labels, others = np.array(survey.labels), survey.truth.labels[:, 1:]
    noise = np.random.default_rng(4)
    far = np.arange(600) % 20 == 0
    labels[far, 0] += 1.2 * noise.normal(size=far.sum())
    for spoiled, answer, most in ((survey, "no", (1.0, 1.0)), (survey.replace(labels=labels), "cannot tell", (0, 0.7))):
        measured = measurements.measure(spoiled, "label_0")
        predicted = 0.6 * noise.normal(size=600)
        given = ModelOutputs(predicted, predicted, predicted, others, spoiled.label("label_0"), None)
        reach = sensitivity(measured)
        assert most[0] <= reach.of_most <= most[1]
        assert model_use(measured, given, collect(measured, given)[Kind.MODEL_USE], reach, False).answer == answer


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


def test_the_share_that_the_flux_explains_has_an_interval_that_holds_the_true_one(measured):
    design, shares = dataclasses.replace(measured.design, errors=np.ones(500)), []
    for seed in range(60):
        told, untold, noise = np.random.default_rng(seed).normal(size=(3, 500))
        residual = (told + untold + noise) * np.sqrt(design.dof_fraction)
        observed = dataclasses.replace(measured.observed, residual=residual[:, None], predicted=told[:, None])
        planted = dataclasses.replace(measured, design=design, observed=observed)
        evidence = {Kind.STRONG_FEATURES: Evidence(Kind.STRONG_FEATURES, "?", 9.0, 0.0, 1.0, 1e-9)}
        shares.append(flux_share(planted, evidence, sensitivity(planted)))
    assert np.mean([share.value for share in shares]) == pytest.approx(0.5, abs=0.03)
    assert 51 <= sum(share.low < 0.5 < share.high for share in shares)
    # The squares that are explained have a variance of 10, and the own variance is 2, of 3 in all: as if independent.
    error = np.hypot(np.sqrt(10 / 500) / 2, 0.5 * np.sqrt(2 / 500) * 3 / 2)
    assert np.mean([share.high - share.low for share in shares]) == pytest.approx(2 * 1.96 * error, rel=0.05)
    for share in shares:
        assert share.high - share.value == pytest.approx(share.value - share.low)
