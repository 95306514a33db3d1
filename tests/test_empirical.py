"""The generator fitted to spectra gives their quadratic dependence on labels back, and no more than it knows."""

import numpy as np
import pytest

from lux.simulation.empirical import fit_empirical
from lux.simulation.population import draw_stars
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import World
from lux.spectroscopy.instrument import wavelength_grid
from lux.survey import Survey

PIXELS = np.arange(1400, 1700)


@pytest.fixture(scope="module")
def quadratic():
    """Return 400 stars whose flux is quadratic in temperature and metallicity, with one more component."""
    stars, generator = draw_stars(400, 7), np.random.default_rng(0)
    t, m = (stars.teff - 4600) / 400, stars.fe_h
    shapes = 0.02 * generator.normal(size=(4, len(PIXELS)))
    flux = 1 + np.outer(t, shapes[0]) + np.outer(m, shapes[1]) + np.outer(t * m, shapes[2])
    hidden = generator.normal(size=400)
    labels = np.stack([stars.teff, stars.logg, stars.fe_h, stars.alpha_fe], axis=1)
    survey = Survey(
        wavelength=wavelength_grid()[PIXELS],
        flux=(flux + np.outer(hidden, shapes[3])).astype(np.float32),
        ivar=np.full(flux.shape, 1e6, np.float32),
        labels=labels,
        label_err=np.full_like(labels, 0.05),
        label_names=("teff", "logg", "m_h", "alpha_m"),
    )
    return survey, stars, flux, shapes[3]


def test_a_quadratic_dependence_is_given_back(quadratic):
    survey, stars, flux, shape = quadratic
    found = fit_empirical(survey, n_components=1).flux(stars, PIXELS, seed=3) - flux
    along = shape / np.linalg.norm(shape)
    assert np.std(found - np.outer(found @ along, along)) < 0.1 * np.std(flux)
    assert np.std(found @ along) == pytest.approx(np.linalg.norm(shape), rel=0.2)


def test_the_first_stars_of_a_seed_are_always_the_same(quadratic):
    survey, _, _, _ = quadratic
    spectra = fit_empirical(survey)
    few, many = (make_survey(n, 5, spectra=spectra, wavelength_range=(15400, 15440)) for n in (20, 40))
    np.testing.assert_array_equal(few.flux, many.flux[:20])
    assert few.provenance["spectra"].startswith("empirical")


def test_europium_changes_the_flux_of_its_planted_lines_only(quadratic):
    survey, _, _, _ = quadratic
    spectra, options = fit_empirical(survey), {"wavelength_range": (15400, 15440)}
    line = World("signal", depth=0.03, wavelengths=(15420.0,))
    nothing, planted = (make_survey(30, 5, world, spectra=spectra, **options) for world in ("shortcut", line))
    changed = np.any(nothing.flux != planted.flux, axis=0)
    assert changed.any()
    assert np.all(np.abs(planted.wavelength[changed] - 15420) < 3)


def test_unknown_pixels_and_few_stars_are_refused(quadratic):
    survey, stars, _, _ = quadratic
    with pytest.raises(ValueError, match="do not have pixel 1800"):
        fit_empirical(survey).flux(stars, np.array([1500, 1800]), 0)
    with pytest.raises(ValueError, match=r"30 stars .* 45 are needed"):
        fit_empirical(survey[np.arange(30)])
