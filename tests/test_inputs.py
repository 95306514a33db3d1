"""An audit's door: what marks a bad pixel does not matter, and what would mislead is refused by name.

The module is long because every threshold is asked on both sides of it.
"""

import re
import warnings

import numpy as np
import pytest
from astropy import units as u
from linear_truth import linear_survey
from scipy import stats

import lux
from lux.auditing import AuditSettings, inputs
from lux.models.baselines import FluxRegression
from lux.models.weights import without_negligible
from lux.spectroscopy.lines import vacuum_to_air

LINES = (15448.4, 15551.6, 15351.5)


@pytest.fixture(scope="module")
def stars():
    """Six hundred stars with lines of europium, as synthesized near the lines."""
    world = lux.World("signal", wavelengths=LINES)
    return lux.load("synthetic", n_stars=600, seed=22, world=world, wavelength_range=(15300, 15600))


def audited(survey, fraction=0.3, trained_on=None):
    """Return the audit of a model that was trained on the same stars, or on those of another survey."""
    train, test = survey.split(fraction)
    fitted = FluxRegression.pls(10).fit(train if trained_on is None else trained_on)
    return lux.audit(fitted, train, test, "eu_fe", LINES)


@pytest.fixture(scope="module")
def marked(stars):
    """Where two pixels in a hundred are bad, and the audit of the survey that has them masked."""
    bad = np.random.default_rng(0).random(stars.flux.shape) < 0.02
    masked = stars.replace(ivar=np.where(bad, np.float32(0), stars.ivar))
    return bad, audited(masked)


@pytest.mark.parametrize(("flux", "ivar"), [(0, 1e-20), (1, 1e-20), (-9999, 1e-20), ("spikes", 1.0), (200, 2.5e-5)])
def test_a_bad_pixel_is_masked_whatever_marks_it(stars, marked, flux, ivar):
    bad, expected = marked
    values = 1 + 3 * np.random.default_rng(1).normal(size=bad.shape) if flux == "spikes" else flux
    other = stars.replace(
        flux=np.where(bad, values, stars.flux).astype(np.float32),
        ivar=np.where(bad, ivar, stars.ivar).astype(np.float32),
    )
    report = audited(other)
    assert report.verdict == expected.verdict == "known"
    for name in ("own lines", "strong features", "any one line", "grows with noise"):
        assert report[name].z_score == pytest.approx(expected[name].z_score, abs=1e-9)


def test_no_pixel_of_synthetic_or_ordinary_surveys_counts_as_masked(stars):
    np.testing.assert_array_equal(without_negligible(stars.ivar), stars.ivar)


@pytest.mark.parametrize("shared", [1.0, 0.5, 0.01])
def test_a_test_star_that_was_trained_on_is_refused_by_name(stars, shared):
    train, test = stars.split(0.3)
    again = stars[np.isin(stars.star_id, [*train.star_id, *test.star_id[: max(1, int(shared * test.n_stars))]])]
    model = FluxRegression.pls(10).fit(again)
    with pytest.raises(ValueError, match=r"test stars are in the training survey too.*split"):
        lux.audit(model, again, test, "eu_fe", LINES)


def test_stars_that_merely_share_numbers_are_not_refused(stars):
    train, test = stars.split(0.3)
    numbered = test.replace(star_id=train.star_id[: test.n_stars])
    assert lux.audit(FluxRegression.pls(10).fit(train), train, numbered, "eu_fe", LINES).verdict == "known"


@pytest.mark.parametrize("value", [-9999.0, 999.0, 99.99])
@pytest.mark.parametrize("label", ["eu_fe", "alpha_fe"])
def test_a_value_that_stands_for_a_missing_label_is_refused_with_a_count(stars, value, label):
    labels = stars.labels.copy()
    labels[:30, stars.label_index(label)] = value
    with pytest.raises(ValueError, match=rf"{label}.*{value:g} in 30 stars.*NaN"):
        audited(stars.replace(labels=labels), trained_on=stars)


@pytest.mark.parametrize(("label", "value"), [("eu_fe", -9999.0), ("teff", -9999.0), ("fe_h", 99.99)])
def test_one_value_that_no_star_has_is_refused_by_name(stars, label, value):
    labels = stars.labels.copy()
    labels[3, stars.label_index(label)] = value
    with pytest.raises(ValueError, match=rf"{label}.*{value:g} in star {stars.star_id[3]} alone.*NaN"):
        audited(stars.replace(labels=labels), trained_on=stars)


def test_a_long_tail_of_whole_numbers_is_no_value_that_stands_for_a_missing_one(stars):
    generator = np.random.default_rng(0)
    rotation = np.where(generator.random(600) < 0.85, 3, 3 + generator.exponential(15, size=600)).round()
    assert np.sum(rotation > 40) > 5
    values = generator.normal(scale=0.1, size=600) + rotation
    for each in (rotation + generator.choice([0.0, 1.0], size=600), values.round(0)):
        named = stars.replace(
            labels=np.column_stack([stars.labels, each]),
            label_err=np.column_stack([stars.label_err, np.ones(600)]),
            label_names=(*stars.label_names, "vsini"),
            label_units=(*stars.label_units, "km/s"),
            truth=None,
        )
        assert audited(named).verdict == "known"


def test_values_that_stand_for_missing_ones_are_refused_beside_others_of_their_kind(stars):
    for first, second in ((-30.0, -31.0), (25.0, 26.5)):
        labels = stars.labels.copy()
        labels[:20, stars.label_index("fe_h")], labels[20:22, stars.label_index("fe_h")] = first, second
        with pytest.raises(ValueError, match=rf"fe_h.* is {first:g} in 20 stars"):
            audited(stars.replace(labels=labels))


def test_a_label_of_two_values_that_most_stars_share_is_audited_by_itself(stars):
    rich = (np.random.default_rng(0).random((600, 1)) < 0.2).astype(float)
    alone = stars.replace(labels=rich, label_err=rich * 0 + 0.1, label_names=("li_fe",), label_units=("",), truth=None)
    train, test = alone.split(0.3)
    assert lux.audit(np.zeros(test.n_stars), train, test, "li_fe", LINES).verdict in ("guessed", "undecided")


def test_labels_that_few_stars_have_are_named_where_they_matter(stars):
    labels = stars.labels.copy()
    labels[100:, stars.label_index("alpha_fe")] = np.nan
    reason = audited(stars.replace(labels=labels, truth=None)).reason
    assert "alpha_fe is missing in too many stars" in reason
    assert "among the labels" not in reason
    constant = stars.labels.copy()
    constant[:, stars.label_index("alpha_fe")] = 0.1
    train, test = stars.replace(labels=constant, truth=None).split(0.3)
    model = FluxRegression.pls(10).fit(train.select_labels([name for name in train.label_names if name != "alpha_fe"]))
    assert "alpha_fe" not in lux.audit(model, train, test, "eu_fe", LINES).reason


def test_predictions_of_another_label_or_unit_are_told(stars):
    train, test = stars.split(0.3)
    for predicted in (test.label("teff"), 5 * test.label("eu_fe"), test.label("eu_fe") + 3):
        report = lux.audit(predicted, train, test, "eu_fe", LINES)
        assert "are they this label, and in its unit?" in report.reason
        assert report.model_use.answer == "cannot tell"


def test_a_star_very_rich_in_europium_is_no_error_and_one_beyond_belief_does_not_decide_for_all(stars):
    labels = stars.labels.copy()
    labels[3, stars.label_index("eu_fe")] = 1.9
    labels[4, stars.label_index("fe_h")] = 9.0
    assert audited(stars.replace(labels=labels)).n_stars == 600
    labels[3, stars.label_index("eu_fe")] = 1e5
    with pytest.warns(UserWarning, match="1 of 600 stars have eu_fe more than 50 standard deviations from others"):
        report = audited(stars.replace(labels=labels))
    assert report.verdict == "known"
    assert report.n_stars == 599


def test_pixels_of_negligible_weight_are_masked_however_many(stars):
    most = np.arange(stars.n_pixels) % 5 > 1
    marked = stars.replace(ivar=np.where(most, np.float32(1e-20), stars.ivar))
    assert audited(marked).verdict == audited(stars.replace(ivar=np.where(most, np.float32(0), stars.ivar))).verdict


def test_a_flux_that_is_the_depth_of_lines_says_something(stars):
    report = audited(stars.replace(flux=1 - stars.flux))
    assert report.verdict == "undecided"
    assert "1 - flux" in report.reason


def test_of_a_label_that_others_repeat_the_use_cannot_be_told(stars):
    europium, iron = (stars.label_index(name) for name in ("eu_fe", "fe_h"))
    both = stars.replace(
        labels=np.column_stack([stars.labels, stars.labels[:, europium] + stars.labels[:, iron]]),
        label_err=np.column_stack([stars.label_err, np.full(stars.n_stars, 0.1)]),
        label_names=(*stars.label_names, "eu_h"),
        label_units=(*stars.label_units, "dex"),
        truth=None,
    )
    train, test = both.split(0.3)
    known = test.labels + 0.2 * np.random.default_rng(0).normal(size=test.labels.shape) * test.label_err
    report = lux.audit(known, train, test, "eu_fe", LINES)
    assert report.model_use.answer == "cannot tell"
    assert "combination of the other labels" in report.reason
    assert "(eu_h)" in report.reason


def test_a_prediction_that_has_the_noise_of_the_catalogue_is_no_use_of_the_label(stars):
    train, test = stars.split(0.3)
    report = lux.audit(test.labels, train, test, "eu_fe", LINES)
    assert report.model_use.answer == "cannot tell"
    assert "fitted to these stars" in report.reason


@pytest.mark.parametrize("resolution", [0, -5, float("nan"), 100])
def test_a_resolution_that_no_lines_have_is_refused(stars, resolution):
    train, test = stars.split(0.3)
    with pytest.raises(ValueError, match=r"resolving power.*an audit needs 20"):
        lux.audit(FluxRegression.pls(10).fit(train), train, test, "eu_fe", LINES, resolution=resolution)


@pytest.mark.parametrize("label", [4, None, ["eu_fe"]])
def test_a_label_that_is_no_name_and_stars_that_are_no_survey_are_refused(stars, label):
    train, test = stars.split(0.3)
    model = FluxRegression.pls(10).fit(train)
    with pytest.raises(ValueError, match="by its name, one of teff"):
        lux.audit(model, train, test, label, LINES)
    with pytest.raises(ValueError, match="test stars came as ndarray; give a Survey"):
        lux.audit(model, train, test.flux, "eu_fe", LINES)


@pytest.mark.parametrize(("error", "count"), [(999.0, 1), (99.99, 1), (2.0, 8), (9.99, 30)])
def test_errors_that_stand_for_none_do_not_decide_for_all(stars, error, count):
    label_err = stars.label_err.copy()
    label_err[:count, stars.label_index("eu_fe")] = error
    with pytest.warns(UserWarning, match=rf"{count} of 600 stars have errors of eu_fe .* say nothing .* missing"):
        report = audited(stars.replace(label_err=label_err))
    assert report.verdict == "known"
    assert report.n_stars == 600 - count
    assert report.limits


def test_errors_of_another_kind_are_refused(stars):
    error = np.where(stars.ivar > 0, 1 / np.sqrt(np.where(stars.ivar > 0, stars.ivar, 1)), 1e10)
    for ivar in (error, error**2, stars.ivar**-2.0 * (stars.ivar > 0)):
        with pytest.raises(ValueError, match="were errors given as ivar"):
            audited(stars.replace(ivar=np.where(np.isfinite(ivar), ivar, 0).astype(np.float32)))


def test_a_survey_without_labels_is_said_to_have_none(stars):
    none = np.empty((600, 0))
    bare = stars.replace(labels=none, label_err=none, label_names=(), label_units=(), truth=None)
    train, test = bare.split(0.3)
    for asked in (
        lambda: lux.audit(np.ones(180), train, test, "eu_fe"),
        lambda: lux.audit_all(np.ones(180), train, test),
    ):
        with pytest.raises(ValueError, match="has no labels; join them from a table"):
            asked()


def test_a_flux_that_stands_for_a_missing_one_is_refused_with_a_count(stars):
    flux = stars.flux.copy()
    flux[7, np.flatnonzero(stars.ivar[7] > 0)[:4]] = -9999
    with pytest.raises(ValueError, match="-9999 at 4 pixels of 1 stars"):
        audited(stars.replace(flux=flux))


def test_spectra_of_different_levels_are_refused_and_a_unit_or_an_offset_is_not(stars):
    level = np.random.default_rng(2).lognormal(8, 0.5, size=(stars.n_stars, 1))
    counts = stars.replace(
        flux=(stars.flux * level).astype(np.float32), ivar=(stars.ivar / level**2).astype(np.float32)
    )
    with pytest.raises(ValueError, match=r"from star to star.*continuum"):
        audited(counts)
    percent = stars.replace(flux=100 * stars.flux, ivar=stars.ivar / 1e4)
    offset = stars.replace(flux=stars.flux - 1)
    assert audited(percent).verdict == audited(offset).verdict == "known"


def test_spectra_of_one_star_under_two_names_are_noticed(stars):
    train, _ = stars.split(0.3)
    copies = train[:100]
    noise = np.random.default_rng(3).normal(size=copies.flux.shape) / np.sqrt(np.maximum(copies.ivar, 1))
    visits = copies.replace(
        flux=(copies.flux + noise).astype(np.float32), star_id=np.char.add(copies.star_id, " again")
    )
    model = FluxRegression.pls(10).fit(train)
    with pytest.warns(UserWarning, match="100 of 520 stars repeat all labels"):
        lux.audit(model, train, visits, "eu_fe", LINES)


@pytest.mark.parametrize(
    "lines", [15448.4, np.float32(15448.4), 1544.84 * u.nm, [1.54484] * u.micron, np.array([15448.4])]
)
def test_one_line_is_a_number_or_a_quantity_as_well(stars, lines):
    train, test = stars.split(0.3)
    report = lux.audit(FluxRegression.pls(10).fit(train), train, test, "eu_fe", lines)
    assert report.own_lines == pytest.approx((15448.4,), rel=1e-7)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("eu_fe",), "teff, logg, fe_h, alpha_fe are not among the labels"),
        (("teff", "logg", "fe_h", "eu_fe"), "alpha_fe is not among the labels"),
        (("teff", "logg", "fe_h", "alpha_fe", "eu_fe"), None),
    ],
)
def test_what_labels_that_are_not_given_leave_open_is_said(stars, names, said):
    report = audited(stars.select_labels(names))
    assert report.verdict == "known"
    assert (said in report.reason) if said else ("among the labels" not in report.reason)


def test_few_stars_are_audited_wherever_they_are_divided_and_fewer_are_not(stars):
    """Thirty test stars of 150 are enough for the model; the flux of all 150 is read."""
    few = stars[:150]
    assert audited(few, 0.2).evidence
    for survey, fraction, said in (
        (few, 0.1, "20 are needed: hold out at least 13% of"),
        (few[:90], 0.3, "100"),
    ):
        report = audited(survey, fraction)
        assert report.verdict == "undecided"
        assert said in report.reason


def test_wavelengths_in_another_unit_and_a_handful_of_pixels_are_refused(stars):
    for survey, said in (
        (stars.replace(wavelength=stars.wavelength / 10), "are they in nm, microns or log10"),
        (
            stars.select_pixels(np.arange(stars.n_pixels) < 9),
            r"makes 2\.5 resolution elements .* needs 20: give a wider band",
        ),
    ):
        train, test = survey.split(0.3)
        with pytest.raises(ValueError, match=said):
            lux.audit(np.zeros(test.n_stars), train, test, "eu_fe", ())


def test_a_label_that_is_neither_parameter_nor_element_is_said_not_to_be_recognized(stars):
    named = stars.replace(label_names=("teff", "logg", "fe_h", "alpha_fe", "promise"))
    train, test = named.split(0.3)
    report = lux.audit(np.zeros(test.n_stars), train, test, "promise", ())
    assert report.verdict == "proxy"
    assert "'promise' is not recognized: is it a parameter such as teff, or an element such as mg_fe?" in report.reason
    train, test = named.replace(label_names=("T_eff", "log g", "FeH", "[α/Fe]", "promise")).split(0.3)
    assert "among the labels" not in lux.audit(np.zeros(test.n_stars), train, test, "promise", ()).reason


@pytest.fixture(scope="module", params=[None, 0.05])
def deep(request):
    """No stars, or such whose lines are so deep that they are components of the flux."""
    if request.param is None:
        return None
    world = lux.World("signal", depth=request.param, wavelengths=LINES)
    return lux.load("synthetic", n_stars=600, seed=23, world=world, wavelength_range=(15300, 15600))


@pytest.mark.parametrize(("grid_in_air", "said"), [(False, "the lines were given"), (True, "the spectra are")])
def test_wavelengths_in_air_are_noticed_where_the_lines_are_found_in_the_other_medium(stars, deep, grid_in_air, said):
    stars = deep if deep is not None else stars
    survey = stars.replace(wavelength=vacuum_to_air(stars.wavelength)) if grid_in_air else stars
    lines = LINES if grid_in_air else vacuum_to_air(np.array(LINES))
    train, test = survey.split(0.3)
    report = lux.audit(np.zeros(test.n_stars), train, test, "eu_fe", lines)
    assert report.verdict != "known"
    assert f"as if {said} in air" in report.reason
    train, test = stars.split(0.3)
    assert "air" not in lux.audit(np.zeros(test.n_stars), train, test, "eu_fe", LINES).reason


def normal_label(n_stars=400, center=100.0, changed=(), errors=(), unit=1.0):
    """Return the halves of a survey whose first label is normal, of unit variance, with values changed by row."""
    survey = linear_survey(n_stars=n_stars, n_pixels=40, masked=0)
    labels, label_err = np.array(survey.labels), np.full(survey.labels.shape, 0.1)
    labels[:, 0] = center + stats.norm.ppf((np.arange(n_stars) * 7 % n_stars + 0.5) / n_stars)
    for row, value in changed:
        labels[row, 0] = value
    for row, value in errors:
        label_err[row, 0] = value
    labels[:, 0], label_err[:, 0] = unit * labels[:, 0], unit * label_err[:, 0]
    return survey.replace(labels=labels, label_err=label_err, truth=None).split(0.5, seed=0)


def missing_then(**options):
    """Return the rows of the whole survey whose first label is missing once what is useless is left out."""
    halves = normal_label(**options)
    left = inputs.without_useless(*halves, "label_0")
    ids = np.concatenate([half.star_id[np.isnan(half.label("label_0"))] for half in left])
    return sorted(int(each.split("-")[1]) for each in ids)


def test_what_is_far_off_or_has_no_error_worth_the_name_counts_as_missing_on_either_side():
    far = [(3, 152.0), (4, 148.0), (7, 48.0), (8, 52.0)]
    with pytest.warns(UserWarning, match="2 of 400 stars have label_0 more than 50 standard deviations"):
        assert missing_then(changed=far) == [3, 7]
    with pytest.warns(UserWarning, match="2 of 400 stars have errors of label_0 beyond 5 times its scatter"):
        assert missing_then(errors=[(3, 5.5), (4, 4.5), (6, 99.0)]) == [3, 6]
    with pytest.warns(UserWarning, match="of 400 stars have"):
        assert missing_then(changed=far, errors=[(5, 5.5), (6, 4.5)], unit=0.01) == [3, 5, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Numbers that stand for missing values are refused elsewhere, and errors of most stars are no exceptions.
        assert missing_then(changed=[(3, -9999.0)]) == []
        assert missing_then(errors=[(row, 9.0) for row in range(201)]) == []
        assert missing_then(changed=[(row, 100.0) for row in range(395)], errors=[(3, 9.0)]) == []


def refused(**options):
    """Return what is said of the values of the first label where an audit begins, or nothing."""
    try:
        inputs.joined(*normal_label(**options), AuditSettings())
    except ValueError as error:
        return str(error)
    return ""


def test_values_are_refused_that_repeat_far_from_all_others_and_one_alone_only_if_it_is_known_to_stand_for_none():
    assert "label 'label_0' is 121 in 2 stars" in refused(changed=[(3, 121.0), (8, 121.0)])
    assert "label 'label_0' is 79 in 2 stars" in refused(changed=[(3, 79.0), (8, 79.0)])
    assert not refused(changed=[(3, 119.0), (8, 119.0)])
    assert not refused(changed=[(3, 121.0)])
    assert "is -999 in star star-3 alone" in refused(changed=[(3, -999.0)])
    assert not refused(changed=[(3, 99.0)]), "a number that other labels have"
    # Small steps lead there.
    ladder = [(row, 100.0 + row) for row in range(2, 30)]
    assert not refused(changed=[*ladder, (30, 130.0), (31, 130.0)])
    # By three tenths of the way in one step it stands apart.
    assert "is 130 in 2 stars" in refused(changed=[(5, 115.0), (3, 130.0), (8, 130.0)])
    for unit in (1, 0.01, 100):
        steps = [(5, 108.0), (6, 115.0), (7, 122.5), (3, 130.0), (8, 130.0)]
        assert not refused(changed=steps, unit=unit)
        assert "in 2 stars" in refused(changed=[(3, 121.0), (8, 121.0)], unit=unit)
    for value in (-9999, -999, -99, 99, 99.99, 999, 9999):
        assert f"is {value:g} in star star-3 alone" in refused(center=0.0, changed=[(3, value)])


def test_the_largest_step_is_that_between_the_median_and_a_value():
    steps = inputs._largest_step(np.array([-10.0, -9.0, -1.0, 0.0, 1.0, 4.0, 5.0, 25.0]), 0.0)
    assert steps.tolist() == [8, 8, 1, 0, 1, 3, 3, 20]


def test_a_label_repeats_others_if_what_they_leave_is_well_within_its_errors():
    survey = linear_survey(n_stars=200, n_pixels=40, n_labels=4)
    names = ("fe_h", "mg_fe", "mg_h", "teff")
    for left, stars, said in ((0.005, 200, True), (0.02, 200, False), (0.005, 11, False), (0.005, 13, True)):
        labels = np.array(survey.labels)
        labels[:, 2] = labels[:, 0] + labels[:, 1] + left * np.random.default_rng(0).normal(size=200)
        errors = np.full(labels.shape, 0.1)
        some = survey.replace(labels=labels, label_err=errors, label_names=names, truth=None)[:stars]
        reason = inputs.repeats(some, "mg_h")
        assert ("is a combination of the other labels" in reason) == said
        assert ("(mg_fe)" in reason) == said
    labels[3:, 3] = np.nan
    assert inputs.repeats(survey.replace(labels=labels, label_err=errors, truth=None), "label_2") == ""


def test_so_many_stars_with_the_label_are_read_of_both_surveys_in_their_shares():
    survey = linear_survey(n_stars=400, n_pixels=40, missing=0.2)
    train, test = survey.split(0.25, seed=0)
    rows = inputs.rows_to_read(train, test, "label_1", 100, 0)
    with_label = [np.flatnonzero(~np.isnan(each.label("label_1"))) for each in (train, test)]
    for each, there in zip(rows, with_label, strict=True):
        assert len(each) == round(100 * len(there) / sum(map(len, with_label)))
        assert set(each) <= set(there)
        assert np.all(np.diff(each) > 0)
    assert not np.array_equal(rows[0], with_label[0][: len(rows[0])])
    for each, there in zip(inputs.rows_to_read(train, test, "label_1", 1000, 0), with_label, strict=True):
        np.testing.assert_array_equal(each, there)


def test_twenty_resolution_elements_are_enough_and_fewer_are_not():
    band = np.linspace(15000.0, 15000 * np.e**0.02, 50)
    inputs.check_resolution(band, 1001)
    with pytest.raises(ValueError, match=r"a resolving power of 999 makes 20 resolution elements"):
        inputs.check_resolution(band, 999)


def test_surveys_of_which_one_has_no_label_or_another_grid_are_refused_before_anything_is_measured():
    train, test = normal_label()
    inputs.check_label(train, test, "label_0")
    for gone, said in ((np.nan, "missing in every star"), (7.0, "label_0' is 7.0 in every star")):
        for number, name in enumerate(("training", "test")):
            surveys = [train, test]
            labels = np.array(surveys[number].labels)
            labels[:, 0] = gone
            surveys[number] = surveys[number].replace(labels=labels)
            with pytest.raises(ValueError, match=rf"{said} of the {name} survey"):
                inputs.check_label(*surveys, "label_0")
    for changed in (
        test.select_pixels(np.arange(40) > 3),
        *(test.replace(wavelength=test.wavelength * (1 + shift)) for shift in (-2e-6, 2e-6)),
    ):
        with pytest.raises(ValueError, match="different wavelength grids"):
            inputs.check_label(train, changed, "label_0")
    inputs.check_label(train, test.replace(wavelength=test.wavelength * (1 - 5e-7)), "label_0")


def test_a_star_in_both_surveys_is_refused_though_a_label_of_it_is_missing():
    train, test = normal_label()
    labels, ids = np.array(test.labels), np.array(test.star_id)
    labels[5], ids[5] = train.labels[9], train.star_id[9]
    known = np.array(train.labels)
    known[9, 1] = np.nan
    shared = test.replace(labels=labels, star_id=ids)
    for each in (train, train.replace(labels=known)):
        with pytest.raises(ValueError, match=rf"1 of 200 test stars are in the training survey too, such as {ids[5]}"):
            inputs.joined(each, shared, AuditSettings())
    # An id that two stars share, and no label.
    labels[5] += 1
    assert inputs.joined(train, shared.replace(labels=labels), AuditSettings()).n_stars == 400


def test_pixels_errors_and_levels_are_refused_from_where_no_spectra_have_them():
    train, test = normal_label()
    good = np.arange(40) > 2
    for level in (1, 100, -1):
        for error, said in ((2.9, ""), (3.3, "were errors given as ivar")):
            ivar = good * (error * level) ** -2.0 * np.ones((200, 1))
            assert_said([each.replace(flux=np.full((200, 40), level), ivar=ivar) for each in (train, test)], said)
    levels = np.where(np.arange(200) % 2, 1, -1)[:, None] / 1.4826
    for scatter, contrast, said in ((0.09, 0, ""), (0.12, 0, "divide each spectrum"), (0.12, 0.5, "")):
        for unit in (1, 100):
            flux = unit * (1 - contrast * (np.arange(40) % 4 == 0) + scatter * levels)
            ivar = np.full((200, 40), 1e3 / unit**2)
            assert_said([each.replace(flux=flux, ivar=ivar) for each in (train, test)], said)
    for value in (-9999, -999):
        flux = np.where(np.arange(40) == 4, value, 1) * np.ones((200, 1))
        ivar = np.where(np.arange(200) < 7, 1e3, 0)[:, None] * (np.arange(40) == 4) + 1e3 * (np.arange(40) != 4)
        said = f"flux is {value} at 14 pixels of 14 stars"
        assert_said([each.replace(flux=flux, ivar=ivar) for each in (train, test)], said)


def assert_said(surveys, said):
    """Assert that an audit of the surveys is refused where it begins with something said, or is not."""
    if not said:
        assert inputs.joined(*surveys, AuditSettings()).n_stars == 400
        return
    with pytest.raises(ValueError, match=said):
        inputs.joined(*surveys, AuditSettings())


def test_one_pixel_more_than_components_is_needed():
    train, test = normal_label()
    assert inputs.joined(train, test, AuditSettings(n_components=39)).n_pixels == 40
    with pytest.raises(ValueError, match="the spectra have 40 pixels; an audit needs more than 40"):
        inputs.joined(train, test, AuditSettings(n_components=40))


def test_stars_that_repeat_two_labels_may_do_so_by_chance_and_three_are_told():
    train, test = normal_label()
    labels = np.array(test.labels)
    labels[:4] = labels[10:14]
    labels[0, 2] = np.nan
    copies = test.replace(labels=labels)
    with pytest.warns(UserWarning, match="3 of 400 stars repeat all labels of another to the last digit"):
        inputs.joined(train, copies, AuditSettings())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs.joined(train, test, AuditSettings())
        two = ("label_0", "label_1")
        inputs.joined(train.select_labels(two), copies.select_labels(two), AuditSettings())


def test_labels_that_are_missing_are_named_where_the_flux_says_something_and_not_in_a_guess():
    names = ("teff", "fe_h", "mg_fe")
    said = inputs.what_is_missing(names, "eu_fe", "known")
    assert said.startswith("; logg is not among the labels, and what the flux says of it is not told apart")
    assert inputs.what_is_missing(names, "eu_fe", "proxy") == said
    both = inputs.what_is_missing(("teff", "fe_h"), "eu_fe", "known")
    assert both.startswith("; logg, alpha_fe are not among the labels, and what the flux says of them is not told")
    assert inputs.what_is_missing(names, "eu_fe", "guessed", ["mg_fe"]) == ""
    assert inputs.what_is_missing((*names, "logg"), "eu_fe", "known") == ""
    # The audited label is itself one of the causes.
    assert inputs.what_is_missing(("teff", "fe_h", "mg_fe"), "logg", "known") == ""
    few = inputs.what_is_missing(names, "eu_fe", "known", ["mg_fe"])
    assert few == "; mg_fe is missing in too many stars to be asked what the flux says beyond" + said
    assert "mg_fe, fe_h are missing" in inputs.what_is_missing(names, "eu_fe", "known", ["mg_fe", "fe_h"])


def test_surveys_in_two_units_or_on_two_scales_are_refused():
    train, test = normal_label()
    names = train.label_names
    kilo = test.replace(label_units=["kK", *test.label_units[1:]])
    kelvin = train.replace(label_units=["K", *train.label_units[1:]])
    with pytest.raises(ValueError, match=f"label '{names[0]}' is in K in the training survey and in kK in the test"):
        inputs.joined(kelvin, kilo, AuditSettings())
    assert inputs.joined(kelvin, test.replace(label_units=["Kelvin", *test.label_units[1:]]), AuditSettings()).n_stars
    for factor, zero in ((100, 0), (1, -1), (-1, 1)):
        flux, ivar = factor * test.flux + np.float32(zero), test.ivar / np.float32(factor**2)
        with pytest.raises(ValueError, match=r"median flux is .* in the training survey and .* in the test survey"):
            inputs.joined(train, test.replace(flux=flux, ivar=ivar), AuditSettings())
    percent = [each.replace(flux=100 * each.flux, ivar=each.ivar / np.float32(1e4)) for each in (train, test)]
    assert inputs.joined(*percent, AuditSettings()).n_stars == 400


@pytest.mark.parametrize(
    ("value", "share", "is_refused"), [(100.05, 0.12, True), (100.05, 0.08, False), (80.0, 0.12, False)]
)
def test_a_value_that_many_stars_have_amid_others_stands_for_a_missing_one(value, share, is_refused):
    # At the end of the range it may be a limit.
    said = refused(changed=[(row, value) for row in range(round(400 * share))])
    assert ("no other value is in more than 1: does it stand for a missing value?" in said) == is_refused


def test_a_resolution_is_a_number():
    for wrong in ("22500", np.array([22500.0, 22500.0]), np.inf):
        with pytest.raises(ValueError, match=r"resolution is .*; expected one number"):
            inputs.check_resolution(np.linspace(15000, 16000, 500), wrong)


def test_own_lines_that_no_star_shows_are_refused_and_so_is_a_window_of_their_own(stars):
    hidden = np.abs(stars.wavelength - LINES[0]) < 2
    masked = stars.replace(ivar=np.where(hidden, np.float32(0), stars.ivar), truth=None, catalogue={})
    with pytest.raises(ValueError, match=r"own line 15448\.40 A is masked in 100% of the stars"):
        audited(masked)
    window = stars.select_pixels(stars.pixels_within([(15441.0, 15457.0)])).replace(truth=None)
    train, test = window.split(0.3)
    with pytest.raises(ValueError, match=r"beside the own lines there are \d+ pixels; an audit needs 30"):
        lux.audit(FluxRegression.pls(5).fit(train), train, test, "eu_fe", (15443.0, 15448.4, 15453.0))


@pytest.fixture(scope="module")
def unlined():
    """Nine hundred stars, nothing of whose europium is in the flux, and which do not know what they are."""
    survey = lux.load("synthetic", n_stars=900, seed=23, wavelength_range=(15150, 15810))
    return survey.replace(truth=None, catalogue={})


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_a_rare_label_of_two_values_that_nothing_causes_is_guessed(unlined, share):
    labels, column = unlined.labels.copy(), unlined.label_index("eu_fe")
    labels[:, column] = np.random.default_rng(0).random(900) < share
    assert audited(unlined.replace(labels=labels)).verdict == "guessed"


def test_stars_that_lack_a_label_and_are_like_none_that_has_it_are_left_out_with_a_word(unlined):
    labels = unlined.labels.copy()
    labels[unlined.label("teff") < 4700, unlined.label_index("fe_h")] = np.nan
    report = audited(unlined.replace(labels=labels))
    # As extrapolated to, their iron is off by tens of dex, and europium a proxy.
    assert report.verdict == "guessed"
    left_out = re.search(r"; stars without fe_h that are like none that has it were left out: (\d+)", report.reason)
    assert left_out
    assert report.n_stars == 900 - int(left_out[1])
    assert 100 < int(left_out[1]) < np.isnan(labels).sum()


def test_settings_are_settings_and_labels_may_be_spelled_in_two_ways(stars):
    train, test = stars.split(0.3)
    with pytest.raises(ValueError, match=r"settings came as dict; give lux\.auditing\.AuditSettings"):
        lux.audit(np.zeros(test.n_stars), train, test, "eu_fe", LINES, settings={})
    spelled = test.replace(label_names=("Teff", "LOGG", "[Fe/H]", "alpha_fe", "[Eu/Fe]"), truth=None)
    assert inputs.spelled_as(train, spelled).label_names == train.label_names
    assert inputs.spelled_as(train, test) is test
    both = lux.Survey.replace(spelled, label_names=("Teff", "T_eff", "[Fe/H]", "alpha_fe", "[Eu/Fe]"))
    assert inputs.spelled_as(train, both) is both


def test_large_errors_make_no_label_a_combination_of_others(stars):
    column = np.arange(stars.n_labels) == stars.label_index("eu_fe")
    overstated = stars.replace(label_err=np.where(column, 10.0, stars.label_err))
    assert not inputs.repeats(overstated, "eu_fe")
    doubled = np.array(overstated.labels)
    doubled[:, 3] = 2 * doubled[:, 4]
    assert "it is a combination of the other labels" in inputs.repeats(overstated.replace(labels=doubled), "eu_fe")


def test_pixels_far_above_the_continuum_and_exact_zeros_are_masked_and_deep_lines_are_not(stars):
    flux = np.array(stars.flux)
    flux[:100, 50], flux[100:200, 60], flux[200:300, 70], flux[:, 80] = 2.0, 0.0, 0.01, 1.0
    spiked = stars.replace(flux=flux, ivar=np.where(np.arange(stars.n_stars)[:, None] == 3, 1.0, stars.ivar))
    with pytest.warns(UserWarning, match=r"exactly zero") as said:
        found = inputs.without_spikes(spiked)
    gone = (found.ivar == 0) & (spiked.ivar > 0)
    assert np.flatnonzero(gone.any(axis=0)).tolist() == [50, 60]
    # In one star the error of a pixel is as large as its flux, and nothing stands out.
    assert gone[:100, 50].sum() == np.sum(spiked.ivar[:100, 50] > 0) - 1
    assert gone[100:200, 60].sum() == np.sum(spiked.ivar[100:200, 60] > 0)
    assert {str(each.message).split("; ")[0].split(" stars ")[1] for each in said} == {
        "stand far above the continuum",
        "are exactly zero, and not masked",
    }
    assert inputs.without_spikes(stars) is stars


def test_a_few_unmasked_spikes_make_no_proxy(unlined):
    generator, flux = np.random.default_rng(22), np.array(unlined.flux)
    flux[generator.random(flux.shape) < 5e-4] += 5
    with pytest.warns(UserWarning, match="stand far above the continuum; they count as masked"):
        assert audited(unlined.replace(flux=flux)).verdict == "guessed"


def test_what_a_mask_says_of_a_label_is_no_knowledge(unlined):
    other = np.random.default_rng(0).random(900) < 0.5
    hidden = unlined.pixels_within([(15700, 15760)])
    labels, ivar = np.array(unlined.labels), np.where(other[:, None] & hidden, np.float32(0), unlined.ivar)
    # Two catalogues, with another zero point and other gaps in their spectra.
    labels[other, unlined.label_index("eu_fe")] += 0.1
    report = audited(unlined.replace(labels=labels, ivar=ivar))
    assert report.verdict == "guessed"
    assert re.search(r"; \d+ pixels, masked rather in stars of large or of small eu_fe, were left out", report.reason)
    assert "masked rather" not in audited(unlined.replace(ivar=ivar)).reason


@pytest.mark.parametrize("name", ["VHELIO_AVG", "rv", "rv_galah", "RADIAL_VELOCITY", "v_helio", "vrad"])
def test_velocities_under_a_name_that_is_not_known_are_asked_about(stars, name):
    velocity = np.linspace(-80, 80, stars.n_stars)
    with pytest.warns(UserWarning, match=f"no column observed_velocity or radial_velocity, .* if '{name}' holds the"):
        audited(stars.replace(catalogue={name: velocity}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audited(stars.replace(catalogue={name: velocity, "observed_velocity": velocity}))
        audited(stars.replace(catalogue={f"{name}_err": velocity}))


def test_of_stars_with_several_spectra_all_are_read_or_none(stars):
    train, test = stars.split(0.3)
    names = [np.arange(each.n_stars) // visits for each, visits in ((train, 4), (test, 3))]
    chosen = inputs.rows_to_read(train, test, "eu_fe", 200, 0, (names[0].astype(str), names[1].astype(str)))
    for rows, star, survey in zip(chosen, names, (train, test), strict=True):
        having = ~np.isnan(survey.label("eu_fe"))
        for each in np.unique(star[rows]):
            assert np.array_equal(rows[star[rows] == each], np.flatnonzero(having & (star == each)))
    assert 190 <= sum(map(len, chosen)) <= 200
    everything = inputs.rows_to_read(train, test, "eu_fe", 10_000, 0, (names[0].astype(str), names[1].astype(str)))
    assert sum(map(len, everything)) == np.sum(~np.isnan(stars.label("eu_fe")))
