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


@paper_style()
def size_matrix(
    names: Sequence[str],
    columns: Sequence[str],
    areas: np.ndarray,
    powers: np.ndarray,
    n_published: int,
    n_sizes: int,
) -> plt.Figure:
    """Draw areas and powers (K, C) of techniques against survey size, side by side.

    The first `n_published` rows are the published techniques; every `n_sizes` columns are of one generator.
    """
    figure, axes = new_figure(columns=2, height=0.31 * len(names) + 1.5, sharey=True)
    titles = ("area under the\nROC curve", "power at 5 %\nof false alarms")
    for axis, values, title, cmap in zip(axes, (areas, powers), titles, ("RdBu", "Blues"), strict=True):
        axis.imshow(values, cmap=cmap, vmin=0, vmax=1, aspect="auto")
        dark = np.abs(values - 0.5) > 0.36 if cmap == "RdBu" else values > 0.6
        write_cells(axis, values, ".2f", dark, fontsize=7)
        axis.axhline(n_published - 0.5, color="black", linewidth=1.5)
        for place in range(n_sizes, values.shape[1], n_sizes):
            axis.axvline(place - 0.5, color="black", linewidth=1.5)
        axis.set_xticks(range(len(columns)), columns, fontsize=8.5, rotation=50, ha="left", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), names, fontsize=9.5)
        axis.set_xlabel(title, fontsize=10.5)
        axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        axis.minorticks_off()
    return figure


@paper_style()
def information_and_use(
    points: Mapping[str, tuple[np.ndarray, np.ndarray, Sequence[str]]], threshold: float
) -> plt.Figure:
    """Draw what the flux has of labels against what each model uses of them.

    `points` are by model: the significance in the flux (K,), the slope of the prediction on the label's own part (K,),
    and the names of the labels; to the right of `threshold` a label is found.
    """
    figure, axis = new_figure(height=4.2)
    for (model, (found, used, _)), (color, marker) in zip(points.items(), _LINES, strict=False):
        axis.plot(found, used, marker, color=COLORS[color], label=model, markersize=6, clip_on=False)
    _, (found, used, names) = next(iter(points.items()))
    for x, y, name in zip(found, used, names, strict=True):
        axis.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8.5)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axis.margins(x=0.12)
    axis.set(
        xscale="symlog",
        xlabel="strongest evidence in the flux (σ)",
        ylabel="slope of the prediction on the label's own part",
    )
    axis.legend(fontsize=9.5)
    return figure
