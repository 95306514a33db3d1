"""The table behind a figure holds what its lines, points, bars and images show."""

import csv

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux.figures.values import COLUMNS, values_of
from lux.paper.record import Record


@pytest.fixture
def figure():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2, 3], [4.0, np.nan, 6.0], label="a line")
    left.scatter([0.1], [0.2], c=[0.3])
    right.imshow(np.array([[1.0, 2.0], [3.0, 4.0]]))
    right.bar([0], [5.0], label="bars")
    yield figure
    plt.close(figure)


def test_every_kind_of_drawing_has_its_rows(figure):
    rows = values_of(figure)
    assert [row[3:5] for row in rows if row[:3] == (1, "line", "a line")] == [(1.0, 4.0), (2.0, ""), (3.0, 6.0)]
    assert [row[3:] for row in rows if row[:2] == (1, "points")] == [(0.1, 0.2, 0.3)]
    assert [row[5] for row in rows if row[:2] == (2, "image")] == [1.0, 2.0, 3.0, 4.0]
    assert [row[3:5] for row in rows if row[:3] == (2, "bars", "bars")] == [(0.4, 5.0)]


def test_many_values_are_thinned_and_short():
    figure, axis = plt.subplots()
    axis.plot(np.arange(100_001), np.pi * np.ones(100_001))
    rows = values_of(figure)
    plt.close(figure)
    assert 10_000 < len(rows) <= 20_000
    assert rows[0][4] == 3.1416


def test_a_recorded_figure_leaves_its_table(figure, tmp_path):
    record = Record("chapter", folder=tmp_path)
    record.figure(figure, "headline", alt="A line, a point, an image and a bar in two panels, which show little.")
    with (tmp_path / "figures" / "headline.csv").open(encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    assert tuple(first) == COLUMNS
    assert len(rows) == len(values_of(figure))


def test_data_of_an_interactive_figure_must_be_finite(tmp_path):
    record = Record("chapter", folder=tmp_path)
    record.data("spectra", {"unit": 0.5, "values": [1, 2]})
    assert (tmp_path / "data" / "spectra.json").read_text() == '{"unit":0.5,"values":[1,2]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        record.data("broken", {"values": [float("nan")]})
    assert not (tmp_path / "data" / "broken.json").exists()
