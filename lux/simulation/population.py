"""The stars of the synthetic survey: where giants of the Galactic disc lie, and which abundances go together.

Disc, europium and scatter follow the two-component model of the paper's chapter on data: [Eu/Fe] depends on [Fe/H],
down to a plateau, and [alpha/Fe] alone, up to an intrinsic scatter tau, as the neutron-capture elements of the disc do
to about 0.05 dex (Mead et al. 2025, arXiv:2504.18532). The red-giant branch is a fit to the calibrated DR10 labels of
`lux.datasets.apogee_dr10`, clusters with [M/H] > -1.2. The relations of the other elements are rounded descriptions of
disc surveys: they make the spectra vary as real ones do, and no conclusion hangs on their coefficients.

Europium's own scatter is its own: no other element follows it unless a world plants that (`lux.simulation.worlds`) or
the neighbors of the r-process are made to share it (`with_r_process_neighbors`).
"""

import dataclasses
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from lux.spectroscopy.lines import R_PROCESS_FRACTION

POPULATIONS = ("disc", "gse", "in-situ", "r-I", "r-II", "decorrelated")

_THIN_FRACTION = 0.65
_FE_H = {"thin": (-0.1, 0.2), "thick": (-0.5, 0.25)}
# [alpha/Fe] = first + second [Fe/H], with a Gaussian scatter.
_ALPHA = {"thin": (0.05, -0.12), "thick": (0.20, -0.10)}
_ALPHA_SCATTER = 0.03
# [Eu/Fe] = first + second max([Fe/H], plateau) + third ([alpha/Fe] - 0.08) + N(0, tau).
_EUROPIUM = (0.02, -0.35, 0.35)
EUROPIUM_PLATEAU = -0.7

# Accreted stars of Gaia-Sausage-Enceladus: metal-poor, [Eu/Mg] ~ +0.2 (Naidu et al. 2022).
_GSE_FE_H, _GSE_ALPHA, _GSE_EU_MG, _GSE_EU_SCATTER = (-1.15, 0.25), (0.05, -0.15), 0.2, 0.1
_R_I, _R_II = (0.3, 1.0), (1.0, 1.8)
# The disc's enhanced stars crowd at the threshold of +0.3: an exponential with this scale in dex.
_ENHANCEMENT_SCALE = 0.2

_VELOCITY_DISPERSION = {"thin": 35.0, "thick": 60.0, "gse": 150.0}
TEFF_LIMITS = (3800.0, 5300.0)
LOGG_LIMITS = (0.5, 3.5)
_TRACK_SCATTER = 60.0
_CLUMP_FRACTION, _CLUMP_LOGG, _CLUMP_SCATTER = 0.25, 2.45, 0.08

# [X/Fe] = first + second [Fe/H] + third ([alpha/Fe] - 0.08), and the scatter around it.
ELEMENTS = {
    "Li": (-1.0, 0.0, 0.0, 0.30),
    "C": (0.0, -0.05, 0.30, 0.04),
    "N": (0.0, 0.10, 0.0, 0.05),
    "O": (0.08, -0.05, 1.2, 0.03),
    "Na": (0.02, 0.10, 0.1, 0.05),
    "Mg": (0.09, 0.0, 1.1, 0.02),
    "Al": (0.07, 0.05, 0.9, 0.04),
    "Si": (0.07, 0.0, 0.8, 0.02),
    "P": (0.05, -0.10, 0.5, 0.08),
    "S": (0.07, -0.05, 0.8, 0.04),
    "K": (0.06, 0.0, 0.6, 0.04),
    "Ca": (0.06, -0.05, 0.6, 0.02),
    "Ti": (0.06, -0.05, 0.7, 0.03),
    "V": (0.02, 0.0, 0.3, 0.04),
    "Cr": (0.0, 0.02, 0.0, 0.03),
    "Mn": (0.0, 0.20, -0.2, 0.03),
    "Co": (0.02, 0.05, 0.4, 0.04),
    "Ni": (0.01, 0.05, 0.1, 0.02),
    "Cu": (0.0, 0.20, 0.3, 0.06),
    "Rb": (0.0, 0.05, 0.1, 0.10),
    "Y": (0.0, 0.05, -0.3, 0.10),
    "Ba": (0.05, -0.05, -0.4, 0.10),
    "La": (0.03, -0.10, -0.1, 0.10),
    "Ce": (0.0, -0.10, -0.2, 0.10),
    "Nd": (0.04, -0.20, 0.1, 0.08),
    "Yb": (0.03, -0.25, 0.2, 0.08),
}
# The first dredge-up brings nitrogen up and carbon down; extra mixing on the upper branch goes on at low metallicity.
_DREDGE_UP = {"C": -0.15, "N": 0.25}
_EXTRA_MIXING = {"C": -0.15, "N": 0.15}


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the random numbers of one purpose: independent of those of any other, the same in every world."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


@dataclasses.dataclass(frozen=True)
class Stars:
    """True properties of N stars; every array has shape (N,).

    Parameters
    ----------
    teff, logg : arrays
        Effective temperature in K, log10 surface gravity (cgs).
    fe_h, alpha_fe : arrays
        Metallicity and alpha enhancement in dex.
    abundances : dict of element symbol to array
        [X/Fe] in dex, Eu included.
    eu_expected : array
        [Eu/Fe] that the disc's relation expects of [Fe/H] and [alpha/Fe], in every population.
    radial_velocity, observed_velocity : arrays
        Heliocentric velocity, and the velocity towards the telescope that moves sky lines in the rest frame, km/s.
    component : array of str
        "thin", "thick" or "gse".
    r_enhanced : array of bool
        Whether the star was given an r-process enhancement.
    """

    teff: np.ndarray
    logg: np.ndarray
    fe_h: np.ndarray
    alpha_fe: np.ndarray
    abundances: dict[str, np.ndarray]
    eu_expected: np.ndarray
    radial_velocity: np.ndarray
    observed_velocity: np.ndarray
    component: np.ndarray
    r_enhanced: np.ndarray

    def __len__(self) -> int:
        return len(self.teff)

    def __getitem__(self, rows: np.ndarray) -> "Stars":
        """Return the stars of some rows (R,)."""
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        abundances = arrays.pop("abundances")
        return Stars(
            **{name: values[rows] for name, values in arrays.items()},
            abundances={element: values[rows] for element, values in abundances.items()},
        )

    def label(self, name: str) -> np.ndarray:
        """Return a label by its name: "teff", "logg", "fe_h", "alpha_fe", or an element's such as "eu_fe"."""
        if name in ("teff", "logg", "fe_h", "alpha_fe"):
            return getattr(self, name)
        return self.abundances[name.removesuffix("_fe").capitalize()]

    def with_abundance(self, element: str, values: np.ndarray) -> "Stars":
        """Return the same stars with [X/Fe] of one element replaced."""
        return dataclasses.replace(self, abundances={**self.abundances, element: values})


LABEL_NAMES = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe", *(f"{element.lower()}_fe" for element in ELEMENTS))


def expected_europium(fe_h: ArrayLike, alpha_fe: ArrayLike) -> np.ndarray:
    """Return the [Eu/Fe] in dex that the disc's relation expects of [Fe/H] and [alpha/Fe].

    Below `EUROPIUM_PLATEAU` in [Fe/H] it rises no further with decreasing [Fe/H]: there the r-process has kept pace
    with iron, and thick-disc stars have the Sun's ratio of europium to magnesium (Mashonkina et al. 2003).
    """
    constant, iron, alpha = _EUROPIUM
    return constant + iron * np.maximum(fe_h, EUROPIUM_PLATEAU) + alpha * (np.asarray(alpha_fe) - 0.08)


def disc_moments(tau: float) -> dict[str, float]:
    """Return analytic moments of the disc without its r-enhanced tail.

    Keys: ``eu_fe_mean``, ``eu_fe_std``, ``eu_h_mean`` and ``fe_h_mean`` in dex, and ``explained``, the fraction of the
    variance of [Eu/Fe] that [Fe/H] and [alpha/Fe] explain.
    """
    weights = np.array([_THIN_FRACTION, 1 - _THIN_FRACTION])
    iron, iron_std = np.array([_FE_H["thin"], _FE_H["thick"]]).T
    intercept, slope = np.array([_ALPHA["thin"], _ALPHA["thick"]]).T
    bend = _kinked_moments(iron, iron_std)
    constant, by_iron, by_alpha = _EUROPIUM
    means = constant + by_iron * bend.mean + by_alpha * (intercept + slope * iron - 0.08)
    variances = by_iron**2 * bend.variance + 2 * by_iron * by_alpha * slope * bend.covariance
    variances += by_alpha**2 * ((slope * iron_std) ** 2 + _ALPHA_SCATTER**2)
    mean = float(weights @ means)
    explained = float(weights @ (variances + (means - mean) ** 2))
    fe_h_mean = float(weights @ iron)
    return {
        "eu_fe_mean": mean,
        "eu_fe_std": float(np.sqrt(explained + tau**2)),
        "eu_h_mean": mean + fe_h_mean,
        "fe_h_mean": fe_h_mean,
        "explained": explained / (explained + tau**2),
    }


class _KinkedMoments(NamedTuple):
    """Mean and variance of max(x, plateau) for Gaussian x, and its covariance with x."""

    mean: np.ndarray
    variance: np.ndarray
    covariance: np.ndarray


def _kinked_moments(center: np.ndarray, std: np.ndarray) -> _KinkedMoments:
    """Return the moments of [Fe/H], Gaussian, where it may not fall below the plateau; covariance by Stein's lemma."""
    bend = (EUROPIUM_PLATEAU - center) / std
    below, density = norm.cdf(bend), norm.pdf(bend)
    mean = density + bend * below
    square = bend**2 * below + (1 - below) + bend * density
    return _KinkedMoments(center + std * mean, std**2 * (square - mean**2), std**2 * (1 - below))


def draw_stars(
    n_stars: int,
    seed: int = 0,
    *,
    population: str = "disc",
    tau: float = 0.06,
    r_enhanced_fraction: float = 0.001,
    europium_seed: int | None = None,
) -> Stars:
    """Draw red giants.

    Parameters
    ----------
    n_stars : int
    seed : int
        The first n stars of a larger draw with the same seed are the same stars.
    population : str
        "disc": thin and thick disc. Out of distribution: "gse", metal-poor accreted stars with [Eu/Mg] about +0.2;
        "in-situ", thick-disc stars as metal-poor as those; "r-I" and "r-II", disc stars whose [Eu/Fe] alone is raised
        to 0.3-1.0 and 1.0-1.8; "decorrelated", disc stars with [Eu/Fe] drawn from the disc's distribution regardless of
        their other labels.
    tau : float
        Intrinsic scatter of [Eu/Fe] at fixed [Fe/H] and [alpha/Fe], dex.
    r_enhanced_fraction : float
        Fraction of the disc in the tail of r-process-enhanced stars, [Eu/Fe] > 0.3.
    europium_seed : int, optional
        Seed of europium's own scatter and enhancement; `seed` by default. Everything else stays the same.

    Raises
    ------
    ValueError
        If the population is unknown or a number lies outside its range.
    """
    _check(n_stars, population, tau, r_enhanced_fraction)
    normal = {name: random_stream(seed, f"stars {name}").standard_normal(n_stars) for name in ("iron", "alpha")}
    thin = random_stream(seed, "stars component").random(n_stars) < _THIN_FRACTION
    if population in ("gse", "in-situ"):
        fe_h = _GSE_FE_H[0] + _GSE_FE_H[1] * normal["iron"]
        intercept, slope = _GSE_ALPHA if population == "gse" else _ALPHA["thick"]
        alpha_fe = intercept + slope * fe_h + _ALPHA_SCATTER * normal["alpha"]
        component = np.full(n_stars, "gse" if population == "gse" else "thick")
    else:
        fe_h = np.where(thin, *(_FE_H[name][0] + _FE_H[name][1] * normal["iron"] for name in ("thin", "thick")))
        alpha_fe = np.where(thin, *(_ALPHA[name][0] + _ALPHA[name][1] * fe_h for name in ("thin", "thick")))
        alpha_fe = alpha_fe + _ALPHA_SCATTER * normal["alpha"]
        component = np.where(thin, "thin", "thick")
    teff, logg = _red_giant_branch(fe_h, seed)
    abundances = _abundances(fe_h, alpha_fe, logg, seed)
    expected = expected_europium(fe_h, alpha_fe)
    mean = abundances["Mg"] + _GSE_EU_MG if population == "gse" else expected
    eu_fe, r_enhanced = _europium(
        mean, seed if europium_seed is None else europium_seed, population, tau, r_enhanced_fraction
    )
    velocity, observed = _velocities(component, seed)
    abundances["Eu"] = eu_fe
    return Stars(teff, logg, fe_h, alpha_fe, abundances, expected, velocity, observed, component, r_enhanced)


def with_r_process_neighbors(stars: Stars) -> Stars:
    """Return the stars with the r-process share of other elements raised as much as europium is above its expectation.

    If an element owes a fraction f to the r-process (solar, Sneden, Cowan & Gallino 2008) and europium lies by d dex
    above its expectation, there are 1 - f + f 10^d times as many atoms: for small d, its [X/Fe] follows by f d.
    """
    excess = 10.0 ** (stars.abundances["Eu"] - stars.eu_expected)
    for element in ELEMENTS.keys() & R_PROCESS_FRACTION.keys():
        fraction = R_PROCESS_FRACTION[element]
        raised = stars.abundances[element] + np.log10(1 - fraction + fraction * excess)
        stars = stars.with_abundance(element, raised)
    return stars


def _check(n_stars: int, population: str, tau: float, r_enhanced_fraction: float) -> None:
    if population not in POPULATIONS:
        raise ValueError(f"unknown population {population!r}; choose one of {', '.join(POPULATIONS)}")
    if n_stars < 1:
        raise ValueError(f"n_stars must be at least 1, got {n_stars}")
    if not tau >= 0:
        raise ValueError(f"tau, the scatter of [Eu/Fe] in dex, must not be negative, got {tau}")
    if not 0 <= r_enhanced_fraction <= 1:
        raise ValueError(f"r_enhanced_fraction must lie between 0 and 1, got {r_enhanced_fraction}")


def _red_giant_branch(fe_h: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    n_stars = len(fe_h)
    # More stars low on the branch than high, and the pile-up of the red clump.
    branch = 0.8 + 2.6 * np.sqrt(random_stream(seed, "stars gravity").random(n_stars))
    clump = _CLUMP_LOGG + _CLUMP_SCATTER * random_stream(seed, "stars clump").standard_normal(n_stars)
    in_clump = random_stream(seed, "stars in clump").random(n_stars) < _CLUMP_FRACTION
    logg = _reflect(np.where(in_clump, clump, branch), LOGG_LIMITS)
    scatter = _TRACK_SCATTER * random_stream(seed, "stars temperature").standard_normal(n_stars)
    teff = 4425 + 500 * (logg - 2) - 50 * (logg - 2) ** 2 - 260 * fe_h + 120 * in_clump + scatter
    return _reflect(teff, TEFF_LIMITS), logg


def _reflect(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    raised = np.where(values < low, 2 * low - values, values)
    return np.clip(np.where(raised > high, 2 * high - raised, raised), low, high)


def _abundances(fe_h: np.ndarray, alpha_fe: np.ndarray, logg: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    abundances = {}
    mixed = np.clip(-fe_h - 0.3, 0, 1) * (logg < 2.2)
    for element, (constant, iron, alpha, scatter) in ELEMENTS.items():
        noise = random_stream(seed, f"stars {element}").standard_normal(len(fe_h))
        values = constant + iron * fe_h + alpha * (alpha_fe - 0.08) + scatter * noise
        abundances[element] = values + _DREDGE_UP.get(element, 0.0) + _EXTRA_MIXING.get(element, 0.0) * mixed
    return abundances


def _europium(
    mean: np.ndarray, seed: int, population: str, tau: float, r_enhanced_fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return [Eu/Fe] about its mean (n_stars,) in ordinary stars, and which stars are r-process-enhanced."""
    n_stars = len(mean)
    scatter = random_stream(seed, "europium scatter").standard_normal(n_stars)
    uniform = random_stream(seed, "europium enhancement").random(n_stars)
    ordinary = np.zeros(n_stars, bool)
    if population == "gse":
        return mean + np.hypot(tau, _GSE_EU_SCATTER) * scatter, ordinary
    if population == "decorrelated":
        return decorrelated_europium(n_stars, seed, tau), ordinary
    if population in ("r-I", "r-II"):
        low, high = _R_I if population == "r-I" else _R_II
        return low + (high - low) * uniform, ~ordinary
    enhanced = random_stream(seed, "europium enhanced").random(n_stars) < r_enhanced_fraction
    tail = np.minimum(_R_I[0] - _ENHANCEMENT_SCALE * np.log1p(-uniform), _R_II[1])
    return np.where(enhanced, tail, mean + tau * scatter), enhanced


def decorrelated_europium(n_stars: int, seed: int, tau: float) -> np.ndarray:
    """Return [Eu/Fe] (n_stars,) with the disc's mean and standard deviation, independent of everything else."""
    moments = disc_moments(tau)
    noise = random_stream(seed, "europium decorrelated").standard_normal(n_stars)
    return moments["eu_fe_mean"] + moments["eu_fe_std"] * noise


def expected_enhanced(n_stars: int, r_enhanced_fraction: float = 0.001) -> tuple[float, float]:
    """Return how many r-I and r-II stars, [Eu/Fe] of 0.3-1.0 and above, are expected in the tail of a disc's stars."""
    above = np.exp(-(_R_II[0] - _R_I[0]) / _ENHANCEMENT_SCALE)
    return n_stars * r_enhanced_fraction * (1 - above), n_stars * r_enhanced_fraction * above


def _velocities(component: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    dispersion = np.array([_VELOCITY_DISPERSION[name] for name in component.tolist()])
    velocity = dispersion * random_stream(seed, "stars velocity").standard_normal(len(component))
    # The Earth's motion: up to 30 km/s at the ecliptic, less towards its poles.
    phase = random_stream(seed, "stars season").random(len(component))
    latitude = random_stream(seed, "stars latitude").random(len(component))
    return velocity, velocity - 30.0 * np.sqrt(1 - latitude**2) * np.sin(2 * np.pi * phase)
