"""Spectra as specutils has them, in memory or in files, as arrays on one grid."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from astropy.units import Quantity
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from lux.store.columns import air_to_vacuum, angstrom, inverse_variance, standard_error
from lux.store.spectrum_files import Parts, read

# Gives the continuum (D,) of a spectrum's wavelengths, flux and inverse variance, (D,) each.
Continuum: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], ArrayLike]
# Relative difference of wavelengths that are the same.
_SAME_WAVELENGTH = 1e-6
# Of a pixel, what is so little that it is rounding.
_NO_SHARE = 1e-6
# A step of the grid that is so many times the one beside it is a gap, in which there are no pixels.
_GAP = 3.0
_KEPT_MATRICES = 16
# Outside of these the median flux of a spectrum is no normalized one.
_LEAST_LEVEL, _LARGEST_LEVEL = 0.05, 20.0


@dataclass(frozen=True)
class _Arm:
    """Spectra of N stars on one grid: wavelength (D,) in vacuum, flux and ivar (N, D), ivar 0 where masked."""

    name: str
    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray


def on_one_grid(
    spectra: Iterable[Any] | str | os.PathLike,
    wavelength: ArrayLike | Quantity | None,
    air: bool,
    file_format: str | None,
    continuum: Continuum | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str] | None]:
    """Return the grid (D,), flux and ivar (N, D) and the names of stars, None where they come from memory.

    Arguments and errors are those of `lux.Survey.from_spectra`.
    """
    parts = list(_parts(spectra, file_format))
    if not parts:
        raise ValueError("there are no spectra: give a sequence of them, or of paths of files")
    stars = [[_arm(spectrum, part.name, air) for spectrum in part.arms] for part in parts]
    if wavelength is None:
        grid = _common_grid([arm for arms in stars for arm in arms])
        chosen = [_averaged(arms) for arms in stars]
    else:
        grid = _ascending(angstrom(wavelength), "wavelength")[0]
        resampling = _Resampling(grid)
        chosen = [_averaged([resampling(arm) for arm in arms]) for arms in stars]
        for arm in chosen:
            _refuse_empty(arm)
    if continuum is not None:
        chosen = [_divided(arm, grid, continuum) for arm in chosen]
    for arm in chosen:
        _refuse_levels(arm)
    flux, ivar = (np.concatenate([getattr(arm, name) for arm in chosen]) for name in ("flux", "ivar"))
    return grid, flux, ivar, _star_names(parts, [len(arm.flux) for arm in chosen])


def _parts(spectra: Iterable[Any] | str | os.PathLike, file_format: str | None) -> Iterator[Parts]:
    for number, each in enumerate([spectra] if isinstance(spectra, str | os.PathLike) else spectra):
        if isinstance(each, str | os.PathLike):
            yield from read(each, file_format)
        elif isinstance(each, list | tuple):
            inner = list(_parts(each, file_format))
            yield replace(inner[0], arms=[arm for part in inner for arm in part.arms])
        else:
            yield Parts(f"spectrum {number}", [each])


def _arm(spectrum: Any, name: str, air: bool) -> _Arm:
    wavelength = angstrom(spectrum.spectral_axis)
    if getattr(spectrum.uncertainty, "uncertainty_type", "unknown") == "unknown":
        raise ValueError(f"{name} has no uncertainty, which an audit weighs pixels by")
    flux = np.atleast_2d(np.asarray(getattr(spectrum.flux, "value", spectrum.flux), float))
    ivar = np.atleast_2d(inverse_variance(None, np.atleast_2d(standard_error(spectrum.uncertainty)), flux.shape))
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    if spectrum.mask is not None:
        good &= np.asarray(spectrum.mask) == 0
    return _Arm(name, air_to_vacuum(wavelength) if air else wavelength, flux, np.where(good, ivar, 0))


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


def _ascending(wavelength: np.ndarray, name: str) -> tuple[np.ndarray, slice]:
    """Return a grid in ascending order, and the slice that brings arrays into it."""
    order = slice(None, None, -1 if wavelength[0] > wavelength[-1] else 1)
    if len(wavelength) < 2 or np.any(np.diff(wavelength[order]) <= 0):
        raise ValueError(
            f"{name}: wavelengths to resample must be several and ascend or descend strictly; sort them, and average "
            "where orders overlap"
        )
    return wavelength[order], order


def _borders(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where pixels (D,) begin and end: halfway to the next one, or as far as on the other side of a gap."""
    steps = np.diff(grid)
    before, after = np.append(steps[0], steps), np.append(steps, steps[-1])
    begin = grid - 0.5 * np.where(before > _GAP * after, after, before)
    return begin, grid + 0.5 * np.where(after > _GAP * before, before, after)


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
        wavelength, order = _ascending(arm.wavelength, arm.name)
        flux, ivar = arm.flux[:, order], arm.ivar[:, order]
        if _same(wavelength, self._grid):
            return replace(arm, wavelength=self._grid, flux=flux, ivar=ivar)
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
        return _Arm(arm.name, self._grid, (shares @ np.where(good, flux, 0).T).T, ivar)


def _averaged(arms: Sequence[_Arm]) -> _Arm:
    """Return the average of the arms of the same stars, on one grid, by their inverse variances."""
    if len(arms) == 1:
        return arms[0]
    if len({len(arm.flux) for arm in arms}) > 1:
        counts = [len(arm.flux) for arm in arms]
        raise ValueError(f"the arms of {arms[0].name} have {counts} spectra; they must be of the same stars")
    ivar = np.sum([arm.ivar for arm in arms], axis=0)
    weighted = np.sum([arm.ivar * np.where(arm.ivar > 0, arm.flux, 0) for arm in arms], axis=0)
    return replace(arms[0], flux=np.divide(weighted, ivar, out=np.ones_like(ivar), where=ivar > 0), ivar=ivar)


def _refuse_empty(arm: _Arm) -> None:
    empty = ~np.any(arm.ivar > 0, axis=1)
    if np.any(empty):
        raise ValueError(
            f"{arm.name}{_row(arm, int(np.argmax(empty)))} has no good pixel on the grid of wavelength=, "
            f"{_span(arm.wavelength)}: leave it out, or give a grid within its range"
        )


def _divided(arm: _Arm, grid: np.ndarray, continuum: Continuum) -> _Arm:
    """Return spectra divided by their continuum; where that is not positive, pixels are masked."""
    levels = np.empty_like(arm.flux)
    for level, flux, ivar in zip(levels, arm.flux, arm.ivar, strict=True):
        typical = np.median(flux[ivar > 0]) if np.any(ivar > 0) else 1.0
        given = np.asarray(continuum(grid, np.where(ivar > 0, flux, typical), ivar), float)
        if given.shape not in ((), grid.shape):
            raise ValueError(f"continuum must give a number for each pixel, shape {grid.shape}, and gave {given.shape}")
        level[:] = given
    good = np.isfinite(levels) & (levels > 0)
    levels = np.where(good, levels, 1)
    return replace(arm, flux=arm.flux / levels, ivar=np.where(good, arm.ivar * levels**2, 0))


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
    """Return a name for each spectrum: its own in the file, else the file's; None if none comes from a file."""
    if not any(part.file for part in parts):
        return None
    names: list[str] = []
    for number, (part, count) in enumerate(zip(parts, counts, strict=True)):
        stem = part.file or str(number)
        rows = [stem] if count == 1 else [f"{stem}-{row}" for row in range(count)]
        names += part.stars if len(set(part.stars)) == count else rows
    return names
