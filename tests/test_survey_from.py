"""A survey is made of what users have - masks, errors, units, tables, spectra - or the reason why not is said."""

import types

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import QTable, Table

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
