"""What the page of the bench shows: a technique and a model as users write them."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import lux


def partial_depth(model, train, test, label, lines):
    """Correlate a label with absorption at its lines, given what the model says of the other labels."""
    near = np.min(np.abs(test.wavelength[:, None] - np.array(lines)), axis=1) < 0.4
    weight = test.ivar[:, near]
    depth = -np.sum(weight * test.flux[:, near], axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    predicted = model.predict_labels(test)
    others = np.delete(predicted.labels, predicted.names.index(label), axis=1)
    given = PolynomialFeatures(2).fit_transform(StandardScaler().fit_transform(others))
    pair = (depth, test.label(label))
    left = [values - given @ np.linalg.lstsq(given, values)[0] for values in pair]
    return np.corrcoef(*left)[0, 1]


class Model:
    """Ridge regression of all labels on the flux."""

    def fit(self, survey):
        self.names = survey.label_names
        self.ridge = RidgeCV().fit(survey.flux, survey.labels)
        return self

    def predict_labels(self, survey):
        labels = self.ridge.predict(survey.flux)
        return lux.Prediction(self.names, labels, 0 * labels)
