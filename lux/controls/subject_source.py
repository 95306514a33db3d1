"""By what a technique or model of a user is known again: the text that defines it, and what it was made with."""

import ast
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from pickle import PicklingError
from types import CodeType, ModuleType
from typing import Any

import joblib

# Where modules lie that are no user's: those of Python and of this package, and folders of what is installed.
_NO_USERS = [Path(path).resolve() for name in ("stdlib", "platstdlib") if (path := sysconfig.get_path(name))] + [
    Path(__file__).resolve().parents[1]
]
_INSTALLED = {"site-packages", "dist-packages"}
# What imports a module by a name in quotation marks.
_IMPORTERS = {"import_module", "__import__"}
# How far is looked into what holds what.
_DEEPEST = 5


def source_of(subject: Any) -> str | None:
    """Return a hash of a subject and of the text of the user's modules that it reaches; None if that is not all of it.

    Reached are the modules that define it, what it wraps and what it holds, and the user's that these import. What was
    defined in a notebook, or cannot be told from another, has none.

    Raises
    ------
    RuntimeError
        If the text of a module is another than that which was imported.
    """
    try:
        roots = {inspect.getmodule(_defined(thing)) for thing in _parts(subject)}
        if None in roots or any(module.__name__ == "__main__" for module in roots if module):
            return None
        texts = _texts(module for module in roots if module)
        return hashlib.sha256(joblib.hash((_identity(subject), sorted(texts.items()))).encode()).hexdigest()
    except (ImportError, OSError, TypeError, ValueError, AttributeError, RecursionError, SyntaxError, PicklingError):
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
    held: Iterable[Any] = ()
    if isinstance(subject, functools.partial):
        held = [subject.func, *subject.args, *subject.keywords.values()]
    elif inspect.ismethod(subject):
        held = [subject.__func__, subject.__self__]
    elif isinstance(subject, Mapping):
        held = list(subject.values())
    elif isinstance(subject, list | tuple | set | frozenset):
        held = list(subject)
    else:
        yield subject
        if inspect.isfunction(subject):
            held = [cell.cell_contents for cell in subject.__closure__ or ()]
            held = [*held, *(subject.__defaults__ or ()), *(subject.__kwdefaults__ or {}).values()]
        elif not inspect.isclass(subject) and not inspect.isroutine(subject):
            held = list(getattr(subject, "__dict__", {}).values())
    for each in held:
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
    # The order of a set is another in another process.
    constants = [each for each in constants if not str(each).startswith("frozenset")]
    return code.co_firstlineno, code.co_name, code.co_code, code.co_names, tuple(constants)


def _texts(roots: Iterable[ModuleType]) -> dict[str, str]:
    """Return by name the text of modules, and of those of the user's that they import, whether at once or later."""
    texts: dict[str, str] = {}
    waiting = [(module.__name__, getattr(module, "__file__", None)) for module in roots]
    while waiting:
        name, file = waiting.pop()
        if name in texts or file is None or not is_users(file):
            continue
        # A package is imported before what lies in it.
        if package := name.rpartition(".")[0]:
            waiting.append((package, _file_of(package)))
        texts[name] = Path(file).read_text(encoding="utf-8")
        if name in sys.modules:
            _refuse_another_text(sys.modules[name], texts[name], file)
        for other in _imported(name, texts[name]):
            waiting.append((other, _file_of(other)))
    return texts


def _imported(name: str, text: str) -> Iterator[str]:
    """Yield the names of what a module imports, anywhere in it; of what is taken from one it may be a module, too."""
    package = name if name in sys.modules and hasattr(sys.modules[name], "__path__") else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            yield base
            yield from (f"{base}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _IMPORTERS:
            # A name that is composed cannot be read here.
            given = dict(zip(("name", "package"), node.args, strict=False)) | {
                each.arg: each.value for each in node.keywords
            }
            named, beside = (getattr(given.get(key), "value", None) for key in ("name", "package"))
            if isinstance(named, str):
                inside = beside if isinstance(beside, str) else package
                yield importlib.util.resolve_name(named, inside) if named.startswith(".") else named


def _file_of(name: str) -> str | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return None if spec is None or not spec.has_location else spec.origin


def is_users(file: str) -> bool:
    """Return whether a file is Python of a user's: neither of this package, nor installed, nor of Python itself."""
    path = Path(file).resolve()
    installed = _INSTALLED & set(path.parts) or any(path.is_relative_to(folder) for folder in _NO_USERS)
    return path.suffix == ".py" and not installed


def _refuse_another_text(module: ModuleType, text: str, file: str) -> None:
    """Raise RuntimeError if a function of an imported module is none of its text, which was changed since."""
    if "@pytest_ar" in vars(module):
        # Its code is pytest's, which rewrites assertions.
        return
    written = set(_codes(compile(text, file, "exec")))
    for thing in list(vars(module).values()):
        for function in vars(thing).values() if inspect.isclass(thing) else [thing]:
            code = getattr(function, "__code__", None) if inspect.isfunction(function) else None
            if code is not None and function.__module__ == module.__name__ and code.co_filename == file:
                if _code(code) not in written:
                    raise RuntimeError(
                        f"{file} was changed after it had been imported: reload the module {module.__name__!r}, or run "
                        "in a new process"
                    )


def _codes(code: CodeType) -> Iterator[tuple]:
    yield _code(code)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)
