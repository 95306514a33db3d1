"""What the flux says of a label is told from what it says of the catalogue's noise."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey
from scipy import stats

from lux.auditing import AuditSettings, leakage, measurements

N_STARS = 4000


@pytest.fixture(scope="module")
def design():
    survey = linear_survey(n_stars=N_STARS, n_pixels=30, n_latents=2, n_labels=2)
    return measurements.measure(survey, "label_0", settings=AuditSettings(n_surrogates=2)).design


def draw(design, kind, seed, unseen=0.3):
    """Return a channel that knows the label, its noise in units of the error, or its noise, and the residual."""
    generator = np.random.default_rng(seed)
    scatter = 0.7 * design.errors.mean()
    own, noise = scatter * generator.normal(size=N_STARS), design.errors * generator.normal(size=N_STARS)
    known = {"label": own / scatter, "noise in errors": noise / design.errors, "noise": noise / design.errors.mean()}[
        kind
    ]
    sizes = unseen * generator.uniform(0.5, 2, size=N_STARS)
    return leakage.Channel(known + sizes * generator.normal(size=N_STARS), sizes), own + noise


def strongest(design, channel, residual):
    return max(leakage.growth(design, channel, residual), key=lambda growth: growth.observed - growth.expected / 2)


def normal(count=2001):
    """Return numbers of a normal distribution that are free of chance."""
    return stats.norm.ppf((np.arange(count) + 0.5) / count)


def test_the_variance_of_what_a_channel_knows_is_free_of_its_noise_and_of_outliers():
    for noise in (0.0, 0.5):
        values = np.hypot(2.0, noise) * normal()
        # Also if a star has no noise, and if another is far off.
        sizes = np.where(np.arange(2001) == 7, 0.0, noise)
        values[0] = -1e6
        assert leakage.Channel(values, sizes).variance == pytest.approx(4.0, rel=0.01)
    assert leakage.Channel(0.4 * normal(), np.full(2001, 0.5)).variance == 0


def test_a_channel_of_lines_is_their_depth_with_its_error_whatever_the_noise_of_the_star(design):
    generator = np.random.default_rng(0)
    information = generator.uniform(1, 10, N_STARS)
    depth, pixels, signs = generator.normal(size=N_STARS), np.array([3, 8]), np.array([1.0, -1.0])
    scores = np.zeros((N_STARS, 30))
    scores[:, pixels] = signs * (depth * information**2)[:, None]
    channel = leakage.line_channel(
        dataclasses.replace(design, star_noise=information, line_scores=scores), pixels, signs
    )
    np.testing.assert_allclose(channel.values, 2 * depth)
    np.testing.assert_allclose(channel.noise, np.sqrt(2) / information)
    # A star whose spectrum tells nothing.
    blind = dataclasses.replace(design, star_noise=np.where(np.arange(N_STARS) == 0, 0.0, information))
    assert np.all(np.isfinite(leakage.line_channel(blind, pixels).values))


def test_the_square_of_a_channel_is_asked_only_beyond_its_noise_and_if_many_stars_carry_it(design):
    weight, errors = np.full(N_STARS, 1 / N_STARS), design.errors
    other = np.sqrt(np.random.default_rng(0).uniform(0.01, 0.1, N_STARS))
    few = np.sqrt(errors + 0.5 * (np.arange(N_STARS) < 5))
    asked = {
        name: leakage._regressors(design, leakage.Channel(errors, noise), weight)
        for name, noise in (("other", other), ("same", np.sqrt(errors)), ("few", few))
    }
    assert [len(regressors) for regressors in asked.values()] == [2, 1, 1]
    for regressor in asked["other"]:
        assert weight @ regressor == pytest.approx(0, abs=1e-12)
    assert weight @ (asked["other"][1] * other**2) == pytest.approx(0, abs=1e-12)


def test_what_channels_leave_is_nothing_if_they_say_all_as_their_noise_wants(design):
    noise = np.where(np.arange(N_STARS) % 2, 0.3, 0.8)
    for scatter, least in ((2.0, 0.0), (0.1, 1.0)):
        values = np.hypot(scatter, (scatter > 1) * noise) * normal(N_STARS)
        channel = leakage.Channel(values, noise)
        signal = channel.variance if scatter > 1 else np.median(noise**2)
        assert signal > 0
        told = 0.7 + 3 * values * signal / (signal + noise**2)
        np.testing.assert_allclose(leakage.left_by(design, told, [channel], least), 0, atol=1e-9)
    # What a channel knows nothing of is not regressed on it.
    assert channel.variance == 0
    assert np.std(leakage.left_by(design, told, [channel])) > 0.99 * np.std(told)


def test_a_channel_of_predictions_is_what_strong_features_say_about_its_mean():
    survey = linear_survey(n_stars=120, n_pixels=100, n_latents=2, n_labels=2)
    measured = measurements.measure(survey, "label_0", settings=AuditSettings(n_surrogates=2))
    shifted = dataclasses.replace(measured.observed, predicted=measured.observed.predicted + 3.0)
    channel = leakage.prediction_channel(dataclasses.replace(measured, observed=shifted))
    assert np.mean(channel.values) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.diff(channel.values), np.diff(measured.observed.predicted[:, 0]), atol=1e-12)
    assert not np.any(channel.noise)


@pytest.mark.parametrize(("kind", "number"), [("noise in errors", 0), ("noise", 1)])
def test_agreement_with_noise_grows_with_the_error_as_expected(design, kind, number):
    growths = [leakage.growth(design, *draw(design, kind, seed))[number] for seed in range(10)]
    observed, expected = np.array([(growth.observed, growth.expected) for growth in growths]).T
    assert np.all(observed > np.maximum(4, 0.6 * expected))
    assert np.mean(observed / expected) == pytest.approx(1, abs=0.3)


def test_agreement_with_the_label_does_not_grow(design):
    for number in (0, 1):
        growths = [leakage.growth(design, *draw(design, "label", seed))[number] for seed in range(40)]
        assert all(growth.expected > 6 for growth in growths)
        assert abs(np.mean([growth.observed for growth in growths])) < 0.6
        assert 0.7 < np.std([growth.observed for growth in growths]) < 1.3


def test_agreement_with_a_label_whose_own_scatter_grows_with_its_errors_is_no_leak(design):
    """As of a label with fractional errors, or of europium in stars poor in metals."""
    observed = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        own, noise = (design.errors * generator.normal(size=N_STARS) for _ in range(2))
        sizes = 0.3 * generator.uniform(0.5, 2, size=N_STARS)
        channel = leakage.Channel(own / design.errors.mean() + sizes * generator.normal(size=N_STARS), sizes)
        observed.append([growth.observed for growth in leakage.growth(design, channel, own + noise)])
        # So too where the other labels take up half the degrees of freedom.
        half = dataclasses.replace(design, others=np.broadcast_to(0.0, (N_STARS, N_STARS // 2)))
        growths = leakage.growth(half, channel, (own + noise) * np.sqrt(0.5))
        assert max(growth.observed for growth in growths) < 4
    assert np.all(np.abs(np.mean(observed, axis=0)) < 0.6)
    assert np.all(np.std(observed, axis=0) < 1.4)


@pytest.mark.parametrize("known", ["noise", "label"])
def test_a_leak_that_grows_more_than_the_labels_own_scatter_does_is_one(design, known):
    growths = []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        own = 0.7 * np.sqrt(design.errors) * generator.normal(size=N_STARS)
        noise, sizes = design.errors * generator.normal(size=N_STARS), 0.3 * generator.uniform(0.5, 2, size=N_STARS)
        values = {"noise": noise, "label": own}[known] / design.errors.mean()
        channel = leakage.Channel(values + sizes * generator.normal(size=N_STARS), sizes)
        growths.append(leakage.growth(design, channel, own + noise)[1])
    observed, expected = np.array([(growth.observed, growth.expected) for growth in growths]).T
    assert np.all(expected > 6)
    assert 0.6 < np.std(observed - (known == "noise") * expected) < 1.5
    assert np.mean(observed / expected) == pytest.approx(float(known == "noise"), abs=0.1)


def test_a_leak_is_seen_whether_the_label_has_hardly_any_scatter_of_its_own_or_none(design):
    for seed in range(10):
        generator = np.random.default_rng(seed)
        own, noise = (sizes * generator.normal(size=N_STARS) for sizes in (seed % 2 * 0.03, design.errors))
        sizes = 0.3 * generator.uniform(0.5, 2, size=N_STARS)
        channel = leakage.Channel(noise / design.errors + sizes * generator.normal(size=N_STARS), sizes)
        growth = leakage.growth(design, channel, own + noise)[0]
        assert growth.observed == pytest.approx(growth.expected, rel=0.15)


def test_lines_that_saturate_are_no_leak_where_the_labels_own_scatter_grows_with_its_errors(design):
    generator = np.random.default_rng(0)
    own, noise = (size * generator.normal(size=N_STARS) for size in (design.errors**2 / 0.1, design.errors))
    channel = leakage.Channel(np.tanh(own / 0.2) + 0.1 * generator.normal(size=N_STARS), np.full(N_STARS, 0.1))
    assert leakage.growth(design, channel, own + noise) == (leakage.Growth(0.0, 0.0), leakage.Growth(0.0, 0.0))


def test_stars_in_which_a_channel_is_nothing_but_noise_do_not_hide_a_leak(design):
    channel, residual = draw(design, "noise in errors", 0)
    blind = np.arange(N_STARS) % 2 == 0
    values = np.where(blind, 100 * np.random.default_rng(1).normal(size=N_STARS), channel.values)
    half = leakage.Channel(values, np.where(blind, 100.0, channel.noise))
    growth, of_half = (leakage.growth(design, each, residual)[0] for each in (channel, half))
    for number in ("observed", "expected"):
        assert getattr(of_half, number) == pytest.approx(np.sqrt(0.5) * getattr(growth, number), rel=0.25)


def test_noise_of_a_channel_that_is_misjudged_and_goes_with_the_errors_is_no_leak(design):
    for factor in (0.8, 1.25):
        observed = []
        for seed in range(20):
            generator = np.random.default_rng(seed)
            sizes = 1.0 * design.errors / design.errors.mean() * np.exp(0.1 * generator.normal(size=N_STARS))
            own, noise = 0.1 * generator.normal(size=N_STARS), design.errors * generator.normal(size=N_STARS)
            channel = leakage.Channel(own / 0.1 + factor * sizes * generator.normal(size=N_STARS), sizes)
            observed.append(strongest(design, channel, own + noise).observed)
        assert np.max(observed) < 3.5


def test_the_significance_of_a_slope_on_the_errors_of_few_stars_is_not_too_large():
    # Each star draws the slope to itself, and without its leverage the scatter would be 1.17.
    generator = np.random.default_rng(3)
    errors, weight = generator.gamma(4.0, size=60), np.full(60, 1 / 60)
    centered = (errors - errors.mean())[None]
    found = []
    for noise in np.random.default_rng(1).normal(size=(1200, 1, 60)):
        slopes, information, _ = leakage._slopes(centered, noise * errors, weight, AuditSettings().max_leverage)
        found.append(slopes[0] * np.sqrt(information[0, 0]))
    assert 1.0 < np.std(found) < 1.12


def test_a_slope_that_rests_on_few_stars_is_none(design):
    for few in (0, 1, 5):
        errors = np.full(N_STARS, 0.1)
        errors[:few] = 0.4
        alike = dataclasses.replace(design, errors=errors)
        channel, residual = draw(alike, "noise", 1)
        assert leakage.growth(alike, channel, residual) == (leakage.Growth(0.0, 0.0), leakage.Growth(0.0, 0.0))
    constant = leakage.Channel(np.zeros(N_STARS), np.zeros(N_STARS))
    assert leakage.growth(design, constant, residual)[0] == leakage.Growth(0.0, 0.0)
    with_noise = leakage.Channel(np.zeros(N_STARS), np.where(np.arange(N_STARS) == 0, 0.0, 0.3))
    assert leakage.growth(design, with_noise, residual)[0] == leakage.Growth(0.0, 0.0)


def test_a_channel_leaves_the_error_if_it_knows_the_label_and_less_if_it_knows_noise(design):
    left = {}
    for kind in ("label", "noise in errors"):
        channel, residual = draw(design, kind, 2, unseen=0.01)
        before, _ = leakage.unexplained(design, residual, [])
        left[kind], uncertainty = leakage.unexplained(design, residual, [channel])
        assert before > 1 + 5 * uncertainty
    assert left["label"] == pytest.approx(1, abs=5 * uncertainty)
    assert left["noise in errors"] < 1 - 5 * uncertainty


def test_places_elsewhere_keep_clear_of_own_lines_and_of_each_other():
    survey = linear_survey(n_stars=300, n_pixels=400, n_latents=3, n_labels=3)
    settings = AuditSettings(n_surrogates=20, max_places=4, min_separation=9)
    own_lines = [survey.wavelength[100]]
    measured = measurements.measure(survey, "label_0", own_lines, settings=settings)
    pixels, signs = leakage.places_elsewhere(with_chance(measured, 0.5))
    assert len(pixels) == 4
    assert not np.any(measured.design.near_own[pixels])
    assert np.all(np.diff(np.sort(pixels)) > 9)
    assert np.array_equal(signs, np.sign(measured.lines[pixels]))
    assert len(leakage.places_elsewhere(with_chance(measured, 1e9))[0]) == 1


def test_places_elsewhere_are_the_strongest_each_apart_from_the_stronger_ones():
    survey = linear_survey(n_stars=120, n_pixels=100, n_latents=2, n_labels=2)
    measured = measurements.measure(survey, "label_0", settings=AuditSettings(n_surrogates=2))
    lines = np.zeros(100)
    apart = measured.design.settings.min_separation
    lines[[50, 50 - apart, 50 + apart, 50 - apart - 1, 50 + apart + 1, 2, 10]] = 9, 8.5, -8, -7, 6, 5.5, 5
    measured = dataclasses.replace(measured, observed=dataclasses.replace(measured.observed, lines=lines[None]))
    pixels, signs = leakage.places_elsewhere(with_chance(measured, 4.0))
    assert pixels.tolist() == [50, 50 - apart - 1, 50 + apart + 1, 2, 10]
    assert signs.tolist() == [1, -1, 1, 1, 1]


def with_chance(measured, significance):
    """Return measurements whose surrogates all show lines of one significance."""
    lines = np.full((2, len(measured.lines)), significance)
    return dataclasses.replace(measured, surrogate=dataclasses.replace(measured.surrogate, lines=lines))


@pytest.mark.parametrize("sign", [-1, 1])
def test_where_errors_follow_the_label_growth_tells_nothing(design, sign):
    generator = np.random.default_rng(5)
    own = generator.normal(size=N_STARS)
    errors = 0.3 * np.exp(sign * 0.4 * own)
    residual = 0.3 * own + errors * generator.normal(size=N_STARS)
    # Of a line that saturates, or does not, the depth is a function of the label.
    channel = leakage.Channel(own + 0.2 * own**2 + 0.3 * generator.normal(size=N_STARS), np.full(N_STARS, 0.3))
    follow = dataclasses.replace(design, errors=errors)
    assert all(growth.expected == 0 for growth in leakage.growth(follow, channel, residual))
    # Errors of the same sizes that other stars have do tell.
    shuffled = dataclasses.replace(design, errors=generator.permutation(errors))
    apart = 0.3 * own + shuffled.errors * generator.normal(size=N_STARS)
    assert all(growth.expected > 0 for growth in leakage.growth(shuffled, channel, apart))
