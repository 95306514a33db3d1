"""How quantities and tables are written in prose: rounded to their errors."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

Value = bool | int | float | str
# Cells such as "0.31 ± 0.10", "> 10", "18 of 20", "0.83 (0.77–0.90)" or "–" are numbers to the eye.
_LIKE_A_NUMBER = re.compile(r"(?:[\d.,∞()\[\]±–−%<>≥≤\s/-]|\bof\b)+")


def format_quantity(
    value: Value,
    unit: str = "",
    uncertainty: float | None = None,
    interval: Sequence[float] | None = None,
    digits: int = 3,
) -> str:
    """Format a quantity for prose: "0.107 ± 0.004 dex", "0.71 [0.65, 0.77]", "4,000", "12.3 %".

    The value is rounded to the uncertainty, which keeps one significant digit, or two where the first is a 1; with an
    interval it is rounded to a tenth of the interval's width; with neither it keeps `digits` significant digits, and
    always its whole part.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and uncertainty is None and interval is None:
        text = f"{value:,}" if abs(value) >= 10_000 else str(value)
    elif uncertainty:
        places = decimal_places(uncertainty, 2 if _leading_digit(uncertainty) == 1 else 1)
        text = f"{_fixed(value, places)} ± {_fixed(uncertainty, places)}"
    elif interval is not None:
        width = interval[1] - interval[0]
        places = decimal_places(width / 10, 1) if width > 0 else decimal_places(value, digits)
        text = f"{_fixed(value, places)} [{_fixed(interval[0], places)}, {_fixed(interval[1], places)}]"
    else:
        text = _fixed(value, max(decimal_places(value, digits), 0))
    return f"{text} {unit}".strip().replace("-", "−")


def markdown_table(columns: Mapping[str, Any], formats: Mapping[str, str]) -> str:
    """Write columns (heading -> cells) as a pipe table, numbers aligned to the right."""
    cells = [[_cell(cell, formats.get(heading)) for cell in column] for heading, column in columns.items()]
    numeric = [all(_LIKE_A_NUMBER.fullmatch(cell) for cell in column) for column in cells]
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join("---:" if right else ":---" for right in numeric) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in zip(*cells, strict=True)]
    return "\n".join(lines) + "\n"


def power_of_ten(value: float) -> str:
    """Write a power of ten as text: 10⁻⁵."""
    return "10" + str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def decimal_places(value: float, digits: int) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    # Rounding first lets 0.0999 count as 0.10, one place fewer.
    rounded = float(f"{abs(value):.{digits - 1}e}")
    return digits - 1 - math.floor(math.log10(rounded))


def _cell(value: Value | dict | None, specification: str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return _cell(value["value"], specification) if specification else _with_error_of_last_digit(**value)
    if isinstance(value, str):
        return _unbroken(value)
    if specification is None or (isinstance(value, float) and math.isinf(value)):
        return format_quantity(value)
    text = format(value, specification)
    # Two digits of 317 are 317: in prose, too, a number keeps its whole part.
    return _typeset(f"{value:.0f}" if "e+" in text else text)


def _with_error_of_last_digit(value: float, interval: Sequence[float]) -> str:
    """Write 0.59(4): the half width of the interval, in units of the last digit, in brackets; 0.104(4) if less."""
    half_width = (interval[1] - interval[0]) / 2
    places = max(2, decimal_places(half_width, 1))
    return f"{_typeset(f'{value:.{places}f}')}({round(10**places * half_width)})"


def _typeset(number: str) -> str:
    """Write a minus as one, and none before a zero: "-0.75", "-0.00"."""
    return number.replace("-", "−") if re.search("[1-9]", number) else number.lstrip("-")


def _unbroken(text: str) -> str:
    """Let no line of a cell end within a result or a label: "0.31 ± 0.10 or more", "[$\\alpha$/M]"."""
    text = re.sub(r"(?<=\d) (?:± |%|of (?=\d))", lambda found: found[0].replace(" ", "\u00a0"), text)
    return text.replace(r"$\alpha$", "α")


def _leading_digit(value: float) -> int:
    return int(f"{abs(value):.0e}"[0])


def _fixed(value: float, places: int) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = round(value, places)
    return f"{rounded + 0.0:,.{max(places, 0)}f}" if abs(rounded) >= 10_000 else f"{rounded + 0.0:.{max(places, 0)}f}"
