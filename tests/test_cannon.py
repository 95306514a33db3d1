"""The Cannon recovers the labels of a quadratic world."""

import numpy as np
import pytest

import lux
from lux.models.cannon import Cannon


def test_the_cannon_recovers_labels_through_a_quadratic_world():
    generator = np.random.default_rng(3)
    unit = generator.normal(size=(500, 2))
    terms = np.stack([unit[:, 0], unit[:, 1], unit[:, 0] ** 2, unit[:, 0] * unit[:, 1]], axis=1)
    scale = np.array([400.0, 0.3])
    labels = np.array([5000.0, -0.5]) + scale * unit
    flux = 1 + terms @ (generator.normal(size=(4, 300)) * 0.02) + 0.01 * generator.normal(size=(500, 300))
    survey = lux.Survey(
        wavelength=15100.0 + np.arange(300),
        flux=flux,
        ivar=np.full(flux.shape, 1e4),
        labels=labels,
        label_err=np.full(labels.shape, 0.01) * scale,
        label_names=["one", "two"],
    )
    prediction = Cannon().fit(survey[:400]).predict_labels(survey[400:])
    residual = prediction.labels - labels[400:]
    assert np.all(np.abs((residual / prediction.err).std(axis=0) - 1) < 0.2)
    assert np.all(residual.std(axis=0) < 0.1 * scale)


def test_too_few_stars_for_the_terms_are_refused(surveys):
    with pytest.raises(ValueError, match="have all labels; the quadratic model has 15 terms"):
        Cannon().fit(surveys[0][:5])
