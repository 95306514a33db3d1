"""The project's own files agree with one another."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

import lux

ROOT = Path(__file__).parents[1]
# The end of the flow: nothing in the module is built on these, but the command line and the drawings.
ENDS = {"counterfactuals", "saliency", "probing", "attribution", "verdict", "record", "figures", "sources",
        "apogee_galah"}  # fmt: skip


def imports_of(path):
    """Return the rooms of `lux` that a room needs when it is imported."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lux":
            names = [node.module.split(".")[1]] if "." in node.module else [alias.name for alias in node.names]
            found.update(names)
    return found


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


def test_data_flows_one_way():
    rooms = {path.stem: imports_of(path) for path in (ROOT / "lux").glob("*.py") if path.stem != "__main__"}
    order = list(graphlib.TopologicalSorter(rooms).static_order())
    assert order.index("survey") < order.index("model") < order.index("transfer")
    rooms.pop("controls")
    for room, needed in rooms.items():
        assert not needed & ENDS, f"{room} is built on {needed & ENDS}"
