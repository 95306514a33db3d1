"""Surveys and models that several files share. Each is made once in a process, and no test changes it."""

import os
from pathlib import Path

import pytest
import threadpoolctl

# What is heavy is imported where it is used: the process that hands out tests, and waits, needs none of it.

# Tests run side by side, and threads of small problems stand in each other's way: one thread for each process.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A program that one process has compiled, now or in an earlier run, is read by the others: the half of the time of what
# trains networks. The files are locked, since they have a largest size in all. JAX reads this when it is imported.
PROGRAMS = {
    "jax_compilation_cache_dir": str(Path(__file__).resolve().parents[1] / "_build" / "test-programs"),
    "jax_compilation_cache_max_size": 1 << 30,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
for name, value in PROGRAMS.items():
    os.environ.setdefault(name.upper(), str(value))


# Files of one test that takes minutes: begun first, so that no process waits for them at the end.
LONGEST = ("test_whole_paper", "test_model_trial")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the longest, in whatever order the others are."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_collection_finish():
    """Keep to one thread in libraries that were loaded before the environment said so."""
    threadpoolctl.threadpool_limits(1)


@pytest.fixture(scope="session")
def surveys():
    """Training and test stars drawn from a Lux model of five latents; one in twenty labels is missing."""
    from linear_truth import linear_survey

    return linear_survey(n_stars=700, n_latents=5, n_labels=4, missing=0.05, seed=3).split(0.4, seed=0)


@pytest.fixture(scope="session")
def model(surveys):
    """Lux with five latents, fitted to the training stars of `surveys`."""
    import lux

    return lux.Lux(5, tolerance=1e-3).fit(surveys[0])


@pytest.fixture(scope="session")
def shortcut():
    """The 256 synthetic stars of seed 5 on the whole grid, without a europium line."""
    from lux.simulation.synthetic import make_survey

    return make_survey(256, 5)


@pytest.fixture(scope="session")
def surveys_with_scatter():
    """Training and test stars of four latents; every fourth pixel has scatter, one label in ten is missing."""
    import numpy as np
    from linear_truth import linear_survey

    scatter = np.where(np.arange(300) % 4 == 0, 0.03, 0.0)
    return linear_survey(n_stars=600, missing=0.1, scatter=scatter).split(0.3, seed=1)


@pytest.fixture(scope="session")
def converged_model(surveys_with_scatter):
    """Lux with four latents, fitted to the training stars of `surveys_with_scatter` until it stands still."""
    from linear_truth import TIGHT

    import lux

    return lux.Lux(4, **TIGHT).fit(surveys_with_scatter[0])


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A small archive of the two surveys on disk, which no test changes."""
    from fixture_archive import FixtureArchive, make_fixture_survey

    survey = make_fixture_survey(46)
    return FixtureArchive(tmp_path_factory.mktemp("archive"), survey)


@pytest.fixture
def server(published, monkeypatch):
    """A server of that archive on loopback, which the environment names."""
    from fixture_archive import ArchiveServer

    with ArchiveServer(published.folder).running() as server:
        for name, value in server.urls.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def bench_spectra():
    """A generator fitted to simulated spectra in place of genuine ones."""
    from lux.controls.ensemble import WINDOWS
    from lux.simulation.empirical import fit_empirical
    from lux.simulation.synthetic import make_survey

    survey = make_survey(150, 3, release="dr10", wavelength_range=WINDOWS)
    labels = survey.select_labels(("teff", "logg", "fe_h", "alpha_fe"))
    return fit_empirical(labels.replace(label_names=("teff", "logg", "m_h", "alpha_m"), truth=None))


@pytest.fixture
def small_bench(bench_spectra, monkeypatch):
    """The bench with small surveys."""
    from lux.controls import bench

    monkeypatch.setattr(bench, "N_STARS", 120)
    monkeypatch.setattr(bench, "bench_spectra", lambda: bench_spectra)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; in CI its absence, or that of the site, is a failure and no reason to skip."""
    from built_paper import SITE
    from machinery.site import chromium

    missing = []
    if chromium() is None:
        missing.append("Chromium is not installed (Debian: apt-get install chromium)")
    if not (SITE / "index.html").exists():
        missing.append("there is no built site (make paper)")
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(missing))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield running
        running.close()
