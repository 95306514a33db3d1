"""Wavelengths of users: their units, air and vacuum."""

from typing import Any

import numpy as np
from astropy.units import Quantity, UnitConversionError, spectral
from numpy.typing import ArrayLike

# Wavelengths (Angstrom) of which the largest is smaller are in another unit: no spectrum of a star is audited there.
LEAST_WAVELENGTH = 2000.0


def angstrom(wavelength: ArrayLike | Quantity, name: str = "wavelength") -> np.ndarray:
    """Return a grid of wavelengths (D,) as Angstrom; ValueError, which says whose, if it cannot be that."""
    unit = getattr(wavelength, "unit", None)
    try:
        values = _in_angstrom(wavelength, name)
    except TypeError as error:
        raise ValueError(f"{name} must be numbers, with or without a unit: {error}") from error
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name} must be one grid (D,) for all stars, got shape {values.shape}: resample to one")
    if not np.all(good := np.isfinite(values)):
        raise ValueError(
            f"{name} has {np.sum(~good)} wavelengths of {len(values)} that are not finite, the first at pixel "
            f"{np.argmin(good)}: leave these pixels out, or give their wavelengths and mask them"
        )
    if unit is None and values.max() < LEAST_WAVELENGTH:
        guess = "log10 of Angstrom, or microns" if values.max() < 20 else "nanometers"
        raise ValueError(
            f"wavelengths of {values.min():g} to {values.max():g} are no Angstrom; if they are {guess}, give them with "
            "their unit, as in wavelength * astropy.units.nm, or as 10**wavelength"
        )
    return values


def _in_angstrom(wavelength: ArrayLike | Quantity, name: str = "wavelength") -> np.ndarray:
    """Return wavelengths of any shape as Angstrom, which they are without a unit, NaN where they are masked."""
    unit = getattr(wavelength, "unit", None)
    values = np.asarray(wavelength if unit is None else _with_unit(wavelength, name), float)
    return np.where(np.ma.getmask(wavelength), np.nan, values) if np.ma.is_masked(wavelength) else values


def _with_unit(wavelength: ArrayLike | Quantity, name: str) -> Any:
    quantity = Quantity(wavelength)
    try:
        return quantity.to_value("Angstrom", equivalencies=spectral())
    except UnitConversionError as error:
        velocity = str(quantity.unit.physical_type).startswith("speed")
        how = ", velocity_convention=..., rest_value=..." if velocity else ""
        raise ValueError(
            f"{name} is in {str(quantity.unit) or 'numbers without a unit'}, which is no wavelength: give it in "
            f"Angstrom, or a spectrum as spectrum.with_spectral_axis_unit('Angstrom'{how})"
        ) from error


def _refractive_index(vacuum_wavelength: np.ndarray) -> np.ndarray:
    """Standard air (15 C, 101325 Pa, 450 ppm CO2) from vacuum wavelength in Angstrom (Ciddor 1996, equation 1)."""
    wavenumber_squared = (1e4 / vacuum_wavelength) ** 2
    return 1.0 + 0.05792105 / (238.0185 - wavenumber_squared) + 0.00167917 / (57.362 - wavenumber_squared)


def vacuum_to_air(wavelength: ArrayLike | Quantity) -> np.ndarray:
    """Air wavelengths of vacuum wavelengths, any shape (Ciddor 1996, Applied Optics 35, 1566).

    Both are in Angstrom; wavelengths with a unit are converted to it, and ValueError says if they cannot be.
    """
    vacuum = _in_angstrom(wavelength)
    return vacuum / _refractive_index(vacuum)


def air_to_vacuum(wavelength: ArrayLike | Quantity) -> np.ndarray:
    """Vacuum wavelengths of air wavelengths, any shape: the inverse of `vacuum_to_air` by iteration.

    Both are in Angstrom; wavelengths with a unit are converted to it, and ValueError says if they cannot be.
    """
    air = _in_angstrom(wavelength)
    vacuum = air
    for _ in range(4):
        vacuum = air * _refractive_index(vacuum)
    return vacuum


def without_unit(wavelength: Any) -> Any:
    return wavelength if getattr(wavelength, "unit", None) is None else angstrom(wavelength)
