"""What is measured of the flux is standard normal by chance, and each null is made as it says."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey, survey_with_own_part

from lux.auditing import AuditSettings, measurements


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=300, n_pixels=600, n_latents=3, n_labels=3)


@pytest.fixture(scope="module")
def measured(survey):
    settings = AuditSettings(n_surrogates=50, n_moved_lists=300)
    return measurements.measure(survey, "label_0", [15120.0, 15150.0], settings=settings)


def nuisances(weighted, **settings):
    """Return the nuisances (N, H) of weighted deviations (N, D)."""
    settings = AuditSettings(**settings)
    return measurements._nuisances(measurements._components(weighted, settings), settings)


def test_own_line_significance_is_standard_normal_without_a_line():
    values = []
    generator = np.random.default_rng(0)
    for seed in range(8):
        survey = linear_survey(n_stars=300, n_pixels=600, n_latents=3, n_labels=3, seed=seed)
        for _ in range(4):
            own_lines = 15100 + generator.uniform(5, 115, size=2)
            measured = measurements.measure(survey, "label_0", own_lines, settings=AuditSettings(n_surrogates=2))
            values.append(measured.lines[measured.design.own_pixels].sum() / np.sqrt(2))
    assert abs(np.mean(values)) < 0.5
    assert 0.7 < np.std(values) < 1.4


@pytest.mark.parametrize("n_stars", [300, 1200])
def test_what_is_measured_depends_on_no_order_of_the_stars_and_on_no_chance(n_stars):
    survey = linear_survey(n_stars=n_stars, n_pixels=600, n_latents=3, n_labels=3)
    settings = AuditSettings(n_surrogates=50, n_moved_lists=300)
    order = np.random.default_rng(1).permutation(n_stars)
    one, other = (
        measurements.measure(stars, "label_0", [15120.0, 15150.0], seed, settings=settings)
        for seed, stars in enumerate((survey, survey[order]))
    )
    for name in ("residual", "predicted"):
        expected = getattr(one.observed, name)[order]
        np.testing.assert_allclose(getattr(other.observed, name), expected, atol=1e-3 * expected.std())
    np.testing.assert_allclose(other.lines, one.lines, atol=2e-3)
    assert np.any(other.surrogate.strong != one.surrogate.strong)


@pytest.mark.parametrize("n_stars", [300, 1500])
def test_the_components_of_the_flux_are_those_of_an_exact_decomposition(n_stars):
    survey = linear_survey(n_stars=n_stars, n_pixels=600, n_latents=3, n_labels=3)
    _, weight_sum, deviation = measurements.deviations(survey)
    weighted = (deviation * np.sqrt(weight_sum / n_stars)).astype(np.float32)
    basis = nuisances(weighted)
    exact = np.linalg.svd(weighted.astype(float), full_matrices=False)[0][:, :30]
    assert np.linalg.norm(basis.T @ exact, axis=0).min() > 0.9999


def test_flux_of_few_components_or_pixels_has_no_more_of_them_and_the_same_each_time():
    generator = np.random.default_rng(0)
    one, few = (generator.normal(size=(300, rank)) @ generator.normal(size=(rank, 400)) for rank in (1, 5))
    opposite = np.where(np.arange(300) % 2, 1, -1)[:, None] * generator.normal(size=400)
    # A constant, the components, squares of them and products of two.
    for flux, expected in (
        (one, 3), (few, 21), (0 * one, 1), (one[:, :9], 1), (one[:, :12], 3), (few[:, :60], 21),
    ):  # fmt: skip
        weighted = flux.astype(np.float32)
        basis = nuisances(weighted)
        assert np.linalg.matrix_rank(basis) == basis.shape[1] == expected
        np.testing.assert_array_equal(nuisances(weighted), basis)
    # Of two opposite spectra the search would begin with nothing.
    assert measurements._components(opposite.astype(np.float32), AuditSettings()).shape == (300, 1)


@pytest.mark.parametrize("n_stars", [150, 500])
def test_the_significance_of_a_share_is_that_of_a_feature_which_has_it(n_stars):
    found, expected = [], []
    for seed in range(8):
        survey, _ = survey_with_own_part(seed, n_stars=n_stars)
        measured = measurements.measure(survey, "label_0", seed=seed, settings=AuditSettings(n_surrogates=30))
        basis, noise = measured.design.basis, np.random.default_rng(seed).normal(size=(2, n_stars))
        told = measurements.partial_out(basis[:, 1:16] @ noise[0, :15], measured.design.others)
        rest = measurements.partial_out(noise[1], measured.design.others)
        label = np.sqrt(0.4) * told / told.std() + np.sqrt(0.6) * rest / rest.std()
        found.append(measurements._read(measured.design, label[:, None]).strong[0])
        expected.append(measurements.significance_of_share(measured, 0.4))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.15)


def test_surrogates_follow_the_other_labels_and_keep_the_size_of_each_star(measured):
    design = measured.design
    values = measurements._surrogates(design, 1)
    assert values.shape == (300, 50)
    followed = design.labels - measurements.partial_out(design.labels, design.others)
    sizes = np.abs(values - followed[:, None])
    np.testing.assert_allclose(sizes, sizes[:, :1] * np.ones(50))
    assert abs(np.mean(np.sign(values - followed[:, None]))) < 0.05


def test_moved_lists_keep_their_distances_and_clear_the_own_lines(measured):
    assert measured.moved.shape == (300, 2)
    assert not np.any(measured.design.near_own[measured.moved])
    distance = np.diff(measured.design.own_pixels)
    assert np.all(np.diff(measured.moved, axis=1) % 600 == distance % 600)


def test_lines_elsewhere_leave_out_the_own_ones(measured):
    near = measured.design.near_own
    assert not np.any(measured.lines_elsewhere[near])
    np.testing.assert_array_equal(measured.lines_elsewhere[~near], measured.lines[~near])
    np.testing.assert_array_equal(measured.largest_by_chance, np.abs(measured.surrogate.lines[:, ~near]).max(axis=1))


def test_own_lines_that_leave_no_pixels_beside_them_are_refused():
    wavelength = 15200 * np.exp(np.arange(800) / 67500)
    assert measurements.locate(wavelength, wavelength[20::40])[1].any()
    with pytest.raises(ValueError, match=r"the 100 own lines leave 0% of the pixels.*the strongest ones alone"):
        measurements.locate(wavelength, wavelength[4::8])


def test_own_variance_is_what_the_errors_leave(measured):
    design = measured.design
    residual = np.random.default_rng(0).normal(size=300)
    expected = np.var(residual) / (1 - design.others.shape[1] / 300) - np.mean(design.errors**2)
    assert measurements.own_variance(design, residual) == pytest.approx(expected)
    doubled = dataclasses.replace(design, errors=2 * design.errors)
    assert measurements.own_variance(doubled, residual) < measurements.own_variance(design, residual)


def test_lines_off_the_grid_are_refused():
    wavelength = np.concatenate([15100 + 0.2 * np.arange(100), 15200 + 0.2 * np.arange(100)])
    pixels, near = measurements.locate(wavelength, [15110.0])
    assert wavelength[pixels[0]] == pytest.approx(15110.0)
    assert near.sum() == np.sum(np.abs(wavelength - 15110.0) < 4.5 * 15110.0 / measurements.RESOLUTION)
    measurements.locate(wavelength, [15120.3])
    for line in (14000.0, 15121.0, 15160.0):
        with pytest.raises(ValueError, match=f"own line {line:.2f} A is not on the survey's grid"):
            measurements.locate(wavelength, [line])


def test_the_resolution_is_that_of_the_instrument_or_what_its_pixels_sample():
    apogee = 10 ** (4.179 + 6e-6 * np.arange(8575))
    assert measurements.sampled_resolution(apogee) == measurements.RESOLUTION
    coarse = np.arange(4000.0, 9000.0, 1.5)
    assert measurements.sampled_resolution(coarse) == pytest.approx(np.median(coarse) / 3, rel=1e-3)
    measurements.locate(coarse, (6646.9,), measurements.sampled_resolution(coarse))


def test_more_stars_have_more_nuisances_and_few_as_many_as_are_set():
    weighted = np.random.default_rng(2).normal(size=(1600, 400)).astype(np.float32)

    def count(**settings):
        return nuisances(weighted, n_components=10, n_squared=2, **settings).shape[1]

    # A constant, ten components, and three squares and products of two of them.
    assert count() == count(stars_of_components=1600) == 14
    # Of four times as many stars, twenty components, and ten squares and products of four.
    assert count(stars_of_components=400) == 31


def test_components_of_one_line_count_as_one(survey, measured):
    settings = measured.design.settings
    split = measurements.measure(survey, "label_0", [15119.96, 15120.0, 15120.04, 15150.0], settings=settings)
    np.testing.assert_array_equal(split.design.own_pixels, measured.design.own_pixels)
    np.testing.assert_array_equal(split.lines, measured.lines)


def test_pixels_that_are_masked_rather_where_the_label_is_large_are_found_and_others_are_not(survey):
    ivar = np.array(survey.ivar)
    settings = AuditSettings(n_surrogates=2, n_moved_lists=300)
    plain = measurements.measure(survey, "label_0", [15120.0], settings=settings)
    assert not measurements.masks_that_follow(survey, plain).any()
    large = plain.residual > np.median(plain.residual)
    near = int(plain.design.own_pixels[0])
    ivar[large, 400:410], ivar[::2, 300:310], ivar[large, near], ivar[np.flatnonzero(large)[:9], 500] = 0, 0, 0, 0
    masked = survey.replace(ivar=ivar)
    measured = measurements.measure(masked, "label_0", [15120.0], settings=settings)
    found = measurements.masks_that_follow(masked, measured)
    assert set(np.flatnonzero(found)) == set(range(400, 410))
