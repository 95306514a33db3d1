"""Drawings of the discussion: where a prediction of europium breaks."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, label_text, new_figure, paper_style
from lux.statistics import Estimate

_MARKS = {
    "disc": ("o", "observed"),
    "gse": ("s", "model"),
    "r-I": ("D", "highlight"),
    "r-II": ("^", "proxy"),
    "decorrelated": ("v", "known"),
}


@paper_style()
def where_it_breaks(stars: Mapping[str, tuple], slopes: Mapping[str, Mapping[str, Estimate]]) -> plt.Figure:
    """Draw predictions against the truth for each population, and the slope of one against the other in each world.

    Parameters
    ----------
    stars : dict of population to (true, predicted)
        In the world without a europium line.
    slopes : dict of world to dict of population to `lux.diagnostics.transfer.Estimate`
    """
    figure, (left, right) = new_figure(1, 2, height=3.9, gridspec_kw={"width_ratios": [1.15, 1]})
    everything = np.concatenate([np.concatenate(pair) for pair in stars.values()])
    ends = everything.min() - 0.05, everything.max() + 0.05
    left.plot(ends, ends, color="black", lw=0.8)
    for population, (true, predicted) in stars.items():
        marker, color = _MARKS[population]
        left.scatter(true, predicted, s=8, marker=marker, color=COLORS[color], alpha=0.6, lw=0, label=population)
    left.set(xlim=ends, ylim=ends, xlabel=f"true {label_text('eu_fe', with_unit=False)}")
    left.set_ylabel(f"predicted {label_text('eu_fe')}")
    left.set_title("no europium line", fontsize=11)
    left.legend(loc="upper left", markerscale=2, handletextpad=0.2, fontsize=10)
    populations = list(next(iter(slopes.values())))
    for world, color, marker, offset in (("shortcut", "guessed", "o", -0.12), ("signal", "known", "D", 0.12)):
        found = [slopes[world][population] for population in populations]
        values = np.array([each.value for each in found])
        spread = np.array([[each.value - each.low for each in found], [each.high - each.value for each in found]])
        name = "no line" if world == "shortcut" else "planted lines"
        rows = np.arange(len(found)) + offset
        right.errorbar(values, rows, xerr=spread, fmt=marker, color=COLORS[color], label=name)
    for place, text in ((0, "guess"), (1, "knowledge")):
        right.axvline(place, color="black", lw=0.8, ls=":")
        right.text(place, -0.75, text, ha="center", fontsize=10)
    right.set_yticks(np.arange(len(populations)), populations)
    right.set(ylim=(len(populations) - 0.5, -1.0), xlabel="slope of prediction against truth")
    right.legend(loc="center", bbox_to_anchor=(0.52, 0.4), fontsize=10)
    return figure
