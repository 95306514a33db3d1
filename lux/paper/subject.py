"""Which label the chapters ask about, and what to bear in mind where the survey is not theirs."""

from collections.abc import Sequence

from lux.survey import Survey

EUROPIUM = "eu_fe"
_NAMES = {"teff": ("teff",), "iron": ("fe_h", "m_h"), "alpha": ("alpha_fe", "alpha_m")}
_WORDS = {"teff": "temperature", "logg": "gravity", "fe_h": "iron", "alpha_fe": "alpha", EUROPIUM: "europium"}


def audited_label(survey: Survey) -> str:
    """Return the label whose origin is in question: europium, or alpha where there is none, or else the last label."""
    names = survey.label_names
    if EUROPIUM in names:
        return EUROPIUM
    return next((name for name in names if name.startswith("alpha")), names[-1])


def label_of(quantity: str, names: Sequence[str]) -> str:
    """Return the name under which "teff", "iron" or "alpha" is among labels; that it is there, `missing` makes sure."""
    return next(name for name in names if name in _NAMES[quantity])


def missing(survey: Survey, needs: Sequence[str | tuple[float, float]]) -> list[str]:
    """Return in words what a survey lacks of what a page needs.

    Parameters
    ----------
    survey : Survey
    needs : sequence
        "teff", "iron" or "alpha" for a label, any other text for a column of the catalogue, two wavelengths (vacuum
        Angstrom) for pixels between them.
    """
    found = []
    for need in needs:
        if isinstance(need, tuple):
            if not survey.pixels_within([need]).any():
                found.append(f"pixel in {need[0]:g}-{need[1]:g} Å")
        elif need in _NAMES:
            if not set(_NAMES[need]) & set(survey.label_names):
                found.append(f"label {' or '.join(_NAMES[need])}")
        elif need not in survey.catalogue:
            found.append(f"column {need} in its catalogue")
    return found


def in_words(label: str, otherwise: str | None = None) -> str:
    """Return a label as the text calls it, such as "iron"; `otherwise`, or the label itself, where it has no word."""
    return _WORDS.get(label, label if otherwise is None else otherwise)


def caveat(survey: Survey, source: str, shown: str) -> str:
    """Return what to bear in mind when a chapter is read with this survey; nothing where it was written for it.

    Parameters
    ----------
    survey : Survey
    source, shown : str
        Names of the survey and of its audited label for running text.
    """
    if EUROPIUM in survey.label_names and survey.truth is not None:
        return ""
    written = (
        "The numbers and figures of this page were computed from it; the claim and the sentences that explain them "
        "were written for the synthetic survey and need not fit."
    )
    if EUROPIUM in survey.label_names:
        return (
            f"The stars of this build are those of {source}, of whose labels no truth is known. {written} What needs "
            "the truth, or planted lines, is left out or shown on synthetic stars."
        )
    return (
        f"The stars of this build are those of {source}, which has no europium. Where this page says europium of them, "
        f"read {shown}, a label of the same survey that may well have lines of its own. {written} What needs europium, "
        "the truth, or planted lines is left out or shown on synthetic stars."
    )
