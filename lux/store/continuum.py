"""The continuum of a spectrum, as a user's function gives it."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from astropy.units import UnitBase, UnitConversionError
from numpy.typing import ArrayLike

from lux.store.quantities import to_unit_of_flux, without_mask

# Gives the continuum (D,) of a spectrum's wavelengths, flux and inverse variance, (D,) each.
Continuum: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], ArrayLike]
_EXPECTED = "a function (wavelength, flux, ivar) -> continuum, each of shape (D,), called for each spectrum"


def refuse_no_function(continuum: Any) -> None:
    """Raise ValueError if a continuum is given that is no function."""
    if continuum is not None and not callable(continuum):
        raise ValueError(
            f"continuum is of the type {type(continuum).__name__}: give {_EXPECTED}; one continuum for all is "
            "lambda wavelength, flux, ivar: continuum"
        )


def continuum_of(
    continuum: Continuum, wavelength: np.ndarray, flux: np.ndarray, ivar: np.ndarray, unit: UnitBase, name: str
) -> np.ndarray:
    """Return the continuum (D,) of a spectrum in the unit of its flux, NaN where it is not positive.

    `wavelength` (D,) in Angstrom, `flux` (D,) in `unit`, and `ivar` (D,), 0 where the spectrum called `name` is masked.

    Raises
    ------
    ValueError
        If the function gives no numbers, other than one for each pixel, in another unit, or none above zero where the
        spectrum has good pixels.
    """
    good = ivar > 0
    typical = np.median(flux[good]) if np.any(good) else 1.0
    # Copies, since a function that works in place would change the survey.
    answer = continuum(wavelength.copy(), np.where(good, flux, typical), ivar.copy())
    given = _numbers(answer, unit, name)
    if given.shape not in ((), wavelength.shape):
        raise ValueError(
            f"continuum must give a number for each pixel, shape {wavelength.shape}, and gave {given.shape}"
        )
    levels = np.where(np.isfinite(given) & (given > 0), given, np.nan) * np.ones(len(wavelength))
    if np.any(good) and np.all(np.isnan(levels[good])):
        came = np.broadcast_to(given, levels.shape)[good][0]
        raise ValueError(
            f"continuum= gave nothing above zero for the good pixels of {name}, but values such as {came:g}: give a "
            "function whose values the flux can be divided by"
        )
    return levels


def _numbers(answer: Any, unit: UnitBase, name: str) -> np.ndarray:
    filled = without_mask(answer)
    try:
        values = np.asarray(getattr(filled, "value", filled))
        # None would become NaN.
        if values.dtype.kind == "O" and any(each is None for each in values.flat):
            raise TypeError("there is None in it")
        return to_unit_of_flux(values.astype(float), getattr(filled, "unit", None), unit)
    except UnitConversionError as error:
        raise ValueError(
            f"the continuum of {name} is in {answer.unit} and its flux in {str(unit) or 'numbers without a unit'}: "
            "return it in that unit, or without any"
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the continuum of {name} is of the type {type(answer).__name__}, which is no array of numbers ({error}): "
            f"give {_EXPECTED}, that returns it"
        ) from error
