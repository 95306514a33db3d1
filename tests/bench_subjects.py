"""A technique and a model as users write them, who read the page of the bench and nothing else."""

import os
import random
import sys
import threading
import time

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.inspection import permutation_importance

import lux


def forest_importance(model, train, test, label, lines):
    """How much of a forest's success hangs on the pixels at the lines, whatever the model."""
    near = np.min(np.abs(train.wavelength[:, None] - np.array(lines)), axis=1) < 1.0
    components = PCA(10, random_state=0).fit(train.flux[:, ~near])

    def features(survey):
        return np.column_stack([components.transform(survey.flux[:, ~near]), survey.flux[:, near].mean(axis=1)])

    forest = RandomForestRegressor(30, min_samples_leaf=5, random_state=0).fit(features(train), train.label(label))
    found = permutation_importance(forest, features(test), test.label(label), n_repeats=3, random_state=0)
    return found.importances_mean[-1]


class GaussianProcess:
    """A Gaussian process on principal components of the flux."""

    def fit(self, survey):
        self.names = survey.label_names
        self.components = PCA(10, whiten=True, random_state=0).fit(survey.flux)
        self.center, self.scale = survey.labels.mean(axis=0), survey.labels.std(axis=0)
        kernel = RBF(5.0, (1.0, 100.0)) + WhiteKernel(0.1)
        process = GaussianProcessRegressor(kernel, random_state=0)
        rows = slice(None, 300)
        self.process = process.fit(
            self.components.transform(survey.flux[rows]), (survey.labels[rows] - self.center) / self.scale
        )
        return self

    def predict_labels(self, survey):
        assert survey.truth is None
        labels = self.center + self.scale * self.process.predict(self.components.transform(survey.flux))
        return lux.Prediction(self.names, labels, np.full(labels.shape, np.nan))


def raises(model, train, test, label, lines):
    raise KeyError("eu")


def not_a_number(model, train, test, label, lines):
    return float("nan")


def never_ends(model, train, test, label, lines):
    while True:
        pass


def a_word(model, train, test, label, lines):
    return "known"


def two_arguments(model, train):
    return 0.0


class PredictsAnArray:
    """A model whose author took the labels alone for a prediction."""

    def fit(self, survey):
        self.means = survey.labels.mean(axis=0)
        return self

    def predict_labels(self, survey):
        return np.tile(self.means, (survey.n_stars, 1))


def swallows_the_limit(model, train, test, label, lines):
    try:
        time.sleep(60)
    except Exception:
        return 0.0


def leaves_python(model, train, test, label, lines):
    sys.exit(3)


def a_complex_number(model, train, test, label, lines):
    return np.complex128(1 + 5j)


def an_array(model, train, test, label, lines):
    return np.array([1.0])


def a_number_in_text(model, train, test, label, lines):
    return np.array("0.5")


def lists_of_several_lengths(model, train, test, label, lines):
    return [1, [2, 3]]


def tries_again(model, train, test, label, lines):
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


def raises_what_is_no_error(model, train, test, label, lines):
    raise GeneratorExit("the end")


def draws(model, train, test, label, lines):
    return random.random() + np.random.rand()  # noqa: NPY002


def goes_elsewhere(model, train, test, label, lines):
    os.chdir("/")
    return 1.0


class Remembers:
    """A technique that counts the worlds that it has seen."""

    def __init__(self):
        self.seen = 0

    def __call__(self, model, train, test, label, lines):
        self.seen += 1
        return self.seen


class Locked:
    """A technique that cannot be copied."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, model, train, test, label, lines):
        return 1.0


def makes_no_model():
    return {}["settings"]


class FitsNothing(PredictsAnArray):
    """A model whose author forgot to return it."""

    def fit(self, survey):
        self.means = survey.labels.mean(axis=0)


class PredictsFewer(PredictsAnArray):
    """A model that leaves a star out."""

    def predict_labels(self, survey):
        labels = super().predict_labels(survey)[1:]
        return lux.Prediction(survey.label_names, labels, labels)


class Predicts(PredictsAnArray):
    """A model that predicts the mean labels, changed by a function, with some names."""

    def __init__(self, change, names=None):
        self.change, self.names = change, names

    def predict_labels(self, survey):
        labels = self.change(super().predict_labels(survey))
        return lux.Prediction(self.names or survey.label_names, labels, labels)


def without_a_star(labels):
    return np.ma.masked_array(labels, np.arange(len(labels))[:, None] == np.zeros(5))


def as_text(labels):
    return labels.astype(str)


class Ordered:
    """A linear regression that gives some labels, in some order."""

    def __init__(self, order):
        self.order = order

    def fit(self, survey):
        self.model = lux.models.baselines.FluxRegression.pls(3).fit(survey)
        return self

    def predict_labels(self, survey):
        predicted = self.model.predict_labels(survey)
        names = np.array(predicted.names)[self.order]
        return lux.Prediction(tuple(names.tolist()), predicted.labels[:, self.order], predicted.err[:, self.order])
