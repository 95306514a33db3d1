"""What the telescope, the sky and the optical catalogue do to noise-free spectra and labels.

The numbers describe the DR10 spectra of `lux.datasets.apogee_dr10`: signal-to-noise ratios, the error floor, how noise
grows towards the end of the red chip, residuals that are correlated over neighbouring pixels. The errors of the labels
are those of GALAH DR3 giants (Buder et al. 2021), [Eu/Fe] by class of GALAH's own signal-to-noise ratio.
"""

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lux.simulation.population import random_stream
from lux.spectroscopy.instrument import CHIPS, N_PIXELS, doppler_shift_pixels, pixel_of
from lux.spectroscopy.lines import airglow_lines
from lux.spectroscopy.profiles import add_at_observed, pixels_near

SNR_LIMITS = (70.0, 1250.0)
ERROR_FLOOR = 0.005
# Weights and widths in pixels of the two Gaussian processes that together have the autocorrelation of the residuals
# of DR10 giants, 0.84, 0.58, 0.39 at lags of 1, 2, 3 pixels.
RESIDUAL_KERNELS = ((0.68, 1.0), (0.32, 8.0))
# Relative noise where the S/N is 1: at the start, middle and end of each chip.
NOISE_PROFILE = {"blue": (1.04, 0.96, 1.03), "green": (1.03, 0.92, 1.13), "red": (1.10, 1.38, 2.04)}
# Airglow as strong as this, relative to the strongest line, is masked where sky lines are masked.
MASKED_AIRGLOW, MASKED_REACH = 0.05, 8
BAD_COLUMN_REACH = 1
BLOCK = 256

GALAH_SNR_MEDIAN, GALAH_SNR_SCATTER, GALAH_SNR_MINIMUM = 80.0, 0.5, 30.0
# Upper limit of the class of GALAH signal-to-noise ratio, and the error of [Eu/Fe] in dex there.
EU_ERROR_BY_SNR = ((40.0, 0.118), (60.0, 0.107), (100.0, 0.083), (np.inf, 0.051))
LABEL_ERRORS = {"teff": 86.0, "logg": 0.22, "fe_h": 0.06, "alpha_fe": 0.045, "li_fe": 0.08, "na_fe": 0.04,
                "o_fe": 0.11, "mg_fe": 0.06, "y_fe": 0.11, "ce_fe": 0.11, "ba_fe": 0.07}  # fmt: skip
OTHER_LABEL_ERROR = 0.08
LABEL_ERROR_SCATTER = 0.15


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
    bad_columns : int
        Bad columns of the detectors, fixed in the observed frame.

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
    bad_pixel_fraction: float = 0.01
    bad_columns: int = 60

    def __post_init__(self):
        if self.sky not in ("residual", "masked"):
            raise ValueError(f"sky must be 'residual' or 'masked', got {self.sky!r}")
        if not self.snr_median > 0:
            raise ValueError(f"snr_median must be positive, got {self.snr_median}")
        if not 0 <= self.bad_pixel_fraction < 1:
            raise ValueError(f"bad_pixel_fraction must lie in [0, 1), got {self.bad_pixel_fraction}")
        for name in ("snr_scatter", "continuum_residual", "sky_amplitude", "bad_columns"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


def draw_snr(n_stars: int, seed: int, observation: Observation) -> np.ndarray:
    """Return the signal-to-noise ratio per pixel of each star, (n_stars,)."""
    noise = random_stream(seed, "observation snr").standard_normal(n_stars)
    return np.clip(observation.snr_median * np.exp(observation.snr_scatter * noise), *SNR_LIMITS)


def noise_profile() -> np.ndarray:
    """Return the noise of every pixel of the APOGEE grid relative to 1 / S/N, (8575,)."""
    profile = np.ones(N_PIXELS)
    for chip, values in NOISE_PROFILE.items():
        first, last = CHIPS["dr10"][chip]
        wide = slice(CHIPS["dr17"][chip][0], CHIPS["dr17"][chip][1])
        nodes = (first, 0.5 * (first + last), last)
        profile[wide] = np.interp(np.arange(N_PIXELS)[wide], nodes, values)
    return profile


def draw_noise(pixels, velocity, snr, *, seed: int, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise and the inverse variance (N, D), float32, of stars seen at a velocity (N,) in km/s.

    They do not depend on the flux, so that what is planted in it is the only difference between two worlds. A bad pixel
    has inverse variance 0.
    """
    streams = {name: random_stream(seed, f"observation {name}") for name in ("white", "fast", "slow", "airglow", "bad")}
    noise, ivar = (np.empty((len(snr), len(pixels)), np.float32) for _ in range(2))
    profile = noise_profile()[pixels].astype(np.float32)
    for first in range(0, len(snr), BLOCK):
        rows = slice(first, first + BLOCK)
        noise[rows], variance, bad = _noise_block(
            pixels, profile, snr[rows], velocity[rows], streams, seed, observation
        )
        ivar[rows] = np.where(bad, np.float32(0), 1 / variance)
    return noise, ivar


def _noise_block(pixels, profile, snr, velocity, streams, seed, observation: Observation):
    """Return noise, reported variance and bad pixels of one block of stars, (n, D) each."""
    shape = (len(snr), len(pixels))
    sigma = profile / snr[:, None].astype(np.float32)
    noise = sigma * streams["white"].standard_normal(shape, dtype=np.float32)
    residual = np.zeros(shape, np.float32)
    for name, (weight, width) in zip(("fast", "slow"), RESIDUAL_KERNELS, strict=True):
        residual += np.float32(np.sqrt(weight)) * smooth_noise(streams[name], shape, width)
    noise += np.float32(observation.continuum_residual) * residual
    variance = np.maximum(sigma, np.float32(ERROR_FLOOR)) ** 2
    _add_airglow(noise, variance, pixels, snr, velocity, streams["airglow"], observation)
    return noise, variance, _bad_pixels(pixels, velocity, streams["bad"], seed, observation)


def smooth_noise(stream: np.random.Generator, shape: tuple[int, int], width: float) -> np.ndarray:
    """Return Gaussian noise of unit variance, smoothed along the second axis by a Gaussian `width` pixels wide."""
    white = stream.standard_normal(shape, dtype=np.float32)
    impulse = np.zeros(int(8 * width) | 1)
    impulse[len(impulse) // 2] = 1
    scale = np.sqrt(np.sum(gaussian_filter1d(impulse, width, truncate=3.0) ** 2))
    return gaussian_filter1d(white, width, axis=1, truncate=3.0, mode="wrap") / np.float32(scale)


def _add_airglow(noise, variance, pixels, snr, velocity, stream, observation: Observation) -> None:
    """Add residuals of airglow to the noise and what the pipeline knows of them to the variance, in place."""
    lines = airglow_lines()
    brightness = observation.sky_amplitude * np.minimum(167.0 / snr, 2.0)
    expected = brightness[:, None] * np.sqrt(lines.strength)
    residual = expected * stream.standard_normal(expected.shape)
    add_at_observed(noise, pixels, lines.wavelength, velocity, residual)
    add_at_observed(variance, pixels, lines.wavelength, velocity, expected**2)


def _bad_pixels(pixels, velocity, stream, seed: int, observation: Observation) -> np.ndarray:
    shape = (len(velocity), len(pixels))
    bad = stream.random(shape, dtype=np.float32) < observation.bad_pixel_fraction
    columns = random_stream(seed, "observation columns").uniform(0, N_PIXELS, observation.bad_columns)
    shift = doppler_shift_pixels(velocity)[:, None]
    bad |= pixels_near(columns - shift, pixels, BAD_COLUMN_REACH)
    if observation.sky == "masked":
        lines = airglow_lines()
        strong = pixel_of(lines.wavelength[lines.strength >= MASKED_AIRGLOW])
        bad |= pixels_near(strong - shift, pixels, MASKED_REACH)
    return bad


def draw_label_noise(n_stars: int, names, seed: int) -> np.ndarray:
    """Return the noise of each label in units of its error, (n_stars, M); a label's noise has its own stream."""
    return np.stack([random_stream(seed, f"label noise {name}").standard_normal(n_stars) for name in names], axis=1)


def draw_label_errors(n_stars: int, names, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors that the optical catalogue states, (n_stars, M), and its signal-to-noise ratio, (n_stars,)."""
    noise = random_stream(seed, "label snr").standard_normal(n_stars)
    snr = np.maximum(GALAH_SNR_MEDIAN * np.exp(GALAH_SNR_SCATTER * noise), GALAH_SNR_MINIMUM)
    errors = []
    for name in names:
        if name == "eu_fe":
            limits, values = np.array(EU_ERROR_BY_SNR).T
            errors.append(values[np.searchsorted(limits, snr, side="right")])
        else:
            spread = LABEL_ERROR_SCATTER * random_stream(seed, f"label error {name}").standard_normal(n_stars)
            errors.append(LABEL_ERRORS.get(name, OTHER_LABEL_ERROR) * np.exp(spread))
    return np.stack(errors, axis=1), snr
