"""Counterfactual spectra: stars alike in everything but one label, and what is left when one is taken from the other.

Two tests. `doppelganger_test` is the published one: the most enriched star against its nearest ordinary stars.
`stack_pairs` sums many matched pairs. Both end in detection limits: the line that would have been seen, found by
planting lines in the very spectra that were tested.
"""

import dataclasses
import warnings

import numpy as np

from lux.diagnostics.matching import Pairs, doppelgangers
from lux.models.weights import pixel_weight
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import (
    Filtered,
    SignFlipTest,
    autocorrelation,
    equivalent_width,
    line_sigma,
    matched_filter,
    pixel_index,
    sign_flip_test,
)
from lux.statistics import PermutationTest
from lux.survey import Survey

# Planted lines stand this many pixels apart, so that no filter sees two.
PLANTED_SPACING = 50
# So that no pair outweighs all others: contrasts in units of the median, depths in units of their robust scatter.
LARGEST_LEVERAGE, LARGEST_DEVIATION = 3.0, 5.0
# One-sided 5 % of a Gaussian: the threshold at a wavelength that was known beforehand.
KNOWN_LINE_THRESHOLD = 1.645
_DEPTHS = np.concatenate([[0.0], np.geomspace(1e-4, 0.5, 200)])


@dataclasses.dataclass(frozen=True)
class Stack:
    """What many pairs say about one label, pixel by pixel.

    `slope`, `slope_err` (D,): line depth per unit of the label and its standard error; `test`: its significance.
    `depth`, `depth_err` (K, D): line depth of each pair, freed of what the `nuisance` (K, Q), differences in the other
    labels, explains, and its error. `lever` (K, D): its weight in the sum, proportional to the contrast. `weight`,
    `information` (K, D) and `correlation`: of residuals and depths, as the filter took and gave them.
    """

    wavelength: np.ndarray
    pairs: Pairs
    correlation: np.ndarray
    slope: np.ndarray
    slope_err: np.ndarray
    test: SignFlipTest
    depth: np.ndarray
    depth_err: np.ndarray
    lever: np.ndarray
    nuisance: np.ndarray
    information: np.ndarray
    weight: np.ndarray

    @property
    def freedom(self) -> float:
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


@dataclasses.dataclass(frozen=True)
class DetectionLimit:
    """The weakest line that a test would have seen, found by planting lines.

    `depth` is that at the mean abundance which a fraction `power` of the planted lines needed at most to pass
    `threshold`; `equivalent_width` in milli-Angstrom; `needed` (L,) what each planted line needed (infinite: none).
    """

    threshold: float
    power: float
    depth: float
    equivalent_width: float
    needed: np.ndarray


def difference(survey: Survey, first, second, flux=None, without=None) -> tuple[np.ndarray, np.ndarray]:
    """Return flux of stars `first` minus `second` (K, D), and its inverse variance, zero where either is masked.

    `flux` (N, D) replaces the survey's; `without` (N, D) marks further pixels to leave out.
    """
    flux = survey.flux if flux is None else flux
    ivar = survey.ivar if without is None else np.where(without, np.float32(0), survey.ivar)
    one, other = ivar[first], ivar[second]
    total = one + other
    weight = np.divide(one * other, total, out=np.zeros_like(total), where=total > 0)
    return np.where(weight > 0, flux[first] - flux[second], np.float32(0)), weight


def with_scatter(residual, weight) -> np.ndarray:
    """Return the weights of residuals (K, D), lowered by the scatter that the errors leave unexplained."""
    good = weight > 0
    scaled = _robust_scatter(np.where(good, residual * np.sqrt(weight), np.nan))
    typical = np.median(weight[good]) if good.any() else 1.0
    scatter = np.nan_to_num(np.maximum(0, scaled**2 - 1) / typical).astype(np.float32)
    return pixel_weight(weight, scatter)


def stack_pairs(survey: Survey, pairs: Pairs, nuisance, *, without=None, n_flips: int = 1000, seed: int = 0) -> Stack:
    """Sum the residuals of matched pairs, weighted by their contrast, and test each pixel for a line that follows it.

    Parameters
    ----------
    survey : Survey
    pairs : Pairs
    nuisance : (N, Q) array
        Properties of the stars whose remaining differences are regressed out at every pixel, such as
        `quadratic_terms(others)`.
    without : (N, D) boolean array, optional
        Pixels to leave out, such as `lux.spectroscopy.airglow.near_airglow`.
    n_flips, seed : int
        Of the sign-flip test.
    """
    residual, weight = difference(survey, pairs.first, pairs.second, without=without)
    weight = with_scatter(residual, weight)
    correlation = autocorrelation(residual, weight, survey.wavelength)
    found = matched_filter(residual, weight, survey.wavelength, correlation)
    nuisance = np.asarray(nuisance)[pairs.first] - np.asarray(nuisance)[pairs.second]
    contrast = np.broadcast_to(pairs.contrast[:, None].astype(np.float32), found.depth.shape)
    depth, leverage = freed((found.depth, contrast), found.information, nuisance)
    bound = LARGEST_LEVERAGE * np.median(np.abs(pairs.contrast))
    lever = found.information * np.clip(leverage, -bound, bound)
    error = _depth_error(depth, found.information)
    terms = lever * depth
    scale = np.einsum("kd,kd->d", lever, leverage, dtype=float)
    safe = np.where(scale > 0, scale, np.inf)
    slope = np.sum(terms, axis=0, dtype=float) / safe
    rest = lever * (depth - slope.astype(np.float32) * leverage)
    slope_err = np.where(scale > 0, np.sqrt(np.einsum("kd,kd->d", rest, rest, dtype=float)) / safe, np.inf)
    freedom = 1 - nuisance.shape[1] / len(pairs)
    if freedom <= 0:
        raise ValueError(
            f"{len(pairs)} pairs cannot fix {nuisance.shape[1]} nuisances; use more stars or fewer nuisances"
        )
    test = sign_flip_test(lever * bounded(depth, error), n_flips, seed, freedom=freedom)
    return Stack(survey.wavelength, pairs, correlation, slope, slope_err, test, depth, error, lever, nuisance,
                 found.information, weight)  # fmt: skip


def bounded(depth, error) -> np.ndarray:
    """Return depths no further from zero than `LARGEST_DEVIATION` of their errors."""
    return np.clip(depth, -LARGEST_DEVIATION * error, LARGEST_DEVIATION * error)


def _depth_error(depth, information) -> np.ndarray:
    """Return the errors (K, D) of depths: one over the root of the information, scaled to the scatter of each pixel."""
    error = 1 / np.sqrt(np.where(information > 0, information, np.inf))
    scaled = np.where(information > 0, depth * np.sqrt(information), np.nan)
    return error * np.nan_to_num(_robust_scatter(scaled)).astype(np.float32)


def _robust_scatter(values, most_rows: int = 400) -> np.ndarray:
    """Return the scatter (D,) about zero of values (K, D) without NaN, of at most `most_rows` of them; NaN for none."""
    rows = slice(None, None, max(1, len(values) // most_rows))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return 1.4826 * np.nanmedian(np.abs(values[rows]), axis=0)


def freed(values, weight, nuisance) -> list[np.ndarray]:
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


def absorbers(survey: Survey, name: str, seed: int = 0) -> np.ndarray:
    """Return how many absorbers of a label's element each star has relative to the mean star, (N,), for planting lines.

    It is 10**([X/H] - mean), with the true labels where the survey has them; else with values drawn from what the
    catalogue and its errors allow: shrunk towards the mean, and scattered by what the errors leave open.
    """
    column = survey.label_index(name)
    if survey.truth is not None:
        labels = survey.truth.labels
        abundance = labels[:, column]
    else:
        labels = survey.labels
        values, variance = labels[:, column], np.nanvar(labels[:, column])
        reliable = max(0.0, 1 - np.nanmean(survey.label_err[:, column] ** 2) / variance)
        noise = np.random.default_rng([seed, column]).normal(size=len(values)) * np.sqrt(
            variance * reliable * (1 - reliable)
        )
        mean = np.nanmean(values)
        abundance = mean + reliable * (np.where(np.isnan(values), mean, values) - mean) + noise
    if name.endswith("_fe") and "fe_h" in survey.label_names:
        iron = labels[:, survey.label_index("fe_h")]
        abundance = abundance + np.where(np.isnan(iron), np.nanmean(iron), iron)
    return 10 ** (abundance - abundance.mean())


def planted_columns(wavelength, seed: int = 0) -> np.ndarray:
    """Return pixels (L,) for planted lines, `PLANTED_SPACING` apart from a random first one, none beside a gap."""
    index = pixel_index(wavelength)
    first = np.random.default_rng(seed).integers(PLANTED_SPACING // 2, PLANTED_SPACING)
    columns = np.arange(first, len(index) - PLANTED_SPACING // 2, PLANTED_SPACING)
    return columns[index[columns + 8] - index[columns - 8] == 16]


def planted_lines(survey: Survey, stars, columns, abundance) -> np.ndarray:
    """Return the change of flux (S, D) of stars (S,) per unit line depth, of lines planted at pixels `columns` (L,).

    `abundance` (N,) is the number of absorbers relative to the mean star, 10**([X/H] - mean): weak lines grow with it,
    and they absorb what flux the star has there.
    """
    index = pixel_index(survey.wavelength)
    offset = np.abs(index[:, None] - index[np.asarray(columns)]).min(axis=1)
    profile = np.exp(-0.5 * (offset / line_sigma(survey.wavelength)) ** 2).astype(np.float32)
    return -survey.flux[stars] * profile * np.asarray(abundance, np.float32)[stars][:, None]


def stack_limits(
    survey: Survey, stack: Stack, abundance, *, power: float = 0.95, level: float = 0.05, seed: int = 0
) -> dict[str, DetectionLimit]:
    """Return the detection limits of a stack, for a line at a place "known" beforehand and "anywhere".

    Lines are planted in the spectra of the pairs and taken through every step of the stack but the choice of pairs.
    The filter is linear in the flux, so one pass serves all depths. For `abundance` see `planted_lines`.
    """
    columns = planted_columns(survey.wavelength, seed)
    change = [planted_lines(survey, stars, columns, abundance) for stars in (stack.pairs.first, stack.pairs.second)]
    residual = np.where(stack.weight > 0, change[0] - change[1], np.float32(0))
    found = matched_filter(residual, stack.weight, survey.wavelength, stack.correlation)
    (response,) = freed((found.depth[:, columns],), stack.information[:, columns], stack.nuisance)
    lever, depth, error = (array[:, columns] for array in (stack.lever, stack.depth, stack.depth_err))
    z = []
    for planted in _DEPTHS:
        terms = lever * bounded(depth + np.float32(planted) * response, error)
        z.append(np.sqrt(stack.freedom) * terms.sum(axis=0) / np.sqrt(np.sum(terms**2, axis=0) + 1e-30))
    thresholds = {"known": KNOWN_LINE_THRESHOLD, "anywhere": stack.test.largest.threshold(level)}
    return {kind: _limit(np.array(z), value, survey.wavelength, power) for kind, value in thresholds.items()}


def doppelganger_limits(
    survey: Survey, test: DoppelgangerTest, abundance, *, power: float = 0.95, level: float = 0.05, seed: int = 0
) -> dict[str, DetectionLimit]:
    """Return the detection limits of the test of one star, as `stack_limits` does for many."""
    columns = planted_columns(survey.wavelength, seed)
    columns = columns[np.isfinite(test.depth_err[columns])]
    stars = np.concatenate([[test.star], test.twins])
    star, *twins = planted_lines(survey, stars, columns, abundance)
    residual = np.where(test.weight > 0, star - np.mean(twins, axis=0), np.float32(0))
    found = matched_filter(residual[None], test.weight[None], survey.wavelength, test.correlation)
    response = found.depth[0, columns] / test.depth_err[columns]
    z = test.z[columns] + _DEPTHS[:, None] * response
    thresholds = {"known": KNOWN_LINE_THRESHOLD, "anywhere": test.largest.threshold(level)}
    return {kind: _limit(z, value, survey.wavelength, power) for kind, value in thresholds.items()}


def _limit(z, threshold: float, wavelength, power: float) -> DetectionLimit:
    """Return the limit from the significance of each line (L,) at each of the depths tried, (201, L)."""
    missed = np.where(z < threshold, np.arange(1, len(z) + 1)[:, None], 0)
    needed = np.append(_DEPTHS, np.inf)[np.max(missed, axis=0)]
    depth = float(np.quantile(needed, power, method="higher"))
    return DetectionLimit(threshold, power, depth, float(equivalent_width(depth, np.median(wavelength))), needed)


def doppelganger_test(
    survey: Survey, name: str, *, n_twins: int = 2, n_ordinary: int = 200, seed: int = 0
) -> DoppelgangerTest:
    """Compare the star with most of a label with its doppelgangers, as published, and with what ordinary stars show.

    Doppelgangers are the nearest in the other labels of the catalogue, in the metric of the label errors, among the
    stars whose label lies between its 25th and 75th percentile. The null is the same comparison of `n_ordinary` of
    those stars with their own doppelgangers.
    """
    label = survey.label(name)
    columns = [number for number, other in enumerate(survey.label_names) if other != name]
    labels, errors = survey.labels[:, columns], survey.label_err[:, columns]
    complete = np.all(np.isfinite(labels), axis=1) & np.isfinite(label)
    low, high = np.nanpercentile(label, [25, 75])
    ordinary = np.flatnonzero(complete & (label >= low) & (label <= high))
    chosen = np.random.default_rng(seed).permutation(ordinary)[:n_ordinary]
    stars = np.concatenate([[np.nanargmax(np.where(complete, label, np.nan))], chosen])
    nearest = [doppelgangers(labels, errors, each, ordinary, n_twins) for each in stars]
    twins = np.stack([rows for rows, _ in nearest])
    residual, weight = _against_twins(survey, stars, twins)
    correlation = autocorrelation(residual, weight, survey.wavelength)
    found = matched_filter(residual, weight, survey.wavelength, correlation)
    z, depth_err = _in_units_of_ordinary(found)
    singly, single_weight = difference(survey, np.repeat(stars[:1], n_twins), twins[0])
    return DoppelgangerTest(
        survey.wavelength, int(stars[0]), twins[0], nearest[0][1], singly, _error(single_weight), weight[0],
        correlation, z[0], depth_err, PermutationTest(float(np.max(np.abs(z[0]))), np.max(np.abs(z[1:]), axis=1)),
    )  # fmt: skip


def _against_twins(survey: Survey, stars, twins) -> tuple[np.ndarray, np.ndarray]:
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
    scatter = _robust_scatter(np.where(found.information[1:] > 0, scaled[1:], np.nan))
    scatter = np.fmax(scatter, 0.5 * np.nanmedian(scatter))
    return scaled / scatter, scatter * _error(found.information[0])


def _error(weight) -> np.ndarray:
    """Return the standard errors of weights, infinite where the weight is zero."""
    return np.sqrt(1 / np.where(weight > 0, weight, 1)) * np.where(weight > 0, 1, np.inf)


def stack_in_observer_frame(
    stack: Stack, velocity, line_wavelengths, n_flips: int = 1000, seed: int = 0
) -> SignFlipTest:
    """Test the residuals at fixed observed wavelengths (L,), where the night sky stands still: z (L,).

    Each pair contributes at the two pixels on which the wavelength falls in the rest frames of its two stars;
    `velocity` (N,) is that of the stars towards the telescope in km/s (`lux.spectroscopy.airglow.observed_velocity`). A
    wavelength that falls beside the spectra has z = 0.
    """
    terms = 0
    for stars in (stack.pairs.first, stack.pairs.second):
        rest = np.asarray(line_wavelengths) / (1 + np.asarray(velocity)[stars][:, None] / SPEED_OF_LIGHT_KMS)
        column = np.clip(np.searchsorted(stack.wavelength, rest), 1, len(stack.wavelength) - 1)
        column -= rest - stack.wavelength[column - 1] < stack.wavelength[column] - rest
        beside = np.abs(stack.wavelength[column] - rest) > 1e-5 * rest
        at = np.arange(len(stars))[:, None], column
        terms = terms + np.where(beside, 0, stack.lever[at] * stack.depth[at])
    return sign_flip_test(terms, n_flips, seed, freedom=stack.freedom)
