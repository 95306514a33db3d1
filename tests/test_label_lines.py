"""The own lines of a label are what the survey's world planted, or what its element has in the line list."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from line_lists import written
from linear_truth import linear_survey

import lux
from lux.auditing import default_lines
from lux.auditing.label_lines import _on_pixels, given_lines, label_kind, named_lines, other_medium, unrecognized
from lux.simulation.synthetic import make_survey
from lux.spectroscopy.lines import LineList, air_to_vacuum, load_lines, vacuum_to_air

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
    assert default_lines(survey.replace(truth=None), "fe_h") == iron


def test_names_are_read_as_catalogues_write_them(survey):
    assert default_lines(survey, "[Fe/H]") == default_lines(survey, "FE_H") == default_lines(survey, "fe_h")
    assert default_lines(survey, "[alpha/Fe]") == default_lines(survey, "alpha_m")
    assert default_lines(survey, "Mg") == default_lines(survey, "MgI_FE") == default_lines(survey, "A(Mg)") != ()
    for neither in ("mg_si", "alpha_si", "promise"):
        assert default_lines(survey, neither) == ()


def test_a_label_that_is_neither_a_parameter_nor_an_element_is_asked_about():
    assert unrecognized("promise").startswith("; 'promise' is not recognized")
    assert unrecognized("T_eff") == unrecognized("[Mg/Fe]") == unrecognized("alpha_m") == ""


def test_a_survey_beyond_the_line_list_needs_lines_that_are_named():
    optical = linear_survey(n_stars=20)
    optical = optical.replace(wavelength=optical.wavelength - 9000, label_names=("teff", "logg", "eu_fe"))
    with pytest.raises(ValueError, match=r"line list covers .* give the lines of eu_fe as own_lines"):
        default_lines(optical, "eu_fe")
    assert default_lines(optical, "teff") == ()
    end = load_lines().wavelength.max() + 50
    for pixels_within, fits in ((12, True), (8, False)):
        partly = optical.replace(wavelength=end + np.arange(300) - 300 * pixels_within / 20)
        if fits:
            default_lines(partly, "eu_fe")
            continue
        with pytest.raises(ValueError, match="line list covers"):
            default_lines(partly, "eu_fe")


def test_a_label_is_a_parameter_or_has_lines_in_places_or_everywhere(survey):
    wavelength = survey.wavelength
    assert label_kind("Teff", wavelength, named=False) == "parameter"
    assert label_kind("eu_fe", wavelength, named=False) == "lines"
    assert label_kind("fe_h", wavelength, named=False, dense_spacing=np.inf) == "dense"
    assert label_kind("fe_h", wavelength, named=True, dense_spacing=np.inf) == "lines"
    # Gaps between the windows have no lines and do not count.
    spacing = sum(end - start for start, end in WINDOWS) / len(default_lines(survey, "fe_h", max_lines=10**6))
    assert label_kind("fe_h", wavelength, named=False, dense_spacing=1.05 * spacing) == "dense"
    assert label_kind("fe_h", wavelength, named=False, dense_spacing=0.95 * spacing) == "lines"


def test_a_line_is_on_the_pixels_within_half_a_pixel_of_the_ends_and_not_in_a_gap():
    grid = np.array([15100.0, 15101, 15102, 15110, 15111])
    places = np.array([15099.4, 15099.6, 15101.5, 15102.9, 15103.5, 15106, 15108.5, 15109.1, 15111.4, 15111.6])
    found = _on_pixels(europium(places, 0.0), grid).wavelength
    assert found.tolist() == [15099.6, 15101.5, 15102.9, 15109.1, 15111.4]


@pytest.mark.parametrize(
    ("convert", "said"), [(air_to_vacuum, "the lines were given in air"), (vacuum_to_air, "the spectra are in air")]
)
def test_absorption_where_lines_are_in_the_other_medium_is_told_if_it_is_significant_together(convert, said):
    grid = 15400 + 0.2 * np.arange(500)
    lines = (15410.0, 15430.0, 15450.0, 15490.0, 15300.0, 15700.0)
    significance = np.where(np.isin(np.arange(500), (0, 499)), 90.0, 0.0)
    for each, remark in ((1.7, False), (1.8, True)):
        for line in convert(np.array(lines[:4])):
            significance[np.argmin(np.abs(grid - line))] = each
        reason = other_medium(grid, significance, lines)
        assert (said in reason) == remark
        assert bool(reason) == remark
    assert f"absorption at {convert(np.array([15410.0]))[0]:.2f}, " in reason
    assert other_medium(grid, significance, ()) == ""


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
    assert given_lines(tuple(nanometers)) == pytest.approx((15448.4, 16117.0))
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
    "a path as bytes": (b"eu.vald", "own_lines is the text or path"),
    "infinity": ([15448.4, np.inf], "own_lines has the wavelength inf"),
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
    # At 4500 K two electron volts are worth 2.24 in log gf.
    stronger = dataclasses.replace(lines, log_gf=np.array([0.0, 0.0, -2.2, 0.0]))
    assert named_lines(stronger, survey, "eu_fe", max_lines=2) == (15410.0, 15430.0)


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


@pytest.mark.parametrize("name", ["ni_fe", "Ni", "NiI_FE", "[Ni/Fe]"])
def test_nickel_is_no_nitrogen_and_silicon_no_sulfur(survey, name):
    strange = survey.replace(label_names=[name, *survey.label_names[1:]], truth=None)
    lines = load_lines()
    nickel = lines.wavelength[lines.element == "Ni"]
    found = default_lines(strange, name)
    assert found
    assert np.abs(np.subtract.outer(found, nickel)).min(axis=1).max() < 1e-6
    silicon = survey.replace(label_names=[name.replace("Ni", "Si").replace("ni", "si"), *survey.label_names[1:]])
    assert default_lines(silicon.replace(truth=None), silicon.label_names[0]) != found


def test_a_parameter_without_lines_is_one_though_they_were_named(survey):
    assert label_kind("teff", survey.wavelength, named=True, has_lines=False) == "parameter"
    assert label_kind("teff", survey.wavelength, named=True) == "lines"
    assert label_kind("eu_fe", survey.wavelength, named=True, has_lines=False) == "lines"


def test_windows_are_no_lines():
    with pytest.raises(ValueError, match=r"own_lines has the shape \(2, 2\): give one wavelength for each line"):
        given_lines([(15447.0, 15449.0), (15550.0, 15552.0)])


@pytest.mark.parametrize("name", ["M_K", "pm"])
def test_a_magnitude_and_a_proper_motion_are_no_elements(survey, name):
    strange = survey.replace(label_names=[name, *survey.label_names[1:]], truth=None)
    assert default_lines(strange, name) == ()
    assert "is not recognized" in unrecognized(name)


def test_components_of_one_line_tell_of_another_medium_once():
    grid = 15400 + 0.2 * np.arange(500)
    line = 15450.0
    significance = np.where(np.arange(500) == np.argmin(np.abs(grid - air_to_vacuum(np.array([line])))), 3.0, 0.0)
    components = line + np.linspace(-0.04, 0.04, 5)
    assert other_medium(grid, significance, components) == ""
    assert "as if the lines were given in air" in other_medium(grid, 2 * significance, components)


def test_absorption_that_is_everywhere_is_none_in_another_medium():
    grid = 15400 + 0.2 * np.arange(500)
    significance = np.random.default_rng(0).normal(0, 4, 500)
    moved = np.random.default_rng(1).integers(0, 500, (2000, 1))
    at_line = int(np.argmin(np.abs(grid - air_to_vacuum(np.array([15450.0]))[0])))
    significance[at_line] = 6.0
    assert "in air" in other_medium(grid, significance, (15450.0,))
    assert other_medium(grid, significance, (15450.0,), moved) == ""
    assert "in air" in other_medium(grid, np.where(np.arange(500) == at_line, 6.0, 0.0), (15450.0,), moved)
