"""The scoreboard scores what was measured in each world: a technique that follows the lines, one that does not."""

import numpy as np
import pytest

from lux.controls.ensemble import BESIDES, DEPTHS, TAUS, cells, depth_key
from lux.controls.scoreboard import LINE_DEPTHS, Scoreboard
from lux.controls.techniques import TECHNIQUES

RIGHT, REVERSED, BLIND = "matched_filter", "shap", "rmse"


@pytest.fixture(scope="module")
def board():
    """Twenty worlds a cell; all techniques are blind but two, one of which has the wrong sign."""
    rng = np.random.default_rng(0)
    depth_of = {depth_key(depth, tau): depth for depth in DEPTHS for tau in TAUS}
    worlds = []
    for cell in cells(20):
        depth = depth_of.get(cell.key, 0.0)
        for _ in range(20):
            world = {"cell": cell.key, "bound": 1000 * depth, "star_bound": 10 * depth, "verdict": "known"}
            world |= dict(zip(TECHNIQUES, rng.normal(size=len(TECHNIQUES)), strict=True))
            world[RIGHT] += 3000 * depth
            world[REVERSED] -= 3000 * depth
            worlds.append(world)
    return Scoreboard(worlds)


def test_a_technique_that_follows_the_lines_finds_them_and_a_blind_one_does_not(board):
    right, blind = board.techniques[RIGHT], board.techniques[BLIND]
    assert right.at(0.01).auc.value == 1.0
    assert 0.001 <= right.smallest_depth.value <= 0.003
    assert not np.isfinite(blind.smallest_depth.value)


def test_a_technique_with_the_wrong_sign_does_not_count_as_blind(board):
    score = board.techniques[REVERSED].at(0.01)
    assert (score.auc.value, score.reverse.value) == (0.0, 1.0)


def test_areas_are_those_of_lines_and_then_of_what_else_is_planted(board):
    assert len(board.techniques[RIGHT].areas) == len(LINE_DEPTHS) + len(BESIDES)
    assert len(board.techniques[RIGHT].powers) == len(LINE_DEPTHS)


def test_the_optimal_observer_needs_the_depth_at_which_his_bound_is_significant(board):
    np.testing.assert_allclose(board.optimal_significance, 1000 * np.array(LINE_DEPTHS))
    assert board.optimal_depth() == pytest.approx(2 * 1.6448536 / 1000)
    assert board.star_depth == pytest.approx(0.001 * 10 * 0.001 / TAUS[1])


def test_worlds_are_grouped_by_whether_the_optimal_observer_sees_their_lines(board):
    groups = board.groups
    assert all(world["bound"] >= 5 for world in groups["lines at 5σ or more"])
    assert all(world["bound"] < 5 for world in groups["weaker lines"])
    assert {world["cell"] for world in groups["no line"]} == {depth_key(0.0, tau) for tau in TAUS}
