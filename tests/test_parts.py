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

path, chosen, out, settings = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
used, to_device = set(), blocks.to_device

def noted(tree):
    arrays = to_device(tree)
    used.update(device for array in jax.tree.leaves(arrays) for device in array.devices())
    return arrays

blocks.to_device = noted
with jax.default_device(jax.devices()[int(chosen)]) if chosen else contextlib.nullcontext():
    survey = lux.open(path)
    model = lux.Lux(**settings).fit(survey)
    prediction = model.predict_labels(survey)
np.savez(out, B=model.B_, latents=model.latents_, labels=prediction.labels)
print(json.dumps(sorted(device.id for device in used)))
"""


@pytest.fixture(scope="module")
def survey():
    """Stars for four parts of 16 blocks each."""
    return linear_survey(n_stars=1000, n_latents=4, missing=0.1)


@pytest.fixture(scope="module")
def path(survey, tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "survey.h5"
    survey.save(path)
    return path


def _on_three_devices(path, chosen=""):
    """Return what a fit gives where JAX has three devices, and which of them were used."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"
    command = [sys.executable, "-c", SCRIPT, str(path), chosen, str(path.with_suffix(".npz")), json.dumps(SETTINGS)]
    done = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as found:
        return dict(found), json.loads(done.stdout)


@pytest.mark.parametrize(("chosen", "used"), [("", [0, 1, 2]), ("2", [2])])
def test_on_several_devices_the_fit_is_the_same_to_the_last_bit(path, survey, chosen, used):
    found, devices = _on_three_devices(path, chosen)
    model = lux.Lux(**SETTINGS).fit(survey)
    prediction = model.predict_labels(survey)
    expected = {"B": model.B_, "latents": model.latents_, "labels": prediction.labels}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert devices == used


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
