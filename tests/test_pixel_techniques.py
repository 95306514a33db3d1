"""Of a model the techniques see what it reads, and of a layer what it holds of europium beyond the other labels."""

import numpy as np
import pytest

import lux
from lux.auditing import measurements
from lux.controls import pixel_techniques
from lux.controls.ensemble import CANDIDATE_LINES, LABEL, WINDOWS
from lux.controls.pixel_techniques import PIXEL_TECHNIQUES, TOLD, measure_pixel_techniques
from lux.simulation.synthetic import make_survey


@pytest.fixture(scope="module")
def stars():
    """Training and test stars whose spectra are the surroundings of the three lines."""
    windows = [window for window in WINDOWS if any(window[0] < line < window[1] for line in CANDIDATE_LINES)]
    return make_survey(160, 3, wavelength_range=windows).split(0.4, seed=0)


class Reader:
    """A model that sums the depths of the pixels, (D,) weights each."""

    def __init__(self, weight):
        self.weight = weight

    def predict_labels(self, survey):
        labels = np.where(survey.ivar > 0, 1 - survey.flux, 0) @ self.weight
        return lux.Prediction((LABEL,), labels[:, None], np.full((len(labels), 1), np.nan))

    def gradient(self, survey, label):
        return np.where(survey.ivar > 0, -self.weight, 0)


@pytest.mark.slow
def test_a_model_that_reads_the_lines_is_seen_by_all_that_are_told_them_and_one_that_reads_all_pixels_by_none(stars):
    train, test = stars
    _, near = measurements.locate(train.wavelength, CANDIDATE_LINES)
    everywhere = 0.1 * np.random.default_rng(0).normal(size=len(near))
    reads_all, reads_lines = (
        measure_pixel_techniques(Reader(weight), train.labels, test.labels, train, test, 0)
        for weight in (everywhere, near + everywhere)
    )
    assert set(reads_lines) == set(PIXEL_TECHNIQUES)
    for name in set(TOLD) - {"shap"}:
        assert reads_all[name] < 3 < 30 < reads_lines[name], name
    assert reads_all["shap"] < 0.5 < reads_lines["shap"] < 1


def test_a_layer_that_holds_no_more_than_the_other_labels_has_nothing_left_when_they_are_erased(stars, monkeypatch):
    monkeypatch.setattr(pixel_techniques, "_of_pixels", lambda *_: {})
    others = [np.delete(each.labels, each.label_index(LABEL), axis=1) for each in stars]
    with_europium, without = (
        measure_pixel_techniques(None, *layers, *stars, seed=0) for layers in ([each.labels for each in stars], others)
    )
    assert with_europium["probe"] > 0.9
    assert with_europium["kernel_probe"] > 0.8
    assert with_europium["leace"] > 0.4
    assert 0.1 < without["probe"] < 0.9
    assert without["leace"] < 0.1
