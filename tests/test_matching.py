"""A doppelganger is alike, and a pair differs in one label alone."""

import numpy as np
import pytest
from europium_truth import inferred, made_survey

import lux
from lux.diagnostics import matching
from lux.statistics import quadratic_terms


def test_the_doppelganger_of_a_copied_star_is_the_copy():
    survey = made_survey(n_stars=50)
    labels, errors = (np.concatenate([part, part[7:8]]) for part in (survey.labels, survey.label_err))
    twins, distances = matching.doppelgangers(labels, errors, 7, np.arange(51), n_twins=2)
    assert twins[0] == 50
    assert distances[0] == 0 < distances[1]


def test_distances_are_in_the_metric_of_the_label_errors():
    labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.5]])
    errors = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 7.0]])
    twins, distances = matching.doppelgangers(labels, errors, 0, np.array([1, 2]))
    np.testing.assert_array_equal(twins, [2, 1])
    np.testing.assert_allclose(distances, [1.5 / np.sqrt(50), 1 / np.sqrt(2)])
    with pytest.raises(ValueError, match="only 1 candidates"):
        matching.doppelgangers(labels, errors, 0, np.array([0, 1]))


def test_pairs_use_each_star_once_and_differ_in_the_label_alone():
    survey = made_survey()
    pairs, others = matching.match_on_inferred(survey, inferred(survey), "eu_fe")
    assert len(np.unique(np.concatenate([pairs.first, pairs.second]))) == 2 * len(pairs)
    differences = others[pairs.first] - others[pairs.second]
    assert np.all(np.abs(differences.mean(axis=0)) < 0.2 * others.std(axis=0))
    assert np.mean(pairs.contrast) > survey.label("eu_fe").std()


def test_a_prediction_that_learned_the_label_is_refused():
    survey = made_survey(n_stars=60)
    known = lux.Prediction(("fe_h", "eu_fe"), survey.labels[:, 1:], survey.label_err[:, 1:])
    with pytest.raises(ValueError, match="must not know 'eu_fe'"):
        matching.match_on_inferred(survey, known, "eu_fe")


def test_a_label_is_matched_in_the_others_however_it_is_spelled():
    survey = made_survey(n_stars=60)
    expected = matching.match_on_catalogue(survey, "eu_fe")[0]
    np.testing.assert_array_equal(matching.match_on_catalogue(survey, "[Eu/Fe]")[0].first, expected.first)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda survey: matching.match_on_catalogue(survey, "eu_fe", 2),
            "fraction=2; expected above 0 and at most 0.5",
        ),
        (lambda survey: matching.match_on_catalogue(survey, "eu_fe", 0.01), "of 60 stars gives 0 pairs"),
        (lambda survey: matching.match_on_inferred(survey[:9], inferred(survey), "eu_fe"), "60 stars are predicted"),
        (
            lambda survey: matching.match_on_catalogue(without(survey), "eu_fe"),
            "no star of the survey has label 'fe_h'",
        ),
        (lambda survey: matching.match_on_inferred(without(survey), inferred(survey), "fe_h"), "no star of the survey"),
        (lambda survey: matching.match_on_inferred(survey, inferred(survey), "[Fe/H]"), r"must not know '\[Fe/H\]'"),
    ],
)
def test_what_cannot_be_matched_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(made_survey(n_stars=60))


def without(survey):
    return survey.replace(labels=survey.labels * [np.nan, 1, 1])


def test_what_a_quadratic_of_the_others_explains_is_no_excess():
    generator = np.random.default_rng(0)
    others, own = generator.normal(size=(300, 2)), generator.normal(size=300)
    label = 1 + others[:, 0] - 2 * others[:, 0] * others[:, 1] + 3 * others[:, 1] ** 2
    label[5] = np.nan
    excess = matching.excess_label(label, others)
    np.testing.assert_allclose(excess[np.arange(300) != 5], 0, atol=1e-12)
    assert np.isnan(excess[5])
    assert np.corrcoef(matching.excess_label(label + own, others)[6:], own[6:])[0, 1] > 0.98


def test_refined_labels_leave_nothing_that_latents_or_their_products_could_explain(model, surveys):
    test = surveys[1]
    refined, plain = matching.refined_prediction(model, test), model.predict_labels(test)
    terms = np.column_stack([model.infer_latents(test), quadratic_terms(plain.labels)])
    terms = (terms - terms.mean(axis=0)) / terms.std(axis=0)
    left, before = (np.nan_to_num(test.labels - each.labels) for each in (refined, plain))
    np.testing.assert_allclose(terms.T @ left, 0, atol=1e-6 * len(test))
    assert np.max(np.abs(terms.T @ before)) > 0.01 * len(test)
    np.testing.assert_array_equal(refined.covariance, plain.covariance)
