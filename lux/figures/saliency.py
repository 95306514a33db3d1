"""Figures of the chapter on saliency."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import (
    COLORS,
    chip_panels,
    label_rows,
    label_text,
    mark_lines,
    new_figure,
    paper_style,
    with_gaps,
    write_cells,
)


@paper_style()
def map_rows(rows: Sequence[tuple], *, limits: tuple[float, float] | None = None) -> plt.Figure:
    """Draw maps of one label above one another on a common wavelength axis.

    Parameters
    ----------
    rows : sequence of (title, unit, wavelength (D,), value (D,), overlay (D,) or None, threshold or None, places)
        `unit` says in what the value is; `overlay` is drawn over the map; plus and minus `threshold` as dashes;
        `places`, pairs of a vacuum wavelength in Angstrom and a species, as lines with names.
    limits : (float, float), optional
        Wavelengths shown.
    """
    figure, axes = new_figure(len(rows), height=1.75 * len(rows) + 0.6, sharex=True)
    for axis, (title, unit, wavelength, value, overlay, threshold, places) in zip(
        np.atleast_1d(axes), rows, strict=True
    ):
        axis.plot(*with_gaps(wavelength, value), color=COLORS["model"], linewidth=0.6)
        if overlay is not None:
            axis.plot(*with_gaps(wavelength, overlay), color=COLORS["proxy"], linewidth=0.6)
        for sign in (-1, 1) if threshold is not None else ():
            axis.axhline(sign * threshold, color="black", linewidth=0.8, linestyle="--")
        low, high = min(np.min(value), -(threshold or 0)), max(np.max(value), threshold or 0)
        axis.set(ylim=(low - 0.08 * (high - low), high + (0.35 if places else 0.08) * (high - low)), xlim=limits)
        axis.set_title(title)
        axis.set_ylabel(unit, fontsize=10.5)
        mark_lines(axis, places)
    np.atleast_1d(axes)[-1].set_xlabel("vacuum wavelength (Å)")
    figure.align_ylabels()
    return figure


@paper_style()
def map_with_lines(
    wavelength: np.ndarray,
    values: np.ndarray,
    band: np.ndarray,
    lines: Sequence[tuple[float, str]],
    chips: Sequence[tuple[float, float]],
    unit: str = "dex",
) -> plt.Figure:
    """Draw the backward map of a label (D,), a panel per chip, over the `band` (2, D) of shuffled labels.

    `lines`, pairs of a vacuum wavelength in Angstrom and a species, are marked; `chips` are (first, last) wavelengths,
    and `unit` is that of the label.
    """
    figure, axes = chip_panels(chips, height=7.0)
    x, low = with_gaps(wavelength, band[0])
    _, high = with_gaps(wavelength, band[1])
    for axis in axes:
        axis.fill_between(x, low, high, color=COLORS["undecided"], alpha=0.5, linewidth=0)
        axis.plot(*with_gaps(wavelength, values), color=COLORS["model"], linewidth=0.6)
        mark_lines(axis, lines)
    reach = np.max(np.abs(values))
    axes[0].set_ylim(-1.05 * reach, 1.7 * reach)
    axes[1].set_ylabel(f"backward map ({unit} per unit of flux)")
    axes[-1].set_xlabel("vacuum wavelength (Å)")
    return figure


@paper_style()
def similarity_panels(panels: Sequence[tuple]) -> plt.Figure:
    """Draw matrices of cosines (M, M) between the maps of labels; `panels` are (title, matrix, label names)."""
    same = len({tuple(names) for *_, names in panels}) == 1
    figure, axes = new_figure(1, len(panels), height=3.3, sharey=same)
    for axis, (title, matrix, names) in zip(axes, panels, strict=True):
        image = axis.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr")
        write_cells(axis, matrix, ".1f", np.abs(matrix) > 0.6, fontsize=8.5)
        axis.set_xticks(range(len(names)), [label_text(name, False) for name in names], rotation=60)
        label_rows(axis, names)
        axis.set_title(title)
    figure.colorbar(image, ax=axes, label="cosine", shrink=0.8)
    return figure


@paper_style()
def around(
    wavelength: np.ndarray,
    backward: Sequence[tuple[str, np.ndarray]],
    flux: np.ndarray,
    limits: tuple[float, float],
    stellar: Sequence[tuple[float, str]],
    sky: Sequence[tuple[float, str]],
    air: Sequence[tuple[float, str]],
) -> plt.Figure:
    """Draw the mean flux and the backward map over its error around one place, with all that lies there.

    `backward` are (name, z (D,)) of some labels; `stellar`, `sky` and `air` are pairs of wavelength and name: vacuum
    wavelengths of stellar lines and airglow, and the place where a list of air wavelengths would put a line.
    """
    figure, (top, bottom) = new_figure(2, height=5.4, sharex=True, gridspec_kw={"height_ratios": (1, 1.3)})
    shown = (wavelength >= limits[0]) & (wavelength <= limits[1])
    top.step(wavelength[shown], flux[shown], where="mid", color=COLORS["observed"])
    top.set(ylabel="mean flux", xlim=limits)
    low, high = flux[shown].min(), flux[shown].max()
    top.set_ylim(low - 0.1 * (high - low), high + 0.9 * (high - low))
    for places, color in ((stellar, COLORS["known"]), (sky, COLORS["highlight"]), (air, COLORS["guessed"])):
        for place, name in places:
            for axis in (top, bottom):
                axis.axvline(place, color=color, linewidth=0.9, linestyle="--" if places is air else "-", alpha=0.8)
            side, height = ("right", 0.8) if places is sky else ("left", 0.7 if places is air else 0.92)
            box, above = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}, top.get_xaxis_transform()
            top.text(place, height, f" {name} ", color=color, ha=side, transform=above, bbox=box)
    for (name, z), color in zip(backward, ("#0072B2", "#E69F00", "#4D4D4D"), strict=False):
        bottom.step(wavelength[shown], z[shown], where="mid", color=color, label=label_text(name, False))
    bottom.axhline(0, color="black", linewidth=0.6)
    bottom.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    bottom.set(xlabel="vacuum wavelength (Å)", ylabel="backward map / error")
    return figure
