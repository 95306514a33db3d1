"""A chapter begins with its parameters, and has surveys and models from one place."""

import pytest

from lux.paper import setup
from lux.paper.setup import begin
from lux.paper.subject import audited_label

WINDOWS = [(15_400.0, 15_420.0)]


@pytest.fixture
def quick(tmp_path, monkeypatch):
    monkeypatch.setenv("LUX_PRODUCTS", str(tmp_path))
    monkeypatch.setenv("LUX_STORE", str(tmp_path / "store"))
    return begin("03_test", "synthetic", "quick", 1, 30, windows=WINDOWS)


def test_a_chapter_records_its_parameters(quick):
    assert quick.record.parameters == {"dataset": "synthetic", "profile": "quick", "seed": 1, "n_stars": 30}
    assert quick.quick
    assert quick.synthetic


def test_the_quick_profile_looks_at_few_pixels_and_stops_early(quick, tmp_path, monkeypatch):
    survey = quick.survey()
    assert survey.n_stars == 30
    assert survey.wavelength.min() >= 15_400.0
    assert survey.wavelength.max() <= 15_420.0
    assert quick.tolerance == 0.02
    asked = []
    small = quick.survey()
    monkeypatch.setattr(setup, "kept", lambda kind, code, parameters, compute, **options: compute())
    monkeypatch.setattr(setup, "load", lambda source, **options: asked.append((source, options)) or small)
    paper = begin("03_test", "elsewhere/stars.h5", "paper", 1, 30, windows=WINDOWS)
    assert (paper.source, paper.tolerance) == ("stars", 0.005)
    paper.survey()
    paper.world("signal", n_stars=5)
    assert asked == [
        ("elsewhere/stars.h5", {}),
        ("synthetic", {"n_stars": 5, "seed": 1, "world": "signal"}),
    ]


def test_the_default_model_is_fitted_to_the_tolerance_of_the_chapter(quick):
    survey = quick.world("shortcut")
    assert quick.model(survey, n_latents=3).tolerance == quick.tolerance
    assert quick.subject(survey) == audited_label(survey)


def test_what_one_chapter_computed_another_reads(quick, monkeypatch):
    survey = quick.world()
    fitted = quick.model(survey, n_latents=3)
    monkeypatch.setattr(setup, "load", lambda *_, **__: pytest.fail("the survey was computed again"))
    monkeypatch.setattr(setup.Lux, "fit", lambda *_: pytest.fail("the model was fitted again"))
    again = quick.model(quick.world(), n_latents=3)
    assert (again.predict_labels(survey).labels == fitted.predict_labels(survey).labels).all()


def test_a_survey_of_the_reader_that_lacks_what_a_page_needs_gives_way_with_a_remark(quick, tmp_path, monkeypatch):
    remarks = []
    monkeypatch.setattr(setup.Record, "remark", lambda self, text, **options: remarks.append(text))
    survey = quick.survey().select_labels(["teff", "fe_h"]).replace(label_names=("TEFF", "FE_H"), truth=None)
    survey.save(tmp_path / "own.h5")
    path = str(tmp_path / "own.h5")
    plain = begin("06_test", path, "quick", 1, 30, needs=["iron", "radial_velocity"])
    assert plain.survey().label_names == ("teff", "fe_h")
    assert remarks == []
    assert begin("06_test", path, "quick", 1, 30, needs=["iron", "alpha"]).dataset == "synthetic"
    assert "own has no label alpha_fe or alpha_m" in remarks[0]
