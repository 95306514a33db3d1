"""Worlds: what is planted in a synthetic survey, and nothing else.

All worlds of one seed have the same stars, the same noise and the same masks. A world changes the flux only in the
pixels of what it plants (`planted_pixels`), so that a technique can be scored on telling the worlds apart.
"""

import copy
import dataclasses
import functools
from typing import Any

import numpy as np
from scipy.optimize import brentq

from lux.simulation.population import ELEMENTS, Stars, decorrelated_europium, disc_moments, random_stream
from lux.simulation.synthesis import ELEMENTS as MODEL_ELEMENTS
from lux.simulation.synthesis import synthesize
from lux.spectroscopy.instrument import N_PIXELS, PIXEL_KMS, LineSpreadFunction, doppler_shift_pixels, pixel_of
from lux.spectroscopy.lines import heavy_element_lines

# Fictitious europium lines stand where the spectra of giants are nearly free of lines, of known heavy species and of
# strong airglow at rest: vacuum Angstrom, one in each chip first.
PLANTED_WAVELENGTHS = (15448.4, 16117.0, 16739.0, 15951.1, 15551.6, 16578.4, 15351.5, 16806.2, 16643.3)
LEAK_WAVELENGTHS = (15692.9, 16578.4, 16806.2)
# Six of the strongest airglow lines, observed vacuum wavelengths; the first is OH 3-1 P1(2).
ARTEFACT_WAVELENGTHS = (15240.952, 15332.401, 15833.273, 16030.832, 16128.517, 16692.381)
# Half width in pixels of a planted profile: more than five standard deviations, beyond which it is exactly zero.
PROFILE_REACH = 8
# The star by which line strengths are stated: the disc's mean abundances, on the red clump.
REFERENCE_TEFF, REFERENCE_LOGG, REFERENCE_ALPHA_FE = 4750.0, 2.5, 0.12
MOST_SCATTERS = 5.0

# Default strengths are such that a Lux model of 21 latents trained on 2000 stars takes up what is planted. That is why
# the proxy's line is boosted: then it carries about as much as the three lines of the default signal.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "shortcut": {},
    "signal": {"depth": 0.03, "n_lines": 3, "wavelengths": None},
    "proxy": {"species": "Yb II", "scatter": 0.03, "boost": 40.0},
    "decorrelated": {},
    "leak": {"amplitude": 0.02, "wavelengths": LEAK_WAVELENGTHS},
    "artefact": {"amplitude": 0.1, "wavelengths": ARTEFACT_WAVELENGTHS},
}
WORLDS = tuple(_DEFAULTS)
BESIDES = ("proxy", "leak", "artefact")
_PLANTED = {
    "shortcut": "nothing: europium leaves no trace in the flux and follows [Fe/H] and [alpha/Fe] up to its scatter",
    "signal": "fictitious europium lines",
    "proxy": "europium leaves no trace, but another element with real lines follows it",
    "decorrelated": "nothing: europium leaves no trace in the flux and is independent of every other label",
    "leak": "the noise of the catalogue's [Eu/Fe] is imprinted in the flux",
    "artefact": "airglow residuals whose amplitude goes with the scatter of [Eu/Fe]",
}


@dataclasses.dataclass(frozen=True)
class World:
    """What is planted in a synthetic survey.

    Parameters
    ----------
    name : str
        - "shortcut": nothing. [Eu/Fe] follows [Fe/H] and [alpha/Fe] up to its own scatter and has no line.
        - "signal": `n_lines` fictitious Eu lines (the first of `PLANTED_WAVELENGTHS`) or lines at `wavelengths`.
        - "proxy": the abundance of `species` is [Eu/Fe] + N(0, `scatter`), seen in that species' real lines, whose
          strength is multiplied by `boost` (1 = natural; 40 by default).
        - "decorrelated": [Eu/Fe] is drawn regardless of all other labels and has no line.
        - "leak": the noise of the catalogue's [Eu/Fe], in units of its error, lowers the flux by `amplitude` at
          `wavelengths`.
        - "artefact": at the observed `wavelengths` of airglow, [Eu/Fe] above its expectation raises the flux by
          `amplitude` per tau. Radial velocity moves it in the rest frame.
    depth : float
        "signal": change of normalised flux at line centre, at instrument resolution, per population standard deviation
        of [Eu/Fe] at the mean star of the disc. Absorption grows as 1 - exp(-t), with t proportional to 10**[Eu/H].
    n_lines : int
    wavelengths : tuple of float
        Vacuum Angstrom.
    species : str
        "proxy": one of the heavy species of `lux.spectroscopy.lines` with known strength, such as "Yb II", "Nd II", "Ce
        II".
    scatter : float
        dex.
    boost, amplitude : float
    also : tuple of World
        What is planted besides: any of "proxy", "leak" and "artefact".

    Raises
    ------
    ValueError
        If the name is unknown, an option does not belong to the world, or a number lies outside its range.
    """

    name: str = "shortcut"
    _: dataclasses.KW_ONLY
    depth: float | None = None
    n_lines: int | None = None
    wavelengths: tuple[float, ...] | None = None
    species: str | None = None
    scatter: float | None = None
    boost: float | None = None
    amplitude: float | None = None
    also: tuple["World", ...] = ()

    def __post_init__(self):
        if self.name not in _DEFAULTS:
            raise ValueError(f"unknown world {self.name!r}; choose one of {', '.join(WORLDS)}")
        defaults = _DEFAULTS[self.name]
        for field in dataclasses.fields(self)[1:-1]:
            value = getattr(self, field.name)
            if value is None:
                object.__setattr__(self, field.name, defaults.get(field.name))
            elif field.name not in defaults:
                raise ValueError(
                    f"world {self.name!r} takes no {field.name!r}; its options are {', '.join(defaults) or 'none'}"
                )
        if self.name == "signal":
            _complete_signal(self)
        if self.wavelengths is not None:
            object.__setattr__(self, "wavelengths", tuple(float(value) for value in self.wavelengths))
        if self.name == "proxy":
            object.__setattr__(self, "wavelengths", _species_wavelengths(self.species))
        object.__setattr__(self, "also", tuple(self.also))
        _check_ranges(self)

    @property
    def parts(self) -> tuple["World", ...]:
        """The world without what is planted besides, and that, one thing each."""
        alone = copy.copy(self)
        object.__setattr__(alone, "also", ())
        return (alone, *self.also)

    @property
    def label(self) -> str:
        """The label about which something is planted."""
        return "eu_fe"

    def describe(self, tau: float) -> dict[str, Any]:
        """Return what is planted as values that JSON can hold, for `Truth.world`."""
        used = {field: getattr(self, field) for field in _DEFAULTS[self.name]}
        description = {"name": self.name, "label": self.label, "planted": _PLANTED[self.name], **used}
        description["wavelengths"] = list(self.wavelengths or ())
        description["own_lines"] = list(self.wavelengths) if self.name == "signal" else []
        description["tau"] = tau
        if self.name == "signal":
            description.update(species="Eu (fictitious)", strength=_signal_strength(self.depth, tau))
        if self.name == "proxy":
            description["natural_depths"] = list(natural_depths(self.species))
        if self.also:
            description["also"] = [each.describe(tau) for each in self.also]
        return description


def as_world(world: str | World) -> World:
    """Return a world by its name, or the world itself."""
    if isinstance(world, World):
        return world
    if not isinstance(world, str):
        raise ValueError(f"world must be a name ({', '.join(WORLDS)}) or a World, got {type(world).__name__}")
    return World(name=world)


def _complete_signal(world: World) -> None:
    if world.wavelengths is None:
        if not 1 <= world.n_lines <= len(PLANTED_WAVELENGTHS):
            raise ValueError(f"n_lines must lie between 1 and {len(PLANTED_WAVELENGTHS)}, got {world.n_lines}; "
                             "give wavelengths for more")  # fmt: skip
        object.__setattr__(world, "wavelengths", PLANTED_WAVELENGTHS[: world.n_lines])
    object.__setattr__(world, "n_lines", len(world.wavelengths))


def _check_ranges(world: World) -> None:
    for name in ("depth", "scatter", "boost"):
        value = getattr(world, name)
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{name} of world {world.name!r} must not be negative, got {value}")
    if world.amplitude is not None and not np.isfinite(world.amplitude):
        raise ValueError(f"amplitude of world {world.name!r} must be finite, got {world.amplitude}")
    if world.name in ("signal", "leak", "artefact") and not world.wavelengths:
        raise ValueError(f"world {world.name!r} needs at least one wavelength")
    names = [world.name, *(getattr(each, "name", None) for each in world.also)]
    if len(set(names)) < len(names):
        raise ValueError(f"one thing cannot be planted twice: {', '.join(map(str, names))}")
    for each in world.also:
        if not isinstance(each, World) or each.name not in BESIDES or each.also:
            raise ValueError(f"only single worlds of {', '.join(BESIDES)} can be planted besides, got {each!r}")


def _species_wavelengths(species: str) -> tuple[float, ...]:
    lines = heavy_element_lines()
    usable = np.isfinite(lines.log_gf) & np.isin(lines.element, [*ELEMENTS]) & np.isin(lines.element, [*MODEL_ELEMENTS])
    if species not in lines.species[usable]:
        choices = sorted(set(lines.species[usable].tolist()))
        raise ValueError(f"no lines of known strength for {species!r}; choose one of {', '.join(choices)}")
    return tuple(lines.wavelength[usable & (lines.species == species)].tolist())


def world_stars(world: World, stars: Stars, *, seed: int, tau: float) -> Stars:
    """Return the stars with the abundances that the world sets; all else is unchanged."""
    for part in world.parts:
        if part.name == "decorrelated":
            stars = stars.with_abundance("Eu", decorrelated_europium(len(stars), seed, tau))
        if part.name == "proxy":
            noise = random_stream(seed, "world proxy").standard_normal(len(stars))
            stars = stars.with_abundance(_element(part), stars.abundances["Eu"] + part.scatter * noise)
    return stars


def _element(world: World) -> str:
    return world.species.split()[0]


def plant(world: World, flux, pixels, *, base: Stars, stars: Stars, tau: float, label_noise) -> np.ndarray:
    """Return the flux with what the world plants.

    Parameters
    ----------
    world : World
    flux : (N, D) array
        Noise-free flux of the base stars; not changed.
    pixels : (D,) array of int
        Pixels of the APOGEE grid on which the flux is given.
    base, stars : Stars
        The stars before and after `world_stars`.
    tau : float
        Scatter of [Eu/Fe] at fixed [Fe/H] and [alpha/Fe].
    label_noise : (N,) array
        Noise of the catalogue's [Eu/Fe] in units of its error.

    Returns
    -------
    (N, D) array, float32; the same object as `flux` where nothing is planted.
    """
    planted = [part for part in world.parts if part.name not in ("shortcut", "decorrelated")]
    flux = np.array(flux) if planted else flux
    for part in planted:
        _plant_part(part, flux, pixels, base, stars, tau, label_noise)
    return flux


def _plant_part(world: World, flux, pixels, base: Stars, stars: Stars, tau: float, label_noise) -> None:
    """Plant one thing in the flux, in place."""
    if world.name == "signal":
        absorbed = _absorption(_signal_strength(world.depth, tau), stars.fe_h + stars.abundances["Eu"],
                               disc_moments(tau)["eu_h_mean"])  # fmt: skip
        for wavelength in world.wavelengths:
            _at_line(flux, pixels, wavelength, lambda part, profile: part * (1 - absorbed[:, None] * profile))
    elif world.name == "proxy":
        _plant_proxy(world, flux, pixels, base, stars)
    elif world.name == "leak":
        change = -world.amplitude * np.asarray(label_noise)
        for wavelength in world.wavelengths:
            _at_line(flux, pixels, wavelength, lambda part, profile: part + change[:, None] * profile)
    elif world.name == "artefact":
        _plant_artefact(world, flux, pixels, stars, tau)


def planted_pixels(world: World, wavelength, observed_velocity=None) -> np.ndarray:
    """Return which pixels a world may change, boolean (D,), or (N, D) with an artefact, which needs the velocities."""
    pixels = np.rint(pixel_of(np.asarray(wavelength))).astype(int)
    planted = np.zeros(len(pixels), bool)
    for part in world.parts:
        planted = planted | _pixels_of_part(part, pixels, observed_velocity)
    return planted


def _pixels_of_part(world: World, pixels: np.ndarray, observed_velocity) -> np.ndarray:
    if world.name in ("shortcut", "decorrelated"):
        return np.zeros(len(pixels), bool)
    if world.name != "artefact":
        centres = np.rint(pixel_of(np.array(world.wavelengths))).astype(int)
        return np.any(np.abs(pixels[:, None] - centres) <= PROFILE_REACH, axis=1)
    if observed_velocity is None:
        raise ValueError("the pixels of an artefact depend on the star: give observed_velocity (N,) in km/s")
    _, columns = columns_near(rest_pixel(world.wavelengths, observed_velocity), pixels, PROFILE_REACH)
    inside = columns >= 0
    planted = np.zeros((len(columns), len(pixels)), bool)
    planted[np.nonzero(inside)[0], columns[inside]] = True
    return planted


def rest_pixel(observed_wavelength, observed_velocity) -> np.ndarray:
    """Pixel (N, L) of the rest-frame grid on which light of fixed observed wavelengths (L,) falls."""
    return pixel_of(np.asarray(observed_wavelength)) - doppler_shift_pixels(np.asarray(observed_velocity))[:, None]


def line_profile(offset, pixel) -> np.ndarray:
    """Return the instrument profile, 1 at its centre, at an offset in pixels from a line on a pixel of the grid."""
    sigma = LineSpreadFunction().sigma_kms()[np.clip(pixel, 0, N_PIXELS - 1)] / PIXEL_KMS
    return np.exp(-0.5 * (offset / sigma) ** 2)


def _at_line(flux, pixels, wavelength, change) -> None:
    """Replace the flux within PROFILE_REACH of a rest wavelength by change(flux, profile)."""
    centre = pixel_of(wavelength)
    near = np.flatnonzero(np.abs(pixels - np.rint(centre)) <= PROFILE_REACH)
    profile = line_profile(pixels[near] - centre, pixels[near])
    flux[:, near] = change(flux[:, near], profile).astype(np.float32)


def _absorption(strength, abundance, reference) -> np.ndarray:
    """Return the depth at line centre, 1 - exp(-t), with t = strength at the reference abundance [X/H]."""
    return -np.expm1(-strength * 10.0 ** (np.asarray(abundance) - reference))


def _signal_strength(depth: float, tau: float) -> float:
    """Return t at the mean [Eu/H] for which half a standard deviation up and down differ by `depth` in flux."""
    half = 10.0 ** (0.5 * disc_moments(tau)["eu_fe_std"])

    def difference(strength):
        return np.exp(-strength / half) - np.exp(-strength * half) - depth

    strongest = 2 * np.log(half) / (half - 1 / half)
    if difference(strongest) < 0:
        most = difference(strongest) + depth
        raise ValueError(f"no line changes by depth={depth} per standard deviation of [Eu/Fe]; at most {most:.3f}")
    return brentq(difference, 0.0, strongest)


@functools.cache
def natural_depths(species: str) -> tuple[float, ...]:
    """Return the depth that each line of a heavy species takes from the flux of the reference star, at line centre."""
    wavelengths = _species_wavelengths(species)
    element = species.split()[0]
    reference = _reference_abundance(element)
    flux = synthesize(
        np.full(2, REFERENCE_TEFF), np.full(2, REFERENCE_LOGG), np.full(2, disc_moments(0.0)["fe_h_mean"]),
        REFERENCE_ALPHA_FE, {element: np.array([reference, reference - 9.0])},
    )  # fmt: skip
    nearest = np.rint(pixel_of(np.array(wavelengths))).astype(int)
    return tuple(float(depth) for depth in 1 - flux[0, nearest] / flux[1, nearest])


def _reference_abundance(element: str) -> float:
    constant, iron, alpha, _ = ELEMENTS[element]
    return constant + iron * disc_moments(0.0)["fe_h_mean"] + alpha * (REFERENCE_ALPHA_FE - 0.08)


def _plant_proxy(world: World, flux, pixels, base: Stars, stars: Stars) -> None:
    element = _element(world)
    reference = disc_moments(0.0)["fe_h_mean"] + _reference_abundance(element)
    for wavelength, depth in zip(world.wavelengths, natural_depths(world.species), strict=True):
        strength = -np.log1p(-depth)
        before = _absorption(strength, base.fe_h + base.abundances[element], reference)
        after = _absorption(world.boost * strength, stars.fe_h + stars.abundances[element], reference)

        def change(part, profile, before=before[:, None], after=after[:, None]):
            return part * (1 - after * profile) / (1 - before * profile)

        _at_line(flux, pixels, wavelength, change)


def _plant_artefact(world: World, flux, pixels, stars: Stars, tau: float) -> None:
    if tau == 0:
        return
    residual = np.clip((stars.abundances["Eu"] - stars.eu_expected) / tau, -MOST_SCATTERS, MOST_SCATTERS)
    add_at_observed(flux, pixels, world.wavelengths, stars.observed_velocity,
                    world.amplitude * np.tile(residual[:, None], len(world.wavelengths)))  # fmt: skip


def add_at_observed(flux, pixels, wavelengths, observed_velocity, amplitude) -> None:
    """Add to flux (N, D), in place, instrument profiles at fixed observed wavelengths (L,) with amplitudes (N, L)."""
    centres = rest_pixel(wavelengths, observed_velocity)
    nearest, columns = columns_near(centres, pixels, PROFILE_REACH)
    values = np.asarray(amplitude)[:, :, None] * line_profile(nearest - centres[:, :, None], nearest)
    inside = columns >= 0
    np.add.at(flux, (np.nonzero(inside)[0], columns[inside]), values[inside].astype(np.float32))


def columns_near(centres, pixels, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid pixels within `reach` of centres (N, L), (N, L, 2 reach + 1), and their columns, -1 for none."""
    nearest = np.rint(centres).astype(int)[:, :, None] + np.arange(-reach, reach + 1)
    column = np.full(N_PIXELS + 2, -1)
    column[np.asarray(pixels) + 1] = np.arange(len(pixels))
    return nearest, column[np.clip(nearest + 1, 0, N_PIXELS + 1)]
