"""Depth, equivalent width and change per standard deviation of planted lines are those of the planted spectra."""

import dataclasses

import numpy as np
import pytest

from lux.simulation.population import disc_moments, draw_stars
from lux.simulation.strengths import line_strengths, natural_strengths
from lux.simulation.worlds import Sample, World, plant
from lux.spectroscopy.instrument import N_PIXELS, nearest_pixel, wavelength_grid

TAU = 0.06


def planted(world, eu_fe):
    """What a world takes from a flat spectrum of stars of the disc's mean [Fe/H] and given [Eu/Fe], (N, D)."""
    n_stars = len(eu_fe)
    stars = dataclasses.replace(draw_stars(n_stars, 0), fe_h=np.full(n_stars, disc_moments(TAU)["fe_h_mean"]))
    stars = stars.with_abundance("Eu", np.asarray(eu_fe))
    # Nothing of the proxy's own element before, and after as much above the sun as europium.
    base, after = (stars.with_abundance("Yb", values) for values in (np.full(n_stars, -9.0), np.asarray(eu_fe)))
    sample = Sample(base=base, stars=after, tau=TAU, label_noise=np.zeros(n_stars))
    return 1 - plant(world, np.ones((n_stars, N_PIXELS)), np.arange(N_PIXELS), sample)


@pytest.mark.parametrize(
    "world", [World("signal", depth=0.003), World("signal", depth=0.03, n_lines=1), World("proxy")], ids=str
)
def test_strengths_are_those_of_the_planted_spectra(world):
    moments = disc_moments(TAU)
    half = 0.5 * moments["eu_fe_std"]
    low, mean, high = planted(world, moments["eu_fe_mean"] + np.array([-half, 0.0, half]))
    strengths = line_strengths(world, TAU)
    assert len(strengths.wavelength) == len(world.wavelengths)
    for line, depth, width, change in zip(*dataclasses.astuple(strengths), strict=True):
        center = nearest_pixel(line)
        near = slice(center - 8, center + 9)
        integral = 1e3 * np.sum(mean[near] * np.gradient(wavelength_grid()[near]))
        assert mean[near].max() == pytest.approx(depth, rel=0.03)
        assert integral == pytest.approx(width, rel=0.01)
        assert (high - low)[near].max() == pytest.approx(change, rel=0.03)


def test_a_line_is_some_three_times_as_deep_as_it_changes_per_standard_deviation():
    for change in (0.003, 0.01, 0.03):
        strengths = line_strengths(World("signal", depth=change), TAU)
        assert strengths.change == pytest.approx(change)
        assert np.all((strengths.depth > 3 * change) & (strengths.depth < 4 * change))


def test_worlds_without_lines_have_no_strengths_and_natural_lines_leave_europium_alone():
    assert len(line_strengths(World("shortcut")).depth) == 0
    both = line_strengths(World("signal", also=(World("proxy"),)))
    assert len(both.depth) == 4
    cerium = natural_strengths("Ce II")
    assert cerium.depth.max() == pytest.approx(0.06, abs=0.02)
    assert np.all(cerium.change == 0)
