"""Lists of lines are read as VALD, Kurucz, MOOG and tables write them: vacuum, elements, eV; or the reason why not.

The file is long because every list that must be refused stands here beside the message that says why.
"""

import dataclasses
import gzip

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_truth import linear_survey

import lux
from lux.auditing.label_lines import named_lines
from lux.simulation.synthetic import make_survey
from lux.spectroscopy.lines import LineList, air_to_vacuum, load_lines, vacuum_to_air
from lux.spectroscopy.species import coded_species

# Eu II 6645.11 and Fe I 6430.85 in air, as published.
EUROPIUM, IRON = 6645.1040, 6430.8450
SHORT_STELLAR = """\
  6400.00000, 6700.00000, 3, 4271, 2.0 Wavelength region, lines selected, lines processed, Vmicro
                                                     Damping parameters   Lande  Central
Spec Ion       WL_air(A)   Excit(eV) Vmic log gf*  Rad.  Stark    Waals  factor   depth  Reference
'Fe 1',        6430.8450,   2.1759,  2.0, -2.006, 8.220,-6.190,-7.704,  1.240, 0.791, '   1 wl:K14   1 gf:BWL, K14'
'Eu 2',        6645.1040,   1.3800,  2.0,  0.120, 0.000, 0.000, 0.000, 99.000, 0.210, '   2 wl:LWHS'
'CN 1',        6450.1230,   0.5200,  2.0, -1.500, 0.000, 0.000, 0.000, 99.000, 0.310, '   3 CN'
* oscillator strengths were scaled by the solar isotopic ratios.
 References:
  1. Kurucz obs. energy level: Fe 1
"""
LONG_ALL = """\
                                                                     Lande factors        Damping parameters
Elm Ion       WL_vac(nm)  log gf* E_low(cm^-1) J lo E_up(cm^-1) J up   lower   upper    mean   Rad.  Stark   Waals
'Fe 1',        643.2622,  -2.006,  17550.181,  4.0,  33095.941,  4.0,  1.500,  1.350,  1.240, 8.220,-6.190,243.245,
  LS                                              3d7.(4F).4s a5P
  LS                                              3d6.(5D).4s.4p y5D*
'_          Kurucz Fe I 2014   1 wl:K14   1 gf:K14'
'Eu 2',        664.6939,   0.120,  11128.400,  4.0,  26173.000,  5.0, 99.000, 99.000, 99.000, 0.000, 0.000,-7.800,
  LS                                              4f7.5d a9D*
  LS                                              4f7.6p z9P
'_          LWHS   1 wl:LWHS'
* oscillator strengths were scaled by the solar isotopic ratios.
"""
MOOG = """\
europium and its neighbors
  6430.845      26.0     2.176    -2.006     -7.70
  6645.104      63.1     1.380     0.120
  6645.057   63.1151     1.380    -0.517
  6450.123     607.0     0.520    -1.500                7.76
  6451.500 106.00112     1.150    -1.300                3.47
  6452.500 607.01314     1.150    -1.300
 -6453.500     822.0     0.100    -2.000
"""


def kurucz(wavelength, log_gf, code, first, second, widths="", hyperfine="", isotopic=""):
    """Return a line of a gf file: F11.4, F7.3, F6.2, F12.3, F5.2, 1X, A10, F12.3, F5.2, 1X, A10, 3F6.2, A4, ..."""
    line = f"{wavelength:11.4f}{log_gf:7.3f}{code:6.2f}{first:12.3f}{4.0:5.1f} {'(7D)4s a5P':10s}"
    line += f"{second:12.3f}{4.0:5.1f} {'(5D)4p y5D':10s}{widths:18s}{'K14':4s}"
    return f"{line} 0 0  0{hyperfine:6s}  0{isotopic:6s}    0    0"


KURUCZ = "\n".join(
    [
        kurucz(643.0845, -2.006, 26.00, 17550.181, 33095.941, "  8.22 -6.19 -7.70"),
        kurucz(664.5104, 0.120, 63.01, -26173.000, 11128.400, "", "-0.300", "-0.320"),
        kurucz(199.5000, -1.000, 26.01, 0.0, 50125.313),
    ]
)


def written(tmp_path, text, name="lines.txt"):
    path = tmp_path / name
    path.write_text(text)
    return path


def of(lines, species):
    (row,) = np.flatnonzero(lines.species == species)
    return lines[row]


@pytest.mark.parametrize("text", [SHORT_STELLAR, LONG_ALL, MOOG, KURUCZ], ids=["VALD", "VALD, long", "MOOG", "Kurucz"])
def test_every_format_gives_the_same_line_in_vacuum_with_its_energy_in_volts(tmp_path, text):
    iron = of(LineList.read(written(tmp_path, text)), "Fe I")
    np.testing.assert_allclose(iron.wavelength, air_to_vacuum(IRON), atol=0.002)
    np.testing.assert_allclose(iron.excitation, 2.176, atol=0.0005)
    assert iron.log_gf == -2.006
    assert (iron.element, iron.ion) == ("Fe", 0)


def test_a_list_of_vald_is_read_with_its_ions_molecules_and_damping(tmp_path):
    lines = LineList.read(written(tmp_path, SHORT_STELLAR))
    assert lines.species.tolist() == ["Fe I", "CN", "Eu II"]
    assert lines.element.tolist() == ["Fe", "CN", "Eu"]
    assert lines.ion.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(lines.damping, [-7.704, 0, 0])
    assert set(lines.source) == {"lines.txt"}
    packed = tmp_path / "europium.gz"
    packed.write_bytes(gzip.compress(SHORT_STELLAR.encode()))
    np.testing.assert_array_equal(LineList.read(packed).wavelength, lines.wavelength)
    long = LineList.read(written(tmp_path, LONG_ALL))
    np.testing.assert_allclose(long.wavelength, [6432.622, 6646.939])
    np.testing.assert_array_equal(long.damping, [0, -7.8])


def test_the_old_headers_of_vald_are_of_air_and_of_elements_in_capitals(tmp_path):
    old = SHORT_STELLAR.replace("WL_air(A)", "WL(A)    ").replace("'Fe 1'", "'CO 1'").replace("'CN 1'", "'FE 2'")
    lines = LineList.read(written(tmp_path, old.replace("'Eu 2'", "'EU 2'")))
    assert lines.species.tolist() == ["Co I", "Fe II", "Eu II"]
    np.testing.assert_allclose(lines.wavelength[-1], air_to_vacuum(EUROPIUM))


def test_a_list_of_kurucz_is_read_with_shares_of_components_and_levels_in_either_order(tmp_path):
    lines = LineList.read(written(tmp_path, KURUCZ))
    assert lines.species.tolist() == ["Fe II", "Fe I", "Eu II"]
    assert lines.wavelength[0] == 1995.0
    np.testing.assert_allclose(lines.log_gf, [-1.0, -2.006, 0.120 - 0.300 - 0.320])
    np.testing.assert_allclose(lines.excitation[2], 11128.4 / 8065.544, rtol=1e-6)
    np.testing.assert_array_equal(lines.damping, [0, -7.7, 0])


def test_codes_of_moog_are_of_ions_isotopes_and_molecules(tmp_path):
    lines = LineList.read(written(tmp_path, MOOG))
    assert lines.species.tolist() == ["Fe I", "CN", "CH", "CN", "TiO", "Eu II", "Eu II"]
    assert lines.isotope.tolist() == ["", "", "12C1H", "13C14N", "", "", ""]
    np.testing.assert_allclose(lines.wavelength[4], air_to_vacuum(6453.5))


def test_the_medium_can_be_said(tmp_path):
    path = written(tmp_path, MOOG)
    np.testing.assert_allclose(vacuum_to_air(LineList.read(path).wavelength), LineList.read(path, air=False).wavelength)


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


WRONG = {
    "a species that is none": (SHORT_STELLAR.replace("'Eu 2'", "'Xx 2'"), None, r"lines.txt, line 5: .* got 'Xx 2'"),
    "a code that is none": (MOOG.replace("822.0", "505.0"), None, r"lines.txt, line 8: the code '505.0' is of no"),
    "half a line of MOOG": (MOOG.replace("  1.380     0.120", ""), "moog", r"line 3: expected wavelength, species"),
    "half a line of VALD": (SHORT_STELLAR.replace("  2.0,  0.120", ""), None, r"line 5: expected 11 fields, got 10"),
    "no number": (KURUCZ.replace("-2.006", " -.-- "), "kurucz", r"line 1: expected a number as log_gf, got '-.--'"),
    "wavenumbers": (SHORT_STELLAR.replace("WL_air(A)", "WL_vac(cm^-1)"), None, r"in cm\^-1; extract them from VALD in"),
    "no header": ("6645.1", "vald", "no header of VALD, such as"),
    "no lines": ("\n".join(SHORT_STELLAR.splitlines()[:3]), None, r"read as 'vald', has no lines; .* as format="),
    "no wavelengths": ("a b\n1 2\n", None, "no column 'wavelength'; it has a, b; .* format='vald', 'kurucz' or 'moog'"),
    "VALD by wavenumbers": (
        SHORT_STELLAR.replace("WL_air(A)", "WN_vac(cm-1)"),
        None,
        r"in cm-1; extract .* Angstrom or",
    ),
    "an ion of VALD": (SHORT_STELLAR.replace("'Eu 2'", "'H- 1'"), None, r"lines.txt, line 5: .* got 'H- 1'"),
    "an element for an energy": (
        MOOG.replace(" 1.380     0.120", "-1.380     0.120"),
        None,
        "line 3: .* not below zero",
    ),
    "one energy in cm^-1": (MOOG.replace(" 1.380     0.120", "11128.4  0.120"), None, "line 3: .* 11128.4 is no eV"),
    "gf": (
        "title\n6430.8 26.0 2.1 0.01\n6645.1 63.1 1.4 1.32\n",
        None,
        "lines.txt has only values above .* give log gf",
    ),
    "two ways to write a charge": (MOOG.replace("26.0 ", "26.01"), None, r"line 2: .*'26.01' .* and '63.1' in one"),
    "three columns": ("t\n6430.8 26.0 2.1\n6645.1 63.1 1.4\n", None, "format=.*'moog' .*of MOOG four columns"),
    "three columns of MOOG": ("6430.8 26.0 2.1\n", "moog", "line 1: expected wavelength, .*four numbers"),
    "molecules of Kurucz": (
        "  433.0318 -3.524 19.5-10563.271 20.5 -33649.772 106X02F2   A02F1   13\n",
        None,
        "line 1: Kurucz' lists of molecules are not read",
    ),
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
    "stages for charges": ("wl,element,ion\n6645.1,Eu,2\n6646.1,Fe,1\n", "table", "row 1: no ion is 0, .* subtract 1"),
    "an ion that is none": (
        "wl,element,ion\n6645.1,Eu,?\n",
        "table",
        r"row 1: expected as ion a charge, 0 .* got '\?'",
    ),
    "an unknown molecule": ("wl,species\n6645.1,FeO\n", "table", "row 1: expected a species such as .* got 'FeO'"),
    "nickel or nitrogen": ("wl,species\n6645.1,FE\n6646.1,NI\n", "table", "row 2: 'NI' is N I or Ni: write one"),
    "blank": ("\ufeff \n\n", None, "is empty"),
    "MOOG in nanometers": ("title\n664.5 63.1 1.4 0.1\n", None, "of 664.5 to 664.5, which are no Angstrom: MOOG's are"),
    "MOOG in microns": ("t\n1.54 63.1 1.4 -.1\n", "moog", "wavelengths of 1.54 to 1.54, which are no Angstrom"),
    "a title or a name": (
        "Eu wavelength list 2020\n6645.1 63.1 1.4 -.1\n",
        None,
        "line 1: .* format='moog' or format='table'",
    ),
    "Joule": (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wl, datatype: float64}\n"
        "# - {name: ep, datatype: float64, unit: J}\nwl ep\n6645.1 1.0\n",
        "table",
        r"row 1: expected an excitation of 0 to 1000 eV, got 6.24\d*e\+18; the unit of the column is J",
    ),
    "two extractions of VALD in air and vacuum": (
        SHORT_STELLAR + SHORT_STELLAR.replace("WL_air(A)", "WL_vac(A)"),
        None,
        r"extractions of VALD with different columns or units, .*WL_air\(A\).* and .*WL_vac\(A\).* a file of its own",
    ),
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
    "nanometers without a unit": ("wavelength,ep\n664.5,1\n", "table", "no Angstrom: give the column its unit"),
    "another format": (MOOG, "linemake", "have the format 'vald', 'kurucz', 'moog', 'table', got 'linemake'"),
    "nothing": ("", None, "lines.txt is empty; expected a list of lines"),
}


@pytest.mark.parametrize(("text", "file_format", "message"), WRONG.values(), ids=WRONG)
def test_a_list_that_cannot_be_read_is_refused_with_the_line(tmp_path, text, file_format, message):
    with pytest.raises(ValueError, match=message):
        LineList.read(written(tmp_path, text), file_format)


def test_files_that_are_none_or_no_text_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no list of lines at .*absent"):
        LineList.read(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"is no text: .* format='table'"):
        LineList.read(tmp_path / "binary")


HEADER = "wavelength_vac species log_gf excitation\n"


@pytest.mark.parametrize("header", [HEADER, f"# {HEADER}", HEADER.upper()])
def test_a_header_makes_a_table_of_what_has_moogs_columns(tmp_path, header):
    lines = LineList.read(written(tmp_path, f"{header}6432.622 26.0 -2.006 2.176\n6646.939 63.1 0.120 1.380\n"))
    np.testing.assert_array_equal(lines.wavelength, [6432.622, 6646.939])
    np.testing.assert_array_equal(lines.log_gf, [-2.006, 0.12])
    assert lines.species.tolist() == ["Fe I", "Eu II"]


def test_a_list_of_moog_may_lack_a_title_or_have_several_comments(tmp_path):
    title, rows = MOOG.split("\n", 1)
    listed = LineList.read(written(tmp_path, MOOG))
    for text in (rows, f"# one\n# two\n{rows}", f"# one\n{title}\n# two\n{rows}"):
        np.testing.assert_array_equal(LineList.read(written(tmp_path, text)).wavelength, listed.wavelength)


def test_a_list_of_moog_with_energies_above_50_is_in_wavenumbers_as_moog_takes_it(tmp_path):
    lines = LineList.read(written(tmp_path, "title\n6430.845 26.0 17550.181 -2.006\n6645.104 63.1 11128.4 0.12\n"))
    np.testing.assert_allclose(lines.excitation, [2.17595, 1.37975], atol=1e-4)


@pytest.mark.parametrize("header", ["", "wavelength species excitation log_gf\n"])
def test_codes_with_charges_in_two_digits_are_those_of_kurucz(tmp_path, header):
    text = f"{header}6430.845 26.01 2.176 -2.006\n6645.104 63.00 1.380 0.120\n6650.0 607.0 1.0 -1.0\n"
    assert LineList.read(written(tmp_path, text)).species.tolist() == ["Fe II", "Eu I", "CN"]


def test_a_comment_above_lines_of_kurucz_changes_nothing(tmp_path):
    for comment in ("# from the web\n", "gf lines\n"):
        assert len(LineList.read(written(tmp_path, comment + KURUCZ))) == 3


@pytest.mark.parametrize(
    "text", [SHORT_STELLAR, LONG_ALL, MOOG, KURUCZ, "wl species\n6646.939 FeI\n", "wl\n6646.939\n"]
)
def test_a_mark_of_the_order_of_bytes_changes_nothing(tmp_path, text):
    for name in ("lines.txt", *["lines.csv"] * text.startswith("wl\n")):
        marked = LineList.read(written(tmp_path, "\ufeff" + text, name))
        np.testing.assert_array_equal(marked.species, LineList.read(written(tmp_path, text, name)).species)


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


def test_no_line_of_vald_is_lost_for_its_name(tmp_path):
    text = (
        SHORT_STELLAR.replace("'Fe 1'", "'Fe I'").replace("'Eu 2'", "'(151)Eu 2'").replace("'CN 1'", "'(12)C(14)N 1'")
    )
    lines = LineList.read(written(tmp_path, text))
    assert lines.species.tolist() == ["Fe I", "CN", "Eu II"]
    assert lines.isotope.tolist() == ["", "12C14N", "151Eu"]
    assert LineList.read(written(tmp_path, SHORT_STELLAR.replace("'CN 1'", "'(48)TiO 1'"))).species[1] == "TiO"
    quoted = LONG_ALL.replace("  LS  ", "'  LS  ").replace("a5P\n", "a5P'\n")
    assert len(LineList.read(written(tmp_path, quoted))) == 2


@pytest.fixture(scope="module")
def survey():
    return make_survey(10, wavelength_range=[(15400, 15500), (15680, 15700), (16070, 16160)])


def test_of_a_list_the_strongest_lines_of_the_labels_element_on_the_pixels_are_taken(survey):
    lines = load_lines()
    assert named_lines(lines, survey, "fe_h", 1) == lux.auditing.default_lines(survey, "fe_h", 1)
    assert len(named_lines(lines, survey, "fe_h")) == 30
    assert len(named_lines(lines, survey, "[Mg/Fe]", max_lines=3)) == 3
    with pytest.raises(ValueError, match=r"has none of Eu, the label 'eu_fe'; it has Al, C, .* own_lines=\(\)"):
        named_lines(lines, survey, "eu_fe")
    moved = dataclasses.replace(lines[:2], element=np.full(2, "Eu"), wavelength=np.full(2, 6646.9))
    with pytest.raises(ValueError, match=r"the 2 lines of eu_fe in the list .* none on the survey's pixels"):
        named_lines(moved, survey, "eu_fe")


def test_lines_of_elements_that_the_model_of_the_giant_lacks_are_ranked_by_their_level(survey):
    lines = LineList(
        wavelength=np.array([15410.0, 15420.0, 15430.0, 15440.0]),
        species=np.array(["Eu II"] * 3 + ["Fe I"]),
        element=np.array(["Eu"] * 3 + ["Fe"]),
        ion=np.array([1, 1, 1, 0]),
        excitation=np.array([1.0, 3.0, 1.0, 0.0]),
        log_gf=np.array([0.0, 0.0, -3.0, 0.0]),
        damping=np.zeros(4),
        isotope=np.full(4, ""),
        source=np.full(4, "test"),
    )
    assert named_lines(lines, survey, "eu_fe") == (15410.0, 15420.0, 15430.0)
    assert named_lines(lines, survey, "eu_fe", max_lines=1) == (15410.0,)
    assert named_lines(lines, survey, "eu_fe", max_lines=2) == (15410.0, 15420.0)


def europium(wavelength, log_gf):
    n_lines = len(wavelength)
    return LineList(
        wavelength=np.asarray(wavelength, float),
        species=np.full(n_lines, "Eu II"),
        element=np.full(n_lines, "Eu"),
        ion=np.ones(n_lines, int),
        excitation=np.ones(n_lines),
        log_gf=np.broadcast_to(log_gf, n_lines).astype(float),
        damping=np.zeros(n_lines),
        isotope=np.full(n_lines, ""),
        source=np.full(n_lines, "test"),
    )


def test_a_list_of_another_element_alone_is_refused_and_one_of_no_element_taken(survey):
    lines = europium([15410.0, 15420.0], 0.0)
    with pytest.raises(ValueError, match=r"has none of Fe, the label 'fe_h'; it has Eu; .* their wavelengths"):
        named_lines(lines, survey, "fe_h")
    assert len(named_lines(dataclasses.replace(lines, element=np.full(2, "")), survey, "fe_h")) == 2


def test_components_at_one_place_are_one_line(survey):
    components = np.concatenate([15410 + np.linspace(-0.1, 0.1, 40), [15440.0]])
    chosen = named_lines(europium(components, [*np.linspace(-1, 0, 40), -5]), survey, "eu_fe")
    assert chosen == (components[39], 15440.0)


def test_more_lines_than_are_audited_need_strengths(survey):
    lines = europium(np.linspace(15405, 15495, 31), np.nan)
    with pytest.raises(ValueError, match=r"has 31 lines of eu_fe .* at most 30 .* needs their log gf"):
        named_lines(lines, survey, "eu_fe")
    assert len(named_lines(lines[1:], survey, "eu_fe")) == 30


def test_an_audit_takes_a_list_of_lines(tmp_path):
    survey = linear_survey(n_stars=200).replace(label_names=("teff", "logg", "eu_fe"))
    in_air = vacuum_to_air([15110.4, 15140.2])
    text = "title\n" + "".join(f"{line:10.3f}{63.1:10.1f}{1.38:10.3f}{0.12:10.3f}\n" for line in in_air)
    path = written(tmp_path, text + f"{15120.0:10.3f}{26.0:10.1f}{5.0:10.3f}{-1.0:10.3f}\n")
    train, test = survey.split(0.3)
    report = lux.audit(test.label("eu_fe"), train, test, "eu_fe", own_lines=LineList.read(path))
    np.testing.assert_allclose(report.own_lines, [15110.4, 15140.2], atol=0.001)


@pytest.mark.parametrize("title", ["europium by wavelength", "wavelength", "# of each wave the strongest lines"])
def test_a_word_of_its_title_makes_no_table_of_a_list_of_moog(tmp_path, title):
    expected = LineList.read(written(tmp_path, MOOG))
    lines = LineList.read(written(tmp_path, "\n".join([title, *MOOG.splitlines()[1:]])))
    np.testing.assert_array_equal(lines.wavelength, expected.wavelength)
    assert lines.species.tolist() == expected.species.tolist()


def test_a_title_that_may_be_names_is_decided_by_the_format(tmp_path):
    path = written(tmp_path, "Eu wavelength list 2020\n6645.104 63.1 1.380 0.120\n")
    np.testing.assert_allclose(LineList.read(path, "moog").wavelength, air_to_vacuum(EUROPIUM))


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


def test_several_extractions_of_vald_with_one_header_are_one_list(tmp_path):
    assert len(LineList.read(written(tmp_path, SHORT_STELLAR + SHORT_STELLAR))) == 6


def test_of_a_table_the_column_in_vacuum_is_taken(tmp_path):
    text = "wavelength,wavelength_vac,species\n6645.104,6646.939,Eu II\n"
    assert LineList.read(written(tmp_path, text, "lines.csv")).wavelength.tolist() == [6646.939]


def test_an_energy_of_a_column_with_its_unit_may_be_that_of_a_hot_star(tmp_path):
    table = Table({"wavelength": [10124.0] * u.AA, "excitation": [51.0] * u.eV})
    table.write(tmp_path / "helium.ecsv")
    assert LineList.read(tmp_path / "helium.ecsv").excitation.tolist() == [51.0]


def test_exponents_of_double_precision_of_fortran_are_numbers(tmp_path):
    lines = LineList.read(written(tmp_path, "title\n 0.6645104D+04 63.1 1.38d0 0.120D0\n"))
    np.testing.assert_allclose([lines.excitation[0], lines.log_gf[0]], [1.38, 0.12])
    np.testing.assert_allclose(lines.wavelength, air_to_vacuum(EUROPIUM))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_title_may_be_in_the_encodings_of_windows(tmp_path, encoding):
    title = "\u00c5ngstr\u00f6m" + " \u2026 \u2013" * (encoding == "cp1252")
    path = tmp_path / "lines.txt"
    path.write_bytes(MOOG.replace("europium and its neighbors", title).encode(encoding))
    assert LineList.read(path).species.tolist() == LineList.read(written(tmp_path, MOOG, "utf.txt")).species.tolist()


def test_lines_of_kurucz_without_leading_blanks_or_zeros_are_his(tmp_path):
    expected = LineList.read(written(tmp_path, KURUCZ))
    changed = "\n".join(row.lstrip() for row in KURUCZ.splitlines())
    for file_format in (None, "kurucz"):
        lines = LineList.read(written(tmp_path, changed), file_format)
        for column in ("wavelength", "log_gf", "excitation", "damping"):
            np.testing.assert_array_equal(getattr(lines, column), getattr(expected, column))
    half = LineList.read(written(tmp_path, KURUCZ.replace("  0.120", "  -.500")))
    assert half.log_gf[2] == pytest.approx(-0.5 - 0.300 - 0.320)


def test_what_is_taken_for_moog_and_may_be_of_kurucz_says_so(tmp_path):
    cut = "\n".join(row[:60] for row in KURUCZ.splitlines())
    with pytest.raises(ValueError, match=r"are no Angstrom: .* format='kurucz'"):
        LineList.read(written(tmp_path, cut))
    with pytest.raises(ValueError, match=r"only values above zero as log gf.* format='kurucz'"):
        LineList.read(written(tmp_path, 2 * f"2{cut.splitlines()[0].strip()}\n"))
