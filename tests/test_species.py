"""Names and codes of elements, ions and molecules are read as lists of lines mean them, or refused with the line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_lists import MOOG, SHORT_STELLAR, written

from lux.spectroscopy.lines import LineList, air_to_vacuum
from lux.spectroscopy.species import coded_species


def test_codes_of_moog_are_of_ions_isotopes_and_molecules(tmp_path):
    lines = LineList.read(written(tmp_path, MOOG))
    assert lines.species.tolist() == ["Fe I", "CN", "CH", "CN", "TiO", "Eu II", "Eu II"]
    assert lines.isotope.tolist() == ["", "", "12C1H", "13C14N", "", "", ""]
    np.testing.assert_allclose(lines.wavelength[4], air_to_vacuum(6453.5))


@pytest.mark.parametrize("header", ["", "wavelength species excitation log_gf\n"])
def test_codes_with_charges_in_two_digits_are_those_of_kurucz(tmp_path, header):
    text = f"{header}6430.845 26.01 2.176 -2.006\n6645.104 63.00 1.380 0.120\n6650.0 607.0 1.0 -1.0\n"
    assert LineList.read(written(tmp_path, text)).species.tolist() == ["Fe II", "Eu I", "CN"]


@pytest.mark.parametrize("codes", [("63.09999847", "26.0"), ("63.1", "26.00000000"), ("63.10000038", "26.0")])
def test_codes_that_went_through_single_precision_keep_their_ion(tmp_path, codes):
    rows = [f"{wavelength} {code} 1.38 -0.12\n" for wavelength, code in zip((6645.1, 6430.8), codes, strict=True)]
    for text in ("title\n" + "".join(rows), "wavelength species ep loggf\n" + "".join(rows)):
        assert LineList.read(written(tmp_path, text)).species.tolist() == ["Fe I", "Eu II"]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 83), st.integers(0, 9), st.sampled_from(["", "151", "040"]), st.integers(1, 2))
def test_single_precision_changes_no_code_of_an_atom(number, charge, mass, digits):
    code = f"{number}.{charge}{mass}" if digits == 1 else f"{number}.{charge:02d}"
    noisy = f"{float(np.float32(code)):.10f}"
    assert coded_species([noisy], digits) == coded_species([code], digits)


def test_single_precision_changes_no_isotopes_of_a_hydride_and_no_charge_of_a_molecule():
    for code in ("106.00112", "607.0", "607.1"):
        assert coded_species([f"{float(np.float32(code)):.8f}"], 1) == coded_species([code], 1)
    assert coded_species(["607.0131400000001"], 1) == [("CN", 0, "13C14N")]


@pytest.mark.parametrize(
    ("names", "species"),
    [
        (["NI I", "SI I", "CO II", "SC II", "CU I", "CO I", "CO", "TIO 1"], "Ni I,Si I,Co II,Sc II,Cu I,Co I,CO,TiO"),
        (["FeI", "CI", "SiI", "VI", "NI", "EuII", "C2"], "Fe I,C I,Si I,V I,N I,Eu II,C2"),
        (["Fe I", "CO I", "CO II", "CO", "eu 2"], "Fe I,CO,Co II,CO,Eu II"),
        (["CO I", "OH I", "CN I"], "CO,OH,CN"),
    ],
)
def test_names_in_capitals_or_without_a_space_are_of_elements_where_they_can_be(tmp_path, names, species):
    rows = "".join(f"{6645 + row},{name}\n" for row, name in enumerate(names))
    assert LineList.read(written(tmp_path, f"wl,species\n{rows}", "lines.csv")).species.tolist() == species.split(",")


def test_a_formula_in_capitals_among_other_names_is_refused_if_it_may_be_an_element(tmp_path):
    with pytest.raises(ValueError, match=r"row 2: .* got 'NI I'; if it is Ni, write it so"):
        LineList.read(written(tmp_path, "wl,species\n6645.1,Fe I\n6646.1,NI I\n", "lines.csv"))


@pytest.mark.parametrize("ions", [("0", "1"), ("I", "II"), ("0.0", "1.0")])
def test_ions_of_a_table_are_charges_or_stages_in_roman_numbers(tmp_path, ions):
    for column in ("element", "species"):
        text = f"wl,{column},ion\n6432.6,Fe,{ions[0]}\n6646.9,Eu,{ions[1]}\n"
        assert LineList.read(written(tmp_path, text, "lines.csv")).species.tolist() == ["Fe I", "Eu II"]


CHARGED = {
    "codes with charges": ("26.1,1", "63.0,0", ["Fe II", "Eu I"]),
    "codes with stages": ("26.0,1", "63.1,2", ["Fe I", "Eu II"]),
    "names with stages": ("Fe I,1", "CN,1", ["Fe I", "CN"]),
    "names with stages in Roman numbers": ("Fe II,II", "Eu I,I", ["Fe II", "Eu I"]),
    "a name alone beside one with its stage": ("Fe,1", "Fe I,0", ["Fe II", "Fe I"]),
    "a name beside a code": ("Fe,1", "63.1,1", ["Fe II", "Eu II"]),
    "blank": ("Fe I,", "CN,", ["Fe I", "CN"]),
}


@pytest.mark.parametrize(("first", "second", "species"), CHARGED.values(), ids=CHARGED)
def test_a_column_of_ions_agrees_with_the_species_beside_it(tmp_path, first, second, species):
    text = f"wl,species,ion\n6645.1,{first}\n6646.1,{second}\n"
    assert LineList.read(written(tmp_path, text, "lines.csv")).species.tolist() == species


WRONG = {
    "a species that is none": (SHORT_STELLAR.replace("'Eu 2'", "'Xx 2'"), None, r"lines.txt, line 5: .* got 'Xx 2'"),
    "a code that is none": (MOOG.replace("822.0", "505.0"), None, r"lines.txt, line 8: the code '505.0' is of no"),
    "an ion of VALD": (SHORT_STELLAR.replace("'Eu 2'", "'H- 1'"), None, r"lines.txt, line 5: .* got 'H- 1'"),
    "two ways to write a charge": (MOOG.replace("26.0 ", "26.01"), None, r"line 2: .*'26.01' .* and '63.1' in one"),
    "stages for charges": ("wl,element,ion\n6645.1,Eu,2\n6646.1,Fe,1\n", "table", "row 1: no ion is 0, .* subtract 1"),
    "an ion that is none": (
        "wl,element,ion\n6645.1,Eu,?\n",
        "table",
        r"row 1: expected as ion a charge, 0 .* got '\?'",
    ),
    "an unknown molecule": ("wl,species\n6645.1,FeO\n", "table", "row 1: expected a species such as .* got 'FeO'"),
    "nickel or nitrogen": ("wl,species\n6645.1,FE\n6646.1,NI\n", "table", "row 2: 'NI' is N I or Ni: write one"),
    "a code that lost its isotopes": ("t\n6645.1 607.01312256 1.4 -.1\n", None, "line 2: .* has lost digits in single"),
    "a charge beside a code of another": (
        "wl,species,ion\n6645.1,26.0,1\n",
        "table",
        "row 1: the species '26.0' has the charge 0 and the column 'ion' '1', of which 0 is neutral: correct",
    ),
    "a charge beside a name of another": (
        "wl,species,ion\n6645.1,Fe,1\n6646.1,Fe I,1\n",
        "table",
        "row 2: the species 'Fe I' has the charge 0 and the column 'ion' '1'",
    ),
}


@pytest.mark.parametrize(("text", "file_format", "message"), WRONG.values(), ids=WRONG)
def test_a_list_that_cannot_be_read_is_refused_with_the_line(tmp_path, text, file_format, message):
    with pytest.raises(ValueError, match=message):
        LineList.read(written(tmp_path, text), file_format)
