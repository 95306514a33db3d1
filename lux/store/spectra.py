"""Spectra as specutils has them, in memory or in files, as arrays on one grid."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.units import Quantity, UnitBase, dimensionless_unscaled, mag
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from lux.store.columns import inverse_variance, standard_error, without_negligible
from lux.store.continuum import Continuum as Continuum
from lux.store.continuum import continuum_of, refuse_no_function
from lux.store.quantities import without_mask
from lux.store.spectrum_files import Parts, Piece, read, says_air
from lux.store.user_warnings import warn_user
from lux.store.wavelengths import air_to_vacuum, angstrom

# Relative difference of wavelengths that are the same.
_SAME_WAVELENGTH = 1e-6
# Of a pixel, what is so little that it is rounding.
_NO_SHARE = 1e-6
# A step of the grid that is so many times those around it is a gap, in which there are no pixels.
_GAP = 1.5
# So many steps are around one: of bad pixels that were left out, half of them may be gaps.
_STEPS_AROUND = 11
_KEPT_MATRICES = 16
# Outside of these the median flux of a spectrum is no normalized one.
_LEAST_LEVEL, _LARGEST_LEVEL = 0.05, 20.0
# Flux of these types was not divided by a continuum, whatever its numbers.
_PHYSICAL = ("flux density", "surface brightness", "irradiance", "power density", "radiance")
# Two arms that have so much of the longer one's range in common may be two stars.
_SAME_RANGE = 0.5
_EXPECTED = (
    "expected spectra with spectral_axis, flux and uncertainty, such as specutils.Spectrum, or paths of files; arrays "
    "go to Survey.from_arrays"
)


@dataclass(frozen=True)
class _Arm:
    """Spectra of N stars on one grid: wavelength (D,) in vacuum, ascending, flux and ivar (N, D), ivar 0 where masked.

    `source` is the file, or else the spectrum, that it comes from, and `unit` that of the flux.
    """

    name: str
    source: str
    unit: UnitBase
    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray


def refuse_beside_spectra(arrays: Mapping[str, Any]) -> None:
    """Raise ValueError if `Survey.from_spectra` got what the spectra have, or labels without their errors."""
    if have := sorted({"flux", "ivar", "error", "mask"} & set(arrays)):
        raise ValueError(
            f"{' and '.join(have)}= cannot be given beside spectra, which have their own flux, uncertainty and mask; "
            "arrays go to Survey.from_arrays"
        )
    given = [name for name in ("labels", "label_err") if arrays.get(name) is not None]
    if len(given) == 1:
        lacking = "label_err" if given == ["labels"] else "labels"
        raise ValueError(f"{given[0]}= needs {lacking}= too; leave both out for a survey without labels")


def refuse_other_number(values: Any, what: str, n_stars: int) -> None:
    """Raise ValueError if columns, or rows of an array, are not as many as stars; a single number holds for all."""
    columns = isinstance(values, Mapping)
    shapes = [np.shape(column) for column in (values.values() if columns else [values])]
    # Errors of one dimension are those of all labels of each star, and one row of errors those of all stars.
    for number in (shape[0] for shape in shapes if shape and (columns or len(shape) > 1)):
        if number != n_stars and (columns or number != 1):
            raise ValueError(f"{number} {what} for {n_stars} spectra: give one for each, NaN where it is missing")


def on_one_grid(
    spectra: Iterable[Any] | str | os.PathLike,
    wavelength: ArrayLike | Quantity | None,
    air: bool | None,
    file_format: str | None,
    continuum: Continuum | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str] | None]:
    """Return the grid (D,), flux and ivar (N, D) and the names of stars, None where they come from memory.

    Arguments, errors and warnings are those of `lux.Survey.from_spectra`.
    """
    refuse_no_function(continuum)
    parts = list(_parts(spectra, file_format))
    if not parts:
        raise ValueError("there are no spectra: give a sequence of them, or of paths of files")
    stars = [[_arm(piece, part.name, air) for piece in part.arms] for part in parts]
    _warn_of_other_stars(stars)
    if wavelength is None:
        grid = _common_grid([arm for arms in stars for arm in arms])
        chosen = [_averaged(arms) for arms in stars]
    else:
        given = angstrom(without_mask(wavelength))
        grid = _strict(given[::-1] if given[0] > given[-1] else given, "wavelength")
        resampling = _Resampling(grid)
        chosen = [_averaged([resampling(arm) for arm in arms]) for arms in stars]
        for arm in chosen:
            _refuse_empty(arm)
    if continuum is None:
        for arms in stars:
            _refuse_physical(arms)
    else:
        chosen = [_divided(arm, grid, continuum) for arm in chosen]
    for arm in chosen:
        _refuse_levels(arm)
    flux, ivar = (np.concatenate([getattr(arm, name) for arm in chosen]) for name in ("flux", "ivar"))
    return grid, flux, ivar, _star_names(parts, [len(arm.flux) for arm in chosen])


def _parts(spectra: Iterable[Any] | str | os.PathLike, file_format: str | None) -> Iterator[Parts]:
    # A collection of spectra that each have their own grid has an axis of two dimensions.
    single = isinstance(spectra, str | os.PathLike) or np.ndim(getattr(spectra, "spectral_axis", ((),))) == 1
    if not single and not isinstance(spectra, Iterable) and not hasattr(spectra, "__getitem__"):
        raise ValueError(f"spectra are of the type {type(spectra).__name__}: {_EXPECTED}")
    if isinstance(spectra, Mapping):
        raise ValueError(
            f"spectra are of the type {type(spectra).__name__}, whose order is that of its keys: give "
            "list(spectra.values()), and the names of the stars as star_id=list(spectra)"
        )
    items: Any = [spectra] if single else spectra
    for number, each in enumerate(items):
        name = f"spectrum {number}"
        if isinstance(each, str | os.PathLike):
            yield from read(each, file_format)
        elif isinstance(each, list | tuple):
            inner = list(_parts(each, file_format))
            if not inner:
                raise ValueError(f"{name} is an empty {type(each).__name__}: a list in the list holds arms of one star")
            arms = [arm for part in inner for arm in part.arms]
            yield replace(inner[0], name=inner[0].name if inner[0].file else name, arms=arms)
        elif any(getattr(each, attribute, None) is None for attribute in ("spectral_axis", "flux")):
            raise ValueError(f"{name} is of the type {type(each).__name__}: {_EXPECTED}")
        else:
            yield Parts(name, [Piece(each, name)])


def _arm(piece: Piece, name: str, air: bool | None) -> _Arm:
    spectrum = piece.spectrum
    wavelength = angstrom(without_mask(spectrum.spectral_axis), name)
    uncertainty, mask = (getattr(spectrum, each, None) for each in ("uncertainty", "mask"))
    if getattr(uncertainty, "uncertainty_type", "unknown") == "unknown":
        raise ValueError(
            f"{name} has no uncertainty, which an audit weighs pixels by, but {type(uncertainty).__name__}: give one, "
            "such as astropy.nddata.StdDevUncertainty(errors)"
        )
    unit = getattr(spectrum.flux, "unit", None) or dimensionless_unscaled
    filled = without_mask(spectrum.flux)
    flux = np.atleast_2d(np.asarray(getattr(filled, "value", filled), float))
    if flux.ndim > 2 or flux.shape[1] != len(wavelength):
        raise ValueError(
            f"the flux of {name} has shape {np.shape(spectrum.flux)} and its spectral axis {len(wavelength)} pixels: "
            "give a row of pixels for each star"
        )
    errors = _like(flux, standard_error(uncertainty, unit, name), f"the uncertainty of {name}")
    if unit.is_equivalent(dimensionless_unscaled):
        flux, errors = (values * unit.to(dimensionless_unscaled) for values in (flux, errors))
        unit = dimensionless_unscaled
    ivar = inverse_variance(None, errors, flux.shape)
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    if mask is not None:
        good &= _like(flux, np.asarray(mask) == 0, f"the mask of {name}")
    ivar = without_negligible(np.where(good, ivar, 0))
    if _in_air(piece, name) if air is None else air:
        wavelength = air_to_vacuum(wavelength)
    order = slice(None, None, -1 if wavelength[0] > wavelength[-1] else 1)
    return _Arm(name, piece.source, unit, wavelength[order], flux[:, order], ivar[:, order])


def _like(flux: np.ndarray, values: np.ndarray, what: str) -> np.ndarray:
    try:
        return np.broadcast_to(values, flux.shape)
    except ValueError:
        raise ValueError(
            f"{what} has shape {values.shape} and its flux {flux.shape}: give a value for each pixel"
        ) from None


def _in_air(piece: Piece, name: str) -> bool:
    if piece.air is None and says_air(piece.spectrum):
        raise ValueError(
            f"{name} has an axis AWAV in its header or WCS, of wavelengths in air, and they may have been converted "
            "since it was read: give air=True if they are in air, or air=False"
        )
    return bool(piece.air)


def _warn_of_other_stars(stars: Sequence[Sequence[_Arm]]) -> None:
    """Warn of arms of one star, from several sources, that have most of their ranges in common."""
    same = [pair for arms in stars for pair in itertools.combinations(arms, 2) if _one_range(*pair)]
    if same:
        warn_user(
            f"{len(same)} pairs of spectra in lists or tuples, the first in {same[0][0].name}, have most of their "
            "range in common and are averaged as arms of one star; give different stars in one list, not in a list in "
            "a list",
        )


def _one_range(first: _Arm, second: _Arm) -> bool:
    if first.source == second.source:
        return False
    good = [arm.wavelength[np.any(arm.ivar > 0, axis=0)] for arm in (first, second)]
    if not all(map(len, good)):
        return False
    common = min(each.max() for each in good) - max(each.min() for each in good)
    return bool(common > _SAME_RANGE * max(np.ptp(each) for each in good))


def _same(grid: np.ndarray, other: np.ndarray) -> bool:
    return grid.shape == other.shape and bool(np.all(np.abs(grid / other - 1) <= _SAME_WAVELENGTH))


def _common_grid(arms: Sequence[_Arm]) -> np.ndarray:
    grid = arms[0].wavelength
    for arm in arms:
        if not _same(arm.wavelength, grid):
            raise ValueError(
                f"{arm.name} lies on another wavelength grid than the first, {_span(arm.wavelength)} against "
                f"{_span(grid)}: give the grid for all as wavelength=, on which they are resampled"
            )
    return grid


def _span(wavelength: np.ndarray) -> str:
    return f"{len(wavelength)} pixels of {wavelength.min():.2f}-{wavelength.max():.2f} A"


def _strict(wavelength: np.ndarray, name: str) -> np.ndarray:
    """Return a grid if it can be resampled from or to; ValueError otherwise."""
    if len(wavelength) < 2:
        raise ValueError(f"{name} has one pixel: give at least two, since the step between them is their width")
    if np.any(np.diff(wavelength) <= 0):
        raise ValueError(
            f"{name}: wavelengths to resample must ascend or descend strictly; sort them, and average where orders "
            "overlap"
        )
    return wavelength


def _steps_around(steps: np.ndarray) -> np.ndarray:
    """Return the median of each step (D - 1,) of a grid and those around it, the lower one of an even number."""
    count = min(_STEPS_AROUND, len(steps))
    first = np.clip(np.arange(len(steps)) - count // 2, 0, len(steps) - count)
    windows = np.lib.stride_tricks.sliding_window_view(steps, count)[first]
    middle = (count - 1) // 2
    return np.partition(windows, middle, axis=1)[:, middle]


def _borders(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where pixels (D,) begin and end: halfway to the next one.

    At a gap and at the ends of the grid a pixel reaches as far as on its other side, and between two gaps half a step
    of those around it. A grid whose steps change smoothly, by whatever in all, has no gap.
    """
    steps = np.diff(grid)
    smooth = np.all((steps[1:] <= _GAP * steps[:-1]) & (steps[:-1] <= _GAP * steps[1:]))
    around = _steps_around(steps)
    reached = np.where(~smooth & (steps > _GAP * around), np.nan, steps)
    before, after = np.append(np.nan, reached), np.append(reached, np.nan)
    alone = np.fmin(np.append(np.nan, around), np.append(around, np.nan))
    left, right = (
        np.where(np.isfinite(own), own, np.where(np.isfinite(other), other, alone))
        for own, other in ((before, after), (after, before))
    )
    left[1:], right[:-1] = np.minimum(left[1:], steps), np.minimum(right[:-1], steps)
    return grid - 0.5 * left, grid + 0.5 * right


def _shares(source: np.ndarray, target: np.ndarray) -> csr_array:
    """Return the share (E, D) of each pixel of a grid (E,) that each pixel of another one (D,) covers."""
    borders = _borders(source), _borders(target)
    cuts = np.unique(np.concatenate([*borders[0], *borders[1]]))
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    columns, rows = (np.searchsorted(begin, middles, side="right") - 1 for begin, _ in borders)
    within = (columns >= 0) & (rows >= 0) & (middles < borders[0][1][columns]) & (middles < borders[1][1][rows])
    widths = (borders[1][1] - borders[1][0])[rows]
    shares = np.where(within, np.diff(cuts) / widths, 0)
    kept = shares > _NO_SHARE
    return csr_array((shares[kept], (rows[kept], columns[kept])), shape=(len(target), len(source)))


class _Resampling:
    """Resamples spectra to a grid (D,), with one matrix for all that share theirs.

    Equal to specutils' FluxConservingResampler, which takes a third of a second for each spectrum, fills the pixel in
    which a spectrum begins and fails where it has none in common with the grid.
    """

    def __init__(self, grid: np.ndarray):
        self._grid = grid
        self._matrices: dict[bytes, csr_array] = {}

    def __call__(self, arm: _Arm) -> _Arm:
        wavelength, flux, ivar = _strict(arm.wavelength, arm.name), arm.flux, arm.ivar
        if _same(wavelength, self._grid):
            return replace(arm, wavelength=self._grid)
        key = wavelength.tobytes()
        if key not in self._matrices:
            # Of spectra that each have their own grid none is needed again.
            if len(self._matrices) == _KEPT_MATRICES:
                self._matrices.clear()
            self._matrices[key] = _shares(wavelength, self._grid)
        shares, good = self._matrices[key], ivar > 0
        whole = (shares @ good.T.astype(float)).T > 1 - 10 * _NO_SHARE
        variance = (shares.power(2) @ np.divide(1, ivar, out=np.zeros_like(ivar), where=good).T).T
        ivar = np.divide(1, variance, out=np.zeros_like(variance), where=whole & (variance > 0))
        return replace(arm, wavelength=self._grid, flux=(shares @ np.where(good, flux, 0).T).T, ivar=ivar)


def _averaged(arms: Sequence[_Arm]) -> _Arm:
    """Return the average of the arms of the same stars, on one grid, by their inverse variances."""
    if len(arms) == 1:
        return arms[0]
    if len({len(arm.flux) for arm in arms}) > 1:
        counts = [len(arm.flux) for arm in arms]
        raise ValueError(f"the arms of {arms[0].name} have {counts} spectra; they must be of the same stars")
    arms = [_in_unit_of(arms[0], arm) for arm in arms]
    ivar = np.sum([arm.ivar for arm in arms], axis=0)
    weighted = np.sum([arm.ivar * np.where(arm.ivar > 0, arm.flux, 0) for arm in arms], axis=0)
    return replace(arms[0], flux=np.divide(weighted, ivar, out=np.ones_like(ivar), where=ivar > 0), ivar=ivar)


def _in_unit_of(first: _Arm, arm: _Arm) -> _Arm:
    """Return an arm with its flux in the unit of the first of the same star; ValueError if it cannot be converted."""
    if not arm.unit.is_equivalent(first.unit):
        units = " and ".join(str(each.unit) or "numbers without a unit" for each in (first, arm))
        raise ValueError(f"the flux of the arms of {first.name} is in {units}: give all arms of a star in one unit")
    scale = arm.unit.to(first.unit)
    return replace(arm, unit=first.unit, flux=arm.flux * scale, ivar=arm.ivar / scale**2)


def _refuse_empty(arm: _Arm) -> None:
    empty = ~np.any(arm.ivar > 0, axis=1)
    if np.any(empty):
        raise ValueError(
            f"{arm.name}{_row(arm, int(np.argmax(empty)))} has no good pixel on the grid of wavelength=, "
            f"{_span(arm.wavelength)}: leave it out, or give a grid within its range"
        )


def _divided(arm: _Arm, grid: np.ndarray, continuum: Continuum) -> _Arm:
    """Return spectra divided by their continuum; where that is not positive, pixels are masked."""
    levels = np.stack(
        [
            continuum_of(continuum, grid, flux, ivar, arm.unit, f"{arm.name}{_row(arm, number)}")
            for number, (flux, ivar) in enumerate(zip(arm.flux, arm.ivar, strict=True))
        ]
    )
    good = np.isfinite(levels)
    levels = np.where(good, levels, 1)
    return replace(arm, flux=arm.flux / levels, ivar=np.where(good, arm.ivar * levels**2, 0))


def _refuse_physical(arms: Sequence[_Arm]) -> None:
    for arm in arms:
        if arm.unit.is_equivalent(mag) or any(word in str(arm.unit.physical_type) for word in _PHYSICAL):
            raise ValueError(
                f"the flux of {arm.name} is in {arm.unit}, so not divided by its continuum: give continuum=, a "
                "function (wavelength, flux, ivar) -> continuum; if the unit is wrong and the flux normalized, one "
                "that gives 1"
            )


def _refuse_levels(arm: _Arm) -> None:
    for number, (flux, ivar) in enumerate(zip(arm.flux, arm.ivar, strict=True)):
        level = float(np.median(flux[ivar > 0])) if np.any(ivar > 0) else 1.0
        if not _LEAST_LEVEL < level < _LARGEST_LEVEL:
            raise ValueError(
                f"the median flux of {arm.name}{_row(arm, number)} is {level:.3g}: divide each spectrum by its "
                "continuum, or give continuum=, a function (wavelength, flux, ivar) -> continuum"
            )


def _row(arm: _Arm, number: int) -> str:
    return f" (row {number})" if len(arm.flux) > 1 else ""


def _star_names(parts: Sequence[Parts], counts: Sequence[int]) -> list[str] | None:
    """Return a name for each spectrum: its own in the file, else the file's; None if none comes from a file.

    Files of one name in several folders have the folder's name too.
    """
    if not any(part.file for part in parts):
        return None
    stems = [part.file or str(number) for number, part in enumerate(parts)]
    names: list[str] = []
    for part, stem, count in zip(parts, stems, counts, strict=True):
        unique = f"{part.folder}/{stem}" if part.folder and stems.count(stem) > 1 else stem
        rows = [unique] if count == 1 else [f"{unique}-{row}" for row in range(count)]
        names += part.stars if len(set(part.stars)) == count else rows
    return names
