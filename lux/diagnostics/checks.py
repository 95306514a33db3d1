"""What diagnostics need of their arguments, and the errors that say what came instead."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lux.survey import Survey

# Values that differ by less than this fraction of the largest differ by rounding.
_ROUNDING = 1e-12


def require_stars(values: Any, n_stars: int, what: str, of: str = "the survey") -> None:
    """Refuse values (K, ...) of another number of stars; `what` stars are, such as "are predicted"."""
    if len(values) != n_stars:
        raise ValueError(f"{len(values)} stars {what}, {of} has {n_stars}; give the same stars, in the same order")


def require_finite(values: np.ndarray, what: str) -> None:
    """Refuse values of stars, such as "latents", that are missing or infinite."""
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{what} are not finite; leave out the stars whose {what} are not known")


def require_variation(values: np.ndarray, name: str) -> None:
    """Refuse values (N,) of a label that differ by rounding at most: ratios to their variance would be rounding too."""
    if np.ptp(values) <= _ROUNDING * np.max(np.abs(values)):
        raise ValueError(f"label {name!r} is {values[0]:g} in every star; leave it out, or give stars that differ")


def require_labels(survey: Survey, names: Iterable[str]) -> None:
    """Refuse a survey in which one of the labels is missing in every star."""
    for name in names:
        if not np.any(np.isfinite(survey.label(name))):
            raise ValueError(f"no star of the survey has label {name!r}; leave it out, by select_labels of the survey")


def as_columns(values: ArrayLike) -> np.ndarray:
    """Return values (N, K) of stars as they are, and one value of each star, (N,), as one column."""
    values = np.asarray(values)
    return values[:, None] if values.ndim == 1 else values


def pixel_masks(masks: Iterable[ArrayLike], n_pixels: int, *, disjoint: bool = False) -> np.ndarray:
    """Return masks of pixels as one boolean array, (K, D); no pixel in two of them where they are `disjoint`.

    Raises
    ------
    ValueError
        If one is no boolean mask of D pixels, such as row numbers or a slice, or a pixel is in two.
    """
    checked = [np.asarray(mask) for mask in masks]
    for mask in checked:
        if mask.dtype != bool or mask.shape != (n_pixels,):
            raise ValueError(
                f"each group or window of pixels must be a boolean mask of shape ({n_pixels},), got {mask.dtype} "
                f"{mask.shape}; give a list of masks, such as [survey.pixels_within([(low, high)])]"
            )
    pixels = np.reshape(checked, (-1, n_pixels)).astype(bool)
    if disjoint and np.any(pixels.sum(axis=0) > 1):
        raise ValueError("a pixel is in two groups; groups must not overlap, or its flux would count twice")
    return pixels
