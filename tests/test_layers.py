"""Layers of an atmosphere are in hydrostatic equilibrium and conserve elements."""

import numpy as np

from lux.simulation.equilibrium import partition_function
from lux.simulation.layers import DEFAULT_PHYSICS, composition, populations, structure


def test_pressure_and_temperature_rise_inwards_and_gravity_compresses():
    numbers = composition(np.zeros(2))
    layers = structure(np.full(2, 4500.0), np.array([1.5, 3.0]), numbers)
    assert np.all(np.diff(layers.temperature, axis=1) > 0)
    assert np.all(np.diff(layers.hydrogen[:, :6], axis=1) > 0)
    assert np.all(layers.hydrogen[1] > layers.hydrogen[0])


def test_populations_conserve_an_element_over_its_stages():
    numbers = composition(np.zeros(1))
    layers = structure(np.array([4500.0]), np.array([2.0]), numbers)
    neutral, ion = np.exp(populations(layers, numbers, ("Fe I", "Fe II")))
    temperature = layers.temperature
    total = neutral * partition_function("Fe", 0, temperature) + ion * partition_function("Fe", 1, temperature)
    np.testing.assert_allclose(total[0], numbers["Fe"][0], rtol=1e-10)


def test_every_constant_of_a_kind_of_line_weakens_it_and_constants_are_global():
    offsets = dict(DEFAULT_PHYSICS.strength_offset)
    assert max(offsets.values()) < 0
    assert set(offsets) == {"atoms", "H", "CN", "CO", "OH", "C2", "Ce"}
