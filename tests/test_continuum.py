"""A user's function gives the continuum of a spectrum, or why what it gave is none is said."""

import numpy as np
import pytest
from astropy import units as u
from astropy.utils.masked import Masked
from small_spectra import GRID, HIDDEN, bare, made, spectrum, spectrum_in

TURNED = slice(None, None, -1)


def test_a_function_gives_the_continuum_and_a_masked_pixel_does_not_move_it():
    level = 300 * (1 + (GRID - GRID[0]) / 100)
    mask, seen = np.arange(len(GRID)) == 7, []

    def continuum(wavelength, flux, ivar):
        seen.append(flux[7])
        return np.polyval(np.polyfit(wavelength - GRID[0], flux, 1, w=ivar), wavelength - GRID[0])

    flux = level * np.where(mask, 1e5, 1)
    survey = made([spectrum(GRID, flux, 0.01 * level, mask)], continuum=continuum)
    np.testing.assert_allclose(survey.flux[0][~mask], 1, atol=1e-3)
    np.testing.assert_allclose(survey.ivar[0], np.where(mask, 0, 1e4), rtol=1e-2)
    assert seen[0] < 500
    assert made([spectrum()], continuum=lambda *_: np.where(mask, -1, 2.0)).ivar[0, 7] == 0


def test_a_continuum_gets_ascending_wavelengths_in_whatever_order_they_come():
    seen = []

    def continuum(wavelength, flux, ivar):
        seen.append(wavelength)
        return wavelength / 15200

    level = GRID / 15200
    first, second = (made([spectrum(GRID[way], level[way])], continuum=continuum) for way in (slice(None), TURNED))
    assert np.all(np.diff(seen) > 0)
    np.testing.assert_array_equal(first.flux, second.flux)
    np.testing.assert_allclose(first.flux, 1, rtol=1e-6)


def test_a_continuum_that_works_in_place_changes_nothing_but_its_copies():
    def careless(wavelength, flux, ivar):
        wavelength -= wavelength.mean()
        ivar[flux < 1] = 0
        flux[:] = 0
        return np.full(60, 2.0)

    one = spectrum(flux=2 * np.random.default_rng(0).normal(1, 0.1, 60))
    survey, expected = (made([one], continuum=each) for each in (careless, lambda *_: np.full(60, 2.0)))
    for name in ("wavelength", "flux", "ivar"):
        np.testing.assert_array_equal(getattr(survey, name), getattr(expected, name))
    np.testing.assert_array_equal(one.spectral_axis.value, GRID)


@pytest.mark.parametrize("unit", [u.Jy, u.mJy, u.one])
def test_a_continuum_is_taken_in_the_unit_that_it_is_returned_in(unit):
    flux = np.full(60, 2000.0) * u.mJy
    survey = made([bare(flux=flux)], continuum=lambda *_: (2000 * u.mJy).to(unit) if unit != u.one else 2000 * unit)
    np.testing.assert_allclose(survey.flux, 1)


def test_pixels_at_which_a_continuum_is_masked_are_masked():
    for level in (np.ma.masked_array(np.ones(60), HIDDEN), Masked(np.ones(60), mask=HIDDEN)):
        survey = made([bare()], continuum=lambda *_, level=level: level)
        np.testing.assert_array_equal(survey.ivar[0] > 0, ~HIDDEN)


WRONG = {
    "an array for a continuum": (
        [spectrum()],
        {"continuum": np.ones(60)},
        "continuum is of the type ndarray: give a fu",
    ),
    "a continuum of None": (
        [spectrum()],
        {"continuum": lambda *_: None},
        "continuum of spectrum 0 .* type NoneType, wh",
    ),
    "a continuum of text": ([spectrum()], {"continuum": lambda *_: "1a"}, "continuum of spectrum 0 .* type str, which"),
    "a continuum of zero": (
        [spectrum(flux=np.ones((2, 60)))],
        {"continuum": lambda *_: 0},
        r"continuum= gave nothing above zero for the good pixels of spectrum 0 \(row 0\), but values such as 0: give",
    ),
    "a continuum of NaN": ([spectrum()], {"continuum": lambda *_: np.nan}, "nothing above zero .* such as nan"),
    "a continuum in another unit": (
        [spectrum_in(u.Jy)],
        {"continuum": lambda *_: 2 * u.m},
        "the continuum of spectrum 0 is in m and its flux in Jy: return it in that unit, or without any",
    ),
    "a continuum of another length": ([spectrum()], {"continuum": lambda *_: np.ones(3)}, r"gave \(3,\)"),
}


@pytest.mark.parametrize(("spectra", "options", "message"), WRONG.values(), ids=WRONG)
def test_spectra_that_cannot_be_one_survey_are_refused_with_the_way_out(spectra, options, message):
    with pytest.raises(ValueError, match=message):
        made(spectra, **options)
