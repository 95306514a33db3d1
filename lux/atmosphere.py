"""Synthetic APOGEE spectra of red giants: a grey-like atmosphere in hydrostatic equilibrium, LTE, a few depth points.

The depth variable is the continuous optical depth at 1.6 micron. NumPy computes the structure and the populations at
the depth points (small); JAX computes line opacities, the emergent flux and the instrument profile (large), in
blocks of stars so that memory stays bounded.
"""

from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import interp1d

from lux.equilibrium import (
    ALPHA_ELEMENTS,
    ATOMIC_MASS_UNIT,
    BOLTZMANN,
    BOLTZMANN_EV,
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
from lux.instrument import N_PIXELS, PIXEL_KMS, LineSpreadFunction, pixel_of
from lux.lines import load_lines


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Global constants of the model atmosphere; those marked (c) were calibrated on half of the DR10 giants."""

    log_tau: tuple = (-4.0, -3.2, -2.5, -1.9, -1.3, -0.8, -0.35, 0.1, 0.6)
    surface_cooling: float = 0.05
    cooling_onset: float = -1.0
    rosseland_scale: float = 0.6
    microturbulence_scale: float = 1.0
    macroturbulence_kms: float = 3.0
    carbon_isotope_ratio: float = 15.0
    damping_scale: float = 1.0


DEFAULT_PHYSICS = Physics()
ISOTOPE_FRACTION = {"17O": 1 / 2700, "18O": 1 / 500, "15N": 1 / 270}

OVERSAMPLING = 3
STEP_KMS = PIXEL_KMS / OVERSAMPLING
_MARGIN = 24
_GRID_SIZE = OVERSAMPLING * N_PIXELS + 2 * _MARGIN
_DOPPLER_TAPS = 6
_PHOTON_TEMPERATURE = 1.4388e4 / 1.6
_LINE_ABSORPTION = 0.026540 * 1e-5 * 1e-8
_RAY = 2.0 / 3.0


def default_microturbulence(logg):
    """Microturbulence in km/s of giants, 2.24 - 0.3 logg (Meszaros et al. 2013), kept between 0.8 and 2.6."""
    return np.clip(2.24 - 0.3 * np.asarray(logg, dtype=float), 0.8, 2.6)


def composition(m_h, alpha_m=0.0, abundances=None):
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


def temperature_structure(teff, rosseland_tau, physics=DEFAULT_PHYSICS):
    """Temperature in K at a Rosseland optical depth: grey with an approximate Hopf function, cooled at the surface."""
    hopf = 0.7104 - 0.1331 * np.exp(-3.4488 * rosseland_tau)
    grey = teff * (0.75 * (rosseland_tau + hopf)) ** 0.25
    above_onset = np.logaddexp(0.0, 3.0 * (physics.cooling_onset - np.log10(rosseland_tau))) / 3.0
    return grey * (1.0 - physics.surface_cooling * above_onset)


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


def _gas(temperature, pressure, abundances):
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


def structure(teff, logg, abundances, physics=DEFAULT_PHYSICS, step=0.2):
    """Integrate hydrostatic equilibrium inwards on a grid of log tau with spacing `step`: the Structure of N stars.

    dP / dtau = g / kappa, with the Rosseland depth that sets the temperature integrated alongside.
    """
    log_tau = np.arange(-5.0, physics.log_tau[-1] + step, step)
    gravity = 10.0 ** np.asarray(logg, dtype=float)
    mass_per_nucleus = sum(abundances[e] * ELEMENTS[e].mass for e in abundances) * ATOMIC_MASS_UNIT
    rosseland = np.full_like(gravity, 10.0 ** log_tau[0])
    temperature = temperature_structure(teff, rosseland, physics)
    pressure = np.ones_like(gravity)
    for _ in range(20):
        opacity = _gas(temperature, pressure, abundances)[2]
        pressure = np.sqrt(pressure * gravity * mass_per_nucleus * 10.0 ** log_tau[0] / opacity)
    columns = []
    for growth in np.diff(10.0**log_tau, append=0.0):
        temperature = temperature_structure(teff, rosseland, physics)
        hydrogen, electrons, opacity = _gas(temperature, pressure, abundances)
        columns.append(np.log([temperature, hydrogen, electrons, opacity]))
        pressure = pressure + growth * gravity * mass_per_nucleus / opacity
        rosseland = rosseland + growth * physics.rosseland_scale * rosseland_to_h_band(temperature)
    at_nodes = interp1d(log_tau, np.stack(columns, axis=-1), axis=-1)(np.array(physics.log_tau))
    return Structure(10.0 ** np.array(physics.log_tau), *np.exp(at_nodes))


def populations(layers, abundances, species):
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


@dataclass(frozen=True)
class _LineData:
    """Lines prepared for the fine velocity grid: species index, ln strength constant, excitation, cells, weights."""

    species_names: tuple
    species: np.ndarray
    constant: np.ndarray
    excitation: np.ndarray
    cell: np.ndarray
    weight: np.ndarray


def _isotope_fraction(isotope, physics):
    """Fraction of a molecule that is of one isotopologue, such as "13C16O"; main isotopes of N, O, H count fully."""
    heavy = 1.0 / (1.0 + physics.carbon_isotope_ratio)
    fraction = heavy ** isotope.count("13C") * (1.0 - heavy) ** isotope.count("12C")
    fraction *= 2.0 if isotope == "12C13C" else 1.0
    for name, share in ISOTOPE_FRACTION.items():
        fraction *= share if name in isotope else 1.0
    return fraction


def _line_constant(lines, physics):
    """ln of the absorption per absorber and unit partition function at zero excitation, spread over a velocity cell."""
    names, index = np.unique(lines.isotope, return_inverse=True)
    fraction = np.array([_isotope_fraction(str(name), physics) for name in names])[index]
    return np.log(_LINE_ABSORPTION * lines.wavelength * fraction / STEP_KMS) + np.log(10.0) * lines.log_gf


def _prepare(lines, physics):
    usable = lines[np.isfinite(lines.log_gf) & (lines.element != "H")]
    names, species = np.unique(usable.species, return_inverse=True)
    position = OVERSAMPLING * pixel_of(usable.wavelength) + _MARGIN
    cell = np.floor(position).astype(int)
    inside = (cell >= 0) & (cell < _GRID_SIZE - 1)
    constant = _line_constant(usable, physics)
    return _LineData(
        tuple(str(name) for name in names), species[inside], constant[inside].astype(np.float32),
        usable.excitation[inside].astype(np.float32), cell[inside], (position - cell)[inside].astype(np.float32),
    )


def _depth_weights(log_tau):
    """Weights (K, 2) that add opacity ratios at the two ends of each interval into optical depth, linear in ln tau."""
    tau, ln_tau = 10.0**log_tau, np.log(10.0) * log_tau
    spacing = np.diff(ln_tau)
    upper = np.diff(tau) / spacing
    weights = np.stack([upper - tau[:-1], tau[1:] - upper], axis=1)
    return np.concatenate([[[0.0, tau[0]]], weights]).astype(np.float32)


@partial(jax.jit, static_argnames=("n_taps",))
def _flux_block(constant, excitation, cell, weight, species, population, beta, doppler, source, depth, lsf, n_taps):
    """Normalised flux (8575, B) of B stars; population (S, B, K), beta (B, K) = 1/kT, doppler (B, K) in cells."""
    n_stars, n_depths = beta.shape
    strength = jnp.exp(constant[:, None, None] + population[species] - excitation[:, None, None] * beta)
    cells = jnp.zeros((_GRID_SIZE, n_stars, n_depths), dtype=strength.dtype)
    cells = cells.at[cell].add(strength * (1.0 - weight)[:, None, None], indices_are_sorted=True)
    cells = cells.at[cell + 1].add(strength * weight[:, None, None], indices_are_sorted=True)
    taps = jnp.arange(-_DOPPLER_TAPS, _DOPPLER_TAPS + 1, dtype=strength.dtype)[:, None, None]
    profile = jnp.exp(-((taps / doppler) ** 2))
    profile = profile / profile.sum(0)
    padded = jnp.pad(cells, ((_DOPPLER_TAPS, _DOPPLER_TAPS), (0, 0), (0, 0)))
    opacity = 1.0
    for tap in range(2 * _DOPPLER_TAPS + 1):
        opacity = opacity + profile[tap] * jax.lax.slice_in_dim(padded, tap, tap + _GRID_SIZE, axis=0)
    emergent = _emergent(opacity, source, depth)
    continuum = _emergent(jnp.ones((1, n_stars, n_depths), dtype=strength.dtype), source, depth)
    residual = emergent / continuum
    start = _MARGIN - n_taps
    flux = 0.0
    for tap in range(2 * n_taps + 1):
        sample = jax.lax.slice_in_dim(residual, start + tap, start + tap + OVERSAMPLING * N_PIXELS - 2, OVERSAMPLING)
        flux = flux + lsf[tap][:, None] * sample
    return flux


def _emergent(opacity, source, depth):
    """Flux along one ray at mu = 2/3 through layers whose source function is linear in optical depth between nodes."""
    tau = depth[0, 1] * opacity[..., 0]
    transmission = jnp.exp(-tau / _RAY)
    flux = source[..., 0]
    for index in range(1, opacity.shape[-1]):
        growth = depth[index, 0] * opacity[..., index - 1] + depth[index, 1] * opacity[..., index]
        tau = tau + growth
        deeper = jnp.exp(-tau / _RAY)
        mean = jnp.where(growth < 1e-3, deeper, (transmission - deeper) * _RAY / jnp.maximum(growth, 1e-3))
        flux = flux + (source[..., index] - source[..., index - 1]) * mean
        transmission = deeper
    return flux


def _lsf_kernel(spread, macroturbulence_kms):
    """Gaussian kernels (2 T + 1, 8575) on the fine grid with unit sum, macroturbulence added in quadrature; and T."""
    sigma = np.hypot(spread.sigma_kms(), macroturbulence_kms) / STEP_KMS
    n_taps = min(int(np.ceil(3.5 * sigma.max())), _MARGIN)
    kernel = np.exp(-0.5 * (np.arange(-n_taps, n_taps + 1)[:, None] / sigma) ** 2)
    return (kernel / kernel.sum(0)).astype(np.float32), n_taps


@cache
def _default_lines():
    return load_lines()


def line_strength(teff, logg, m_h, alpha_m=0.0, lines=None, physics=DEFAULT_PHYSICS):
    """How strongly each line absorbs in each star, shape (N, L): line-centre over continuous opacity.

    The largest value over the depth points, those above the continuum-forming layer weighted down by their optical
    depth; saturation is not included. Lines without log_gf get 0.
    """
    lines = load_lines() if lines is None else lines
    teff, logg, m_h = (np.atleast_1d(np.asarray(value, dtype=float)) for value in (teff, logg, m_h))
    numbers = composition(m_h, np.asarray(alpha_m, dtype=float), None)
    layers = structure(teff, logg, numbers, physics)
    names, species = np.unique(lines.species, return_inverse=True)
    population = populations(layers, numbers, [str(name) for name in names])
    visibility = np.log(np.minimum(1.0, 1.5 * layers.tau) / layers.opacity)
    constant = _line_constant(lines, physics)
    best = np.zeros((len(teff), len(lines)))
    for depth in np.flatnonzero((layers.tau > 0.005) & (layers.tau < 2.0)):
        energy = lines.excitation / (BOLTZMANN_EV * layers.temperature[:, depth, None])
        opacity = np.exp(constant + (population + visibility)[species, :, depth].T - energy)
        best = np.fmax(best, opacity)
    return best


def synthesize(
    teff, logg, m_h, alpha_m=0.0, abundances=None, microturbulence=None, *,
    lines=None, spread=None, physics=DEFAULT_PHYSICS, block=32,
):
    """Continuum-normalised spectra of N stars on the APOGEE grid, shape (N, 8575), float32."""
    teff, logg, m_h = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=float)) for x in (teff, logg, m_h)))
    alpha_m = np.broadcast_to(np.asarray(alpha_m, dtype=float), teff.shape)
    numbers = composition(m_h, alpha_m, abundances)
    if microturbulence is None:
        microturbulence = default_microturbulence(logg) * physics.microturbulence_scale
    turbulence = np.broadcast_to(np.asarray(microturbulence, dtype=float), teff.shape)
    data = _prepare(_default_lines() if lines is None else lines, physics)
    layers = structure(teff, logg, numbers, physics)
    population = populations(layers, numbers, data.species_names)
    emission = np.log(-np.expm1(-_PHOTON_TEMPERATURE / layers.temperature) / layers.opacity)
    population = (population + emission).astype(np.float32)
    beta = (1.0 / (BOLTZMANN_EV * layers.temperature)).astype(np.float32)
    thermal = 2.0 * BOLTZMANN * layers.temperature / (35.0 * ATOMIC_MASS_UNIT) * 1e-10
    doppler = (np.sqrt(thermal + turbulence[:, None] ** 2) / STEP_KMS).astype(np.float32)
    source = (1.0 / np.expm1(_PHOTON_TEMPERATURE / layers.temperature)).astype(np.float32)
    depth = _depth_weights(np.array(physics.log_tau))
    kernel, n_taps = _lsf_kernel(spread or LineSpreadFunction(), physics.macroturbulence_kms)
    flux = np.empty((len(teff), N_PIXELS), dtype=np.float32)
    for first in range(0, len(teff), block):
        chosen = np.minimum(np.arange(first, first + block), len(teff) - 1)
        part = _flux_block(
            data.constant, data.excitation, data.cell, data.weight, data.species, population[:, chosen],
            beta[chosen], doppler[chosen], source[chosen], depth, kernel, n_taps=n_taps,
        )
        flux[first : first + block] = np.asarray(part).T[: len(teff) - first]
    return flux
