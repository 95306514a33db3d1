"""Do the peaks of a saliency map lie at the lines of an element, and what else lies near a peak?"""

import dataclasses
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from lux.spectroscopy.instrument import RESOLUTION, SPEED_OF_LIGHT_KMS
from lux.spectroscopy.line_detection import pixel_index
from lux.spectroscopy.lines import airglow_lines, heavy_element_lines, load_lines, vacuum_to_air
from lux.statistics import PermutationTest, require_count, robust_std

# Half of the full width of an unresolved line in km/s.
TOLERANCE_KMS = 0.5 * SPEED_OF_LIGHT_KMS / RESOLUTION
# A spike stands this many robust standard deviations of its map from zero.
SPIKE_HEIGHT = 5.0


@dataclasses.dataclass(frozen=True)
class Spikes:
    """Peaks of a map, the highest first.

    `columns` and `wavelength` (S,): where; `height` (S,): how high, with sign, in robust standard deviations.
    """

    columns: np.ndarray
    wavelength: np.ndarray
    height: np.ndarray

    def __len__(self) -> int:
        return len(self.columns)


@dataclasses.dataclass(frozen=True)
class LineMatch:
    """How many spikes lie at lines of a list, `test`ed against the list shifted in velocity.

    `line` (S,) is the row of the nearest line within the tolerance for each spike, -1 for none.
    """

    line: np.ndarray
    test: PermutationTest

    @property
    def n_matched(self) -> int:
        """Number of spikes at a line."""
        return int(np.count_nonzero(self.line >= 0))

    @property
    def expected(self) -> float:
        """Mean number of spikes at a line of the shifted lists."""
        return float(np.mean(self.test.null))


def find_spikes(
    wavelength: ArrayLike, values: ArrayLike, height: float = SPIKE_HEIGHT, tolerance: float = TOLERANCE_KMS
) -> Spikes:
    """Return the peaks of |values| (D,) above `height` robust standard deviations of the map, the highest first.

    Of peaks closer than twice the `tolerance` in km/s only the highest counts. A gap of the `wavelength` (D,) ends a
    spectrum.
    """
    wavelength, values = np.asarray(wavelength, float), np.asarray(values, float)
    scaled, index = values / robust_std(values, center=0.0), pixel_index(wavelength)
    grid = np.zeros(index[-1] + 3)
    grid[index + 1] = np.abs(scaled)
    peaks, _ = find_peaks(grid, height=height, distance=2 * tolerance / _pixel_kms(wavelength))
    columns = np.searchsorted(index, peaks[np.argsort(-grid[peaks], kind="stable")] - 1)
    return Spikes(columns, wavelength[columns], scaled[columns])


def match_lines(
    spikes: Spikes,
    lines: ArrayLike,
    wavelength: ArrayLike,
    *,
    tolerance: float = TOLERANCE_KMS,
    n_shifts: int = 2000,
    seed: int = 0,
) -> LineMatch:
    """Match spikes with lines (L,) in vacuum Angstrom, and test their number against chance.

    The null shifts the whole list in velocity, each line that leaves a stretch of spectrum at its end coming in at its
    beginning: clusters and gaps of the list are kept, its relation to the spectrum is not. `wavelength` (D,) is that of
    the map: lines off its pixels do not count. `tolerance` in km/s.
    """
    require_count("n_shifts", n_shifts)
    wavelength = np.asarray(wavelength, float)
    places = _on_pixels(np.asarray(lines, float), wavelength)
    spike = spikes.columns.astype(float)
    reach = tolerance / _pixel_kms(wavelength)
    inside = np.flatnonzero(np.isfinite(places))
    shifts = np.random.default_rng(seed).uniform(3 * reach, len(wavelength) - 3 * reach, n_shifts)
    moved = np.sort((places[inside] + shifts[:, None]) % len(wavelength), axis=1)
    null = np.array([np.count_nonzero(_nearest(spike, row)[1] <= reach) for row in moved], float)
    order = np.argsort(places[inside])
    nearest, distance = _nearest(spike, places[inside][order])
    line = np.where(distance <= reach, inside[order][nearest], -1) if len(inside) else np.full(len(spike), -1)
    return LineMatch(line, PermutationTest(float(np.count_nonzero(line >= 0)), null))


def _pixel_kms(wavelength: np.ndarray) -> float:
    """Return the median step of a logarithmic grid (D,) in km/s."""
    return float(SPEED_OF_LIGHT_KMS * np.median(np.diff(np.log(wavelength))))


def _on_pixels(lines: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Return the fractional pixel (L,) of each line among the pixels of a spectrum, NaN off them."""
    index = pixel_index(wavelength)
    place = np.interp(np.log(lines), np.log(wavelength), np.arange(len(wavelength)), left=np.nan, right=np.nan)
    nearest = np.rint(np.interp(np.log(lines), np.log(wavelength), index))
    return np.where(np.isin(nearest, index), place, np.nan)


def _nearest(values: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of, and the distance to, the nearest of `ordered` values for each value."""
    if not len(ordered):
        return np.zeros(len(values), int), np.full(len(values), np.inf)
    right = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(values - ordered[left]) <= np.abs(values - ordered[right]), left, right)
    return nearest, np.abs(values - ordered[nearest])


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """What lies near a wavelength.

    `kind`: "stellar line", "night sky" or "air wavelength"; `name`: species or transition; `wavelength`: in vacuum,
    Angstrom; `distance` from the given place, which for the last kind is that of the wavelength in air.
    """

    kind: str
    name: str
    wavelength: float
    distance: float


def neighbors(wavelength: float, within: float = 1.5, species: Collection[str] = ("Fe I", "OH")) -> list[Neighbor]:
    """Return what lies within some Angstrom of a vacuum wavelength, the nearest first.

    Lines of the named `species` and of heavy elements; airglow at rest; and lines of heavy elements that lie there only
    if a list of air wavelengths is laid on the vacuum grid.
    """
    giant, heavy, sky = load_lines(heavy=False), heavy_element_lines(), airglow_lines()
    stellar = [*zip(giant.species, giant.wavelength, strict=True), *zip(heavy.species, heavy.wavelength, strict=True)]
    found = [
        *(
            Neighbor("stellar line", str(name), float(place), float(place - wavelength))
            for name, place in stellar
            if name in species or name in heavy.species
        ),
        *(
            Neighbor("night sky", f"OH {name}", float(place), float(place - wavelength))
            for name, place in zip(sky.transition, sky.wavelength, strict=True)
        ),
        *(
            Neighbor("air wavelength", str(name), float(place), float(vacuum_to_air(place) - wavelength))
            for name, place in zip(heavy.species, heavy.wavelength, strict=True)
        ),
    ]
    return sorted((each for each in found if abs(each.distance) <= within), key=lambda each: abs(each.distance))
