"""Weak lines are found without bias, and what is found by chance is called chance as often as it should be."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from lux.spectroscopy import line_detection
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.statistics import PermutationTest

CHIPS = wavelength_grid()[on_chip()]
WAVELENGTH = CHIPS[:600]


def correlated_noise(n_rows, n_pixels, generator, sigma=0.01):
    """Return noise with the autocorrelation 0.6**lag."""
    noise = generator.normal(size=(n_rows, n_pixels))
    for column in range(1, n_pixels):
        noise[:, column] = 0.6 * noise[:, column - 1] + 0.8 * noise[:, column]
    return (sigma * noise).astype(np.float32)


def line(wavelength, column, depth):
    offset = line_detection.pixel_index(wavelength) - line_detection.pixel_index(wavelength)[column]
    return -depth * np.exp(-0.5 * (offset / line_detection.line_sigma(wavelength)) ** 2)


def test_an_unresolved_line_has_the_equivalent_width_of_its_profile():
    depth, column = 0.1, 300
    step = np.gradient(WAVELENGTH)
    integral = 1e3 * np.sum(-line(WAVELENGTH, column, depth) * step)
    assert line_detection.equivalent_width(depth, WAVELENGTH[column]) == pytest.approx(integral, rel=1e-3)


@pytest.mark.parametrize("masked", [0.0, 0.1])
@pytest.mark.parametrize("correlated", [False, True])
def test_the_matched_filter_is_unbiased_for_the_injected_depth(masked, correlated):
    generator = np.random.default_rng(1)
    residual = correlated_noise(3000, 600, generator) + 0.02 + line(WAVELENGTH, 300, 0.03)
    weight = (generator.uniform(0.5, 2, residual.shape) / 0.01**2).astype(np.float32)
    weight[generator.random(residual.shape) < masked] = 0
    correlation = 0.6 ** np.arange(25) if correlated else None
    found = line_detection.matched_filter(residual, weight, WAVELENGTH, correlation)
    measured = found.information[:, 300] > 0
    depth = found.depth[measured, 300]
    assert measured.mean() > 0.5
    assert abs(depth.mean() - 0.03) < 3 * depth.std() / np.sqrt(len(depth))
    elsewhere = found.depth[:, 100][found.information[:, 100] > 0]
    assert abs(elsewhere.mean()) < 3 * elsewhere.std() / np.sqrt(len(elsewhere))


def test_without_noise_the_depth_is_exact_whatever_the_mask():
    generator = np.random.default_rng(2)
    residual = np.tile(0.3 + line(WAVELENGTH, 300, 0.05), (50, 1))
    weight = np.where(generator.random(residual.shape) < 0.15, 0, generator.uniform(1, 9, residual.shape))
    found = line_detection.matched_filter(residual, weight, WAVELENGTH, 0.6 ** np.arange(25))
    depth = found.depth[:, 300][found.information[:, 300] > 0]
    assert len(depth) > 20
    np.testing.assert_allclose(depth, 0.05, atol=1e-4)


def test_knowing_the_correlation_sharpens_the_filter_as_gauss_and_markov_say():
    generator = np.random.default_rng(3)
    residual = correlated_noise(2000, 600, generator)
    weight = np.full(residual.shape, 1e4, np.float32)
    white = line_detection.matched_filter(residual, weight, WAVELENGTH).depth[:, 300].std()
    correlation = line_detection.autocorrelation(residual, weight, WAVELENGTH)
    np.testing.assert_allclose(correlation[:5], 0.6 ** np.arange(5), atol=0.02)
    filtered = line_detection.matched_filter(residual, weight, WAVELENGTH, correlation)
    assert filtered.depth[:, 300].std() < white
    assert filtered.depth[:, 300].std() == pytest.approx(filtered.information[0, 300] ** -0.5, rel=0.05)


def test_a_line_is_not_sought_across_a_gap_between_chips():
    index = line_detection.pixel_index(CHIPS)
    gaps = np.flatnonzero(np.diff(index) > 1)
    assert len(gaps) == 2
    residual = np.zeros((1, len(CHIPS)), np.float32)
    residual[0, gaps[0]] = -1
    found = line_detection.matched_filter(residual, np.ones_like(residual), CHIPS)
    assert not np.any(found.depth[0, gaps[0] + 1 :])


def test_permutation_p_values_are_uniform_under_the_null():
    generator = np.random.default_rng(4)
    p_values = []
    for draw in range(240):
        # Neither Gaussian nor of one width, and correlated along the spectrum: only the symmetry is used.
        terms = correlated_noise(60, 40, generator) * generator.exponential(size=(60, 1))
        p_values.append(line_detection.sign_flip_test(terms, n_flips=199, seed=draw).largest.p_value)
    assert kstest(p_values, "uniform").pvalue > 0.05
    assert 0.01 < np.mean(np.array(p_values) <= 0.05) < 0.10


def test_each_pixel_of_a_sum_of_many_terms_is_standard_normal_under_the_null():
    terms = np.random.default_rng(5).normal(size=(400, 2000)) * np.linspace(0.5, 2, 400)[:, None]
    assert kstest(line_detection.sign_flip_test(terms, n_flips=10).z, norm.cdf).pvalue > 0.05


def test_the_p_value_counts_the_observed_value_and_the_threshold_is_a_quantile():
    test = PermutationTest(3.0, np.arange(99.0))
    assert test.p_value == pytest.approx((1 + 96) / 100)
    assert test.threshold(0.05) == pytest.approx(np.quantile(np.arange(99.0), 0.95))
    assert PermutationTest(1e9, np.zeros(99)).p_value == pytest.approx(0.01)


def test_pixels_without_data_have_no_significance():
    terms = np.random.default_rng(6).normal(size=(30, 5))
    terms[:, 2] = 0
    result = line_detection.sign_flip_test(terms, n_flips=50)
    assert result.z[2] == 0
    assert np.isfinite(result.largest.statistic)


def test_the_kernel_of_a_line_is_its_profile_in_white_noise_and_undoes_a_correlation():
    profile = line_detection.line_kernel(WAVELENGTH)
    assert profile.max() == profile[len(profile) // 2] == 1
    correlation = 0.6 ** np.arange(30)
    kernel = line_detection.line_kernel(WAVELENGTH, correlation)
    matrix = correlation[np.abs(np.subtract.outer(*2 * [np.arange(len(profile))]))]
    np.testing.assert_allclose(matrix @ kernel, profile, atol=1e-10)
