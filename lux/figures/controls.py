"""Drawings of the controls: which techniques tell planted worlds apart, and from what line strength."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from lux.figures import COLORS, new_figure, paper_style, write_cells

_LINES = (("highlight", "o"), ("proxy", "s"), ("guessed", "D"), ("model", "^"), ("known", "v"), ("leaked", "P"))


@paper_style()
def score_matrix(
    names: Sequence[str], columns: Sequence[str], values: np.ndarray, n_published: int, n_depths: int
) -> plt.Figure:
    """Draw areas under ROC curves (K, C) of techniques as a matrix.

    The first `n_published` rows are the published techniques; the first `n_depths` columns are depths of lines, the
    others other things that were planted.
    """
    figure, axis = new_figure(height=0.33 * len(names) + 1.3)
    image = axis.imshow(values, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    write_cells(axis, values, ".2f", np.abs(values - 0.5) > 0.36, fontsize=9.5)
    axis.axhline(n_published - 0.5, color="black", linewidth=1.5)
    axis.axvline(n_depths - 0.5, color="black", linewidth=1.5)
    axis.set_xticks(range(len(columns)), columns, fontsize=10, rotation=40, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), names, fontsize=10)
    axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axis.minorticks_off()
    figure.colorbar(image, label="area under the ROC curve", pad=0.02, aspect=40)
    return figure


@paper_style()
def power_curves(
    depths: Sequence[float], powers: Mapping[str, np.ndarray], significance: Sequence[float], false_alarms: float = 0.05
) -> plt.Figure:
    """Draw the power (K,) of techniques against the depth of lines (K,), and that of the optimal observer.

    `significance` (K,) is at how many standard deviations the optimal observer sees the lines of each depth; powers are
    at a fraction `false_alarms` of false alarms.
    """
    figure, axis = new_figure(height=3.7)
    fine = np.geomspace(min(depths), max(depths), 100)
    sigma = np.exp(np.interp(np.log(fine), np.log(depths), np.log(significance)))
    axis.plot(100 * fine, norm.cdf(sigma - norm.isf(false_alarms)), "--", color="black", label="optimal observer")
    sizes = np.linspace(10, 5, len(powers))
    for (name, values), (color, marker), size in zip(powers.items(), _LINES, sizes, strict=False):
        axis.plot(100 * np.asarray(depths), values, marker=marker, color=COLORS[color], label=name, markersize=size)
    axis.axhline(false_alarms, color="black", linewidth=0.8, linestyle=":")
    axis.set(xscale="log", xlabel="line depth per standard deviation of [Eu/Fe] (%)", ylim=(-0.03, 1.03))
    axis.set_ylabel(f"power at {false_alarms:.0%} false alarms")
    axis.set_xticks([100 * depth for depth in depths], [f"{100 * depth:g}" for depth in depths])
    axis.minorticks_off()
    figure.legend(loc="outside right upper", fontsize=10)
    return figure
