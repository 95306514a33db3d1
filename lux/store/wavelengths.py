"""Wavelengths of users: their units, air and vacuum."""

from typing import Any

import numpy as np
from astropy.units import Quantity, UnitConversionError, spectral
from numpy.typing import ArrayLike

# Wavelengths (Angstrom) of which the largest is smaller are in another unit: no spectrum of a star is audited there.
LEAST_WAVELENGTH = 2000.0
# Of 30 microns, beyond which no spectrum of a star with lines is; and numbers from here on are no logarithms.
_LARGEST_WAVELENGTH = 3e5
_LARGEST_LOGARITHM = 31.0


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
        way_out = _way_out(values.min(), values.max())
        raise ValueError(f"wavelengths of {values.min():g} to {values.max():g} are no Angstrom; {way_out}")
    return values


def _way_out(least: float, largest: float) -> str:
    """Return what wavelengths may be that are no Angstrom, and how to give them."""
    if largest >= _LARGEST_LOGARITHM:
        return "if they are nanometers, give ten times as much, or a unit, as in wavelength * astropy.units.nm"
    microns = "microns, give 10,000 times as much, or a unit, as in wavelength * astropy.units.micron"
    for power, logarithm, written in (
        (np.power(10.0, (least, largest)), "log10", "10**wavelength"),
        (np.exp((least, largest)), "natural logarithms", "exp(wavelength)"),
    ):
        if LEAST_WAVELENGTH <= power[0] and power[1] <= _LARGEST_WAVELENGTH:
            return f"if they are {logarithm} of Angstrom, give {written}; if {microns}"
    return f"if they are {microns}"


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
