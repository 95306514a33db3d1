"""Compare the fit of `lux.Lux` with the public implementation of the same model, PyPI `pollux`: time, memory, accuracy.

Each fit runs in a fresh process, the two in turn. Seconds run from arrays in memory to a fitted model, compilation
included, imports not. Peak memory is that of the whole process until the fit ends. The error is that of held-out stars'
labels, inferred from flux alone, against the noise-free truth, in units of each label's scatter.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from problem import make_problem

from lux.store.files import cache_dir

HERE = Path(__file__).parent
POLLUX = "pollux==0.1.0"
# Its data class does not import with the next release of this dependency.
REQUIREMENTS = (POLLUX, "xmmutablemap<0.3")
PYTHONS = ("python3.12", "python3.13", "python3.14")
PROBE = """
import sys
if sys.version_info < (3, 12): sys.exit(1)
try:
    from importlib.metadata import version
    import pollux, xmmutablemap
    print("pollux==" + version("pollux"))
except ImportError:
    print("bare")
"""


@dataclasses.dataclass(frozen=True)
class Side:
    """One way to fit: its name in the table, and the command that takes a problem and a result file."""

    name: str
    command: tuple[str, ...]
    fits: int = 2


def our_sides() -> tuple[Side, Side, Side]:
    """Return ours, the model of the paper, ours without the scatter of each pixel, and ours with loadings shrunk."""
    script = (sys.executable, str(HERE / "lux_fit.py"))
    return (
        Side("lux", script),
        Side("lux, no scatter", (*script, "--no-scatter")),
        Side("lux, shrunk", (*script, "--shrunk")),
    )


def pollux_sides(python: str) -> tuple[Side, Side, Side]:
    """Return pollux as quick as it can be made, with and without scatter, and as its own APOGEE tutorial runs it.

    README.md gives the search behind the quick settings: the least time to within 1 % of the error it ends at.
    """
    adam = (python, str(HERE / "pollux_fit.py"), "--method", "adam")
    return (
        Side("pollux, quickest", (*adam, "--steps", "110", "--step-size", "0.1")),
        Side("pollux, no scatter", (*adam, "--steps", "125", "--step-size", "0.05", "--no-scatter")),
        Side("pollux, tutorial", (*adam, "--steps", "2000", "--step-size", "0.01"), fits=1),
    )


def find_python() -> str | None:
    """Return an interpreter that has the public implementation, in an environment made for it if need be, or None."""
    for candidate in candidate_pythons():
        found = probe(candidate)
        if found == POLLUX:
            return candidate
        if found is not None:
            return make_environment(candidate)
    return None


def candidate_pythons() -> Iterator[str]:
    """Yield ``$LUX_BENCH_PYTHON`` alone if it is set, else every newer Python on PATH and in pyenv."""
    chosen = os.environ.get("LUX_BENCH_PYTHON")
    if chosen:
        found = shutil.which(chosen)
        if found is None or probe(found) is None:
            raise ValueError(f"LUX_BENCH_PYTHON={chosen} is not a Python >= 3.12; name another, or unset it to search")
        yield found
        return
    # A version manager's stub may come first on PATH and not run, so every folder is tried.
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from filter(None, (shutil.which(name, path=folder) for name in PYTHONS))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for name in PYTHONS for path in sorted(pyenv.glob(f"versions/*/bin/{name}")))


def probe(python: str) -> str | None:
    """Return "pollux==VERSION", "bare", or None if this is no Python >= 3.12 that runs."""
    try:
        answer = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def make_environment(python: str) -> str | None:
    """Return the interpreter of a virtual environment with pollux in the cache folder, made if it is not there."""
    folder = cache_dir() / POLLUX.replace("==", "-")
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if interpreter.exists() and probe(str(interpreter)) == POLLUX:
        return str(interpreter)
    print(f"making an environment with {POLLUX} (about 600 MB, once)", file=sys.stderr)
    steps = (
        [python, "-m", "venv", "--clear", str(folder)],
        [str(interpreter), "-m", "pip", "install", "--quiet", *REQUIREMENTS],
    )
    for step in steps:
        made = subprocess.run(step, capture_output=True, text=True, check=False)
        if made.returncode:
            print(f"could not make it: {made.stderr.strip()[-500:]}", file=sys.stderr)
            return None
    return str(interpreter)


def run(side: Side, problem: Path, n_latents: int) -> dict:
    """Return the measurements of one fit in a fresh process, with the higher load of its start and its end."""
    load = os.getloadavg()[0]
    result = problem.with_suffix(".json")
    command = [*side.command, str(problem), str(result), "--latents", str(n_latents), "--fits", str(side.fits)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side.name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return {**json.loads(result.read_text()), "load": max(load, os.getloadavg()[0])}


def compare(sides: tuple[Side, ...], problem: Path, options: argparse.Namespace) -> list[dict]:
    """Return the medians of every side over alternating runs; a side that fits only once is run only once."""
    runs = {side.name: [] for side in sides}
    for turn in range(options.repeat):
        for side in sides:
            if side.fits > 1 or turn == 0:
                measured = run(side, problem, options.latents)
                runs[side.name].append(measured)
                print(f"  {side.name}: {measured['seconds'][0]:.2f} s", file=sys.stderr)
    return [summary(name, measured) for name, measured in runs.items()]


def summary(name: str, runs: list[dict]) -> dict:
    """Return the medians of one side's runs; `again` is the second fit of a process over its first, in time."""
    again = [run["seconds"][1] / run["seconds"][0] for run in runs if len(run["seconds"]) > 1]
    return {
        "name": name,
        "seconds": median(run["seconds"][0] for run in runs),
        "seconds_all": [run["seconds"][0] for run in runs],
        "cpu_seconds": median(run["cpu_seconds"] for run in runs),
        "again": median(again) if again else None,
        "peak_mb": median(run["peak_mb"] for run in runs),
        "baseline_mb": median(run["baseline_mb"] for run in runs),
        "rmse": median(run["rmse"] for run in runs),
        "load": max(run["load"] for run in runs),
        "versions": runs[0]["versions"],
    }


def table(rows: list[dict]) -> str:
    """Return a table of one problem's rows; ratios are to the first row, ours."""
    ours = rows[0]
    lines = [
        f"{'':19}{'wall s':>8}{'x ours':>8}{'CPU s':>8}{'x ours':>8}{'2nd/1st':>9}{'peak MB':>9}{'x ours':>8}"
        f"{'RMSE':>9}{'load':>6}"
    ]
    for row in rows:
        again = "-" if row["again"] is None else f"{row['again']:.2f}"
        wall, processor, memory = (row[key] / ours[key] for key in ("seconds", "cpu_seconds", "peak_mb"))
        lines.append(
            f"{row['name']:19}{row['seconds']:8.2f}{wall:8.1f}{row['cpu_seconds']:8.2f}{processor:8.1f}{again:>9}"
            f"{row['peak_mb']:9.0f}{memory:8.2f}{row['rmse']:9.5f}{row['load']:6.1f}"
        )
    return "\n".join(lines)


def machine() -> dict:
    """Return what the timings depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": cores, "machine": platform.machine(), "system": platform.system(), "load": os.getloadavg()}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, nargs="+", default=[1600, 4000], help="training stars, one run each")
    parser.add_argument("--test-stars", type=int, default=800)
    parser.add_argument("--pixels", type=int, default=7500)
    parser.add_argument("--latents", type=int, default=21)
    parser.add_argument("--strength-range", type=float, default=1.0, help="strongest latent over weakest, in the flux")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side, in turn; medians are reported")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-tutorial", action="store_true", help="leave out the slow run of pollux")
    parser.add_argument("--json", type=Path, help="write the results here too")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    ours, ours_plain, ours_shrunk = our_sides()
    python = find_python()
    if python is None:
        print(
            f"no usable Python >= 3.12 found ({', '.join(PYTHONS)} on PATH, or LUX_BENCH_PYTHON): the comparison with "
            f"{POLLUX} is left out",
            file=sys.stderr,
        )
    quickest, plain, tutorial = pollux_sides(python) if python else (None, None, None)
    report = {"machine": machine(), "options": {**vars(options), "json": None}, "problems": {}}
    print(f"{report['machine']['cores']} cores, load {report['machine']['load'][0]:.1f}")
    for n_train in options.stars:
        # Only where some latents are weak is there anything to shrink.
        shrunk = ours_shrunk if options.strength_range > 1 else None
        slow = tutorial if n_train == options.stars[0] and not options.no_tutorial else None
        sides = tuple(side for side in (ours, quickest, ours_plain, plain, shrunk, slow) if side)
        with tempfile.TemporaryDirectory() as folder:
            problem = Path(folder) / "problem.npz"
            arrays = make_problem(
                n_train, options.test_stars, options.pixels, options.latents, options.strength_range, options.seed
            )
            np.savez(problem, **arrays)
            del arrays
            rows = compare(sides, problem, options)
        report["problems"][str(n_train)] = rows
        print(f"\n{n_train} training stars x {options.pixels} pixels, {options.latents} latents\n{table(rows)}")
    print(f"\nversions: {json.dumps({row['name']: row['versions'] for row in rows})}")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
