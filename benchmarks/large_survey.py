"""Assemble and fit surveys of 5,000 and 50,000 stars: time, time per star and peak memory of each step.

The stars are synthetic, drawn in blocks and written as aspcapStar files in the format of DR17, each under a name of its
own; that part is not timed. Then, each in a fresh process: the files are assembled into one HDF5 survey; the survey is
loaded; Lux is fitted to it. Needs 6 GB of disk for the files of 50,000 stars, 4 GB for the survey and its blocks.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from problem import peak_memory_mb

HERE = Path(__file__).resolve().parent
BLOCK = 1000
# What the survey of the published study asks for.
MOST_MEMORY_MB, MOST_FIT_SECONDS, MOST_GROWTH = 6000.0, 360.0, 0.20


def star_name(number: int) -> str:
    """Return the name of a star, in the style of 2MASS."""
    return f"2M{number:08d}+0000000"


def write_block(folder: Path, block: int, count: int) -> None:
    """Draw a block of stars; write their spectra, and their labels beside."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from fixture_archive import spectrum_content, whole_grid

    from lux.simulation.synthetic import make_survey

    table = folder / f"labels{block}.npz"
    if table.exists():
        return
    survey = make_survey(count, seed=block)
    (folder / str(block)).mkdir(exist_ok=True)
    for row in range(count):
        name = star_name(BLOCK * block + row)
        content = spectrum_content(*whole_grid(survey, row), name, str(block), "apo25m")
        (folder / str(block) / f"{name}.fits").write_bytes(content)
    np.savez(
        table, labels=survey.labels, label_err=survey.label_err, names=survey.label_names, snr=survey.catalogue["snr"]
    )


def assemble_stars(folder: Path, n_stars: int) -> None:
    """Assemble the first stars of a folder into one survey."""
    from lux.datasets.assembly import SpectrumFile, assemble, star_table

    parts = [np.load(folder / f"labels{block}.npz", allow_pickle=False) for block in range(-(-n_stars // BLOCK))]
    columns = {key: np.concatenate([part[key] for part in parts])[:n_stars] for key in ("labels", "label_err", "snr")}
    names = [star_name(number) for number in range(n_stars)]
    table = star_table(
        labels=columns["labels"], label_err=columns["label_err"], label_names=tuple(parts[0]["names"].tolist()),
        star_id=np.array(names), catalogue={"snr": columns["snr"]}, provenance={"source": "benchmark"},
    )  # fmt: skip
    files = [SpectrumFile(folder / str(number // BLOCK) / f"{name}.fits", name) for number, name in enumerate(names)]
    assemble(survey_path(folder, n_stars), table, files, progress=False)


def survey_path(folder: Path, n_stars: int) -> Path:
    """Return where the survey of so many stars is."""
    return folder / f"survey{n_stars}.h5"


def run_step(step: str, folder: Path, n_stars: int) -> dict:
    """Do one step in this process and return its figures."""
    import lux

    started, processor, result = time.perf_counter(), time.process_time(), {}
    if step == "assemble":
        assemble_stars(folder, n_stars)
    else:
        survey = lux.Survey.load(survey_path(folder, n_stars))
        result["load_seconds"] = time.perf_counter() - started
        if step == "fit":
            started, processor = time.perf_counter(), time.process_time()
            model = lux.Lux(n_latents=21, progress=False).fit(survey)
            result |= {"cycles": len(model.history_), "converged": model.converged_}
    result |= {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
    return result | {"peak_mb": peak_memory_mb()}


def in_fresh_process(step: str, folder: Path, n_stars: int) -> dict:
    """Return the figures of one step, done by a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--stars", str(n_stars)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def table_of(results: dict[int, dict[str, dict]]) -> str:
    """Return the figures as text, with what was asked for.

    The fit takes a few cycles more or fewer from one survey to another: its time per star is also given per cycle.
    """
    lines = [f"{'stars':>7} {'step':<9} {'seconds':>8} {'processor':>9} {'ms/star':>8} {'peak MB':>8} {'cycles':>6}"]
    for n_stars, steps in results.items():
        for step, figures in steps.items():
            lines.append(
                f"{n_stars:>7} {step:<9} {figures['seconds']:8.1f} {figures['processor_seconds']:9.1f} "
                f"{1e3 * figures['seconds'] / n_stars:8.2f} {figures['peak_mb']:8.0f} {figures.get('cycles', ''):>6}"
            )
    small, large = min(results), max(results)
    for step in results[small] if small < large else ():
        wall, processor = (
            growth(results, step, key, per_cycle=step == "fit") for key in ("seconds", "processor_seconds")
        )
        unit = "star and cycle" if step == "fit" else "star"
        asked = "" if step == "load" else f" (asked: within {MOST_GROWTH:.0%})"
        lines.append(
            f"{step}: time per {unit} {wall:+.0%} from {small} to {large} stars, processor time {processor:+.0%}{asked}"
        )
    peak = max(figures["peak_mb"] for figures in results[large].values())
    lines.append(f"peak memory {peak:.0f} MB (asked: below {MOST_MEMORY_MB:.0f})")
    lines.append(f"fit {results[large]['fit']['seconds']:.0f} s (asked: below {MOST_FIT_SECONDS:.0f})")
    return "\n".join(lines)


def growth(results: dict[int, dict[str, dict]], step: str, key: str, *, per_cycle: bool) -> float:
    """Return by how much the time per star grows from the smallest to the largest survey, as a fraction."""
    rates = []
    for n_stars in (min(results), max(results)):
        figures = results[n_stars][step]
        rates.append(figures[key] / n_stars / (figures["cycles"] if per_cycle else 1))
    return rates[1] / rates[0] - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, nargs="+", default=[5000, 50_000])
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--step", choices=["assemble", "load", "fit"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(run_step(options.step, options.folder, options.stars[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for block in range(-(-max(options.stars) // BLOCK)):
            write_block(folder, block, BLOCK)
            print(f"\rdrawn: {BLOCK * (block + 1)} stars", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        steps = ("assemble", "load", "fit")
        results = {n: {step: in_fresh_process(step, folder, n) for step in steps} for n in sorted(options.stars)}
    print(table_of(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
