"""Check the text of the book: nothing typed that must be computed, nothing shown that not everybody can read.

    python tools/lint_book.py [PAGE ...]

A number in the prose counts as a result if it has a decimal point or an exponent, a percent sign or a unit, or three
or more digits (a year apart). It may stand there if it is recorded (``{glue:text}``, ``{recorded}``), if its sentence
cites where it comes from (``{cite:p}`` and the like), if it is part of a formula or code, or if it is a choice of ours
and says so: ``{chosen}`5 %```.

The pages and the README must also read easily, see `machinery.readability`.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

from machinery.prose import CITATION, OPTION, blank, fences, prose  # noqa: E402
from machinery.readability import acronyms, complaints_of, read, results_in, texts  # noqa: E402

MAX_CELL_LINES = 30
MAX_MEAN_CELL_LINES = 16
MAX_DEFINITION_LINES = 5
MAX_LINE_LENGTH = 160

_UNITS = (
    r"K|dex|Å|mÅ|Angstroms?|Ångstr[öo]ms?|nm|µm|μm|um|microns?|km/s|km s|m/s|s|ms|seconds?|minutes?|hours?|MB|GB"
    r"|MiB|GiB|σ|sigmas?|stars?|giants?|dwarfs?|spectra|pixels?|lines?|percent|per cent|times|cycles?|nats?|bits?"
)
_RESULT = re.compile(
    rf"""(?<![\w.{{}}-])[-−+±~≈]?(?:
        \d[\d,]*\.\d+(?:[eE][-+−]?\d+)?          # decimal
      | \d+[eE][-+−]?\d+                         # exponent
      | \d[\d,]*\s?(?:×|x)\s?10\b                # power of ten
      | \d[\d,]*\s?%                             # percentage
      | \d[\d,]*[\s-]?(?:{_UNITS})\b             # with a unit
      | \d{{1,3}}(?:,\d{{3}})+                   # thousands
      | (?!(?:19|20)\d\d\b)\d{{3,}}              # three digits or more, a year apart
    )(?!\w)""",
    re.VERBOSE,
)
_ROLE_OF_RESULT = r"\{(?:glue:text|recorded)\}"
_SCORE = re.compile(
    rf"\b(?:areas?|powers?)\b[^.]*{_ROLE_OF_RESULT}|{_ROLE_OF_RESULT}[^.]*\b(?:areas?|powers?)\b", re.IGNORECASE
)
_SIZE = re.compile(r"stars_\w+`|number of stars|n_(?:real|stars|matched)`")
_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+(?=[^a-z])|\n\s*\n|\n(?=\s*(?:[|#*+-]|\d+\.)\s?)|\|\s*\n")
_ABBREVIATION = re.compile(r"\b(?:Figs?|Eqs?|Sect|Tab|et al|vs|cf|e\.g|i\.e|no|approx)\.$")
_CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


def lint_page(text, name, bibliography):
    """Return complaints about one page as a list of (line, message).

    Parameters
    ----------
    text : str
        Source of the page.
    name : str
        Name of the page; "index" must open with a claim like a chapter.
    bibliography : set of str
        Known citation keys.
    """
    cells = [(fence.start("body"), fence["body"]) for fence in fences(text) if "{code-cell}" in fence["head"]]
    complaints = _typed_results(text) + _unknown_citations(text, bibliography) + _figures(text) + _long_lines(text)
    complaints += _scores_without_size(text) + _unknown_labels(text)
    if cells or name == "index":
        complaints += _opening(text)
    if cells:
        # A guide, which has no number, is about no published result.
        complaints += _chapter(text, cells, agrees=name[:1].isdigit()) + _long_cells(text, cells)
    return sorted(set(complaints))


def _typed_results(text):
    cleaned, complaints = prose(text), []
    for sentence, offset in _sentences(cleaned):
        if CITATION in sentence:
            continue
        for found in _RESULT.finditer(sentence):
            line = cleaned.count("\n", 0, offset + found.start()) + 1
            message = f"result typed by hand: {found[0].strip()!r}; record it, cite it, or mark it {{chosen}}"
            complaints.append((line, message))
    return complaints


def _scores_without_size(text):
    """Complain about a paragraph that quotes an area or a power and not the number of stars that it holds for."""
    complaints, start = [], 0
    for paragraph in re.split(r"\n\s*\n", text):
        if _SCORE.search(paragraph) and not _SIZE.search(paragraph):
            line = text.count("\n", 0, text.index(paragraph, start)) + 1
            complaints.append((line, "an area or a power without the number of stars of its surveys"))
        start += len(paragraph)
    return complaints


def _sentences(text):
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text[start : end.start()]):
            continue
        yield text[start : end.start()], start
        start = end.end()
    yield text[start:], start


def _unknown_citations(text, bibliography):
    complaints = []
    for found in _CITED.finditer(text):
        for key in re.split(r"\s*,\s*", found[1].strip()):
            if key not in bibliography:
                complaints.append((_line(text, found.start()), f"citation key {key!r} is not in references.bib"))
    return complaints


def _unknown_labels(text):
    """Complain about a reference to a figure or table that is not on the page: labels belong to their page."""
    labels = set(re.findall(r"^ *:name:[ \t]*(\S+)", text, re.MULTILINE))
    for kind, name in re.findall(r"\{\w+-(fig|tab)(?:ure|le)\}[ \t]+(\S+)", text):
        labels.add(f"{kind}-{name.replace('_', '-')}")
        labels.add(f"{kind}-{name}")
    return [
        (_line(text, found.start()), f"{{numref}} {found[1]!r} is not on this page; name the page with {{doc}}")
        for found in re.finditer(r"\{numref\}`(?:[^`<]*<)?([^`>]+)>?`", text)
        if found[1] not in labels
    ]


def _figures(text):
    complaints = []
    for found in re.finditer(r"!\[([^\]]*)\]\(", text):
        complaints.append((_line(text, found.start()), "image without caption and number; record it as a figure"))
    for fence in fences(text):
        directive = re.match(r"\{([\w:-]+)\}", fence["head"].strip())
        kind, line = directive and directive[1], _line(text, fence.start())
        caption = OPTION.sub("", fence["body"]).strip()
        if kind in ("recorded-figure", "recorded-table") and not caption:
            complaints.append((line, f"{kind} without caption"))
        if kind in ("figure", "image", "glue:figure") and not re.search(r"^:alt:\s*\S", fence["body"], re.MULTILINE):
            complaints.append((line, f"{kind} without alt text"))
        if kind in ("figure", "glue:figure") and not caption:
            complaints.append((line, f"{kind} without caption"))
    return complaints


def _long_lines(text):
    lines = [line for line, content in enumerate(text.splitlines(), 1) if len(content) > MAX_LINE_LENGTH]
    return [(line, f"line of more than {MAX_LINE_LENGTH} characters; write one sentence a line") for line in lines]


def _long_cells(text, cells):
    """Complain about code that belongs in a module: long cells, and functions of more than a few lines."""
    complaints, lengths = [], []
    for start, cell in cells:
        code = OPTION.sub("", cell).strip()
        lengths.append(code.count("\n") + 1)
        if lengths[-1] > MAX_CELL_LINES:
            message = f"cell of {lengths[-1]} lines, {MAX_CELL_LINES} at most; what it computes belongs in a module"
            complaints.append((_line(text, start), message))
        for statement in ast.parse(_without_magics(code)).body:
            length = statement.end_lineno - statement.lineno + 1
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and length > MAX_DEFINITION_LINES:
                message = f"{statement.name} has {length} lines, {MAX_DEFINITION_LINES} at most; move it to a module"
                complaints.append((_line(text, start), message))
    mean = sum(lengths) / len(lengths)
    if mean >= MAX_MEAN_CELL_LINES:
        complaints.append(
            (1, f"cells have {mean:.1f} lines on average; they must have less than {MAX_MEAN_CELL_LINES}")
        )
    return complaints


def _without_magics(code):
    return re.sub(r"^\s*[%!].*$", "", code, flags=re.MULTILINE)


def _opening(text):
    heading = re.search(r"^## ", text, re.MULTILINE)
    claim = re.search(r"^(?:`{3,}|:{3,})\{claim\}", text, re.MULTILINE)
    if not claim or (heading and claim.start() > heading.start()):
        return [(1, "no opening claim: a {claim} must stand before the first second-level heading")]
    return []


def _chapter(text, cells, agrees):
    complaints = []
    if "record.provenance(" not in cells[-1][1]:
        complaints.append((_line(text, cells[-1][0]), "the last code cell must end with record.provenance(...)"))
    if agrees and not re.search(r"^(?:`{3,}|:{3,})\{agreement\}", text, re.MULTILINE):
        complaints.append((text.count("\n"), "no {agreement} with the published study at the end"))
    recorded = {"figure": [], "table": []}
    for start, code in cells:
        complaints += _recording_calls(code, _line(text, start) - 1, recorded)
    for kind, names in recorded.items():
        placed = re.findall(rf"^(?:`{{3,}}|:{{3,}})\{{recorded-{kind}\}}[ \t]+(\w+)[ \t]*$", text, re.MULTILINE)
        for name, line in names:
            if name not in placed:
                complaints.append((line, f"{kind} {name!r} is recorded but never placed with {{recorded-{kind}}}"))
    return complaints


def _recording_calls(code, first_line, recorded):
    complaints = []
    # The options of the cell, at its head, are not Python.
    body = re.sub(r"\A(?::[^\n]*\n)+", blank, code)
    for call in ast.walk(ast.parse(_without_magics(body))):
        kind = isinstance(call, ast.Call) and getattr(call.func, "attr", None)
        if kind not in ("figure", "table") or getattr(call.func.value, "id", None) != "record":
            continue
        position = 1 if kind == "figure" else 0
        line = first_line + call.lineno
        if len(call.args) > position and isinstance(call.args[position], ast.Constant):
            recorded[kind].append((call.args[position].value, line))
        alt = [keyword.value for keyword in call.keywords if keyword.arg == "alt"]
        if kind == "figure" and not alt:
            complaints.append((line, "record.figure without alt text"))
        for part in ast.walk(alt[0]) if alt else ():
            typed = isinstance(part, ast.Constant) and isinstance(part.value, str) and _RESULT.search(part.value)
            if typed:
                complaints.append((line, f"result typed by hand in alt text: {typed[0].strip()!r}; compute it"))
    return complaints


def _line(text, offset):
    return text.count("\n", 0, offset) + 1


def bibliography_keys(path):
    """Return the citation keys of a BibTeX file."""
    return set(re.findall(r"^@\w+\{([^,\s]+),", path.read_text(encoding="utf-8"), re.MULTILINE))


def main(arguments):
    """Lint the given pages, or all pages of the book; return the number of complaints as exit status, 1 at most."""
    book = ROOT / "book"
    pages = [Path(name) for name in arguments] or [*sorted(book.glob("*.md")), ROOT / "README.md"]
    keys = bibliography_keys(book / "references.bib")
    results = results_in((ROOT / "results").glob("*.json"))
    explained = acronyms((book / "glossary.md").read_text(encoding="utf-8"))
    count = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        complaints = [(1, each) for each in complaints_of(read(text, explained, texts(results, page.stem)))]
        # A README has no build that could compute its numbers; tests compare them with the results.
        complaints += lint_page(text, page.stem, keys) if page.stem != "README" else []
        for line, message in complaints:
            print(f"{page}:{line}: {message}")
            count += 1
    print(f"{len(pages)} pages, {count} complaints")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
