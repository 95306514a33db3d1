"""What chapters compute for their tables: differences of predictions, folds of clusters, names of latents."""

import numpy as np
import pytest
from linear_truth import linear_survey
from lux_pages import attribution, model, real_spectra, transfer

from lux.models.prediction import Prediction
from lux.paper.subject import in_words


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
