r"""Where in the spectrum a label comes from: three maps that answer three different questions.

- forward, :math:`\partial E[f \mid l] / \partial l_m` at fixed other labels: what the flux does when a label changes;
- pattern, :math:`\mathrm{Cov}(f, \hat l_m) / \mathrm{Var}(\hat l_m)` (Haufe et al. 2014, NeuroImage 87, 96): what the
  flux does where the inferred label is higher, everything else moving along;
- backward, :math:`J = \partial \hat l_m / \partial f`: how the model weighs each pixel.

All are functions of A, B and the prior only through products that no change of gauge alters, or of the survey alone.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from lux.diagnostics.checks import require_labels, require_variation
from lux.models.prediction import Prediction, label_row
from lux.models.weights import mean_pixel_weight
from lux.statistics import PermutationTest, quadratic_terms, require_count
from lux.store.label_names import plain_name
from lux.survey import Survey

if TYPE_CHECKING:
    from lux.models.lux import Lux


@dataclasses.dataclass(frozen=True)
class SaliencyMap:
    """One kind of map of every label: `values` and their standard errors `err` (M, D), the error NaN where unknown."""

    wavelength: np.ndarray
    label_names: tuple[str, ...]
    values: np.ndarray
    err: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """Return the map of one label, (D,)."""
        return self.values[label_row(self.label_names, name)]

    def z(self, name: str) -> np.ndarray:
        """Return the map of one label over its error, (D,)."""
        return self.of(name) / self.err[label_row(self.label_names, name)]


@dataclasses.dataclass(frozen=True)
class ExcessMap:
    """The backward map of what a label holds beyond the other labels.

    `values`, `err` and `z` (D,): the map, its standard error and their ratio; `largest`: the test of max |z| against
    the same map of permuted excess.
    """

    wavelength: np.ndarray
    values: np.ndarray
    err: np.ndarray
    z: np.ndarray
    largest: PermutationTest


def forward_map(survey: Survey) -> SaliencyMap:
    r"""Return the derivative of the flux with respect to each label at fixed others, (M, D), flux per label unit.

    It is :math:`\mathrm{Cov}(f, l) [\mathrm{Cov}(l) - \mathrm{diag}(\overline{\sigma_l^2})]^{-1}`: the regression of
    the flux on labels whose errors are known, which without the subtraction would be biased (Fuller 1987, Measurement
    Error Models, section 2.2). It knows no model. Standard errors are those of M-estimation.

    Raises
    ------
    ValueError
        If the errors explain all the variance that the labels have beyond one another, a label is missing in every star
        or the same in all, or no star has all labels.
    """
    require_labels(survey, survey.label_names)
    present = np.all(np.isfinite(survey.labels), axis=1)
    if not present.any():
        raise ValueError("no star has all labels; leave out those that few stars have, by select_labels of the survey")
    for name in survey.label_names:
        require_variation(survey.label(name)[present], name)
    center, unit = np.mean(survey.labels[present], axis=0), np.std(survey.labels[present], axis=0)
    labels, noise = (survey.labels[present] - center) / unit, survey.label_err[present] ** 2 / unit**2
    corrected = labels.T @ labels / len(labels) - np.diag(noise.mean(axis=0))
    if np.linalg.eigvalsh(corrected)[0] <= 0:
        raise ValueError(
            "the errors of the labels exceed the variance that the labels have beyond one another: no derivative at "
            "fixed other labels can be found; use more stars or fewer labels"
        )
    # The intercept is a label without error.
    design = np.pad(labels, ((0, 0), (1, 0)), constant_values=1).astype(np.float32)
    noise = np.pad(noise, ((0, 0), (1, 0))).astype(np.float32)
    good = (survey.ivar[present] > 0).astype(np.float32)
    flux = (survey.flux[present] - 1) * good
    size = design.shape[1]
    products = np.einsum("ni,nj->nij", design, design).reshape(len(design), -1)
    products[:, :: size + 1] -= noise
    normal = (products.T @ good).T.reshape(-1, size, size).astype(float)
    empty = np.einsum("dii->d", normal) == 0
    inverse = np.linalg.inv(normal + empty[:, None, None] * np.eye(size))
    values = np.einsum("dij,dj->id", inverse, (design.T @ flux).T.astype(float))
    residual = (flux - design @ values.astype(np.float32)) * good
    err = [_forward_error(inverse[:, row].T, values, design, noise, good, residual) for row in range(1, size)]
    return SaliencyMap(survey.wavelength, survey.label_names, values[1:] / unit[:, None], np.array(err) / unit[:, None])


def _forward_error(
    row: np.ndarray,
    values: np.ndarray,
    design: np.ndarray,
    noise: np.ndarray,
    good: np.ndarray,
    residual: np.ndarray,
) -> np.ndarray:
    """Return the standard error (D,) of one label's forward map from the scatter of the stars' contributions.

    `row` (M + 1, D): that label's row of the inverse normal matrix of each pixel.
    """
    influence = (design @ row.astype(np.float32)) * residual
    influence += noise @ (row * values).astype(np.float32) * good
    return np.sqrt(np.einsum("nd,nd->d", influence, influence, dtype=float))


def pattern_map(model: "Lux", survey: Survey) -> SaliencyMap:
    r"""Return the pattern of each label, (M, D): the change of flux per unit of the inferred label.

    Under the model :math:`\mathrm{Cov}(f, \hat l) = B \Lambda^{-1} A^T` with the prior precision :math:`\Lambda`,
    whatever the noise, and :math:`\mathrm{Var}(\hat l) = J B \Lambda^{-1} A^T` at the mean weights of the survey.
    """
    covariance = model.B_ @ np.linalg.solve(model.prior_precision_, model.A_.T)
    variance = np.diagonal(model.label_jacobian(survey) @ covariance)
    values = covariance.T / variance[:, None]
    return SaliencyMap(model.wavelength_, model.label_names_, values, np.full(values.shape, np.nan))


def backward_map(model: "Lux", survey: Survey) -> SaliencyMap:
    r"""Return the Jacobian of each label, (M, D), in label units per unit of flux, with its standard error.

    The errors are those that the finite number N of training stars leaves: in A through its coefficient covariance,
    raised where the survey's labels scatter about the prediction by more than their errors, in B through
    :math:`\mathrm{Cov}(B_d) = \Lambda / (N w_d)`, in the fitted scatter through :math:`\mathrm{Var}(\ln w_d) = 2 / N`,
    carried to J to first order, the inverse held fixed. The error is NaN of a label that no star of the survey has.
    """
    jacobian = model.label_jacobian(survey)
    response = model.latent_jacobian(survey)
    weight = mean_pixel_weight(survey, model.scatter_)
    n_train = len(model.latents_)
    err = np.empty(jacobian.shape)
    scatter = _scatter_about(model.predict_labels(survey), survey)
    # A scatter that would as soon be negative is fitted as zero: of its variance a half minus 1 / (2 pi) is left.
    free = np.where(model.scatter_**2 * weight > np.sqrt(2 / n_train), 1, 0.5 - 0.5 / np.pi) * model.fit_scatter
    # J = A V with V = (B'WB + Lambda)^-1 B'W, and V_d = (...)^-1 B_d w_d.
    inverse = np.linalg.inv((model.B_ * weight[:, None]).T @ model.B_ + model.prior_precision_)
    for row, loading in enumerate(model.A_):
        coefficients = np.maximum(1.0, scatter[row]) * model.label_coefficient_covariance_[row, 1:, 1:]
        from_labels = np.einsum("pd,pq,qd->d", response, coefficients, response, optimize=True)
        back = inverse @ loading
        from_flux = weight / n_train * (back @ model.prior_precision_ @ back)
        from_scatter = free * 2 / n_train * jacobian[row] ** 2
        err[row] = np.sqrt(from_labels + from_flux + from_scatter)
    return SaliencyMap(model.wavelength_, model.label_names_, jacobian, err)


def _scatter_about(prediction: Prediction, survey: Survey) -> np.ndarray:
    """Return the mean square (M,) of the survey's labels about a prediction, in label errors; NaN where it has none."""
    known = [row for row, name in enumerate(prediction.names) if _is_known(survey, name)]
    scatter = np.full(len(prediction.names), np.nan)
    if known:
        predicted, same = prediction.labels, survey
        if len(known) < len(scatter) or survey.label_names != prediction.names:
            predicted, same = predicted[:, known], survey.select_labels([prediction.names[row] for row in known])
        scatter[known] = np.nanmean(((same.labels - predicted) / same.label_err) ** 2, axis=0)
    return scatter


def _is_known(survey: Survey, name: str) -> bool:
    """Return whether some star of the survey has the label, in whatever spelling."""
    has = plain_name(name) in map(plain_name, survey.label_names)
    return has and bool(np.any(np.isfinite(survey.label(name))))


def excess_map(model: "Lux", survey: Survey, name: str, *, n_permutations: int = 1000, seed: int = 0) -> ExcessMap:
    """Return the backward map of what a label holds beyond the other labels, and whether any pixel of it is real.

    The label minus its expectation from the other labels, as inferred from flux, is regressed on the latents inferred
    from flux, and the coefficients are carried to the pixels. Permuting the excess among stars gives the null: it keeps
    every relation of flux and other labels. The regression on latents, and so all of it, is free of the gauge.

    Parameters
    ----------
    model : Lux
        Fitted.
    survey : Survey
        Stars that the model was not trained on: the latents of training stars know a little of their labels' errors,
        and p-values come out too small.
    name : str
    n_permutations, seed : int

    Raises
    ------
    ValueError
        If survey or model lack the label, it is the same in every star, or nothing is permuted.
    """
    present = _permutable(survey, name, n_permutations)
    # The other labels are regressed out of the permuted excess once more, as they were of the excess itself.
    basis = _other_labels(model, survey, name)
    excess = survey.label(name)[present]
    excess = excess - basis @ (basis.T @ excess)
    generator = np.random.default_rng(seed)
    permuted = np.stack([generator.permutation(excess) for _ in range(n_permutations)])
    permuted -= permuted @ basis @ basis.T
    latents, response = model.infer_latents(survey)[present], model.latent_jacobian(survey)
    values, err = _regressed(excess[None], latents, response)
    null_values, null_err = _regressed(permuted, latents, response)
    z = (values / err)[0]
    null = np.max(np.abs(null_values / null_err), axis=1)
    return ExcessMap(survey.wavelength, values[0], err[0], z, PermutationTest(float(np.max(np.abs(z))), null))


def permuted_label_maps(
    model: "Lux", survey: Survey, name: str, *, follows: bool = False, n_permutations: int = 200, seed: int = 0
) -> np.ndarray:
    """Return backward maps (n, D) of a label shuffled among the stars: what the map of nothing looks like.

    The data-randomisation test (Adebayo et al. 2018). The latents are those that the flux gives under the fitted B: one
    label of five hardly moves it, so that only the regression of the label on the latents is repeated.

    Parameters
    ----------
    model : Lux
        Fitted.
    survey : Survey
    name : str
    follows : bool
        Shuffle only what the label holds beyond the other labels, as inferred from flux: the maps are those of a label
        that follows the others as this one does and has no line.
    n_permutations, seed : int

    Raises
    ------
    ValueError
        As `excess_map`.
    """
    present = _permutable(survey, name, n_permutations)
    label, latents = survey.label(name)[present], model.infer_latents(survey)[present]
    expected = np.zeros_like(label)
    if follows:
        basis = _other_labels(model, survey, name)
        expected = basis @ (basis.T @ label)
    generator = np.random.default_rng(seed)
    permuted = np.stack([expected + generator.permutation(label - expected) for _ in range(n_permutations)])
    return _regressed(permuted, latents, model.latent_jacobian(survey))[0]


def _permutable(survey: Survey, name: str, n_permutations: int) -> np.ndarray:
    """Return which stars (N,) have a label; ValueError if permuting it among them would change nothing."""
    require_count("n_permutations", n_permutations)
    require_labels(survey, [name])
    present = np.isfinite(survey.label(name))
    require_variation(survey.label(name)[present], name)
    return present


def _other_labels(model: "Lux", survey: Survey, name: str) -> np.ndarray:
    """Return an orthonormal basis (n, K) of the other labels inferred from flux, of stars that have the label.

    It spans a constant and their `quadratic_terms`.
    """
    prediction = model.predict_labels(survey)
    names = prediction.names
    own = names.index(name) if name in names else label_row([plain_name(each) for each in names], plain_name(name))
    others = np.delete(prediction.labels, own, axis=1)
    present = np.isfinite(survey.label(name))
    return np.linalg.qr(np.column_stack([np.ones(len(others)), quadratic_terms(others)])[present])[0]


def _regressed(labels: np.ndarray, latents: np.ndarray, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (R, N) regressed on latents (N, P) and carried to the pixels by response (P, D), and errors."""
    centered = latents - latents.mean(axis=0)
    inverse = np.linalg.inv(centered.T @ centered)
    deviation = labels - labels.mean(axis=1, keepdims=True)
    coefficients = deviation @ centered @ inverse
    degrees_of_freedom = centered.shape[0] - centered.shape[1] - 1
    residual = np.sum(deviation**2, axis=1) - np.sum((coefficients @ (centered.T @ centered)) * coefficients, axis=1)
    unit_err = np.sqrt(np.einsum("pd,pq,qd->d", response, inverse, response, optimize=True))
    return coefficients @ response, np.sqrt(np.maximum(residual, 0) / degrees_of_freedom)[:, None] * unit_err


def similarity(saliency: SaliencyMap, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the cosines (M, M) between the maps of the labels; `weight` (D,) of the pixels in the scalar product."""
    scaled = saliency.values * np.sqrt(1.0 if weight is None else weight)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled @ scaled.T


def explained_by_other_labels(
    saliency: SaliencyMap, name: str, weight: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return the best combination (D,) of the other labels' maps for one label's map, and the fraction it explains.

    The fraction is 1 minus squared residual over squared map, in the scalar product of `weight` (D,).
    """
    root = np.sqrt(np.ones(len(saliency.wavelength)) if weight is None else weight)
    target, others = saliency.of(name), np.delete(saliency.values, saliency.label_names.index(name), axis=0)
    unit = np.linalg.norm(others * root, axis=1)
    coefficients = np.linalg.lstsq((others * root).T / unit, target * root)[0] / unit
    combined = coefficients @ others
    return combined, 1 - np.sum(root**2 * (target - combined) ** 2) / np.sum(root**2 * target**2)


def noise_fraction(saliency: SaliencyMap, name: str, weight: np.ndarray) -> float:
    """Return the fraction of a label's squared map that its errors are expected to make, pixels weighed (D,)."""
    row = saliency.label_names.index(name)
    return float(weight @ saliency.err[row] ** 2 / (weight @ saliency.values[row] ** 2))


def half_mass_fraction(values: np.ndarray) -> float:
    """Return the smallest fraction of pixels that holds half of the sum of absolute values of a map (D,)."""
    sizes = np.sort(np.abs(values))[::-1]
    return float((np.searchsorted(np.cumsum(sizes), 0.5 * sizes.sum()) + 1) / len(sizes))
