"""Spectra that owe nothing to the synthetic survey of `lux`: random lines, white noise, a grid of their own."""

import numpy as np

import lux

NAMES = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")
WIDTH = 1.4


def make(
    planted, seed, *, n_stars=1200, n_pixels=1000, depth=0.02, n_lines=3, tau=0.06, error=0.08, coupled=0.0, alike=False
):
    """Return a survey and the places of the planted lines (Angstrom); `planted`: "nothing", "lines" or "noise".

    `coupled` is how strongly the label's errors vary with the signal-to-noise ratio and with the kind of star; `alike`
    makes them all the same.
    """
    generator = np.random.default_rng(seed)
    wavelength = 15100 * np.exp(1.4e-5 * np.arange(n_pixels))
    scaled = generator.normal(size=(n_stars, 4))
    teff, fe_h = 4700 + 250 * scaled[:, 0], -0.2 + 0.3 * scaled[:, 2]
    logg = 2.4 + (teff - 4700) / 400 + 0.25 * scaled[:, 1]
    alpha = 0.1 - 0.2 * fe_h + 0.06 * scaled[:, 3]
    europium = -0.3 * fe_h + 0.5 * alpha + tau * generator.normal(size=n_stars)
    depths = np.zeros((n_stars, n_pixels))
    for _ in range(n_pixels // 12):
        response = generator.normal(0, [0.3, 0.15, 0.35, 0.3]) * (generator.random(4) < 0.7)
        strength = 10 ** generator.uniform(-2.2, -0.2) * np.exp(scaled @ response)
        depths += strength[:, None] * profile(n_pixels, generator.uniform(0, n_pixels))
    places = generator.choice(np.arange(30, n_pixels - 30), n_lines, replace=False)
    lines = sum(profile(n_pixels, place) for place in places)
    brightness = generator.normal(size=n_stars)
    kind = 0.35 * brightness - 0.7 * scaled[:, 2] + 0.35 * scaled[:, 0]
    differ = (1 - abs(coupled)) * 0.35 * generator.normal(size=n_stars) + coupled * kind
    scatter = error * np.exp(0 * differ if alike else differ)
    errors = np.column_stack([np.tile([60.0, 0.15, 0.05, 0.03], (n_stars, 1)), scatter])
    noise = generator.normal(size=errors.shape)
    if planted == "lines":
        depths += 0.05 * np.exp((europium - europium.mean()) * depth / 0.05 / europium.std())[:, None] * lines
    flux = np.exp(-depths) - (depth * noise[:, 4:] * lines if planted == "noise" else 0)
    sigma = 1 / np.clip(150 * np.exp(0.5 * brightness), 40, 800)[:, None]
    flux = flux + sigma * generator.normal(size=flux.shape)
    bad = generator.random(flux.shape) < 0.02
    survey = lux.Survey(
        wavelength=wavelength,
        flux=np.where(bad, 1, flux),
        ivar=np.where(bad, 0, 1 / sigma**2),
        labels=np.column_stack([teff, logg, fe_h, alpha, europium]) + errors * noise,
        label_err=errors,
        label_names=NAMES,
    )
    return survey, tuple(wavelength[places])


def profile(n_pixels, place):
    """Return a Gaussian line profile (n_pixels,)."""
    return np.exp(-0.5 * ((np.arange(n_pixels) - place) / WIDTH) ** 2)
