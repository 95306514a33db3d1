"""What models ask of surveys: the wavelength grid of the training, and labels that differ between its stars."""

from typing import Any

import numpy as np

from lux.survey import Survey

# Relative; grids that were stored and read again differ by rounding.
_TOLERANCE = 1e-6
# That a label can differ between.
_LEAST_STARS = 2


def require_grid(wavelength: np.ndarray, survey: Survey) -> None:
    """Raise ValueError if a survey is none, or its pixels are not those (D,) that a model was trained on."""
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


def require_labels(survey: Survey) -> None:
    """Raise ValueError if a survey is none, has no labels to train on, or has one that no two stars differ in."""
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


def _require_survey(survey: Any) -> None:
    if not isinstance(survey, Survey):
        raise ValueError(
            f"models take a lux.Survey, which has wavelengths, errors and labels beside the flux, got "
            f"{type(survey).__name__}; make one with lux.Survey.from_arrays(...)"
        )
