"""How well a model rebuilds spectra that it has not seen, detector by detector."""

import dataclasses

import numpy as np

from lux.models.weights import pixel_weight
from lux.spectroscopy.instrument import chip_of_pixel, nearest_pixel
from lux.statistics import robust_std
from lux.survey import Survey


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Observed minus rebuilt flux of the unmasked pixels of one chip.

    Parameters
    ----------
    chip : str
    n_pixels : int
        Unmasked pixels of all stars together.
    rms, scatter : float
        Root mean square, and robust standard deviation (`lux.statistics.robust_std`), in normalized flux.
    noise : float
        Median standard error of the flux that the survey states.
    chi, chi_with_scatter : float
        Root mean square of the residual over the stated error, and over the stated error with the model's own scatter
        of each pixel added in quadrature; 1 where the error explains the residual.
    autocorrelation : float
        Of the residual over its error, between neighboring pixels.
    """

    chip: str
    n_pixels: int
    rms: float
    scatter: float
    noise: float
    chi: float
    chi_with_scatter: float
    autocorrelation: float


def residuals_by_chip(survey: Survey, rebuilt: np.ndarray, scatter: np.ndarray) -> list[Residuals]:
    """Compare rebuilt with observed flux on each chip.

    Parameters
    ----------
    survey : Survey
        On pixels of the APOGEE grid.
    rebuilt : (N, D) array
        Flux that a model gives for the survey's stars.
    scatter : (D,) array
        Standard deviation of the unreported scatter of each pixel.

    Raises
    ------
    ValueError
        If the shapes do not fit the survey.
    """
    if rebuilt.shape != survey.flux.shape or scatter.shape != (survey.n_pixels,):
        raise ValueError(
            f"rebuilt flux and scatter must have shapes {survey.flux.shape} and ({survey.n_pixels},), got "
            f"{rebuilt.shape} and {scatter.shape}"
        )
    chips = _chip_of_survey(survey)
    return [
        _residuals(chip, survey.flux[:, here] - rebuilt[:, here], survey.ivar[:, here], scatter[here])
        for chip in ("blue", "green", "red")
        if np.any(here := chips == chip)
    ]


def _chip_of_survey(survey: Survey) -> np.ndarray:
    """Return the name of the chip of each pixel of a survey on the APOGEE grid, (D,)."""
    return chip_of_pixel("dr17")[nearest_pixel(survey.wavelength)]


def _residuals(chip: str, residual: np.ndarray, ivar: np.ndarray, scatter: np.ndarray) -> Residuals:
    good = ivar > 0
    chi = residual * np.sqrt(pixel_weight(ivar, scatter**2))
    both = good[:, 1:] & good[:, :-1]
    unmasked = residual[good]
    neighbors = np.sum(chi[:, 1:] * chi[:, :-1] * both) / both.sum()
    return Residuals(
        chip=chip,
        n_pixels=int(good.sum()),
        rms=float(np.sqrt(np.mean(unmasked**2))),
        scatter=float(robust_std(unmasked)),
        noise=float(np.median(ivar[good] ** -0.5)),
        chi=float(np.sqrt(np.mean(unmasked**2 * ivar[good]))),
        chi_with_scatter=float(np.sqrt(np.mean(chi[good] ** 2))),
        autocorrelation=float(neighbors / np.mean(chi[good] ** 2)),
    )
