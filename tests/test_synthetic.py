"""The synthetic survey: worlds differ in what they plant, and the observation has the statistics it claims."""

import dataclasses
import json

import numpy as np
import pytest

import lux
from lux.simulation import synthetic
from lux.simulation.observation import RESIDUAL_KERNELS, Observation, smooth_noise
from lux.simulation.population import LABEL_NAMES, disc_moments, draw_stars
from lux.simulation.synthetic import make_survey
from lux.simulation.worlds import WORLDS, World, natural_depths, plant, planted_pixels, world_stars
from lux.spectroscopy.instrument import pixel_of
from lux.spectroscopy.lines import airglow_lines, heavy_element_lines

N_STARS, SEED = 256, 5
OPTIONS = {"n_stars": N_STARS, "seed": SEED}


@pytest.fixture(scope="module")
def shortcut():
    return make_survey(**OPTIONS)


def clean_flux(survey):
    stars = draw_stars(survey.n_stars, SEED)
    return synthetic._clean_flux(stars, np.rint(pixel_of(survey.wavelength)).astype(int))


def test_the_same_seed_gives_the_same_survey(shortcut):
    synthetic.clear_cache()
    again = lux.load("synthetic", **OPTIONS)
    for name in ("wavelength", "flux", "ivar", "labels", "label_err", "star_id"):
        assert np.array_equal(getattr(again, name), getattr(shortcut, name)), name
    other = make_survey(N_STARS, SEED + 1)
    assert not np.array_equal(other.flux, shortcut.flux)


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
    assert [each["name"] for each in surveys["both"].truth.world["also"]] == ["leak", "artefact"]
    for wrong in (lines, "leak", both):
        with pytest.raises(ValueError, match="only single worlds of proxy, leak, artefact"):
            World(also=(wrong,))
    with pytest.raises(ValueError, match="planted twice: leak, leak"):
        World("leak", also=(leak,))


def test_the_first_stars_of_a_larger_survey_are_the_same(shortcut):
    few = make_survey(40, SEED)
    for name in ("flux", "ivar", "labels", "star_id"):
        assert np.array_equal(getattr(few, name), getattr(shortcut, name)[:40]), name


def two_stars(eu_fe):
    """Two stars at the disc's mean metallicity with given [Eu/Fe]."""
    stars = draw_stars(2, 0)
    stars = dataclasses.replace(stars, fe_h=np.full(2, disc_moments(0.06)["fe_h_mean"]))
    return stars.with_abundance("Eu", np.asarray(eu_fe, float))


def planted_depth(world, eu_fe):
    stars, pixels = two_stars(eu_fe), np.arange(3000, 3300)
    centre = 10 ** (4.179 + 6e-6 * 3100)
    world = World("signal", wavelengths=(centre,), **world)
    flux = plant(world, np.ones((2, 300), np.float32), pixels, base=stars, stars=stars, tau=0.06, label_noise=None)
    return 1 - flux[:, 100]


@pytest.mark.parametrize("depth", [0.003, 0.01, 0.03, 0.1])
def test_signal_depth_is_the_change_of_flux_per_standard_deviation(depth):
    moments = disc_moments(0.06)
    half = 0.5 * moments["eu_fe_std"]
    low, high = planted_depth({"depth": depth}, [moments["eu_fe_mean"] - half, moments["eu_fe_mean"] + half])
    assert high - low == pytest.approx(depth, rel=1e-4)


def test_planted_lines_grow_in_proportion_to_abundance_and_saturate():
    weak = planted_depth({"depth": 0.001}, [0.1, 0.4])
    assert weak[1] / weak[0] == pytest.approx(10**0.3, rel=0.01)
    strong = planted_depth({"depth": 0.03}, [1.0, 3.0])
    assert strong[0] < strong[1] <= 1.0
    assert strong[1] > 0.999


def test_a_line_too_strong_to_plant_is_refused():
    with pytest.raises(ValueError, match=r"no line changes by depth=0.5 .* at most 0.1"):
        make_survey(2, 0, World("signal", depth=0.5))


def test_europium_scatter_is_seen_in_the_signal_world_only():
    """Flux at the planted lines against [Eu/Fe] beyond its expectation, at fixed other labels."""
    windows = [(line - 0.3, line + 0.3) for line in World("signal").wavelengths]
    correlation = {}
    for name in ("shortcut", "signal"):
        survey = make_survey(**OPTIONS, world=name, wavelength_range=windows, tau=0.1)
        ratio = (survey.flux / synthetic._clean_flux(draw_stars(N_STARS, SEED), _grid(survey))).mean(axis=1)
        others = np.column_stack([np.ones(N_STARS), survey.truth.labels[:, :4]])
        ratio -= others @ np.linalg.lstsq(others, ratio, rcond=None)[0]
        correlation[name] = np.corrcoef(ratio, survey.truth.columns["eu_residual"])[0, 1]
    assert abs(correlation["shortcut"]) < 0.2
    assert correlation["signal"] < -0.6


def _grid(survey):
    return np.rint(pixel_of(survey.wavelength)).astype(int)


def test_the_proxy_follows_europium_at_its_real_line(shortcut):
    world = World("proxy", species="Yb II", scatter=0.02, boost=5.0)
    survey = make_survey(**OPTIONS, world=world)
    columns = survey.truth.columns
    assert np.std(columns["yb_fe"] - columns["eu_fe"]) == pytest.approx(0.02, rel=0.15)
    assert survey.truth.world["wavelengths"] == pytest.approx([16502.907], abs=0.01)
    assert survey.truth.world["boost"] == 5.0
    assert survey.truth.world["own_lines"] == []
    assert 0.001 < natural_depths("Yb II")[0] < 0.05
    pixel = np.argmin(np.abs(survey.wavelength - 16502.907))
    change = survey.flux[:, pixel] - shortcut.flux[:, pixel]
    good = survey.ivar[:, pixel] > 0
    assert np.corrcoef(change[good], (columns["fe_h"] + columns["eu_fe"])[good])[0, 1] < -0.9


def test_planted_europium_lines_stand_in_clean_places():
    flux = synthetic.synthesize(np.array([4750.0]), np.array([2.5]), np.array([-0.24]))[0]
    airglow = airglow_lines()
    for wavelength in World("signal").wavelengths:
        centre = round(float(pixel_of(wavelength)))
        assert flux[centre - 3 : centre + 4].min() > 0.95
        assert np.abs(heavy_element_lines().wavelength - wavelength).min() > 3
        assert np.abs(airglow.wavelength[airglow.strength > 0.05] - wavelength).min() > 4


def test_a_natural_proxy_with_unchanged_abundance_changes_nothing():
    stars, pixels = draw_stars(8, 0), np.arange(6800, 7200)
    flux = np.full((8, 400), 0.9, np.float32)
    same = plant(World("proxy", boost=1.0), flux, pixels, base=stars, stars=stars, tau=0.06, label_noise=None)
    np.testing.assert_allclose(same, flux, rtol=1e-6)


def test_the_leak_follows_the_noise_of_the_catalogue_and_not_europium():
    survey = make_survey(**OPTIONS, world=World("leak", amplitude=0.05))
    stars = draw_stars(N_STARS, SEED)
    pixel = np.argmin(np.abs(survey.wavelength - 15692.9))
    change = survey.flux[:, pixel] - clean_flux(survey)[:, pixel]
    good = survey.ivar[:, pixel] > 0
    noise = (survey.label("eu_fe") - stars.label("eu_fe")) / survey.label_err[:, 4]
    assert np.corrcoef(change[good], noise[good])[0, 1] < -0.9
    assert abs(np.corrcoef(change[good], survey.truth.columns["eu_residual"][good])[0, 1]) < 0.25


def test_the_artefact_stays_at_its_observed_wavelength():
    stars = draw_stars(N_STARS, SEED)
    pixels = np.arange(322, 3242)
    flux = np.ones((N_STARS, len(pixels)), np.float32)
    world = World("artefact", wavelengths=(15240.952,))
    planted = plant(world, flux, pixels, base=stars, stars=stars, tau=0.06, label_noise=None)
    place = pixels[np.argmax(np.abs(planted - 1), axis=1)]
    observed = 10 ** (4.179 + 6e-6 * place) * (1 + stars.observed_velocity / 299792.458)
    np.testing.assert_allclose(observed, 15240.952, atol=0.15)
    peak = np.take_along_axis(planted - 1, (place - 322)[:, None], axis=1)[:, 0]
    assert np.corrcoef(peak, stars.label("eu_fe") - stars.eu_expected)[0, 1] > 0.98


def test_decorrelated_europium_has_the_discs_spread():
    base = draw_stars(4000, 1)
    stars = world_stars(World("decorrelated"), base, seed=1, tau=0.06)
    assert np.std(stars.label("eu_fe")) == pytest.approx(disc_moments(0.06)["eu_fe_std"], rel=0.05)
    assert abs(np.corrcoef(stars.label("eu_fe"), stars.fe_h)[0, 1]) < 0.06


def test_noise_is_what_the_errors_say_plus_correlated_residuals(shortcut):
    """Robust sigma of (flux - truth)/error near DR10's; DR10's 1.64 and 0.011 contain the errors of its model."""
    good = shortcut.ivar > 0
    residual = (shortcut.flux - clean_flux(shortcut))[good]
    chi = residual * np.sqrt(shortcut.ivar[good])
    assert 1.0 < 1.4826 * np.median(np.abs(chi)) < 1.64
    assert 0.006 < 1.4826 * np.median(np.abs(residual)) < 0.011
    assert shortcut.ivar.max() <= 1 / 0.005**2 * 1.0001, "the error floor"
    silent = make_survey(40, SEED, continuum_residual=0.0, sky_amplitude=0.0)
    chi = ((silent.flux - clean_flux(silent)) * np.sqrt(silent.ivar))[(silent.ivar > 0) & (silent.ivar < 3.9e4)]
    assert np.std(chi) == pytest.approx(1.0, abs=0.01)


def test_correlated_residuals_have_the_autocorrelation_of_dr10():
    stream = np.random.default_rng(0)
    noise = sum(np.sqrt(weight) * smooth_noise(stream, (200, 4000), width) for weight, width in RESIDUAL_KERNELS)
    assert np.std(noise) == pytest.approx(1.0, abs=0.02)
    for lag, expected in ((1, 0.84), (2, 0.58), (3, 0.39)):
        assert np.mean(noise[:, :-lag] * noise[:, lag:]) == pytest.approx(expected, abs=0.03)


def test_masks_move_with_velocity_and_have_a_realistic_fraction(shortcut):
    assert 0.02 < np.mean(shortcut.ivar == 0) < 0.05
    assert np.all(shortcut.flux[shortcut.ivar == 0] == 1)
    masked = make_survey(**OPTIONS, sky="masked", release="dr10")
    assert 0.09 < np.mean(masked.ivar == 0) < 0.16, "DR10: 0.13"
    stars = draw_stars(N_STARS, SEED)
    rest = 15240.952 / (1 + stars.observed_velocity / 299792.458)
    pixel = np.searchsorted(masked.wavelength, rest)
    assert np.all(masked.ivar[np.arange(N_STARS), pixel] == 0)


def test_label_noise_is_as_large_as_the_errors_say(shortcut):
    stars = draw_stars(4000, SEED)
    labels, errors, snr = synthetic._labels(stars, LABEL_NAMES, 0.0, SEED)
    chi = (labels - np.stack([stars.label(name) for name in LABEL_NAMES], axis=1)) / errors
    np.testing.assert_allclose(np.std(chi, axis=0), 1.0, atol=0.05)
    assert set(np.unique(errors[:, 4])) == {0.118, 0.107, 0.083, 0.051}
    assert snr.min() >= 30
    assert np.array_equal(labels[:N_STARS, :5], shortcut.labels), "a label's noise does not hang on the others"


def test_missing_labels_are_abundances_at_the_fraction_asked_for():
    survey = make_survey(**OPTIONS, missing_fraction=0.3)
    assert not np.any(np.isnan(survey.labels[:, :4]))
    assert np.mean(np.isnan(survey.label("eu_fe"))) == pytest.approx(0.3, abs=0.1)
    assert np.all(np.isfinite(survey.truth.labels))


def test_worlds_of_one_seed_share_their_noise_free_spectra(monkeypatch):
    synthetic.clear_cache()
    calls = []

    def fake(teff, *arguments):
        calls.append(len(teff))
        return np.ones((len(teff), 8575), np.float32)

    monkeypatch.setattr(synthetic, "synthesize", fake)
    for world in ("shortcut", "signal", "decorrelated", "leak"):
        make_survey(16, 0, world)
    make_survey(16, 1, star_seed=0)
    assert calls == [16]
    monkeypatch.setattr(synthetic, "CACHE_BYTES", 0)
    make_survey(16, 2)
    assert not synthetic._cache, "the cache is bounded"
    synthetic.clear_cache()


def test_a_survey_keeps_its_truth_through_a_file(tmp_path, shortcut):
    path = tmp_path / "survey.h5"
    shortcut[:5].save(path)
    loaded = lux.load(path)
    assert loaded.truth.world == shortcut.truth.world
    assert np.array_equal(loaded.truth.columns["eu_residual"], shortcut.truth.columns["eu_residual"][:5])


def test_a_wavelength_range_keeps_only_its_pixels():
    survey = make_survey(4, 0, wavelength_range=[(15400, 15410), (16100, 16120)])
    assert survey.pixels_within([(15400, 15410), (16100, 16120)]).all()
    assert 100 < survey.n_pixels < 160
    with pytest.raises(ValueError, match=r"world 'signal' plants at .* none of which"):
        make_survey(4, 0, "signal", wavelength_range=(16000, 16001))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"world": "nonsense"}, r"unknown world 'nonsense'; choose one of shortcut, signal, proxy"),
        ({"world": 3}, "world must be a name"),
        ({"population": "halo"}, r"unknown population 'halo'; choose one of disc"),
        ({"label_names": ("teff", "u_fe")}, r"unknown label 'u_fe'; the synthetic survey has teff, logg"),
        ({"seeing": 1}, r"unknown option 'seeing'; an observation has snr_median"),
        ({"sky": "cloudy"}, "sky must be 'residual' or 'masked'"),
        ({"snr_median": 0}, "snr_median must be positive"),
        ({"missing_fraction": 1.0}, "missing_fraction"),
        ({"n_stars": 0}, "n_stars"),
        ({"release": "dr99"}, "dr99"),
        ({"wavelength_range": (1, 2)}, "no pixel on a chip"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_survey(**{"n_stars": 4, **options})


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


def test_an_observation_refuses_negative_numbers():
    with pytest.raises(ValueError, match="continuum_residual must not be negative"):
        Observation(continuum_residual=-1.0)
