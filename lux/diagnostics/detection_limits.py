"""Detection limits: the weakest line that a counterfactual test would have seen (an injection-recovery test).

Lines are planted (injected) in the very spectra that were tested, and taken through every step of the test but the
choice of the stars; the limit is the depth from which on they are recovered.
"""

import dataclasses

import numpy as np
from scipy.stats import norm

from lux.diagnostics.counterfactuals import DoppelgangerTest, Stack, clip_depth, partial_out
from lux.spectroscopy.line_detection import equivalent_width, line_sigma, matched_filter, pixel_index
from lux.statistics import PermutationTest
from lux.survey import Survey

# Planted lines stand this many pixels apart, so that no filter sees two.
_SPACING = 50
_DEPTHS = np.concatenate([[0.0], np.geomspace(1e-4, 0.5, 200)])


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


def relative_abundance(survey: Survey, name: str, seed: int = 0) -> np.ndarray:
    """Return the abundance of a label's element in each star relative to the mean star, (N,), for planting lines.

    It is 10**([X/H] - mean), with the true labels where the survey has them; else with values drawn from what the
    catalogue and its errors allow: shrunk towards the mean, and scattered by what the errors leave open.
    """
    column = survey.label_index(name)
    labels = survey.labels if survey.truth is None else survey.truth.labels
    abundance = _drawn(survey, column, seed) if survey.truth is None else labels[:, column]
    if name.endswith("_fe") and "fe_h" in survey.label_names:
        iron = labels[:, survey.label_index("fe_h")]
        abundance = abundance + np.where(np.isnan(iron), np.nanmean(iron), iron)
    return 10 ** (abundance - abundance.mean())


def _drawn(survey: Survey, column: int, seed: int) -> np.ndarray:
    """Return what the true values (N,) of a label may be, given the catalogue's and their errors."""
    values, mean = survey.labels[:, column], np.nanmean(survey.labels[:, column])
    variance = np.nanvar(values)
    reliable = max(0.0, 1 - np.nanmean(survey.label_err[:, column] ** 2) / variance)
    noise = np.random.default_rng([seed, column]).normal(size=len(values))
    shrunk = mean + reliable * (np.where(np.isnan(values), mean, values) - mean)
    return shrunk + noise * np.sqrt(variance * reliable * (1 - reliable))


def planted_columns(wavelength: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return pixels (L,) for planted lines, `_SPACING` apart from a random first one, none beside a gap."""
    index = pixel_index(wavelength)
    first = np.random.default_rng(seed).integers(_SPACING // 2, _SPACING)
    columns = np.arange(first, len(index) - _SPACING // 2, _SPACING)
    return columns[index[columns + 8] - index[columns - 8] == 16]


def planted_lines(survey: Survey, stars: np.ndarray, columns: np.ndarray, abundance: np.ndarray) -> np.ndarray:
    """Return the change of flux (S, D) of stars (S,) per unit line depth, of lines planted at pixels `columns` (L,).

    `abundance` (N,) is that of `relative_abundance`: weak lines grow with it, and they absorb what flux the star has
    there.
    """
    index = pixel_index(survey.wavelength)
    offset = np.abs(index[:, None] - index[np.asarray(columns)]).min(axis=1)
    profile = np.exp(-0.5 * (offset / line_sigma(survey.wavelength)) ** 2).astype(np.float32)
    return -survey.flux[stars] * profile * np.asarray(abundance, np.float32)[stars][:, None]


def stack_limits(
    survey: Survey, stack: Stack, abundance: np.ndarray, *, power: float = 0.95, level: float = 0.05, seed: int = 0
) -> dict[str, DetectionLimit]:
    """Return the detection limits of a stack, for a line at a place "known" beforehand and "anywhere".

    Injection-recovery: lines are planted in the spectra of the pairs and taken through every step of the stack but the
    choice of pairs. The filter is linear in the flux, so one pass serves all depths.

    Parameters
    ----------
    survey : Survey
    stack : Stack
        Of pairs of its stars.
    abundance : (N,) array
        Of each star relative to the mean star (`relative_abundance`), to which planted lines are proportional.
    power : float
        Fraction of the planted lines that a limit must recover.
    level : float
        Rate of false alarms, of the one place known beforehand and of the search anywhere.
    seed : int
        Of the places of the planted lines.
    """
    columns = planted_columns(survey.wavelength, seed)
    change = [planted_lines(survey, stars, columns, abundance) for stars in (stack.pairs.first, stack.pairs.second)]
    residual = np.where(stack.weight > 0, change[0] - change[1], np.float32(0))
    found = matched_filter(residual, stack.weight, survey.wavelength, stack.correlation)
    (response,) = partial_out((found.depth[:, columns],), stack.information[:, columns], stack.nuisance)
    pair_weight, depth, error = (array[:, columns] for array in (stack.pair_weight, stack.depth, stack.depth_err))
    z = []
    for planted in _DEPTHS:
        terms = pair_weight * clip_depth(depth + np.float32(planted) * response, error)
        z.append(np.sqrt(stack.dof_fraction) * terms.sum(axis=0) / np.sqrt(np.sum(terms**2, axis=0) + 1e-30))
    return _limits(np.array(z), stack.test.largest, survey.wavelength, power, level)


def doppelganger_limits(
    survey: Survey,
    test: DoppelgangerTest,
    abundance: np.ndarray,
    *,
    power: float = 0.95,
    level: float = 0.05,
    seed: int = 0,
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
    return _limits(z, test.largest, survey.wavelength, power, level)


def _limits(
    z: np.ndarray, largest: PermutationTest, wavelength: np.ndarray, power: float, level: float
) -> dict[str, DetectionLimit]:
    """Return the limits from the significance of each line (L,) at each of the depths tried, (201, L)."""
    limits = {}
    for kind, threshold in (("known", float(norm.isf(level))), ("anywhere", largest.threshold(level))):
        missed = np.where(z < threshold, np.arange(1, len(z) + 1)[:, None], 0)
        needed = np.append(_DEPTHS, np.inf)[np.max(missed, axis=0)]
        depth = float(np.quantile(needed, power, method="higher"))
        width = float(equivalent_width(depth, np.median(wavelength)))
        limits[kind] = DetectionLimit(threshold, power, depth, width, needed)
    return limits
