"""Spectra of one star that stand in a survey under different names.

An audit takes stars for independent: of one that stands there twice each entry teaches the other, which looks like what
the flux knows.

**Copies** have their noise in common. Noise stands alone from pixel to pixel, what stars differ by does not, for the
instrument smooths it. What is compared is therefore the power of the second difference, along the pixels, of the
difference of two spectra: between independent ones it is the sum of both noises, and between copies it is missing. The
noise of each of the two is that power with two others, less that between these; where this holds what stars differ by,
the quoted errors decide.

**Independent spectra** of one star cannot be told from those of two that are alike: in a large survey most stars have a
neighbor within the noise. Spectra that are nearer to each other than those of different stars would be are therefore
not taken for independent: they teach nothing of each other, and what is drawn at random is drawn for them together.
Their level, continuum and velocity may differ. Where the spectra of two stars differ as little as those of one, some
are not recognized, and none of a star that has more than 32.

Not noticed as copies are spectra that were shifted by a fifth of a pixel or whose level was changed by more than their
noise. Where stars differ by much more than noise, a few pairs that are neither copies nor far apart end the search.
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import NearestNeighbors

from lux.statistics import nan_median
from lux.store.user_warnings import warn_user
from lux.survey import Survey

# At so many pixels neighbors are looked for, and so many of them.
_N_PIXELS, _N_NEIGHBORS = 200, 10
# Of the squared distance to the last of them, where a pair is looked at.
_LOOKED_AT = 0.5
# Of the noise of both, as found and as quoted, what the difference of two copies holds at most; and of the former, what
# that of two others holds at least.
_COPIED, _APART = 0.2, 0.5
# Of the number of copies, how many pairs may lie between: where stars differ by more than noise, distances are of any
# size, and only spectra that are equal are copies.
_BETWEEN = 0.1
# Pairs that are worked on at a time, scaled deviations beyond which pixels are bad, and the share of the pixels that
# two spectra must have in common.
_PAIRS, _CLIP, _COVERED = 64, 1e3, 0.1
# So many neighbors tell how densely stars stand, in so many dimensions at least (temperature, gravity, metallicity);
# where fewer than this number of them are expected by chance, one is exceptionally near.
_N_DENSITY, _LEAST_DIMENSIONS, _BY_CHANCE = 32, 3, 0.2
# Cosines of which the continuum of a spectrum may differ from visit to visit, at most, and pixels for each.
_N_CONTINUUM, _PIXELS_FOR_EACH = 8, 100
# Of all spectra, how many are then said to be near to others.
_SAID = 0.25


def copies_among(stars: Survey, label: str, names: Sequence[str], n_train: int) -> np.ndarray:
    """Return the rows (K,) of stars that have the label and repeat the spectrum of an earlier star that has it.

    It is warned of them, with their number and the names (N,) of two. Of `n_train` training stars, which come first, a
    model may know the labels by heart.
    """
    having = np.flatnonzero(~np.isnan(stars.label(label)))
    # Where all have it, no copy of the flux is made.
    of_them = having if len(having) < stars.n_stars else slice(None)
    later, earlier = (having[rows] for rows in copies(stars.flux[of_them], stars.ivar[of_them]))
    if len(later):
        across = int(np.sum((later >= n_train) & (earlier < n_train)))
        of_these = f"those of {names[earlier[0]]} and {names[later[0]]}"
        repeat = f"repeats another, noise and all ({of_these}): it counts"
        if len(later) > 1:
            repeat = f"repeat another, noise and all, such as {of_these}: each counts"
        warn_user(
            f"{len(later)} of {len(having)} spectra {repeat} once"
            + f"; test stars that repeat training stars, which a model may know by heart: {across}" * (across > 0)
        )
    return later


def copies(flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (K,) of spectra (N, D) that repeat earlier ones, noise and all, and the rows (K,) of these.

    Of a spectrum that stands there several times all but the first are returned, however often if they are equal. Where
    they have a little noise of their own, nothing is told of more than eight.
    """
    earliest = _earliest_equal(flux, ivar)
    is_first = earliest == np.arange(len(flux))
    if np.all(is_first):
        return _near_copies(flux, ivar)
    equal, single = np.flatnonzero(~is_first), np.flatnonzero(is_first)
    later, earlier = _near_copies(flux[single], ivar[single])
    rows = np.concatenate([equal, single[later]])
    order = np.argsort(rows)
    return rows[order], np.concatenate([earliest[equal], single[earlier]])[order]


def _earliest_equal(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Return for each spectrum (N, D) the row (N,) of the first that is equal, if it has pixels enough to tell."""
    first, earliest = dict[bytes, int](), np.arange(len(flux))
    for row, good in enumerate(ivar > 0):
        if np.mean(good) > _COVERED:
            spectrum = np.where(good, flux[row], 0)
            earliest[row] = first.setdefault(hashlib.blake2b(spectrum.tobytes()).digest(), row)
    return earliest


def _near_copies(flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `copies` does, of spectra that are not equal."""
    covered, scaled = _few(flux, ivar)
    none = np.zeros(0, int), np.zeros(0, int)
    if len(covered) <= 2 * _N_NEIGHBORS:
        return none
    distances, neighbors = NearestNeighbors(n_neighbors=_N_NEIGHBORS, algorithm="brute").fit(scaled).kneighbors()
    squared = distances**2
    near = (squared < _LOOKED_AT * squared[:, -1:]) & (neighbors < np.arange(len(covered))[:, None])
    if not np.any(near):
        return none
    rows, places = np.nonzero(near)
    of_them, *others = (covered[neighbors[rows, place]] for place in (places, -1, -2))
    rows = covered[rows]
    power = functools.partial(_noise_power, flux, ivar)
    of_both = sum(power(each, other) for each in (rows, of_them) for other in others) / 2 - power(*others)
    found = power(rows, of_them)
    share = found / np.where(of_both > 0, of_both, np.nan)
    if np.sum((share >= _COPIED) & (share < _APART)) > _BETWEEN * np.sum(share < _COPIED):
        return none
    same = (share < _COPIED) & (found < _COPIED)
    rows, first = np.unique(rows[same], return_index=True)
    return rows, of_them[same][first]


def _few(flux: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (M,) of stars that are seen at most of some pixels, and their deviations (M, K) there.

    They are from the mean spectrum, in units of a pixel's typical error.
    """
    pixels = slice(None, None, max(1, flux.shape[1] // _N_PIXELS))
    flux, ivar = np.where(ivar[:, pixels] > 0, flux[:, pixels], np.nan), ivar[:, pixels]
    seen = np.mean(np.isfinite(flux), axis=0) > 0.5
    flux, ivar = flux[:, seen], ivar[:, seen]
    if not flux.shape[1]:
        return np.zeros(0, int), flux[:0]
    rows = np.flatnonzero(np.mean(np.isfinite(flux), axis=1) > 0.5)
    scale = np.sqrt(nan_median(np.where(ivar > 0, ivar, np.nan), axis=0))
    deviation = np.clip((flux - nan_median(flux, axis=0)) * scale, -_CLIP, _CLIP)
    return rows, np.nan_to_num(deviation[rows])


def _noise_power(flux: np.ndarray, ivar: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean square (P,) of second differences along the pixels, in variances, of pairs of spectra (P,).

    NaN if two have too few pixels in common.
    """
    power, least = np.empty(len(first)), _COVERED * flux.shape[1]
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
        power[here] = np.where(count > least, curvature.sum(axis=1) / np.maximum(count, 1), np.nan)
    return power


def between_visits(scores: np.ndarray, weighted: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return components of the flux (N, K) without what may differ between two spectra of one star.

    That is level, continuum and velocity: of their directions, what lies in the space of the components is taken out.

    Parameters
    ----------
    scores : (N, K) array
        Orthogonal components of the weighted deviations.
    weighted : (N, D) array
        Deviations from the mean flux times the scale.
    mean, scale : (D,) arrays
        Mean flux, and the inverse of a pixel's typical error, zero where none counts.
    """
    n_pixels = len(mean)
    n_cosines = min(_N_CONTINUUM, 1 + n_pixels // _PIXELS_FOR_EACH)
    continuum = mean[:, None] * np.cos(np.outer(np.linspace(0, np.pi, n_pixels), np.arange(n_cosines)))
    shifted = np.nan_to_num(np.gradient(np.where(scale > 0, mean, np.nan)))
    directions = np.linalg.qr(scale[:, None] * np.column_stack([continuum, shifted]))[0]
    # Some stars at a time: a product with directions in double precision makes a copy of the flux in it.
    parts = np.array_split(weighted, 1 + len(weighted) // _PAIRS)
    along = np.concatenate([part @ directions for part in parts]).T @ scores / np.sum(scores**2, axis=0)
    _, share, turn = np.linalg.svd(along, full_matrices=False)
    return scores - scores @ turn.T * (1 - np.sqrt(1 - np.minimum(share, 1) ** 2)) @ turn


def maybe_same(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each star which others may be the same one under another name, and a number of what is taken for one.

    The former are its nearest neighbor and those that are exceptionally near. What is taken for one is a spectrum with
    those that are exceptionally near to it, and it to each of them, and that are not taken for one with another: first
    come spectra with most such neighbors, and there are no chains.

    Where stars fill d dimensions, those within a distance are as many as its d-th power; d follows from the distances
    of the 32nd and the 16th neighbor, and from the former how many are expected within any distance.

    Parameters
    ----------
    points : (N, K) array
        Components of the flux, in units of its error.

    Returns
    -------
    (N, M) array of int
        Places of other stars, -1 where there are no more, as where there are no components.
    (N,) array of int
    """
    if not points.shape[1]:
        return np.full((len(points), 1), -1), np.arange(len(points))
    count = min(_N_DENSITY, len(points) - 1)
    distance, places = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points).kneighbors()
    middle = max(1, count // 2)
    last = np.maximum(distance[:, -1:], 1e-300)
    halving = -np.log(max(float(np.median(distance[:, middle - 1 : middle] / last)), 1e-300))
    dimensions = max(min(_LEAST_DIMENSIONS, points.shape[1]), np.log(count / middle) / max(halving, 1e-3))
    exceptional = count * (distance / last) ** dimensions < _BY_CHANCE
    near = [set(others[which]) for others, which in zip(places, exceptional, strict=True)]
    mutual = [{each for each in others if star in near[each]} for star, others in enumerate(near)]
    number = np.full(len(points), -1)
    for star in sorted(range(len(points)), key=lambda star: -len(mutual[star])):
        if number[star] < 0:
            number[[star, *(each for each in mutual[star] if number[each] < 0)]] = star
    exceptional[:, 0] = True
    return np.where(exceptional, places, -1)[:, np.any(exceptional, axis=0)], number


def remark(star: np.ndarray) -> str:
    """Return what is said where many are taken for one star, by their numbers (N,)."""
    count = np.unique(star, return_counts=True)[1]
    several = int(np.sum(count[count > 1]))
    if several <= _SAID * len(star):
        return ""
    return (
        f"; {several} of {len(star)} spectra are as near to others as those of one star under several names would be, "
        "and count as such: if some are of one star, name with groups=... the column that says of which each is"
    )
