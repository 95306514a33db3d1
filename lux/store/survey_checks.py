"""What a survey must be: arrays of numbers that fit together, finite spectra, unique names, labels with errors."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lux.store.columns import catalogue_column

# No pixel is so many times more precise than a star's good ones. These lie at this quantile, if there are enough.
_LARGEST_ERROR_RATIO, _GOOD, _ENOUGH = 100.0, 0.98, 50
_FAR_ABOVE_MEAN = 10.0


def number_array(name: str, value: ArrayLike, dtype: type, ndim: int) -> np.ndarray:
    """Return an array of the type and number of dimensions, of a masked label NaN; ValueError if it has others."""
    if np.ma.is_masked(value):
        if not name.startswith("label"):
            raise ValueError(f"{name} is a masked array; Survey.from_arrays masks its pixels")
        value = np.ma.filled(np.ma.asarray(value, float), np.nan)
    try:
        array: np.ndarray = np.array(value, dtype=dtype, order="C", copy=None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    return array.view()


def json_dict(name: str, value: dict) -> dict:
    """Return what JSON makes of a dictionary; ValueError if it cannot."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold values that JSON can hold: {error}") from error


def checked_columns(name: str, columns: Mapping[str, Any], n_stars: int) -> dict[str, np.ndarray]:
    """Return columns of numbers, booleans or text, one row for each star; ValueError if they are not."""
    checked = {}
    for key, column in columns.items():
        column = catalogue_column(str(key), column)
        if column.shape != (n_stars,):
            raise ValueError(f"{name} column {key!r} must have shape ({n_stars},), got {column.shape}")
        if column.dtype.kind not in "biufU":
            raise ValueError(f"{name} column {key!r} must hold numbers, booleans or text, got {column.dtype}")
        checked[str(key)] = column
    return checked


def check_survey(survey: Any) -> None:
    """Raise a ValueError that names star, pixel or label where the fields of a survey do not fit together."""
    _check_shapes(survey)
    if not np.all(np.isfinite(survey.wavelength)) or np.any(survey.wavelength <= 0):
        raise ValueError("wavelength must be finite and positive, in Angstrom")
    steps = np.diff(survey.wavelength)
    if np.any(steps <= 0):
        pixel = int(np.argmax(steps <= 0)) + 1
        kind = "repeats" if steps[pixel - 1] == 0 else "falls below"
        raise ValueError(
            f"wavelength must increase strictly: pixel {pixel} {kind} pixel {pixel - 1}; sort and drop duplicates"
        )
    _check_spectra(survey)
    _check_labels(survey)


def _check_spectra(survey: Any) -> None:
    """Check flux and inverse variances, each where it is in memory: what lies on the disk is checked as it is read."""
    if isinstance(survey.flux, np.ndarray):
        _refuse_pixels(survey, "flux", ~np.isfinite(survey.flux), "is not finite; set it to 1 and its ivar to 0")
    if not isinstance(survey.ivar, np.ndarray):
        return
    _refuse_pixels(survey, "ivar", ~np.isfinite(survey.ivar), "is not finite; set it to 0 to mask the pixel")
    _refuse_pixels(survey, "ivar", survey.ivar < 0, "is negative; set it to 0 to mask the pixel")
    _refuse_too_precise(survey)
    empty = ~np.any(survey.ivar > 0, axis=1)
    if np.any(empty):
        what = f"star {survey.star_id[np.argmax(empty)]} has every pixel masked (ivar = 0)"
        if np.mean(empty) > 0.5:
            raise ValueError(f"{what}, and so have most: a mask is true where pixels are bad; is it inverted?")
        raise ValueError(f"{what}; leave it out")


def _refuse_too_precise(survey: Any) -> None:
    if found := too_precise(survey.ivar):
        row, pixel, why = found
        place = f"{survey.star_id[row]} (row {row}) at pixel {pixel} ({survey.wavelength[pixel]:.3f} A)"
        raise ValueError(f"the error of star {place} {why}")


def too_precise(ivar: np.ndarray) -> tuple[int, int, str] | None:
    """Return the first error so small beside the star's others that it stands for a missing one: row, pixel, and why.

    One such pixel decides alone what a model makes of that wavelength, for all stars. Inverse variances (N, D).
    """
    good = ivar > 0
    n_good, largest = np.count_nonzero(good, axis=1), ivar.max(axis=1, initial=0)
    mean = ivar.sum(axis=1, dtype=float) / np.maximum(n_good, 1)
    # Few stars have a pixel so far above the mean, and only those are sorted.
    for row in np.flatnonzero((n_good >= _ENOUGH) & (largest > _FAR_ABOVE_MEAN * mean)):
        usual = float(np.quantile(ivar[row, good[row]], _GOOD))
        if largest[row] > _LARGEST_ERROR_RATIO**2 * usual:
            ratio = np.sqrt(float(largest[row]) / usual)
            why = (
                f"is {ratio:.3g} times smaller than those of the star's good pixels; where it stands for one that is "
                "not known, set the pixel's ivar to 0 (or were errors given as ivar?)"
            )
            return int(row), int(np.argmax(ivar[row])), why
    return None


def _check_shapes(survey: Any) -> None:
    n_stars, n_pixels = survey.flux.shape
    if n_stars == 0 or n_pixels == 0:
        raise ValueError(f"a survey needs at least one star and one pixel, got flux of shape {survey.flux.shape}")
    expected = {
        "wavelength": (n_pixels,),
        "ivar": (n_stars, n_pixels),
        "labels": (n_stars, len(survey.label_names)),
        "label_err": (n_stars, len(survey.label_names)),
        "star_id": (n_stars,),
    }
    for name, shape in expected.items():
        if getattr(survey, name).shape != shape:
            raise ValueError(
                f"{name} must have shape {shape} to go with flux {survey.flux.shape} and "
                f"{len(survey.label_names)} label names, got {getattr(survey, name).shape}"
            )
    if len(survey.label_units) != len(survey.label_names):
        raise ValueError(f"{len(survey.label_names)} label names but {len(survey.label_units)} label units")
    for name, values in (("label_names", survey.label_names), ("star_id", survey.star_id)):
        unique, counts = np.unique(np.asarray(values, str), return_counts=True)
        if np.any(counts > 1):
            repeated = str(unique[np.argmax(counts > 1)])
            raise ValueError(f"{name} must be unique, {repeated!r} stands {counts[counts > 1][0]} times")


def _refuse_pixels(survey: Any, name: str, bad: np.ndarray, why: str) -> None:
    if np.any(bad):
        star, pixel = np.unravel_index(np.argmax(bad), bad.shape)
        raise ValueError(
            f"{name} of star {survey.star_id[star]} (row {star}) at pixel {pixel} "
            f"({survey.wavelength[pixel]:.3f} A) {why} ({np.count_nonzero(bad)} such pixels)"
        )


def _check_labels(survey: Any) -> None:
    present = ~np.isnan(survey.labels)
    for what, bad in (
        ("label", present & ~np.isfinite(survey.labels)),
        ("label_err", present & ~(np.isfinite(survey.label_err) & (survey.label_err > 0))),
    ):
        if np.any(bad):
            star, label = np.unravel_index(np.argmax(bad), bad.shape)
            value = (survey.labels if what == "label" else survey.label_err)[star, label]
            raise ValueError(
                f"{what} {survey.label_names[label]!r} of star {survey.star_id[star]} (row {star}) is {value}; "
                "a label must be finite with a positive error, or NaN where it is missing"
            )
