"""Spectra of any grid and of files of the surveys become a survey, flux and errors kept, masked pixels left out."""

import builtins
import types
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from specutils import Spectrum, SpectrumCollection, SpectrumList
from specutils.manipulation import FluxConservingResampler

import lux
from lux.spectroscopy.lines import air_to_vacuum, vacuum_to_air
from lux.store.spectra import _borders
from lux.store.spectrum_files import _EXTENSION

GRID = 15200 + 0.25 * np.arange(60)
COARSE = 15202 + 0.4 * np.arange(20)


def spectrum(wavelength=GRID, flux=None, error=0.02, mask=None, seed=0):
    if flux is None:
        flux = np.random.default_rng(seed).normal(1, 0.1, len(wavelength))
    error = StdDevUncertainty(np.broadcast_to(error, np.shape(flux)).astype(float))
    return Spectrum(flux=flux * u.one, spectral_axis=wavelength * u.AA, uncertainty=error, mask=mask)


def made(spectra, **options):
    return lux.Survey.from_spectra(spectra, **options)


def ones(wavelength, flux, ivar):
    return 1.0


def bare(**changed):
    """Return what a spectrum has, without specutils and what it refuses."""
    one = {"spectral_axis": GRID * u.AA, "flux": np.ones(60) * u.one, "uncertainty": StdDevUncertainty(np.ones(60))}
    return types.SimpleNamespace(**one | {"mask": None} | changed)


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
    with pytest.raises(ValueError, match=r"the header of spectrum 0 has an axis AWAV.*air=True .* or air=False"):
        made([one])
    np.testing.assert_array_equal(made([one], air=False).wavelength, GRID)


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


def spectrum_in(unit):
    return bare(flux=np.ones(60) * unit)


TURNED = slice(None, None, -1)
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
    "a continuum of another length": ([spectrum()], {"continuum": lambda *_: np.ones(3)}, r"gave \(3,\)"),
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


ERRORS = {
    "percent": (1, u.one, StdDevUncertainty(np.ones(60) * u.percent)),
    "percent of both": (100, u.percent, StdDevUncertainty(np.ones(60))),
    "percent of the flux": (100, u.percent, StdDevUncertainty(np.full(60, 0.01) * u.one)),
    "milli": (1, u.Jy, StdDevUncertainty(np.full(60, 10) * u.mJy)),
    "a variance": (1, u.Jy, VarianceUncertainty(np.full(60, 100) * u.mJy**2)),
    "an inverse variance": (1, u.Jy, InverseVariance(np.full(60, 0.01) / u.mJy**2)),
    "no unit": (1, u.Jy, StdDevUncertainty(np.full(60, 0.01))),
    "no dimension": (1, u.Jy, StdDevUncertainty(np.full(60, 0.01) * u.one)),
}


@pytest.mark.parametrize(("value", "unit", "uncertainty"), ERRORS.values(), ids=ERRORS)
def test_an_uncertainty_is_converted_to_the_unit_of_the_flux(value, unit, uncertainty):
    survey = made([bare(flux=np.full(60, value) * unit, uncertainty=uncertainty)], continuum=ones)
    np.testing.assert_allclose(survey.flux, 1)
    np.testing.assert_allclose(survey.ivar, 1e4, rtol=1e-6)


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


# APOGEE's grid, log10 of Angstrom.
CRVAL, CDELT, N_PIXELS = 4.179, 6e-6, 8575
APOGEE = 10 ** (CRVAL + CDELT * np.arange(N_PIXELS))


def image(data, unit, name=None):
    hdu = fits.ImageHDU(np.asarray(data), name=name)
    hdu.header["BUNIT"] = unit
    hdu.header["CRVAL1"], hdu.header["CDELT1"], hdu.header["CRPIX1"] = CRVAL, CDELT, 1
    return hdu


def write_apstar(path, flux, sdss_v=True):
    """Write an apStar file of a combined spectrum, above a visit of another flux."""
    primary = fits.PrimaryHDU()
    primary.header["OBJID"] = "2M00000000+0000000"
    primary.header["NVISITS"] = 2
    primary.header["SFILE1"] = "apVisit-r12-1-1.fits"
    primary.header["HISTORY"] = "APOGEE Reduction Pipeline"
    if sdss_v:
        primary.header["APRED"] = "1.3"
    mask = np.zeros((2, N_PIXELS), np.int32)
    mask[0, 100] = 1
    rows, errors = np.stack([flux, np.full(N_PIXELS, 7.0)]), np.full((2, N_PIXELS), 0.02)
    flux_unit, error_unit = "Flux (10^-17 erg/s/cm^2/Ang)", "Err (10^-17 erg/s/cm^2/Ang)"
    hdus = [primary, image(rows, flux_unit), image(errors, error_unit), image(mask, "Pixel mask (bitwise)")]
    hdus += [image(np.zeros((2, 10)), "none") for _ in range(6 if sdss_v else 1)]
    fits.HDUList(hdus).writeto(path)


FLUX = 1 - 0.3 * np.exp(-0.5 * ((APOGEE - 15800) / 0.5) ** 2)


@pytest.mark.parametrize("sdss_v", [True, False])
def test_of_an_apstar_file_the_combined_spectrum_is_read(tmp_path, sdss_v):
    paths = [tmp_path / f"apStar-{name}.fits" for name in ("first", "second")]
    for path, depth in zip(paths, (1.0, 0.5), strict=True):
        write_apstar(path, 1 + depth * (FLUX - 1), sdss_v)
    survey = made(paths, labels={"teff": [4500.0, 4600.0]}, label_err=50.0, continuum=ones)
    np.testing.assert_allclose(survey.wavelength, APOGEE, rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0][~(survey.ivar[0] == 0)], FLUX[~(survey.ivar[0] == 0)], rtol=1e-6)
    assert (survey.ivar[0, 100] == 0) == sdss_v
    assert survey.star_id.tolist() == ["apStar-first", "apStar-second"]
    assert made(str(paths[0]), wavelength=COARSE, continuum=ones).n_stars == 1


@pytest.mark.parametrize("sdss_v", [True, False])
def test_an_apstar_file_of_one_visit_is_read(tmp_path, sdss_v):
    path = tmp_path / "apStar-one.fits"
    write_apstar(path, FLUX, sdss_v)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["NVISITS"] = 1
        for hdu in hdus[1:4]:
            hdu.data = hdu.data[0].copy()
    survey = made(path, continuum=ones)
    good = survey.ivar[0] > 0
    np.testing.assert_allclose(survey.wavelength, APOGEE, rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0][good], FLUX[good], rtol=1e-6)
    assert np.count_nonzero(~good) == sdss_v
    with pytest.raises(ValueError, match=r"is in .*erg.*, so not divided by its continuum"):
        made(path)


NAMES = {
    "J1234+56.7.fits": "J1234+56.7",
    "J1234+56.8.fits.gz": "J1234+56.8",
    "star.v2.FITS": "star.v2",
    "spec.3.ecsv": "spec.3",
    "noextension": "noextension",
    "mwmStar-0.6.0-54.fits": "mwmStar-0.6.0-54",
}


@pytest.mark.parametrize(("name", "star"), NAMES.items())
def test_of_the_name_of_a_file_only_its_known_extension_is_cut(name, star):
    assert _EXTENSION.sub("", name) == star


def test_files_of_one_name_in_two_folders_have_the_folder_in_their_names(tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        write_galah(tmp_path / folder / "J1234+56.7.fits")
    write_galah(tmp_path / "J1234+56.8.fits")
    survey = made([*sorted(tmp_path.glob("*/*.fits")), tmp_path / "J1234+56.8.fits"])
    assert survey.star_id.tolist() == ["first/J1234+56.7", "second/J1234+56.7", "J1234+56.8"]


def test_an_aspcapstar_file_is_read(tmp_path):
    names = fits.BinTableHDU(Table({"ASPCAPFLAG": [0]}))
    hdus = [fits.PrimaryHDU(), image(FLUX, "a"), image(np.full(N_PIXELS, 0.01), "a"), image(FLUX, "a"), names]
    fits.HDUList(hdus).writeto(tmp_path / "aspcapStar-star.fits")
    survey = made([tmp_path / "aspcapStar-star.fits"])
    np.testing.assert_allclose(survey.flux[0], FLUX, rtol=1e-6)
    np.testing.assert_allclose(survey.ivar[0], 1e4, rtol=1e-5)


def mwm_table(wavelength, flux, name, n_rows=1):
    row = {"wavelength": [wavelength], "flux": [flux], "ivar": [np.full(len(flux), 1e4)]}
    row |= {"pixel_flags": [np.where(np.arange(len(flux)) == 3, 4, 0)], "snr": [100.0], "telescope": ["apo25m"]}
    row |= {"sdss_id": [54.0], "min_mjd": [59000], "max_mjd": [60000]}
    hdu = fits.BinTableHDU(Table(row)[:n_rows], name=name)
    return hdu


def test_the_instruments_of_a_mwmstar_file_are_put_together(tmp_path):
    boss = 10 ** (3.56 + 1e-4 * np.arange(4000))
    primary = fits.PrimaryHDU()
    primary.header["V_ASTRA"], primary.header["SDSS_ID"] = "0.6.0", 54
    tables = [
        mwm_table(boss, np.ones(4000), "BOSS/APO"),
        mwm_table(boss, np.ones(4000), "BOSS/LCO", n_rows=0),
        mwm_table(APOGEE, FLUX, "APOGEE/APO"),
        mwm_table(APOGEE, FLUX, "APOGEE/LCO"),
    ]
    path = tmp_path / "mwmStar-0.6.0-54.fits"
    fits.HDUList([primary, *tables]).writeto(path, checksum=True)
    with pytest.raises(ValueError, match="lies on another wavelength grid than the first, 8575 pixels"):
        made(path)
    survey = made(path, wavelength=APOGEE, continuum=ones)
    assert survey.ivar[0, 3] == 0
    good = survey.ivar[0] > 0
    np.testing.assert_allclose(survey.flux[0][good], FLUX[good], rtol=1e-5)
    np.testing.assert_allclose(survey.ivar[0][good], 2e4, rtol=1e-5)
    assert np.all(made(path, wavelength=np.linspace(4000, 9000, 50), continuum=ones).ivar > 0)


DESI = {"b": np.arange(3600, 5800.1, 4.0), "r": np.arange(5760, 7620.1, 4.0), "z": np.arange(7520, 9824.1, 4.0)}


def write_desi(path, coadd=True):
    """Write three stars whose flux is 1, 2 and 3, the second with a bad pixel in the arm b."""
    primary = fits.PrimaryHDU()
    if coadd:
        primary.header["INFIL000"] = "spectra.fits"
    hdus = [primary, fits.BinTableHDU(Table({"TARGETID": [39627, 39628, 39629]}), name="FIBERMAP")]
    for band, wavelength in DESI.items():
        flux = np.outer([1.0, 2.0, 3.0], np.ones_like(wavelength)).astype("f4")
        mask = np.zeros(flux.shape, np.int32)
        if band == "b":
            flux[1, 50], mask[1, 50] = -1e6, 2
        for name, data, unit in (
            ("WAVELENGTH", wavelength, "Angstrom"),
            ("FLUX", flux, "10**-17 erg/(s cm2 Angstrom)"),
            ("IVAR", np.full(flux.shape, 400, "f4"), "10**+34 (s2 cm4 Angstrom2) / erg2"),
            ("MASK", mask, None),
        ):
            hdus.append(fits.ImageHDU(data, name=f"{band.upper()}_{name}"))
            if unit:
                hdus[-1].header["BUNIT"] = unit
    fits.HDUList([*hdus, fits.BinTableHDU(Table({"TSNR2": [1.0, 2.0, 3.0]}), name="SCORES")]).writeto(path)


@pytest.mark.parametrize("name", ["coadd-main-bright-27245.fits", "spectra-main-bright-27245.fits"])
def test_a_desi_file_gives_all_its_stars_with_their_arms_put_together(tmp_path, name):
    write_desi(tmp_path / name, coadd=name.startswith("coadd"))
    grid = np.arange(3700, 9800, 4.0)
    survey = made(tmp_path / name, wavelength=grid, continuum=ones)
    assert survey.star_id.tolist() == ["39627", "39628", "39629"]
    np.testing.assert_allclose(survey.flux[survey.ivar > 0], np.repeat([1, 2, 3], (survey.ivar > 0).sum(axis=1)))
    assert np.count_nonzero(survey.ivar == 0) == 1
    assert survey.ivar[1, np.argmin(np.abs(grid - DESI["b"][50]))] == 0
    both = (grid > 5764) & (grid < 5796)
    np.testing.assert_allclose(survey.ivar[0, both], 800, rtol=1e-5)
    catalogue = Table({"TARGETID": [39629, 39627], "FE_H": [-1.0, 0.1], "FE_H_ERR": [0.1, 0.1]})
    joined = survey.with_labels(catalogue, star_id="TARGETID")
    assert joined.label("fe_h").tolist() == [0.1, -1.0]
    with pytest.raises(ValueError, match="as wavelength="):
        made(tmp_path / name)
    with pytest.raises(ValueError, match=r"cannot be read as 'SDSS-V apStar' by specutils"):
        made(tmp_path / name, format="SDSS-V apStar")


def write_galah(path, normalized=True):
    hdus = [fits.PrimaryHDU(np.full(400, 5e3))] + [fits.ImageHDU(np.full(400, value)) for value in (0.01, 6e3, 0.01)]
    if normalized:
        hdus.append(fits.ImageHDU(np.linspace(0.5, 1.0, 400)))
    for hdu in hdus:
        hdu.header["CRVAL1"], hdu.header["CDELT1"], hdu.header["CRPIX1"] = 4713.6, 0.046, 1
    hdus[0].header["ORIGIN"] = "GALAH"
    fits.HDUList(hdus).writeto(path)


def test_of_a_galah_file_the_normalized_spectrum_is_read_with_its_relative_errors(tmp_path):
    path = tmp_path / "1704180037012051.fits"
    write_galah(path)
    survey = made([path])
    np.testing.assert_allclose(survey.wavelength, air_to_vacuum(4713.6 + 0.046 * np.arange(400)), rtol=1e-9)
    np.testing.assert_allclose(survey.flux[0], np.linspace(0.5, 1.0, 400), rtol=1e-6)
    np.testing.assert_allclose(survey.ivar[0] ** -0.5, 0.01 * survey.flux[0], rtol=1e-4)
    np.testing.assert_array_equal(made([path], air=True).wavelength, survey.wavelength)
    np.testing.assert_allclose(made([path], air=False).wavelength, 4713.6 + 0.046 * np.arange(400), rtol=1e-9)
    older = tmp_path / "older.fits"
    write_galah(older, normalized=False)
    with pytest.raises(ValueError, match=r"older.fits is 5e\+03: .* continuum="):
        made(older)
    normalized = made(older, continuum=lambda wavelength, flux, ivar: np.median(flux))
    np.testing.assert_allclose(normalized.ivar, 1e4, rtol=1e-4)


def test_files_that_cannot_be_read_are_refused_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of spectra at .*absent.fits"):
        made([tmp_path / "absent.fits"])
    (tmp_path / "notes.xyz").write_text("no spectrum")
    with pytest.raises(ValueError, match="of no format that specutils recognizes: name it with format="):
        made([tmp_path / "notes.xyz"])
    with pytest.raises(ValueError, match=r"specutils knows no format 'apStr'; it knows .*SDSS-V apStar"):
        made([tmp_path / "notes.xyz"], format="apStr")


def test_files_need_specutils_and_spectra_in_memory_do_not(tmp_path, monkeypatch):
    (tmp_path / "star.fits").write_bytes(b"")
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("specutils"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'lux-paper\[spectra\]'"):
        made([tmp_path / "star.fits"])
    uncertainty = InverseVariance(np.where(np.arange(60) == 4, 0, 1e4))
    one = {"spectral_axis": GRID * u.AA, "flux": np.ones(60) * u.one, "uncertainty": uncertainty, "mask": None}
    survey = made([types.SimpleNamespace(**one)], wavelength=GRID + 0.1)
    assert np.count_nonzero(survey.ivar == 0) == 3


def test_spectra_of_a_list_with_rows_count_each():
    two = spectrum(flux=np.stack([np.ones(60), np.full(60, 0.9)]))
    survey = made([two, spectrum()])
    assert survey.n_stars == 3
    assert made(SpectrumList([spectrum(), spectrum()])).n_stars == 2
