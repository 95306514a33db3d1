"""Which source of `lux` a chapter depends on, found by reading the code, so that a change re-executes what it must.

The unit is a top-level definition. A chapter depends on what its cells name, on what those definitions name, and so on;
and on the statements that run when a module is imported. Whatever cannot be resolved by reading counts as a dependency
on the whole package: an unneeded run costs a minute, a stale number costs the paper.
"""

import ast
import hashlib
from dataclasses import dataclass, field

# Decorators that register nothing: the function they wrap matters only where it is named.
_HARMLESS_DECORATORS = {"dataclass", "dataclasses", "functools", "jax", "contextlib", "partial", "cache", "lru_cache"}
_DYNAMIC_IMPORTS = {"import_module", "__import__", "globals"}


@dataclass
class _Module:
    """Top-level definitions of one module; `base` is what runs on import and defines no name."""

    symbols: dict = field(default_factory=dict)
    base: list = field(default_factory=list)
    aliases: dict = field(default_factory=dict)
    imported: set = field(default_factory=set)
    exports: dict = field(default_factory=dict)


class Package:
    """The parsed source of a package: answers what a piece of code depends on."""

    def __init__(self, folder):
        self.name = folder.name
        self.folder = folder
        self.modules, self.files = {}, {}
        for path in sorted(folder.rglob("*.py")):
            parts = [self.name, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.files[name] = path
            self.modules[name] = _parse(ast.parse(path.read_text(encoding="utf-8"), str(path)))
        self._link()
        self._texts = {}

    def dependencies(self, code):
        """Return the definitions that `code` depends on, as a dict (module, symbol) -> hash.

        The symbol "" stands for the statements that run when the module is imported.
        """
        tree = ast.parse(code)
        aliases, imported = self._imports(tree, self.name)
        waiting = [(module, "") for module in imported] + self._references(tree, aliases)
        for source, name in aliases.values():
            if name and f"{source}.{name}" not in self.modules:
                waiting += self._resolve(source, name, [])
        found = {}
        while waiting:
            module, symbol = waiting.pop()
            if (module, symbol) in found:
                continue
            nodes, references = self._expand(module, symbol)
            found[module, symbol] = self._digest(module, symbol, nodes)
            waiting += references
        return found

    def aliases(self, tree):
        """Return what names imported by a chapter stand for, name -> (module, symbol or None)."""
        return self._imports(tree, self.name)[0]

    def _expand(self, name, symbol):
        module = self.modules[name]
        nodes = module.symbols[symbol] if symbol else module.base
        references = [] if symbol else [(other, "") for other in module.imported]
        if symbol:
            references.append((name, ""))
        for node in nodes:
            aliases, imported = self._imports(node, name)
            references += [(other, "") for other in imported]
            own = {other: (name, other) for other in module.symbols}
            references += self._references(node, {**own, **module.aliases, **aliases})
        return nodes, references

    def _digest(self, module, symbol, nodes):
        if (module, symbol) not in self._texts:
            text = "\n".join(ast.dump(_without_docstrings(node)) for node in nodes)
            self._texts[module, symbol] = hashlib.sha256(text.encode()).hexdigest()
        return self._texts[module, symbol]

    def _link(self):
        """Read what each module imports, and for each ``__init__`` what its stub says that it opens lazily."""
        for name, module in self.modules.items():
            tree = ast.Module(body=[node for node in module.base if isinstance(node, (ast.Import, ast.ImportFrom))])
            module.aliases, module.imported = self._imports(tree, name)
            stub = self.files[name].with_suffix(".pyi")
            if stub.exists():
                module.exports = self._imports(ast.parse(stub.read_text(encoding="utf-8"), str(stub)), name)[0]

    def _imports(self, tree, importer):
        """Return what imported names stand for, name -> (module, symbol or None), and the modules imported."""
        aliases, imported = {}, set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    if item.name.split(".")[0] == self.name:
                        aliases[item.asname or self.name] = (item.name if item.asname else self.name, None)
                        imported |= self._with_parents(item.name)
            elif isinstance(node, ast.ImportFrom):
                source = self._absolute(node, importer)
                if source.split(".")[0] == self.name:
                    imported |= self._with_parents(source)
                    for item in node.names:
                        aliases[item.asname or item.name] = (source, item.name)
                        if f"{source}.{item.name}" in self.modules:
                            imported.add(f"{source}.{item.name}")
        return aliases, {name for name in imported if name in self.modules}

    def _absolute(self, node, importer):
        if not node.level:
            return node.module or ""
        is_package = self.files[importer].name == "__init__.py"
        parent = importer.split(".")[: len(importer.split(".")) - node.level + is_package]
        return ".".join([*parent, node.module] if node.module else parent)

    def _with_parents(self, name):
        parts = name.split(".")
        return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}

    def _references(self, tree, aliases):
        references, chained = [], set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in chained:
                chain, base = _attribute_chain(node)
                chained |= {id(part) for part in base[1]}
                if base[0] in aliases:
                    references += self._resolve(*aliases[base[0]], chain)
            elif isinstance(node, ast.Name) and id(node) not in chained and node.id in aliases:
                references += self._resolve(*aliases[node.id], [])
            elif isinstance(node, ast.ImportFrom) and any(item.name == "*" for item in node.names):
                references += self._everything() if node.module and node.module.startswith(self.name) else []
            if getattr(node, "id", getattr(node, "attr", None)) in _DYNAMIC_IMPORTS:
                references += self._everything()
        return references

    def _resolve(self, module, symbol, chain):
        """Follow ``module.symbol.chain`` to definitions of the package."""
        names = ([symbol] if symbol else []) + chain
        while names and f"{module}.{names[0]}" in self.modules:
            module, names = f"{module}.{names[0]}", names[1:]
        if module not in self.modules:
            return []
        if not names:
            return [(module, other) for other in self.modules[module].symbols] + [(module, "")]
        if names[0] in self.modules[module].symbols:
            return [(module, names[0]), (module, "")]
        if names[0] in self.modules[module].aliases:
            return [(module, ""), *self._resolve(*self.modules[module].aliases[names[0]], names[1:])]
        if names[0] in self.modules[module].exports:
            return [(module, ""), *self._resolve(*self.modules[module].exports[names[0]], names[1:])]
        return self._everything()

    def _everything(self):
        return [(name, symbol) for name, module in self.modules.items() for symbol in [*module.symbols, ""]]


def _parse(tree):
    module = _Module()
    for statement in tree.body:
        names = _defined_names(statement)
        for defined in names:
            module.symbols.setdefault(defined, []).append(statement)
        if (not names or _registers(statement)) and not _is_docstring(statement):
            module.base.append(statement)
    return module


def data_files_digest(folder):
    """Hash the files of a package that are not code, such as tables of facts and the figure style."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyi", ".pyc") and not path.name.startswith("."):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _defined_names(statement):
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        names = [node for target in targets for node in ast.walk(target)]
        if all(isinstance(node, (ast.Name, ast.Tuple, ast.List, ast.Store)) for node in names):
            return [node.id for node in names if isinstance(node, ast.Name)]
    return []


def _registers(statement):
    roots = []
    for decorator in getattr(statement, "decorator_list", []):
        while isinstance(decorator, (ast.Call, ast.Attribute)):
            decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
        roots.append(getattr(decorator, "id", ""))
    return any(root not in _HARMLESS_DECORATORS for root in roots)


def _is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _attribute_chain(node):
    chain, parts = [], []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        parts.append(node)
        node = node.value
    return chain, (node.id if isinstance(node, ast.Name) else None, [*parts, node])


def _without_docstrings(node):
    for part in ast.walk(node):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if _is_docstring(part.body[0]) and len(part.body) > 1:
                part.body = part.body[1:]
    return node
