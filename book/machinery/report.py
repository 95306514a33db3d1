"""The build's report on itself, for the reproducibility page: read off its stamps and its sources, never typed."""

import ast
import hashlib
import json
import os
import platform
import re
import subprocess
from functools import cache
from html import escape
from importlib import metadata
from textwrap import fill

import yaml

from lux.store.dependencies import data_files_digest
from machinery.readability import acronyms, read, results_in, texts
from machinery.runner import PROFILES, finished_results, stamp_of

_REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)==\S+", re.MULTILINE)
_SHOWN = ("numpy", "scipy", "jax", "astropy", "scikit-learn", "shap", "matplotlib")
_SHOWN += ("papermill", "jupyter-book", "myst-nb")


def build_report(pages, settings, package, current, downloads):
    """Return the report: Markdown tables by name, and whether chapters are missing from `current`, a set of names."""
    chapters = [page for page in pages if page.is_chapter]
    return {
        "partial": any(page.name not in current for page in chapters),
        "chapters": _chapters_table([page for page in chapters if page.name in current], settings),
        "parameters": _parameters_table(settings),
        "versions": _versions_table(settings),
        "machines": _machines_table(settings),
        "hashes": _hashes_table(settings),
        "readability": _readability_table(pages, settings, current),
        "figures": figures_table(chapters, settings.root, package),
        "passports": {page.name: passports(page, settings, package) for page in chapters if page.name in current},
        "citation": bibtex_entry(settings.root / "CITATION.cff"),
        "downloads": "\n".join(f"- {title}: {_links(files)}" for title, files in downloads),
    }


def _links(files):
    """Return links to files of the site's folder of downloads; `files` maps their texts to their names."""
    return ", ".join(f'<a href="../downloads/{name}">{escape(text)}</a>' for text, name in files.items())


def _chapters_table(pages, settings):
    lines = ["| chapter | run time (s) | peak memory (MB) | numbers | figures | results sha256 |"]
    lines += ["|:---|---:|---:|---:|---:|:---|"]
    for page in pages:
        stamp = stamp_of(page, settings)
        results = (settings.finished(page) / "products" / "results.json").read_bytes()
        content = json.loads(results)
        lines.append(
            f"| [{page.name}]({page.name}) | {stamp['seconds']:.1f} | {stamp['peak_memory_mb']} "
            f"| {len(content['results'])} | {len(content['figures'])} | `{_short(results)}` |"
        )
    return "\n".join(lines)


def _machines_table(settings):
    """What `tools/check_machines.py` last recorded: how much of the quick paper moves under other arithmetics."""
    path = settings.root / "results" / "machines.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    lines = ["| arithmetic | identical in print | moved within | moved beyond | numerical tests |"]
    lines += ["|:---|---:|---:|---:|:---|"]
    for row in rows:
        lines.append("| {arithmetic} | {identical} | {within} | {beyond} | {tests} |".format(**row))
    return "\n".join(lines)


def _readability_table(pages, settings, current):
    """How hard each page with prose is to read; results count as what they print in this build."""
    results = results_in(finished_results(pages, settings, current))
    glossary = [page for page in pages if page.name == "glossary"]
    explained = acronyms(glossary[0].source) if glossary else set()
    lines = ["| page | words | words a sentence | numbers in 100 words | acronyms not explained |"]
    lines += ["|:---|---:|---:|---:|:---|"]
    for page in pages:
        found = read(page.source, explained, texts(results, page.name))
        if found.words >= 100:
            counts = f"{found.words} | {found.words_a_sentence:.1f} | {found.numbers_per_100_words:.1f}"
            lines.append(f"| [{page.name}]({page.name}) | {counts} | {', '.join(found.unexplained) or 'none'} |")
    return "\n".join(lines)


def _parameters_table(settings):
    rows = {
        "dataset, of chapters about one survey": settings.dataset,
        "profile": settings.profile,
        "seed": settings.seed,
    }
    rows |= PROFILES[settings.profile] | settings.parameters
    lines = ["| parameter | value |", "|:---|:---|"]
    return "\n".join(lines + [f"| {name} | `{value}` |" for name, value in rows.items()])


def _versions_table(settings):
    locked = len(_REQUIREMENT.findall(_read(settings.root / "requirements.lock")))
    rows = [("Python", platform.python_version()), ("machine", f"{platform.machine()}, {os.cpu_count()} cores")]
    rows += [("operating system", platform.system())]
    rows += [(name, metadata.version(name)) for name in _SHOWN]
    rows += [("packages in the lock", str(locked))]
    return "\n".join(["| what | version |", "|:---|:---|", *(f"| {name} | {version} |" for name, version in rows)])


def _hashes_table(settings):
    rows = [("`requirements.lock`", _short(_read(settings.root / "requirements.lock").encode()))]
    for path in sorted((settings.root / "lux").rglob("*.py")):
        rows.append((f"`{path.relative_to(settings.root)}`", _short(path.read_bytes())))
    rows.append(("tables and figure style of lux", data_files_digest(settings.root / "lux")[:16]))
    rows += [("source of the paper (git)", commit_of(settings.root))]
    pinned = re.search(r'sha256="([0-9a-f]{64})"', _read(settings.root / "lux" / "datasets" / "apogee_dr10.py"))
    if pinned:
        rows.append(("APOGEE DR10 archive, checked on reading", pinned.group(1)[:16]))
    lines = ["| what | sha256, first 16 digits |", "|:---|:---|"]
    return "\n".join(lines + [f"| {name} | `{digest}` |" for name, digest in rows])


def figures_table(chapters, root, package):
    """Return a Markdown table: figure, chapter, function that draws it, tests that name the function."""
    lines = ["| figure | chapter | function | tests |", "|:---|:---|:---|:---|"]
    for page in chapters:
        drawn = drawing_functions(page, package)
        for name in page.placed("figure"):
            shown = f"`{'.'.join(drawn[name])}`" if name in drawn else "in the chapter"
            tests = tests_of(root, package).get(drawn.get(name), [])
            more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            lines.append(
                f"| {name} | [{page.name}]({page.name}) | {shown} | {f'`{tests[0]}`' if tests else '–'}{more} |"
            )
    return "\n".join(lines)


def passports(page, settings, package):
    """Return for each figure of a chapter the function that draws it, the tests that name it, and the execution."""
    drawn = drawing_functions(page, package)
    seconds = stamp_of(page, settings)["seconds"]
    found = {}
    for name in page.placed("figure"):
        function = drawn.get(name, ())
        tests = tests_of(settings.root, package).get(function, [])
        found[name] = {"function": ".".join(function), "tests": tests, "seed": settings.seed, "seconds": seconds}
    return found


def drawing_functions(page, package):
    """Return figure name -> (module, function) for figures whose drawing is one call of a function of the package."""
    tree = ast.parse("\n".join(cell.source for cell in page.code_cells))
    aliases = package.aliases(tree)
    assigned, drawn = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                first = target.elts[0] if isinstance(target, ast.Tuple) else target
                assigned.setdefault(getattr(first, "id", None), []).append(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "figure" and len(node.args) == 2:
            figure, name = node.args
            if isinstance(figure, ast.Name):
                earlier = [assign for assign in assigned.get(figure.id, []) if assign.lineno <= node.lineno]
                figure = max(earlier, key=lambda assign: assign.lineno).value if earlier else figure
            if isinstance(figure, ast.Call) and isinstance(name, ast.Constant):
                drawn[name.value] = _package_function(figure.func, aliases, package)
    return {name: place for name, place in drawn.items() if place}


def _package_function(function, aliases, package):
    names = []
    while isinstance(function, ast.Attribute):
        names.insert(0, function.attr)
        function = function.value
    if not isinstance(function, ast.Name) or function.id not in aliases:
        return None
    module, symbol = aliases[function.id]
    path = [part for part in (*module.split("."), symbol, *names) if part]
    module, function = ".".join(path[:-1]), path[-1]
    return (module, function) if module in package.files else None


@cache
def tests_of(root, package):
    """Return the tests that name a function of the package, by (module, function)."""
    found = {}
    for path in sorted((root / "tests").glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        aliases = package.aliases(tree)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                parts = [part for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Attribute))]
                for function in {_package_function(part, aliases, package) for part in parts} - {None}:
                    found.setdefault(function, []).append(f"{path.name}::{node.name}")
    return found


def bibtex_entry(path):
    """Return the BibTeX entry of a CITATION.cff; nothing where there is none."""
    if not path.exists():
        return ""
    cited = yaml.safe_load(_read(path))
    fields = {
        "author": " and ".join(f"{{{author['name']}}}" for author in cited["authors"]),
        "title": cited["title"],
        "version": cited["version"],
        "year": str(cited["date-released"])[:4],
    }
    lines = [f"  {name:7} = {{{fill(value, 64, subsequent_indent=' ' * 13)}}}" for name, value in fields.items()]
    return "\n".join(["```bibtex", "@software{lux_paper,", ",\n".join(lines), "}", "```"])


def commit_of(root):
    try:
        shown = subprocess.run(["git", "rev-parse", "--short=16", "HEAD"], cwd=root, capture_output=True, text=True)
    except OSError:
        return "commit unknown: there is no git on this machine"
    return shown.stdout.strip() or "commit unknown: not in a repository"


def _read(path):
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _short(content):
    return hashlib.sha256(content).hexdigest()[:16]
