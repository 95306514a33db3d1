"""A table is a list of lines by the names and units of its columns, or the row that makes it none is named."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from line_lists import written

from lux.spectroscopy.lines import LineList


def test_a_table_has_its_units_and_species_in_any_spelling(tmp_path):
    table = Table({"Wavelength": [664.6939, 643.2622] * u.nm, "species": ["Eu II", "26.0"], "loggf": [0.12, -2.006]})
    table["excitation"] = [11128.4, 17550.181] / u.cm
    for name in ("lines.ecsv", "lines.fits", "lines.vot"):
        table.write(tmp_path / name, **({"format": "votable"} if name.endswith("vot") else {}))
        lines = LineList.read(tmp_path / name)
        np.testing.assert_allclose(lines.wavelength, [6432.622, 6646.939])
        np.testing.assert_allclose(lines.excitation, [2.17595, 1.37975], atol=1e-4)
        assert lines.species.tolist() == ["Fe I", "Eu II"]
    bare = LineList.read(written(tmp_path, "wavelength,element,ion\n6646.939,Eu,1\n6432.622,Fe,0\n", "lines.csv"))
    assert bare.species.tolist() == ["Fe I", "Eu II"]
    assert np.all(np.isnan(bare.log_gf))
    assert LineList.read(written(tmp_path, "wl\n6646.939\n6432.622\n")).element.tolist() == ["", ""]


def test_of_a_table_the_column_in_vacuum_is_taken(tmp_path):
    text = "wavelength,wavelength_vac,species\n6645.104,6646.939,Eu II\n"
    assert LineList.read(written(tmp_path, text, "lines.csv")).wavelength.tolist() == [6646.939]


def test_an_energy_of_a_column_with_its_unit_may_be_that_of_a_hot_star(tmp_path):
    table = Table({"wavelength": [10124.0] * u.AA, "excitation": [51.0] * u.eV})
    table.write(tmp_path / "helium.ecsv")
    assert LineList.read(tmp_path / "helium.ecsv").excitation.tolist() == [51.0]


WRONG = {
    "no wavelengths": ("a b\n1 2\n", None, "no column 'wavelength'; it has a, b; .* format='vald', 'kurucz' or 'moog'"),
    "three columns": ("t\n6430.8 26.0 2.1\n6645.1 63.1 1.4\n", None, "format=.*'moog' .*of MOOG four columns"),
    "energies in cm^-1 of a table": (
        "wl,ep\n6645.1,1.0\n6646.1,44023\n",
        "table",
        r"row 2: .*eV, got 44023; if .*cm\^-1",
    ),
    "a star after a number": ("wl,log_gf\n6645.1,1\n6646.1,-0.5*\n", "table", r"row 2: .* as log_gf, got '-0.5\*'"),
    "a negative wavelength": (
        "wl,ep\n6645.1,1.0\n-6646.1,2\n",
        "table",
        "row 2: expected a wavelength above zero, got -66",
    ),
    "Joule": (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wl, datatype: float64}\n"
        "# - {name: ep, datatype: float64, unit: J}\nwl ep\n6645.1 1.0\n",
        "table",
        r"row 1: expected an excitation of 0 to 1000 eV, got 6.24\d*e\+18; the unit of the column is J",
    ),
    "nanometers without a unit": ("wavelength,ep\n664.5,1\n", "table", "no Angstrom: give the column its unit"),
}


@pytest.mark.parametrize(("text", "file_format", "message"), WRONG.values(), ids=WRONG)
def test_a_list_that_cannot_be_read_is_refused_with_the_line(tmp_path, text, file_format, message):
    with pytest.raises(ValueError, match=message):
        LineList.read(written(tmp_path, text), file_format)
