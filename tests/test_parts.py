"""Parts of a survey: the fit is the same on however many devices they are worked on."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from linear_truth import linear_survey

import lux
from lux.models.parts import LocalParts

SETTINGS = {"n_latents": 4, "block_size": 16, "max_cycles": 4, "progress": False}
SCRIPT = """
import contextlib, json, sys
import jax, numpy as np
import lux
from lux.models import blocks

folder, settings = sys.argv[1], json.loads(sys.argv[2])
used, to_device = set(), blocks.to_device

def noted(tree):
    arrays = to_device(tree)
    used.update(device.id for array in jax.tree.leaves(arrays) for device in array.devices())
    return arrays

blocks.to_device = noted
devices = {}
for name, chosen in (("all", contextlib.nullcontext()), ("third", jax.default_device(jax.devices()[2]))):
    used.clear()
    with chosen:
        survey = lux.open(f"{folder}/survey.h5")
        model = lux.Lux(**settings).fit(survey)
        labels = model.predict_labels(survey).labels
    np.savez(f"{folder}/{name}.npz", B=model.B_, latents=model.latents_, labels=labels)
    devices[name] = sorted(used)
print(json.dumps(devices))
"""


@pytest.fixture(scope="module")
def survey():
    """Stars for four parts of 16 blocks each."""
    return linear_survey(n_stars=1000, n_latents=4, missing=0.1)


@pytest.fixture(scope="module")
def expected(survey):
    """What a fit gives on one device."""
    return _found(survey)


def _found(survey):
    model = lux.Lux(**SETTINGS).fit(survey)
    return {"B": model.B_, "latents": model.latents_, "labels": model.predict_labels(survey).labels}


def _require_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_parts_that_are_worked_on_at_once_are_summed_in_their_order(monkeypatch, survey, expected):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1] * 3)
    _require_same(_found(survey), expected)


@pytest.mark.slow
def test_on_several_devices_the_fit_is_the_same_to_the_last_bit(tmp_path, survey, expected):
    survey.save(tmp_path / "survey.h5")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(SETTINGS)]
    done = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"all": [0, 1, 2], "third": [2]}
    for name in ("all", "third"):
        with np.load(tmp_path / f"{name}.npz", allow_pickle=False) as found:
            _require_same(dict(found), expected)


def test_a_failure_on_one_of_several_devices_is_raised(monkeypatch, survey):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1] * 2)
    local = LocalParts(survey, block_size=16)

    def fails_in_the_third(part):
        if part.rows.start == 2 * local.rows[0].stop:
            raise OSError("the disk is gone")
        return np.array(part.n_stars), part.rows.start

    with pytest.raises(OSError, match="the disk is gone"):
        local.run(fails_in_the_third)
    assert local.run(lambda part: (np.array(part.n_stars), part.rows.start)) == (1000, [0, 256, 512, 768])
