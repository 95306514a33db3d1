"""The drawing of the page on large surveys: how long a cycle of the fit takes."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from lux.figures import COLORS, new_figure, paper_style


@paper_style()
def seconds_of_a_cycle(
    stars: np.ndarray, seconds: Mapping[str, np.ndarray], measured: tuple[float, float], text: str
) -> plt.Figure:
    """Draw the seconds of a cycle against the number of stars on logarithmic axes.

    Parameters
    ----------
    stars : (K,) array
    seconds : dict of name to (K,) array
        What is expected, a line for each name.
    measured : (stars, seconds)
        The one place where the time was measured; `text` names it.
    """
    figure, axis = new_figure(height=3.8)
    for (name, values), color in zip(seconds.items(), ("model", "highlight", "known"), strict=False):
        axis.loglog(stars, values, color=COLORS[color], label=name)
    axis.loglog(*measured, "o", color="black", markersize=7, label=text)
    axis.set(xlabel="stars", ylabel="seconds per cycle")
    axis.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
