"""Drawings of the chapter on neural networks: where the prediction of each model begins to follow the label."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, new_figure, paper_style

_SLOPE = "slope of the prediction\non europium's own scatter"
_STYLES = {
    "mean": ("undecided", "x"),
    "labels only": ("guessed", "D"),
    "PLS": ("proxy", "s"),
    "Cannon": ("leaked", "P"),
    "Lux": ("model", "o"),
    "dense network": ("highlight", "^"),
    "convolutional network": ("known", "v"),
    "linear regression": ("undecided", "o"),
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
            center, width = [values.mean() for values in found], [values.std(ddof=1) for values in found]
            axis.errorbar(x, center, yerr=width, color=COLORS[color], marker=marker, ms=5, lw=1.2, label=name)
    for axis in (left, right):
        for place in (0, 1):
            axis.axhline(place, color="black", lw=0.8, ls=":")
    left.set_xticks(places, [f"{100 * depth:g}" if depth else "none" for depth in depths])
    left.set(xlabel="depth of the lines (% per σ of [Eu/Fe])", ylabel=_SLOPE)
    right.set(xscale="log", xlabel="stars of the survey")
    right.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    for axis in (left, right):
        axis.minorticks_off()
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _spread(sizes: Sequence[int], offset: float) -> np.ndarray:
    return np.asarray(sizes) * 2.0**offset


@paper_style()
def noise_in_training(rows: Sequence[Mapping[str, Any]], best: Sequence[float]) -> plt.Figure:
    """Draw the errors of all labels, and slopes on europium's own scatter, over the noise models were trained against.

    Windows stand above whole spectra, where there are both.

    Parameters
    ----------
    rows : sequence of dict
        Those of `lux.controls.network_tables.noise_rows`.
    best : sequence of float
        Slopes at each noise, in order, of the prediction of least error for flux with so much noise added.
    """
    bands = sorted({row["full_band"] for row in rows})
    figure, axes = new_figure(len(bands), 2, height=3.2 * len(bands) + 0.9, sharex=True, sharey="col", squeeze=False)
    noises = sorted({row["noise"] for row in rows})
    kinds = list(dict.fromkeys((row["model"], row["generator"]) for row in rows))
    for (row_axes, band), (number, kind) in itertools.product(zip(axes, bands, strict=True), enumerate(kinds)):
        found = [row for row in rows if (row["model"], row["generator"]) == kind and row["full_band"] == band]
        found.sort(key=lambda row: row["noise"])
        if not found:
            continue
        model, generator = kind
        color, marker = _STYLES[model]
        style: dict[str, Any] = {"color": COLORS[color], "marker": marker, "ms": 5, "lw": 1.2}
        style |= {"ls": "-" if generator == "physical" else "--"}
        style |= {"mfc": COLORS[color] if generator == "physical" else "white"}
        places = np.arange(len(noises)) + 0.06 * (number - len(kinds) / 2)
        for axis, name in zip(row_axes, ("rmse_all", "own_slope"), strict=True):
            values = [np.array(row[name]) for row in found]
            center = [each.mean() for each in values]
            error = [each.std(ddof=1) / np.sqrt(len(each)) for each in values]
            axis.errorbar(places, center, yerr=error, label=f"{model.split(' ')[0]}, {generator}", **style)
    for (errors, slopes), band in zip(axes, bands, strict=True):
        errors.set_title("whole spectra" if band else "windows")
        errors.set_ylabel("mean RMSE of all labels\nover the catalogue's errors")
        slopes.set_ylabel(_SLOPE)
        slopes.axhline(0, color="black", lw=0.8, ls=":")
        slopes.plot(np.arange(len(noises)), best, color="black", lw=1.2, label="least error for so much noise")
    for axis in axes[-1]:
        axis.set_xticks(np.arange(len(noises)), [f"{noise:g}" for noise in noises])
        axis.set_xlabel("training noise (flux errors)")
        axis.minorticks_off()
    handles, names = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=9)
    return figure
