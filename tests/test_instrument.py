"""The pixel grid, the chips and the line-spread function are the published ones."""

import numpy as np
import pytest

from lux.spectroscopy.instrument import (
    LINE_SIGMA_KMS,
    PIXEL_KMS,
    chip_of_pixel,
    chip_ranges,
    doppler_shift_pixels,
    nearest_pixel,
    on_chip,
    pixel_of,
    wavelength_grid,
)


def test_the_grid_is_the_published_one():
    grid = wavelength_grid()
    assert grid.shape == (8575,)
    assert grid[0] == pytest.approx(15100.802, abs=1e-3)
    np.testing.assert_allclose(np.diff(np.log10(grid)), 6e-6, rtol=1e-6)
    np.testing.assert_allclose(pixel_of(grid), np.arange(8575), atol=1e-6)
    assert pytest.approx(4.1418, abs=1e-3) == PIXEL_KMS


def test_chips_differ_between_releases_and_unknown_releases_are_refused():
    assert on_chip("dr10").sum() == 2920 + 2400 + 1894
    assert on_chip("dr17").sum() > on_chip("dr10").sum()
    assert chip_ranges("dr12") == chip_ranges("dr10")
    with pytest.raises(ValueError, match="dr99"):
        chip_ranges("dr99")


def test_the_line_spread_function_has_the_stated_resolution():
    assert LINE_SIGMA_KMS * 2.3548 == pytest.approx(299792.458 / 22_500.0, rel=1e-4)


def test_the_nearest_pixel_is_the_one_whose_wavelength_is_nearest():
    grid = wavelength_grid()
    places = np.array([15200.013, 16333.3, 16900.0])
    np.testing.assert_array_equal(nearest_pixel(places), np.abs(grid - places[:, None]).argmin(axis=1))
    assert nearest_pixel(grid[0] * 10**-6e-6) == -1


def test_every_pixel_on_a_detector_has_the_name_of_its_chip():
    names = chip_of_pixel("dr17")
    np.testing.assert_array_equal(names != "", on_chip("dr17"))
    for chip, (first, last) in chip_ranges("dr17").items():
        assert set(names[first:last]) == {chip}


def test_a_receding_star_moves_to_the_red_by_its_velocity_over_that_of_a_pixel():
    assert doppler_shift_pixels(PIXEL_KMS) == pytest.approx(1, rel=1e-5)
    assert doppler_shift_pixels(-PIXEL_KMS) == pytest.approx(-1, rel=1e-5)
