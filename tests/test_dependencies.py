"""What a piece of code depends on, whatever way it reaches it; and everything where reading does not tell."""

import ast
from pathlib import Path

import pytest

from lux.store.dependencies import Package, data_files_digest

LAZY = "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n"
SHAPE = """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from lux.registry import use
try:
    from lux.base import scale
except ImportError:
    scale = None
class Shape:
    sides = 4
    @classmethod
    def square(cls, side: "use"):
        return scale(side)
def area(side):
    return side * side
"""
EVERYTHING = {
    ("lux.sources", "load"),
    ("lux.deep", "OTHER"),
    ("lux.base", "idle"),
    ("lux.registry", "plugin"),
    ("lux.figures.panels", "panel"),
    ("lux.room.shape", "area"),
    ("lux.dynamic", "any_module"),
}


@pytest.fixture
def package(tmp_path):
    sources = {
        "__init__": LAZY,
        "sources": "def load():\n    from lux.deep import TABLE\n    return TABLE\n",
        "deep": "from . import base\nTABLE = base.scale(3)\nOTHER = 1\n",
        "base": "FACTOR = 2\ndef scale(x):\n    return FACTOR * x\ndef idle():\n    return 0\nprint('imported')\n",
        "registry": "from lux import base\nfound = {}\ndef register(f):\n    found[f.__name__] = f\n    return f\n"
        "@register\ndef plugin():\n    return base.idle()\ndef use():\n    return found\n",
        "dynamic": "import importlib\ndef any_module(name):\n    return importlib.import_module(name)\n",
    }
    folder = tmp_path / "lux"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "__init__.py").write_text("from . import panels\ndef draw():\n    return panels.panel()\n")
    (folder / "figures" / "panels.py").write_text("from ..base import scale\ndef panel():\n    return scale(1)\n")
    for name, text in sources.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "__init__.pyi").write_text("from .sources import load as load\n")
    (folder / "room").mkdir()
    (folder / "room" / "__init__.py").write_text(LAZY)
    (folder / "room" / "__init__.pyi").write_text(
        "from .shape import Shape as Shape\nfrom .shape import area as area\n"
    )
    (folder / "room" / "shape.py").write_text(SHAPE)
    return Package(folder)


@pytest.mark.parametrize(
    "code",
    [
        "import lux\nlux.load()",
        "from lux import load\nload()",
        "from lux import sources as s\ns.load()",
        "import lux.sources\nlux.sources.load()",
        "def later():\n    from lux.sources import load\n    return load()",
    ],
)
def test_every_way_of_importing_leads_to_what_it_uses_and_not_further(package, code):
    found = package.dependencies(code)
    used = {("lux.sources", "load"), ("lux.deep", "TABLE"), ("lux.base", "scale"), ("lux.base", "FACTOR")}
    assert used <= found.keys()
    assert ("lux.base", "") in found
    assert not {("lux.base", "idle"), ("lux.deep", "OTHER")} & found.keys()


def test_a_module_imported_whole_counts_only_for_what_is_used_of_it(package):
    found = package.dependencies("from lux import base as b\nb.scale(2)")
    assert ("lux.base", "scale") in found
    assert ("lux.base", "idle") not in found


def test_relative_imports_in_subpackages_are_followed(package):
    found = package.dependencies("from lux import figures\nfigures.draw()")
    assert {("lux.figures", "draw"), ("lux.figures.panels", "panel"), ("lux.base", "FACTOR")} <= found.keys()


def test_what_a_decorator_registers_counts_as_run_on_import(package):
    assert ("lux.base", "idle") in package.dependencies("from lux.registry import use")


def test_an_import_by_computed_name_depends_on_the_whole_package(package):
    found = package.dependencies("from lux.dynamic import any_module\nany_module('lux.base')")
    assert EVERYTHING <= found.keys()


def test_docstrings_and_comments_do_not_change_a_definition(tmp_path):
    digests = []
    versions = ('"""One."""\ndef f():\n    """Old."""\n    return 1\n', "# two\ndef f():\n    return 1\n")
    for number, text in enumerate(versions):
        folder = tmp_path / str(number) / "lux"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "m.py").write_text(text)
        digests.append(Package(folder).dependencies("from lux.m import f")["lux.m", "f"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "code",
    [
        "import lux\nlux.room.area(2)",
        "from lux import room\nroom.area(2)",
        "from lux import room as r\nr.area(2)",
        "from lux.room import area as a\na(2)",
        "import lux.room\nlux.room.area(2)",
        "import lux.room as r\nr.area(2)",
    ],
)
def test_a_name_that_a_stub_opens_leads_to_its_definition_alone(package, code):
    found = package.dependencies(code)
    assert {("lux.room.shape", "area"), ("lux.room.shape", ""), ("lux.room", "")} <= found.keys()
    assert not {("lux.room.shape", "Shape"), ("lux.base", "idle"), ("lux.deep", "OTHER")} & found.keys()


@pytest.mark.parametrize(
    "code", ["from lux.room import Shape\nShape.square(1)", "from lux import room\nroom.Shape.sides"]
)
def test_a_class_counts_whole_with_what_its_methods_use(package, code):
    found = package.dependencies(code)
    assert {("lux.room.shape", "Shape"), ("lux.base", "scale"), ("lux.base", "FACTOR")} <= found.keys()
    assert ("lux.room.shape", "area") not in found


def test_imports_for_the_type_checker_are_no_dependency(package):
    assert ("lux.registry", "use") not in package.dependencies("from lux.room import Shape")


def test_a_package_handed_on_as_a_value_counts_with_all_that_it_holds(package):
    found = package.dependencies("from lux import room\ngetattr(room, name)")
    assert {("lux.room.shape", "area"), ("lux.room.shape", "Shape")} <= found.keys()
    assert ("lux.deep", "OTHER") not in found


@pytest.mark.parametrize(
    "code",
    [
        "import lux\nlux.no_such_name",
        "from lux.room import no_such_name",
        "from lux.no_such_module import name",
        "from lux.base import *",
        "import lux\nvars(lux)",
    ],
)
def test_what_cannot_be_resolved_counts_as_everything(package, code):
    assert EVERYTHING <= package.dependencies(code).keys()


def test_a_relative_import_of_all_names_counts_as_everything(package):
    (package.folder / "greedy.py").write_text("from .base import *\nVALUE = 1\n")
    assert EVERYTHING <= Package(package.folder).dependencies("from lux.greedy import VALUE").keys()


def test_names_of_the_real_package_lead_where_they_are_defined():
    package = Package(Path(__file__).parents[1] / "lux")
    for code, definition in {
        "import lux\nlux.Survey.load(path)": ("lux.survey", "Survey"),
        "import lux\nlux.auditing.Report": ("lux.auditing.report", "Report"),
        "from lux import controls\ncontrols.cells()": ("lux.controls.ensemble", "cells"),
        "from lux.models import gauge": ("lux.models.gauge", ""),
    }.items():
        found = package.dependencies(code)
        assert definition in found, code
        assert ("lux.datasets.sdist", "obtain_archive") not in found, code


def test_aliases_of_a_chapter_are_given_with_their_modules(package):
    tree = ast.parse("import lux\nfrom lux.room import area as a\nimport numpy as np")
    assert package.aliases(tree) == {"lux": ("lux", None), "a": ("lux.room", "area")}


def test_the_digest_of_data_files_changes_with_them_and_not_with_code(tmp_path):
    (tmp_path / "table.csv").write_text("1")
    (tmp_path / "code.py").write_text("1")
    first = data_files_digest(tmp_path)
    (tmp_path / "code.py").write_text("2")
    assert data_files_digest(tmp_path) == first
    (tmp_path / "table.csv").write_text("2")
    assert data_files_digest(tmp_path) != first


def test_a_data_file_counts_where_its_name_stands_and_everywhere_if_it_stands_nowhere(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "__init__.py").write_text("")
    (pages / "tables.py").write_text(
        "TABLE = {'all': 'table.csv'}\ndef read():\n    return TABLE\ndef draw():\n    return 1\n"
    )
    (pages / "table.csv").write_text("1")
    package = Package(pages)

    def files(name):
        return package.data_files(package.dependencies(f"from pages import tables\ntables.{name}()"))

    assert set(files("read")) == {"pages/table.csv"}
    assert not files("draw")
    (pages / "style").write_text("1")
    assert set(files("draw")) == {"pages/style"}
    before = files("read")
    (pages / "table.csv").write_text("2")
    assert {name for name in before if before[name] != files("read")[name]} == {"pages/table.csv"}
