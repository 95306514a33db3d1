"""The bench takes anybody's technique and model, tells them nothing, and keeps what it measured."""

import json
import sys
from pathlib import Path

import bench_subjects
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from small_bench import N_WORLDS, fall

from lux import controls
from lux.__main__ import main
from lux.controls import bench, on_trial

pytestmark = pytest.mark.usefixtures("small_bench")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


def trial(subject, folder, **options):
    return controls.trial(subject, **{"model": "mean", "n_seeds": 2, "workers": 1, "folder": folder, **options})


def depth_at_the_lines(model, train, test, label, lines):
    """Return by how much the flux at the lines falls with the label, the others fixed; no truth is to be seen."""
    assert train.truth is None
    assert test.truth is None
    assert set(train.provenance) == {"source"}
    assert not {"eu_residual", "observed_velocity"} & set(test.catalogue)
    near = np.min(np.abs(train.wavelength[:, None] - np.array(lines)), axis=1) < 0.5
    return fall(train.flux[:, near].mean(axis=1), train.labels, train.label_index(label))


def test_a_technique_that_reads_deep_lines_is_scored_so(kept):
    result = trial(depth_at_the_lines, kept)
    (row,) = result.rows
    assert (row.name, len(result.worlds)) == ("depth_at_the_lines", N_WORLDS)
    assert row.area["lines of 10 %"].value == 1
    assert set(row.area) == {*map(bench.lines_key, bench.LINE_DEPTHS), "lines of 1 %, empirical", *bench.ELSEWHERE}
    assert 0 < row.optimal_depth < 0.1
    text = str(result)
    assert "surveys of 120 stars, 2 of a kind" in text
    assert "depth_at_the_lines" in text
    content = json.loads(result.to_json())
    assert content["bench"] == bench.VERSION
    again = bench.BenchRow.from_dict(content["rows"][0])
    assert again.to_dict() == row.to_dict()


def test_a_second_trial_reads_what_the_first_measured(kept):
    first = trial(depth_at_the_lines, kept)
    (folder,) = {path.parent for path in kept.rglob("lines of 10 %*.json")}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"number": content["number"] + 1}))
    second = trial(depth_at_the_lines, kept)
    assert [world["number"] for world in second.worlds] == [world["number"] + 1 for world in first.worlds]


def test_a_file_that_changed_while_it_was_imported_is_not_taken_for_what_it_was():
    subject = on_trial._OnTrial(depth_at_the_lines, False, None, 1.0, "mean", ("of before", None))
    with pytest.raises(RuntimeError, match="was changed after the trial had begun; run it again"):
        on_trial.measure_world(subject, None, 0, 0, None)


@pytest.mark.slow
def test_a_technique_of_a_user_runs_on_any_model(tmp_path):
    row = trial(bench_subjects.forest_importance, tmp_path, model=bench_subjects.GaussianProcess, name="forest").rows[0]
    assert row.name == "forest"
    assert 0 <= row.area["lines of 10 %"].value <= 1


def test_a_model_of_a_user_is_measured_by_what_it_does(tmp_path):
    result = trial(bench_subjects.GaussianProcess, tmp_path)
    names = [row.name for row in result.rows]
    assert names == [
        f"GaussianProcess: {what}"
        for what in ("slope on own scatter", "slope in enhanced stars", "minus RMSE over error")
    ]
    assert all(-3 < world["minus RMSE over error"] < -0.5 for world in result.worlds)
    assert all(np.isfinite(world["slope on own scatter"]) for world in result.worlds)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (
            bench_subjects.raises,
            r"world '.*' of seed 981000 cannot be .*: KeyError: 'eu' \(bench_subjects.py, line \d+\); 0",
        ),
        (bench_subjects.raises_what_is_no_error, "RuntimeError: it raised GeneratorExit: the end"),
        (bench_subjects.tries_again, r"TimeoutError: it took more than 0.2 s; see time_limit"),
        (bench_subjects.a_number_in_text, "is of type ndarray; expected one number"),
        (bench_subjects.lists_of_several_lengths, "is of type list; expected one number"),
        (bench_subjects.Predicts(bench_subjects.without_a_star), r"gave no finite eu_fe for 1 of \d+ stars"),
        (bench_subjects.Predicts(bench_subjects.as_text), "gave labels of type <U.*; expected real numbers"),
        (bench_subjects.Predicts(np.abs, ("eu_fe",) * 5), "the names eu_fe, .*, of which some are the same"),
        (bench_subjects.not_a_number, "the number that the technique returned is nan; expected a finite number"),
        (bench_subjects.a_word, "the number that the technique returned is of type str; expected one number"),
        (bench_subjects.never_ends, r"TimeoutError: it took more than 0.2 s; see time_limit"),
        (bench_subjects.swallows_the_limit, r"TimeoutError: it took more than 0.2 s; see time_limit"),
        (bench_subjects.leaves_python, r"RuntimeError: it called sys.exit\(3\)"),
        (bench_subjects.a_complex_number, "is of type complex128; expected one number"),
        (bench_subjects.an_array, r"is an array of shape \(1,\); expected one number"),
        (bench_subjects.FitsNothing, "fit returned NoneType; it must return the fitted model, such as self"),
        (bench_subjects.PredictsFewer, r"gave labels of shape \(\d+, 5\); expected \(\d+, 5\), a row for each star"),
        (bench_subjects.PredictsAnArray, r"predict_labels returned ndarray; expected lux.Prediction\(names, labels"),
    ],
)
def test_a_technique_that_fails_is_told_in_which_world(tmp_path, subject, message, monkeypatch):
    monkeypatch.setattr(on_trial, "_AGAIN", 0.1)
    with pytest.raises(RuntimeError, match=message):
        trial(subject, tmp_path, time_limit=0.2)


@pytest.mark.parametrize("subject", [bench_subjects.draws, bench_subjects.Remembers()])
def test_a_number_does_not_depend_on_what_else_a_process_has_measured(tmp_path, subject):
    first = trial(subject, tmp_path)
    next(tmp_path.rglob("lines of 10 %*.json")).unlink()
    assert trial(subject, tmp_path).worlds == first.worlds


def test_a_technique_that_changes_the_folder_of_its_process_is_kept_in_the_one_that_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trial(bench_subjects.goes_elsewhere, "kept")
    assert len(list((tmp_path / "kept").rglob("*.json"))) == N_WORLDS


CALLS: list[str] = []


def fails_late(model, train, test, label, lines):
    CALLS.append(label)
    if len(CALLS) == 4:
        raise ArithmeticError("the fourth world")
    return 1.0 + len(CALLS)


def interrupts(model, train, test, label, lines):
    raise KeyboardInterrupt


def test_an_interruption_says_what_is_measured(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="interrupted; 0 of 30 worlds are measured, and the next run goes on"):
        trial(interrupts, tmp_path)


def test_the_order_and_number_of_labels_that_a_model_predicts_do_not_matter(tmp_path):
    orders = slice(None), slice(None, None, -1), [4]
    first, *others = (trial(bench_subjects.Ordered(order), tmp_path).rows[0].area for order in orders)
    assert all(other == first for other in others)


def test_the_page_shows_the_imports_of_its_example():
    root = Path(__file__).parents[1] / "book"
    text = (root / "lux_pages" / "example_technique.py").read_text()
    imports = text[text.index("import numpy") : text.index("import lux\n")] + "import lux\n"
    assert imports in (root / "your_technique.md").read_text()


def test_what_was_measured_before_a_failure_is_kept(tmp_path):
    with pytest.raises(RuntimeError, match=r"the fourth world .*; 3 of .* the next run goes on"):
        trial(fails_late, tmp_path)
    # As a disk without room may have left one.
    next(tmp_path.rglob("*.json")).write_text("")
    result = trial(fails_late, tmp_path)
    assert len(CALLS) == N_WORLDS + 2
    assert len({2.0, 3.0, 4.0} & {world["number"] for world in result.worlds}) == 2


@pytest.mark.parametrize(
    ("subject", "options", "error", "message"),
    [
        (
            bench_subjects.two_arguments,
            {},
            TypeError,
            "two_arguments needs 2 arguments; a technique takes five",
        ),
        ("forest", {}, TypeError, "'forest', of type str, is neither a technique"),
        (depth_at_the_lines, {"model": "forest"}, ValueError, "unknown model 'forest'; choose one of mean, PLS"),
        (depth_at_the_lines, {"model": depth_at_the_lines}, TypeError, "is no model"),
        (depth_at_the_lines, {"n_seeds": 1}, ValueError, "between 2 and 20, got 1"),
        (depth_at_the_lines, {"time_limit": 0.0}, ValueError, "number of seconds above zero, at most 1e.07; got 0"),
        (depth_at_the_lines, {"time_limit": np.inf}, ValueError, "at most 1e.07; got inf"),
        (bench_subjects.makes_no_model, {}, TypeError, "makes_no_model makes no model: KeyError: 'settings'"),
        (bench_subjects.Locked(), {}, TypeError, r"of type Locked, cannot be copied for each world \(.*lock"),
        (max, {}, TypeError, "builtins:max does not tell which arguments it takes"),
        (depth_at_the_lines, {"workers": 0}, ValueError, "workers must be a whole number above zero, got 0"),
        (Ridge(), {}, TypeError, "Ridge has no fit.* so it is no model; of a class of techniques give an instance"),
    ],
)
def test_what_cannot_be_put_to_trial_is_refused(tmp_path, subject, options, error, message):
    with pytest.raises(error, match=message):
        trial(subject, tmp_path, **options)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.slow
def test_the_command_line_puts_a_technique_to_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LUX_STORE", str(tmp_path / "store"))
    written = [str(tmp_path / name) for name in ("row.json", "row.png")]
    command = ["trial", "bench_subjects:forest_importance", "--model", "mean", "--seeds", "2", "--workers", "1"]
    assert main([*command, "--json", written[0], "--figure", written[1]]) == 0
    assert "forest_importance" in capsys.readouterr().out
    assert json.loads((tmp_path / "row.json").read_text())["rows"][0]["name"] == "forest_importance"
    assert (tmp_path / "row.png").stat().st_size > 10_000
    for place, message in (
        ("forest", "expected package.module:name"),
        ("no_such_module:forest", "module 'no_such_module' cannot be imported"),
        ("bench_subjects:forest", "has no 'forest'; it has"),
        ("bench_subjects:two_arguments", "a technique takes five"),
        ("bench_subjects:raises", "cannot be measured: KeyError"),
    ):
        assert main(["trial", place, *command[2:]]) == 2
        assert message in capsys.readouterr().err


def test_time_is_not_limited_where_there_are_no_timers(monkeypatch):
    monkeypatch.delattr(on_trial.signal, "setitimer")
    with on_trial.within(1e-9):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("technique = (", "SyntaxError"),
        ("raise ValueError('at import')", "ValueError: at import"),
        ("import sys\nsys.exit(0)", "SystemExit: 0, it leaves Python: put what it does as a script under"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(text, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_subject.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    assert main(["trial", "broken_subject:technique"]) == 2
    said = capsys.readouterr().err
    assert "module 'broken_subject' cannot be imported" in said
    assert message in said
    assert main(["trial", "./broken_subject.py:technique"]) == 2
    assert "is a file: name its module, broken_subject:technique" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--json", "absent/row.json"], "the folder absent does not exist; create it first"),
        (["--figure", "."], "it is a folder; give the name of a file"),
        (["--figure", "powers.doc"], "no figure can be drawn as 'powers.doc': its name must end in one of ."),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_a_world_is_measured(option, message, capsys):
    assert main(["trial", "no_such_module:technique", *option]) == 2
    assert message in capsys.readouterr().err
