"""Spectra of one star that stand in a survey under different names.

An audit takes stars for independent: of one that stands there twice each entry teaches the other, which looks like what
the flux knows.

**Copies** have their noise in common. Noise stands alone from pixel to pixel, what stars differ by does not, for the
instrument smooths it. What is compared is therefore the power of the second difference, along the pixels, of the
difference of two spectra: between independent ones it is the sum of both noises, and between copies it is missing, in
whatever unit the noise is quoted. The noise of each of the two is that power with two others, less that between these.

**Independent spectra** of one star cannot be told from those of two that are alike: in a large survey most stars have a
neighbor within the noise. An audit therefore predicts each star without its nearest neighbor. If that one would teach
much of what the flux says of a label, where else it teaches no more than any other, there are stars that were observed
several times, and it is said.
"""

import functools
import warnings

import numpy as np
from sklearn.neighbors import NearestNeighbors

from lux.auditing.measurements import Measured, correlation
from lux.statistics import left_out
from lux.survey import Survey

# At so many pixels neighbors are looked for, and so many of them.
_N_PIXELS, _N_NEIGHBORS = 200, 10
# Of the squared distance to the last of them, where a pair is looked at.
_LOOKED_AT = 0.5
# Of the noise of both, what their difference holds at most where they are copies, at least where they are none, and
# always where all is the same.
_COPIED, _APART, _SAME = 0.2, 0.5, 1e-6
# Of the number of copies, how many may be neither: where stars differ by more than noise, distances are of any size.
_BETWEEN = 0.1
# Pairs that are worked on at a time, and scaled deviations beyond which pixels are bad.
_PAIRS, _CLIP = 64, 1e3


def rows_without_copies(train: Survey, test: Survey, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both surveys without those that have the label and repeat the spectrum of another that has it.

    The first is kept, and that of a training star rather than that of a test star, whose label a model may know by
    heart. It is warned of the others, with their number.
    """
    rows = [np.arange(survey.n_stars) for survey in (train, test)]
    having = [each[~np.isnan(survey.label(label))] for each, survey in zip(rows, (train, test), strict=True)]
    flux, ivar, names = (
        np.concatenate([getattr(survey, name)[each] for survey, each in zip((train, test), having, strict=True)])
        for name in ("flux", "ivar", "star_id")
    )
    later, earlier = copies(flux, ivar)
    if not len(later):
        return rows[0], rows[1]
    n_train = len(having[0])
    across = int(np.sum((later >= n_train) & (earlier < n_train)))
    warnings.warn(
        f"{len(later)} of {len(flux)} spectra repeat another, noise and all, such as those of {names[earlier[0]]} and "
        f"{names[later[0]]}: each counts once"
        + f"; {across} of them are of test stars and repeat training stars, which a model may know by heart"
        * (across > 0),
        stacklevel=4,
    )
    gone = later[later < n_train], later[later >= n_train] - n_train
    return np.delete(rows[0], having[0][gone[0]]), np.delete(rows[1], having[1][gone[1]])


def copies(flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (K,) of spectra (N, D) that repeat earlier ones, noise and all, and the rows (K,) of these.

    Of a spectrum that stands there several times all but the first are returned. Of more than eight nothing is told.
    """
    none, scaled = (np.zeros(0, int), np.zeros(0, int)), _few(flux, ivar)
    if len(flux) <= 2 * _N_NEIGHBORS or not scaled.shape[1]:
        return none
    distances, neighbors = NearestNeighbors(n_neighbors=_N_NEIGHBORS, algorithm="brute").fit(scaled).kneighbors()
    squared = distances**2
    rows, places = np.nonzero((squared < _LOOKED_AT * squared[:, -1:]) & (neighbors < np.arange(len(flux))[:, None]))
    if not len(rows):
        return none
    of_them, others = neighbors[rows, places], (neighbors[rows, -1], neighbors[rows, -2])
    power = functools.partial(_noise_power, flux, ivar)
    of_both = sum(power(each, other) for each in (rows, of_them) for other in others) / 2 - power(*others)
    share = power(rows, of_them) / np.where(of_both > 0, of_both, np.nan)
    n_between = np.sum((share >= _COPIED) & (share < _APART))
    same = share < (_COPIED if n_between <= _BETWEEN * np.sum(share < _COPIED) else _SAME)
    rows, first = np.unique(rows[same], return_index=True)
    return rows, of_them[same][first]


def _few(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Return deviations (N, K) from the mean spectrum at some pixels, in units of a pixel's typical error."""
    pixels = slice(None, None, max(1, flux.shape[1] // _N_PIXELS))
    flux, ivar = np.where(ivar[:, pixels] > 0, flux[:, pixels], np.nan), ivar[:, pixels]
    seen = np.mean(np.isfinite(flux), axis=0) > 0.5
    flux, ivar = flux[:, seen], ivar[:, seen]
    scale = np.sqrt(np.nanmedian(np.where(ivar > 0, ivar, np.nan), axis=0))
    return np.nan_to_num(np.clip((flux - np.nanmedian(flux, axis=0)) * scale, -_CLIP, _CLIP))


def _noise_power(flux: np.ndarray, ivar: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean square (P,) of second differences along the pixels, in variances, of pairs of spectra (P,).

    NaN if two have no three pixels in common.
    """
    power = np.empty(len(first))
    for start in range(0, len(first), _PAIRS):
        here = slice(start, start + _PAIRS)
        pair = first[here], second[here]
        difference = flux[pair[0]].astype(float) - flux[pair[1]]
        good = (ivar[pair[0]] > 0) & (ivar[pair[1]] > 0)
        errors = [1 / np.where(good, ivar[rows], 1).astype(float) for rows in pair]
        variance = errors[0] + errors[1]
        good = good[:, :-2] & good[:, 1:-1] & good[:, 2:]
        curvature = np.where(good, np.diff(difference, 2, axis=1), 0) ** 2
        curvature /= variance[:, :-2] + 4 * variance[:, 1:-1] + variance[:, 2:]
        count = good.sum(axis=1)
        power[here] = np.where(count > 0, curvature.sum(axis=1) / np.maximum(count, 1), np.nan)
    return power


def taught_by_nearest(measured: Measured) -> float:
    """Return by how much more strong features would say of the label if the nearest star of each taught it too.

    In standard deviations of the same of surrogate labels.
    """
    design, taught = measured.design, []
    for readings in (measured.observed, measured.surrogate):
        predicted = left_out(design.basis, readings.residual, max_leverage=design.settings.max_leverage)
        taught.append(np.sqrt(design.n_stars) * correlation(predicted, readings.residual) - readings.strong)
    return float((taught[0][0] - taught[1].mean()) / max(float(taught[1].std()), 1e-300))
