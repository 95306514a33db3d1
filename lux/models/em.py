"""Fit of Lux: cycles of expectation and maximization, until the labels read off the training latents stand still.

Coefficients are kept in double precision on standardized labels; stars are handled a block at a time. The few labels
are handled on the host; to the flux of a star they are one more Gaussian prior of its latents.
"""

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from lux.jax_settings import one_blas_thread
from lux.models.checkpoints import Checkpoint, State
from lux.models.cluster import spread
from lux.models.e_step import Statistics
from lux.models.expectations import (
    Coefficients,
    Cycle,
    Expectations,
    Problem,
    expectations,
    final_latents,
    fixed_expectations,
    label_movement,
)
from lux.models.gauge import canonical, principal_axes
from lux.models.label_inference import label_scatter
from lux.models.normal_equations import unpack_columns
from lux.models.parameters import Parameters, Settings
from lux.models.parts import Parts, by_rows
from lux.models.starts import pixel_means, start_latents
from lux.survey import Survey

_RIDGE = 1e-3


class _Fit(NamedTuple):
    """A survey, its parts wherever they are, and what a fit does not change."""

    survey: Survey
    parts: Parts
    problem: Problem


def fit(
    survey: Survey, settings: Settings, *, client: Any = None, checkpoint: str | os.PathLike | None = None
) -> Parameters:
    """Return the parameters of Lux, fitted to a survey.

    Parameters
    ----------
    client : distributed.Client, optional
        Of the cluster whose workers hold the survey.
    checkpoint : path, optional
        File from which an interrupted fit goes on.

    Raises
    ------
    ValueError
        If a pixel is masked in every star, the fit breaks down in single precision, or the checkpoint is of another.
    """
    center, scale = np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)
    parts = spread(survey, settings.block_size, client, settings.progress)
    fitted = _Fit(survey, parts, Problem(settings, center, scale))
    with one_blas_thread():
        mean_flux, weight, checksums = pixel_means(parts, with_checksums=checkpoint is not None)
        _require_seen(survey, weight)
        kept = None if checkpoint is None else Checkpoint(checkpoint, settings, survey, checksums)
        state = _iterate(fitted, (kept and kept.read()) or _first_state(fitted, mean_flux, weight), kept)
        parameters = _in_label_units(fitted, state)
        if settings.algorithm == "em":
            parameters = canonical(parameters, settings.omega)
        return dataclasses.replace(parameters, label_scatter=label_scatter(parameters, survey, parts))


def _require_seen(survey: Survey, weight: np.ndarray) -> None:
    if np.any(masked := weight == 0):
        pixel = int(np.argmax(masked))
        raise ValueError(
            f"pixel {pixel} ({survey.wavelength[pixel]:.3f} A) is masked in every training star ({masked.sum()} such "
            "pixels); call drop_masked_pixels() on the survey before it is split"
        )


def _first_state(fitted: _Fit, mean_flux: np.ndarray, weight: np.ndarray) -> State:
    """Return the coefficients that fit the starting latents best."""
    survey, parts, problem = fitted
    size = problem.settings.n_latents
    blank = Coefficients(
        (np.zeros(survey.n_labels), np.zeros((survey.n_labels, size))),
        (mean_flux, np.zeros((survey.n_pixels, size))),
        np.zeros(survey.n_pixels),
    )
    latents = start_latents(problem.settings, survey, parts, mean_flux, weight)
    sums, _ = parts.run(fixed_expectations, problem, blank, each=by_rows(parts, latents))
    return State(*_maximize(fitted, blank, sums, fit_scatter=False)[1:])


def _iterate(fitted: _Fit, state: State, kept: Checkpoint | None) -> State:
    """Cycle until the labels stand still; return the last state."""
    settings = fitted.problem.settings
    hidden = None if settings.progress is None else not settings.progress
    progress = tqdm(total=settings.max_cycles, initial=len(state.history), desc="Lux", unit="cycle", disable=hidden)
    with progress as bar:
        while not state.movement < settings.tolerance and len(state.history) < settings.max_cycles:
            state = _cycle(fitted, state)
            bar.update()
            bar.set_postfix_str(f"labels move {state.movement:.1e} of their errors")
            if kept is not None:
                kept.write(state)
    if kept is not None and state.last is not None:
        kept.write(state, now=True)
    return state


def _cycle(fitted: _Fit, state: State) -> State:
    number = len(state.history) + 1
    sums, _ = fitted.parts.run(expectations, fitted.problem, number, state.given)
    _require_finite(sums, number)
    found, given, weight = _maximize(fitted, state.given, sums, fitted.problem.settings.fit_scatter)
    cycle = Cycle(number, state.given, found)
    (squares, count), _ = fitted.parts.run(label_movement, fitted.problem, state.last, cycle)
    movement = np.inf if state.last is None else float(np.sqrt(squares / count))
    return State(given, weight, cycle, (*state.history, float(sums.log_likelihood)), movement)


def _require_finite(sums: Expectations, cycle: int) -> None:
    """Stop a fit that single precision cannot carry."""
    if not (np.isfinite(sums.log_likelihood) and np.all(np.isfinite(sums.latents))):
        raise ValueError(
            f"the fit broke down in cycle {cycle}: its least-squares problems are singular in single "
            "precision; use fewer latents, a smaller omega, or the start 'pca' with the algorithm 'em'"
        )


def _maximize(
    fitted: _Fit, given: Coefficients, expected: Expectations, fit_scatter: bool
) -> tuple[tuple[np.ndarray, np.ndarray], Coefficients, np.ndarray]:
    """Return the coefficients that maximize the expected log-likelihood: the labels' before the gauge is changed.

    Then all coefficients in the new gauge, and the mean weight of each pixel.
    """
    settings, n_stars, flux = fitted.problem.settings, fitted.survey.n_stars, expected.flux
    found = Coefficients(
        _solve(expected.label_normal, expected.label_moment, given.label_linear),
        _solve(unpack_columns(flux.normal, settings.n_latents + 1), flux.moment.T, given.flux_linear),
        _scatter_variance(given, flux) if fit_scatter else given.scatter_variance,
    )
    weight = flux.normal[0] / n_stars
    if settings.algorithm == "als":
        return found.label_linear, found, weight
    second_moment = (expected.covariance + expected.squared_latents) / n_stars
    whitened = _whitened(found, expected.latents / n_stars, second_moment, weight, settings.omega)
    return found.label_linear, whitened, weight


def _scatter_variance(given: Coefficients, flux: Statistics[np.ndarray]) -> np.ndarray:
    """Return the scatter variance (D,) after one step of Fisher scoring, not below zero."""
    return np.maximum(0, given.scatter_variance + flux.score / flux.information)


def _solve(
    normal: np.ndarray, moment: np.ndarray, linear: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset and loadings that solve normal equations (K, P + 1, P + 1) of residuals from the old offset."""
    solution = np.linalg.solve(_with_ridge(normal), moment[..., None])[..., 0]
    return linear[0] + solution[:, 0], solution[:, 1:]


def _with_ridge(normal: np.ndarray) -> np.ndarray:
    """Return normal matrices with a weak ridge on the loadings.

    It only decides where a pixel is unmasked in fewer stars than there are latents.
    """
    return normal + _RIDGE * np.diag(np.arange(normal.shape[-1]) > 0)


def _whitened(
    found: Coefficients, mean: np.ndarray, second_moment: np.ndarray, weight: np.ndarray, omega: float
) -> Coefficients:
    """Change the gauge so that the latents have zero mean and covariance omega^2 I along principal axes."""
    factor = np.linalg.cholesky(second_moment - np.outer(mean, mean)) / omega
    axes = principal_axes(found.label_linear[1] @ factor, found.flux_linear[1] @ factor, weight)
    label_linear, flux_linear = (
        (offset + loadings @ mean, loadings @ factor @ axes.T)
        for offset, loadings in (found.label_linear, found.flux_linear)
    )
    return Coefficients(label_linear, flux_linear, found.scatter_variance)


def _in_label_units(fitted: _Fit, state: State) -> Parameters:
    """Return the parameters in label units, with the training latents at the final coefficients; no label scatter."""
    survey, parts, problem = fitted
    given, scale, (offset, loadings) = state.given, problem.scale, state.given.label_linear
    normal, latents = parts.run(final_latents, problem, given)
    return Parameters(
        wavelength=survey.wavelength,
        label_names=survey.label_names,
        label_units=survey.label_units,
        label_center=problem.center,
        label_scale=scale,
        A=scale[:, None] * loadings,
        a=problem.center + scale * offset,
        B=given.flux_linear[1],
        b=given.flux_linear[0],
        scatter=np.sqrt(given.scatter_variance),
        weight=state.weight,
        prior_precision=problem.prior_precision,
        label_coefficient_covariance=np.linalg.inv(_with_ridge(normal)) * scale[:, None, None] ** 2,
        label_scatter=np.zeros(survey.n_labels),
        latents=np.concatenate(latents),
        history=np.array(state.history),
        movement=state.movement,
        converged=bool(state.movement < problem.settings.tolerance),
    )
