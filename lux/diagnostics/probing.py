"""Probing: what can be read from the latents of a model about each label.

Probes are fitted to some stars and judged on others. Probe latents that were inferred from flux alone
(`Lux.infer_latents`): the training latents were fitted with the labels and know them (`circularity` shows how much).
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController

from lux.diagnostics.checks import as_columns, require_finite, require_stars, require_variation
from lux.statistics import PermutationTest, bootstrap, out_of_fold, quadratic_terms, require_count, standardize

KINDS = ("linear", "kernel", "mlp")
_RANK_TOLERANCE = 1e-9
# Weight decay of the perceptron per star, by which linear and curved relations of a few hundred stars are both learnt.
_DECAY = 0.075


# Of kernel ridge regression, on targets of unit variance.
_PENALTIES, _N_INNER_FOLDS = (0.03, 0.3, 3.0), 3


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """What a probe reads about one label of stars that it was not fitted to.

    Parameters
    ----------
    label, kind : str
    target, predicted : (n,) arrays
        The label of the stars that have it, and as read by the probe fitted to the other folds.
    r2 : float
        Fraction of the label's variance that the probe reads, over all folds.
    interval : (float, float)
        68 % bootstrap interval of `r2` over stars.
    ceiling : float
        Largest `r2` that the label's catalogue errors leave to a perfect probe; NaN where the errors are not known.
    fitted_r2 : float
        The same as `r2` for the very stars that the probe was fitted to, mean over folds.
    control : (n_control,) array
        `r2` of the same probe fitted to the label of another star, drawn at random (Hewitt & Liang 2019).
    fitted_control : (n_control,) array
        `fitted_r2` of the control: what the probe can memorise.
    """

    label: str
    kind: str
    target: np.ndarray
    predicted: np.ndarray
    r2: float
    interval: tuple[float, float]
    ceiling: float
    fitted_r2: float
    control: np.ndarray
    fitted_control: np.ndarray

    @property
    def selectivity(self) -> float:
        """`r2` minus its mean over the control tasks."""
        return self.r2 - float(np.mean(self.control))

    @property
    def p_value(self) -> float:
        """Fraction of control tasks that do as well, the real one counted among them; NaN where there are none."""
        return _p_value(self.r2, self.control)


@dataclasses.dataclass(frozen=True, eq=False)
class InformationGain:
    """What latents tell about a label, in nats per star, beyond what is given.

    Parameters
    ----------
    label : str
    r2_given, r2 : float
        Fraction of the label's variance read from what is given, and from it and the latents, out of sample.
    nats : float
        Half the logarithm of the ratio of the two mean squared errors. Out of sample: below zero where the latents add
        nothing, since a useless coefficient costs half a nat over the number of stars.
    interval : (float, float)
        68 % bootstrap interval of `nats` over stars.
    null : (n_permutations,) array
        `nats` with the part of the label that the given does not explain permuted among the stars.
    """

    label: str
    r2_given: float
    r2: float
    nats: float
    interval: tuple[float, float]
    null: np.ndarray

    @property
    def p_value(self) -> float:
        """Fraction of permutations in which the latents tell as much, the real label among them; NaN of none."""
        return _p_value(self.nats, self.null)


@dataclasses.dataclass(frozen=True, eq=False)
class Circularity:
    """How much more latents tell about a label that they were fitted with.

    Parameters
    ----------
    circular, flux_only : Probe
        Linear probes of the two kinds of latents of the same stars.
    interval : (float, float)
        68 % bootstrap interval of `inflation` over stars.
    """

    circular: Probe
    flux_only: Probe
    interval: tuple[float, float]

    @property
    def inflation(self) -> float:
        """R^2 of the circular probe minus that of the honest one."""
        return self.circular.r2 - self.flux_only.r2


def latent_label_correlations(latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation (M, P) of labels (N, M; NaN = missing) with latents (N, P)."""
    rows = []
    for values in labels.T:
        present = ~np.isnan(values)
        rows.append(standardize(values[present, None]).T @ standardize(latents[present]) / present.sum())
    return np.concatenate(rows)


def noise_ceiling(labels: np.ndarray, label_err: np.ndarray) -> np.ndarray:
    """Return the largest R^2 (M,) that label errors leave, 1 - mean squared error over variance, not below 0."""
    present = ~np.isnan(labels)
    noise = np.array([np.mean(err[there] ** 2) for err, there in zip(label_err.T, present.T, strict=True)])
    return np.maximum(0, 1 - noise / np.nanvar(labels, axis=0))


def probe(
    features: np.ndarray,
    target: np.ndarray,
    *,
    label: str = "",
    kind: str = "linear",
    label_err: np.ndarray | None = None,
    n_folds: int = 5,
    n_control: int = 20,
    seed: int = 0,
) -> Probe:
    """Fit a probe for one label and judge it by cross-validation.

    Parameters
    ----------
    features : (N, P) array
        Latents, or anything else to be probed.
    target : (N,) array
        The label; stars where it is NaN are left out.
    label : str
        Its name.
    kind : {"linear", "kernel", "mlp"}
        Least squares, kernel ridge regression with a Gaussian kernel, whose penalty is chosen by cross-validation, or a
        perceptron with one hidden layer of 32 units and weight decay.
    label_err : (N,) array, optional
        Errors of the label, for the ceiling.
    n_folds, n_control, seed : int
        Folds, control tasks (0 for none), and the seed of both and of the perceptron.

    Raises
    ------
    ValueError
        If the kind is unknown, the numbers of stars differ, a fold would have less than two stars, features or target
        are not finite, or the target is the same in every star.
    """
    require_count("n_control", n_control, 0)
    features, target, present = _checked(features, target, label, kind, n_folds)
    generator = np.random.default_rng(seed)
    targets = np.stack([target, *(generator.permutation(target) for _ in range(n_control))], axis=1)
    kinds: dict[str, Callable] = {"linear": _predict_linear, "kernel": _predict_kernel}
    predict = kinds.get(kind, partial(_predict_perceptron, seed=seed))
    predicted, fitted_r2 = np.empty_like(targets), []
    folds = _folds(len(target), n_folds, seed)
    for fold in range(n_folds):
        everywhere = predict(features, targets, folds != fold)
        predicted[folds == fold] = everywhere[folds == fold]
        fitted_r2.append(_r2(targets[folds != fold], everywhere[folds != fold]))
    r2, fitted = _r2(targets, predicted), np.mean(fitted_r2, axis=0)
    ceiling = np.nan
    if label_err is not None:
        ceiling = float(noise_ceiling(target[:, None], np.asarray(label_err)[present, None])[0])
    return Probe(
        label=label,
        kind=kind,
        target=target,
        predicted=predicted[:, 0],
        r2=float(r2[0]),
        interval=bootstrap(
            lambda *pair: _r2(*(each.T for each in pair)), target, predicted[:, 0], seed=generator
        ).interval,
        ceiling=ceiling,
        fitted_r2=float(fitted[0]),
        control=r2[1:],
        fitted_control=fitted[1:],
    )


def probe_labels(
    features: np.ndarray, labels: np.ndarray, label_err: np.ndarray, names: Sequence[str], **options: Any
) -> dict[str, Probe]:
    """Probe every label (N, M) and return the probes by name; the options are those of `probe`."""
    return {
        name: probe(features, labels[:, column], label=name, label_err=label_err[:, column], **options)
        for column, name in enumerate(names)
    }


def information_gain(
    latents: np.ndarray,
    target: np.ndarray,
    given: np.ndarray | None = None,
    *,
    label: str = "",
    n_permutations: int = 200,
    n_folds: int = 5,
    seed: int = 0,
) -> InformationGain:
    """Return what the latents tell about a label beyond what is given, and beyond chance.

    Give the other labels *as inferred from the flux*: given noisy catalogue labels instead, latents that only know the
    true values of those labels seem to tell something new (errors in variables). The null permutes the residual of the
    label on what is given (Freedman & Lane 1983, J. Bus. Econ. Stat. 1, 292). Rotating the latents changes nothing.

    Parameters
    ----------
    latents : (N, P) array
    target : (N,) array
        The label; stars where it is NaN are left out.
    given : (N, K) or (N,) array, optional
        Enters with its squares and products. Nothing by default: then the gain is all that the latents tell.
    label : str
        Its name.
    n_permutations, n_folds, seed : int
        Permutations (0 for none), folds, and the seed of both.

    Raises
    ------
    ValueError
        As `probe`.
    """
    require_count("n_permutations", n_permutations, 0)
    latents, target, present = _checked(latents, target, label, "linear", n_folds)
    terms = np.zeros((len(target), 0))
    if given is not None:
        require_stars(given, len(present), "have given labels", "the target")
        given = as_columns(given)[present]
        require_finite(given, "given labels")
        terms = quadratic_terms(given)
    everything = np.concatenate([terms, standardize(latents)], axis=1)
    rest = target - _fitted(terms, target)
    generator = np.random.default_rng(seed)
    permuted = [target - rest + generator.permutation(rest) for _ in range(n_permutations)]
    targets = np.stack([target, *permuted], axis=1)
    folds = _folds(len(target), n_folds, seed)
    squares = [
        (targets - out_of_fold(_design(features), targets, folds, _RANK_TOLERANCE)).T ** 2
        for features in (terms, everything)
    ]
    nats = _nats(*squares)
    interval = bootstrap(_nats, *(square[0] for square in squares), seed=generator).interval
    r2 = [1 - float(square[0].mean() / target.var()) for square in squares]
    return InformationGain(label, r2[0], r2[1], float(nats[0]), interval, nats[1:])


def circularity(
    fitted_latents: np.ndarray, flux_latents: np.ndarray, labels: np.ndarray, names: Sequence[str], seed: int = 0
) -> dict[str, Circularity]:
    """Probe latents that were fitted with the labels, and the flux-only latents of the same stars; by label.

    Parameters
    ----------
    fitted_latents, flux_latents : (N, P) arrays
        `Lux.latents_` and `Lux.infer_latents(train)`.
    labels : (N, M) array
        NaN where missing.
    """
    compared = {}
    for name, values in zip(names, labels.T, strict=True):
        circular, honest = (
            probe(latents, values, label=name, n_control=0, seed=seed) for latents in (fitted_latents, flux_latents)
        )
        inflation = bootstrap(
            lambda target, one, other: _r2(target.T, one.T) - _r2(target.T, other.T),
            circular.target,
            circular.predicted,
            honest.predicted,
            seed=seed,
        )
        compared[name] = Circularity(circular, honest, inflation.interval)
    return compared


def _checked(
    features: np.ndarray, target: np.ndarray, label: str, kind: str, n_folds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features and target of the stars that have the target, and the mask of these."""
    if kind not in KINDS:
        raise ValueError(f"unknown probe {kind!r}; expected one of {', '.join(KINDS)}")
    features, target = as_columns(np.asarray(features, float)), np.asarray(target, float)
    if len(features) != len(target):
        raise ValueError(f"{len(features)} stars have latents, {len(target)} have labels; give the same stars")
    present = ~np.isnan(target)
    if present.sum() < 2 * n_folds:
        raise ValueError(f"{present.sum()} stars have the label; {n_folds} folds need at least {2 * n_folds}")
    features, target = features[present], target[present]
    if np.any(np.isinf(target)):
        raise ValueError(f"label {label!r} is infinite in {np.isinf(target).sum()} stars; give NaN where it is missing")
    require_finite(features, "latents")
    require_variation(target, label or "target")
    return features, target, present


def _p_value(statistic: float, null: np.ndarray) -> float:
    """Return the p-value of a statistic; NaN where no null (n,) was drawn."""
    return PermutationTest(statistic, null).p_value if len(null) else float("nan")


def _folds(n_stars: int, n_folds: int, seed: int) -> np.ndarray:
    """Return the fold (n,) of each star."""
    folds = np.empty(n_stars, int)
    for fold, (_, test) in enumerate(KFold(n_folds, shuffle=True, random_state=seed).split(folds)):
        folds[test] = fold
    return folds


def _predict_linear(features: np.ndarray, targets: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return what least squares, fitted to the stars of a mask (n,), predicts of targets (n, T) for all stars."""
    design = _design(features)
    return design @ np.linalg.lstsq(design[train], targets[train], rcond=_RANK_TOLERANCE)[0]


def _predict_kernel(features: np.ndarray, targets: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the same of kernel ridge regression."""
    center, scale = targets[train].mean(axis=0), targets[train].std(axis=0)
    inputs = StandardScaler().fit(features[train]).transform(features)
    # scikit-learn's own scale of the kernel: one over the number of features.
    search = GridSearchCV(KernelRidge(kernel="rbf"), {"alpha": _PENALTIES}, cv=_N_INNER_FOLDS)
    search.fit(inputs[train], (targets[train] - center) / scale)
    return center + scale * search.predict(inputs)


def _predict_perceptron(features: np.ndarray, targets: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """Return the same of perceptrons, one for each column of targets."""
    center, scale = targets[train].mean(axis=0), targets[train].std(axis=0)
    inputs, outputs = StandardScaler().fit(features[train]).transform(features), (targets[train] - center) / scale
    predicted = np.empty_like(targets)
    for column in range(targets.shape[1]):
        network = MLPRegressor(
            hidden_layer_sizes=(32,), solver="lbfgs", alpha=_DECAY * len(outputs), max_iter=30, random_state=seed
        )
        # The products are so small that several threads would take longer than one.
        with warnings.catch_warnings(), _thread_pools().limit(limits=1):
            # Stopping early is part of the regularization; the probe is judged on other stars.
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(inputs[train], outputs[:, column])
        predicted[:, column] = center[column] + scale[column] * network.predict(inputs)
    return predicted


@cache
def _thread_pools() -> ThreadpoolController:
    """Return the libraries that have threads; to look for them takes milliseconds."""
    return ThreadpoolController()


def _design(features: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)


def _fitted(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    design = _design(features)
    return design @ np.linalg.lstsq(design, target, rcond=_RANK_TOLERANCE)[0]


def _nats(given: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Return half the log ratio (...) of the mean squared errors from squared errors (..., n)."""
    return 0.5 * np.log(given.mean(axis=-1) / everything.mean(axis=-1))


def _r2(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return R^2 (T,) of predictions (n, T)."""
    return 1 - np.mean((target - predicted) ** 2, axis=0) / np.var(target, axis=0)
