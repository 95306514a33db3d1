"""A model learns the lines whose own power exceeds that of its weakest latent, whatever their significance."""

import numpy as np
import pytest
from lux_pages.learning import SOURCE
from lux_pages.trial import FullTrial

import lux
from lux.controls import learning
from lux.controls.ensemble import sized_cells
from lux.controls.learning import (
    gain_of_latent,
    gain_of_lines,
    learning_rows,
    measure_learning,
    own_power,
    powers_of_latents,
)

N_STARS, N_LATENTS, WEAKEST, NOISE = 500, 3, 4000.0, 0.02


def survey_with_patterns(own, seed=0, n_pixels=80):
    """Return a survey of three patterns, the weakest of power `WEAKEST`, and of a label's line of power `own`."""
    generator = np.random.default_rng(seed)
    latents = generator.normal(size=(N_STARS, 4))
    latents = np.linalg.qr(latents - latents.mean(axis=0))[0] * np.sqrt(N_STARS)
    loadings = np.linalg.qr(generator.normal(size=(n_pixels, 4)))[0]
    powers = np.array([40 * WEAKEST, 10 * WEAKEST, WEAKEST, own])
    flux = 1 + latents @ (loadings * NOISE * np.sqrt(powers / N_STARS)).T
    true = latents[:, [0, 3]]
    return lux.Survey(
        wavelength=15100 + 0.2 * np.arange(n_pixels),
        flux=flux + NOISE * generator.normal(size=flux.shape),
        ivar=np.full(flux.shape, NOISE**-2),
        labels=true + 0.5 * generator.normal(size=true.shape),
        label_err=np.full(true.shape, 0.5),
        label_names=["a", "own"],
    ), true[:, 1]


@pytest.mark.parametrize(("own", "learned"), [(0.4, False), (2.5, True)])
def test_a_line_is_learned_if_its_power_exceeds_that_of_the_weakest_latent(own, learned):
    survey, truth = survey_with_patterns(own * WEAKEST)
    model = lux.Lux(N_LATENTS, tolerance=1e-3, fit_scatter=False).fit(survey)
    slope = np.polyfit(truth, model.predict_labels(survey).label("own"), 1)[0]
    # Either is significant: its power is that of some forty or of a hundred standard deviations.
    assert slope > 0.6 if learned else abs(slope) < 0.2


def test_the_powers_of_the_latents_are_those_planted_and_the_same_in_every_gauge():
    model = lux.Lux(N_LATENTS, tolerance=1e-4, fit_scatter=False).fit(survey_with_patterns(0.0)[0])
    powers = powers_of_latents(model)
    planted = WEAKEST * np.array([40, 10, 1])
    # Latents as they are known from noisy flux vary less than the truth.
    np.testing.assert_allclose(powers, planted / (1 + N_STARS / planted), rtol=0.02)
    mixing = np.random.default_rng(1).normal(size=(N_LATENTS, N_LATENTS))
    np.testing.assert_allclose(powers_of_latents(model.rotate(mixing)), powers, rtol=1e-3)


def test_the_gain_by_lines_is_that_of_the_likelihood_where_scatter_takes_them_for_noise():
    each, n_pixels, n_stars = 0.7, 12, 300
    changes = np.full(n_pixels, np.sqrt(each))
    with_latent = np.linalg.slogdet(np.eye(n_pixels) + np.outer(changes, changes))[1]
    with_scatter = n_pixels * np.log(1 + each)
    # Either fits the variances, so that the quadratic terms of both likelihoods are the same.
    power, scattered = (n_stars * n_pixels * value for value in (each, each / (1 + each)))
    assert gain_of_lines(power, scattered, n_stars) == pytest.approx(n_stars / 2 * (with_scatter - with_latent))


@pytest.mark.parametrize("n_pixels", [80, 2000])
def test_the_gain_by_a_latent_is_that_of_its_planted_pattern_however_noisy_its_loadings(n_pixels):
    survey, _ = survey_with_patterns(0.0, n_pixels=n_pixels)
    planted = N_STARS / 2 * (WEAKEST / N_STARS - np.log1p(WEAKEST / N_STARS))
    for shrunk, settings in ((True, {}), (False, {"algorithm": "als", "omega": 1000.0})):
        model = lux.Lux(N_LATENTS, tolerance=1e-4, fit_scatter=False, **settings).fit(survey)
        power = powers_of_latents(model)[-1]
        assert gain_of_latent(power, N_STARS, n_pixels, shrunk=shrunk) == pytest.approx(planted, rel=0.1)


def test_a_latent_of_noise_alone_gains_what_the_strongest_pattern_that_noise_hides_would():
    ratio = 4.0
    assert gain_of_latent(1.0, 100, 400, shrunk=False) == pytest.approx(
        50 * (np.sqrt(ratio) - np.log1p(np.sqrt(ratio)))
    )


def test_what_other_labels_tell_is_no_power_of_its_own():
    generator = np.random.default_rng(2)
    others, own = generator.normal(size=(300, 2)), generator.normal(size=300)
    told = (1 + others[:, 0] - 0.3 * others[:, 0] * others[:, 1])[:, None] * np.ones(4)
    ivar, ordinary = np.full((300, 4), 100.0), np.arange(300) > 5
    assert own_power(told, ivar, others, ordinary).sum() < 1e-12
    assert own_power(told + own[:, None], ivar, others, ordinary).sum() == pytest.approx(400 * np.sum(own**2), rel=0.05)


@pytest.mark.slow
def test_surveys_are_measured_with_their_rich_stars_and_without_and_with_one_lent(monkeypatch):
    monkeypatch.setattr(learning, "_KINDS", (("published", learning.N_LATENTS),))
    monkeypatch.setattr(learning, "DEPTHS", {True: (learning.LENT_DEPTH,)})
    (cell,) = sized_cells(1, (100,), ("physical",), depths=(0.0,), full_band=True)
    world = measure_learning(cell, 82, 82)
    rows = {row["stars"]: row for row in learning_rows([cell], [world])}
    assert rows["one lent"]["n_rich"] == 1
    assert rows["one lent"]["power"] > 2 * rows["all"]["power"] > 0
    assert rows["one lent"]["richest"] <= rows["one lent"]["power"]
    assert all(0 < row["scattered"] < row["power"] for row in rows.values())
    assert {(row["generator"], row["full_band"], row["seed"]) for row in rows.values()} == {("physical", True, 82)}


@pytest.mark.parametrize("generator", ["physical", "empirical"])
def test_the_kept_trial_bears_the_rule_out_and_one_lent_star_decides(generator):
    rows = FullTrial(SOURCE).rows("learning", generator=generator, recipe="default")
    ratio = np.array([row["gain"] / row["weakest_gain"] for row in rows])
    slope = np.array([row["response"] for row in rows])
    assert min(np.sum(ratio < 1), np.sum(ratio > 2)) > 25
    assert np.all(slope[ratio < 1] < 0.5)
    assert np.all(slope[ratio > 2] > 0.5)
    lent = np.array([row["stars"] == "one lent" for row in rows])
    assert lent.sum() == len({row["seed"] for row in rows})
    assert np.all(slope[lent] > 0.5)
