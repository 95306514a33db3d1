"""The APOGEE spectrograph: pixel grid, detector chips, line-spread function."""

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import ArrayLike
from scipy import constants

SPEED_OF_LIGHT_KMS = constants.c / constants.kilo

N_PIXELS = 8575
LOG10_FIRST_WAVELENGTH = 4.179
LOG10_STEP = 6e-6

# One pixel is a constant velocity step on the logarithmic grid, 4.14 km/s.
PIXEL_KMS = SPEED_OF_LIGHT_KMS * LOG10_STEP * np.log(10.0)

# Resolving power lambda / FWHM of the Gaussian line-spread function, and its standard deviation.
RESOLUTION = 22_500.0
LINE_SIGMA_KMS = SPEED_OF_LIGHT_KMS / RESOLUTION * gaussian_fwhm_to_sigma

# Pixels that carry light, as half-open ranges of the combined grid, per data release.
CHIPS = {
    "dr10": {"blue": (322, 3242), "green": (3648, 6048), "red": (6412, 8306)},
    "dr17": {"blue": (246, 3274), "green": (3585, 6080), "red": (6344, 8335)},
}
_RELEASE_ALIASES = {"dr11": "dr10", "dr12": "dr10", "dr13": "dr17", "dr14": "dr17", "dr16": "dr17"}


def chip_ranges(release: str = "dr17") -> dict[str, tuple[int, int]]:
    """Half-open pixel range of each chip, a dict blue/green/red -> (first, last + 1).

    Raises ValueError for a data release whose chip limits are not tabulated.
    """
    name = _RELEASE_ALIASES.get(release.lower(), release.lower())
    if name not in CHIPS:
        known = sorted({*CHIPS, *_RELEASE_ALIASES})
        raise ValueError(f"chip limits of release {release!r} are unknown; choose one of {', '.join(known)}")
    return CHIPS[name]


def wavelength_grid() -> np.ndarray:
    """Vacuum rest wavelengths of the combined APOGEE spectrum in Angstrom, shape (8575,), the same in every release."""
    return 10.0 ** (LOG10_FIRST_WAVELENGTH + LOG10_STEP * np.arange(N_PIXELS))


def on_chip(release: str = "dr17") -> np.ndarray:
    """Boolean mask, shape (8575,), of the pixels that fall on a detector."""
    mask = np.zeros(N_PIXELS, dtype=bool)
    for first, last in chip_ranges(release).values():
        mask[first:last] = True
    return mask


def chip_of_pixel(release: str = "dr17") -> np.ndarray:
    """Name of the chip of every pixel, shape (8575,): "blue", "green", "red", or "" in a gap."""
    names = np.full(N_PIXELS, "", dtype="<U5")
    for chip, (first, last) in chip_ranges(release).items():
        names[first:last] = chip
    return names


def pixel_of(wavelength: ArrayLike) -> np.ndarray:
    """Return the fractional pixel index of vacuum wavelengths in Angstrom (any shape)."""
    return (np.log10(wavelength) - LOG10_FIRST_WAVELENGTH) / LOG10_STEP


def nearest_pixel(wavelength: ArrayLike) -> np.ndarray:
    """Return the index of the pixel nearest to vacuum wavelengths in Angstrom (any shape), also beyond the grid."""
    return np.rint(pixel_of(wavelength)).astype(int)


def doppler_shift_pixels(velocity_kms: ArrayLike) -> np.ndarray:
    """Return the shift in pixels of a spectrum that recedes with a velocity (positive moves lines to the red)."""
    return np.log10(1.0 + np.asarray(velocity_kms) / SPEED_OF_LIGHT_KMS) / LOG10_STEP
