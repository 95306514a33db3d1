"""The page on which spectra can be explored: spectra, what a model looks at and what the audit sees, pixel by pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import lux
from lux.diagnostics import saliency
from lux.paper.record import Record
from lux.paper.setup import Chapter
from lux.simulation.strengths import line_strengths
from lux.simulation.synthesis import line_strength
from lux.simulation.worlds import PLANTED_WAVELENGTHS, World
from lux.spectroscopy.instrument import wavelength_grid
from lux.spectroscopy.lines import heavy_element_lines, load_lines, strongest
from lux.spectroscopy.profiles import pixel_of, profile_of_line
from lux.survey import Survey
from lux_pages import data
from lux_pages.saliency import pixel_threshold

LINES = tuple(float(line) for line in PLANTED_WAVELENGTHS[:3])
DEPTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
_N_NAMED_LINES = 400
_PLACES = {
    "whole spectrum": (15_145.0, 16_960.0),
    "15,241 Å, the published peak": (15_236.0, 15_246.0),
    "cerium beside carbon monoxide": (15_762.0, 15_792.0),
    "neodymium in a crowd of iron": (16_044.0, 16_074.0),
}


@dataclass(frozen=True)
class View:
    """What a model of one world looks at, and what the audit of its europium says and sees; arrays (D,) over pixels."""

    wavelength: np.ndarray
    jacobian: np.ndarray
    significance: np.ndarray
    verdict: str

    @property
    def highest(self) -> float:
        """The largest significance of any pixel."""
        return float(np.nanmax(np.abs(self.significance)))


def view_of(chapter: Chapter, world: str) -> View:
    """Return the Jacobian of europium over its error, and the audit, of a model trained in a world."""
    train, test = chapter.world(world).split(0.3, seed=chapter.seed)
    model = chapter.model(train)
    jacobian = saliency.backward_map(model, train).z("eu_fe")
    report = lux.audit(model, train, test, "eu_fe", LINES, seed=chapter.seed)
    return View(train.wavelength, jacobian, np.asarray(report.significance), report.verdict)


def stars(chapter: Chapter) -> dict[str, Survey]:
    """Return the spectra shown, each a survey of one star, by name: three genuine giants and two synthetic stars."""
    giants = data.held_out_giants(chapter.survey("apogee-dr10"))
    metallicity = giants.survey.label("m_h")
    order = np.argsort(giants.compared["correlation"])
    rich, poor = (order[members[order]] for members in (metallicity > -0.5, metallicity < -1.5))
    chosen = {
        "metal-rich": rich[len(rich) // 2],
        "metal-poor": poor[len(poor) // 2],
        "coolest": giants.survey.label("teff").argmin(),
    }
    shown = {f"genuine, {name}": giants.survey[[row]] for name, row in chosen.items()}
    synthetic = chapter.world()
    europium = np.argsort(synthetic.label("eu_fe"))
    named = {"synthetic, little europium": europium[2], "synthetic, much europium": europium[-3]}
    return shown | {name: synthetic[[row]] for name, row in named.items()}


def record_views(record: Record, views: Mapping[str, View]) -> None:
    """Record the audit's verdict in each world, and the largest values of the Jacobian and of the significance."""
    for world, view in views.items():
        record(f"verdict_{world}", view.verdict)
        record(f"jacobian_{world}", float(np.abs(view.jacobian).max()), digits=2)
        record(f"significance_{world}", view.highest, digits=2)


def explorer(shown: Mapping[str, Survey], views: Mapping[str, View], titles: Mapping[str, str]) -> dict[str, Any]:
    """Return all that the page's script draws, as JSON-able content: see `book/scripts/explorer.js`."""
    first, step = np.log10(wavelength_grid()[:2])
    depths = [0.0, *(line_strengths(World("signal", depth=depth / 100)).depth[0] for depth in DEPTHS[1:])]
    profile = np.zeros(len(wavelength_grid()))
    for line in LINES:
        near, values = profile_of_line(line, np.arange(len(profile)))
        profile[near] = values
    return {
        "grid": {"first": float(first), "step": float(step - first)},
        "chips": [[round(float(pixel_of(end))) for end in chip] for chip in data.chips("dr10")],
        "spectra": [{"name": _title(name, star), **_spectrum(star)} for name, star in shown.items()],
        "worlds": [
            {
                "name": titles[world],
                "verdict": view.verdict,
                "threshold": round(pixel_threshold(len(view.wavelength)), 2),
                "jacobian": _series(view.wavelength, view.jacobian, 0.01),
                "significance": _series(view.wavelength, view.significance, 0.01),
            }
            for world, view in views.items()
        ],
        "lines": _named_lines(),
        "planted": {
            "depths": list(DEPTHS),
            # Absorption is 1 - exp(-t), with t proportional to the number of europium atoms.
            "strengths": [float(f"{-np.log1p(-each):.4g}") for each in depths],
            "profile": _series(wavelength_grid()[profile > 1e-4], profile[profile > 1e-4], 0.0001),
        },
        "places": [
            *({"name": name, "low": low, "high": high} for name, (low, high) in _PLACES.items()),
            *({"name": f"planted line at {line:,.1f} Å", "low": line - 8, "high": line + 8} for line in LINES),
        ],
    }


def _title(name: str, star: Survey) -> str:
    metallicity = star.label("m_h" if "m_h" in star.label_names else "fe_h")[0]
    return f"{name} ({star.label('teff')[0]:.0f} K, {f'{metallicity:+.1f}'.replace('-', '−')} dex)"


def _spectrum(star: Survey) -> dict[str, Any]:
    flux = np.where(star.ivar[0] > 0, star.flux[0], np.nan)
    return _series(star.wavelength, np.clip(flux, 0, 1.5), 0.001)


def _series(wavelength: np.ndarray, values: np.ndarray, unit: float) -> dict[str, Any]:
    """Return values on pixels of the survey's grid as whole multiples of a unit, in runs of neighbors without a gap."""
    good = np.isfinite(values)
    pixels = np.rint(pixel_of(wavelength[good])).astype(int)
    numbers = np.rint(values[good] / unit).astype(int)
    starts = np.flatnonzero(np.diff(pixels, prepend=-2) > 1)
    runs = zip(np.split(pixels, starts[1:]), np.split(numbers, starts[1:]), strict=True)
    return {"unit": unit, "runs": [{"first": int(at[0]), "values": run.tolist()} for at, run in runs]}


def _named_lines() -> list[list[Any]]:
    """Return wavelength, species and whether it is a heavy element, heavy ones first and then by strength."""
    heavy, lines = heavy_element_lines(), load_lines(heavy=False)
    strength = line_strength([4700.0], [2.5], [0.0], [0.0], lines=lines)[0]
    chosen = strongest(lines, strength, _N_NAMED_LINES, apart=0.4)
    named: Sequence[tuple[float, str, int]] = [
        *((line, "Eu (planted)", 1) for line in LINES),
        *((float(at), species, 1) for at, species in zip(heavy.wavelength, heavy.species, strict=True)),
    ]
    order = np.argsort(-line_strength([4700.0], [2.5], [0.0], [0.0], lines=chosen)[0])
    others = [(float(chosen.wavelength[row]), str(chosen.species[row]), 0) for row in order]
    return [[round(at, 2), species, kind] for at, species, kind in [*named, *others]]
