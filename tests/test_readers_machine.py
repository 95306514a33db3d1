"""The paper and the package on machines that are not the author's: other settings, other tools, no network."""

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
import pytest
from linear_truth import linear_survey
from machinery import report, runner
from machinery.chapters import read_pages, select
from machinery.plain_text import plain_text

import lux
from lux import __main__ as command_line
from lux.datasets import catalogues
from lux.datasets.fetch import RemoteFile, fetch_files
from lux.models.cannon import Cannon
from lux.paper import record
from lux.simulation import synthetic

ROOT = Path(__file__).resolve().parents[1]

JAX_SETTINGS = {
    "double precision": lambda: jax.enable_x64(True),
    "strict promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "no promotion of rank": lambda: jax.numpy_rank_promotion("raise"),
}


@pytest.fixture(scope="module")
def small():
    """Training and test stars of three latents and labels."""
    return linear_survey(n_stars=120, n_pixels=60, n_latents=3, n_labels=3, seed=1).split(0.4, seed=0)


def predictions(small):
    train, test = small
    return [model.fit(train).predict_labels(test) for model in (lux.Lux(3, tolerance=1.0), Cannon(n_cycles=2))]


@pytest.fixture(scope="module")
def expected(small):
    """What models predict under the settings that JAX has by default."""
    return predictions(small)


@pytest.mark.parametrize("setting", JAX_SETTINGS)
def test_the_settings_of_jax_change_no_prediction(small, expected, setting):
    with JAX_SETTINGS[setting]():
        found = predictions(small)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.err, other.err)


@pytest.mark.parametrize("setting", JAX_SETTINGS)
def test_the_settings_of_jax_change_no_synthetic_spectrum(setting):
    expected = synthetic.make_survey(8, 3)
    synthetic.SHARED.clear()
    with JAX_SETTINGS[setting]():
        found = synthetic.make_survey(8, 3)
    np.testing.assert_array_equal(expected.flux, found.flux)
    np.testing.assert_array_equal(expected.labels, found.labels)


def test_the_settings_of_jax_change_no_verdict(shortcut):
    train, test = shortcut.select_pixels(shortcut.wavelength < 15_220.0).split(0.5, seed=0)
    model = lux.Lux(4, tolerance=0.1).fit(train)
    expected = lux.audit(model, train, test, "eu_fe").to_json()
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        assert lux.audit(model, train, test, "eu_fe").to_json() == expected


def test_without_git_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report.commit_of(ROOT).startswith("commit unknown")


def test_a_matplotlibrc_of_the_user_does_not_reach_figures():
    from lux.figures import new_figure, paper_style

    with mpl.rc_context({"text.usetex": True, "font.size": 40, "axes.grid": True}):
        figure, axis = new_figure()
        assert not axis.title.get_usetex()
        with paper_style():
            assert not mpl.rcParams["text.usetex"]
            assert not mpl.rcParams["axes.grid"]
            figure.savefig(io.BytesIO(), format="png")
        assert mpl.rcParams["text.usetex"]


def test_start_up_files_of_the_user_do_not_reach_chapters(monkeypatch, tmp_path):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "errors.py").write_text("import numpy; numpy.seterr(all='raise')")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True")
    (tmp_path / "startup.py").write_text("print('mine')")
    for name, value in (("IPYTHONDIR", "ipython"), ("MATPLOTLIBRC", "matplotlibrc"), ("PYTHONSTARTUP", "startup.py")):
        monkeypatch.setenv(name, str(tmp_path / value))
    settings = runner.Settings(root=ROOT, folder=tmp_path / "build")
    environment = runner._environment(settings, tmp_path, 1)
    code = "import numpy, matplotlib; print(numpy.geterr()['invalid'], matplotlib.rcParams['text.usetex'])"
    command = [sys.executable, "-m", "IPython", "--InteractiveShellApp.exec_PYTHONSTARTUP=True", "-c", code]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path / "ipython")
    assert shown.stdout.split()[-2:] == ["warn", "False"]
    assert "mine" not in shown.stdout


@pytest.mark.parametrize("workers", [1, 8])
def test_on_more_cores_a_chapter_has_more_workers_and_rounds_as_on_one(monkeypatch, tmp_path, workers):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    environment = runner._environment(runner.Settings(root=ROOT, folder=tmp_path), tmp_path, workers)
    assert environment["LUX_WORKERS"] == str(workers)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_any_terminal_shows_what_the_command_line_prints(monkeypatch, encoding):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(command_line, "_fetch", lambda options: print("slope −0.3 at 5 σ"))
    assert command_line.main(["fetch", "apogee-galah"]) == 0
    terminal.flush()
    assert terminal.buffer.getvalue().decode(encoding).strip() == "slope -0.3 at 5 ?"


def test_a_report_is_printed_before_it_is_drawn(monkeypatch, tmp_path, capsys, small):
    def fail(*arguments):
        raise OSError("no latex")

    small[0].save(tmp_path / "survey.h5")
    monkeypatch.setattr(command_line, "_draw", fail)
    monkeypatch.setattr("lux.auditing.audit.audit", lambda *arguments, **options: "the report")
    label = small[0].label_names[0]
    options = ["--label", label, "--latents", "2", "--figures", str(tmp_path)]
    assert command_line.main(["audit", str(tmp_path / "survey.h5"), *options]) == 2
    assert "the report" in capsys.readouterr().out


def test_plain_notebooks_show_numbers_without_the_packages_of_the_book(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    monkeypatch.setattr(record, "_in_notebook", lambda: True)
    record.Record("01_test", folder=tmp_path)("eu_rmse", 0.107, unit="dex", uncertainty=0.004)
    assert capsys.readouterr().out == "eu_rmse: 0.107 ± 0.004 dex\n"


def test_the_text_of_plain_notebooks_needs_no_myst():
    results = {"03_own": {"eu_rmse": {"text": "0.1 dex"}}, "08_other": {"n": {"text": "6"}}}
    source = (
        ":::{claim}\nIt errs by {glue:text}`eu_rmse` in {recorded}`08_other::n` worlds, {chosen}`5 %` {cite:p}`a,b`;\n"
        "see {numref}`fig-tree` and {eq}`eq-one`. Unknown: {glue:text}`seconds`.\n:::\n\n"
        "```{recorded-figure} tree\n:name: fig-tree\nA tree of {glue:text}`eu_rmse`.\n```\n\n$$\na &= b\n$$ (eq-one)\n"
    )
    assert plain_text(source, "03_own", results) == (
        "It errs by 0.1 dex in 6 worlds, 5 % (a; b);\n"
        "see figure `tree` and equation `one`. Unknown: (computed here: `seconds`).\n\n"
        "\n*Figure `tree`: A tree of 0.1 dex.*\n\n\n"
        "$$\n\\begin{aligned}\na &= b\n\\end{aligned}\n$$\n(equation `one`)\n"
    )


def test_no_chapter_leaves_myst_in_its_plain_notebook():
    for page in select(read_pages(ROOT), []):
        text = "\n".join(cell.source for cell in page.notebook.cells if cell.cell_type == "markdown")
        plain = plain_text(text, page.name, {})
        assert not re.search(r"\{[a-z:]+\}`|^(```|:::)\{(?!list-table)", plain, re.MULTILINE), page.name


def test_a_compressed_catalogue_put_in_the_cache_by_hand_is_refused_and_kept(tmp_path):
    path = tmp_path / "allStar.fits"
    path.write_bytes(gzip.compress(b"SIMPLE  =                    T"))
    before = path.read_bytes()
    file = RemoteFile("http://127.0.0.1:9/none", path, lambda path: catalogues.check_columns(path, {}))
    (outcome,) = fetch_files([file], tmp_path / "manifest.jsonl", progress=False)
    assert outcome.status == "refused"
    assert "gunzip" in outcome.reason
    assert path.read_bytes() == before


def dry_run(monkeypatch, tmp_path, *arguments, active=True):
    """Return what make would do with a conda environment active that has the packages of the paper, or has not."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{'echo /conda/lux-paper' if active else 'exit 1'}\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CONDA_DEFAULT_ENV", "lux-paper")
    # These tests may themselves be run by make, whose flags and messages are not meant for this one.
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "-n", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=outer, capture_output=True, text=True).stdout.splitlines()


def test_make_uses_an_active_conda_environment_or_says_why_not(monkeypatch, tmp_path):
    used = dry_run(monkeypatch, tmp_path, "notebooks")
    assert used[-1] == "/conda/lux-paper/bin/python tools/write_notebooks.py"
    assert "hashes of its packages were not checked" in used[0]
    assert not any("install.py" in line for line in used)
    unused = dry_run(monkeypatch, tmp_path, "notebooks", "-B", active=False)
    assert "lacks the packages of the paper" in unused[0]
    assert unused[-1] == ".venv/bin/python tools/write_notebooks.py"


def test_builds_of_one_folder_do_not_run_at_once():
    assert "\n.NOTPARALLEL:\n" in (ROOT / "Makefile").read_text()
