"""Numbers that may be masked or have a unit: what is masked is missing, and a unit is converted, not dropped."""

from typing import Any

import numpy as np
from astropy.units import UnitBase, dimensionless_unscaled


def without_mask(values: Any) -> Any:
    """Return numbers with NaN where they are masked, in their unit if they have one; what has no mask as it is.

    A mask is one of numpy's or astropy's arrays, columns and quantities, or of pandas' columns of missing values.
    """
    if hasattr(getattr(values, "dtype", None), "na_value"):
        return values.to_numpy(float, na_value=np.nan)
    return values.astype(float).filled(np.nan) if hasattr(values, "filled") else values


def to_unit_of_flux(values: np.ndarray, own: UnitBase | None, unit: UnitBase) -> np.ndarray:
    """Return values in the unit of a flux, which they have where they have none, or no dimension while the flux has.

    Raises
    ------
    astropy.units.UnitConversionError
        If their own unit is another kind of unit.
    """
    return values if own is None or (factor := conversion(own, unit)) == 1 else values * factor


def conversion(own: UnitBase, unit: UnitBase) -> float:
    """Return by what numbers in one unit are multiplied for another; those without dimension have the other, if it has.

    Raises
    ------
    astropy.units.UnitConversionError
        If they are of other kinds.
    """
    return (
        1.0 if own == unit or (own == dimensionless_unscaled and not unit.is_equivalent(own)) else float(own.to(unit))
    )
