"""Write every chapter as a plain notebook, not executed, to _build/plain: for Jupyter or Colab.

Its text needs no MyST: numbers are those of the committed results, and directives become sentences.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import jupytext  # noqa: E402
from machinery.chapters import read_pages, select  # noqa: E402
from machinery.plain_text import plain_text  # noqa: E402
from machinery.readability import results_in  # noqa: E402

_NOTE = (
    "*Numbers in the text are those of the published build; the cells compute your own. "
    "They need the package of this paper: `pip install` it from its repository.*"
)


def main():
    """Write the notebooks and say where they are."""
    folder = ROOT / "_build" / "plain"
    folder.mkdir(parents=True, exist_ok=True)
    chapters = select(read_pages(ROOT), [])
    results = results_in(ROOT / "results" / f"{page.name}.json" for page in chapters)
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
