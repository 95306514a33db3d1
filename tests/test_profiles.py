"""Planted profiles are those of the instrument, at rest or where a Doppler shift puts them."""

import numpy as np

from lux.spectroscopy.instrument import PIXEL_KMS, pixel_of, wavelength_grid
from lux.spectroscopy.profiles import PROFILE_REACH, add_at_observed, pixels_near, profile_of_line, rest_pixel

PIXELS = np.arange(3000, 3200)


def test_a_line_has_the_width_of_the_instrument_and_ends_at_the_reach():
    near, profile = profile_of_line(wavelength_grid()[3100], PIXELS)
    assert list(PIXELS[near]) == list(range(3100 - PROFILE_REACH, 3101 + PROFILE_REACH))
    assert profile.max() == profile[PROFILE_REACH] == 1
    fwhm = np.sum(profile) * PIXEL_KMS / np.sqrt(np.pi / 4 / np.log(2))
    np.testing.assert_allclose(fwhm, 299792.458 / 22_500, rtol=1e-6)
    assert profile[0] < 1e-5


def test_a_line_at_the_edge_keeps_what_lies_on_the_pixels():
    near, profile = profile_of_line(wavelength_grid()[2998], PIXELS)
    assert list(near) == list(range(PROFILE_REACH - 1))
    assert np.all(np.diff(profile) < 0)


def test_light_of_one_observed_wavelength_falls_on_bluer_rest_pixels_of_receding_stars():
    velocity = np.array([-30.0, 0.0, 30.0])
    places = rest_pixel([15450.0], velocity)[:, 0]
    assert places[1] == pixel_of(15450.0)
    np.testing.assert_allclose(places[1] - places, velocity / PIXEL_KMS, rtol=1e-3)


def test_what_is_added_in_the_observed_frame_lies_within_the_reach_of_each_star():
    velocity = np.array([-100.0, 0.0, 100.0])
    line = wavelength_grid()[[3100]]
    flux = np.zeros((3, len(PIXELS)), np.float32)
    add_at_observed(flux, PIXELS, line, velocity, np.array([[0.1], [0.2], [0.0]]))
    near = pixels_near(rest_pixel(line, velocity), PIXELS, PROFILE_REACH)
    assert np.all(flux[~near] == 0)
    np.testing.assert_array_equal(near.sum(axis=1), 2 * PROFILE_REACH + 1)
    assert flux[1].max() == np.float32(0.2)
    assert not flux[2].any()
