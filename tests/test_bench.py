"""The bench has the same worlds for everybody, and a row of it says how deep the lines must be that a number finds."""

import json
import math

import pytest

from lux.controls import bench
from lux.controls.techniques import TECHNIQUES
from lux.statistics import Estimate


def test_the_worlds_of_a_version_are_the_same_for_everybody(monkeypatch):
    monkeypatch.setattr(bench, "N_STARS", 30)
    assert bench.fingerprint() == "c738483713ed0a3d8de60b0201c32afe5c181634f4993b813a9a03b67a90386d"


@pytest.mark.parametrize(
    ("depth", "depth_text", "ratio_text"),
    [(0.05, "5 %", "10.0"), (bench.LINE_DEPTHS[0], "at most 0.1 %", "at most 0.2"), (math.inf, "none", "none")],
)
def test_a_row_says_how_deep_lines_must_be_also_when_it_is_read_again(depth, depth_text, ratio_text):
    row = bench.BenchRow("one", 2, {}, {"leak": Estimate(0.5, 0.4, 0.6)}, Estimate(depth, 0.01, math.inf), 0.005)
    again = bench.BenchRow.from_dict(json.loads(json.dumps(row.to_dict(), allow_nan=False)))
    assert again.smallest_depth == row.smallest_depth
    assert again.power == row.power
    assert (again.depth_text, again.ratio_text) == (row.depth_text, row.ratio_text) == (depth_text, ratio_text)


def test_published_rows_are_of_techniques_of_the_paper_on_every_kind_of_worlds():
    rows = bench.published_rows()
    names = [row.name for row in rows]
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= {technique.name for technique in TECHNIQUES.values()}
    assert all(row.area.keys() == row.power.keys() == bench.COLUMNS.keys() for row in rows)
