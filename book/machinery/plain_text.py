"""The text of a chapter for readers without MyST: numbers in their places, directives as sentences."""

import re
import unicodedata

_PLACED = re.compile(
    r"^(`{3,}|:{3,})\{recorded-(figure|table)\} *(\S+)\n(?::[\w-]+:[^\n]*\n)*(.*?)^\1 *$", re.MULTILINE | re.DOTALL
)
_FENCE = re.compile(r"^:{3,}(?:\{([\w-]+)\} *(.*))?(?:\n|\Z)(?::[\w-]+:.*\n)*", re.MULTILINE)
_PAIRED = re.compile(r"\{(?:doc|ref|numref|download)\}`([^`<]+?) *<[^`]*>`")
_LABEL = re.compile(r"^(fig|tab|eq)-(.*)$")
_KINDS = {"fig": "figure", "tab": "table", "eq": "equation"}
_EQUATION = re.compile(r"^\$\$\n(.*?)\n\$\$(?: *\((?:eq-)?([\w-]+)\))?", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
_FONT = re.compile(r"\\\w*(?:rm|text|hat|bar)\b ?")
_COMMAND = re.compile(r"\\([A-Za-z]+) ?")


def plain_text(source, chapter, results):
    """Return the Markdown of a chapter's text without MyST; `results` are the results of all chapters, by name."""

    def placed(found):
        return f"\n*{found[2].capitalize()} `{found[3]}`: {found[4].strip()}*\n"

    def role(found):
        name, content = found[1], found[2]
        if name in ("glue:text", "recorded"):
            place, _, key = content.rpartition("::")
            entry = results.get(place or chapter, {}).get(key)
            return entry["text"] if entry else f"(computed here: `{key}`)"
        if name.startswith("cite"):
            return f"({content.replace(',', '; ')})"
        return _LABEL.sub(lambda label: f"{_KINDS[label[1]]} `{label[2]}`", content)

    def equation(found):
        body = found[1] if r"\begin{align" in found[1] else f"\\begin{{aligned}}\n{found[1]}\n\\end{{aligned}}"
        return f"$$\n{body}\n$$" + (f"\n(equation `{found[2]}`)" if found[2] else "")

    text = _PAIRED.sub(r"\1", _PLACED.sub(placed, source))
    return _ROLE.sub(role, _EQUATION.sub(equation, _FENCE.sub("", text)))


def plain_formula(tex):
    """Return a short formula as text that can be read aloud: Greek letters for their names, no marks of TeX."""
    return re.sub(r"[{}_\\]", "", _COMMAND.sub(_letter, _FONT.sub("", tex))).strip()


def _letter(command):
    size = "SMALL" if command[1].islower() else "CAPITAL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {command[1].upper().replace('LAMBDA', 'LAMDA')}")
    except KeyError:
        return f"{command[1]} "
