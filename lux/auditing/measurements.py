"""What the flux of a survey says about one label beyond the other labels: the measurements behind an audit.

Everything here conditions on what the *flux* says of the other labels, never on their catalogue values: those are
noisy, and conditioning on a noisy value leaves a dependence that looks like information (errors in variables). The
nuisances are principal components of the flux outside the label's own lines, with their squares and products. Each star
is predicted from all others but those that may be the same star under another name; neither chance nor the order of
the stars is in what is measured. The null distributions are made for the survey at hand: surrogate labels that follow
the other labels as the true one does and are otherwise independent of the flux, and line lists moved along the pixels.
The module is long because what prepares a survey and what reads it are one measurement.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from scipy import stats
from scipy.ndimage import correlate1d
from scipy.sparse.linalg import ArpackError, eigsh

from lux.auditing import repeated_spectra
from lux.auditing.other_labels import can_be_inferred, extrapolated, inferred_labels, label_basis, partial_out
from lux.auditing.settings import AuditSettings
from lux.models.weights import pixel_weight
from lux.spectroscopy.line_detection import RESOLUTION, autocorrelation, line_kernel
from lux.statistics import clipped, left_out, quadratic_terms, robust_std, standardize
from lux.survey import Survey

# To which components of the flux are found, as a share of their size: where the weakest came from the start of a
# search, a verdict depended on it.
_TOLERANCE = 1e-4
# Of a component, over that of the first; below it is rounding.
_MIN_VARIANCE = 1e-6
# Of a variance, by how much a robust one is smaller by chance, times the root of the number of stars: three standard
# deviations, of 1.86 for normal values.
_OUTLYING = 5.6
# Stars that a pixel is masked in, or not, for their labels to be compared, at least.
_TO_COMPARE = 10
# Stars whose spectra are worked on at a time, so that they stay in the processor's cache.
_ROWS = 64
# What own lines must leave of the pixels, for components of the flux that are not theirs.
_LEAST_CLEAR = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """A survey prepared for questions about one label, of the N stars that have it.

    Parameters
    ----------
    wavelength : (D,) array
    labels, errors : (N,) arrays
        The label and its catalogue error.
    basis : (N, H) array
        Orthonormal nuisances: a constant, components of the flux outside the own lines, their squares and products.
    maybe_same, star : (N, K) and (N,) arrays of int
        Which stars may be the same one under another name and teach nothing of it, and a number of those that are
        taken for one: their surrogate labels have one sign (`lux.auditing.repeated_spectra.maybe_same`).
    others : (N, Q) array
        Orthonormal functions of the other labels (`label_basis`), each label as other stars' flux teaches it.
    line_scores : (N, D) array
        What each star's flux says of absorption by an unresolved line at each pixel, nuisances taken out.
    own_pixels : (L,) array of int
        Pixels of the own lines, each once.
    near_own : (D,) boolean array
        Pixels within reach of an own line.
    star_noise : (N,) array
        Typical size of a star's line scores, the root of what its spectrum can tell of a line.
    probed : (L + K,) array of int
        Pixels at which it was asked what a line would do: those of the own lines, then some of the others.
    response : (N, L + K) array
        By how much a line there, of all of the flux at its center, raises each star's score.
    settings : AuditSettings
    """

    wavelength: np.ndarray
    labels: np.ndarray
    errors: np.ndarray
    basis: np.ndarray
    maybe_same: np.ndarray
    star: np.ndarray
    others: np.ndarray
    line_scores: np.ndarray
    own_pixels: np.ndarray
    near_own: np.ndarray
    star_noise: np.ndarray
    probed: np.ndarray
    response: np.ndarray
    settings: AuditSettings

    @property
    def n_stars(self) -> int:
        """Number of stars, N."""
        return len(self.labels)

    @property
    def dof_fraction(self) -> float:
        """Fraction of the degrees of freedom that the regression on the other labels leaves."""
        return 1 - self.others.shape[1] / self.n_stars


@dataclasses.dataclass(frozen=True, eq=False)
class Readings:
    """What S labels (the true one or surrogates) show, each statistic (S,) unless stated.

    Parameters
    ----------
    residual : (N, S) array
        The label minus what the other labels, as the flux gives them, make of it.
    predicted : (N, S) array
        That residual as other stars teach it from the nuisances, that is from strong features outside the own lines.
    strong : (S,) array
        Correlation of the two times the root of N.
    lines : (S, D) array
        Significance of absorption that correlates with the label at each pixel, in standard deviations.
    """

    residual: np.ndarray
    predicted: np.ndarray
    strong: np.ndarray
    lines: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """What the flux shows of one label, and what it shows of surrogates.

    Parameters
    ----------
    design : Design
    observed : Readings
        Of the label, S = 1.
    surrogate : Readings
        Of surrogate labels, ``settings.n_surrogates`` of them.
    moved : (K, L) array of int
        Pixels of the own lines moved in wavelength.
    """

    design: Design
    observed: Readings
    surrogate: Readings
    moved: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """The label minus what the other labels make of it, (N,)."""
        return self.observed.residual[:, 0]

    @property
    def lines(self) -> np.ndarray:
        """Significance of absorption that correlates with the label at each pixel, (D,)."""
        return self.observed.lines[0]

    @property
    def lines_elsewhere(self) -> np.ndarray:
        """The same, (D,), zero near the own lines."""
        return np.where(self.design.near_own, 0, self.lines)

    @functools.cached_property
    def largest_by_chance(self) -> np.ndarray:
        """The largest absolute significance off the own lines in each surrogate, (S,)."""
        return np.abs(self.surrogate.lines[:, ~self.design.near_own]).max(axis=1)

    @functools.cached_property
    def noise_of_features(self) -> float:
        """Variance of what strong features make of a surrogate, over that of the surrogate's own residual."""
        surrogate = self.surrogate
        return float(np.mean(np.var(surrogate.predicted, axis=0) / np.var(surrogate.residual, axis=0)))


def measure(
    survey: Survey,
    label: str,
    own_lines: Sequence[float] = (),
    seed: int = 0,
    resolution: float = RESOLUTION,
    settings: AuditSettings = AuditSettings(),
) -> Measured:
    """Measure what the flux says of a label beyond the other labels.

    Parameters
    ----------
    survey : Survey
    label : str
    own_lines : sequence of float
        Vacuum wavelengths of the label's own lines; may be empty.
    seed : int
        Of the null distributions.
    resolution : float
        Resolving power, wavelength over full width of an unresolved line.
    settings : AuditSettings

    Raises
    ------
    ValueError
        If an own line lies outside the grid or in a gap of it.
    """
    design = _prepare(survey, label, own_lines, resolution, settings)
    observed, surrogate = (_read(design, each) for each in (design.labels[:, None], _surrogates(design, seed)))
    return Measured(design, observed, surrogate, _moved_lines(design, seed))


def _prepare(
    survey: Survey, label: str, own_lines: Sequence[float], resolution: float, settings: AuditSettings
) -> Design:
    """Prepare the stars of a survey that have a label; arguments and errors are those of `measure`."""
    column = survey.label_index(label)
    missing = np.isnan(survey.labels[:, column])
    survey = survey[~missing] if np.any(missing) else survey
    own_pixels, near_own = locate(survey.wavelength, own_lines, resolution, settings.own_reach)
    own_pixels = np.array(list(dict.fromkeys(own_pixels.tolist())), int)
    mean, weight_sum, deviation = deviations(survey)
    scale = np.where(near_own, 0, np.sqrt(weight_sum / survey.n_stars))
    weighted = deviation * scale.astype(np.float32)
    scores = _components(weighted, settings)
    basis = _nuisances(scores, settings)
    catalogue = np.delete(survey.labels, column, axis=1)
    usable = can_be_inferred(basis, catalogue)
    usable &= np.nanstd(np.where(usable, catalogue, 0), axis=0) > 0
    maybe_same, star = repeated_spectra.maybe_same(repeated_spectra.between_visits(scores, weighted, mean, scale))
    inferred = inferred_labels(basis, catalogue[:, usable], settings.max_leverage, maybe_same)
    line_scores, weight, taps = score_lines(survey, deviation, basis, resolution, settings.clip)
    off_lines = np.flatnonzero(~near_own)
    probed = np.concatenate([own_pixels, off_lines[:: max(1, len(off_lines) // settings.n_probed)]])
    return Design(
        wavelength=survey.wavelength,
        labels=survey.labels[:, column],
        errors=survey.label_err[:, column],
        basis=basis,
        maybe_same=maybe_same,
        star=star,
        others=label_basis(inferred, settings.stars_per_term, survey.labels[:, column], settings.clip),
        line_scores=line_scores,
        own_pixels=own_pixels,
        near_own=near_own,
        star_noise=_star_noise(line_scores),
        probed=probed,
        response=_line_response(weight, mean, taps, probed),
        settings=settings,
    )


def out_of_reach(survey: Survey, label: str, settings: AuditSettings) -> np.ndarray:
    """Return where a star has a label but lacks another of all (N, M), and is like no star that has that."""
    present, far = ~np.isnan(survey.label(label)), np.zeros(survey.labels.shape, bool)
    if np.any(np.isnan(survey.labels[present])):
        having = survey if np.all(present) else survey[present]
        _, weight_sum, deviation = deviations(having)
        deviation *= np.sqrt(weight_sum / having.n_stars).astype(np.float32)
        far[present] = extrapolated(_nuisances(_components(deviation, settings), settings), having.labels)
    return far


def masks_that_follow(survey: Survey, measured: Measured) -> np.ndarray:
    """Return the pixels (D,) off the own lines that are masked rather in stars of large, or of small, residuals.

    There a mask says of the label what the flux does not. `survey` holds the stars that were measured.
    """
    residual = measured.residual - measured.residual.mean()
    total, count = np.zeros(survey.n_pixels), np.zeros(survey.n_pixels)
    for rows in survey.block_rows(_ROWS):
        masked = (survey.ivar[rows] == 0).astype(np.float32)
        total += residual[rows] @ masked
        count += masked.sum(axis=0)
    asked = (np.minimum(count, survey.n_stars - count) >= _TO_COMPARE) & ~measured.design.near_own
    variance = count * (survey.n_stars - count) / survey.n_stars * np.var(residual)
    limit = stats.norm.isf(measured.design.settings.significance_of_artefact / 2 / max(1, int(asked.sum())))
    return asked & (np.abs(total) > limit * np.sqrt(variance))


def deviations(survey: Survey) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean flux (D,), the sum of its weights (D,), and what each star differs by (N, D), zero if masked."""
    weight_sum, total = np.zeros(survey.n_pixels), np.zeros(survey.n_pixels)
    for rows in survey.block_rows(_ROWS):
        weight = survey.ivar[rows].astype(float)
        weight_sum += weight.sum(axis=0)
        total += (weight * survey.flux[rows]).sum(axis=0)
    mean, deviation = total / np.maximum(weight_sum, 1e-30), np.empty(survey.flux.shape, np.float32)
    for rows in survey.block_rows(_ROWS):
        deviation[rows] = np.where(survey.ivar[rows] > 0, survey.flux[rows] - mean, 0)
    return mean, weight_sum, deviation


def score_lines(
    survey: Survey, deviation: np.ndarray, basis: np.ndarray, resolution: float, clip: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores (N, D) of unresolved lines beyond a basis (N, H), pixel weights (N, D), and taps (K,).

    The taps are those of the scores times the profile of a line.
    """
    weight, residual = _weighted_residual(survey, deviation, basis)
    profile = line_kernel(survey.wavelength, resolution=resolution)
    some = _some_stars(weight)
    correlation = autocorrelation(residual[some], weight[some], survey.wavelength)
    kernel = line_kernel(survey.wavelength, correlation, resolution)
    for rows in survey.block_rows(_ROWS):
        residual[rows] = correlate1d(-residual[rows] * weight[rows], kernel, axis=1, mode="constant")
    return _clip_scores(partial_out(residual, basis.astype(np.float32)), clip, some), weight, profile * kernel


def _some_stars(weight: np.ndarray, most: int = 400) -> np.ndarray:
    """Return the places of at most about `most` stars: evenly by the sum of their weights (N, D), in whatever order."""
    return np.argsort(weight.sum(axis=1), kind="stable")[:: max(1, len(weight) // most)]


def plain_significance(survey: Survey, measured: Measured, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the significance of absorption that correlates with the label, (D,), and with the surrogates, (S, D).

    No components of the flux are taken out. `survey` holds the N stars that were measured.
    """
    design = measured.design
    residual = np.column_stack([measured.residual, measured.surrogate.residual])
    scores, *_ = score_lines(survey, deviations(survey)[-1], design.others, resolution, design.settings.clip)
    weights = (residual / label_variance(design, residual)).astype(np.float32)
    lines = weights.T @ scores / noise_of_sums(weights, scores)
    return lines[0], lines[1:]


def noise_of_sums(weights: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the standard deviation (S, D) of sums of scores (N, D) with weights (N, S), of signs at random."""
    return np.sqrt(np.maximum((weights**2).T @ scores**2, 1e-30))


def sampled_resolution(wavelength: np.ndarray) -> float:
    """Return the resolving power of APOGEE, or the highest that pixels (D,) sample if that is lower."""
    return min(RESOLUTION, float(np.median(wavelength[1:] / np.diff(wavelength))) / 2)


def locate(
    wavelength: np.ndarray,
    own_lines: Sequence[float],
    resolution: float = RESOLUTION,
    reach: float = AuditSettings.own_reach,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of lines (L,) and a mask (D,) of what lies within reach of one; ValueError if one is off.

    The `reach` is in full widths of an unresolved line.
    """
    near = np.zeros(len(wavelength), bool)
    pixels = []
    for line in own_lines:
        distance = np.abs(wavelength - line)
        pixel = int(np.argmin(distance))
        # A pixel beside the line sees it, one a resolution element off does not.
        if distance[pixel] > line / resolution:
            raise ValueError(
                f"own line {line:.2f} A is not on the survey's grid ({wavelength[0]:.1f}-{wavelength[-1]:.1f} A, "
                f"nearest pixel {wavelength[pixel]:.2f} A); give lines in vacuum that the spectra cover"
            )
        pixels.append(pixel)
        near |= distance < reach * line / resolution
    if not leave_room(wavelength, own_lines, resolution, reach):
        raise ValueError(
            f"the {len(pixels)} own lines leave {np.mean(~near):.0%} of the pixels, and what the flux says beside them "
            "cannot be told; give the strongest ones alone"
        )
    return np.array(pixels, int), near


def leave_room(wavelength: np.ndarray, own_lines: Sequence[float], resolution: float, reach: float) -> bool:
    """Return whether lines, each with its `reach`, leave pixels (D,) enough for components that are not theirs."""
    lines = np.asarray(own_lines)[:, None]
    return not len(lines) or bool(
        np.mean(np.all(np.abs(wavelength - lines) >= reach * lines / resolution, 0)) >= _LEAST_CLEAR
    )


def _read(design: Design, labels: np.ndarray) -> Readings:
    """Return what labels (N, S) show of the flux."""
    residual = clipped(partial_out(labels, design.others), design.settings.clip)
    predicted = left_out(design.basis, residual, max_leverage=design.settings.max_leverage, also=design.maybe_same)
    strong = np.sqrt(design.n_stars) * _correlation(predicted, residual)
    weights = amplitude(design, residual)
    lines = weights.T @ design.line_scores / noise_of_sums(weights, design.line_scores)
    return Readings(residual, predicted, strong, lines)


def amplitude(design: Design, residual: np.ndarray) -> np.ndarray:
    """Return the weights (N, S) of the stars' scores in the significance of labels that leave residuals (N, S)."""
    beyond = clipped(partial_out(residual, design.basis), design.settings.clip)
    return (beyond / label_variance(design, beyond)).astype(np.float32)


def _surrogates(design: Design, seed: int) -> np.ndarray:
    """Return labels (N, S) that follow the other labels as the true one does, the remainder with signs at random.

    Every star keeps the size of its own remainder, so that errors that depend on the kind of star, and on what its
    spectrum can tell, do so in the surrogates as well (the wild bootstrap: Wu 1986, Ann. Stat. 14, 1261). What is taken
    for one star has one sign (Cameron, Gelbach & Miller 2008, Rev. Econ. Stat. 90, 414).
    """
    followed = design.others @ (design.others.T @ design.labels)
    leverage = np.minimum(np.sum(design.others**2, axis=1), design.settings.max_leverage)
    remainder = (design.labels - followed) / np.sqrt(1 - leverage)
    size = design.settings.n_surrogates, design.n_stars
    signs = 2 * np.random.default_rng(seed).integers(2, size=size).T - 1
    return followed[:, None] + signs[design.star] * remainder[:, None]


def _moved_lines(design: Design, seed: int) -> np.ndarray:
    """Return pixels (K, L) of the own lines moved: each list as a whole by some pixels, clear of where it was.

    Where the lines stand so close that hardly a shift clears them all, each line is moved by itself.
    """
    generator, count = np.random.default_rng(seed), design.settings.n_moved_lists
    n_pixels = len(design.wavelength)
    shifts = generator.permutation(n_pixels)
    moved = (design.own_pixels[None, :] + shifts[:, None]) % n_pixels
    moved = moved[~np.any(design.near_own[moved], axis=1)][:count]
    free = np.flatnonzero(~design.near_own)
    if len(moved) >= design.settings.min_moved_lists or len(free) < 10 * len(design.own_pixels):
        return moved
    return generator.choice(free, size=(count, len(design.own_pixels)))


def own_variance(design: Design, residual: np.ndarray) -> float:
    """Return the variance of the label beyond the other labels that the catalogue's errors do not explain."""
    return float(np.var(residual) / design.dof_fraction - np.mean(design.errors**2))


def variance_of_most(design: Design, residual: np.ndarray) -> float:
    """Return `own_variance` without what few stars that are far off add to it, if that is more than chance; or zero.

    Whether these are as they are or their labels wrong cannot be told.
    """
    own = own_variance(design, residual)
    square = residual**2 / (design.dof_fraction * (design.errors**2 + max(0.0, own)))
    share = float(robust_std(np.sqrt(square) * np.sign(residual), center=0.0) ** 2 / square.mean())
    if 1 - share < _OUTLYING / np.sqrt(design.n_stars):
        return own
    return max(0.0, share * (own + float(np.mean(design.errors**2))) - float(np.mean(design.errors**2)))


def significance_of_share(measured: Measured, share: float) -> float:
    """Return the statistic of strong features that carry a share s of the residual's variance.

    It is sqrt(N) s / sqrt(s + (1 - s) n), where n is the noise of a prediction.
    """
    noise = measured.noise_of_features
    return float(np.sqrt(measured.design.n_stars) * share / np.sqrt(share + (1 - share) * noise))


def label_variance(design: Design, residual: np.ndarray) -> np.ndarray:
    """Return the variance (N, S) of residuals: catalogue error plus what is the stars' own."""
    noise = design.errors[:, None] ** 2
    own = np.maximum(np.var(residual, axis=0) - noise.mean(), 0.1 * np.var(residual, axis=0))
    return noise + own


def _n_of(count: int, n_stars: int, settings: AuditSettings) -> int:
    """Return how many components there are of so many stars, by how many there are of few."""
    return round(max(1.0, n_stars / settings.stars_of_components) ** 0.5 * count)


def _nuisances(scores: np.ndarray, settings: AuditSettings) -> np.ndarray:
    """Return an orthonormal basis (N, H) of a constant, principal components (N, K), and products of the strongest."""
    scaled = standardize(scores)
    n_squared = min(_n_of(settings.n_squared, len(scores), settings), scores.shape[1])
    products = quadratic_terms(scaled[:, :n_squared])[:, n_squared:]
    return np.linalg.qr(np.column_stack([np.ones(len(scores)), scaled, products]))[0]


def _components(weighted: np.ndarray, settings: AuditSettings) -> np.ndarray:
    """Return scores (N, K) of the first principal components of weighted deviations (N, D).

    They are eigenvectors of the smaller Gram matrix, found from a start that no order of stars or pixels changes.
    """
    count = min(_n_of(settings.n_components, len(weighted), settings), min(weighted.shape) // 10)
    by_pixels = weighted.shape[1] < weighted.shape[0]
    gram = (weighted.T @ weighted if by_pixels else weighted @ weighted.T).astype(float)
    if not count:
        return np.empty((len(weighted), 0))
    try:
        values, vectors = eigsh(gram, count, v0=np.ones(len(gram)), tol=_TOLERANCE)
    except ArpackError:
        values = np.zeros(count)
    if values[0] <= _MIN_VARIANCE * values[-1]:
        # Flux of fewer components leaves the search with nothing, and it goes on at random.
        values, vectors = np.linalg.eigh(gram)
        kept = values[-count:] > _MIN_VARIANCE * values[-1]
        values, vectors = values[-count:][kept], vectors[:, -count:][:, kept]
    values, vectors = values[::-1], vectors[:, ::-1]
    return weighted @ vectors if by_pixels else vectors * np.sqrt(values)


def _weighted_residual(survey: Survey, deviation: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (N, D) of each pixel, and the deviations (N, D) with the nuisances taken out."""
    residual = partial_out(deviation, basis.astype(np.float32))
    excess, count = np.zeros(survey.n_pixels), np.zeros(survey.n_pixels)
    for rows in survey.block_rows(_ROWS):
        ivar = survey.ivar[rows]
        good = ivar > 0
        residual[rows] *= good
        excess += np.sum(residual[rows] ** 2 - np.where(good, 1 / np.where(good, ivar, 1), 0), axis=0, dtype=float)
        count += good.sum(axis=0)
    scatter, weight = (np.maximum(0, excess) / np.maximum(count, 1)).astype(np.float32), np.empty_like(residual)
    for rows in survey.block_rows(_ROWS):
        weight[rows] = pixel_weight(survey.ivar[rows], scatter)
    return weight, residual


def _line_response(weight: np.ndarray, mean: np.ndarray, taps: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return by how much a line at some pixels (K,) raises the scores (N, K), which weight (N, D) the mean flux (D,).

    The taps are those of the score times the profile of the line.
    """
    response = np.zeros((len(weight), len(pixels)), np.float32)
    for offset, tap in enumerate(taps, -(len(taps) // 2)):
        inside = (pixels + offset >= 0) & (pixels + offset < len(mean))
        columns = np.where(inside, pixels + offset, 0)
        response += np.take(weight, columns, axis=1) * np.where(inside, tap * mean[columns], 0).astype(np.float32)
    return response


def _clip_scores(scores: np.ndarray, clip: float, some: np.ndarray) -> np.ndarray:
    """Limit scores (N, D) to `clip` robust standard deviations, so that no single star makes or hides a line.

    The scale is a star's times a pixel's, the latter a median over `some` stars.
    """
    star = _star_noise(scores)[:, None]
    seen = star[some] > 0
    pixel = robust_std(np.where(seen, scores[some] / np.where(seen, star[some], 1), 0), axis=0, center=0.0)
    star, pixel = (clip * star).astype(np.float32), pixel.astype(np.float32)
    for first in range(0, len(scores), _ROWS):
        rows = slice(first, first + _ROWS)
        limit = star[rows] * pixel
        np.clip(scores[rows], -limit, limit, out=scores[rows])
    return scores


def _star_noise(scores: np.ndarray, most: int = 400) -> np.ndarray:
    """Return the robust standard deviation (N,) of each star's scores (N, D) over at most about `most` pixels."""
    return robust_std(scores[:, :: max(1, scores.shape[1] // most)], axis=1, center=0.0)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of each column of two arrays (N, S)."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return np.sum(first * second, axis=0) / np.sqrt(np.sum(first**2, axis=0) * np.sum(second**2, axis=0))
