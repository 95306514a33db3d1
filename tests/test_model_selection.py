"""Cross-validation predicts every star without itself and finds the number of latents."""

import numpy as np
import pytest
from linear_truth import linear_survey

from lux.models import baselines, model_selection
from lux.models.model_selection import cross_validate, folds_by_group, folds_by_star


def test_cross_validation_predicts_every_star_without_itself(surveys):
    survey = surveys[1]
    seen = []

    def remember(train, test):
        assert not set(train.star_id) & set(test.star_id)
        seen.extend(test.star_id)
        return {"mean": baselines.Mean().fit(train).predict_labels(test)}

    for folds in (folds_by_star(survey, 4), folds_by_group(survey, "group")):
        seen.clear()
        prediction = cross_validate(survey, folds, remember)["mean"]
        assert sorted(seen) == sorted(survey.star_id)
        assert np.all(np.isfinite(prediction.labels))
    with pytest.raises(ValueError, match=r"is in 0 folds; each star must be in one"):
        cross_validate(survey, iter([np.arange(survey.n_stars) > 3]), remember)
    with pytest.raises(ValueError, match=r"no column 'cluster'; it has group"):
        list(folds_by_group(survey))


@pytest.mark.slow
def test_cross_validation_finds_that_too_few_latents_lose_labels():
    survey = linear_survey(n_stars=500, scatter=np.where(np.arange(300) % 2 == 0, 0.04, 0.0))
    scores = model_selection.score_latent_numbers(survey, (1, 2, 4), n_folds=2, tolerance=0.05)
    assert model_selection.best_latent_number(scores) == 4
    assert np.all(scores[4] < scores[1])
    assert np.all(scores[4] < 1.3)


@pytest.mark.parametrize("n_folds", [0, 1, 99999])
def test_folds_that_hold_nobody_out_are_refused(surveys, n_folds):
    with pytest.raises(ValueError, match=rf"n_folds must be from 2 to the number of stars.*got {n_folds}"):
        next(folds_by_star(surveys[0], n_folds))


def test_stars_that_are_in_no_group_are_no_fold(surveys):
    clusters = np.where(np.arange(len(surveys[0])) % 3 == 0, "", "M 67")
    with pytest.raises(ValueError, match="no value for some stars, which would be a group"):
        next(folds_by_group(surveys[0].replace(catalogue={"cluster": clusters})))
