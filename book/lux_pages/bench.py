"""The page of the bench: an example on trial, and the techniques of the paper."""

import inspect
import json
import math
from importlib.resources import files
from typing import Any

from IPython.display import Markdown

from lux.controls import bench
from lux.controls.on_trial import TrialResult
from lux.paper.record import Record


def source(thing: Any) -> Markdown:
    """Return the source of a function or class, to be shown."""
    return Markdown(f"```python\n{inspect.getsource(thing)}```")


def record_example(record: Record, result: TrialResult) -> None:
    """Record the row of the example."""
    (row,) = result.rows
    record.numbers(stars_of_bench=bench.N_STARS, bench_seeds=row.n_seeds, bench_worlds=len(result.worlds))
    record("bench_example_depth", _finite(row.smallest_depth.value), text=row.depth_text)
    record("bench_example_ratio", _finite(row.ratio), text=row.ratio_text)


def record_published(record: Record) -> None:
    """Record the table of the paper's techniques."""
    rows = bench.published_rows()
    about = json.loads(files("lux.controls").joinpath(bench.PUBLISHED).read_text(encoding="utf-8"))["about"]
    record("bench_version", bench.VERSION)
    record("bench_commit", about["commit"], text=about["commit"][:7])
    record.numbers(bench_full_seeds=about["seeds"], bench_techniques=len(rows))
    columns: dict[str, list[str]] = {"technique": [row.name for row in rows]}
    for key, heading in bench.COLUMNS.items():
        columns[heading] = [f"{row.area[key].value:.2f}" for row in rows]
    columns["smallest"], columns["over bound"] = [row.depth_text for row in rows], [row.ratio_text for row in rows]
    record.table("bench", columns)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 1.0
