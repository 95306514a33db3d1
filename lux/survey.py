"""The one container of data: spectra with their errors, labels with theirs, and where both came from.

The module is long because each way to make a survey documents what it takes from users.
"""

import dataclasses
import difflib
import functools
import hashlib
import numbers
import os
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.units import Quantity
from numpy.typing import ArrayLike

from lux.store.columns import (
    at_rows,
    catalogue_column,
    inverse_variance,
    join_stars,
    normalized_flux,
    own_where_unnamed,
    paired_labels,
    refuse_other_order,
    star_names,
    unmasked,
)
from lux.store.label_names import ELEMENTS as ELEMENTS
from lux.store.label_names import label_name as label_name
from lux.store.label_names import label_text as label_text
from lux.store.label_names import label_unit as label_unit
from lux.store.label_names import plain_name as plain_name
from lux.store.survey_checks import check_survey, checked_columns, json_dict, number_array
from lux.store.survey_file import StoredArray, read_survey, write_survey
from lux.store.tables import (
    as_columns,
    as_names,
    errors_of,
    labels_of,
    named_labels,
    of_table,
    require_table,
    warn_of_flags,
)
from lux.store.user_warnings import warn_user
from lux.store.wavelengths import LEAST_WAVELENGTH as LEAST_WAVELENGTH
from lux.store.wavelengths import air_to_vacuum as air_to_vacuum
from lux.store.wavelengths import angstrom, without_unit
from lux.store.wavelengths import vacuum_to_air as vacuum_to_air

if TYPE_CHECKING:
    from lux.store.spectra import Continuum

# Between this and its inverse lies the median of a flux that was divided by something like a continuum.
_LEAST_FLUX = 1e-6
# What `Survey` replaces by the default of the field, so that no field of a survey but the truth is None.
_DEFAULT: Any = None


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
        Further columns of each star, such as "cluster", "snr" or "radial_velocity" (km/s, to which a unit is
        converted). What is masked is NaN, or empty text; whole numbers of more than 53 bits become text for it.

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
        flux = _spectra("flux", self.flux)
        values = {
            "wavelength": number_array("wavelength", without_unit(self.wavelength), np.float64, 1),
            "flux": flux,
            "ivar": _spectra("ivar", self.ivar),
            "labels": number_array("labels", self.labels, np.float64, 2),
            "label_err": number_array("label_err", self.label_err, np.float64, 2),
            "label_names": names,
            "label_units": units,
            "star_id": star_names(self.star_id, len(flux)),
            "truth": self.truth if self.truth is None else _checked_truth(self.truth, len(flux), len(names)),
            "provenance": json_dict("provenance", self.provenance or {}),
            "catalogue": checked_columns("catalogue", self.catalogue or {}, len(flux)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        check_survey(self)
        for array in (self.wavelength, self.flux, self.ivar, self.labels, self.label_err, self.star_id):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)

    @classmethod
    def from_arrays(
        cls,
        wavelength: ArrayLike | Quantity,
        flux: ArrayLike | Quantity,
        *,
        labels: ArrayLike | Mapping[str, ArrayLike],
        label_err: ArrayLike | Mapping[str, ArrayLike],
        ivar: ArrayLike | Quantity | None = None,
        error: ArrayLike | Quantity | None = None,
        mask: ArrayLike | None = None,
        label_names: Sequence[str] | None = None,
        **fields: Any,
    ) -> "Survey":
        """Make a survey of arrays as users have them.

        Parameters
        ----------
        wavelength : (D,) array or Quantity
            In vacuum, one grid for all stars, ascending or descending. Without a unit it is in Angstrom; for
            wavelengths in air see `lux.spectroscopy.lines.air_to_vacuum`.
        flux : (N, D) array
            Continuum-normalized; percent become fractions. What is masked or not finite counts as masked, whatever its
            error.
        labels : (N, M) array, or mapping of names to (N,) arrays
            What is masked, NaN, or without a positive error is missing. Where columns carry no unit, it is that of the
            name: K for teff, dex for abundances.
        label_err : the same, or one number for each label
            Standard errors, converted to the units of the labels. A mapping may hold numbers; beside a mapping of
            labels, one number holds for all.
        ivar, error : (N, D) array, or uncertainty of `astropy.nddata`
            Inverse variance of the flux, or its standard error: one of the two; an uncertainty says itself which. Where
            it is not positive and finite, the pixel is masked. Without a unit it is in that of the flux.
        mask : (N, D) array, optional
            True, or not zero, for a pixel that is not to be used.
        label_names : sequence of M str
            Of labels in an array; of columns that have names, which of them and in which order, or their new names.
            Names are kept as they are given; audits read the usual spellings.
        **fields
            Further fields of a survey: ``star_id``, ``label_units``, ``catalogue``, ``provenance``.

        Raises
        ------
        ValueError
            If wavelengths seem to be in another unit, the flux is not normalized, or anything does not fit together.

        Warns
        -----
        UserWarning
            If labels have no positive error, with their number, or the mask takes most pixels.

        Examples
        --------
        >>> labels = {"Eu_fe": [0.1]}
        >>> survey = Survey.from_arrays([15150.0, 15150.2], [[1.0, 0.9]], error=0.01, labels=labels, label_err=0.05)
        """
        refuse_other_order(flux, ivar, error, mask, labels, label_err, *fields.values(), star_id=fields.get("star_id"))
        if label_names is None:
            labels = as_columns(labels)
            label_err = as_columns(label_err) if isinstance(labels, Mapping) else label_err
        else:
            labels, label_err = named_labels(labels, label_err, as_names(label_names))
        wavelength, (spectra, unit) = angstrom(wavelength), normalized_flux(flux)
        if spectra.ndim != 2:
            raise ValueError(f"flux must have a row for each star and a column for each pixel, got {spectra.shape}")
        ivar = inverse_variance(ivar, error, spectra.shape, unit)
        good = ~np.ma.getmaskarray(spectra) & np.isfinite(ivar) & (ivar > 0)
        good &= True if mask is None else unmasked(mask, good.shape)
        level = float(np.median(np.abs(spectra.data[good]))) if good.any() else 1.0
        if not _LEAST_FLUX < level < 1 / _LEAST_FLUX:
            raise ValueError(f"the median flux is {level:.3g}: divide each spectrum by its continuum, errors likewise")
        label_names = (
            list(labels) if isinstance(labels, Mapping) else as_names(() if label_names is None else label_names)
        )
        stated = fields.get("label_units")
        if stated is None or len(stated) != len(label_names):
            stated = [""] * len(label_names)
        named = [str(unit) or label_unit(plain_name(str(name))) for name, unit in zip(label_names, stated, strict=True)]
        values, errors, units = paired_labels(labels, label_err, named, len(spectra))
        fields.setdefault("label_units", units)
        present = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
        if np.any(np.isinf(values)):
            warn_user(f"{np.sum(np.isinf(values))} labels are infinite and count as missing")
        if np.any(dropped := np.isfinite(values) & ~present):
            warn_user(f"{np.sum(dropped)} labels have no positive error and count as missing")
        order = slice(None, None, -1 if len(wavelength) > 1 and wavelength[0] > wavelength[-1] else 1)
        return cls(
            wavelength=wavelength[order],
            flux=np.where(good, spectra.data, 1)[:, order],
            ivar=np.where(good, ivar, 0)[:, order],
            labels=np.where(present, values, np.nan),
            label_err=np.where(present, errors, np.nan),
            label_names=tuple(label_names),
            **fields,
        )

    @classmethod
    def from_table(
        cls,
        table: Any,
        wavelength: ArrayLike | Quantity,
        flux: ArrayLike | Quantity | str = "flux",
        *,
        labels: Sequence[str],
        label_err: Any = types.MappingProxyType({}),
        star_id: str | None = None,
        catalogue: Sequence[str] = (),
        **pixels: Any,
    ) -> "Survey":
        """Make a survey of a table with a row for each star: an astropy table, a data frame, a record array, a mapping.

        Parameters
        ----------
        table : mapping of column names to columns
        wavelength : (D,) array or Quantity
        flux : (N, D) array, or name of a column that holds spectra
        labels : sequence of str
            Names of columns.
        label_err : mapping, or one number or name of a column for all labels
            Standard error of a label: the name of a column, an array or a number. Of labels that are not in it, the
            column is looked for: "e_X", "X_err", "X_error", "err_X" or "sigma_X", in any case, if the label's own
            spelling has none.
        star_id : str, optional
            Name of the column that names the stars.
        catalogue : sequence of str
            Names of further columns to keep.
        **pixels
            ``ivar``, ``error`` and ``mask`` as in `from_arrays`, or names of columns; and further fields of a survey.

        Raises
        ------
        ValueError
            As `from_arrays`; or if the table lacks a column, or errors are given of what is neither label nor column.
        """
        require_table(table, wavelength)
        column = functools.partial(of_table, table)
        warn_of_flags(as_names(labels), table)
        return cls.from_arrays(
            wavelength,
            column(flux),
            labels={name: column(name) for name in as_names(labels)},
            label_err=errors_of(as_names(labels), table, label_err),
            star_id=None if star_id is None else column(star_id),
            catalogue={name: column(name) for name in catalogue},
            **{name: column(value) for name, value in pixels.items()},
        )

    @classmethod
    def from_spectra(
        cls,
        spectra: Iterable[Any] | str | os.PathLike,
        *,
        wavelength: ArrayLike | Quantity | None = None,
        air: bool | None = None,
        format: str | None = None,
        continuum: "Continuum | None" = None,
        **arrays: Any,
    ) -> "Survey":
        """Make a survey of spectra as specutils has them, or of files that it reads.

        Parameters
        ----------
        spectra : sequence of spectra, collection, or paths of files
            With ``spectral_axis``, ``flux``, ``uncertainty`` (of any type of `astropy.nddata`) and ``mask``, which may
            be None. Each row of a flux of two dimensions is a spectrum; a list or tuple holds the arms of one star. One
            spectrum, or one path, may stand alone. Errors are converted to the unit of the flux. Masked are pixels of
            which the mask is not zero, the flux or its error not finite, or the error not positive or more than 30
            times that of the best tenth of the spectrum's pixels.
            Paths, in the place of spectra, need the package specutils: of an apStar file the combined spectrum is read,
            of a mwmStar or DESI file all instruments or arms, of a GALAH file the normalized spectrum, if it has one.
            Pixels with any bit in the mask of the file are masked in the formats "SDSS-V apStar", "SDSS-V mwm" and
            DESI's, whatever the bit says; "APOGEE apStar" reads no mask, and aspcapStar and GALAH files have none, so
            that only the errors mark bad pixels there.
        wavelength : (D,) array or Quantity, optional
            Grid in vacuum, in Angstrom if it has no unit, on which all are resampled. Pixels are averaged with the
            shares that they cover (Carnall 2017, arXiv:1705.05165), as by specutils' FluxConservingResampler; errors
            follow, without the correlation of neighbors. A pixel is masked where any part of it is, or lies outside of
            the spectrum. The arms of a star are averaged by their inverse variances. A step of more than 1.5 times the
            median of the eleven around it is a gap of a spectrum, unless the whole grid is smooth.
        air : bool, optional
            Whether the wavelengths of the spectra are in air. By default those of a file are if its format (GALAH) or
            an axis in its header (AWAV) says so, and those of spectra in memory are in vacuum.
        format : str, optional
            Of the files, as specutils names it, such as "SDSS-V apStar"; by default it is recognized.
        continuum : function (wavelength (D,), flux (D,), ivar (D,)) -> (D,), optional
            By whose values each spectrum is divided. A masked pixel has the median flux and the inverse variance 0.
        **arrays
            ``labels`` and ``label_err`` in the order of the spectra, and further arguments of `from_arrays` but those
            of pixels, which the spectra have. Without labels the survey has none, and `with_labels` joins them. Stars
            are named after their files, with the folder where two have one name, and in a DESI file by TARGETID.

        Raises
        ------
        ValueError
            As `from_arrays`; or if a file cannot be read, spectra have no uncertainty, are not normalized or have a
            unit of flux density without ``continuum``, lie on different grids while none is given, or beyond the one
            that is; or if labels are as many as other stars, or come without errors.
        FileNotFoundError
            If there is no such file.
        ImportError
            If files are to be read without the package specutils.

        Warns
        -----
        UserWarning
            If arms of one star, not of one file, have most of their range in common, as different stars would.

        Notes
        -----
        Spectra must be in the rest frames of their stars. Those of apStar, aspcapStar and mwmStar files are; DESI's and
        most others are in the frame of the Sun. Divide the wavelengths of each by 1 + v / c beforehand, as
        ``spectrum.shift_spectrum_to(radial_velocity=0 * u.km / u.s)`` does where the spectrum knows its own velocity,
        and give ``wavelength``, since the grids then differ.
        """
        # Half of a second that no other survey needs.
        from lux.store.spectra import on_one_grid, refuse_beside_spectra, refuse_other_number

        refuse_beside_spectra(arrays)
        grid, flux, ivar, names = on_one_grid(spectra, wavelength, air, format, continuum)
        if arrays.get("labels") is not None:
            refuse_other_number(arrays["labels"], "labels", len(flux))
            refuse_other_number(arrays["label_err"], "errors of labels", len(flux))
        else:
            arrays |= dict.fromkeys(("labels", "label_err"), np.empty((len(flux), 0)))
        return cls.from_arrays(grid, flux, ivar=ivar, **{"star_id": names} | arrays)

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

    @property
    def is_lazy(self) -> bool:
        """Whether the spectra lie on the disk, to be read a block at a time (`open`)."""
        return isinstance(self.flux, StoredArray)

    def __len__(self) -> int:
        return self.n_stars

    def __repr__(self) -> str:
        span = f"{self.wavelength[0]:.1f}-{self.wavelength[-1]:.1f} A"
        return f"Survey({self.n_stars} stars, {self.n_pixels} pixels {span}, labels {', '.join(self.label_names)})"

    def label_index(self, name: str) -> int:
        """Return the column of a label, which may be spelled as `plain_name` reads it; ValueError if there is none."""
        if not isinstance(name, str):
            raise ValueError(f"a label is asked for by its name, one of {', '.join(self.label_names)}; got {name!r}")
        if name in self.label_names:
            return self.label_names.index(name)
        plain = [plain_name(each) for each in self.label_names]
        if plain.count(plain_name(name)) == 1:
            return plain.index(plain_name(name))
        meant = difflib.get_close_matches(plain_name(name), plain, n=1, cutoff=0.5)
        hint = f"; did you mean {self.label_names[plain.index(meant[0])]!r}?" if meant else ""
        raise ValueError(f"unknown label {name!r}; this survey has {', '.join(self.label_names)}{hint}")

    def label(self, name: str) -> np.ndarray:
        """Return one label of every star, (N,)."""
        return self.labels[:, self.label_index(name)]

    def __getitem__(self, stars: slice | np.ndarray | Sequence[int]) -> "Survey":
        """Return the survey of the stars picked by a slice, a boolean mask (N,) or row numbers.

        What is masked in either picks no star.
        """
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

    def split(
        self, test_fraction: float = 0.2, seed: int = 0, *, groups: ArrayLike | str | None = None
    ) -> tuple["Survey", "Survey"]:
        """Split the stars at random into a training and a test survey.

        Parameters
        ----------
        test_fraction : float
        seed : int
        groups : (N,) array, or name of a column of the catalogue, optional
            What stays together, such as several spectra of one star, or the stars of a cluster; then `test_fraction` is
            met as far as groups allow. What has no name there, or the number -1 or -9999, such as the field beside
            clusters, is alone.

        Raises
        ------
        ValueError
            If `test_fraction` is no number or leaves either side empty, `seed` is none of NumPy's, or the groups are no
            column of the stars.
        """
        if not isinstance(test_fraction, numbers.Real) or not 0 < test_fraction < 1:
            raise ValueError(
                f"test_fraction must be a number between 0 and 1, the share of the test; got {test_fraction!r}"
            )
        try:
            generator = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise ValueError(f"seed must be a whole number, not below 0; got {seed!r}") from error
        if groups is not None:
            return self._split_groups(test_fraction, generator, groups)
        n_test = round(test_fraction * self.n_stars)
        if not 0 < n_test < self.n_stars:
            raise ValueError(
                f"test_fraction={test_fraction} of {self.n_stars} stars leaves {n_test} for the test; "
                "both sides need at least one star"
            )
        order = generator.permutation(self.n_stars)
        return self[np.sort(order[n_test:])], self[np.sort(order[:n_test])]

    def _split_groups(
        self, test_fraction: float, generator: np.random.Generator, groups: ArrayLike | str
    ) -> tuple["Survey", "Survey"]:
        column = of_table(self.catalogue, groups) if isinstance(groups, str) else catalogue_column("groups", groups)
        if column.shape != (self.n_stars,):
            raise ValueError(f"groups must name the group of each of {self.n_stars} stars, got shape {column.shape}")
        column = own_where_unnamed(column, self.star_id)
        _, number, sizes = np.unique(column, return_inverse=True, return_counts=True)
        chosen, free = [], test_fraction * self.n_stars
        for group in generator.permutation(len(sizes)).tolist():
            if sizes[group] <= free:
                chosen.append(group)
                free -= sizes[group]
        test = np.isin(number, chosen)
        if not test.any() or test.all():
            raise ValueError(
                f"test_fraction={test_fraction} of {len(sizes)} groups leaves one side empty; the largest has "
                f"{sizes.max()} of {self.n_stars} stars"
            )
        return self[~test], self[test]

    def select_labels(self, names: Sequence[str]) -> "Survey":
        """Return the survey with only the named labels, in that order."""
        names = as_names(names)
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
        """Return the survey on the pixels of a boolean mask (D,); the others are gone, and what is masked in it is."""
        pixels = np.asarray(np.ma.filled(pixels, False))
        if pixels.dtype != bool or pixels.shape != (self.n_pixels,):
            raise ValueError(
                f"pixels must be a boolean mask of shape ({self.n_pixels},), got {pixels.dtype} {pixels.shape}"
            )
        return self.replace(wavelength=self.wavelength[pixels], flux=self.flux[:, pixels], ivar=self.ivar[:, pixels])

    def with_labels(
        self,
        table: Any,
        labels: Sequence[str] = (),
        *,
        star_id: str = "star_id",
        label_err: Any = types.MappingProxyType({}),
    ) -> "Survey":
        """Return the survey with labels of a catalogue in the place of its own, joined by the names of the stars.

        Stars that the catalogue has not are left out, and so are its rows without a name. Blanks around names do not
        count. Empty text and "--", "N/A" and their like among numbers are missing.

        Parameters
        ----------
        table : mapping of column names to columns
        labels : sequence of str
            Columns to take; by default all of numbers that have a column of errors, or errors in `label_err`, and are
            no position, motion or distance.
        star_id : str
            Column of the table that names the stars.
        label_err : mapping, or one for all labels
            As in `from_table`.

        Raises
        ------
        ValueError
            If the table lacks a column, names a star twice or none of the survey, its ids lost digits, or a column of
            numbers holds other text.
        """
        column = functools.partial(of_table, table)
        found, rows = join_stars(self.star_id, names := column(star_id), f"column {star_id!r}")
        labels = as_names(labels) or labels_of(table, label_err)
        errors = errors_of(labels, table, label_err)
        warn_of_flags(labels, table, rows)
        stars = self[found]
        # Spectra on the disk stay there; a pixel of ones stands for them meanwhile.
        spectra = {name: getattr(stars, name) for name in ("wavelength", "flux", "ivar")}
        blank = {"wavelength": stars.wavelength[-1:]} | dict.fromkeys(("flux", "ivar"), np.ones((len(stars), 1)))
        labelled = Survey.from_arrays(
            **(blank if stars.is_lazy else spectra),
            labels={name: at_rows(f"label {name!r}", column(name), rows, len(names)) for name in labels},
            label_err={name: at_rows(f"label_err of {name!r}", errors[name], rows, len(names)) for name in labels},
            star_id=stars.star_id,
            catalogue=stars.catalogue,
            provenance=stars.provenance,
        )
        return labelled.replace(**spectra) if stars.is_lazy else labelled

    def mask_wavelengths(self, windows: Iterable[tuple[float, float]]) -> "Survey":
        """Return the survey with ivar = 0 inside each (low, high) window in Angstrom; the grid is unchanged.

        Of an opened survey it reads all of ivar; ``select_pixels(~survey.pixels_within(windows))`` reads nothing.
        """
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
        unmasked = sum(np.count_nonzero(self.ivar[rows], axis=0) for rows in self.block_rows())
        return self.select_pixels(np.asarray(unmasked) >= enough)

    def save(self, path: str | os.PathLike, *, compress: bool = True) -> None:
        """Write everything to one HDF5 file, whole or not at all; its spectra compressed if so wished.

        It replaces a survey, and no other file. A path that ends in ``.zarr`` becomes a Zarr folder instead, which
        needs the package zarr, and replaces nothing.
        """
        blocks = ((self.flux[rows], self.ivar[rows]) for rows in self.block_rows())
        write_survey(path, self.columns(), blocks, compress=compress)

    def block_rows(self, size: int = 1024) -> Iterator[slice]:
        """Yield slices of at most `size` consecutive stars, a block at a time for spectra that memory cannot hold."""
        return (slice(first, min(first + size, self.n_stars)) for first in range(0, self.n_stars, size))

    def digest(self) -> str:
        """Return a hash of the spectra and labels, for the key of what is fitted to them."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for array in (self.wavelength, self.flux, self.ivar, self.labels, self.label_err):
            digest.update(repr(array.shape).encode())
            for part in (array[rows] for rows in self.block_rows()) if isinstance(array, StoredArray) else (array,):
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def columns(self) -> dict[str, Any]:
        """Return everything but the spectra, by name of field, as `lux.store.survey_file.write_survey` takes it."""
        fields = {name: value for name, value in vars(self).items() if name not in ("flux", "ivar")}
        return {**fields, "truth": None if self.truth is None else vars(self.truth)}

    @classmethod
    def open(cls, path: str | os.PathLike) -> "Survey":
        """Open a survey that `save` wrote; its spectra stay on the disk.

        They are read and checked a block of stars at a time by `lux.Lux.fit` and `predict_labels`, in memory that does
        not grow with the number of stars; `split`, `with_labels` and selections of stars, pixels and labels copy none.
        Whatever needs them all, such as an audit, reads them all. If the file changes meanwhile, an `OSError` says so.

        Raises
        ------
        FileNotFoundError, ValueError
            As `load`.
        """
        fields = read_survey(path, lazy=True)
        truth = fields.pop("truth")
        return cls(**fields, truth=None if truth is None else Truth(**truth))

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


def _spectra(name: str, value: ArrayLike | StoredArray) -> Any:
    return value if isinstance(value, StoredArray) else number_array(name, value, np.float32, 2)


def _star_index(stars: slice | np.ndarray | Sequence[int], n_stars: int) -> slice | np.ndarray:
    if isinstance(stars, slice):
        return stars
    masked = np.ma.getmaskarray(np.ma.asarray(stars))
    stars = np.asarray(stars)
    if stars.dtype == bool and stars.shape != (n_stars,):
        raise ValueError(f"a boolean selection of stars must have shape ({n_stars},), got {stars.shape}")
    if stars.dtype != bool and stars.size and not np.issubdtype(stars.dtype, np.integer):
        raise ValueError(f"stars are picked by a slice, a boolean mask or row numbers, got {stars.dtype}")
    if np.any(masked):
        # A condition on what is missing is not met, and a row number that is missing is none.
        stars = stars & ~masked if stars.dtype == bool else stars[~masked]
    return stars if stars.size else np.empty(0, int)


def _pick(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[rows] for name, column in columns.items()}


def _checked_truth(truth: Truth, n_stars: int, n_labels: int) -> Truth:
    labels = number_array("truth.labels", truth.labels, np.float64, 2)
    if labels.shape != (n_stars, n_labels):
        raise ValueError(f"truth.labels must have shape {(n_stars, n_labels)}, got {labels.shape}")
    return Truth(labels, json_dict("truth.world", truth.world), checked_columns("truth", truth.columns, n_stars))
