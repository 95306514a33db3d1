"""What users' arrays, tables and their columns mean: units, air, masks, errors by the names of columns, star names."""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.units import Quantity, UnitConversionError, spectral
from numpy.typing import ArrayLike

from lux.store.quantities import to_unit_of_flux, without_mask

# Wavelengths (Angstrom) of which the largest is smaller are in another unit: no spectrum of a star is audited there.
LEAST_WAVELENGTH = 2000.0
# A pixel whose error is so many times that of the star's good pixels is a bad one, whatever marks it.
MAX_ERROR_RATIO = 30.0


def angstrom(wavelength: ArrayLike | Quantity, name: str = "wavelength") -> np.ndarray:
    """Return a grid of wavelengths (D,) as Angstrom; ValueError, which says whose, if it cannot be that."""
    unit = getattr(wavelength, "unit", None)
    try:
        values = np.asarray(wavelength if unit is None else _with_unit(wavelength, name), float)
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


def vacuum_to_air(wavelength: ArrayLike) -> np.ndarray:
    """Air wavelengths of vacuum wavelengths, Angstrom, any shape (Ciddor 1996, Applied Optics 35, 1566)."""
    wavelength = np.asarray(wavelength, dtype=float)
    return wavelength / _refractive_index(wavelength)


def air_to_vacuum(wavelength: ArrayLike) -> np.ndarray:
    """Vacuum wavelengths of air wavelengths, Angstrom, any shape: the inverse of `vacuum_to_air` by iteration."""
    air = np.asarray(wavelength, dtype=float)
    vacuum = air
    for _ in range(4):
        vacuum = air * _refractive_index(vacuum)
    return vacuum


def without_unit(wavelength: Any) -> Any:
    return wavelength if getattr(wavelength, "unit", None) is None else angstrom(wavelength)


def numbers(name: str, value: Any) -> np.ma.MaskedArray:
    """Return an array or a quantity as numbers, masked where it is."""
    try:
        return np.ma.asarray(getattr(value, "value", value) if hasattr(value, "unit") else value, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error


def inverse_variance(ivar: Any, error: Any, shape: tuple[int, ...]) -> np.ndarray:
    if (ivar is None) == (error is None):
        raise ValueError("the errors of the flux are needed once: give either ivar or error")
    if ivar is not None:
        return np.broadcast_to(np.ma.filled(numbers("ivar", ivar), 0), shape)
    sigma = np.broadcast_to(np.ma.filled(numbers("error", error), np.nan), shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(sigma > 0, sigma**-2.0, 0)


def label_column(table: Mapping[str, Any], name: str) -> np.ndarray:
    """Return a column of labels or their errors, NaN where it is masked."""
    if name not in table:
        raise ValueError(f"label_err lacks {name!r}; give a number if one error holds for all stars")
    return np.ma.filled(numbers(name, table[name]), np.nan)


def column_names(table: Any) -> list[str]:
    return [str(name) for name in getattr(table, "colnames", getattr(table, "columns", table))]


def of_table(table: Any, name: Any) -> Any:
    """Return a column by its name; what is not a name as it is."""
    if not isinstance(name, str):
        return name
    if name not in (names := column_names(table)):
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"; similar: {', '.join(near)}" if near else ""
        raise ValueError(f"the table has no column {name!r} among its {len(names)}{hint}")
    return table[name]


def error_column(label: str, table: Any) -> str:
    """Return the column that by its name holds the errors of a label."""
    spelled = {name.casefold(): name for name in column_names(table)}
    plain = label.casefold()
    for name in (f"e_{plain}", f"{plain}_err", f"{plain}_error", f"err_{plain}", f"sigma_{plain}"):
        if name in spelled:
            return spelled[name]
    raise ValueError(f"no column is named as that of the errors of {label!r}: give it, or a number, in label_err")


def errors_of(label: str, table: Any, given: Mapping[str, Any]) -> Any:
    """Return the errors of a label: those given, or the column of a table."""
    return of_table(table, given[label] if label in given else error_column(label, table))


def has_errors(label: str, table: Any) -> bool:
    try:
        return bool(error_column(label, table))
    except ValueError:
        return False


def standard_error(uncertainty: Any, unit: Any, name: str) -> np.ndarray:
    """Return an uncertainty as standard errors in the unit of the flux, which it has where it has none; NaN if masked.

    The uncertainties of `astropy.nddata` drop the mask of what they are made of, so that nothing can keep it here.
    """
    from astropy.nddata import StdDevUncertainty

    # An inverse variance of zero is an infinite error. Taken for a variance, a negative error would become positive.
    with np.errstate(divide="ignore", invalid="ignore"):
        as_error = uncertainty if uncertainty.uncertainty_type == "std" else uncertainty.represent_as(StdDevUncertainty)
    try:
        return to_unit_of_flux(np.asarray(without_mask(as_error.array), float), as_error.unit, unit)
    except UnitConversionError as error:
        raise ValueError(
            f"the uncertainty of {name} is in {as_error.unit} and its flux in "
            f"{str(unit) or 'numbers without a unit'}: give both in one unit, or the uncertainty without any"
        ) from error


def without_negligible(ivar: np.ndarray, max_error_ratio: float = MAX_ERROR_RATIO) -> np.ndarray:
    """Return inverse variances (N, D), zero where an error is many times that of the star's good pixels.

    Good are its best tenth: bad pixels stand below them in order, so that the result does not depend on how they are
    marked.
    """
    place = int(0.9 * (ivar.shape[1] - 1))
    good = np.partition(ivar, place, axis=1)[:, [place]]
    return np.where(ivar < good / max_error_ratio**2, np.float32(0), ivar)


def as_text(column: Any) -> np.ndarray:
    """Return a column whose text came as objects or bytes as text; others as they are."""
    column = np.asarray(column)
    if column.dtype.kind == "S" or (column.dtype.kind == "O" and all(isinstance(each, str | bytes) for each in column)):
        return np.array([each.decode() if isinstance(each, bytes) else str(each) for each in column.tolist()])
    return column


def star_names(star_id: Any, n_stars: int) -> np.ndarray:
    """Return the names of stars; ValueError for floating-point numbers, which cannot hold an id of 64 bits."""
    if star_id is None:
        return np.arange(n_stars).astype(str)
    names = as_text(star_id)
    if names.dtype.kind == "f":
        raise ValueError(
            f"star_id holds {names.dtype} numbers such as {names.flat[0]!r}, in which ids of 64 bits lose digits: read "
            "them as integers or text"
        )
    return names.astype(str)
