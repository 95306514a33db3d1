"""A report is read by people, by machines and as a table, by the names that reports have always had."""

import json
import math

import numpy as np
import pytest

from lux.auditing import AuditSettings, Evidence, Kind, Report, summary

OWN = Evidence(Kind.OWN_LINES, "any lines?", 5.0, 1.0, 2.0, 1e-6, threshold=0.015)
GROWTH = Evidence(Kind.LEAK_GROWTH, "any growth?", 1.0, 0.0, 1.0, 0.2, needed=math.inf)
SETTINGS = AuditSettings(n_folds=7)
KNOWN = Report("fe_h", "known", "lines", (OWN, GROWTH), 500, 100, own_scatter=0.1, settings=SETTINGS)
EMPTY = Report("eu_fe", "undecided", "only 3 stars")


def test_evidence_is_found_by_member_and_by_name():
    assert KNOWN[Kind.OWN_LINES] is KNOWN["own lines"] is OWN
    assert Kind.OWN_LINES in KNOWN
    assert "own lines" not in EMPTY
    with pytest.raises(KeyError, match="audit of fe_h has no evidence 'magic'; it has own lines, grows with noise"):
        KNOWN["magic"]


def test_the_text_has_verdict_evidence_and_settings():
    lines = str(KNOWN).splitlines()
    assert lines[0] == "fe_h: known"
    assert lines[3].split() == ["own", "lines", "5.00", "1.00", "+-", "2.00", "1e-06", "yes"]
    assert lines[4].split()[-1] == "no"
    assert "n_folds = 7" in lines[-1]


def test_json_holds_every_field_but_the_arrays(tmp_path):
    KNOWN.to_json(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["verdict"] == "known"
    assert [row["name"] for row in content["evidence"]] == ["own lines", "grows with noise"]
    assert content["evidence"][1]["needed"] is None
    assert content["settings"]["n_folds"] == 7
    assert "wavelength" not in content
    assert json.loads(EMPTY.to_json())["own_scatter"] is None


def test_the_table_has_a_row_for_each_evidence_and_the_settings_in_its_meta():
    table = KNOWN.table
    assert list(table["name"]) == ["own lines", "grows with noise"]
    assert list(table["significant"]) == [True, False]
    assert np.isnan(table["needed"][0])
    assert table.meta["settings"]["n_folds"] == 7
    assert len(EMPTY.table) == 0


def test_a_summary_has_a_row_for_each_report():
    table = summary([KNOWN, EMPTY])
    assert list(table["verdict"]) == ["known", "undecided"]
    assert table["own lines"][0] == 2.0
    assert np.isnan(table["own lines"][1])
    assert np.isnan(table["own_scatter"][1])
