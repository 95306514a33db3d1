import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut, PredefinedSplit, cross_val_predict
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from lux.statistics import (
    Estimate,
    PermutationTest,
    bootstrap,
    bootstrap_groups,
    bootstrap_rows,
    gumbel_by_moments,
    holm,
    left_out,
    out_of_fold,
    quadratic_terms,
    robust_std,
    standardize,
)


def made(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_intervals_overlap_where_they_share_a_value():
    assert Estimate(0, -1, 1).overlaps(Estimate(2, 1, 3))
    assert not Estimate(0, -1, 1).overlaps(Estimate(3, 2, 4))
    assert Estimate(0, -1, 3).uncertainty == 2


def test_an_interval_of_draws_holds_the_fraction_that_it_states():
    estimate = Estimate.from_draws(0.5, np.arange(101.0), level=0.9)
    assert (estimate.value, *estimate.interval) == (0.5, pytest.approx(5), pytest.approx(95))


def test_the_p_value_counts_the_observed_value_among_the_null():
    assert PermutationTest(2.0, np.array([0.0, 1.0, 2.0, 3.0])).p_value == pytest.approx(3 / 5)
    assert PermutationTest(9.0, np.zeros(99)).p_value == pytest.approx(1 / 100)
    assert PermutationTest(9.0, np.empty(0)).p_value == 1


def test_a_statistic_that_is_not_a_number_has_no_p_value():
    assert np.isnan(PermutationTest(np.nan, np.zeros(99)).p_value)


@pytest.mark.parametrize("count", [0, -2])
def test_a_bootstrap_without_draws_is_refused(count):
    with pytest.raises(ValueError, match=f"draws is {count}; expected 1 or more"):
        bootstrap(np.mean, made(9), n_draws=count)


def test_the_threshold_is_the_quantile_of_the_null():
    assert PermutationTest(0.0, np.arange(101.0)).threshold(0.05) == pytest.approx(95)


def test_holm_multiplies_the_smallest_by_all_tests_the_next_by_one_less_and_never_steps_back():
    np.testing.assert_allclose(holm(np.array([0.01, 0.5, 0.012, 0.9])), [0.04, 1.0, 0.04, 1.0])


def test_holm_calls_a_false_one_among_many_as_rarely_as_stated():
    p_values = np.random.default_rng(0).uniform(size=(4000, 12))
    assert np.mean([np.any(holm(row) < 0.05) for row in p_values]) == pytest.approx(0.05, abs=0.01)


def test_the_bootstrap_is_that_of_scipy():
    x, y = made(2, 80)

    def statistic(x, y, axis=-1):
        return np.mean(x * y, axis=axis) / np.std(x, axis=axis)

    ours = bootstrap(statistic, x, y, n_draws=300, level=0.9, seed=4)
    theirs = stats.bootstrap(
        (x, y),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=300,
        confidence_level=0.9,
        method="percentile",
        random_state=np.random.default_rng(4),
    )
    assert ours.value == pytest.approx(statistic(x, y))
    np.testing.assert_allclose(ours.interval, theirs.confidence_interval, rtol=1e-10)


def test_the_bootstrap_interval_of_a_mean_has_the_width_of_theory():
    found = bootstrap(lambda x: np.mean(x, axis=-1), made(400), n_draws=4000)
    assert found.uncertainty == pytest.approx(stats.norm.isf(0.16) / np.sqrt(400), rel=0.1)


def test_a_generator_goes_on_drawing():
    generator = np.random.default_rng(0)
    first, second = (bootstrap_rows(9, 5, generator) for _ in range(2))
    assert np.array_equal(first, bootstrap_rows(9, 5, 0))
    assert not np.array_equal(first, second)


def test_blocks_are_drawn_whole_and_what_is_over_is_left_out():
    rows = bootstrap_rows(11, 50, block=3)
    assert rows.shape == (50, 9)
    assert np.all(rows.reshape(50, 3, 3) % 3 == np.arange(3))
    assert bootstrap_rows(5, 50, block=3).shape == (50, 5)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_robust_scatter_is_that_of_scipy(axis):
    values = made(40, 30)
    values[::7, ::3] = np.nan
    expected = stats.median_abs_deviation(values, axis=axis, scale="normal", nan_policy="omit")
    np.testing.assert_allclose(robust_std(values, axis), expected, rtol=1e-12)


def test_the_robust_scatter_estimates_the_standard_deviation_about_any_center():
    values = 3 * made(20000)
    assert robust_std(values) == pytest.approx(3, rel=0.03)
    assert robust_std(values + 5) == pytest.approx(3, rel=0.03)
    assert robust_std(values, center=0.0) == pytest.approx(3, rel=0.03)
    assert robust_std(values + 5, center=5.0) == pytest.approx(robust_std(values, center=0.0))


def test_the_robust_scatter_of_nothing_is_not_a_number():
    assert np.isnan(robust_std(np.full((3, 1), np.nan), axis=0))[0]
    assert robust_std(np.ones((3, 2), np.float32), axis=0).dtype == np.float32


def test_standard_columns_are_those_of_scikit_learn():
    values = 7 + 3 * made(50, 4)
    values[:, 2] = 1.5
    np.testing.assert_allclose(standardize(values), StandardScaler().fit_transform(values), atol=1e-13)


def test_quadratic_terms_are_those_of_scikit_learn():
    values = 7 + 3 * made(50, 4)
    expected = PolynomialFeatures(2, include_bias=False).fit_transform(StandardScaler().fit_transform(values))
    np.testing.assert_allclose(quadratic_terms(values), expected, atol=1e-12)
    assert quadratic_terms(values[:, :0]).shape == (50, 0)


@pytest.mark.parametrize("shape", [(60,), (60, 3)])
def test_predictions_out_of_fold_are_those_of_scikit_learn(shape):
    design, targets, folds = made(60, 4), made(*shape, seed=1), np.arange(60) % 5
    expected = cross_val_predict(LinearRegression(fit_intercept=False), design, targets, cv=PredefinedSplit(folds))
    np.testing.assert_allclose(out_of_fold(design, targets, folds), expected, rtol=1e-9)


def test_a_design_short_of_rank_predicts_as_well_as_without_the_repeated_column():
    design, targets, folds = made(60, 4), made(60, seed=1), np.arange(60) % 5
    repeated = np.column_stack([design, design @ np.ones(4) * (1 + 1e-13)])
    expected = out_of_fold(design, targets, folds)
    np.testing.assert_allclose(out_of_fold(repeated, targets, folds, rank_tolerance=1e-9), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(60,), (60, 3)])
def test_predictions_of_stars_left_out_are_those_of_scikit_learn(shape):
    design, targets = made(60, 4), made(*shape, seed=1)
    expected = cross_val_predict(LinearRegression(fit_intercept=False), design, targets, cv=LeaveOneOut())
    np.testing.assert_allclose(left_out(design, targets), expected, rtol=1e-9)
    repeated = np.column_stack([design, design @ np.ones(4)])
    np.testing.assert_allclose(left_out(repeated, targets), expected, rtol=1e-9)
    np.testing.assert_allclose(left_out(np.zeros((60, 2)), targets), 0)


@pytest.mark.parametrize("shape", [(60,), (60, 3)])
def test_stars_without_a_target_are_predicted_from_all_others_and_teach_none(shape):
    design, targets, present = made(60, 4), made(*shape, seed=1), np.arange(60) % 7 > 0
    expected = np.empty_like(targets)
    expected[present] = left_out(design[present], targets[present])
    expected[~present] = design[~present] @ np.linalg.lstsq(design[present], targets[present])[0]
    for nothing in (np.nan, 1e6):
        given = np.where(present.reshape(-1, *[1] * (len(shape) - 1)), targets, nothing)
        np.testing.assert_allclose(left_out(design, given, present), expected, rtol=1e-9)


def test_a_star_that_alone_has_a_feature_is_predicted_without_it():
    design, targets = np.column_stack([np.ones(60), np.arange(60) == 5]), made(60, seed=1)
    predicted = left_out(design, targets)
    assert np.isfinite(predicted).all()
    assert abs(predicted[5]) < 1e-12
    # Between: as if the leverage were the largest that counts.
    design[:, 1] += 0.01 * made(60, seed=2)
    leverage = np.sum(np.linalg.qr(design)[0] ** 2, axis=1)[5]
    fitted = (design @ np.linalg.lstsq(design, targets)[0])[5]
    assert left_out(design, targets, max_leverage=0.5)[5] == pytest.approx((fitted - leverage * targets[5]) / 0.5)


def test_the_gumbel_distribution_of_some_values_has_their_mean_and_standard_deviation():
    values = np.random.default_rng(0).gumbel(3.0, 0.5, size=50)
    found = stats.gumbel_r(*gumbel_by_moments(values))
    np.testing.assert_allclose([found.mean(), found.std()], [values.mean(), values.std()], rtol=1e-12)


@pytest.mark.parametrize("shape", [(60,), (60, 3)])
@pytest.mark.parametrize("missing", [0, 20])
@pytest.mark.parametrize("n_more", [1, 5])
def test_predictions_without_some_more_stars_are_those_of_fits_without_all_of_them(shape, missing, n_more, monkeypatch):
    monkeypatch.setattr("lux.statistics._ROWS", 16)
    generator = np.random.default_rng(5)
    design, targets = generator.normal(size=(60, 4)), generator.normal(size=shape)
    present, also = np.arange(60) >= missing, (np.arange(60)[:, None] + 7 * np.arange(1, n_more + 1)) % 60
    also[generator.random(also.shape) < 0.3] = -1
    also[:3] = -1
    predicted = left_out(design, targets, present, also=also)
    for star in range(60):
        taught = present & (np.arange(60) != star) & ~np.isin(np.arange(60), also[star])
        expected = design[star] @ np.linalg.lstsq(design[taught], targets[taught])[0]
        np.testing.assert_allclose(predicted[star], expected, rtol=1e-8, atol=1e-10)


def test_stars_left_out_that_alone_have_a_feature_predict_nothing_wild():
    generator = np.random.default_rng(6)
    design, targets = generator.normal(size=(60, 4)), generator.normal(size=60)
    design[:, 3] = 0
    also = np.full((60, 2), -1)
    also[:3] = [[1, 2], [0, 2], [0, 1]]
    without = left_out(design[:, :3], targets, also=also)
    for n_having in (1, 2, 3):
        design[:n_having, 3] = 1
        found = left_out(design, targets, also=also)
        np.testing.assert_allclose(found[:n_having], 0, atol=2)
        np.testing.assert_allclose(found[3:], without[3:], atol=0.5)


def test_whole_groups_are_drawn_and_their_scatter_is_that_of_their_means():
    groups = np.repeat(["a", "b", "c", "d"], [5, 1, 3, 2])
    drawn = bootstrap_groups(groups, 300, seed=1)
    for rows in drawn:
        counts = np.bincount(rows, minlength=11)
        assert all(len(set(counts[groups == name])) == 1 for name in "abcd"), "a group comes as a whole"
    generator = np.random.default_rng(0)
    names, of_group = np.repeat(np.arange(60), 10), np.repeat(generator.normal(size=60), 10)
    scatter = np.std([of_group[rows].mean() for rows in bootstrap_groups(names, 2000)])
    assert scatter == pytest.approx(of_group.std() / np.sqrt(60), rel=0.1)
    with pytest.raises(ValueError, match="the number of bootstrap draws"):
        bootstrap_groups(names, 0)
