"""The store keeps what several chapters need, and never serves what another source would compute."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import lux
from lux.models.lux import Lux
from lux.store import products as store
from lux.survey import Survey

SOURCE = Path(lux.__file__).parent
SURVEY, MODEL = "from lux.simulation.synthetic import make_survey", "from lux.models.lux import Lux"
WORLDS = "from lux.controls.techniques import measure"
# A definition, and which of the three products its change must make anew.
CHANGES = {
    "simulation/synthesis.py:synthesize": {SURVEY, WORLDS},
    "simulation/population.py:draw_stars": {SURVEY, WORLDS},
    "simulation/observation.py:draw_noise": {SURVEY, WORLDS},
    "spectroscopy/lines.py:load_lines": {SURVEY, WORLDS},
    "models/em.py:fit": {MODEL, WORLDS},
    "models/e_step.py:infer": {MODEL, WORLDS},
    "models/normal_equations.py:packed_products": {MODEL, WORLDS},
    "auditing/audit.py:_audited": {WORLDS},
    "diagnostics/saliency.py:backward_map": {WORLDS},
    "diagnostics/transfer.py:compare": set(),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LUX_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture(scope="module")
def survey():
    return lux.load("synthetic", n_stars=40, wavelength_range=(16100, 16140))


@pytest.mark.slow
@pytest.mark.parametrize("place", CHANGES)
def test_a_changed_definition_makes_anew_what_depends_on_it_and_nothing_else(place, tmp_path):
    copy = tmp_path / "lux"
    shutil.copytree(SOURCE, copy)
    module, name = place.split(":")
    before = {code: store.product_key(code, {}, SOURCE) for code in (SURVEY, MODEL, WORLDS)}
    text = (copy / module).read_text()
    head, body = text.split(f"def {name}(", 1)
    end = body.index('"""', body.index('"""') + 3) + 3
    (copy / module).write_text(f"{head}def {name}({body[:end]}\n    pass\n{body[end:]}")
    after = {code: store.product_key(code, {}, copy) for code in before}
    assert {code for code in before if before[code] != after[code]} == CHANGES[place]


def test_a_kept_survey_is_the_computed_one_to_the_last_bit(survey, folder):
    calls = []

    def compute():
        calls.append(1)
        return survey

    first = store.kept(Survey, SURVEY, {"n_stars": 40}, compute)
    again = store.kept(Survey, SURVEY, {"n_stars": 40}, compute)
    assert len(calls) == 1
    assert first.digest() == again.digest()
    assert (again.truth.world, again.provenance) == (survey.truth.world, survey.provenance)
    store.kept(Survey, SURVEY, {"n_stars": 41}, compute)
    assert len(calls) == 2


def test_a_kept_model_predicts_what_the_fitted_one_does(survey, folder):
    fitted = Lux(3, max_cycles=5, tolerance=1.0).fit(survey)
    store.kept(Lux, MODEL, {"survey": survey.digest()}, lambda: fitted)
    again = store.kept(Lux, MODEL, {"survey": survey.digest()}, lambda: 1 / 0)
    np.testing.assert_array_equal(again.predict_labels(survey).labels, fitted.predict_labels(survey).labels)


def test_a_corrupt_product_is_made_anew_with_a_warning(survey, folder):
    store.kept(Survey, SURVEY, {}, lambda: survey)
    (path,) = folder.glob("survey-*[!k]")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="cannot be read"):
        again = store.kept(Survey, SURVEY, {}, lambda: survey)
    assert again.n_stars == survey.n_stars
    assert store.kept(Survey, SURVEY, {}, lambda: 1 / 0).n_stars == survey.n_stars


def test_a_failed_computation_leaves_nothing(folder):
    with pytest.raises(ZeroDivisionError):
        store.kept(Survey, SURVEY, {}, lambda: 1 / 0)
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]


def test_what_was_not_used_for_longest_goes_when_the_folder_is_full(survey, folder, monkeypatch):
    for number in range(3):
        store.kept(Survey, SURVEY, {"number": number}, lambda: survey)
    size = max(path.stat().st_size for path in folder.glob("survey-*[!k]"))
    monkeypatch.setattr(store, "_MAX_BYTES", int(2.5 * size))
    store.kept(Survey, SURVEY, {"number": 0}, lambda: 1 / 0)
    store.kept(Survey, SURVEY, {"number": 3}, lambda: survey)
    assert len(list(folder.glob("survey-*[!k]"))) == 2
    store.kept(Survey, SURVEY, {"number": 0}, lambda: 1 / 0)


def test_a_file_that_another_process_removes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "old").write_text("x")
    (tmp_path / "gone").write_text("x")
    look = Path.stat

    def stat(path, **options):
        if path.name == "gone":
            raise FileNotFoundError(path)
        return look(path, **options)

    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(store, "_MAX_BYTES", 0)
    store._remove_least_used(tmp_path)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["gone"]
