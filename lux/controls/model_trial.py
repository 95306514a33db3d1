"""Models on trial: how far the prediction of each follows europium, by strength of its lines and size of the survey.

What a model does is measured where the truth is known: the slope of its prediction on europium's own scatter, and in
stars that the r-process enriched. What the audit says of the model, and what a user can see of it, stands beside.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lux.auditing.audit import audit_models
from lux.auditing.evidence import Kind
from lux.controls.ensemble import CANDIDATE_LINES, COOL, LABEL, Cell
from lux.controls.pixel_techniques import PIXEL_TECHNIQUES, measure_pixel_techniques
from lux.controls.techniques import (
    OURS,
    make_world,
    own_slope,
    rmse_over_error,
    slope_on_own_part,
    use_of_model,
)
from lux.models.baselines import FluxRegression, LabelsOnly, Mean
from lux.models.cannon import Cannon
from lux.models.lux import Lux
from lux.models.neural import NeuralNetwork
from lux.models.weights import without_negligible
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.semisynthetic import plant_europium
from lux.simulation.worlds import Shortcut, Signal
from lux.survey import Survey

_N_COMPONENTS = 20
# Name -> how a model is fitted to a survey, with a seed.
MODELS: Mapping[str, Callable[[Survey, int], Any]] = {
    "mean": lambda train, seed: Mean().fit(train),
    "PLS": lambda train, seed: FluxRegression.pls(_N_COMPONENTS).fit(train),
    "Cannon": lambda train, seed: Cannon().fit(train),
    "Lux": lambda train, seed: Lux(**OURS).fit(train),
    "dense network": lambda train, seed: NeuralNetwork("dense", seed=seed, double=True).fit(train),
    "convolutional network": lambda train, seed: NeuralNetwork("convolutional", seed=seed, double=True).fit(train),
}
LABELS_ONLY = "labels only"
NETWORKS = ("dense network", "convolutional network")
N_TRAININGS = 5
LINEAR = "linear regression"
# In training, in units of the errors of the flux.
NOISES = (0.0, 1.0, 2.0, 3.0, 4.0, 8.0)
# Of those, where networks are interrogated; and where training on more stars is tried, by which models.
NOISES_INTERROGATED = (1.0, 2.0, 4.0)
NOISES_OF_MANY = (0.0, 1.0, 2.0, 4.0)
TRAINED_ON_MANY = (NETWORKS[0], LINEAR)
# Draws of noise that is added to the flux of which a model predicts.
_N_NOISY = 5
# Of models of some hundred whole genuine spectra.
_FEW_COMPONENTS = 8
_FEW_LATENTS: Mapping[str, Any] = {"n_latents": 20, "tolerance": 0.02}
LESS_NOISE = "dense network, noise 1"
OF_FEW: Mapping[str, Callable[[Survey, int], Any]] = {
    **{name: fit for name, fit in MODELS.items() if name != "mean"},
    "PLS": lambda train, seed: FluxRegression.pls(_FEW_COMPONENTS).fit(train),
    "Lux": lambda train, seed: Lux(**_FEW_LATENTS).fit(train),
    LESS_NOISE: lambda train, seed: NeuralNetwork("dense", noise=1.0, seed=seed, double=True).fit(train),
}
# Those that are interrogated.
PROBED = ("Lux", *NETWORKS)
# Of each model: slopes on europium, the second among cool stars alone; RMSE over the catalogue's error; and what the
# audit says that the model uses.
NUMBERS = ("own_slope", "own_slope_cool", "response", "rmse", "use_slope", "use_error", "use_p", "used")
NAMES = (*MODELS, LABELS_ONLY)
# Of what each world gives of a model, what is scored, and the sign with which it speaks for knowledge.
TECHNIQUES = {"rmse": -1, **dict.fromkeys(PIXEL_TECHNIQUES, 1), "use_slope": 1}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Do not show what models warn of in single ones of many worlds, such as a search that does not end for a star."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@_quiet()
def measure_models(
    cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None, *, interrogate: bool = False
) -> dict[str, Any]:
    """Return what every model makes of one world, as plain numbers and strings.

    Keys are "cell", "seed", "verdict" of the audit on the flux, and "MODEL: NUMBER" for every model, `LABELS_ONLY` of
    Lux among them, and every one of `NUMBERS`; to `interrogate` the `PROBED` models, every one of
    `lux.controls.pixel_techniques.PIXEL_TECHNIQUES` of them as well.
    """
    world = make_world(cell, seed, star_seed, spectra)
    # In turns from either end, so that two processes which begin together do not compile the same programs.
    fitted = {name: MODELS[name](world.train, seed) for name in list(MODELS)[:: 1 if seed % 2 else -1]}
    models = {name: fitted[name] for name in MODELS}
    models[LABELS_ONLY] = LabelsOnly(FrozenEstimator(models["Lux"])).fit(world.train)
    reports = audit_models(models, world.train, world.test, LABEL, own_lines=CANDIDATE_LINES, seed=seed)
    found: dict[str, Any] = {"cell": cell.key, "seed": seed, "verdict": reports["Lux"].verdict}
    for name, model in models.items():
        use = reports[name].model_use
        assert use is not None, "there are stars enough to audit"
        numbers = use_of_model(model, world.test, world.enhanced) | {
            "own_slope_cool": own_slope(model, world.test, below_teff=COOL),
            "rmse": rmse_over_error(model, world.test),
            "use_slope": use.slope,
            "use_error": use.error,
            "use_p": reports[name][Kind.MODEL_USE].p_value,
        }
        found |= {f"{name}: {key}": float(value) for key, value in numbers.items()} | {f"{name}: used": use.answer}
    for name in PROBED if interrogate else ():
        model, layer = models[name], models[name].infer_latents if name == "Lux" else models[name].hidden_layer
        layers = layer(world.train), layer(world.test)
        numbers = measure_pixel_techniques(model, *layers, world.train, world.test, seed)
        found |= {f"{name}: {key}": value for key, value in numbers.items()}
    return found


@_quiet()
def measure_trainings(cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None) -> dict[str, Any]:
    """Return slopes on europium's own scatter of `N_TRAININGS` trainings of `NETWORKS` in one world, by name."""
    world = make_world(cell, seed, star_seed, spectra)
    slopes = {
        name: [
            use_of_model(MODELS[name](world.train, number), world.test, world.enhanced)["own_slope"]
            for number in range(N_TRAININGS)
        ]
        for name in NETWORKS
    }
    return {"cell": cell.key, "seed": seed, **slopes}


def _train_against(name: str, noise: float, train: Survey, seed: int) -> Any:
    if name == LINEAR:
        return linear_against(noise, train)
    return NeuralNetwork(name.split(" ")[0], noise=noise, seed=seed, double=True).fit(train)


def linear_against(noise: float, train: Survey) -> FluxRegression:
    """Return the linear regression of least squares on flux with noise added, the mean over all that could be drawn.

    `noise` is in units of the errors of the flux. Noise of variance s^2 in a pixel of N stars adds N s^2 times the
    squared coefficient to the sum of squares: a ridge penalty of its own for each pixel. All stars must have all
    labels. A pixel that is masked in all of them has no coefficient.
    """
    if np.isnan(train.labels).any():
        raise ValueError("labels are missing in some training stars, and the penalty is of all; leave those stars out")
    if not noise:
        return FluxRegression(LinearRegression()).fit(train)
    ivar = without_negligible(train.ivar)
    scale = noise * np.sqrt(np.sum(np.where(ivar > 0, 1 / np.where(ivar > 0, ivar, 1), 0), axis=0, dtype=float))
    scale[scale == 0] = 1
    return FluxRegression(make_pipeline(FunctionTransformer(lambda flux: flux / scale), Ridge(1.0))).fit(train)


def measure_more_stars(
    cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None
) -> dict[str, str | int | list[dict[str, Any]]]:
    """Return the same as `measure_noise` of the models `TRAINED_ON_MANY` against `NOISES_OF_MANY`.

    Each row has "noisy_slope" besides, the slope on flux with as much noise added as in training.
    """
    options: dict[str, Any] = {"kinds": TRAINED_ON_MANY, "noises": NOISES_OF_MANY, "on_noisy": True}
    return measure_noise(cell, seed, star_seed, spectra, **options)


@_quiet()
def measure_noise(
    cell: Cell,
    seed: int,
    star_seed: int,
    spectra: EmpiricalSpectra | None = None,
    *,
    kinds: Sequence[str] | None = None,
    noises: Sequence[float] = NOISES,
    on_noisy: bool = False,
) -> dict[str, str | int | list[dict[str, Any]]]:
    """Return what models that were trained against more or less noise make of one world.

    Arguments are those of `lux.controls.techniques.measure`. Each of the "rows" has "model", one of `NETWORKS` or
    `LINEAR`, by default all, but of whole spectra not the convolutional one; "noise" in training; "own_slope"; "rmse"
    of europium, and "rmse_all", the geometric mean over labels, in units of the catalogue's errors; what the audit says
    that the model "used"; and, if wanted, the "noisy_slope".
    """
    world = make_world(cell, seed, star_seed, spectra)
    kinds = kinds or [*NETWORKS[: 1 if cell.full_band else 2], LINEAR]
    models = {
        f"{name}, noise {noise:g}": _train_against(name, noise, world.train, seed) for name in kinds for noise in noises
    }
    reports = audit_models(models, world.train, world.test, LABEL, own_lines=CANDIDATE_LINES, seed=seed)
    rows = []
    for name, model in models.items():
        use, prediction = reports[name].model_use, model.predict_labels(world.test)
        assert use is not None, "there are stars enough to audit"
        errors = np.nanmean((prediction.labels - world.test.labels) ** 2, axis=0)
        ratios = np.sqrt(errors / np.nanmean(world.test.label_err**2, axis=0))
        rows.append(
            {
                "model": name.split(", ")[0],
                "noise": float(name.rsplit(" ", 1)[1]),
                "own_slope": own_slope(model, world.test),
                "rmse": rmse_over_error(model, world.test),
                "rmse_all": float(np.exp(np.log(ratios).mean())),
                "used": use.answer,
            }
        )
        if on_noisy:
            rows[-1]["noisy_slope"] = _slope_on_noisy(model, world.test, float(name.rsplit(" ", 1)[1]), seed)
    return {"cell": cell.key, "seed": seed, "rows": rows}


def _slope_on_noisy(model: Any, test: Survey, noise: float, seed: int) -> float:
    """Return the slope on europium's own scatter of predictions from flux with noise added, the mean of some draws."""
    generator = np.random.default_rng(seed)
    scale = noise / np.sqrt(np.where(test.ivar > 0, test.ivar, np.inf))
    drawn = (test.flux + scale * generator.normal(size=scale.shape) for _ in range(_N_NOISY))
    return float(np.mean([own_slope(model, test.replace(flux=flux.astype(np.float32))) for flux in drawn]))


@_quiet()
def measure_interrogated(
    cell: Cell, seed: int, star_seed: int, spectra: EmpiricalSpectra | None = None
) -> dict[str, str | float]:
    """Return what techniques see of dense networks that were trained against more or less noise in one world.

    Arguments are those of `lux.controls.techniques.measure`. Keys are "cell", "seed", and "NOISE: NUMBER" for each of
    `NOISES_INTERROGATED` and of `TECHNIQUES` and "own_slope".
    """
    world = make_world(cell, seed, star_seed, spectra)
    models = {f"{noise:g}": _train_against(NETWORKS[0], noise, world.train, seed) for noise in NOISES_INTERROGATED}
    reports = audit_models(models, world.train, world.test, LABEL, own_lines=CANDIDATE_LINES, seed=seed)
    found: dict[str, str | float] = {"cell": cell.key, "seed": seed}
    for noise, model in models.items():
        use = reports[noise].model_use
        assert use is not None, "there are stars enough to audit"
        layers = model.hidden_layer(world.train), model.hidden_layer(world.test)
        numbers = measure_pixel_techniques(model, *layers, world.train, world.test, seed) | {
            "own_slope": own_slope(model, world.test),
            "rmse": rmse_over_error(model, world.test),
            "use_slope": use.slope,
        }
        found |= {f"{noise}: {name}": float(value) for name, value in numbers.items()}
    return found


@_quiet()
def measure_planted(
    spectra: Survey, cell: Cell, seed: int, star_seed: int, _: EmpiricalSpectra | None = None
) -> dict[str, str | int | list[dict[str, Any]]]:
    """Return what the models `OF_FEW` make of europium that is planted in genuine spectra, with the lines of a cell.

    Each of the "rows" has "depth" of the planted lines, "model", its "rmse" over the catalogue's error, its "slope" on
    the planted label's own part, that which the audit measures, "use_slope", whether it "used" the label, and the
    "verdict" on the flux.
    """
    del star_seed
    planted = plant_europium(spectra, Signal(depth=cell.depth) if cell.depth else Shortcut(), tau=cell.tau, seed=seed)
    train, test = planted.split(0.4, seed=seed)
    models = {name: fit(train, seed) for name, fit in OF_FEW.items()}
    reports = audit_models(models, train, test, LABEL, CANDIDATE_LINES, seed=seed)
    truth, column = test.truth, test.label_index(LABEL)
    assert truth is not None, "the label was planted"
    own, others = truth.columns["eu_residual"], np.delete(truth.labels, column, axis=1)
    rows = []
    for name, model in models.items():
        use, predicted = reports[name].model_use, model.predict_labels(test).labels[:, column]
        assert use is not None, "there are stars enough to audit"
        rows.append(
            {
                "depth": cell.depth,
                "model": name,
                "rmse": rmse_over_error(model, test),
                "slope": float(slope_on_own_part(predicted, own, others)),
                "use_slope": float(use.slope),
                "used": use.answer,
                "verdict": reports[name].verdict,
            }
        )
    return {"cell": cell.key, "seed": seed, "rows": rows}
