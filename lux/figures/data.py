"""Figures of the chapter on the data: genuine and synthetic spectra, populations, worlds, the sky."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, chip_panels, label_text, mark_lines, new_figure, paper_style, spectrum_panel
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.lines import LineList, strongest

Pairs = Sequence[tuple[float, float]]
Marks = Sequence[tuple[float, str]]

_POPULATION_STYLE = {
    "gse": (COLORS["proxy"], "D", "accreted, GSE-like"),
    "in-situ": (COLORS["leaked"], "s", "thick disc, as metal-poor"),
    "r-I": (COLORS["model"], "^", "r-process-enhanced, r-I"),
    "r-II": (COLORS["highlight"], "v", "r-process-enhanced, r-II"),
    "decorrelated": (COLORS["known"], "x", "Eu drawn at random"),
}
_OFFSET = 0.35


@paper_style()
def spectrum_pair(
    wavelength: np.ndarray, observed: np.ndarray, ivar: np.ndarray, synthetic: np.ndarray, chips: Pairs, lines: Marks
) -> plt.Figure:
    """Draw an observed spectrum (D,) and, shifted down, a synthetic one (D,), a panel per chip, with lines marked.

    `chips` are (first, last) wavelengths in Angstrom, `lines` pairs of wavelength and species.
    """
    figure, axes = chip_panels(chips, height=7.4)
    for axis, limits in zip(axes, chips, strict=True):
        options: dict[str, Any] = {"limits": limits, "linewidth": 0.6}
        spectrum_panel(axis, wavelength, observed, ivar=ivar, label="observed, APOGEE DR10", **options)
        options |= {"color": COLORS["model"], "label": f"synthetic, same labels (− {_OFFSET})"}
        spectrum_panel(axis, wavelength, synthetic - _OFFSET, **options)
        axis.set_ylim(0.12, 1.36)
        axis.set_xlabel("")
        mark_lines(axis, lines)
    axes[-1].set_xlabel("vacuum wavelength (Å)")
    axes[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def line_marks(
    lines: LineList, strength: np.ndarray, window: tuple[float, float], *, count: int = 9, apart: float = 1.4
) -> Marks:
    """Return (wavelength, species) of the `count` strongest lines of a `LineList` within (low, high).

    Of two lines nearer than `apart` Angstrom only the stronger is kept; `strength` (L,) orders them.
    """
    inside = (lines.wavelength > window[0] + apart / 2) & (lines.wavelength < window[1] - apart / 2)
    chosen = strongest(lines[inside], strength[inside], count, apart)
    return list(zip(chosen.wavelength.tolist(), chosen.species.tolist(), strict=True))


@paper_style()
def spectrum_details(
    wavelength: np.ndarray,
    observed: np.ndarray,
    ivar: np.ndarray,
    synthetic: np.ndarray,
    windows: Pairs,
    lines: Marks,
    heavy: Marks,
) -> plt.Figure:
    """Draw observed over synthetic spectra (D,) in narrow windows, (low, high) in Angstrom.

    `lines` and `heavy` are pairs of wavelength and species, the heavy elements marked in the color of a highlight.
    """
    figure, axes = new_figure(len(windows), height=2.5 * len(windows))
    for axis, limits in zip(np.atleast_1d(axes), windows, strict=True):
        near = (wavelength > limits[0]) & (wavelength < limits[1])
        spectrum_panel(axis, wavelength, synthetic, color=COLORS["model"], label="synthetic", limits=limits)
        spectrum_panel(axis, wavelength, observed, ivar=ivar, label="observed", limits=limits)
        bottom = min(observed[near].min(), synthetic[near].min())
        axis.set_ylim(bottom - 0.04, 1.05 + 0.5 * (1.08 - bottom))
        mark_lines(axis, lines, color=COLORS["observed"])
        mark_lines(axis, heavy, top=0.72)
    figure.legend(*np.atleast_1d(axes)[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@paper_style()
def population_planes(disc: Any, others: Mapping[str, Any]) -> plt.Figure:
    """Draw stars of the disc (`population.Stars`) as a cloud, and others by population over it, in three planes."""
    figure, axes = new_figure(2, 2, height=6.2)
    planes = [
        (lambda s: s.fe_h, lambda s: s.alpha_fe, label_text("fe_h"), label_text("alpha_fe")),
        (lambda s: s.fe_h, lambda s: s.label("eu_fe"), label_text("fe_h"), label_text("eu_fe")),
        (lambda s: s.eu_expected, lambda s: s.label("eu_fe"), "[Eu/Fe] expected (dex)", label_text("eu_fe")),
    ]
    for axis, (x, y, x_text, y_text) in zip(axes.flat, planes, strict=False):
        text = "disc, on which models are trained"
        axis.scatter(x(disc), y(disc), s=4, color=COLORS["observed"], alpha=0.25, lw=0, rasterized=True, label=text)
        for name, stars in others.items():
            color, marker, text = _POPULATION_STYLE[name]
            axis.scatter(x(stars), y(stars), s=14, color=color, marker=marker, alpha=0.8, linewidths=0.7, label=text)
        axis.set(xlabel=x_text, ylabel=y_text)
    ends = np.array(axes[1, 0].get_xlim())
    axes[1, 0].plot(ends, ends, color="black", linewidth=0.8)
    axes[1, 1].axis("off")
    handles, texts = axes[0, 0].get_legend_handles_labels()
    legend = axes[1, 1].legend(handles, texts, loc="center", markerscale=1.8, title="synthetic stars")
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)
    return figure


@paper_style()
def planted_differences(panels: Mapping[str, tuple], *, reach: float = 6.0) -> plt.Figure:
    """Draw what worlds change in the flux of single stars, one panel per world.

    `panels` is a dict title -> (wavelength (D,), difference of flux (N, D), driver (N,) in standard deviations, center
    in Angstrom): the driver colors the lines.
    """
    figure, axes = new_figure(2, 2, height=5.4)
    colors, limit = plt.get_cmap("cividis"), 2.0
    for axis, (title, (wavelength, difference, driver, center)) in zip(axes.flat, panels.items(), strict=True):
        near = np.abs(wavelength - center) < reach
        for flux, value in zip(difference[:, near], driver, strict=True):
            axis.plot(wavelength[near] - center, flux, linewidth=0.7, color=colors(0.5 + 0.5 * value / limit))
        axis.axhline(0.0, color="black", linewidth=0.6)
        axis.set_xlim(-reach, reach)
        axis.set_title(title)
        axis.set_xlabel(f"wavelength − {center:,.1f} Å")
    for axis in axes[:, 0]:
        axis.set_ylabel("flux − flux in “shortcut”")
    mappable = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), colors)
    figure.colorbar(mappable, ax=axes, shrink=0.6, label="what is planted (standard deviations)", extend="both")
    return figure


@paper_style()
def sky_tracks(panels: Mapping[str, tuple], line: float, *, reach: float = 9.0) -> plt.Figure:
    """Draw images of stars (rows, by velocity) against rest wavelength, with the track of one sky line.

    `panels` is a dict title -> (wavelength (D,), image (N, D), velocity (N,) in km/s, largest value of the image);
    `line` is the observed wavelength of the sky line in Angstrom.
    """
    figure, axes = new_figure(1, len(panels), height=4.2)
    for axis, (title, (wavelength, image, velocity, largest)) in zip(axes, panels.items(), strict=True):
        order = np.argsort(velocity)
        near = np.abs(wavelength - line) < reach
        rank = np.arange(len(order))
        style = {"cmap": "cividis", "vmin": -largest, "vmax": largest, "shading": "nearest", "rasterized": True}
        axis.pcolormesh(wavelength[near], rank, image[np.ix_(order, near)], **style)
        for color, width in (("white", 2.0), (COLORS["highlight"], 1.0)):
            axis.plot(line / (1 + velocity[order] / SPEED_OF_LIGHT_KMS), rank, color=color, linewidth=width)
        shown = np.array([tick for tick in (-200, -100, -50, 0, 50, 100) if velocity.min() < tick < velocity.max()])
        axis.set_yticks(np.searchsorted(velocity[order], shown), [f"{tick:d}".replace("-", "−") for tick in shown])
        axis.yaxis.minorticks_off()
        axis.set_xlim(wavelength[near][0], wavelength[near][-1])
        axis.set(title=title, xlabel="vacuum rest wavelength (Å)")
    axes[0].set_ylabel("velocity of the star (km/s)")
    return figure
