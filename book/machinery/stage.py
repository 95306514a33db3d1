"""Lay out executed chapters and text pages as one tree that Jupyter Book can build without executing anything."""

import ast
import hashlib
import json
import os
import shutil
from html import escape
from pathlib import Path

import nbformat
import yaml

from machinery.errors import BuildError
from machinery.plain_text import plain_text
from machinery.readability import results_in
from machinery.report import build_report, commit_of
from machinery.runner import finished_results

_QUICK = (
    "This is the quick build. The text describes the full one; with so few stars some of the numbers in it do not bear "
    "it out."
)
_MACHINERY = Path(__file__).resolve().parents[1]


def stage(pages, settings, package, current, failures=None, extra_downloads=()):
    """Write the tree to ``_build/stage`` and return its path and the digest of its content.

    Parameters
    ----------
    pages : list of Page
        All pages of the book.
    settings : Settings
    package : Package
    current : set of str
        Names of the chapters whose products are those of their present inputs; the others become stubs.
    failures : dict of str to str, optional
        Why chapters failed, by name, for their stubs.
    extra_downloads : sequence of (str, path)
        Title and path of further files to offer, such as the PDF.
    """
    target = settings.build / "stage"
    shutil.rmtree(target, ignore_errors=True)
    (target / "book").mkdir(parents=True)
    _write_configuration(settings.root, target, imprint(settings.root))
    for name in ("_toc.yml", "CITATION.cff"):
        if (settings.root / name).exists():
            shutil.copy(settings.root / name, target)
    for name in ("references.bib", "_static"):
        _copy(settings.root / "book" / name, target / "book" / name)
    _copy(settings.root / "book" / "_static", target / "_static")
    for page in pages:
        _stage_page(page, settings, current, target, (failures or {}).get(page.name))
    downloads = _offer_downloads(pages, settings, current, target, extra_downloads)
    (target / "_products").mkdir(exist_ok=True)
    report = build_report(pages, settings, package, current, downloads)
    (target / "_products" / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return target, _tree_digest(target)


def executed_notebook(page, settings):
    """Return the page's notebook with its present prose and the outputs of its finished execution.

    The parameters cell shows the values that were used, instead of defaults beside an overriding second cell.
    """
    executed = nbformat.read(settings.finished(page) / "executed.ipynb", as_version=4)
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    injected = [cell for cell in ran if "injected-parameters" in cell.metadata.get("tags", [])]
    ran = [cell for cell in ran if cell not in injected]
    notebook = nbformat.from_dict(page.notebook)
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if len(ran) != len(code_cells):
        counts = f"{len(ran)} cells were executed but the source has {len(code_cells)}"
        raise BuildError(f"{page.name}: {counts}; run again with --fresh")
    for number, (cell, executed_cell) in enumerate(zip(code_cells, ran, strict=True)):
        cell.outputs = executed_cell.outputs
        cell.execution_count = number + 1
        cell.id = f"cell-{number}"
        doing = what_it_does(cell)
        cell.metadata["mystnb"] = {f"code_prompt_{act}": f"{act.title()} code: {doing}" for act in ("show", "hide")}
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = injected[0].source.replace("# Parameters\n", "# The parameters of this run\n", 1)
    _move_opening_remarks(notebook, [_QUICK] if settings.profile == "quick" else [])
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type != "code"):
        cell.id = f"text-{number}"
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def what_it_does(cell):
    """Return in a few words what a code cell does: what it records or draws, by the names of what it calls."""
    lines = len([line for line in cell.source.splitlines() if line.strip()])
    size = f"{lines} line{'s' * (lines > 1)}"
    if "parameters" in cell.metadata.get("tags", []):
        return f"parameters, {size}"
    calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    drawn = [call.args[1].value for call in calls if _is_figure(call)]
    if "begin" in names:
        doing = "set up the chapter"
    elif "provenance" in names:
        doing = "provenance"
    elif drawn:
        doing = f"draw {' and '.join(drawn)}"
    else:
        doing = next((name for name in names if name.startswith(("record_", "print"))), next(iter(names), "compute"))
    return f"{doing.replace('_', ' ')}, {size}"


def _is_figure(call):
    named = getattr(call.func, "attr", None) == "figure" and getattr(call.func.value, "id", None) == "record"
    return named and len(call.args) > 1 and isinstance(call.args[1], ast.Constant)


def _move_opening_remarks(notebook, remarks=()):
    """Put remarks, and those that a chapter marked as opening, under its title, before the claim that they bear on."""
    remarks = list(remarks)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            opening = [output for output in cell.outputs if output.get("metadata", {}).get("opening")]
            remarks += [output["data"]["text/plain"] for output in opening]
            cell.outputs = [output for output in cell.outputs if output not in opening]
    if remarks:
        first = next(cell for cell in notebook.cells if cell.cell_type == "markdown")
        first.source = _with_remarks(first.source, remarks)


def _with_remarks(text, remarks):
    """Return a text with remarks under its title."""
    title, rest = text.split("\n", 1)
    return "\n\n".join([title, *(f":::{{note}}\n{remark}\n:::" for remark in remarks), rest])


def _stage_page(page, settings, current, target, failure):
    path = target / page.document
    path.parent.mkdir(parents=True, exist_ok=True)
    if not page.is_chapter:
        quotes = settings.profile == "quick" and "{recorded}`" in page.source
        path.with_suffix(".md").write_text(
            _with_remarks(page.source, [_QUICK]) if quotes else page.source, encoding="utf-8"
        )
    elif page.name in current:
        nbformat.write(executed_notebook(page, settings), path.with_suffix(".ipynb"))
        products = settings.finished(page) / "products"
        shutil.copytree(products, target / "_products" / page.name)
    else:
        title = next(line for line in page.source.splitlines() if line.startswith("# "))
        text = "This chapter is not part of this partial build."
        if failure:
            reason = failure.partition("\n")[0]
            text = f"This chapter could not be executed in this build.\n\n```{{code-block}} text\n{reason}\n```"
        path.with_suffix(".md").write_text(f"{title}\n\n{text}\n", encoding="utf-8")


def _offer_downloads(pages, settings, current, target, extra):
    folder = target / "downloads"
    folder.mkdir()
    offered = []
    results = results_in(finished_results(pages, settings, current))
    for title, path in extra:
        shutil.copy(path, folder)
        offered.append((title, {path.suffix.lstrip("."): path.name}))
    for page in pages:
        if page.is_chapter and page.name in current:
            notebook = nbformat.read(target / f"{page.document}.ipynb", as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = plain_text(cell.source, page.name, results)
            nbformat.write(notebook, folder / f"{page.name}.ipynb")
            shutil.copy(settings.finished(page) / "products" / "results.json", folder / f"{page.name}.json")
            offered.append((page.name, {"notebook": f"{page.name}.ipynb", "results": f"{page.name}.json"}))
    return offered


def imprint(root):
    """Return the foot of every page: authors, version, date, commit and licenses; nothing without a citation."""
    path = root / "CITATION.cff"
    if not path.exists():
        return ""
    cited = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = ", ".join(
        " ".join(filter(None, map(each.get, ("given-names", "family-names", "name")))) for each in cited["authors"]
    )
    commit = commit_of(root)
    commit = commit if commit.startswith("commit") else f"commit {commit}"
    made = f"version {cited['version']} of {cited['date-released']}, {commit}"
    return f"<p>{escape(names)}, {escape(made)}. Text and figures: CC BY 4.0; code: MIT.</p>"


def _write_configuration(root, target, footer):
    configuration = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    configuration.setdefault("execute", {})["execute_notebooks"] = "off"
    configuration.setdefault("html", {})["extra_footer"] = footer
    if address := os.environ.get("LUX_SITE_URL"):
        # Where the site will stand: each page then names its own address, so that copies do not compete with it.
        configuration["html"]["baseurl"] = address
    extensions = configuration.setdefault("sphinx", {}).get("local_extensions", {})
    configuration["sphinx"]["local_extensions"] = {name: str(_MACHINERY) for name in extensions}
    (target / "_config.yml").write_text(yaml.safe_dump(configuration, allow_unicode=True), encoding="utf-8")


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)


def _tree_digest(folder):
    digest = hashlib.sha256()
    for base in (folder, _MACHINERY / "machinery", _MACHINERY / "scripts"):
        for path in sorted(base.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(base)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
