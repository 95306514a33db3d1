r"""Lux: a linear latent-variable model that generates labels and spectra together.

.. math:: l_n \sim N(a + A z_n, \sigma_{l,n}^2), \quad f_n \sim N(b + B z_n, \sigma_{f,n}^2 + s_\lambda^2), \quad
          z_n \sim N(0, \Omega^2 I)

after Horta et al. 2025 (AJ 169, 314), with intercepts. The latents are integrated out: the fit climbs the likelihood of
A, B, a, b and s alone by expectation-maximisation, whose two steps are weighted least-squares problems, exactly solved.
After each cycle the latents are whitened, which removes the slow direction of the climb (parameter-expanded EM, Liu,
Rubin & Wu 1998, Biometrika 85, 755). ``algorithm="als"`` leaves out the posterior covariance and the whitening, and so
is the alternating least squares of the published study.
"""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from lux.models.e_step import infer, total_weight
from lux.models.em import Fit, blocks, excess_scatter, on_device, principal_axes
from lux.models.prediction import Prediction
from lux.storage import atomic_write
from lux.survey import Survey

FORMAT = "lux-model-2"
STARTS = ("pca", "labels", "random")
ALGORITHMS = ("em", "als")
_FITTED = (
    "wavelength_", "label_names_", "label_units_", "label_center_", "label_scale_", "A_", "a_", "B_", "b_", "scatter_",
    "weight_", "prior_precision_", "label_coefficient_covariance_", "label_scatter_", "latents_", "history_",
    "converged_",
)  # fmt: skip


class Lux:
    """The Lux model.

    Parameters
    ----------
    n_latents : int
        Number of latents, P.
    start : {"pca", "labels", "random"}
        Where the latents of the training stars begin: the weighted principal components of their flux; their
        labels scaled to zero median and unit spread, with almost nothing in the other latents (as published); or noise.
    omega : float
        Prior standard deviation of each latent.
    algorithm : {"em", "als"}
        Maximum marginal likelihood, or joint maximum of latents and coefficients by plain alternation (as published).
    fit_scatter : bool
        Fit the unreported scatter of each pixel; otherwise it is zero.
    max_cycles : int
        Most cycles of the fit.
    tolerance : float
        The fit has converged when a cycle moves the labels read off the training latents by less than this fraction
        of their errors (root mean square over stars and labels).
    block_size : int
        Stars handled at a time.
    seed : int
        Of the random start.
    progress : bool or None
        Show a progress line on standard error; None shows it on a terminal only.

    Attributes
    ----------
    A_, a_ : (M, P), (M,) arrays
        Label loadings and intercepts, in the labels' units.
    B_, b_ : (D, P), (D,) arrays
        Flux loadings and intercepts.
    scatter_ : (D,) array
        Standard deviation of the unreported scatter, s_lambda.
    weight_ : (D,) array
        Mean over the training stars of the weight of each pixel, 1 / (1 / ivar + s_lambda^2).
    label_coefficient_covariance_ : (M, P + 1, P + 1) array
        Covariance of each label's intercept and loadings, from the finite number of training stars.
    label_scatter_ : (M,) array
        What each label of the training stars does beyond its catalogue error and the errors of its prediction from
        flux, as a standard deviation: what the latents do not know of it. It enters the predicted errors only.
    latents_ : (N, P) array
        Latents of the training stars given labels and flux.
    prior_precision_ : (P, P) array
        Inverse covariance of the latents; I / omega^2 until `rotate` changes the gauge.
    history_ : (cycles,) array
        Log-likelihood before each cycle ("em": of the data with latents integrated out; "als": of data and latents).
    converged_ : bool
    wavelength_, label_names_, label_units_
        As in the training survey.

    Examples
    --------
    >>> model = Lux(n_latents=8).fit(train)                # doctest: +SKIP
    >>> model.predict_labels(test).label("eu_fe")          # doctest: +SKIP
    """

    def __init__(
        self, n_latents: int = 21, start: str = "pca", omega: float = 1.0, *, algorithm: str = "em",
        fit_scatter: bool = True, max_cycles: int = 100, tolerance: float = 5e-3, block_size: int = 512, seed: int = 0,
        progress: bool | None = None,
    ):  # fmt: skip
        if start not in STARTS:
            raise ValueError(f"unknown start {start!r}; expected one of {', '.join(STARTS)}")
        if algorithm not in ALGORITHMS:
            raise ValueError(f"unknown algorithm {algorithm!r}; expected one of {', '.join(ALGORITHMS)}")
        for name, value in (("n_latents", n_latents), ("max_cycles", max_cycles), ("block_size", block_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not (np.isfinite(omega) and omega > 0):
            raise ValueError(f"omega is a standard deviation and must be positive and finite, got {omega}")
        self.n_latents = n_latents
        self.start = start
        self.omega = omega
        self.algorithm = algorithm
        self.fit_scatter = fit_scatter
        self.max_cycles = max_cycles
        self.tolerance = tolerance
        self.block_size = block_size
        self.seed = seed
        self.progress = progress

    def __repr__(self) -> str:
        state = "fitted" if hasattr(self, "B_") else "not fitted"
        return f"Lux(n_latents={self.n_latents}, start={self.start!r}, omega={self.omega}, {state})"

    def fit(self, survey: Survey) -> "Lux":
        """Fit the model to a survey and return it.

        Raises
        ------
        ValueError
            If there are fewer stars than latents, a label is constant or missing everywhere, a pixel is masked in
            every star, or the fit breaks down in single precision.

        Warns
        -----
        ConvergenceWarning
            If `max_cycles` pass before `tolerance` is met.
        """
        _require_trainable(survey, self.n_latents)
        self.wavelength_, self.label_names_, self.label_units_ = (
            survey.wavelength, survey.label_names, survey.label_units,
        )  # fmt: skip
        self.label_center_, self.label_scale_ = _center_and_scale(survey)
        fit = Fit(self, survey)
        fit.run()
        fit.hand_over(self)
        if self.algorithm == "em":
            self.__dict__.update(self.canonical().__dict__)
        self.label_scatter_ = self._missing_label_scatter(survey)
        if not self.converged_:
            warnings.warn(
                f"Lux did not converge: after {self.max_cycles} cycles the labels still move by {fit.movement:.2g} of "
                f"their errors per cycle (tolerance {self.tolerance:g}); raise max_cycles or the tolerance",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def infer_latents(self, survey: Survey) -> np.ndarray:
        """Return the posterior mean of the latents (N, P) given flux alone.

        Raises
        ------
        ValueError
            If the wavelengths are not those of the training survey, or the model is not fitted.
        """
        return np.concatenate([mean for mean, _ in self._infer(survey)])

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the labels given flux alone; labels of `survey` are not looked at.

        The covariance is that of the latents' posterior and of the label coefficients, plus the label scatter. The
        scatter is that of the training stars: for stars unlike them it may be too small.

        Raises
        ------
        ValueError
            As `infer_latents`.
        """
        latents, covariance = self._label_covariance(survey)
        covariance = covariance + np.diag(self.label_scatter_**2)
        err = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return Prediction(self.label_names_, self.a_ + latents @ self.A_.T, err, covariance)

    def _label_covariance(self, survey: Survey) -> tuple[np.ndarray, np.ndarray]:
        """Return the latents (N, P) given flux alone, and the covariance (N, M, M) of labels without scatter."""
        latents, covariances = [], []
        for mean, covariance in self._infer(survey):
            latents.append(mean)
            covariances.append(self.A_ @ covariance @ self.A_.T + self._coefficient_variance(mean, covariance))
        return np.concatenate(latents), np.concatenate(covariances)

    def _missing_label_scatter(self, survey: Survey) -> np.ndarray:
        """Return by how much (M,) labels of the training stars miss the prediction beyond all stated errors.

        A star pulls the label coefficients towards its own label; its residual is taken without that pull.
        """
        latents, covariance = self._label_covariance(survey)
        factors = np.concatenate([np.ones((survey.n_stars, 1)), latents], axis=1)
        leverage = np.einsum("ni,mij,nj->nm", factors, self.label_coefficient_covariance_, factors, optimize=True)
        pull = np.minimum(leverage / survey.label_err**2, 0.5)
        residual = (survey.labels - self.a_ - latents @ self.A_.T) / (1 - pull)
        variance = survey.label_err**2 + np.diagonal(covariance, axis1=1, axis2=2)
        columns = zip(residual.T, variance.T, ~np.isnan(survey.labels.T), strict=True)
        return np.array([excess_scatter(each[there], stated[there]) for each, stated, there in columns])

    def _coefficient_variance(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return what the errors of the label coefficients add to the label covariances, (n, M, M), diagonal."""
        factors = np.concatenate([np.ones((len(mean), 1)), mean], axis=1)
        coefficients = self.label_coefficient_covariance_
        variance = np.einsum("ni,mij,nj->nm", factors, coefficients, factors, optimize=True)
        variance += np.einsum("nij,mij->nm", covariance, coefficients[:, 1:, 1:], optimize=True)
        return variance[:, :, None] * np.eye(len(self.a_))

    def predict_flux(self, survey: Survey) -> np.ndarray:
        """Return the flux (N, D) that the model gives for the latents inferred from the flux of `survey`."""
        return (self.b_ + self.infer_latents(survey) @ self.B_.T).astype(np.float32)

    def label_jacobian(self, survey: Survey) -> np.ndarray:
        r"""Return the derivative of the inferred labels with respect to the flux, (M, D), at the survey's mean weights.

        It is :math:`A (B^T W B + \Lambda)^{-1} B^T W` with prior precision :math:`\Lambda`, in label units per unit of
        normalised flux, and does not depend on the gauge.
        """
        self._require_grid(survey)
        weight = np.zeros(survey.n_pixels)
        for start in range(0, survey.n_stars, self.block_size):
            ivar = survey.ivar[start : start + self.block_size].astype(float)
            weight += np.sum(ivar / (1 + ivar * self.scatter_**2), axis=0)
        weighted = (self.B_ * (weight / survey.n_stars)[:, None]).T
        return self.A_ @ np.linalg.solve(weighted @ self.B_ + self.prior_precision_, weighted)

    def rotate(self, matrix: np.ndarray) -> "Lux":
        """Return the same model with latents z' = G z, for an invertible G (P, P); every prediction is unchanged.

        Raises
        ------
        ValueError
            If `matrix` is not a finite, invertible (P, P) matrix.
        """
        self._require_fitted()
        matrix = np.asarray(matrix, float)
        shape = (self.n_latents, self.n_latents)
        if matrix.shape != shape or not np.all(np.isfinite(matrix)) or np.linalg.cond(matrix) > 1e12:
            raise ValueError(f"a change of gauge needs a finite, invertible {shape} matrix, got {matrix.shape}")
        inverse = np.linalg.inv(matrix)
        rotated = self._copy()
        rotated.A_, rotated.B_ = self.A_ @ inverse, self.B_ @ inverse
        rotated.latents_ = self.latents_ @ matrix.T
        change = np.eye(self.n_latents + 1)
        change[1:, 1:] = inverse.T
        rotated.label_coefficient_covariance_ = change @ self.label_coefficient_covariance_ @ change.T
        rotated.prior_precision_ = inverse.T @ self.prior_precision_ @ inverse
        return rotated

    def canonical(self) -> "Lux":
        """Return the model in the canonical gauge.

        There the latents have prior covariance omega^2 I and are the principal directions of the flux loadings at the
        mean weights of training, the strongest first, each with the sign that makes its largest label loading (in label
        standard deviations) positive.
        """
        self._require_fitted()
        model = self.rotate(self.omega * np.linalg.cholesky(self.prior_precision_).T)
        return model.rotate(principal_axes(model.A_ / self.label_scale_[:, None], model.B_, self.weight_))

    def shrunk(self) -> "Lux":
        """Return the model, in the canonical gauge, without the part of the flux loadings that is noise.

        Loadings fitted to N stars carry noise that new spectra do not share, of information D / N per latent at unit
        variance. Left in, it counts as signal of a new star and pulls weak latents to zero. Each latent's loadings are
        multiplied by the fraction of their information that is not noise (James & Stein 1961; here the posterior mean
        under a Gaussian prior fitted to the loadings). The result is no longer the maximum of the likelihood, but
        predicts better where latents are weak and D is not small beside N.
        """
        model = self.canonical()
        information = np.sum(model.B_**2 * model.weight_[:, None], axis=0)
        noise = len(model.B_) / len(model.latents_) / self.omega**2
        model.B_ = model.B_ * np.maximum(0, 1 - noise / np.maximum(information, noise))
        return model

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to one file (NumPy archive without pickle), whole or not at all."""
        self._require_fitted()
        settings = {name: getattr(self, name) for name in self._settings()}
        arrays = {name: np.asarray(getattr(self, name)) for name in _FITTED}
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, format=FORMAT, settings=json.dumps(settings), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Lux":
        """Read a model that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, damaged, or not a Lux model.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no model file at {path}")
        try:
            with np.load(path, allow_pickle=False) as archive:
                if str(archive["format"]) != FORMAT:
                    raise ValueError(f"format {archive['format']}")
                settings = json.loads(str(archive["settings"]))
                arrays = {name: archive[name] for name in _FITTED}
        except Exception as error:
            raise ValueError(f"{path} cannot be read as a Lux model (truncated or foreign): {error}") from error
        model = cls(settings.pop("n_latents"), settings.pop("start"), settings.pop("omega"), **settings)
        for name, value in arrays.items():
            setattr(model, name, value)
        model.label_names_ = tuple(model.label_names_.tolist())
        model.label_units_ = tuple(model.label_units_.tolist())
        model.converged_ = bool(model.converged_)
        return model

    def _settings(self) -> tuple[str, ...]:
        return (
            "n_latents", "start", "omega", "algorithm", "fit_scatter", "max_cycles", "tolerance", "block_size", "seed",
            "progress",
        )  # fmt: skip

    def _copy(self) -> "Lux":
        copy = object.__new__(Lux)
        copy.__dict__.update(self.__dict__)
        return copy

    def _require_fitted(self) -> None:
        if not hasattr(self, "B_"):
            raise NotFittedError("this Lux model is not fitted; call fit(survey) first")

    def _require_grid(self, survey: Survey) -> None:
        self._require_fitted()
        if survey.n_pixels != len(self.wavelength_):
            raise ValueError(
                f"the survey has {survey.n_pixels} pixels, the model was trained on {len(self.wavelength_)}; "
                "use one wavelength grid for both"
            )
        differ = np.abs(survey.wavelength - self.wavelength_) > 1e-6 * self.wavelength_
        if np.any(differ):
            pixel = int(np.argmax(differ))
            raise ValueError(
                f"the survey's grid differs from the training grid: pixel {pixel} is at "
                f"{survey.wavelength[pixel]:.3f} A, in training at {self.wavelength_[pixel]:.3f} A; "
                "resample the spectra to one grid"
            )

    def _infer(self, survey: Survey) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield mean and covariance of the latents given flux alone, block by block, in double precision."""
        self._require_grid(survey)
        linear, variance = on_device(((self.b_, self.B_), self.scatter_**2))
        for block in blocks(survey, self.block_size):
            prior = np.broadcast_to(self.prior_precision_, (len(block.flux), *self.prior_precision_.shape))
            moment = np.zeros((len(block.flux), self.n_latents))
            weight = total_weight(block.ivar, variance)
            posterior = infer(block.flux, weight, linear, *on_device((prior, moment)))
            yield block.real(posterior.mean), block.real(posterior.covariance)


def _center_and_scale(survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    return np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)


def _require_trainable(survey: Survey, n_latents: int) -> None:
    if survey.n_stars <= n_latents:
        raise ValueError(f"{survey.n_stars} stars cannot fix {n_latents} latents; use more stars or fewer latents")
    for column, name in enumerate(survey.label_names):
        values = survey.labels[:, column]
        present = values[~np.isnan(values)]
        if present.size == 0:
            raise ValueError(f"label {name!r} is missing in every training star; leave it out")
        if np.all(present == present[0]):
            raise ValueError(f"label {name!r} is {present[0]} in every training star; leave it out")
    masked = ~np.any(survey.ivar > 0, axis=0)
    if np.any(masked):
        pixel = int(np.argmax(masked))
        raise ValueError(
            f"pixel {pixel} ({survey.wavelength[pixel]:.3f} A) is masked in every training star ({masked.sum()} such "
            "pixels); call drop_masked_pixels() on the survey before it is split"
        )
