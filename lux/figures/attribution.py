"""Drawings of the chapter on SHAP: shares over latents and how they depend on the basis; over labels and lines."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lux.diagnostics.attribution import LatentAttribution, Shapley
from lux.figures import COLORS, label_rows, label_text, new_figure, paper_style

_WORLD_COLORS = ("guessed", "known")


@paper_style()
def share_matrices(attributions: Mapping[str, LatentAttribution], names: Sequence[str], first: int = 2) -> plt.Figure:
    """Draw the shares of latents (labels by latents) for several fits, the largest of each label framed.

    `first` is the number of the first latent; rows are in the order of `names` whatever the order of a fit's labels.
    """
    figure, axes = new_figure(len(attributions), height=1.5 * len(attributions) + 0.6, sharex=True)
    for axis, (title, attribution) in zip(axes, attributions.items(), strict=True):
        share = attribution.share[[attribution.names.index(name) for name in names]]
        image = axis.imshow(share, cmap="cividis", vmin=0, vmax=0.5, aspect="auto")
        for row, best in enumerate(share.argmax(axis=1)):
            frame = plt.Rectangle((best - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=COLORS["highlight"], lw=2)
            axis.add_patch(frame)
        label_rows(axis, names, fontsize=9)
        axis.set_title(title, fontsize=10.5)
    axes[-1].set_xticks(range(share.shape[1]), range(first, first + share.shape[1]), fontsize=9)
    axes[-1].set_xlabel("$k$ of the latent $z_k$")
    figure.colorbar(image, ax=axes, label="share of mean |SHAP|", pad=0.02, extend="max")
    return figure


@paper_style()
def beeswarm(attribution: LatentAttribution, label: str, count: int = 8, first: int = 2) -> plt.Figure:
    """Draw the SHAP values of one label over its leading latents, one point a star, colored by the latent's value."""
    row = attribution.names.index(label)
    order = np.argsort(-attribution.share[row])[:count]
    figure, axis = new_figure(height=0.42 * count + 0.9)
    for height, latent in enumerate(order[::-1]):
        values, color = attribution.values[:, row, latent], attribution.latents[:, latent]
        low, high = np.percentile(color, [5, 95])
        color = np.clip((color - low) / (high - low), 0, 1)
        points = axis.scatter(values, height + _swarm(values), 3, color, cmap="cividis", lw=0, rasterized=True)
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_yticks(range(count), [f"$z_{{{first + latent}}}$" for latent in order[::-1]])
    axis.set_xlabel(f"SHAP value for {label_text(label)}")
    axis.minorticks_off()
    bar = figure.colorbar(points, ticks=[0, 1], label="value of the latent", pad=0.02)
    bar.set_ticklabels(["low", "high"])
    bar.ax.minorticks_off()
    return figure


@paper_style()
def participation_over_bases(participation: Mapping[str, np.ndarray], single: Mapping[str, float]) -> plt.Figure:
    """Draw, for several worlds, over how many latents a label is spread in rotated bases (K,), and in single bases."""
    figure, axis = new_figure(height=3.0)
    everything = np.concatenate(list(participation.values()))
    edges = np.linspace(everything.min(), everything.max(), 25)
    for (name, values), color, hatch in zip(participation.items(), _WORLD_COLORS, ("//", ""), strict=True):
        axis.hist(values, edges, color=COLORS[color], alpha=0.5, hatch=hatch, label=name)
    for (name, value), style in zip(single.items(), ("-", "--", ":", "-."), strict=False):
        axis.axvline(value, color="black", linestyle=style, label=name)
    axis.set(xlabel="latents over which Eu is spread (participation ratio)", ylabel="bases")
    axis.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


@paper_style()
def label_shares(explained: Mapping[str, Mapping[str, Shapley]], names: Sequence[str]) -> plt.Figure:
    """Draw, for several worlds, how the variance of each predicted label is shared among the other predicted labels."""
    figure, axes = new_figure(len(explained), height=2.3 * len(explained) + 0.7, sharex=True)
    colors = ("model", "leaked", "highlight", "proxy", "guessed", "known", "observed")
    hatches = ("", "//", "", "..", "", "xx", "")
    styles: dict[str, dict[str, Any]] = {
        name: {"facecolor": COLORS[color], "hatch": hatch, "edgecolor": "white"}
        for name, color, hatch in zip(names, colors, hatches, strict=False)
    }
    for axis, (world, labels) in zip(np.atleast_1d(axes), explained.items(), strict=True):
        for row, name in enumerate(names):
            left = 0.0
            for player, value in zip(labels[name].players, labels[name].values, strict=True):
                axis.barh(row, value, left=left, linewidth=0.5, **styles[player])
                left += value
            axis.barh(row, 1 - left, left=left, color="white", edgecolor="black", linewidth=0.8)
        axis.set_yticks(range(len(names)), [label_text(name, with_unit=False) for name in names])
        axis.invert_yaxis()
        axis.minorticks_off()
        axis.set_title(world, fontsize=10.5)
    np.atleast_1d(axes)[-1].set(xlabel="share of the variance of the predicted label", xlim=(0, 1))
    handles = [plt.Rectangle((0, 0), 1, 1, label=label_text(name, with_unit=False), **styles[name]) for name in names]
    handles.append(plt.Rectangle((0, 0), 1, 1, facecolor="white", edgecolor="black", label="none of them"))
    figure.legend(handles=handles, ncols=3, loc="outside upper center")
    return figure


@paper_style()
def line_shares(explained: Mapping[str, Shapley]) -> plt.Figure:
    """Draw, for several labels, what each group of lines explains alone, on average, and when it comes last."""
    figure, axes = new_figure(1, len(explained), height=3.2, sharey=True)
    for axis, (label, shares) in zip(np.atleast_1d(axes), explained.items(), strict=True):
        rows = np.arange(len(shares.players))[::-1]
        axis.plot(shares.alone, rows, "o", color=COLORS["model"], label="alone")
        error = np.abs(shares.intervals.T - shares.values)
        style = {"fmt": "s", "color": COLORS["highlight"], "capsize": 2}
        axis.errorbar(shares.values, rows, xerr=error, label="on average", **style)
        axis.plot(shares.last, rows, "D", color=COLORS["known"], label="when last")
        axis.axvline(shares.total.value, color="black", linewidth=0.8, label="all pixels")
        axis.set_title(label_text(label, with_unit=False))
        axis.set_xlim(-0.05, 1)
        axis.set_yticks(rows, shares.players)
        axis.tick_params(axis="y", which="minor", left=False)
    figure.supxlabel("$R^2$ of the catalogue label", fontsize=12)
    figure.legend(*np.atleast_1d(axes)[0].get_legend_handles_labels(), ncols=4, loc="outside upper center")
    return figure


def _swarm(values: np.ndarray, n_bins: int = 60, width: float = 0.38) -> np.ndarray:
    """Return vertical places of points that stand in a row, wider where points are dense."""
    extent = np.ptp(values)
    bins = ((values - values.min()) / (extent if extent > 0 else 1) * (n_bins - 1)).astype(int)
    counts = np.bincount(bins, minlength=n_bins)
    order = np.argsort(bins, kind="stable")
    rank = np.empty(len(values), int)
    rank[order] = np.arange(len(values)) - (np.cumsum(counts) - counts)[bins[order]]
    side = np.where(rank % 2 == 0, 1, -1)
    return width * side * ((rank + 1) // 2) / max(1, counts.max() / 2)
