"""What the stars of a part add to a fit is what dense algebra gives, however they are cut into blocks."""

import numpy as np
import pytest
from linear_truth import linear_survey

from lux.models.expectations import (
    Coefficients,
    Cycle,
    Problem,
    expectations,
    final_latents,
    fixed_expectations,
    label_movement,
)
from lux.models.normal_equations import unpack_columns
from lux.models.parameters import Settings
from lux.models.parts import LocalParts

N_LATENTS = 2


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=60, n_pixels=40, n_latents=N_LATENTS, n_labels=3, missing=0.2)


@pytest.fixture(scope="module")
def problem(survey):
    settings = Settings(N_LATENTS, "pca", 0.7, "em", True, 5, 1e-3, 16, 0, False)
    return Problem(settings, np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0))


def some_coefficients(seed):
    generator = np.random.default_rng(seed)
    label_linear = 0.1 * generator.normal(size=3), generator.normal(size=(3, N_LATENTS))
    flux_linear = 1 + 0.01 * generator.normal(size=40), 0.05 * generator.normal(size=(40, N_LATENTS))
    return Coefficients(label_linear, flux_linear, 1e-4 * generator.uniform(size=40))


def unit_labels(survey, problem):
    """Return labels and their weights on unit scale, zero where they are missing."""
    weight = np.where(np.isnan(survey.labels), 0, (problem.scale / survey.label_err) ** 2)
    return np.nan_to_num((survey.labels - problem.center) / problem.scale), weight


@pytest.mark.parametrize("block_size", [16, 60])
def test_sums_over_the_posterior_and_their_likelihood_are_those_of_dense_algebra(survey, problem, block_size):
    given = some_coefficients(0)
    sums, _ = LocalParts(survey, block_size).run(expectations, problem, 1, given)
    (a, A), (b, B), variance = given
    labels, label_weight = unit_labels(survey, problem)
    data = np.hstack([labels - a, survey.flux - b])
    weight = np.hstack([label_weight, survey.ivar / (1 + survey.ivar * variance)]).astype(float)
    loadings = np.vstack([A, B])
    factors, second, covariances, evidence = [], [], [], 0.0
    for residual, star_weight in zip(data, weight, strict=True):
        covariance = np.linalg.inv((loadings.T * star_weight) @ loadings + problem.prior_precision)
        factors.append(np.append(1, covariance @ (loadings.T @ (star_weight * residual))))
        second.append(np.outer(factors[-1], factors[-1]) + np.pad(covariance, ((1, 0), (1, 0))))
        covariances.append(covariance)
        # The latents integrated out: of the data that are there, whose noise is that of labels and flux.
        there = star_weight > 0
        total = loadings[there] @ np.linalg.solve(problem.prior_precision, loadings[there].T)
        total += np.diag(1 / star_weight[there])
        evidence -= 0.5 * (residual[there] @ np.linalg.solve(total, residual[there]) + np.linalg.slogdet(total)[1])
        evidence -= 0.5 * np.sum(np.log(star_weight[:3][there[:3]]))
    factors, second = np.array(factors), np.array(second)
    for found, expected in (
        (sums.latents, factors[:, 1:].sum(axis=0)),
        (sums.squared_latents, factors[:, 1:].T @ factors[:, 1:]),
        (sums.covariance, np.sum(covariances, axis=0)),
        (sums.label_normal, np.einsum("nm,nij->mij", weight[:, :3], second)),
        (sums.label_moment, (weight * data)[:, :3].T @ factors),
        (unpack_columns(sums.flux.normal, N_LATENTS + 1), np.einsum("nd,nij->dij", weight[:, 3:], second)),
        (sums.flux.moment, factors.T @ (weight * data)[:, 3:]),
        (sums.log_likelihood, evidence),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.max(np.abs(expected)))


def test_latents_that_are_exact_have_no_covariance_and_their_labels_are_regressed_on_them(survey, problem):
    given = some_coefficients(1)
    latents = np.random.default_rng(2).normal(size=(survey.n_stars, N_LATENTS))
    parts = LocalParts(survey, 16)
    sums, _ = parts.run(fixed_expectations, problem, given, each=[latents[rows] for rows in parts.rows])
    assert not np.any(sums.covariance)
    labels, weight = unit_labels(survey, problem)
    factors = np.column_stack([np.ones(survey.n_stars), latents])
    for label in range(survey.n_labels):
        root = np.sqrt(weight[:, label])
        expected = np.linalg.lstsq(factors * root[:, None], root * labels[:, label])[0]
        found = np.linalg.solve(sums.label_normal[label], sums.label_moment[label])
        found[0] += given.label_linear[0][label]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_labels_move_with_their_latents_whether_these_were_kept_or_must_be_inferred_again(survey, problem):
    cycles = [Cycle(number, some_coefficients(number), some_coefficients(10 + number)[0]) for number in (1, 2)]
    kept, fresh = LocalParts(survey, 16), LocalParts(survey, 16)
    read_off = []
    for before, after in zip([None, cycles[0]], cycles, strict=True):
        kept.run(expectations, problem, after.number, after.given)
        (squares, count), _ = kept.run(label_movement, problem, before, after)
        _, latents = kept.run(final_latents, problem, after.given)
        offset, loadings = after.label_linear
        read_off.append(offset + np.concatenate(latents) @ loadings.T)
    moved = ((read_off[1] - read_off[0]) * problem.scale / survey.label_err)[~np.isnan(survey.labels)]
    assert count == moved.size
    np.testing.assert_allclose(squares, np.sum(moved**2), rtol=1e-6)
    for parts, order in ((fresh, cycles), (kept, cycles[::-1])):
        again, _ = parts.run(label_movement, problem, *order)
        np.testing.assert_allclose(again, (squares, count), rtol=1e-6)
    first, _ = fresh.run(label_movement, problem, None, cycles[0])
    assert first[0] == 0
