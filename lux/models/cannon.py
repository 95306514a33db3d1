"""The Cannon: the quadratic generative model of spectra, as a model to compare with."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from lux.jax_settings import own_settings
from lux.models.blocks import to_device
from lux.models.e_step import FluxModel, Statistics, add_statistics, no_statistics
from lux.models.normal_equations import Array, packed_products, unpack_columns, unpack_symmetric
from lux.models.prediction import Prediction
from lux.models.requirements import require_labels, require_like
from lux.models.weights import pixel_weight
from lux.store.user_warnings import warn_user
from lux.survey import Survey

_RIDGE = 1e-3
_MIN_INFORMATION = 1e-30
# A search ends with the step that begins this near the best labels, in units of their errors; one that has not come
# nearer than the other is lost.
_AT_END, _LOST = 0.02, 0.1


class Cannon(BaseEstimator):
    """The quadratic generative model of Ness et al. 2015 (ApJ 808, 16).

    Each pixel's flux is a quadratic polynomial of the labels plus scatter, fitted with the catalogue labels held as
    exact; labels of new stars are found by damped Gauss-Newton steps.

    Parameters
    ----------
    n_cycles : int
        Alternations of coefficients and scatter in training.
    n_steps : int
        Gauss-Newton steps for a new star, at most, in each of two searches.
    block_size : int
        Stars handled at a time.
    """

    def __init__(self, n_cycles: int = 4, n_steps: int = 100, block_size: int = 512):
        self.n_cycles = n_cycles
        self.n_steps = n_steps
        self.block_size = block_size

    @own_settings()
    def fit(self, survey: Survey) -> "Cannon":
        """Fit coefficients and scatter of each pixel to the stars with all labels.

        Raises
        ------
        ValueError
            If there are no labels, one is missing in every star or the same in all that have all labels, or fewer have
            them than the polynomial has terms.
        """
        require_labels(survey)
        complete = ~np.any(np.isnan(survey.labels), axis=1)
        n_terms = 1 + survey.n_labels + survey.n_labels * (survey.n_labels + 1) // 2
        if complete.sum() < n_terms:
            raise ValueError(f"{complete.sum()} stars have all labels; the quadratic model has {n_terms} terms")
        survey = survey[complete]
        require_labels(survey)
        self.names_, self.wavelength_ = survey.label_names, survey.wavelength
        self.center_, self.scale_ = survey.labels.mean(axis=0), survey.labels.std(axis=0)
        terms = np.asarray(_quadratic_terms((survey.labels - self.center_) / self.scale_), np.float32)
        offset = np.zeros(survey.n_pixels)
        coefficients = np.zeros((survey.n_pixels, n_terms - 1))
        variance = np.zeros(survey.n_pixels)
        for cycle in range(self.n_cycles):
            sums = self._sums(survey, terms, offset, coefficients, variance)
            normal = unpack_columns(np.asarray(sums.normal, float), n_terms)
            normal[:, np.arange(n_terms), np.arange(n_terms)] += _RIDGE
            solution = np.linalg.solve(normal, np.asarray(sums.moment, float).T[..., None])[..., 0]
            if cycle:
                information = np.maximum(np.asarray(sums.information, float), _MIN_INFORMATION)
                variance = np.maximum(0, variance + np.asarray(sums.score, float) / information)
            offset, coefficients = offset + solution[:, 0], solution[:, 1:]
        self.offset_, self.coefficients_, self.scatter_ = offset, coefficients, np.sqrt(variance)
        return self

    @own_settings()
    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the labels that reproduce the flux best, with the errors of the least-squares fit.

        Errors and covariance of a star are NaN where its flux does not determine all labels: it has fewer good pixels
        than there are labels, or the fit gives no positive variance.

        Warns
        -----
        ConvergenceWarning
            If `n_steps` pass and some star's labels are still a tenth of their errors or more from the best ones.
        """
        check_is_fitted(self)
        require_like(self.wavelength_, self.offset_, survey)
        model = FluxModel(*to_device((self.offset_, self.coefficients_, self.scatter_**2)))
        labels, covariances, n_good = [], [], []
        n_lost = 0
        for start in range(0, survey.n_stars, self.block_size):
            rows = slice(start, start + self.block_size)
            flux, ivar = to_device((survey.flux[rows], survey.ivar[rows]))
            scaled, precision, distance = _fit_labels(
                flux, ivar, model, n_labels=len(self.names_), n_steps=self.n_steps
            )
            n_lost += int(np.sum(~(np.asarray(distance) < _LOST)))
            n_good.append(np.count_nonzero(np.asarray(ivar), axis=1))
            labels.append(np.asarray(scaled, float))
            covariances.append(np.linalg.pinv(np.asarray(precision, float), hermitian=True))
        if n_lost:
            warn_user(
                f"the search for the labels of {n_lost} of {survey.n_stars} stars did not end within "
                f"{self.n_steps} steps, and their labels may be off; raise n_steps",
                ConvergenceWarning,
            )
        covariance = np.concatenate(covariances) * np.outer(self.scale_, self.scale_)
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        covariance[(np.concatenate(n_good) < len(self.names_)) | ~np.all(variance > 0, axis=1)] = np.nan
        err = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return Prediction(self.names_, self.center_ + self.scale_ * np.concatenate(labels), err, covariance)

    def _sums(
        self, survey: Survey, terms: np.ndarray, offset: np.ndarray, coefficients: np.ndarray, variance: np.ndarray
    ) -> Statistics[jax.Array]:
        """Return the normal equations of all pixels, the terms taking the place of exact latents."""
        model = FluxModel(*to_device((offset, coefficients, variance)))
        total = no_statistics(*coefficients.shape)
        for first in range(0, survey.n_stars, self.block_size):
            rows = slice(first, first + self.block_size)
            flux, ivar = to_device((survey.flux[rows], survey.ivar[rows]))
            total, _ = add_statistics(total, flux, ivar, model, terms[rows], None)
        return total


def _quadratic_terms(labels: Array) -> jax.Array:
    """Return the linear and quadratic terms of scaled labels (..., M) as (..., M + M (M + 1) / 2)."""
    rows, columns = np.triu_indices(labels.shape[-1])
    return jnp.concatenate([jnp.asarray(labels), jnp.asarray(labels)[..., rows] * labels[..., columns]], axis=-1)


class _SearchState(NamedTuple):
    """State of a search: scaled labels, damping, number of steps, and how far from the best the last one began."""

    labels: Any
    damping: Any
    number: Any
    distance: Any


@functools.partial(jax.jit, static_argnames=("n_labels", "n_steps"))
def _fit_labels(
    flux: jax.Array, ivar: jax.Array, model: FluxModel, n_labels: int, n_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return scaled labels (n, M), their precision (n, M, M), and the distance (n,) at which `_search` ended.

    Flux enters through the normal equations of the polynomial's terms alone, so the search for the labels of a star
    happens in the small space of the terms.
    """
    offset, coefficients, variance = model
    weight = pixel_weight(ivar, variance)
    precision = unpack_symmetric(weight @ packed_products(coefficients), coefficients.shape[1])

    def searched(start: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        rest = flux - offset - _quadratic_terms(start) @ coefficients.T
        return jax.vmap(functools.partial(_search, n_steps=n_steps))(precision, (weight * rest) @ coefficients, start)

    # The second begins where the first one ended, with what is left of the flux there: of all of it the moments are
    # sums of so many large terms that their rounding can be felt.
    first, *_ = searched(jnp.zeros((len(flux), n_labels)))
    return searched(first)


def _search(
    precision: jax.Array, moment: jax.Array, start: jax.Array, n_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Minimize d' H d / 2 - h' d over the labels behind the terms q + d, by Levenberg's damped Gauss-Newton steps.

    The terms q are those of `start`, where the search begins. Return the labels (M,), their precision (M, M), and how
    far from the best ones the last step began, in errors.
    """
    origin = _quadratic_terms(start)

    def step(state: _SearchState) -> _SearchState:
        labels, damping = state.labels, state.damping
        terms, slope = _quadratic_terms(labels), jax.jacfwd(_quadratic_terms)(labels)
        hessian = slope.T @ precision @ slope
        gradient = precision @ (terms - origin) - moment
        descent = slope.T @ gradient
        damped = hessian + damping * jnp.diag(jnp.diagonal(hessian))
        moves = jnp.linalg.solve(jnp.stack([damped, hessian]), descent[:, None])[..., 0]
        # The change of the loss, not a difference of two: near the end that is less than the rounding of either.
        change = _quadratic_terms(labels - moves[0]) - terms
        better = change @ (gradient + 0.5 * precision @ change) < 0
        return _SearchState(
            jnp.where(better, labels - moves[0], labels),
            jnp.where(better, damping / 3, damping * 4),
            state.number + 1,
            jnp.sqrt(jnp.abs(descent @ moves[1])),
        )

    def goes_on(state: _SearchState) -> jax.Array:
        return (state.number < n_steps) & ~(state.distance < _AT_END)

    found = jax.lax.while_loop(goes_on, step, _SearchState(start, 1e-2, 0, jnp.inf))
    slope = jax.jacfwd(_quadratic_terms)(found.labels)
    return found.labels, slope.T @ precision @ slope, found.distance
