"""Fit the public implementation, PyPI `pollux`, to a stored problem; runs under an interpreter that has it.

Its documented route for spectra: outputs shifted and scaled, joint MAP of everything by Adam (`optimize`), or exact
alternating least squares (`optimize_iterative`); new stars by the closed-form latent solve from flux alone.
"""

import argparse
import time
import warnings

from problem import label_rmse, peak_memory_mb, read_arrays, start_clean_jax, timed, write_result

jax = start_clean_jax()
import jax.numpy as jnp  # noqa: E402
import numpyro  # noqa: E402
import pollux  # noqa: E402
from numpyro.infer import SVI, Trace_ELBO  # noqa: E402
from numpyro.infer.autoguide import AutoDelta  # noqa: E402
from pollux.data import OutputData, PolluxData, ShiftScalePreprocessor  # noqa: E402


def packed(arrays: dict) -> PolluxData:
    """Return training arrays as pollux wants them: shifted and scaled by their own mean and scatter."""
    outputs = {}
    for name, values, errors in (("flux", "flux", "flux_err"), ("label", "labels", "label_err")):
        data = jnp.asarray(arrays[values], jnp.float32)
        outputs[name] = OutputData(
            data, err=jnp.asarray(arrays[errors], jnp.float32), preprocessor=ShiftScalePreprocessor.from_data(data)
        )
    return PolluxData(**outputs)


def new_model(data: PolluxData, options: argparse.Namespace):
    return pollux.Lux(
        latent_size=options.latents,
        label_size=data["label"].data.shape[1],
        flux_size=data["flux"].data.shape[1],
        intrinsic_scatter=None if options.scatter else False,
    )


def optimizer(options: argparse.Namespace):
    """Return Adam, at a constant step or at one that falls along a cosine to a hundredth over the run."""
    if not options.anneal:
        return numpyro.optim.Adam(options.step_size)
    return numpyro.optim.Adam(
        lambda step: options.step_size * (0.01 + 0.99 * 0.5 * (1 + jnp.cos(jnp.pi * step / options.steps)))
    )


def fit(arrays: dict, options: argparse.Namespace):
    """Return the packed data, the model and its fitted parameters, from arrays in memory."""
    data = packed(arrays)
    model = new_model(data, options)
    processed = data.preprocess()
    if options.method == "adam":
        parameters, _ = model.optimize(
            processed, options.steps, jax.random.PRNGKey(0), optimizer=optimizer(options), progress=False
        )
    else:
        parameters = alternate(model, processed, options.steps, options).params
    return data, model, jax.block_until_ready(parameters)


def alternate(model, processed: PolluxData, cycles: int, options: argparse.Namespace, start: dict | None = None):
    err_block = {"flux:err": {"num_steps": 100, "optimizer_kwargs": {"step_size": 1e-2}}} if options.scatter else None
    return model.optimize_iterative(
        processed, max_cycles=cycles, rng_key=jax.random.PRNGKey(0), initial_params=start, progress=False,
        block_options=err_block,
    )  # fmt: skip


def held_out_rmse(path: str, data: PolluxData, model, parameters: dict) -> float:
    """Return the label RMSE of the held-out stars, whose latents are solved for from flux alone."""
    test = read_arrays(path, "test_")
    flux = OutputData(
        jnp.asarray(test["flux"]), err=jnp.asarray(test["flux_err"]), preprocessor=data["flux"].preprocessor
    )
    solved = model.optimize_iterative(
        PolluxData(flux=flux).preprocess(), blocks=["latents"], fixed_pars=model.output_pars(parameters),
        max_cycles=1, progress=False,
    )  # fmt: skip
    scaled = model.predict_outputs(solved.params, names="label")["label"]
    return label_rmse(data["label"].preprocessor.inverse_transform(scaled), test["truth"])


def trace(path: str, arrays: dict, options: argparse.Namespace) -> list[dict]:
    """Return seconds and held-out RMSE along one fit, every `options.trace_every` steps (Adam) or cycles.

    Seconds leave the scoring out. For Adam this is `optimize` taken apart, since that method returns only at its end.
    """
    start = time.perf_counter()
    data = packed(arrays)
    model = new_model(data, options)
    processed = data.preprocess()
    advance = adam_in_pieces if options.method == "adam" else cycles_in_pieces
    pieces, rows, spent = advance(model, processed, options), [], 0.0
    for steps, parameters in pieces:
        spent += time.perf_counter() - start
        rows.append({"steps": steps, "seconds": spent, "rmse": held_out_rmse(path, data, model, parameters)})
        print(rows[-1], flush=True)
        start = time.perf_counter()
    return rows


def adam_in_pieces(model, processed: PolluxData, options: argparse.Namespace):
    guide = AutoDelta(model.default_numpyro_model)
    svi = SVI(model.default_numpyro_model, guide, optimizer(options), Trace_ELBO())
    state = svi.init(jax.random.PRNGKey(0), processed)

    @jax.jit
    def advance(state):
        return jax.lax.scan(lambda state, _: svi.update(state, processed), state, None, length=options.trace_every)[0]

    for steps in range(options.trace_every, options.steps + 1, options.trace_every):
        state = jax.block_until_ready(advance(state))
        point = guide.sample_posterior(jax.random.PRNGKey(1), svi.get_params(state))
        yield steps, model.unpack_numpyro_pars(point)


def cycles_in_pieces(model, processed: PolluxData, options: argparse.Namespace):
    parameters = None
    for cycles in range(options.trace_every, options.steps + 1, options.trace_every):
        parameters = jax.block_until_ready(
            alternate(model, processed, options.trace_every, options, start=parameters).params
        )
        yield cycles, parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problem")
    parser.add_argument("result")
    parser.add_argument("--latents", type=int, default=21)
    parser.add_argument("--method", choices=("adam", "als"), default="adam")
    parser.add_argument("--steps", type=int, default=2000, help="Adam steps, or cycles of least squares")
    parser.add_argument("--step-size", type=float, default=1e-3)
    parser.add_argument("--anneal", action="store_true", help="let the step of Adam fall along a cosine")
    parser.add_argument("--scatter", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--fits", type=int, default=1)
    parser.add_argument("--trace-every", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)

    baseline = peak_memory_mb()
    arrays = read_arrays(options.problem, "")
    if options.trace_every:
        return write_result(options.result, trace=trace(options.problem, arrays, options))

    (data, model, parameters), first = timed(fit, arrays, options)
    peak = peak_memory_mb()
    rmse = held_out_rmse(options.problem, data, model, parameters)
    again = [timed(fit, arrays, options)[1][0] for _ in range(options.fits - 1)]
    write_result(
        options.result, seconds=[first[0], *again], cpu_seconds=first[1], peak_mb=peak, baseline_mb=baseline,
        rmse=rmse, versions={"pollux": pollux.__version__, "numpyro": numpyro.__version__, "jax": jax.__version__},
    )  # fmt: skip


if __name__ == "__main__":
    main()
