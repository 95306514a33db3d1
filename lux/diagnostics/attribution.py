r"""Attribution: which inputs a prediction is owed to, by Shapley's rule.

Over the latents of a linear model the SHAP values have a closed form, :math:`\phi_i = A_i (z_i - \bar z_i)` (Lundberg &
Lee 2017), and depend on the basis of the latents. Over the other labels (`label_shapley`) and over groups of lines
(`pixel_shapley`) the players are observable, and the values are the same in every basis.
"""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lux.diagnostics.checks import pixel_masks, require_finite, require_labels, require_variation
from lux.models.gauge import random_rotations
from lux.models.normal_equations import packed_products, unpack_symmetric
from lux.models.prediction import Prediction, label_row
from lux.models.weights import pixel_weight
from lux.simulation.equilibrium import ALPHA_ELEMENTS
from lux.simulation.synthesis import line_strength
from lux.spectroscopy.instrument import pixel_of
from lux.spectroscopy.lines import load_lines
from lux.statistics import Estimate, require_count
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.models.lux import Lux

_MAX_PLAYERS = 12
_BLOCK = 512
# Correlation matrices with an eigenvalue below this, of rounding, are singular.
_SINGULAR = 1e-10
_Worth = Callable[[tuple[int, ...]], np.ndarray]
_GROUPS = {
    "iron": ("Fe",),
    "alpha": (*ALPHA_ELEMENTS, "OH"),
    "carbon, nitrogen": ("C", "N", "CN", "CO", "C2"),
    "other species": (),
}
# Standard deviation of an observed line in pixels of the APOGEE grid, and its reach: the 1.37 of the instrument
# (`LINE_SIGMA_KMS`) and the thermal and turbulent motion of 1.3 km/s in the atmosphere.
_LINE_SIGMA, _LINE_REACH = 1.4, 5
# A pixel belongs to the species that leads it if its lines are at least this deep together.
_MIN_DEPTH = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class LatentAttribution:
    """SHAP values of M labels over P latents.

    Parameters
    ----------
    names : tuple of M str
    values : (N, M, P) array
        Contribution of each latent to each label of each star, in label units.
    base : (M,) array
        Mean prediction over the background stars; a prediction is the base plus its row of values.
    latents : (N, P) array
        The latents explained.
    """

    names: tuple[str, ...]
    values: np.ndarray
    base: np.ndarray
    latents: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Mean absolute contribution of each latent, as a fraction of the label's sum, (M, P)."""
        return _share(np.abs(self.values).mean(axis=0))

    @property
    def dominant(self) -> np.ndarray:
        """The latent with the largest share of each label, counted from 0, (M,)."""
        return np.argmax(self.share, axis=1)

    @property
    def participation(self) -> np.ndarray:
        """Effective number of latents that make up a label, one over the sum of squared shares, (M,)."""
        return 1 / np.sum(self.share**2, axis=1)

    @property
    def predictions(self) -> np.ndarray:
        """Base plus contributions, (N, M): the predicted labels."""
        return self.base + self.values.sum(axis=2)


@dataclasses.dataclass(frozen=True, eq=False)
class Shapley:
    """What each player adds to a value, on average over all orders in which the players may join.

    Parameters
    ----------
    players : tuple of K str
    values : (K,) array
        They sum to `total`.
    intervals : (K, 2) array
        68 % bootstrap intervals over stars.
    alone : (K,) array
        Value of each player by itself.
    last : (K,) array
        What each player adds when it comes last: what only it can give.
    total : Estimate
        Value of all players together, above that of none, with its 68 % bootstrap interval.
    """

    players: tuple[str, ...]
    values: np.ndarray
    intervals: np.ndarray
    alone: np.ndarray
    last: np.ndarray
    total: Estimate


def latent_shap(model: "Lux", latents: np.ndarray, background: np.ndarray | None = None) -> LatentAttribution:
    """Return the SHAP values of the labels over the latents in closed form.

    Parameters
    ----------
    model : Lux
        Fitted.
    latents : (N, P) array
        Inferred from flux alone, in the model's basis.
    background : (K, P) array, optional
        The stars to which others are compared; the explained ones by default.
    """
    center = (latents if background is None else background).mean(axis=0)
    values = (latents - center)[:, None, :] * model.A_
    return LatentAttribution(tuple(model.label_names_), values, model.a_ + model.A_ @ center, latents)


def shap_package(model: "Lux", latents: np.ndarray, background: np.ndarray | None = None) -> LatentAttribution:
    """Return the same as `latent_shap` by ``shap.LinearExplainer``, interventional; arguments as there."""
    with warnings.catch_warnings():
        # shap is slow to import, so nobody else should wait for it, and warns of progress bars that it does not draw.
        warnings.simplefilter("ignore")
        from shap import LinearExplainer, maskers

    background = latents if background is None else background
    # The masker would otherwise take a subsample of a hundred stars for the background.
    masker = maskers.Independent(background, max_samples=len(background))
    readouts = zip(model.A_, model.a_, strict=True)
    explained = [LinearExplainer(readout, masker)(latents) for readout in readouts]
    values = np.stack([each.values for each in explained], axis=1)
    base = np.array([np.ravel(each.base_values)[0] for each in explained])
    return LatentAttribution(tuple(model.label_names_), values, base, latents)


def shares_over_rotations(model: "Lux", latents: np.ndarray, n_rotations: int = 200, seed: int = 0) -> np.ndarray:
    """Return the shares (n_rotations, M, P) in randomly rotated bases, in which every prediction is the same."""
    centered = latents - latents.mean(axis=0)
    shares = []
    for rotation in random_rotations(latents.shape[1], n_rotations, seed):
        # z' = G z and A' = A G^T for an orthogonal G.
        deviation = np.abs(centered @ rotation.T).mean(axis=0)
        shares.append(_share(np.abs(model.A_ @ rotation.T) * deviation))
    return np.stack(shares)


def prediction_change(prediction: Prediction, other: Prediction, survey: Survey) -> float:
    """Return the root mean square difference of two predictions of a survey in units of its label errors.

    The labels may stand in any order.
    """
    errors = np.stack([survey.label_err[:, survey.label_index(name)] for name in prediction.names], axis=1)
    others = np.stack([other.label(name) for name in prediction.names], axis=1)
    return float(np.sqrt(np.mean(((prediction.labels - others) / errors) ** 2)))


def shapley_values(players: Sequence[str], worth: _Worth) -> tuple[np.ndarray, ...]:
    """Return Shapley values of K players from the worth of every coalition (Shapley 1953).

    By hand, since the explainers of shap take a model and its inputs, not the worth of any coalition.

    Parameters
    ----------
    players : sequence of K str
    worth : callable
        Worth of the coalition of the given players' numbers, an array of any shape (...).

    Returns
    -------
    values, alone, last : (K, ...) arrays
    total : (...) array

    Raises
    ------
    ValueError
        If there is no player or too many for all coalitions to be tried.
    """
    count = len(players)
    if not 1 <= count <= _MAX_PLAYERS:
        raise ValueError(f"{count} players; 1 to {_MAX_PLAYERS} can be handled, since all coalitions are tried")
    coalitions = [chosen for size in range(count + 1) for chosen in itertools.combinations(range(count), size)]
    worths = {coalition: np.asarray(worth(coalition), float) for coalition in coalitions}
    everybody = tuple(range(count))
    values = np.zeros((count, *worths[()].shape))
    for coalition in coalitions[:-1]:
        share_of_orders = 1 / (count * math.comb(count - 1, len(coalition)))
        for player in set(everybody) - set(coalition):
            joined = tuple(sorted((*coalition, player)))
            values[player] += share_of_orders * (worths[joined] - worths[coalition])
    alone = np.stack([worths[(player,)] - worths[()] for player in everybody])
    rests = [tuple(other for other in everybody if other != player) for player in everybody]
    last = np.stack([worths[everybody] - worths[rest] for rest in rests])
    return values, alone, last, worths[everybody] - worths[()]


def label_shapley(
    inferred: np.ndarray, names: Sequence[str], label: str, n_bootstrap: int = 200, seed: int = 0
) -> Shapley:
    """Share the variance of one predicted label among the other predicted labels (Shapley R^2).

    The worth of a set of labels is the R^2 of the linear regression of the predicted label on them, over stars. One
    minus the total is what the prediction does not owe to the other labels.

    Parameters
    ----------
    inferred : (N, M) array
        Labels inferred from flux.
    names : sequence of M str
    label : str
        The label to explain.
    n_bootstrap, seed : int

    Raises
    ------
    ValueError
        If there is no such label, or one is not finite or the same in every star.
    """
    names, index = list(names), label_row(names, label)
    for column, name in enumerate(names):
        require_finite(inferred[:, column], f"inferred values of {name!r}")
        require_variation(inferred[:, column], name)
    order = [*(column for column in range(len(names)) if column != index), index]
    counts = _resamplings(len(inferred), n_bootstrap, seed)
    values = inferred[:, order] - inferred[:, order].mean(axis=0)
    correlations = _weighted_covariance(values / values.std(axis=0), counts)
    # Labels read off fewer latents than there are labels repeat one another. A part of a matrix is as regular as it.
    regular = np.linalg.eigvalsh(correlations[:, :-1, :-1]).min(initial=1) > _SINGULAR

    def worth(coalition: tuple[int, ...]) -> np.ndarray:
        columns = list(coalition)
        if not columns:
            return np.zeros(len(counts))
        cross = correlations[:, columns, -1]
        among = correlations[:, columns][:, :, columns]
        if regular:
            solved = np.linalg.solve(among, cross[..., None])[..., 0]
        else:
            solved = (np.linalg.pinv(among, _SINGULAR, hermitian=True) @ cross[..., None])[..., 0]
        return np.sum(cross * solved, axis=1) / correlations[:, -1, -1]

    return _with_intervals([names[column] for column in order[:-1]], worth)


def line_groups(
    wavelength: np.ndarray, teff: float = 4750.0, logg: float = 2.5, m_h: float = -0.2
) -> dict[str, np.ndarray]:
    """Return the pixels (D,) led by lines of iron, of alpha elements, of carbon and nitrogen, of others, or by few.

    A line counts with its opacity over that of the continuum, s / (1 + s), in a giant of the given parameters, smeared
    by the instrument; the group with the largest sum leads a pixel.

    Parameters
    ----------
    wavelength : (D,) array
        Vacuum Angstrom.
    teff, logg, m_h : float
        K, dex, dex.
    """
    lines = load_lines()
    strength = line_strength(teff, logg, m_h, lines=lines)[0]
    depth = strength / (1 + strength)
    pixel, center = pixel_of(wavelength), pixel_of(lines.wavelength)
    named = {element for elements in _GROUPS.values() for element in elements}
    leads = np.zeros((len(_GROUPS), len(wavelength)))
    for row, elements in enumerate(_GROUPS.values()):
        members = np.isin(lines.element, elements) if elements else ~np.isin(lines.element, list(named))
        for position, size in zip(center[members], depth[members], strict=True):
            near = slice(*np.searchsorted(pixel, [position - _LINE_REACH, position + _LINE_REACH]))
            leads[row, near] += size * np.exp(-0.5 * ((pixel[near] - position) / _LINE_SIGMA) ** 2)
    leader = np.where(leads.max(axis=0) > _MIN_DEPTH, leads.argmax(axis=0), len(_GROUPS))
    return {name: leader == row for row, name in enumerate([*_GROUPS, "few lines"])}


def pixel_shapley(
    model: "Lux", survey: Survey, groups: Mapping[str, np.ndarray], label: str, n_bootstrap: int = 200, seed: int = 0
) -> Shapley:
    """Share what a prediction explains of a catalogue label among groups of pixels (Shapley R^2).

    The worth of a set of groups is one minus the mean squared error over the variance of the catalogue label, for the
    prediction from those pixels alone, as if no others had been observed; from none it is that of the mean star.

    Parameters
    ----------
    model : Lux
        Fitted.
    survey : Survey
        Held-out stars; those without the label are left out.
    groups : mapping of name to (D,) boolean arrays
        Groups of pixels, such as those of `line_groups`; no pixel in two groups.
    label : str
    n_bootstrap, seed : int

    Raises
    ------
    ValueError
        If the wavelengths are not those of the training survey, a group is no boolean mask, a pixel is in two groups,
        or the label is unknown, missing everywhere or the same in every star.
    """
    # The loadings say nothing of their wavelengths; the model checks those of any star.
    model.latent_jacobian(survey[:1])
    pixel_masks(groups.values(), survey.n_pixels, disjoint=True)
    require_labels(survey, [label])
    survey = survey[~np.isnan(survey.label(label))]
    row = label_row(model.label_names_, label)
    precisions, moments = _normal_equations_of_groups(model, survey, groups)
    counts = _resamplings(survey.n_stars, n_bootstrap, seed) / survey.n_stars
    target = survey.label(label)
    require_variation(target, label)
    variance = counts @ target**2 - (counts @ target) ** 2

    def worth(coalition: tuple[int, ...]) -> np.ndarray:
        precision = model.prior_precision_ + sum((precisions[group] for group in coalition), np.zeros(()))
        moment = sum((moments[group] for group in coalition), np.zeros((survey.n_stars, model.n_latents)))
        latents = np.linalg.solve(np.broadcast_to(precision, (len(moment), *precision.shape[-2:])), moment[..., None])
        predicted = model.a_[row] + latents[..., 0] @ model.A_[row]
        return -(counts @ (target - predicted) ** 2) / variance

    return _with_intervals(list(groups), worth)


def _normal_equations_of_groups(
    model: "Lux", survey: Survey, groups: Mapping[str, np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return for each group the precision (N, P, P) and moment (N, P) that its pixels give the latents."""
    precisions, moments = [], []
    for pixels in groups.values():
        loadings, variance = model.B_[pixels], model.scatter_[pixels] ** 2
        products, packed, moment = packed_products(loadings), [], []
        for start in range(0, survey.n_stars, _BLOCK):
            rows = slice(start, start + _BLOCK)
            ivar = survey.ivar[rows][:, pixels].astype(float)
            weight = pixel_weight(ivar, variance)
            packed.append(weight @ products)
            moment.append((weight * (survey.flux[rows][:, pixels] - model.b_[pixels])) @ loadings)
        precisions.append(np.asarray(unpack_symmetric(np.concatenate(packed), model.n_latents)))
        moments.append(np.concatenate(moment))
    return precisions, moments


def _with_intervals(players: Sequence[str], worth: _Worth) -> Shapley:
    """Return the Shapley values where `worth` gives the sample's value first and bootstrap draws after it."""
    values, alone, last, total = shapley_values(players, worth)
    *estimates, together = (Estimate.from_draws(value[0], value[1:]) for value in (*values, total))
    intervals = np.array([estimate.interval for estimate in estimates])
    return Shapley(tuple(players), values[:, 0], intervals, alone[:, 0], last[:, 0], together)


def _resamplings(n_stars: int, n_bootstrap: int, seed: int) -> np.ndarray:
    """Return how often each bootstrap draw takes each star, (1 + n_bootstrap, N); once each in the first row."""
    require_count("n_bootstrap", n_bootstrap)
    draws = np.random.default_rng(seed).multinomial(n_stars, np.full(n_stars, 1 / n_stars), size=n_bootstrap)
    return np.concatenate([np.ones((1, n_stars)), draws])


def _weighted_covariance(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the covariances (K, M, M) of values (N, M) under each row of counts (K, N)."""
    weight = counts / counts.sum(axis=1, keepdims=True)
    mean = weight @ values
    rows, columns = np.triu_indices(values.shape[1])
    products = unpack_symmetric(weight @ (values[:, rows] * values[:, columns]), values.shape[1])
    return np.asarray(products) - mean[:, :, None] * mean[:, None, :]


def _share(amounts: np.ndarray) -> np.ndarray:
    return amounts / amounts.sum(axis=-1, keepdims=True)
