"""Write every chapter as a plain notebook, not executed, to _build/plain: for Jupyter or Colab.

Its text needs no MyST: numbers are those of the committed results, and directives become sentences.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import jupytext  # noqa: E402
from machinery.chapters import read_pages, select  # noqa: E402

_NOTE = (
    "*Numbers in the text are those of the published build; the cells compute your own. "
    "They need the package of this paper: `pip install` it from its repository.*"
)
_PLACED = re.compile(
    r"^(`{3,}|:{3,})\{recorded-(figure|table)\} *(\S+)\n(?::[\w-]+:[^\n]*\n)*(.*?)^\1 *$", re.MULTILINE | re.DOTALL
)
_FENCE = re.compile(r"^:{3,}(?:\{([\w-]+)\} *(.*))?(?:\n|\Z)(?::[\w-]+:.*\n)*", re.MULTILINE)
_PAIRED = re.compile(r"\{(?:doc|ref|numref|download)\}`([^`<]+?) *<[^`]*>`")
_LABEL = re.compile(r"^(fig|tab|eq)-(.*)$")
_KINDS = {"fig": "figure", "tab": "table", "eq": "equation"}
_EQUATION = re.compile(r"^\$\$\n(.*?)\n\$\$(?: *\((?:eq-)?([\w-]+)\))?", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")


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


def main():
    """Write the notebooks and say where they are."""
    folder = ROOT / "_build" / "plain"
    folder.mkdir(parents=True, exist_ok=True)
    chapters = select(read_pages(ROOT), [])
    files = {page.name: ROOT / "results" / f"{page.name}.json" for page in chapters}
    results = {name: json.loads(path.read_text(encoding="utf-8"))["results"] for name, path in files.items()}
    for page in chapters:
        texts = [cell for cell in page.notebook.cells if cell.cell_type == "markdown"]
        for cell in texts:
            cell.source = plain_text(cell.source, page.name, results)
        title, _, rest = texts[0].source.partition("\n")
        texts[0].source = f"{title}\n\n{_NOTE}\n{rest}"
        jupytext.write(page.notebook, folder / f"{page.name}.ipynb")
        print(folder / f"{page.name}.ipynb")


if __name__ == "__main__":
    main()
