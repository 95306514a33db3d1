"""Which lines are a label's own, where nobody names them: those of its element in the line list."""

import functools
import os
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from astropy.units import Quantity, UnitsError

from lux.auditing.measurements import sampled_resolution
from lux.auditing.settings import AuditSettings
from lux.simulation.equilibrium import ALPHA_ELEMENTS, BOLTZMANN_EV
from lux.simulation.synthesis import line_strength
from lux.spectroscopy.line_tables import wavelength_column
from lux.spectroscopy.lines import LineList, air_to_vacuum, load_lines, strongest, vacuum_to_air
from lux.store.quantities import without_mask
from lux.store.wavelengths import angstrom
from lux.survey import ELEMENTS, Survey, plain_name

# The giant in which the strength of lines is compared.
_REFERENCE_STAR = (4500.0, 2.0, -0.1)
# Labels that belong to no element: the whole spectrum depends on them.
_PARAMETERS = ("teff", "logg", "vmicro", "vmacro", "vsini", "vbroad")
# Standard deviations of the lines together, reached by chance in one of two thousand audits in either medium. Lines
# that were not given are partly taken for strong features, so that what is left of them is weaker than they are.
_SIGNIFICANT_IN_OTHER_MEDIUM = 3.5
# Of lists of lines that were moved along the pixels, how many may show as much.
_RARELY = 0.005
# Wavelengths, or a table or `LineList` that has them.
Lines: TypeAlias = Any
# No star has promethium.
_PROPER_MOTION = "pm"
_REFERENCES = ("h", "fe", "m", "")
_ION = re.compile(r"([a-z]{1,2})(?:i|ii|1|2)")
_CARRIERS = {"C": ("C", "CO", "CN"), "N": ("N", "CN"), "O": ("O", "OH")}


def default_lines(survey: Survey, label: str, max_lines: int = AuditSettings.max_own_lines) -> tuple[float, ...]:
    """Return the own lines of a label: those that the survey's world planted, else the strongest of its element.

    At most `max_lines` of the latter; a label that belongs to no element, such as teff, has none.

    Raises
    ------
    ValueError
        If the label belongs to an element and most of the survey's pixels lie beyond the line list.
    """
    wavelength = survey.wavelength
    if survey.truth is not None and survey.truth.world.get("label") == label:
        planted = survey.truth.world.get("own_lines", ())
        return tuple(line for line in planted if np.min(np.abs(wavelength / line - 1)) < 1e-4)
    listed = load_lines().wavelength
    if _elements(label) and np.mean((wavelength > listed.min() - 50) & (wavelength < listed.max() + 50)) < 0.5:
        raise ValueError(
            f"the line list covers {listed.min():.0f}-{listed.max():.0f} A and the survey {wavelength[0]:.0f}-"
            f"{wavelength[-1]:.0f} A; give the lines of {label} as own_lines, in vacuum (an empty sequence for none: "
            "then what the flux says of it is a proxy at best)"
        )
    lines = _element_lines(label, wavelength)
    return tuple(strongest(lines, strengths(lines), max_lines).wavelength.tolist())


def given_lines(own_lines: Lines) -> tuple[float, ...]:
    """Return wavelengths in Angstrom: one, several, Quantities of these, or the column of a table or list of lines.

    Those that are masked are left out.

    Raises
    ------
    ValueError
        If a table has no column of wavelengths, or they are a path, no numbers, not above zero or no Angstrom.
    """
    if isinstance(own_lines, str | bytes | os.PathLike):
        raise ValueError(
            f"own_lines is the text or path {str(own_lines)!r}: give wavelengths, or the list in a file as "
            f"LineList.read({str(own_lines)!r}), from lux.spectroscopy"
        )
    # Structured arrays have the names of their columns in their type.
    fields: Any = getattr(getattr(own_lines, "dtype", None), "names", None)
    names = list(fields or getattr(own_lines, "colnames", getattr(own_lines, "columns", ())))
    if not names:
        return _wavelengths(getattr(own_lines, "wavelength", own_lines))
    if (column := wavelength_column(names)) is None:
        raise ValueError(f"the table of lines has no column 'wavelength'; it has {', '.join(map(str, names))}")
    return _wavelengths(own_lines[column])


def _wavelengths(given: Any) -> tuple[float, ...]:
    mask = getattr(given, "mask", False)
    # Of a column of pandas, mask is a method.
    if not callable(mask) and np.any(mask):
        given = given[~np.asarray(mask)]
    several = isinstance(given, list | tuple) and any(hasattr(each, "unit") for each in given)
    try:
        values = Quantity(given) if several or getattr(given, "unit", None) is not None else given
        numbers = np.atleast_1d(np.asarray(without_mask(getattr(values, "value", values)), float))
    except (TypeError, ValueError, UnitsError) as error:
        raise ValueError(
            f"own_lines is of the type {type(given).__name__}, expected wavelengths in vacuum, in Angstrom or with one "
            f"unit, a table with a column 'wavelength', or a LineList ({error})"
        ) from error
    if numbers.ndim > 1:
        raise ValueError(
            f"own_lines has the shape {numbers.shape}: give one wavelength for each line, that of its center; windows "
            "are not needed"
        )
    for wrong in numbers[~(np.isfinite(numbers) & (numbers > 0))][:1]:
        raise ValueError(f"own_lines has the wavelength {wrong:g}: leave lines out whose wavelength is not known")
    if not len(numbers):
        return ()
    unit = getattr(values, "unit", None)
    return tuple(angstrom(numbers if unit is None else numbers * unit, "own_lines").tolist())


def named_lines(
    own_lines: Lines, survey: Survey, label: str, max_lines: int = AuditSettings.max_own_lines
) -> tuple[float, ...]:
    """Return the own lines of a label that are named: all wavelengths that are given, or those of a list of lines.

    Of a `LineList` those of the label's element are taken, or all if it names no elements; of these the strongest
    `max_lines` on the survey's pixels. Lines nearer than a resolution element, such as components of hyperfine
    structure, are one, at the strongest.

    Raises
    ------
    ValueError
        As `given_lines`; or if the list has no line of the label's element, or none on the pixels; or if it has more
        than `max_lines` and says the strength of none.
    """
    if not isinstance(own_lines, LineList):
        return given_lines(own_lines)
    lines, elements, listed = own_lines, _elements(label), sorted(set(own_lines.element) - {""})
    if elements and listed:
        lines = lines[np.isin(lines.element, elements)]
        if not len(lines):
            raise ValueError(
                f"the list of lines has none of {' or '.join(elements)}, the label {label!r}; it has "
                f"{', '.join(listed[:10])}{', ...' * (len(listed) > 10)}; if {label} has no lines, give own_lines=(), "
                "and if these are its lines, their wavelengths"
            )
    on_pixels = _on_pixels(lines, survey.wavelength)
    if len(lines) and not len(on_pixels):
        raise ValueError(
            f"the {len(lines)} lines of {label} in the list lie at {lines.wavelength.min():.1f}-"
            f"{lines.wavelength.max():.1f} A, none on the survey's pixels, {survey.wavelength[0]:.1f}-"
            f"{survey.wavelength[-1]:.1f} A; both must be in vacuum"
        )
    ranks, resolved = _ranks(on_pixels), float(np.median(survey.wavelength)) / sampled_resolution(survey.wavelength)
    if np.all(np.isnan(ranks)) and len(strongest(on_pixels, ranks, max_lines + 1, resolved)) > max_lines:
        raise ValueError(
            f"the list has {len(ranks)} lines of {label} on the survey's pixels, and at most {max_lines} are audited, "
            "the strongest; it needs their log gf and excitation, or give the wavelengths of those that are meant"
        )
    return tuple(strongest(on_pixels, ranks, max_lines, resolved).wavelength.tolist())


def _elements(label: str) -> tuple[str, ...]:
    """Return the elements and molecules in whose lines a label shows; none for a label such as teff."""
    label = plain_name(label)
    if label == _PROPER_MOTION:
        return ()
    element, _, reference = label.partition("_")
    if element == "alpha" and reference in _REFERENCES:
        return (*ALPHA_ELEMENTS, "OH")
    if label == "m_h":
        return ("Fe",)
    # Of an ion, as in "MgI_FE" or "ti2_fe", and of an element by itself, as in "Mg".
    # Silicon is "si", and so might be sulfur I: what is an element is taken for it.
    if element not in ELEMENTS and (match := _ION.fullmatch(element)) and match[1] in ELEMENTS:
        element = match[1]
    if reference not in _REFERENCES or element not in ELEMENTS:
        return ()
    return _CARRIERS.get(element.capitalize(), (element.capitalize(),))


def unrecognized(label: str) -> str:
    """Return that a label is neither a parameter nor an element, as the end of a reason; empty if it is one."""
    if plain_name(label) in _PARAMETERS or _elements(label):
        return ""
    return f"; {label!r} is not recognized: is it a parameter such as teff, or an element such as mg_fe?"


def other_medium(
    wavelength: np.ndarray, significance: np.ndarray, lines: Sequence[float], moved: np.ndarray | None = None
) -> str:
    """Return that absorption lies where lines would be in the other medium, as the end of a reason; empty if not.

    `significance` (D,) is that of absorption at the pixels of wavelengths (D,) in Angstrom. Lines that were copied from
    a list in air lie bluewards of where they are in vacuum, and lines in vacuum redwards of where they are on a grid in
    air. Where pixels (K, L) of lists of lines `moved` elsewhere show as much, more often than rarely, they say nothing.
    """
    by_chance = np.empty(0)
    if moved is not None and moved.size:
        by_chance = significance[moved].sum(axis=1) / np.sqrt(moved.shape[1])
    for convert, said in ((air_to_vacuum, "the lines were given"), (vacuum_to_air, "the spectra are")):
        converted = convert(np.asarray(lines))
        # Lines at one pixel, such as components of hyperfine structure, tell of it once.
        pixels = {int(np.argmin(np.abs(wavelength - line))): line for line in converted[::-1]}
        found = [significance[pixel] for pixel in pixels if 0 < pixel < len(wavelength) - 1]
        named = ", ".join(f"{line:.2f}" for line in list(pixels.values())[:-4:-1])
        together = np.sum(found) / np.sqrt(max(1, len(found)))
        elsewhere = np.mean(by_chance >= together) if by_chance.size else 0.0
        if together > _SIGNIFICANT_IN_OTHER_MEDIUM and elsewhere < _RARELY:
            return (
                f"; absorption at {named} A correlates with it, as if {said} in air: all wavelengths must be in vacuum"
            )
    return ""


def label_kind(
    label: str,
    wavelength: np.ndarray,
    named: bool,
    has_lines: bool = True,
    dense_spacing: float = AuditSettings.dense_spacing,
) -> str:
    """Return "parameter", "dense" for an element whose lines are everywhere, or "lines" for one with a list of lines.

    Where the lines were `named`, they are the list; a parameter for which none are is still one. Lines are everywhere
    where each `dense_spacing` (Angstrom) of the pixels (D,) has one.
    """
    if plain_name(label) in _PARAMETERS and not (named and has_lines):
        return "parameter"
    if named:
        return "lines"
    covered = np.sum(np.minimum(np.diff(wavelength), 1.0))
    return "dense" if len(_element_lines(label, wavelength)) * dense_spacing > covered else "lines"


def _element_lines(label: str, wavelength: np.ndarray) -> LineList:
    """Return the lines of known strength of a label's elements that fall on the pixels (D,) of a survey."""
    lines = load_lines()
    usable = np.isin(lines.element, _elements(label)) & np.isfinite(lines.log_gf) & np.isfinite(lines.excitation)
    return _on_pixels(lines[usable], wavelength)


def _on_pixels(lines: LineList, wavelength: np.ndarray) -> LineList:
    place = np.clip(np.searchsorted(wavelength, lines.wavelength), 1, len(wavelength) - 1)
    distance = np.minimum(*(np.abs(wavelength[place - side] - lines.wavelength) for side in (0, 1)))
    # Half a pixel beyond the last one, and no line in a gap.
    return lines[
        distance <= 0.5 * np.minimum(wavelength[place] - wavelength[place - 1], 2 * np.median(np.diff(wavelength)))
    ]


def _ranks(lines: LineList) -> np.ndarray:
    """Return numbers (L,) that grow with the strength of lines, above zero; NaN where it is not known.

    Where the model of the red giant was not made for one of the species, they follow from the populations of the levels
    at its temperature.
    """
    if np.all(np.isin(lines.species, load_lines().species)):
        return strengths(lines)
    energy = lines.excitation / (BOLTZMANN_EV * _REFERENCE_STAR[0])
    return lines.wavelength * np.exp(np.log(10) * lines.log_gf - energy)


def strengths(lines: LineList) -> np.ndarray:
    """Return the strength (L,) of lines in a red giant."""
    return line_strength(*_REFERENCE_STAR, lines=lines)[0] if len(lines) else np.empty(0)


@functools.cache
def listed_strengths() -> np.ndarray:
    """Return the strength (L,) in a red giant of all lines of `load_lines`."""
    return strengths(load_lines())
