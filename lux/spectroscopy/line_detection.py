"""Finding a weak line in many residual spectra: matched filter, permutation p-values, look-elsewhere correction.

A residual is star minus comparison, one row a pair. Its noise is neither white nor wholly known, so the filter takes
the autocorrelation of the residuals themselves, and significance comes from flipping their signs.
"""

import dataclasses

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import solve, toeplitz
from scipy.ndimage import correlate1d

from lux.spectroscopy.instrument import RESOLUTION
from lux.statistics import PermutationTest

_HALF_WIDTH = 12
# A line is measured where masks leave at least this fraction of its squared profile.
_MIN_COVERAGE = 0.6
_MIN_EIGENVALUE = 1e-3


@dataclasses.dataclass(frozen=True)
class Filtered:
    """Line depths that a matched filter finds in K residuals around each of D pixels.

    `depth` (K, D): what is missing in normalized flux at the line's center; 0 where it was not measured.
    `information` (K, D): its inverse variance if the weights were right; 0 where masks leave too little.
    """

    depth: np.ndarray
    information: np.ndarray


@dataclasses.dataclass(frozen=True)
class SignFlipTest:
    """Sums over pairs tested pixel by pixel, and their largest against the largest of sign-flipped sums.

    `z` (D,) is each sum over the root of the sum of squares of its terms; `largest` tests max |z| over all pixels.
    """

    z: np.ndarray
    largest: PermutationTest


def pixel_index(wavelength: ArrayLike) -> np.ndarray:
    """Return the place (D,) of each pixel on a gap-free grid with the median logarithmic step of `wavelength` (D,)."""
    steps = np.diff(np.log(np.asarray(wavelength, float)))
    whole = np.maximum(1, np.rint(steps / np.median(steps))).astype(int)
    return np.concatenate([[0], np.cumsum(whole)])


def line_sigma(wavelength: ArrayLike, resolution: float = RESOLUTION) -> float:
    """Return the Gaussian sigma, in pixels, of an unresolved line at resolving power lambda / FWHM."""
    step = np.median(np.diff(np.log(np.asarray(wavelength, float))))
    return float(gaussian_fwhm_to_sigma / (resolution * step))


def equivalent_width(depth: ArrayLike, wavelength: ArrayLike, resolution: float = RESOLUTION) -> np.ndarray:
    """Return the equivalent width in milli-Angstrom of an unresolved line of central `depth` at `wavelength`."""
    sigma = np.asarray(wavelength) / resolution * gaussian_fwhm_to_sigma
    return np.asarray(depth) * np.sqrt(2 * np.pi) * sigma * 1e3


def _closed_up(index: np.ndarray, reach: int) -> np.ndarray:
    """Return the place of each pixel where gaps are no wider than what keeps their sides `reach` pixels apart."""
    return np.concatenate([[0], np.cumsum(np.minimum(np.diff(index), reach + 1))])


def to_full_grid(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return values (K, D) on the gap-free grid of `pixel_index`, zero in the gaps."""
    grid = np.zeros((len(values), index[-1] + 1), values.dtype)
    grid[:, index] = values
    return grid


def autocorrelation(
    residual: np.ndarray,
    weight: np.ndarray,
    wavelength: ArrayLike,
    n_lags: int = 2 * _HALF_WIDTH,
    clip: float = 5.0,
    max_rows: int = 400,
) -> np.ndarray:
    """Return the autocorrelation (n_lags + 1,) of residuals (K, D) in units of their errors, per lag in pixels.

    Pixels of zero weight are left out, those beyond `clip` standard errors as well. At most `max_rows` residuals,
    evenly taken, are used.
    """
    rows = slice(None, None, max(1, len(residual) // max_rows))
    residual, weight = residual[rows], weight[rows]
    scaled = residual * np.sqrt(weight)
    good = (weight > 0) & (np.abs(scaled) < clip)
    index = _closed_up(pixel_index(wavelength), n_lags)
    scaled, good = (to_full_grid(values.astype(np.float32), index) for values in (np.where(good, scaled, 0), good))
    products, pairs = _lagged_sums(scaled, n_lags), _lagged_sums(good, n_lags)
    covariance = products / np.maximum(1, pairs)
    return covariance / covariance[0]


def _lagged_sums(values: np.ndarray, n_lags: int) -> np.ndarray:
    """Return the sum of values (K, D) times themselves at lags 0 to n_lags pixels, by the Wiener-Khinchin theorem."""
    length = next_fast_len(values.shape[1] + n_lags, real=True)
    spectrum = rfft(values, length, axis=1)
    return irfft(np.sum(spectrum.real**2 + spectrum.imag**2, axis=0, dtype=float), length)[: n_lags + 1]


def matched_filter(
    residual: np.ndarray,
    weight: np.ndarray,
    wavelength: ArrayLike,
    correlation: np.ndarray | None = None,
    resolution: float = RESOLUTION,
) -> Filtered:
    r"""Return the depth of an unresolved line at every pixel of every residual, with a free local continuum.

    The residual in a window is :math:`-d\,p + c` with the line profile p. With :math:`X = [-p, 1]`, the correlation
    matrix R of the noise and the weights w, the estimate is :math:`(X^T R^{-1} w X)^{-1} X^T R^{-1} w\,\delta`:
    generalized least squares where w is constant, and unbiased for the depth whatever the weights and masks.

    Parameters
    ----------
    residual, weight : (K, D) arrays
        Normalized flux and inverse variance, 0 where masked.
    wavelength : (D,) array
        Vacuum Angstrom, a logarithmic grid that may have gaps.
    correlation : (L,) array, optional
        Autocorrelation of the noise at lags 0, 1, ...; white noise by default.
    resolution : float
    """
    offset = np.arange(-_HALF_WIDTH, _HALF_WIDTH + 1)
    model = np.stack([-np.exp(-0.5 * (offset / line_sigma(wavelength, resolution)) ** 2), np.ones(len(offset))])
    instrument = _decorrelated(model, correlation)
    index = _closed_up(pixel_index(wavelength), 2 * _HALF_WIDTH)
    weighted = to_full_grid((residual * weight).astype(np.float32), index)
    weight = to_full_grid(np.asarray(weight, np.float32), index)

    def windowed(values: np.ndarray, taps: np.ndarray) -> np.ndarray:
        return correlate1d(values, taps.astype(np.float32), axis=1, mode="constant")[:, index]

    moment = [windowed(weighted, row) for row in instrument]
    normal = [[windowed(weight, row * column) for column in model] for row in instrument]
    determinant = normal[0][0] * normal[1][1] - normal[0][1] * normal[1][0]
    covered = windowed((weight > 0).astype(np.float32), model[0] ** 2) > _MIN_COVERAGE * np.sum(model[0] ** 2)
    determinant = np.where(covered & (determinant > 0), determinant, 0)
    depth = _ratio(normal[1][1] * moment[0] - normal[0][1] * moment[1], determinant)
    return Filtered(depth, _ratio(determinant, normal[1][1]))


def line_kernel(
    wavelength: ArrayLike, correlation: np.ndarray | None = None, resolution: float = RESOLUTION
) -> np.ndarray:
    """Return R^-1 p, (2 K + 1,), which searches noise of a correlation R best for an unresolved line of profile p.

    Parameters
    ----------
    wavelength, correlation, resolution
        As in `matched_filter`.
    """
    sigma = line_sigma(wavelength, resolution)
    reach = max(_HALF_WIDTH, int(np.ceil(3 * sigma)))
    profile = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _decorrelated(profile[None], correlation)[0]


def _decorrelated(model: np.ndarray, correlation: np.ndarray | None) -> np.ndarray:
    """Return R^-1 X of the rows X (K, L) of the model; a correlation that noise made indefinite is lifted."""
    if correlation is None:
        return model
    length = model.shape[1]
    matrix = toeplitz(np.pad(np.asarray(correlation, float), (0, length))[:length])
    lowest = np.linalg.eigvalsh(matrix)[0]
    matrix += max(0.0, _MIN_EIGENVALUE - lowest) * np.eye(length)
    return solve(matrix, model.T, assume_a="pos").T


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def sign_flip_test(
    terms: np.ndarray, n_flips: int = 1000, seed: int = 0, *, dof_fraction: float = 1.0, block: int = 250
) -> SignFlipTest:
    """Test whether sums over pairs differ from zero, by flipping the sign of whole pairs.

    Under the null hypothesis the two stars of a pair may be exchanged, whatever the noise and its correlation along
    the spectrum; all pixels of a pair change sign together, which is what corrects the maximum for looking elsewhere.

    Parameters
    ----------
    terms : (K, D) array
        One term per pair and pixel; a pixel whose terms are all zero has z = 0.
    n_flips, seed : int
        Number of flips and their seed.
    dof_fraction : float
        Fraction of the degrees of freedom that a regression left to the terms. They are smaller than the noise by its
        root, which the sum, orthogonal to what was regressed out, is not: z is lowered by it.
    block : int
        How many flips are computed at a time.
    """
    scale = np.sqrt(np.einsum("kd,kd->d", terms, terms, dtype=float))
    scaled = _ratio(terms.astype(np.float32), np.broadcast_to(scale.astype(np.float32), terms.shape))
    generator = np.random.default_rng(seed)
    null = []
    for first in range(0, n_flips, block):
        shape = (min(block, n_flips - first), len(terms))
        signs = 2 * generator.integers(2, size=shape).astype(np.float32) - 1
        null.append(np.max(np.abs(signs @ scaled), axis=1))
    z = np.sqrt(dof_fraction) * scaled.sum(axis=0, dtype=float)
    return SignFlipTest(z, PermutationTest(float(np.max(np.abs(z))), np.concatenate(null).astype(float)))
