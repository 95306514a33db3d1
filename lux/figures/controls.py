"""Drawings of the controls: which techniques tell planted worlds apart, and from what line strength."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase
from scipy.stats import norm

from lux.figures import COLORS, label_text, new_figure, paper_style, write_cells

# How the name of a point is written, and where it may stand: sides in order of preference, gaps in points.
_HAIRLINE = {"arrowstyle": "-", "color": COLORS["undecided"], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
_NAME: dict[str, Any] = {"fontsize": 9.5, "arrowprops": _HAIRLINE, "zorder": 1}
_SIDES = np.array([(1, 0.7), (1, -0.7), (-1, 0.7), (-1, -0.7), (0, 1), (0, -1), (1, 0), (-1, 0)])
_GAPS = (4, 10, 18, 28, 40, 54, 70, 90)
# Where the axis of the evidence begins to be logarithmic.
_LINEAR_TO = 2.0
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
    groups: Sequence[str],
    columns: Sequence[str],
    areas: np.ndarray,
    powers: np.ndarray,
    falls: np.ndarray,
    n_published: int,
) -> plt.Figure:
    """Draw areas and powers (K, G C) of techniques side by side, for C kinds of survey in each of G groups.

    Powers of numbers that lines lower are marked (`falls`). The first `n_published` rows are the published techniques.
    """
    figure, axes = new_figure(columns=2, height=0.31 * len(names) + 1.5, sharey=True)
    titles = ("area under the\nROC curve", "power at 5 %\nof false alarms")
    for axis, values, title, cmap in zip(axes, (areas, powers), titles, ("RdBu", "Blues"), strict=True):
        axis.imshow(values, cmap=cmap, vmin=0, vmax=1, aspect="auto")
        dark = np.abs(values - 0.5) > 0.36 if cmap == "RdBu" else values > 0.6
        write_cells(axis, values, ".2f", dark, fontsize=7.5, marked=falls if values is powers else None)
        axis.axhline(n_published - 0.5, color="black", linewidth=1.5)
        for number, group in enumerate(groups):
            if number:
                axis.axvline(number * len(columns) - 0.5, color="black", linewidth=1.5)
            middle = (number + 0.5) / len(groups), 1.0
            axis.annotate(
                group, middle, (0, 40), "axes fraction", textcoords="offset points", ha="center", fontsize=9.5
            )
        axis.set_xticks(range(values.shape[1]), [*columns] * len(groups), fontsize=8.5, rotation=90)
        axis.set_yticks(range(len(names)), names, fontsize=9.5)
        axis.set_xlabel(title, fontsize=10.5)
        axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        axis.minorticks_off()
    return figure


@paper_style()
def learned(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> plt.Figure:
    """Draw how far models follow europium against what a latent gains by its lines, a panel for each kind of fit.

    Of each series: the gain of likelihood by the lines in units of that by the weakest latent (K,), and the slope of
    the prediction on [Eu/Fe] of enhanced stars (K,). Windows are hollow, whole spectra full: every second series.
    """
    figure, axes = new_figure(columns=len(panels), height=3.9, sharey=True, squeeze=False)
    for axis, (title, series) in zip(axes[0], panels.items(), strict=True):
        for number, (name, (gain, slope)) in enumerate(series.items()):
            color, marker = (COLORS["model"], "^") if number < 2 else (COLORS["guessed"], "D")
            face = color if number % 2 else "none"
            axis.plot(gain, slope, marker, color=color, markerfacecolor=face, markersize=5, alpha=0.8, label=name)
        axis.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(xscale="log", title=title)
    figure.supxlabel("gain of likelihood by the lines / by the weakest latent", fontsize=11)
    axes[0, 0].set_ylabel("slope on [Eu/Fe] of enhanced stars")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=10)
    return figure


@paper_style()
def information_and_use(
    points: Mapping[str, tuple[np.ndarray, np.ndarray, Sequence[str]]], threshold: float
) -> plt.Figure:
    """Draw what the flux has of labels against what each model uses of them.

    `points` are by model: the significance in the flux (K,), the slope of the prediction on the label's own part (K,),
    and the labels; to the right of `threshold` a label is found. The labels are named at the points of the first model.
    """
    figure, axis = new_figure(height=4.6)
    for (model, (found, used, _)), (color, marker) in zip(points.items(), _LINES, strict=False):
        axis.plot(found, used, marker, color=COLORS[color], label=model, markersize=6, clip_on=False)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axis.margins(x=0.12)
    axis.set_xscale("symlog", linthresh=_LINEAR_TO, linscale=0.5)
    ends, ticks = axis.get_xlim(), (-2, 0, 2, 5, 10, 20, 50, 100)
    axis.set_xticks([tick for tick in ticks if ends[0] <= tick <= ends[1]])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.minorticks_off()
    axis.set(
        xlim=ends,
        xlabel=f"strongest evidence in the flux (σ; linear to {_LINEAR_TO:g})",
        ylabel="slope of the prediction on the label's own part",
    )
    axis.legend(ncols=len(points), loc="lower left", bbox_to_anchor=(0, 1))
    places = [np.column_stack([found, used]) for found, used, _ in points.values()]
    names = [label_text(name, with_unit=False) for name in next(iter(points.values()))[2]]
    figure.draw_without_rendering()
    _name_points(axis, places[0], names, np.concatenate(places))
    return figure


def _name_points(axis: Axes, places: np.ndarray, names: Sequence[str], markers: np.ndarray) -> None:
    """Write names beside places (K, 2), each where it hides least of the markers (L, 2), axes and other names.

    The figure must have its final layout.
    """
    point = axis.figure.dpi / 72
    taken = [Bbox([center, center]).padded(4 * point) for center in axis.transData.transform(markers)]
    taken += [line.get_window_extent().padded(2 * point) for line in axis.lines if line.get_marker() == "None"]
    for name, place in zip(names, places, strict=True):
        text = axis.annotate(name, place, (0, 0), textcoords="offset points", va="center", ha="center", **_NAME)
        size = np.array(Text.get_window_extent(text).padded(point).size)
        center = axis.transData.transform(place)
        shifts = [side * (size / 2 + gap * point) for gap in _GAPS for side in _SIDES]
        boxes = [Bbox([center + shift - size / 2, center + shift + size / 2]) for shift in shifts]
        best = int(np.argmin([_hidden(box, taken, axis.bbox) for box in boxes]))
        text.set_position(shifts[best] / point)
        taken.append(boxes[best])


def _hidden(box: Bbox, taken: Sequence[BboxBase], room: BboxBase) -> int:
    """Return how much a box would hide: of what is taken, or that it leaves the room."""
    outside = not (room.contains(*box.min) and room.contains(*box.max))
    return box.count_overlaps(taken) + 10 * outside
