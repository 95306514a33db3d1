"""The synthetic spectra: limits of ionisation and chemistry, growth of lines, invariances."""

import numpy as np
import pytest

from lux.simulation.equilibrium import (
    MOLECULES,
    association_constant,
    electron_density,
    h_minus_opacity,
    molecular_equilibrium,
    partition_function,
    saha,
)
from lux.simulation.layers import composition, populations, structure
from lux.simulation.synthesis import ELEMENTS, line_strength, synthesize
from lux.spectroscopy.instrument import pixel_of
from lux.spectroscopy.lines import LineList, combine, lines_near, lines_of, load_lines

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


def test_easily_ionised_metals_lose_their_electrons_first():
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


def test_pressure_and_temperature_rise_inwards_and_gravity_compresses():
    numbers = composition(np.zeros(2))
    layers = structure(np.full(2, 4500.0), np.array([1.5, 3.0]), numbers)
    assert np.all(np.diff(layers.temperature, axis=1) > 0)
    assert np.all(np.diff(layers.hydrogen[:, :6], axis=1) > 0)
    assert np.all(layers.hydrogen[1] > layers.hydrogen[0])


def test_excited_levels_follow_boltzmann():
    lines = lines_of("Fe").within(15500.0, 15600.0)
    strength = line_strength([4000.0, 5000.0], [2.0, 2.0], [0.0, 0.0], lines=lines)
    assert np.all(np.isfinite(strength))
    gain = np.log(strength[1] / strength[0])
    neutral = lines.ion == 0
    assert np.corrcoef(gain[neutral], lines.excitation[neutral])[0, 1] > 0.95


def planted(log_gf, wavelength=15960.0):
    """An Fe I line alone in the spectrum."""
    columns = {"wavelength": [wavelength], "species": ["Fe I"], "element": ["Fe"], "ion": [0], "excitation": [5.5],
               "log_gf": [log_gf], "damping": [0.0], "isotope": [""], "source": ["planted"]}  # fmt: skip
    return LineList(**{name: np.array(values) for name, values in columns.items()})


def equivalent_width(log_gf, **options):
    flux = synthesize(4500.0, 2.0, 0.0, lines=planted(log_gf), pseudo_continuum=False, **options)
    return float(np.sum(1.0 - flux[0].astype(float)))


def test_a_weak_line_grows_in_proportion_and_a_strong_line_saturates():
    weak = [equivalent_width(log_gf) for log_gf in (-3.0, -2.7)]
    assert np.log10(weak[1] / weak[0]) == pytest.approx(0.3, abs=0.02)
    strong = [equivalent_width(log_gf) for log_gf in (0.5, 0.8)]
    assert np.log10(strong[1] / strong[0]) < 0.15


def test_microturbulence_desaturates_strong_lines_only():
    assert equivalent_width(0.5, microturbulence=3.0) > 1.2 * equivalent_width(0.5, microturbulence=1.0)
    assert equivalent_width(-3.0, microturbulence=3.0) == pytest.approx(
        equivalent_width(-3.0, microturbulence=1.0), rel=0.01
    )


def test_a_line_appears_where_it_belongs():
    flux = synthesize(4500.0, 2.0, 0.0, lines=planted(-1.0, 16200.25), pseudo_continuum=False)[0]
    expected = pixel_of(16200.25)
    window = np.arange(int(expected) - 15, int(expected) + 17)
    depth = 1.0 - flux[window].astype(float)
    assert np.sum(depth * window) / depth.sum() == pytest.approx(expected, abs=0.02)
    assert np.sum(depth) == pytest.approx(np.sum(1.0 - flux.astype(float)), rel=0.05)


def test_flux_is_positive_and_below_the_true_continuum():
    teff, logg, m_h = np.array([3700.0, 4500.0, 5500.0]), np.array([0.5, 2.0, 3.5]), np.array([0.3, -0.5, -2.0])
    flux = synthesize(teff, logg, m_h, pseudo_continuum=False)
    assert flux.dtype == np.float32
    assert flux.shape == (3, 8575)
    assert flux.min() > 0.05
    assert flux.max() <= 1.0 + 1e-5


def test_pseudo_continuum_lifts_crowded_spectra_but_stays_close():
    flux = synthesize(4300.0, 1.8, 0.2)[0]
    true = synthesize(4300.0, 1.8, 0.2, pseudo_continuum=False)[0]
    assert 1.0 < np.median(flux / true) < 1.10


def test_carbon_monoxide_bands_weaken_with_temperature():
    flux = synthesize(np.array([4000.0, 4600.0, 5200.0]), 2.0, 0.0, lines=lines_of("CO"), pseudo_continuum=False)
    assert np.all(np.diff(1.0 - flux.mean(axis=1)) < 0)


def test_each_element_deepens_its_own_lines():
    elements = ("Na", "Mg", "Al", "Si", "S", "K", "Ca", "Ti", "V", "Cr", "Mn", "Co", "Ni", "Cu", "Ce", "Nd", "Yb", "Rb")
    lines = load_lines()
    star = np.arange(len(elements) + 1)
    enhanced = {element: 0.5 * (star == index) for index, element in enumerate(elements, start=1)}
    spectra = synthesize(np.full(len(star), 4500.0), 2.0, 0.0, abundances=enhanced, pseudo_continuum=False)
    for index, element in enumerate(elements, start=1):
        own = lines_of(element, lines)
        own = own[np.isfinite(own.log_gf)].within(15120.0, 16980.0)
        strongest = own.wavelength[line_strength(4500.0, 2.0, 0.0, lines=own)[0].argmax()]
        change = spectra[index] - spectra[0]
        pixel = int(np.rint(pixel_of(strongest)))
        assert change[pixel - 2 : pixel + 3].min() < -2e-4


def test_europium_changes_nothing():
    without = synthesize(4500.0, 2.0, 0.0)
    assert np.array_equal(without, synthesize(4500.0, 2.0, 0.0, abundances={"Eu": 2.0}))


def test_alpha_moves_the_alpha_elements_unless_one_is_given():
    moved = synthesize(4500.0, 2.0, -0.5, 0.3)
    given = synthesize(4500.0, 2.0, -0.5, 0.0, {element: 0.3 for element in ("O", "Mg", "Si", "S", "Ca", "Ti")})
    np.testing.assert_array_equal(moved, given)
    assert np.abs(moved - synthesize(4500.0, 2.0, -0.5, 0.0)).max() > 0.01


def test_brackett_lines_are_broad_and_grow_with_temperature():
    flux = synthesize(np.array([4300.0, 5200.0]), 2.5, -2.0, pseudo_continuum=False)
    bracket = slice(int(pixel_of(16805.0)), int(pixel_of(16817.0)))
    depth = 1.0 - flux[:, bracket].mean(axis=1)
    assert depth[1] > depth[0] > 0.01


def test_a_star_is_the_same_alone_and_in_company_and_twice():
    rng = np.random.default_rng(0)
    labels = rng.uniform(4000, 5200, 70), rng.uniform(1, 3, 70), rng.uniform(-1, 0.3, 70)
    together = synthesize(*labels)
    alone = synthesize(*(values[41:42] for values in labels))
    np.testing.assert_allclose(alone[0], together[41], atol=1e-6)
    np.testing.assert_array_equal(together, synthesize(*labels))


def test_a_line_list_without_a_species_equals_zero_abundance():
    kept = load_lines()
    kept = kept[kept.element != "Al"]
    absent = synthesize(4500.0, 2.0, 0.0, lines=kept, pseudo_continuum=False)
    starved = synthesize(4500.0, 2.0, 0.0, abundances={"Al": -9.0}, lines=combine(kept, lines_of("Al")),
                         pseudo_continuum=False)  # fmt: skip
    # Aluminium also gives electrons: allow for the slight change of the continuous opacity.
    assert np.abs(absent - starved).max() < 0.02
    assert len(lines_near(16723.5, 1.0, species="Al")) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.array([4500.0, np.nan]), 2.0, 0.0), "teff of star 1"),
        ((4500.0, 9.0, 0.0), "logg of star 0"),
        ((np.full(3, 4500.0), np.full(2, 2.0), 0.0), "broadcast"),
    ],
)
def test_wrong_labels_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthesize(*arguments)


def test_unknown_elements_are_named():
    with pytest.raises(ValueError, match="Xx"):
        synthesize(4500.0, 2.0, 0.0, abundances={"Xx": 0.0})
    assert "Fe" in ELEMENTS


def test_populations_conserve_an_element_over_its_stages():
    numbers = composition(np.zeros(1))
    layers = structure(np.array([4500.0]), np.array([2.0]), numbers)
    neutral, ion = np.exp(populations(layers, numbers, ("Fe I", "Fe II")))
    temperature = layers.temperature
    total = neutral * partition_function("Fe", 0, temperature) + ion * partition_function("Fe", 1, temperature)
    np.testing.assert_allclose(total[0], numbers["Fe"][0], rtol=1e-10)
