"""Build the paper: execute the chapters that changed, stage them, and turn them into the website.

Usage, from the root of the repository (`make paper` does it with the right environment):

    python book/build.py                                     the paper, from the synthetic survey
    python book/build.py --profile quick                     small and fast, for tests
    python book/build.py --dataset apogee-dr10               from another data set, or a path to a saved survey
    python book/build.py --chapters 01_data 02_lux           execute these only; others are shown where up to date
    python book/build.py --set n_stars=800                   set any parameter of the chapters

A chapter is executed again when its code cells, a definition of `lux` that it depends on, a table that it reads, its
parameters, the lock, the data or the Python version changed, and not when only its prose did. How to write one is in
CONTRIBUTING.md.
"""

import argparse
import ast
import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

import filelock
import nbformat
from machinery.chapters import read_pages, select
from machinery.data import data_digests, fetch_data
from machinery.errors import BuildError
from machinery.runner import LONGEST_CELL, PROFILES, Settings, build_chapters, is_current, paper_source
from machinery.site import build_pdf, build_site
from machinery.stage import executed_notebook, stage


def main(arguments=None):
    """Build what the command line asks for; return the exit status."""
    options = _parse(arguments)
    settings = Settings(
        root=options.root.resolve(),
        dataset=str(Path(options.dataset).expanduser().resolve()) if Path(options.dataset).suffix else options.dataset,
        profile=options.profile,
        seed=options.seed,
        parameters=options.parameters,
        jobs=options.jobs,
        threads=options.threads,
        fresh=options.fresh,
        timeout=options.timeout,
        folder=options.folder and options.folder.resolve(),
    )
    try:
        with _only_build(settings):
            failures = _build(options, settings)
    except BuildError as error:
        print(f"\nThe paper was not built.\n\n{error}", file=sys.stderr)
        return 1
    return 1 if failures else 0


def _build(options, settings):
    """Build what can be built; return what became of chapters that failed, by name."""
    started = time.monotonic()
    # Results that are there are of an earlier build, and of none that fails.
    (settings.build / "results" / "variant.txt").unlink(missing_ok=True)
    pages = read_pages(settings.root)
    chosen = select(pages, options.chapters)
    package = paper_source(settings)
    data = data_digests(settings)
    if stale := [page for page in chosen if not is_current(page, settings, package, data)]:
        fetch_data(settings, print, assembled=not all(page.any_data_set for page in stale))
        data = data_digests(settings)
    failures = build_chapters(chosen, select(pages, []), settings, say=_say)
    if failures:
        print("\nChapters that failed:\n\n" + "\n\n".join(failures.values()) + "\n", file=sys.stderr, flush=True)
    current = {page.name for page in select(pages, []) if is_current(page, settings, package, data)}
    if failures and not current:
        raise BuildError("no chapter could be executed")
    results = _collect(pages, settings, current)
    print(f"Results: {results}")
    if options.only_chapters:
        return failures
    partial = any(page.name not in current for page in select(pages, []))
    pdf = []
    if options.pdf:
        staged, digest = stage(pages, settings, package, current, failures)
        pdf = [("the paper as one PDF", build_pdf(staged, digest, settings, print))]
        print(f"PDF: {pdf[0][1]}")
    staged, digest = stage(pages, settings, package, current, failures, pdf)
    first_page = build_site(staged, digest, settings, strict=not partial, say=print)
    if failures:
        print(f"Without {', '.join(failures)}, which failed as said above.", file=sys.stderr)
    print(f"Built in {time.monotonic() - started:.1f} s. Open {first_page}")
    return failures


def _collect(pages, settings, current):
    """Gather the results and executed notebooks of this build in two folders, without any of earlier ones."""
    for name in ("results", "notebooks"):
        shutil.rmtree(settings.build / name, ignore_errors=True)
        (settings.build / name).mkdir()
    for page in select(pages, []):
        if page.name in current:
            products = settings.finished(page) / "products"
            shutil.copy(products / "results.json", settings.build / "results" / f"{page.name}.json")
            nbformat.write(executed_notebook(page, settings), settings.build / "notebooks" / f"{page.name}.ipynb")
    (settings.build / "results" / "variant.txt").write_text(settings.variant)
    return settings.build / "results"


@contextlib.contextmanager
def _only_build(settings):
    _require_places(settings)
    settings.build.mkdir(parents=True, exist_ok=True)
    try:
        held = filelock.FileLock(settings.build / ".lock").acquire(timeout=0)
    except filelock.Timeout as error:
        raise BuildError(f"another build is at work in {settings.root}; wait for it to end") from error
    with held:
        yield


def _require_places(settings):
    """Raise BuildError if the root is that of no book, or what is there would be removed and is not of a build."""
    if not (settings.root / "_toc.yml").is_file():
        raise BuildError(f"{settings.root} is the root of no book: it has no _toc.yml; see --root")
    if settings.build.exists() and not settings.build.is_dir():
        raise BuildError(f"{settings.build} is a file; remove it, or give another --folder")
    # The usual folder is a build's, whatever is in it.
    given = settings.build if settings.folder else None
    if given and given.is_dir() and any(given.iterdir()) and not (given / ".lock").exists():
        what = f"{settings.build} holds what no build has made, and much of it would be removed"
        raise BuildError(f"{what}: give an empty --folder, or a new one")


def _say(line):
    print(line, flush=True)


def _parameter(text):
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected name=value, got {text!r}")
    if name in ("dataset", "profile", "seed"):
        raise argparse.ArgumentTypeError(f"what is built is named after the {name}: give it as --{name} {value}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(text)


def _parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", default="synthetic", help='"synthetic", "apogee-dr10", "apogee-galah" or the path of a survey')
    add("--profile", choices=sorted(PROFILES), default="paper", help="how much is computed (default: paper)")
    add("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    add(
        "--set",
        dest="parameters",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of the chapters; an unknown name is an error",
    )
    add("--chapters", nargs="*", default=[], metavar="NAME", help="execute these chapters only (default: all)")
    add("--only-chapters", action="store_true", help="stop after executing: no website")
    add("--pdf", action="store_true", help="also print the book to _build/paper.pdf (needs Chromium)")
    add("--fresh", action="store_true", help="execute even what is up to date")
    add("--jobs", type=_count, default=min(2, os.cpu_count() or 1), help="chapters executed at a time (default: 2)")
    add("--threads", type=_count, default=1, help="of linear algebra in a chapter (default: 1, as in the reference)")
    add(
        "--timeout", type=_count, default=LONGEST_CELL, help=f"seconds that one cell may take (default: {LONGEST_CELL})"
    )
    add("--folder", type=Path, help="where everything that is built goes (default: _build at the root of the book)")
    add("--root", type=Path, default=Path(__file__).resolve().parents[1], help="root of the book")
    options = parser.parse_args(arguments)
    options.parameters = dict(options.parameters)
    return options


if __name__ == "__main__":
    sys.exit(main())
