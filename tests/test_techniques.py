"""Every technique gives one number for a world, and those that look at lines see strong ones."""

from types import SimpleNamespace

import numpy as np
import pytest

import lux
from lux import controls
from lux.controls.techniques import LABEL, STATEMENTS, rmse_over_error, rmse_over_mean_error, slope_on_own_part
from lux.simulation.worlds import World


@pytest.fixture(scope="module")
def worlds():
    kinds = World("shortcut"), World("signal", depth=0.03)
    return [controls.measure(controls.Cell("cell", world, 0.06, 1), seed=1040, star_seed=40) for world in kinds]


def test_every_technique_gives_one_number(worlds):
    for world in worlds:
        assert set(controls.TECHNIQUES) < set(world)
        assert all(np.isfinite(world[key]) for key in controls.TECHNIQUES)
        assert all(world[key] in (0, 1) for key in STATEMENTS)


@pytest.mark.slow
def test_strong_lines_raise_what_looks_at_them_and_the_verdict(worlds):
    nothing, signal = worlds
    for key in ("matched_filter", "jacobian", "ablation", "response", "audit_lines"):
        assert signal[key] > nothing[key] + (0.5 if key == "response" else 3)
    assert (nothing["verdict"], signal["verdict"]) == ("guessed", "known")
    assert (nothing["blind_verdict"], signal["blind_verdict"]) == ("guessed", "proxy")
    assert nothing["bound"] == 0 < signal["bound"]


@pytest.mark.slow
def test_statements_that_look_at_the_lines_fall_with_them(worlds):
    nothing, signal = worlds
    for statement in ("spikes_elsewhere", "star_ordinary"):
        assert nothing[statement] > signal[statement]


def test_both_models_follow_europium_in_its_own_scatter_where_it_has_lines(worlds):
    nothing, signal = worlds
    for key in ("own_slope", "own_slope_published"):
        assert abs(nothing[key]) < 0.15 < signal[key]


def test_a_slope_on_the_own_part_leaves_out_what_the_other_labels_say():
    generator = np.random.default_rng(0)
    own, others = generator.normal(size=300), generator.normal(size=(300, 2))
    predicted = 0.3 * own + others @ [2.0, -1.0] + others[:, 0] * others[:, 1] + 4
    assert slope_on_own_part(predicted, own, others) == pytest.approx(0.3)


def test_the_statement_on_the_error_divides_by_the_mean_as_the_study_does():
    survey = lux.load("synthetic", n_stars=200, wavelength_range=(15400, 15450))
    column = survey.label_index(LABEL)
    label_err = survey.label_err.copy()
    label_err[:, column] = np.where(np.arange(200) % 4, 0.05, 0.25)
    survey = survey.replace(label_err=label_err)
    predicted = lux.Prediction((LABEL,), survey.labels[:, [column]] + 0.134, label_err[:, [column]])
    model = SimpleNamespace(predict_labels=lambda _: predicted)

    assert rmse_over_mean_error(model, survey) == pytest.approx(1.34)
    # Their root mean square is a third larger.
    assert rmse_over_error(model, survey) == pytest.approx(0.134 / np.sqrt(0.75 * 0.05**2 + 0.25 * 0.25**2))


def test_the_statement_on_the_error_is_true_where_that_ratio_is_the_published_one(worlds):
    for world in worlds:
        assert world["rmse_comparable"] == (world["rmse_over_mean"] <= 1.34)
