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
