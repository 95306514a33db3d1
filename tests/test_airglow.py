"""The night sky stands still in the observer's frame, and the error spectrum says how fast that frame moves."""

import numpy as np
import pytest

from lux.spectroscopy import airglow
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS


@pytest.fixture(scope="module")
def survey(shortcut):
    return shortcut[:100]


def test_the_error_spectrum_gives_the_velocity_towards_the_telescope(survey):
    found = airglow.observed_velocity(survey)
    truth = survey.truth.columns["observed_velocity"]
    assert np.median(np.abs(found - truth)) < 0.2
    assert np.max(np.abs(found - truth)) < 1
    assert np.std(survey.catalogue["radial_velocity"] - truth) > 10


def test_rounding_does_not_choose_the_velocity(survey):
    found = airglow.observed_velocity(survey)
    moved = airglow.observed_velocity(survey.replace(ivar=survey.ivar * np.float32(1 + 1e-6)))
    assert np.max(np.abs(moved - found)) < 1e-3


def test_errors_that_do_not_know_the_sky_leave_the_velocity_of_the_catalogue(survey):
    flat = survey.replace(ivar=np.full_like(survey.ivar, 1e4))
    np.testing.assert_allclose(airglow.observed_velocity(flat), survey.catalogue["radial_velocity"])


def test_airglow_moves_in_the_rest_frame_by_the_velocity_of_the_star(survey):
    velocity = np.array([-50.0, 0.0, 50.0])
    places = airglow.rest_wavelengths(velocity)
    np.testing.assert_allclose(places[0] - places[1], places[1] * 50 / SPEED_OF_LIGHT_KMS, rtol=1e-3)
    near = airglow.near_airglow(survey.wavelength, velocity)
    for star in range(3):
        distance = np.abs(survey.wavelength[:, None] / places[star] - 1).min(axis=1) * SPEED_OF_LIGHT_KMS
        np.testing.assert_array_equal(near[star], distance <= airglow.REACH)


def test_airglow_cannot_be_placed_without_velocities(survey):
    with pytest.raises(ValueError, match="radial_velocity"):
        airglow.observed_velocity(survey.replace(catalogue={}))


def test_values_between_pixels_are_those_of_numpy_also_beyond_the_ends():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 40)).astype(np.float32)
    places = np.concatenate([rng.uniform(-5, 45, size=200), np.arange(40), [-1e9, 1e9]]).reshape(11, -1)
    places = places + np.array([0, 0.3, -2])[:, None, None]
    expected = [np.interp(each, np.arange(40), star) for each, star in zip(places, values, strict=True)]
    np.testing.assert_allclose(airglow._between_pixels(values, places), expected, rtol=1e-14, atol=1e-15)
