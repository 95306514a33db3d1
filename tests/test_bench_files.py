"""Worlds of the bench are written for other languages, and answers to them are scored or refused by their line."""

import csv
import json

import numpy as np
import pytest
from small_bench import N_WORLDS, fall

from lux import controls
from lux.__main__ import main


@pytest.fixture
def folder(tmp_path, small_bench):
    path = controls.write_worlds(tmp_path / "worlds", 2, progress=False)
    assert path.name == "manifest.json"
    return path.parent


def answer(folder, change=lambda rows: rows):
    """Write answers that read the flux at the lines of every file, as one would in another language."""
    import h5py

    manifest = json.loads((folder / "manifest.json").read_text())
    rows = []
    for world in manifest["worlds"]:
        with h5py.File(folder / world["file"]) as file:
            assert "truth" not in file
            near = np.min(np.abs(file["wavelength"][:][:, None] - np.array(manifest["lines"])), axis=1) < 0.5
            column = json.loads(file.attrs["label_names"]).index(manifest["label"])
            rows.append((world["world"], fall(file["flux"][:][:, near].mean(axis=1), file["labels"][:], column)))
    with open(folder.parent / "answers.csv", "w", newline="") as file:
        csv.writer(file).writerows([("world", "answer"), *change(rows)])
    return folder.parent / "answers.csv"


def test_worlds_are_written_and_answers_to_them_scored(folder, capsys):
    row = controls.score_answers(folder, answer(folder))
    assert row.area["lines of 10 %"].value == 1
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["worlds"]) == N_WORLDS
    assert main(["score", str(folder), str(folder.parent / "answers.csv")]) == 0
    assert "answers" in capsys.readouterr().out
    wrong = {
        "lacks 1 of 30 worlds: world-0030": lambda rows: rows[:-1],
        "line 32: there is no world 'moon'": lambda rows: [*rows, ("moon", 1)],
        "line 32: world-0001 has been answered before": lambda rows: [*rows, rows[0]],
        "line 2: 'high' is no number": lambda rows: [(rows[0][0], "high"), *rows[1:]],
        "line 2: nan is not finite": lambda rows: [(rows[0][0], "nan"), *rows[1:]],
        "line 2: '1_0' is no number": lambda rows: [(rows[0][0], "1_0"), *rows[1:]],
        "line 2: 3 fields where the columns are 2": lambda rows: [(rows[0][0], "1", "288"), *rows[1:]],
        "line 2: 1 fields where the columns are 2": lambda rows: [(rows[0][0],), *rows[1:]],
    }
    for message, change in wrong.items():
        assert main(["score", str(folder), str(answer(folder, change))]) == 2
        assert message in capsys.readouterr().err
    (folder.parent / "answers.csv").write_text("star,answer\n")
    assert main(["score", str(folder), str(folder.parent / "answers.csv")]) == 2
    assert "lacks the column 'world': it has the columns star, answer; expected world,answer" in capsys.readouterr().err
    (folder.parent / "answers.csv").write_text("world,answer, answer\nworld-0001,1,-1\n")
    assert main(["score", str(folder), str(folder.parent / "answers.csv")]) == 2
    assert "has twice the column 'answer'" in capsys.readouterr().err
    (folder.parent / "answers.csv").write_text("world,answer\n", encoding="utf-16")
    assert main(["score", str(folder), str(folder.parent / "answers.csv")]) == 2
    assert "answers.csv is no text in UTF-8" in capsys.readouterr().err
    (folder.parent / "answers.csv").write_text(f"world,answer\nworld-0001,{'1' * 140_000}\n")
    assert main(["score", str(folder), str(folder.parent / "answers.csv")]) == 2
    assert "answers.csv, line 2: field larger than field limit" in capsys.readouterr().err
    text = answer(folder).read_text()
    (folder.parent / "answers.csv").write_text("\n\n" + text)
    assert controls.score_answers(folder, folder.parent / "answers.csv").to_dict() == row.to_dict()
    assert main(["score", str(folder), "absent.csv"]) == 2
    assert main(["score", str(folder.parent), "absent.csv"]) == 2
    (folder / "notes.txt").write_text("mine")
    assert main(["worlds", "--out", str(folder), "--seeds", "2"]) == 2
    assert "holds 'notes.txt'" in capsys.readouterr().err
    assert (folder / "world-0001.h5").exists()


def test_worlds_are_written_anew_over_those_of_before_alone(folder, capsys):
    begun, mine = folder / ".world-0001.h5.x.part", folder / "world-notes.txt"
    mine.write_text("mine")
    assert main(["worlds", "--out", str(folder), "--seeds", "2"]) == 2
    assert "holds 'world-notes.txt', which is not of the bench" in capsys.readouterr().err
    assert (folder / "manifest.json").exists()
    mine.unlink()
    # As a killed process leaves one.
    begun.write_text("half")
    (folder / "world-0300.h5").write_text("of more worlds")
    controls.write_worlds(folder, 2, progress=False)
    assert len(list(folder.iterdir())) == N_WORLDS + 2
    (folder.parent / "file").touch()
    assert main(["worlds", "--out", str(folder.parent / "file")]) == 2
    assert "is a file; give the name of a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["{}", "[]", "{", '{"bench": "1"}', '{"bench": "1", "n_seeds": 2, "worlds": {"world-0001": {}}}']
)
def test_a_damaged_truth_is_told(tmp_path, text):
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(ValueError, match=r"truth.json is damaged .*; write the worlds anew"):
        controls.score_answers(tmp_path, "answers.csv")
