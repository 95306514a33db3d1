"""A survey is made of arrays, tables or spectra and joined to catalogues, or the reason why not is said."""

import types

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn, QTable, Table
from linear_truth import linear_survey
from small_arrays import ERROR, FLUX, LABEL_ERR, LABELS, WAVELENGTH, assert_equal, made

import lux


def test_a_label_without_a_value_or_a_positive_error_is_missing():
    with pytest.warns(UserWarning, match="1 labels have no positive error and count as missing"):
        survey = made(label_err={"teff": 80.0, "Eu_fe": [0.05, 0.0, 0.05, 0.1]})
    np.testing.assert_array_equal(np.isnan(survey.label("eu_fe")), [False, True, True, False])
    np.testing.assert_array_equal(survey.label_err[:, 0], 80)
    assert survey.label_names == ("teff", "Eu_fe")


WRONG = {
    "physical units": ({"flux": FLUX * 1e-17, "error": ERROR * 1e-17}, "median flux is 9.5e-18: divide each spectrum"),
    "one spectrum": ({"flux": FLUX[0]}, "a row for each star and a column for each pixel"),
}


@pytest.mark.parametrize(("arrays", "message"), WRONG.values(), ids=WRONG)
def test_what_would_be_misread_is_refused_with_the_way_out(arrays, message):
    with pytest.raises(ValueError, match=message):
        made(**arrays)


@pytest.mark.parametrize(
    "uncertain", [StdDevUncertainty(ERROR[0]), VarianceUncertainty(ERROR[0] ** 2), InverseVariance(ERROR[0] ** -2.0)]
)
def test_spectra_of_specutils_are_read(uncertain):
    """What `specutils.Spectrum` has, in its types."""
    one = {"spectral_axis": WAVELENGTH / 10 * u.nm, "uncertainty": uncertain, "mask": None}
    spectra = [types.SimpleNamespace(flux=flux * u.dimensionless_unscaled, **one) for flux in FLUX]
    assert_equal(lux.Survey.from_spectra(spectra, labels=LABELS, label_err=LABEL_ERR), made())
    with pytest.raises(ValueError, match="1 labels for 4 spectra"):
        lux.Survey.from_spectra(spectra, labels={"teff": [4500.0]}, label_err={"teff": 80.0})
    spectra[2].mask = np.arange(6) == 2
    assert lux.Survey.from_spectra(spectra, labels=LABELS, label_err=LABEL_ERR).ivar[2, 2] == 0
    spectra[1].spectral_axis = spectra[1].spectral_axis * 1.001
    with pytest.raises(ValueError, match="spectrum 1 lies on another wavelength grid"):
        lux.Survey.from_spectra(spectra, labels=LABELS, label_err=LABEL_ERR)
    spectra[1] = types.SimpleNamespace(**vars(spectra[0]) | {"uncertainty": None})
    with pytest.raises(ValueError, match="spectrum 1 has no uncertainty"):
        lux.Survey.from_spectra(spectra, labels=LABELS, label_err=LABEL_ERR)


CATALOGUE = {"star_id": ["3", "2", "1", "0"], "teff": [5800.0, 5700.0, 5600.0, 5500.0], "e_teff": [8.0, 7.0, 6.0, 5.0]}
FRAME = pd.DataFrame(CATALOGUE)
TABLES = {
    "sorted data frame": FRAME.sort_values("teff"),
    "data frame with an index of text": FRAME.set_index("star_id", drop=False),
    "records of a data frame": FRAME.to_records(),
    "lists": CATALOGUE,
    "table": Table(CATALOGUE),
    "structured array": Table(CATALOGUE).as_array(),
    "FITS table": fits.BinTableHDU(Table(CATALOGUE)).data,
    "text with errors": FRAME.assign(name=["w", "x", "y", "z"], name_err=["?"] * 4),
    "spectra with errors": Table(CATALOGUE | {"flux": FLUX, "e_flux": ERROR}),
    "blanks around names": FRAME.assign(star_id=[" 3", "2 ", "1", "0"]),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_catalogue_of_any_type_is_joined_star_by_star(table):
    for labels in ([], ["teff"]):
        survey = made().with_labels(table, labels)
        np.testing.assert_array_equal(survey.labels, [[5500], [5600], [5700], [5800]])
        np.testing.assert_array_equal(survey.label_err, [[5], [6], [7], [8]])
        assert survey.label_names == ("teff",)
    np.testing.assert_array_equal(made().with_labels(table, ["teff"], label_err=9.0).label_err, 9)
    with pytest.raises(ValueError, match="labels= must name the columns"):
        made().with_labels(table, label_err=9.0)


@pytest.mark.parametrize("name", ["records of a data frame", "structured array", "FITS table"])
def test_a_structured_array_is_a_table(name):
    survey = lux.Survey.from_table(TABLES[name], WAVELENGTH, FLUX, labels=["teff"], error=ERROR, star_id="star_id")
    assert survey.star_id.tolist() == CATALOGUE["star_id"]
    np.testing.assert_array_equal(survey.label_err[:, 0], CATALOGUE["e_teff"])
    with pytest.raises(ValueError, match=r"no column 'tef' among its .* similar: teff"):
        lux.Survey.from_table(TABLES[name], WAVELENGTH, FLUX, labels=["tef"], error=ERROR)


def test_units_of_a_catalogue_are_paired_in_a_join():
    kilokelvin = {"teff": np.array(CATALOGUE["teff"]) / 1e3 * u.kK, "e_teff": CATALOGUE["e_teff"] * u.K}
    in_units = Table(CATALOGUE | kilokelvin)
    for table in (in_units, QTable(in_units), fits.BinTableHDU(in_units).data):
        survey = made().with_labels(table, ["teff"])
        np.testing.assert_allclose(survey.labels[:, 0], [5.5, 5.6, 5.7, 5.8])
        np.testing.assert_allclose(survey.label_err[:, 0], [0.005, 0.006, 0.007, 0.008])
        assert survey.label_units == ("kK",)
    survey = made().with_labels(in_units, label_err={"teff": 0.08 * u.kK})
    np.testing.assert_allclose(survey.label_err, 0.08)


def test_what_is_masked_in_a_catalogue_is_missing_in_a_join():
    masked = MaskedColumn(CATALOGUE["e_teff"], mask=[0, 1, 0, 0])
    with pytest.warns(UserWarning, match="1 labels have no positive error"):
        survey = made().with_labels(Table(CATALOGUE | {"e_teff": masked}))
    np.testing.assert_array_equal(survey.labels[:, 0], [5500, 5600, np.nan, 5800])
    for ids in (MaskedColumn([3, 2, 1, 0], mask=[0, 0, 0, 1]), MaskedColumn(list("3210"), mask=[0, 0, 0, 1])):
        assert made().with_labels(Table(CATALOGUE | {"star_id": ids})).star_id.tolist() == ["1", "2", "3"]
    for ids in (["3", "2", None, None], pd.Series([3, 2, None, None], dtype="Int64")):
        assert made().with_labels(FRAME.assign(star_id=ids)).star_id.tolist() == ["2", "3"]


def test_blanks_around_the_names_of_the_survey_do_not_count():
    survey = made(star_id=["0 ", " 1", "2", "x"])
    assert survey.with_labels(FRAME).star_id.tolist() == ["0", "1", "2"]


NO_JOIN = {
    "no errors": (
        FRAME[["star_id", "teff"]],
        {},
        "no column of the table is of numbers and has a column of errors.* teff",
    ),
    "no names": (
        FRAME.assign(star_id=[None] * 4),
        {},
        "'star_id' names no star: it has 4 rows, each masked or missing",
    ),
    "no rows": (FRAME[:0], {}, "'star_id' names no star: it has 0 rows"),
    "few errors": (FRAME, {"teff": [1.0, 2.0]}, "label_err of 'teff' has 2 rows, expected one for each of 4 rows"),
    "other units": (FRAME, {"teff": [1.0, 2.0, 3.0, 4.0] * u.dex}, "label_err of 'teff' is in dex, expected K"),
}


@pytest.mark.parametrize(("table", "label_err", "message"), NO_JOIN.values(), ids=NO_JOIN)
def test_a_catalogue_that_cannot_be_joined_is_refused_with_the_way_out(table, label_err, message):
    with pytest.raises(ValueError, match=message):
        made().with_labels(table, label_err=label_err)


def test_errors_given_to_a_join_name_the_labels_to_take():
    survey = made().with_labels(FRAME[["star_id", "teff"]], label_err={"teff": 80.0})
    np.testing.assert_array_equal(survey.label_err, 80)


def test_what_is_in_no_group_is_alone():
    survey = linear_survey(n_stars=40, n_latents=2, n_labels=2, seed=0)
    clusters = np.where(np.arange(40) < 10, "M 67", " ")
    _, test = survey.split(0.2, seed=1, groups=clusters)
    assert len(test) == 8
    assert not set(test.star_id.tolist()) & set(map(str, range(10)))
    masked = np.ma.array(np.arange(40) // 2, mask=np.arange(40) >= 10)
    assert len(survey.split(0.3, groups=masked)[1]) == 12


def test_a_data_frame_may_hold_a_spectrum_in_each_cell_and_no_label_may():
    frame = pd.DataFrame({"teff": LABELS["teff"] if isinstance(LABELS, dict) else LABELS[:, 0], "flux": list(FLUX)})
    frame["both"] = [list(row[:2]) for row in FLUX]
    survey = lux.Survey.from_table(frame, WAVELENGTH, labels=["teff"], label_err=80.0, error=0.01)
    np.testing.assert_array_equal(survey.flux, np.float32(FLUX))
    with pytest.raises(ValueError, match=r"label 'both' has shape \(4, 2\), expected \(4,\)"):
        lux.Survey.from_table(frame, WAVELENGTH, labels=["both"], label_err=80.0, error=0.01)
    frame["flux"] = [row[: 5 + place] for place, row in enumerate(FLUX)]
    with pytest.raises(ValueError, match="flux must be numbers of one unit and shape"):
        lux.Survey.from_table(frame, WAVELENGTH, labels=["teff"], label_err=80.0, error=0.01)
