"""The APOGEE spectrograph: pixel grid, detector chips, line-spread function."""

from dataclasses import dataclass

import numpy as np

SPEED_OF_LIGHT_KMS = 299792.458

N_PIXELS = 8575
LOG10_FIRST_WAVELENGTH = 4.179
LOG10_STEP = 6e-6

# One pixel is a constant velocity step on the logarithmic grid, 4.14 km/s.
PIXEL_KMS = SPEED_OF_LIGHT_KMS * LOG10_STEP * np.log(10.0)

# Pixels that carry light, as half-open ranges of the combined grid, per data release.
CHIPS = {
    "dr10": {"blue": (322, 3242), "green": (3648, 6048), "red": (6412, 8306)},
    "dr17": {"blue": (246, 3274), "green": (3585, 6080), "red": (6344, 8335)},
}
_RELEASE_ALIASES = {"dr11": "dr10", "dr12": "dr10", "dr13": "dr17", "dr14": "dr17", "dr16": "dr17"}

_FWHM_TO_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))


@dataclass(frozen=True, kw_only=True)
class LineSpreadFunction:
    """Gaussian line-spread function with one resolving power R = lambda / FWHM per chip."""

    blue: float = 22_500.0
    green: float = 22_500.0
    red: float = 22_500.0

    def sigma_kms(self, release="dr17"):
        """Gaussian sigma in km/s at every pixel, shape (8575,); gaps take the value of the nearer chip."""
        centres = [np.mean(chip_ranges(release)[chip]) for chip in ("blue", "green", "red")]
        edges = 0.5 * (np.array(centres[1:]) + np.array(centres[:-1]))
        chip = np.searchsorted(edges, np.arange(N_PIXELS))
        resolution = np.array([self.blue, self.green, self.red])[chip]
        return SPEED_OF_LIGHT_KMS / resolution * _FWHM_TO_SIGMA


def chip_ranges(release="dr17"):
    """Half-open pixel range of each chip, a dict blue/green/red -> (first, last + 1).

    Raises ValueError for a data release whose chip limits are not tabulated.
    """
    name = _RELEASE_ALIASES.get(release.lower(), release.lower())
    if name not in CHIPS:
        known = sorted({*CHIPS, *_RELEASE_ALIASES})
        raise ValueError(f"chip limits of release {release!r} are unknown; choose one of {', '.join(known)}")
    return CHIPS[name]


def wavelength_grid():
    """Vacuum rest wavelengths of the combined APOGEE spectrum in Angstrom, shape (8575,), the same in every release."""
    return 10.0 ** (LOG10_FIRST_WAVELENGTH + LOG10_STEP * np.arange(N_PIXELS))


def on_chip(release="dr17"):
    """Boolean mask, shape (8575,), of the pixels that fall on a detector."""
    mask = np.zeros(N_PIXELS, dtype=bool)
    for first, last in chip_ranges(release).values():
        mask[first:last] = True
    return mask


def chip_of_pixel(release="dr17"):
    """Name of the chip of every pixel, shape (8575,): "blue", "green", "red", or "" in a gap."""
    names = np.full(N_PIXELS, "", dtype="<U5")
    for chip, (first, last) in chip_ranges(release).items():
        names[first:last] = chip
    return names


def pixel_of(wavelength):
    """Fractional pixel index of vacuum wavelengths in Angstrom (any shape)."""
    return (np.log10(wavelength) - LOG10_FIRST_WAVELENGTH) / LOG10_STEP


def doppler_shift_pixels(velocity_kms):
    """Shift in pixels of a spectrum that recedes with `velocity_kms` (positive moves lines to the red)."""
    return np.log10(1.0 + np.asarray(velocity_kms) / SPEED_OF_LIGHT_KMS) / LOG10_STEP
