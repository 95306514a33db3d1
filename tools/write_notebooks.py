"""Write every chapter as a plain notebook, not executed, to _build/plain: for Jupyter or Colab."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

import jupytext  # noqa: E402
from machinery.chapters import read_pages, select  # noqa: E402


def main():
    """Write the notebooks and say where they are."""
    folder = ROOT / "_build" / "plain"
    folder.mkdir(parents=True, exist_ok=True)
    for page in select(read_pages(ROOT), []):
        jupytext.write(page.notebook, folder / f"{page.name}.ipynb")
        print(folder / f"{page.name}.ipynb")


if __name__ == "__main__":
    main()
