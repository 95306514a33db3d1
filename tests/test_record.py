"""The record of a chapter: text for readers, JSON for machines, figures for both."""

import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux.paper.record import Record
from lux.statistics import Estimate


@pytest.fixture
def record(tmp_path):
    return Record("07_test", parameters={"seed": 0}, folder=tmp_path)


def test_numpy_scalars_become_plain_numbers_in_text_and_json(record, tmp_path):
    assert record("rmse", np.float32(0.25), uncertainty=np.float64(0.01), unit="dex") == "0.250 ± 0.010 dex"
    record("count", np.int64(7))
    record("verdict", np.bool_(True))
    record.provenance()
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert results["rmse"] == {
        "value": 0.25,
        "unit": "dex",
        "kind": "measured",
        "uncertainty": 0.01,
        "text": "0.250 ± 0.010 dex",
    }
    assert results["count"]["value"] == 7
    assert results["verdict"]["value"] is True


def test_a_key_names_one_result_whatever_its_kind(record):
    record("rmse", 1.0)
    with pytest.raises(ValueError, match="'rmse' is recorded twice"):
        record("rmse", 2.0)
    with pytest.raises(ValueError, match="'rmse' is recorded twice"):
        record.table("rmse", {"a": [1]})


def test_nan_and_odd_keys_and_odd_values_are_refused(record):
    with pytest.raises(ValueError, match="'eu' is not a number"):
        record("eu", np.nan)
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        record("eu:rmse", 1.0)
    with pytest.raises(ValueError, match="got ndarray"):
        record("eu", np.zeros(3))


def test_run_times_stay_out_of_the_results_that_are_compared(record, tmp_path):
    record("fit_time", 1.234, unit="s", varies=True)
    record("n", 3)
    record.provenance()
    assert set(json.loads((tmp_path / "results.json").read_text())["results"]) == {"n"}
    assert json.loads((tmp_path / "measurements.json").read_text())["fit_time"]["text"] == "1.23 s"


def test_results_are_strict_json_even_when_infinite(record, tmp_path):
    record("bound", math.inf)
    record.table("bounds", {"label": ["eu_fe", "fe_h"], "bound": [math.inf, 0.01]})
    record.provenance()
    text = (tmp_path / "results.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["results"]["bound"]["value"] == "inf"


def test_a_table_with_ragged_columns_is_refused(record):
    with pytest.raises(ValueError, match="one length"):
        record.table("ragged", {"a": [1, 2], "b": [1]})


def test_a_figure_is_saved_as_png_and_svg_with_its_alt_text_and_closed(record, tmp_path):
    fig, axis = plt.subplots()
    axis.plot([0, 1])
    record.figure(fig, "line", alt="A straight line that rises from zero at the left to one at the right.")
    assert (tmp_path / "figures" / "line.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / "line.svg").read_text()
    assert json.loads((tmp_path / "figures" / "line.json").read_text())["alt"].startswith("A straight line")
    assert not plt.fignum_exists(fig.number)


def test_the_same_figure_gives_the_same_files(tmp_path):
    files = []
    for run in ("one", "two"):
        fig, axis = plt.subplots()
        axis.plot([0, 1])
        Record("07_test", folder=tmp_path / run).figure(fig, "line", alt="A straight line, rising from left to right.")
        files.append([(tmp_path / run / "figures" / f"line.{kind}").read_bytes() for kind in ("png", "svg")])
    assert files[0] == files[1]


@pytest.mark.parametrize("alt", ["", "A line.", "a figure without an end to its only sentence, sadly"])
def test_a_figure_without_a_sentence_of_alt_text_is_refused(record, alt):
    with pytest.raises(ValueError, match="whole sentence"):
        record.figure(plt.figure(), "line", alt=alt)
    plt.close("all")


def test_estimates_means_and_several_numbers_are_recorded_in_one_call(record):
    assert record.estimate("rmse", Estimate(0.1071, 0.103, 0.111), unit="dex") == "0.107 ± 0.004 dex"
    assert record.estimate("p", Estimate(0.713, 0.651, 0.774), in_brackets=True) == "0.71 [0.65, 0.77]"
    assert record.mean("slope", np.array([1.0, 2.0, 3.0, 2.0])) == "2.0 ± 0.4"
    # Of two values, half their difference.
    assert record.mean("slope_of_two", np.array([1.0, 3.0])) == "2.0 ± 1.0"
    record.numbers(unit="Å", digits=2, blue=0.123, red=0.987)
    record.provenance()
    results = json.loads((record.folder / "results.json").read_text())["results"]
    assert [results[key]["text"] for key in ("blue", "red")] == ["0.12 Å", "0.99 Å"]
