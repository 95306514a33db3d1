"""Attribution: Shapley's axioms, the closed form against the shap package, and what depends on the basis."""

import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.diagnostics import attribution
from lux.models.gauge import random_rotations


@pytest.fixture(scope="module")
def groups():
    return {"blue": np.arange(300) < 100, "green": np.arange(300) // 100 == 1, "red": np.arange(300) >= 200}


def test_shap_equals_the_closed_form(surveys, model):
    train, test = surveys
    latents, background = model.infer_latents(test), model.infer_latents(train)
    for stars in (None, background):
        closed, package = (f(model, latents, stars) for f in (attribution.latent_shap, attribution.shap_package))
        scale = model.label_scale_[:, None]
        np.testing.assert_allclose(package.values / scale, closed.values / scale, atol=1e-6)
        np.testing.assert_allclose(package.base, closed.base, atol=1e-6 * model.label_scale_.min())
    np.testing.assert_allclose(closed.values[3, 1], model.A_[1] * (latents[3] - background.mean(axis=0)))


def test_shap_values_add_up_to_the_prediction(surveys, model):
    explained = attribution.latent_shap(model, model.infer_latents(surveys[1]))
    np.testing.assert_allclose(explained.predictions, model.predict_labels(surveys[1]).labels, rtol=1e-9)
    np.testing.assert_allclose(explained.share.sum(axis=1), 1)
    assert np.all((explained.participation >= 1) & (explained.participation <= 5))
    assert np.array_equal(explained.dominant, explained.share.argmax(axis=1))


def test_shares_over_latents_depend_on_the_basis_although_predictions_do_not(surveys, model):
    test = surveys[1]
    latents = model.infer_latents(test)
    shares = attribution.shares_over_rotations(model, latents, n_rotations=20, seed=1)
    assert len(np.unique(shares[:, 0].argmax(axis=1))) > 2
    for rotation, share in zip(random_rotations(5, 20, seed=1), shares, strict=True):
        rotated = model.rotate(rotation)
        again = attribution.latent_shap(rotated, latents @ rotation.T)
        np.testing.assert_allclose(again.share, share, atol=1e-10)
        np.testing.assert_allclose(again.predictions, attribution.latent_shap(model, latents).predictions, rtol=1e-9)
        assert attribution.prediction_change(rotated.predict_labels(test), model.predict_labels(test), test) < 1e-5


def test_shapley_values_over_labels_and_pixels_do_not_depend_on_the_basis(surveys, model, groups):
    test = surveys[1]

    def statistics(rotated):
        labels = attribution.label_shapley(rotated.predict_labels(test).labels, test.label_names, "label_2", 20)
        pixels = attribution.pixel_shapley(rotated, test, groups, "label_2", 20)
        return np.concatenate(
            [
                [each.total.value, *each.total.interval, *each.values, *each.alone, *each.last, *each.intervals.ravel()]
                for each in (labels, pixels)
            ]
        )

    expected = statistics(model)
    for rotation in random_rotations(5, 20, seed=2):
        np.testing.assert_allclose(statistics(model.rotate(rotation)), expected, atol=1e-5)


def test_shapley_values_of_a_known_game():
    # The glove game: two own a left glove, one the right; a pair is worth one.
    values, alone, last, total = attribution.shapley_values(
        ("left", "left too", "right"), lambda members: float(2 in members and len(members) > 1)
    )
    np.testing.assert_allclose(values, [1 / 6, 1 / 6, 4 / 6])
    np.testing.assert_allclose(alone, 0)
    np.testing.assert_allclose(last, [0, 0, 1])
    assert total == 1


def test_shapley_r2_of_independent_labels_is_the_square_of_each_correlation():
    generator = np.random.default_rng(0)
    labels = np.linalg.qr(generator.normal(size=(400, 4)) - 0)[0]
    labels -= labels.mean(axis=0)
    labels = np.linalg.qr(labels)[0]
    follower = labels[:, :3] @ [0.6, 0.5, 0.0] + 0.3 * labels[:, 3]
    explained = attribution.label_shapley(np.column_stack([labels[:, :3], follower]), tuple("abcd"), "d")
    norm = 0.36 + 0.25 + 0.09
    np.testing.assert_allclose(explained.values, [0.36 / norm, 0.25 / norm, 0], atol=1e-10)
    np.testing.assert_allclose(explained.last, explained.alone, atol=1e-10)
    assert explained.total.value == pytest.approx(0.61 / norm)
    assert explained.players == ("a", "b", "c")


def test_the_intervals_hold_the_values(surveys, model):
    explained = attribution.label_shapley(model.predict_labels(surveys[1]).labels, surveys[1].label_names, "label_0")
    assert np.all((explained.intervals[:, 0] < explained.values) & (explained.values < explained.intervals[:, 1]))
    assert explained.total.low < explained.total.value < explained.total.high
    assert explained.values.sum() == pytest.approx(explained.total.value)


def test_all_pixels_together_explain_what_the_prediction_does(surveys, model, groups):
    test = surveys[1][~np.isnan(surveys[1].label("label_1"))]
    explained = attribution.pixel_shapley(model, test, groups, "label_1", 5)
    target, predicted = test.label("label_1"), model.predict_labels(test).label("label_1")
    with_all = -np.mean((target - predicted) ** 2) / target.var()
    with_none = -np.mean((target - model.a_[1]) ** 2) / target.var()
    assert explained.total.value == pytest.approx(with_all - with_none, abs=1e-4)
    masked = test.replace(ivar=np.where(groups["red"], test.ivar, np.float32(0)))
    alone = -np.mean((target - model.predict_labels(masked).label("label_1")) ** 2) / target.var() - with_none
    assert explained.alone[2] == pytest.approx(alone, abs=1e-4)


def test_pixels_without_a_trace_of_the_label_are_given_nothing():
    generator = np.random.default_rng(1)
    survey = linear_survey(n_stars=6000, n_pixels=40, n_latents=2, n_labels=2, seed=5)
    latents = generator.normal(size=(6000, 2))
    halves = {"first": np.arange(40) < 20, "second": np.arange(40) >= 20}
    loadings = 0.1 * np.stack(list(halves.values()))
    survey = survey.replace(
        labels=latents + 0.1 * generator.normal(size=(6000, 2)),
        label_err=np.full((6000, 2), 0.1),
        flux=1 + latents @ loadings + 0.02 * generator.normal(size=(6000, 40)),
        ivar=np.full((6000, 40), 2500.0),
    )
    train, test = survey.split(0.4, seed=0)
    explained = attribution.pixel_shapley(lux.Lux(2).fit(train), test, halves, "label_0")
    assert explained.values[0] > 0.9
    assert abs(explained.values[1]) < 0.02


def test_every_pixel_is_led_by_one_group_of_lines():
    wavelength = np.linspace(15160, 16930, 4000)
    groups = attribution.line_groups(wavelength)
    assert np.all(np.sum(list(groups.values()), axis=0) == 1)
    # The strongest magnesium line of the band, and the head of a CO band.
    assert groups["alpha"][np.argmin(np.abs(wavelength - 15753.2))]
    assert groups["carbon, nitrogen"][np.argmin(np.abs(wavelength - 15982.0))]
    assert all(0.02 < np.mean(pixels) < 0.6 for pixels in groups.values())


def test_label_order_does_not_matter_to_the_change_of_a_prediction(surveys, model):
    test = surveys[1]
    prediction = model.predict_labels(test)
    reversed_ = lux.Prediction(prediction.names[::-1], prediction.labels[:, ::-1], prediction.err[:, ::-1])
    assert attribution.prediction_change(prediction, reversed_, test) == 0
    shifted = lux.Prediction(prediction.names, prediction.labels + 2 * test.label_err, prediction.err)
    assert attribution.prediction_change(prediction, shifted, test) == pytest.approx(2)


def test_labels_read_off_fewer_latents_than_there_are_labels_share_what_they_repeat():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(400, 2))
    names = ("a", "b", "c", "d")
    explained = attribution.label_shapley(latents @ generator.normal(size=(2, 4)), names, "d")
    assert explained.total.value == pytest.approx(1)
    assert explained.values.sum() == pytest.approx(1)
    # The same label twice: either is as good as both, and neither adds to the other.
    twice = attribution.label_shapley(latents[:, [0, 0, 1]] + [[0, 0, 1]] * latents[:, :1], names[:3], "c")
    assert twice.values[0] == pytest.approx(twice.values[1]) == pytest.approx(twice.total.value / 2)
    np.testing.assert_allclose(twice.last, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda *_: attribution.shapley_values(["x"] * 13, lambda members: 0.0), "13 players; 1 to 12"),
        (lambda *_: attribution.label_shapley(np.eye(9)[:, :2], "ab", "eu_fe"), "unknown label 'eu_fe'"),
        (lambda *_: attribution.label_shapley(np.eye(9, 2) * [1, 0], "ab", "a"), "label 'b' is 0 in every star"),
        (lambda *_: attribution.label_shapley(np.eye(9, 2) * [1, np.nan], "ab", "a"), "values of 'b' are not finite"),
        (lambda *_: attribution.label_shapley(np.eye(9, 2), "ab", "a", 0), "n_bootstrap is 0; expected 1 or more"),
        (lambda *given: pixel_shapley(*given, n_bootstrap=0), "n_bootstrap is 0; expected 1 or more"),
        (lambda *given: pixel_shapley(*given, red=np.ones(300, bool)), "a pixel is in two groups"),
        (lambda *given: pixel_shapley(*given, red=np.arange(200, 300)), "must be a boolean mask"),
        (lambda *given: pixel_shapley(*given, offset=1.0), "differs from the training grid"),
        (lambda *given: pixel_shapley(*given, scale=0), "'label_0' is 0 in every star"),
        (lambda *given: pixel_shapley(*given, scale=np.nan), "no star of the survey has label 'label_0'"),
    ],
)
def test_what_cannot_be_attributed_is_refused(surveys, model, groups, wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(surveys[1], model, groups)


def pixel_shapley(test, model, groups, offset=0.0, scale=1.0, n_bootstrap=5, **more):
    """Share out the first label of stars whose wavelengths are off, or whose labels are scaled."""
    labels = test.labels * scale
    survey = test.replace(wavelength=test.wavelength + offset, labels=labels)
    return attribution.pixel_shapley(model, survey, {**groups, **more}, "label_0", n_bootstrap)
