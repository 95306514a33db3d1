"""Drawings of the controls and of the audit show the numbers that they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from lux.auditing.evidence import Evidence, Kind
from lux.auditing.report import Report
from lux.figures import audit, controls, real_spectra


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_the_matrix_writes_every_score_and_separates_what_was_published():
    values = np.array([[0.5, 0.25, 1.0], [0.75, 0.0, 0.5]])
    figure = controls.score_matrix(["one", "two"], ["0.1 %", "1 %", "leak"], values, 1, 2)
    axis = figure.axes[0]
    assert texts(axis) == ["0.50", "0.25", "1.00", "0.75", "0.00", "0.50"]
    assert {tuple(np.ravel(line.get_data())[:2]) for line in axis.lines} == {(0.0, 1.0), (1.5, 1.5)}
    plt.close(figure)


def test_the_matrix_of_sizes_writes_areas_and_powers_marks_what_falls_and_separates_the_generators():
    values = np.array([[0.5, 0.25, 1.0, 0.9], [0.75, 0.0, 0.5, 0.1]])
    falls = values < 0.2
    figure = controls.size_matrix(["one", "two"], ["first", "second"], ["a", "b"], values, 1 - values, falls, 1)
    areas, powers = figure.axes
    numbers = ["0.50", "0.75", "0.00", "0.10", "0.25", "1.00", "▾", "0.50", "0.90", "▾"]
    assert texts(areas)[:4] == ["0.50", "0.25", "1.00", "0.90"]
    assert texts(powers) == [*numbers, "first", "second"]
    assert {tuple(np.ravel(line.get_data())[:2]) for line in areas.lines} == {(0.0, 1.0), (1.5, 1.5)}
    plt.close(figure)


def test_every_fit_is_a_point_and_the_line_stands_where_both_gain_the_same():
    series = {"physical, windows": ([0.1, 2.0], [0.0, 1.5]), "physical, whole spectra": ([0.3], [0.02])}
    panels = {title: {name: tuple(map(np.array, each)) for name, each in series.items()} for title in ("one", "two")}
    figure = controls.learned(panels)
    for axis in figure.axes:
        drawn = {line.get_label(): line.get_data() for line in axis.lines}
        for name, (power, slope) in series.items():
            np.testing.assert_array_equal(drawn[name], [power, slope])
        assert [1, 1] in [list(line.get_xdata()) for line in axis.lines]
    assert [axis.get_title() or axis.get_title(loc="left") for axis in figure.axes] == ["one", "two"]
    plt.close(figure)


def test_the_map_names_the_labels_of_the_first_model():
    points = {name: (np.array([0.5, 20.0]), np.array([0.0, 0.8]), ["li_fe", "teff"]) for name in ("Lux", "PLS")}
    figure = controls.information_and_use(points, 2.3)
    assert texts(figure.axes[0]) == ["[Li/Fe]", "$T_\\mathrm{eff}$"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["Lux", "PLS"]
    plt.close(figure)


def test_names_on_the_map_cover_neither_each_other_nor_a_point_nor_the_zero_line():
    found, used = np.array([0.40, 0.55, 0.65, 20.0]), np.array([-0.02, 0.0, 0.02, 0.9])
    points = {"Lux": (found, used, ["ba_fe", "li_fe", "eu_fe", "mg_fe"]), "PLS": (found, used - 0.03, [])}
    figure = controls.information_and_use(points, 2.3)
    figure.draw_without_rendering()
    axis = figure.axes[0]
    boxes = [Text.get_window_extent(text) for text in axis.texts]
    marks = axis.transData.transform(np.concatenate([np.column_stack(line.get_data()) for line in axis.lines[:2]]))
    zero = axis.transData.transform((0, 0))[1]
    for number, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:number])
        assert not any(box.contains(*mark) for mark in marks)
        assert not box.y0 < zero < box.y1
    plt.close(figure)


def test_the_optimal_observer_has_even_odds_where_his_lines_stand_at_the_threshold():
    figure = controls.power_curves([0.001, 0.01], {"audit": np.array([0.1, 0.9])}, [0.16448536, 1.6448536])
    optimal, drawn = figure.axes[0].lines[:2]
    assert optimal.get_ydata()[-1] == pytest.approx(0.5)
    np.testing.assert_array_equal(drawn.get_ydata(), [0.1, 0.9])
    plt.close(figure)


def test_every_draw_is_marked_by_its_verdict():
    figure = real_spectra.verdicts_by_world(
        {"nothing": [0.1, -0.2], "lines": [5.0, 6.0]}, {"nothing": ["guessed"] * 2, "lines": ["known"] * 2}, 2.05
    )
    axis = figure.axes[0]
    assert sorted(float(line.get_xdata()[0]) for line in axis.lines) == [-0.2, 0.1, 2.05, 5.0, 6.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["guessed", "known"]
    plt.close(figure)


def test_a_page_shows_the_verdict_and_each_evidence_and_refuses_an_empty_report():
    evidence = (
        Evidence(Kind.OWN_LINES, "?", 5.0, 0.0, 1.0, 1e-6),
        Evidence(Kind.LABEL_CANARY, "?", 0.0, 0.0, 0.0, 1.0),
    )
    wavelength = np.linspace(15200, 16800, 400)
    arrays = {"wavelength": wavelength, "significance": np.zeros(400)}
    reason = "95% of -3.1 +- 0.2 sigma at 15448.4 A and 2 more A, 3.2 mA"
    report = Report("eu_fe", "known", reason, evidence, 500, 100, (15448.4,), **arrays)
    figure = audit.page(report)
    assert figure.get_suptitle() == "[Eu/Fe]: known"
    said = figure.axes[0].get_title(loc="left").splitlines()[0].replace("\u00a0", " ")
    assert said == "95 % of −3.1 ± 0.2 σ at 15448.4 Å and 2 more Å, 3.2 mÅ"
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == [Kind.OWN_LINES]
    plt.close(figure)
    with pytest.raises(ValueError, match="only 3 stars"):
        audit.page(Report("eu_fe", "undecided", "only 3 stars"))
