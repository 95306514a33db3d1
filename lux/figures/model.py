"""Drawings of the chapter on the model: the graph of its quantities, its fit, its gauge, what it rebuilds."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyBboxPatch

from lux.figures import COLORS, label_rows, label_text, new_figure, paper_style, spectrum_panel
from lux.survey import Survey

# Name, place in the drawing, whether observed.
_NODES = (
    ("$\\Omega$", (0.6, 3.2), False),
    ("$z_n$", (2.7, 3.2), False),
    ("$l_{nm}$", (4.9, 4.6), True),
    ("$f_{n\\lambda}$", (4.9, 1.6), True),
    ("$\\sigma_{nm}$", (2.7, 4.95), True),
    ("$\\sigma_{n\\lambda}$", (2.7, 1.1), True),
    ("$A_m, a_m$", (7.6, 4.6), False),
    ("$B_\\lambda, b_\\lambda$", (7.6, 2.05), False),
    ("$s_\\lambda$", (7.6, 0.95), False),
)
_EDGES = ((0, 1), (1, 2), (1, 3), (4, 2), (5, 3), (6, 2), (7, 3), (8, 3))
# Lower left corner, width, height, text, and where the text stands.
_PLATES = (
    ((1.85, 0.1), 4.0, 5.7, "stars $n = 1 \\ldots N$", (3.85, -0.13)),
    ((2.05, 3.85), 6.75, 1.75, "labels $m = 1 \\ldots M$", (7.55, 5.35)),
    ((2.05, 0.35), 6.75, 2.3, "pixels $\\lambda = 1 \\ldots D$", (7.55, 2.85)),
)
_RADIUS = 0.5


@paper_style()
def graphical_model() -> plt.Figure:
    """Draw which quantity of Lux depends on which: data shaded, fixed or fitted quantities open, plates repeated."""
    figure, axis = new_figure(height=4.3)
    axis.set(xlim=(0, 8.9), ylim=(-0.3, 5.85), aspect="equal")
    axis.axis("off")
    for corner, width, height, text, place in _PLATES:
        box = FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.15", fill=False, lw=0.9)
        axis.add_patch(box)
        axis.text(*place, text, ha="center", va="center", fontsize=10)
    for start, end in _EDGES:
        tail, head = np.array(_NODES[start][1]), np.array(_NODES[end][1])
        unit = (head - tail) / np.hypot(*(head - tail))
        arrow = {"arrowstyle": "-|>", "color": "black", "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", head - _RADIUS * unit, tail + _RADIUS * unit, arrowprops=arrow)
    for text, place, observed in _NODES:
        color = "#d9d9d9" if observed else "white"
        axis.add_patch(Circle(place, _RADIUS, facecolor=color, edgecolor="black", lw=1.1, zorder=3))
        axis.text(*place, text, ha="center", va="center", fontsize=10 if "," in text else 12, zorder=4)
    return figure


@paper_style()
def convergence(deficits: Mapping[str, np.ndarray]) -> plt.Figure:
    """Draw what each fit still lacks of the best log-likelihood, per star, against its cycles."""
    figure, axis = new_figure(height=3.2)
    for (name, deficit), marker in zip(deficits.items(), "osD^v", strict=False):
        shown = np.where(deficit > 0, deficit, np.nan)
        axis.plot(np.arange(1, len(deficit) + 1), shown, marker=marker, label=name)
    axis.set_yscale("log")
    axis.set_xlabel("cycle")
    axis.set_ylabel("log-likelihood below\nthe best, per star")
    axis.legend(title="latents start from")
    return figure


@paper_style()
def unfinished(steps: Sequence[int], explained: np.ndarray, label_names: Sequence[str]) -> plt.Figure:
    """Draw R squared (S + 1, M) of labels after some steps (S,) of a fit that began with them, its solution dashed."""
    figure, axis = new_figure(height=3.4)
    for column, (name, marker) in enumerate(zip(label_names, "osD^vP", strict=False)):
        (line,) = axis.plot(steps, explained[:-1, column], marker=marker, label=label_text(name, with_unit=False))
        axis.axhline(explained[-1, column], color=line.get_color(), lw=0.9, ls="--")
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    axis.set(
        xlim=(0, 1.2 * steps[-1]), ylabel="held-out R²", xlabel="steps of the optimizer (0: the labels themselves)"
    )
    axis.legend(ncols=2, loc="lower left")
    return figure


@paper_style()
def latent_stories(panels: Mapping[str, np.ndarray], label_names: Sequence[str]) -> plt.Figure:
    """Draw how strongly each latent follows each label, (M, P) absolute correlations, one panel per fit or gauge.

    The latent that correlates best with a label is marked with a dot.
    """
    figure, axes = new_figure(len(panels), height=1.55 * len(panels) + 0.5, sharex=True)
    for axis, (title, strength) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        image = axis.imshow(strength, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        strongest = np.argmax(strength, axis=1)
        axis.scatter(strongest, np.arange(len(strength)), s=26, color=COLORS["highlight"], edgecolor="white", lw=0.7)
        label_rows(axis, label_names)
        axis.set_title(title, fontsize=11)
    n_latents = strength.shape[1]
    ticks = np.arange(0, n_latents, max(1, n_latents // 10))
    axis.set_xticks(ticks, ticks + 1)
    axis.set_xlabel("latent")
    figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, label="absolute correlation of latent and label")
    return figure


@paper_style()
def latent_numbers(scores: Mapping[int, np.ndarray], label_names: Sequence[str], chosen: int) -> plt.Figure:
    """Draw the held-out error of each label over its catalogue error against the number of latents."""
    figure, axis = new_figure(height=3.4)
    numbers = sorted(scores)
    for column, (name, marker) in enumerate(zip(label_names, "osD^vP", strict=False)):
        values = [scores[number][column] for number in numbers]
        axis.plot(numbers, values, marker=marker, label=label_text(name, with_unit=False))
    axis.axhline(1, color="black", lw=0.8)
    axis.axvline(chosen, color=COLORS["undecided"], lw=0.8, ls="--")
    axis.set_xticks(numbers)
    axis.tick_params(axis="x", which="minor", length=0)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.yaxis.set_minor_formatter("{x:.3g}")
    axis.set_xlabel("number of latents")
    axis.set_ylabel("held-out RMSE over\ncatalogue error")
    axis.legend(ncols=2)
    return figure


@paper_style()
def reconstruction(survey: Survey, rebuilt: np.ndarray, star: int, windows: Sequence[tuple]) -> plt.Figure:
    """Draw one star's observed and rebuilt flux in a window of each chip, and below it the residual with its error.

    Parameters
    ----------
    survey : Survey
    rebuilt : (N, D) array
    star : int
        Row of the survey.
    windows : sequence of (float, float)
        First and last vacuum wavelength shown of each chip, Angstrom.
    """
    heights = {"height_ratios": [2.2, 1] * len(windows)}
    figure, axes = new_figure(2 * len(windows), height=2.5 * len(windows), gridspec_kw=heights)
    for number, limits in enumerate(windows):
        upper, lower = axes[2 * number], axes[2 * number + 1]
        ivar = survey.ivar[star]
        spectrum_panel(upper, survey.wavelength, survey.flux[star], ivar=ivar, label="observed", limits=limits)
        upper.plot(survey.wavelength, rebuilt[star], color=COLORS["model"], lw=0.9, label="rebuilt")
        inside = (survey.wavelength >= limits[0]) & (survey.wavelength <= limits[1])
        lowest = min(survey.flux[star][inside & (ivar > 0)].min(), rebuilt[star][inside].min())
        upper.set_ylim(lowest - 0.05, 1.1)
        upper.set(xlabel="", xticklabels=[])
        residual = survey.flux[star] - rebuilt[star]
        spectrum_panel(lower, survey.wavelength, residual, ivar=ivar, limits=limits)
        lower.axhline(0, color=COLORS["model"], lw=0.8)
        lower.set(ylabel="residual", ylim=(-0.06, 0.06), xlabel="")
        upper.set_ylabel("flux")
    lower.set_xlabel("vacuum wavelength (Å)")
    axes[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
