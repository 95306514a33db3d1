"""Arrays of four stars as users have them, and the survey that they make."""

import numpy as np

import lux

WAVELENGTH = 15200 + 0.2 * np.arange(6)
FLUX = np.linspace(0.8, 1.1, 24).reshape(4, 6)
ERROR = np.full((4, 6), 0.02)
LABELS = {"teff": [4500.0, 4600.0, 4700.0, 4800.0], "Eu_fe": [0.1, 0.2, np.nan, 0.0]}
LABEL_ERR = {"teff": 80.0, "Eu_fe": [0.05, 0.05, 0.05, 0.1]}


def made(wavelength=WAVELENGTH, flux=FLUX, labels=LABELS, label_err=LABEL_ERR, **options):
    options = options if "ivar" in options else {"error": ERROR} | options
    return lux.Survey.from_arrays(wavelength, flux, labels=labels, label_err=label_err, **options)


def assert_equal(first, second):
    for name in ("wavelength", "flux", "ivar", "labels", "label_err"):
        np.testing.assert_allclose(*(getattr(each, name) for each in (first, second)), rtol=1e-6)
    assert first.star_id.tolist() == second.star_id.tolist()
    assert first.label_names == second.label_names
