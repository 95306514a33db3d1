"""A process forked after a program of JAX had run is refused at once, where it would hang; before, it works."""

import subprocess
import sys

import pytest
from linear_truth import linear_survey
from threadpoolctl import threadpool_info, threadpool_limits

import lux
from lux.models import em

SCRIPT = """
import multiprocessing
import sys
import numpy as np
import lux

def fit(seed):
    try:
        model = lux.Lux(2, max_cycles=2).fit(survey)
    except RuntimeError as error:
        return str(error)
    return f"fitted {len(model.history_)} cycles"

rng = np.random.default_rng(0)
flux = 1 - 0.1 * rng.random((30, 40))
survey = lux.Survey.from_arrays(15200 + np.arange(40.0), flux, error=np.full(flux.shape, 0.01),
                                labels=rng.random((30, 1)), label_err=np.full((30, 1), 0.1), label_names=("fe_h",))
if sys.argv[1] == "after":
    fit(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.apply_async(fit, (0,)).get(timeout=60))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "said"), [("after", "forked after a program of JAX had run"), ("before", "fitted 2 cycles")]
)
def test_a_forked_worker_works_or_is_refused_and_never_hangs(when, said):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, when], capture_output=True, text=True, timeout=120, check=False
    )
    assert said in done.stdout, done.stderr[-2000:]


def test_in_a_fit_a_product_of_numpy_takes_one_thread_and_after_it_as_many_as_before(monkeypatch):
    def threads():
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    seen, cycle = [], em._cycle
    monkeypatch.setattr(em, "_cycle", lambda *arguments: seen.append(threads()) or cycle(*arguments))
    with threadpool_limits(2, "blas"):
        before = threads()
        lux.Lux(2, max_cycles=2, tolerance=1.0).fit(linear_survey(n_stars=60, n_pixels=40, n_latents=2, n_labels=3))
        assert threads() == before
    assert set(seen) == {1}
