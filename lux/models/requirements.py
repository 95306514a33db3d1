"""What models ask of surveys: pixels and flux like those of the training, and labels that were measured."""

from typing import Any

import numpy as np

from lux.statistics import robust_std
from lux.store.user_warnings import warn_user
from lux.survey import Survey

# What stands for a missing label, and how far such a number lies from the median of the others, in robust standard
# deviations, where no star has it.
LABEL_SENTINELS = (-9999.0, -999.0, -99.0, 99.0, 99.99, 999.0, 9999.0)
SENTINEL_DISTANCE = 20.0
# Of the larger median flux, how much those of two surveys differ at most; and by their contrast.
_LEVELS_APART = 0.3
# Of the flux, the median error of a pixel.
_LARGEST_ERROR = 3.0
# Stars and pixels that are looked at for it, about.
_N_STARS, _N_PIXELS = 64, 250
# Relative; grids that were stored and read again differ by rounding.
_TOLERANCE = 1e-6
# That a label can differ between.
_LEAST_STARS = 2


def require_like(wavelength: np.ndarray, mean_flux: np.ndarray, survey: Survey) -> None:
    """Raise ValueError if the pixels of a survey, or its flux, are unlike those (D,) that a model was trained on.

    It is warned of errors as large as the flux, by which nothing is told of a star.
    """
    _require_survey(survey)
    if survey.n_pixels != len(wavelength):
        raise ValueError(
            f"the survey has {survey.n_pixels} pixels, the model was trained on {len(wavelength)}; "
            "use one wavelength grid for both"
        )
    differ = np.abs(survey.wavelength - wavelength) > _TOLERANCE * wavelength
    if np.any(differ):
        pixel = int(np.argmax(differ))
        raise ValueError(
            f"the survey's grid differs from the training grid: pixel {pixel} is at "
            f"{survey.wavelength[pixel]:.3f} A, in training at {wavelength[pixel]:.3f} A; "
            "resample the spectra to one grid"
        )
    flux, ivar = good_pixels(survey, _N_STARS, _N_PIXELS)
    if not len(flux):
        return
    seen, trained = (flux_range(each) for each in (flux, mean_flux[:: max(1, len(mean_flux) // _N_PIXELS)]))
    if of_another_scale(seen, trained):
        raise ValueError(
            f"the median flux is {seen[1]:.3g}, and {trained[1]:.3g} in the spectra that the model was trained on: "
            "bring both to one scale, as fractions of the continuum, errors likewise"
        )
    if said := errors_of_another_kind(seen, ivar):
        warn_user(said)


def good_pixels(survey: Survey, n_stars: int, n_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flux (K,) and ivar (K,) of the pixels that are not masked, of about so many stars and pixels.

    Both are taken evenly; of spectra that are left on the disk the first stars are.
    """
    stars = slice(None, n_stars) if survey.is_lazy else slice(None, None, max(1, survey.n_stars // n_stars))
    pixels = slice(None, None, max(1, survey.n_pixels // n_pixels))
    flux, ivar = (np.asarray(each[stars])[:, pixels] for each in (survey.flux, survey.ivar))
    return flux[ivar > 0], ivar[ivar > 0]


def flux_range(flux: np.ndarray) -> tuple[float, float, float]:
    """Return a low value of the flux (K,), its median, and a high value."""
    low, level, high = np.quantile(flux, (0.05, 0.5, 0.95))
    return float(low), float(level), float(high)


def of_another_scale(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Return whether two of `flux_range` differ by more than their contrast and a good part of their level."""
    apart = abs(one[1] - other[1])
    return apart > _LEVELS_APART * max(abs(one[1]), abs(other[1])) and apart > max(one[2] - one[0], other[2] - other[0])


def errors_of_another_kind(seen: tuple[float, float, float], ivar: np.ndarray) -> str:
    """Return a complaint if most pixels have an error as large as the flux and its features, as no spectra do."""
    low, level, high = seen
    scale, error = max(abs(level), high - low), float(np.median(ivar)) ** -0.5
    if error <= _LARGEST_ERROR * scale:
        return ""
    return (
        f"the median error of a pixel is {error:.3g}, and the flux is about {scale:.2g}: were errors given as "
        "ivar, or inverse variances as errors? ivar is one over the square of the error"
    )


def require_labels(survey: Survey) -> None:
    """Raise ValueError if a survey is none, or has no labels to train on.

    Or if it has one that no two stars differ in, or that is a number which stands for a missing one.
    """
    _require_survey(survey)
    if not survey.n_labels:
        raise ValueError("the survey has no labels to train on; join them from a table, survey.with_labels(...)")
    if survey.n_stars < _LEAST_STARS:
        raise ValueError(f"{survey.n_stars} stars are too few to train on; use more")
    for column, name in enumerate(survey.label_names):
        values = survey.labels[:, column]
        present = values[~np.isnan(values)]
        if present.size == 0:
            raise ValueError(f"label {name!r} is missing in every training star; leave it out")
        if np.all(present == present[0]):
            raise ValueError(f"label {name!r} is {present[0]} in every training star that has it; leave it out")
        refuse_sentinels(name, present)


def refuse_sentinels(name: str, values: np.ndarray) -> None:
    """Raise ValueError if some values (N,) of a label are a number that stands for missing ones, far from the others.

    One below zero is, however near, where all the others are above.
    """
    suspect = np.isin(values, LABEL_SENTINELS)
    if not np.any(suspect) or np.all(suspect):
        return
    others, (found, counts) = values[~suspect], np.unique(values[suspect], return_counts=True)
    far = np.abs(found - np.median(others)) > SENTINEL_DISTANCE * robust_std(others)
    far |= (found < 0) & (others.min() > 0)
    if np.any(far):
        place = int(np.argmax(np.where(far, counts, 0)))
        raise ValueError(
            f"label {name!r} is {found[place]:g} in {counts[place]} of {len(values)} stars, far from all others: does "
            "it stand for a missing value? Set it to NaN"
        )


def _require_survey(survey: Any) -> None:
    if not isinstance(survey, Survey):
        raise ValueError(
            f"models take a lux.Survey, which has wavelengths, errors and labels beside the flux, got "
            f"{type(survey).__name__}; make one with lux.Survey.from_arrays(...)"
        )
