"""Surveys drawn from the Lux model itself, for tests against mathematics."""

import numpy as np

import lux

TIGHT = {"tolerance": 1e-5, "max_cycles": 500}
# Of `survey_with_own_part`; the catalogue's errors are 0.1 to 0.3.
OWN_SCATTER = 0.3


def linear_survey(
    n_stars=400, n_pixels=300, n_latents=4, n_labels=3, seed=0, masked=0.05, missing=0.0, noise=0.02, scatter=None
):
    """Return a survey drawn from a random linear latent-variable model, with its truth."""
    generator = np.random.default_rng(seed)
    latents = generator.normal(size=(n_stars, n_latents))
    loadings = generator.normal(size=(n_pixels, n_latents)) * 0.05
    label_loadings = generator.normal(size=(n_labels, n_latents))
    scatter = np.zeros(n_pixels) if scatter is None else scatter
    sigma = noise * generator.uniform(0.5, 1.5, size=(n_stars, 1)) * np.ones((1, n_pixels))
    flux = 1 + latents @ loadings.T + generator.normal(size=sigma.shape) * np.sqrt(sigma**2 + scatter**2)
    ivar = sigma**-2.0
    ivar[generator.random(ivar.shape) < masked] = 0
    true_labels = 10 + latents @ label_loadings.T
    label_err = generator.uniform(0.1, 0.3, size=true_labels.shape)
    labels = true_labels + label_err * generator.normal(size=true_labels.shape)
    labels[generator.random(labels.shape) < missing] = np.nan
    return lux.Survey(
        wavelength=15100 + 0.2 * np.arange(n_pixels),
        flux=flux,
        ivar=ivar,
        labels=labels,
        label_err=label_err,
        label_names=[f"label_{number}" for number in range(n_labels)],
        label_units=["dex"] * n_labels,
        star_id=[f"star-{number}" for number in range(n_stars)],
        truth=lux.Truth(true_labels, {"name": "linear"}, {"latents_0": latents[:, 0]}),
        provenance={"source": "linear truth", "seed": seed},
        catalogue={"group": np.array(list("abcd"))[np.arange(n_stars) % 4]},
    )


def survey_with_own_part(seed, n_stars=300):
    """Return a survey whose first label is a part of its own and catalogue error alone, and that part (N,)."""
    survey = linear_survey(n_stars=n_stars, n_pixels=300, n_latents=2, seed=seed, noise=0.03)
    own = OWN_SCATTER * np.random.default_rng(1000 + seed).normal(size=n_stars)
    labels = np.array(survey.labels)
    labels[:, 0] += own - survey.truth.labels[:, 0]
    return survey.replace(labels=labels), own


def assert_same_survey(first, second):
    """Assert that two surveys hold the same values of the same types."""
    for name in ("wavelength", "flux", "ivar", "labels", "label_err", "star_id"):
        one, other = getattr(first, name), getattr(second, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for name in ("label_names", "label_units", "provenance"):
        assert getattr(first, name) == getattr(second, name)
    assert first.catalogue.keys() == second.catalogue.keys()
    for name, column in first.catalogue.items():
        np.testing.assert_array_equal(column, second.catalogue[name])
        assert column.dtype == second.catalogue[name].dtype
    assert (first.truth is None) == (second.truth is None)
    if first.truth is not None:
        np.testing.assert_array_equal(first.truth.labels, second.truth.labels)
        assert first.truth.world == second.truth.world
        for name, column in first.truth.columns.items():
            np.testing.assert_array_equal(column, second.truth.columns[name])


def errors_apart(prediction, other, survey):
    """Return the largest difference of predicted labels in units of the median catalogue error."""
    return np.max(np.abs(prediction.labels - other.labels)) / np.median(survey.label_err)
