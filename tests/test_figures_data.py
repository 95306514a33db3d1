"""The figures of the chapter on the data show what they say."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lux.figures import data
from lux.simulation.population import draw_stars
from lux.spectroscopy.instrument import SPEED_OF_LIGHT_KMS
from lux.spectroscopy.lines import load_lines


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def flat_spectrum():
    wavelength = np.linspace(16000.0, 16100.0, 400)
    ivar = np.full(400, 1e4)
    ivar[100:110] = 0.0
    return wavelength, np.ones(400), ivar, np.ones(400)


def test_the_observed_spectrum_breaks_at_masked_pixels_and_the_synthetic_one_is_shifted_down():
    figure = data.spectrum_pair(*flat_spectrum(), [(16000.0, 16050.0), (16050.0, 16100.0)], [(16020.0, "Ce II")])
    observed, synthetic = figure.axes[0].lines[:2]
    assert np.isnan(observed.get_ydata()).sum() == 10
    assert np.isfinite(synthetic.get_ydata()).all()
    assert synthetic.get_ydata().max() < observed.get_ydata()[0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["Ce II"]


def test_details_mark_the_strongest_lines_apart_from_each_other():
    lines = load_lines(heavy=False)
    strength = np.random.default_rng(0).random(len(lines))
    chosen = data.line_marks(lines, strength, (16000.0, 16030.0), count=6, apart=2.0)
    places = np.sort([wavelength for wavelength, _ in chosen])
    assert len(chosen) == 6
    assert places[0] > 16000.0
    assert places[-1] < 16030.0
    assert np.diff(places).min() > 2.0
    inside = (lines.wavelength > 16001.0) & (lines.wavelength < 16029.0)
    assert lines.wavelength[inside][np.argmax(strength[inside])] in places
    figure = data.spectrum_details(*flat_spectrum(), [(16000.0, 16030.0)], chosen, [(16020.0, "Nd II")])
    assert "Nd II" in [text.get_text() for text in figure.axes[0].texts]


def test_the_planes_of_the_population_show_every_set_and_name_it():
    others = {name: draw_stars(20, 1, population=name) for name in ("gse", "in-situ", "r-I", "r-II", "decorrelated")}
    figure = data.population_planes(draw_stars(50, 0), others)
    assert all(len(axis.collections) == 6 for axis in figure.axes[:3])
    assert len(figure.axes[3].get_legend().get_texts()) == 6
    (equality,) = figure.axes[2].lines
    assert np.array_equal(equality.get_xdata(), equality.get_ydata())


def test_differences_of_worlds_are_drawn_star_by_star_in_the_colour_of_their_driver():
    wavelength = np.linspace(-10.0, 10.0, 81) + 16000.0
    driver = np.array([-1.0, 0.0, 1.0])
    difference = driver[:, None] * np.exp(-((wavelength - 16000.0) ** 2))
    names = ("signal", "proxy", "leak", "artefact")
    figure = data.planted_differences({name: (wavelength, difference, driver, 16000.0) for name in names})
    assert [axis.get_title(loc="left") for axis in figure.axes[:4]] == list(names)
    stars = figure.axes[0].lines[:3]
    assert len({line.get_color() for line in stars}) == 3
    assert np.abs(stars[2].get_xdata()).max() < 6.0


def test_tracks_of_the_sky_order_stars_by_velocity_and_move_to_the_blue_as_they_recede():
    wavelength = np.linspace(15230.0, 15252.0, 110)
    velocity = np.array([60.0, -80.0, 0.0])
    image = np.repeat(velocity[:, None], len(wavelength), axis=1)
    figure = data.sky_tracks(
        {"one": (wavelength, image, velocity, 100.0), "two": (wavelength, image, velocity, 1.0)}, 15241.0
    )
    shown = figure.axes[0].collections[0].get_array()
    assert np.array_equal(np.asarray(shown)[:, 0], [-80.0, 0.0, 60.0])
    track = figure.axes[0].lines[0].get_xdata()
    assert np.allclose(track, 15241.0 / (1 + np.array([-80.0, 0.0, 60.0]) / SPEED_OF_LIGHT_KMS))
    assert track[0] > 15241.0 > track[-1]
