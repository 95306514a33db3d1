"""The chapters ask about a label that the survey has, and say so where it is not europium."""

from linear_truth import linear_survey

from lux.paper.subject import audited_label, caveat, label_of, missing


def named(*names, truth=True):
    survey = linear_survey(n_stars=20, n_pixels=10, n_labels=len(names))
    return survey.replace(label_names=names, **({} if truth else {"truth": None}))


def test_the_audited_label_is_europium_or_alpha_or_the_last():
    assert audited_label(named("teff", "eu_fe", "alpha_fe")) == "eu_fe"
    assert audited_label(named("teff", "alpha_m", "n_m")) == "alpha_m"
    assert audited_label(named("teff", "logg")) == "logg"


def test_a_survey_without_europium_or_truth_is_said_to_be_so():
    assert caveat(named("teff", "eu_fe"), "the survey", "[Eu/Fe]") == ""
    assert "no truth" in caveat(named("teff", "eu_fe", truth=False), "the survey", "[Eu/Fe]")
    without = caveat(named("teff", "alpha_m", truth=False), "the survey", "[α/M]")
    assert "no europium" in without
    assert "read [α/M]" in without


def test_what_a_survey_lacks_of_what_a_page_needs_is_named():
    survey = named("teff", "fe_h")
    low, high = survey.wavelength[[0, -1]]
    assert missing(survey, ["teff", "iron", (low, high)]) == []
    assert missing(survey, ["alpha", "radial_velocity", (high + 1, high + 2)]) == [
        "label alpha_fe or alpha_m",
        "column radial_velocity in its catalogue",
        f"pixel in {high + 1:g}-{high + 2:g} Å",
    ]
    assert label_of("iron", survey.label_names) == "fe_h"
