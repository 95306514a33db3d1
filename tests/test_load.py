"""One loader for every data set: what its names lead to, and what it refuses."""

import pytest

import lux
from lux.datasets import apogee_dr10, apogee_galah
from lux.simulation import synthetic


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("synthetic", synthetic, "make_survey"),
        ("apogee-dr10", apogee_dr10, "load_dr10"),
        ("apogee-galah", apogee_galah, "load_apogee_galah"),
    ],
)
def test_a_name_leads_to_its_loader_with_all_options(monkeypatch, name, module, function):
    monkeypatch.setattr(module, function, lambda **options: options)
    assert lux.load(name, n_stars=3, seed=1) == {"n_stars": 3, "seed": 1}


def test_unknown_data_sets_are_named():
    with pytest.raises(ValueError, match=r"unknown data set 'apogee-dr99'; expected synthetic, apogee-dr10"):
        lux.load("apogee-dr99")


def test_a_path_leads_to_its_survey_and_takes_no_options(surveys, tmp_path):
    surveys[1].save(tmp_path / "survey.h5")
    assert lux.load(tmp_path / "survey.h5").star_id.tolist() == surveys[1].star_id.tolist()
    with pytest.raises(ValueError, match="a saved survey takes no option but lazy, got n_stars, seed"):
        lux.load(tmp_path / "survey.h5", seed=1, n_stars=3)
    with pytest.raises(FileNotFoundError, match="no survey file at"):
        lux.load(tmp_path / "absent.h5")
