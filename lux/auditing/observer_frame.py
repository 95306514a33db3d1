r"""What correlates with a label at fixed *observed* wavelengths, where the night sky and the detectors stand still.

The spectra of a survey are shifted to the rest frames of their stars, so that a line of a star stands at one place and
a residual of the sky at another in each. Here scores of absorption are shifted back, by the stars' velocities towards
the telescope. No components of the flux are taken out of them, as `lux.auditing.measurements` does, for strong
residuals are components: only what the flux says of the other labels is. What a label's real lines leave there is taken
out: with the weights :math:`a_n` and the slopes :math:`b_p = \sum_n a_n s_{np} / \sum_n a_n^2` at rest, the sum over
stars at an observed place o, in stars of shifts d, becomes

.. math:: \sum_n a_n s_{n, o - d_n} - \sum_n a_n^2 b_{o - d_n} .

What is larger at rest, at a place that the shifts take to o, is a line of the stars, which a slope does not exhaust: it
counts for nothing here. So stars that all move alike show nothing: their two frames are one. The null distribution is
that of the same surrogate labels.
"""

import dataclasses
import functools

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import oaconvolve

from lux.auditing.inputs import VELOCITIES
from lux.auditing.measurements import Measured, deviations, label_variance, noise_of_sums, score_lines
from lux.auditing.settings import AuditSettings
from lux.spectroscopy import airglow
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.store.user_warnings import warn_user
from lux.survey import Survey

# An observed place is asked about if so large a fraction of the stars has it.
_MIN_COVERAGE = 0.1
# In km/s, of the fastest of some stars; as a redshift it is more than any star of the Galaxy has.
_LEAST_VELOCITY = 0.02
# Quantiles of the stars' shifts between which a line at rest is sought that may be what shows at an observed place.
_MOST = (0.025, 0.975)


@dataclasses.dataclass(frozen=True, eq=False)
class ObserverFrame:
    """Significance of absorption that correlates with a label at F fixed observed wavelengths.

    Parameters
    ----------
    wavelength : (F,) array
        Vacuum Angstrom, as observed, wherever many stars have a pixel.
    lines : (F,) array
        In standard deviations; zero where the stars' own lines may be the cause.
    surrogate : (S, F) array
        The same of surrogate labels.
    sky_weight : (F,) array
        Weights of a sum over known airglow lines; their squares sum to one, or all are zero.
    at_sky : (1 + S,) array
        That sum of the label, then of the surrogates.
    settings : AuditSettings
    """

    wavelength: np.ndarray
    lines: np.ndarray
    surrogate: np.ndarray
    sky_weight: np.ndarray
    at_sky: np.ndarray
    settings: AuditSettings

    @functools.cached_property
    def largest_by_chance(self) -> np.ndarray:
        """The largest absolute significance in each surrogate, (S,)."""
        return np.abs(self.surrogate).max(axis=1)

    def places(self, *, at_sky: bool) -> np.ndarray:
        """Return the observed wavelengths (K,) that carry the correlation; with all airglow if it is `at_sky`."""
        threshold = float(np.quantile(self.largest_by_chance, self.settings.quantile_of_lines))
        strength, found = np.abs(self.lines), list[float]()
        while len(found) < self.settings.max_observed_places and (strength.max() > threshold or not (found or at_sky)):
            found.append(float(self.wavelength[np.argmax(strength)]))
            near = np.abs(self.wavelength / found[-1] - 1) < airglow.REACH / SPEED_OF_LIGHT_KMS
            strength = np.where(near, 0, strength)
        return np.union1d(found, self.wavelength[self.sky_weight > 0] if at_sky else [])


def velocities(survey: Survey) -> np.ndarray | None:
    """Return the velocity (N,) of each star towards the telescope in km/s, NaN if unknown; None if all are.

    From the catalogue's ``observed_velocity``; else from ``radial_velocity`` and the airglow in the star's own errors,
    or, outside the band of the known airglow, as it is.
    """
    for name in VELOCITIES:
        if name not in survey.catalogue:
            continue
        if np.asarray(survey.catalogue[name]).dtype.kind == "b":
            raise ValueError(f"the column {name!r} of the catalogue says yes or no; it holds velocities, in km/s")
        velocity = np.asarray(survey.catalogue[name], float)
        # Of nothing in the Galaxy, but of what stands for a missing value.
        known = np.isfinite(velocity) & (np.abs(velocity) < 2000)
        _refuse_another_unit(name, velocity, known)
        if np.mean(known) < 0.5:
            continue
        if np.ptp(velocity[known]) == 0:
            what = f"the column {name!r} of the catalogue is {velocity[known][0]:g} in every star, and says nothing"
            warn_user(what)
            continue
        if name == "radial_velocity" and airglow.covers(survey.wavelength):
            given = survey.replace(catalogue={name: np.where(known, velocity, 0)})
            velocity = airglow.observed_velocity(given)
        return np.where(known, velocity, np.nan)
    return None


def _refuse_another_unit(name: str, velocity: np.ndarray, known: np.ndarray) -> None:
    """Raise ValueError if most numbers (N,) are velocities of no stars, and no single number that stands for none."""
    if 0 < np.abs(velocity[known]).max(initial=0) < _LEAST_VELOCITY:
        raise ValueError(
            f"the column {name!r} of the catalogue is nowhere larger than {np.abs(velocity[known]).max():.2g}, and "
            "stars move at more than that in km/s: does it hold redshifts? Give it with its unit, or in km/s"
        )
    distinct = np.unique(velocity[np.isfinite(velocity) & ~known])
    if len(distinct) > 0.5 * len(velocity):
        raise ValueError(
            f"the column {name!r} of the catalogue has values such as {distinct[0]:g}, which are no velocities of "
            "stars in km/s: give it with its unit, or in km/s"
        )


def with_velocities(survey: Survey) -> Survey:
    """Return the survey with its `velocities` in the catalogue, so that further audits of it need not seek them."""
    found = velocities(survey)
    return survey if found is None else survey.replace(catalogue={**survey.catalogue, VELOCITIES[0]: found})


def look(survey: Survey, velocity: np.ndarray, measured: Measured, resolution: float) -> ObserverFrame | None:
    """Return what a label shows in the observer's frame; None if no place there is common to many stars.

    `survey` holds the N stars that were measured, `velocity` (N,) is theirs towards the telescope in km/s, NaN if
    unknown.
    """
    design, known = measured.design, np.isfinite(velocity)
    scores, *_ = score_lines(survey, deviations(survey)[-1], design.others, resolution, design.settings.clip)
    step = float(np.median(np.diff(np.log(design.wavelength))))
    grid, pixel = _even_grid(design.wavelength, step)
    shift = np.rint(np.log1p(np.where(known, velocity, 0) / SPEED_OF_LIGHT_KMS) / step).astype(int)
    low = int(shift.min())
    reached = _reached(pixel >= 0, shift)
    grid, pixel = grid[reached], pixel[reached]
    stars = np.bincount(shift - low, weights=known) / design.n_stars
    place = np.flatnonzero(_summed(stars[None], pixel[None] >= 0, low)[0] >= _MIN_COVERAGE)
    if not place.size:
        return None
    labels = np.column_stack([measured.residual, measured.surrogate.residual])
    weights = (labels / label_variance(design, labels) * known[:, None]).astype(np.float32)
    square = np.zeros((len(stars), weights.shape[1]))
    np.add.at(square, shift - low, weights**2)
    at_rest = weights.T @ scores
    slope = at_rest / np.maximum(square.sum(axis=0), 1e-30)[:, None]
    of_lines = _summed(square.T, np.where(pixel >= 0, slope[:, pixel], 0), low)[:, place]
    observed = _observed(scores, pixel, shift, place)
    lines = (weights.T @ observed - of_lines) / noise_of_sums(weights, observed)
    nearby = _largest_nearby(np.where(pixel >= 0, (at_rest / noise_of_sums(weights, scores))[:, pixel], 0), shift)[
        :, place
    ]
    sky_weight = _sky_weight(grid[place], step)
    apart = np.where(np.abs(lines) > nearby, lines, 0)
    return ObserverFrame(grid[place], apart[0], apart[1:], sky_weight, lines @ sky_weight, design.settings)


def masked(survey: Survey, velocity: np.ndarray, places: np.ndarray) -> Survey:
    """Return the survey with each star's pixels masked that lie near observed wavelengths (K,)."""
    near = airglow.near_observed(survey.wavelength, np.nan_to_num(velocity), places)
    return survey.replace(ivar=np.where(near, np.float32(0), survey.ivar))


def _even_grid(wavelength: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid (F,) without gaps of a logarithmic step, and the nearest pixel (F,) to each place, -1 in a gap."""
    logarithm = np.log(wavelength)
    even = np.arange(logarithm[0], logarithm[-1] + step / 2, step)
    pixel = np.rint(np.interp(even, logarithm, np.arange(len(wavelength)))).astype(int)
    return np.exp(even), np.where(np.abs(logarithm[pixel] - even) < 0.75 * step, pixel, -1)


def _reached(there: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return which places (F,) a pixel that is there (F,) is at, or is taken to by a shift within those of stars (N,).

    The others, in the middle of wide gaps, can be left out: no star takes the pixels of one side to those of the other.
    """
    low, high = min(0, int(shift.min())), max(0, int(shift.max()))
    return np.convolve(there, np.ones(high - low + 1))[-low : len(there) - low] > 0.5


def _summed(of_shift: np.ndarray, at_rest: np.ndarray, low: int) -> np.ndarray:
    """Return the sum (S, F) over shifts d, from `low` on, of values (S, K) times those at rest (S, F) at o - d."""
    whole = oaconvolve(at_rest, of_shift, axes=1)
    place = np.arange(at_rest.shape[1]) - low
    inside = (place >= 0) & (place < whole.shape[1])
    return np.where(inside, whole[:, np.where(inside, place, 0)], 0)


def _largest_nearby(at_rest: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return the largest absolute value (S, F) of those at rest (S, F) that most stars' shifts (N,) take to a place."""
    low, high = np.quantile(shift, _MOST).astype(int)
    largest = maximum_filter1d(np.abs(at_rest), high - low + 1, axis=1, mode="constant")
    # Place o is reached from o - high to o - low.
    return np.roll(largest, (low + high) // 2, axis=1)


def _observed(scores: np.ndarray, pixel: np.ndarray, shift: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the scores (N, D) of stars of each shift (N,) at observed places (K,), zero where a star has no pixel."""
    observed = np.zeros((len(scores), len(place)), scores.dtype)
    for step in np.unique(shift):
        rows, rest = np.flatnonzero(shift == step), place - step
        inside = (rest >= 0) & (rest < len(pixel))
        column = np.where(inside, pixel[np.where(inside, rest, 0)], -1)
        observed[rows] = np.where(column >= 0, scores[rows][:, column], 0)
    return observed


def _sky_weight(wavelength: np.ndarray, step: float) -> np.ndarray:
    """Return the weights (F,) of `ObserverFrame` for observed wavelengths (F,)."""
    lines = airglow.airglow_lines()
    nearest = np.argmin(np.abs(np.subtract.outer(lines.wavelength, wavelength)), axis=1)
    there = (np.abs(wavelength[nearest] / lines.wavelength - 1) < step) & (lines.strength >= airglow.FAINTEST)
    weight = np.zeros(len(wavelength))
    weight[nearest[there]] = np.sqrt(lines.strength[there])
    return weight / max(float(np.linalg.norm(weight)), 1e-30)
