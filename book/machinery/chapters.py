"""Read the sources of the book: which pages there are, their code, their parameters, what they promise to show."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jupytext
import yaml

from machinery.errors import BuildError

# And `dataset`, where the chapter is about the survey that the paper is built from.
STANDARD_PARAMETERS = ("profile", "seed", "n_stars")

_CODE_FENCE = re.compile(r"^(`{3,}|:{3,})\{code-cell\}", re.MULTILINE)
_PLACED = r"^(?:`{{3,}}|:{{3,}})\{{recorded-{kind}\}}[ \t]+(\S+)"


@dataclass(frozen=True)
class Page:
    """One page of the book: a chapter if it holds code cells, plain text otherwise."""

    root: Path
    document: str

    @property
    def path(self):
        """Path of the source, a MyST text notebook."""
        return self.root / f"{self.document}.md"

    @property
    def name(self):
        """Name of the page without folder or suffix, e.g. "01_data"."""
        return Path(self.document).name

    @cached_property
    def source(self):
        """The text of the page."""
        if not self.path.exists():
            raise BuildError(f"{self.document}.md is in _toc.yml but there is no such file; write it or take it out")
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def notebook(self):
        """The page as a notebook."""
        return jupytext.reads(self.source, fmt="md:myst")

    @property
    def is_chapter(self):
        """Whether the page has code to execute."""
        return bool(self.code_cells)

    @cached_property
    def code_cells(self):
        """The code cells, in order."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def line_of_code_cell(self, number):
        """Line in the source of the code cell with this number, counted from 0."""
        fences = list(_CODE_FENCE.finditer(self.source))
        return self.source.count("\n", 0, fences[number].start()) + 1 if number < len(fences) else None

    @cached_property
    def parameters(self):
        """Names and default values of the cell tagged "parameters"."""
        tagged = [cell for cell in self.code_cells if "parameters" in cell.metadata.get("tags", [])]
        if len(tagged) != 1:
            raise BuildError(f'{self.name}: exactly one code cell must carry the tag "parameters", found {len(tagged)}')
        found = {}
        for statement in ast.parse(tagged[0].source).body:
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
                raise BuildError(f"{self.name}: the parameters cell may hold assignments `name = value` only")
            found[statement.targets[0].id] = ast.literal_eval(statement.value)
        missing = [name for name in STANDARD_PARAMETERS if name not in found]
        if missing:
            raise BuildError(f"{self.name}: the parameters cell lacks {', '.join(missing)}")
        return found

    @property
    def any_data_set(self):
        """Whether the chapter is the same whatever the data set of the paper: it has no parameter of the name."""
        return "dataset" not in self.parameters

    def placed(self, kind):
        """Names of the figures or tables (`kind` "figure" or "table") that the page shows from its own record."""
        return [name for name in self.placed_anywhere(kind) if "::" not in name]

    def placed_anywhere(self, kind):
        """Names of the figures or tables that the page shows, those of other chapters as ``chapter::name``."""
        return re.findall(_PLACED.format(kind=kind), self.source, re.MULTILINE)


def read_pages(root):
    """Return the pages of `_toc.yml` in reading order, the root page first."""
    toc = _read_yaml(root / "_toc.yml")
    documents = [toc["root"]]
    groups = toc.get("parts", [toc])
    for group in groups:
        documents += [entry["file"] for entry in group.get("chapters", [])]
    return [Page(root, str(Path(document).with_suffix(""))) for document in documents]


def select(pages, names):
    """Return the chapters among `pages`, or those of the given names.

    Raises
    ------
    BuildError
        If a name is no chapter of the book.
    """
    chapters = [page for page in pages if page.is_chapter]
    if not names:
        return chapters
    known = {page.name for page in chapters}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BuildError(f"no chapter is called {', '.join(unknown)}; the chapters are {', '.join(sorted(known))}")
    return [page for page in chapters if page.name in names]


def _read_yaml(path):
    if not path.exists():
        raise BuildError(f"{path} is missing: is {path.parent} the root of the book?")
    return yaml.safe_load(path.read_text(encoding="utf-8"))
