"""The line lists: published positions, conversions, look-ups, and the lines that are not there."""

import numpy as np
import pytest
from astropy import units as u

from lux.spectroscopy.instrument import wavelength_grid
from lux.spectroscopy.lines import (
    R_PROCESS_FRACTION,
    LineList,
    air_to_vacuum,
    airglow_lines,
    combine,
    heavy_element_lines,
    lines_of,
    load_lines,
    strongest,
    vacuum_to_air,
)


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


def test_no_europium_line_in_the_band():
    assert len(lines_of("Eu")) == 0
    assert "Eu" in R_PROCESS_FRACTION
    assert not any(name.startswith("Eu") for name in load_lines().species)


def test_the_list_holds_thousands_of_lines_of_the_species_that_shape_giants():
    lines = load_lines()
    assert len(lines) > 5000
    assert np.all(np.diff(lines.wavelength) >= 0)
    for name in ("CO", "CN", "OH"):
        assert len(lines_of(name, lines)) > 500
    for name in ("C", "Na", "Mg", "Al", "Si", "S", "K", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"):
        assert len(lines_of(name, lines)) >= 5


def test_heavy_lines_stand_in_the_windows_of_the_apogee_pipeline():
    windows = {
        "Ce II": [(15786.8, 15792.0), (16378.7, 16383.3), (16597.3, 16602.3)],
        "Nd II": [(16057.1, 16060.0)],
        "Yb II": [(16501.1, 16505.3)],
        "Rb I": [(15291.7, 15295.2)],
    }
    heavy = heavy_element_lines()
    for species, ranges in windows.items():
        for first, last in ranges:
            assert species in heavy.within(first, last).species


def test_the_line_once_called_yttrium_is_ytterbium():
    assert "Yb II" in load_lines().within(16502.85, 16502.95).species
    assert len(lines_of("Y")) == 0


def test_caesium_matches_the_eu_spike_only_if_an_air_wavelength_is_laid_on_a_vacuum_grid():
    spike = 15241.5
    near = load_lines().within(spike - 1.0, spike + 1.0)
    assert "Cs I" not in near.species
    assert "Fe I" in near.species
    sky = airglow_lines()
    assert "3-1 P1(2)" in sky.transition[np.abs(sky.wavelength - spike) < 1.0]
    caesium = lines_of("Cs").wavelength
    assert np.abs(vacuum_to_air(caesium) - spike).min() < 1.0


@pytest.mark.parametrize(
    ("transition", "wavelength"),
    [
        # Positions measured in APOGEE sky spectra with the instrument's own wavelength solution.
        ("3-1 P2(2)", 15187.134), ("3-1 P1(2)", 15240.957), ("3-1 P2(3)", 15287.792), ("3-1 P1(3)", 15332.404),
        ("4-2 P1(2)", 16030.844), ("5-3 P2(2)", 16840.504), ("5-3 P1(2)", 16903.682),
    ],
)  # fmt: skip
def test_airglow_positions_agree_with_apogee_sky_spectra(transition, wavelength):
    sky = airglow_lines()
    assert sky.wavelength[sky.transition == transition] == pytest.approx(wavelength, abs=0.03)


def test_airglow_strengths_are_relative_to_the_strongest():
    sky = airglow_lines()
    assert sky.strength.max() == pytest.approx(1.0, abs=1e-3)
    assert len(sky) >= 50
    assert len(np.unique(sky.transition)) == len(sky)


def test_combine_keeps_every_line_in_order():
    first, second = lines_of("Fe"), lines_of("Mg")
    both = combine(first, second)
    assert len(both) == len(first) + len(second)
    assert np.all(np.diff(both.wavelength) >= 0)


def test_columns_of_unequal_length_are_refused():
    columns = {name: getattr(lines_of("K"), name) for name in LineList.__dataclass_fields__}
    columns["log_gf"] = columns["log_gf"][:-1]
    with pytest.raises(ValueError, match="equally long"):
        LineList(**columns)


def test_the_strongest_lines_come_in_order_of_wavelength_and_apart_from_each_other():
    lines = lines_of("Fe")
    strength = np.random.default_rng(0).random(len(lines))
    strength[3] = np.nan
    chosen = strongest(lines, strength, 20)
    assert len(chosen) == 20
    assert np.all(np.diff(chosen.wavelength) >= 0)
    assert set(chosen.wavelength) == set(lines.wavelength[np.argsort(-np.nan_to_num(strength))[:20]])
    apart = strongest(lines, strength, 20, apart=30.0).wavelength
    assert np.diff(apart).min() > 30
    assert lines.wavelength[np.nanargmax(strength)] in apart
    assert len(strongest(lines[:0], strength[:0], 5)) == 0
