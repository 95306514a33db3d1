"""A small world of iron, alpha and europium whose lines stand where the tests put them."""

import numpy as np

import lux
from lux.diagnostics import counterfactuals, matching
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.statistics import quadratic_terms

WAVELENGTH = wavelength_grid()[on_chip()][:700]
NAMES = ("fe_h", "alpha_fe", "eu_fe")


def made_survey(seed=0, n_stars=400, line=0.0, noise=0.01):
    """Return spectra with lines of iron and alpha, and one of europium at pixel 350 with a depth of `line` per dex."""
    generator = np.random.default_rng(seed)
    iron = 0.25 * generator.normal(size=n_stars)
    alpha = -0.2 * iron + 0.06 * generator.normal(size=n_stars)
    europium = -0.35 * iron + 0.35 * alpha + 0.1 * generator.normal(size=n_stars)
    truth = np.stack([iron, alpha, europium], axis=1)
    offset = np.arange(len(WAVELENGTH))[:, None] - np.array([100, 200, 300, 400, 500, 600, 350])
    profiles = np.exp(-0.5 * (offset / 1.37) ** 2)
    depths = np.concatenate(
        [np.repeat(iron[:, None], 3, 1) * 0.2, np.repeat(alpha[:, None], 3, 1) * 0.2, line * europium[:, None]], axis=1
    )
    flux = 1 - depths @ profiles.T + noise * generator.normal(size=(n_stars, len(WAVELENGTH)))
    errors = np.broadcast_to([0.06, 0.05, 0.05], truth.shape)
    labels = truth + errors * generator.normal(size=truth.shape)
    return lux.Survey(
        wavelength=WAVELENGTH,
        flux=flux,
        ivar=np.full(flux.shape, noise**-2.0),
        labels=labels,
        label_err=errors,
        label_names=NAMES,
        truth=lux.Truth(truth, {"name": "made"}),
    )


def inferred(survey):
    """Return the two other labels as read from the depths of their own lines."""
    columns = [np.r_[99:102, 199:202, 299:302], np.r_[399:402, 499:502, 599:602]]
    labels = np.stack([(1 - survey.flux[:, part]).mean(axis=1) / 0.17 for part in columns], axis=1)
    covariance = np.broadcast_to(0.02**2 * np.eye(2), (survey.n_stars, 2, 2))
    return lux.Prediction(("fe_h", "alpha_fe"), labels, np.full(labels.shape, 0.02), covariance)


def stacked(survey, **options):
    """Return the stack of the survey's pairs matched in what is inferred."""
    pairs, others = matching.match_on_inferred(survey, inferred(survey), "eu_fe")
    return counterfactuals.stack_pairs(survey, pairs, quadratic_terms(others), **options)
