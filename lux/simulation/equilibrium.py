"""Matter in a cool stellar atmosphere: ionization, molecules, continuous opacity.

Everything is in cgs units, in float64 NumPy, and works elementwise on temperatures and densities of one shape.
Sources: ionization energies NIST; partition functions as power laws T^p around 5040 K fitted to Gray (2005), Table D.2;
molecular constants Huber & Herzberg (1979); solar composition Asplund et al. (2009); H- opacity John (1988).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import constants

# CODATA in cgs: erg, cm, g, K; energies of levels in eV and cm^-1.
BOLTZMANN = constants.k / constants.erg
BOLTZMANN_EV = constants.k / constants.eV
ATOMIC_MASS_UNIT = constants.atomic_mass / constants.gram
_PLANCK = constants.h / constants.erg
_ELECTRON_MASS = constants.m_e / constants.gram
# The second radiation constant h c / k in micron K and in cm K.
SECOND_RADIATION = constants.h * constants.c / constants.k / constants.micron
_INVERSE_CM_KELVIN = SECOND_RADIATION * constants.micron / constants.centi

ALPHA_ELEMENTS = ("O", "Mg", "Si", "S", "Ca", "Ti")


@dataclass(frozen=True)
class Element:
    """Solar abundance (log10 N, H = 12), mass, ionization energy (eV), partition functions at 5040 K and exponents."""

    abundance: float
    mass: float
    ionization: float
    neutral: tuple[float, float]
    ion: tuple[float, float]


ELEMENTS = {
    "H": Element(12.00, 1.008, 13.598, (2.0, 0.0), (1.0, 0.0)),
    "He": Element(10.93, 4.003, 24.587, (1.0, 0.0), (2.0, 0.0)),
    "C": Element(8.43, 12.011, 11.260, (9.3, 0.07), (6.0, 0.02)),
    "N": Element(7.83, 14.007, 14.534, (4.1, 0.07), (9.0, 0.03)),
    "O": Element(8.69, 15.999, 13.618, (8.7, 0.05), (4.0, 0.0)),
    "Na": Element(6.24, 22.990, 5.139, (2.04, 0.05), (1.0, 0.0)),
    "Mg": Element(7.60, 24.305, 7.646, (1.02, 0.05), (2.0, 0.0)),
    "Al": Element(6.45, 26.982, 5.986, (5.86, 0.03), (1.0, 0.0)),
    "Si": Element(7.51, 28.086, 8.152, (9.5, 0.10), (5.7, 0.03)),
    "P": Element(5.41, 30.974, 10.487, (4.5, 0.20), (8.2, 0.10)),
    "S": Element(7.12, 32.06, 10.360, (8.1, 0.08), (4.1, 0.10)),
    "K": Element(5.03, 39.098, 4.341, (2.18, 0.10), (1.0, 0.0)),
    "Ca": Element(6.34, 40.078, 6.113, (1.18, 0.50), (2.2, 0.20)),
    "Sc": Element(3.15, 44.956, 6.562, (12.0, 0.45), (22.7, 0.25)),
    "Ti": Element(4.95, 47.867, 6.828, (30.0, 0.75), (56.0, 0.30)),
    "V": Element(3.93, 50.942, 6.746, (42.0, 0.60), (43.0, 0.50)),
    "Cr": Element(5.64, 51.996, 6.767, (10.4, 0.70), (7.2, 0.45)),
    "Mn": Element(5.43, 54.938, 7.434, (6.5, 0.25), (7.7, 0.25)),
    "Fe": Element(7.50, 55.845, 7.902, (27.0, 0.55), (43.0, 0.40)),
    "Co": Element(4.99, 58.933, 7.881, (33.0, 0.60), (29.0, 0.60)),
    "Ni": Element(6.22, 58.693, 7.640, (29.9, 0.25), (10.6, 0.60)),
    "Cu": Element(4.19, 63.546, 7.726, (2.33, 0.25), (1.02, 0.10)),
    "Zn": Element(4.56, 65.38, 9.394, (1.0, 0.0), (2.0, 0.0)),
    "Ge": Element(3.65, 72.63, 7.900, (7.5, 0.30), (4.3, 0.20)),
    "Rb": Element(2.52, 85.468, 4.177, (2.3, 0.20), (1.0, 0.0)),
    "Sr": Element(2.87, 87.62, 5.695, (1.3, 0.60), (2.2, 0.20)),
    "Y": Element(2.21, 88.906, 6.217, (12.0, 0.50), (15.5, 0.40)),
    "Zr": Element(2.58, 91.224, 6.634, (34.0, 0.90), (45.0, 0.50)),
    "Cs": Element(1.08, 132.905, 3.894, (2.4, 0.40), (1.0, 0.0)),
    "Ce": Element(1.58, 140.116, 5.539, (200.0, 1.50), (195.0, 0.90)),
    "Nd": Element(1.42, 144.242, 5.525, (75.0, 1.90), (135.0, 1.10)),
    "Er": Element(0.92, 167.259, 6.108, (22.0, 1.00), (32.0, 0.80)),
    "Yb": Element(0.84, 173.045, 6.254, (1.04, 0.10), (2.02, 0.05)),
}
_ELECTRON_DONORS = ("H", "C", "Na", "Mg", "Al", "Si", "K", "Ca", "Ti", "Cr", "Fe", "Ni")


@dataclass(frozen=True)
class Molecule:
    """A diatomic molecule: its atoms, dissociation energy (eV), rotation and vibration (cm^-1), states, symmetry.

    `states` are (statistical weight, energy in cm^-1) of the low electronic states; `symmetry` is 2 for like nuclei.
    """

    atoms: tuple[str, str]
    dissociation: float
    rotation: float
    vibration: float
    states: tuple[tuple[int, float], ...]
    symmetry: int = 1


MOLECULES = {
    "H2": Molecule(("H", "H"), 4.478, 59.34, 4401.2, ((1, 0.0),), 2),
    "CO": Molecule(("C", "O"), 11.092, 1.9225, 2169.8, ((1, 0.0),)),
    "CN": Molecule(("C", "N"), 7.76, 1.8910, 2068.6, ((2, 0.0), (4, 9245.0))),
    "OH": Molecule(("O", "H"), 4.392, 18.55, 3737.8, ((2, 0.0), (2, 139.0))),
    "N2": Molecule(("N", "N"), 9.759, 1.9896, 2358.6, ((1, 0.0),), 2),
    "C2": Molecule(("C", "C"), 6.21, 1.62, 1720.0, ((1, 0.0), (6, 716.0)), 2),
    "CH": Molecule(("C", "H"), 3.465, 14.19, 2858.5, ((4, 0.0),)),
    "NH": Molecule(("N", "H"), 3.47, 16.35, 3282.3, ((3, 0.0),)),
    "SiH": Molecule(("Si", "H"), 3.06, 7.39, 2041.8, ((2, 0.0), (2, 142.8))),
}


def partition_function(element: str, ion: int, temperature: np.ndarray) -> np.ndarray:
    """Partition function of a neutral (ion=0) or singly ionized (ion=1) atom."""
    at_5040, exponent = (ELEMENTS[element].neutral, ELEMENTS[element].ion)[ion]
    return at_5040 * (temperature / 5040.0) ** exponent


def saha(element: str, temperature: np.ndarray) -> np.ndarray:
    """Saha factor n_e N(II) / N(I) in cm^-3."""
    thermal = (2 * np.pi * _ELECTRON_MASS * BOLTZMANN * temperature / _PLANCK**2) ** 1.5
    ratio = partition_function(element, 1, temperature) / partition_function(element, 0, temperature)
    return 2.0 * thermal * ratio * np.exp(-ELEMENTS[element].ionization / (BOLTZMANN_EV * temperature))


def molecular_partition_function(molecule: str, temperature: np.ndarray) -> np.ndarray:
    """Internal partition function of a rigid rotator and harmonic oscillator with its low electronic states."""
    species = MOLECULES[molecule]
    rotation = temperature / (_INVERSE_CM_KELVIN * species.rotation * species.symmetry)
    vibration = 1.0 / -np.expm1(-_INVERSE_CM_KELVIN * species.vibration / temperature)
    states = sum(weight * np.exp(-_INVERSE_CM_KELVIN * energy / temperature) for weight, energy in species.states)
    return rotation * vibration * states


def association_constant(molecule: str, temperature: np.ndarray) -> np.ndarray:
    """n(AB) / (n(A) n(B)) in cm^3 from the law of mass action (Tatum 1966; Saha form for a molecule)."""
    species = MOLECULES[molecule]
    first, second = (ELEMENTS[atom].mass * ATOMIC_MASS_UNIT for atom in species.atoms)
    reduced_mass = first * second / (first + second)
    thermal = (2 * np.pi * reduced_mass * BOLTZMANN * temperature / _PLANCK**2) ** 1.5
    atoms = partition_function(species.atoms[0], 0, temperature) * partition_function(species.atoms[1], 0, temperature)
    boltzmann = np.exp(species.dissociation / (BOLTZMANN_EV * temperature))
    return molecular_partition_function(molecule, temperature) / (thermal * atoms) * boltzmann


def _positive_root(square: np.ndarray, linear: np.ndarray | float, constant: np.ndarray) -> np.ndarray:
    """The positive root x of square x^2 + linear x = constant, without cancellation."""
    root = np.sqrt(linear**2 + 4.0 * square * constant)
    return np.where(linear > 0, 2.0 * constant / (linear + root), (root - linear) / (2.0 * square))


def electron_density(
    temperature: np.ndarray, hydrogen_density: np.ndarray, abundances: Mapping[str, np.ndarray], n_iterations: int = 8
) -> np.ndarray:
    """Free electrons in cm^-3 from the ionization of hydrogen and the metals, by Newton's method in ln n_e.

    `hydrogen_density` counts all hydrogen nuclei; `abundances` maps element -> number per hydrogen nucleus.
    """
    donors = [(saha(element, temperature), abundances[element]) for element in _ELECTRON_DONORS]
    log_density = np.log(1e-4 * hydrogen_density)
    for _ in range(n_iterations):
        electrons = np.exp(log_density)
        supply, slope = 0.0, 0.0
        for factor, abundance in donors:
            ionized = factor / (factor + electrons)
            supply = supply + abundance * ionized
            slope = slope + abundance * ionized * (1.0 - ionized)
        residual = np.log(supply * hydrogen_density) - log_density
        log_density = log_density + residual / (1.0 + slope / supply)
    return np.exp(log_density)


def hydrogen_atoms(temperature: np.ndarray, hydrogen_density: np.ndarray) -> np.ndarray:
    """Neutral atomic hydrogen in cm^-3, the rest being bound in H2."""
    return _positive_root(2.0 * association_constant("H2", temperature), 1.0, hydrogen_density)


def molecular_equilibrium(
    temperature: np.ndarray, hydrogen_density: np.ndarray, abundances: Mapping[str, np.ndarray], n_iterations: int = 12
) -> dict[str, np.ndarray]:
    """Number densities (cm^-3) of free C, N, O, H and of CO, CN, OH, N2, C2, CH, NH in chemical equilibrium.

    The pair C, O is solved exactly for given nitrogen and hydrogen, since CO takes nearly all of the scarcer one;
    nitrogen and the hydrides follow by iteration. Arrays share one shape. Ionization of C, N, O is neglected.
    """
    constant = {name: association_constant(name, temperature) for name in ("CO", "CN", "OH", "N2", "C2", "CH", "NH")}
    hydrogen = hydrogen_atoms(temperature, hydrogen_density)
    total = {element: abundances[element] * hydrogen_density for element in ("C", "N", "O")}
    hydroxyl = 1.0 + constant["OH"] * hydrogen
    carbon, nitrogen = 0.5 * total["C"], total["N"]
    for _ in range(n_iterations):
        other_carbon = 1.0 + constant["CH"] * hydrogen + constant["CN"] * nitrogen + 2.0 * constant["C2"] * carbon
        # Eliminating carbon from the two conservation laws leaves a quadratic in the free oxygen.
        oxygen = _positive_root(
            hydroxyl * constant["CO"] / other_carbon,
            hydroxyl + constant["CO"] * (total["C"] - total["O"]) / other_carbon,
            total["O"],
        )
        carbon = np.sqrt(carbon * total["C"] / (other_carbon + constant["CO"] * oxygen))
        nitrogen = _positive_root(
            2.0 * constant["N2"], 1.0 + constant["CN"] * carbon + constant["NH"] * hydrogen, total["N"]
        )
    free = {"C": carbon, "N": nitrogen, "O": oxygen, "H": hydrogen}
    bound = {name: constant[name] * free[name[0]] * free[name[1].replace("2", name[0])] for name in constant}
    bound["H2"] = association_constant("H2", temperature) * hydrogen**2
    return free | bound


_H_MINUS_THRESHOLD = 1.6419
_H_MINUS_BOUND_FREE = (152.519, 49.534, -118.858, 92.536, -34.194, 4.982)
_H_MINUS_FREE_FREE = np.array(
    [
        [2483.3460, 285.8270, -2054.2910, 2827.7760, -1341.5370, 208.9520],
        [-3449.8890, -1158.3820, 8746.5230, -11485.6320, 5303.6090, -812.9390],
        [2200.0400, 2427.7190, -13651.1050, 16755.5240, -7510.4940, 1132.7380],
        [-696.2710, -1841.4000, 8624.9700, -10051.5300, 4400.0670, -655.0200],
        [88.2830, 444.5170, -1863.8640, 2095.2880, -901.7880, 132.9850],
    ]
)


def h_minus_opacity(wavelength_micron: float, temperature: np.ndarray) -> np.ndarray:
    """H- absorption in cm^4 per dyn of electron pressure and neutral hydrogen atom, stimulated emission included.

    `wavelength_micron` is one wavelength above 0.3645 micron. Fits of John (1988, A&A 193, 189).
    """
    powers = np.array([wavelength_micron**2, 1.0, *(wavelength_micron**-n for n in range(1, 5))])
    theta = 5040.0 / temperature
    terms = (theta ** (0.5 * order) * float(row @ powers) for order, row in enumerate(_H_MINUS_FREE_FREE, start=3))
    free_free = 1e-29 * sum(terms, np.zeros_like(theta))
    above = 1.0 / wavelength_micron - 1.0 / _H_MINUS_THRESHOLD
    if above <= 0:
        return free_free
    fit = sum(value * above ** (0.5 * order) for order, value in enumerate(_H_MINUS_BOUND_FREE))
    cross_section = 1e-18 * wavelength_micron**3 * above**1.5 * fit
    emission = -np.expm1(-SECOND_RADIATION / (wavelength_micron * temperature))
    edge = np.exp(SECOND_RADIATION / (_H_MINUS_THRESHOLD * temperature))
    return free_free + 0.75 * temperature**-2.5 * edge * emission * cross_section


def rosseland_to_h_band(temperature: np.ndarray) -> np.ndarray:
    """Rosseland mean of the H- opacity over its value at 1.6 micron."""
    wavelengths = np.array([0.40, 0.50, 0.60, 0.70, 0.85, 1.0, 1.2, 1.4, 1.6, 1.8, 2.1, 2.5, 3.0, 4.0])
    steps = np.gradient(wavelengths)
    weighted, weight_sum = 0.0, 0.0
    for wavelength, step in zip(wavelengths, steps, strict=True):
        x = SECOND_RADIATION / (wavelength * temperature)
        weight = step * wavelength**-6 * np.exp(-x) / np.expm1(-x) ** 2
        weighted = weighted + weight / h_minus_opacity(wavelength, temperature)
        weight_sum = weight_sum + weight
    return weight_sum / weighted / h_minus_opacity(1.6, temperature)
