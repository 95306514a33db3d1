"""The match and the cuts: who is the same star, who is left out, and that every star is accounted for."""

import dataclasses

import numpy as np
import pytest

from lux.datasets.crossmatch import (
    _BAD_FIT,
    SELECTIONS,
    globular_clusters,
    in_globular_cluster,
    matched_rows,
    needed_labels,
    select_stars,
    selection_table,
)
from lux.survey import Survey

LABELS = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")


def apogee(n_stars=6, **changes):
    """Giants that pass every cut, one spectrum each."""
    numbers = {"ra": 180.0, "dec": -20.0, "pmra": 1.0, "pmdec": 1.0, "snr": 150.0, "radial_velocity": 10.0,
               "aspcap_teff": 4700.0, "aspcap_logg": 2.5, "aspcap_m_h": 0.0, "aspcap_alpha_m": 0.0,
               "aspcap_teff_err": 10.0, "aspcap_m_h_err": 0.01}  # fmt: skip
    columns = {name: np.full(n_stars, value) for name, value in numbers.items()}
    columns |= {
        "apogee_id": np.array([f"2M{n:08d}+0000000" for n in range(n_stars)]),
        "telescope": np.full(n_stars, "apo25m"),
        "field": np.array([f"field{n % 2}" for n in range(n_stars)]),
        "gaia_id": 2**60 + np.arange(n_stars),
        "starflag": np.zeros(n_stars, np.int64),
        "aspcapflag": np.zeros(n_stars, np.int64),
    }
    return changed(columns, changes)


def galah(n_stars=6, **changes):
    """The same stars in reverse order."""
    number = np.arange(n_stars)[::-1]
    columns = {
        "galah_2mass": np.array([f"{n:08d}+0000000" for n in number]),
        "sobject_id": 140_000_000_000_000 + number,
        "gaia_id": 2**60 + number,
        "flag_sp": np.zeros(n_stars, np.int64),
        **{f"snr_c{camera}": np.full(n_stars, 60.0) for camera in (1, 2, 3, 4)},
    }
    for name, value in {"teff": 4700.0, "logg": 2.5, "fe_h": -0.2, "alpha_fe": 0.1, "eu_fe": 0.1, "mg_fe": 0.1}.items():
        columns[name], columns[f"e_{name}"] = value + 1e-3 * number, np.full(n_stars, 0.1)
        if name not in ("teff", "logg"):
            columns[f"flag_{name}"] = np.zeros(n_stars, np.int64)
    return changed(columns, changes)


def changed(columns, changes):
    for name, values in changes.items():
        for row, value in values.items():
            columns[name][row] = value
    return columns


def removed_by(sample_or_steps):
    return {step.name: step.removed for step in sample_or_steps.steps if step.removed}


def test_labels_follow_their_star_whatever_the_order():
    sample = select_stars(apogee(), galah(), LABELS)
    number = np.array([int(name[2:10]) for name in sample.columns["apogee_id"]])
    np.testing.assert_allclose(sample.labels[:, 4], 0.1 + 1e-3 * number)
    assert sample.columns["sobject_id"].tolist() == (140_000_000_000_000 + number).tolist()
    assert len(sample) == 6
    assert not removed_by(sample)


def test_the_2mass_name_serves_where_a_gaia_identifier_is_missing():
    row, how = matched_rows(apogee(gaia_id={0: 0}), galah(gaia_id={4: 0}))
    assert row.tolist() == [5, 4, 3, 2, 1, 0]
    assert how.tolist() == ["2mass", "2mass", "gaia", "gaia", "gaia", "gaia"]


def test_missing_identifiers_do_not_match_one_another():
    row, _ = matched_rows(
        apogee(gaia_id={0: 0}, apogee_id={0: "AP00000000+0000000"}), galah(gaia_id={5: 0}, galah_2mass={5: ""})
    )
    assert row[0] == -1


def test_two_known_gaia_identifiers_that_differ_outweigh_one_2mass_name():
    row, how = matched_rows(apogee(gaia_id={0: 77}), galah())
    assert (row[0], how[0]) == (-1, "contradicted")


def test_of_repeated_spectra_the_best_that_passes_is_taken():
    stars = apogee(7, apogee_id={6: "2M00000000+0000000"}, gaia_id={6: 2**60}, field={6: "other"}, snr={6: 300.0})
    sample = select_stars(stars, galah(), LABELS)
    assert sample.columns["field"][sample.columns["apogee_id"] == "2M00000000+0000000"].tolist() == ["other"]
    assert removed_by(sample) == {"each star once, its spectrum of highest S/N": 1}
    stars["starflag"][6] = 1 << 22
    sample = select_stars(stars, galah(), LABELS)
    assert sample.columns["field"][sample.columns["apogee_id"] == "2M00000000+0000000"].tolist() == ["field0"]


def test_of_repeated_galah_rows_the_best_is_taken():
    stars = galah(7, gaia_id={0: 2**60}, galah_2mass={0: "00000000+0000000"}, snr_c3={0: 99.0}, eu_fe={0: 0.5})
    sample = select_stars(apogee(), stars, LABELS)
    assert sample.labels[sample.columns["apogee_id"] == "2M00000000+0000000", 4] == 0.5


@pytest.mark.parametrize(
    ("cut", "of_apogee", "of_galah"),
    [
        ("the catalogue says where the spectrum is", {"telescope": {0: ""}}, {}),
        ("the catalogue says where the spectrum is", {"field": {0: "../a"}}, {}),
        *(("APOGEE STARFLAG without a bad bit", {"starflag": {0: 1 << bit}}, {}) for bit in (0, 3, 18, 22)),
        *(("APOGEE ASPCAPFLAG without a bad bit", {"aspcapflag": {0: 1 << bit}}, {}) for bit in _BAD_FIT.values()),
        ("APOGEE STARFLAG without a bad bit", {"starflag": {0: -1}}, {}),
        ("APOGEE S/N > 50", {"snr": {0: 50.0}}, {}),
        ("APOGEE S/N > 50", {"snr": {0: np.nan}}, {}),
        ("GALAH S/N > 30 (camera 3)", {}, {"snr_c3": {5: 30.0}}),
        ("GALAH flag_sp = 0", {}, {"flag_sp": {5: 1}}),
        ("GALAH flag_fe_h = 0", {}, {"flag_fe_h": {5: 1}}),
        ("3800 K < Teff < 6000 K", {}, {"teff": {5: 6100.0}}),
        ("3800 K < Teff < 6000 K", {}, {"teff": {5: np.nan}}),
        ("0 < log g < 3.5", {}, {"logg": {5: 4.4}}),
        ("−2 < [Fe/H] < 1", {}, {"fe_h": {5: -2.5}}),
        ("all labels measured and unflagged (teff, logg, fe_h, alpha_fe, eu_fe)", {}, {"flag_eu_fe": {5: 1}}),
        ("all labels measured and unflagged (teff, logg, fe_h, alpha_fe, eu_fe)", {}, {"eu_fe": {5: np.nan}}),
        ("all labels measured and unflagged (teff, logg, fe_h, alpha_fe, eu_fe)", {}, {"e_eu_fe": {5: 0.0}}),
        ("no member of a globular cluster", {"ra": {0: np.nan}}, {}),
        ("no member of a globular cluster", {"dec": {0: 95.0}}, {}),
        (
            "no member of a globular cluster",
            {"ra": {0: 6.02}, "dec": {0: -72.1}, "pmra": {0: 5.2}, "pmdec": {0: -2.6}, "radial_velocity": {0: -18.0}},
            {},
        ),
    ],
)
def test_every_careful_cut_takes_its_star_and_counts_it(cut, of_apogee, of_galah):
    sample = select_stars(apogee(**of_apogee), galah(**of_galah), LABELS)
    assert removed_by(sample) == {cut: 1}
    assert "2M00000000+0000000" not in sample.columns["apogee_id"]


def test_flags_that_only_warn_take_no_star():
    sample = select_stars(apogee(starflag={0: 1 << 9, 1: 1 << 17}, aspcapflag={2: 1 << 7}), galah(), LABELS)
    assert len(sample) == 6


def test_stars_on_which_the_surveys_disagree_are_left_out_and_counted_if_asked_for():
    """A zero point between the surveys (here 0.2 dex and 0 K) is no disagreement, nor is a value that is missing."""
    rows = apogee(8, aspcap_m_h={0: 0.7, 1: np.nan}), galah(8, teff={2: 4800.0, 3: 4751.0}, e_teff={2: 10, 3: 10})
    assert len(select_stars(*rows, LABELS)) == 8
    sample = select_stars(*rows, LABELS, max_disagreement=5)
    assert set(range(8)) - {int(name[2:10]) for name in sample.columns["apogee_id"]} == {0, 5}
    assert removed_by(sample)["Teff and [Fe/H] of both surveys within 5 errors of the median difference"] == 2


def test_an_incomplete_star_may_be_kept_with_the_label_missing():
    sample = select_stars(apogee(), galah(flag_eu_fe={5: 1}), LABELS, complete=False)
    star = sample.columns["apogee_id"] == "2M00000000+0000000"
    assert np.isnan(sample.labels[star, 4])
    assert np.count_nonzero(np.isnan(sample.labels)) == 1


@pytest.mark.parametrize(
    ("of_apogee", "of_galah", "left"),
    [
        ({"starflag": {0: 1}}, {}, 6),
        ({}, {"flag_sp": {5: 1}}, 6),
        ({}, {"flag_eu_fe": {5: 1}}, 6),
        ({}, {"snr_c3": {5: 25.0}}, 6),
        ({}, {"snr_c1": {5: 20.0}}, 5),
        ({}, {"mg_fe": {5: 1.2}}, 5),
        ({"snr": {0: 40.0}}, {}, 5),
        ({}, {"logg": {5: 3.6}}, 5),
    ],
)
def test_the_published_selection_cuts_what_the_published_code_cuts(of_apogee, of_galah, left):
    assert len(select_stars(apogee(**of_apogee), galah(**of_galah), LABELS, "published")) == left


def test_the_published_selection_keeps_stars_as_often_as_they_were_observed():
    stars = apogee(7, apogee_id={6: "2M00000000+0000000"}, gaia_id={6: 2**60}, field={6: "other"})
    assert len(select_stars(stars, galah(), LABELS, "published")) == 7


@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_table_of_cuts_accounts_for_every_spectrum(selection):
    sample = select_stars(apogee(starflag={1: 1}, snr={2: 10.0}), galah(flag_sp={0: 1}), LABELS, selection)
    assert sample.steps[0].left == 6
    assert sample.steps[-1].left == len(sample)
    for before, after in zip(sample.steps[:-1], sample.steps[1:], strict=True):
        assert before.left - after.removed == after.left


def test_the_table_for_readers_holds_every_cut_and_the_counts_of_a_survey():
    table = selection_table(LABELS)
    rows = dict(zip(table["requirement"], zip(table["careful"], table["published"], strict=True), strict=True))
    assert rows["GALAH flag_sp = 0"] == ("yes", "")
    assert rows["−1 < [Mg/Fe] < 1"] == ("", "yes")
    assert rows["APOGEE S/N > 50"] == ("yes", "yes")
    sample = select_stars(apogee(snr={2: 10.0}), galah(), LABELS)
    assert [step.name for step in sample.steps] == [row for row, (careful, _) in rows.items() if careful]
    survey = Survey(
        wavelength=[1.0],
        flux=[[1.0]],
        ivar=[[1.0]],
        labels=[[1.0]],
        label_err=[[1.0]],
        label_names=["fe_h"],
        provenance={"selection": [dataclasses.asdict(step) for step in sample.steps]},
    )
    counted = selection_table(LABELS, survey)
    place = counted["requirement"].index("APOGEE S/N > 50")
    assert (counted["removed"][place], counted["left"][place]) == (1, 5)
    assert len({len(column) for column in counted.values()}) == 1
    assert not any("|" in row for row in rows), "a bar would end the cell of a Markdown table"


def test_the_order_is_random_and_depends_on_the_star_alone():
    whole = select_stars(apogee(60), galah(60), LABELS).columns["apogee_id"].tolist()
    some = select_stars(apogee(60), galah(60, flag_sp={3: 1}), LABELS).columns["apogee_id"].tolist()
    assert whole != sorted(whole)
    assert some == [name for name in whole if name in some]


def test_a_selection_that_leaves_nobody_shows_its_table():
    with pytest.raises(
        ValueError, match=r"leaves no star:\n +6 left after: a spectrum in APOGEE DR17(.|\n)* 0 left after"
    ):
        select_stars(apogee(), galah(teff=dict.fromkeys(range(6), 7000.0)), LABELS)
    with pytest.raises(ValueError, match=r"unknown selection 'best'; expected one of careful, published"):
        needed_labels(LABELS, "best")


def test_members_of_clusters_agree_in_place_and_in_motion():
    clusters = {cluster["name"]: cluster for cluster in globular_clusters()}
    assert len(clusters) == 161
    cluster = clusters["NGC5139"]
    star = {
        "ra": cluster["ra"] + 0.3,
        "dec": cluster["dec"],
        "pmra": cluster["pmra"] + 0.5,
        "pmdec": cluster["pmdec"],
        "radial_velocity": cluster["velocity"] + 15.0,
    }

    def cluster_of(**changes):
        return in_globular_cluster({name: np.array([value]) for name, value in (star | changes).items()})[0]

    assert cluster_of() == "NGC5139"
    assert cluster_of(pmra=np.nan, pmdec=np.nan) == "NGC5139"
    assert cluster_of(radial_velocity=0.0) == "", "the velocity of the disc"
    assert cluster_of(pmra=cluster["pmra"] + 3) == ""
    assert cluster_of(dec=cluster["dec"] + 1.5) == ""
    assert cluster_of(pmra=np.nan, pmdec=np.nan, radial_velocity=np.nan) == "", "a place alone says nothing"
