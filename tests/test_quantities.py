"""Of numbers a unit is converted and not dropped, and what is masked is missing, whatever they are kept in."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn
from astropy.utils.masked import Masked
from small_spectra import GRID, HIDDEN, bare, made, ones
from specutils import Spectrum

ERRORS = {
    "percent": (1, u.one, StdDevUncertainty(np.ones(60) * u.percent)),
    "percent of both": (100, u.percent, StdDevUncertainty(np.ones(60))),
    "percent of the flux": (100, u.percent, StdDevUncertainty(np.full(60, 0.01) * u.one)),
    "milli": (1, u.Jy, StdDevUncertainty(np.full(60, 10) * u.mJy)),
    "a variance": (1, u.Jy, VarianceUncertainty(np.full(60, 100) * u.mJy**2)),
    "an inverse variance": (1, u.Jy, InverseVariance(np.full(60, 0.01) / u.mJy**2)),
    "no unit": (1, u.Jy, StdDevUncertainty(np.full(60, 0.01))),
    "no dimension": (1, u.Jy, StdDevUncertainty(np.full(60, 0.01) * u.one)),
}


@pytest.mark.parametrize(("value", "unit", "uncertainty"), ERRORS.values(), ids=ERRORS)
def test_an_uncertainty_is_converted_to_the_unit_of_the_flux(value, unit, uncertainty):
    survey = made([bare(flux=np.full(60, value) * unit, uncertainty=uncertainty)], continuum=ones)
    np.testing.assert_allclose(survey.flux, 1)
    np.testing.assert_allclose(survey.ivar, 1e4, rtol=1e-6)


class Errors:
    """Standard errors as astropy has them, but for the mask, which astropy drops."""

    uncertainty_type, unit = "std", None

    def __init__(self, array):
        self.array = array


MASKED = {
    "an array": bare(flux=np.ma.masked_array(np.ones(60), HIDDEN)),
    "whole numbers": bare(flux=np.ma.masked_array(np.ones(60, int), HIDDEN)),
    "a column": bare(flux=MaskedColumn(np.ones(60), mask=HIDDEN)),
    "a quantity": bare(flux=Masked(np.ones(60) * u.one, mask=HIDDEN)),
    "a quantity in specutils": Spectrum(
        flux=Masked(np.ones(60) * u.one, mask=HIDDEN),
        spectral_axis=GRID * u.AA,
        uncertainty=StdDevUncertainty(np.ones(60)),
    ),
    "errors": bare(uncertainty=Errors(np.ma.masked_array(np.ones(60), HIDDEN))),
    "a column of errors": bare(uncertainty=Errors(MaskedColumn(np.ones(60), mask=HIDDEN))),
}


@pytest.mark.parametrize("one", MASKED.values(), ids=MASKED)
def test_what_is_masked_stays_masked(one):
    np.testing.assert_array_equal(made([one]).ivar[0] > 0, ~HIDDEN)
