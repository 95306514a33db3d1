"""Where in the spectrum the evidence on a label lies, and which species have lines there."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from lux.auditing.evidence import Evidence, Kind
from lux.auditing.label_lines import listed_strengths
from lux.auditing.measurements import Measured, plain_significance
from lux.spectroscopy.lines import load_lines
from lux.survey import Survey

_MAX_PLACES = 5
# Places are told apart by so many full widths of an unresolved line.
_SEPARATION = 3.0


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in the spectrum that carries evidence.

    Parameters
    ----------
    wavelength : float
        At rest, vacuum Angstrom.
    significance : float
        Of absorption there that correlates with the label beyond the other labels, in standard deviations.
    species : tuple of str
        With a line within half the width of an unresolved one: the one that is strongest in a red giant, then those of
        heavy elements whose strength is not known.
    own : bool
        Whether it is one of the label's own lines.
    """

    wavelength: float
    significance: float
    species: tuple[str, ...]
    own: bool

    def __str__(self) -> str:
        """Return the place in words."""
        near = "own line" if self.own else ", ".join(self.species) or "no listed line"
        return f"{self.wavelength:.1f} A ({near}, {self.significance:+.1f} sigma)"


def evidence_places(
    survey: Survey, measured: Measured, evidence: Mapping[Kind, Evidence], resolution: float
) -> tuple[Place, ...]:
    """Return the most significant places of an audit whose flux says something of the label, strongest first.

    Those that are not the label's own are more significant than the most significant one mostly is by chance.
    If strong features do, they are sought in the flux as it is, but for what the other labels explain: nuisances, which
    are components of the flux, would take them out. `survey` holds the stars that were measured.
    """
    design = measured.design
    lines, by_chance = measured.lines, measured.surrogate.lines
    if evidence[Kind.STRONG_FEATURES].significant:
        lines, by_chance = plain_significance(survey, measured, resolution)
    own = np.zeros(len(lines), bool)
    if Kind.OWN_LINES in evidence and evidence[Kind.OWN_LINES].significant:
        own[design.own_pixels] = True
    elsewhere = any(kind in evidence and evidence[kind].significant for kind in (Kind.STRONG_FEATURES, Kind.ANY_LINE))
    strength = np.where(own | (elsewhere & ~design.near_own), np.abs(lines), 0)
    chance = float(np.quantile(np.abs(by_chance).max(axis=1), design.settings.quantile_of_lines))
    strength = np.where(own | (strength > chance), strength, 0)
    found: list[Place] = []
    while len(found) < _MAX_PLACES and strength.max() > 0:
        best = int(np.argmax(strength))
        wavelength = float(design.wavelength[best])
        found.append(Place(wavelength, float(lines[best]), _species(wavelength, resolution), bool(own[best])))
        near = np.abs(design.wavelength / wavelength - 1) < _SEPARATION / resolution
        strength = np.where(near, 0, strength)
    return tuple(found)


@functools.cache
def _species(wavelength: float, resolution: float) -> tuple[str, ...]:
    """Return the species of `Place` at a wavelength."""
    lines = load_lines()
    near = np.abs(lines.wavelength / wavelength - 1) < 0.5 / resolution
    lines, strength = lines[near], listed_strengths()[near]
    known = np.isfinite(lines.log_gf) & np.isfinite(lines.excitation)
    names = [str(name) for name in np.unique(lines.species[~known])]
    if np.any(known):
        names.insert(0, str(lines.species[known][np.argmax(np.nan_to_num(strength[known]))]))
    return tuple(dict.fromkeys(names))
