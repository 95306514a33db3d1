"""Spectra of another generator: a model of genuine giants, without physics.

The flux of each pixel is a quadratic function of effective temperature, gravity, metallicity and alpha enhancement (as
in The Cannon, Ness et al. 2015), fitted to observed spectra, plus the principal components of what that leaves, drawn
from the observed stars. Europium has no part in it. A claim about techniques that holds on these spectra and on those
of `lux.simulation.synthesis` is not one about a line list or a model atmosphere.
"""

import dataclasses
import hashlib

import numpy as np
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.extmath import randomized_svd

from lux.simulation.population import Stars, random_stream
from lux.spectroscopy.instrument import nearest_pixel
from lux.survey import Survey

# Names of the labels in observed surveys, in the order of `_parameters`.
_LABELS = ("teff", "logg", "m_h", "alpha_m")
# Components are drawn from the observed stars of the disc's metallicity.
_MIN_M_H = -1.0
_UNREPORTED = 0.005
_REACH = 2
_RIDGE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class EmpiricalSpectra:
    """A generator of noise-free spectra, fitted by `fit_empirical`.

    Parameters
    ----------
    pixels : (D,) array of int
        Pixels of the APOGEE grid that it knows.
    low, high, center, scale : (4,) arrays
        Range of the labels of the observed stars, to which those of other stars are clipped; their mean and scatter.
    coefficients : (15, D) array
        Of a constant and the quadratic terms of the scaled labels.
    components : (K, D) array
        Principal components of what is left.
    scores : (N, K) array
        Those of observed stars with [M/H] above -1, as the disc has.
    """

    pixels: np.ndarray
    low: np.ndarray
    high: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    components: np.ndarray
    scores: np.ndarray

    @property
    def fingerprint(self) -> str:
        """A name for these numbers, to three digits, so that rounding does not change it."""
        digest = hashlib.sha256(self.pixels.astype(np.int64).tobytes())
        digest.update(np.round(self.coefficients, 3).astype(np.float32).tobytes())
        return digest.hexdigest()[:16]

    def flux(self, stars: Stars, pixels: np.ndarray, seed: int) -> np.ndarray:
        """Return noise-free flux (N, D) of stars on pixels of the APOGEE grid, float32, computed in double precision.

        A pixel that is masked in every observed star is like its neighbor. The components of the first n stars of a
        seed are always the same.

        Raises
        ------
        ValueError
            If the generator does not know one of the pixels.
        """
        chosen = np.abs(self.pixels[:, None] - pixels).argmin(axis=0)
        if np.any(far := np.abs(self.pixels[chosen] - pixels) > _REACH):
            raise ValueError(
                f"the observed spectra do not have pixel {pixels[np.argmax(far)]} of the APOGEE grid; "
                f"choose wavelengths on the chips of their data release"
            )
        rows = random_stream(seed, "empirical components").integers(0, len(self.scores), len(stars))
        parameters = np.stack([stars.teff, stars.logg, stars.fe_h, stars.alpha_fe], axis=1)
        design = _design((np.clip(parameters, self.low, self.high) - self.center) / self.scale)
        return (design @ self.coefficients[:, chosen] + self.scores[rows] @ self.components[:, chosen]).astype(
            np.float32
        )


def fit_empirical(survey: Survey, n_components: int = 10) -> EmpiricalSpectra:
    """Fit the generator to observed spectra.

    Parameters
    ----------
    survey : Survey
        On pixels of the APOGEE grid, with labels teff, logg, m_h, alpha_m; stars that lack one are left out.
    n_components : int
        Principal components of what the labels leave; masked pixels count as the mean star of the same labels.

    Raises
    ------
    ValueError
        If a label is missing, or there are fewer than three stars for each term.
    """
    labels = np.stack([survey.label(name) for name in _LABELS], axis=1)
    complete = np.all(np.isfinite(labels), axis=1)
    survey, labels = survey[complete], labels[complete]
    center, scale = labels.mean(axis=0), labels.std(axis=0)
    design = _design((labels - center) / scale)
    if len(design) < 3 * design.shape[1]:
        raise ValueError(f"{len(design)} stars have all of {', '.join(_LABELS)}; {3 * design.shape[1]} are needed")
    weight = survey.ivar / (1 + survey.ivar.astype(float) * _UNREPORTED**2)
    flux = np.where(weight > 0, survey.flux, 0).astype(float)
    normal = np.einsum("np,nd,nq->dpq", design, weight, design, optimize=True)
    normal += _RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None, None] / len(design) * np.eye(design.shape[1])
    coefficients = np.linalg.solve(normal, (design.T @ (weight * flux)).T[..., None])[..., 0].T
    residual = np.where(weight > 0, survey.flux - design @ coefficients, 0)
    left, strength, components = randomized_svd(residual, n_components, random_state=0)
    return EmpiricalSpectra(
        pixels=nearest_pixel(survey.wavelength),
        low=labels.min(axis=0),
        high=labels.max(axis=0),
        center=center,
        scale=scale,
        coefficients=coefficients,
        components=components,
        scores=(left * strength)[survey.label("m_h") > _MIN_M_H],
    )


def _design(scaled: np.ndarray) -> np.ndarray:
    return PolynomialFeatures(2).fit_transform(scaled)
