"""Counterfactual spectra: stars alike in everything but one label, and what is left when one is taken from the other.

Two tests. `doppelganger_test` is the published one: the most enriched star against its nearest ordinary stars.
`stack_pairs` sums many matched pairs. What either would have seen is in `lux.diagnostics.detection_limits`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lux.diagnostics.checks import as_columns, require_labels, require_stars
from lux.diagnostics.matching import Pairs, doppelgangers
from lux.models.weights import pixel_weight
from lux.simulation.synthetic import DEFAULT_LABELS, make_survey
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import (
    Filtered,
    SignFlipTest,
    autocorrelation,
    matched_filter,
    sign_flip_test,
)
from lux.statistics import PermutationTest, require_count, robust_std
from lux.survey import Survey

# So that no pair outweighs all others: contrasts in units of the median, depths in units of their robust scatter.
_MAX_CONTRAST, _MAX_DEVIATION = 3.0, 5.0
# At most so many rows make a robust scatter.
_MAX_ROWS = 400


@dataclasses.dataclass(frozen=True)
class Stack:
    """What many pairs say about one label, pixel by pixel.

    `slope`, `slope_err` (D,): line depth per unit of the label and its standard error; `test`: its significance.
    `depth`, `depth_err` (K, D): line depth of each pair, without what the `nuisance` (K, Q), differences in the other
    labels, explains, and its error. `pair_weight` (K, D): its weight in the sum, proportional to the contrast.
    `weight`, `information` (K, D) and `correlation`: of residuals and depths, as the filter took and gave them.
    """

    wavelength: np.ndarray
    pairs: Pairs
    correlation: np.ndarray
    slope: np.ndarray
    slope_err: np.ndarray
    test: SignFlipTest
    depth: np.ndarray
    depth_err: np.ndarray
    pair_weight: np.ndarray
    nuisance: np.ndarray
    information: np.ndarray
    weight: np.ndarray

    @property
    def dof_fraction(self) -> float:
        """Fraction of the degrees of freedom that the nuisances left."""
        return 1 - self.nuisance.shape[1] / len(self.nuisance)


@dataclasses.dataclass(frozen=True)
class DoppelgangerTest:
    """The published test: one star against its doppelgangers.

    `star` and `twins` (T,) are rows of the survey, `distances` (T,) in standard errors of the labels; `residual`,
    `residual_err` (T, D) star minus twin in flux (error infinite where masked); `weight` (D,) and `correlation` those
    of star minus mean twin; `z` (D,) the depth of a line at each pixel in units of its scatter among ordinary stars,
    `depth_err` (D,); `largest` tests the maximum of |z| against theirs.
    """

    wavelength: np.ndarray
    star: int
    twins: np.ndarray
    distances: np.ndarray
    residual: np.ndarray
    residual_err: np.ndarray
    weight: np.ndarray
    correlation: np.ndarray
    z: np.ndarray
    depth_err: np.ndarray
    largest: PermutationTest


def difference(
    survey: Survey,
    first: np.ndarray,
    second: np.ndarray,
    flux: np.ndarray | None = None,
    without: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux of stars `first` minus `second` (K, D), and its inverse variance, zero where either is masked.

    `flux` (N, D) replaces the survey's; `without` (N, D) marks further pixels to leave out.
    """
    flux = survey.flux if flux is None else flux
    ivar = survey.ivar if without is None else np.where(without, np.float32(0), survey.ivar)
    one, other = ivar[first], ivar[second]
    total = one + other
    weight = np.divide(one * other, total, out=np.zeros_like(total), where=total > 0)
    return np.where(weight > 0, flux[first] - flux[second], np.float32(0)), weight


def _with_scatter(residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weights of residuals (K, D), lowered by the scatter that the errors leave unexplained."""
    good = weight > 0
    scaled = _scatter_of_pixels(np.where(good, residual * np.sqrt(weight), np.nan))
    typical = np.median(weight[good]) if good.any() else 1.0
    scatter = np.nan_to_num(np.maximum(0, scaled**2 - 1) / typical).astype(np.float32)
    return pixel_weight(weight, scatter)


def stack_pairs(
    survey: Survey,
    pairs: Pairs,
    nuisance: np.ndarray,
    *,
    without: np.ndarray | None = None,
    n_flips: int = 1000,
    seed: int = 0,
) -> Stack:
    """Sum the residuals of matched pairs, weighted by their contrast, and test each pixel for a line that follows it.

    Parameters
    ----------
    survey : Survey
    pairs : Pairs
    nuisance : (N, Q) or (N,) array
        Properties of the stars whose remaining differences are regressed out at every pixel, such as
        `quadratic_terms(others)`.
    without : (N, D) boolean array, optional
        Pixels to leave out, such as `lux.spectroscopy.airglow.near_airglow`.
    n_flips, seed : int
        Of the sign-flip test.

    Raises
    ------
    ValueError
        If there are no more pairs than nuisances, the nuisances are of another number of stars, or nothing is flipped.
    """
    require_count("n_flips", n_flips)
    nuisance = as_columns(nuisance)
    require_stars(nuisance, survey.n_stars, "have nuisances")
    nuisance = nuisance[pairs.first] - nuisance[pairs.second]
    if len(pairs) <= nuisance.shape[1]:
        raise ValueError(
            f"{len(pairs)} pairs cannot fix {nuisance.shape[1]} nuisances; use more stars or fewer nuisances"
        )
    residual, weight = difference(survey, pairs.first, pairs.second, without=without)
    weight = _with_scatter(residual, weight)
    correlation = autocorrelation(residual, weight, survey.wavelength)
    found = matched_filter(residual, weight, survey.wavelength, correlation)
    contrast = np.broadcast_to(pairs.contrast[:, None].astype(np.float32), found.depth.shape)
    depth, contrast = partial_out((found.depth, contrast), found.information, nuisance)
    bound = _MAX_CONTRAST * np.median(np.abs(pairs.contrast))
    pair_weight = found.information * np.clip(contrast, -bound, bound)
    slope, slope_err = _slope(depth, contrast, pair_weight)
    depth_err = _depth_error(depth, found.information)
    dof_fraction = 1 - nuisance.shape[1] / len(pairs)
    test = sign_flip_test(pair_weight * clip_depth(depth, depth_err), n_flips, seed, dof_fraction=dof_fraction)
    return Stack(
        wavelength=survey.wavelength,
        pairs=pairs,
        correlation=correlation,
        slope=slope,
        slope_err=slope_err,
        test=test,
        depth=depth,
        depth_err=depth_err,
        pair_weight=pair_weight,
        nuisance=nuisance,
        information=found.information,
        weight=weight,
    )


def _slope(depth: np.ndarray, contrast: np.ndarray, pair_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slope (D,) of depths (K, D) on contrasts (K, D) and its error, infinite where nothing was measured."""
    scale = np.einsum("kd,kd->d", pair_weight, contrast, dtype=float)
    safe = np.where(scale > 0, scale, np.inf)
    slope = np.sum(pair_weight * depth, axis=0, dtype=float) / safe
    rest = pair_weight * (depth - slope.astype(np.float32) * contrast)
    return slope, np.where(scale > 0, np.sqrt(np.einsum("kd,kd->d", rest, rest, dtype=float)) / safe, np.inf)


def clip_depth(depth: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return depths no further from zero than five of their errors, so that no pair outweighs all others."""
    return np.clip(depth, -_MAX_DEVIATION * error, _MAX_DEVIATION * error)


def _depth_error(depth: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Return the errors (K, D) of depths: one over the root of the information, scaled to the scatter of each pixel."""
    error = 1 / np.sqrt(np.where(information > 0, information, np.inf))
    scaled = np.where(information > 0, depth * np.sqrt(information), np.nan)
    return error * np.nan_to_num(_scatter_of_pixels(scaled)).astype(np.float32)


def _scatter_of_pixels(values: np.ndarray) -> np.ndarray:
    """Return the robust scatter (D,) about zero of values (K, D), NaN left out."""
    return robust_std(values[:: max(1, len(values) // _MAX_ROWS)], axis=0, center=0.0)


def partial_out(values: Sequence[np.ndarray], weight: np.ndarray, nuisance: np.ndarray) -> list[np.ndarray]:
    """Return each of `values`, (K, D) arrays, minus its fit on nuisance (K, Q), weighted pixel by pixel, as float32."""
    nuisance, weight = np.asarray(nuisance, np.float32), np.asarray(weight, np.float32)
    n_terms = nuisance.shape[1]
    upper = np.triu_indices(n_terms)
    normal = np.empty((weight.shape[1], n_terms, n_terms))
    packed = (nuisance[:, upper[0]] * nuisance[:, upper[1]]).T @ weight
    normal[:, upper[0], upper[1]] = normal[:, upper[1], upper[0]] = packed.T
    size = np.trace(normal, axis1=1, axis2=2)
    normal += (1e-6 * size + (size == 0))[:, None, None] * np.eye(n_terms)
    moments = np.stack([nuisance.T @ (weight * each) for each in values], axis=-1)
    coefficients = np.linalg.solve(normal, moments.transpose(1, 0, 2)).astype(np.float32)
    return [each - nuisance @ coefficients[:, :, number].T for number, each in enumerate(values)]


def doppelganger_test(
    survey: Survey, name: str, *, n_twins: int = 2, n_ordinary: int = 200, seed: int = 0
) -> DoppelgangerTest:
    """Compare the star with most of a label with its doppelgangers, as published, and with what ordinary stars show.

    Doppelgangers are the nearest in the other labels of the catalogue, in the metric of the label errors, among the
    stars whose label lies between its 25th and 75th percentile. The null is the same comparison of `n_ordinary` of
    those stars with their own doppelgangers.

    Raises
    ------
    ValueError
        If a label is unknown or missing in every star, no star has all labels, or there are too few doppelgangers.
    """
    require_labels(survey, survey.label_names)
    column = survey.label_index(name)
    return _compare(survey, *_comparisons(survey.labels, survey.label_err, column, n_twins, n_ordinary, seed))


def doppelganger_test_of_size(
    n_survey: int,
    name: str = "eu_fe",
    *,
    n_twins: int = 2,
    n_ordinary: int = 200,
    seed: int = 0,
    **options: Any,
) -> tuple[Survey, DoppelgangerTest]:
    """Make `doppelganger_test` in a synthetic survey of any size, of which only the stars compared get a spectrum.

    The published star is the richest of some 50,000. What the test can see depends on how many stars there are to
    choose from: r-process-enhanced stars are rare, and a star that is the richest of few owes its rank to the error of
    its label.

    Parameters
    ----------
    n_survey : int
        Stars in the catalogue, among which star, doppelgangers and ordinary stars are chosen.
    name, n_twins, n_ordinary, seed
        As in `doppelganger_test`; the seed is that of the survey too.
    **options
        Of `lux.simulation.synthetic.make_survey`, such as ``world``, ``r_enhanced_fraction``, ``wavelength_range``.

    Returns
    -------
    Survey, DoppelgangerTest
        The stars compared, and the test, whose rows are theirs.
    """
    chosen: list[np.ndarray] = []

    def choose(labels: np.ndarray, errors: np.ndarray) -> np.ndarray:
        stars, twins, distances = _comparisons(labels, errors, column, n_twins, n_ordinary, seed)
        rows, place = np.unique(np.append(stars, twins), return_inverse=True)
        chosen.extend([place[: len(stars)], place[len(stars) :].reshape(twins.shape), distances])
        return rows

    names = options.setdefault("label_names", DEFAULT_LABELS)
    column = names.index(name)
    survey = make_survey(n_survey, seed, choose=choose, **options)
    return survey, _compare(survey, *chosen)


def _comparisons(
    labels: np.ndarray, errors: np.ndarray, column: int, n_twins: int, n_ordinary: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which stars to compare, (S,) rows, the richest in a column of the labels first, and with which twins.

    Returns
    -------
    stars : (S,) array
    twins : (S, T) array
    distances : (T,) array
        Of the first star's twins.
    """
    require_count("n_twins", n_twins)
    require_count("n_ordinary", n_ordinary)
    label, others, errors = labels[:, column], np.delete(labels, column, axis=1), np.delete(errors, column, axis=1)
    complete = np.all(np.isfinite(others), axis=1) & np.isfinite(label)
    if not complete.any():
        raise ValueError("no star has all labels; leave out those that few stars have, by select_labels of the survey")
    low, high = np.nanpercentile(label, [25, 75])
    ordinary = np.flatnonzero(complete & (label >= low) & (label <= high))
    chosen = np.random.default_rng(seed).permutation(ordinary)[:n_ordinary]
    stars = np.append(np.nanargmax(np.where(complete, label, np.nan)), chosen)
    nearest = [doppelgangers(others, errors, each, ordinary, n_twins) for each in stars]
    return stars, np.stack([rows for rows, _ in nearest]), nearest[0][1]


def _compare(survey: Survey, stars: np.ndarray, twins: np.ndarray, distances: np.ndarray) -> DoppelgangerTest:
    """Return the test of the first of some stars (S,) against its twins, (S, T) for each star."""
    residual, weight = _against_twins(survey, stars, twins)
    correlation = autocorrelation(residual, weight, survey.wavelength)
    found = matched_filter(residual, weight, survey.wavelength, correlation)
    z, depth_err = _in_units_of_ordinary(found)
    singly, single_weight = difference(survey, np.repeat(stars[:1], twins.shape[1]), twins[0])
    return DoppelgangerTest(
        wavelength=survey.wavelength,
        star=int(stars[0]),
        twins=twins[0],
        distances=distances,
        residual=singly,
        residual_err=_error(single_weight),
        weight=weight[0],
        correlation=correlation,
        z=z[0],
        depth_err=depth_err,
        largest=PermutationTest(float(np.max(np.abs(z[0]))), np.max(np.abs(z[1:]), axis=1)),
    )


def _against_twins(survey: Survey, stars: np.ndarray, twins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return flux of stars (S,) minus the mean of their twins (S, T), (S, D), and its inverse variance."""
    masked = survey.ivar[stars] == 0
    safe = np.where(survey.ivar > 0, survey.ivar, 1)
    mean, variance = np.zeros(masked.shape, np.float32), 1 / safe[stars]
    for column in twins.T:
        masked |= survey.ivar[column] == 0
        mean += survey.flux[column] / twins.shape[1]
        variance += 1 / safe[column] / twins.shape[1] ** 2
    return np.where(masked, np.float32(0), survey.flux[stars] - mean), np.where(masked, np.float32(0), 1 / variance)


def _in_units_of_ordinary(found: Filtered) -> tuple[np.ndarray, np.ndarray]:
    """Return depths (S, D) in units of the scatter of all but the first, and the error (D,) of the first's depth.

    The scatter of a pixel is robust and at least half of that of the typical pixel.
    """
    scaled = found.depth * np.sqrt(found.information)
    scatter = _scatter_of_pixels(np.where(found.information[1:] > 0, scaled[1:], np.nan))
    scatter = np.fmax(scatter, 0.5 * np.nanmedian(scatter))
    return scaled / scatter, scatter * _error(found.information[0])


def _error(weight: np.ndarray) -> np.ndarray:
    """Return the standard errors of weights, infinite where the weight is zero."""
    return np.sqrt(1 / np.where(weight > 0, weight, 1)) * np.where(weight > 0, 1, np.inf)


def stack_in_observer_frame(
    stack: Stack, velocity: np.ndarray, line_wavelengths: ArrayLike, n_flips: int = 1000, seed: int = 0
) -> SignFlipTest:
    """Test the residuals at fixed observed wavelengths (L,), where the night sky stands still: z (L,).

    Each pair contributes at the two pixels on which the wavelength falls in the rest frames of its two stars;
    `velocity` (N,) is that of the stars towards the telescope in km/s (`lux.spectroscopy.airglow.observed_velocity`). A
    wavelength that falls beside the spectra has z = 0.
    """

    def terms(stars: np.ndarray) -> np.ndarray:
        rest = np.asarray(line_wavelengths) / (1 + np.asarray(velocity)[stars][:, None] / SPEED_OF_LIGHT_KMS)
        column = np.clip(np.searchsorted(stack.wavelength, rest), 1, len(stack.wavelength) - 1)
        column -= rest - stack.wavelength[column - 1] < stack.wavelength[column] - rest
        beside = np.abs(stack.wavelength[column] - rest) > 1e-5 * rest
        at = np.arange(len(stars))[:, None], column
        return np.where(beside, 0, stack.pair_weight[at] * stack.depth[at])

    require_count("n_flips", n_flips)
    both = terms(stack.pairs.first) + terms(stack.pairs.second)
    return sign_flip_test(both, n_flips, seed, dof_fraction=stack.dof_fraction)
