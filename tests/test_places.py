"""The places of the evidence are those where something was planted, with the species that have lines there."""

import dataclasses

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.auditing import AuditSettings, Evidence, Kind, measurements, places
from lux.auditing.evidence import _flux_evidence, flux_share, sensitivity
from lux.auditing.label_lines import strengths
from lux.simulation.heavy_species import species_wavelengths
from lux.spectroscopy.lines import load_lines

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
    assert str(places.Place(15700.02, -4.04, ("Fe I", "Nd II"), own=False)) == "15700.0 A (Fe I, Nd II, -4.0 sigma)"


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


@pytest.fixture(scope="module")
def planted():
    """A survey and what is measured in it, where absorption correlates at chosen pixels, and by chance at most by 4."""
    survey = linear_survey(n_stars=120, n_latents=2, n_labels=2)
    own = [float(survey.wavelength[pixel]) for pixel in (100, 140)]
    found = measurements.measure(survey, "label_0", own, settings=AuditSettings(n_surrogates=20))
    lines = np.zeros(300)
    for pixel, value in {
        100: 2.0,
        140: -1.0,
        102: 30.0,
        10: 5.0,
        19: 4.9,
        40: -9.0,
        51: 4.5,
        200: 3.9,
        250: 4.1,
    }.items():
        lines[pixel] = value
    by_chance = np.where(np.arange(300) == 5, -4.0, 0.0) * np.ones((20, 1))
    return survey, dataclasses.replace(
        found,
        observed=dataclasses.replace(found.observed, lines=lines[None]),
        surrogate=dataclasses.replace(found.surrogate, lines=by_chance),
    )


def pixels_of(planted, *significant, without=()):
    """Return the pixels of the places, and whether they are own lines, if some kinds of evidence count."""
    survey, found = planted
    kinds = (Kind.OWN_LINES, Kind.STRONG_FEATURES, Kind.ANY_LINE)
    evidence = {
        kind: Evidence(kind, "?", 0.0, 0.0, 1.0, 1e-6 if kind in significant else 0.5)
        for kind in kinds
        if kind not in without
    }
    named = places.evidence_places(survey, found, evidence, RESOLUTION)
    pixels = [int(np.argmin(np.abs(survey.wavelength - place.wavelength))) for place in named]
    assert [place.significance for place in named] == found.lines[pixels].tolist()
    assert [place.own for place in named] == [pixel in (100, 140) for pixel in pixels]
    return pixels


def test_places_are_those_of_the_evidence_that_counts_strongest_first_and_each_apart(planted):
    """Own lines whatever their significance; others beyond chance, off the own lines and three line widths apart."""
    assert pixels_of(planted) == pixels_of(planted, without=(Kind.OWN_LINES, Kind.ANY_LINE)) == []
    assert pixels_of(planted, Kind.OWN_LINES) == [100, 140]
    assert pixels_of(planted, Kind.ANY_LINE) == [40, 10, 51, 250]
    assert pixels_of(planted, Kind.ANY_LINE, Kind.OWN_LINES) == [40, 10, 51, 250, 100]
    assert pixels_of(planted, Kind.ANY_LINE, without=(Kind.OWN_LINES,)) == [40, 10, 51, 250]


def test_strong_features_are_sought_in_the_flux_as_it_is(planted, monkeypatch):
    survey, found = planted
    monkeypatch.setattr(places, "plain_significance", lambda *_: (np.roll(found.lines[::-1], 1), found.surrogate.lines))
    evidence = {Kind.STRONG_FEATURES: Evidence(Kind.STRONG_FEATURES, "?", 0.0, 0.0, 1.0, 1e-6)}
    first, *_ = places.evidence_places(survey, found, evidence, RESOLUTION)
    assert first.wavelength == pytest.approx(survey.wavelength[300 - 102])


def test_the_species_of_a_place_are_those_within_half_a_line_width_the_strongest_first():
    lines = load_lines()
    known = np.isfinite(lines.log_gf) & np.isfinite(lines.excitation)
    gap = np.diff(lines.wavelength) / lines.wavelength[1:]
    beside = np.flatnonzero((gap < 0.4 / RESOLUTION) & (lines.species[1:] != lines.species[:-1]))
    both = known[beside] & known[beside + 1]
    some = [*beside[both][::200][:6], *beside[~both][::20][:6]]
    assert len(some) > 6
    for wavelength in lines.wavelength[some]:
        near = np.abs(lines.wavelength - wavelength) < 0.5 * wavelength / RESOLUTION
        species = places._species(float(wavelength), RESOLUTION)
        unknown = sorted(set(lines.species[near & ~known]))
        strongest = lines[near & known]
        if len(strongest):
            best = strongest.species[np.argmax(np.nan_to_num(strengths(strongest)))]
            assert species == tuple(dict.fromkeys([best, *unknown]))
        else:
            assert species == tuple(unknown)
