"""Every technique gives one number for a world, and those that look at lines see strong ones."""

import numpy as np
import pytest

from lux import controls
from lux.simulation.worlds import World


@pytest.fixture(scope="module")
def worlds():
    kinds = World("shortcut"), World("signal", depth=0.03)
    return [controls.measure(controls.Cell("cell", world, 0.06, 1), seed=1040, star_seed=40) for world in kinds]


def test_every_technique_gives_one_number(worlds):
    for world in worlds:
        assert set(controls.TECHNIQUES) < set(world)
        assert all(np.isfinite(world[key]) for key in controls.TECHNIQUES)


def test_strong_lines_raise_what_looks_at_them_and_the_verdict(worlds):
    nothing, signal = worlds
    for key in ("matched_filter", "jacobian", "ablation", "response", "audit_lines"):
        assert signal[key] > nothing[key] + (0.5 if key == "response" else 3)
    assert (nothing["verdict"], signal["verdict"]) == ("guessed", "known")
    assert nothing["bound"] == 0 < signal["bound"]
