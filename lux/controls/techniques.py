"""Controls: every technique put to planted truth, in hundreds of small synthetic surveys.

A `Cell` is one kind of world. Each of its seeds makes a survey of hundreds of stars in a few stretches of spectrum, a
Lux model is fitted to seventy per cent of it, and every technique gives *one number*, declared in `TECHNIQUES` before
anything was run: the larger, the more it speaks for knowledge. `lux.controls.scores` compares these numbers between
worlds.

A survey is made of `star_seed` (the stars, shared by `SHARED` seeds of a cell, which makes hundreds of them cheap) and
a seed of its own for europium, noise, masks and catalogue. Worlds of one tau and seed differ only in what is planted.
"""

import ast
import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib import metadata
from pathlib import Path

import numpy as np

from lux.auditing import measurements
from lux.auditing.verdict import audit
from lux.diagnostics import counterfactuals, erasure, matching, mutual_information, probing, saliency
from lux.diagnostics.attribution import latent_shap
from lux.diagnostics.transfer import response_slope
from lux.models.lux import Lux
from lux.simulation import cramer_rao
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import PLANTED_WAVELENGTHS, World
from lux.storage import atomic_write, cache_dir
from lux.survey import Survey

# Where europium has its lines if it has any: every technique that must be told a place is told these, in every world.
CANDIDATE_LINES = PLANTED_WAVELENGTHS[:3]
# Vacuum Angstrom: the candidate lines, those of the leak, and the proxy's; airglow crosses the second.
WINDOWS = (
    (15436, 15460),
    (15684, 15702),
    (16104, 16138),
    (16491, 16515),
    (16569, 16588),
    (16728, 16750),
    (16798, 16816),
)
ARTEFACT_WAVELENGTHS = (16128.517,)
DEPTHS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
TAUS = (0.03, 0.06, 0.10)
# What else can be planted, by itself or beside lines of europium of one depth.
BESIDES = {
    "proxy": (World("proxy"),),
    "leak": (World("leak"),),
    "artefact": (World("artefact", wavelengths=ARTEFACT_WAVELENGTHS),),
}
DEPTH_BESIDE = 0.01
# A depth at which the optimal observer of `lux.simulation.cramer_rao` sees the lines of a sample at about five standard
# deviations.
DEPTH_OF_FIVE_SIGMA = 0.0027
N_STARS, N_RESPONSE_STARS, TEST_FRACTION = 600, 120, 0.3
LUX = {"n_latents": 12, "tolerance": 0.1, "block_size": N_STARS, "progress": False}
# The model without europium, by which pairs are matched, needs the other labels only.
BLIND = {**LUX, "max_cycles": 2}
N_ORDINARY, N_ABLATIONS, N_SHIFTS = 60, 8, 200
N_PROBE_FOLDS = 3
# Seeds that share their stars, and the seconds between two lines of progress.
SHARED, REPORT_EVERY = 5, 10.0
LABEL = "eu_fe"
_PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Technique:
    """A technique and the one number that stands for it; `published` if the published study used it."""

    name: str
    scalar: str
    published: bool = False


TECHNIQUES = {
    "rmse": Technique("RMSE over error", "minus the RMSE of predicted [Eu/Fe] over the catalogue's error", True),
    "mig": Technique("MIG rank", "how many other labels have a smaller Mutual Information Gap than europium", True),
    "shap": Technique("SHAP spread", "minus the number of latents over which SHAP spreads europium", True),
    "probe": Technique("linear probe", "cross-validated R² of a linear probe of flux-only latents", True),
    "mlp": Technique("MLP minus linear", "R² of a perceptron probe minus that of the linear one", True),
    "doppelganger": Technique("doppelganger", "largest residual of the richest star against two doppelgangers", True),
    "line_match": Technique("saliency line match", "spikes of the backward map at candidate lines, minus chance", True),
    "stack_maximum": Technique("stacked pairs, maximum", "largest significance of stacked matched pairs, anywhere"),
    "matched_filter": Technique("matched filter", "significance of stacked matched pairs at the candidate lines"),
    "jacobian": Technique("backward Jacobian", "significance of the backward map, downwards, at the candidate lines"),
    "partial_noisy": Technique("partial correlation, catalogue", "of prediction and catalogue, given catalogue labels"),
    "partial_inferred": Technique("partial correlation, inferred", "the same, given the other labels as inferred"),
    "leace": Technique("LEACE remainder", "R² of a linear probe after the other labels are erased from the latents"),
    "ablation": Technique("masked lines", "growth of the error by masking candidate lines, against moved masks"),
    "unique": Technique("unique information", "nats of the latents about europium beyond the other inferred labels"),
    "response": Technique("response slope", "slope of prediction against truth for r-process-enhanced stars"),
    "canary": Technique("leak canary", "how significantly agreement grows with the catalogue's error"),
    "audit_lines": Technique("audit, own lines", "the audit's significance of absorption at the candidate lines"),
    "audit_features": Technique("audit, strong features", "the audit's significance of strong features elsewhere"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of world: its key, what is planted, the scatter `tau` of [Eu/Fe], one of `TAUS`, and how many seeds."""

    key: str
    world: World
    tau: float
    seeds: int


def cells(n_seeds: int = 50) -> tuple[Cell, ...]:
    """Return the cells of the ensemble, each with `n_seeds` worlds, twice as many without lines at the middle tau.

    All depths at all values of tau; and at the middle tau, without lines and with lines of `DEPTH_BESIDE`, each of
    `BESIDES`, which are planted alone and beside the lines.
    """
    middle = TAUS[1]
    found = []
    for tau in TAUS:
        for depth in DEPTHS:
            doubled = 2 if tau == middle and not depth else 1
            found.append(Cell(depth_key(depth, tau), _with_lines(depth), tau, n_seeds * doubled))
    found.append(Cell("five-sigma", _with_lines(DEPTH_OF_FIVE_SIGMA), middle, n_seeds))
    for name, besides in BESIDES.items():
        for depth in (0.0, DEPTH_BESIDE):
            found.append(Cell(beside_key(name, depth), _with_lines(depth, besides), middle, n_seeds))
    return tuple(found)


def _with_lines(depth: float, besides: tuple[World, ...] = ()) -> World:
    return World("signal", depth=depth, also=besides) if depth else World("shortcut", also=besides)


def beside_key(name: str, depth: float = 0.0) -> str:
    """Return the key of the cell where one of `BESIDES` is planted, alone or beside lines of a depth."""
    return f"{name}-beside-{depth:g}" if depth else name


def depth_key(depth: float, tau: float = TAUS[1]) -> str:
    """Return the key of the cell with lines of a depth, 0 for none, at a scatter tau."""
    return f"depth-{depth:g}-tau-{tau:g}"


def measure(cell: Cell, seed: int, star_seed: int) -> dict:
    """Return what every technique says of one world, as plain numbers and strings.

    Keys are those of `TECHNIQUES`, and "cell", "seed", "verdict", "reason", "bound", the significance of the lines to
    the optimal observer, and "star_bound", what he knows of the median star, in dex (`lux.simulation.cramer_rao`).
    """
    options = {"world": cell.world, "tau": cell.tau, "star_seed": star_seed, "wavelength_range": WINDOWS}
    survey = make_survey(N_STARS, seed, **options)
    limits = cramer_rao.star_bound(survey)
    # Noise of its own, which the model has not seen.
    enhanced = make_survey(N_RESPONSE_STARS, seed + 500, population="r-I", **options)
    train, test = survey.split(TEST_FRACTION, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Lux(**LUX).fit(train)
        others = tuple(name for name in survey.label_names if name != LABEL)
        blind = Lux(**BLIND).fit(train.select_labels(others))
        report = audit(model, train, test, LABEL, own_lines=CANDIDATE_LINES, seed=seed)
        found = {
            **_of_predictions(model, test, enhanced),
            **_of_latents(model, train, test, seed),
            **_of_pixels(model, test, seed),
            **_of_pairs(blind, survey, seed),
        }
    found.update(
        canary=report["grows with noise"].statistic,
        audit_lines=_significance(report["own lines"]),
        audit_features=_significance(report["strong features"]),
    )
    return {
        "cell": cell.key, "seed": seed, "verdict": report.verdict, "reason": report.reason,
        "bound": cramer_rao.sample_significance(survey, limits), "star_bound": float(np.median(limits)),
        **{key: float(found[key]) for key in TECHNIQUES},
    }  # fmt: skip


def _significance(each) -> float:
    return (each.statistic - each.null_center) / each.null_spread


def _of_predictions(model: Lux, test: Survey, enhanced: Survey) -> dict[str, float]:
    prediction = model.predict_labels(test)
    column = test.label_index(LABEL)
    label, error, predicted = test.label(LABEL), test.label_err[:, column], prediction.labels[:, column]
    noisy, inferred = np.delete(test.labels, column, axis=1), np.delete(prediction.labels, column, axis=1)
    true = enhanced.truth.labels[:, enhanced.label_index(LABEL)]
    return {
        "rmse": -np.sqrt(np.mean((predicted - label) ** 2) / np.mean(error**2)),
        "partial_noisy": _partial_correlation(predicted, label, noisy),
        "partial_inferred": _partial_correlation(predicted, label, inferred),
        "response": response_slope(model.predict_labels(enhanced), true, LABEL).value,
    }


def _partial_correlation(first, second, given) -> float:
    """Return the correlation of two variables (N,) after a quadratic regression of both on given (N, Q)."""
    design = np.column_stack([np.ones(len(given)), matching.second_order(given)])
    left = [each - design @ np.linalg.lstsq(design, each)[0] for each in (first, second)]
    return np.corrcoef(*left)[0, 1]


def _of_latents(model: Lux, train: Survey, test: Survey, seed: int) -> dict[str, float]:
    latents, column = model.infer_latents(test), test.label_index(LABEL)
    label = test.label(LABEL)
    gaps = mutual_information.mutual_information_gap(latents, test.labels, test.label_names).corrected_gap
    attributed = latent_shap(model, latents)
    eraser = erasure.fit_eraser(model.infer_latents(train), np.delete(train.labels, column, axis=1))
    inferred = np.delete(model.predict_labels(test).labels, column, axis=1)
    linear = probing.probe(latents, label, n_folds=N_PROBE_FOLDS, n_control=0, seed=seed).r2
    return {
        "mig": np.sum(gaps < gaps[column]),
        "shap": -attributed.participation[column],
        "probe": linear,
        "mlp": probing.probe(latents, label, kind="mlp", n_folds=N_PROBE_FOLDS, n_control=0, seed=seed).r2 - linear,
        "leace": probing.probe(eraser.apply(latents), label, n_folds=N_PROBE_FOLDS, n_control=0, seed=seed).r2,
        "unique": probing.information_gain(latents, label, inferred, n_permutations=0, seed=seed).nats,
    }


def _of_pixels(model: Lux, test: Survey, seed: int) -> dict[str, float]:
    backward = saliency.backward_map(model, test)
    pixels, near = measurements.locate(test.wavelength, CANDIDATE_LINES)
    spikes = saliency.find_spikes(test.wavelength, backward.of(LABEL))
    matched = saliency.match_lines(spikes, CANDIDATE_LINES, test.wavelength, n_shifts=N_SHIFTS, seed=seed)
    shifts = np.random.default_rng(seed).choice(np.arange(50, test.n_pixels - 50), N_ABLATIONS, replace=False)
    losses = np.array([_loss_without(model, test, np.roll(near, shift)) for shift in (0, *shifts)])
    return {
        "jacobian": -np.sum(backward.z(LABEL)[pixels]) / np.sqrt(len(pixels)),
        "line_match": matched.n_matched - matched.expected,
        "ablation": (losses[0] - losses[1:].mean()) / losses[1:].std(),
    }


def _loss_without(model: Lux, test: Survey, masked: np.ndarray) -> float:
    """Return the mean squared error of the prediction without some pixels (D,)."""
    blinded = test.replace(ivar=np.where(masked, np.float32(0), test.ivar))
    column = test.label_index(LABEL)
    predicted = model.a_[column] + model.infer_latents(blinded) @ model.A_[column]
    return np.mean((predicted - test.label(LABEL)) ** 2)


def _of_pairs(blind: Lux, survey: Survey, seed: int) -> dict[str, float]:
    pairs, others = matching.match_on_inferred(survey, blind.predict_labels(survey), LABEL)
    stack = counterfactuals.stack_pairs(survey, pairs, matching.second_order(others), n_flips=1, seed=seed)
    pixels, _ = measurements.locate(survey.wavelength, CANDIDATE_LINES)
    richest = counterfactuals.doppelganger_test(survey, LABEL, n_ordinary=N_ORDINARY, seed=seed)
    return {
        "stack_maximum": stack.test.largest.statistic,
        "matched_filter": stack.test.z[pixels].sum() / np.sqrt(len(pixels)),
        "doppelganger": richest.largest.statistic,
    }


def run(
    ensemble: Sequence[Cell],
    first_seed: int,
    *,
    workers: int = 2,
    folder: Path | None = None,
    progress: bool | None = None,
) -> list[dict]:
    """Measure every world of an ensemble, on several cores; what was measured before is read, not measured again.

    Parameters
    ----------
    ensemble : sequence of Cell
    first_seed : int
        Cells of one tau have the seeds from ``first_seed + 1000 k`` on, k counting the values of tau, so that no two
        taus share anything but the stars.
    workers : int
        Processes; 1 runs in this one.
    folder : path, optional
        Where each world's numbers are kept, by the contents of `lux` and the versions it runs with; in
        `lux.storage.cache_dir` by default.
    progress : bool, optional
        Whether to print how far it is; by default on a terminal.

    Returns
    -------
    list of dict
        What `measure` returns, in the order of cells and seeds.
    """
    folder = Path(cache_dir() / "controls" if folder is None else folder) / _fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [task for cell in ensemble for task in _tasks(cell, first_seed)]
    paths = {task: folder / f"{task[0].key}-{_digest(repr(task))[:12]}-{task[1]}.json" for task in tasks}
    todo = [task for task in tasks if not paths[task].exists()]
    # Worlds of the same stars go to one process, seed by seed: their noise-free spectra and noise are computed once.
    groups = {star_seed for _, _, star_seed in todo}
    batches = collections.defaultdict(list)
    for task in sorted(todo, key=lambda task: (task[2], task[1], task[0].key)):
        batches[task[2] if len(groups) >= workers else task[1]].append((*task, paths[task]))
    shown = sys.stderr.isatty() if progress is None else progress
    _work_off(list(batches.values()), workers, _Progress([paths[task] for task in todo], shown))
    return [json.loads(paths[task].read_text()) for task in tasks]


def _tasks(cell: Cell, first_seed: int) -> Iterator[tuple[Cell, int, int]]:
    """Yield a cell with the seed and the star seed of each of its worlds."""
    n_seeds, cell = cell.seeds, dataclasses.replace(cell, seeds=1)
    for number in range(n_seeds):
        yield cell, first_seed + 1000 * TAUS.index(cell.tau) + number, first_seed + number // SHARED


def _work_off(batches: list[list], workers: int, progress: "_Progress") -> None:
    """Measure batches of cells, seeds, star seeds and paths."""
    if workers < 2 or len(batches) < 2:
        for batch in batches:
            _measure_batch(batch)
            progress.show()
        return
    with _one_thread_each(), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(_measure_batch, batch) for batch in batches}
        try:
            while pending:
                done, pending = wait(pending, timeout=REPORT_EVERY, return_when=FIRST_COMPLETED)
                for job in done:
                    job.result()
                progress.show()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _measure_batch(batch: list) -> None:
    for *task, path in batch:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(measure(*task)))


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile use one thread each, so that they do not stand in each other's way."""
    wanted = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
              "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"}  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Progress:
    """A line on standard error that says how many worlds are done and how long the rest takes."""

    def __init__(self, paths: list[Path], shown: bool):
        self.paths, self.shown, self.start = paths, shown and len(paths) > 0, time.monotonic()

    def show(self) -> None:
        if self.shown:
            total, done = len(self.paths), sum(path.exists() for path in self.paths)
            left = (time.monotonic() - self.start) * (total / max(1, done) - 1)
            print(f"controls: {done} of {total} worlds, {left:.0f} s left", file=sys.stderr, flush=True)


@functools.cache
def _fingerprint() -> str:
    """Return what results depend on besides their parameters: modules, tables, and the versions of packages."""
    folder = Path(__file__).parent
    files = [*_sources(Path(__file__)), *sorted((folder / "tables").iterdir())]
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    return _digest("".join([*(_digest(path.read_bytes()) for path in files), *versions]))[:16]


def _sources(module: Path) -> list[Path]:
    """Return the files of a module and of all modules beside it that it imports, however indirectly."""
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lux":
                names = [node.module.partition(".")[2]] if "." in node.module else [alias.name for alias in node.names]
                waiting.extend(module.with_name(f"{name}.py") for name in names)
    return sorted(found)


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
