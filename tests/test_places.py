"""The places of the evidence are those where something was planted, with the species that have lines there."""

import dataclasses

import numpy as np
import pytest

import lux
from lux.auditing import Kind, measurements, places
from lux.auditing.evidence import _flux_evidence, flux_share, sensitivity
from lux.simulation.heavy_species import species_wavelengths

WINDOWS = [(15436, 15460), (15684, 15702), (16104, 16138), (16491, 16515), (16728, 16750)]
LINES = (15448.4, 16117.0, 16739.0)
RESOLUTION = 22500.0


def measured(world, lines=(), n_stars=800):
    survey = lux.load("synthetic", world=world, n_stars=n_stars, seed=6, star_seed=2, wavelength_range=WINDOWS)
    found = measurements.measure(survey, "eu_fe", lines)
    return survey, found, _flux_evidence(found)


@pytest.mark.slow
def test_strong_features_are_found_though_components_of_the_flux_take_them_up():
    survey, found, evidence = measured(lux.World("proxy"))
    assert evidence[Kind.STRONG_FEATURES].significant
    (first, *_) = places.evidence_places(survey, found, evidence, RESOLUTION)
    assert abs(first.wavelength - species_wavelengths("Yb II")[0]) < 0.5
    assert "Yb II" in first.species
    assert first.significance > 5
    assert not first.own
    assert "Yb II" in str(first)


def test_own_lines_are_named_as_such_and_nothing_is_named_where_nothing_counts():
    survey, found, evidence = measured(lux.World("signal", depth=0.01), LINES)
    named = places.evidence_places(survey, found, evidence, RESOLUTION)
    assert sorted(place.wavelength for place in named) == pytest.approx(LINES, abs=0.3)
    assert all(place.own and "own line" in str(place) for place in named)
    survey, found, evidence = measured(lux.World("shortcut"), LINES)
    assert places.evidence_places(survey, found, evidence, RESOLUTION) == ()


def test_a_place_without_a_listed_line_says_so():
    assert places._species(15100.0 * 1.5, RESOLUTION) == ()
    assert "no listed line" in str(places.Place(22650.0, 4.0, (), own=False))


def test_the_share_that_the_flux_explains_is_that_of_the_true_label():
    _, found, evidence = measured(lux.World("signal", depth=0.03), LINES)
    share = flux_share(found, evidence, sensitivity(found))
    assert share.low > 0.3
    assert share.low < share.value < share.high
    assert share.high < 1.5
    _, found, evidence = measured(lux.World("shortcut"), LINES)
    share = flux_share(found, evidence, sensitivity(found))
    assert share.low < 0.05
    assert abs(share.value) < 0.1


def test_a_label_without_scatter_of_its_own_has_no_share():
    _, found, evidence = measured(lux.World("shortcut"), LINES, 200)
    nothing = dataclasses.replace(found.design, errors=10 * found.design.errors)
    found = dataclasses.replace(found, design=nothing)
    assert flux_share(found, evidence, sensitivity(found)) is None
    assert np.isfinite(found.lines).all()
