"""Execute the chapters whose inputs changed, keep the others, and leave only whole products behind."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import jupytext

from lux.store.dependencies import Package
from machinery.data import data_digests
from machinery.errors import BuildError

PROFILES = {"paper": {"n_stars": 4000}, "quick": {"n_stars": 600}}

# Raised when the executor changes what a chapter's products are.
_FORMAT = 1
# Folder of compiled programs.
_PROGRAMS = "programs"
# What the stamp of a finished chapter has.
_STAMPED = {"key_parts", "products", "seconds", "peak_memory_mb"}
# Seconds: it ends what hangs, and must let the longest cell finish on a slow machine that does something else besides.
LONGEST_CELL = 3 * 3600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the paper is built from; `parameters` adds to or overrides the standard ones."""

    root: Path
    dataset: str = "synthetic"
    profile: str = "paper"
    seed: int = 0
    parameters: dict = field(default_factory=dict)
    jobs: int = 1
    threads: int = 1
    fresh: bool = False
    timeout: int = LONGEST_CELL
    folder: Path | None = None

    @property
    def build(self):
        """Folder of everything built."""
        return self.folder or self.root / "_build"

    @property
    def variant(self):
        """Name of this combination of data set and profile, for folders."""
        return f"{Path(self.dataset).stem}-{self.profile}"

    @property
    def chapters(self):
        """Folder of the finished chapters of all data sets and profiles."""
        return self.build / "chapters"

    def finished(self, page):
        """Folder of a finished chapter, that of the profile alone where the chapter is the same for all data sets."""
        return self.chapters / (self.profile if page.any_data_set else self.variant) / page.name

    def for_chapter(self, page):
        """Parameters of a chapter.

        Raises
        ------
        BuildError
            If one is not declared in the parameters cell of the chapter.
        """
        standard = {"profile": self.profile, "seed": self.seed, **PROFILES[self.profile]}
        if not page.any_data_set:
            standard = {"dataset": self.dataset, **standard}
        given = {**standard, **self.parameters}
        unknown = [name for name in given if name not in page.parameters]
        if unknown:
            known = ", ".join(sorted(page.parameters))
            raise BuildError(f"{page.name}: there is no parameter {', '.join(unknown)}; its parameters are {known}")
        return given


def paper_source(settings):
    """Return the source that chapters depend on: `lux`, and the modules of the pages."""
    return Package(settings.root / "lux", settings.root / "book" / "lux_pages")


def key_parts(page, settings, package, data):
    """Everything that the products of a chapter depend on; prose is not among it."""
    code = "\n# %%\n".join(cell.source for cell in page.code_cells)
    definitions = package.dependencies(_plain_python(code))
    return {
        "format": _FORMAT,
        "cells": _hash(code),
        "definitions": {f"{module}.{symbol}": digest for (module, symbol), digest in sorted(definitions.items())},
        "tables and style": package.data_files(definitions),
        "parameters": settings.for_chapter(page),
        "lock": _hash_file(settings.root / "requirements.lock"),
        "data": {} if page.any_data_set else data,
        "python": platform.python_version(),
    }


def build_chapters(chapters, all_chapters, settings, say=print):
    """Execute what must be executed, `settings.jobs` chapters at a time, and report each in a line.

    Products whose chapters are not among `all_chapters`, those of the book, are removed: of this variant and, where
    they are the same for all data sets, of this profile.

    Returns
    -------
    dict of str to str
        Why chapters failed, by name; the first line says where and how.
    """
    sources = _sources(settings)
    package = paper_source(settings)
    data = data_digests(settings)
    for page in chapters:
        settings.for_chapter(page)
    kept = {settings.finished(page) for page in all_chapters}
    for folder in (settings.chapters / settings.variant, settings.chapters / settings.profile):
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in set(folder.iterdir()) - kept:
            shutil.rmtree(abandoned) if abandoned.is_dir() else abandoned.unlink()
    programs = settings.build / _PROGRAMS
    # What is left of a build that was killed may be half-written.
    shutil.rmtree(programs, ignore_errors=True)
    progress = iter(range(1, len(chapters) + 1))
    parts = {page.name: key_parts(page, settings, package, data) for page in chapters}
    todo = [page for page in chapters if _reason(page, settings, parts[page.name])]
    workers = max(1, (os.cpu_count() or 1) // max(1, min(settings.jobs, len(todo))))

    def build(page):
        try:
            line = _build_chapter(page, settings, parts[page.name], workers, sources)
        except BuildError as error:
            say(f"[{next(progress)}/{len(chapters)}] {page.name:<22} FAILED")
            return str(error)
        say(f"[{next(progress)}/{len(chapters)}] {page.name:<22} {line}")
        return None

    chapters = _longest_first(chapters, settings)
    with ThreadPoolExecutor(settings.jobs) as pool:
        outcomes = dict(zip((page.name for page in chapters), pool.map(build, chapters), strict=True))
    shutil.rmtree(programs, ignore_errors=True)
    return {name: failure for name, failure in outcomes.items() if failure}


def _longest_first(chapters, settings):
    """Order chapters by how long each took when the reference was made, so that no core waits for the last one."""
    path = settings.root / "results" / "origin.json"
    origin = json.loads(path.read_text(encoding="utf-8")).get(settings.variant, {}) if path.exists() else {}
    seconds = origin.get("seconds", {})
    return sorted(chapters, key=lambda page: -seconds.get(page.name, 0))


def stamp_of(page, settings):
    """Return the stamp of a finished chapter, or None if there is none that can be read."""
    try:
        stamp = json.loads((settings.finished(page) / "stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and stamp.keys() >= _STAMPED else None


def finished_results(pages, settings, names):
    """Return the files of results of the chapters of these names."""
    return [settings.finished(page) / "products" / "results.json" for page in pages if page.name in names]


def is_current(page, settings, package, data):
    """Whether the finished products of a chapter are those of its present inputs."""
    stamp = stamp_of(page, settings)
    if not stamp or stamp["products"] != _checksums(settings.finished(page)):
        return False
    return stamp["key_parts"] == _as_json(key_parts(page, settings, package, data))


def _checksums(folder):
    """Return the SHA-256 of all that a finished chapter shows, by path in its folder."""
    paths = [folder / "executed.ipynb", *sorted((folder / "products").rglob("*"))]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file()
    }


def _reason(page, settings, parts):
    """Say why a chapter must be executed, or return None."""
    stamp = stamp_of(page, settings)
    if settings.fresh:
        return "asked for"
    reason = _difference(stamp and stamp["key_parts"], _as_json(parts))
    if not reason and stamp["products"] != _checksums(settings.finished(page)):
        return "what it had shown was changed or lost"
    return reason


def _sources(settings):
    """Return what tells whether a file was written since: those of the package and its pages, and of the data."""
    folders = (settings.root / "lux", settings.root / "book" / "lux_pages")
    files = [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    states = ((path, path.stat()) for path in [*files, Path(settings.dataset)] if path.is_file())
    return {path: (state.st_mtime_ns, state.st_size) for path, state in states}


def _build_chapter(page, settings, parts, workers, sources):
    stamp = stamp_of(page, settings)
    parts = _as_json(parts)
    reason = _reason(page, settings, parts)
    if not reason:
        return f"{stamp['seconds']:7.1f} s {stamp['peak_memory_mb']:6d} MB  kept"
    final = settings.finished(page)
    folder = final.with_name(f".{page.name}-{os.getpid()}")
    folder.mkdir()
    _discard(final)
    outcome = _execute(page, settings, parts["parameters"], folder, workers)
    _check_products(page, folder)
    if sources != _sources(settings):
        now = _as_json(key_parts(page, settings, paper_source(settings), data_digests(settings)))
        if changed := _difference(parts, now):
            raise BuildError(f"{page.name}: {changed} while it was executed; build again")
    stamp = {**outcome, "key": _hash(json.dumps(parts, sort_keys=True)), "key_parts": parts}
    stamp["products"] = _checksums(folder)
    (folder / "stamp.json").write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    # Only now, whole, does the run get the name under which results are looked for.
    folder.rename(final)
    return f"{outcome['seconds']:7.1f} s {outcome['peak_memory_mb']:6d} MB  executed: {reason}"


def _discard(final):
    """Remove stale products; the rename makes sure that a killed removal leaves none under the chapter's name."""
    if final.exists():
        doomed = final.with_name(f".{final.name}-stale-{os.getpid()}")
        final.rename(doomed)
        shutil.rmtree(doomed)


def _execute(page, settings, parameters, folder, workers):
    notebook = folder / "source.ipynb"
    jupytext.write(page.notebook, notebook)
    specification = {
        "notebook": str(notebook),
        "folder": str(folder),
        "parameters": parameters,
        "timeout": settings.timeout,
    }
    (folder / "specification.json").write_text(json.dumps(specification), encoding="utf-8")
    command = [sys.executable, str(Path(__file__).with_name("execute.py")), str(folder / "specification.json")]
    with open(folder / "log.txt", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(settings, folder, workers),
            cwd=folder,
        )
        process.wait()
        process.stdin.close()
    outcome_path = folder / "outcome.json"
    if not outcome_path.exists():
        tail = (folder / "log.txt").read_text(errors="replace").splitlines()[-15:]
        shown = "\n".join(tail)
        raise BuildError(f"{page.name}: its process ended without a word (status {process.returncode})\n{shown}")
    outcome = json.loads(outcome_path.read_text(encoding="utf-8"))
    if outcome["failure"]:
        raise BuildError(_describe_failure(page, settings, outcome["failure"], folder))
    return {name: outcome[name] for name in ("seconds", "peak_memory_mb")}


def _environment(settings, folder, workers):
    """Return the variables of a chapter's process.

    Its libraries use so many threads as the settings say, whatever machine this is and whatever runs beside it: sums
    are rounded by how many share them. Trials may have more worker processes, each of one thread. Start-up files and
    drawing settings of the user are no part of the paper.
    """
    threads = settings.threads
    search_path = [str(settings.root), str(settings.root / "book"), *filter(None, [os.environ.get("PYTHONPATH")])]
    flags = [os.environ.get("XLA_FLAGS", "")] + ["--xla_cpu_multi_thread_eigen=false"] * (threads == 1)
    return {
        "JAX_PLATFORMS": "cpu",
        **os.environ,
        "IPYTHONDIR": str(settings.build / "ipython"),
        "MATPLOTLIBRC": os.devnull,
        "PYTHONSTARTUP": "",
        # No kernel of the user's own: the one that is installed beside this Python.
        "JUPYTER_PATH": "",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "LUX_PRODUCTS": str(folder / "products"),
        "LUX_STORE": str(settings.build / "store"),
        "LUX_WORKERS": str(workers),
        # What one chapter has compiled the others read, while this build lasts. The largest size makes JAX lock files.
        "JAX_COMPILATION_CACHE_DIR": str(settings.build / _PROGRAMS),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(1 << 30),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONPATH": os.pathsep.join(search_path),
        "PYTHONHASHSEED": "0",
        "XLA_FLAGS": " ".join(filter(None, flags)),
        # Arrays of a survey are taken from the heap again and not from the system, page by page, and its pages are
        # large: a third of the time in which spectra are synthesized. Other systems do not read these.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
        **{f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
    }


def _describe_failure(page, settings, failure, folder):
    where = f"{page.name}: "
    if failure["cell"] is not None:
        line = page.line_of_code_cell(failure["cell"])
        where += f"code cell {failure['cell'] + 1} (line {line} of {page.document}.md) "
    kept = settings.build / "failed" / f"{page.name}.ipynb"
    if (folder / "executed.ipynb").exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "executed.ipynb", kept)
    trace = "\n".join(f"    {line}" for line in failure["traceback"])
    return f"{where}failed with {failure['error']}\n{trace}\n    The notebook up to there: {kept}"


def _check_products(page, folder):
    products = folder / "products"
    if not (products / "results.json").exists():
        raise BuildError(f"{page.name}: wrote no results; its last cell must call record.provenance()")
    tables = json.loads((products / "tables.json").read_text(encoding="utf-8"))
    missing = [f"table {name}" for name in page.placed("table") if name not in tables]
    for name in page.placed("figure"):
        files = [products / "figures" / f"{name}{suffix}" for suffix in (".png", ".svg", ".json")]
        missing += [f"figure {name}"] * (not all(file.exists() for file in files))
    if missing:
        raise BuildError(f"{page.name}: the page shows what no cell recorded: {', '.join(missing)}")


def _difference(old, new):
    """Say in a few words what changed, or return None."""
    if old == new:
        return None
    if not old:
        return "not there yet"
    changed = [name for name in new if old.get(name) != new[name]]
    if changed == ["definitions"]:
        names = {**old["definitions"], **new["definitions"]}
        moved = [name for name in names if old["definitions"].get(name) != new["definitions"].get(name)]
        shown = ", ".join(name.rstrip(".") for name in moved[:3])
        return f"{shown}{' and more' if len(moved) > 3 else ''} changed"
    return f"{', '.join(changed)} changed"


def _plain_python(code):
    """Make code with IPython magics readable for the parser; what a magic runs is unknown, so it counts as anything."""
    lines = []
    for line in code.splitlines():
        command = line.lstrip()
        indent = line[: len(line) - len(command)]
        if command.startswith(("%matplotlib", "%config")):
            line = f"{indent}pass"
        elif command.startswith(("%", "!")):
            line = f"{indent}globals()"
        lines.append(line)
    return "\n".join(lines)


def _as_json(content):
    return json.loads(json.dumps(content))


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_file(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
