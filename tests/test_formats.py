"""Quantities and tables in prose show what is known of them and no more."""

import math

import pytest

from lux.paper.formats import format_quantity, markdown_table


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"value": 0.1071, "unit": "dex", "uncertainty": 0.004}, "0.107 ± 0.004 dex"),
        ({"value": 0.1071, "unit": "dex", "uncertainty": 0.0148}, "0.107 ± 0.015 dex"),
        ({"value": 95.8, "unit": "K", "uncertainty": 3.2}, "96 ± 3 K"),
        ({"value": 1234.0, "uncertainty": 120.0}, "1230 ± 120"),
        ({"value": 0.0999, "uncertainty": 0.0996}, "0.10 ± 0.10"),
        ({"value": 0.713, "interval": (0.651, 0.774)}, "0.71 [0.65, 0.77]"),
        ({"value": 12.345, "unit": "%"}, "12.3 %"),
        ({"value": -0.02}, "−0.0200"),
        ({"value": 15241.3, "unit": "Å"}, "15,241 Å"),
        ({"value": 4000}, "4000"),
        ({"value": 50_000}, "50,000"),
        ({"value": math.inf, "unit": "dex"}, "∞ dex"),
        ({"value": True}, "yes"),
        ({"value": "guessed"}, "guessed"),
    ],
)
def test_a_quantity_is_rounded_to_what_is_known_of_it(arguments, text):
    assert format_quantity(**arguments) == text


def test_a_table_aligns_numbers_right_and_shows_missing_and_infinite_cells():
    text = markdown_table({"label": ["fe_h", "eu_fe", "u_fe"], "RMSE": [-0.0931, None, math.inf]}, {"RMSE": ".3f"})
    assert text == "| label | RMSE |\n|:---|---:|\n| fe_h | −0.093 |\n| eu_fe | – |\n| u_fe | ∞ |\n"


@pytest.mark.parametrize(
    ("half_width", "text"),
    [(0.1, "0.10(10)"), (0.0097, "0.10(1)"), (0.006, "0.104(6)"), (0.004, "0.104(4)"), (0.0, "0.10(0)")],
)
def test_an_error_below_the_second_digit_brings_a_third(half_width, text):
    cell = {"value": 0.1042, "interval": [0.1042 - half_width, 0.1042 + half_width]}
    assert markdown_table({"area": [cell]}, {}).splitlines()[-1] == f"| {text} |"


def test_cells_of_a_table_are_typeset_as_numbers_are_in_prose():
    columns = {
        "label": [r"[$\alpha$/M]", "one of two", "0.3 dex"],
        "slope": ["0.31 ± 0.10", "–", "18 of 20"],
        "area": [{"value": value, "interval": [value - 0.01, value + 0.01]} for value in (-0.07, -0.001, 0.5)],
        "depth": [-0.004, -0.75, 1.0],
        "width": [317.4, 12.0, 0.123],
    }
    _, rule, *rows = markdown_table(columns, {"depth": ".2f", "width": ".2g"}).splitlines()
    assert rule == "|:---|---:|---:|---:|---:|"
    assert rows[0] == "| [α/M] | 0.31\u00a0±\u00a00.10 | −0.07(1) | 0.00 | 317 |"
    assert rows[1] == "| one of two | – | 0.00(1) | −0.75 | 12 |"
    assert rows[2] == "| 0.3 dex | 18\u00a0of\u00a020 | 0.50(1) | 1.00 | 0.12 |"
