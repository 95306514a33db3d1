"""A label planted in observed spectra has a known truth, and worlds of one seed differ in its lines only."""

import numpy as np
import pytest

import lux
from lux.simulation.population import expected_europium
from lux.simulation.semisynthetic import plant_europium
from lux.simulation.worlds import World
from lux.spectroscopy.profiles import PROFILE_REACH


@pytest.fixture(scope="module")
def observed():
    """Stands for observed spectra: a survey with the labels of DR10 and no truth."""
    made = lux.load("synthetic", n_stars=300, seed=5, wavelength_range=[(15425, 15472), (15680, 15706), (16098, 16146)])
    return made.select_labels(("teff", "logg", "fe_h", "alpha_fe")).replace(
        label_names=("teff", "logg", "m_h", "alpha_m"), truth=None
    )


def test_the_planted_label_follows_the_relation_and_the_catalogue_adds_its_errors(observed):
    planted = plant_europium(observed, tau=0.06, seed=1)
    expected = expected_europium(observed.label("m_h"), observed.label("alpha_m"))
    assert np.std(planted.truth.labels[:, -1] - expected) == pytest.approx(0.06, rel=0.15)
    chi = (planted.label("eu_fe") - planted.truth.labels[:, -1]) / planted.label_err[:, -1]
    assert np.std(chi) == pytest.approx(1, rel=0.15)
    np.testing.assert_array_equal(planted.labels[:, :4], observed.labels)


def test_the_flux_changes_at_the_planted_lines_alone(observed):
    nothing, signal, leak = (plant_europium(observed, world, seed=1) for world in ("shortcut", "signal", "leak"))
    np.testing.assert_array_equal(nothing.flux, observed.flux)
    for world in (signal, leak):
        np.testing.assert_array_equal(world.labels, nothing.labels)
        moved = np.any(world.flux != nothing.flux, axis=0)
        step = np.median(np.diff(observed.wavelength))
        places = np.array(world.truth.world["wavelengths"])
        nearest = np.min(np.abs(observed.wavelength[moved, None] - places), axis=1)
        assert moved.any()
        assert nearest.max() < (PROFILE_REACH + 1) * step * 1.1
    assert np.all(signal.flux[observed.ivar == 0] == observed.flux[observed.ivar == 0])


def test_deeper_lines_stand_where_europium_is_rich(observed):
    planted = plant_europium(observed, World("signal", depth=0.05, n_lines=1), seed=1)
    pixel = np.argmin(np.abs(observed.wavelength - planted.truth.world["own_lines"][0]))
    good = observed.ivar[:, pixel] > 0
    taken = 1 - planted.flux[good, pixel] / observed.flux[good, pixel]
    europium = (planted.truth.labels[:, -1] + planted.label("m_h"))[good]
    # The catalogue's [M/H], errors and all, is what the lines were planted with.
    assert np.corrcoef(taken, europium)[0, 1] > 0.9


def test_what_cannot_be_planted_is_refused(observed):
    with pytest.raises(ValueError, match="'proxy' cannot be planted"):
        plant_europium(observed, "proxy")
    labels = np.array(observed.labels)
    labels[7, 2] = np.nan
    with pytest.raises(ValueError, match=f"star {observed.star_id[7]} lacks m_h"):
        plant_europium(observed.replace(labels=labels))
