"""A world changes the pixels of what it plants, by as much as it says, and nothing else."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

from lux.simulation.cramer_rao import star_bound
from lux.simulation.population import disc_moments, draw_stars
from lux.simulation.synthesis import synthesize
from lux.simulation.synthetic import make_survey, noise_free_flux
from lux.simulation.worlds import ARTEFACT_WAVELENGTHS, WORLDS, Sample, World, plant, planted_pixels, world_stars
from lux.spectroscopy.instrument import nearest_pixel, on_chip, pixel_of
from lux.spectroscopy.lines import airglow_lines, heavy_element_lines

N_STARS, SEED = 256, 5
OPTIONS = {"n_stars": N_STARS, "seed": SEED}


def sample(stars):
    return Sample(base=stars, stars=stars, tau=0.06, label_noise=np.zeros(len(stars)))


def test_what_is_planted_besides_changes_its_own_pixels_only():
    leak, lines = World("leak"), World("signal", depth=0.02)
    both = World("signal", depth=0.02, also=(leak, World("artefact")))
    worlds = {"nothing": "shortcut", "leak": leak, "lines": lines, "artefact": "artefact", "both": both}
    surveys = {name: make_survey(60, 3, world) for name, world in worlds.items()}
    change = {name: survey.flux - surveys["nothing"].flux for name, survey in surveys.items()}
    together = change["leak"] + change["lines"] + change["artefact"]
    np.testing.assert_allclose(change["both"], together, atol=3e-3)
    velocity = surveys["both"].truth.columns["observed_velocity"]
    planted = planted_pixels(both, surveys["both"].wavelength, velocity)
    assert np.all(change["both"][~planted] == 0)
    assert surveys["both"].truth.world["own_lines"] == list(lines.wavelengths)
    assert [part["name"] for part in surveys["both"].truth.world["also"]] == ["leak", "artefact"]
    for wrong in (lines, "leak", both):
        with pytest.raises(ValueError, match="only single worlds of proxy, leak, artefact"):
            World(also=(wrong,))
    with pytest.raises(ValueError, match="planted twice: leak, leak"):
        World("leak", also=(leak,))


def two_stars(eu_fe):
    """Two stars at the disc's mean metallicity with given [Eu/Fe]."""
    stars = draw_stars(2, 0)
    stars = dataclasses.replace(stars, fe_h=np.full(2, disc_moments(0.06)["fe_h_mean"]))
    return stars.with_abundance("Eu", np.asarray(eu_fe, float))


def planted_depth(world, eu_fe):
    stars, pixels = two_stars(eu_fe), np.arange(3000, 3300)
    center = 10 ** (4.179 + 6e-6 * 3100)
    world = World("signal", wavelengths=(center,), **world)
    flux = plant(world, np.ones((2, 300), np.float32), pixels, sample(stars))
    return 1 - flux[:, 100]


@pytest.mark.parametrize(("depth", "saturated"), [(0.003, False), (0.01, False), (0.1, False), (0.01, True)])
def test_signal_depth_is_the_change_of_flux_per_standard_deviation(depth, saturated):
    moments = disc_moments(0.06)
    half = 0.5 * moments["eu_fe_std"]
    ends = [moments["eu_fe_mean"] - half, moments["eu_fe_mean"] + half]
    low, high = planted_depth({"depth": depth, "saturated": saturated}, ends)
    assert high - low == pytest.approx(depth, rel=1e-4)
    assert (low > 0.9) == saturated


def test_lines_of_cool_stars_alone_leave_the_others_as_they_are():
    lines = World("signal", depth=0.02)
    all_stars, cool = (make_survey(60, 3, World("signal", depth=0.02, below_teff=limit)) for limit in (None, 4700.0))
    nothing, teff = make_survey(60, 3), all_stars.truth.labels[:, 0]
    assert 10 < np.sum(teff < 4700) < 50
    np.testing.assert_array_equal(cool.flux[teff < 4700], all_stars.flux[teff < 4700])
    np.testing.assert_array_equal(cool.flux[teff >= 4700], nothing.flux[teff >= 4700])
    assert list(lines.wavelengths) == cool.truth.world["own_lines"]
    np.testing.assert_array_equal(np.isinf(star_bound(cool)), teff >= 4700)


def test_planted_lines_grow_in_proportion_to_abundance_and_saturate():
    weak = planted_depth({"depth": 0.001}, [0.1, 0.4])
    assert weak[1] / weak[0] == pytest.approx(10**0.3, rel=0.01)
    strong = planted_depth({"depth": 0.03}, [1.0, 3.0])
    assert strong[0] < strong[1] <= 1.0
    assert strong[1] > 0.999


def test_a_line_too_strong_to_plant_is_refused():
    with pytest.raises(ValueError, match=r"no line changes by depth=0.5 .* at most 0.1"):
        make_survey(2, 0, World("signal", depth=0.5))


def test_planted_europium_lines_stand_in_clean_places():
    flux = synthesize(np.array([4750.0]), np.array([2.5]), np.array([-0.24]))[0]
    airglow = airglow_lines()
    for wavelength in World("signal").wavelengths:
        center = round(float(pixel_of(wavelength)))
        assert flux[center - 3 : center + 4].min() > 0.95
        assert np.abs(heavy_element_lines().wavelength - wavelength).min() > 3
        assert np.abs(airglow.wavelength[airglow.strength > 0.05] - wavelength).min() > 4


def test_the_planted_airglow_lines_are_the_six_strongest_on_a_detector():
    lines = airglow_lines()
    pixels = nearest_pixel(lines.wavelength)
    seen = lines.wavelength[on_chip("dr10")[pixels] & on_chip("dr17")[pixels]]
    strength = lines.strength[np.isin(lines.wavelength, seen)]
    assert sorted(seen[np.argsort(-strength)[:6]]) == pytest.approx(ARTEFACT_WAVELENGTHS, abs=1e-3)


def test_a_natural_proxy_with_unchanged_abundance_changes_nothing():
    stars, pixels = draw_stars(8, 0), np.arange(6800, 7200)
    flux = np.full((8, 400), 0.9, np.float32)
    same = plant(World("proxy", boost=1.0), flux, pixels, sample(stars))
    np.testing.assert_allclose(same, flux, rtol=1e-6)


def test_the_artefact_stays_at_its_observed_wavelength():
    stars = draw_stars(N_STARS, SEED)
    pixels = np.arange(322, 3242)
    flux = np.ones((N_STARS, len(pixels)), np.float32)
    world = World("artefact", wavelengths=(15240.952,))
    planted = plant(world, flux, pixels, sample(stars))
    place = pixels[np.argmax(np.abs(planted - 1), axis=1)]
    observed = 10 ** (4.179 + 6e-6 * place) * (1 + stars.observed_velocity / 299792.458)
    np.testing.assert_allclose(observed, 15240.952, atol=0.15)
    peak = np.take_along_axis(planted - 1, (place - 322)[:, None], axis=1)[:, 0]
    assert np.corrcoef(peak, stars.label("eu_fe") - stars.eu_expected)[0, 1] > 0.98


def test_decorrelated_europium_has_the_standard_deviation_of_the_disc():
    base = draw_stars(4000, 1)
    stars = world_stars(World("decorrelated"), base, seed=1, tau=0.06)
    assert np.std(stars.label("eu_fe")) == pytest.approx(disc_moments(0.06)["eu_fe_std"], rel=0.05)
    assert abs(np.corrcoef(stars.label("eu_fe"), stars.fe_h)[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "shortcut", "depth": 0.1}, "world 'shortcut' takes no 'depth'; its options are none"),
        ({"name": "signal", "n_lines": 99}, "n_lines must lie between 1 and"),
        ({"name": "signal", "depth": -0.1}, "depth of world 'signal' must not be negative"),
        ({"name": "signal", "wavelengths": ()}, "at least one wavelength"),
        ({"name": "proxy", "species": "Xx II"}, r"no lines of known strength for 'Xx II'; choose one of Ce II"),
        ({"name": "leak", "amplitude": float("nan")}, "must be finite"),
    ],
)
def test_bad_worlds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        World(**arguments)


@pytest.mark.parametrize("name", [world for world in WORLDS if world != "shortcut"])
def test_two_worlds_differ_only_in_what_is_planted(shortcut, name):
    survey = make_survey(**OPTIONS, world=name)
    assert np.array_equal(survey.ivar, shortcut.ivar)
    assert np.array_equal(survey.label_err, shortcut.label_err)
    planted = planted_pixels(World(name), survey.wavelength, survey.truth.columns["observed_velocity"])
    planted = np.broadcast_to(planted, survey.flux.shape)
    differs = survey.flux != shortcut.flux
    assert not np.any(differs & ~planted), "the flux differs where nothing is planted"
    assert np.any(differs) == (name != "decorrelated")
    assert np.array_equal(survey.labels[:, :4], shortcut.labels[:, :4])
    assert np.array_equal(survey.labels[:, 4], shortcut.labels[:, 4]) == (name != "decorrelated")
    assert json.loads(json.dumps(survey.truth.world)) == survey.truth.world
    assert survey.truth.world["name"] == name


def _grid(survey):
    return nearest_pixel(survey.wavelength)


def test_europium_scatter_is_seen_in_the_signal_world_only():
    """Flux at the planted lines against [Eu/Fe] beyond its expectation, at fixed other labels."""
    windows = [(line - 0.3, line + 0.3) for line in World("signal").wavelengths]
    correlation = {}
    for name in ("shortcut", "signal"):
        survey = make_survey(**OPTIONS, world=name, wavelength_range=windows, tau=0.1)
        ratio = (survey.flux / noise_free_flux(draw_stars(N_STARS, SEED), _grid(survey))).mean(axis=1)
        others = np.column_stack([np.ones(N_STARS), survey.truth.labels[:, :4]])
        ratio -= others @ np.linalg.lstsq(others, ratio, rcond=None)[0]
        correlation[name] = np.corrcoef(ratio, survey.truth.columns["eu_residual"])[0, 1]
    assert abs(correlation["shortcut"]) < 0.2
    assert correlation["signal"] < -0.6


def test_the_proxy_follows_europium_at_its_real_line(shortcut):
    world = World("proxy", species="Yb II", scatter=0.02, boost=5.0)
    survey = make_survey(**OPTIONS, world=world)
    columns = survey.truth.columns
    assert np.std(columns["yb_fe"] - columns["eu_fe"]) == pytest.approx(0.02, rel=0.15)
    assert survey.truth.world["wavelengths"] == pytest.approx([16502.907], abs=0.01)
    assert survey.truth.world["boost"] == 5.0
    assert survey.truth.world["own_lines"] == []
    pixel = np.argmin(np.abs(survey.wavelength - 16502.907))
    change = survey.flux[:, pixel] - shortcut.flux[:, pixel]
    good = survey.ivar[:, pixel] > 0
    assert np.corrcoef(change[good], (columns["fe_h"] + columns["eu_fe"])[good])[0, 1] < -0.9


def test_the_leak_follows_the_noise_of_the_catalogue_and_not_europium(shortcut):
    survey = make_survey(**OPTIONS, world=World("leak", amplitude=0.05))
    stars = draw_stars(N_STARS, SEED)
    pixel = np.argmin(np.abs(survey.wavelength - 15692.9))
    change = survey.flux[:, pixel] - shortcut.flux[:, pixel]
    good = survey.ivar[:, pixel] > 0
    noise = (survey.label("eu_fe") - stars.label("eu_fe")) / survey.label_err[:, 4]
    assert np.corrcoef(change[good], noise[good])[0, 1] < -0.9
    assert abs(np.corrcoef(change[good], survey.truth.columns["eu_residual"][good])[0, 1]) < 0.25


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_an_instance_of_its_class_and_equals_its_pickled_copy(name):
    world = World(name, also=(World("leak", amplitude=0.01),) if name != "leak" else ())
    assert type(world) is WORLDS[name]
    assert isinstance(world, World)
    assert pickle.loads(pickle.dumps(world)) == world == dataclasses.replace(world)
    assert world != World("signal", depth=0.5)
    assert world.name == name


def test_lines_given_by_number_and_by_wavelength_are_the_same():
    first = World("signal", n_lines=2)
    assert first == World("signal", wavelengths=list(first.wavelengths))
    assert first.n_lines == 2
