"""What a user puts to trial is known again by its text, by what it holds, and by the modules that it reaches."""

import functools
import importlib
import linecache
import os
import subprocess
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


TEXT = """
import functools
import {package}a_helper
from {package}a_helper import SIGN
def scaled(factor, *given): return factor * SIGN
def later(*given):
    import {package}a_late
part = functools.partial(scaled, 2.0)
class Model:
    def __init__(self): self.part = {package}a_helper.Part()
    def fit(self, survey): return {{}}
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a function that writes modules and imports the first of them anew."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(more="", sign="1", late=""):
        texts = {"a_subject": more + TEXT.format(package=""), "a_late": late}
        texts["a_helper"] = f"SIGN = {sign}\nclass Part: pass\n"
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        linecache.clearcache()
        return importlib.import_module("a_subject")

    yield write
    for name in ("a_subject", "a_helper", "a_late"):
        sys.modules.pop(name, None)


def test_modules_beside_it_count_and_so_does_that_of_what_is_wrapped_or_held(written):
    for subject in (lambda m: m.scaled, lambda m: m.part, lambda m: m.Model, lambda m: m.Model()):
        sources = [
            source_of(subject(written(**change)))
            for change in ({}, {"more": "X = 1"}, {"sign": "-1"}, {"late": "X = 1"})
        ]
        assert None not in sources
        assert len(set(sources)) == 4
        assert sources[0] == source_of(subject(written()))


@pytest.mark.parametrize("changed", ["__init__", "by_name", "beside"])
def test_a_package_counts_and_so_does_what_is_imported_by_a_name_in_quotes(tmp_path, monkeypatch, changed):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"a_package_of_{changed}"
    (tmp_path / name).mkdir()
    text = "import importlib as i\ndef depth(*given): return i.import_module({0!r}), i.import_module('.beside', {1!r})"
    texts = {"__init__": "", "subject": text.format(f"{name}.by_name", name), "by_name": "", "beside": ""}
    for module, written in texts.items():
        (tmp_path / name / f"{module}.py").write_text(written)
    subject = importlib.import_module(f"{name}.subject").depth
    first = source_of(subject)
    assert first is not None
    (tmp_path / name / f"{changed}.py").write_text("X = 1")
    assert source_of(subject) != first


def test_a_text_that_was_not_imported_is_refused(written, tmp_path):
    module = written()
    (tmp_path / "a_subject.py").write_text(TEXT.format(package="").replace("factor * SIGN", "-factor * SIGN"))
    with pytest.raises(RuntimeError, match=r"a_subject.py was changed after it had been imported: reload"):
        source_of(module.scaled)


def test_another_process_finds_the_same_source(written, tmp_path):
    written()
    asked = (
        "import a_subject as a; from lux.controls.subject_source import source_of as s; print(s(a.part), s(a.Model()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", asked]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    module = written()
    assert found == [source_of(module.part), source_of(module.Model())]
