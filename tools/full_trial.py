"""Measure the dense grid of the trial, half an hour on two cores, and write its tables beside the chapter's module.

Chapter 8 shows them, marked with their commit and date; the paper itself re-executes a part of the grid.

    python tools/full_trial.py [--seeds 50] [--out FILE]
        [--larger] [--whole] [--learning] [--recipes]
        [--verdicts] [--larger-verdicts] [--resampled] [--networks] [--training-noise] [--many-stars]
        [--bench]

With `--larger` the surveys have three times as many stars as the largest of the grid, in 20 surveys with lines of
each of two depths and 40 without of each generator. With `--whole` all pixels are tried instead of windows, in 10
surveys with lines and 20 without of each generator; and in windows the doppelganger test is tried with each survey's
own richest star. With `--learning` it is measured which lines models learn, in 6 surveys of each generator, in
windows and whole. With `--recipes` the published recipe is varied instead, in 20 surveys with lines and 20 without of
each generator. With `--verdicts` the audit is calibrated instead on everything that can be planted, in 20 surveys of
each kind and size or, where they are small, up to 100, with `--larger-verdicts` in the larger surveys, 5 of a kind
and 40 with nothing of each generator, and with `--resampled` on spectra that were resampled, in 10. With `--networks`
the networks of chapter 10 are interrogated, in 20 surveys of each kind, and trained against more or less noise,
beside a linear regression, in 10 surveys of each generator and 3 of whole spectra. With `--training-noise` dense
networks trained against more or less noise are interrogated in the same surveys, 30 with lines and 60 without of each
generator; with `--many-stars` these and a linear regression are trained in 6 surveys of 16,000 stars of each. With
`--bench` the techniques of the paper are scored on the bench, whose table is kept with it.
"""

import argparse
import datetime
import functools
import json
import platform
import subprocess
import time
from pathlib import Path

from lux.controls import bench, run, sized_cells
from lux.controls.calibration import calibrate
from lux.controls.learning import LENT_DEPTH, learning_rows, measure_learning, measure_others
from lux.controls.model_trial import measure_interrogated, measure_models, measure_more_stars, measure_noise
from lux.controls.network_tables import interrogated_rows, network_cells, network_tables, noise_rows
from lux.controls.recipes import DEPTHS, vary
from lux.controls.techniques import measure_own_star
from lux.controls.trial_tables import own_star_rows, trial_tables
from lux.datasets.load import load
from lux.simulation.empirical import fit_empirical
from lux.store.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "book" / "lux_pages" / "full_trial.json"
FIRST_SEED = 940_000
# Of surveys larger than those of the grid, and how deep their lines are.
LARGER_SEED, N_LARGER_SEEDS, LARGER_STARS, LARGER_DEPTHS = 1_040_000, 20, 12_000, (0.0, 0.003, 0.01)
# Of whole spectra: how many surveys have lines, of how many stars, and how deep their lines are.
WHOLE_SEED, N_WHOLE_SEEDS, WHOLE_STARS, WHOLE_DEPTHS = 1_120_000, 10, 4000, (0.0, 0.01)
# Of what models learn; the cells are those without lines, of which there are twice as many.
LEARNING_SEED, N_LEARNING_SEEDS = 1_020_000, 3
N_RECIPE_SEEDS = 20
# Of the same surveys, and what is planted there; nothing, in so many times the surveys.
LARGER_VERDICT_SEED, N_LARGER_VERDICT_SEEDS, LARGER_KINDS = 1_360_000, 10, ("lines at 5σ", "proxy", "leak")
# Of all verdicts, by the number of stars, and of spectra that were resampled.
VERDICT_SEED, N_VERDICT_SEEDS = 1_340_000, {500: 50, 1500: 20, 4000: 10}
RESAMPLED_SEED, N_RESAMPLED_SEEDS = 1_350_000, 10
# Of the networks' surveys, and how many of a generator have no lines.
NETWORK_SEED, N_WITHOUT = 1_142_000, 50
# Of those where the noise in training is varied: how many in windows and of whole spectra, of `WHOLE_STARS` stars.
NOISE_SEED, N_NOISE_SEEDS = 1_146_000, {False: 10, True: 3}
# Of networks interrogated by the noise in their training, in small surveys, and of those trained on many stars.
INTERROGATED_SEED, N_INTERROGATED_SEEDS, INTERROGATED_STARS = 1_190_000, 30, 1500
MANY_SEED, N_MANY_SEEDS, MANY_STARS = 1_190_500, 6, 16_000
BENCH = ROOT / "lux" / "controls" / "bench_scores.json"


def main() -> None:
    """Measure, summarize, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="worlds a cell (default 50; twice as many without lines)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--larger", action="store_true", help="try larger surveys, and nothing else")
    parser.add_argument("--whole", action="store_true", help="whole spectra and each survey's own star, and no more")
    parser.add_argument("--learning", action="store_true", help="measure which lines models learn, and no more")
    parser.add_argument("--recipes", action="store_true", help="vary the published recipe, and nothing else")
    parser.add_argument("--verdicts", action="store_true", help="calibrate all verdicts, and nothing else")
    parser.add_argument("--larger-verdicts", action="store_true", help="calibrate the audit in larger surveys alone")
    parser.add_argument("--resampled", action="store_true", help="the same of resampled spectra, and nothing else")
    parser.add_argument("--networks", action="store_true", help="interrogate networks, and nothing else")
    parser.add_argument("--training-noise", action="store_true", help="vary networks' training noise, and no more")
    parser.add_argument("--many-stars", action="store_true", help="train against noise on many stars, and no more")
    parser.add_argument("--bench", action="store_true", help="score the paper's techniques on the bench, and no more")
    arguments = parser.parse_args()
    started, spectra = time.monotonic(), fit_empirical(load("apogee-dr10"))
    if arguments.larger:
        n_seeds = min(arguments.seeds, N_LARGER_SEEDS)
        larger = sized_cells(n_seeds, (LARGER_STARS,), depths=LARGER_DEPTHS)
        worlds = run(larger, LARGER_SEED, spectra, progress=True)
        out = OUT.with_name("larger_trial.json") if arguments.out == OUT else arguments.out
        write(out, trial_tables(larger, worlds), len(worlds), n_seeds, started, LARGER_SEED)
        return
    if arguments.whole:
        n_seeds = min(arguments.seeds, N_WHOLE_SEEDS)
        whole = sized_cells(n_seeds, (WHOLE_STARS,), depths=WHOLE_DEPTHS, full_band=True)
        # Of few surveys each has stars of its own: whether one of them is very rich decides what a model learns.
        tables = trial_tables(whole, run(whole, WHOLE_SEED, spectra, progress=True, shared=1), shared=1)
        windows = sized_cells(n_seeds, depths=WHOLE_DEPTHS)
        stars = run(windows, WHOLE_SEED, spectra, what=measure_own_star, progress=True, shared=1)
        tables["own_star"] = own_star_rows(windows, stars, shared=1)
        out = OUT.with_name("whole_trial.json") if arguments.out == OUT else arguments.out
        write(out, tables, sum(cell.seeds for cell in whole), n_seeds, started, WHOLE_SEED)
        return
    if arguments.learning:
        n_seeds = min(arguments.seeds, N_LEARNING_SEEDS)
        bare = [
            cell
            for full_band in (False, True)
            for cell in sized_cells(n_seeds, (WHOLE_STARS,), depths=(0.0,), full_band=full_band)
        ]
        planted = [
            cell
            for full_band in (False, True)
            for cell in sized_cells(2 * n_seeds, (WHOLE_STARS,), depths=(LENT_DEPTH,), full_band=full_band)
        ]
        tables = {}
        for name, cells, what in (
            ("learning", bare, measure_learning),
            ("others", [*bare, *planted], measure_others),
        ):
            worlds = run(cells, LEARNING_SEED, spectra, what=what, progress=True)
            tables[name] = list(learning_rows(cells, worlds))
        out = OUT.with_name("learning_trial.json") if arguments.out == OUT else arguments.out
        write(out, tables, len(bare) * 2 * n_seeds, 2 * n_seeds, started, LEARNING_SEED)
        return
    if arguments.recipes:
        n_seeds = min(arguments.seeds, N_RECIPE_SEEDS)
        first_seed = FIRST_SEED + 5000
        rows = vary(n_seeds, first_seed, spectra)
        out = OUT.with_name("recipe_trial.json") if arguments.out == OUT else arguments.out
        write(out, {"recipes": rows}, 2 * len(DEPTHS) * n_seeds, n_seeds, started, first_seed)
        return
    if arguments.verdicts:
        n_seeds = {size: min(arguments.seeds, count) for size, count in N_VERDICT_SEEDS.items()}
        rows = [
            row for size, count in n_seeds.items() for row in calibrate(count, VERDICT_SEED, spectra, sizes=(size,))
        ]
        out = OUT.with_name("verdict_trial.json") if arguments.out == OUT else arguments.out
        n_worlds = sum(sum(row["verdicts"].values()) for row in rows) // 2
        write(out, {"verdicts": rows}, n_worlds, min(n_seeds.values()), started, VERDICT_SEED)
        return
    if arguments.larger_verdicts:
        n_seeds = min(arguments.seeds, N_LARGER_VERDICT_SEEDS)
        sizes = {"sizes": (LARGER_STARS,)}
        rows = calibrate(2 * n_seeds, LARGER_VERDICT_SEED, spectra, kinds=("nothing",), **sizes)
        rows += calibrate(n_seeds // 2, LARGER_VERDICT_SEED + 500, spectra, kinds=LARGER_KINDS, **sizes)
        out = OUT.with_name("larger_verdicts.json") if arguments.out == OUT else arguments.out
        n_worlds = sum(sum(row["verdicts"].values()) for row in rows) // 2
        write(out, {"verdicts": rows}, n_worlds, n_seeds, started, LARGER_VERDICT_SEED)
        return
    if arguments.resampled:
        n_seeds = min(arguments.seeds, N_RESAMPLED_SEEDS)
        rows = calibrate(n_seeds, RESAMPLED_SEED, spectra, resampled=True)
        out = OUT.with_name("resampled_trial.json") if arguments.out == OUT else arguments.out
        write(
            out,
            {"verdicts": rows},
            sum(sum(row["verdicts"].values()) for row in rows) // 2,
            n_seeds,
            started,
            RESAMPLED_SEED,
        )
        return
    if arguments.networks:
        n_seeds = min(arguments.seeds, N_RECIPE_SEEDS)
        cells = network_cells(n_seeds, N_WITHOUT)
        measured = {"interrogate": True}
        what, code = (
            functools.partial(measure_models, **measured),
            "from lux.controls.model_trial import measure_models",
        )
        worlds = run(cells, NETWORK_SEED, spectra, what=what, code=code, parameters=measured, progress=True)
        tables = network_tables(cells, worlds)
        noisy = [
            cell
            for full_band, count in N_NOISE_SEEDS.items()
            for cell in sized_cells(min(count, n_seeds), (WHOLE_STARS,), depths=DEPTHS[1:], full_band=full_band)
        ]
        # Of few surveys each has stars of its own.
        trained = run(noisy, NOISE_SEED, spectra, what=measure_noise, progress=True, shared=1)
        tables["noise"] = noise_rows(noisy, trained)
        out = OUT.with_name("network_trial.json") if arguments.out == OUT else arguments.out
        write(out, tables, len(worlds), n_seeds, started, NETWORK_SEED)
        return
    if arguments.training_noise:
        n_seeds = min(arguments.seeds, N_INTERROGATED_SEEDS)
        cells = sized_cells(n_seeds, (INTERROGATED_STARS,), depths=(0.0, DEPTHS[1]))
        worlds = run(cells, INTERROGATED_SEED, spectra, what=measure_interrogated, progress=True, shared=1)
        out = OUT.with_name("noise_trial.json") if arguments.out == OUT else arguments.out
        tables = {"techniques": interrogated_rows(cells, worlds)}
        write(out, tables, len(worlds), n_seeds, started, INTERROGATED_SEED)
        return
    if arguments.many_stars:
        n_seeds = min(arguments.seeds, N_MANY_SEEDS)
        large = sized_cells(n_seeds, (MANY_STARS,), depths=(DEPTHS[1],))
        trained = run(large, MANY_SEED, spectra, what=measure_more_stars, progress=True, shared=1)
        out = OUT.with_name("many_trial.json") if arguments.out == OUT else arguments.out
        write(out, {"noise": noise_rows(large, trained)}, len(trained), n_seeds, started, MANY_SEED)
        return
    if arguments.bench:
        n_seeds = min(arguments.seeds, bench.N_SEEDS)
        rows = [row.to_dict() for row in bench.measure_published(n_seeds)]
        out = BENCH if arguments.out == OUT else arguments.out
        n_worlds = sum(cell.seeds for cell in bench.bench_cells(n_seeds))
        write(out, {"bench": bench.VERSION, "rows": rows}, n_worlds, n_seeds, started, bench.FIRST_SEED)
        return
    cells = sized_cells(arguments.seeds)
    worlds = run(cells, FIRST_SEED, spectra, progress=True)
    write(arguments.out, trial_tables(cells, worlds), len(worlds), arguments.seeds, started)


def write(out: Path, tables: dict, n_worlds: int, n_seeds: int, started: float, first_seed: int = FIRST_SEED) -> None:
    """Write tables with what made them."""
    about = {
        "commit": subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": platform.machine(),
        "seconds": round(time.monotonic() - started),
        "worlds": n_worlds,
        "first_seed": first_seed,
        "seeds": n_seeds,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        Path(temporary).write_text(json.dumps({"about": about, **tables}, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {n_worlds} worlds, {about['seconds']} s")


if __name__ == "__main__":
    main()
