"""The values that a figure draws, as rows for a table: what a reader needs to draw it anew."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

COLUMNS = ("panel", "drawn as", "series", "x", "y", "value")
_MOST_ROWS = 20_000
_DIGITS = 5


def values_of(figure: Figure) -> list[tuple[Any, ...]]:
    """Return what the lines, points, bars and images of a figure show, a row for each value.

    The columns are those of `COLUMNS`: number of the panel, kind of drawing, its label in the legend or its number,
    place on both axes in units of the axes (of a bar its upper right corner), and for images and colored points the
    value that the color stands for. Lines and images of a figure that draws more than 20,000 values are thinned evenly;
    rows hold five digits.
    """
    series = [(panel, *each) for panel, axes in enumerate(figure.axes, 1) for each in _series(axes)]
    step = -(-sum(len(points) for *_, points in series) // _MOST_ROWS) if series else 1
    rows: list[tuple[Any, ...]] = []
    for panel, kind, name, points in series:
        kept = points[::step] if kind in ("line", "image") else points
        rows += [(panel, kind, name, *map(_short, point)) for point in kept]
    return rows


def _series(axes: Axes) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield kind, name and points (n, 3) of all that one panel shows."""
    drawn: list[tuple[str, Any, np.ndarray]] = []
    for line in axes.lines:
        drawn.append(("line", line, _points(*(np.asarray(line.get_data(orig=False), dtype=float)))))
    for each in axes.collections:
        if isinstance(each, PathCollection):
            x, y = np.ma.filled(np.asarray(each.get_offsets(), dtype=float), np.nan).T
            drawn.append(("points", each, _points(x, y, each.get_array())))
        elif isinstance(each, QuadMesh):
            drawn.append(("image", each, _grid(each.get_array())))
    for image in axes.images:
        drawn.append(("image", image, _grid(image.get_array())))
    for container in axes.containers:
        if isinstance(container, BarContainer):
            ends = [(bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height(), np.nan) for bar in container]
            drawn.append(("bars", container, np.array(ends, dtype=float).reshape(-1, 3)))
    for number, (kind, artist, points) in enumerate(drawn, 1):
        label = str(artist.get_label() or "")
        yield kind, str(number) if label.startswith("_") or not label else label, points


def _points(x: Any, y: Any, value: Any = None) -> np.ndarray:
    value = np.full(len(x), np.nan) if value is None else np.asarray(np.ma.filled(value, np.nan), dtype=float).ravel()
    return np.column_stack([x, y, value if len(value) == len(x) else np.full(len(x), np.nan)])


def _grid(values: Any) -> np.ndarray:
    """Return the pixels of an image as column, row and value; one of three colors has no value that could be told."""
    values = np.asarray(np.ma.filled(np.ma.asarray(values, dtype=float), np.nan))
    if values.ndim != 2:
        return np.empty((0, 3))
    row, column = np.indices(values.shape)
    return np.column_stack([column.ravel(), row.ravel(), values.ravel()])


def _short(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.{_DIGITS}g}")
