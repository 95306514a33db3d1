"""Lists of lines are read as VALD, Kurucz, MOOG and tables write them: vacuum, elements, eV; or the reason why not."""

import gzip

import numpy as np
import pytest
from line_lists import EUROPIUM, IRON, KURUCZ, LONG_ALL, MOOG, SHORT_STELLAR, written

from lux.spectroscopy.lines import LineList, air_to_vacuum, vacuum_to_air


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


def test_the_medium_can_be_said(tmp_path):
    path = written(tmp_path, MOOG)
    np.testing.assert_allclose(vacuum_to_air(LineList.read(path).wavelength), LineList.read(path, air=False).wavelength)


WRONG = {
    "half a line of MOOG": (MOOG.replace("  1.380     0.120", ""), "moog", r"line 3: expected wavelength, species"),
    "half a line of VALD": (SHORT_STELLAR.replace("  2.0,  0.120", ""), None, r"line 5: expected 11 fields, got 10"),
    "no number": (KURUCZ.replace("-2.006", " -.-- "), "kurucz", r"line 1: expected a number as log_gf, got '-.--'"),
    "wavenumbers": (SHORT_STELLAR.replace("WL_air(A)", "WL_vac(cm^-1)"), None, r"in cm\^-1; extract them from VALD in"),
    "no header": ("6645.1", "vald", "no header of VALD, such as"),
    "no lines": ("\n".join(SHORT_STELLAR.splitlines()[:3]), None, r"read as 'vald', has no lines; .* as format="),
    "VALD by wavenumbers": (
        SHORT_STELLAR.replace("WL_air(A)", "WN_vac(cm-1)"),
        None,
        r"in cm-1; extract .* Angstrom or",
    ),
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
    "three columns of MOOG": ("6430.8 26.0 2.1\n", "moog", "line 1: expected wavelength, .*four numbers"),
    "molecules of Kurucz": (
        "  433.0318 -3.524 19.5-10563.271 20.5 -33649.772 106X02F2   A02F1   13\n",
        None,
        "line 1: Kurucz' lists of molecules are not read",
    ),
    "blank": ("\ufeff \n\n", None, "is empty"),
    "MOOG in nanometers": ("title\n664.5 63.1 1.4 0.1\n", None, "of 664.5 to 664.5, which are no Angstrom: MOOG's are"),
    "MOOG in microns": ("t\n1.54 63.1 1.4 -.1\n", "moog", "wavelengths of 1.54 to 1.54, which are no Angstrom"),
    "a title or a name": (
        "Eu wavelength list 2020\n6645.1 63.1 1.4 -.1\n",
        None,
        "line 1: .* format='moog' or format='table'",
    ),
    "two extractions of VALD in air and vacuum": (
        SHORT_STELLAR + SHORT_STELLAR.replace("WL_air(A)", "WL_vac(A)"),
        None,
        r"extractions of VALD with different columns or units, .*WL_air\(A\).* and .*WL_vac\(A\).* a file of its own",
    ),
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


def test_a_list_of_moog_with_energies_above_50_is_in_wavenumbers_as_moog_takes_it(tmp_path):
    lines = LineList.read(written(tmp_path, "title\n6430.845 26.0 17550.181 -2.006\n6645.104 63.1 11128.4 0.12\n"))
    np.testing.assert_allclose(lines.excitation, [2.17595, 1.37975], atol=1e-4)


def test_a_comment_above_lines_of_kurucz_changes_nothing(tmp_path):
    for comment in ("# from the web\n", "gf lines\n"):
        assert len(LineList.read(written(tmp_path, comment + KURUCZ))) == 3


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


@pytest.mark.parametrize("title", ["europium by wavelength", "wavelength", "# of each wave the strongest lines"])
def test_a_word_of_its_title_makes_no_table_of_a_list_of_moog(tmp_path, title):
    expected = LineList.read(written(tmp_path, MOOG))
    lines = LineList.read(written(tmp_path, "\n".join([title, *MOOG.splitlines()[1:]])))
    np.testing.assert_array_equal(lines.wavelength, expected.wavelength)
    assert lines.species.tolist() == expected.species.tolist()


def test_a_title_that_may_be_names_is_decided_by_the_format(tmp_path):
    path = written(tmp_path, "Eu wavelength list 2020\n6645.104 63.1 1.380 0.120\n")
    np.testing.assert_allclose(LineList.read(path, "moog").wavelength, air_to_vacuum(EUROPIUM))


def test_several_extractions_of_vald_with_one_header_are_one_list(tmp_path):
    assert len(LineList.read(written(tmp_path, SHORT_STELLAR + SHORT_STELLAR))) == 6


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
