"""Drawing for the paper: one style, one palette, spectra as astronomers expect them."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from lux.survey import label_name as label_name
from lux.survey import label_text as label_text

# Okabe and Ito's palette, told apart with every common color vision; the names say what a color stands for.
COLORS = {
    "observed": "#4D4D4D",
    "model": "#0072B2",
    "highlight": "#D55E00",
    "known": "#009E73",
    "proxy": "#E69F00",
    "guessed": "#CC79A7",
    "leaked": "#56B4E9",
    "artefact": "#5E3C99",
    "undecided": "#8C8C8C",
}


FULL_WIDTH = 6.4
# Of the box behind a name that lines would strike through.
_BLANK = {"facecolor": "white", "linewidth": 0, "pad": 0.4}


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """Draw in the style of the paper inside this context, or in the function that this decorates.

    The user's own matplotlibrc, which may ask for LaTeX or for a font that is not there, does not show through.
    Outside, and on import, the settings of matplotlib stay those of the user.
    """
    with plt.style.context(["default", Path(__file__).with_name("paper.mplstyle")]):
        yield


@paper_style()
def new_figure(
    rows: int = 1, columns: int = 1, *, height: float | None = None, **options: Any
) -> tuple[plt.Figure, Any]:
    """Return ``(figure, axes)`` of the page's full width; `height` in inches, by default 3.2 a row.

    Other options are those of `matplotlib.pyplot.subplots`, such as ``sharex=True``.
    """
    return plt.subplots(rows, columns, figsize=(FULL_WIDTH, height or 3.2 * rows), **options)


def with_gaps(
    wavelength: np.ndarray, values: np.ndarray, good: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return `wavelength` (D + G,) and `values` (D + G,) in which a line breaks at gaps and bad pixels.

    A gap is a step in wavelength more than three times the median step; NaN is put into each, and over pixels where
    `good` (D,) is False.
    """
    wavelength = np.asarray(wavelength, dtype=float)
    values = np.array(values, dtype=float)
    if good is not None:
        values[~np.asarray(good, dtype=bool)] = np.nan
    step = np.diff(wavelength)
    gaps = np.flatnonzero(step > 3.0 * np.median(step)) + 1
    middle = 0.5 * (wavelength[gaps - 1] + wavelength[gaps])
    return np.insert(wavelength, gaps, middle), np.insert(values, gaps, np.nan)


def spectrum_panel(
    axis: Axes,
    wavelength: np.ndarray,
    flux: np.ndarray,
    *,
    ivar: np.ndarray | None = None,
    color: str = COLORS["observed"],
    label: str | None = None,
    limits: tuple[float, float] | None = None,
    **line: Any,
) -> None:
    """Draw one spectrum: pixels as steps, gaps and masked pixels as breaks, the error as a band.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    wavelength : array (D,)
        Vacuum wavelengths in Angstrom.
    flux : array (D,)
        Continuum-normalized flux.
    ivar : array (D,), optional
        Inverse variance of the flux; 0 where masked. Gives the band of plus and minus one standard error.
    limits : (float, float), optional
        First and last wavelength shown.
    line : dict
        Further options of `matplotlib.axes.Axes.step`.
    """
    good = None if ivar is None else np.asarray(ivar) > 0
    x, y = with_gaps(wavelength, flux, good)
    axis.step(x, y, where="mid", color=color, label=label, **{"linewidth": 0.9, **line})
    if good is not None:
        error = np.zeros(len(good))
        error[good] = 1.0 / np.sqrt(np.asarray(ivar, dtype=float)[good])
        _, half_width = with_gaps(wavelength, error, good)
        axis.fill_between(x, y - half_width, y + half_width, step="mid", color=color, alpha=0.2, linewidth=0)
    axis.set_xlabel("vacuum wavelength (Å)")
    axis.set_ylabel("normalized flux")
    if limits is not None:
        axis.set_xlim(limits)


def chip_panels(
    chips: Sequence[tuple[float, float]], *, height: float = 6.6, **options: Any
) -> tuple[plt.Figure, np.ndarray]:
    """Return ``(figure, axes)`` with one panel per detector chip, stacked, each as wide as the page.

    Parameters
    ----------
    chips : sequence of (float, float)
        First and last vacuum wavelength of each chip in Angstrom.
    """
    figure, axes = new_figure(len(chips), height=height, sharey=True, **options)
    for axis, (first, last) in zip(np.atleast_1d(axes), chips, strict=True):
        axis.set_xlim(first, last)
    return figure, np.atleast_1d(axes)


def mark_lines(
    axis: Axes, lines: Sequence[tuple[float, str]], *, color: str = COLORS["highlight"], top: float = 0.97
) -> None:
    """Mark spectral lines inside the axis' wavelength limits by a tick and the name of the species above it.

    Parameters
    ----------
    lines : sequence of (float, str)
        Vacuum wavelength in Angstrom and species, such as ``(15789.1, "Ce II")``. Names that would collide are raised
        or lowered onto three levels; neighbors of one species share a name. Names stay inside the axis, and all is
        drawn behind the data.
    """
    first, last = sorted(axis.get_xlim())
    style: dict[str, Any] = {"color": color, "transform": axis.get_xaxis_transform()}
    reach = [-np.inf, -np.inf, -np.inf]
    named = ("", -np.inf, 0.0)
    for wavelength, species in sorted(line for line in lines if first <= line[0] <= last):
        room = 0.075 * (last - first) * max(1.0, len(species) / 6)
        shared = species == named[0] and wavelength - named[1] < 0.1 * room
        place = np.clip(wavelength, first + 0.5 * room, last - 0.5 * room)
        level = next((k for k, end in enumerate(reach) if place - room / 2 > end), int(np.argmin(reach)))
        y = named[2] if shared else top - 0.085 * level
        axis.plot([wavelength, wavelength], [0.0, y - 0.03], lw=0.8, alpha=0.55, zorder=1.5, **style)
        if not shared:
            reach[level] = place + room / 2
            named = (species, wavelength, y)
            axis.text(place, y, species, ha="center", va="center", fontsize=9, zorder=1.6, bbox=_BLANK, **style)


def label_rows(axis: Axes, names: Sequence[str], **text: Any) -> None:
    """Name the rows of a matrix of labels, without ticks; options are those of the text, such as ``fontsize=9``."""
    axis.set_yticks(range(len(names)), [label_text(name, with_unit=False) for name in names], **text)
    axis.minorticks_off()
    axis.tick_params(which="both", length=0)


def write_cells(
    axis: Axes, values: np.ndarray, form: str, dark: np.ndarray, fontsize: float, marked: np.ndarray | None = None
) -> None:
    """Write the numbers of a matrix (K, C) into its cells, white where the cell is `dark` (K, C); some are `marked`."""
    for row, column in np.ndindex(*values.shape):
        text, color = format(values[row, column], form).replace("-", "−"), "white" if dark[row, column] else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=color)
        if marked is not None and marked[row, column]:
            axis.text(column + 0.47, row + 0.47, "▾", ha="right", va="bottom", fontsize=5.5, color=color)


def one_to_one(
    axis: Axes,
    truth: np.ndarray,
    predicted: np.ndarray,
    *,
    truth_err: np.ndarray | None = None,
    name: str | None = None,
    color: str = COLORS["model"],
) -> None:
    """Draw predicted against true labels (N,) with the line of equality on equal axes; `name` names the label."""
    truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    kept = np.isfinite(truth) & np.isfinite(predicted)
    low, high = np.percentile(np.concatenate([truth[kept], predicted[kept]]), [0.2, 99.8])
    margin = 0.06 * (high - low)
    ends = (low - margin, high + margin)
    axis.plot(ends, ends, color="black", linewidth=0.8, zorder=1)
    axis.scatter(truth[kept], predicted[kept], s=5, color=color, alpha=0.45, linewidths=0, rasterized=True, zorder=2)
    if truth_err is not None:
        typical = np.nanmedian(truth_err)
        corner = (ends[0] + 2.0 * margin, ends[1] - margin)
        axis.errorbar(*corner, xerr=typical, color="black", capsize=2, linewidth=1)
    axis.set(xlim=ends, ylim=ends, aspect="equal")
    if name is not None:
        axis.set_xlabel(f"catalogue {label_text(name)}")
        axis.set_ylabel(f"predicted {label_text(name)}")
