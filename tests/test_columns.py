"""Of users' columns units, masks and gaps are kept and errors paired, and what would be misread is refused."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, UnknownUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn, Table
from astropy.utils.masked import Masked
from small_arrays import ERROR, FLUX, LABEL_ERR, LABELS, WAVELENGTH, assert_equal, made

import lux
from lux.store import columns

THIRD = np.tile(np.arange(6) == 2, (4, 1))
BAD = {
    "NaN": {"flux": np.where(THIRD, np.nan, FLUX)},
    "masked array": {"flux": np.ma.array(np.where(THIRD, -9999, FLUX), mask=THIRD)},
    "mask": {"mask": np.arange(6) == 2},
    "flags": {"mask": np.where(THIRD, 16, 0)},
    "mask of objects": {"mask": THIRD.astype(object)},
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


PERCENT = {
    "both": {"flux": 100 * FLUX * u.percent, "error": 100 * ERROR * u.percent},
    "flux alone": {"flux": 100 * FLUX * u.percent, "error": ERROR * u.one},
    "errors alone": {"error": 100 * ERROR * u.percent},
    "errors without a unit": {"flux": 100 * FLUX * u.percent, "error": 100 * ERROR},
    "inverse variance": {"flux": 100 * FLUX * u.percent, "ivar": (100 * ERROR) ** -2.0 / u.percent**2},
    "an uncertainty": {"flux": 100 * FLUX * u.percent, "error": StdDevUncertainty(100 * ERROR)},
    "an uncertainty with a unit": {"error": StdDevUncertainty(100 * ERROR * u.percent)},
    "a variance": {"flux": 100 * FLUX * u.percent, "error": VarianceUncertainty((100 * ERROR) ** 2)},
    "an inverse variance for an error": {"error": InverseVariance(ERROR**-2.0)},
    "an error for an inverse variance": {"ivar": StdDevUncertainty(ERROR)},
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


def test_tables_of_pandas_in_different_orders_are_refused():
    ids = ["a", "b", "c", "d"]
    flux, labels = pd.DataFrame(FLUX, index=ids), pd.DataFrame(LABELS, index=ids)
    assert_equal(made(flux=flux, labels=dict(labels)), made())
    numbered = pd.DataFrame(LABELS)
    assert_equal(made(flux=pd.DataFrame(FLUX, index=[13, 11, 10, 12]), labels=dict(numbered)), made())
    with pytest.raises(ValueError, match=r"one index in different orders \(3, ... and 0, ...\)"):
        made(flux=pd.DataFrame(FLUX, index=[3, 1, 0, 2]), labels=dict(numbered))
    for given in (dict(labels[::-1]), labels[::-1]):
        with pytest.raises(ValueError, match=r"one index in different orders \(a, ... and d, ...\)"):
            made(flux=flux, labels=given)


@pytest.mark.parametrize("table", [pd.DataFrame(LABELS), Table(LABELS), Table(LABELS).as_array()])
def test_labels_may_be_a_table(table):
    errors = Table({name: np.broadcast_to(error, 4) for name, error in LABEL_ERR.items()})
    assert_equal(made(labels=table), made())
    assert_equal(made(labels=table, label_err=errors), made())
    values = np.column_stack(list(LABELS.values()))
    named = made(labels=pd.DataFrame(values, columns=["a", "b"]), label_err=0.1, label_names=["teff", "Eu_fe"])
    assert named.label_names == ("teff", "Eu_fe")
    assert_equal(made(labels=pd.DataFrame(values), label_err=0.1, label_names=["teff", "Eu_fe"]), named)


def test_one_name_is_no_list_of_letters():
    table = Table({"id": ["0", "1", "2", "3"], "Eu_fe": LABELS["Eu_fe"], "e_Eu_fe": LABEL_ERR["Eu_fe"]})
    alone = made().select_labels("Eu_fe")
    assert alone.label_names == ("Eu_fe",)
    assert_equal(lux.Survey.from_table(table, WAVELENGTH, FLUX, error=ERROR, labels="Eu_fe"), alone)
    assert_equal(made().with_labels(table, "Eu_fe", star_id="id"), alone)
    with pytest.raises(ValueError, match="no column 'EU_FE' among its 3; similar: Eu_fe"):
        made().with_labels(table, "EU_FE", star_id="id")


def test_blanks_around_the_name_of_a_star_do_not_count():
    assert made(star_id=np.array(["a  ", " b", "c", "d"])).star_id.tolist() == ["a", "b", "c", "d"]


def test_what_has_no_name_is_alone():
    stars = np.array(["1", "2", "3", "4"])
    named = columns.own_where_unnamed(np.array(["x", "nan", " ", "x "]), stars)
    assert named.tolist() == ["x", "unnamed 2", "unnamed 3", "x"]
    padded = columns.own_where_unnamed(np.array(["A", "A ", "B", "B "]), stars)
    assert padded.tolist() == ["A", "A", "B", "B"]
    numbers = np.array([10, 9, 10, 9])
    assert columns.own_where_unnamed(numbers, stars) is numbers


def test_a_mask_of_most_pixels_is_asked_about():
    with pytest.warns(UserWarning, match="takes 83% of all pixels: .* is it inverted"):
        made(mask=np.arange(6) != 2)


def test_errors_are_found_by_the_name_of_their_label_however_it_is_spelled():
    assert_equal(made(label_err={"TEFF": 80.0, "[Eu/Fe]": 0.1}), made(label_err={"teff": 80.0, "Eu_fe": 0.1}))


WRONG = {
    "no errors": ({"error": None}, "the errors of the flux are needed once"),
    "an object for errors": ({"error": object()}, "error must be an array of numbers"),
    "an uncertainty of no kind": ({"error": UnknownUncertainty(ERROR)}, "UnknownUncertainty does not say what it is"),
    "two kinds of error": ({"ivar": ERROR, "error": ERROR}, "give either ivar or error"),
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
    "a mask of text": ({"mask": np.full((4, 6), "bad")}, "mask holds <U3 such as .*bad.*expected booleans"),
    "a blank name": ({"star_id": ["a", " ", "c", "d"]}, "star_id of row 1 is blank"),
    "names that differ by a blank": ({"star_id": ["a", "a ", "c", "d"]}, "star_id"),
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


def test_labels_whose_index_are_the_stars_in_another_order_are_refused():
    ids = ["a", "b", "c", "d"]
    labels = pd.DataFrame(LABELS, index=ids)
    assert_equal(made(labels=labels, star_id=ids), made(star_id=ids))
    with pytest.raises(ValueError, match=r"the stars as its index in another order \(a, ...\) than star_id \(d, ...\)"):
        made(labels=labels, star_id=ids[::-1])
    # Rows that are merely numbered have no names.
    assert_equal(made(labels=pd.DataFrame(LABELS), star_id=["3", "1", "2", "0"]), made(star_id=["3", "1", "2", "0"]))


def test_columns_that_have_names_are_taken_by_the_names_that_are_given_beside_them():
    names, array = list(LABELS), np.column_stack(list(LABELS.values()))
    errors = pd.DataFrame({name: np.full(4, 0.1 * (1 + place)) for place, name in enumerate(names)})
    expected = made(labels=pd.DataFrame(LABELS), label_err=errors)
    for labels in (pd.DataFrame(LABELS), Table(LABELS), LABELS):
        for label_err in (errors, errors[names[::-1]], dict(errors)):
            turned = made(labels=labels, label_err=label_err, label_names=names[::-1])
            assert_equal(turned.select_labels(names), expected)
    assert_equal(made(labels=array, label_err=errors[names[::-1]], label_names=names), expected)
    # Names of none of them are new ones.
    new = [f"x{place}" for place in range(len(names))]
    assert made(labels=pd.DataFrame(LABELS), label_err=errors, label_names=new).label_names == tuple(new)
    with pytest.raises(
        ValueError, match=r"label_names are .*, x, and labels has the columns .*: leave out label_names"
    ):
        made(labels=pd.DataFrame(LABELS), label_err=errors, label_names=[*names[:-1], "x"])
    with pytest.raises(ValueError, match=r"labels have shape .*; expected a column for each of"):
        made(labels=array[:, :1], label_err=errors, label_names=names)
