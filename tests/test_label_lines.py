"""The own lines of a label are what the survey's world planted, or what its element has in the line list."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from linear_truth import linear_survey

import lux
from lux.auditing import default_lines
from lux.auditing.label_lines import given_lines, label_kind
from lux.simulation.synthetic import make_survey
from lux.spectroscopy.lines import load_lines

WINDOWS = [(15400, 15500), (15680, 15700), (16070, 16160), (16470, 16540), (16560, 16600), (16690, 16830)]


@pytest.fixture(scope="module")
def survey():
    return make_survey(10, wavelength_range=WINDOWS)


def test_planted_lines_are_the_own_lines(survey):
    assert default_lines(survey, "eu_fe") == ()
    planted = make_survey(10, world=lux.World("signal"), wavelength_range=WINDOWS)
    assert default_lines(planted, "eu_fe") == (15448.4, 16117.0, 16739.0)


def test_an_element_has_its_strongest_lines_and_a_parameter_none(survey):
    iron = default_lines(survey, "fe_h")
    assert 10 < len(iron) <= 30
    assert set(default_lines(survey, "fe_h", max_lines=5)) < set(iron)
    assert default_lines(survey, "teff") == ()


def test_names_are_read_as_catalogues_write_them(survey):
    assert default_lines(survey, "[Fe/H]") == default_lines(survey, "FE_H") == default_lines(survey, "fe_h")
    assert default_lines(survey, "[alpha/Fe]") == default_lines(survey, "alpha_m")
    assert default_lines(survey, "Mg") == default_lines(survey, "MgI_FE") == default_lines(survey, "A(Mg)") != ()


def test_a_survey_beyond_the_line_list_needs_lines_that_are_named():
    optical = linear_survey(n_stars=20)
    optical = optical.replace(wavelength=optical.wavelength - 9000, label_names=("teff", "logg", "eu_fe"))
    with pytest.raises(ValueError, match=r"line list covers .* give the lines of eu_fe as own_lines"):
        default_lines(optical, "eu_fe")
    assert default_lines(optical, "teff") == ()


def test_a_label_is_a_parameter_or_has_lines_in_places_or_everywhere(survey):
    wavelength = survey.wavelength
    assert label_kind("Teff", wavelength, named=False) == "parameter"
    assert label_kind("eu_fe", wavelength, named=False) == "lines"
    assert label_kind("fe_h", wavelength, named=False, dense_spacing=np.inf) == "dense"
    assert label_kind("fe_h", wavelength, named=True, dense_spacing=np.inf) == "lines"


def test_lines_are_given_as_numbers_quantities_tables_and_lists_of_lines():
    nanometers = [1544.84, 1611.7] * u.nm
    frame = {"species": ["Eu II", "Eu II"], "Wave": [15448.4, 16117.0]}
    for given in (
        [15448.4, 16117.0],
        nanometers,
        Table({"wavelength": nanometers}),
        QTable({"WL": nanometers}),
        Table(frame),
        pd.DataFrame(frame),
    ):
        assert given_lines(given) == pytest.approx((15448.4, 16117.0))
    assert given_lines(15448.4) == (15448.4,)
    assert given_lines(()) == ()
    listed = load_lines()[:3]
    assert given_lines(listed) == tuple(listed.wavelength)
    with pytest.raises(ValueError, match="no column 'wavelength'; it has loggf"):
        given_lines(Table({"loggf": [1.0]}))


def test_lines_that_are_masked_are_left_out():
    for unit, scale in ((None, 1), ("nm", 0.1)):
        lines = MaskedColumn([15448.4 * scale, 15500 * scale, 16117 * scale], mask=[False, True, False], unit=unit)
        for given in (lines, Table({"wavelength": lines})):
            assert given_lines(given) == pytest.approx((15448.4, 16117.0))
    assert given_lines(np.ma.masked_array([15448.4, 15500], [False, True])) == (15448.4,)
    assert given_lines(Masked([15448.4, 15500] * u.AA, mask=[False, True])) == (15448.4,)


def test_lines_have_any_unit_of_wavelengths_each_its_own():
    assert given_lines([15448.4 * u.AA, 1611.7 * u.nm]) == pytest.approx((15448.4, 16117.0))
    assert given_lines(1e8 / np.array([15448.4, 16117.0]) / u.cm) == pytest.approx((15448.4, 16117.0))


def test_of_several_columns_of_wavelengths_that_in_vacuum_is_taken():
    columns = {"wavelength": [15444.2], "wavelength_vac": [15448.4]}
    for given in (Table(columns), pd.DataFrame(columns), pd.DataFrame(columns).to_records()):
        assert given_lines(given) == (15448.4,)


WRONG = {
    "a path as text": ("eu.vald", r"own_lines is the text or path 'eu.vald': .* as LineList.read\('eu.vald'\)"),
    "a path": (Path("eu.vald"), r"LineList.read\('eu.vald'\)"),
    "text": (["Eu II"], "own_lines is of the type list, expected wavelengths in vacuum, in Angstrom or"),
    "a flux": ([1, 2] * u.Jy, "own_lines is in Jy, which is no wavelength"),
    "some with units": ([15110 * u.AA, 15120], "own_lines is of the type list, expected wavelengths"),
    "nanometers": ([1544.84], "wavelengths of 1544.84 to 1544.84 are no Angstrom; .* astropy.units.nm"),
    "no number": (Column([15448.4, np.nan]), "own_lines has the wavelength nan: leave lines out"),
    "zero": ([15448.4, 0], "own_lines has the wavelength 0: leave"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_lines_that_are_no_wavelengths_are_refused_with_what_to_give(given, message):
    with pytest.raises(ValueError, match=message):
        given_lines(given)
