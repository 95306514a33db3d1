"""The problem that both sides of the speed comparison solve, and the measures by which both are judged."""

import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np

LABEL_NAMES = ("teff", "logg", "fe_h", "alpha_fe", "eu_fe")
LABEL_UNITS = ("K", "dex", "dex", "dex", "dex")
LABEL_CENTRES = np.array([4700.0, 2.3, -0.2, 0.1, 0.1])
LABEL_SCATTERS = np.array([300.0, 0.6, 0.3, 0.1, 0.2])
MASKED_ERROR = 1e10


def make_problem(
    n_train: int, n_test: int, n_pixels: int, n_latents: int, strength_range: float, seed: int
) -> dict[str, np.ndarray]:
    """Draw spectra and labels that are linear in the same random latents.

    Star S/N is log-uniform in 50-300 with an error floor of 0.005, pixel errors vary by a further factor 0.8-1.25,
    one pixel in twenty is masked (flux 1, error 1e10: the public implementation's convention), label errors are
    5-10 % of the label scatter.

    Parameters
    ----------
    n_train, n_test, n_pixels, n_latents : int
        Sizes.
    strength_range : float
        Mark of the strongest latent in the spectra over that of the weakest, the others in geometric steps between.
        1 makes the best-conditioned problem of its size; real spectra have few strong directions and many weak ones.
    seed : int
        Seed of everything drawn.

    Returns
    -------
    dict of arrays
        ``flux``, ``flux_err`` (n_train, n_pixels) float32, ``labels``, ``label_err`` (n_train, 5); the same with
        the prefix ``test_`` but without labels, and the noise-free ``test_truth`` (n_test, 5).
    """
    random = np.random.default_rng(seed)
    n_stars, n_labels = n_train + n_test, len(LABEL_NAMES)
    latents = random.standard_normal((n_stars, n_latents), dtype=np.float32)
    strength = np.geomspace(1, 1 / strength_range, n_latents)
    strength *= 0.01 / np.sqrt(np.mean(strength**2))
    spectra = random.standard_normal((n_latents, n_pixels), dtype=np.float32) * strength[:, None].astype(np.float32)
    mixing = random.standard_normal((n_latents, n_labels)) / np.sqrt(n_latents)

    star_error = np.exp(random.uniform(np.log(1 / 300), np.log(1 / 50), (n_stars, 1)))
    pixel_factor = np.exp(random.uniform(np.log(0.8), np.log(1.25), n_pixels))
    flux_err = np.hypot(star_error * pixel_factor, 0.005).astype(np.float32)
    flux = 1 + latents @ spectra
    flux += flux_err * random.standard_normal(flux.shape, dtype=np.float32)
    masked = random.random(flux.shape, dtype=np.float32) < 0.05
    flux[masked], flux_err[masked] = 1, MASKED_ERROR

    truth = LABEL_CENTRES + LABEL_SCATTERS * (latents @ mixing)
    label_err = LABEL_SCATTERS * random.uniform(0.05, 0.10, truth.shape)
    labels = truth + label_err * random.standard_normal(truth.shape)
    return {
        "flux": flux[:n_train],
        "flux_err": flux_err[:n_train],
        "labels": labels[:n_train],
        "label_err": label_err[:n_train],
        "test_flux": flux[n_train:],
        "test_flux_err": flux_err[n_train:],
        "test_truth": truth[n_train:],
    }


def label_rmse(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the RMSE against the noise-free labels (N, M) in units of each label's scatter, averaged over labels."""
    return float(np.mean(np.sqrt(np.mean((predicted - truth) ** 2, axis=0)) / truth.std(axis=0)))


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux the other way also counts what the parent process held when it started this one.
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def read_arrays(path: str, prefix: str) -> dict[str, np.ndarray]:
    """Return the training (prefix "") or the held-out (prefix "test_") arrays of a stored problem.

    The two are read apart so that the held-out spectra do not count towards the peak memory of the fit.
    """
    with np.load(path) as archive:
        names = [name for name in archive.files if name.startswith("test_") == bool(prefix)]
        return {name.removeprefix(prefix): archive[name] for name in names}


def start_clean_jax():
    """Import JAX on the CPU with no compilation cache on disk, and return it with its device ready.

    Without this a second run would find the first one's compiled programs, and the fit would seem to compile faster.
    """
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    import jax

    jax.devices()
    return jax


def timed(function, *arguments):
    """Return what `function(*arguments)` returns, and its wall-clock and processor seconds (all threads) as a pair."""
    wall, processor = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, (time.perf_counter() - wall, time.process_time() - processor)


def write_result(path: str, **result) -> None:
    """Write one side's measurements as JSON."""
    Path(path).write_text(json.dumps(result))
