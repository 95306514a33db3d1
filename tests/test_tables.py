"""Labels, errors, names and spectra are taken from a table by the names of its columns, or what it lacks is said."""

import numpy as np
import pytest
from astropy import units as u
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
    ):
        with pytest.raises(ValueError, match=message):
            lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, **options)
