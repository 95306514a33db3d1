"""The claims that the paper stands on, each on a small synthetic survey: three windows around the planted lines."""

import numpy as np
import pytest
from lux_pages import transfer as transfer_page
from lux_pages.recipe import Published, following_alpha

import lux
from lux.diagnostics import transfer
from lux.models import baselines
from lux.paper.setup import Fitted

pytestmark = pytest.mark.slow

WINDOWS = [(15360, 15540), (16020, 16210), (16650, 16830)]
OPTIONS = {"seed": 3, "wavelength_range": WINDOWS}


@pytest.fixture(scope="module", params=["shortcut", "signal"])
def world(request):
    return request.param


@pytest.fixture(scope="module")
def transferred(world):
    """A world's test survey, its predictions by Lux and by labels only, and r-process-enhanced stars with theirs."""
    train, test = lux.load("synthetic", n_stars=1200, world=world, **OPTIONS).split(0.25)
    model = lux.Lux(15).fit(train)
    enhanced = lux.load("synthetic", n_stars=200, world=world, population="r-I", **OPTIONS)
    labels_only = baselines.LabelsOnly(model).fit(train).predict_labels(test)
    return test, model.predict_labels(test), labels_only, enhanced, model.predict_labels(enhanced)


def test_europium_is_predicted_nearly_to_its_catalogue_error_with_or_without_a_line(transferred):
    test, prediction, *_ = transferred
    score = transfer.score(prediction, test)["eu_fe"]
    assert score.rmse.value < 1.3 * score.catalogue_error


def test_labels_alone_do_as_well_without_a_line_and_not_with_one(transferred, world):
    test, prediction, labels_only, *_ = transferred
    difference = transfer.paired_difference(prediction, labels_only, test, "eu_fe")
    if world == "shortcut":
        assert difference.low < 0.001
        assert abs(difference.value) < 0.01 * transfer.score(labels_only, test)["eu_fe"].rmse.value
    else:
        assert difference.high < -0.005


def test_enhanced_stars_are_missed_by_most_of_their_enhancement_only_without_a_line(transferred, world):
    *_, enhanced, prediction = transferred
    true = enhanced.truth.labels[:, enhanced.label_index("eu_fe")]
    expected = true - enhanced.truth.columns["eu_residual"]
    missed = np.mean(true - prediction.label("eu_fe")) / np.mean(true - expected)
    slope = transfer.response_slope(prediction, true, "eu_fe")
    if world == "shortcut":
        assert missed > 0.8
        assert abs(slope.value) < 0.2
    else:
        assert missed < 0.3
        assert slope.value > 0.7


def test_a_less_kind_survey_leaves_the_paradox():
    """Telluric residuals, upper limits, shared label errors and r-process neighbors, all at once."""
    unkind = transfer_page.OPTIONS["all of these"]
    train, test = lux.load("synthetic", n_stars=500, **OPTIONS, **unkind).split(0.25)
    model = lux.Lux(12, tolerance=0.2).fit(train)
    enhanced = lux.load("synthetic", n_stars=60, population="r-I", **OPTIONS, **unkind)
    slope = transfer.response_slope(model.predict_labels(enhanced), enhanced.truth.columns["eu_fe"], "eu_fe")
    assert abs(slope.value) < 0.2
    score = transfer.score(model.predict_labels(test), test)["eu_fe"]
    assert score.rmse.value < 1.4 * score.catalogue_error
    assert lux.audit(model, train, test, "eu_fe").verdict in ("guessed", "undecided")


def published_fit(survey):
    train, test = survey.split(0.5, seed=0)
    return Published(Fitted(train, test, lux.Lux(21, "labels", 1000.0, algorithm="als", tolerance=0.02).fit(train)))


def test_in_the_published_basis_the_own_latent_of_europium_leads_only_with_a_line(world):
    published = published_fit(lux.load("synthetic", n_stars=2000, world=world, **OPTIONS))
    if world == "shortcut":
        assert published.own < 0.55
        assert published.column not in published.best
    else:
        assert published.own > 0.65
        assert published.column in published.best


def test_a_low_gap_needs_no_line():
    survey = lux.load("synthetic", n_stars=2000, **OPTIONS)
    default, follower = published_fit(survey), published_fit(following_alpha(survey))
    assert follower.gap.gap[follower.column] < 0.02 < 0.05 < default.gap.gap[default.column]
    assert follower.is_lowest
    assert not default.is_lowest
    assert follower.column not in follower.best
