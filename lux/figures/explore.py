"""Drawing of the page on which spectra can be explored: the picture that stands where no script runs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, new_figure, paper_style, with_gaps


@paper_style()
def three_views(
    wavelength: np.ndarray,
    flux: np.ndarray,
    jacobian: np.ndarray,
    significance: np.ndarray,
    threshold: float,
    marks: Mapping[str, float],
) -> plt.Figure:
    """Draw a spectrum, the Jacobian of a label over its error, and the audit's significance, all (D,), over wavelength.

    `threshold` in standard deviations is drawn at both signs; `marks` names wavelengths, in Angstrom.
    """
    figure, axes = new_figure(3, height=6.6, sharex=True)
    shown = {"flux": flux, "Jacobian (σ)": jacobian, "audit (σ)": significance}
    for axis, (name, values) in zip(axes, shown.items(), strict=True):
        axis.plot(*with_gaps(wavelength, values), color=COLORS["observed"], linewidth=0.5)
        axis.set_ylabel(name)
        for place in marks.values():
            axis.axvline(place, color=COLORS["highlight"], linewidth=0.8, alpha=0.6)
    for sign in (-1, 1):
        axes[2].axhline(sign * threshold, color=COLORS["observed"], linestyle="--", linewidth=0.8)
    for name, place in marks.items():
        axes[0].annotate(
            name,
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes[2].set_xlabel("vacuum wavelength (Å)")
    return figure
