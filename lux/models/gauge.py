"""Changes of the latent basis: the same model with latents z' = G z.

The latents of a linear model may be rotated, with loadings and prior rotated along, and every prediction stays the
same. What is read off single latents is therefore a choice of gauge.
"""

import dataclasses

import numpy as np
from scipy.stats import ortho_group

from lux.models.parameters import Parameters

_MAX_CONDITION = 1e12


def random_rotations(n_latents: int, count: int, seed: int = 0) -> np.ndarray:
    """Return `count` orthogonal matrices (count, P, P), uniform over all (Mezzadri 2007, Notices AMS 54, 592)."""
    rotations = ortho_group.rvs(n_latents, count, random_state=np.random.default_rng(seed))
    return rotations.reshape(count, n_latents, n_latents)


def rotate(parameters: Parameters, matrix: np.ndarray) -> Parameters:
    """Return the same model with latents z' = G z, for an invertible G (P, P).

    Raises
    ------
    ValueError
        If `matrix` is not a finite, invertible (P, P) matrix.
    """
    matrix = np.asarray(matrix, float)
    shape = parameters.prior_precision.shape
    if matrix.shape != shape or not np.all(np.isfinite(matrix)) or np.linalg.cond(matrix) > _MAX_CONDITION:
        raise ValueError(f"a change of gauge needs a finite, invertible {shape} matrix, got {matrix.shape}")
    inverse = np.linalg.inv(matrix)
    change = np.eye(len(matrix) + 1)
    change[1:, 1:] = inverse.T
    return dataclasses.replace(
        parameters,
        A=parameters.A @ inverse,
        B=parameters.B @ inverse,
        latents=parameters.latents @ matrix.T,
        label_coefficient_covariance=change @ parameters.label_coefficient_covariance @ change.T,
        prior_precision=inverse.T @ parameters.prior_precision @ inverse,
    )


def canonical(parameters: Parameters, omega: float) -> Parameters:
    """Return the model in the canonical gauge: prior covariance omega^2 I, latents along the `principal_axes`."""
    scaled = rotate(parameters, omega * np.linalg.cholesky(parameters.prior_precision).T)
    return rotate(scaled, principal_axes(scaled.A / scaled.label_scale[:, None], scaled.B, scaled.weight))


def shrunk(parameters: Parameters, omega: float) -> Parameters:
    """Return the model, in the canonical gauge, with the flux loadings of each latent shrunk by their noise."""
    model = canonical(parameters, omega)
    information = np.sum(model.B**2 * model.weight[:, None], axis=0)
    noise = len(model.B) / len(model.latents) / omega**2
    return dataclasses.replace(model, B=model.B * np.maximum(0, 1 - noise / np.maximum(information, noise)))


def principal_axes(label_loadings: np.ndarray, flux_loadings: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the rotation (P, P) onto the eigenvectors of the flux information, strongest first, signs by labels."""
    information = (flux_loadings * weight[:, None]).T @ flux_loadings
    axes = np.linalg.eigh(information)[1][:, ::-1].T
    loadings = label_loadings @ axes.T
    signs = np.sign(loadings[np.argmax(np.abs(loadings), axis=0), np.arange(len(axes))])
    return axes * np.where(signs == 0, 1, signs)[:, None]
