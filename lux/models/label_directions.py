"""Directions of labels in latent space, in a metric that rotates along with the latents.

Inner products in the prior or posterior covariance of the latents do not depend on the gauge, single latents do.
"""

import dataclasses

import numpy as np

from lux.models.lux import Lux
from lux.models.weights import mean_pixel_weight
from lux.statistics import PermutationTest
from lux.survey import Survey


@dataclasses.dataclass(frozen=True, eq=False)
class LabelAngles:
    """Angles between the directions of M labels in latent space.

    Parameters
    ----------
    names : tuple of M str
    metric : str
        "prior": the cosine is the correlation between labels that the model expects of stars; "posterior": the
        correlation between the errors of labels inferred from the flux of a mean star.
    cosine : (M, M) array
    """

    names: tuple[str, ...]
    metric: str
    cosine: np.ndarray

    @property
    def degrees(self) -> np.ndarray:
        """Angles in degrees, 90 where two labels are read off unrelated latents, (M, M)."""
        return np.degrees(np.arccos(np.clip(self.cosine, -1, 1)))


@dataclasses.dataclass(frozen=True, eq=False)
class UniqueDirection:
    """How far the direction of one label leaves the span of the directions of the other labels.

    Parameters
    ----------
    label : str
    fraction : float
        Fraction of the variance of the label, as the model predicts it over the prior, that no combination of the other
        labels as predicted gives; the square of the sine of `angle`.
    coefficients : (M - 1,) array
        The combination of the other labels, in their order, that comes nearest, in label units.
    null : (n_draws,) array
        The same fraction for a direction inside the span, blurred by the errors of the fitted loadings.
    p_value : float
    """

    label: str
    fraction: float
    coefficients: np.ndarray
    null: np.ndarray
    p_value: float

    @property
    def angle(self) -> float:
        """Angle between the direction and the span, in degrees."""
        return float(np.degrees(np.arcsin(np.sqrt(min(1.0, self.fraction)))))


def label_angles(model: Lux, metric: str = "prior", survey: Survey | None = None) -> LabelAngles:
    """Return the angles between label directions in the metric of the latents' prior or posterior covariance.

    Parameters
    ----------
    model : Lux
        Fitted.
    metric : {"prior", "posterior"}
    survey : Survey, optional
        Stars whose mean weights define the posterior; the training weights by default.

    Raises
    ------
    ValueError
        If the metric is unknown.
    """
    covariance = model.A_ @ _metric(model, metric, survey) @ model.A_.T
    scale = 1 / np.sqrt(np.diag(covariance))
    return LabelAngles(tuple(model.label_names_), metric, covariance * scale[:, None] * scale)


def unique_direction(model: Lux, label: str, n_draws: int = 2000, seed: int = 0) -> UniqueDirection:
    """Test whether a label's direction lies in the span of the others', in the metric of the latents' prior.

    The null draws put the direction into the span and blur all directions by the errors of their loadings, the label's
    own at the projected direction.

    Raises
    ------
    ValueError
        If the model has no such label, or no other label.
    """
    names = list(model.label_names_)
    if label not in names or len(names) < 2:
        raise ValueError(f"the model has labels {', '.join(names)}; {label!r} must be one of several")
    index = names.index(label)
    # In these coordinates the metric is the identity.
    half = np.linalg.inv(np.linalg.cholesky(model.prior_precision_).T)
    loadings = (model.A_ / model.label_scale_[:, None]) @ half
    covariance = model.label_coefficient_covariance_[:, 1:, 1:] / model.label_scale_[:, None, None] ** 2
    errors = np.linalg.cholesky(half.T @ covariance @ half)
    fraction, coefficients = _outside(loadings[None], index)
    inside = loadings.copy()
    inside[index] = coefficients[0] @ np.delete(loadings, index, axis=0)
    noise = np.random.default_rng(seed).normal(size=(n_draws, *loadings.shape))
    null, _ = _outside(inside + np.einsum("mij,nmj->nmi", errors, noise), index)
    others = np.delete(model.label_scale_, index)
    return UniqueDirection(
        label,
        float(fraction[0]),
        coefficients[0] * model.label_scale_[index] / others,
        null,
        PermutationTest(float(fraction[0]), null).p_value,
    )


def _outside(loadings: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how much (K,) of row `index` of loadings (K, M, P) lies outside the others' span, and the coefficients."""
    direction, others = loadings[:, index], np.delete(loadings, index, axis=1)
    gram = others @ np.swapaxes(others, 1, 2)
    coefficients = np.linalg.solve(gram, others @ direction[..., None])[..., 0]
    rest = direction - np.einsum("km,kmp->kp", coefficients, others)
    return np.sum(rest**2, axis=1) / np.sum(direction**2, axis=1), coefficients


def _metric(model: Lux, metric: str, survey: Survey | None) -> np.ndarray:
    if metric == "prior":
        return np.linalg.inv(model.prior_precision_)
    if metric != "posterior":
        raise ValueError(f"unknown metric {metric!r}; expected prior or posterior")
    weight = model.weight_
    if survey is not None:
        weight = mean_pixel_weight(survey, model.scatter_)
    return np.linalg.inv((model.B_ * weight[:, None]).T @ model.B_ + model.prior_precision_)
