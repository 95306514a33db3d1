"""Worlds: what is planted in a synthetic survey, and nothing else.

To plant lines of known strength and to look for them is an injection-recovery test. All worlds of one seed have the
same stars, the same noise and the same masks. A world changes the flux only in the pixels of what it plants
(`planted_pixels`), so that a technique can be scored on telling the worlds apart. The module is long because all that
can be planted is one family of classes.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq

from lux.simulation.heavy_species import natural_depths, reference_abundance, species_wavelengths
from lux.simulation.population import Stars, decorrelated_europium, disc_moments, random_stream
from lux.spectroscopy.instrument import nearest_pixel
from lux.spectroscopy.profiles import PROFILE_REACH, add_at_observed, pixels_near, profile_of_line, rest_pixel

# Fictitious europium lines stand where the spectra of giants are nearly free of lines, of known heavy species and of
# strong airglow at rest: vacuum Angstrom, one in each chip first.
PLANTED_WAVELENGTHS = (15448.4, 16117.0, 16739.0, 15951.1, 15551.6, 16578.4, 15351.5, 16806.2, 16643.3)
LEAK_WAVELENGTHS = (15692.9, 16578.4, 16806.2)
# The six strongest airglow lines that fall on a detector, observed vacuum wavelengths; the first is OH 3-1 P1(2).
ARTEFACT_WAVELENGTHS = (15240.952, 15332.401, 16030.832, 16128.608, 16692.381, 16903.680)
_MAX_RESIDUAL = 5.0
# Optical depth at line center of which no flux is left.
_NO_FLUX = 50.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """The stars in whose spectra a world is planted.

    Parameters
    ----------
    base, stars : Stars
        The stars before and after `world_stars`.
    tau : float
        Scatter of [Eu/Fe] at fixed [Fe/H] and [alpha/Fe], dex.
    label_noise : (N,) array
        Noise of the catalogue's [Eu/Fe] in units of its error.
    """

    base: Stars
    stars: Stars
    tau: float
    label_noise: np.ndarray


class _ByName(type):
    """Lets `World(name, ...)` return an instance of the class of that name."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        return _make_world(*arguments, **options) if cls is World else super().__call__(*arguments, **options)


@dataclasses.dataclass(frozen=True, kw_only=True, init=False)
class World(metaclass=_ByName):
    """What is planted (injected) in a synthetic survey.

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
        "signal": change of normalized flux at line center, at instrument resolution, per population standard deviation
        of [Eu/Fe] at the mean star of the disc. Absorption grows as 1 - exp(-t), with t proportional to 10**[Eu/H].
    n_lines : int
    wavelengths : tuple of float
        Vacuum Angstrom.
    saturated : bool
        "signal": lines so strong that they hardly grow any more change by that depth, and not weak ones.
    below_teff : float, optional
        "signal": only stars cooler than this have the lines, K.
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

    Notes
    -----
    `World("signal", ...)` returns an instance of the subclass `Signal`, and so on: a class a name. The methods
    `set_abundances`, `inject`, `pixels` are about what the world itself plants, without `also`; `plant`,
    `planted_pixels` and `world_stars` take in everything.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    combines: ClassVar[bool] = False
    # The label about which something is planted.
    label: ClassVar[str] = "eu_fe"

    also: tuple["World", ...] = ()

    def __init__(self, name: str = "shortcut", *, also: Iterable["World"] = (), **options: Any) -> None:
        """How `World` is called. The instance is of a subclass, which has an initializer of its own."""

    def __post_init__(self) -> None:
        for name in ("depth", "scatter", "boost"):
            if not 0 <= getattr(self, name, 0.0) < np.inf:
                raise ValueError(f"{name} of world {self.name!r} must not be negative, got {getattr(self, name)}")
        if not np.isfinite(amplitude := getattr(self, "amplitude", 0.0)):
            raise ValueError(f"amplitude of world {self.name!r} must be finite, got {amplitude}")
        if "wavelengths" in self.options and not self.wavelengths:
            raise ValueError(f"world {self.name!r} needs at least one wavelength")
        names = [getattr(part, "name", None) for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"one thing cannot be planted twice: {', '.join(map(str, names))}")
        for other in self.also:
            if not isinstance(other, World) or not other.combines or other.also:
                combining = ", ".join(kind.name for kind in WORLDS.values() if kind.combines)
                raise ValueError(f"only single worlds of {combining} can be planted besides, got {other!r}")

    @property
    def parts(self) -> tuple["World", ...]:
        """The world, and what is planted besides."""
        return (self, *self.also)

    @property
    def wavelengths(self) -> tuple[float, ...]:
        """Where something is planted, vacuum Angstrom."""
        return ()

    def set_abundances(self, stars: Stars, seed: int, tau: float) -> Stars:
        """Return the stars with the abundances that the world sets."""
        return stars

    def inject(self, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> None:
        """Plant in the flux (N, D) on pixels (D,) of the APOGEE grid, in place."""

    def pixels(self, pixels: np.ndarray, observed_velocity: np.ndarray | None = None) -> np.ndarray:
        """Return which of the grid pixels (D,) the world may change, boolean (D,) or (N, D)."""
        centers = nearest_pixel(self.wavelengths)
        return np.any(np.abs(pixels[:, None] - centers) <= PROFILE_REACH, axis=1)

    def describe(self, tau: float) -> dict[str, Any]:
        """Return what is planted as values that JSON can hold, for `Truth.world`."""
        description: dict[str, Any] = {"name": self.name, "label": self.label, "planted": self.summary}
        description |= {option: getattr(self, option) for option in self.options}
        description |= {"wavelengths": list(self.wavelengths), "own_lines": [], "tau": tau, **self._details(tau)}
        if self.also:
            description["also"] = [other.describe(tau) for other in self.also]
        return description

    def _details(self, tau: float) -> dict[str, Any]:
        """Return what `describe` adds for this world alone."""
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shortcut(World):
    """Nothing is planted: [Eu/Fe] follows the other labels up to its own scatter."""

    name = "shortcut"
    summary = "nothing: europium leaves no trace in the flux and follows [Fe/H] and [alpha/Fe] up to its scatter"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signal(World):
    """Fictitious europium lines at rest wavelengths."""

    name = "signal"
    summary = "fictitious europium lines"
    options = ("depth", "n_lines", "wavelengths", "saturated", "below_teff")

    # Default strengths are such that a Lux model of 21 latents trained on 2000 stars takes up what is planted.
    depth: float = 0.03
    wavelengths: tuple[float, ...] = PLANTED_WAVELENGTHS[:3]
    saturated: bool = False
    below_teff: float | None = None

    @property
    def n_lines(self) -> int:
        """Number of lines."""
        return len(self.wavelengths)

    def inject(self, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> None:
        europium = sample.stars.fe_h + sample.stars.abundances["Eu"]
        absorbed = _absorption(self._strength(sample.tau), europium, disc_moments(sample.tau)["eu_h_mean"])
        if self.below_teff is not None:
            absorbed = np.where(sample.stars.teff < self.below_teff, absorbed, 0)
        for wavelength in self.wavelengths:
            near, profile = profile_of_line(wavelength, pixels)
            flux[:, near] = flux[:, near] * (1 - absorbed[:, None] * profile)

    def _details(self, tau: float) -> dict[str, Any]:
        lines = list(self.wavelengths)
        return {"own_lines": lines, "species": "Eu (fictitious)", "strength": self._strength(tau)}

    def _strength(self, tau: float) -> float:
        """Return t at the mean [Eu/H] for which half a standard deviation up and down differ by `depth` in flux.

        Of the two there are it is the smaller, or that of `saturated` lines.
        """
        half = 10.0 ** (0.5 * disc_moments(tau)["eu_fe_std"])

        def difference(strength: float) -> float:
            return np.exp(-strength / half) - np.exp(-strength * half) - self.depth

        strongest = 2 * np.log(half) / (half - 1 / half)
        if difference(strongest) < 0:
            most = difference(strongest) + self.depth
            raise ValueError(
                f"no line changes by depth={self.depth} per standard deviation of [Eu/Fe]; at most {most:.3f}"
            )
        return brentq(difference, *((strongest, _NO_FLUX) if self.saturated else (0.0, strongest)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proxy(World):
    """Another element follows europium and is seen in its real lines."""

    name = "proxy"
    summary = "europium leaves no trace, but another element with real lines follows it"
    options = ("species", "scatter", "boost")
    combines = True

    species: str = "Yb II"
    scatter: float = 0.03
    # Boosted, the natural line of Yb carries about as much as the three lines of the default signal.
    boost: float = 40.0

    def __post_init__(self) -> None:
        species_wavelengths(self.species)
        super().__post_init__()

    @property
    def wavelengths(self) -> tuple[float, ...]:
        """Of the lines of the species, vacuum Angstrom."""
        return species_wavelengths(self.species)

    @property
    def element(self) -> str:
        """Symbol of the element that follows europium."""
        return self.species.split()[0]

    def set_abundances(self, stars: Stars, seed: int, tau: float) -> Stars:
        noise = random_stream(seed, "world proxy").standard_normal(len(stars))
        return stars.with_abundance(self.element, stars.abundances["Eu"] + self.scatter * noise)

    def inject(self, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> None:
        reference = disc_moments(0.0)["fe_h_mean"] + reference_abundance(self.element)
        for wavelength, depth in zip(self.wavelengths, natural_depths(self.species), strict=True):
            natural = -np.log1p(-depth)
            before, after = (
                _absorption(strength, stars.fe_h + stars.abundances[self.element], reference)[:, None]
                for strength, stars in ((natural, sample.base), (self.boost * natural, sample.stars))
            )
            near, profile = profile_of_line(wavelength, pixels)
            flux[:, near] = flux[:, near] * (1 - after * profile) / (1 - before * profile)

    def _details(self, tau: float) -> dict[str, Any]:
        return {"natural_depths": list(natural_depths(self.species))}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decorrelated(World):
    """Nothing is planted, and [Eu/Fe] is drawn regardless of all other labels."""

    name = "decorrelated"
    summary = "nothing: europium leaves no trace in the flux and is independent of every other label"

    def set_abundances(self, stars: Stars, seed: int, tau: float) -> Stars:
        return stars.with_abundance("Eu", decorrelated_europium(len(stars), seed, tau))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leak(World):
    """The noise of the catalogue's [Eu/Fe] is in the flux."""

    name = "leak"
    summary = "the noise of the catalogue's [Eu/Fe] is imprinted in the flux"
    options = ("amplitude", "wavelengths")
    combines = True

    amplitude: float = 0.02
    wavelengths: tuple[float, ...] = LEAK_WAVELENGTHS

    def inject(self, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> None:
        change = -self.amplitude * np.asarray(sample.label_noise)[:, None]
        for wavelength in self.wavelengths:
            near, profile = profile_of_line(wavelength, pixels)
            flux[:, near] = flux[:, near] + change * profile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artefact(World):
    """Residuals of airglow, fixed in the observer's frame, that correlate with [Eu/Fe] above its expectation."""

    name = "artefact"
    summary = "airglow residuals whose amplitude varies with the scatter of [Eu/Fe]"
    options = ("amplitude", "wavelengths")
    combines = True

    amplitude: float = 0.1
    wavelengths: tuple[float, ...] = ARTEFACT_WAVELENGTHS

    def inject(self, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> None:
        if sample.tau == 0:
            return
        stars = sample.stars
        residual = np.clip((stars.abundances["Eu"] - stars.eu_expected) / sample.tau, -_MAX_RESIDUAL, _MAX_RESIDUAL)
        amplitude = self.amplitude * np.tile(residual[:, None], len(self.wavelengths))
        add_at_observed(flux, pixels, self.wavelengths, stars.observed_velocity, amplitude)

    def pixels(self, pixels: np.ndarray, observed_velocity: np.ndarray | None = None) -> np.ndarray:
        if observed_velocity is None:
            raise ValueError("the pixels of an artefact depend on the star: give observed_velocity (N,) in km/s")
        return pixels_near(rest_pixel(self.wavelengths, observed_velocity), pixels, PROFILE_REACH)


WORLDS: dict[str, type[World]] = {kind.name: kind for kind in (Shortcut, Signal, Proxy, Decorrelated, Leak, Artefact)}


def as_world(world: str | World) -> World:
    """Return a world by its name, or the world itself."""
    if isinstance(world, World):
        return world
    if not isinstance(world, str):
        raise ValueError(f"world must be a name ({', '.join(WORLDS)}) or a World, got {type(world).__name__}")
    return World(world)


def _make_world(name: str = "shortcut", *, also: Iterable[World] = (), **options: Any) -> World:
    if name not in WORLDS:
        raise ValueError(f"unknown world {name!r}; choose one of {', '.join(WORLDS)}")
    kind = WORLDS[name]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in kind.options:
            raise ValueError(f"world {name!r} takes no {option!r}; its options are {', '.join(kind.options) or 'none'}")
    n_lines = given.pop("n_lines", None)
    if "wavelengths" in given:
        given["wavelengths"] = tuple(float(wavelength) for wavelength in given["wavelengths"])
    elif n_lines is not None:
        if not 1 <= n_lines <= len(PLANTED_WAVELENGTHS):
            raise ValueError(
                f"n_lines must lie between 1 and {len(PLANTED_WAVELENGTHS)}, got {n_lines}; give wavelengths for more"
            )
        given["wavelengths"] = PLANTED_WAVELENGTHS[:n_lines]
    return kind(**given, also=tuple(also))


def world_stars(world: World, stars: Stars, *, seed: int, tau: float) -> Stars:
    """Return the stars with the abundances that the world sets; all else is unchanged."""
    for part in world.parts:
        stars = part.set_abundances(stars, seed, tau)
    return stars


def plant(world: World, flux: np.ndarray, pixels: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the flux with what the world plants.

    Parameters
    ----------
    world : World
    flux : (N, D) array
        Noise-free flux of the base stars; not changed.
    pixels : (D,) array of int
        Pixels of the APOGEE grid on which the flux is given.
    sample : Sample

    Returns
    -------
    (N, D) array, float32.
    """
    planted = np.array(flux)
    for part in world.parts:
        part.inject(planted, pixels, sample)
    return planted


def planted_pixels(world: World, wavelength: np.ndarray, observed_velocity: np.ndarray | None = None) -> np.ndarray:
    """Return which pixels a world may change, boolean (D,), or (N, D) with an artefact, which needs the velocities."""
    pixels = nearest_pixel(wavelength)
    return functools.reduce(np.logical_or, (part.pixels(pixels, observed_velocity) for part in world.parts))


def _absorption(strength: float, abundance: np.ndarray, reference: float) -> np.ndarray:
    """Return the depth at line center, 1 - exp(-t), with t = strength at the reference abundance [X/H]."""
    return -np.expm1(-strength * 10.0 ** (np.asarray(abundance) - reference))
