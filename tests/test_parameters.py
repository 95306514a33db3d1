"""Settings that make no model are refused; parameters cannot be changed."""

import dataclasses

import numpy as np
import pytest

import lux


def test_settings_that_make_no_model_are_refused():
    for settings_, message in (
        ({"start": "zeros"}, "unknown start 'zeros'; expected one of pca, labels, random"),
        ({"algorithm": "adam"}, "unknown algorithm"),
        ({"n_latents": 0}, "n_latents must be a whole number, at least 1; got 0"),
        ({"max_cycles": 20.5}, "max_cycles must be a whole number, at least 1; got 20.5"),
        ({"seed": -1}, "seed must be a whole number, not below 0; got -1"),
        ({"tolerance": np.nan}, "tolerance is how far labels may move"),
        ({"omega": 0.0}, "omega is a standard deviation"),
        ({"omega": np.inf}, "omega is a standard deviation"),
    ):
        with pytest.raises(ValueError, match=message):
            lux.Lux(**settings_)


def test_parameters_are_frozen_and_shared_by_no_rotated_model(converged_model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        converged_model.parameters_.A = 0
    before = converged_model.A_.copy()
    turned = converged_model.rotate(2 * np.eye(4))
    assert np.array_equal(converged_model.A_, before)
    np.testing.assert_allclose(turned.A_, before / 2)


def test_the_latent_jacobian_is_the_derivative_of_the_posterior_mean(converged_model):
    parameters, weight = converged_model.parameters_, converged_model.weight_
    precision = (parameters.B.T * weight) @ parameters.B + parameters.prior_precision
    flux = np.random.default_rng(0).normal(size=len(weight))
    np.testing.assert_allclose(
        parameters.latent_jacobian(weight) @ flux, np.linalg.solve(precision, parameters.B.T @ (weight * flux))
    )
