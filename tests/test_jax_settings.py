"""A process forked after a program of JAX had run is refused at once, where it would hang; before, it works."""

import subprocess
import sys
import threading

import pytest
from linear_truth import linear_survey
from threadpoolctl import threadpool_info, threadpool_limits

import lux
from lux.jax_settings import one_blas_thread
from lux.models import em, label_inference

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


def blas_threads():
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


@pytest.fixture
def two_threads():
    """NumPy's products take two threads, where they can be told to."""
    with threadpool_limits(2, "blas"):
        if blas_threads() != 2:
            pytest.skip("the threads of this library of linear algebra cannot be set")
        yield


def test_in_a_fit_and_a_prediction_a_product_of_numpy_takes_one_thread_and_after_it_two(two_threads, monkeypatch):
    seen = []

    def watched(function):
        return lambda *arguments: seen.append(blas_threads()) or function(*arguments)

    survey = linear_survey(n_stars=60, n_pixels=40, n_latents=2, n_labels=3)
    monkeypatch.setattr(em, "_cycle", watched(em._cycle))
    model = lux.Lux(2, max_cycles=2, tolerance=1.0).fit(survey)
    assert (set(seen), blas_threads()) == ({1}, 2)
    seen.clear()
    monkeypatch.setattr(label_inference, "_coefficient_variance", watched(label_inference._coefficient_variance))
    model.predict_labels(survey)
    assert (set(seen), blas_threads()) == ({1}, 2)


def test_a_fit_that_fails_gives_the_threads_back(two_threads, monkeypatch):
    monkeypatch.setattr(em, "_cycle", None)
    with pytest.raises(TypeError):
        lux.Lux(2).fit(linear_survey(n_stars=60, n_pixels=40, n_latents=2, n_labels=3))
    assert blas_threads() == 2


def test_fits_that_overlap_in_two_threads_leave_as_many_as_they_found(two_threads):
    """The first to enter leaves first: what the second one found was the first one's limit."""
    entered, left = threading.Event(), threading.Event()

    def second():
        with one_blas_thread():
            entered.set()
            left.wait(60)

    other = threading.Thread(target=second)
    with one_blas_thread():
        other.start()
        assert entered.wait(60)
        assert blas_threads() == 1
    left.set()
    other.join()
    assert blas_threads() == 2
