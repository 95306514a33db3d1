r"""Lux: a linear latent-variable model that generates labels and spectra together.

.. math:: l_n \sim N(a + A z_n, \sigma_{l,n}^2), \quad f_n \sim N(b + B z_n, \sigma_{f,n}^2 + s_\lambda^2), \quad
          z_n \sim N(0, \Omega^2 I)

after Horta et al. 2025 (AJ 169, 314), with intercepts. The latents are integrated out: the fit maximizes the
likelihood of A, B, a, b and s alone by expectation-maximization, whose two steps are weighted least-squares problems,
exactly solved. After each cycle the latents are whitened, which removes the slow direction of the optimization
(parameter-expanded EM, Liu, Rubin & Wu 1998, Biometrika 85, 755). ``algorithm="als"`` leaves out the posterior
covariance and the whitening, and so is the alternating least squares of the published study.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from lux.models import em, gauge, label_inference
from lux.models.cluster import spread
from lux.models.parameters import Parameters, Settings
from lux.models.prediction import Prediction, label_row
from lux.models.requirements import require_labels, require_like
from lux.models.weights import mean_pixel_weight, pixel_weight
from lux.store.files import atomic_write, refuse_another_file
from lux.store.user_warnings import warn_user
from lux.survey import Survey

_FORMAT = "lux-model-3"
# With which archives of NumPy begin.
_SIGNATURE = b"PK"
_FIELDS = tuple(field.name for field in dataclasses.fields(Parameters))
_FITTED = ("parameters_", *(f"{name}_" for name in _FIELDS))


class Lux(BaseEstimator):
    """The Lux model.

    Parameters
    ----------
    n_latents : int
        Number of latents, P.
    start : {"pca", "labels", "random"}
        Where the latents of the training stars begin: the weighted principal components of their flux; their labels
        scaled to zero median and unit standard deviation, with almost nothing in the other latents (as published); or
        noise.
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
    movement_ : float
        Root mean square by which the last cycle moved the labels, in units of their errors.
    converged_ : bool
    wavelength_, label_names_, label_units_
        As in the training survey.
    label_center_, label_scale_ : (M,) arrays
        Mean and standard deviation of the training labels.
    parameters_ : Parameters
        All of these in one frozen record; the other attributes read it.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> latents = generator.normal(size=(200, 2))
    >>> flux = 1 + 0.1 * latents @ generator.normal(size=(2, 50)) + 0.01 * generator.normal(size=(200, 50))
    >>> survey = Survey(
    ...     wavelength=15100 + 0.2 * np.arange(50),
    ...     flux=flux,
    ...     ivar=np.full((200, 50), 1e4),
    ...     labels=latents[:, :1] + 0.05 * generator.normal(size=(200, 1)),
    ...     label_err=np.full((200, 1), 0.05),
    ...     label_names=["fe_h"],
    ... )
    >>> train, test = survey.split(test_fraction=0.5, seed=0)
    >>> model = Lux(n_latents=2).fit(train)
    >>> model
    Lux(n_latents=2)
    >>> model.predict_labels(test).label("fe_h").shape
    (100,)
    >>> chi = (model.predict_labels(test).label("fe_h") - test.label("fe_h")) / 0.05
    >>> bool(np.std(chi) < 1.2)
    True
    """

    def __init__(
        self,
        n_latents: int = 21,
        start: str = "pca",
        omega: float = 1.0,
        *,
        algorithm: str = "em",
        fit_scatter: bool = True,
        max_cycles: int = 100,
        tolerance: float = 5e-3,
        block_size: int = 512,
        seed: int = 0,
        progress: bool | None = None,
    ):
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
        self._settings()

    def __getattr__(self, name: str) -> Any:
        """Return a fitted value: ``A_`` is ``parameters_.A``."""
        if name not in _FITTED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        check_is_fitted(self, msg="this %(name)s model is not fitted; call fit(survey) first")
        return getattr(self.parameters_, name.removesuffix("_"))

    def fit(self, survey: Survey, *, client: Any = None, checkpoint: str | os.PathLike | None = None) -> "Lux":
        """Fit the model to a survey and return it.

        Parameters
        ----------
        survey : Survey
            In memory, or opened by `lux.open`: then its spectra are read a block at a time in every cycle.
        client : distributed.Client, optional
            Of a Dask cluster whose workers take the sums over stars; the survey must be opened at a path that they can
            read.
        checkpoint : path, optional
            File that is written every two minutes and at the end. Where it exists, the fit goes on from it, to the
            result that it would have had without interruption; `max_cycles` and `tolerance` may have changed.

        Raises
        ------
        ValueError
            If there are fewer stars than latents, a label is constant or missing everywhere, a pixel is masked in
            every star, the fit breaks down in single precision, or the checkpoint is damaged or of another fit.
        OSError
            If a file changes or vanishes under the fit, or the disk has no room for the checkpoint.
        ConnectionError
            If the scheduler of the cluster is lost, or it has no worker.

        Warns
        -----
        ConvergenceWarning
            If `max_cycles` pass before `tolerance` is met.
        RuntimeWarning
            If a worker of the cluster is lost.
        """
        # A fit that fails leaves none of the one before, whose settings may have been others.
        self.__dict__.pop("parameters_", None)
        settings = self._settings()
        _require_trainable(survey, settings.n_latents)
        self.parameters_ = em.fit(survey, settings, client=client, checkpoint=checkpoint)
        if not self.converged_:
            warn_user(
                f"Lux did not converge: after {self.max_cycles} cycles the labels still move by {self.movement_:.2g} "
                f"of their errors per cycle (tolerance {self.tolerance:g}); raise max_cycles or the tolerance",
                ConvergenceWarning,
            )
        return self

    def infer_latents(self, survey: Survey) -> np.ndarray:
        """Return the posterior mean of the latents (N, P) given flux alone.

        Raises
        ------
        ValueError
            If the wavelengths are not those of the training survey, or the model is not fitted.
        """
        self._require_like(survey)
        return np.concatenate(
            [mean for mean, _ in label_inference.infer_latents(self.parameters_, survey, self.block_size)]
        )

    def predict_labels(self, survey: Survey, *, client: Any = None) -> Prediction:
        """Return the labels given flux alone; labels of `survey` are not looked at.

        The covariance is that of the latents' posterior and of the label coefficients, plus the label scatter. The
        scatter is that of the training stars: for stars unlike them it may be too small. With the client of a Dask
        cluster its workers infer them, as in `fit`.

        Raises
        ------
        ValueError
            As `infer_latents`.
        """
        self._require_like(survey)
        parts = spread(survey, self.block_size, client)
        labels, covariance = label_inference.infer_labels(self.parameters_, parts)
        covariance = covariance + np.diag(self.label_scatter_**2)
        err = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return Prediction(self.label_names_, labels, err, covariance)

    def predict_flux(self, survey: Survey) -> np.ndarray:
        """Return the flux (N, D) that the model gives for the latents inferred from the flux of `survey`."""
        return (self.b_ + self.infer_latents(survey) @ self.B_.T).astype(np.float32)

    def latent_jacobian(self, survey: Survey) -> np.ndarray:
        r"""Return the derivative of the inferred latents with respect to the flux, (P, D), at the mean weights.

        It is :math:`(B^T W B + \Lambda)^{-1} B^T W` with prior precision :math:`\Lambda`.
        """
        self._require_like(survey)
        return self.parameters_.latent_jacobian(mean_pixel_weight(survey, self.scatter_, self.block_size))

    def gradient(self, survey: Survey, label: str) -> np.ndarray:
        """Return the derivative of an inferred label with respect to each star's flux, (N, D), zero where masked.

        It is the row of A times the star's own (B^T W B + Lambda)^-1 B^T W: of the flux the inference is linear.

        Raises
        ------
        ValueError
            If the label is unknown, or as `infer_latents`.
        """
        self._require_like(survey)
        row = self.A_[label_row(self.label_names_, label)]
        covariances = label_inference.infer_latents(self.parameters_, survey, self.block_size)
        reading = np.concatenate([covariance @ row for _, covariance in covariances])
        return pixel_weight(survey.ivar, self.scatter_**2) * (reading @ self.B_.T)

    def label_jacobian(self, survey: Survey) -> np.ndarray:
        """Return the derivative of the inferred labels with respect to the flux, (M, D), at the mean weights.

        It is A times the `latent_jacobian`, in label units per unit of normalized flux, and does not depend on the
        gauge.
        """
        return self.A_ @ self.latent_jacobian(survey)

    def rotate(self, matrix: np.ndarray) -> "Lux":
        """Return the same model with latents z' = G z, for an invertible G (P, P); every prediction is unchanged.

        Raises
        ------
        ValueError
            If `matrix` is not a finite, invertible (P, P) matrix.
        """
        return self._with(gauge.rotate(self.parameters_, matrix))

    def canonical(self) -> "Lux":
        """Return the model in the canonical gauge.

        There the latents have prior covariance omega^2 I and are the principal directions of the flux loadings at the
        mean weights of training, the strongest first, each with the sign that makes its largest label loading (in label
        standard deviations) positive.
        """
        return self._with(gauge.canonical(self.parameters_, self.omega))

    def shrunk(self) -> "Lux":
        """Return the model, in the canonical gauge, without the part of the flux loadings that is noise.

        Loadings fitted to N stars carry noise that new spectra do not share, of information D / N per latent at unit
        variance. Left in, it counts as signal of a new star and pulls weak latents to zero. Each latent's loadings are
        multiplied by the fraction of their information that is not noise (James & Stein 1961; here the posterior mean
        under a Gaussian prior fitted to the loadings). The result is no longer the maximum of the likelihood, but
        predicts better where latents are weak and D is not small beside N.
        """
        return self._with(gauge.shrunk(self.parameters_, self.omega))

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted model to one file (NumPy archive without pickle), whole or not at all.

        Raises
        ------
        FileExistsError
            If a file is there that is no Lux model.
        OSError
            If the disk has no room.
        """
        check_is_fitted(self, msg="this %(name)s model is not fitted; call fit(survey) first")
        refuse_another_file(path, "Lux model", _SIGNATURE, _is_model)
        arrays = {name: getattr(self.parameters_, name) for name in _FIELDS}
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, format=_FORMAT, settings=json.dumps(dataclasses.asdict(self._settings())), **arrays)

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
                if str(archive["format"]) != _FORMAT:
                    raise ValueError(f"format {archive['format']}")
                settings = json.loads(str(archive["settings"]))
                values = {name: archive[name] for name in _FIELDS}
        except Exception as error:
            raise ValueError(f"{path} cannot be read as a Lux model (truncated or foreign): {error}") from error
        for name in ("label_names", "label_units"):
            values[name] = tuple(values[name].tolist())
        for name in ("movement", "converged"):
            values[name] = values[name].item()
        return cls(**settings)._with(Parameters(**values))

    def _settings(self) -> Settings:
        return Settings(**self.get_params())

    def _with(self, parameters: Parameters) -> "Lux":
        model = clone(self)
        model.parameters_ = parameters
        return model

    def _require_like(self, survey: Survey) -> None:
        require_like(self.wavelength_, self.b_, survey)


def _is_model(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as archive:
        return str(archive["format"]).startswith(_FORMAT.rstrip("0123456789")) if "format" in archive else False


def _require_trainable(survey: Survey, n_latents: int) -> None:
    require_labels(survey)
    if survey.n_stars <= n_latents:
        raise ValueError(f"{survey.n_stars} stars cannot fix {n_latents} latents; use more stars or fewer latents")
