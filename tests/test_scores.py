"""Scores of techniques follow their definitions, and limits are found where the power says."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lux.controls import scores


def test_the_area_is_that_of_scikit_learn_and_of_two_gaussians():
    generator = np.random.default_rng(0)
    planted, without = generator.normal(1, 1, 3000), generator.normal(0, 1, 3000)
    found = scores.score(planted, without)
    truth = np.repeat([1, 0], 3000)
    assert found.auc.value == pytest.approx(roc_auc_score(truth, np.concatenate([planted, without])))
    assert found.auc.value == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)
    assert found.power.value == pytest.approx(norm.cdf(1 - 1.645), abs=0.04)


def test_ties_count_half_and_are_broken_by_chance():
    found = scores.score(np.zeros(20), np.zeros(30))
    assert (found.auc.value, found.power.value) == (0.5, scores.FALSE_ALARMS)
    coarse = scores.score(np.full(50, 4.0), np.repeat([0.0, 4.0], [90, 10]))
    assert coarse.power.value == pytest.approx(0.5)


def test_the_smallest_depth_is_where_the_power_is_reached():
    generator = np.random.default_rng(1)
    depths = np.geomspace(0.001, 0.1, 9)
    slope = 2 * 1.645 / 0.01
    planted = [generator.normal(slope * depth, 1, 4000) for depth in depths]
    found = scores.smallest_depth(depths, planted, generator.normal(0, 1, 4000))
    assert found.value == pytest.approx(0.01, rel=0.1)
    assert found.low <= found.value <= found.high
    assert scores.smallest_depth(depths[:3], planted[:3], generator.normal(0, 1, 4000)).value == np.inf


def test_the_wilson_interval_stays_within_zero_and_one():
    assert scores.fraction(0, 50).high == pytest.approx(1 / 51)
    assert scores.fraction(50, 50).high == 1.0


@pytest.mark.parametrize("hits", [0, 1, 20, 50])
def test_the_interval_of_a_fraction_is_that_of_wilson_1927(hits):
    share, found = hits / 50, scores.fraction(hits, 50)
    middle, half = (share + 1 / 100) / (1 + 1 / 50), np.sqrt(share * (1 - share) / 50 + 1 / 4 / 50**2) / (1 + 1 / 50)
    assert found.value == share
    np.testing.assert_allclose(found.interval, [middle - half, middle + half], atol=1e-12)


def test_too_few_worlds_are_refused():
    with pytest.raises(ValueError, match="1 worlds planted"):
        scores.score([1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="finite"):
        scores.score([1.0, np.nan], [0.0, 1.0])


def test_worlds_that_share_something_are_drawn_together():
    generator = np.random.default_rng(3)
    planted, without = (np.repeat(generator.normal(size=100), 5) for _ in range(2))
    apart, together = (scores.score(planted, without, 2000, shared=shared).auc for shared in (1, 5))
    assert together.value == apart.value
    assert together.uncertainty / apart.uncertainty == pytest.approx(np.sqrt(5), rel=0.15)
    assert scores.score(planted[:5], without, shared=5).auc.uncertainty > 0


def test_the_reverse_power_is_that_of_the_other_sign():
    generator = np.random.default_rng(4)
    planted, without = generator.normal(-3, 1, 200), generator.normal(0, 1, 200)
    found = scores.score(planted, without)
    assert found.power.value < 0.05 < 0.8 < found.reverse.value
    assert found.reverse.value == pytest.approx(scores.score(-planted, -without).power.value)


def test_areas_of_two_numbers_in_the_same_worlds_are_compared_world_by_world():
    generator = np.random.default_rng(5)
    planted, without = generator.normal(1, 1, 60), generator.normal(0, 1, 60)
    nearly = planted + 0.01 * generator.normal(size=60), without + 0.01 * generator.normal(size=60)
    same = scores.difference((planted, without), nearly)
    assert abs(same.value) < 0.01
    # Scores of each by itself have an error of .04.
    assert same.high - same.low < 0.01
    worse = scores.difference((planted, without), (planted - 1, without), level=0.95)
    assert worse.low > 0.1
    with pytest.raises(ValueError, match=r"of \(60, 60\) and \(59, 60\) worlds"):
        scores.difference((planted, without), (planted[1:], without))
