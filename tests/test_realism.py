"""The comparison of observed and synthetic spectra measures what it says."""

import numpy as np

from lux.simulation import realism
from lux.survey import Survey


def spectra(n_stars=6, n_pixels=3000, sigma=0.02, seed=0):
    rng = np.random.default_rng(seed)
    model = 1 - 0.3 * rng.random((n_stars, n_pixels)) ** 4
    return model, model + sigma * rng.standard_normal(model.shape), np.full(model.shape, sigma**-2)


def test_a_perfect_spectrum_reaches_the_ceiling_that_its_errors_set():
    model, observed, ivar = spectra()
    compared = realism.compare(observed, ivar, model)
    assert np.allclose(compared["correlation"], compared["ceiling"], atol=0.01)
    assert np.all(compared["ceiling"] < 0.99)


def test_masked_pixels_do_not_count():
    model, observed, ivar = spectra()
    spoilt = np.where(np.arange(observed.shape[1]) % 5 == 0, -50.0, observed)
    weight = np.where(np.arange(observed.shape[1]) % 5 == 0, 0.0, ivar)
    compared = realism.compare(spoilt, weight, model)
    assert np.all(compared["correlation"] > 0.9)
    assert np.allclose(compared["observed_depth"], compared["synthetic_depth"], atol=0.003)


def test_lines_of_half_the_strength_have_half_the_depth():
    model, _, ivar = spectra()
    summary = realism.summarize(realism.compare(model, ivar, 1 - 0.5 * (1 - model)))
    assert np.isclose(summary["depth_ratio_median"], 0.5)
    assert np.isclose(summary["correlation_median"], 1.0)


def test_whether_a_giant_calibrates_or_judges_hangs_on_its_name_alone():
    _, observed, ivar = spectra(n_stars=200, n_pixels=5)
    survey = Survey(
        wavelength=np.linspace(15200.0, 15201.0, 5),
        flux=observed,
        ivar=ivar,
        labels=np.full((200, 1), 4500.0),
        label_err=np.ones((200, 1)),
        label_names=("teff",),
        star_id=np.array([f"star-{n}" for n in range(200)]),
        catalogue={"snr": np.where(np.arange(200) < 180, 200.0, 100.0)},
    )
    giants, calibration = realism.select_giants(survey)
    _, of_a_part = realism.select_giants(survey[50:])
    assert giants.n_stars == 180
    assert 60 < calibration.sum() < 120
    assert np.array_equal(of_a_part, calibration[50:])


def test_the_error_of_a_median_is_that_of_repeated_samples():
    rng = np.random.default_rng(1)
    medians = np.median(rng.standard_normal((2000, 101)), axis=1)
    assert np.isclose(realism.median_error(rng.standard_normal(101)), medians.std(), rtol=0.35)


def test_stars_of_one_cluster_are_one_witness_of_a_median():
    rng = np.random.default_rng(1)
    values, clusters = np.repeat(rng.standard_normal(15), 8), np.repeat(np.arange(15), 8)
    medians = np.median(rng.standard_normal((2000, 15)), axis=1)
    assert np.isclose(realism.median_error(values, groups=clusters), medians.std(), rtol=0.5)
    assert realism.median_error(values) < 0.6 * realism.median_error(values, groups=clusters)
