"""What chapters compute for their tables: differences of predictions, folds of clusters, names of latents."""

from types import SimpleNamespace

import numpy as np
import pytest
from linear_truth import linear_survey
from lux_pages import attribution, band_limit, model, networks, real_spectra, recipe, training_noise, transfer

import lux
from lux.auditing import Report
from lux.models.baselines import FluxRegression
from lux.models.prediction import Prediction
from lux.paper.subject import in_words
from lux.simulation.neighbors import Readings
from lux.simulation.synthesis import line_strength
from lux.spectroscopy.lines import load_lines, strongest


def test_two_predictions_differ_in_catalogue_errors_whatever_the_order_of_their_labels():
    survey = linear_survey(n_stars=20, n_pixels=10, n_labels=2)
    one, other = survey.label_names
    error = np.nanmedian(survey.label_err, axis=0)
    prediction = Prediction(survey.label_names, survey.labels, survey.label_err)
    moved = (survey.labels + np.array([error[0], 0.0]))[:, ::-1]
    found = model.difference(prediction, Prediction((other, one), moved, survey.label_err), survey)
    assert found.largest == pytest.approx(1)
    assert found.rms == pytest.approx(np.sqrt(0.5))
    assert model.largest_rms([prediction, prediction], survey) == 0


def test_whole_clusters_are_held_out_in_folds_of_about_one_size():
    sizes = {"M 13": 9, "M 3": 6, "M 67": 4, "NGC 188": 1}
    survey = linear_survey(n_stars=20, n_pixels=10, n_labels=2)
    cluster = np.repeat(list(sizes), list(sizes.values()))
    survey = survey.replace(catalogue={**survey.catalogue, "cluster": cluster})
    folds = list(real_spectra.ways_to_hold_out(survey, 2, seed=0)["cluster"](survey))
    assert [int(fold.sum()) for fold in folds] == [10, 10]
    assert all(fold[cluster == name].all() or not fold[cluster == name].any() for fold in folds for name in sizes)


def test_latents_are_counted_as_the_published_study_counts_them():
    assert [attribution.latent_name(number) for number in (0, 8, 19)] == ["z₂", "z₁₀", "z₂₁"]


def test_labels_have_words_for_running_text():
    assert in_words("fe_h") == "iron"
    assert in_words("m_h") == "m_h"
    assert in_words("m_h", "another") == "another"


def test_europium_beats_labels_that_have_lines_in_the_published_ratios():
    ratios = {name: rmse / error for name, (rmse, error, _) in transfer.PUBLISHED.items()}
    assert min(ratios, key=ratios.get) == "eu_fe"


def test_no_pixel_near_a_line_of_a_masked_element_is_left():
    wavelength = np.arange(15500.0, 15700.0, 0.2)
    near = real_spectra.near_lines(wavelength, ("CN", "CO"))
    every = load_lines()
    strong = every[(every.element == "CN") & (every.wavelength > 15501) & (every.wavelength < 15699)]
    strong = strongest(strong, line_strength(4500.0, 2.0, -0.1, lines=strong)[0], 50).wavelength
    assert all(near[np.abs(wavelength - line) < 0.6].all() for line in strong)
    assert 0.5 < near.mean() < 1
    assert real_spectra.near_lines(wavelength, ("Yb",)).mean() < near.mean()


def test_labels_are_audited_with_and_without_pixels_of_their_lines(monkeypatch):
    survey = linear_survey(n_stars=300, n_pixels=300, n_labels=3).replace(label_names=("n_m", "c_m", "alpha_m"))
    monkeypatch.setattr(real_spectra, "_lux", lambda train: FluxRegression.pls(3).fit(train))
    monkeypatch.setattr(real_spectra, "near_lines", lambda wavelength, elements: wavelength < 15120)
    monkeypatch.setattr(real_spectra, "_MOVED_PIXELS", 100)
    reports = real_spectra.knock_out(survey, 1, seed=0)
    assert len(reports) == 9
    for label in survey.label_names:
        every, elsewhere, without = (reports[label, title][0] for title in real_spectra._MASKS)
        assert (every.own_lines != (), elsewhere.own_lines, without.own_lines) == (True, (), ())
        np.testing.assert_array_equal(without.wavelength, survey.wavelength[100:])
        np.testing.assert_array_equal(elsewhere.wavelength, np.delete(survey.wavelength, np.arange(100, 200)))


def test_a_europium_that_follows_alpha_keeps_the_noise_of_the_catalogue_and_all_other_labels():
    survey = lux.load("synthetic", n_stars=300, seed=1, wavelength_range=(15200, 15210))
    column, true = survey.label_index("eu_fe"), survey.truth.columns
    changed = recipe.following_alpha(survey).labels - survey.labels
    assert np.all(np.delete(changed, column, axis=1) == 0)
    europium = true["eu_fe"] + changed[:, column] - true["eu_residual"]
    design = np.column_stack([true["fe_h"], true["alpha_fe"], np.ones(300)])
    slopes, residual, *_ = np.linalg.lstsq(design, europium)
    assert slopes[:2] == pytest.approx([-0.15, 1.0])
    assert residual[0] < 1e-20


def test_a_model_follows_half_as_far_as_it_can_with_the_stated_numbers_of_stars():
    species = np.array(["Ce II", "Nd II", "Yb II"])
    readings = Readings(species, np.array([16380.9, 16058.0, 16502.9]), np.diag([0.07, 1.0, 0.6])[None] ** 2)
    limit = band_limit.BandLimit(readings, errors=np.array([0.08]))
    numbers = limit.numbers(band_limit.TAU)
    for name, stars in zip(limit.curves(np.ones(1)), ("stars_latents", "stars_pixels"), strict=True):
        half, most = limit.curves(np.array([numbers[stars], 1e15]))[name]
        assert half == pytest.approx(most / 2)
    assert numbers["stars_given"] < numbers["stars_blind"] < numbers["stars_pixels"]
    assert most == pytest.approx(numbers["share"])


@pytest.mark.parametrize(("value", "text"), [(2138.2, "2,100"), (96.0, "96"), (994.9, "990"), (1.04e6, "1,000,000")])
def test_numbers_of_stars_have_two_digits(value, text):
    assert band_limit._rounded(value) == text


def test_each_line_of_a_neighbor_has_the_significance_at_its_own_place():
    readings = Readings(np.array(["Ce II", "Yb II"]), np.array([16380.944, 16502.907]), np.eye(2)[None] * 0.1)
    wavelength = np.concatenate([16375 + 0.2 * np.arange(60), 16498 + 0.2 * np.arange(60)])
    limit = band_limit.BandLimit(readings, errors=np.array([0.08]))
    given = Report("eu_fe", "known", "", n_stars=400, wavelength=wavelength, significance=wavelength.copy())
    fitted = SimpleNamespace(test=SimpleNamespace(wavelength=wavelength))
    found = band_limit.Simulated(fitted, given, given, limit).lines
    for species, line in zip(readings.species, readings.wavelength, strict=True):
        expected, place = found[species]
        assert abs(place[0] - line) < 0.2
        alone = readings[readings.species == species].agreement(band_limit.TAU, limit.errors)
        assert expected[0] == pytest.approx(20 * np.sqrt(alone))


def test_slopes_follow_within_a_model_only_by_what_they_share_there():
    generator = np.random.default_rng(0)

    def world(depth):
        slopes = depth + 0.01 * generator.normal(size=(len(networks.NAMES), 2))
        pairs = zip(networks.NAMES, slopes, strict=True)
        return {
            f"{name}: {key}": value
            for name, row in pairs
            for key, value in zip(("use_slope", "own_slope"), row, strict=True)
        }

    trial = networks.Trial({str(depth): [world(depth) for _ in range(20)] for depth in (0.0, 0.5, 1.0)}, (), {})
    assert networks._follows(trial, within=False) > 0.99
    assert abs(networks._follows(trial, within=True)) < 0.2


def test_the_linear_regression_is_better_where_all_errors_are_smaller_and_the_slope_is_larger():
    def rows(mean, europium, slope):
        return [{"noise": noise, "rmse_all": mean, "rmse": europium, "own_slope": slope} for noise in (3.0, 4.0)]

    dense = rows([1.1] * 3, [1.2] * 3, [0.1] * 3)
    linear = rows([1.0, 1.0, 1.2], [1.1, 1.1, 1.1], [0.2, 0.1, 0.2])
    found = {}
    for generator in networks.GENERATORS:
        found |= {(generator, True, training_noise.LINEAR): linear, (generator, True, networks.NETWORKS[0]): dense}
    assert training_noise._linear_better(found).tolist() == [True, False, False] * 2
