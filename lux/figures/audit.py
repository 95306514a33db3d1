"""A report of the audit on one page: its verdict, its evidence, and where in the spectrum it comes from."""

import re
import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, label_text, new_figure, paper_style, with_gaps


@paper_style()
def page(report: Any) -> plt.Figure:
    """Draw a `lux.Report`: significance along the spectrum, own lines marked, and each evidence beside its null.

    Raises
    ------
    ValueError
        If the report holds no evidence, as for too few stars.
    """
    if report.wavelength is None or report.significance is None:
        raise ValueError(f"the report on {report.label} holds no evidence to draw: {report.reason}")
    shown = [item for item in report.evidence if item.null_scatter > 0]
    figure, (top, bottom) = new_figure(2, height=6.4, gridspec_kw={"height_ratios": [1, 0.11 * len(shown) + 0.15]})
    reason = "\n".join(line for answer in report.answers for line in textwrap.wrap(_typeset(answer), 88))
    figure.suptitle(f"{label_text(report.label, with_unit=False)}: {report.verdict}", fontsize=14)
    stars = f"{report.n_stars} stars, {report.n_test} of them not used in training"
    top.set_title(f"{reason}\n{stars}", fontsize=10, loc="left", x=-0.26)
    top.plot(*with_gaps(report.wavelength, report.significance), color=COLORS["observed"], linewidth=0.5)
    limit = 1.1 * max(5.0, np.abs(report.significance).max())
    for line in report.own_lines:
        top.plot([line, line], [0.86 * limit, 0.97 * limit], color=COLORS["highlight"], linewidth=1)
    top.locator_params(axis="x", nbins=6)
    top.set(ylim=(-limit, limit), xlabel="vacuum wavelength (Å)", ylabel="significance (σ)")
    for row, item in enumerate(shown):
        bottom.plot([-2, 2], [row, row], color=COLORS["observed"], alpha=0.25, linewidth=9, solid_capstyle="butt")
        color = COLORS[report.verdict] if item.significant else COLORS["observed"]
        bottom.plot(item.z_score, row, "D" if item.significant else "o", color=color, markersize=7)
    bottom.set_yticks(range(len(shown)), [item.name for item in shown])
    bottom.set_xscale("symlog", linthresh=3)
    reach = 1.3 * max(5.0, *(abs(item.z_score) for item in shown))
    ticks = [tick for tick in (-100, -30, -10, -3, 0, 3, 10, 30, 100) if abs(tick) < reach]
    bottom.set_xticks(ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    bottom.minorticks_off()
    bottom.axvline(0, color="black", linewidth=0.8)
    bottom.set(xlim=(-reach, reach), ylim=(len(shown) - 0.5, -0.5))
    bottom.set_xlabel("standard deviations of the null distribution (band: ± 2)")
    return figure


def _typeset(answer: str) -> str:
    """Return a sentence of a report, which is written for any terminal, with the signs of print."""
    answer = answer.replace("+-", "±").replace(" sigma", "\u00a0σ")
    answer = re.sub(r"(?<=[ (])-(?=\d)", "−", answer)
    answer = re.sub(r"(?<=\d) ?%", "\u00a0%", answer)
    return re.sub(r"(\d|more) (m?)A\b", "\\1\u00a0\\2Å", answer)
