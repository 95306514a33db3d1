"""What heavy lines tell of europium: the bound is reached, and tests and models need as many stars as derived."""

import numpy as np
import pytest
from scipy.stats import norm

from lux.simulation import neighbors
from lux.simulation.cramer_rao import star_bound
from lux.simulation.heavy_species import natural_depths
from lux.simulation.neighbors import Readings
from lux.simulation.observation import RESIDUAL_KERNELS, Observation, noise_profile
from lux.simulation.population import draw_stars
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World

TAU, ERROR = 0.06, 0.08


def readings(errors, n_stars=3):
    covariance = np.tile(np.diag(np.square(errors)), (n_stars, 1, 1))
    return Readings(np.array(["Ce II", "Ce II", "Yb II"]), np.array([1.0, 2.0, 3.0]), covariance)


def test_perfect_spectra_leave_what_the_elements_do_apart_from_europium():
    perfect = readings([1e-6, 1e-6, 1e-6])
    expected = (0.19**2 / 0.10**2 + 0.68**2 / 0.08**2) ** -0.5
    np.testing.assert_allclose(perfect.bound(), expected, rtol=1e-6)
    assert np.all(perfect.bound(scatter=False) < 1e-5)


def test_one_line_alone_knows_what_its_error_and_its_element_allow():
    ytterbium = readings([0.1, 0.2, 0.3])[np.array([2])]
    np.testing.assert_allclose(ytterbium.bound(), np.hypot(0.3, 0.08) / 0.68)
    np.testing.assert_allclose(ytterbium.bound(scatter=False), 0.3 / 0.68)


@pytest.fixture(scope="module")
def sample():
    """Europium's own scatter of many stars and what three lines read, drawn as the derivation says."""
    rng, lines = np.random.default_rng(0), readings([0.1, 0.2, 0.3], 1)
    own = TAU * rng.standard_normal(400_000)
    elements = rng.standard_normal((len(own), 2)) * [0.10, 0.08]
    read = own[:, None] * lines.fraction + elements[:, [0, 0, 1]] + rng.standard_normal((len(own), 3)) * [0.1, 0.2, 0.3]
    weights = np.linalg.solve(lines.covariance[0] + lines.own_scatter, lines.fraction)
    return lines, own, read @ weights / (lines.fraction @ weights)


def test_the_best_estimate_of_one_star_scatters_by_the_bound(sample):
    lines, own, estimate = sample
    assert np.std(estimate - own) == pytest.approx(lines.bound()[0], rel=0.01)
    assert np.polyfit(estimate, own, 1)[0] == pytest.approx(lines.share(TAU)[0], rel=0.02)
    assert np.corrcoef(estimate, own)[0, 1] ** 2 == pytest.approx(lines.share(TAU)[0], rel=0.02)


def test_a_test_with_as_many_stars_as_derived_has_its_power(sample):
    lines, own, estimate = sample
    agreement = lines.agreement(TAU, [ERROR])
    label = own + ERROR * np.random.default_rng(1).standard_normal(len(own))
    assert np.corrcoef(estimate, label)[0, 1] ** 2 == pytest.approx(agreement, rel=0.1)
    n_stars = round(neighbors.stars_to_find(agreement, norm.isf(0.05), power=0.8))
    surveys = len(own) // n_stars
    product = (estimate / estimate.std() * label / label.std())[: surveys * n_stars].reshape(surveys, n_stars)
    power = np.mean(product.mean(axis=1) * np.sqrt(n_stars) > norm.isf(0.05))
    assert surveys > 200
    assert power == pytest.approx(0.8, abs=0.08)


def test_a_model_that_must_learn_where_to_look_follows_as_derived():
    rng = np.random.default_rng(2)
    n_stars, n_features, share, error = 1000, 100, 0.3, 1.0
    agreement = share / (1 + error**2)
    slopes = []
    for _ in range(20):
        direction = np.sqrt(share / n_features) * rng.choice([-1, 1], n_features)
        features = rng.standard_normal((3 * n_stars, n_features))
        own = features @ direction + np.sqrt(1 - share) * rng.standard_normal(len(features))
        label = (own + error * rng.standard_normal(len(own)))[:n_stars]
        learned = features[:n_stars].T @ label / n_stars * agreement / (agreement + n_features / n_stars)
        slopes.append(np.polyfit(own[n_stars:], features[n_stars:] @ learned, 1)[0])
    expected = neighbors.learned_slope(n_stars, n_features, share, agreement)
    assert np.mean(slopes) == pytest.approx(expected, rel=0.05)
    assert neighbors.learned_slope(n_features / agreement, n_features, share, agreement) == pytest.approx(share / 2)


def test_the_banded_covariance_of_the_noise_is_that_of_the_survey():
    pixels = np.r_[400:470, 900:930]
    bands = neighbors._noise(pixels, 150.0, Observation())
    lag = pixels[:, None] - pixels
    dense = 0.005**2 * sum(weight * np.exp(-(lag**2) / (4 * width**2)) for weight, width in RESIDUAL_KERNELS)
    dense += np.diag((noise_profile()[pixels] / 150.0) ** 2)
    for row in range(neighbors._REACH):
        np.testing.assert_allclose(bands[row, : len(pixels) - row], np.diagonal(dense, row), atol=1e-9)


def test_a_line_reads_its_element_about_as_well_as_the_bound_of_a_planted_line_of_its_strength():
    stars = draw_stars(6, 1, r_enhanced_fraction=0.0)
    lines = neighbors.read_lines(stars, np.full(6, 167.0), Observation())
    error = np.median(np.sqrt(np.einsum("nll->nl", lines.covariance)), axis=0)
    planted = make_survey(6, 1, World("signal", depth=0.003, wavelengths=[16502.907]), snr_scatter=0.0, bad_columns=0)
    strength, depth = planted.truth.world["strength"], natural_depths("Yb II")[0]
    # The error is inverse to the depth, the planted line's being that at mean europium.
    expected = np.median(star_bound(planted)) * strength / depth
    assert error[lines.species == "Yb II"] == pytest.approx(expected, rel=0.35)
    assert error.argmin() == np.flatnonzero(np.isclose(lines.wavelength, 16380.944, atol=0.01))
