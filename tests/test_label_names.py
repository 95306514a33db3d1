"""Names of labels are read in any usual spelling, have the unit that they imply, and read as spectroscopists write."""

import pytest
from small_arrays import made

from lux import figures
from lux.store.label_names import label_unit, plain_name

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
    "m_k": ("M_K",),
    "sm": ("Sm",),
    "pm": ("PM",),
    "sm_fe": ("[Sm/Fe]", "SMFE"),
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


@pytest.mark.parametrize(
    ("name", "unit"), [("teff", "K"), ("logg", "dex"), ("eu_fe", "dex"), ("m_h", "dex"), ("age", "")]
)
def test_the_unit_of_a_label_follows_from_its_name(name, unit):
    assert label_unit(name) == unit


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("teff", "$T_\\mathrm{eff}$ (K)"),
        ("eu_fe", "[Eu/Fe] (dex)"),
        ("m_h", "[M/H] (dex)"),
        ("alpha_fe", "[$\\alpha$/Fe] (dex)"),
        ("snr", "snr"),
    ],
)
def test_labels_read_as_spectroscopists_write_them(name, text):
    assert figures.label_text(name) == text


def test_a_label_is_named_in_prose_without_a_formula():
    names = [figures.label_name(name) for name in ("teff", "logg", "alpha_m", "alpha_fe", "eu_fe")]
    assert names == ["Teff", "log g", "[α/M]", "[α/Fe]", "[Eu/Fe]"]
