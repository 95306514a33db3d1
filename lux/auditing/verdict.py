"""The audit: is a label that a spectral model predicts *known* or *guessed*?

`audit` puts the measurements of `lux.auditing.measurements` to the survey and to the model and reads a verdict off
them. What the flux says is judged by p-values under null distributions made for the survey at hand; the constants below
say which p-values count, how fast agreement with noise must grow to be a leak, and what must have been in reach for a
guess to be called one.
"""

import numpy as np
from scipy import stats

from lux.auditing import leakage, measurements
from lux.auditing.evidence import SIGNIFICANT, Evidence
from lux.auditing.measurements import Design, Readings

# A label is called guessed only if a feature that carries this share of the label's own variance would have been found.
SHARE_TO_FIND = 0.5
POWER = 0.95
FEWEST_STARS = 100


def _judge(kind: str, design: Design, found: Readings, taken: dict[str, Evidence]) -> tuple[str, str, int | None]:
    """Return verdict, reason and the number of stars needed, from the evidence; for `kind` see `label_kind`."""
    own = "own lines" in taken and taken["own lines"].significant
    elsewhere = [name for name in ("strong features", "any one line") if name in taken and taken[name].significant]
    if taken["label canary"].significant:
        return "leaked", "the prediction moves when only the test stars' label does", None
    if (own or elsewhere) and taken["grows with noise"].significant:
        return "leaked", "what the flux says of the label grows with the catalogue's error: it is the error", None
    if taken["closer than noise"].significant and _errors_are_believable(design, found, taken["grows with noise"]):
        return "leaked", "the flux predicts the catalogue better than errors allow that are not overstated", None
    if own:
        return "known", "the label beyond the other labels goes with absorption at its own lines", None
    if not elsewhere and kind == "dense":
        return "undecided", "its lines are everywhere, but they say no more of it than the other labels do", None
    if not elsewhere:
        return _guessed_or_undecided(design, found, taken["strong features"])
    found_there = f"the flux says more of it than the other labels do ({' and '.join(elsewhere)})"
    if kind == "parameter":
        return "known", found_there, None
    if kind == "dense":
        return "known", f"{found_there}, and its lines are everywhere", None
    if not len(design.own_pixels):
        return "proxy", f"{found_there}, and no lines of its own are listed", None
    return "proxy", f"{found_there}, but not at lines of its own", None


def _errors_are_believable(design: Design, found: Readings, growth: Evidence) -> bool:
    """Whether a prediction closer than the errors betrays a leak, and not errors that the catalogue overstates.

    It does if the label's scatter about the other labels leaves room for the errors, and, where they differ enough from
    star to star, if the agreement grows with them.
    """
    before, uncertainty = leakage.unexplained(design, found.residual[:, 0], [])
    return before > 1 - 2 * uncertainty and (np.isinf(growth.needed) or growth.significant)


def _guessed_or_undecided(design: Design, found: Readings, strong: Evidence) -> tuple[str, str, int | None]:
    residual = found.residual[:, 0]
    own = measurements.own_variance(design, residual)
    noise = np.sqrt(2 / design.n_stars) * np.var(residual)
    if own < 2 * noise:
        return "undecided", "beyond the other labels it has no scatter but its catalogue errors: nothing to know", None
    needed = strong.null_spread * (stats.norm.isf(SIGNIFICANT) + stats.norm.isf(1 - POWER))
    share = SHARE_TO_FIND * own / np.var(residual)
    significance = measurements.significance_of_share(design, share)
    if significance < needed:
        # Significance grows at first with the number of stars, later with its root: this is on the safe side.
        stars = int(np.ceil(design.n_stars * (needed / significance) ** 2))
        reason = f"a feature with {SHARE_TO_FIND:.0%} of its own variance could be missed; {stars} stars would decide"
        return "undecided", reason, stars
    reason = (
        "the flux says nothing of it beyond what it says of the other labels; a strong feature with "
        f"{SHARE_TO_FIND:.0%} of its own variance would have been found"
    )
    return "guessed", reason, None
