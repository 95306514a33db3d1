"""The project's own files agree with one another."""

import doctest
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from importlinter.cli import lint_imports
from lint_book import bibliography_keys, lint_page
from machinery.report import bibtex_entry

import lux

ROOT = Path(__file__).parents[1]


def test_the_lock_has_hashes_and_names_no_index_and_no_path():
    lock = (ROOT / "requirements.lock").read_text()
    assert lock.count("--hash=sha256:") > lock.count("==")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|(^|\s)/|file:", lock)


def test_the_conda_environment_pins_what_the_lock_pins():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^ {6}- ([\w-]+)==(\S+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE)
    assert len(pins) > 10
    for name, version in pins:
        assert re.search(rf"^{name}=={re.escape(version)}\b", lock, re.MULTILINE), name


def test_the_version_is_the_same_wherever_it_is_read():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.search(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation["version"] == lux.__version__ == released[1]
    assert str(citation["date-released"]) == released[2]
    assert f"version = {{{lux.__version__}}}" in bibtex_entry(ROOT / "CITATION.cff")
    deposit = json.loads((ROOT / ".zenodo.json").read_text())
    for key, same in {"title": "title", "version": "version", "keywords": "keywords"}.items():
        assert deposit[key] == citation[same]
    assert deposit["publication_date"] == str(citation["date-released"])
    assert [each["name"] for each in deposit["creators"]] == [each["name"] for each in citation["authors"]]


@pytest.fixture(scope="module")
def unpacked_wheel(tmp_path_factory):
    """A folder with what a wheel of this checkout installs, built without network."""
    source, folder = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    shutil.copytree(ROOT / "lux", source / "lux", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, folder], cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("lux_paper-*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def run_outside(folder, code):
    """Run code in a folder outside the checkout, with the package of `folder` only; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_every_file_of_the_package(unpacked_wheel):
    def files(root):
        found = {path.relative_to(root) for path in (root / "lux").rglob("*") if path.is_file()}
        # Another test may have imported it from there.
        return {path for path in found if "__pycache__" not in path.parts}

    assert files(unpacked_wheel) == files(ROOT)
    metadata = next(unpacked_wheel.glob("*.dist-info/METADATA")).read_text()
    assert f"\nVersion: {lux.__version__}\n" in metadata
    assert "lux = lux.__main__:main" in next(unpacked_wheel.glob("*.dist-info/entry_points.txt")).read_text()


@pytest.mark.slow
@pytest.mark.slow
def test_every_module_of_a_wheel_is_imported_outside_the_checkout(unpacked_wheel):
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "lux").rglob("*.py")
    }
    code = f"""
import importlib, sys
for name in {sorted(modules)}:
    assert importlib.import_module(name).__file__.startswith({str(unpacked_wheel)!r}), name
import lux
print([getattr(lux, name).__name__ for name in lux.__all__])
"""
    assert "Survey" in run_outside(unpacked_wheel, code)


def test_importing_lux_imports_no_library_of_computation(unpacked_wheel):
    loaded = run_outside(unpacked_wheel, "import sys, lux; print(*sys.modules)").split()
    assert "lux" in loaded
    assert not {"numpy", "jax", "scipy", "sklearn", "astropy", "matplotlib", "h5py"} & set(loaded)


def test_every_exported_name_can_be_had():
    for name in lux.__all__:
        assert getattr(lux, name) is not None
    with pytest.raises(AttributeError, match="Luxury"):
        _ = lux.Luxury


def test_imports_go_down_and_no_module_stands_outside_the_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0
    layers = {name for row in settings["tool"]["importlinter"]["contracts"][0]["layers"] for name in row.split(" | ")}
    rooms = {
        f"lux.{path.stem}"
        for path in (ROOT / "lux").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert layers == rooms - {"lux.__init__"}


def test_the_public_surface_is_small_and_can_be_had():
    names = []
    for path in sorted((ROOT / "lux").rglob("__init__.py")):
        room = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
        names += [getattr(room, name) for name in getattr(room, "__all__", ())]
    assert 60 < len(names) <= 120


def test_the_examples_in_docstrings_give_what_they_show():
    shown = [path for path in sorted((ROOT / "lux").rglob("*.py")) if ">>>" in path.read_text()]
    assert shown
    for path in shown:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0, path


WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_reads_only_and_runs_actions_that_nobody_can_change(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_numbers_of_the_audit_in_the_readme_are_results_of_the_controls():
    results, on_trial = (
        json.loads((ROOT / "results" / f"{name}.json").read_text())["results"]
        for name in ("08_controls", "audit_on_trial")
    )
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text())
    quoted = re.findall(r"\d+ of \d+", readme)
    keys = ("false_told_4000", "false_blind_4000", "told_known_physical")
    now = (on_trial[f"all_false_{how}"] for how in ("told", "blind"))
    assert quoted == [each["text"].split(" (")[0] for each in (*(results[key] for key in keys), *now)]
    assert f"on {results['grid_worlds']['text']} synthetic surveys" in readme


def test_the_skeleton_of_a_chapter_passes_the_lint_and_imports_what_there_is():
    (skeleton,) = re.findall(r"^````md\n(.*?)^````$", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)
    keys = bibliography_keys(ROOT / "book" / "references.bib")
    assert lint_page(skeleton, "NN_name", keys) == []
    for line in re.findall(r"^from lux.*$", skeleton, re.MULTILINE):
        exec(line, {})


def test_the_hooks_run_what_the_lint_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][-1]["hooks"]
    lint = (ROOT / "Makefile").read_text().replace("$(RUN)", ".venv/bin/python").replace("$(VENV)", ".venv")
    for hook in hooks:
        program = hook["entry"].removesuffix(" --force-exclude")
        assert program.replace(".venv/bin/ruff", ".venv/bin/python -m ruff") in lint, hook["id"]


def test_what_names_a_source_file_of_the_module_names_one_that_is_there():
    """A rename must not silently stop the fetching of data, the report of what was fetched, or the workflow's cache."""
    named = 0
    for place in ("book/machinery/data.py", "book/machinery/report.py", ".github/workflows/paper.yml", "README.md"):
        text = re.sub(r'"\s*/\s*"', "/", (ROOT / place).read_text())
        for path in re.findall(r"lux/[\w/]+(?:\.py)?\b", text):
            if path not in ("lux/record",):
                assert (ROOT / path).exists(), f"{place} names {path}"
                named += 1
    assert named > 3
