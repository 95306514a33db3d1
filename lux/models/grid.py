"""The wavelength grid of a model, and surveys that must have it."""

import numpy as np

from lux.survey import Survey

# Relative; grids that were stored and read again differ by rounding.
_TOLERANCE = 1e-6


def require_grid(wavelength: np.ndarray, survey: Survey) -> None:
    """Raise ValueError if a survey's pixels are not those (D,) that a model was trained on."""
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
