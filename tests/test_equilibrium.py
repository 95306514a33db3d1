"""Ionization, chemistry and opacity have the right limits and conserve charge and nuclei."""

import numpy as np
import pytest

from lux.simulation.equilibrium import (
    ATOMIC_MASS_UNIT,
    BOLTZMANN,
    BOLTZMANN_EV,
    MOLECULES,
    SECOND_RADIATION,
    association_constant,
    electron_density,
    h_minus_opacity,
    molecular_equilibrium,
    saha,
)
from lux.simulation.layers import composition

TEMPERATURES = np.array([3000.0, 3500.0, 4000.0, 4500.0, 5000.0, 6000.0])
HYDROGEN = np.full_like(TEMPERATURES, 1e16)


def solar():
    return {element: float(number) for element, number in composition(0.0).items()}


def test_electrons_balance_the_charge_of_the_ions():
    abundances = solar()
    electrons = electron_density(TEMPERATURES, HYDROGEN, abundances)
    charge = sum(
        abundances[element] * HYDROGEN * saha(element, TEMPERATURES) / (saha(element, TEMPERATURES) + electrons)
        for element in ("H", "C", "Na", "Mg", "Al", "Si", "K", "Ca", "Ti", "Cr", "Fe", "Ni")
    )
    np.testing.assert_allclose(electrons, charge, rtol=1e-6)


def test_easily_ionized_metals_lose_their_electrons_first():
    ratio = saha("K", TEMPERATURES) / saha("Si", TEMPERATURES)
    assert np.all(ratio > 100.0)
    assert np.all(np.diff(saha("Fe", TEMPERATURES)) > 0)


def test_molecules_and_atoms_together_hold_every_nucleus():
    abundances = solar()
    number = molecular_equilibrium(TEMPERATURES, HYDROGEN, abundances)
    bound = {
        "C": number["CO"] + number["CN"] + number["CH"] + 2 * number["C2"],
        "N": number["CN"] + number["NH"] + 2 * number["N2"],
        "O": number["CO"] + number["OH"],
        "H": 2 * number["H2"],
    }
    for element, in_molecules in bound.items():
        total = HYDROGEN if element == "H" else abundances[element] * HYDROGEN
        np.testing.assert_allclose(number[element] + in_molecules, total, rtol=5e-3)


def test_law_of_mass_action_holds_for_every_molecule():
    number = molecular_equilibrium(TEMPERATURES, HYDROGEN, solar())
    for name in ("CO", "CN", "OH", "N2", "C2", "CH", "NH"):
        first, second = MOLECULES[name].atoms
        product = number[first] * number[second] * association_constant(name, TEMPERATURES)
        np.testing.assert_allclose(number[name], product, rtol=1e-10)


def test_carbon_monoxide_takes_all_carbon_when_cool_and_none_when_hot():
    abundances = solar()
    number = molecular_equilibrium(np.array([2800.0, 8000.0]), np.full(2, 1e16), abundances)
    share = number["CO"] / (abundances["C"] * 1e16)
    assert share[0] > 0.95
    assert share[1] < 0.01


def test_carbon_stars_lock_their_oxygen():
    abundances = solar() | {"C": 2 * solar()["O"]}
    number = molecular_equilibrium(np.array([3000.0]), np.array([1e16]), abundances)
    assert number["CO"][0] / (abundances["O"] * 1e16) > 0.99
    assert number["C2"][0] > number["O"][0]


def test_h_minus_opacity_has_its_minimum_at_the_bound_free_edge():
    wavelengths = np.array([0.85, 1.2, 1.64, 2.2])
    opacity = np.array([h_minus_opacity(wavelength, 5040.0) for wavelength in wavelengths])
    assert opacity.argmin() == 2
    assert opacity[0] > 4 * opacity[2]


def test_constants_are_those_of_the_field_in_its_units():
    assert 1 / (BOLTZMANN_EV * 5040.0 * np.log(10.0)) == pytest.approx(1.0, rel=2e-4), "theta = 5040 / T"
    assert SECOND_RADIATION == pytest.approx(14387.77, abs=0.01)
    assert BOLTZMANN == pytest.approx(1.380649e-16, rel=1e-12)
    assert ATOMIC_MASS_UNIT == pytest.approx(1.66054e-24, rel=1e-5)
