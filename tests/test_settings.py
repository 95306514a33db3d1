"""The settings of an audit say what counts, and which of them are not the usual ones."""

import dataclasses
import math

import pytest
from scipy import stats

from lux.auditing import AuditSettings


def test_a_leak_must_be_significant_and_grow_by_a_share_of_what_noise_would():
    settings = AuditSettings(significance=0.005, share_of_growth=0.5)
    least = stats.norm.isf(0.005)
    assert settings.min_growth(20.0) == 10.0
    assert settings.min_growth(least + 0.1) == pytest.approx(least)
    assert math.isinf(settings.min_growth(least - 0.1))


def test_only_what_differs_from_the_defaults_is_named():
    assert str(AuditSettings()).endswith("all by default")
    text = str(AuditSettings(n_probed=7, significance=0.001))
    assert "p < 0.001 counts" in text
    assert "n_probed = 7" in text
    assert "clip" not in text


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AuditSettings().n_probed = 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_opened_stars": 0}, "max_opened_stars is 0; expected a whole number of at least 1"),
        ({"n_surrogates": -1}, "n_surrogates is -1; expected a whole number of at least 1"),
        ({"n_components": 2.5}, "n_components is 2.5; expected a whole number of at least 0"),
        ({"significance": 5}, "significance is 5; expected a number of 0 to 1"),
        ({"clip": math.nan}, "clip is nan; expected a number of at least 0"),
        ({"clip": "5"}, "clip is '5'; expected a number of at least 0"),
        ({"min_stars": True}, "min_stars is True; expected a whole number"),
    ],
)
def test_a_setting_that_is_none_is_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        AuditSettings(**setting)
