"""Fit of Lux: cycles of expectation and maximization, until the labels read off the training latents stand still.

Coefficients are kept in double precision on standardized labels; stars are handled a block at a time. The few labels
are handled on the host; to the flux of a star they are one more Gaussian prior of its latents.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from lux.models.blocks import Block, blocks, to_device, to_host
from lux.models.e_step import LatentPosterior, Linear, Statistics, add, infer, statistics, total_weight
from lux.models.gauge import canonical, principal_axes
from lux.models.label_inference import label_scatter
from lux.models.normal_equations import double_off_diagonal, packed_products, unpack_columns
from lux.models.parameters import Parameters, Settings
from lux.models.starts import pixel_means, start_latents
from lux.survey import Survey

_RIDGE = 1e-3


class _Problem(NamedTuple):
    """What a fit does not change: the survey, its labels on unit scale (zero if missing) and their weights (N, M)."""

    survey: Survey
    settings: Settings
    center: np.ndarray
    scale: np.ndarray
    labels: np.ndarray
    label_weight: np.ndarray
    prior_precision: np.ndarray


class _State(NamedTuple):
    """Coefficients (offset, loadings) of labels and flux, and what the cycle that led to them found."""

    label_linear: tuple[np.ndarray, np.ndarray]
    flux_linear: tuple[np.ndarray, np.ndarray]
    scatter_variance: np.ndarray
    weight: np.ndarray
    latents: np.ndarray
    log_likelihood: float = np.nan

    def labels(self) -> np.ndarray:
        """Return the labels of the training stars read off their latents, (N, M), on unit scale."""
        offset, loadings = self.label_linear
        return offset + self.latents @ loadings.T


class _Expectations(NamedTuple):
    """Sums over stars given the posterior of their latents; of the latents the means (N, P) themselves."""

    flux: Statistics[np.ndarray]
    latents: np.ndarray
    label_normal: np.ndarray
    label_moment: np.ndarray
    covariance: np.ndarray
    log_likelihood: float


def fit(survey: Survey, settings: Settings) -> Parameters:
    """Return the parameters of Lux, fitted to a survey.

    Raises
    ------
    ValueError
        If the fit breaks down in single precision.
    """
    problem = _problem(survey, settings)
    state, history, movement = _iterate(problem, _first_state(problem))
    parameters = _in_label_units(problem, state, np.array(history), movement)
    if settings.algorithm == "em":
        parameters = canonical(parameters, settings.omega)
    return dataclasses.replace(parameters, label_scatter=label_scatter(parameters, survey, settings.block_size))


def _problem(survey: Survey, settings: Settings) -> _Problem:
    center, scale = np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)
    labels = np.nan_to_num((survey.labels - center) / scale)
    weight = np.where(np.isnan(survey.labels), 0, (scale / survey.label_err) ** 2)
    return _Problem(survey, settings, center, scale, labels, weight, np.eye(settings.n_latents) / settings.omega**2)


def _first_state(problem: _Problem) -> _State:
    """Return the coefficients that fit the starting latents best."""
    survey, settings = problem.survey, problem.settings
    mean_flux, weight = pixel_means(survey, settings.block_size)
    blank = _State(
        (np.zeros(survey.n_labels), np.zeros((survey.n_labels, settings.n_latents))),
        (mean_flux, np.zeros((survey.n_pixels, settings.n_latents))),
        np.zeros(survey.n_pixels),
        weight,
        start_latents(settings, survey, mean_flux, weight),
    )
    return _maximize(problem, blank, _expect(problem, blank, fixed=True), fit_scatter=False)


def _iterate(problem: _Problem, state: _State) -> tuple[_State, list[float], float]:
    """Cycle until the labels stand still; return the last state, the log-likelihoods and the last movement."""
    settings, movement = problem.settings, np.inf
    history: list[float] = []
    hidden = None if settings.progress is None else not settings.progress
    with tqdm(total=settings.max_cycles, desc="Lux", unit="cycle", disable=hidden) as bar:
        while not movement < settings.tolerance and len(history) < settings.max_cycles:
            before = state
            state = _maximize(problem, state, _expect(problem, state), settings.fit_scatter)
            history.append(state.log_likelihood)
            _require_finite(state, len(history))
            if len(history) > 1:
                movement = _label_distance(problem, before, state)
            bar.update()
            bar.set_postfix_str(f"labels move {movement:.1e} of their errors")
    return state, history, movement


def _require_finite(state: _State, cycle: int) -> None:
    """Stop a fit that single precision cannot carry."""
    if not (np.isfinite(state.log_likelihood) and np.all(np.isfinite(state.latents))):
        raise ValueError(
            f"the fit broke down in cycle {cycle}: its least-squares problems are singular in single "
            "precision; use fewer latents, a smaller omega, or the start 'pca' with the algorithm 'em'"
        )


def _label_distance(problem: _Problem, before: _State, after: _State) -> float:
    """Return the root mean square by which the labels of two states differ, in units of their errors."""
    change = (after.labels() - before.labels()) * problem.scale / problem.survey.label_err
    return float(np.sqrt(np.mean(change[~np.isnan(problem.survey.labels)] ** 2)))


def _expect(problem: _Problem, state: _State, fixed: bool = False) -> _Expectations:
    """Return expectations over the posterior of the latents, or at the state's latents where these are `fixed`."""
    latents = np.empty_like(state.latents)
    sums: Any = None
    flux_sums: Any = None
    for block, weight, linear in _staged(problem, state):
        posterior = _fixed(block, state.latents) if fixed else _posterior(problem, state, block, weight, linear)
        if problem.settings.algorithm == "als":
            posterior = posterior._replace(covariance=np.zeros(posterior.covariance.shape, np.float32))
        flux, log_density = statistics(block.flux, weight, linear, posterior.mean, posterior.covariance)
        mean, covariance, log_determinant = (block.unpad(array) for array in posterior)
        latents[block.rows] = mean
        value = _log_likelihood(problem, state, block, mean, log_determinant) + block.unpad(log_density).sum()
        terms = (*_label_sums(problem, state, block, mean, covariance), covariance.sum(axis=0), value)
        sums = terms if sums is None else jax.tree.map(np.add, sums, terms)
        flux_sums = flux if flux_sums is None else add(flux_sums, flux)
    return _Expectations(to_host(flux_sums), latents, *sums)


def _staged(problem: _Problem, state: _State) -> Iterator[tuple[Block, jax.Array, Linear]]:
    """Yield each block with its weights and the flux coefficients on the device."""
    linear, variance = to_device((state.flux_linear, state.scatter_variance))
    for block in blocks(problem.survey, problem.settings.block_size):
        yield block, total_weight(block.ivar, variance), linear


def _posterior(problem: _Problem, state: _State, block: Block, weight: jax.Array, linear: Linear) -> LatentPosterior:
    """Return the posterior of the latents of a block given flux, labels and prior."""
    offset, loadings = state.label_linear
    label_weight = problem.label_weight[block.rows]
    precision = np.einsum("nm,mi,mj->nij", label_weight, loadings, loadings, optimize=True) + problem.prior_precision
    moment = (label_weight * (problem.labels[block.rows] - offset)) @ loadings
    return infer(block.flux, weight, linear, *block.latent_prior(precision, moment))


def _fixed(block: Block, latents: np.ndarray) -> LatentPosterior:
    """Return a posterior that holds the latents of a block's stars exact."""
    length, size = len(block.flux), latents.shape[1]
    mean = block.pad(latents[block.rows])
    return LatentPosterior(mean, np.zeros((length, size, size), np.float32), np.zeros(length, np.float32))


def _label_sums(
    problem: _Problem, state: _State, block: Block, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal matrices (M, P + 1, P + 1) and moments (M, P + 1) of the labels, as of the pixels."""
    weight = problem.label_weight[block.rows]
    factors = np.insert(mean, 0, 1, axis=1)
    second = factors[:, :, None] * factors[:, None, :]
    second[:, 1:, 1:] += covariance
    moment = (weight * (problem.labels[block.rows] - state.label_linear[0])).T @ factors
    return np.tensordot(weight, second, axes=(0, 0)), moment


def _log_likelihood(
    problem: _Problem, state: _State, block: Block, mean: np.ndarray, log_determinant: np.ndarray
) -> float:
    """Return what the labels and latents of a block add to the objective, constants left out."""
    offset, loadings = state.label_linear
    residual = problem.labels[block.rows] - offset - mean @ loadings.T
    value = -0.5 * np.sum(problem.label_weight[block.rows] * residual**2)
    value -= 0.5 * np.sum((mean @ problem.prior_precision) * mean)
    if problem.settings.algorithm == "em":
        value += 0.5 * (len(mean) * np.linalg.slogdet(problem.prior_precision)[1] - log_determinant.sum())
    return float(value)


def _maximize(problem: _Problem, state: _State, expected: _Expectations, fit_scatter: bool) -> _State:
    """Return the coefficients that maximize the expected log-likelihood."""
    size, n_stars, flux = problem.settings.n_latents, problem.survey.n_stars, expected.flux
    updated = _State(
        _solve(expected.label_normal, expected.label_moment, state.label_linear),
        _solve(unpack_columns(flux.normal, size + 1), flux.moment.T, state.flux_linear),
        _scatter_variance(state, flux) if fit_scatter else state.scatter_variance,
        flux.normal[0] / n_stars,
        expected.latents,
        expected.log_likelihood,
    )
    if problem.settings.algorithm == "als":
        return updated
    second_moment = (expected.covariance + expected.latents.T @ expected.latents) / n_stars
    return _whitened(updated, second_moment, problem.settings.omega)


def _scatter_variance(state: _State, flux: Statistics[np.ndarray]) -> np.ndarray:
    """Return the scatter variance (D,) after one step of Fisher scoring, not below zero."""
    products = double_off_diagonal(packed_products(state.flux_linear[1]))
    score = flux.score + np.sum(flux.leverage * products.T, axis=0)
    return np.maximum(0, state.scatter_variance + score / flux.information)


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


def _whitened(state: _State, second_moment: np.ndarray, omega: float) -> _State:
    """Change the gauge so that the latents have zero mean and covariance omega^2 I along principal axes."""
    mean = state.latents.mean(axis=0)
    factor = np.linalg.cholesky(second_moment - np.outer(mean, mean)) / omega
    axes = principal_axes(state.label_linear[1] @ factor, state.flux_linear[1] @ factor, state.weight)
    label_linear, flux_linear = (
        (offset + loadings @ mean, loadings @ factor @ axes.T)
        for offset, loadings in (state.label_linear, state.flux_linear)
    )
    latents = np.linalg.solve(factor, (state.latents - mean).T).T @ axes.T
    return state._replace(label_linear=label_linear, flux_linear=flux_linear, latents=latents)


def _in_label_units(problem: _Problem, state: _State, history: np.ndarray, movement: float) -> Parameters:
    """Return the parameters in label units, with the training latents at the final coefficients; no label scatter."""
    survey, scale, (offset, loadings) = problem.survey, problem.scale, state.label_linear
    latents, normal = np.empty_like(state.latents), np.zeros(())
    for block, weight, linear in _staged(problem, state):
        posterior = _posterior(problem, state, block, weight, linear)
        latents[block.rows] = block.unpad(posterior.mean)
        covariance = block.unpad(posterior.covariance)
        normal = normal + _label_sums(problem, state, block, latents[block.rows], covariance)[0]
    return Parameters(
        wavelength=survey.wavelength,
        label_names=survey.label_names,
        label_units=survey.label_units,
        label_center=problem.center,
        label_scale=scale,
        A=scale[:, None] * loadings,
        a=problem.center + scale * offset,
        B=state.flux_linear[1],
        b=state.flux_linear[0],
        scatter=np.sqrt(state.scatter_variance),
        weight=state.weight,
        prior_precision=problem.prior_precision,
        label_coefficient_covariance=np.linalg.inv(_with_ridge(normal)) * scale[:, None, None] ** 2,
        label_scatter=np.zeros(survey.n_labels),
        latents=latents,
        history=history,
        movement=movement,
        converged=bool(movement < problem.settings.tolerance),
    )
