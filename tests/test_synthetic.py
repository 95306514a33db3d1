"""The synthetic survey: worlds differ in what they plant, and the observation has the statistics it claims."""

import numpy as np
import pytest

import lux
from lux.simulation import synthetic
from lux.simulation.observation import Observation
from lux.simulation.population import LABEL_NAMES, draw_stars
from lux.simulation.synthetic import make_survey

N_STARS, SEED = 256, 5
OPTIONS = {"n_stars": N_STARS, "seed": SEED}


def test_the_same_seed_gives_the_same_survey(shortcut):
    synthetic.SHARED.clear()
    again = lux.load("synthetic", **OPTIONS)
    for name in ("wavelength", "flux", "ivar", "labels", "label_err", "star_id"):
        assert np.array_equal(getattr(again, name), getattr(shortcut, name)), name
    other = make_survey(N_STARS, SEED + 1)
    assert not np.array_equal(other.flux, shortcut.flux)


def test_the_first_stars_of_a_larger_survey_are_the_same(shortcut):
    few = make_survey(40, SEED)
    for name in ("flux", "ivar", "labels", "star_id"):
        assert np.array_equal(getattr(few, name), getattr(shortcut, name)[:40]), name


def test_label_noise_is_as_large_as_the_errors_say(shortcut):
    stars = draw_stars(4000, SEED)
    labels, errors, snr = synthetic._labels(stars, LABEL_NAMES, 0.0, SEED, Observation())
    chi = (labels - np.stack([stars.label(name) for name in LABEL_NAMES], axis=1)) / errors
    np.testing.assert_allclose(np.std(chi, axis=0), 1.0, atol=0.05)
    assert set(np.unique(errors[:, 4])) == {0.118, 0.107, 0.083, 0.051}
    assert snr.min() >= 30
    assert np.array_equal(labels[:N_STARS, :5], shortcut.labels), "a label's noise does not hang on the others"


def test_missing_labels_are_abundances_at_the_given_fraction():
    survey = make_survey(**OPTIONS, missing_fraction=0.3)
    assert not np.any(np.isnan(survey.labels[:, :4]))
    assert np.mean(np.isnan(survey.label("eu_fe"))) == pytest.approx(0.3, abs=0.1)
    assert np.all(np.isfinite(survey.truth.labels))


def test_worlds_of_one_seed_share_their_noise_free_spectra(monkeypatch):
    synthetic.SHARED.clear()
    calls = []

    def fake(teff, *arguments):
        calls.append(len(teff))
        return np.ones((len(teff), 8575), np.float32)

    monkeypatch.setattr(synthetic, "synthesize", fake)
    for world in ("shortcut", "signal", "decorrelated", "leak"):
        make_survey(16, 0, world)
    make_survey(16, 1, star_seed=0)
    assert calls == [16]
    synthetic.SHARED.clear()


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


def test_stars_that_are_chosen_for_a_spectrum_keep_their_labels_and_their_noise_free_flux():
    options = {"wavelength_range": (15_436, 15_460), "snr_median": 1200.0, "continuum_residual": 0.0}
    whole, rows = make_survey(12, 5, **options), np.array([7, 2])
    some = make_survey(12, 5, choose=lambda labels, errors: rows, **options)
    assert some.star_id.tolist() == whole.star_id[rows].tolist()
    np.testing.assert_array_equal(some.labels, whole.labels[rows])
    np.testing.assert_array_equal(some.catalogue["snr"], whole.catalogue["snr"][rows])
    good = (some.ivar > 0) & (whole.ivar[rows] > 0)
    assert np.max(np.abs(some.flux - whole.flux[rows])[good]) < 0.02
