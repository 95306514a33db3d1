"""Baselines of label transfer: the mean, regressions on flux, and what the other labels give.

Every model here is a scikit-learn estimator with ``fit(survey) -> self`` and ``predict_labels(survey) -> Prediction``,
as `lux.Lux` is. `predict_labels` raises ``NotFittedError`` before `fit`.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.validation import check_is_fitted

from lux.models.prediction import Prediction, label_row
from lux.models.requirements import require_labels, require_like
from lux.models.weights import mean_flux, without_negligible
from lux.survey import Survey

_LEAST_LABELS = 2


class Mean(BaseEstimator):
    """Predict the training mean of every label, with the standard deviation of training as its error."""

    def fit(self, survey: Survey) -> "Mean":
        """Take the mean of the labels that are there.

        Raises
        ------
        ValueError
            If there are no labels, or one is missing or the same in every star.
        """
        require_labels(survey)
        self.names_ = survey.label_names
        self.mean_, self.std_ = np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)
        return self

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the same labels for every star."""
        check_is_fitted(self)
        shape = (survey.n_stars, len(self.names_))
        return Prediction(self.names_, np.broadcast_to(self.mean_, shape), np.broadcast_to(self.std_, shape))


class FluxRegression(BaseEstimator):
    """Predict each label from the flux by a scikit-learn regressor; bad pixels take the training mean.

    Bad is a pixel that is masked, or has an error of many times that of the star's good ones.

    Parameters
    ----------
    regressor : scikit-learn regressor
        A clone of it is fitted for each set of labels that the same stars have.
    """

    def __init__(self, regressor: RegressorMixin):
        self.regressor = regressor

    @classmethod
    def ridge(cls) -> "FluxRegression":
        """Return ridge regression, its penalty chosen by leave-one-out cross-validation."""
        return cls(RidgeCV(alphas=np.logspace(-3, 4, 15)))

    @classmethod
    def pls(cls, n_components: int = 20) -> "FluxRegression":
        """Return partial least squares."""
        return cls(PLSRegression(n_components=n_components, scale=False))

    def fit(self, survey: Survey) -> "FluxRegression":
        """Fit one regressor for each set of labels that are there in the same stars.

        Raises
        ------
        ValueError
            If there are no labels, or one is missing or the same in every star.
        """
        require_labels(survey)
        self.names_, self.wavelength_ = survey.label_names, survey.wavelength
        self.mean_flux_ = mean_flux(survey.flux, survey.ivar).astype(np.float32)
        flux, present = self._filled(survey), ~np.isnan(survey.labels)
        self.center_, self.scale_ = np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)
        scaled = (survey.labels - self.center_) / self.scale_
        self.fitted_ = []
        for pattern in np.unique(present, axis=1).T:
            columns = np.flatnonzero(np.all(present == pattern[:, None], axis=0))
            regressor = clone(self.regressor).fit(flux[pattern], scaled[np.ix_(pattern, columns)])
            self.fitted_.append((columns, regressor))
        return self

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the regressed labels; their errors are not known (NaN)."""
        check_is_fitted(self)
        flux = self._filled(survey)
        labels = np.empty((survey.n_stars, len(self.names_)))
        for columns, regressor in self.fitted_:
            labels[:, columns] = regressor.predict(flux).reshape(survey.n_stars, len(columns))
        return Prediction(self.names_, self.center_ + self.scale_ * labels, np.full(labels.shape, np.nan))

    def gradient(self, survey: Survey, label: str) -> np.ndarray:
        """Return the derivative of a predicted label with respect to each star's flux, (N, D), zero where masked.

        Raises
        ------
        ValueError
            If the label is unknown, or the regressor is not linear.
        """
        check_is_fitted(self)
        column = label_row(self.names_, label)
        members, regressor = next(each for each in self.fitted_ if column in each[0])
        if not hasattr(regressor, "coef_"):
            raise ValueError(f"{type(regressor).__name__} has no coef_: only a linear regressor has a known gradient")
        slopes = np.reshape(regressor.coef_, (len(members), -1))[int(np.flatnonzero(members == column)[0])]
        return np.where(without_negligible(survey.ivar) > 0, self.scale_[column] * slopes, 0)

    def _filled(self, survey: Survey) -> np.ndarray:
        require_like(self.wavelength_, self.mean_flux_, survey)
        return np.where(without_negligible(survey.ivar) > 0, survey.flux - self.mean_flux_, np.float32(0))


class LabelsOnly(BaseEstimator):
    """Predict each label from the *other* labels as a model infers them from the flux, by quadratic regression.

    What it reaches without looking at anything but the other labels is what a shortcut can reach.

    Parameters
    ----------
    model : object with ``predict_labels(survey)``
        Already fitted; wrap it in `sklearn.frozen.FrozenEstimator` for a clone that keeps its fit.
    """

    def __init__(self, model: Any):
        self.model = model

    def fit(self, survey: Survey) -> "LabelsOnly":
        """Regress each label on the others as inferred, weighting stars by the label's error.

        Raises
        ------
        ValueError
            If there are no others, or one is missing or the same in every star.
        """
        require_labels(survey)
        if survey.n_labels < _LEAST_LABELS:
            raise ValueError(
                f"the survey has the labels {', '.join(survey.label_names) or 'none'}: there are no others"
            )
        inferred = self.model.predict_labels(survey)
        self.names_ = survey.label_names
        self.fitted_ = []
        for column, name in enumerate(self.names_):
            present = ~np.isnan(survey.labels[:, column])
            regressor = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegression())
            weight = survey.label_err[present, column] ** -2.0
            regressor.fit(
                self._others(inferred, name)[present],
                survey.labels[present, column],
                linearregression__sample_weight=weight / weight.mean(),
            )
            self.fitted_.append(regressor)
        return self

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return each label as the other inferred labels give it; the errors are not known (NaN)."""
        check_is_fitted(self)
        inferred = self.model.predict_labels(survey)
        columns = [
            regressor.predict(self._others(inferred, name))
            for name, regressor in zip(self.names_, self.fitted_, strict=True)
        ]
        labels = np.stack(columns, axis=1)
        return Prediction(self.names_, labels, np.full(labels.shape, np.nan))

    def _others(self, inferred: Prediction, name: str) -> np.ndarray:
        return np.stack([inferred.label(other) for other in self.names_ if other != name], axis=1)
