"""The project's own files agree with one another."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

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
