"""Each map is what its formula says, and no gauge moves it."""

import numpy as np
import pytest
from linear_truth import linear_survey
from scipy.stats import kstest, ortho_group

import lux
from lux.diagnostics import saliency

TIGHT = {"tolerance": 1e-4, "max_cycles": 300}


@pytest.fixture(scope="module")
def survey(surveys):
    return surveys[0]


def dense_response(model, survey):
    """Return d latents / d flux from dense matrices: Cov(z, f) Cov(f)^-1, nothing shared with lux."""
    ivar = survey.ivar.astype(float)
    weight = np.mean(ivar / (1 + ivar * model.scatter_**2), axis=0)
    prior = np.linalg.inv(model.prior_precision_)
    covariance = model.B_ @ prior @ model.B_.T + np.diag(1 / weight)
    return prior @ model.B_.T @ np.linalg.inv(covariance), covariance


def test_the_backward_map_is_the_best_linear_predictor(model, survey):
    response, _ = dense_response(model, survey)
    found = saliency.backward_map(model, survey).values
    np.testing.assert_allclose(found, model.A_ @ response, atol=1e-8 * np.abs(found).max())


def test_the_pattern_is_the_covariance_of_flux_and_inferred_label_over_its_variance(model, survey):
    response, covariance = dense_response(model, survey)
    jacobian = model.A_ @ response
    expected = (covariance @ jacobian.T / np.diagonal(jacobian @ covariance @ jacobian.T)).T
    found = saliency.pattern_map(model, survey).values
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(found).max())


def test_the_forward_map_is_the_derivative_at_fixed_other_labels_though_the_labels_are_noisy():
    survey = linear_survey(n_stars=6000, n_pixels=60, n_latents=3, n_labels=3, seed=5, masked=0.05, noise=0.01)
    # As many labels as latents: the flux is a function of the true labels.
    design, good = np.column_stack([np.ones(survey.n_stars), survey.truth.labels]), survey.ivar > 0
    fits = [np.linalg.lstsq(design[good[:, pixel]], survey.flux[good[:, pixel], pixel])[0] for pixel in range(60)]
    expected = np.stack(fits, axis=1)[1:]
    found = saliency.forward_map(survey)
    z = (found.values - expected) / found.err
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.35)
    assert np.median(found.err) < 0.1 * np.std(expected)


def test_the_error_of_the_forward_map_is_the_scatter_over_repeated_surveys():
    survey = linear_survey(n_stars=40_000, n_pixels=20, n_latents=2, n_labels=2)
    maps = [saliency.forward_map(survey[np.arange(survey.n_stars) % 40 == part]) for part in range(40)]
    scatter = np.std([part.values for part in maps], axis=0, ddof=1)
    claimed = np.mean([part.err for part in maps], axis=0)
    assert np.median(scatter / claimed) == pytest.approx(1, abs=0.15)


def test_labels_that_their_errors_explain_have_no_forward_map(survey):
    with pytest.raises(ValueError, match="errors of the labels exceed"):
        saliency.forward_map(survey.replace(label_err=np.full(survey.labels.shape, 30.0)))


def test_the_error_of_the_backward_map_is_the_scatter_of_a_bootstrap_of_stars():
    survey = linear_survey(n_stars=500, n_pixels=80, n_latents=3, masked=0.0, seed=4)
    claimed = saliency.backward_map(lux.Lux(3, **TIGHT).fit(survey), survey).err
    generator = np.random.default_rng(0)
    maps = []
    for _ in range(16):
        rows = generator.integers(survey.n_stars, size=survey.n_stars)
        picks = survey.replace(
            flux=survey.flux[rows],
            ivar=survey.ivar[rows],
            labels=survey.labels[rows],
            label_err=survey.label_err[rows],
            truth=None,
            catalogue=None,
        )
        maps.append(lux.Lux(3).fit(picks).label_jacobian(survey))
    assert np.median(np.std(maps, axis=0, ddof=1) / claimed) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("statistic", ["backward", "backward error", "pattern", "similarity", "excess", "permuted"])
def test_no_rotation_of_the_latents_moves_a_map(model, survey, statistic):
    def value(each):
        backward = saliency.backward_map(each, survey)
        return {
            "backward": lambda: backward.values,
            "backward error": lambda: backward.err,
            "pattern": lambda: saliency.pattern_map(each, survey).values,
            "similarity": lambda: saliency.similarity(backward),
            "excess": lambda: saliency.excess_map(each, survey, "label_2", n_permutations=5).largest.null,
            "permuted": lambda: saliency.permuted_label_maps(each, survey, "label_2", n_permutations=3),
        }[statistic]()

    expected = value(model)
    for seed in range(20):
        rotated = value(model.rotate(ortho_group.rvs(5, random_state=seed)))
        np.testing.assert_allclose(rotated, expected, atol=1e-5 * np.abs(expected).max())


def test_only_a_label_that_follows_the_others_keeps_their_map_when_shuffled(model, survey):
    own = saliency.backward_map(model, survey).of("label_2")
    combined = saliency.explained_by_other_labels(saliency.backward_map(model, survey), "label_2")[0]
    likeness = {}
    for follows in (False, True):
        maps = saliency.permuted_label_maps(model, survey, "label_2", follows=follows, n_permutations=40)
        likeness[follows] = [np.corrcoef(each, combined)[0, 1] for each in maps]
    assert np.corrcoef(own, combined)[0, 1] > 0.1
    assert np.mean(likeness[True]) > 0.9
    assert abs(np.mean(likeness[False])) < 0.3


def test_the_excess_map_finds_what_the_other_labels_do_not_hold_and_only_that():
    survey = linear_survey(n_stars=900, n_pixels=120, n_latents=3, n_labels=3, seed=7)
    generator = np.random.default_rng(0)
    # A label that the others determine, and one that has a line of its own at pixel 60.
    own = generator.normal(size=survey.n_stars)
    profile = np.exp(-0.5 * ((np.arange(120) - 60) / 1.4) ** 2)
    flux = survey.flux - (0.05 * own[:, None] * profile).astype(np.float32)
    guessed = survey.truth.labels[:, :2] @ [0.5, -0.4] + 0.5 * generator.normal(size=survey.n_stars)
    for label, real in ((guessed, False), (guessed + own, True)):
        labels = np.column_stack([survey.labels[:, :3], label])
        made = survey.replace(
            flux=flux,
            labels=labels,
            label_err=np.full(labels.shape, 0.2),
            truth=None,
            label_names=(*survey.label_names, "eu_fe"),
            label_units=("dex",) * 4,
        )
        found = saliency.excess_map(lux.Lux(4).fit(made), made, "eu_fe", n_permutations=199)
        assert (found.largest.p_value < 0.01) == real
        if real:
            assert abs(int(np.argmax(np.abs(found.z))) - 60) <= 1


@pytest.mark.slow
def test_p_values_of_the_excess_are_uniform_where_nothing_is_planted(model, survey):
    generator = np.random.default_rng(1)
    p_values = []
    for seed in range(200):
        labels = survey.labels.copy()
        labels[:, 2] = survey.truth.labels[:, :2] @ [0.3, 0.2] + generator.normal(size=survey.n_stars)
        made = survey.replace(labels=labels)[:300]
        p_values.append(saliency.excess_map(model, made, "label_2", n_permutations=99, seed=seed).largest.p_value)
    assert kstest(p_values, "uniform").pvalue > 0.05


def test_a_map_that_is_a_sum_of_others_is_said_to_be_one():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(3, 500)) * [[1.0], [100.0], [1.0]]
    values[2] = 2 * values[0] - 0.01 * values[1]
    made = saliency.SaliencyMap(np.arange(500.0), ("a", "b", "c"), values, np.ones(values.shape))
    combined, fraction = saliency.explained_by_other_labels(made, "c")
    np.testing.assert_allclose(combined, values[2], atol=1e-10)
    assert fraction == pytest.approx(1)
    assert saliency.explained_by_other_labels(made, "a")[1] == pytest.approx(1)
    np.testing.assert_allclose(np.diag(saliency.similarity(made)), 1)


def test_the_error_of_the_backward_map_pairs_labels_by_name(model, survey):
    whole = saliency.backward_map(model, survey)
    turned = saliency.backward_map(model, survey.select_labels(survey.label_names[::-1]))
    np.testing.assert_allclose(turned.err, whole.err, rtol=1e-12)
    fewer = saliency.backward_map(model, survey.select_labels(["label_2", "label_1"]))
    np.testing.assert_allclose(fewer.err[1:3], whole.err[1:3], rtol=1e-12)
    assert np.isnan(fewer.err[[0, 3]]).all()
    np.testing.assert_array_equal(fewer.values, whole.values)


def test_a_label_may_be_spelled_as_the_survey_reads_it():
    survey = linear_survey(n_stars=80, n_pixels=40, n_latents=2, n_labels=2)
    survey = survey.replace(label_names=("fe_h", "eu_fe"))
    model = lux.Lux(2).fit(survey)
    found = [saliency.excess_map(model, survey, name, n_permutations=9).largest for name in ("eu_fe", "[Eu/Fe]")]
    assert found[0].statistic == found[1].statistic


def constant(survey, value=0.3):
    return survey.replace(labels=np.where(np.arange(4) == 1, value, survey.labels))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda model, survey: saliency.excess_map(model, constant(survey), "label_1"),
            "'label_1' is 0.3 in every star",
        ),
        (
            lambda model, survey: saliency.excess_map(model, constant(survey, np.nan), "label_1"),
            "no star of the survey",
        ),
        (lambda model, survey: saliency.excess_map(model, survey, "label_1", n_permutations=0), "n_permutations is 0"),
        (lambda model, survey: saliency.permuted_label_maps(model, constant(survey), "label_1"), "0.3 in every star"),
        (
            lambda model, survey: saliency.forward_map(constant(survey, np.nan)),
            "no star of the survey has label 'label_1'",
        ),
        (lambda model, survey: saliency.forward_map(constant(survey)), "'label_1' is 0.3 in every star"),
        (
            lambda model, survey: saliency.excess_map(
                model, survey.replace(label_names=["eu_fe", "b", "c", "d"]), "eu_fe"
            ),
            "unknown label 'eu_fe'; predicted are label_0",
        ),
    ],
)
def test_what_has_no_map_is_refused(model, survey, wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(model, survey)


def test_half_of_a_flat_map_is_half_of_its_pixels():
    assert saliency.half_mass_fraction(np.ones(1000)) == pytest.approx(0.5, abs=0.002)
    assert saliency.half_mass_fraction(np.eye(1000)[3]) == pytest.approx(0.001)
