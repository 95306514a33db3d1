"""What the telescope, the sky and the optical catalogue do to noise-free spectra and labels.

The numbers describe the DR10 spectra of `lux.datasets.apogee_dr10`: signal-to-noise ratios, the error floor, how noise
grows towards the end of the red chip, residuals that are correlated over neighboring pixels. The errors of the labels
are those of GALAH DR3 giants (Buder et al. 2021), [Eu/Fe] by class of GALAH's own signal-to-noise ratio.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from lux.simulation.population import TEFF_LIMITS, random_stream
from lux.spectroscopy.instrument import CHIPS, N_PIXELS, doppler_shift_pixels, pixel_of
from lux.spectroscopy.lines import airglow_lines
from lux.spectroscopy.profiles import PROFILE_REACH, add_at_observed, pixels_near

_SNR_LIMITS = (70.0, 1250.0)
_ERROR_FLOOR = 0.005
# Weights and widths in pixels of the two Gaussian processes that together have the autocorrelation of the residuals
# of DR10 giants, 0.84, 0.58, 0.39 at lags of 1, 2, 3 pixels.
RESIDUAL_KERNELS = ((0.68, 1.0), (0.32, 8.0))
# Relative noise where the S/N is 1: at the start, middle and end of each chip.
_NOISE_PROFILE = {"blue": (1.04, 0.96, 1.03), "green": (1.03, 0.92, 1.13), "red": (1.10, 1.38, 2.04)}
# Airglow as strong as this, relative to the strongest line, is masked where sky lines are masked.
_MASKED_AIRGLOW, _MASKED_REACH = 0.05, 8
_BAD_COLUMN_REACH = 1
# The signal-to-noise ratio for which `Observation.sky_amplitude` is stated.
_AIRGLOW_SNR = 167.0
_BLOCK = 256
# Wavenumbers of band centers, rotational constant, and the temperature of the air (260 K) in cm^-1.
_CO2_BANDS, _CO2_ROTATION, _AIR_TEMPERATURE_CM = (6228.0, 6348.0), 0.390, 181.0

_GALAH_SNR_MEDIAN, _GALAH_SNR_SCATTER, _MIN_GALAH_SNR = 80.0, 0.5, 30.0
# Upper limit of the class of GALAH signal-to-noise ratio, and the error of [Eu/Fe] in dex there.
_EU_ERROR_BY_SNR = ((40.0, 0.118), (60.0, 0.107), (100.0, 0.083), (np.inf, 0.051))
_LABEL_ERRORS = {"teff": 86.0, "logg": 0.22, "fe_h": 0.06, "alpha_fe": 0.045}
_ABUNDANCE_ERRORS = {"li": 0.08, "na": 0.04, "o": 0.11, "mg": 0.06, "y": 0.11, "ce": 0.11, "ba": 0.07}
_LABEL_ERRORS |= {f"{element}_fe": error for element, error in _ABUNDANCE_ERRORS.items()}
_OTHER_LABEL_ERROR = 0.08
_LABEL_ERROR_SCATTER = 0.15
_STELLAR_PARAMETERS = ("teff", "logg", "fe_h")
_LIMIT_TEFF, _LIMIT_SNR, _LIMIT_KELVIN_PER_DEX = 4600.0, 80.0, 1000.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """How the spectra are observed.

    Parameters
    ----------
    snr_median, snr_scatter : float
        Signal-to-noise ratio per pixel: lognormal with this median and this standard deviation of its logarithm,
        clipped to 70-1250.
    continuum_residual : float
        Standard deviation of the correlated residuals, of which the errors know only through their floor of 0.005.
    sky : str
        "residual": airglow leaves residuals of either sign, and the errors say so; "masked": strong airglow is masked
        in runs of 17 pixels as in DR10, the rest leaves residuals.
    sky_amplitude : float
        Standard deviation of the residual of the strongest airglow line at S/N 167.
    bad_pixel_fraction : float
        Fraction of pixels that are bad at random.
    telluric_amplitude : float
        Standard deviation of the residual of the strongest telluric line (`telluric_lines`): one factor a star for all
        lines, of either sign, of which the errors know nothing.
    bad_columns : int
        Bad columns of the detectors, fixed in the observed frame. They are drawn where no strong airglow line falls: a
        column on one would hide it in every star, and whether it is mistaken for the star could not be tested.
    shared_label_errors : float
        Share of the variance of a label's error that one factor has in the coolest giants, the same for all labels of
        a star, as an error of the pipeline in the temperature has; in the hottest it has none. The factor raises Teff,
        log g and [Fe/H] together and lowers every [X/Fe].
    least_europium : float, optional
        Catalogue: least [Eu/H] that is measured at a GALAH signal-to-noise ratio of 80 in a giant of 4600 K; below, the
        catalogue has an upper limit, which is no label. It rises as the ratio falls, and by 1 dex per 1000 K. By
        default europium is measured in every star.

    Raises
    ------
    ValueError
        If a number lies outside its range or `sky` is unknown.
    """

    snr_median: float = 167.0
    snr_scatter: float = 0.55
    continuum_residual: float = 0.005
    sky: str = "residual"
    sky_amplitude: float = 0.03
    telluric_amplitude: float = 0.0
    bad_pixel_fraction: float = 0.01
    bad_columns: int = 60
    shared_label_errors: float = 0.0
    least_europium: float | None = None

    def __post_init__(self) -> None:
        if self.sky not in ("residual", "masked"):
            raise ValueError(f"sky must be 'residual' or 'masked', got {self.sky!r}")
        if not self.snr_median > 0:
            raise ValueError(f"snr_median must be positive, got {self.snr_median}")
        for name in ("bad_pixel_fraction", "shared_label_errors"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("snr_scatter", "continuum_residual", "sky_amplitude", "telluric_amplitude", "bad_columns"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


def draw_snr(n_stars: int, seed: int, observation: Observation) -> np.ndarray:
    """Return the signal-to-noise ratio per pixel of each star, (n_stars,)."""
    noise = random_stream(seed, "observation snr").standard_normal(n_stars)
    return np.clip(observation.snr_median * np.exp(observation.snr_scatter * noise), *_SNR_LIMITS)


def noise_profile() -> np.ndarray:
    """Return the noise of every pixel of the APOGEE grid relative to 1 / S/N, (8575,)."""
    profile = np.ones(N_PIXELS)
    for chip, values in _NOISE_PROFILE.items():
        first, last = CHIPS["dr10"][chip]
        wide = slice(CHIPS["dr17"][chip][0], CHIPS["dr17"][chip][1])
        nodes = (first, 0.5 * (first + last), last)
        profile[wide] = np.interp(np.arange(N_PIXELS)[wide], nodes, values)
    return profile


@dataclasses.dataclass(frozen=True)
class Exposures:
    """Stars as they are observed.

    Parameters
    ----------
    observation : Observation
    pixels : (D,) array of int
        Pixels of the APOGEE grid.
    snr : (N,) array
        Signal-to-noise ratio per pixel.
    velocity : (N,) array
        Towards the telescope, km/s.
    """

    observation: Observation
    pixels: np.ndarray
    snr: np.ndarray
    velocity: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of stars and of pixels."""
        return len(self.snr), len(self.pixels)

    def __getitem__(self, stars: slice) -> "Exposures":
        return dataclasses.replace(self, snr=self.snr[stars], velocity=self.velocity[stars])


def draw_noise(exposures: Exposures, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise and the inverse variance (N, D), float32, of exposures.

    They do not depend on the flux, so that what is planted in it is the only difference between two worlds. A bad pixel
    has inverse variance 0.
    """
    names = ("white", "fast", "slow", "airglow", "telluric", "bad")
    streams = {name: random_stream(seed, f"observation {name}") for name in names}
    columns = draw_bad_columns(seed, exposures.observation.bad_columns)
    noise, ivar = (np.empty(exposures.shape, np.float32) for _ in range(2))
    for first in range(0, len(noise), _BLOCK):
        rows = slice(first, first + _BLOCK)
        noise[rows], variance = _draw_block(exposures[rows], streams)
        bad = _bad_pixels(exposures[rows], columns, streams["bad"])
        ivar[rows] = np.where(bad, np.float32(0), 1 / variance)
    return noise, ivar


def draw_bad_columns(seed: int, n_columns: int) -> np.ndarray:
    """Return where the bad columns are, in observed pixels (n_columns,), clear of the strong airglow lines."""
    places = random_stream(seed, "observation columns").uniform(0, N_PIXELS, 4 * n_columns)
    distance = np.abs(places[:, None] - _strong_airglow()).min(axis=1)
    return places[distance > PROFILE_REACH + _BAD_COLUMN_REACH + 1][:n_columns]


def _strong_airglow() -> np.ndarray:
    """Return the observed pixels of the airglow lines that are masked where sky lines are masked."""
    lines = airglow_lines()
    return pixel_of(lines.wavelength[lines.strength >= _MASKED_AIRGLOW])


def _draw_block(exposures: Exposures, streams: dict[str, np.random.Generator]) -> tuple[np.ndarray, np.ndarray]:
    """Return noise and reported variance of one block of stars, (n, D) each."""
    profile = noise_profile()[exposures.pixels].astype(np.float32)
    sigma = profile / exposures.snr[:, None].astype(np.float32)
    noise = sigma * streams["white"].standard_normal(sigma.shape, dtype=np.float32)
    residual = np.zeros_like(noise)
    for name, (weight, width) in zip(("fast", "slow"), RESIDUAL_KERNELS, strict=True):
        residual += np.float32(np.sqrt(weight)) * smooth_noise(streams[name], sigma.shape, width)
    noise += np.float32(exposures.observation.continuum_residual) * residual
    variance = np.maximum(sigma, np.float32(_ERROR_FLOOR)) ** 2
    _add_airglow(noise, variance, exposures, streams["airglow"])
    if exposures.observation.telluric_amplitude:
        _add_telluric(noise, exposures, streams["telluric"])
    return noise, variance


def smooth_noise(stream: np.random.Generator, shape: tuple[int, int], width: float) -> np.ndarray:
    """Return Gaussian noise of unit variance, smoothed along the second axis by a Gaussian `width` pixels wide."""
    white = stream.standard_normal(shape, dtype=np.float32)
    impulse = np.zeros(int(8 * width) | 1)
    impulse[len(impulse) // 2] = 1
    scale = np.sqrt(np.sum(gaussian_filter1d(impulse, width, truncate=3.0) ** 2))
    return gaussian_filter1d(white, width, axis=1, truncate=3.0, mode="wrap") / np.float32(scale)


def _add_airglow(noise: np.ndarray, variance: np.ndarray, exposures: Exposures, stream: np.random.Generator) -> None:
    """Add residuals of airglow to the noise and what the pipeline knows of them to the variance, in place."""
    lines = airglow_lines()
    brightness = exposures.observation.sky_amplitude * np.minimum(_AIRGLOW_SNR / exposures.snr, 2.0)
    expected = brightness[:, None] * np.sqrt(lines.strength)
    residual = expected * stream.standard_normal(expected.shape)
    for target, amplitude in ((noise, residual), (variance, expected**2)):
        add_at_observed(target, exposures.pixels, lines.wavelength, exposures.velocity, amplitude)


def telluric_lines() -> tuple[np.ndarray, np.ndarray]:
    """Return observed vacuum wavelengths (L,) in Angstrom and strengths relative to the strongest of telluric lines.

    A schematic atmosphere: the two bands of carbon dioxide at 6228 and 6348 cm^-1 (Miller & Brown 2004), each as of a
    rigid rotor, with even J in the lower state and its Boltzmann factor. Centrifugal and vibrational terms, which move
    lines far from the center of a band by some Angstrom, and water and methane are left out.
    """
    lower = np.arange(0, 62, 2)
    step = np.concatenate([lower + 1, -lower[1:]])
    lower = np.concatenate([lower, lower[1:]])
    population = np.abs(step) * np.exp(-_CO2_ROTATION * lower * (lower + 1) / _AIR_TEMPERATURE_CM)
    wavenumber = np.add.outer(_CO2_BANDS, 2 * _CO2_ROTATION * step).ravel()
    return 1e8 / wavenumber, np.tile(population / population.max(), len(_CO2_BANDS))


def _add_telluric(noise: np.ndarray, exposures: Exposures, stream: np.random.Generator) -> None:
    """Add to the noise, in place, what is left of telluric lines where too much or too little air was taken out."""
    wavelength, strength = telluric_lines()
    amplitude = exposures.observation.telluric_amplitude * stream.standard_normal(len(exposures.snr))
    add_at_observed(noise, exposures.pixels, wavelength, exposures.velocity, amplitude[:, None] * strength)


def _bad_pixels(exposures: Exposures, columns: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Return which pixels (n, D) are bad: at random, at detector columns, and where airglow is masked."""
    observation, pixels = exposures.observation, exposures.pixels
    bad = stream.random(exposures.shape, dtype=np.float32) < observation.bad_pixel_fraction
    shift = doppler_shift_pixels(exposures.velocity)[:, None]
    bad |= pixels_near(columns - shift, pixels, _BAD_COLUMN_REACH)
    if observation.sky == "masked":
        bad |= pixels_near(_strong_airglow() - shift, pixels, _MASKED_REACH)
    return bad


def draw_label_noise(n_stars: int, names: Sequence[str], seed: int, share: ArrayLike = 0.0) -> np.ndarray:
    """Return the noise of each label in units of its error, (n_stars, M); a label's noise has its own stream.

    `share` (n_stars,) of its variance comes from a factor common to all labels of a star (`shared_share`).
    """
    own = np.stack([random_stream(seed, f"label noise {name}").standard_normal(n_stars) for name in names], axis=1)
    share = np.broadcast_to(share, n_stars)[:, None]
    sign = np.array([1.0 if name in _STELLAR_PARAMETERS else -1.0 for name in names])
    common = random_stream(seed, "label noise common").standard_normal(n_stars)[:, None] * sign
    return np.sqrt(1 - share) * own + np.sqrt(share) * common


def shared_share(teff: np.ndarray, observation: Observation) -> np.ndarray:
    """Return the share (N,) of the variance of label errors that is common to all labels of a star."""
    low, high = TEFF_LIMITS
    return observation.shared_label_errors * np.clip((high - teff) / (high - low), 0, 1)


def is_upper_limit(eu_h: np.ndarray, teff: np.ndarray, snr: np.ndarray, observation: Observation) -> np.ndarray:
    """Return in which stars (N,) europium is too weak for the catalogue's spectrum to measure."""
    if observation.least_europium is None:
        return np.zeros(len(eu_h), bool)
    limit = observation.least_europium - np.log10(snr / _LIMIT_SNR) + (teff - _LIMIT_TEFF) / _LIMIT_KELVIN_PER_DEX
    return eu_h < limit


def draw_label_errors(n_stars: int, names: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors that the optical catalogue states, (n_stars, M), and its signal-to-noise ratio, (n_stars,)."""
    noise = random_stream(seed, "label snr").standard_normal(n_stars)
    snr = np.maximum(_GALAH_SNR_MEDIAN * np.exp(_GALAH_SNR_SCATTER * noise), _MIN_GALAH_SNR)
    errors = []
    for name in names:
        if name == "eu_fe":
            limits, values = np.array(_EU_ERROR_BY_SNR).T
            errors.append(values[np.searchsorted(limits, snr, side="right")])
        else:
            scatter = _LABEL_ERROR_SCATTER * random_stream(seed, f"label error {name}").standard_normal(n_stars)
            errors.append(_LABEL_ERRORS.get(name, _OTHER_LABEL_ERROR) * np.exp(scatter))
    return np.stack(errors, axis=1), snr
