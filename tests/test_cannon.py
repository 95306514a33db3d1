"""The Cannon recovers the labels of a quadratic world."""

import numpy as np
import pytest
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

import lux
from lux.models.cannon import Cannon


@pytest.fixture(scope="module")
def quadratic():
    """Return 400 and 100 stars whose flux is a quadratic polynomial of two labels."""
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
    return survey[:400], survey[400:]


def test_the_cannon_recovers_labels_through_a_quadratic_world(quadratic):
    train, test = quadratic
    prediction = Cannon().fit(train).predict_labels(test)
    residual = prediction.labels - test.labels
    assert np.all(np.abs((residual / prediction.err).std(axis=0) - 1) < 0.2)
    assert np.all(residual.std(axis=0) < 0.1 * np.array([400.0, 0.3]))


def test_labels_are_the_best_in_double_precision_within_a_hundredth_of_their_errors(quadratic):
    train, test = quadratic
    model = Cannon().fit(train)
    prediction = model.predict_labels(test)
    for star in range(test.n_stars):
        weight = 1 / np.sqrt(1 / test.ivar[star].astype(float) + model.scatter_**2)

        def misfit(labels, star=star, weight=weight):
            scaled = (labels - model.center_) / model.scale_
            terms = np.array([*scaled, scaled[0] ** 2, scaled[0] * scaled[1], scaled[1] ** 2])
            return weight * (test.flux[star] - model.offset_ - model.coefficients_ @ terms)

        best = scipy.optimize.least_squares(misfit, prediction.labels[star], x_scale=model.scale_, xtol=1e-12)
        assert np.all(np.abs(prediction.labels[star] - best.x) < 0.01 * prediction.err[star])


def test_a_search_cut_short_is_told(quadratic):
    train, test = quadratic
    with pytest.warns(ConvergenceWarning, match="of 100 stars did not end within 2 steps"):
        Cannon(n_steps=2).fit(train).predict_labels(test)


def test_too_few_stars_for_the_terms_are_refused(surveys):
    with pytest.raises(ValueError, match="have all labels; the quadratic model has 15 terms"):
        Cannon().fit(surveys[0][:5])


@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_good", [1, 2])
def test_errors_are_unknown_where_the_flux_does_not_determine_the_labels(quadratic, n_good):
    train, test = quadratic
    model = Cannon().fit(train)
    few = test.replace(ivar=np.where(np.arange(300) < np.where(np.arange(100) < 40, n_good, 300)[:, None], 1e4, 0))
    prediction, whole = model.predict_labels(few), model.predict_labels(test)
    lost = np.isnan(prediction.err)
    assert np.all(lost[:40] == lost[:40, :1])
    assert lost[:40].all() or n_good == 2
    assert np.all(prediction.err[~lost] > 0)
    assert np.all(np.isnan(prediction.covariance[lost[:, 0]]))
    np.testing.assert_allclose(prediction.err[40:], whole.err[40:], rtol=1e-5)
