"""Labels, errors, names and spectra are taken from a table by the names of its columns, or what it lacks is said."""

import re
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable, Table
from small_arrays import ERROR, FLUX, LABEL_ERR, LABELS, WAVELENGTH, assert_equal, made

import lux


def test_a_table_gives_labels_their_errors_units_names_and_spectra():
    rows = {"id": [f"2M{n}" for n in range(4)], "TEFF": LABELS["teff"] * u.K, "TEFF_ERR": np.full(4, 80.0) * u.K}
    rows |= {"Eu_fe": np.ma.array([0.1, 0.2, 999.0, 0.0], mask=[0, 0, 1, 0]), "e_eu_fe": LABEL_ERR["Eu_fe"]}
    rows |= {"spectrum": FLUX, "sigma": ERROR, "snr": [100.0, 90.0, 80.0, 70.0], "field": [b"a", b"b", b"a", b"b"]}
    expected = made(star_id=rows["id"])
    for table in (Table(rows), QTable(rows)):
        survey = lux.Survey.from_table(
            table,
            WAVELENGTH,
            "spectrum",
            labels=("TEFF", "Eu_fe"),
            star_id="id",
            error="sigma",
            catalogue=("snr", "field"),
        )
        assert_equal(survey.replace(label_names=("teff", "Eu_fe")), expected)
        assert survey.label_units == ("K", "dex")
        assert survey.catalogue["field"].tolist() == ["a", "b", "a", "b"]


def test_a_table_takes_spectra_and_errors_from_elsewhere_and_names_what_it_lacks():
    table = {"Eu_fe": np.array([0.1, 0.2, 0.3, 0.0]), "spread": np.full(4, 0.05), "text": np.array(["x"] * 4, object)}
    survey = lux.Survey.from_table(
        table, WAVELENGTH, FLUX, labels=["Eu_fe"], label_err={"Eu_fe": "spread"}, ivar=ERROR**-2.0, catalogue=["text"]
    )
    np.testing.assert_array_equal(survey.label_err[:, 0], 0.05)
    same = lux.Survey.from_table(
        table, WAVELENGTH, FLUX, labels=["Eu_fe"], label_err={"Eu_fe": np.full(4, 0.05)}, ivar=1.0
    )
    np.testing.assert_array_equal(same.label_err, survey.label_err)
    assert survey.catalogue["text"].tolist() == ["x"] * 4
    for errors in (0.05, "spread", {"[Eu/Fe]": 0.05}, {"Eu_fe": 0.05, "text": 1.0}):
        same = lux.Survey.from_table(table, WAVELENGTH, FLUX, labels=["Eu_fe"], label_err=errors, ivar=1.0)
        np.testing.assert_array_equal(same.label_err, survey.label_err)
    for options, message in (
        ({"labels": ["Eu_fee"], "label_err": {"Eu_fee": 1.0}}, "no column 'Eu_fee' among its 3; similar: Eu_fe"),
        ({"labels": ["Eu_fe"]}, "no column is named as that of the errors of 'Eu_fe'"),
        ({"labels": ["Eu_fe"], "label_err": {"Eu_fee": 0.1}}, "names 'Eu_fee', which is not among the labels Eu_fe"),
        ({"labels": ["Eu_fe"], "label_err": {"Eu_fe": 0.1, "[Eu/Fe]": 0.2}}, "label_err names 'Eu_fe' twice"),
        ({"labels": ["Eu_fe"], "label_err": [0.1]}, "or be one number for all, got list"),
        ({"labels": ["Eu_fe"], "label_err": [0.1 * u.dex, 1 * u.K]}, "or be one number for all, got list"),
        ({"labels": ["Eu_fe"], "label_err": {0.1}}, "or be one number for all, got set"),
        ({"labels": ["Eu_fe"], "label_err": StdDevUncertainty(0.1)}, "for all, got StdDevUncertainty"),
        ({"labels": ["Eu_fe"], "label_err": {"Eu_fe": StdDevUncertainty(0.1)}}, "must be an array of numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, **options)


# Two labels, an error of one of them, and columns whose names are spellings of it.
SPELLED = {"FE_H": np.zeros(4), "FE_H_ERR": np.full(4, 0.05), "fe_h": np.ones(4), "EU_FE": np.zeros(4)}


def errors_of(given, labels=("FE_H",)):
    return lux.Survey.from_table(SPELLED, WAVELENGTH, FLUX, error=ERROR, labels=labels, label_err=given).label_err[0]


def test_errors_are_those_of_the_label_that_is_named_exactly_and_else_of_the_only_one_alike():
    assert errors_of(None) == errors_of({}) == errors_of({"FE_H": None}) == 0.05
    assert errors_of({"[Fe/H]": 0.2}) == errors_of({"FE_H": 0.2, "fe_h": 0.3, "EU_FE": 0.1}) == 0.2
    np.testing.assert_allclose(errors_of({"FE_H": 0.2, "fe_h": 0.3}, ("FE_H", "fe_h")), [0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(errors_of({"eu_fe": 0.1}, ("FE_H", "EU_FE")), [0.05, 0.1], rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "labels", "message"),
    [
        ({"[Fe/H]": 0.2}, ("FE_H", "fe_h"), "'[Fe/H]', which may mean FE_H or fe_h: name the label itself"),
        ({"fe_h": 0.2}, ("FE_H",), "'fe_h', which may mean FE_H: name the label itself"),
        ({"FE_H_ERR": 0.2}, ("FE_H",), "'FE_H_ERR', which may mean FE_H: name the label itself"),
    ],
)
def test_a_name_that_may_mean_another_label_or_column_is_refused(given, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        errors_of(given, labels)


def test_a_join_takes_the_columns_whose_errors_are_given_in_any_spelling():
    table = {"star_id": ["0", "1", "2", "3"], "EU_FE": np.zeros(4), "TEFF": np.full(4, 4500.0)}
    joined = made().with_labels(table, label_err={"[Eu/Fe]": 0.2, "TEFF": 80.0})
    assert joined.label_names == ("EU_FE", "TEFF")
    np.testing.assert_allclose(joined.label_err[0], [0.2, 80], rtol=1e-6)


# Beside three numbers as a data frame has them, and as text.
BESIDE = {
    "objects": lambda cell: np.array([0.1, 0.2, cell, 0.3], object),
    "text": lambda cell: ["0.1", "0.2", cell, "0.3"],
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("cell", ["", " -- ", "nan", "None", "NULL", "N/A"])
def test_a_cell_that_stands_for_no_number_is_a_label_that_is_missing(beside, cell):
    table = {"star_id": list("0123"), "EU_FE": BESIDE[beside](cell), "e_EU_FE": np.full(4, 0.05)}
    np.testing.assert_array_equal(made().with_labels(table).labels[:, 0], [0.1, 0.2, np.nan, 0.3])
    errors = {**table, "EU_FE": np.full(4, 0.1), "e_EU_FE": BESIDE[beside](cell)}
    with pytest.warns(UserWarning, match="1 labels have no positive error"):
        np.testing.assert_array_equal(made().with_labels(errors).label_err[:, 0], [0.1, 0.2, np.nan, 0.3])


@pytest.mark.parametrize("beside", BESIDE)
def test_a_column_of_numbers_and_other_text_is_refused_and_one_of_text_alone_passed_over(beside):
    label = {"star_id": list("0123"), "TEFF": np.full(4, 4500.0), "e_TEFF": np.full(4, 80.0), "e_RA": np.full(4, 0.1)}
    joined = made().with_labels({**label, "RA": ["00:42:44", "00:42:45", "--", "00:42:46"]})
    assert joined.label_names == ("TEFF",)
    number = {"e_EU_FE": np.full(4, 0.1), "EU_FE": BESIDE[beside]("bad")}
    with pytest.raises(ValueError, match=r"label 'EU_FE' must be an array of numbers, .*: could not convert .*'bad'"):
        made().with_labels({**label, **number})


def test_positions_motions_and_distances_are_labels_only_where_they_are_named():
    names = (
        "parallax",
        "ra",
        "pmdec",
        "GAIAEDR3_PMRA",
        "radial_velocity",
        "rv_nospec",
        "distance",
        "teff",
        "er_h",
        "age",
    )
    table = {"star_id": list("0123")} | {name: np.arange(4.0) for name in names}
    table |= {f"{name}_error": np.full(4, 0.1) for name in names}
    assert made().with_labels(table).label_names == ("teff", "er_h", "age")
    assert made().with_labels(table, "parallax").label_names == ("parallax",)
    assert made().with_labels(table, label_err={"parallax": 0.1}).label_names[0] == "parallax"


FLAGGED = {"star_id": list("0123"), "fe_h": [0.1, np.nan, 0.3, 0.4], "e_fe_h": np.full(4, 0.05)}


@pytest.mark.parametrize("flag", ["flag_fe_h", "FE_H_FLAG"])
def test_it_is_told_that_flagged_values_are_taken(flag):
    expected = re.escape(f"flagged values are taken as measured: fe_h of 2 stars ({flag}); set them to NaN")
    with pytest.warns(UserWarning, match=expected):
        made().with_labels({**FLAGGED, flag: [1, 1, 0, 32]})
    with pytest.warns(UserWarning, match=expected):
        lux.Survey.from_table({**FLAGGED, flag: [1, 1, 0, 32]}, WAVELENGTH, FLUX, labels="fe_h", error=ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of stars that the survey has not, or without the label, or of a label that is not taken.
        made()[:3].with_labels({**FLAGGED, flag: [0, 1, 0, 32]})
        made().with_labels({**FLAGGED, flag: ["", "x", "", "y"]})
        made().with_labels({**FLAGGED, "flag_eu_fe": [1, 1, 1, 1]})
        made().with_labels({**FLAGGED, "flag_fe_h": np.ones((4, 3), int)})


def test_in_a_joined_table_errors_are_those_of_the_label_as_it_is_spelled():
    columns = {"TEFF": 4000.0, "TEFF_ERR": 100.0, "FE_H": 0.1, "FE_H_ERR": 0.01}
    columns |= {"teff": 4100.0, "e_teff": 7.0, "fe_h": 0.2, "e_fe_h": 0.2}
    table = {name: np.full(4, value) for name, value in columns.items()}
    for labels, expected in ((("TEFF", "FE_H"), [100, 0.01]), (("teff", "fe_h"), [7, 0.2])):
        survey = lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, labels=labels)
        np.testing.assert_allclose(survey.label_err[0], expected, rtol=1e-6)
    table["E_TEFF"] = np.full(4, 3.0)
    with pytest.raises(ValueError, match=r"TEFF_ERR, E_TEFF may all be the errors of 'TEFF': name one, label_err="):
        lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, labels=["TEFF"])
    chosen = lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, labels=["TEFF"], label_err={"TEFF": "E_TEFF"})
    assert chosen.label_err[0] == 3
    # Errors of another column that is there are not those of a label that has none.
    del table["TEFF_ERR"], table["E_TEFF"]
    with pytest.raises(ValueError, match="no column is named as that of the errors of 'TEFF'"):
        lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, labels=["TEFF"])


def test_a_path_an_extension_and_a_name_of_wavelengths_are_no_table():
    extension = fits.BinTableHDU(Table(SPELLED))
    for table, wavelength, message in (
        ("stars.fits", WAVELENGTH, "the table is a path, 'stars.fits': read it"),
        (extension, WAVELENGTH, "the table is of the type BinTableHDU, a part of a file: give its data, hdu.data"),
        (SPELLED, "WAVE", "wavelength is the name 'WAVE': give the wavelengths"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Survey.from_table(table, wavelength, FLUX, error=ERROR, labels=["FE_H"])
    read = lux.Survey.from_table(extension.data, WAVELENGTH, FLUX, error=ERROR, labels=["FE_H"])
    np.testing.assert_allclose(read.label_err[:, 0], 0.05)
