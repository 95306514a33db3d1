"""A survey is made of what users have - masks, errors, units, tables, spectra - or the reason why not is said.

The file is long because every input that must be refused stands here beside the message that says why.
"""

import types

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

import lux
from lux.survey import plain_name

WAVELENGTH = 15200 + 0.2 * np.arange(6)
FLUX = np.linspace(0.8, 1.1, 24).reshape(4, 6)
ERROR = np.full((4, 6), 0.02)
LABELS = {"teff": [4500.0, 4600.0, 4700.0, 4800.0], "Eu_fe": [0.1, 0.2, np.nan, 0.0]}
LABEL_ERR = {"teff": 80.0, "Eu_fe": [0.05, 0.05, 0.05, 0.1]}


def made(wavelength=WAVELENGTH, flux=FLUX, labels=LABELS, label_err=LABEL_ERR, **options):
    options = options if "ivar" in options else {"error": ERROR} | options
    return lux.Survey.from_arrays(wavelength, flux, labels=labels, label_err=label_err, **options)


def assert_equal(first, second):
    for name in ("wavelength", "flux", "ivar", "labels", "label_err"):
        np.testing.assert_allclose(*(getattr(each, name) for each in (first, second)), rtol=1e-6)
    assert first.star_id.tolist() == second.star_id.tolist()
    assert first.label_names == second.label_names


def test_a_label_without_a_value_or_a_positive_error_is_missing():
    with pytest.warns(UserWarning, match="1 labels have no positive error and count as missing"):
        survey = made(label_err={"teff": 80.0, "Eu_fe": [0.05, 0.0, 0.05, 0.1]})
    np.testing.assert_array_equal(np.isnan(survey.label("eu_fe")), [False, True, True, False])
    np.testing.assert_array_equal(survey.label_err[:, 0], 80)
    assert survey.label_names == ("teff", "Eu_fe")


THIRD = np.tile(np.arange(6) == 2, (4, 1))
BAD = {
    "NaN": {"flux": np.where(THIRD, np.nan, FLUX)},
    "masked array": {"flux": np.ma.array(np.where(THIRD, -9999, FLUX), mask=THIRD)},
    "mask": {"mask": np.arange(6) == 2},
    "flags": {"mask": np.where(THIRD, 16, 0)},
    "error of zero": {"error": np.where(THIRD, 0, ERROR)},
    "infinite error": {"error": np.where(THIRD, np.inf, ERROR)},
    "error that is not known": {"error": np.where(THIRD, np.nan, ERROR)},
    "inverse variance": {"ivar": np.where(THIRD, 0, ERROR**-2.0)},
    "masked inverse variance": {"ivar": np.ma.array(ERROR**-2.0, mask=THIRD)},
    "masked flag": {"mask": np.ma.array(np.zeros((4, 6), int), mask=THIRD)},
}


@pytest.mark.parametrize("arrays", BAD.values(), ids=BAD)
def test_a_bad_pixel_is_masked_however_it_is_marked(arrays):
    survey = made(**arrays)
    np.testing.assert_array_equal(survey.ivar == 0, THIRD)
    np.testing.assert_array_equal(survey.flux[:, 2], 1)
    np.testing.assert_allclose(survey.flux[:, 3], FLUX[:, 3], rtol=1e-6)


UNITS = {
    "nanometers": (WAVELENGTH / 10 * u.nm, slice(None)),
    "microns": (WAVELENGTH / 1e4 * u.um, slice(None)),
    "frequencies": ((WAVELENGTH * u.AA).to(u.THz, equivalencies=u.spectral()), slice(None)),
    "descending": (WAVELENGTH[::-1], slice(None, None, -1)),
}


@pytest.mark.parametrize(("wavelength", "order"), UNITS.values(), ids=UNITS)
def test_wavelengths_of_any_unit_and_order_are_read(wavelength, order):
    assert_equal(made(wavelength, FLUX[:, order]), made())
    if order == slice(None):
        assert_equal(made().replace(wavelength=wavelength), made())


WRONG = {
    "nanometers without a unit": (
        {"wavelength": WAVELENGTH / 10},
        "no Angstrom; if they are nanometers, give",
    ),
    "log10": ({"wavelength": np.log10(WAVELENGTH)}, r"if they are log10 of Angstrom, or microns.*10\*\*wavelength"),
    "a grid a star": (
        {"wavelength": np.tile(WAVELENGTH, (4, 1))},
        r"one grid \(D,\) for all stars, got shape",
    ),
    "physical units": ({"flux": FLUX * 1e-17, "error": ERROR * 1e-17}, "median flux is 9.5e-18: divide each spectrum"),
    "no errors": ({"error": None}, "the errors of the flux are needed once"),
    "two kinds of error": ({"ivar": ERROR, "error": ERROR}, "give either ivar or error"),
    "one spectrum": ({"flux": FLUX[0]}, "a row for each star and a column for each pixel"),
    "errors of one label only": ({"label_err": {"teff": 80.0}}, "label_err lacks 'Eu_fe'; give a number"),
    "text": ({"flux": "spectra"}, "flux must be an array of numbers"),
    "ids as floating-point numbers": ({"star_id": np.array([5.8534987131905e18] * 4)}, "ids of 64 bits lose digits"),
    "such ids as objects": (
        {"star_id": np.array([5.8e18, 1, 2, 3], object)},
        "star_id holds object numbers such as 5.8",
    ),
    "a star without a name": ({"star_id": ["a", None, "c", "d"]}, "star_id of row 1 is masked or missing"),
    "a star named NaN": ({"star_id": ["a", "b", np.nan, "d"]}, "star_id of row 2 is masked or missing"),
    "a name of pandas that is missing": (
        {"star_id": pd.Series([2**60, 1, 2, None], dtype="Int64")},
        "star_id of row 3 is masked or missing",
    ),
    "a masked name": (
        {"star_id": MaskedColumn([1, 2, 3, 4], mask=[1, 0, 0, 0])},
        "star_id of row 0 is masked or missing",
    ),
    "flux density": (
        {"flux": FLUX * u.Jy, "error": ERROR * u.mJy},
        "flux is in Jy, so not divided by its continuum: divide each spectrum by its continuum",
    ),
    "rows of flux density": ({"flux": [row * u.Jy for row in FLUX]}, "flux is in Jy, so not divided"),
    "errors of flux density": ({"error": ERROR * u.mJy}, "error is in mJy, expected no unit or one that converts"),
    "errors of another unit": ({"label_err": 0.1 * u.dex}, "label_err of 'teff' is in dex, expected K or one"),
    "velocities of another unit": (
        {"catalogue": {"radial_velocity": np.ones(4) * u.AA}},
        "column 'radial_velocity' is in Angstrom, expected km / s or one that converts to it",
    ),
    "a mask of stars": ({"mask": np.zeros(4)}, r"mask has shape \(4,\), expected \(4, 6\) as flux"),
    "an error for each star": ({"error": np.ones(4)}, r"error has shape \(4,\), expected \(4, 6\) as flux"),
    "inverse variances of fewer pixels": ({"ivar": np.ones((4, 5))}, r"ivar has shape \(4, 5\), expected \(4, 6\)"),
    "labels of fewer stars": (
        {"labels": {"teff": [4500.0, 4600.0]}},
        r"label 'teff' has shape \(2,\), expected \(4,\), a number for each star",
    ),
    "the label of one star": ({"labels": {"teff": [4500.0]}}, r"label 'teff' has shape \(1,\), expected \(4,\)"),
    "errors of fewer stars": (
        {"label_err": {"teff": [80.0, 80.0], "Eu_fe": 0.1}},
        r"label_err of 'teff' has shape \(2,\), expected \(4,\)",
    ),
    "an array of errors of fewer stars": (
        {"labels": np.ones((4, 2)), "label_err": np.ones((3, 2)), "label_names": ["teff", "Eu_fe"]},
        r"label_err has shape \(3, 2\), expected \(4, 2\) as labels",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), WRONG.values(), ids=WRONG)
def test_what_would_be_misread_is_refused_with_the_way_out(arrays, message):
    with pytest.raises(ValueError, match=message):
        made(**arrays)


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
    for options, message in (
        ({"labels": ["Eu_fee"], "label_err": {"Eu_fee": 1.0}}, "no column 'Eu_fee' among its 3; similar: Eu_fe"),
        ({"labels": ["Eu_fe"]}, "no column is named as that of the errors of 'Eu_fe'"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, **options)


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


def test_a_survey_itself_takes_masked_labels_for_missing_and_refuses_masked_flux():
    survey = made()
    masked = np.ma.array(survey.labels, mask=np.zeros((4, 2), bool))
    masked[3] = np.ma.masked
    assert np.all(np.isnan(survey.replace(labels=masked).labels[3]))
    with pytest.raises(ValueError, match=r"flux is a masked array; Survey\.from_arrays masks its pixels"):
        survey.replace(flux=np.ma.array(FLUX, mask=FLUX > 1))


PERCENT = {
    "both": {"flux": 100 * FLUX * u.percent, "error": 100 * ERROR * u.percent},
    "flux alone": {"flux": 100 * FLUX * u.percent, "error": ERROR * u.one},
    "errors alone": {"error": 100 * ERROR * u.percent},
    "errors without a unit": {"flux": 100 * FLUX * u.percent, "error": 100 * ERROR},
    "inverse variance": {"flux": 100 * FLUX * u.percent, "ivar": (100 * ERROR) ** -2.0 / u.percent**2},
    "a list of rows": {"flux": [100 * row * u.percent for row in FLUX]},
}


@pytest.mark.parametrize("arrays", PERCENT.values(), ids=PERCENT)
def test_flux_and_errors_of_a_percent_are_fractions(arrays):
    arrays = arrays | ({"error": ERROR * u.one} if set(arrays) == {"flux"} else {})
    assert_equal(made(**arrays), made())


IN_UNITS = {
    "of the label": ({"teff": np.array(LABELS["teff"]) / 1e3 * u.kK}, {"teff": np.full(4, 80.0) * u.K}, "kK"),
    "in a list": ({"teff": [4.5 * u.kK, 4.6 * u.kK, 4.7 * u.kK, 4.8 * u.kK]}, {"teff": 80.0 * u.K}, "kK"),
    "of the name": ({"teff": LABELS["teff"]}, {"teff": 0.08 * u.kK}, "K"),
    "that is stated": ({"teff": np.array(LABELS["teff"]) / 1e3}, {"teff": 80.0 * u.K}, "kK"),
    "of an array": (np.array(LABELS["teff"])[:, None] / 1e3 * u.kK, 80.0 * u.K, "kK"),
}


@pytest.mark.parametrize(("labels", "label_err", "unit"), IN_UNITS.values(), ids=IN_UNITS)
def test_errors_of_labels_are_converted_to_the_unit(labels, label_err, unit):
    options = {} if isinstance(labels, dict) else {"label_names": ["teff"]}
    survey = made(labels=labels, label_err=label_err, label_units=[unit], **options)
    scale = 1e-3 if unit == "kK" else 1
    np.testing.assert_allclose(survey.labels[:, 0], scale * np.array(LABELS["teff"]))
    np.testing.assert_allclose(survey.label_err, 80 * scale)
    if unit in str(getattr(labels, "unit", "")):
        assert made(labels=labels, label_err=label_err, **options).label_units == ("kK",)


def test_units_of_labels_that_cannot_be_compared_leave_the_errors_as_they_are():
    unknown = u.Unit("log(cm.s**-2)", parse_strict="silent")
    for unit in (unknown, u.one, u.dex, u.dex(u.cm / u.s**2)):
        table = Table({"logg": MaskedColumn([2.0, 2.1, 2.2, 2.3], unit=unit), "e_logg": [0.1] * 4 * u.dex})
        survey = lux.Survey.from_table(table, WAVELENGTH, FLUX, labels=["logg"], error=ERROR)
        np.testing.assert_array_equal(survey.label_err, 0.1)


COLUMNS = {
    "velocities": ("observed_velocity", [1000, 2000, 3000, 4000] * u.m / u.s, [1, 2, 3, 4]),
    "velocities in a list": ("radial_velocity", [1000 * u.m / u.s] * 4, [1, 1, 1, 1]),
    "masked velocities": (
        "radial_velocity",
        MaskedColumn([1000, 0, 3000, 4000], mask=[0, 1, 0, 0], unit="m/s"),
        [1, np.nan, 3, 4],
    ),
    "masked quantities": ("radial_velocity", Masked([1.0, 0, 3, 4] * u.km / u.s, mask=[0, 1, 0, 0]), [1, np.nan, 3, 4]),
    "masked whole numbers": ("visits", np.ma.array([1, 0, 3, 4], mask=[0, 1, 0, 0]), [1, np.nan, 3, 4]),
    "masked ids": ("gaia", np.ma.array([2**60 + 1, 0, 3, 4], mask=[0, 1, 0, 0]), [str(2**60 + 1), "", "3", "4"]),
    "masked text": ("field", MaskedColumn(["a", "b", "c", "d"], mask=[0, 1, 0, 0]), ["a", "", "c", "d"]),
    "text with gaps": ("field", pd.Series(["a", None, "c", "d"]), ["a", "", "c", "d"]),
    "ids of pandas with gaps": (
        "gaia",
        pd.Series([2**60 + 1, None, 3, 4], dtype="Int64"),
        [str(2**60 + 1), "", "3", "4"],
    ),
    "text and numbers in a list": ("field", ["a", 2, "c", "d"], ["a", "2", "c", "d"]),
    "objects with gaps": ("snr", [1.5, None, 3, 4], [1.5, np.nan, 3, 4]),
}


@pytest.mark.parametrize(("name", "column", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_of_the_catalogue_keeps_its_unit_and_its_gaps(name, column, expected):
    for survey in (made(catalogue={name: column}), made().replace(catalogue={name: column})):
        np.testing.assert_array_equal(survey.catalogue[name], expected)


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
    assert survey.with_labels(FRAME).star_id.tolist() == ["0 ", " 1", "2"]


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


def test_groups_without_a_name_are_one_group():
    train, test = made().split(0.5, groups=np.ma.array([1, 2, 3, 3], mask=[0, 0, 1, 1]))
    assert ["2", "3"] in (train.star_id.tolist(), test.star_id.tolist())


SPELLED = {
    "teff": ("T_eff", "teff_k", "Teff [K]", "TEFF_SPEC", "TEFF"),
    "logg": ("log_g", "log g", "log(g)", "LOGG_SPEC"),
    "fe_h": ("feh", "FeH", "met", "metallicity", "[Fe/H]", "FE_H"),
    "mg_fe": ("mgfe", "[Mg/Fe]", "MG_FE"),
    "mg_h": ("A(Mg)", "[Mg/H]"),
    "alpha_fe": ("alphafe", "[α/Fe]", "afe", "ALPHA_FE"),
    "alpha_h": ("alpha_h",),
    "ti2_fe": ("Ti2_fe",),
    "k_fe": ("[K/Fe]",),
    "age": ("Age",),
}


@pytest.mark.parametrize(("plain", "spelled"), SPELLED.items())
def test_names_of_labels_are_read_in_any_usual_spelling(plain, spelled):
    assert {plain_name(name) for name in (plain, *spelled)} == {plain}


def test_a_label_is_found_in_any_usual_spelling():
    survey = made()
    for name in ("Eu_fe", "[Eu/Fe]", "EU_FE", "eufe"):
        assert survey.label_index(name) == 1
    with pytest.raises(ValueError, match=r"unknown label 'Eu'; .* did you mean 'Eu_fe'"):
        survey.label_index("Eu")
