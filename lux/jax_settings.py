"""The settings of JAX under which all programs of this package run, whatever those of its user are."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

import jax
from threadpoolctl import ThreadpoolController


class _Process:
    """Whether programs have run in this process, and whether it was forked from one in which some had."""

    has_run = False
    forked = False


_process = _Process()


def _after_fork() -> None:
    _process.forked = _process.has_run


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def own_settings(*, double: bool = False) -> Iterator[None]:
    """Run JAX in single or double precision with NumPy's promotion, in this context or the function it decorates.

    The user's settings hold outside. They are part of the key of a compiled program, so that one entered again under
    the same settings is not compiled again.

    Raises
    ------
    RuntimeError
        In a process that was forked from one in which a program had run: it would wait for threads that it has not.
    """
    if _process.forked:
        raise RuntimeError(
            f"process {os.getpid()} was forked after a program of JAX had run in its parent, and would wait forever "
            'for threads that it has not; start workers with multiprocessing.get_context("spawn"), or with joblib or '
            "dask, or fork before the first fit or prediction"
        )
    _process.has_run = True
    with jax.enable_x64(double), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


_one_thread = threading.Lock()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let products of NumPy take one thread, in this context, for work in which NumPy and JAX take turns.

    After a product its other threads wait for the next one busily, and JAX's have to share the cores with them. The
    number holds for the whole process: of contexts in several threads, the first one alone sets it.
    """
    if not _one_thread.acquire(blocking=False):
        yield
        return
    try:
        with _linear_algebra().limit(limits=1):
            yield
    finally:
        _one_thread.release()


@functools.cache
def _linear_algebra() -> ThreadpoolController:
    """Return the libraries of linear algebra, NumPy's among them; to look for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")
