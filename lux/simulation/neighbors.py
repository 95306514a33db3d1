r"""What the H band can know of europium, which has no line there, through elements that the r-process makes with it.

**Co-production.** If an element X owes a fraction :math:`r_X` to the r-process and a star holds :math:`10^u` times the
expected r-process material, it holds :math:`1 - r_X + r_X 10^u` times as much of X: to first order [X/Fe] moves by
:math:`r_X u`. Here u is europium's own scatter, of standard deviation :math:`\tau`; X adds a scatter
:math:`\omega_X` that is not europium's. That the solar fractions hold in every star is an assumption.

**One star.** The unbiased reading of line i of element X is :math:`\hat v_i = r_X u + w_X + e_i`. The errors e have the
covariance :math:`\Sigma`, the inverse of the Fisher information with all other labels and abundances left free (Ting et
al. 2017). With :math:`\Omega_{ij} = \omega_X^2` for lines of one element and 0 otherwise, the Cramér-Rao bound of u is

.. math:: b^{-2} = r^T (\Omega + \Sigma)^{-1} r .

Perfect spectra, :math:`\Sigma = 0`, leave :math:`b^{-2} = \sum_X r_X^2 / \omega_X^2`. The best estimate shrinks the
reading to :math:`\rho^2 \hat u` with :math:`\rho^2 = \tau^2 / (\tau^2 + b^2)`: that is its slope on u, and the share of
the variance of u that it explains.

**A sample.** The catalogue's own part of the label, u with an error s, correlates with the best estimate by
:math:`\kappa = \rho^2 \tau^2 / (\tau^2 + s^2)`, squared. The score test of N stars sees that at
:math:`\sqrt{N \kappa}` standard deviations, so that a test with threshold t finds it with power p in

.. math:: N = (t + z_p)^2 / \kappa .

**A model.** One that must learn from N stars which of p equally plausible, independent features speaks of the label
has a coefficient with noise 1/N on each. Shrunk as is best, by :math:`\kappa / (\kappa + p / N)`, its prediction has
a slope on u of

.. math:: \rho^2 \, \frac{\kappa}{\kappa + p / N} ,

half of what can be had at :math:`N = p / \kappa`. This is exact for the regression of standardized features by their
marginal correlations; a model that knows more beforehand of where to look has a smaller p.
"""

import dataclasses

import numpy as np
from scipy.linalg import solveh_banded
from scipy.stats import norm

from lux.simulation.equilibrium import ELEMENTS as MODEL_ELEMENTS
from lux.simulation.heavy_species import species_wavelengths
from lux.simulation.observation import RESIDUAL_KERNELS, Observation, noise_profile
from lux.simulation.population import ELEMENTS, Stars
from lux.simulation.synthesis import synthesize
from lux.spectroscopy.instrument import nearest_pixel, on_chip
from lux.spectroscopy.lines import R_PROCESS_FRACTION

SPECIES = ("Ce II", "Nd II", "Yb II")
# Steps of the derivatives in K and dex, and how far what no line holds may wander: 1 dex, or so many K.
_STEPS = {"teff": 20.0, "logg": 0.05, "fe_h": 0.05}
_WIDE = {"teff": 1000.0}
# Beyond this many pixels the residuals of a spectrum are independent.
_REACH = 60


@dataclasses.dataclass(frozen=True)
class Readings:
    """What L lines say of their elements in each of N stars, beside what those owe to europium.

    Parameters
    ----------
    species : (L,) array of str
    wavelength : (L,) array
        Vacuum Angstrom.
    covariance : (N, L, L) array
        Of the errors of [X/Fe] as each line gives it, dex squared.
    """

    species: np.ndarray
    wavelength: np.ndarray
    covariance: np.ndarray

    def __getitem__(self, lines: np.ndarray) -> "Readings":
        """Return the readings of some lines alone; the others are then as free as everything else."""
        return Readings(self.species[lines], self.wavelength[lines], self.covariance[:, lines][:, :, lines])

    @property
    def fraction(self) -> np.ndarray:
        """The r-process fraction of each line's element, (L,)."""
        return np.array([R_PROCESS_FRACTION[name.split()[0]] for name in self.species])

    @property
    def own_scatter(self) -> np.ndarray:
        """Covariance (L, L) of what the elements do apart from europium, dex squared."""
        scatter = np.array([ELEMENTS[name.split()[0]][3] for name in self.species])
        return np.where(self.species[:, None] == self.species, scatter**2, 0.0)

    def bound(self, *, scatter: bool = True) -> np.ndarray:
        """Return the smallest standard error of europium's own scatter in each star, (N,), dex.

        Without `scatter`, as if nothing but the r-process moved the elements.
        """
        covariance = self.covariance + (self.own_scatter if scatter else 0.0)
        return (np.linalg.solve(covariance, self.fraction[:, None])[..., 0] @ self.fraction) ** -0.5

    def share(self, tau: float, *, scatter: bool = True) -> np.ndarray:
        """Return the share of the variance of europium's own scatter `tau` that can be known in each star, (N,)."""
        return tau**2 / (tau**2 + self.bound(scatter=scatter) ** 2)

    def agreement(self, tau: float, error: np.ndarray, *, scatter: bool = True) -> float:
        """Return the squared correlation of that with a catalogue's own part of the label, of errors (K,) in dex."""
        return float(np.mean(self.share(tau, scatter=scatter)) * np.mean(tau**2 / (tau**2 + np.asarray(error) ** 2)))


def read_lines(stars: Stars, snr: np.ndarray, observation: Observation) -> Readings:
    """Return what an optimal observer reads in the lines of `SPECIES` in full APOGEE spectra.

    Parameters
    ----------
    stars : Stars
        Their spectra are computed some fifty times.
    snr : (N,) array
        Signal-to-noise ratios per pixel.
    observation : Observation
        Its correlated residuals count as noise; airglow and bad pixels are left aside.
    """
    pixels = np.flatnonzero(on_chip())
    gradient = {name: values[:, pixels] for name, values in _gradient(stars).items()}
    lines = [line for name in SPECIES for line in _by_line(gradient.pop(name.split()[0]), name, pixels)]
    rows = np.stack([*lines, *gradient.values()], axis=1)
    free = np.array([0.0] * len(lines) + [_WIDE.get(name, 1.0) ** -2 for name in gradient])
    information = [
        star @ solveh_banded(_noise(pixels, ratio, observation), star.T, lower=True) + np.diag(free)
        for star, ratio in zip(rows, snr, strict=True)
    ]
    return Readings(
        np.array([name for name in SPECIES for _ in species_wavelengths(name)]),
        np.concatenate([species_wavelengths(name) for name in SPECIES]),
        np.linalg.inv(information)[:, : len(lines), : len(lines)],
    )


def stars_to_find(agreement: float, threshold: float, power: float = 0.95) -> float:
    """Return how many stars a test needs that counts `threshold` standard deviations, to find it with that power."""
    return float((threshold + norm.ppf(power)) ** 2 / agreement)


def learned_slope(n_stars: np.ndarray, n_features: int, share: float, agreement: float) -> np.ndarray:
    """Return the slope on europium's own scatter of a model that learns from so many stars among so many features."""
    return share * agreement / (agreement + n_features / np.asarray(n_stars))


def _gradient(stars: Stars) -> dict[str, np.ndarray]:
    """Return the derivatives (N, 8575) of the flux by stellar parameters and by [X/Fe] of the elements that have lines.

    The flux is that over the true continuum, which is smooth in every abundance.
    """
    values = {name: getattr(stars, name) for name in _STEPS}
    values |= {name: each for name, each in stars.abundances.items() if name in MODEL_ELEMENTS}
    step = np.array([_STEPS.get(name, 0.05) for name in values])
    # All stars, each changed in one thing up and down, are synthesized together: (2, K, N).
    changed = {name: np.tile(each, (2, len(values), 1)) for name, each in values.items()}
    for number, name in enumerate(values):
        changed[name][:, number] += step[number] * np.array([[1.0], [-1.0]])
    flat = {name: each.ravel() for name, each in changed.items()}
    teff, logg, fe_h = (flat.pop(name) for name in _STEPS)
    alpha_fe = np.tile(stars.alpha_fe, 2 * len(values))
    flux = synthesize(teff, logg, fe_h, alpha_fe, flat, pseudo_continuum=False)
    up, down = flux.reshape(2, len(values), len(stars), -1).astype(float)
    return dict(zip(values, (up - down) / (2 * step[:, None, None]), strict=True))


def _by_line(gradient: np.ndarray, species: str, pixels: np.ndarray) -> list[np.ndarray]:
    """Divide the derivatives (N, D) by an element among its lines, each pixel to the line that is nearest."""
    centers = nearest_pixel(species_wavelengths(species))
    nearest = np.abs(pixels[:, None] - centers).argmin(axis=1)
    return [np.where(nearest == number, gradient, 0.0) for number in range(len(centers))]


def _noise(pixels: np.ndarray, snr: float, observation: Observation) -> np.ndarray:
    """Return the covariance of the noise as its lower bands (B, D): white noise and the correlated residual."""
    bands = np.zeros((_REACH, len(pixels)))
    for row in range(_REACH):
        lag = pixels[row:] - pixels[: len(pixels) - row]
        bands[row, : len(lag)] = sum(weight * np.exp(-(lag**2) / (4 * width**2)) for weight, width in RESIDUAL_KERNELS)
    bands *= observation.continuum_residual**2
    bands[0] += (noise_profile()[pixels] / snr) ** 2
    return bands
