"""Which source of `lux` a chapter depends on, found by reading the code, so that a change re-executes what it must.

The unit is a top-level definition. A chapter depends on what its cells name, on what those definitions name, and so on;
and on the statements that run when a module is imported. Whatever cannot be resolved by reading counts as a dependency
on the whole package: an unneeded run costs a minute, a stale number costs the paper.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Decorators that register nothing: the function they wrap matters only where it is named.
_HARMLESS_DECORATORS = {"dataclass", "dataclasses", "functools", "jax", "contextlib", "partial", "cache", "lru_cache"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DYNAMIC_IMPORTS = {"import_module", "__import__", "globals"}

# A definition is a module and a name in it; an imported name stands for a module, or for a name in one.
Definition = tuple[str, str]
Aliases = dict[str, tuple[str, str | None]]


@dataclass
class _Module:
    """Top-level definitions of one module; `base` is what runs on import and defines no name."""

    symbols: dict[str, list[ast.stmt]] = field(default_factory=dict)
    base: list[ast.stmt] = field(default_factory=list)
    aliases: Aliases = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    exports: Aliases = field(default_factory=dict)


class Package:
    """The parsed source of a package, and of others that use it: answers what a piece of code depends on."""

    def __init__(self, folder: Path, *others: Path):
        self.name = folder.name
        self.folder, self.folders = folder, (folder, *others)
        self.files: dict[str, Path] = {}
        self._packages = {each.name for each in (folder, *others)}
        for package in (folder, *others):
            for path in sorted(package.rglob("*.py")):
                parts = [package.name, *path.relative_to(package).with_suffix("").parts]
                self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        self._modules: dict[str, _Module] = {}
        self._digests: dict[Definition, str] = {}

    @property
    def modules(self) -> dict[str, _Module]:
        """All modules by name."""
        return {name: self._module(name) for name in self.files}

    def dependencies(self, code: str) -> dict[Definition, str]:
        """Return the definitions that `code` depends on, as a dict (module, symbol) -> hash.

        The symbol "" stands for the statements that run when the module is imported.
        """
        tree = ast.parse(code)
        aliases, imported = self._imports(tree, self.name)
        waiting = [(module, "") for module in imported] + self._references(tree, aliases)
        for source, name in aliases.values():
            if name and f"{source}.{name}" not in self.files:
                waiting += self._resolve(source, name, [])
        found: dict[Definition, str] = {}
        while waiting:
            module, symbol = waiting.pop()
            if (module, symbol) in found:
                continue
            nodes, references = self._expand(module, symbol)
            found[module, symbol] = self._digest(module, symbol, nodes)
            waiting += references
        return found

    def data_files(self, definitions: Iterable[Definition]) -> dict[str, str]:
        """Return the files other than code that definitions may read, as a dict of path -> hash.

        A file whose name stands in a string of the source is read where that is; any other counts as read by all.
        """
        used = set(definitions)
        return {
            f"{folder.name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in self.folders
            for path in _data_files(folder)
            if not (named := self._strings.get(path.name)) or named & used
        }

    @functools.cached_property
    def _strings(self) -> dict[str, set[Definition]]:
        """In which definitions a string stands."""
        found: dict[str, set[Definition]] = {}
        for name, module in self.modules.items():
            for symbol, nodes in (*module.symbols.items(), ("", module.base)):
                for node in (inner for outer in nodes for inner in ast.walk(outer)):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        found.setdefault(node.value, set()).add((name, symbol))
        return found

    def aliases(self, tree: ast.AST) -> Aliases:
        """Return what names imported by a chapter stand for, name -> (module, symbol or None)."""
        return self._imports(tree, self.name)[0]

    def _expand(self, name: str, symbol: str) -> tuple[list[ast.stmt], list[Definition]]:
        module = self._module(name)
        nodes = module.symbols[symbol] if symbol else module.base
        references = [] if symbol else [(other, "") for other in module.imported]
        if symbol:
            references.append((name, ""))
        for node in nodes:
            aliases, imported = self._imports(node, name)
            references += [(other, "") for other in imported]
            own: Aliases = {other: (name, other) for other in module.symbols}
            references += self._references(node, {**own, **module.aliases, **aliases})
        return nodes, references

    def _digest(self, module: str, symbol: str, nodes: Iterable[ast.stmt]) -> str:
        if (module, symbol) not in self._digests:
            text = "\n".join(ast.dump(_without_docstrings(node)) for node in nodes)
            self._digests[module, symbol] = hashlib.sha256(text.encode()).hexdigest()
        return self._digests[module, symbol]

    def _module(self, name: str) -> _Module:
        """Return a module, read when it is first needed; of an ``__init__`` also what its stub opens lazily."""
        if name not in self._modules:
            module = self._modules[name] = _parse(_tree(self.files[name]))
            run_at_once = [node for node in module.base if not isinstance(node, _DEFINITIONS)]
            module.aliases, module.imported = self._imports(ast.Module(run_at_once, type_ignores=[]), name)
            stub = self.files[name].with_suffix(".pyi")
            if stub.exists():
                module.exports = self._imports(_tree(stub), name)[0]
        return self._modules[name]

    def _imports(self, tree: ast.AST, importer: str) -> tuple[Aliases, set[str]]:
        """Return what imported names stand for, name -> (module, symbol or None), and the modules imported."""
        aliases: Aliases = {}
        imported: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    top = item.name.split(".")[0]
                    if top in self._packages:
                        aliases[item.asname or top] = (item.name if item.asname else top, None)
                        imported |= self._with_parents(item.name)
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node, importer)
                if source.split(".")[0] in self._packages:
                    imported |= self._with_parents(source)
                    for item in node.names:
                        aliases[item.asname or item.name] = (source, item.name)
                        if f"{source}.{item.name}" in self.files:
                            imported.add(f"{source}.{item.name}")
        return aliases, imported & self.files.keys()

    def _absolute(self, node: ast.ImportFrom, importer: str) -> str:
        if not node.level:
            return node.module or ""
        is_package = self.files[importer].name == "__init__.py"
        parent = importer.split(".")[: len(importer.split(".")) - node.level + is_package]
        return ".".join([*parent, node.module] if node.module else parent)

    def _with_parents(self, name: str) -> set[str]:
        parts = name.split(".")
        return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}

    def _references(self, tree: ast.AST, aliases: Mapping[str, tuple[str, str | None]]) -> list[Definition]:
        references: list[Definition] = []
        chained: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in chained:
                chain, name, parts = _attribute_chain(node)
                chained |= {id(part) for part in parts}
                if name in aliases:
                    references += self._resolve(*aliases[name], chain)
            elif isinstance(node, ast.Name) and id(node) not in chained and node.id in aliases:
                references += self._resolve(*aliases[node.id], [])
            elif isinstance(node, ast.ImportFrom) and any(item.name == "*" for item in node.names):
                inside = node.level or (node.module or "").split(".")[0] in self._packages
                references += self._everything() if inside else []
            if getattr(node, "id", getattr(node, "attr", None)) in _DYNAMIC_IMPORTS:
                references += self._everything()
        return references

    def _resolve(self, module: str, symbol: str | None, chain: list[str]) -> list[Definition]:
        """Follow ``module.symbol.chain`` to definitions of the package; all of them if it leads nowhere."""
        names = ([symbol] if symbol else []) + chain
        while names and f"{module}.{names[0]}" in self.files:
            module, names = f"{module}.{names[0]}", names[1:]
        if module not in self.files:
            return self._everything()
        if not names:
            return self._everything(module)
        parsed = self._module(module)
        if names[0] in parsed.symbols:
            return [(module, names[0]), (module, "")]
        if target := parsed.aliases.get(names[0]) or parsed.exports.get(names[0]):
            return [(module, ""), *self._resolve(*target, names[1:])]
        return self._everything()

    def _everything(self, within: str = "") -> list[Definition]:
        """Return the definitions of a module and, if it is a package, of all modules in it; by default of them all."""
        names = [name for name in self.files if not within or f"{name}.".startswith(f"{within}.")]
        return [(name, symbol) for name in names for symbol in [*self._module(name).symbols, ""]]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _parse(tree: ast.Module) -> _Module:
    module = _Module()
    for statement in tree.body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
            continue
        names = _defined_names(statement)
        for defined in names:
            module.symbols.setdefault(defined, []).append(statement)
        if (not names or _registers(statement)) and not _is_docstring(statement):
            module.base.append(statement)
    return module


def data_files_digest(folder: Path) -> str:
    """Hash the files of a package that are not code, such as tables of facts and the figure style."""
    digest = hashlib.sha256()
    for path in _data_files(folder):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _data_files(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.suffix not in (".py", ".pyi", ".pyc")]


def _defined_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        names = [node for target in targets for node in ast.walk(target)]
        if all(isinstance(node, (ast.Name, ast.Tuple, ast.List, ast.Store)) for node in names):
            return [node.id for node in names if isinstance(node, ast.Name)]
    return []


def _registers(statement: ast.stmt) -> bool:
    roots = []
    for decorator in getattr(statement, "decorator_list", []):
        while isinstance(decorator, (ast.Call, ast.Attribute)):
            decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
        roots.append(getattr(decorator, "id", ""))
    return any(root not in _HARMLESS_DECORATORS for root in roots)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _attribute_chain(node: ast.expr) -> tuple[list[str], str, list[ast.expr]]:
    chain: list[str] = []
    parts: list[ast.expr] = []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        parts.append(node)
        node = node.value
    return chain, node.id if isinstance(node, ast.Name) else "", [*parts, node]


def _without_docstrings(node: ast.stmt) -> ast.stmt:
    for part in ast.walk(node):
        if isinstance(part, _DEFINITIONS):
            if _is_docstring(part.body[0]) and len(part.body) > 1:
                part.body = part.body[1:]
    return node
