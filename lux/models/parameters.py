"""What a fit of Lux is given, and what it finds."""

import dataclasses

import numpy as np

_STARTS = ("pca", "labels", "random")
_ALGORITHMS = ("em", "als")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one fit, as `lux.Lux` defines them.

    Raises
    ------
    ValueError
        If one of them makes no model.
    """

    n_latents: int
    start: str
    omega: float
    algorithm: str
    fit_scatter: bool
    max_cycles: int
    tolerance: float
    block_size: int
    seed: int
    progress: bool | None

    def __post_init__(self) -> None:
        if self.start not in _STARTS:
            raise ValueError(f"unknown start {self.start!r}; expected one of {', '.join(_STARTS)}")
        if self.algorithm not in _ALGORITHMS:
            raise ValueError(f"unknown algorithm {self.algorithm!r}; expected one of {', '.join(_ALGORITHMS)}")
        for name in ("n_latents", "max_cycles", "block_size", "seed"):
            if (value := getattr(self, name)) != round(value) or value < (name != "seed"):
                least = "at least 1" if name != "seed" else "not below 0"
                raise ValueError(f"{name} must be a whole number, {least}; got {value!r}")
            # Numbers of NumPy are not written as JSON.
            object.__setattr__(self, name, int(value))
        if isinstance(self.fit_scatter, np.bool_):
            object.__setattr__(self, "fit_scatter", bool(self.fit_scatter))
        if not (np.isfinite(self.omega) and self.omega > 0):
            raise ValueError(f"omega is a standard deviation and must be positive and finite, got {self.omega}")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance is how far labels may move, in units of their errors; got {self.tolerance}")
        for name in ("omega", "tolerance"):
            object.__setattr__(self, name, float(getattr(self, name)))


@dataclasses.dataclass(frozen=True, eq=False)
class Parameters:
    """A fitted Lux, in label units: N training stars, M labels, D pixels, P latents.

    Parameters
    ----------
    wavelength : (D,) array
    label_names, label_units : tuple of M str
    label_center, label_scale : (M,) arrays
        Mean and standard deviation of the training labels.
    A, a : (M, P), (M,) arrays
        Label loadings and intercepts.
    B, b : (D, P), (D,) arrays
        Flux loadings and intercepts.
    scatter : (D,) array
        Standard deviation of the unreported scatter.
    weight : (D,) array
        Mean weight of each pixel over the training stars.
    prior_precision : (P, P) array
        Inverse covariance of the latents.
    label_coefficient_covariance : (M, P + 1, P + 1) array
        Covariance of each label's intercept and loadings.
    label_scatter : (M,) array
        Scatter of the training labels beyond their errors and those of their prediction from flux.
    latents : (N, P) array
        Latents of the training stars given labels and flux.
    history : (cycles,) array
        Log-likelihood before each cycle.
    movement : float
        Root mean square by which the last cycle moved the labels, in units of their errors.
    converged : bool
    """

    wavelength: np.ndarray
    label_names: tuple[str, ...]
    label_units: tuple[str, ...]
    label_center: np.ndarray
    label_scale: np.ndarray
    A: np.ndarray
    a: np.ndarray
    B: np.ndarray
    b: np.ndarray
    scatter: np.ndarray
    weight: np.ndarray
    prior_precision: np.ndarray
    label_coefficient_covariance: np.ndarray
    label_scatter: np.ndarray
    latents: np.ndarray
    history: np.ndarray
    movement: float
    converged: bool

    def latent_jacobian(self, weight: np.ndarray) -> np.ndarray:
        r"""Return the derivative of the inferred latents with respect to the flux, (P, D), for weights (D,).

        It is :math:`(B^T W B + \Lambda)^{-1} B^T W` with prior precision :math:`\Lambda`.
        """
        weighted = (self.B * weight[:, None]).T
        return np.linalg.solve(weighted @ self.B + self.prior_precision, weighted)
