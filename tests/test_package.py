"""The project's own files agree with one another."""

import ast
import re
from pathlib import Path

import pytest

import lux

ROOT = Path(__file__).parents[1]
# Data flows one way: a room may import only from rooms of a lower floor.
FLOORS = [
    {"storage", "normal_equations", "prediction"},
    {"survey", "download", "instrument", "inference"},
    {"lines", "equilibrium", "record"},
    {"structure"},
    {"layers"},
    {"atmosphere"},
    {"population"},
    {"worlds"},
    {"observation"},
    {"synthetic", "apogee"},
    {"sources", "fitting"},
    {"model", "baselines"},
    {"transfer", "realism", "information", "erasure", "detection", "evidence"},
    {"counterfactuals", "saliency", "probing", "attribution"},
    {"verdict"},
]


def floor_of(module):
    return next((number for number, rooms in enumerate(FLOORS) if module in rooms), None)


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
    with pytest.raises(AttributeError, match="no attribute 'Luxury'"):
        _ = lux.Luxury


@pytest.mark.parametrize("path", sorted((ROOT / "lux").glob("*.py")), ids=lambda path: path.stem)
def test_data_flows_one_way(path):
    if path.stem in ("__init__", "__main__"):
        return
    own = floor_of(path.stem)
    assert own is not None, f"give {path.stem} a floor in this test"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lux":
            imported = [node.module.split(".")[1]] if "." in node.module else [alias.name for alias in node.names]
            for module in imported:
                floor = floor_of(module)
                assert floor is not None, f"{path.stem} imports {module}"
                assert floor < own, f"{path.stem} imports {module}"
