"""Anybody's technique or model on the bench, scored like the published techniques.

A *technique* is a function of a fitted model, its training and test stars, a label and the wavelengths of its lines; it
returns one number, the larger, the more it speaks for the label being known. A *model* is anything with ``fit(survey)``
and ``predict_labels(survey)``. Neither sees the truth.

The module is long because it runs code that is not ours: each way in which that can fail, hang or remember is told.
"""

import contextlib
import copy
import dataclasses
import functools
import inspect
import json
import math
import random
import signal
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lux.controls import bench
from lux.controls.ensemble import CANDIDATE_LINES, LABEL, Cell
from lux.controls.model_trial import MODELS
from lux.controls.runner import run
from lux.controls.subject_source import key_of, source_of
from lux.controls.techniques import make_world, rmse_over_error, use_of_model
from lux.models.prediction import Prediction
from lux.simulation import cramer_rao
from lux.simulation.empirical import EmpiricalSpectra
from lux.survey import Survey

TIME_LIMIT = 60.0
# Timers know no more seconds on every system.
_LONGEST = 1e7
# Seconds after which what goes on is ended.
_AGAIN = 1.0
_ABOUT = ("cell", "seed", "bound")
# Sources of subjects that this process has found to be those of the process which asks.
_checked: set[str] = set()


class _TimeIsOver(BaseException):
    """What ends a block that goes on after TimeoutError."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrialResult:
    """What a technique or a model did on the bench.

    Parameters
    ----------
    rows : tuple of bench.BenchRow
        One of a technique; of a model, one for each number that is measured of it.
    worlds : sequence of dict
        The numbers of every world, by the names of the rows, beside "cell" and "seed".
    """

    rows: tuple[bench.BenchRow, ...]
    worlds: Sequence[Mapping[str, Any]]

    @property
    def depths(self) -> tuple[float, ...]:
        """Of the lines at which powers are known, flux per standard deviation of [Eu/Fe]."""
        return bench.LINE_DEPTHS

    def __str__(self) -> str:
        """Return the rows, and beside them those of the published techniques, as a table."""
        about = f"bench {bench.VERSION}: surveys of {bench.N_STARS} stars, {self.rows[0].n_seeds} of a kind"
        return f"{about}\n{bench.table((*self.rows, *bench.published_rows()))}"

    def to_json(self) -> str:
        """Return everything as JSON."""
        content = {"bench": bench.VERSION, "rows": [row.to_dict() for row in self.rows], "worlds": list(self.worlds)}
        return json.dumps(content, indent=1)


def trial(
    subject: Any,
    *,
    name: str | None = None,
    model: Any = "Lux",
    n_seeds: int = bench.N_SEEDS,
    time_limit: float = TIME_LIMIT,
    workers: int | None = None,
    folder: Path | None = None,
    progress: bool | None = None,
    client: Any = None,
) -> TrialResult:
    """Put a technique or a model to the bench.

    What was measured is kept by the text of the module that defines the subject, and of the modules beside it that this
    one imports: a run that was cut goes on where it stopped, and a changed technique is measured anew. Data that it
    reads do not count: if you change these, give another `folder`. What is defined in a notebook is measured anew each
    time.

    Parameters
    ----------
    subject : technique or model
        A function ``(model, train, test, label, lines) -> float``; or a class, function without arguments, or object
        that gives a model with ``fit(survey)`` and ``predict_labels(survey)``. `train` and `test` are surveys without
        their truth, `lines` three vacuum wavelengths where the label has its lines, if it has any. An object is copied
        for each world, and the random numbers that NumPy and Python share begin anew in each.
    name : str, optional
        In the table; that of the subject by default.
    model : str or model
        What a technique interrogates: one of `lux.controls.model_trial.MODELS`, or anything that `subject` may be as a
        model.
    n_seeds : int
        Worlds of a kind, 2 to 20; fewer give wide intervals.
    time_limit : float
        Seconds that a fit and a technique may take in a world; it is not kept where worlds are measured in threads, as
        on a cluster.
    workers, folder, progress, client
        As in `lux.controls.runner.run`.

    Raises
    ------
    TypeError
        If the subject is neither a technique nor a model.
    ValueError
        If `n_seeds`, `time_limit` or the name of the model is wrong.
    RuntimeError
        If the subject raises, takes too long, or returns no finite number in a world, which is named; what was measured
        before is kept.
    """
    bench.check_seeds(n_seeds)
    if not 0 < time_limit < _LONGEST:
        raise ValueError(f"time_limit must be a number of seconds above zero, at most {_LONGEST:g}; got {time_limit:g}")
    is_model, fitter = _is_model(subject), _fitter(model)
    # That something makes no model, or cannot be copied, is told here, and not in the first world.
    for each in [subject] * is_model + [model] * (not isinstance(model, str)):
        _new(each)
    if not is_model:
        _copied(subject)
    sources = source_of(subject), None if isinstance(model, str) else source_of(model)
    on_trial = _OnTrial(subject, is_model, fitter, time_limit, model, sources)
    cells = bench.bench_cells(n_seeds)
    source = {"subject": key_of(subject), "model": model if isinstance(model, str) else key_of(model)}
    worlds = run(
        cells,
        bench.FIRST_SEED,
        bench.bench_spectra(),
        what=on_trial,
        code="from lux.controls.on_trial import measure_world",
        parameters=source | {"bench": bench.VERSION},
        workers=workers,
        folder=folder,
        progress=progress,
        client=client,
    )
    shown = name or str(getattr(subject, "__name__", type(subject).__name__))
    # A technique gives one number, a model several.
    keys = [key for key in worlds[0] if key not in _ABOUT]
    rows = [bench.bench_row(f"{shown}: {key}" if on_trial.is_model else shown, worlds, key, n_seeds) for key in keys]
    return TrialResult(tuple(rows), worlds)


@dataclasses.dataclass(frozen=True)
class _OnTrial:
    """What is measured in a world, to be sent to other processes."""

    subject: Any
    is_model: bool
    fit: Callable[[Survey, int], Any]
    time_limit: float
    model: Any
    sources: tuple[str | None, str | None]

    def __call__(
        self, cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None
    ) -> dict[str, Any]:
        return measure_world(self, cell, seed, star_seed, spectra)


@dataclasses.dataclass(frozen=True)
class _Blindfolded:
    """A fitted model that is never given the truth."""

    model: Any

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return what the model predicts, of this label a number for each star; TypeError if that is no prediction."""
        predicted = self.model.predict_labels(bench.sealed(survey))
        if not all(hasattr(predicted, needed) for needed in ("names", "labels", "label")):
            raise TypeError(
                f"predict_labels returned {type(predicted).__name__}; expected lux.Prediction(names, labels, errors), "
                f"with the labels {', '.join(survey.label_names)}"
            )
        names = tuple(predicted.names)
        shape, expected = np.shape(predicted.labels), (len(survey), len(names))
        if shape != expected:
            raise ValueError(f"predict_labels gave labels of shape {shape}; expected {expected}, a row for each star")
        if len(set(names)) < len(names):
            raise ValueError(f"predict_labels gave the names {', '.join(names)}, of which some are the same")
        labels = np.ma.asarray(predicted.labels)
        if labels.dtype.kind not in "biufO":
            raise TypeError(f"predict_labels gave labels of type {labels.dtype}; expected real numbers")
        # What is masked would be left out of the error, and used, mask or not, in the slopes.
        prediction = Prediction(names, np.ma.filled(labels.astype(float), np.nan), np.full(shape, np.nan))
        if lacking := np.count_nonzero(~np.isfinite(prediction.label(LABEL))):
            raise ValueError(f"predict_labels gave no finite {LABEL} for {lacking} of {len(survey)} stars")
        return prediction


def measure_world(
    on_trial: _OnTrial, cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None
) -> dict[str, Any]:
    """Return the numbers of a technique or model in one world, by name, beside "cell", "seed" and "bound"."""
    _refuse_changed(on_trial)
    world = make_world(cell, seed, star_seed, spectra)
    bound = cramer_rao.sample_significance(world.survey)
    found: dict[str, Any] = {"cell": cell.key, "seed": seed, "bound": bound}
    shown = bench.sealed(world.train), bench.sealed(world.test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _only_errors(), within(on_trial.time_limit), _own_randomness(f"{cell.key} {seed}"):
            if on_trial.is_model:
                fitted = _Blindfolded(_fitted(on_trial.subject, shown[0], seed))
                numbers = use_of_model(fitted, world.test, world.enhanced)
                return found | {
                    "slope on own scatter": _finite(numbers["own_slope"], "slope of the predictions"),
                    "slope in enhanced stars": _finite(numbers["response"], "slope of the predictions"),
                    "minus RMSE over error": _finite(-rmse_over_error(fitted, world.test), "error of the predictions"),
                }
            technique = _copied(on_trial.subject)
            number = technique(on_trial.fit(shown[0], seed), *shown, LABEL, CANDIDATE_LINES)
    return found | {"number": _finite(number, "number that the technique returned")}


def _is_model(subject: Any) -> bool:
    """Return whether a subject is a model, or makes one; TypeError if it is no technique either."""
    if hasattr(subject, "fit"):
        return True
    if callable(subject):
        needed = _needed(subject)
        if needed in (0, 5):
            return needed == 0
        raise TypeError(
            f"{_named(subject)} needs {needed} arguments; a technique takes five, (model, train, test, label, lines), "
            "and a function that makes a model takes none"
        )
    raise TypeError(
        f"{_named(subject)} is neither a technique, a function (model, train, test, label, lines) -> float, nor a "
        "model with fit(survey) and predict_labels(survey)"
    )


def _named(subject: Any) -> str:
    """Return what a user calls a subject."""
    name = getattr(subject, "__qualname__", None)
    return f"{subject.__module__}:{name}" if name else f"{subject!r}, of type {type(subject).__name__},"


def _needed(function: Callable) -> int:
    """Return how many arguments a function must be given, or takes up to five."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise TypeError(
            f"{_named(function)} does not tell which arguments it takes; call it in a function "
            "(model, train, test, label, lines) -> float"
        ) from error
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return 5
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    least = sum(each.default is each.empty for each in positional)
    return 5 if least and least <= 5 <= len(positional) else least


def _fitter(model: Any) -> Callable[[Survey, int], Any]:
    """Return how the model that techniques interrogate is fitted, with a seed."""
    if isinstance(model, str):
        if model not in MODELS:
            raise ValueError(f"unknown model {model!r}; choose one of {', '.join(MODELS)}, or give a model")
        return MODELS[model]
    if not _is_model(model):
        raise TypeError(f"{_named(model)} is no model: it has no fit(survey)")
    return functools.partial(_fitted, model)


def _fitted(model: Any, train: Survey, seed: int) -> Any:
    fitted = _new(model).fit(train)
    if not hasattr(fitted, "predict_labels"):
        raise TypeError(f"fit returned {type(fitted).__name__}; it must return the fitted model, such as self")
    return fitted


def _new(model: Any) -> Any:
    """Return a model that is not fitted: a class or function makes it, an object is copied."""
    if inspect.isclass(model) or not hasattr(model, "fit"):
        try:
            made = model()
        except Exception as error:
            raise TypeError(f"{_named(model)} makes no model: {type(error).__name__}: {error}") from error
    else:
        made = _copied(model)
    if not hasattr(made, "fit") or not hasattr(made, "predict_labels"):
        raise TypeError(
            f"{type(made).__name__} has no fit(survey) and predict_labels(survey), so it is no model; of a class of "
            "techniques give an instance"
        )
    return made


def _copied(subject: Any) -> Any:
    """Return a subject that remembers nothing of other worlds; functions and classes are not copied."""
    try:
        return copy.deepcopy(subject)
    except Exception as error:
        raise TypeError(
            f"{_named(subject)} cannot be copied for each world ({error}): make what it holds where it is used"
        ) from error


def _refuse_changed(on_trial: _OnTrial) -> None:
    """Raise RuntimeError if this process imported another text of a subject than the process that asks.

    What it was sent by value, as functions that were made in others are, it did not import.
    """
    for subject, source in zip((on_trial.subject, on_trial.model), on_trial.sources, strict=True):
        if source is None or source in _checked:
            continue
        if (here := source_of(subject)) is not None and here != source:
            raise RuntimeError("the file of the technique or model was changed after the trial had begun; run it again")
        _checked.add(source)


@contextlib.contextmanager
def _only_errors() -> Iterator[None]:
    """Raise RuntimeError where the block leaves Python, or raises what is none of its errors.

    An interruption goes on, and a signal to terminate, which leaves Python too.
    """
    try:
        yield
    except SystemExit as error:
        if error.code == 128 + signal.SIGTERM:
            raise
        raise RuntimeError(f"it called sys.exit({'' if error.code is None else error.code})") from error
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RuntimeError(f"it raised {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _own_randomness(world: str) -> Iterator[None]:
    """Let the generators that all of a process share begin with a seed of the world, and go on after it as before.

    A number drawn from these would else hang on what else was measured in the process, and so on how many there are.
    """
    states, seed = (np.random.get_state(), random.getstate()), zlib.crc32(world.encode())  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds, where the system has timers; after it if it was caught.

    A block that catches it and goes on is ended by what is no Exception, a second later.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    late = TimeoutError(f"it took more than {seconds:g} s; see time_limit, or --time-limit")
    fired, inside = False, True

    def stop(*_: Any) -> None:
        nonlocal fired
        if inside:
            again, fired = fired, True
            raise _TimeIsOver if again else late

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        except _TimeIsOver:
            raise late from None
        finally:
            inside = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if fired:
        raise late


def _finite(value: Any, what: str) -> float:
    came = f"of type {type(value).__name__}"
    try:
        if np.ndim(value):
            came = f"an array of shape {np.shape(value)}"
            raise TypeError("more than a number")
        is_text = isinstance(value, str | bytes) or getattr(getattr(value, "dtype", None), "kind", None) in ("S", "U")
        if is_text or np.iscomplexobj(value):
            raise TypeError("no real number")
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the {what} is {came}; expected one number") from error
    if not math.isfinite(number):
        raise ValueError(f"the {what} is {number}; expected a finite number")
    return number
