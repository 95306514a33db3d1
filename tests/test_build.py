"""The build: it executes what must be executed, says what failed, and never leaves an old or half-made number."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import build
import filelock
import nbformat
import pytest
from machinery import stage

ROOT = Path(__file__).resolve().parents[1]

CHAPTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

# {title}

:::{{claim}}
The value is {{glue:text}}`value`.
:::

```{{code-cell}} ipython3
:tags: [parameters]

dataset = "synthetic"
profile = "paper"
seed = 0
n_stars = 4000
```

```{{code-cell}} ipython3
{code}
```

{placed}

```{{code-cell}} ipython3
record.provenance()
```
"""
START = """\
import lux
from lux.paper.record import Record
record = Record("{name}", parameters=dict(dataset=dataset, profile=profile, seed=seed, n_stars=n_stars))
"""
PHYSICS = """\
SPEED = 299.5

def travelled(seconds):
    return SPEED * seconds

def unused():
    return 1
"""


def write_chapter(root, name, code, placed=""):
    text = CHAPTER.format(title=name, code=START.format(name=name) + code, placed=placed)
    (root / "book" / f"{name}.md").write_text(text)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run_build(root, capsys, *options):
    """Build in this process and return (status, what it printed)."""
    status = build.main(["--root", str(root), "--profile", "quick", "--jobs", "2", *options])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def executed(output):
    return {line.split()[1] for line in output.splitlines() if " executed: " in line}


def results(root, name):
    return json.loads((root / "_build" / "results" / f"{name}.json").read_text())


def page(root, name):
    text = (root / "_build" / "html" / "book" / f"{name}.html").read_text()
    # A number keeps its unit by a space that does not break.
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def built_book(tmp_path_factory):
    """A book of two chapters on a `lux` of its own, built once; tests work on copies."""
    root = tmp_path_factory.mktemp("book")
    for folder in ("lux/paper", "lux/store", "lux/figures", "book/_static"):
        (root / folder).mkdir(parents=True)
    rooms = ("paper/__init__", "paper/formats", "paper/record", "store/__init__", "store/files", "figures/values")
    for module in ("__init__", "statistics", *rooms):
        shutil.copy(ROOT / "lux" / f"{module}.py", root / "lux" / f"{module}.py")
    (root / "lux" / "__init__.pyi").write_text("from .physics import travelled as travelled\n")
    (root / "lux" / "paper" / "__init__.pyi").write_text("from .record import Record as Record\n")
    (root / "lux" / "store" / "__init__.pyi").write_text("from .files import cache_dir as cache_dir\n")
    (root / "lux" / "physics.py").write_text(PHYSICS)
    (root / "lux" / "geometry.py").write_text("def area(side):\n    return side * side\n")
    (root / "lux" / "figures" / "__init__.py").write_text("def paper_style():\n    pass\n")
    (root / "requirements.lock").write_text("")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static", dirs_exist_ok=True)
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/01_first\n  - file: book/02_second\n"
    )
    (root / "book" / "index.md").write_text("# Index\n\nThe first value is {recorded}`01_first::value`.\n")
    write_chapter(root, "01_first", 'record("value", lux.travelled(2), unit="m")')
    write_chapter(
        root,
        "02_second",
        'from lux import geometry\nrecord("value", geometry.area(n_stars))\nrecord.table("squares", {"side": [1, 2]})',
        "```{recorded-table} squares\nTwo sides.\n```",
    )
    assert build.main(["--root", str(root), "--profile", "quick"]) == 0
    return root


@pytest.fixture
def book(built_book, tmp_path):
    return Path(shutil.copytree(built_book, tmp_path / "copy"))


def test_a_number_goes_from_the_module_to_its_page_to_other_pages_and_to_json(built_book):
    value = results(built_book, "01_first")["results"]["value"]
    assert (value["value"], value["unit"], value["text"]) == (599.0, "m", "599 m")
    assert results(built_book, "01_first")["parameters"]["n_stars"] == 600
    assert "599 m" in page(built_book, "01_first")
    assert "599 m" in page(built_book, "index")


def test_the_page_shows_the_parameters_used_and_not_contradicting_defaults(built_book):
    notebook = json.loads((built_book / "_build" / "notebooks" / "01_first.ipynb").read_text())
    sources = "".join("".join(cell["source"]) for cell in notebook["cells"])
    assert "n_stars = 600" in sources
    assert "n_stars = 4000" not in sources


def test_an_opening_remark_stands_between_title_and_claim():
    remark = nbformat.v4.new_output("display_data", {"text/plain": "Other stars."}, metadata={"opening": True})
    note = nbformat.v4.new_output("display_data", {"text/plain": "Stays."}, metadata={"opening": False})
    cells = [nbformat.v4.new_markdown_cell("# Title\n\n:::{claim}\nA.\n:::"), nbformat.v4.new_code_cell("1")]
    cells[1].outputs = [remark, note]
    notebook = nbformat.v4.new_notebook(cells=cells)
    stage._move_opening_remarks(notebook)
    assert cells[0].source == "# Title\n\n:::{note}\nOther stars.\n:::\n\n\n:::{claim}\nA.\n:::"
    assert cells[1].outputs == [note]


@pytest.mark.parametrize(
    ("profile", "text", "noted"),
    [
        ("quick", "{recorded}`01_first::number`", True),
        ("quick", "No number.", False),
        ("paper", "{recorded}`a::b`", False),
    ],
)
def test_a_page_that_quotes_numbers_of_the_quick_build_says_so(tmp_path, profile, text, noted):
    page = types.SimpleNamespace(document=Path("page.md"), is_chapter=False, source=f"# Title\n\n{text}\n")
    stage._stage_page(page, types.SimpleNamespace(profile=profile), set(), tmp_path, None)
    written = (tmp_path / "page.md").read_text()
    assert written.startswith("# Title\n")
    assert written.endswith(f"{text}\n")
    assert (":::{note}\nThis is the quick build." in written) == noted


def test_with_nothing_changed_nothing_is_executed_or_rendered(book, capsys):
    started = time.monotonic()
    status, output = run_build(book, capsys)
    assert status == 0
    assert executed(output) == set()
    assert "up to date" in output
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_a_changed_constant_reexecutes_exactly_its_chapter_and_no_old_number_survives(book, capsys):
    edit(book / "lux" / "physics.py", "SPEED = 299.5", "SPEED = 300.5")
    status, output = run_build(book, capsys)
    assert status == 0
    assert executed(output) == {"01_first"}
    assert "lux.physics.SPEED changed" in output
    for name in ("01_first", "index"):
        assert "601 m" in page(book, name)
        assert "599 m" not in page(book, name)
    assert results(book, "01_first")["results"]["value"]["value"] == 601.0


def test_changed_prose_and_unused_functions_are_no_reason_to_execute(book, capsys):
    edit(book / "book" / "01_first.md", "The value is", "The measured value is")
    edit(book / "lux" / "physics.py", "return 1", "return 2")
    status, output = run_build(book, capsys)
    assert status == 0
    assert executed(output) == set()
    assert "The measured value is" in page(book, "01_first")


def test_a_chapter_about_no_data_set_is_executed_once_for_all(book, capsys):
    second = book / "book" / "02_second.md"
    edit(second, 'dataset = "synthetic"\n', "")
    edit(second, "dataset=dataset", 'dataset="synthetic"')
    assert executed(run_build(book, capsys, "--only-chapters")[1]) == {"02_second"}
    status, output = run_build(book, capsys, "--only-chapters", "--dataset", "apogee-dr10")
    assert (status, executed(output)) == (0, {"01_first"})
    assert results(book, "01_first")["parameters"]["dataset"] == "apogee-dr10"
    assert results(book, "02_second")["parameters"]["dataset"] == "synthetic"
    assert not executed(run_build(book, capsys, "--only-chapters")[1])


@pytest.mark.slow
def test_a_failing_cell_is_named_and_what_finished_is_kept(book, capsys):
    edit(book / "lux" / "physics.py", "SPEED = 299.5", "SPEED = 300.5")
    edit(book / "book" / "02_second.md", 'record("value"', 'raise RuntimeError("no such luck")\nrecord("value"')
    status, output = run_build(book, capsys)
    assert status == 1
    line = 1 + (book / "book" / "02_second.md").read_text().split("import lux")[0].count("\n") - 1
    assert f"02_second: code cell 2 (line {line} of book/02_second.md) failed with RuntimeError: no such luck" in output
    assert executed(output) == {"01_first"}
    assert not (book / "_build" / "chapters" / "synthetic-quick" / "02_second").exists()
    assert "601 m" in page(book, "01_first")
    assert "no such luck" in page(book, "02_second")
    edit(book / "book" / "02_second.md", 'raise RuntimeError("no such luck")\n', "")
    status, output = run_build(book, capsys, "--only-chapters")
    assert status == 0
    assert executed(output) == {"02_second"}


def test_a_kernel_that_dies_is_reported_with_its_chapter_and_cell(book, capsys):
    edit(book / "book" / "02_second.md", 'record("value"', 'import os\nos._exit(9)\nrecord("value"')
    status, output = run_build(book, capsys, "--only-chapters")
    assert status == 1
    assert "02_second: code cell 2 (line" in output
    assert "DeadKernelError" in output


def test_a_kernel_is_spoken_to_through_no_port_that_another_process_could_take_first(book, capsys):
    checked = "import json\nfrom ipykernel.connect import get_connection_info\n"
    checked += 'assert json.loads(get_connection_info())["transport"] == "ipc"\n'
    edit(book / "book" / "02_second.md", 'record("value"', f'{checked}record("value"')
    status, output = run_build(book, capsys, "--only-chapters")
    assert status == 0, output
    assert executed(output) == {"02_second"}


def test_a_misspelt_parameter_is_an_error_that_names_the_right_ones(book, capsys):
    status, output = run_build(book, capsys, "--set", "n_star=5")
    assert status == 1
    assert "no parameter n_star" in output
    assert "dataset, n_stars, profile, seed" in output


def test_an_unknown_chapter_is_an_error_that_names_the_chapters(book, capsys):
    status, output = run_build(book, capsys, "--chapters", "03_third")
    assert status == 1
    assert "03_third" in output
    assert "01_first, 02_second" in output


def test_a_product_that_no_cell_records_is_an_error(book, capsys):
    edit(book / "book" / "02_second.md", "{recorded-table} squares", "{recorded-table} cubes")
    edit(book / "book" / "02_second.md", "geometry.area(n_stars)", "geometry.area(2 * n_stars)")
    status, output = run_build(book, capsys, "--only-chapters")
    assert status == 1
    assert "02_second: the page shows what no cell recorded: table cubes" in output


def test_two_builds_give_identical_results(book, capsys):
    before = {path.name: path.read_bytes() for path in (book / "_build" / "results").glob("*.json")}
    status, output = run_build(book, capsys, "--fresh", "--only-chapters")
    assert status == 0
    assert executed(output) == {"01_first", "02_second"}
    assert {path.name: path.read_bytes() for path in (book / "_build" / "results").glob("*.json")} == before


def test_a_second_build_at_the_same_time_is_refused(book, capsys):
    with filelock.FileLock(book / "_build" / ".lock"):
        status, output = run_build(book, capsys)
    assert status == 1
    assert "another build" in output


KILLING_POINTS = (
    # Before the first chapter ran, while the second one runs, while the site is made.
    lambda root: next((root / "_build/chapters/synthetic-quick").glob(".01*"), None),
    lambda root: (root / "second_started").exists(),
    lambda root: next((root / "_build/sphinx/html").rglob("*.html"), None),
)


@pytest.mark.slow
def test_a_build_killed_leaves_nothing_half_made_and_the_next_one_goes_on(book, capsys):
    """Each build goes on from what the one before left, until it is killed at a later point."""
    edit(book / "lux" / "physics.py", "SPEED = 299.5", "SPEED = 300.5")
    marker = f'import pathlib, time; pathlib.Path(r"{book}", "second_started").touch(); time.sleep(0.5)\n'
    edit(book / "book" / "02_second.md", "from lux import geometry", marker + "from lux import geometry")
    shutil.rmtree(book / "_build" / "sphinx")
    chapters = book / "_build" / "chapters" / "synthetic-quick"
    for reached in KILLING_POINTS:
        kill_at(book, reached)
        for name in ("01_first", "02_second"):
            assert not (chapters / name).exists() or (chapters / name / "stamp.json").exists()
    status, _ = run_build(book, capsys)
    assert status == 0
    assert "601 m" in page(book, "01_first")
    assert "599 m" not in page(book, "index")
    assert not list(chapters.glob(".*"))


def kill_at(root, reached):
    command = [sys.executable, str(ROOT / "book" / "build.py"), "--root", str(root), "--profile=quick", "--jobs=1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not reached(root):
        assert process.poll() is None, "the build ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def finished(root, name):
    return root / "_build" / "chapters" / "synthetic-quick" / name


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


DAMAGED = {
    "a result": lambda folder: edit(folder / "products" / "results.json", "599", "777"),
    "a page": lambda folder: edit(folder / "executed.ipynb", "599", "888"),
    "a product lost": lambda folder: (folder / "products" / "results.json").unlink(),
    "a stamp that was cut": lambda folder: cut(folder / "stamp.json"),
    "an empty stamp": lambda folder: (folder / "stamp.json").write_text(""),
    "a stamp of something else": lambda folder: (folder / "stamp.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_a_finished_chapter_had_shown_is_shown_as_it_was_or_made_again(book, capsys, damage):
    DAMAGED[damage](finished(book, "01_first"))
    (finished(book, "01_first").parent / ".DS_Store").touch()
    status, output = run_build(book, capsys, "--only-chapters")
    assert (status, executed(output)) == (0, {"01_first"})
    assert results(book, "01_first")["results"]["value"]["value"] == 599
    assert executed(run_build(book, capsys, "--only-chapters")[1]) == set()


def test_a_chapter_whose_sources_changed_while_it_was_executed_is_not_kept(book, capsys):
    source = book / "lux" / "physics.py"
    write_chapter(
        book,
        "01_first",
        f"from pathlib import Path\npath = Path({str(source)!r})\n"
        "path.write_text(path.read_text().replace('299.5', '300.5'))\n"
        'record("value", lux.travelled(2), unit="m")',
    )
    status, output = run_build(book, capsys, "--only-chapters")
    assert status == 1
    assert "01_first: lux.physics.SPEED changed while it was executed; build again" in output
    assert not finished(book, "01_first").exists()


def test_a_build_that_fails_leaves_no_results_that_pass_for_its_own(book, capsys):
    edit(book / "lux" / "physics.py", "SPEED * seconds", "1 / 0")
    edit(book / "lux" / "geometry.py", "side * side", "1 / 0")
    assert run_build(book, capsys)[0] == 1
    assert not (book / "_build" / "results" / "variant.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "profile=paper"], "what is built is named after the profile: give it as --profile paper"),
        (["--set", "dataset=other.h5"], "what is built is named after the dataset: give it as --dataset other.h5"),
        (["--jobs", "-3"], "expected a whole number above zero, got '-3'"),
        (["--threads", "0"], "expected a whole number above zero, got '0'"),
    ],
)
def test_an_option_that_would_mislead_is_refused(book, capsys, options, message):
    with pytest.raises(SystemExit):
        run_build(book, capsys, *options)
    assert message in capsys.readouterr().err


def test_folders_of_others_are_not_emptied_and_no_folder_is_made_for_a_root_that_is_none(book, tmp_path, capsys):
    mine = tmp_path / "mine" / "results" / "kept.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    status, output = run_build(book, capsys, "--folder", str(tmp_path / "mine"))
    assert (status, mine.exists()) == (1, True)
    assert "holds what no build has made, and much of it would be removed" in output
    status, output = run_build(tmp_path / "nowhere", capsys)
    assert status == 1
    assert "is the root of no book: it has no _toc.yml; see --root" in output
    assert not (tmp_path / "nowhere").exists()


def test_no_kernel_of_the_users_own_executes_a_chapter(book, capsys, monkeypatch, tmp_path):
    kernel = tmp_path / "share" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["false"], "display_name": "mine", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    edit(book / "lux" / "physics.py", "299.5", "300.5")
    assert run_build(book, capsys, "--only-chapters")[0] == 0
    assert results(book, "01_first")["results"]["value"]["value"] == 601
