"""Drawings of the chapter on genuine spectra: lines planted in them, and what the audit makes of those."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, new_figure, paper_style, spectrum_panel
from lux.survey import Survey

# A mark for each verdict of an audit.
_MARKS = {"known": "o", "proxy": "s", "guessed": "D", "leaked": "P", "artefact": "X", "undecided": "v"}


@paper_style()
def verdicts_by_world(
    significance: Mapping[str, Sequence[float]], verdicts: Mapping[str, Sequence[str]], threshold: float
) -> plt.Figure:
    """Draw the audit's significance at the own lines in each world, (S,) by title, marked by its verdict."""
    figure, axis = new_figure(height=0.5 * len(significance) + 1.2)
    shown = set()
    for row, (title, values) in enumerate(significance.items()):
        offsets = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [0.0]
        for value, verdict, offset in zip(values, verdicts[title], offsets, strict=True):
            label = None if verdict in shown else verdict
            shown.add(verdict)
            axis.plot(value, row + offset, _MARKS[verdict], color=COLORS[verdict], markersize=5, label=label)
    axis.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(significance)), list(significance))
    axis.set(ylim=(len(significance) - 0.5, -0.5), xlabel="significance at europium's own lines (σ)")
    axis.tick_params(axis="y", which="minor", left=False)
    figure.legend(loc="outside upper center", ncols=len(shown), title="verdict")
    return figure


@paper_style()
def planted_line(before: Survey, after: Mapping[str, Survey], stars: Sequence[int], line: float) -> plt.Figure:
    """Draw genuine spectra of some stars around a wavelength, as observed and with lines planted."""
    figure, axes = new_figure(len(stars), height=1.9 * len(stars), sharex=True)
    for axis, star in zip(np.atleast_1d(axes), stars, strict=True):
        limits = (line - 8, line + 8)
        near = (before.wavelength > limits[0]) & (before.wavelength < limits[1])
        wavelength, flux, ivar = before.wavelength[near], before.flux[star, near], before.ivar[star, near]
        spectrum_panel(axis, wavelength, flux, ivar=ivar, label="as observed", limits=limits)
        for (title, survey), color in zip(after.items(), ("highlight", "known"), strict=False):
            spectrum_panel(axis, survey.wavelength[near], survey.flux[star, near], color=COLORS[color], label=title)
        axis.set_xlabel("")
        axis.set_ylabel("flux")
        axis.set_title(f"[M/H] = {before.label('m_h')[star]:.2f}", fontsize=10, loc="left")
    np.atleast_1d(axes)[-1].set_xlabel("vacuum wavelength (Å)")
    figure.legend(*np.atleast_1d(axes)[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
