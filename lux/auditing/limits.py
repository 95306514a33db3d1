r"""What an audit could not have seen: the weakest trace of a label that it would have found with the power asked for.

Lines whose depth changes by :math:`\beta` per unit of the label's own part :math:`u` lift the significance at their
place by

.. math:: \frac{\beta \sum_n \langle a_n u_n \rangle (1 - h_n) R_n}
    {[\sum_n a_n^2 s_n^2 + \beta^2 \sum_n \langle a_n^2 u_n^2 \rangle R_n^2]^{1/2}} ,

with the weights :math:`a_n`, scores :math:`s_n` and nuisances, of leverage :math:`h_n`, of `lux.auditing.measurements`,
and the response :math:`R_n` of a score to a line of unit depth. They are found with a power of 95 % if that takes the
mean of the statistic from its null to 1.64 standard deviations above the threshold. What is neglected: nuisances are
made from the flux and take up a part of unlisted lines, and where significance saturates, its scatter becomes smaller.

Where the label's own lines were found, they are themselves what scatters at their places, and pixels that scatter count
for less. What would have been found in the same survey without them is then asked at a typical place elsewhere.

The depth of a weak line is proportional to the abundance: one that changes by :math:`\beta` per dex is
:math:`\beta / \ln 10` deep.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import optimize, stats

from lux.auditing.evidence import Evidence, Kind, Sensitivity
from lux.auditing.measurements import Measured, label_variance, partial_out
from lux.spectroscopy.line_detection import equivalent_width
from lux.statistics import gumbel_by_moments


@dataclasses.dataclass(frozen=True)
class Limit:
    """The weakest trace of a label that one kind of evidence would have found, with ``settings.power``.

    Parameters
    ----------
    kind : Kind
        Own lines, all of one depth; any one line; strong features.
    share : float
        Of the label's own variance, as this trace gives it away; infinite if not even all of it would be found.
    depth, width : float
        Of each line, if the label is an abundance in dex: what is missing of the flux at its center, as a mean of the
        stars, and equivalent width in milli-Angstrom. NaN otherwise, and for strong features.
    """

    kind: Kind
    share: float
    depth: float = float("nan")
    width: float = float("nan")

    def __str__(self) -> str:
        """Return the limit in words."""
        share = (
            f"{self.share:.2g} of its own variance" if np.isfinite(self.share) else "not even all of its own variance"
        )
        lines = "" if not np.isfinite(self.depth) else f"{100 * self.depth:.2g} % deep ({self.width:.2g} mA), "
        return f"{self.kind}: {lines}{share}"


def detection_limits(
    measured: Measured, evidence: Mapping[Kind, Evidence], reach: Sensitivity, resolution: float, in_dex: bool
) -> tuple[Limit, ...]:
    """Return what each kind of evidence from the flux would have found; nothing if the label has no scatter of its own.

    Depths are given `in_dex` alone, of lines that are unresolved at the `resolution`.
    """
    if not reach.has_own_scatter:
        return ()
    design, settings = measured.design, measured.design.settings
    above, searched = stats.norm.isf(1 - settings.power), stats.norm.isf(settings.significance)
    lines = _lines(measured)
    own, elsewhere = np.split(np.arange(len(design.probed)), [len(design.own_pixels)])
    # The significance of lines of little slope.
    reading = lines.gain / np.sqrt(np.maximum(lines.noise, 1e-30))
    typical = elsewhere[np.argsort(reading[elsewhere])[[len(elsewhere) // 2]]] if len(elsewhere) else own[:1]
    asked = {}
    if at_own := evidence.get(Kind.OWN_LINES):
        named = stats.norm.isf(settings.significance_at_own_lines)
        places = np.repeat(typical, len(own)) if at_own.significant else own
        asked[Kind.OWN_LINES] = places, np.sqrt(len(own)) * at_own.null_scatter * (named + above)
    if Kind.ANY_LINE in evidence:
        null = gumbel_by_moments(measured.largest_by_chance)
        asked[Kind.ANY_LINE] = typical, stats.gumbel_r.isf(settings.significance, *null) + above
    limits = []
    for kind, (places, needed) in asked.items():
        slope = lines.slope_for(needed, places)
        depth = slope / np.log(10) if in_dex else np.nan
        width = equivalent_width(depth, design.wavelength[design.probed[places]].mean(), resolution)
        limits.append(Limit(kind, lines.share(slope, places, reach.own_variance), float(depth), float(width)))
    share = _share_of_features(measured, evidence[Kind.STRONG_FEATURES].null_scatter * (searched + above))
    share *= float(np.var(measured.residual)) / reach.own_variance
    return (*limits, Limit(Kind.STRONG_FEATURES, share if share <= 1 else np.inf))


def _share_of_features(measured: Measured, significance: float) -> float:
    """Return the share of the residual's variance that strong features show with a significance.

    It is the inverse of `lux.auditing.measurements.significance_of_share`.
    """
    noise, square = measured.noise_of_features, significance**2 / measured.design.n_stars
    half = square * (1 - noise) / 2
    return float(half + np.sqrt(half**2 + square * noise))


@dataclasses.dataclass(frozen=True, eq=False)
class _Lines:
    """What a line does, at K pixels, that changes by one per unit of the label.

    It raises the sum of products of which the significance consists by `gain` (K,), and the sum of their squares, which
    is `noise` (K,), by `square` (K,); `information` (N, K) is the inverse variance of its depth in each star.
    """

    gain: np.ndarray
    noise: np.ndarray
    square: np.ndarray
    information: np.ndarray

    def slope_for(self, significance: float, places: np.ndarray) -> float:
        """Return by how much lines at some places change per unit of the label if they add up to a significance."""
        gain, noise, square = (values[places] for values in (self.gain, self.noise, self.square))

        def lacking(slope: float) -> float:
            return significance - float(np.sum(slope * gain / np.sqrt(noise + slope**2 * square)))

        most = 1.0
        return float(optimize.brentq(lacking, 0, most)) if np.all(noise > 0) and lacking(most) < 0 else float("inf")

    def share(self, slope: float, places: np.ndarray, variance: float) -> float:
        """Return the share of a label's variance, as a mean over the stars, that such lines give away."""
        if not np.isfinite(slope):
            return slope
        signal = variance * slope**2 * self.information[:, places].sum(axis=1)
        return float(np.mean(signal / (1 + signal)))


def _lines(measured: Measured) -> _Lines:
    design = measured.design
    beyond, leverage = partial_out(measured.residual, design.basis), np.sum(design.basis**2, axis=1)
    # What strong features say of the label is not asked of the lines.
    own_variance = max(0.0, float(np.mean(beyond**2) / (1 - leverage.mean()) - np.mean(design.errors**2)))
    variance = label_variance(design, beyond[:, None])[:, 0]
    scores = design.line_scores[:, design.probed].astype(float)
    star = np.maximum(design.star_noise, 1e-3 * np.median(design.star_noise))[:, None]
    return _Lines(
        gain=own_variance * ((1 - leverage) / variance) @ design.response,
        noise=(beyond / variance) ** 2 @ scores**2,
        square=((variance + 2 * own_variance) * own_variance / variance**2) @ design.response**2,
        information=(design.response / star) ** 2 / np.maximum(np.mean((scores / star) ** 2, axis=0), 1e-30),
    )
