"""What of a page of the book is prose: the text that a reader reads, apart from code, formulas and markup."""

import re

CITATION = "\x01"
NUMBER = "0"
OPTION = re.compile(r"^:[\w-]+:.*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^(?P<mark>`{3,}|:{3,})(?P<head>[^\n]*)\n(?P<body>.*?)^(?P=mark)[ \t]*$", re.DOTALL | re.MULTILINE)
_PROSE_DIRECTIVES = {
    "claim", "agreement", "interactive", "recorded-figure", "recorded-table", "note", "warning", "tip", "important",
    "admonition", "margin", "sidebar", "dropdown", "grid", "grid-item-card", "card", "div", "seealso", "figure",
    "tab-set", "tab-item", "list-table",
}  # fmt: skip
_COMMENT = re.compile(r"^%.*$|<!--[\s\S]*?-->", re.MULTILINE)
_DISPLAYED = re.compile(r"\$\$.*?\$\$", re.DOTALL)
# A formula, but not a bare number dressed up as one.
_FORMULA = re.compile(r"(?<![\\$])\$(?!(?:[\d\s.,+±%~-]|\\pm|\\,|\\%)+\$)[^$\n]+(?:\n[^$\n]+)?\$")
_ROLE = re.compile(r"\{([\w:.-]+)\}(`+)(.+?)\2", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?\1", re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^)\s]*\)|<[a-zA-Z/][^>]*>|https?://\S+")


def prose(text):
    """Return `text` of the same length with all that is not prose blanked and each citation replaced by one mark."""
    text = _FRONT_MATTER.sub(blank, text)
    text = _blank_fences(text)
    for pattern in (_COMMENT, _DISPLAYED, _FORMULA):
        text = pattern.sub(blank, text)
    text = _ROLE.sub(_blank_role, text)
    text = _CODE.sub(blank, text)
    return _LINK_TARGET.sub(blank, text)


def spoken(text, recorded=None):
    """Return the prose of a page as it is read: formulas, code and references stand as a word, results as they print.

    Parameters
    ----------
    text : str
        Source of the page.
    recorded : dict of str to str, optional
        What results print, by key; one that is not there stands as a number.
    """
    recorded = recorded or {}

    def say(role):
        if role[1].startswith("cite"):
            return "cited" if role[1].endswith(":t") else ""
        if role[1] == "chosen":
            return role[3]
        return recorded.get(role[3], NUMBER) if role[1] in ("glue:text", "recorded") else "reference"

    text = _blank_fences(_FRONT_MATTER.sub("", text))
    text = _FORMULA.sub("formula", _DISPLAYED.sub("", _COMMENT.sub("", text)))
    text = _CODE.sub("code", _ROLE.sub(say, text))
    return re.sub(r"^#+ .*$|^\(.*\)=$", "", _LINK_TARGET.sub(" ", text), flags=re.MULTILINE)


def fences(text):
    """Return the fenced blocks of a page as matches with "mark", "head" and "body"."""
    return _FENCE.finditer(_FRONT_MATTER.sub(blank, text))


def _blank_fences(text):
    def replace(fence):
        directive = re.match(r"\{([\w:-]+)\}", fence["head"].strip())
        if not directive or directive[1] not in _PROSE_DIRECTIVES:
            return blank(fence)
        head = " " * len(fence["mark"] + fence["head"]) + "\n"
        body = _blank_fences(OPTION.sub(blank, fence["body"]))
        return head + body + " " * (len(fence[0]) - len(head) - len(body))

    return _FENCE.sub(replace, text)


def _blank_role(role):
    blanked = re.sub(r"\S", " ", role[0])
    return CITATION + blanked[1:] if role[1].startswith("cite") else blanked


def blank(found):
    """Return a match as spaces of the same length and the same lines."""
    return re.sub(r"[^\n]", " ", found[0])
