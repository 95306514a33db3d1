"""The audit is calibrated on everything that can be planted, told the lines and blind, at every size."""

import numpy as np
import pytest

from lux.auditing.report import VERDICTS
from lux.controls import calibration
from lux.simulation.worlds import Artefact, Proxy, Shortcut, Signal


def test_verdicts_are_counted_by_generator_size_and_what_is_planted(monkeypatch, tmp_path):
    monkeypatch.setenv("LUX_STORE", str(tmp_path))
    asked = []

    def verdicts(generator, n_stars, planted, number, first_seed, spectra, resampled):
        assert not resampled
        asked.append((generator, n_stars, planted, first_seed + number))
        return ("known", "guessed") if number else ("known", "proxy")

    monkeypatch.setattr(calibration, "_verdicts", verdicts)
    rows = calibration.calibrate(2, 70, None, n_jobs=1)
    assert len(rows) == 2 * 3 * len(calibration.RIGHT) * 2
    assert len(asked) == len(set(asked)) == 2 * 3 * (2 * len(calibration.RIGHT) + 2)
    wanted = ("physical", 500, "nothing")
    first, second = (row for row in rows if (row["generator"], row["n_stars"], row["planted"]) == wanted)
    assert first["told"]
    assert first["verdicts"] == {"known": 4}
    some = calibration.calibrate(2, 70, None, n_jobs=1, sizes=(40,), kinds=("proxy",))
    assert [(row["n_stars"], row["planted"], sum(row["verdicts"].values())) for row in some] == [(40, "proxy", 2)] * 4
    assert second["verdicts"] == {"proxy": 1, "guessed": 3}


def test_surveys_that_were_audited_before_a_failure_are_not_audited_again(monkeypatch, tmp_path):
    asked = []

    def verdicts(generator, n_stars, planted, number, first_seed, spectra, resampled):
        asked.append(n_stars)
        if n_stars == 20 and asked.count(20) == 1:
            raise OSError("interrupted")
        return "guessed", "guessed"

    monkeypatch.setattr(calibration, "_verdicts", verdicts)
    monkeypatch.setenv("LUX_STORE", str(tmp_path))
    options = {"n_jobs": 1, "sizes": (40, 20), "kinds": ("proxy",)}
    with pytest.raises(OSError, match="interrupted"):
        calibration.calibrate(1, 70, None, **options)
    calibration.calibrate(1, 70, None, **options)
    assert asked == [40, 40, 20, 20, 20]


def test_each_world_is_what_its_name_says_and_lines_of_a_significance_are_weaker_in_more_stars():
    worlds = {name: calibration._world(name, 2400) for name in calibration.RIGHT}
    assert isinstance(worlds["nothing"], Shortcut)
    assert not worlds["nothing"].also
    assert worlds["lines at 5σ"].depth == pytest.approx(calibration.DEPTH_OF_FIVE_SIGMA / 2)
    assert isinstance(worlds["lines and artefact"], Signal)
    assert isinstance(worlds["lines and artefact"].also[0], Artefact)
    assert isinstance(worlds["proxy"].also[0], Proxy)
    right = {verdict for pair in calibration.RIGHT.values() for verdicts in pair for verdict in verdicts}
    assert right == set(VERDICTS)


def test_resampled_spectra_have_noise_that_neighbors_share_and_smaller_errors(surveys_with_scatter):
    survey = surveys_with_scatter[0]
    noise = np.random.default_rng(1).normal(size=survey.flux.shape) / np.sqrt(np.where(survey.ivar > 0, survey.ivar, 1))
    resampled = calibration.resampled_twice(survey.replace(flux=1 + noise), 0)
    good = resampled.ivar > 0
    scaled = np.where(good, (resampled.flux - 1) * np.sqrt(resampled.ivar), 0)
    assert good.mean() > 0.8
    assert np.std(scaled[good]) == pytest.approx(1, abs=0.15)
    assert np.mean(scaled[:, 1:] * scaled[:, :-1]) > 0.2
    assert np.median(resampled.ivar[good]) > 1.2 * np.median(survey.ivar[survey.ivar > 0])


def test_a_survey_is_audited_with_and_without_its_lines():
    about = "physical", 500, "lines and proxy", 0, 3, None
    assert calibration._verdicts(*about) == ("known", "proxy")
    assert calibration._verdicts(*about, resampled=True) == ("known", "proxy")
