"""The settings of JAX under which all programs of this package run, whatever those of its user are."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def own_settings(*, double: bool = False) -> Iterator[None]:
    """Run JAX in single or double precision with NumPy's promotion, in this context or the function it decorates.

    The user's settings hold outside. They are part of the key of a compiled program, so that one entered again under
    the same settings is not compiled again.
    """
    with jax.enable_x64(double), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
