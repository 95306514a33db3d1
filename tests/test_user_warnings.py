"""Warnings point to the line of who uses this package, through however many of its functions and decorators."""

import numpy as np
import pytest
from linear_truth import linear_survey
from sklearn.exceptions import ConvergenceWarning

import lux
from lux.models.baselines import Mean
from lux.models.cannon import Cannon


@pytest.fixture(scope="module")
def halves():
    """A survey of which some stars stand there twice, in two parts."""
    survey = linear_survey()[:200]
    labels = survey.labels.copy()
    labels[0, 0] = 1e6
    return survey.replace(labels=labels).split(0.3)


def audited(train, test):
    return lux.audit(Mean().fit(train), train, test, train.label_names[0], ())


def audited_all(train, test):
    return lux.audit_all(Mean().fit(train), train, test, {name: () for name in train.label_names})


@pytest.mark.parametrize("use", [audited, audited_all])
def test_of_an_audit(halves, use):
    with pytest.warns(UserWarning, match="more than 50 standard deviations") as told:
        use(*halves)
    assert {warning.filename for warning in told if issubclass(warning.category, UserWarning)} == {__file__}


def test_of_a_fit_and_of_a_prediction(halves):
    train, test = halves
    with pytest.warns(ConvergenceWarning, match="Lux did not converge") as told:
        lux.Lux(n_latents=3, max_cycles=1).fit(train)
    assert told[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="did not end") as told:
        Cannon(n_steps=1).fit(train).predict_labels(test)
    assert told[0].filename == __file__


def test_of_labels_without_errors(halves):
    train, _ = halves
    errors = np.where(train.labels > np.median(train.labels), train.label_err, 0.0)
    arrays = {"wavelength": train.wavelength, "flux": train.flux, "ivar": train.ivar, "labels": train.labels}
    with pytest.warns(UserWarning, match="no positive error") as told:
        lux.Survey.from_arrays(**arrays, label_err=errors, label_names=train.label_names)
    assert told[0].filename == __file__


def test_of_infinite_labels(halves):
    train, _ = halves
    labels = np.where(np.arange(train.n_stars)[:, None] < 3, -np.inf, train.labels)
    arrays = {"wavelength": train.wavelength, "flux": train.flux, "ivar": train.ivar, "labels": labels}
    with pytest.warns(UserWarning, match="9 labels are infinite and count as missing") as told:
        lux.Survey.from_arrays(**arrays, label_err=train.label_err, label_names=train.label_names)
    assert told[0].filename == __file__
