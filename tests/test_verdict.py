"""The judge reads each verdict off the evidence, a leak before knowledge and knowledge before a guess."""

import dataclasses
import math

import pytest

from lux.auditing import AuditSettings, Evidence, Kind
from lux.auditing.evidence import Sensitivity
from lux.auditing.verdict import _part_of_a_leak, judge

SENSITIVE = Sensitivity(1000, 3, 0.004, 0.0002, 1.5, 0.05, 12.0)
OWN, STRONG, ANY = Kind.OWN_LINES, Kind.STRONG_FEATURES, Kind.ANY_LINE
GROWTH, CLOSER, CANARY = Kind.LEAK_GROWTH, Kind.CLOSER_THAN_NOISE, Kind.LABEL_CANARY


def judged(
    *significant,
    kind="lines",
    sensitivity=SENSITIVE,
    needed=3.0,
    left=0.8,
    own_lines=0.0,
    scatter=1.0,
    growth=0.0,
):
    """Return the judgment where some kinds of evidence are significant and the others are not.

    Without a statistic of own lines there are none.
    """
    evidence = {name: Evidence(name, "?", 0.0, 0.0, 1.0, 1e-6 if name in significant else 0.5) for name in Kind}
    growth = 5.0 if GROWTH in significant else growth
    evidence[STRONG] = dataclasses.replace(evidence[STRONG], null_scatter=scatter)
    evidence[CLOSER] = dataclasses.replace(evidence[CLOSER], statistic=left)
    evidence[GROWTH] = dataclasses.replace(evidence[GROWTH], statistic=growth, needed=needed)
    if own_lines is None:
        del evidence[OWN]
    else:
        evidence[OWN] = dataclasses.replace(evidence[OWN], statistic=own_lines)
    return judge(kind, evidence, sensitivity, AuditSettings())


@pytest.mark.parametrize(
    ("significant", "expected"),
    [
        ((), "guessed"),
        ((OWN,), "known"),
        ((STRONG,), "proxy"),
        ((ANY,), "proxy"),
        ((OWN, STRONG), "known"),
        ((OWN, GROWTH), "leaked"),
        ((ANY, GROWTH), "leaked"),
        ((GROWTH,), "guessed"),
        ((OWN, CANARY), "leaked"),
        ((GROWTH, CLOSER), "leaked"),
        ((OWN, CLOSER), "known"),
        ((Kind.MODEL_USE,), "guessed"),
        ((Kind.SKY_LINES,), "artefact"),
        ((Kind.OBSERVED_PLACE, CLOSER), "artefact"),
        ((Kind.OBSERVED_PLACE, OWN), "known"),
        ((Kind.OBSERVED_PLACE, STRONG), "proxy"),
        ((Kind.OBSERVED_PLACE, CANARY), "leaked"),
        ((OWN, Kind.MODEL_USE), "known"),
    ],
)
def test_a_verdict_follows_from_what_counts(significant, expected):
    assert judged(*significant).verdict == expected


def test_a_parameter_is_known_from_anywhere_and_a_dense_element_is_never_guessed():
    assert judged(STRONG, kind="parameter").verdict == "known"
    assert judged(STRONG, kind="dense").verdict == "known"
    assert judged(kind="dense").verdict == "undecided"
    assert judged(kind="parameter").verdict == "guessed"


def test_closer_than_the_errors_is_a_leak_only_if_the_errors_are_believable():
    overstated = dataclasses.replace(SENSITIVE, mean_square=0.5)
    assert judged(CLOSER, GROWTH).verdict == "leaked"
    assert judged(CLOSER, needed=math.inf, sensitivity=overstated).verdict == "guessed"
    assert judged(CLOSER, GROWTH, sensitivity=overstated).verdict == "guessed"
    # By two standard deviations of .05 the scatter may lie below the errors.
    for mean_square, verdict in ((0.92, "leaked"), (0.87, "guessed")):
        reach = dataclasses.replace(SENSITIVE, mean_square=mean_square)
        assert judged(CLOSER, GROWTH, sensitivity=reach).verdict == verdict


def test_errors_that_are_alike_do_not_tell_a_leak_from_their_being_overstated():
    """At lines of its own the label is known by either; elsewhere nothing tells, unless it is beyond belief."""
    known = judged(CLOSER, OWN, needed=math.inf)
    assert known.verdict == "known"
    for judgment in (known, judged(CLOSER, STRONG, needed=math.inf), judged(CLOSER, needed=math.inf)):
        assert "they are overstated, or they leak" in judgment.reason
    assert judged(CLOSER, STRONG, needed=math.inf).verdict == "undecided"
    assert judged(CLOSER, STRONG, needed=math.inf, left=0.4).verdict == "leaked"
    assert judged(CLOSER, OWN, needed=math.inf, left=0.4).verdict == "leaked"
    # Errors are overstated by at most half, their squares by 2.25: that leaves .44.
    assert judged(CLOSER, STRONG, needed=math.inf, left=0.5).verdict == "undecided"
    assert judged(CLOSER, STRONG, needed=3.0, left=0.4).verdict == "proxy", "errors that differ tell"


def test_a_guess_needs_power_and_scatter_to_be_explained():
    blunt = dataclasses.replace(SENSITIVE, feature_significance=2.0)
    weak = judged(sensitivity=blunt)
    assert weak.verdict == "undecided"
    # The two quantiles of the normal distribution add up to 4.2207.
    assert weak.stars_needed == math.ceil(1000 * (4.2207 / 2) ** 2)
    assert f"{weak.stars_needed} stars would decide" in weak.reason
    # Features of a significance of twelve, by surrogates that scatter by so much.
    assert [judged(scatter=each).verdict for each in (2.8, 2.9)] == ["guessed", "undecided"]
    assert judged(sensitivity=dataclasses.replace(SENSITIVE, own_variance=0.0003)).verdict == "undecided"


def test_the_reason_says_what_the_verdict_does_not():
    assert "is not excluded" in judged(OWN, needed=math.inf).reason
    assert judged(STRONG, ANY).reason.startswith(
        "the flux says more of it than the other labels do (strong features and"
    )
    assert "no lines of its own" in judged(STRONG, sensitivity=dataclasses.replace(SENSITIVE, n_own_lines=0)).reason
    assert "but not at lines of its own" in judged(STRONG).reason
    for evidence, needed in (((), math.inf), ((OWN,), 3.0)):
        assert "is not excluded" not in judged(*evidence, needed=needed).reason


def test_the_reason_says_how_much_of_what_is_known_grows_as_the_error_does_if_that_is_beyond_chance():
    for growth, said in ((2.0, False), (2.7, True)):
        for significant, verdict in (((OWN,), "known"), ((STRONG,), "proxy"), ((), "guessed")):
            judgment = judged(*significant, growth=growth, needed=3.0)
            assert judgment.verdict == verdict
            assert ("of it grows with the catalogue's error, by 45% of what it would in a leak" in judgment.reason) == (
                said and verdict != "guessed"
            )


def test_the_share_of_a_leak_is_of_what_the_settings_ask_for():
    growth = Evidence(GROWTH, "?", 2.7, 0.0, 1.0, 0.003, needed=3.0)
    assert "by 72% of what it would in a leak" in _part_of_a_leak(growth, AuditSettings(share_of_growth=0.8))


def test_the_reason_says_what_was_masked_in_the_observers_frame_and_whether_it_is_airglow():
    assert "besides was masked, and is not counted" in judged(Kind.OBSERVED_PLACE, OWN).reason
    assert "besides was masked" not in judged(OWN).reason + judged(Kind.SKY_LINES).reason
    assert "observer's frame at the wavelengths of airglow;" in judged(Kind.SKY_LINES).reason
    assert "observer's frame;" in judged(Kind.OBSERVED_PLACE).reason


def test_flux_that_grows_at_the_own_lines_far_beyond_chance_is_no_guess():
    turned = judged(own_lines=-7.0)
    assert turned.verdict == "undecided"
    assert "the flux grows with the label, by 7 standard deviations" in turned.reason
    assert judged(own_lines=-5.0).verdict == "guessed"
    assert judged(own_lines=None).verdict == "guessed"
