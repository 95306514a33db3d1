"""The line lists: published positions, look-ups, and the lines that are not there."""

import numpy as np
import pytest

from lux.spectroscopy.lines import (
    R_PROCESS_FRACTION,
    LineList,
    airglow_lines,
    combine,
    heavy_element_lines,
    lines_of,
    load_lines,
    strongest,
    vacuum_to_air,
)


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
