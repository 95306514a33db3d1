"""The pages on the package say what the package is: its rooms, its files, its public names."""

import importlib
import re
from pathlib import Path

import pytest
from machinery.architecture import draw_rooms, room_imports, rooms_from_the_top

import lux
from lux.store.dependencies import Package

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "book" / "architecture.md").read_text(encoding="utf-8")
API = re.findall(r"^\.\. auto\w+:: (\S+)", (ROOT / "book" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def package():
    return Package(ROOT / "lux")


def test_every_import_between_rooms_goes_down_and_is_in_the_picture(package, tmp_path):
    place = {room: number for number, room in enumerate(rooms_from_the_top(ROOT))}
    counts = room_imports(package)
    assert counts["auditing", "spectroscopy"] > 0
    assert all(place[importer] < place[imported] for importer, imported in counts)
    draw_rooms(package, tmp_path)
    assert (tmp_path / "figures" / "rooms.svg").exists()


def test_the_table_of_rooms_has_all_of_them_in_their_order():
    table = ARCHITECTURE.split(":name: tab-architecture-rooms")[1].split(":::")[0]
    rows = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\* - (.*)$", table, re.MULTILINE)]
    listed = [room for row in rows for room in row]
    assert listed == [room for room in rooms_from_the_top(ROOT) if room != "__main__"]


def test_every_module_has_a_test_file_of_its_name():
    """Those of figures are tested by groups of chapters, as their names are also those of other modules."""
    modules = {path.stem for path in (ROOT / "lux").rglob("*.py") if path.parent.name != "figures"}
    named = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert modules - named == {"__init__", "__main__"}


def test_files_and_modules_that_the_page_names_exist():
    paths = re.findall(r"`((?:lux|book|tools|results)/[\w/.]+)`", ARCHITECTURE)
    assert len(paths) > 12
    assert [path for path in paths if not (ROOT / path).exists()] == []
    table = ARCHITECTURE.split(":name: tab-architecture-rooms")[1].split(":::")[0]
    for row in re.findall(r"^\* - `(\w+)`\n  - [^`]*?\n  - (.*?)(?=^\* - |\Z)", table, re.MULTILINE | re.DOTALL):
        modules = re.findall(r"`(\w+)`", row[1])
        assert [module for module in modules if not (ROOT / "lux" / row[0] / f"{module}.py").exists()] == [], row[0]


def test_the_page_of_public_names_has_those_of_lux_and_each_can_be_had():
    assert set(lux.__all__) <= {name.removeprefix("lux.") for name in API}
    for name in API:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name
