"""The layers of a red-giant atmosphere: composition, temperature, hydrostatic equilibrium, populations.

The depth variable is the continuous optical depth at 1.6 micron. NumPy, float64, all stars at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import interp1d

from lux.simulation.equilibrium import (
    ALPHA_ELEMENTS,
    ATOMIC_MASS_UNIT,
    BOLTZMANN,
    ELEMENTS,
    electron_density,
    h_minus_opacity,
    hydrogen_atoms,
    molecular_equilibrium,
    molecular_partition_function,
    partition_function,
    rosseland_to_h_band,
    saha,
)


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Global constants of the model; all but the depth points were calibrated on half of the DR10 giants.

    The calibration is `benchmarks/realism.py --calibrate`; no constant belongs to one line or one pixel.
    `log_tau` depth points; `rosseland_scale` multiplies the H- Rosseland opacity; `microturbulence` coefficients of 1,
    logg and [M/H] in km/s; `macroturbulence` km/s (Gaussian sigma); `carbon_isotope_ratio` 12C/13C; `strength_offset`
    dex added to log gf by element or molecule, "atoms" for all others; `continuum_clip` lower clipping limit of the
    pseudo-continuum in standard deviations; `damping_scale` multiplies the van der Waals widths; `stark_width` half
    width of Brackett 11-4 in km/s.
    """

    log_tau: tuple[float, ...] = (-4.0, -3.2, -2.5, -1.9, -1.3, -0.8, -0.35, 0.1, 0.6)
    rosseland_scale: float = 0.655
    microturbulence: tuple[float, float, float] = (2.53, -0.186, -0.169)
    macroturbulence: float = 2.5
    carbon_isotope_ratio: float = 30.0
    strength_offset: tuple[tuple[str, float], ...] = (
        ("atoms", -0.15),
        ("H", -0.09),
        ("CN", -0.25),
        ("CO", -0.32),
        ("OH", -0.275),
        ("C2", -0.29),
        ("Ce", -0.4),
    )
    continuum_clip: float = 1.566
    damping_scale: float = 0.82
    stark_width: float = 19.7


DEFAULT_PHYSICS = Physics()


def composition(
    m_h: ArrayLike, alpha_m: ArrayLike = 0.0, abundances: Mapping[str, ArrayLike] | None = None
) -> dict[str, np.ndarray]:
    """Number of atoms per hydrogen nucleus of every element, a dict symbol -> (N,).

    Solar (Asplund et al. 2009) shifted by `m_h`, the alpha elements also by `alpha_m`; `abundances` gives [X/M] of
    single elements, which replaces what alpha_m would give. Raises ValueError for an unknown element.
    """
    m_h = np.asarray(m_h, dtype=float)
    overrides = dict(abundances or {})
    if unknown := sorted(set(overrides) - set(ELEMENTS) - {"Eu"}):
        raise ValueError(f"abundances of {', '.join(unknown)} given, but the model knows only {', '.join(ELEMENTS)}")
    numbers = {}
    for symbol, element in ELEMENTS.items():
        pattern = overrides.get(symbol, alpha_m if symbol in ALPHA_ELEMENTS else 0.0)
        shift = 0.0 if symbol in ("H", "He") else m_h + pattern
        numbers[symbol] = 10.0 ** (element.abundance - 12.0 + np.broadcast_to(shift, m_h.shape))
    return numbers


def _temperature_structure(teff: np.ndarray, rosseland_tau: np.ndarray) -> np.ndarray:
    """Temperature in K at a Rosseland optical depth: gray, with an approximation to Hopf's function (Gray 2005)."""
    hopf = 0.7104 - 0.1331 * np.exp(-3.4488 * rosseland_tau)
    return teff * (0.75 * (rosseland_tau + hopf)) ** 0.25


@dataclass(frozen=True)
class Structure:
    """Atmospheres of N stars at K depths, arrays (N, K) in cgs units.

    `tau` continuous optical depth at 1.6 micron, `temperature`, `hydrogen` nuclei and `electrons` per cm^3, `opacity`
    continuous absorption per hydrogen nucleus in cm^2.
    """

    tau: np.ndarray
    temperature: np.ndarray
    hydrogen: np.ndarray
    electrons: np.ndarray
    opacity: np.ndarray


def _gas(
    temperature: np.ndarray, pressure: np.ndarray, abundances: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hydrogen nuclei, electrons (cm^-3) and 1.6 micron opacity per nucleus (cm^2) of gas at a pressure (dyn cm^-2)."""
    per_nucleus = sum(abundances.values())
    molecular_fraction = 0.0
    for _ in range(3):
        hydrogen = pressure / (BOLTZMANN * temperature) / (per_nucleus - 0.5 * molecular_fraction)
        atoms = hydrogen_atoms(temperature, hydrogen)
        molecular_fraction = 1.0 - atoms / hydrogen
    electrons = electron_density(temperature, hydrogen, abundances)
    opacity = h_minus_opacity(1.6, temperature) * electrons * BOLTZMANN * temperature * atoms / hydrogen
    return hydrogen, electrons, opacity


def structure(
    teff: np.ndarray,
    logg: np.ndarray,
    abundances: Mapping[str, np.ndarray],
    physics: Physics = DEFAULT_PHYSICS,
    step: float = 0.2,
) -> Structure:
    """Integrate hydrostatic equilibrium inwards on a grid of log tau with spacing `step`: the Structure of N stars.

    dP / dtau = g / kappa, with the Rosseland depth that sets the temperature integrated alongside.
    """
    log_tau = np.arange(-5.0, physics.log_tau[-1] + step, step)
    gravity = 10.0 ** np.asarray(logg, dtype=float)
    mass_per_nucleus = sum(abundances[e] * ELEMENTS[e].mass for e in abundances) * ATOMIC_MASS_UNIT
    rosseland = np.full_like(gravity, 10.0 ** log_tau[0])
    temperature = _temperature_structure(teff, rosseland)
    pressure = np.ones_like(gravity)
    for _ in range(20):
        opacity = _gas(temperature, pressure, abundances)[2]
        pressure = np.sqrt(pressure * gravity * mass_per_nucleus * 10.0 ** log_tau[0] / opacity)
    columns = []
    for growth in np.diff(10.0**log_tau, append=0.0):
        temperature = _temperature_structure(teff, rosseland)
        hydrogen, electrons, opacity = _gas(temperature, pressure, abundances)
        columns.append(np.log([temperature, hydrogen, electrons, opacity]))
        pressure = pressure + growth * gravity * mass_per_nucleus / opacity
        rosseland = rosseland + growth * physics.rosseland_scale * rosseland_to_h_band(temperature)
    at_nodes = interp1d(log_tau, np.stack(columns, axis=-1), axis=-1)(np.array(physics.log_tau))
    return Structure(10.0 ** np.array(physics.log_tau), *np.exp(at_nodes))


def populations(layers: Structure, abundances: Mapping[str, np.ndarray], species: Sequence[str]) -> np.ndarray:
    """ln of absorbers per hydrogen nucleus and unit partition function, shape (S, N, K), for S species.

    Atoms follow the Saha equation; carbon, nitrogen, oxygen and the molecules CO, CN, OH, C2 chemical equilibrium.
    """
    temperature = layers.temperature
    columns = {element: number[:, None] for element, number in abundances.items()}
    free_or_bound = molecular_equilibrium(temperature, layers.hydrogen, columns)
    result = []
    for name in species:
        element, _, stage = name.partition(" ")
        if not stage:
            number = free_or_bound[name] / layers.hydrogen
            result.append(np.log(number / molecular_partition_function(name, temperature)))
            continue
        ion = {"I": 0, "II": 1}[stage]
        ratio = saha(element, temperature) / layers.electrons
        neutral = free_or_bound[element] / layers.hydrogen if element in "CNO" else columns[element] / (1.0 + ratio)
        result.append(np.log(neutral * ratio**ion / partition_function(element, ion, temperature)))
    return np.stack(result)
