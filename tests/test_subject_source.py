"""What a user puts to trial is known again by its text, by what it holds, and by the modules that it reaches."""

import functools
import importlib
import linecache
import sys
import threading

import bench_subjects
import pytest
from small_bench import fall

from lux.controls.subject_source import key_of, source_of


def depth(model, train, test, label, lines):
    return 1.0


class Scaled:
    def __init__(self, factor):
        self.factor = factor


def made(sign):
    return lambda *given: sign * depth(*given)


def flipped(technique):
    @functools.wraps(technique)
    def wrapper(*given):
        return -technique(*given)

    return wrapper


class Method:
    def __init__(self, sign):
        self.sign = sign

    def measure(self, *given):
        return self.sign * depth(*given)


PAIRS = {
    "objects": (Scaled(1.0), Scaled(2.0)),
    "functions": (bench_subjects.raises, bench_subjects.a_word),
    "lambdas": (lambda *given: depth(*given), lambda *given: -depth(*given)),
    "closures": (made(1.0), made(-1.0)),
    "methods": (Method(1.0).measure, Method(-1.0).measure),
    "decorated": (depth, flipped(depth)),
    "wrapped twice": (flipped(depth), flipped(flipped(depth))),
    "partial": (functools.partial(fall, 1.0), functools.partial(fall, 2.0)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_subject_is_the_same_as_itself_and_no_other(pair):
    one, other = map(source_of, pair)
    assert one is not None
    assert one == source_of(pair[0])
    assert one != other


def test_what_cannot_be_told_from_another_is_measured_anew():
    assert source_of(Scaled(lambda: 1)) is None or source_of(Scaled(lambda: 1)) != source_of(Scaled(lambda: 2))
    assert source_of(Scaled(threading.Lock())) is None
    assert key_of(Scaled(threading.Lock())) != key_of(Scaled(threading.Lock()))


def test_a_module_beside_it_counts_and_so_does_that_of_what_is_wrapped(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "import functools, a_helper\ndef scaled(factor, *given): return factor * a_helper.SIGN\n"
    text += "part = functools.partial(scaled, 2.0)\n"
    seen = set()
    for sign in ("1", "-1"):
        for more in ("", "SIGN = 1\n"):
            (tmp_path / "a_helper.py").write_text(f"SIGN = {sign}\n")
            (tmp_path / "a_subject.py").write_text(more + text)
            for name in ("a_subject", "a_helper"):
                sys.modules.pop(name, None)
            importlib.invalidate_caches()
            linecache.clearcache()
            module = importlib.import_module("a_subject")
            seen |= {source_of(module.scaled), source_of(module.part)}
    assert len(seen) == 8
    assert None not in seen
