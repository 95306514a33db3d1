"""Fit, predict and audit a survey that stays on the disk: memory and time beside those of surveys in memory.

Two thousand synthetic stars, each again and again with new noise, are written to one file a block at a time. Each step
runs in a process of its own. A cycle's floor is its two matrix products, the sums over stars of products of latents
times weights, on the same data. On a cluster, workers of one thread each read the file.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from problem import peak_memory_mb

BLOCK = 2000
N_LATENTS = 21
# Stars beside which the whole survey is compared, in memory and on a cluster.
N_MEMORY, N_CLUSTER = 5000, 32_768
ASKED = {"fit": 2500.0, "predict": 3000.0, "audit": 3000.0}
MOST_SLOWER, LEAST_SPEEDUP, MOST_FLOOR = 1.25, 1.6, (2.0, 2.5)
N_KILLS = 10


def write(path: Path, n_stars: int) -> dict:
    """Write a survey of synthetic stars."""
    from lux.simulation.synthetic import make_survey
    from lux.store.survey_file import write_survey

    survey, generator = make_survey(BLOCK, 0), np.random.default_rng(0)
    repeats = n_stars // BLOCK
    noise = 0.3 * np.tile(survey.label_err, (repeats, 1))
    columns = survey.columns() | {
        "labels": np.tile(survey.labels, (repeats, 1)) + noise * generator.normal(size=noise.shape),
        "label_err": np.tile(survey.label_err, (repeats, 1)),
        "star_id": np.array([f"star-{number}" for number in range(n_stars)]),
        "catalogue": {},
        "truth": None,
    }
    blurs = (0.003 * generator.normal(size=survey.flux.shape).astype(np.float32) for _ in range(repeats))
    started = time.perf_counter()
    write_survey(path, columns, ((survey.flux + blur, survey.ivar) for blur in blurs), compress=False)
    return {"stars": n_stars, "seconds": time.perf_counter() - started, "GB": path.stat().st_size / 1e9}


def about(path: Path) -> dict:
    """Return the size of a survey and its file."""
    import lux

    survey = lux.open(path)
    size = {"stars": survey.n_stars, "pixels": survey.n_pixels, "latents": N_LATENTS}
    return size | {"bytes": path.stat().st_size}


def timed_fit(survey, cycles: int, **options):
    """Return a model fitted for some cycles, and the median seconds of a cycle after the first."""
    import lux
    from lux.models import em

    seconds, whole = [], em._cycle

    def cycle(*arguments):
        started = time.perf_counter()
        state = whole(*arguments)
        seconds.append(time.perf_counter() - started)
        return state

    em._cycle = cycle
    warnings.simplefilter("ignore")
    try:
        model = lux.Lux(N_LATENTS, max_cycles=cycles, progress=False).fit(survey, **options)
    finally:
        em._cycle = whole
    return model, float(np.median(seconds[1:]))


def products(survey) -> float:
    """Return the seconds that the two matrix products of a cycle take on a survey."""
    import jax
    import jax.numpy as jnp

    from lux.models.parts import cut

    sizes = (N_LATENTS + 1) * (N_LATENTS + 2) // 2, N_LATENTS * (N_LATENTS + 1) // 2
    multiply, total = jax.jit(jnp.matmul), 0.0
    for block in cut(survey, 512)[0].blocks():
        factors = [jnp.ones((size, len(block.flux)), jnp.float32) for size in sizes]
        for _ in range(2):
            started = time.perf_counter()
            jax.block_until_ready([multiply(each, block.ivar) for each in factors])
            seconds = time.perf_counter() - started
        total += seconds
    return total


def memory(path: Path, cycles: int) -> dict:
    """Fit the first stars in memory, and opened."""
    import lux
    from lux.auditing.inputs import in_memory

    opened = lux.open(path)[np.arange(N_MEMORY)]
    _, from_disk = timed_fit(opened, cycles)
    survey = in_memory(opened)
    _, seconds = timed_fit(survey, cycles)
    floor = products(survey)
    return {"us": 1e6 * seconds / N_MEMORY, "floor": seconds / floor, "floor_opened": from_disk / floor}


def fit(path: Path, cycles: int) -> dict:
    """Fit four fifths of the survey, opened, and keep the model."""
    import lux

    train, _ = lux.open(path).split(0.2)
    started = time.perf_counter()
    model, seconds = timed_fit(train, cycles)
    model.save(path.with_suffix(".npz"))
    return {"us": 1e6 * seconds / train.n_stars, "seconds": time.perf_counter() - started, "cycles": cycles}


def predict(path: Path, cycles: int) -> dict:
    """Predict all stars of the survey, into a file."""
    import lux
    from lux.models import write_predictions

    started, survey = time.perf_counter(), lux.open(path)
    write_predictions(lux.Lux.load(path.with_suffix(".npz")), survey, path.with_suffix(".predicted.h5"))
    return {"seconds": time.perf_counter() - started, "stars": survey.n_stars}


def audit(path: Path, cycles: int) -> dict:
    """Audit europium."""
    import lux

    started = time.perf_counter()
    train, test = lux.open(path).split(0.2)
    report = lux.audit(lux.Lux.load(path.with_suffix(".npz")), train, test, "eu_fe")
    return {"seconds": time.perf_counter() - started, "verdict": report.verdict}


def cluster(path: Path, cycles: int) -> dict:
    """Fit some of the stars on one worker and on two, then kill a worker ten times at random moments of a fit."""
    import dask
    from distributed import Client, LocalCluster

    import lux

    survey = lux.open(path)
    survey = survey[np.arange(min(N_CLUSTER, survey.n_stars))]
    dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
    dask.config.set({"distributed.scheduler.allowed-failures": N_KILLS})
    result, models = {}, {}
    for count in (1, 2):
        with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as own, Client(own) as client:
            client.run(use_one_core)
            models[count], result[f"seconds_{count}"] = timed_fit(survey, cycles, client=client)
            if count == 2:
                stop, killed = threading.Event(), []
                killer = threading.Thread(target=kill_workers, args=(client, stop, killed))
                killer.start()
                models["killed"], _ = timed_fit(survey, cycles * 4, client=client)
                stop.set()
                killer.join()
    models["alone"], _ = timed_fit(survey, cycles)
    models["alone, as long"], _ = timed_fit(survey, cycles * 4)
    some = survey[np.arange(1000)]
    labels = {name: model.predict_labels(some).labels for name, model in models.items()}
    for name, other in ((1, "alone"), (2, "alone"), ("killed", "alone, as long")):
        apart = np.abs(labels[name] - labels[other]) / np.nanmedian(some.label_err, axis=0)
        result[f"apart {name}"] = float(apart.max())
    return result | {"speedup": result["seconds_1"] / result["seconds_2"], "kills": len(killed)}


def use_one_core(dask_worker) -> None:
    """Give a worker a core of its own; JAX would take a thread for each core that it sees."""
    os.sched_setaffinity(0, {int(dask_worker.name) % os.cpu_count()})


def kill_workers(client, stop: threading.Event, killed: list[int]) -> None:
    """Kill workers at random moments until told to stop, at most as often as asked for; wait for others in between."""
    generator = random.Random(0)
    while not stop.wait(generator.uniform(1, 8)) and len(killed) < N_KILLS:
        client.wait_for_workers(2)
        if processes := list(client.run(os.getpid, on_error="ignore").values()):
            killed.append(generator.choice(processes))
            os.kill(killed[-1], signal.SIGKILL)


def in_fresh_process(step: str, path: Path, cycles: int) -> dict:
    """Return the figures of one step, done by a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--path", str(path), "--cycles", str(cycles)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=200_000)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--path", type=Path, help="keep the survey in this file, and use it if it is there")
    parser.add_argument("--json", type=Path, help="write the figures to this file, beside what it has of other steps")
    parser.add_argument("--steps", nargs="+", default=["memory", "fit", "predict", "audit", "cluster"])
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        result = globals()[options.step](options.path, options.cycles)
        print(json.dumps(result | {"peak_mb": peak_memory_mb()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.path or Path(folder) / "survey.h5"
        if not path.exists():
            print("write  ", write(path, options.stars), flush=True)
        found = about(path)
        if options.json and options.json.exists():
            found = json.loads(options.json.read_text(encoding="utf-8")) | found
        for step in options.steps:
            found[step] = in_fresh_process(step, path, options.cycles)
            shown = ", ".join(f"{key} {_text(value)}" for key, value in found[step].items())
            asked = f" (asked: peak below {ASKED[step]:.0f} MB)" if step in ASKED else ""
            print(f"{step:<8} {shown}{asked}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if {"memory", "fit"} <= set(found):
            slower = found["fit"]["us"] / found["memory"]["us"]
            print(f"a star and cycle opened takes {slower:.2f} of that in memory (asked: below {MOST_SLOWER})")
            print(f"a cycle over its two products: asked below {MOST_FLOOR[0]} in memory, {MOST_FLOOR[1]} opened")
        if "cluster" in found:
            print(f"two workers are {found['cluster']['speedup']:.2f} times as fast (asked: {LEAST_SPEEDUP})")


if __name__ == "__main__":
    main()
