"""The one container of data: spectra with their errors, labels with theirs, and where both came from.

The module is long because validation and the spelling of labels stand beside the fields that they are about.
"""

import dataclasses
import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lux.storage import read_survey, write_survey

# What `Survey` replaces by the default of the field, so that no field of a survey but the truth is None.
_DEFAULT: Any = None


_LABEL_TEXT = {
    "teff": "$T_\\mathrm{eff}$",
    "logg": "$\\log g$",
    "fe_h": "[Fe/H]",
    "m_h": "[M/H]",
    "alpha_fe": "[$\\alpha$/Fe]",
    "alpha_m": "[$\\alpha$/M]",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What a simulation knows and a survey does not.

    Parameters
    ----------
    labels : (N, M) array
        Noise-free labels, in the units of the survey's labels.
    world : dict
        What was planted, in values that JSON can hold.
    columns : mapping of name to (N,) array
        Further true quantities of each star.
    """

    labels: np.ndarray
    world: dict[str, Any]
    columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Survey:
    """Spectra on one wavelength grid, with the labels of their stars.

    Parameters
    ----------
    wavelength : (D,) array
        Vacuum wavelength in Angstrom, strictly increasing.
    flux : (N, D) array
        Continuum-normalized flux, finite everywhere (a masked pixel holds any finite value, by habit 1).
    ivar : (N, D) array
        Inverse variance of the flux; 0 marks a masked pixel.
    labels, label_err : (N, M) arrays
        Labels and their standard errors. A NaN label is missing; the error of a label that is there is positive.
    label_names : sequence of M str
    label_units : sequence of M str, optional
        Units as text, such as "K" or "dex"; empty text by default.
    star_id : (N,) array of str, optional
        Unique names; the row numbers by default.
    truth : Truth, optional
    provenance : dict, optional
        Where the data came from, in values that JSON can hold.
    catalogue : mapping of name to (N,) array, optional
        Further columns of each star, such as "cluster", "snr" or "radial_velocity" (km/s).

    Raises
    ------
    ValueError
        If anything above does not hold; the message names the star, pixel or label.

    Notes
    -----
    Arrays that already have the right type are not copied: do not write to them afterwards.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    labels: np.ndarray
    label_err: np.ndarray
    label_names: tuple[str, ...]
    label_units: tuple[str, ...] = _DEFAULT
    star_id: np.ndarray = _DEFAULT
    truth: Truth | None = None
    provenance: dict[str, Any] = _DEFAULT
    catalogue: Mapping[str, np.ndarray] = _DEFAULT

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.label_names)
        units = ("",) * len(names) if self.label_units is None else tuple(str(unit) for unit in self.label_units)
        flux = _array("flux", self.flux, np.float32, 2)
        star_id = np.arange(len(flux)).astype(str) if self.star_id is None else np.asarray(self.star_id).astype(str)
        values = {
            "wavelength": _array("wavelength", self.wavelength, np.float64, 1),
            "flux": flux,
            "ivar": _array("ivar", self.ivar, np.float32, 2),
            "labels": _array("labels", self.labels, np.float64, 2),
            "label_err": _array("label_err", self.label_err, np.float64, 2),
            "label_names": names,
            "label_units": units,
            "star_id": star_id,
            "truth": self.truth if self.truth is None else _checked_truth(self.truth, len(flux), len(names)),
            "provenance": _json_dict("provenance", self.provenance or {}),
            "catalogue": _checked_columns("catalogue", self.catalogue or {}, len(flux)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        _validate(self)
        for array in (self.wavelength, self.flux, self.ivar, self.labels, self.label_err, self.star_id):
            array.setflags(write=False)

    @property
    def n_stars(self) -> int:
        """Number of stars, N."""
        return self.flux.shape[0]

    @property
    def n_pixels(self) -> int:
        """Number of pixels, D."""
        return self.flux.shape[1]

    @property
    def n_labels(self) -> int:
        """Number of labels, M."""
        return len(self.label_names)

    def __len__(self) -> int:
        return self.n_stars

    def __repr__(self) -> str:
        span = f"{self.wavelength[0]:.1f}-{self.wavelength[-1]:.1f} A"
        return f"Survey({self.n_stars} stars, {self.n_pixels} pixels {span}, labels {', '.join(self.label_names)})"

    def label_index(self, name: str) -> int:
        """Return the column of a label; ValueError if the survey has no such label."""
        if name not in self.label_names:
            plain = {plain_name(each): each for each in self.label_names}
            meant = difflib.get_close_matches(plain_name(name), plain, n=1)
            hint = f"; did you mean {plain[meant[0]]!r}?" if meant else ""
            raise ValueError(f"unknown label {name!r}; this survey has {', '.join(self.label_names)}{hint}")
        return self.label_names.index(name)

    def label(self, name: str) -> np.ndarray:
        """Return one label of every star, (N,)."""
        return self.labels[:, self.label_index(name)]

    def __getitem__(self, stars: slice | np.ndarray | Sequence[int]) -> "Survey":
        """Return the survey of the stars picked by a slice, a boolean mask (N,) or row numbers."""
        rows = np.atleast_1d(np.arange(self.n_stars)[_star_index(stars, self.n_stars)])
        if rows.size == 0:
            raise ValueError("the selection leaves no star; relax the mask or the row numbers")
        truth = self.truth and Truth(self.truth.labels[rows], self.truth.world, _pick(self.truth.columns, rows))
        return self.replace(
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            labels=self.labels[rows],
            label_err=self.label_err[rows],
            star_id=self.star_id[rows],
            truth=truth,
            catalogue=_pick(self.catalogue, rows),
        )

    def replace(self, **changes: Any) -> "Survey":
        """Return a copy with the named fields changed, validated anew."""
        return dataclasses.replace(self, **changes)

    def split(self, test_fraction: float = 0.2, seed: int = 0) -> tuple["Survey", "Survey"]:
        """Split the stars at random into a training and a test survey.

        Raises
        ------
        ValueError
            If `test_fraction` leaves either side empty.
        """
        n_test = round(test_fraction * self.n_stars)
        if not 0 < n_test < self.n_stars:
            raise ValueError(
                f"test_fraction={test_fraction} of {self.n_stars} stars leaves {n_test} for the test; "
                "both sides need at least one star"
            )
        order = np.random.default_rng(seed).permutation(self.n_stars)
        return self[np.sort(order[n_test:])], self[np.sort(order[:n_test])]

    def select_labels(self, names: Sequence[str]) -> "Survey":
        """Return the survey with only the named labels, in that order."""
        columns = [self.label_index(name) for name in names]
        truth = self.truth and Truth(self.truth.labels[:, columns], self.truth.world, self.truth.columns)
        return self.replace(
            labels=self.labels[:, columns],
            label_err=self.label_err[:, columns],
            truth=truth,
            label_names=tuple(names),
            label_units=tuple(self.label_units[column] for column in columns),
        )

    def select_pixels(self, pixels: np.ndarray) -> "Survey":
        """Return the survey on the pixels of a boolean mask (D,); the others are gone."""
        pixels = np.asarray(pixels)
        if pixels.dtype != bool or pixels.shape != (self.n_pixels,):
            raise ValueError(
                f"pixels must be a boolean mask of shape ({self.n_pixels},), got {pixels.dtype} {pixels.shape}"
            )
        return self.replace(wavelength=self.wavelength[pixels], flux=self.flux[:, pixels], ivar=self.ivar[:, pixels])

    def mask_wavelengths(self, windows: Iterable[tuple[float, float]]) -> "Survey":
        """Return the survey with ivar = 0 inside each (low, high) window in Angstrom; the grid is unchanged."""
        return self.replace(ivar=np.where(self.pixels_within(windows), np.float32(0), self.ivar))

    def pixels_within(self, windows: Iterable[tuple[float, float]]) -> np.ndarray:
        """Return a boolean mask (D,) of the pixels inside any (low, high) window in Angstrom, ends included."""
        inside = np.zeros(self.n_pixels, bool)
        for low, high in windows:
            if not low <= high:
                raise ValueError(f"a wavelength window needs low <= high, got ({low}, {high})")
            inside |= (self.wavelength >= low) & (self.wavelength <= high)
        return inside

    def drop_masked_pixels(self, min_stars: int = 1, *, fraction: float = 0.0) -> "Survey":
        """Return the survey without the pixels that too few stars have unmasked.

        Too few are fewer than `min_stars`, or than `fraction` of the stars.
        """
        enough = max(min_stars, fraction * self.n_stars)
        return self.select_pixels(np.count_nonzero(self.ivar, axis=0) >= enough)

    def save(self, path: str | os.PathLike, *, compress: bool = True) -> None:
        """Write everything to one HDF5 file, whole or not at all; its spectra compressed if so wished."""
        write_survey(path, self.columns(), [(self.flux, self.ivar)], compress=compress)

    def digest(self) -> str:
        """Return a hash of the spectra and labels, for the key of what is fitted to them."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for array in (self.wavelength, self.flux, self.ivar, self.labels, self.label_err):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def columns(self) -> dict[str, Any]:
        """Return everything but the spectra, by name of field, as `lux.storage.write_survey` takes it."""
        fields = {name: value for name, value in vars(self).items() if name not in ("flux", "ivar")}
        return {**fields, "truth": None if self.truth is None else vars(self.truth)}

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Survey":
        """Read a survey that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, damaged, or not a survey.
        """
        fields = read_survey(path)
        truth = fields.pop("truth")
        return cls(**fields, truth=None if truth is None else Truth(**truth))


def plain_name(label: str) -> str:
    """Return a label's name as written here: "[Fe/H]" and "FE_H" are "fe_h"."""
    return re.sub(r"[^a-z0-9]+", "_", label.casefold()).strip("_")


def label_unit(name: str) -> str:
    """Return the unit of a label by its name: "K" for teff, "dex" for logg and abundances such as mg_fe, else none."""
    return {"teff": "K", "logg": "dex"}.get(name, "dex" if "_" in name else "")


def label_text(name: str, with_unit: bool = True) -> str:
    """Return the text of a label for an axis: "eu_fe" gives "[Eu/Fe] (dex)"."""
    element, _, reference = name.partition("_")
    default = f"[{element.capitalize()}/{reference.capitalize()}]" if reference else name
    text, unit = _LABEL_TEXT.get(name, default), label_unit(name)
    return f"{text} ({unit})" if with_unit and unit else text


def label_name(name: str) -> str:
    """Return the name of a label for prose, where no formula is set: "alpha_m" gives "[α/M]"."""
    text = label_text(name, with_unit=False)
    for formula, plain in (("$T_\\mathrm{eff}$", "Teff"), ("$\\log g$", "log g"), ("$\\alpha$", "α")):
        text = text.replace(formula, plain)
    return text


def _array(name: str, value: ArrayLike, dtype: type, ndim: int) -> np.ndarray:
    try:
        array: np.ndarray = np.array(value, dtype=dtype, order="C", copy=None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    return array.view()


def _star_index(stars: slice | np.ndarray | Sequence[int], n_stars: int) -> slice | np.ndarray:
    if isinstance(stars, slice):
        return stars
    stars = np.asarray(stars)
    if stars.dtype == bool and stars.shape != (n_stars,):
        raise ValueError(f"a boolean selection of stars must have shape ({n_stars},), got {stars.shape}")
    if stars.dtype != bool and stars.size and not np.issubdtype(stars.dtype, np.integer):
        raise ValueError(f"stars are picked by a slice, a boolean mask or row numbers, got {stars.dtype}")
    return stars if stars.size else np.empty(0, int)


def _pick(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[rows] for name, column in columns.items()}


def _json_dict(name: str, value: dict) -> dict:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold values that JSON can hold: {error}") from error


def _checked_columns(name: str, columns: Mapping[str, Any], n_stars: int) -> dict[str, np.ndarray]:
    checked = {}
    for key, column in columns.items():
        column = np.asarray(column)
        if column.shape != (n_stars,):
            raise ValueError(f"{name} column {key!r} must have shape ({n_stars},), got {column.shape}")
        if column.dtype.kind not in "biufU":
            raise ValueError(f"{name} column {key!r} must hold numbers, booleans or text, got {column.dtype}")
        checked[str(key)] = column
    return checked


def _checked_truth(truth: Truth, n_stars: int, n_labels: int) -> Truth:
    labels = _array("truth.labels", truth.labels, np.float64, 2)
    if labels.shape != (n_stars, n_labels):
        raise ValueError(f"truth.labels must have shape {(n_stars, n_labels)}, got {labels.shape}")
    return Truth(labels, _json_dict("truth.world", truth.world), _checked_columns("truth", truth.columns, n_stars))


def _validate(survey: Survey) -> None:
    _validate_shapes(survey)
    if not np.all(np.isfinite(survey.wavelength)) or np.any(survey.wavelength <= 0):
        raise ValueError("wavelength must be finite and positive, in Angstrom")
    steps = np.diff(survey.wavelength)
    if np.any(steps <= 0):
        pixel = int(np.argmax(steps <= 0)) + 1
        kind = "repeats" if steps[pixel - 1] == 0 else "falls below"
        raise ValueError(
            f"wavelength must increase strictly: pixel {pixel} {kind} pixel {pixel - 1}; sort and drop duplicates"
        )
    _refuse_pixels(survey, "flux", ~np.isfinite(survey.flux), "is not finite; set it to 1 and its ivar to 0")
    _refuse_pixels(survey, "ivar", ~np.isfinite(survey.ivar), "is not finite; set it to 0 to mask the pixel")
    _refuse_pixels(survey, "ivar", survey.ivar < 0, "is negative; set it to 0 to mask the pixel")
    empty = ~np.any(survey.ivar > 0, axis=1)
    if np.any(empty):
        raise ValueError(f"star {survey.star_id[np.argmax(empty)]} has every pixel masked (ivar = 0); leave it out")
    _validate_labels(survey)


def _validate_shapes(survey: Survey) -> None:
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


def _refuse_pixels(survey: Survey, name: str, bad: np.ndarray, why: str) -> None:
    if np.any(bad):
        star, pixel = np.unravel_index(np.argmax(bad), bad.shape)
        raise ValueError(
            f"{name} of star {survey.star_id[star]} (row {star}) at pixel {pixel} "
            f"({survey.wavelength[pixel]:.3f} A) {why} ({np.count_nonzero(bad)} such pixels)"
        )


def _validate_labels(survey: Survey) -> None:
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
