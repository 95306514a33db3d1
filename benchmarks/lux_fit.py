"""Fit `lux.Lux` to a stored problem, as `pollux_fit.py` does with the public implementation."""

import argparse

import numpy as np
from problem import (
    LABEL_NAMES,
    LABEL_UNITS,
    MASKED_ERROR,
    label_rmse,
    peak_memory_mb,
    read_arrays,
    start_clean_jax,
    timed,
    write_result,
)

jax = start_clean_jax()
import lux  # noqa: E402


def with_ivar(arrays: dict) -> dict:
    """Return the arrays with inverse variances in place of errors: the convention of `lux`, as memory holds it."""
    errors = arrays.pop("flux_err")
    masked = errors == np.float32(MASKED_ERROR)
    return arrays | {"ivar": np.where(masked, np.float32(0), errors**-2)}


def as_survey(arrays: dict) -> lux.Survey:
    """Return a survey on an APOGEE-like grid; stars without labels get NaN."""
    n_stars, n_pixels = arrays["flux"].shape
    missing = np.full((n_stars, len(LABEL_NAMES)), np.nan)
    return lux.Survey(
        wavelength=10 ** (4.179 + 6e-6 * np.arange(n_pixels)),
        flux=arrays["flux"],
        ivar=arrays["ivar"],
        labels=arrays.get("labels", missing),
        label_err=arrays.get("label_err", missing),
        label_names=LABEL_NAMES,
        label_units=LABEL_UNITS,
    )


def fit(arrays: dict, options: argparse.Namespace) -> lux.Lux:
    """Return a fitted model, from arrays in memory; the fitted arrays are finished, not promised."""
    model = lux.Lux(n_latents=options.latents, fit_scatter=options.scatter).fit(as_survey(arrays))
    if options.shrunk:
        model = model.shrunk()
    jax.block_until_ready((model.A_, model.B_, model.latents_, model.scatter_))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem")
    parser.add_argument("result")
    parser.add_argument("--latents", type=int, default=21)
    parser.add_argument("--scatter", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--shrunk", action="store_true", help="without the noise in the flux loadings")
    parser.add_argument("--fits", type=int, default=1)
    options = parser.parse_args()

    baseline = peak_memory_mb()
    arrays = with_ivar(read_arrays(options.problem, ""))
    model, first = timed(fit, arrays, options)
    peak = peak_memory_mb()
    test = with_ivar(read_arrays(options.problem, "test_"))
    rmse = label_rmse(np.asarray(model.predict_labels(as_survey(test)).labels), test["truth"])
    again = [timed(fit, arrays, options)[1][0] for _ in range(options.fits - 1)]
    write_result(
        options.result, seconds=[first[0], *again], cpu_seconds=first[1], peak_mb=peak, baseline_mb=baseline,
        rmse=rmse, versions={"lux": lux.__version__, "jax": jax.__version__},
    )  # fmt: skip


if __name__ == "__main__":
    main()
