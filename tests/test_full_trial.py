"""The tables of the dense grid that come with the paper are whole, and the chapter counts in them what it says."""

import re

import pytest
from lux_pages import larger_surveys
from lux_pages.trial import DEPTH, N_PUBLISHED, SHOWN, FullTrial, headline
from lux_pages.whole_spectra import SOURCE

from lux.controls.ensemble import GENERATORS, SIZED_DEPTHS, SIZES
from lux.controls.techniques import STATEMENTS, TECHNIQUES


@pytest.fixture(scope="module")
def found():
    return FullTrial()


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("n_stars", SIZES)
def test_every_technique_statement_and_verdict_is_there_at_each_size_on_each_generator(found, generator, n_stars):
    about = {"generator": generator, "n_stars": n_stars}
    for depth in SIZED_DEPTHS:
        if depth:
            assert {row["technique"] for row in found.rows("scores", depth=depth, **about)} == set(TECHNIQUES)
        assert {row["statement"] for row in found.rows("statements", depth=depth, **about)} == set(STATEMENTS)
        for told in (True, False):
            assert sum(found.verdicts(told, (depth,), **about).values()) == found.about["seeds"] * (1 if depth else 2)


def test_it_says_how_it_was_made(found):
    assert re.fullmatch("[0-9a-f]{40}", found.about["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.about["date"])
    assert found.about["seeds"] >= 50


def test_what_is_missed_has_less_than_half_the_power_whichever_sign_counts(found):
    published = [name for name, technique in TECHNIQUES.items() if technique.published]
    whole = FullTrial(SOURCE)
    drawn = headline(found, whole, SHOWN)
    assert drawn["columns"] == ["600", "1500", "4000", "whole"]
    for place, trial in ((2, found), (3, whole), (6, found), (7, whole)):
        powers = dict(zip(SHOWN, drawn["powers"][:, place], strict=True))
        missed = trial.missed(max(SIZES), GENERATORS[place // 4])
        assert set(missed) == {name for name in published if powers[name] < 0.5}
        falling = {name for name, falls in zip(SHOWN, drawn["falls"][:, place], strict=True) if falls}
        read = trial.missed(max(SIZES), GENERATORS[place // 4], as_read=True)
        assert set(read) - set(missed) <= falling
    assert list(SHOWN[:N_PUBLISHED]) == published


@pytest.mark.parametrize("generator", GENERATORS)
def test_whole_spectra_have_every_technique_and_verdict_too(generator):
    whole = FullTrial(SOURCE)
    assert {row["technique"] for row in whole.rows("scores", generator=generator, depth=DEPTH)} == set(TECHNIQUES)
    assert all(row["full_band"] for row in whole.rows("scores"))
    for depth, count in ((0.0, 2 * whole.about["seeds"]), (DEPTH, whole.about["seeds"])):
        for told in (True, False):
            assert sum(whole.verdicts(told, (depth,), generator=generator).values()) == count
    own = whole.rows("own_star", generator=generator, depth=DEPTH, full_band=False)
    assert [row["n_stars"] for row in own] == list(SIZES)


@pytest.mark.parametrize("generator", GENERATORS)
def test_larger_surveys_have_every_technique_and_verdict_at_both_depths(generator):
    larger = FullTrial(larger_surveys.SOURCE)
    assert {row["n_stars"] for row in larger.rows("scores")} == {3 * max(SIZES)}
    for depth in (0.0, larger_surveys.WEAK_DEPTH, DEPTH):
        if depth:
            assert {row["technique"] for row in larger.rows("scores", generator=generator, depth=depth)} == set(
                TECHNIQUES
            )
        for told in (True, False):
            counted = sum(larger.verdicts(told, (depth,), generator=generator).values())
            assert counted == larger.about["seeds"] * (1 if depth else 2)


def test_a_survey_s_own_star_counts_in_place_of_the_one_it_is_lent(found):
    row = dict.fromkeys(("power", "reverse"), (0.0, 0.0, 0.1))
    missed = found.missed(max(SIZES), GENERATORS[0], own_star=row)
    assert set(missed) == {*found.missed(max(SIZES), GENERATORS[0]), "doppelganger"}
