r"""Which pixels a prediction is owed to, for any model that has derivatives or at least predicts.

With the prediction :math:`F(f)` of a label from the flux f, and a baseline :math:`f'`, which is the mean spectrum
unless another is given:

- gradient, :math:`\partial F / \partial f_p`, of `gradient` of the model: by how much the prediction moves;
- gradient times input, :math:`(f_p - f'_p) \, \partial F / \partial f_p` (Shrikumar et al. 2017);
- integrated gradients, :math:`(f_p - f'_p) \int_0^1 \partial_p F(f' + \alpha (f - f')) d\alpha` (Sundararajan et al.
  2017), which sum to :math:`F(f) - F(f')`;
- SmoothGrad, the mean gradient of spectra with fresh noise (Smilkov et al. 2017);
- expected gradients, integrated ones averaged over baselines drawn from stars (Erion et al. 2021);
- occlusion, what the prediction loses when pixels take the baseline (Zeiler & Fergus 2014);
- SHAP over groups of pixels, what each group adds on average over all orders of joining (Lundberg & Lee 2017).

All but the gradient and SmoothGrad are in units of the label. Of a model that is linear in the flux all but those two
agree, pixel by pixel or summed over a group. None of them depends on the basis in which a model describes spectra, for
they see its predictions alone. Masked pixels are owed nothing.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from scipy.stats import spearmanr

from lux.diagnostics.checks import pixel_masks
from lux.models.prediction import Prediction
from lux.models.weights import mean_flux
from lux.statistics import PermutationTest, require_count
from lux.survey import Survey

# More groups would have too many coalitions.
_MAX_GROUPS = 12
_N_STEPS = 16
# Wavelengths of one grid agree to this fraction, as a model requires of its spectra.
_GRID = 1e-6


class Differentiable(Protocol):
    """A model that says how its predictions move with the flux: Lux, networks, linear regressions on flux."""

    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the labels of a survey's stars."""

    def gradient(self, survey: Survey, label: str) -> np.ndarray:
        """Return the derivative of a predicted label with respect to each star's flux, (N, D), zero where masked."""


def gradient_times_input(
    model: Differentiable, survey: Survey, label: str, baseline: np.ndarray | None = None
) -> np.ndarray:
    """Return gradient times distance from the baseline, (N, D) in label units.

    Parameters
    ----------
    model : object with ``gradient(survey, label)``
    survey : Survey
        The N stars whose predictions are explained.
    label : str
    baseline : (D,) or (N, D) array, optional
        Normalized flux; the mean spectrum of the survey by default.
    """
    distance = _distance(survey, _baseline(survey, baseline))
    return distance * model.gradient(survey, label)


def integrated_gradients(
    model: Differentiable, survey: Survey, label: str, baseline: np.ndarray | None = None, n_steps: int = _N_STEPS
) -> np.ndarray:
    """Return integrated gradients, (N, D) in label units; arguments as in `gradient_times_input`.

    The integral is a Gauss-Legendre sum of `n_steps` terms.
    """
    require_count("n_steps", n_steps)
    start = _baseline(survey, baseline)
    distance = _distance(survey, start)
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    mean = np.zeros(distance.shape)
    for place, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        mean += weight * model.gradient(_with_flux(survey, start + place * distance), label)
    return distance * mean


def smooth_gradient(
    model: Differentiable, survey: Survey, label: str, n_draws: int = 16, noise: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Return the mean gradient (N, D) of each spectrum with fresh noise, `noise` times its errors, in `n_draws`."""
    require_count("n_draws", n_draws)
    generator = np.random.default_rng(seed)
    error = noise / np.sqrt(np.where(survey.ivar > 0, survey.ivar, np.inf))
    mean = np.zeros(survey.flux.shape)
    for _ in range(n_draws):
        drawn = survey.flux + error * generator.normal(size=error.shape)
        mean += model.gradient(_with_flux(survey, drawn), label) / n_draws
    return mean


def expected_gradients(
    model: Differentiable,
    survey: Survey,
    label: str,
    background: Survey | None = None,
    n_draws: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """Return expected gradients, (N, D) in label units.

    Parameters
    ----------
    model, survey, label
        As in `gradient_times_input`.
    background : Survey, optional
        The stars that are baselines; those explained by default. Where one is masked, it has the mean spectrum.
    n_draws : int
        Baselines for each star, each at a place of its own between it and the star, spread evenly.
    seed : int

    Raises
    ------
    ValueError
        If there are no draws, or the background is on other wavelengths than the survey.
    """
    require_count("n_draws", n_draws)
    generator, background = np.random.default_rng(seed), survey if background is None else background
    if background.n_pixels != survey.n_pixels or not np.allclose(background.wavelength, survey.wavelength, _GRID, 0):
        raise ValueError(
            f"the background has {background.n_pixels} pixels from {background.wavelength[0]:.3f} A, the survey "
            f"{survey.n_pixels} from {survey.wavelength[0]:.3f} A; resample the spectra to one grid"
        )
    filled = np.where(background.ivar > 0, background.flux, mean_flux(background.flux, background.ivar))
    places = (np.arange(n_draws) + generator.uniform(size=(survey.n_stars, n_draws))) / n_draws
    mean = np.zeros(survey.flux.shape)
    for draw in range(n_draws):
        start = filled[generator.integers(len(filled), size=survey.n_stars)]
        distance = _distance(survey, start)
        moved = _with_flux(survey, start + places[:, draw, None] * distance)
        mean += distance * model.gradient(moved, label) / n_draws
    return mean


def occlusion(
    model: Any, survey: Survey, label: str, windows: Sequence[np.ndarray], baseline: np.ndarray | None = None
) -> np.ndarray:
    """Return what each prediction loses when windows of pixels take the baseline, (K, N) in label units.

    Parameters
    ----------
    model : object with ``predict_labels(survey)``
    survey, label, baseline
        As in `gradient_times_input`.
    windows : sequence of K boolean arrays (D,)
        Such as the surroundings of each line.

    Raises
    ------
    ValueError
        If a window is no boolean mask of the pixels.
    """
    pixels = pixel_masks(windows, survey.n_pixels)
    start = _baseline(survey, baseline)
    whole = model.predict_labels(survey).label(label)
    lost = [
        whole - model.predict_labels(_with_flux(survey, np.where(window, start, survey.flux))).label(label)
        for window in pixels
    ]
    return np.reshape(lost, (len(pixels), survey.n_stars))


def group_shap(
    model: Any, survey: Survey, label: str, groups: Mapping[str, np.ndarray], baseline: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return SHAP values (N,) of groups of pixels by name, in label units; all coalitions are tried.

    They sum to the difference of the prediction and that of the baseline, if every pixel is in a group. The explainer
    is shap's; a group that is absent has the baseline.

    Parameters
    ----------
    model, survey, label, baseline
        As in `occlusion`.
    groups : mapping of name to (D,) boolean arrays
        Such as those of `lux.diagnostics.attribution.line_groups`; no pixel in two groups.

    Raises
    ------
    ValueError
        If a group is no boolean mask, a pixel is in two groups, or there are none or more than 12.
    """
    if not 1 <= len(groups) <= _MAX_GROUPS:
        raise ValueError(f"{len(groups)} groups; 1 to {_MAX_GROUPS} can be handled, since all coalitions are tried")
    pixels = pixel_masks(groups.values(), survey.n_pixels, disjoint=True)
    start = _baseline(survey, baseline)
    with warnings.catch_warnings():
        # shap is slow to import, so nobody else should wait for it, and warns of progress bars that it does not draw.
        warnings.simplefilter("ignore")
        from shap import ExactExplainer, maskers

    def predicted(joined: np.ndarray) -> np.ndarray:
        """Return predictions (C, N) where groups have joined or not, (C, K)."""
        rows = []
        for members in joined > 0.5:
            absent = np.any(pixels[~members], axis=0)
            flux = np.where(absent, start, survey.flux)
            rows.append(model.predict_labels(_with_flux(survey, flux)).label(label))
        return np.array(rows)

    nobody = np.zeros((1, len(groups)))
    values = ExactExplainer(predicted, maskers.Independent(nobody))(nobody + 1).values[0]
    return dict(zip(groups, values.reshape(len(groups), -1), strict=True))


def contrast_at(values: np.ndarray, near: np.ndarray, n_shifts: int = 200, seed: int = 0) -> PermutationTest:
    """Test the sum of a map (D,) over pixels near lines, (D,) boolean, against the same pixels moved along the grid.

    The places where lines stand are no random ones, and strong
    features of other species cluster; the p-value says how rare the sum is among the places of this map, no more.
    """
    require_count("n_shifts", n_shifts)
    return PermutationTest(float(values[near].sum()), moved_along(near, n_shifts, seed).astype(float) @ values)


def moved_along(near: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return the same pixels (D,) moved along the grid as a whole, (count, D) boolean, clear of where they are."""
    shifts = np.random.default_rng(seed).permutation(np.arange(1, len(near)))
    moved = np.stack([np.roll(near, shift) for shift in shifts])
    return moved[~np.any(moved & near, axis=1)][:count]


def rank_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the rank correlation of the sizes of two maps (D,).

    Of a trained model and one with random weights: what a map keeps of it is owed to the spectra, not to what the model
    learnt (Adebayo et al. 2018).
    """
    return float(spearmanr(np.abs(first), np.abs(second)).statistic)


def _baseline(survey: Survey, baseline: np.ndarray | None) -> np.ndarray:
    """Return the baseline, which broadcasts to (N, D)."""
    start = mean_flux(survey.flux, survey.ivar) if baseline is None else np.asarray(baseline, float)
    if start.shape not in {(survey.n_pixels,), survey.flux.shape}:
        raise ValueError(
            f"the baseline has shape {start.shape}; expected ({survey.n_pixels},) for all stars or {survey.flux.shape}"
        )
    return start


def _distance(survey: Survey, start: np.ndarray) -> np.ndarray:
    """Return how far each flux lies from the baseline, (N, D), zero where it is masked."""
    return np.where(survey.ivar > 0, survey.flux - start, 0.0)


def _with_flux(survey: Survey, flux: np.ndarray) -> Survey:
    return survey.replace(flux=flux.astype(np.float32))
