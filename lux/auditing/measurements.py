"""What the flux of a survey says about one label beyond the other labels: the measurements behind an audit.

Everything here conditions on what the *flux* says of the other labels, never on their catalogue values: those are
noisy, and conditioning on a noisy value leaves a dependence that looks like information (errors in variables). The
nuisances are principal components of the flux outside the label's own lines, with their squares and products. Each of
`N_FOLDS` folds is predicted from the others. The null distributions are made for the survey at hand: surrogate labels
that follow the other labels as the true one does and are otherwise independent of the flux, and line lists moved along
the pixels.
"""

import dataclasses

import numpy as np
from scipy.ndimage import correlate1d
from sklearn.utils.extmath import randomized_svd

from lux.spectroscopy.line_detection import RESOLUTION, autocorrelation, line_kernel
from lux.survey import Survey

# An own line reaches this many times the full width of an unresolved line to either side.
OWN_REACH = 4.5
FEWEST_MOVED = 200
# The other labels enter with as many of their squares and products as leave this many stars for each term.
STARS_PER_TERM = 20
N_COMPONENTS = 30
N_SQUARED = 6
N_FOLDS = 5
CLIP = 5.0


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
    others : (N, Q) array
        Orthonormal quadratic terms of the other labels, each as cross-fitted from the flux.
    folds : (N,) array of int
    line_scores : (N, D) array
        What each star's flux says of absorption by an unresolved line at each pixel, nuisances taken out.
    own_pixels : (L,) array of int
        Pixels of the own lines.
    near_own : (D,) boolean array
        Pixels within reach of an own line.
    star_noise : (N,) array
        Typical size of a star's line scores, the root of what its spectrum can tell of a line.
    """

    wavelength: np.ndarray
    labels: np.ndarray
    errors: np.ndarray
    basis: np.ndarray
    others: np.ndarray
    folds: np.ndarray
    line_scores: np.ndarray
    own_pixels: np.ndarray
    near_own: np.ndarray
    star_noise: np.ndarray

    @property
    def n_stars(self) -> int:
        """Number of stars, N."""
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Readings:
    """What S labels (the true one or surrogates) show, each statistic (S,) unless stated.

    Parameters
    ----------
    residual : (N, S) array
        The label minus what the other labels, as the flux gives them, make of it.
    predicted : (N, S) array
        That residual as cross-fitted from the nuisances, that is from strong features outside the own lines.
    strong : (S,) array
        Correlation of the two times the root of N.
    lines : (S, D) array
        Significance of absorption that goes with the label at each pixel, in standard deviations.
    """

    residual: np.ndarray
    predicted: np.ndarray
    strong: np.ndarray
    lines: np.ndarray


def prepare(survey: Survey, label: str, own_lines, seed: int = 0, resolution: float = RESOLUTION) -> Design:
    """Prepare the stars of a survey that have a label.

    Parameters
    ----------
    survey : Survey
    label : str
    own_lines : sequence of float
        Vacuum wavelengths of the label's own lines; may be empty.
    seed : int
        Of the folds.
    resolution : float
        Resolving power, wavelength over full width of an unresolved line.

    Raises
    ------
    ValueError
        If an own line lies outside the grid or in a gap of it.
    """
    column = survey.label_index(label)
    survey = survey[~np.isnan(survey.labels[:, column])]
    own_pixels, near_own = locate(survey.wavelength, own_lines, resolution)
    weight_sum = np.sum(survey.ivar, axis=0, dtype=float)
    mean = np.einsum("nd,nd->d", survey.ivar, survey.flux, dtype=float) / np.maximum(weight_sum, 1e-30)
    deviation = np.where(survey.ivar > 0, survey.flux - mean, 0).astype(np.float32)
    weighted = deviation * np.sqrt(weight_sum / survey.n_stars).astype(np.float32)
    basis = _nuisances(np.where(near_own, np.float32(0), weighted))
    folds = np.random.default_rng(seed).permutation(survey.n_stars) % N_FOLDS
    catalogue = np.delete(survey.labels, column, axis=1)
    tells = np.sum(np.isfinite(catalogue), axis=0) > survey.n_stars // 2
    tells &= np.nanstd(np.where(tells, catalogue, 0), axis=0) > 0
    inferred = _cross_fit(basis, catalogue[:, tells], folds)
    line_scores = _line_scores(survey, deviation, basis, resolution)
    return Design(
        wavelength=survey.wavelength,
        labels=survey.labels[:, column],
        errors=survey.label_err[:, column],
        basis=basis,
        others=np.linalg.qr(second_order_terms(inferred))[0],
        folds=folds,
        line_scores=line_scores,
        own_pixels=own_pixels,
        near_own=near_own,
        star_noise=_star_noise(line_scores),
    )


def locate(wavelength: np.ndarray, own_lines, resolution: float = RESOLUTION) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of lines (L,) and a mask (D,) of what lies within reach of one; ValueError if one is off."""
    near = np.zeros(len(wavelength), bool)
    pixels = []
    for line in own_lines:
        distance = np.abs(wavelength - line)
        pixel = int(np.argmin(distance))
        if distance[pixel] > 3 * line / resolution:
            raise ValueError(
                f"own line {line:.2f} A is not on the survey's grid ({wavelength[0]:.1f}-{wavelength[-1]:.1f} A, "
                f"nearest pixel {wavelength[pixel]:.2f} A); give lines in vacuum that the spectra cover"
            )
        pixels.append(pixel)
        near |= distance < OWN_REACH * line / resolution
    return np.array(pixels, int), near


def read(design: Design, labels: np.ndarray) -> Readings:
    """Return what labels (N, S) show of the flux."""
    residual = labels - design.others @ (design.others.T @ labels)
    residual = _clipped(residual)
    predicted = _cross_fit(design.basis, residual, design.folds)
    strong = np.sqrt(design.n_stars) * _correlation(predicted, residual)
    beyond = _clipped(residual - design.basis @ (design.basis.T @ residual))
    amplitude = (beyond / label_variance(design, beyond)).astype(np.float32)
    lines = amplitude.T @ design.line_scores
    lines /= np.sqrt(np.maximum((amplitude**2).T @ design.line_scores**2, 1e-30))
    return Readings(residual, predicted, strong, lines)


def surrogates(design: Design, count: int, seed: int) -> np.ndarray:
    """Return labels (N, S) that follow the other labels as the true one does, the remainder with signs at random.

    Every star keeps the size of its own remainder, so that errors which go with the kind of star, and with what its
    spectrum can tell, do so in the surrogates as well (the wild bootstrap: Wu 1986, Ann. Stat. 14, 1261).
    """
    followed = design.others @ (design.others.T @ design.labels)
    leverage = np.minimum(np.sum(design.others**2, axis=1), 0.9)
    remainder = (design.labels - followed) / np.sqrt(1 - leverage)
    signs = 2 * np.random.default_rng(seed).integers(2, size=(count, design.n_stars)).T - 1
    return followed[:, None] + signs * remainder[:, None]


def moved_lines(design: Design, count: int, seed: int) -> np.ndarray:
    """Return pixels (S, L) of the own lines moved: each list as a whole by some pixels, clear of where it was.

    Where the lines stand so close that hardly a shift clears them all, each line is moved by itself.
    """
    generator = np.random.default_rng(seed)
    n_pixels = len(design.wavelength)
    shifts = generator.permutation(n_pixels)
    moved = (design.own_pixels[None, :] + shifts[:, None]) % n_pixels
    moved = moved[~np.any(design.near_own[moved], axis=1)][:count]
    free = np.flatnonzero(~design.near_own)
    if len(moved) >= FEWEST_MOVED or len(free) < 10 * len(design.own_pixels):
        return moved
    return generator.choice(free, size=(count, len(design.own_pixels)))


def own_variance(design: Design, residual: np.ndarray) -> float:
    """Return the variance of the label beyond the other labels that the catalogue's errors do not explain."""
    freedom = 1 - design.others.shape[1] / design.n_stars
    return float(np.var(residual) / freedom - np.mean(design.errors**2))


def significance_of_share(design: Design, share: float) -> float:
    """Return at how many null standard deviations strong features show that carry a share of the residual's variance.

    Of a prediction by H terms, learnt from all N stars but one of F folds, the noise is H F / ((F - 1) N) of the
    residual's variance.
    """
    noise = design.basis.shape[1] * N_FOLDS / ((N_FOLDS - 1) * design.n_stars)
    return float(np.sqrt(design.n_stars) * share / np.sqrt(share + noise))


def label_variance(design: Design, residual: np.ndarray) -> np.ndarray:
    """Return the variance (N, S) of residuals: catalogue error plus what is the stars' own."""
    noise = design.errors[:, None] ** 2
    own = np.maximum(np.var(residual, axis=0) - noise.mean(), 0.1 * np.var(residual, axis=0))
    return noise + own


def _clipped(residual: np.ndarray) -> np.ndarray:
    """Return residuals (N, S) with zero median, limited to `CLIP` robust standard deviations."""
    centred = residual - np.median(residual, axis=0)
    limit = CLIP * 1.4826 * np.median(np.abs(centred), axis=0)
    return np.clip(centred, -limit, limit)


def _nuisances(weighted: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (N, H) of a constant, principal components, and products of the strongest."""
    count = min(N_COMPONENTS, min(weighted.shape) // 10)
    scores = _principal_scores(weighted, count)
    few = scores[:, : min(N_SQUARED, count)]
    rows, columns = np.triu_indices(few.shape[1])
    terms = np.column_stack([np.ones(len(scores)), scores, few[:, rows] * few[:, columns]])
    return np.linalg.qr(terms)[0]


def _principal_scores(values: np.ndarray, count: int) -> np.ndarray:
    """Return the scores (N, K) of principal components, with zero mean and unit variance."""
    scores = randomized_svd(values, count, n_iter=3, random_state=0)[0].astype(float)
    return (scores - scores.mean(axis=0)) / np.maximum(scores.std(axis=0), 1e-30)


def _cross_fit(basis: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return targets (N, S) as regressed on the basis in the other folds; a missing (NaN) target teaches nothing."""
    predicted = np.empty_like(targets)
    missing = np.isnan(targets)
    for fold in np.unique(folds):
        out = folds == fold
        whole = ~missing[~out].any(axis=0)
        predicted[np.ix_(out, whole)] = basis[out] @ _least_squares(basis[~out], targets[np.ix_(~out, whole)])
        for column in np.flatnonzero(~whole):
            use = ~out & ~missing[:, column]
            predicted[out, column] = basis[out] @ _least_squares(basis[use], targets[use, column])
    return predicted


def _least_squares(basis: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return least-squares coefficients on some rows of an orthonormal basis, by its well-conditioned normal matrix."""
    normal = basis.T @ basis
    return np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(len(normal)), basis.T @ targets)


def second_order_terms(labels: np.ndarray) -> np.ndarray:
    """Return a constant, labels (N, M) on unit scale, and their squares and products as far as the stars allow."""
    scaled = (labels - labels.mean(axis=0)) / np.maximum(labels.std(axis=0), 1e-30)
    rows, columns = np.triu_indices(labels.shape[1])
    most = len(labels) // STARS_PER_TERM
    if 1 + labels.shape[1] + len(rows) > most:
        rows = columns = np.arange(labels.shape[1] if 1 + 2 * labels.shape[1] <= most else 0)
    return np.column_stack([np.ones(len(labels)), scaled, scaled[:, rows] * scaled[:, columns]])


def _line_scores(survey: Survey, deviation: np.ndarray, basis: np.ndarray, resolution: float) -> np.ndarray:
    """Return the score of absorption by an unresolved line at each pixel, (N, D), with the nuisances taken out.

    The noise is as correlated along the pixels as what the nuisances leave.
    """
    projection = basis.astype(np.float32)
    good = survey.ivar > 0
    residual = np.where(good, deviation - projection @ (projection.T @ deviation), 0)
    excess = np.sum(good * (residual**2 - 1 / np.where(good, survey.ivar, np.inf)), axis=0)
    scatter = np.maximum(0, excess / np.maximum(good.sum(axis=0), 1))
    weight = (survey.ivar / (1 + survey.ivar * scatter)).astype(np.float32)
    kernel = line_kernel(survey.wavelength, autocorrelation(residual, weight, survey.wavelength), resolution)
    scores = correlate1d(-residual * weight, kernel, axis=1, mode="constant")
    return _limited(scores - projection @ (projection.T @ scores))


def _limited(scores: np.ndarray, most: int = 400) -> np.ndarray:
    """Return scores (N, D) limited to `CLIP` robust standard deviations, so that no single star makes or hides a line.

    The scale is a star's times a pixel's, the latter a median over at most about `most` stars.
    """
    star = _star_noise(scores)[:, None]
    rows = slice(None, None, max(1, len(scores) // most))
    known = star[rows] > 0
    pixel = np.median(np.where(known, np.abs(scores[rows]) / np.where(known, star[rows], 1), 0), axis=0)
    limit = (CLIP * 1.4826 * star).astype(np.float32) * pixel.astype(np.float32)
    return np.clip(scores, -limit, limit)


def _star_noise(scores: np.ndarray, most: int = 400) -> np.ndarray:
    """Return the robust standard deviation (N,) of each star's scores (N, D) over at most about `most` pixels."""
    return 1.4826 * np.median(np.abs(scores[:, :: max(1, scores.shape[1] // most)]), axis=1)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of each column of two arrays (N, S)."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    return np.sum(first * second, axis=0) / np.sqrt(np.sum(first**2, axis=0) * np.sum(second**2, axis=0))
