"""Spectra that stand in a survey twice, under different names, count once in an audit."""

import re
import warnings

import numpy as np
import pytest

import lux
from lux.auditing.measurements import measure
from lux.auditing.repeated_spectra import copies, maybe_same, remark
from lux.models import baselines

WINDOWS = [(15436, 15460), (16104, 16138), (16491, 16515), (16728, 16750)]
LINES = (15448.4, 16117.0, 16739.0)


def make(world="shortcut", n_stars=400, seed=4):
    return lux.load("synthetic", world=world, n_stars=n_stars, seed=seed, star_seed=2, wavelength_range=WINDOWS)


def with_entries(survey, rows, share=0.0, seed=0, source=None):
    """Return the survey with the spectra in `rows` of a source once more, named anew and with labels measured again.

    The new entries have noise of their own, of that share of the variance.
    """
    source = survey if source is None else source
    generator = np.random.default_rng(seed)
    flux, ivar, labels, errors = (getattr(source, name)[rows] for name in ("flux", "ivar", "labels", "label_err"))
    error = np.where(ivar > 0, ivar, np.inf) ** -0.5
    flux = flux + np.sqrt(share) * error * generator.standard_normal(flux.shape)
    labels = labels + errors * generator.standard_normal(labels.shape)
    more = {"flux": flux, "ivar": ivar, "labels": labels, "label_err": errors}
    return lux.Survey(
        wavelength=survey.wavelength,
        label_names=survey.label_names,
        label_units=survey.label_units,
        star_id=np.array([*survey.star_id.astype(str), *(f"again-{number}" for number in range(len(flux)))]),
        **{name: np.concatenate([getattr(survey, name), values]) for name, values in more.items()},
    )


def found(survey):
    return copies(survey.flux, survey.ivar)


@pytest.mark.parametrize("share", [0.0, 0.05], ids=["exact", "a little noise of its own"])
@pytest.mark.parametrize("n_again", [1, 40, 400])
def test_copies_are_found_and_nothing_else_is(share, n_again):
    survey = make()
    later, earlier = found(with_entries(survey, np.arange(n_again), share))
    np.testing.assert_array_equal(later, survey.n_stars + np.arange(n_again))
    np.testing.assert_array_equal(earlier, np.arange(n_again))


@pytest.mark.parametrize("world", ["signal", "shortcut"])
@pytest.mark.parametrize("n_stars", [100, 400])
def test_stars_that_are_alike_are_no_copies(world, n_stars):
    assert len(found(make(world, n_stars))[0]) == 0


def test_a_star_that_was_observed_twice_is_no_copy():
    survey = make()
    assert len(found(with_entries(survey, np.arange(200), share=1.0))[0]) == 0


@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0, 10.0])
def test_copies_are_found_whatever_the_quoted_errors(factor):
    survey = with_entries(make(), np.arange(40), 0.02)
    later, _ = found(survey.replace(ivar=survey.ivar * factor))
    np.testing.assert_array_equal(later, 400 + np.arange(40))


def test_spectra_without_noise_are_no_copies_unless_they_are_equal():
    survey = make()
    left, sizes, right = np.linalg.svd(survey.flux - 1, full_matrices=False)
    clean = survey.replace(flux=1 + (left[:, :4] * sizes[:4]) @ right[:4])
    assert len(found(clean)[0]) == 0
    np.testing.assert_array_equal(found(with_entries(clean, [3, 7]))[0], [400, 401])


@pytest.mark.parametrize("times", [3, 8])
def test_of_several_copies_the_first_is_kept(times):
    later, _ = found(with_entries(make(), np.repeat([5, 6], times - 1)))
    np.testing.assert_array_equal(later, 400 + np.arange(2 * (times - 1)))


@pytest.mark.parametrize("spoil", ["all masked", "few pixels", "nothing in common"])
def test_spectra_that_tell_nothing_are_no_copies(spoil):
    survey = make(n_stars=100)
    flux, ivar = np.array(survey.flux), np.array(survey.ivar)
    match spoil:
        case "all masked":
            ivar[:] = 0
        case "few pixels":
            flux, ivar = flux[:, :2], ivar[:, :2]
        case "nothing in common":
            ivar[:50, ::2], ivar[50:, 1::2] = 0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(copies(flux, ivar)[0]) == 0


@pytest.mark.parametrize("n_poor", [1, 5, 30])
@pytest.mark.parametrize("n_good", [3, 30])
def test_spectra_that_are_masked_nearly_everywhere_hide_no_copies_and_are_none(n_poor, n_good):
    survey = with_entries(make(), np.arange(40), 0.05)
    ivar = np.array(survey.ivar)
    ivar[100 : 100 + n_poor, n_good:] = 0
    np.testing.assert_array_equal(copies(survey.flux, ivar)[0], 400 + np.arange(40))


@pytest.mark.parametrize("times", [9, 12, 30])
def test_equal_spectra_are_found_however_many_there_are(times):
    survey = make(n_stars=100)
    later, earlier = found(with_entries(survey, np.tile(np.arange(50), times - 1)))
    np.testing.assert_array_equal(later, 100 + np.arange(50 * (times - 1)))
    np.testing.assert_array_equal(earlier, np.tile(np.arange(50), times - 1))


def test_stars_that_differ_from_pixel_to_pixel_and_were_observed_twice_are_no_copies():
    generator = np.random.default_rng(0)
    spectra = generator.normal(size=(300, 20)) @ generator.normal(size=(20, 600)) * 0.02
    twice = 1 + np.concatenate([spectra, spectra[:100]]) + 0.003 * generator.normal(size=(400, 600))
    assert len(copies(twice, np.full(twice.shape, 0.003**-2))[0]) == 0


def test_an_audit_counts_copies_once_and_says_so():
    survey = make().replace(catalogue={})
    train, test = survey.split(0.3)
    plain = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES)
    more_train, more_test = with_entries(train, np.arange(100)), with_entries(test, np.arange(20), seed=1)
    model = baselines.Mean().fit(more_train)
    with pytest.warns(UserWarning, match="120 of 520 spectra repeat another, noise and all, such as those of"):
        report = lux.audit(model, more_train, more_test, "eu_fe", LINES)
    assert "repeats of other spectra, noise and all, were left out: 120" in report.reason
    assert report.verdict == plain.verdict
    for item in plain.evidence:
        assert report[item.name].statistic == pytest.approx(item.statistic, rel=1e-6, abs=1e-9)


def test_a_test_star_that_was_trained_on_under_another_name_is_left_out():
    train, test = make().split(0.3)
    more = with_entries(test, np.arange(30), source=train)
    predictions = np.arange(more.n_stars, dtype=float)
    with pytest.warns(UserWarning, match="test stars that repeat training stars, .*: 30"):
        report = lux.audit(predictions, train, more, "eu_fe", LINES)
    assert report.n_test == test.n_stars
    alone = lux.audit(predictions[: test.n_stars], train, test, "eu_fe", LINES)
    assert report["model uses it"].statistic == pytest.approx(alone["model uses it"].statistic, rel=1e-6)


def test_a_test_of_copies_of_training_stars_decides_nothing():
    train, test = make().split(0.3)
    copied = with_entries(test, np.arange(60), source=train)[test.n_stars + np.arange(60)]
    with pytest.warns(UserWarning, match="noise and all"):
        report = lux.audit(baselines.Mean().fit(train), train, copied, "eu_fe", LINES)
    assert report.verdict == "undecided"
    assert "only 0 test stars have the label" in report.reason
    assert "noise and all, were left out: 60" in report.reason


def test_masks_by_huge_errors_hide_no_copies():
    survey = with_entries(make().replace(catalogue={}), np.arange(40))
    generator = np.random.default_rng(1)
    bad = generator.uniform(size=survey.flux.shape) < 0.1
    spoiled = survey.replace(flux=np.where(bad, 0, survey.flux), ivar=np.where(bad, 1e-20, survey.ivar))
    train, test = spoiled.split(0.3)
    with pytest.warns(UserWarning, match=r"\d+ of 440 spectra repeat another"):
        report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES)
    assert int(report.reason.split("noise and all, were left out: ")[1].split()[0]) > 30


@pytest.mark.parametrize("own", [LINES, ()], ids=["told", "blind"])
@pytest.mark.parametrize(
    ("n_stars", "n_again", "times"), [(500, 500, 2), (200, 200, 5), (120, 120, 8), (400, 40, 6), (400, 20, 10)]
)
def test_several_spectra_of_some_stars_under_different_names_make_no_knowledge_and_are_said(
    own, n_stars, n_again, times
):
    for seed in range(2):
        survey = make(n_stars=n_stars, seed=seed)
        survey = with_entries(survey, np.tile(np.arange(n_again), times - 1), share=1.0, seed=seed)
        train, test = survey.split(0.3, seed=seed)
        report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", own)
        assert report.verdict in ("guessed", "undecided")
        assert re.search(
            rf"; \d+ of {survey.n_stars} spectra are as near to others as .* name with groups=", report.reason
        )


def test_where_it_is_said_which_spectra_are_of_one_star_nobody_is_asked_for_it():
    survey = make(n_stars=200)
    survey = with_entries(survey, np.tile(np.arange(200), 4), share=1.0)
    train, test = survey.replace(catalogue={"STAR": np.tile(np.arange(200), 5)}).split(0.3, groups="STAR")
    report = lux.audit(baselines.Mean().fit(train), train, test, "eu_fe", LINES, groups="STAR")
    assert "groups=" not in report.reason


@pytest.mark.parametrize("world", ["signal", "shortcut"])
def test_of_stars_observed_once_nothing_is_said(world):
    train, test = make(world, 500).split(0.3, seed=1)
    for label in train.label_names:
        report = lux.audit(baselines.Mean().fit(train), train, test, label)
        assert "as near to others" not in report.reason


def points(n_dimensions, n_stars=600):
    return np.random.default_rng(n_dimensions).normal(size=(n_stars, n_dimensions))


@pytest.mark.parametrize("n_dimensions", [3, 4, 8, 16])
def test_of_independent_stars_few_are_taken_for_one_in_any_number_of_dimensions(n_dimensions):
    others, star = maybe_same(points(n_dimensions))
    assert np.all(others[:, 0] >= 0)
    assert (others >= 0).sum(axis=1).mean() < 1.5
    assert remark(star) == ""
    assert np.bincount(star).max() < 8


@pytest.mark.parametrize("times", [2, 5, 20, 31])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_spectra_of_one_star_teach_nothing_of_each_other_and_are_one(times, share):
    generator, once = np.random.default_rng(1), points(6)
    again = np.tile(np.arange(int(share * len(once))), times - 1)
    scores = np.concatenate([once, once[again]])
    others, star = maybe_same(scores + 1e-3 * generator.normal(size=scores.shape))
    of_star = np.concatenate([np.arange(len(once)), again])
    for row in again[:50]:
        same = np.flatnonzero(of_star == row)
        assert len(np.unique(star[same])) == 1
        for each in same:
            np.testing.assert_array_equal(np.intersect1d(same, others[each]), same[same != each])


def test_of_flux_without_components_nothing_is_told():
    others, star = maybe_same(np.empty((40, 0)))
    assert np.all(others == -1)
    np.testing.assert_array_equal(star, np.arange(40))


def test_one_star_is_no_chain_of_spectra():
    scores = points(5)
    scores[:30] = scores[0]
    scores[:30, 0] += np.arange(30) * 0.05
    _, star = maybe_same(scores)
    assert 3 < len(np.unique(star[:30])) < 30


def test_what_is_said_of_spectra_of_one_star_names_their_number():
    star = np.array([0, 0, 2, 2, 2, *range(5, 19)])
    assert remark(star).startswith("; 5 of 19 spectra are as near")
    assert remark(np.array([0, 0, *range(2, 19)])) == ""


def test_the_spectrum_in_the_middle_of_others_that_are_near_to_it_is_one_star_with_all_of_them():
    found = False
    for step in np.geomspace(0.01, 1, 30):
        scores = points(5)
        scores[:3] = scores[0]
        scores[:3, 0] += step * np.array([-1, 0, 1])
        others, star = maybe_same(scores)
        found |= 2 not in others[0] and len(set(star[:3])) == 1
    assert found


@pytest.mark.parametrize("differ", ["level", "slope", "velocity"])
def test_what_differs_between_visits_of_a_star_hides_it_not(differ):
    n_stars, times = 150, 4
    once = make(n_stars=n_stars)
    again = with_entries(once, np.tile(np.arange(n_stars), times - 1), share=1.0)
    size = np.random.default_rng(3).normal(size=(again.n_stars, 1))
    flux = {
        "level": again.flux * (1 + 0.05 * size),
        "slope": again.flux * (1 + 0.05 * size * np.linspace(-1, 1, again.n_pixels)),
        "velocity": again.flux + 0.2 * size * np.gradient(again.flux, axis=1),
    }[differ]
    design = measure(again.replace(flux=flux), "eu_fe", LINES).design
    same = (design.maybe_same >= 0) & (design.maybe_same % n_stars == np.arange(again.n_stars)[:, None] % n_stars)
    assert same.sum(axis=1).mean() > 0.6 * (times - 1)
