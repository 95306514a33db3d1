"""Spectra of any grid become a survey, flux and errors kept, masked pixels left out."""

import types
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from small_spectra import COARSE, GRID, bare, made, ones, spectrum, spectrum_in
from specutils import Spectrum, SpectrumCollection, SpectrumList
from specutils.manipulation import FluxConservingResampler

import lux
from lux.spectroscopy.lines import air_to_vacuum, vacuum_to_air
from lux.store.spectra import _borders


def test_resampling_is_that_of_specutils_within_the_range_of_a_spectrum():
    one = spectrum(error=np.linspace(0.01, 0.05, len(GRID)))
    for grid in (COARSE, 15203 + 0.1 * np.arange(50), np.geomspace(15201, 15212, 37)):
        survey, theirs = made([one], wavelength=grid), FluxConservingResampler()(one, grid * u.AA)
        np.testing.assert_allclose(survey.flux[0], theirs.flux.value, rtol=1e-6)
        np.testing.assert_allclose(survey.ivar[0], theirs.uncertainty.array, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.floats(0.3, 0.4), min_size=20, max_size=60),
    start=st.floats(15201, 15203),
    width=st.floats(0.05, 1.0),
)
def test_resampling_keeps_the_integral_of_the_flux(steps, start, width):
    wavelength = 15200 + np.cumsum(steps)
    flux = 1 + 0.1 * np.sin(np.arange(len(wavelength)))
    grid = start + width * np.arange(int((wavelength[-2] - start) / width))
    if len(grid) < 2:
        return
    survey = made([spectrum(wavelength, flux)], wavelength=grid)
    begin, end = (borders.astype(float) for borders in _borders(wavelength))
    edges = np.append(grid - width / 2, grid[-1] + width / 2)
    integral = np.interp(edges, np.append(begin, end[-1]), np.append(0, np.cumsum(flux * (end - begin))))
    np.testing.assert_allclose(survey.flux[0], np.diff(integral) / width, rtol=1e-5)


def test_what_a_masked_pixel_holds_changes_nothing_and_every_pixel_that_it_touches_is_masked():
    bad, surveys = 25, []
    for value, mask, error in ((1.0, True, 0.02), (1e9, True, 0.02), (np.nan, False, 0.02), (-50.0, False, np.inf)):
        flux = np.where(np.arange(len(GRID)) == bad, value, 1 + 0.001 * np.arange(len(GRID)))
        errors = np.where(np.arange(len(GRID)) == bad, error, 0.02)
        one = spectrum(GRID, flux, errors, (np.arange(len(GRID)) == bad) & mask)
        surveys.append(made([one], wavelength=COARSE))
        np.testing.assert_array_equal(surveys[-1].flux, surveys[0].flux)
        np.testing.assert_array_equal(surveys[-1].ivar, surveys[0].ivar)
    touched = np.abs(COARSE - GRID[bad]) < 0.5 * (0.25 + 0.4) - 1e-6
    np.testing.assert_array_equal(surveys[0].ivar[0] == 0, touched)
    assert touched.sum() == 2


def test_pixels_beyond_a_spectrum_or_in_a_gap_of_it_are_masked():
    wide = 15195 + 0.25 * np.arange(120)
    gap = (GRID > 15205) & (GRID < 15208)
    survey = made([spectrum(GRID[~gap])], wavelength=wide)
    inside = (wide - 0.125 >= GRID[0] - 0.125) & (wide + 0.125 <= GRID[-1] + 0.125)
    np.testing.assert_array_equal(survey.ivar[0] > 0, inside & ~((wide > 15205) & (wide < 15208)))


def test_the_order_of_spectra_and_of_their_pixels_is_irrelevant():
    spectra = [spectrum(GRID + shift, seed=number) for number, shift in enumerate((0.0, 0.1, -0.07, 0.0))]
    survey = made(spectra, wavelength=COARSE)
    again = made(spectra[::-1], wavelength=COARSE[::-1])
    np.testing.assert_array_equal(again.flux[::-1], survey.flux)
    np.testing.assert_array_equal(again.ivar[::-1], survey.ivar)
    turned = [spectrum(each.spectral_axis.value[::-1], each.flux.value[::-1]) for each in spectra]
    np.testing.assert_allclose(made(turned, wavelength=COARSE).flux, survey.flux, rtol=1e-6)


def test_errors_after_resampling_are_the_scatter_of_resampled_noise():
    random, errors = np.random.default_rng(1), np.linspace(0.01, 0.05, len(GRID))
    noisy = 1 + errors * random.normal(size=(4000, len(GRID)))
    survey = made([spectrum(GRID, noisy, errors)], wavelength=COARSE)
    np.testing.assert_allclose(np.std(survey.flux, axis=0), survey.ivar[0] ** -0.5, rtol=0.05)


def test_spectra_that_are_on_the_grid_already_stay_as_they_are():
    spectra = [spectrum(seed=number) for number in range(3)]
    survey, same = made(spectra), made(spectra, wavelength=GRID)
    np.testing.assert_array_equal(survey.flux, same.flux)
    np.testing.assert_array_equal(survey.ivar, same.ivar)
    assert survey.n_labels == 0
    assert survey.star_id.tolist() == ["0", "1", "2"]


def test_different_grids_are_refused_with_the_way_out():
    spectra = [spectrum(), spectrum(GRID + 0.1)]
    with pytest.raises(ValueError, match=r"spectrum 1 lies on another wavelength grid .* as wavelength="):
        made(spectra)
    assert made(spectra, wavelength=COARSE * 0.1 * u.nm).flux.shape == (2, len(COARSE))


def test_wavelengths_in_air_become_vacuum():
    in_air = [spectrum(vacuum_to_air(GRID), 1 + 0.01 * np.arange(len(GRID)))]
    np.testing.assert_allclose(made(in_air, air=True).wavelength, GRID, rtol=1e-10)
    np.testing.assert_allclose(
        made(in_air, air=True, wavelength=COARSE).flux,
        made([spectrum(GRID, in_air[0].flux.value)], wavelength=COARSE).flux,
        rtol=1e-5,
    )


def test_an_axis_in_air_by_its_header_is_converted_in_a_file_and_asked_about_in_memory(tmp_path):
    hdus = [fits.PrimaryHDU(np.ones(60)), fits.ImageHDU(np.full(60, 0.02), name="STD")]
    axis = {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": GRID[0], "CDELT1": 0.25, "CRPIX1": 1, "BUNIT": "Jy"}
    for hdu in hdus:
        hdu.header.update(axis)
    path = tmp_path / "star.fits"
    fits.HDUList(hdus).writeto(path)
    for air, expected in ((None, air_to_vacuum(GRID)), (True, air_to_vacuum(GRID)), (False, GRID)):
        survey = made(path, air=air, continuum=ones)
        np.testing.assert_allclose(survey.wavelength, expected, rtol=1e-10)
    one = bare(meta={"header": fits.Header({"CTYPE1": "AWAV"})})
    with pytest.raises(ValueError, match=r"spectrum 0 has an axis AWAV in its header.*air=True .* or air=False"):
        made([one])
    np.testing.assert_array_equal(made([one], air=False).wavelength, GRID)


NO_NUMBER = np.where(np.arange(60) == 7, np.nan, GRID)
ORDERS = types.SimpleNamespace(
    spectral_axis=np.r_[GRID[:30], GRID[20:50]] * u.AA,
    flux=np.ones(60) * u.one,
    uncertainty=StdDevUncertainty(np.ones(60)),
    mask=None,
)
WRONG = {
    "not normalized": ([spectrum(flux=800 + np.zeros(60))], {}, "median flux of spectrum 0 is 800: .* continuum="),
    "beyond the grid": ([spectrum()], {"wavelength": GRID + 500}, "spectrum 0 has no good pixel on the grid"),
    "all masked": ([spectrum(mask=np.ones(60, bool))], {"wavelength": COARSE}, "no good pixel on the grid"),
    "a flux density": ([spectrum_in(u.Jy)], {}, r"spectrum 0 is in Jy, so not divided by its continuum: give cont"),
    "magnitudes": ([spectrum_in(u.mag)], {}, "spectrum 0 is in mag, so not divided by its continuum"),
    "an uncertainty in another unit": (
        [bare(uncertainty=StdDevUncertainty(np.ones(60) * u.Jy))],
        {},
        "is in Jy and its",
    ),
    "an axis in Jy": ([bare(spectral_axis=GRID * u.Jy)], {}, "spectrum 0 is in Jy, which is no wavelength"),
    "an axis of velocities": (
        [bare(spectral_axis=np.linspace(-9, 9, 60) * u.km / u.s)],
        {},
        r"in km / s, which is no wavelength: .*with_spectral_axis_unit\('Angstrom', velocity_convention=",
    ),
    "a wavelength of NaN": (
        [bare(spectral_axis=NO_NUMBER * u.AA)],
        {},
        "spectrum 0 has 1 wavelengths of 60 .* pixel 7",
    ),
    "a grid with NaN": ([spectrum()], {"wavelength": NO_NUMBER}, "wavelength has 1 wavelengths of 60 that are not fin"),
    "a grid of two dimensions": (
        [spectrum()],
        {"wavelength": [GRID] * u.AA},
        r"one grid \(D,\) .* got shape \(1, 60\)",
    ),
    "a grid of one pixel": ([spectrum()], {"wavelength": GRID[5:6]}, "wavelength has one pixel: give at least two"),
    "a star without arms": ([[]], {}, "spectrum 0 is an empty list"),
    "an array": ([np.ones(60)], {}, r"spectrum 0 is of the type ndarray: expected .* Survey\.from_arrays"),
    "nothing": ([None], {}, "spectrum 0 is of the type NoneType: expected spectra with spectral_axis"),
    "a number": (5, {}, "spectra are of the type int: expected spectra"),
    "an axis of another length": ([bare(flux=np.ones(59))], {}, r"has shape \(59,\) and its spectral axis 60 pixels"),
    "a mask beside": ([spectrum()], {"mask": np.zeros((1, 60))}, "mask= cannot be given beside spectra"),
    "inverse variances beside": ([spectrum()], {"ivar": np.ones((1, 60))}, "ivar= cannot be given beside spectra"),
    "flux and errors beside": ([spectrum()], {"flux": 1, "error": 1}, "error and flux= cannot be given beside"),
    "errors of no labels": ([spectrum()], {"label_err": 0.1}, "label_err= needs labels= too"),
    "labels without errors": ([spectrum()], {"labels": {"teff": [4500.0]}}, "labels= needs label_err= too"),
    "labels of more stars": (
        [spectrum()],
        {"labels": {"teff": [1.0, 2.0]}, "label_err": 1.0},
        "2 labels for 1 spectra",
    ),
    "orders that overlap": ([ORDERS], {"wavelength": COARSE}, "spectrum 0: .* ascend or descend strictly"),
    "a grid that repeats": ([spectrum()], {"wavelength": np.r_[COARSE, COARSE]}, "wavelength: .* ascend or descend"),
    "none": ([], {}, "there are no spectra"),
    "labels of one star for two": (
        [spectrum(), spectrum()],
        {"labels": {"teff": [1.0]}, "label_err": 1.0},
        "1 labels for 2 spectra: give one for each",
    ),
    "a mask of another shape": (
        [bare(mask=np.zeros(3))],
        {},
        r"mask of spectrum 0 has shape \(3,\) and its flux \(1, 60",
    ),
    "errors of another shape": (
        [bare(uncertainty=StdDevUncertainty(np.ones(3)))],
        {},
        r"the uncertainty of spectrum 0 has shape \(3,\) and its flux \(1, 60\): give a value for each pixel",
    ),
    "a mapping": ({"a": spectrum()}, {}, r"type dict, .* list\(spectra.values\(\)\), .* star_id=list\(spectra\)"),
    "arms in units of other kinds": (
        [[bare(), bare(spectral_axis=(GRID + 20) * u.AA, flux=np.ones(60) * u.Jy)]],
        {"wavelength": GRID, "continuum": ones},
        "the flux of the arms of spectrum 0 is in numbers without a unit and Jy: give all arms",
    ),
    "a masked grid": ([spectrum()], {"wavelength": np.ma.masked_greater(GRID, 15214)}, "that are not finite"),
    "arms of other stars": (
        [[spectrum(), spectrum(GRID + 20, flux=np.ones((2, 60)))]],
        {"wavelength": COARSE},
        r"the arms of spectrum 0 have \[1, 2\] spectra",
    ),
}


@pytest.mark.parametrize(("spectra", "options", "message"), WRONG.values(), ids=WRONG)
def test_spectra_that_cannot_be_one_survey_are_refused_with_the_way_out(spectra, options, message):
    with pytest.raises(ValueError, match=message):
        made(spectra, **options)


def test_arms_of_one_star_are_averaged_by_their_inverse_variances():
    blue, red = spectrum(GRID[:40], np.full(40, 0.9), 0.01), spectrum(GRID[30:], np.full(30, 1.1), 0.02)
    survey = made([[blue, red]], wavelength=GRID)
    expected = np.where(np.arange(60) < 30, 0.9, np.where(np.arange(60) < 40, (0.9 * 4 + 1.1) / 5, 1.1))
    np.testing.assert_allclose(survey.flux[0], expected, rtol=1e-6)
    np.testing.assert_allclose(survey.ivar[0, [0, 35, 59]], [1e4, 1.25e4, 2.5e3], rtol=1e-5)


def test_different_stars_in_a_list_in_a_list_are_warned_of_and_arms_of_one_star_are_not():
    stars = [spectrum(seed=number) for number in range(3)]
    with pytest.warns(UserWarning, match=r"3 pairs of spectra in lists or tuples, the first in spectrum 0, have most"):
        made([stars])
    blue, red, order = spectrum(GRID[:35]), spectrum(GRID[25:]), spectrum(GRID[15:30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made([[blue, red, order]], wavelength=GRID)
        halves = [spectrum(mask=part) for part in (GRID < 15207, GRID >= 15207)]
        assert np.all(made([halves]).ivar > 0)


def test_a_spectrum_alone_is_one_and_its_rows_are_stars():
    for one in (spectrum(), bare()):
        np.testing.assert_array_equal(made(one).flux, made([one]).flux)
    assert made(spectrum(flux=np.ones((3, 60)))).n_stars == 3
    axes = np.stack([GRID, GRID + 0.1]) * u.AA
    errors = StdDevUncertainty(np.full((2, 60), 0.02))
    several = SpectrumCollection(flux=np.ones((2, 60)) * u.one, spectral_axis=axes, uncertainty=errors)
    assert made(several, wavelength=COARSE).n_stars == 2


def test_a_pixel_beside_gaps_is_as_wide_as_the_steps_around_it():
    fine = 15195 + 0.05 * np.arange(500)
    alone = np.isin(np.arange(60), (0, 30, 59))
    dropped = (np.abs(np.arange(60)[:, None] - [0, 30, 59]) <= 5).any(axis=1) & ~alone
    survey = made([spectrum(GRID[~dropped])], wavelength=fine)
    inside = np.any(np.abs(fine[:, None] - GRID[~dropped]) <= 0.5 * 0.25 - 0.025 + 1e-6, axis=1)
    between = np.any(np.abs(fine[:, None] - (GRID[:-1] + 0.125)) < 0.02, axis=1)
    np.testing.assert_array_equal((survey.ivar[0] > 0)[~between], inside[~between])


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_bad_pixels_that_were_left_out_are_no_data(missing):
    kept = ~((np.arange(60) >= 20) & (np.arange(60) < 20 + missing))
    survey = made([spectrum(GRID[kept])], wavelength=GRID)
    np.testing.assert_array_equal(survey.ivar[0] > 0, kept)


SMOOTH = {
    "log": np.geomspace(15190, 15220, 60),
    "coarse log": np.geomspace(9000, 30000, 8),
    "linear drift": 15190 + np.cumsum(np.linspace(0.1, 1.0, 60)),
    "falling drift": 15190 + np.cumsum(np.linspace(1.0, 0.1, 60)),
    "two arms": 15190 + np.cumsum(np.r_[np.full(30, 0.2), 0.3, np.full(30, 0.5)]),
}


@pytest.mark.parametrize("grid", SMOOTH.values(), ids=SMOOTH)
def test_a_grid_whose_steps_change_has_no_gap(grid):
    begin, end = _borders(grid)
    middles = 0.5 * (grid[1:] + grid[:-1])
    np.testing.assert_allclose(begin[1:], middles)
    np.testing.assert_allclose(end[:-1], middles)
    np.testing.assert_allclose([grid[0] - begin[0], end[-1] - grid[-1]], 0.5 * np.diff(grid)[[0, -1]])


def test_a_pixel_that_is_marked_by_an_enormous_error_is_masked():
    bad = np.isin(np.arange(60), (10, 11, 40))
    one = spectrum(flux=np.where(bad, 0, 1), error=np.where(bad, 1e10, 0.02))
    masked = spectrum(flux=np.where(bad, 0, 1), mask=bad)
    for wavelength in (None, COARSE, 15202 + np.arange(10)):
        surveys = [made([each], wavelength=wavelength) for each in (one, masked)]
        np.testing.assert_array_equal(surveys[0].flux, surveys[1].flux)
        np.testing.assert_array_equal(surveys[0].ivar, surveys[1].ivar)


def test_a_negative_error_marks_a_bad_pixel_as_it_does_in_arrays():
    errors = np.where(np.arange(60) == 5, -1, 0.02)
    survey = made([spectrum(error=errors)])
    arrays = lux.Survey.from_arrays(GRID, survey.flux, error=errors[None], labels=np.ones((1, 0)), label_err=1)
    np.testing.assert_array_equal(survey.ivar > 0, arrays.ivar > 0)
    assert survey.ivar[0, 5] == 0


def test_spectra_of_a_list_with_rows_count_each():
    two = spectrum(flux=np.stack([np.ones(60), np.full(60, 0.9)]))
    survey = made([two, spectrum()])
    assert survey.n_stars == 3
    assert made(SpectrumList([spectrum(), spectrum()])).n_stars == 2


def test_arms_in_different_units_are_averaged_in_one():
    def arm(flux, error):
        return bare(flux=np.full(60, flux.value) * flux.unit, uncertainty=StdDevUncertainty(np.full(60, error)))

    pairs = {
        "units": [arm(1 * u.Jy, 0.1), arm(4000 * u.mJy, 100.0)],
        "no units": [arm(1 * u.one, 0.1), arm(4 * u.one, 0.1)],
        "percent": [arm(100 * u.percent, 10.0), arm(4 * u.one, 0.1)],
    }
    for arms in pairs.values():
        with pytest.warns(UserWarning, match="most of their range in common"):
            survey = made([arms], wavelength=GRID, continuum=ones)
        np.testing.assert_allclose(survey.flux, 2.5)
        np.testing.assert_allclose(survey.ivar, 200, rtol=1e-6)


def test_a_spectrum_whose_wcs_is_in_air_is_asked_about():
    axis = {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": GRID[0], "CDELT1": 0.25, "CRPIX1": 1}
    one = Spectrum(flux=np.ones(60) * u.one, wcs=WCS(fits.Header(axis)), uncertainty=StdDevUncertainty(np.ones(60)))
    with pytest.raises(ValueError, match=r"spectrum 0 has an axis AWAV in its header or WCS.*air=True .* or air=False"):
        made([one])
    np.testing.assert_allclose(made([one], air=True).wavelength, air_to_vacuum(GRID), rtol=1e-10)
