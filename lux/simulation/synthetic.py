"""The synthetic survey: physical spectra of a drawn population, observed, in any world.

`lux.simulation.population` draws the stars, `lux.simulation.synthesis` computes their spectra, `lux.simulation.worlds`
plants, `lux.simulation.observation` adds what telescope, sky and catalogue do.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lux.simulation.array_cache import ArrayCache
from lux.simulation.empirical import EmpiricalSpectra
from lux.simulation.equilibrium import ELEMENTS as MODEL_ELEMENTS
from lux.simulation.observation import (
    Exposures,
    Observation,
    draw_label_errors,
    draw_label_noise,
    draw_noise,
    draw_snr,
    is_upper_limit,
    shared_share,
)
from lux.simulation.population import LABEL_NAMES, Stars, draw_stars, random_stream, with_r_process_neighbors
from lux.simulation.synthesis import synthesize
from lux.simulation.worlds import Sample, World, as_world, plant, world_stars
from lux.spectroscopy.instrument import on_chip, wavelength_grid
from lux.survey import Survey, Truth, label_unit

DEFAULT_LABELS = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")
_STELLAR_PARAMETERS = ("teff", "logg", "fe_h", "alpha_fe")
# Surveys of the same stars that one process makes share their noise-free spectra and their noise.
SHARED = ArrayCache(max_bytes=400 * 2**20)


def make_survey(
    n_stars: int = 4000,
    seed: int = 0,
    world: str | World = "shortcut",
    population: str = "disc",
    label_names: tuple[str, ...] = DEFAULT_LABELS,
    tau: float = 0.06,
    *,
    r_enhanced_fraction: float = 0.001,
    r_process_neighbors: bool = False,
    missing_fraction: float = 0.0,
    wavelength_range: ArrayLike | None = None,
    star_seed: int | None = None,
    release: str = "dr17",
    choose: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    spectra: EmpiricalSpectra | None = None,
    **observing: Any,
) -> Survey:
    """Make a survey of APOGEE-like spectra with GALAH-like labels.

    Parameters
    ----------
    n_stars : int
        The first n stars of a larger survey of the same seed are the same, noise included.
    seed : int
    world : str or World
        What is planted, see `lux.World`. Two worlds of one seed differ only in that.
    population : str
        "disc", or out of distribution "gse", "in-situ", "r-I", "r-II", "decorrelated", see
        `lux.simulation.population.draw_stars`.
    label_names : sequence of str
        "teff" (K), "logg", "fe_h", "alpha_fe", "eu_fe", or another element's such as "mg_fe" (dex).
    tau : float
        Intrinsic scatter of [Eu/Fe] at fixed [Fe/H] and [alpha/Fe], dex.
    r_enhanced_fraction : float
        Fraction of the disc in the tail of r-process-enhanced stars.
    r_process_neighbors : bool
        Whether elements of the r-process share europium's own scatter, by their solar r-process fraction.
    missing_fraction : float
        Fraction of the abundance labels other than fe_h and alpha_fe that is missing (NaN) at random.
    wavelength_range : (low, high) or sequence of such, optional
        Vacuum Angstrom; the pixels to keep. By default all that fall on a chip.
    star_seed : int, optional
        Seed of the stars with all but their europium; `seed` by default. Surveys of one `star_seed` and many seeds
        share their noise-free spectra and differ in europium, noise and masks: hundreds of them are cheap.
    release : str
        Data release whose chips carry light, see `lux.spectroscopy.instrument`.
    choose : callable, optional
        Given the labels and errors (n_stars, M) of all stars, the rows of those that are observed; all by default. The
        spectra of the others are never computed: a catalogue of 50,000 stars and a hundred spectra of it are cheap.
    spectra : EmpiricalSpectra, optional
        Another generator of the noise-free spectra (`lux.simulation.empirical`); physical ones by default.
    **observing
        Fields of `lux.simulation.observation.Observation`: ``snr_median``, ``sky``, ``bad_pixel_fraction``, ...; off by
        default: ``telluric_amplitude``, ``shared_label_errors``, ``least_europium``.

    Returns
    -------
    Survey
        With ``truth``: noise-free labels; the world; columns ``component``, ``r_enhanced``, ``radial_velocity``,
        ``observed_velocity`` (km/s), ``eu_residual`` ([Eu/Fe] above what [Fe/H] and [alpha/Fe] let expect), the true
        ``teff``, ``logg``, ``fe_h``, ``alpha_fe`` and every abundance such as ``eu_fe``.

    Raises
    ------
    ValueError
        If a world, population, label or option is unknown, or a number lies outside its range.
    """
    world, label_names = as_world(world), tuple(label_names)
    observation = _observation(observing)
    _check(label_names, missing_fraction)
    pixels = _pixels(release, wavelength_range)
    of_stars = seed if star_seed is None else star_seed
    base = draw_stars(
        n_stars,
        of_stars,
        population=population,
        tau=tau,
        r_enhanced_fraction=r_enhanced_fraction,
        europium_seed=seed,
    )
    if r_process_neighbors:
        base = with_r_process_neighbors(base)
    stars = world_stars(world, base, seed=seed, tau=tau)
    _check_planted(world, pixels, stars)
    share = shared_share(stars.teff, observation)
    labels, label_err, galah_snr = _labels(stars, label_names, missing_fraction, seed, observation)
    rows = np.arange(n_stars) if choose is None else choose(labels, label_err)
    base, stars = base[rows], stars[rows]
    label_noise = draw_label_noise(n_stars, (world.label,), seed, share)[rows, 0]
    sample = Sample(base=base, stars=stars, tau=tau, label_noise=label_noise)
    flux = spectra.flux(base, pixels, of_stars) if spectra else noise_free_flux(base, pixels)
    noise_free = plant(world, flux, pixels, sample)
    snr = draw_snr(n_stars, seed, observation)[rows]
    noise, ivar = _noise(Exposures(observation, pixels, snr, stars.observed_velocity), seed)
    provenance = {"source": "synthetic", "seed": seed, "star_seed": star_seed, "population": population}
    if spectra:
        provenance["spectra"] = f"empirical {spectra.fingerprint}"
    provenance |= {"release": release, "r_enhanced_fraction": r_enhanced_fraction, "missing_fraction": missing_fraction}
    provenance["r_process_neighbors"] = r_process_neighbors
    return Survey(
        wavelength=wavelength_grid()[pixels],
        # A masked pixel has flux 1.
        flux=np.where(ivar > 0, noise_free + noise, np.float32(1)),
        ivar=ivar,
        labels=labels[rows],
        label_err=label_err[rows],
        label_names=label_names,
        label_units=tuple(map(label_unit, label_names)),
        star_id=np.array([f"synthetic-{seed}-{number:06d}" for number in rows]),
        catalogue={"snr": snr, "galah_snr": galah_snr[rows], "radial_velocity": stars.radial_velocity},
        truth=Truth(_true_labels(stars, label_names), world.describe(tau), _true_columns(stars)),
        provenance=provenance | {"observation": dataclasses.asdict(observation)},
    )


def _observation(options: dict[str, Any]) -> Observation:
    known = [field.name for field in dataclasses.fields(Observation)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; an observation has {', '.join(known)}")
    return Observation(**options)


def _check(label_names: tuple[str, ...], missing_fraction: float) -> None:
    unknown = [name for name in label_names if name not in LABEL_NAMES]
    if unknown:
        raise ValueError(f"unknown label {unknown[0]!r}; the synthetic survey has {', '.join(LABEL_NAMES)}")
    if not 0 <= missing_fraction < 1:
        raise ValueError(f"missing_fraction must lie in [0, 1), got {missing_fraction}")


def _pixels(release: str, wavelength_range: ArrayLike | None) -> np.ndarray:
    """Return the pixels of the APOGEE grid that a survey keeps, in order."""
    keep = on_chip(release)
    if wavelength_range is not None:
        windows = np.atleast_2d(np.asarray(wavelength_range, dtype=float))
        if windows.ndim != 2 or windows.shape[1] != 2:
            raise ValueError(f"wavelength_range must be (low, high) or a sequence of such, got {wavelength_range!r}")
        grid = wavelength_grid()
        keep = keep & np.any((grid >= windows[:, :1]) & (grid <= windows[:, 1:]), axis=0)
        if not np.any(keep):
            raise ValueError(f"no pixel on a chip lies within wavelength_range={wavelength_range!r} (Angstrom)")
    return np.flatnonzero(keep)


def _check_planted(world: World, pixels: np.ndarray, stars: Stars) -> None:
    for part in world.parts:
        if part.wavelengths and not np.any(part.pixels(pixels, stars.observed_velocity)):
            places = ", ".join(f"{value:.1f}" for value in part.wavelengths)
            raise ValueError(
                f"world {part.name!r} plants at {places} A, none of which is among the pixels kept; "
                "widen wavelength_range or choose other wavelengths"
            )


def noise_free_flux(stars: Stars, pixels: np.ndarray) -> np.ndarray:
    """Return the noise-free flux (N, D) of stars without anything planted; europium has no part in it."""
    abundances = {element: values for element, values in stars.abundances.items() if element in MODEL_ELEMENTS}
    parameters = (stars.teff, stars.logg, stars.fe_h, stars.alpha_fe)

    def compute() -> tuple[np.ndarray]:
        return (synthesize(*parameters, abundances)[:, pixels],)

    return SHARED.get("flux", (*parameters, *abundances.values(), pixels), compute)[0]


def _noise(exposures: Exposures, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise and the inverse variance (N, D) of exposures; those of a large survey are not kept."""
    if 8 * np.prod(exposures.shape) > SHARED.max_bytes // 8:
        return draw_noise(exposures, seed)
    arguments = (exposures.pixels, exposures.velocity, exposures.snr, seed, repr(exposures.observation))
    noise, ivar = SHARED.get("noise", arguments, lambda: draw_noise(exposures, seed))
    return noise, ivar


def _labels(
    stars: Stars, names: tuple[str, ...], missing_fraction: float, seed: int, observation: Observation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return observed labels and their errors (N, M) and the signal-to-noise ratio of the catalogue (N,)."""
    errors, snr = draw_label_errors(len(stars), names, seed)
    share = shared_share(stars.teff, observation)
    labels = _true_labels(stars, names) + errors * draw_label_noise(len(stars), names, seed, share)
    for column, name in enumerate(names):
        if name not in _STELLAR_PARAMETERS:
            missing = random_stream(seed, f"label missing {name}").random(len(stars)) < missing_fraction
            if name == "eu_fe":
                missing |= is_upper_limit(stars.fe_h + stars.label(name), stars.teff, snr, observation)
            labels[missing, column] = np.nan
    return labels, errors, snr


def _true_labels(stars: Stars, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([stars.label(name) for name in names], axis=1)


def _true_columns(stars: Stars) -> dict[str, np.ndarray]:
    return {
        "component": stars.component,
        "r_enhanced": stars.r_enhanced,
        "radial_velocity": stars.radial_velocity,
        "observed_velocity": stars.observed_velocity,
        "eu_residual": stars.abundances["Eu"] - stars.eu_expected,
        **{name: stars.label(name) for name in LABEL_NAMES},
    }
