"""Synthetic APOGEE spectra of red giants: LTE line formation in a few layers, instrument profile, pseudo-continuum.

Line opacities at the depth points are laid on a velocity grid three times finer than the pixels, added up into optical
depth, and integrated along one ray; the emergent flux is convolved with the instrument profile and normalized as a
pipeline would. JAX does this in blocks of stars, so that memory stays bounded. The layers come from
`lux.simulation.layers`. The module is long because it is one computation, from opacity to continuum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike
from scipy import constants

from lux.jax_settings import own_settings
from lux.simulation.equilibrium import ATOMIC_MASS_UNIT, BOLTZMANN, BOLTZMANN_EV, SECOND_RADIATION
from lux.simulation.layers import DEFAULT_PHYSICS, Physics, composition, populations, structure
from lux.spectroscopy.instrument import LINE_SIGMA_KMS, N_PIXELS, PIXEL_KMS, chip_ranges, pixel_of
from lux.spectroscopy.lines import LineList, load_lines

_Arrays = dict[str, np.ndarray]
_Traced = dict[str, Array]
# Of each chip the first and last pixel that it is nearest to, and its first and last lit pixel.
_Chips = tuple[tuple[int, int, int, int], ...]

_ISOTOPE_FRACTION = {"17O": 1 / 2700, "18O": 1 / 500, "15N": 1 / 270}

_OVERSAMPLING = 3
_STEP_KMS = PIXEL_KMS / _OVERSAMPLING
_BLOCK = 64

_MARGIN = 192
_GRID_SIZE = _OVERSAMPLING * N_PIXELS + 2 * _MARGIN
_DOPPLER_TAPS = 5
_WING_REACH = 150
_WING_CORE = 3.0
_N_WINGED = 150
_PHOTON_TEMPERATURE = SECOND_RADIATION / 1.6
# Integrated absorption pi r_e c times lambda / c, r_e the classical electron radius: cm^2 km/s for lambda in Angstrom.
_ELECTRON_RADIUS = constants.physical_constants["classical electron radius"][0]
_LINE_ABSORPTION = np.pi * _ELECTRON_RADIUS * constants.c * 1e4 / constants.kilo * constants.angstrom
_RAY = 2.0 / 3.0
_THERMAL_MASS = 35.0
_CONTINUUM_ORDER, _CONTINUUM_ITERATIONS, _CONTINUUM_CLIP_ABOVE = 4, 10, 3.0


def _microturbulence(logg: np.ndarray, m_h: np.ndarray, physics: Physics) -> np.ndarray:
    """Microturbulence in km/s, linear in logg and [M/H], kept between 0.3 and 4."""
    constant, with_logg, with_m_h = physics.microturbulence
    return np.clip(constant + with_logg * np.asarray(logg) + with_m_h * np.asarray(m_h), 0.3, 4.0)


@dataclass(frozen=True)
class _LineData:
    """Lines laid on the velocity grid: ln strength, excitation, species, cell and share of the next cell.

    The lines with wings come again, with a kernel (M, 2 reach + 1) each and ln of their damping width (0 for hydrogen,
    whose kernel is the whole profile).
    """

    names: tuple[str, ...]
    narrow: _Arrays
    winged: _Arrays


def _isotope_fraction(isotope: str, physics: Physics) -> float:
    """Fraction of a molecule that is of one isotopologue, such as "13C16O"; main isotopes of N, O, H count fully."""
    heavy = 1.0 / (1.0 + physics.carbon_isotope_ratio)
    fraction = heavy ** isotope.count("13C") * (1.0 - heavy) ** isotope.count("12C")
    fraction *= 2.0 if isotope == "12C13C" else 1.0
    for name, share in _ISOTOPE_FRACTION.items():
        fraction *= share if name in isotope else 1.0
    return fraction


def _line_constant(lines: LineList, physics: Physics) -> np.ndarray:
    """ln of the absorption per absorber and unit partition function at zero excitation, in one velocity cell."""
    names, index = np.unique(lines.isotope, return_inverse=True)
    fraction = np.array([_isotope_fraction(str(name), physics) for name in names])[index]
    offsets = dict(physics.strength_offset)
    offset = np.array([offsets.get(str(element), offsets["atoms"]) for element in lines.element])
    return np.log(_LINE_ABSORPTION * lines.wavelength * fraction / _STEP_KMS) + np.log(10.0) * (lines.log_gf + offset)


def _wing_kernel(lines: LineList, cells: np.ndarray, stark_width: float) -> np.ndarray:
    """Wing profiles (M, 2 reach + 1) per cell: Lorentzian wings outside a soft core; the whole profile for hydrogen.

    Hydrogen has a Lorentzian of half width growing as n^2 (linear Stark effect), `stark_width` km/s at Brackett 11-4.
    """
    offset = np.arange(-_WING_REACH, _WING_REACH + 1) - cells[:, None]
    upper_level = 1.0 / np.sqrt(1.0 / 16.0 - 911.763 / lines.wavelength)
    stark = np.where(lines.element == "H", stark_width * (upper_level / 11.0) ** 2 / _STEP_KMS, 1.0)[:, None]
    hydrogen = stark / np.pi / (offset**2 + stark**2)
    return np.where(lines.element[:, None] == "H", hydrogen, 1.0 / np.pi / (offset**2 + _WING_CORE**2))


def _winged_lines(lines: LineList) -> np.ndarray:
    """Indices of hydrogen and of the strongest atomic lines with a known van der Waals width."""
    reference = line_strength([4300.0, 4700.0], [1.7, 2.5], [0.0, 0.3], lines=lines).max(axis=0)
    reference = np.where((lines.damping < 0) & (lines.element != "H"), reference, 0.0)
    strongest = np.argsort(reference)[::-1][: min(_N_WINGED, np.count_nonzero(reference > 1.0))]
    return np.sort(np.concatenate([np.flatnonzero(lines.element == "H"), strongest]))


def _prepare(lines: LineList, physics: Physics) -> _LineData:
    """The _LineData of a LineList; lines without log_gf or off the grid are left out."""
    position = _OVERSAMPLING * pixel_of(lines.wavelength) + _MARGIN
    usable = np.isfinite(lines.log_gf) & (position > _WING_REACH) & (position < _GRID_SIZE - _WING_REACH - 2)
    lines, position = lines[usable], position[usable]
    names, species = np.unique(lines.species, return_inverse=True)
    cell = np.floor(position).astype(np.int32)
    constant = _line_constant(lines, physics)
    winged = _winged_lines(lines)
    damping = lines.damping + np.log10(physics.damping_scale * lines.wavelength * 1e-13 / (4.0 * np.pi * _STEP_KMS))
    damping = np.where(lines.element == "H", 0.0, np.log(10.0) * damping)
    narrow = np.flatnonzero(lines.element != "H")

    def part(chosen: np.ndarray, **extra: np.ndarray) -> _Arrays:
        columns = {"constant": constant, "excitation": lines.excitation} | extra
        columns = {name: values[chosen].astype(float) for name, values in columns.items()}
        return columns | {"species": species[chosen].astype(np.int32), "cell": cell[chosen]}

    return _LineData(
        tuple(str(name) for name in names),
        part(narrow, share=position - cell),
        part(winged, damping=damping, broadened=lines.element != "H")
        | {"kernel": _wing_kernel(lines[winged], (position - cell)[winged], physics.stark_width).astype(float)},
    )


def _depth_weights(log_tau: np.ndarray) -> np.ndarray:
    """Weights (K, 2) that turn the opacity ratios at both ends of an interval into optical depth, linear in ln tau."""
    tau = 10.0**log_tau
    mean = np.diff(tau) / (np.log(10.0) * np.diff(log_tau))
    weights = np.stack([mean - tau[:-1], tau[1:] - mean], axis=1)
    return np.concatenate([[[0.0, tau[0]]], weights])


def _strength(part: _Traced, population: Array, beta: Array) -> Array:
    """Line strengths (L, B) in continuous opacities times cells."""
    return jnp.exp(part["constant"][:, None] + population[part["species"]] - part["excitation"][:, None] * beta)


def _layer_opacity(narrow: _Traced, winged: _Traced, layer: _Traced) -> Array:
    """Total over continuous opacity (G, B) at one depth: Doppler cores of all lines and wings of the strong ones."""
    population, beta = layer["population"], layer["beta"]
    strength = _strength(narrow, population, beta)
    cells = jnp.zeros((_GRID_SIZE, beta.shape[0]), dtype=strength.dtype)
    for share, cell in ((1.0 - narrow["share"], narrow["cell"]), (narrow["share"], narrow["cell"] + 1)):
        cells = cells.at[cell].add(strength * share[:, None], indices_are_sorted=True)
    taps = jnp.arange(-_DOPPLER_TAPS, _DOPPLER_TAPS + 1, dtype=strength.dtype)[:, None]
    profile = jnp.exp(-((taps / layer["doppler"]) ** 2))
    profile = profile / profile.sum(axis=0)
    padded = jnp.pad(cells, ((_DOPPLER_TAPS, _DOPPLER_TAPS), (0, 0)))
    opacity = 1.0 + sum(
        (profile[tap] * jax.lax.slice_in_dim(padded, tap, tap + _GRID_SIZE) for tap in range(2 * _DOPPLER_TAPS + 1)),
        jnp.zeros_like(cells),
    )
    if winged["cell"].size == 0:
        return opacity
    width = jnp.exp(winged["damping"][:, None] + winged["broadened"][:, None] * layer["perturbers"])
    wings = _strength(winged, population, beta) * width

    def add_wing(line: Array, total: Array) -> Array:
        first = (winged["cell"][line] - _WING_REACH, jnp.int32(0))
        window = jax.lax.dynamic_slice(total, first, (2 * _WING_REACH + 1, total.shape[1]))
        window = window + winged["kernel"][line][:, None] * wings[line]
        return jax.lax.dynamic_update_slice(total, window, first)

    return jax.lax.fori_loop(0, wings.shape[0], add_wing, opacity)


def _emergent(opacities: Array, source: Array, weights: Array) -> Array:
    """Flux (G, B) along one ray at mu = 2/3, the source function linear in optical depth between the depth points.

    `opacities` are (K, G, B), from the surface inwards, `source` (K, B) and `weights` (K, 2). The loop is unrolled: a
    cell's ray is one pass over memory.
    """
    zeros = jnp.zeros(opacities.shape[1:], dtype=source.dtype)
    # Above the first point the source function is constant: it enters whole, not as a difference.
    tau, transmission, flux, opacity_above, source_above = zeros, zeros + 1.0, zeros + source[0], zeros, source[0]
    for index, opacity in enumerate(opacities):
        growth = weights[index, 0] * opacity_above + weights[index, 1] * opacity
        tau = tau + growth
        deeper = jnp.exp(-tau / _RAY)
        mean = jnp.where(growth < 1e-3, deeper, (transmission - deeper) * _RAY / jnp.maximum(growth, 1e-3))
        flux = flux + (source[index] - source_above) * mean
        transmission, opacity_above, source_above = deeper, opacity, source[index]
    return flux


def _pseudo_continuum(flux: Array, basis: Array, chips: _Chips, clip_below: float) -> Array:
    """Pseudo-continuum (8575, B): per chip a polynomial through the pixels that survive asymmetric sigma clipping."""
    order = _CONTINUUM_ORDER + 1
    pieces = []
    for first, last, inner_first, inner_last in chips:
        values, terms = flux[inner_first:inner_last], basis[inner_first:inner_last]
        products = (terms[:, :, None] * terms[:, None, :]).reshape(-1, order * order)

        def refit(
            _: int,
            weight: Array,
            values: Array = values,
            terms: Array = terms,
            products: Array = products,
        ) -> Array:
            residual = values - terms @ _solve(weight, values, terms, products)
            std = jnp.sqrt((weight * residual**2).sum(0) / weight.sum(0))
            kept = (residual > -clip_below * std) & (residual < _CONTINUUM_CLIP_ABOVE * std)
            return kept.astype(values.dtype)

        weight = jax.lax.fori_loop(0, _CONTINUUM_ITERATIONS - 1, refit, jnp.ones_like(values))
        pieces.append(basis[first:last] @ _solve(weight, values, terms, products))
    return jnp.concatenate(pieces)


def _solve(weight: Array, values: Array, terms: Array, products: Array) -> Array:
    """Coefficients (order, B) of the weighted polynomial fit."""
    order = terms.shape[1]
    normal = (weight.T @ products).reshape(-1, order, order)
    return jnp.linalg.solve(normal, ((weight * values).T @ terms)[..., None])[..., 0].T


def _continuum_basis(release: str) -> tuple[np.ndarray, _Chips]:
    """Chebyshev polynomials (8575, order + 1) per chip, and per chip (first, last, first and last lit pixel).

    Pixels in a gap belong to the nearer chip and take the value at its edge.
    """
    ranges = list(chip_ranges(release).values())
    edges = [0, *((ranges[i][1] + ranges[i + 1][0]) // 2 for i in range(2)), N_PIXELS]
    pixel = np.arange(N_PIXELS)
    position = np.concatenate(
        [
            np.clip(2.0 * (pixel[edges[i] : edges[i + 1]] - first) / (last - 1 - first) - 1.0, -1.0, 1.0)
            for i, (first, last) in enumerate(ranges)
        ]
    )
    basis = np.polynomial.chebyshev.chebvander(position, _CONTINUUM_ORDER)
    return basis, tuple((edges[i], edges[i + 1], *ranges[i]) for i in range(3))


@partial(jax.jit, static_argnames=("chips",))
def _flux_block(
    narrow: _Traced,
    winged: _Traced,
    stars: _Traced,
    weights: Array,
    kernel: Array,
    basis: Array,
    clip_below: float,
    chips: _Chips,
) -> Array:
    """Flux (8575, B) of the B stars of a block; the arrays of `stars` are (K, B), its populations (K, S, B)."""
    opacities = jax.lax.map(partial(_layer_opacity, narrow, winged), stars)
    n_depths, _, n_stars = opacities.shape
    emergent = _emergent(opacities, stars["source"], weights)
    residual = emergent / _emergent(jnp.ones((n_depths, 1, n_stars)), stars["source"], weights)
    reach = kernel.shape[0] // 2
    flux = jnp.zeros((N_PIXELS, n_stars), residual.dtype)
    for tap in range(kernel.shape[0]):
        start = _MARGIN - reach + tap
        sample = jax.lax.slice_in_dim(residual, start, start + _OVERSAMPLING * (N_PIXELS - 1) + 1, _OVERSAMPLING)
        flux = flux + kernel[tap] * sample
    return flux / _pseudo_continuum(flux, basis, chips, clip_below) if chips else flux


def _lsf_kernel(macroturbulence: float) -> np.ndarray:
    """Gaussian kernel (2 T + 1,) on the fine grid with unit sum, macroturbulence added in quadrature."""
    sigma = np.hypot(LINE_SIGMA_KMS, macroturbulence) / _STEP_KMS
    reach = min(int(np.ceil(3.5 * sigma)), _MARGIN)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def line_strength(
    teff: ArrayLike,
    logg: ArrayLike,
    m_h: ArrayLike,
    alpha_m: ArrayLike = 0.0,
    lines: LineList | None = None,
    physics: Physics = DEFAULT_PHYSICS,
) -> np.ndarray:
    """How strongly each line absorbs in each star, shape (N, L): line-center over continuous opacity.

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


def _star_columns(
    teff: np.ndarray,
    logg: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    microturbulence: np.ndarray,
    names: Sequence[str],
    physics: Physics,
) -> _Arrays:
    """What the line formation needs of every star at every depth: arrays (K, N), populations (K, S, N)."""
    layers = structure(teff, logg, numbers, physics)
    temperature = layers.temperature
    emission = np.log(-np.expm1(-_PHOTON_TEMPERATURE / temperature) / layers.opacity)
    thermal = 2.0 * BOLTZMANN * temperature / (_THERMAL_MASS * ATOMIC_MASS_UNIT) * 1e-10
    columns = {
        "population": np.transpose(populations(layers, numbers, names) + emission, (2, 0, 1)),
        "beta": (1.0 / (BOLTZMANN_EV * temperature)).T,
        "doppler": (np.sqrt(thermal + microturbulence[:, None] ** 2) / _STEP_KMS).T,
        "perturbers": (np.log(layers.hydrogen) + 0.3 * np.log(temperature / 1e4)).T,
        "source": (1.0 / np.expm1(_PHOTON_TEMPERATURE / temperature)).T,
    }
    return {name: np.ascontiguousarray(values, dtype=float) for name, values in columns.items()}


def synthesize(
    teff: ArrayLike,
    logg: ArrayLike,
    m_h: ArrayLike,
    alpha_m: ArrayLike = 0.0,
    abundances: Mapping[str, ArrayLike] | None = None,
    *,
    lines: LineList | None = None,
    release: str = "dr17",
    pseudo_continuum: bool = True,
    physics: Physics = DEFAULT_PHYSICS,
) -> np.ndarray:
    """Continuum-normalized spectra of N giants on the APOGEE grid: flux (N, 8575), float32.

    Parameters
    ----------
    teff, logg, m_h, alpha_m : (N,) or scalar
        Effective temperature (K), log10 of gravity (cm s^-2), [M/H], and [alpha/M] of O, Mg, Si, S, Ca, Ti.
    abundances : dict element -> (N,) or scalar, optional
        [X/M] of single elements, in place of 0 or `alpha_m`. Eu is accepted and changes nothing: it has no line here.
    lines : LineList, optional
        Other lines than `load_lines()`; a planted line is a line in this list.
    release : str
        Whose chip limits to use.
    pseudo_continuum : bool
        Divide by a clipped polynomial per chip as ASPCAP does, which lifts the spectra of metal-rich stars above their
        true continuum; False gives flux over true continuum, at most 1.
    physics : Physics

    Raises
    ------
    ValueError
        For an unknown element, shapes that do not match, or labels outside 3000-6500 K, -1 to 5 dex.
    """
    columns = (teff, logg, m_h, alpha_m)
    teff, logg, m_h, alpha_m = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=float)) for x in columns))
    _check_range("teff", teff, 3000.0, 6500.0)
    _check_range("logg", logg, -1.0, 5.0)
    _check_range("m_h", m_h, -5.0, 1.5)
    data = _prepare(load_lines() if lines is None else lines, physics)
    microturbulence = _microturbulence(logg, m_h, physics)
    stars = _star_columns(teff, logg, composition(m_h, alpha_m, abundances), microturbulence, data.names, physics)
    weights = _depth_weights(np.array(physics.log_tau))
    kernel = _lsf_kernel(physics.macroturbulence)
    basis, chips = _continuum_basis(release)
    flux = np.empty((len(teff), N_PIXELS), dtype=np.float32)
    for first in range(0, len(teff), _BLOCK):
        # The last block repeats its last star, so that every block has one shape and is compiled once.
        chosen = np.minimum(np.arange(first, first + _BLOCK), len(teff) - 1)
        part = {name: values[..., chosen] for name, values in stars.items()}
        clip_below, chips_used = physics.continuum_clip, chips if pseudo_continuum else ()
        with own_settings(double=True):
            spectra = _flux_block(data.narrow, data.winged, part, weights, kernel, basis, clip_below, chips=chips_used)
        flux[first : first + _BLOCK] = np.asarray(spectra).T[: len(teff) - first]
    return flux


def _check_range(name: str, values: np.ndarray, lowest: float, highest: float) -> None:
    """Raise ValueError unless every value is finite and in range."""
    wrong = ~((values >= lowest) & (values <= highest))
    if wrong.any():
        star = int(np.argmax(wrong))
        raise ValueError(f"{name} of star {star} is {values[star]}; the model holds from {lowest} to {highest}")
