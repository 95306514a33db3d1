"""The real lines of heavy elements: where they are, and how deep they are in a reference star."""

import functools

import numpy as np

from lux.simulation.equilibrium import ELEMENTS as MODEL_ELEMENTS
from lux.simulation.population import ELEMENTS, disc_moments
from lux.simulation.synthesis import synthesize
from lux.spectroscopy.instrument import nearest_pixel
from lux.spectroscopy.lines import heavy_element_lines

# The star by which line strengths are stated: the disc's mean abundances, on the red clump.
_REFERENCE_TEFF, _REFERENCE_LOGG, _REFERENCE_ALPHA_FE = 4750.0, 2.5, 0.12


def species_wavelengths(species: str) -> tuple[float, ...]:
    """Return the vacuum wavelengths in Angstrom of the lines of a heavy species.

    Raises
    ------
    ValueError
        If no line of the species has a known strength.
    """
    lines = heavy_element_lines()
    usable = np.isfinite(lines.log_gf) & np.isin(lines.element, [*ELEMENTS]) & np.isin(lines.element, [*MODEL_ELEMENTS])
    if species not in lines.species[usable]:
        choices = sorted(set(lines.species[usable].tolist()))
        raise ValueError(f"no lines of known strength for {species!r}; choose one of {', '.join(choices)}")
    return tuple(lines.wavelength[usable & (lines.species == species)].tolist())


@functools.cache
def natural_depths(species: str) -> tuple[float, ...]:
    """Return the depth that each line of a heavy species takes from the flux of the reference star, at line center."""
    wavelengths = species_wavelengths(species)
    element = species.split()[0]
    reference = reference_abundance(element)
    fe_h = np.full(2, disc_moments(0.0)["fe_h_mean"])
    abundances = {element: np.array([reference, reference - 9.0])}
    flux = synthesize(_REFERENCE_TEFF, _REFERENCE_LOGG, fe_h, _REFERENCE_ALPHA_FE, abundances)
    nearest = nearest_pixel(wavelengths)
    return tuple(float(depth) for depth in 1 - flux[0, nearest] / flux[1, nearest])


def reference_abundance(element: str) -> float:
    """Return the mean [X/Fe] of an element in the reference star, dex."""
    constant, iron, alpha, _ = ELEMENTS[element]
    return constant + iron * disc_moments(0.0)["fe_h_mean"] + alpha * (_REFERENCE_ALPHA_FE - 0.08)
