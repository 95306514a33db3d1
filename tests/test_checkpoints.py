"""A fit that is interrupted goes on to the result that it would have had, or says why it cannot."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from linear_truth import errors_apart, linear_survey

import lux
from lux.models import checkpoints, em, parts, starts

LATENTS = {"n_latents": 4, "max_cycles": 12, "tolerance": 1e-9, "block_size": 64, "progress": False}
pytestmark = pytest.mark.filterwarnings("ignore:Lux did not converge")
KILLED = """
import os, signal, sys, warnings
import numpy as np
from linear_truth import linear_survey
import lux
from lux.models import checkpoints
warnings.simplefilter("ignore")
checkpoints._SECONDS, whole, written = 0, np.savez, []
def savez(file, **arrays):
    written.append(file)
    if len(written) == 5:
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole(file, **arrays)
np.savez = savez
lux.Lux(**{LATENTS}).fit(linear_survey(n_stars=300), checkpoint=sys.argv[1])
"""


@pytest.fixture(scope="module")
def survey():
    return linear_survey(n_stars=300)


@pytest.fixture(scope="module")
def uninterrupted(survey):
    return lux.Lux(**LATENTS).fit(survey)


def interrupted(survey, path, monkeypatch, cycle=7, **changes):
    """Fit with a checkpoint after every cycle, and stop in the middle of one."""
    whole = em._cycle

    def stopping(fitted, state):
        if len(state.history) == cycle:
            raise KeyboardInterrupt
        return whole(fitted, state)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "_SECONDS", 0)
        patched.setattr(em, "_cycle", stopping)
        with pytest.raises(KeyboardInterrupt):
            lux.Lux(**LATENTS | changes).fit(survey, checkpoint=path)


def assert_same_fit(one, other, survey):
    assert len(one.history_) == len(other.history_)
    np.testing.assert_allclose(one.history_, other.history_, rtol=1e-6)
    assert one.movement_ == pytest.approx(other.movement_, rel=1e-3)
    assert errors_apart(one.predict_labels(survey), other.predict_labels(survey), survey) < 1e-4


@pytest.mark.parametrize("changes", [{}, {"algorithm": "als", "start": "labels"}])
def test_an_interrupted_fit_goes_on_to_the_same_result(survey, tmp_path, monkeypatch, changes):
    path = tmp_path / "fit.npz"
    interrupted(survey, path, monkeypatch, **changes)
    cycles = []
    monkeypatch.setattr(em, "_cycle", lambda *given, whole=em._cycle: cycles.append(0) or whole(*given))
    again = lux.Lux(**LATENTS | changes).fit(survey, checkpoint=path)
    assert len(cycles) == 12 - 7
    assert_same_fit(again, lux.Lux(**LATENTS | changes).fit(survey), survey)


def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(survey, uninterrupted, tmp_path):
    path = tmp_path / "fit.npz"
    code = KILLED.replace("{LATENTS}", repr(LATENTS))
    folders = {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code, path], env={**os.environ, **folders}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert np.load(path)["history"].size == 4
    assert_same_fit(lux.Lux(**LATENTS).fit(survey, checkpoint=path), uninterrupted, survey)


def test_a_finished_fit_is_read_and_goes_on_where_more_is_asked(survey, uninterrupted, tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    lux.Lux(**LATENTS | {"max_cycles": 8}).fit(survey, checkpoint=path)
    assert_same_fit(lux.Lux(**LATENTS).fit(survey, checkpoint=path), uninterrupted, survey)
    monkeypatch.setattr(em, "_cycle", None)
    assert_same_fit(lux.Lux(**LATENTS).fit(survey, checkpoint=path), uninterrupted, survey)


def test_a_checkpoint_of_another_fit_is_refused_and_kept(survey, tmp_path):
    path = tmp_path / "fit.npz"
    lux.Lux(**LATENTS | {"max_cycles": 2}).fit(survey, checkpoint=path)
    content = path.read_bytes()
    others = {
        "settings": (lux.Lux(**LATENTS | {"omega": 2.0}), survey),
        "labels": (lux.Lux(**LATENTS), survey.replace(labels=survey.labels + 0.01)),
        "spectra": (lux.Lux(**LATENTS), survey.replace(flux=survey.flux + 0.01)),
    }
    moved = (
        lux.Lux(**LATENTS),
        survey.replace(flux=np.roll(survey.flux, 1, axis=0), ivar=np.roll(survey.ivar, 1, axis=0)),
    )
    for what, (model, other) in (*others.items(), ("spectra", moved)):
        with pytest.raises(ValueError, match=rf"fit.npz is of a fit with other {what}; give this one another path"):
            model.fit(other, checkpoint=path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"fit.npz cannot be read as a checkpoint .* remove it to begin anew"):
        lux.Lux(**LATENTS).fit(survey, checkpoint=path)
    for save in (lux.Lux(**LATENTS).fit(survey).save, survey.save):
        path.unlink()
        save(path)
        with pytest.raises(ValueError, match=r"as a checkpoint; it holds something else: give another path"):
            lux.Lux(**LATENTS).fit(survey, checkpoint=path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        lux.Lux(**LATENTS).fit(survey, checkpoint=tmp_path / "absent" / "fit.npz")


def test_a_folder_in_which_nothing_can_be_written_is_told_before_the_fit(survey, tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoints.tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(em, "_cycle", None)
    with pytest.raises(PermissionError, match=r"checkpoint in .*: Permission denied; give a path where you may write"):
        lux.Lux(**LATENTS).fit(survey, checkpoint=tmp_path / "fit.npz")


def test_a_full_disk_is_named_and_what_was_written_before_stands(survey, uninterrupted, tmp_path, monkeypatch):
    path, whole = tmp_path / "fit.npz", np.savez

    def full(file, **arrays):
        if len(arrays["history"]) > 4:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(file, **arrays)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "_SECONDS", 0)
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match=r"fit.npz: No space left on device; what was written before stands"):
            lux.Lux(**LATENTS).fit(survey, checkpoint=path)
    assert [each.name for each in tmp_path.iterdir()] == ["fit.npz"]
    assert_same_fit(lux.Lux(**LATENTS).fit(survey, checkpoint=path), uninterrupted, survey)


def test_spectra_of_a_few_stars_exchanged_are_other_spectra(survey, tmp_path):
    # Means, and all stars but two, are the same to the last bit.
    order = np.arange(survey.n_stars)
    order[[101, 102]] = 102, 101
    exchanged = survey.replace(flux=survey.flux[order], ivar=survey.ivar[order])
    lux.Lux(**LATENTS).fit(exchanged, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="is of a fit with other spectra; give this one another path"):
        lux.Lux(**LATENTS).fit(survey, checkpoint=tmp_path / "fit.npz")


def test_a_survey_opened_or_in_blocks_of_another_length_has_the_same_checksums(survey, tmp_path):
    survey.save(tmp_path / "survey.h5")
    found = [
        starts.pixel_means(parts.LocalParts(each, length), with_checksums=True)[2]
        for each in (survey, lux.open(tmp_path / "survey.h5"))
        for length in (16, 300)
    ]
    assert len(np.unique(found[0])) == survey.n_stars
    assert all(np.array_equal(each, found[0]) for each in found)
    assert not len(starts.pixel_means(parts.LocalParts(survey, 64))[2])
