"""Wavelengths of users become Angstrom, air becomes vacuum, and what is no grid of wavelengths is refused."""

import numpy as np
import pytest
from astropy import units as u
from small_arrays import FLUX, WAVELENGTH, assert_equal, made

from lux.spectroscopy.instrument import wavelength_grid
from lux.store.wavelengths import air_to_vacuum, vacuum_to_air


@pytest.mark.parametrize(
    ("air", "vacuum"),
    [
        (15237.77, 15241.93),  # Fe I, APOGEE
        (15241.69, 15245.85),  # Cs I
        (16536.438, 16540.955),  # Cs I: VALD in air, APOGEE in vacuum
        (16498.396, 16502.902),  # Yb II: VALD in air, APOGEE in vacuum
        (15289.480, 15293.658),  # Rb I: VALD in air, APOGEE in vacuum
        (6562.79, 6564.60),  # H alpha
        (5889.951, 5891.583),  # Na D2
    ],
)
def test_air_and_vacuum_agree_with_published_pairs(air, vacuum):
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=0.011)
    assert vacuum_to_air(vacuum) == pytest.approx(air, abs=0.011)


def test_air_to_vacuum_inverts_vacuum_to_air():
    grid = wavelength_grid()
    np.testing.assert_allclose(air_to_vacuum(vacuum_to_air(grid)), grid, rtol=1e-12)


@pytest.mark.parametrize("convert", [air_to_vacuum, vacuum_to_air])
def test_wavelengths_of_any_unit_and_shape_are_converted_between_air_and_vacuum_in_angstrom(convert):
    listed = np.array([[6645.1, 15241.69], [5889.951, 6562.79]])
    for wavelength in (listed / 10 * u.nm, listed / 1e4 * u.um, (listed * u.AA).to(u.THz, u.spectral())):
        converted = convert(wavelength)
        assert type(converted) is np.ndarray
        np.testing.assert_allclose(converted, convert(listed), rtol=1e-12)
    assert convert(664.51 * u.nm) == pytest.approx(convert(6645.1))
    assert np.isnan(convert(np.ma.array([6645.1, 0.0], mask=[0, 1]))).tolist() == [False, True]
    with pytest.raises(ValueError, match="wavelength is in K, which is no wavelength"):
        convert(4500 * u.K)


UNITS = {
    "nanometers": (WAVELENGTH / 10 * u.nm, slice(None)),
    "microns": (WAVELENGTH / 1e4 * u.um, slice(None)),
    "frequencies": ((WAVELENGTH * u.AA).to(u.THz, equivalencies=u.spectral()), slice(None)),
    "descending": (WAVELENGTH[::-1], slice(None, None, -1)),
}


@pytest.mark.parametrize(("wavelength", "order"), UNITS.values(), ids=UNITS)
def test_wavelengths_of_any_unit_and_order_are_read(wavelength, order):
    assert_equal(made(wavelength, FLUX[:, order]), made())
    if order == slice(None):
        assert_equal(made().replace(wavelength=wavelength), made())


WRONG = {
    "nanometers without a unit": (
        {"wavelength": WAVELENGTH / 10},
        "no Angstrom; if they are nanometers, give",
    ),
    "log10": (
        {"wavelength": np.log10(WAVELENGTH)},
        r"they are log10 of Angstrom, give 10\*\*wavelength; if microns",
    ),
    "natural logarithms": ({"wavelength": np.log(WAVELENGTH)}, r"if they are natural logarithms .* exp\(wavelength\)"),
    "microns": ({"wavelength": WAVELENGTH / 1e4}, "are no Angstrom; if they are microns, give 10,000 times as much"),
    "a grid a star": (
        {"wavelength": np.tile(WAVELENGTH, (4, 1))},
        r"one grid \(D,\) for all stars, got shape",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), WRONG.values(), ids=WRONG)
def test_what_would_be_misread_is_refused_with_the_way_out(arrays, message):
    with pytest.raises(ValueError, match=message):
        made(**arrays)
