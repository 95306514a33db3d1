"""Drawings of the discussion: where a prediction of europium breaks, and what the band can know of it."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from lux.diagnostics.response import Response
from lux.figures import COLORS, label_text, new_figure, paper_style

_MARKS = {
    "disc": ("o", "observed"),
    "gse": ("s", "model"),
    "in-situ": ("P", "leaked"),
    "r-I": ("D", "highlight"),
    "r-II": ("^", "proxy"),
    "decorrelated": ("v", "known"),
}


@paper_style()
def where_it_breaks(responses: Mapping[str, Mapping[str, Response]]) -> plt.Figure:
    """Draw predictions against the truth for each population, and the slope of one against the other in each world.

    Parameters
    ----------
    responses : dict of world ("shortcut", "signal") to dict of population to Response
        Predictions are drawn in the world without a europium line.
    """
    stars = responses["shortcut"]
    figure, (left, right) = new_figure(1, 2, height=4.4, gridspec_kw={"width_ratios": [1.15, 1]})
    everything = np.concatenate([each for star in stars.values() for each in (star.true, star.predicted)])
    ends = everything.min() - 0.05, everything.max() + 0.05
    left.plot(ends, ends, color="black", lw=0.8)
    for population, found in stars.items():
        marker, color = _MARKS[population]
        style = {"marker": marker, "color": COLORS[color], "alpha": 0.6, "lw": 0}
        left.scatter(found.true, found.predicted, s=8, label=population, **style)
    left.set(xlim=ends, ylim=ends, xlabel=f"true {label_text('eu_fe')}")
    left.set_ylabel(f"predicted {label_text('eu_fe')}")
    left.set_title("no europium line", fontsize=11)
    left.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.06), markerscale=2, handletextpad=0.2, fontsize=10)
    _draw_slopes(right, responses)
    return figure


def _draw_slopes(axis: plt.Axes, responses: Mapping[str, Mapping[str, Response]]) -> None:
    populations = list(responses["shortcut"])
    for world, color, marker, offset in (("shortcut", "guessed", "o", -0.12), ("signal", "known", "D", 0.12)):
        slopes = [responses[world][population].slope for population in populations]
        values = np.array([slope.value for slope in slopes])
        error = np.abs(np.transpose([slope.interval for slope in slopes]) - values)
        name = "no line" if world == "shortcut" else "planted lines"
        rows = np.arange(len(slopes)) + offset
        axis.errorbar(values, rows, xerr=error, fmt=marker, color=COLORS[color], label=name)
    for place, text in ((0, "guess"), (1, "knowledge")):
        axis.axvline(place, color="black", lw=0.8, ls=":")
        axis.text(place, 1.01, text, ha="center", va="bottom", fontsize=10, transform=axis.get_xaxis_transform())
    axis.set_yticks(np.arange(len(populations)), populations)
    axis.tick_params(axis="y", which="minor", left=False)
    axis.set(ylim=(len(populations) - 0.5, -0.5), xlabel="slope of prediction\nagainst truth")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.06), fontsize=10)


@paper_style()
def learning_curves(
    n_stars: np.ndarray,
    curves: Mapping[str, np.ndarray],
    ceiling: float,
    found: tuple[int, tuple[float, float, float]],
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> plt.Figure:
    """Draw how far models follow europium's own scatter, and how significantly its neighbors' lines follow it.

    Parameters
    ----------
    n_stars : (K,) array
        Sizes of training samples.
    curves : dict of name to (K,) array
        Expected slope of a model's prediction on europium's own scatter.
    ceiling : float
        The slope of the best estimate.
    found : (int, (value, low, high))
        Training stars of a simulation, and the slope of its model with both ends of its interval.
    lines : dict of species to (expected, measured)
        Significance of each line in the simulation, in standard deviations, two arrays (L,).
    """
    figure, (left, right) = new_figure(1, 2, height=4.1)
    for (name, slopes), color in zip(curves.items(), ("model", "guessed"), strict=True):
        left.plot(n_stars, slopes, color=COLORS[color], label=name)
    left.axhline(ceiling, color="black", lw=0.8, ls=":", label="best estimate")
    size, (value, low, high) = found
    error = [[value - low], [high - value]]
    left.errorbar(size, value, yerr=error, fmt="D", color=COLORS["highlight"], label="simulation")
    left.set(xscale="log", xlabel="training stars", ylabel="slope on europium's own scatter")
    left.set_ylim(min(-0.6 * ceiling, low - 0.2 * ceiling), max(1.4 * ceiling, high + 0.2 * ceiling))
    for (species, (expected, measured)), (marker, color) in zip(lines.items(), _MARKS.values(), strict=False):
        right.errorbar(expected, measured, yerr=1.0, fmt=marker, color=COLORS[color], label=species)
    top = max(float(expected.max()) for expected, _ in lines.values())
    right.plot([0, top], [0, top], color="black", lw=0.8)
    right.set(xlabel="expected significance (σ)", ylabel="measured significance (σ)")
    for axis in (left, right):
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=10)
    return figure
