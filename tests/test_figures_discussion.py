"""The figures of the discussion and of the page on large surveys show what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux.diagnostics.response import Response
from lux.figures import discussion, large_surveys
from lux.statistics import Estimate


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def is_above(legend, axis):
    axis.figure.draw_without_rendering()
    return legend.get_window_extent().y0 >= axis.bbox.y1


def test_every_population_has_its_points_and_its_slope_in_both_worlds():
    rng = np.random.default_rng(0)
    names = ("disc", "r-I")
    responses = {
        world: {
            name: Response(rng.random(9), rng.random(9), Estimate(slope, slope - 0.1, slope + 0.1)) for name in names
        }
        for world, slope in (("shortcut", 0.0), ("signal", 1.2))
    }
    left, right = discussion.where_it_breaks(responses).axes
    assert left.get_xlabel() == "true [Eu/Fe] (dex)"
    assert [len(each.get_offsets()) for each in left.collections] == [9, 9]
    assert [text.get_text() for text in right.texts] == ["guess", "knowledge"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["no line", "planted lines"]
    assert is_above(right.get_legend(), right)


@pytest.mark.parametrize("interval", [(-0.3, -0.2, 0.1), (0.4, 0.5, 0.6)])
def test_the_simulation_is_shown_with_its_whole_interval_wherever_it_lies(interval):
    low, value, high = interval
    stars = np.geomspace(100, 1e7, 20)
    curves = {"one": np.linspace(0, 0.01, 20), "two": np.linspace(0, 0.02, 20)}
    lines = {"Ce II": (np.array([0.2, 1.0]), np.array([1.1, 0.3]))}
    figure = discussion.learning_curves(stars, curves, 0.02, (750, (value, low, high)), lines)
    for axis in figure.axes:
        assert is_above(axis.get_legend(), axis)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < low < high < top


def test_the_time_of_a_cycle_has_a_line_for_each_number_of_workers_and_the_measured_point():
    stars = np.array([1e5, 1e6])
    figure = large_surveys.seconds_of_a_cycle(
        stars, {"2 workers": stars / 2, "40 workers": stars / 40}, (1e5, 5e4), "here"
    )
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["2 workers", "40 workers", "here"]
    assert is_above(axis.get_legend(), axis)
