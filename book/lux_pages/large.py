"""The page on large surveys: a small one opened, and what was measured of a large one."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import lux
from lux.auditing.settings import AuditSettings
from lux.controls.ensemble import WINDOWS
from lux.figures import large_surveys as drawing
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.survey import Survey

# Written by benchmarks/out_of_core.py.
_MEASURED = "out_of_core.json"
_N_STARS = 600
_SIZES, _WORKERS = (10**6, 10**7, 10**8), (2, 40, 1000)
_STEPS = {"fit": "fit, four fifths of the stars", "predict": "predict the labels of all", "audit": "audit one label"}
_NUMBER = 8


def write_example(chapter: Chapter, path: Path) -> None:
    """Save a small survey with lines of europium."""
    chapter.world("signal", n_stars=_N_STARS, seed=chapter.seed + 60, wavelength_range=WINDOWS).save(path)


def record_example(record: Record, survey: Survey, model: lux.Lux, again: lux.Lux, test: Survey) -> None:
    """Record how far apart the predictions of a fit are and of one that went on from its checkpoint."""
    one, other = (each.predict_labels(test).labels for each in (model, again))
    apart = float(np.max(np.abs(one - other) / np.nanmedian(test.label_err, axis=0)))
    record("large_resumed_apart", apart, bound=1e-4)
    record.numbers(large_example_stars=survey.n_stars, large_audited_stars=AuditSettings().max_opened_stars)


@cache
def _measured() -> dict[str, Any]:
    return json.loads(files("lux_pages").joinpath(_MEASURED).read_text(encoding="utf-8"))


def record_measured(record: Record) -> None:
    """Record the table of what was measured, and what the prose says of it."""
    found = _measured()
    memory, fit, cluster = found["memory"], found["fit"], found["cluster"]
    record.numbers(large_pixels=found["pixels"], large_latents=found["latents"])
    record.numbers(large_stars=found["stars"], large_floor=memory["floor_opened"], large_speedup=cluster["speedup"])
    record("large_slower", fit["us"] / memory["us"], digits=2)
    record("large_gigabytes", found["bytes"] / 1e9, unit="GB")
    record("large_fit_memory", fit["peak_mb"] / 1e3, unit="GB", digits=2)
    record("large_killed_apart", cluster["apart killed"], bound=1e-4)
    record.table(
        "measured",
        {
            "step": list(_STEPS.values()),
            "seconds": [_text(found[step]["seconds"]) for step in _STEPS],
            "peak memory (GB)": [f"{found[step]['peak_mb'] / 1e3:.2f}" for step in _STEPS],
            "remark": [
                f"{fit['cycles']} cycles; {fit['us']:.0f} µs a star and cycle, in memory {memory['us']:.0f}",
                "",
                f"{AuditSettings().max_opened_stars} stars read",
            ],
        },
    )


def record_expected(record: Record) -> None:
    """Record the table of what larger surveys ask for."""
    out, back = _bytes_of_a_cycle()
    columns: dict[str, list[str]] = {
        "stars": [_text(size) for size in _SIZES],
        "file (TB)": [f"{2 * 4 * size * _measured()['pixels'] / 1e12:.2g}" for size in _SIZES],
        "to and from each worker (MB)": [f"{out / 1e6:.1f}, {back / 1e6:.1f}" for _ in _SIZES],
        "latents, at start and end (GB)": [f"{_NUMBER * size * _measured()['latents'] / 1e9:.2g}" for size in _SIZES],
    }
    columns |= {
        f"seconds, {workers} workers": [_text(_seconds(size, workers)) for size in _SIZES] for workers in _WORKERS
    }
    record.table("expected", columns)


def draw_expected() -> Figure:
    """Draw the seconds of a cycle against the number of stars."""
    stars = np.geomspace(1e5, 1e8, 50)
    seconds = {f"{workers} workers": _seconds(stars, workers) for workers in _WORKERS}
    measured = _measured()
    trained = 0.8 * measured["stars"]
    point = trained, 1e-6 * measured["fit"]["us"] * trained
    return drawing.seconds_of_a_cycle(stars, seconds, point, "measured, two cores")


def _seconds(n_stars: Any, workers: int) -> Any:
    """Return the seconds of a cycle; what was measured took two cores."""
    return 2e-6 * _measured()["fit"]["us"] * n_stars / workers


def _bytes_of_a_cycle() -> tuple[int, int]:
    """Return the bytes that go to a worker in a cycle and come back: coefficients, and one set of sums."""
    pixels, latents = _measured()["pixels"], _measured()["latents"]
    products = (latents + 1) * (latents + 2) // 2 + latents * (latents + 1) // 2
    return _NUMBER * pixels * (latents + 2), _NUMBER * pixels * (products + latents + 1 + 2)


def _text(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"
