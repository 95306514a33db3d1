"""Drawings of the chapter on label transfer: predictions beside the catalogue, and what small errors do not prove."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, label_text, new_figure, one_to_one, paper_style
from lux.survey import Survey


@paper_style()
def one_to_one_grid(survey: Survey, prediction: Any, names: Sequence[str]) -> plt.Figure:
    """Draw predicted against catalogue labels, a panel each, with the typical error of either in the corner."""
    rows = -(-len(names) // 2)
    figure, axes = new_figure(rows, 2, height=3.1 * rows)
    for axis, name in zip(axes.flat, names, strict=False):
        column = prediction.names.index(name)
        one_to_one(axis, survey.label(name), prediction.labels[:, column], name=name)
        low, high = axis.get_xlim()
        corner = (high - 0.16 * (high - low), low + 0.12 * (high - low))
        errors = np.nanmedian(survey.label_err[:, survey.label_index(name)]), np.nanmedian(prediction.err[:, column])
        axis.errorbar(*corner, xerr=errors[0], yerr=errors[1], color="black", capsize=2, lw=1)
        axis.minorticks_off()
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    return figure


@paper_style()
def paradox(panels: Mapping[str, tuple], label: str = "eu_fe") -> plt.Figure:
    """Draw predictions against the truth for ordinary and for enhanced stars, a panel for each world.

    Parameters
    ----------
    panels : dict of title to (true, predicted, enhanced_true, enhanced_predicted)
        Arrays of the ordinary stars and of the enhanced ones.
    """
    figure, axes = new_figure(1, len(panels), height=3.7, sharex=True, sharey=True)
    everything = np.concatenate([np.concatenate(panel) for panel in panels.values()])
    low, high = np.percentile(everything, [0.1, 99.9])
    ends = (low - 0.08 * (high - low), high + 0.08 * (high - low))
    for axis, (title, (true, predicted, enhanced_true, enhanced)) in zip(axes, panels.items(), strict=True):
        axis.plot(ends, ends, color="black", lw=0.8)
        axis.scatter(true, predicted, s=5, color=COLORS["observed"], alpha=0.5, lw=0, label="disc stars")
        style = {"marker": "D", "color": COLORS["highlight"], "alpha": 0.6, "lw": 0}
        axis.scatter(enhanced_true, enhanced, s=9, label="r-process-enhanced", **style)
        axis.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"true {label_text(label)}")
        axis.set_title(title, fontsize=11)
    axes[0].set_ylabel(f"predicted {label_text(label)}")
    axes[0].legend(loc="upper left", markerscale=2, handletextpad=0.2, fontsize=10)
    return figure


@paper_style()
def error_ratios(ratios: Mapping[str, float], seen: Mapping[str, bool]) -> plt.Figure:
    """Draw RMSE over catalogue error as bars, smallest first, told apart by whether the label has lines in the band."""
    names = sorted(ratios, key=ratios.__getitem__, reverse=True)
    figure, axis = new_figure(height=0.34 * len(names) + 1.0)
    styles = {True: (COLORS["known"], None, "lines in the band"), False: (COLORS["guessed"], "//", "no line")}
    for has_lines, (color, hatch, text) in styles.items():
        places = [place for place, name in enumerate(names) if seen[name] == has_lines]
        values = [ratios[names[place]] for place in places]
        axis.barh(places, values, color=color, hatch=hatch, edgecolor="white", label=text)
    for place, name in enumerate(names):
        axis.text(ratios[name] + 0.03, place, f"{ratios[name]:.2f}", va="center", fontsize=10)
    axis.axvline(1, color="black", lw=0.8)
    axis.set_yticks(range(len(names)), [label_text(name, with_unit=False) for name in names])
    axis.tick_params(axis="y", which="both", length=0)
    axis.set_xlabel("RMSE over catalogue error")
    axis.set_xlim(0, 1.12 * max(ratios.values()))
    axis.legend(loc="upper right")
    return figure


@paper_style()
def held_out_twice(survey: Survey, by_star: Any, by_group: Any, names: Sequence[str]) -> plt.Figure:
    """Draw predicted against catalogue labels for two ways of holding stars out: singly, and by whole groups."""
    rows = -(-len(names) // 2)
    figure, axes = new_figure(rows, 2, height=3.1 * rows)
    for axis, name in zip(axes.flat, names, strict=False):
        one_to_one(axis, survey.label(name), by_group.label(name), name=name, color=COLORS["highlight"])
        axis.scatter(survey.label(name), by_star.label(name), s=5, color=COLORS["model"], alpha=0.45, lw=0)
        axis.minorticks_off()
    handles = [
        plt.Line2D([], [], ls="", marker="o", color=COLORS[color], label=text)
        for color, text in (("model", "star held out"), ("highlight", "cluster held out"))
    ]
    axes.flat[0].legend(handles=handles, loc="upper left", handletextpad=0.1, fontsize=9)
    return figure
