"""A report is read by people, by machines and as a table, by the names that reports have always had."""

import base64
import dataclasses
import json
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux.auditing import AuditSettings, Evidence, Kind, Report, summary
from lux.auditing.evidence import ModelUse
from lux.auditing.limits import Limit
from lux.auditing.places import Place
from lux.statistics import Estimate

OWN = Evidence(Kind.OWN_LINES, "any lines?", 5.0, 1.0, 2.0, 1e-6, threshold=0.015)
GROWTH = Evidence(Kind.LEAK_GROWTH, "any growth?", 1.0, 0.0, 1.0, 0.2, needed=math.inf)
SETTINGS = AuditSettings(n_probed=7)
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
    assert "n_probed = 7" in " ".join(lines[-2:])


def test_the_text_says_where_what_share_and_what_was_masked():
    place = Place(16503.2, 12.2, ("Yb II",), own=False)
    fixed = tuple(15240.0 + np.arange(8))
    full = dataclasses.replace(KNOWN, places=(place,), flux_share=Estimate(0.58, 0.31, 0.85), observed_places=fixed)
    said = "\n".join(full.answers)
    assert "explains 58% of its own variance in stars left out (31% to 85%)" in said
    assert "where: 16503.2 A (Yb II, +12.2 sigma)" in said
    assert "15245.0 and 2 more A" in said
    assert "explains" not in "\n".join(dataclasses.replace(full, verdict="artefact").answers)
    content = json.loads(full.to_json())
    assert content["places"][0]["species"] == ["Yb II"]
    assert content["flux_share"]["high"] == 0.85


def test_json_holds_every_field_but_the_arrays(tmp_path):
    KNOWN.to_json(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["verdict"] == "known"
    assert [row["name"] for row in content["evidence"]] == ["own lines", "grows with noise"]
    assert content["evidence"][1]["needed"] is None
    assert content["settings"]["n_probed"] == 7
    assert "wavelength" not in content
    assert json.loads(EMPTY.to_json())["own_scatter"] is None


def test_the_table_has_a_row_for_each_evidence_and_the_settings_in_its_meta():
    table = KNOWN.table
    assert list(table["name"]) == ["own lines", "grows with noise"]
    assert list(table["significant"]) == [True, False]
    assert np.isnan(table["needed"][0])
    assert table.meta["settings"]["n_probed"] == 7
    assert len(EMPTY.table) == 0


def test_a_summary_has_a_row_for_each_report():
    use = ModelUse("no", 0.02, 0.03, False, 0.13)
    table = summary([dataclasses.replace(KNOWN, model_use=use), EMPTY])
    assert list(table["uses"]) == ["no", ""]
    assert table["slope"][0] == 0.02
    assert list(table["verdict"]) == ["known", "undecided"]
    assert table["own lines"][0] == 2.0
    assert np.isnan(table["own lines"][1])
    assert np.isnan(table["own_scatter"][1])


@pytest.mark.parametrize(
    ("verdict", "answer", "remark"),
    [
        ("guessed", "yes", "the tests of the flux do not confirm it"),
        ("undecided", "yes", "the tests of the flux do not confirm it"),
        ("leaked", "cannot tell", "what it follows may be the catalogue's error"),
        ("guessed", "no", None),
        ("known", "yes", None),
        ("known", "no", None),
    ],
)
def test_what_is_said_of_the_model_is_said_beside_the_verdict_and_a_contradiction_is_explained(verdict, answer, remark):
    use = ModelUse(answer, 0.15, 0.02, False, 0.09)
    report = Report("eu_fe", verdict, "because", (OWN,), limits=(Limit(Kind.ANY_LINE, 0.2, 0.01, 8.0),), model_use=use)
    reason, limit, model = report.answers
    assert reason == "because"
    assert limit == "would be found in 95% of such surveys: any one line: 1 % deep (8 mA), 0.2 of its own variance"
    said = f"does the model use it? {answer} (slope 0.15 +- 0.02 on the label's own part; 0.09 would be found)"
    assert model == (f"{said}; {remark}" if remark else said)
    far = dataclasses.replace(report, model_use=ModelUse(answer, 0.8, 0.02, False, 0.09))
    fitted = answer == "yes" and verdict in ("guessed", "undecided")
    assert far.answers[2].endswith(": was the model fitted to these stars?") == fitted
    said = " ".join(str(report).split())
    assert all(" ".join(line.split()) in said for line in report.answers)
    content = json.loads(report.to_json())
    assert (content["model_use"]["answer"], content["limits"][0]["kind"]) == (answer, "any one line")


@pytest.mark.parametrize(
    ("slope", "least", "said"),
    [(0.05, False, "yes, but little (slope"), (0.07, False, "yes (s"), (0.05, True, "yes (s")],
)
def test_a_use_of_less_than_a_tenth_is_called_little(slope, least, said):
    use = ModelUse("yes", slope, 0.02, least, 0.05)
    assert str(use).startswith(said)
    assert use.little == ("little" in said)
    assert not ModelUse("no", slope, 0.02, least, 0.05).little


def test_little_use_is_little_in_text_table_comparison_and_json():
    little, more = (
        dataclasses.replace(KNOWN, model_use=ModelUse("yes", slope, 0.02, False, 0.05)) for slope in (0.05, 0.3)
    )
    assert list(summary([little, more, EMPTY])["uses"]) == ["yes, but little", "yes", ""]
    row = little.compare(more)[1]
    assert (row["what"], row["this"], row["other"], row["differ"]) == ("model uses it", "yes, but little", "yes", False)
    assert [json.loads(report.to_json())["model_use"]["little"] for report in (little, more)] == [True, False]


def test_no_line_of_the_text_is_wider_than_a_page():
    long = dataclasses.replace(
        KNOWN, reason="one of many words " * 20, settings=AuditSettings(n_probed=7, power=0.9, share_to_find=0.2)
    )
    assert max(map(len, str(long).splitlines())) <= 80


def test_markdown_has_the_answers_and_a_row_for_each_evidence(tmp_path):
    text = KNOWN.to_markdown(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text
    lines = text.splitlines()
    assert lines[:3] == ["## fe_h: known", "", "- lines"]
    assert "| own lines | 5.00 | 1.00 ± 2.00 | 1e-06 | yes |" in lines
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert "|" not in EMPTY.to_markdown()


def test_the_page_is_whole_in_itself_and_shows_text_as_text(tmp_path):
    odd = dataclasses.replace(KNOWN, label="<fe&h>", reason="1 < 2")
    figure = plt.figure()
    text = odd.to_html(tmp_path / "report.html", figure)
    plt.close(figure)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert "<h1>&lt;fe&amp;h&gt;: known</h1>" in text
    assert "<li>1 &lt; 2</li>" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    image = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', text)[1])
    assert image.startswith(b"\x89PNG")
    assert "<img" not in EMPTY.to_html()
    assert len(re.findall("<tr>", text)) == len(re.findall("</tr>", text)) == 3


def test_a_summary_of_an_audit_has_no_score_where_there_is_no_null():
    canary = Evidence(Kind.LABEL_CANARY, "moved?", 0.0, 0.0, 0.0, 1.0)
    assert np.isnan(summary([dataclasses.replace(KNOWN, evidence=(OWN, canary))])["label canary"][0])


def test_two_reports_are_compared_item_by_item():
    use = ModelUse("no", 0.02, 0.03, False, 0.13)
    first = dataclasses.replace(KNOWN, model_use=use)
    changes = {
        "model_use": dataclasses.replace(use, slope=0.05),
        "evidence": (dataclasses.replace(OWN, statistic=1.0),),
    }
    second = dataclasses.replace(first, verdict="guessed", **changes)
    table = first.compare(second)
    differ = dict(zip(table["what"], table["differ"], strict=True))
    assert differ == {
        "verdict": True,
        "model uses it": False,
        "slope of prediction": False,
        "own lines (sigma)": False,
        "n_stars": False,
        "n_test": False,
        "own_lines": False,
        "settings": False,
    }
    far = dataclasses.replace(second, evidence=(dataclasses.replace(OWN, statistic=-1.0),))
    assert dict(zip(*(first.compare(far)[name] for name in ("what", "differ")), strict=True))["own lines (sigma)"]
    with pytest.raises(ValueError, match="the reports are on fe_h and eu_fe"):
        KNOWN.compare(EMPTY)
