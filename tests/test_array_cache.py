"""A cache of arrays computes once, stays within its bytes and forgets what was used least recently."""

import numpy as np
import pytest

from lux.simulation.array_cache import ArrayCache


def test_the_same_arguments_are_computed_once_and_others_anew():
    cache, calls = ArrayCache(1000), []

    def compute():
        calls.append(1)
        return (np.full(10, len(calls)),)

    for argument in (1, 1, 2, 1):
        (first,) = cache.get("flux", (np.array([argument]), "dr17"), compute)
    assert len(calls) == 2
    assert first[0] == 1
    cache.get("noise", (np.array([1]), "dr17"), compute)
    assert len(calls) == 3
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_what_was_used_least_recently_makes_room():
    cache, calls = ArrayCache(200), []
    for key in (1, 2, 1, 3, 1, 2):
        cache.get("", (key,), lambda key=key: calls.append(key) or (np.zeros(100, np.uint8),))
        assert cache.n_bytes <= 200
    assert calls == [1, 2, 3, 2]


def test_a_result_larger_than_the_cache_is_returned_and_not_kept():
    cache = ArrayCache(10)
    assert cache.get("", (), lambda: (np.ones(100),))[0].sum() == 100
    assert cache.n_bytes == 0


def test_a_cleared_cache_is_empty():
    cache = ArrayCache(1000)
    cache.get("", (), lambda: (np.ones(10),))
    cache.clear()
    assert cache.n_bytes == 0
