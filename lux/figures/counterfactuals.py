"""Figures of the chapter on counterfactual spectra."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from lux.diagnostics.counterfactuals import DoppelgangerTest
from lux.figures import COLORS, chip_panels, mark_lines, new_figure, paper_style, spectrum_panel, with_gaps
from lux.survey import Survey


@paper_style()
def significance_panels(panels: Sequence[tuple], threshold_label: str = "5 % anywhere") -> plt.Figure:
    """Draw the significance of a line at every wavelength, one panel a stack.

    `panels` are (title, wavelength (D,), z (D,), threshold, places): pixels beyond the threshold are highlighted, and
    the vacuum wavelengths `places` in Angstrom are marked by a triangle.
    """
    figure, axes = new_figure(len(panels), height=1.95 * len(panels) + 0.5, sharex=True)
    for axis, (title, wavelength, z, threshold, places) in zip(np.atleast_1d(axes), panels, strict=True):
        x, y = with_gaps(wavelength, z)
        axis.plot(x, y, color=COLORS["observed"], linewidth=0.5)
        beyond = np.abs(z) > threshold
        axis.scatter(wavelength[beyond], z[beyond], s=7, color=COLORS["highlight"], linewidths=0, zorder=3)
        for sign, label in ((-1, None), (1, threshold_label)):
            axis.axhline(sign * threshold, color=COLORS["model"], linewidth=0.9, linestyle="--", label=label)
        reach = 1.25 * max(np.max(np.abs(z)), threshold)
        axis.scatter(places, np.full(len(places), 0.93 * reach), marker="v", s=26, color=COLORS["known"], zorder=3)
        axis.set_ylim(-reach, reach)
        axis.set_title(title)
        axis.set_ylabel("line / error")
    np.atleast_1d(axes)[0].legend(loc="lower right", bbox_to_anchor=(1, 0.97), borderaxespad=0)
    np.atleast_1d(axes)[-1].set_xlabel("vacuum wavelength (Å)")
    return figure


@paper_style()
def published_residuals(
    test: DoppelgangerTest, airglow: np.ndarray, chips: Sequence[tuple[float, float]], *, reach: float = 9.0
) -> plt.Figure:
    """Draw star minus doppelganger in standard errors, a panel per chip, with the airglow of either star marked.

    `airglow` (T, D) marks its pixels for each twin;
    `chips` are (first, last) wavelengths.
    """
    figure, axes = chip_panels(chips, height=6.8)
    colors = (COLORS["model"], COLORS["proxy"])
    for axis in axes:
        for number, color in enumerate(colors[: len(test.twins)]):
            offset = -2 * reach * number
            sigma = test.residual[number] / test.residual_err[number]
            good = np.isfinite(test.residual_err[number])
            x, y = with_gaps(test.wavelength, np.clip(np.where(good, sigma, np.nan), -reach, reach) + offset)
            axis.plot(x, y, color=color, linewidth=0.5)
            x, sky = with_gaps(test.wavelength, np.where(airglow[number] & good, np.clip(sigma, -reach, reach), np.nan))
            axis.plot(x, sky + offset, color=COLORS["highlight"], linewidth=0.9)
            axis.axhline(offset, color="black", linewidth=0.5)
        axis.set_yticks([-2 * reach - 5, -2 * reach, -2 * reach + 5, -5, 0, 5], ["−5", "0", "5", "−5", "0", "5"])
        axis.tick_params(axis="y", which="minor", left=False)
    for text, color in (("first doppelganger", colors[0]), ("second", colors[1]), ("airglow", COLORS["highlight"])):
        axes[0].plot([], [], color=color, label=text)
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    axes[1].set_ylabel("star minus doppelganger (standard errors)")
    axes[-1].set_xlabel("vacuum wavelength (Å)")
    return figure


@paper_style()
def three_spectra(
    test: DoppelgangerTest, survey: Survey, lines: Sequence[tuple[float, str]], sky: np.ndarray
) -> plt.Figure:
    """Draw the spectra of a star and its doppelgangers over one another, and star minus doppelganger, near some lines.

    Parameters
    ----------
    test : DoppelgangerTest
    survey : Survey
        Whose stars were compared.
    lines : sequence of (float, str)
        Vacuum wavelengths in Angstrom, and names, of what is marked.
    sky : (T + 1,) array
        Where an airglow line falls in the rest frame of the star and of its doppelgangers, Angstrom.
    """
    places = np.array([*(place for place, _ in lines), *sky])
    limits = places.min() - 4, places.max() + 4
    figure, (top, bottom) = new_figure(2, height=5.4, sharex=True, gridspec_kw={"height_ratios": (1.5, 1)})
    names = ("most enriched", *(f"doppelganger {number}" for number in range(1, len(sky))))
    colors = (COLORS["highlight"], COLORS["model"], COLORS["proxy"])
    dashes = ("-", "-", (0, (4, 1)))
    for row, name, color, dash, glow in zip((test.star, *test.twins), names, colors, dashes, sky, strict=True):
        ivar = survey.ivar[row]
        spectrum_panel(top, survey.wavelength, survey.flux[row], ivar=ivar, color=color, label=name, linestyle=dash)
        for axis in (top, bottom):
            axis.axvline(glow, color=color, linewidth=0.9, linestyle=":", zorder=1)
    for residual, error, color, dash in zip(test.residual, test.residual_err, colors[1:], dashes[1:], strict=False):
        ivar = np.where(np.isfinite(error), error, 1) ** -2.0 * np.isfinite(error)
        spectrum_panel(bottom, survey.wavelength, residual, ivar=ivar, color=color, linestyle=dash)
    inside = (survey.wavelength > limits[0]) & (survey.wavelength < limits[1])
    shown = survey.flux[[test.star, *test.twins]][:, inside]
    top.set(xlim=limits, ylim=(shown.min() - 0.05, shown.max() + 0.2), xlabel="")
    mark_lines(top, lines, color=COLORS["known"])
    bottom.axhline(0, color="black", linewidth=0.6)
    bottom.set(ylabel="star minus\ndoppelganger")
    top.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


@paper_style()
def limits_panel(tests: Sequence[tuple], lines: Sequence[tuple]) -> plt.Figure:
    """Draw detection limits beside the strengths of real lines, in equivalent width on a logarithmic axis.

    `tests` are (name, at a known place, anywhere) and `lines` (species, equivalent widths), all in milli-Angstrom.
    """
    figure, axis = new_figure(height=0.62 * (len(tests) + len(lines)) + 0.9)
    rows = len(tests) + len(lines)
    for row, (_, known, anywhere) in enumerate(tests):
        y = rows - 1 - row
        ends = [value for value in (known, anywhere) if np.isfinite(value)]
        axis.plot(ends, [y] * len(ends), color=COLORS["model"], linewidth=1.5, zorder=1)
        texts = ("at a known place", "anywhere in the band") if row == 0 else (None, None)
        axis.scatter(known, y, color=COLORS["model"], s=45, label=texts[0])
        axis.scatter(anywhere, y, facecolor="white", edgecolor=COLORS["model"], s=45, zorder=2, label=texts[1])
    for row, (_, widths) in enumerate(lines):
        y = len(lines) - 1 - row
        text = "real line, mean giant" if row == 0 else None
        axis.scatter(widths, np.full(len(widths), y), marker="|", s=160, color=COLORS["known"], label=text)
    axis.set_yticks(range(rows), [name for name, *_ in (*tests, *lines)][::-1])
    axis.tick_params(axis="y", which="minor", left=False)
    axis.set_ylim(-0.6, rows - 0.4)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("equivalent width (mÅ)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.35, 1.0), ncols=3, columnspacing=1.2, handletextpad=0.3)
    return figure


@paper_style()
def frames(panels: Sequence[tuple]) -> plt.Figure:
    """Draw |z| of airglow lines in the observer's frame beside the largest |z| of the rest frame.

    `panels` are (title, wavelength (L,), z (L,), threshold, rest-frame maximum, its threshold).
    """
    figure, axes = new_figure(1, len(panels), height=3.0, sharey=True)
    for axis, (title, wavelength, z, threshold, rest, rest_threshold) in zip(axes, panels, strict=True):
        shown = z != 0
        text, color = "at airglow, observer's frame", COLORS["highlight"]
        axis.vlines(wavelength[shown], 0, np.abs(z[shown]), color=color, linewidth=1.6, label=text)
        axis.axhline(threshold, color=COLORS["highlight"], linestyle="--", linewidth=0.9, label="its 5 % threshold")
        axis.axhline(rest, color=COLORS["model"], linewidth=1.4, label="largest, rest frame")
        axis.axhline(rest_threshold, color=COLORS["model"], linestyle="--", linewidth=0.9, label="its 5 % threshold")
        axis.set_title(title)
        axis.set_xlabel("vacuum wavelength (Å)")
        axis.locator_params(axis="x", nbins=3)
    axes[0].set_ylabel("|line / error|")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9.5)
    return figure
