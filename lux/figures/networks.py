"""Drawings of the chapter on neural networks: where the prediction of each model begins to follow the label."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, new_figure, paper_style

_STYLES = {
    "mean": ("undecided", "x"),
    "labels only": ("guessed", "D"),
    "PLS": ("proxy", "s"),
    "Cannon": ("leaked", "P"),
    "Lux": ("model", "o"),
    "dense network": ("highlight", "^"),
    "convolutional network": ("known", "v"),
}


@paper_style()
def where_models_begin(
    depths: Sequence[float],
    by_depth: Mapping[str, Sequence[np.ndarray]],
    sizes: Sequence[int],
    by_size: Mapping[str, Sequence[np.ndarray]],
) -> plt.Figure:
    """Draw slopes of predictions on the label alone, by depth of its lines and by number of stars.

    Parameters
    ----------
    depths : sequence of K floats
        In flux per standard deviation of the label.
    by_depth : dict of model to K arrays
        Slopes in the worlds of each depth; the mean is drawn, with the standard deviation as a bar.
    sizes : sequence of L int
    by_size : dict of model to L arrays
        The same for surveys of each size.
    """
    figure, (left, right) = new_figure(1, 2, height=3.9, sharey=True)
    places = np.arange(len(depths))
    for number, name in enumerate(by_depth):
        color, marker = _STYLES[name]
        offset = 0.06 * (number - len(by_depth) / 2)
        for axis, x, found in ((left, places + offset, by_depth[name]), (right, _spread(sizes, offset), by_size[name])):
            center, width = [values.mean() for values in found], [values.std() for values in found]
            axis.errorbar(x, center, yerr=width, color=COLORS[color], marker=marker, ms=5, lw=1.2, label=name)
    for axis in (left, right):
        for place in (0, 1):
            axis.axhline(place, color="black", lw=0.8, ls=":")
    left.set_xticks(places, [f"{100 * depth:g}" if depth else "none" for depth in depths])
    left.set(xlabel="depth of the lines (% per σ of [Eu/Fe])", ylabel="slope of the prediction\non europium alone")
    right.set(xscale="log", xlabel="stars of the survey")
    right.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    for axis in (left, right):
        axis.minorticks_off()
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _spread(sizes: Sequence[int], offset: float) -> np.ndarray:
    return np.asarray(sizes) * 2.0**offset
