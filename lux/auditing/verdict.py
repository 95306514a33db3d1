"""The judge: evidence in, verdict and reason out.

What the flux says is judged by p-values under null distributions made for the survey at hand;
`lux.auditing.settings.AuditSettings` says which p-values count, how fast agreement with noise must grow to be a leak,
and what must have been in reach for a guess to be called one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats

from lux.auditing.evidence import FLUX_KINDS, OBSERVED_KINDS, Evidence, Kind, Sensitivity
from lux.auditing.settings import AuditSettings

_OVERSTATED = (
    "the flux predicts the catalogue better than its errors allow: they are overstated, or they leak, and being alike "
    "do not tell which; errors of each star, or repeated measurements of some, would"
)
# In standard deviations.
_FAR_BEYOND_CHANCE = 6.0
_MASKED = "what correlates with it in the observer's frame besides was masked, and is not counted"


class Judgment(NamedTuple):
    """A verdict, the reason for it, and how many stars would decide where they are too few."""

    verdict: str
    reason: str
    stars_needed: int | None = None


def judge(
    label_kind: str, evidence: Mapping[Kind, Evidence], sensitivity: Sensitivity, settings: AuditSettings
) -> Judgment:
    """Return the verdict on a label of a kind (see `lux.auditing.label_lines.label_kind`) from the evidence."""
    judgment = _leak(evidence, sensitivity, settings) or _artefact(evidence)
    judgment = judgment or _knowledge(label_kind, evidence, sensitivity)
    judgment = judgment or _wrong_sign(evidence) or _guess(evidence[Kind.STRONG_FEATURES], sensitivity, settings)
    if judgment.verdict != "artefact" and _significant(evidence, *OBSERVED_KINDS):
        judgment = judgment._replace(reason=f"{judgment.reason}; {_MASKED}")
    reason, alike = judgment.reason, evidence[Kind.LEAK_GROWTH].needed == np.inf
    if alike and judgment.verdict not in ("leaked", "artefact") and _closer_than_noise(evidence, sensitivity):
        known = judgment.verdict == "known"
        return judgment._replace(reason=f"{reason}; {_OVERSTATED}") if known else Judgment("undecided", _OVERSTATED)
    if alike and judgment.verdict in ("known", "proxy"):
        reason += (
            "; a leak of the catalogue's errors is not excluded: they are too alike, or follow the label, or the "
            "evidence is too weak"
        )
    if not alike and judgment.verdict in ("known", "proxy"):
        reason += _part_of_a_leak(evidence[Kind.LEAK_GROWTH], settings)
    return judgment._replace(reason=reason)


def _part_of_a_leak(growth: Evidence, settings: AuditSettings) -> str:
    """Return the remark on what the flux says if it grows with the catalogue's error, but less than in a leak."""
    if growth.needed is None or growth.statistic <= stats.norm.isf(settings.significance):
        return ""
    # What is needed is then a share of the growth in a leak.
    share = settings.share_of_growth * growth.statistic / growth.needed
    return f"; what the flux says of it grows with the catalogue's error, by {share:.0%} of what it would in a leak"


def _closer_than_noise(evidence: Mapping[Kind, Evidence], sensitivity: Sensitivity) -> bool:
    """Return whether the flux predicts the catalogue better than its errors allow, and they leave room for it.

    They do not if the label's scatter about the other labels is smaller than they are: then they are overstated.
    """
    room = sensitivity.mean_square > 1 - 2 * sensitivity.mean_square_error
    return evidence[Kind.CLOSER_THAN_NOISE].significant and room


def _significant(evidence: Mapping[Kind, Evidence], *kinds: Kind) -> list[Kind]:
    """Return which kinds of evidence there are and count."""
    return [kind for kind in kinds if kind in evidence and evidence[kind].significant]


def _leak(evidence: Mapping[Kind, Evidence], sensitivity: Sensitivity, settings: AuditSettings) -> Judgment | None:
    growth = evidence[Kind.LEAK_GROWTH]
    if evidence[Kind.LABEL_CANARY].significant:
        return Judgment("leaked", "the prediction moves when only the test stars' label does")
    if growth.significant and _significant(evidence, Kind.OWN_LINES, Kind.STRONG_FEATURES, Kind.ANY_LINE):
        return Judgment("leaked", "what the flux says of the label grows with the catalogue's error: it is the error")
    # Such a prediction betrays a leak, and not errors that the catalogue overstates, if the agreement grows with them.
    # Errors that are alike leave nothing to tell the two apart by, but for how much they would have to be overstated.
    left = evidence[Kind.CLOSER_THAN_NOISE].statistic
    beyond_belief = growth.needed == np.inf and left * settings.max_overstatement**2 < 1
    if _closer_than_noise(evidence, sensitivity) and (growth.significant or beyond_belief):
        return Judgment("leaked", "the flux predicts the catalogue better than errors allow that are not overstated")
    return None


def _artefact(evidence: Mapping[Kind, Evidence]) -> Judgment | None:
    """Judge what is left where everything fixed in the observer's frame has been masked: see `audit`."""
    observed = _significant(evidence, *OBSERVED_KINDS)
    if not observed or _significant(evidence, *FLUX_KINDS):
        return None
    where = " at the wavelengths of airglow" if Kind.SKY_LINES in observed else ""
    still = f"what correlates with it stands still in the observer's frame{where}"
    return Judgment("artefact", f"{still}; with that masked, the flux says nothing of it")


def _knowledge(label_kind: str, evidence: Mapping[Kind, Evidence], sensitivity: Sensitivity) -> Judgment | None:
    if _significant(evidence, Kind.OWN_LINES):
        return Judgment("known", "the label beyond the other labels correlates with absorption at its own lines")
    elsewhere = _significant(evidence, Kind.STRONG_FEATURES, Kind.ANY_LINE)
    if not elsewhere and label_kind == "dense":
        return Judgment("undecided", "its lines are everywhere, but they say no more of it than the other labels do")
    if not elsewhere:
        return None
    observed = f"the flux says more of it than the other labels do ({' and '.join(elsewhere)})"
    if label_kind == "parameter":
        return Judgment("known", observed)
    if label_kind == "dense":
        return Judgment("known", f"{observed}, and its lines are everywhere")
    if not sensitivity.n_own_lines:
        return Judgment("proxy", f"{observed}, and no lines of its own are listed")
    return Judgment("proxy", f"{observed}, but not at lines of its own")


def _wrong_sign(evidence: Mapping[Kind, Evidence]) -> Judgment | None:
    """Judge a flux that grows at the own lines as the label does, far beyond chance: it does say something of it."""
    if Kind.OWN_LINES not in evidence or (found := evidence[Kind.OWN_LINES].z_score) > -_FAR_BEYOND_CHANCE:
        return None
    reason = (
        f"at its own lines the flux grows with the label, by {-found:.0f} standard deviations: is it the depth of "
        "lines, 1 - flux, or do these lines stand at other wavelengths?"
    )
    return Judgment("undecided", reason)


def _guess(strong: Evidence, sensitivity: Sensitivity, settings: AuditSettings) -> Judgment:
    if not sensitivity.has_own_scatter:
        reason = "beyond the other labels it has no scatter but its catalogue errors: nothing to know"
        return Judgment("undecided", reason)
    needed = strong.null_scatter * (stats.norm.isf(settings.significance) + stats.norm.isf(1 - settings.power))
    feature = f"feature with {settings.share_to_find:.0%} of its own variance"
    if sensitivity.feature_significance < needed:
        # Significance grows at first with the number of stars, later with its root: this is on the safe side.
        stars = int(np.ceil(sensitivity.n_stars * (needed / sensitivity.feature_significance) ** 2))
        return Judgment("undecided", f"a {feature} could be missed; {stars} stars would decide", stars)
    reason = "the flux says nothing of it beyond what it says of the other labels; a strong "
    return Judgment("guessed", f"{reason}{feature} would have been found")
