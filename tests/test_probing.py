"""Probes and the information that they find: against closed forms, exact nulls and random rotations."""

import numpy as np
import pytest
from linear_truth import linear_survey
from scipy import stats

import lux
from lux.diagnostics import erasure, probing
from lux.diagnostics.mutual_information import gaussian_information
from lux.models import gauge
from lux.models.label_directions import label_angles, unique_direction


def test_what_is_claimed_free_of_the_gauge_is_constant_under_twenty_rotations(surveys, model):
    test = surveys[1]
    target = test.labels[:, 0]

    def statistics(rotated):
        latents, inferred = rotated.infer_latents(test), rotated.predict_labels(test).labels
        read = probing.probe(latents, target, n_control=3)
        gain = probing.information_gain(latents, target, inferred[:, 1:], n_permutations=20)
        complete = np.all(np.isfinite(test.labels), axis=1)
        eraser = erasure.fit_eraser(latents[complete], test.labels[complete, 1:])
        erased = probing.probe(eraser.apply(latents), target, n_control=0)
        angles = [label_angles(rotated, metric, test).cosine.ravel() for metric in ("prior", "posterior")]
        return np.concatenate(
            [
                [read.r2, read.selectivity, read.fitted_r2, erased.r2, gain.r2_given, gain.nats, gain.p_value],
                *angles,
                [unique_direction(rotated, name, 10).fraction for name in rotated.label_names_],
                gain.null,
            ]
        )

    expected = statistics(model)
    for rotation in gauge.random_rotations(5, 20, seed=1):
        np.testing.assert_allclose(statistics(model.rotate(rotation)), expected, atol=1e-5)


def test_correlations_are_pearsons_with_missing_labels_left_out(surveys, model):
    test = surveys[1]
    latents = model.infer_latents(test)
    table = probing.latent_label_correlations(latents, test.labels)
    present = ~np.isnan(test.labels[:, 1])
    assert table.shape == (4, 5)
    assert table[1, 2] == pytest.approx(stats.pearsonr(test.labels[present, 1], latents[present, 2]).statistic)


@pytest.mark.slow
def test_a_linear_probe_reaches_the_noise_ceiling_of_a_linear_label():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(4000, 6))
    clean = latents @ generator.normal(size=6)
    target = clean + 0.8 * generator.normal(size=4000)
    for kind, within in (("linear", 0.03), ("kernel", 0.05), ("mlp", 0.03)):
        read = probing.probe(latents, target, kind=kind, label_err=np.full(4000, 0.8), n_control=2, n_folds=3)
        assert read.r2 == pytest.approx(read.ceiling, abs=within)
        assert read.interval[0] < read.r2 < read.interval[1]
        assert np.all(read.control < 0.01)
        assert read.selectivity > 0.5
    assert read.ceiling == pytest.approx(1 - 0.64 / np.var(target))


def test_a_perceptron_reads_what_a_line_cannot():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(1500, 3))
    target = latents[:, 0] ** 2 + 0.1 * generator.normal(size=1500)
    linear, kernel, mlp = (
        probing.probe(latents, target, kind=kind, n_control=1, n_folds=3).r2 for kind in probing.KINDS
    )
    assert linear < 0.1
    assert min(kernel, mlp) > 0.75


def test_the_p_values_of_unique_information_are_uniform_where_there_is_none():
    p_values = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        given = generator.normal(size=(120, 2))
        latents = np.column_stack([given, generator.normal(size=(120, 3))])
        target = given @ [1.0, -0.5] + generator.normal(size=120)
        p_values.append(probing.information_gain(latents, target, given, n_permutations=59, seed=seed).p_value)
    assert stats.kstest(np.array(p_values) - 0.5 / 60, "uniform").pvalue > 0.01


def test_unique_information_is_the_known_one_where_there_is_some():
    generator = np.random.default_rng(5)
    given, own, noise = generator.normal(size=(3, 20_000))
    target = given + 0.5 * own + 0.5 * noise
    gain = probing.information_gain(np.column_stack([given, own]), target, given[:, None], n_permutations=20)
    assert gain.nats == pytest.approx(gaussian_information(0.5), abs=0.02)
    assert gain.p_value == pytest.approx(1 / 21)
    total = probing.information_gain(np.column_stack([given, own]), target, n_permutations=0)
    assert total.nats == pytest.approx(gaussian_information(1.25 / 1.5), abs=0.03)


def test_without_a_null_there_is_no_p_value():
    latents, target = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60.0)
    assert np.isnan(probing.probe(latents, target, n_control=0).p_value)
    assert np.isnan(probing.information_gain(latents, target, n_permutations=0).p_value)


def test_one_given_label_may_be_a_vector():
    latents, target = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60.0)
    gains = [probing.information_gain(latents, target, given).nats for given in (latents[:, 0], latents[:, :1])]
    assert gains[0] == gains[1]


def test_noisy_given_labels_manufacture_information():
    generator = np.random.default_rng(6)
    true, noise, target_noise = generator.normal(size=(3, 3000))
    latents = true[:, None]
    target = true + 0.3 * target_noise
    honest = probing.information_gain(latents, target, latents, n_permutations=50)
    misled = probing.information_gain(latents, target, (true + 0.5 * noise)[:, None], n_permutations=50)
    assert honest.p_value > 0.05
    assert misled.p_value < 0.05
    assert misled.nats > 0.3


def test_latents_fitted_with_the_labels_read_more_of_them_than_their_noise_allows():
    survey = linear_survey(n_stars=300, n_pixels=40, n_latents=6, n_labels=3, noise=0.1)
    fitted = lux.Lux(6).fit(survey)
    read = probing.circularity(fitted.latents_, fitted.infer_latents(survey), survey.labels, survey.label_names)
    ceiling = probing.noise_ceiling(survey.labels, survey.label_err)
    for name, best in zip(survey.label_names, ceiling, strict=True):
        assert read[name].circular.r2 > best > read[name].flux_only.r2
        assert read[name].inflation > 0.05
        assert read[name].interval[0] > 0


def test_what_cannot_be_measured_is_refused():
    z, labels, target = np.zeros((50, 2)), np.zeros((50, 1)), np.arange(50.0)
    for call, message in (
        (lambda: probing.probe(z, labels[:, 0], kind="tree"), "unknown probe 'tree'"),
        (lambda: probing.probe(z[:3], labels[:, 0]), "3 stars have latents"),
        (lambda: probing.probe(z, np.full(50, np.nan)), "0 stars have the label; 5 folds need at least 10"),
        (lambda: probing.probe(z, labels[:, 0], kind="mlp", label="eu_fe"), "'eu_fe' is 0 in every star"),
        (lambda: probing.probe(z * np.nan, target), "latents are not finite"),
        (lambda: probing.probe(z, np.where(target > 48, np.inf, target)), "is infinite in 1 stars"),
        (lambda: probing.probe(z, target, n_control=-5), "n_control is -5; expected 0 or more"),
        (lambda: probing.information_gain(z, target, n_permutations=-3), "n_permutations is -3; expected 0 or more"),
        (lambda: probing.information_gain(z * np.nan, target), "latents are not finite"),
        (lambda: probing.information_gain(z, target, z[:3]), "3 stars have given labels, the target has 50"),
        (lambda: probing.information_gain(z, target, z * np.nan), "given labels are not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
