"""How strong planted lines are, in the units of a spectroscopist: depth and equivalent width at mean abundance.

A world states the change of flux per standard deviation of [Eu/Fe]. Where t is the optical depth of a line at the mean
abundance and s that standard deviation, the depth is 1 - exp(-t) and the change about t exp(-t) s ln 10: in the disc,
where s ln 10 is 0.3, a line is some three times as deep as it changes.
"""

import dataclasses

import numpy as np

from lux.simulation.heavy_species import natural_depths, reference_abundance, species_wavelengths
from lux.simulation.population import disc_moments
from lux.simulation.worlds import Proxy, Signal, World
from lux.spectroscopy.line_detection import equivalent_width


@dataclasses.dataclass(frozen=True)
class LineStrengths:
    """Strengths of lines at the mean abundance of the disc, one entry per line in every array.

    Parameters
    ----------
    wavelength : array
        Vacuum Angstrom.
    depth : array
        At line center, at the resolution of the survey, relative to the flux beside the line.
    equivalent_width : array
        Of an unresolved line of that depth, milli-Angstrom.
    change : array
        Change of the flux at line center per standard deviation of [Eu/Fe]; 0 where the line does not follow europium.
    """

    wavelength: np.ndarray
    depth: np.ndarray
    equivalent_width: np.ndarray
    change: np.ndarray


def line_strengths(world: World, tau: float = 0.06) -> LineStrengths:
    """Return how strong the lines are that a world plants, none for a world without.

    Parameters
    ----------
    world : World
        "signal" or "proxy" alone have lines; `also` is taken in.
    tau : float
        Intrinsic scatter of [Eu/Fe], dex.
    """
    places = [np.array(part.wavelengths) for part in world.parts if isinstance(part, (Signal, Proxy))]
    depths = [_optical_depth(part, tau) for part in world.parts if isinstance(part, (Signal, Proxy))]
    wavelength, optical_depth = np.concatenate([[], *places]), np.concatenate([[], *depths])
    half = 10.0 ** (0.5 * disc_moments(tau)["eu_fe_std"])
    return _strengths(
        wavelength, -np.expm1(-optical_depth), np.exp(-optical_depth / half) - np.exp(-optical_depth * half)
    )


def natural_strengths(species: str) -> LineStrengths:
    """Return how strong the real lines of a heavy species are in the reference star; they do not follow europium."""
    wavelength, depth = np.array(species_wavelengths(species)), np.array(natural_depths(species))
    return _strengths(wavelength, depth, np.zeros(len(depth)))


def _strengths(wavelength: np.ndarray, depth: np.ndarray, change: np.ndarray) -> LineStrengths:
    return LineStrengths(wavelength, depth, equivalent_width(depth, wavelength), change)


def _optical_depth(world: Signal | Proxy, tau: float) -> np.ndarray:
    """Return the optical depth t of each line of a world (L,) in a star of mean [Eu/H]."""
    moments = disc_moments(tau)
    if isinstance(world, Signal):
        return np.full(world.n_lines, world.describe(tau)["strength"])
    above_reference = moments["eu_fe_mean"] - reference_abundance(world.element)
    return -np.log1p(-np.array(natural_depths(world.species))) * world.boost * 10.0**above_reference
