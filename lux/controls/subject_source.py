"""By what a technique or model of a user is known again: the text that defines it, and what it was made with."""

import functools
import hashlib
import inspect
import pickle
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import joblib

# Where modules lie that are no user's: those of Python, of what is installed, and of this package.
_INSTALLED = [
    Path(path) for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))
] + [Path(__file__).parents[1]]


# How far is looked into what holds what.
_DEEPEST = 5


def source_of(subject: Any) -> str | None:
    """Return a hash of a subject and of the text of the user's modules that it reaches; None if that is not all of it.

    Reached are the modules that define it, what it wraps and what it holds, and those of the user's that these import.
    What was defined in a notebook, or cannot be told from another, has none.
    """
    things = list(_parts(subject))
    roots = [inspect.getmodule(_defined(thing)) for thing in things]
    if any(module is None or module.__name__ == "__main__" or not hasattr(module, "__file__") for module in roots):
        return None
    modules = sorted(_reached([module for module in roots if module]), key=lambda module: module.__name__)
    try:
        texts = [inspect.getsource(module) for module in modules]
        return hashlib.sha256(joblib.hash((_identity(subject), texts)).encode()).hexdigest()
    except (OSError, TypeError, ValueError, AttributeError, pickle.PicklingError):
        return None


def key_of(subject: Any) -> str:
    """Return `source_of` a subject; where it has none, another each time."""
    return source_of(subject) or uuid.uuid4().hex


def _defined(thing: Any) -> Any:
    return thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)


def _parts(subject: Any, depth: int = 0) -> Iterator[Any]:
    """Yield a subject, and the functions, classes and objects that it wraps or holds."""
    if depth > _DEEPEST:
        return
    if isinstance(subject, functools.partial):
        held = [subject.func, *subject.args, *subject.keywords.values()]
    elif inspect.ismethod(subject):
        held = [subject.__func__, subject.__self__]
    elif inspect.isfunction(subject):
        yield subject
        held = [*(cell.cell_contents for cell in subject.__closure__ or ()), *(subject.__defaults__ or ())]
    else:
        yield subject
        held = [] if inspect.isclass(subject) else list(getattr(subject, "__dict__", {}).values())
    for each in held:
        if callable(each):
            yield from _parts(each, depth + 1)


def _identity(subject: Any) -> Any:
    """Return what tells a subject from others of its module, as what joblib can hash."""
    if isinstance(subject, functools.partial):
        return "partial", _identity(subject.func), _held(subject.args), _held(tuple(sorted(subject.keywords.items())))
    if inspect.ismethod(subject):
        return "method", _identity(subject.__func__), _held((subject.__self__,))
    if inspect.isfunction(subject):
        closed = tuple(cell.cell_contents for cell in subject.__closure__ or ())
        made = _held(closed), _held(subject.__defaults__ or ()), _held(tuple((subject.__kwdefaults__ or {}).items()))
        return "function", subject.__module__, subject.__qualname__, _code(subject.__code__), made
    if inspect.isclass(subject) or inspect.isroutine(subject):
        return "defined", subject.__module__, subject.__qualname__
    return "object", type(subject).__module__, type(subject).__qualname__, subject


def _held(values: tuple) -> tuple:
    return tuple(
        _held(each) if isinstance(each, tuple) else _identity(each) if callable(each) else each for each in values
    )


def _code(code: CodeType) -> tuple:
    """Return what tells a function from another of the same name, of the same text: lambdas share both."""
    constants = [_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    constants = [each for each in constants if not str(each).startswith("frozenset")]
    return code.co_firstlineno, code.co_code, code.co_names, tuple(constants)


def _reached(roots: list[ModuleType]) -> set[ModuleType]:
    """Return modules, and those of the user's that they import or take something from."""
    found, waiting = set(), list(roots)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        if not _is_users(module):
            continue
        for value in list(vars(module).values()):
            name = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
            other = sys.modules.get(name) if isinstance(name, str) else None
            if other is not None and _is_users(other):
                waiting.append(other)
    return found


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None or module.__name__ == "__main__":
        return False
    return not any(Path(file).resolve().is_relative_to(folder.resolve()) for folder in _INSTALLED)
