r"""How well an optimal observer could know a label from its lines: the Cramér-Rao bound of planted worlds.

The observer knows the noise-free spectrum of every star, the shape of each line and the covariance of the noise (the
faint airglow left at a line aside), and is ignorant of the abundance alone. For one star the bound is
:math:`\sigma_n^{-2} = g_n^T C_n^{-1} g_n` with the response :math:`g_n = \partial f_n / \partial \mathrm{[Eu/Fe]}`
(Ting et al. 2017). Of a sample with catalogue labels of error :math:`s_n` he asks whether the lines are there at all,
by what the label holds beyond the other labels, scatter :math:`\tau`: the score test finds them at

.. math:: \sqrt{\sum_n \frac{\tau^2}{\tau^2 + s_n^2} \frac{\tau^2}{\sigma_n^2}}

standard deviations. The first factor is the catalogue's reliability; with the true labels it would be one.
"""

import numpy as np

from lux.simulation.observation import RESIDUAL_KERNELS, noise_profile
from lux.simulation.population import disc_moments
from lux.spectroscopy.instrument import nearest_pixel
from lux.spectroscopy.profiles import profile_of_line
from lux.survey import Survey, Truth


def star_bound(survey: Survey) -> np.ndarray:
    """Return the smallest standard error of [Eu/Fe] from each star's planted lines, (N,), dex; infinite without lines.

    Parameters
    ----------
    survey : Survey
        Of a synthetic world; if lines of europium are planted in it, they are those that count.

    Raises
    ------
    ValueError
        If the survey is not synthetic.
    """
    truth = _truth(survey)
    world = truth.world
    information = np.zeros(survey.n_stars)
    if world["own_lines"]:
        europium = truth.columns["fe_h"] + truth.columns["eu_fe"]
        strength = world["strength"] * 10.0 ** (europium - disc_moments(world["tau"])["eu_h_mean"])
        # Of 1 - exp(-t) with t growing as 10**[Eu/H].
        response = np.log(10) * strength * np.exp(-strength)
        if world.get("below_teff") is not None:
            response[truth.labels[:, survey.label_index("teff")] >= world["below_teff"]] = 0
        for line in world["own_lines"]:
            information += response**2 * _line_information(survey, line)
    return np.where(information > 0, 1 / np.sqrt(np.where(information > 0, information, 1)), np.inf)


def best_slope(survey: Survey, noise: float = 0.0) -> float:
    r"""Return how far the prediction of least error follows europium's own scatter :math:`\tau`, a mean over stars.

    It is the mean of :math:`\tau^2 / (\tau^2 + (1 + k^2) \sigma_n^2)` over stars whose lines tell europium to
    :math:`\sigma_n` (`star_bound`), where :math:`k` is zero. What is trained on flux with more noise weighs lines as if
    all flux had it, whatever it then predicts from.

    Parameters
    ----------
    survey : Survey
        Of a synthetic world.
    noise : float
        Added to the flux in training, k times its errors.
    """
    scatter = _truth(survey).world["tau"]
    return float(np.mean(scatter**2 / (scatter**2 + (1 + noise**2) * star_bound(survey) ** 2)))


def sample_significance(survey: Survey, bound: np.ndarray | None = None) -> float:
    """Return at how many standard deviations the optimal observer sees that the planted lines follow the catalogue.

    Parameters
    ----------
    survey : Survey
        Of a synthetic world, with catalogue labels of europium.
    bound : (N,) array, optional
        Of `star_bound`, which is computed by default.
    """
    bound = star_bound(survey) if bound is None else bound
    tau = _truth(survey).world["tau"]
    error = survey.label_err[:, survey.label_index("eu_fe")]
    counts = np.isfinite(survey.label("eu_fe")) & np.isfinite(bound)
    return float(np.sqrt(np.sum((tau**2 / (tau**2 + error**2) * tau**2 / bound**2)[counts])))


def _truth(survey: Survey) -> Truth:
    if survey.truth is None or "own_lines" not in survey.truth.world:
        raise ValueError("the bound needs to know what was planted; give a synthetic survey")
    return survey.truth


def _line_information(survey: Survey, line: float) -> np.ndarray:
    """Return p^T C^-1 p of a line's profile p, in each star, (N,): white noise and the correlated residual."""
    pixels = nearest_pixel(survey.wavelength)
    near, profile = profile_of_line(line, pixels)
    if not len(near):
        return np.zeros(survey.n_stars)
    profile = profile * np.mean(survey.flux[:, near], axis=0)
    lag = pixels[near][:, None] - pixels[near]
    residual = survey.provenance["observation"]["continuum_residual"]
    common = residual**2 * sum(weight * np.exp(-(lag**2) / (4 * width**2)) for weight, width in RESIDUAL_KERNELS)
    white = (noise_profile()[pixels[near]] / survey.catalogue["snr"][:, None]) ** 2
    masked = survey.ivar[:, near] == 0
    # A masked pixel has a variance so large that it says nothing.
    covariance = common + np.where(masked, 1e6, white)[:, :, None] * np.eye(len(near))
    return (
        np.linalg.solve(covariance, np.broadcast_to(profile[:, None], (survey.n_stars, len(near), 1)))[..., 0] @ profile
    )
