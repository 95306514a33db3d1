"""The command line: its options reach what they name, and an error is one line and the status 2."""

import json
import types

import pytest

import lux
from lux.__main__ import _draw, main
from lux.auditing import audit


@pytest.fixture
def audited(surveys, tmp_path, monkeypatch):
    """Return a run of ``lux audit`` on a small survey, with the audit itself replaced by a note of its arguments."""
    surveys[0].save(tmp_path / "survey.h5")

    def run(*options):
        calls = []

        def report(label, train, test, own_lines, seed):
            calls.append((label, len(train), len(test), own_lines, seed))
            content = json.dumps({"label": label})
            return types.SimpleNamespace(label=label, evidence=(), to_json=lambda: content)

        def one(model, train, test, label, own_lines, *, seed):
            return report(label, train, test, own_lines, seed)

        def several(model, train, test, *, seed):
            return {label: report(label, train, test, None, seed) for label in train.label_names}

        monkeypatch.setattr(audit, "audit", one)
        monkeypatch.setattr(audit, "audit_all", several)
        return main(["audit", str(tmp_path / "survey.h5"), "--latents", "2", "--json", *options]), calls

    return run


def test_one_label_is_audited_with_the_lines_and_the_split_that_are_named(audited, capsys):
    options = ["--label", "label_1", "--own-lines", "15200.5", "15300", "--test-fraction", "0.25", "--seed", "4"]
    status, calls = audited(*options)
    assert status == 0
    ((label, n_train, n_test, own_lines, seed),) = calls
    assert (label, own_lines, seed) == ("label_1", [15200.5, 15300.0], 4)
    assert n_test == round(0.25 * (n_train + n_test))
    assert json.loads(capsys.readouterr().out) == [{"label": "label_1"}]


def test_all_labels_are_audited_by_default(audited, surveys, capsys):
    assert [call[0] for call in audited()[1]] == list(surveys[0].label_names)
    assert [report["label"] for report in json.loads(capsys.readouterr().out)] == list(surveys[0].label_names)


def test_no_lines_are_not_the_default_lines(audited):
    assert audited("--label", "label_1")[1][0][3] is None
    assert audited("--label", "label_1", "--own-lines")[1][0][3] == []


def test_an_error_is_a_line_on_standard_error(tmp_path, capsys):
    assert main(["audit", str(tmp_path / "absent.h5")]) == 2
    assert capsys.readouterr().err == f"lux: no survey file at {tmp_path / 'absent.h5'}\n"


def test_a_misspelt_label_is_found_before_a_model_is_fitted(audited, monkeypatch, capsys):
    monkeypatch.setattr(lux.Lux, "fit", lambda *_: pytest.fail("a model was fitted"))
    assert audited("--label", "[Label/1]") == (2, [])
    assert "unknown label '[Label/1]'" in (said := capsys.readouterr().err)
    assert "did you mean 'label_1'?" in said


def test_lines_of_no_label_are_refused(audited, capsys):
    assert audited("--own-lines", "15200.5") == (2, [])
    assert "--label" in capsys.readouterr().err


def test_a_page_of_a_label_in_brackets_gets_a_name_that_a_file_may_have(tmp_path, monkeypatch):
    drawn = types.SimpleNamespace(savefig=lambda path, **_: path.write_bytes(b"page"))
    monkeypatch.setattr("lux.figures.audit.page", lambda report: drawn)
    monkeypatch.setattr("matplotlib.pyplot.close", lambda figure: None)
    _draw([types.SimpleNamespace(label="[Eu/Fe]", evidence=(1,))], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit-_Eu_Fe_.png"]


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "COMMAND" in capsys.readouterr().err


def test_the_command_line_fetches_and_shows_the_cuts(server, tmp_path, capsys):
    assert main(["fetch", "apogee-galah", "--stars", "12", "--cache", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "12 of the 12 stars asked for" in printed
    assert "no member of a globular cluster" in printed
    server.faults.always("GALAH_DR3/GALAH_DR3_main_allstar_v2.fits", 404)
    assert main(["fetch", "apogee-galah", "--stars", "12", "--cache", str(tmp_path / "other")]) == 2
    assert "could not be fetched" in capsys.readouterr().err
