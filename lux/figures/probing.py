"""Drawings of the chapter on latent probing: correlations, probes, gaps over bases, and what no rotation changes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lux.diagnostics.mutual_information import MutualInformationGap
from lux.diagnostics.probing import InformationGain, Probe
from lux.figures import COLORS, label_rows, label_text, new_figure, paper_style, write_cells

_WORLD_COLORS = ("guessed", "known")


@paper_style()
def gap_and_information(
    gaps: Mapping[str, np.ndarray], published: float, gains: Mapping[str, InformationGain]
) -> plt.Figure:
    """Draw the gap of one label in surveys of several kinds (K,), and its unique information beside the null."""
    figure, (left, right) = new_figure(1, 2, height=3.6)
    for row, (values, marker) in enumerate(zip(gaps.values(), "osD^", strict=False)):
        left.plot(values, row + np.linspace(-0.15, 0.15, len(values)), marker, color=COLORS["model"], markersize=4)
    left.axvline(published, color="black", linestyle="--", linewidth=1)
    left.set_yticks(range(len(gaps)), [_wrapped(name) for name in gaps])
    left.set(xlabel="Mutual Information Gap of Eu", xlim=(0, None), ylim=(-0.6, len(gaps) - 0.4))
    for row, ((_, gain), color) in enumerate(zip(gains.items(), _WORLD_COLORS, strict=True)):
        low, high = np.percentile(gain.null, [2.5, 97.5])
        style = {"color": COLORS["observed"], "linewidth": 9, "alpha": 0.3, "solid_capstyle": "butt"}
        right.plot([low, high], [row, row], label="null, 95 %" if row == 0 else None, **style)
        error = np.abs(np.array(gain.interval) - gain.nats)[:, None]
        right.errorbar(gain.nats, row, xerr=error, marker="o", color=COLORS[color], capsize=3)
    right.set_yticks(range(len(gains)), [_wrapped(name) for name in gains])
    right.set(xlabel="unique information (nats)", ylim=(-0.6, len(gains) - 0.4))
    right.legend(loc="lower left", bbox_to_anchor=(0, 1))
    for axis in (left, right):
        axis.tick_params(axis="y", which="minor", left=False)
    return figure


@paper_style()
def correlation_matrices(correlations: Mapping[str, np.ndarray], names: Sequence[str]) -> plt.Figure:
    """Draw Pearson's correlations (M, P) of labels with latents as matrices, one below the other."""
    figure, axes = new_figure(len(correlations), height=1.9 * len(correlations) + 0.6, sharex=True)
    for axis, (title, values) in zip(np.atleast_1d(axes), correlations.items(), strict=True):
        image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        label_rows(axis, names)
        axis.set_title(title, fontsize=10.5)
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1), fontsize=8)
    axis.set_xlabel(f"latent; the first {len(names)} start at the labels, in the order of the rows")
    figure.colorbar(image, ax=axes, label="correlation", pad=0.02)
    return figure


@paper_style()
def probes(reads: Mapping[str, Mapping[str, Probe]], names: Sequence[str]) -> plt.Figure:
    """Draw R^2 of several sets of probes for each label, with the ceiling that the label's noise sets."""
    figure, axis = new_figure(height=3.4)
    colors, markers, places = ("model", "highlight", "proxy", "known", "guessed"), "osD^v", np.arange(len(names))
    offsets = np.linspace(-0.28, 0.28, len(reads))
    for (title, labels), color, marker, offset in zip(reads.items(), colors, markers, offsets, strict=False):
        values = np.array([labels[name].r2 for name in names])
        bounds = np.abs(np.array([labels[name].interval for name in names]).T - values)
        style = {"fmt": marker, "color": COLORS[color], "markersize": 5, "capsize": 2}
        axis.errorbar(places + offset, values, bounds, label=title, **style)
    ceiling = [next(iter(reads.values()))[name].ceiling for name in names]
    axis.hlines(ceiling, places - 0.42, places + 0.42, color="black", linewidth=1, label="noise ceiling")
    axis.set(ylabel="$R^2$, cross-validated", ylim=(min(0, axis.get_ylim()[0]), 1.02))
    _labels_below(axis, names)
    return figure


@paper_style()
def gaps_over_bases(
    rotated: np.ndarray, marked: Mapping[str, MutualInformationGap], names: Sequence[str]
) -> plt.Figure:
    """Draw the spread of the gap of each label over rotated bases (K, M), and the gap in single bases."""
    figure, axis = new_figure(height=3.3)
    parts = axis.violinplot(rotated, np.arange(len(names)), widths=0.75, showextrema=False)
    for body in parts["bodies"]:
        body.set(facecolor=COLORS["observed"], alpha=0.35)
    colors, markers = ("model", "highlight", "proxy", "known"), "osD^"
    offsets = np.linspace(-0.2, 0.2, len(marked))
    for (title, gap), color, marker, offset in zip(marked.items(), colors, markers, offsets, strict=False):
        axis.plot(np.arange(len(names)) + offset, gap.gap, marker, color=COLORS[color], label=title)
    axis.set(ylabel="Mutual Information Gap", ylim=(0, None))
    _labels_below(axis, names)
    return figure


@paper_style()
def angle_matrices(angles: Mapping[str, np.ndarray], names: Sequence[str]) -> plt.Figure:
    """Draw matrices (M, M) of angles between label directions in degrees, side by side."""
    figure, axes = new_figure(1, len(angles), height=3.4)
    for axis, (title, degrees) in zip(np.atleast_1d(axes), angles.items(), strict=True):
        axis.imshow(degrees, cmap="PuOr", vmin=0, vmax=180)
        write_cells(axis, degrees, ".0f", np.abs(degrees - 90) > 60, fontsize=8)
        label_rows(axis, names)
        axis.set_xticks(range(len(names)), [label_text(name, with_unit=False) for name in names], rotation=45)
        axis.set_title(title)
    for axis in np.atleast_1d(axes)[1:]:
        axis.set_yticklabels([])
    return figure


@paper_style()
def erasure(reads: Mapping[str, Mapping[str, Probe]]) -> plt.Figure:
    """Draw R^2 of a label before and after erasing the others, for several worlds, over the range of its control."""
    figure, axis = new_figure(height=2.6)
    for row, (steps, color) in enumerate(zip(reads.values(), _WORLD_COLORS, strict=True)):
        for (step, read), marker in zip(steps.items(), "osD", strict=False):
            error = np.abs(np.array(read.interval) - read.r2)[:, None]
            style = {"fmt": marker, "color": COLORS[color], "capsize": 2, "markersize": 6}
            style["markerfacecolor"] = "white" if step.startswith("before") else COLORS[color]
            axis.errorbar(read.r2, row, xerr=error, label=step if row == 0 else None, **style)
            if not step.startswith("before"):
                bounds, text = np.percentile(read.control, [2.5, 97.5]), "control, 95 %" if row == 0 else None
                axis.plot(bounds, [row - 0.25] * 2, color=COLORS["observed"], linewidth=4, alpha=0.5, label=text)
    axis.axvline(0, color="black", linewidth=0.5)
    axis.set_yticks(range(len(reads)), [_wrapped(world) for world in reads])
    axis.set(xlabel="$R^2$ of [Eu/Fe], linear probe, cross-validated", ylim=(-0.6, len(reads) - 0.4))
    axis.tick_params(axis="y", which="minor", left=False)
    axis.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _labels_below(axis: plt.Axes, names: Sequence[str]) -> None:
    axis.set_xticks(range(len(names)), [label_text(name, with_unit=False) for name in names])
    axis.tick_params(axis="x", which="minor", bottom=False)
    axis.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))


def _wrapped(text: str) -> str:
    """Return a text broken after each second word."""
    words = text.split()
    return "\n".join(" ".join(words[start : start + 2]) for start in range(0, len(words), 2))
