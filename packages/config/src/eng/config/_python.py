# ruff: noqa: N815  # method names are those of the syntax tree's visitors
"""Python configs: parsing with marks resolved, the style of a file, and running it."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeGuard

from ._blame import blaming
from ._data import caret
from ._safe import SafeInterpreter, evaluate
from ._source import Source
from ._substitute import MARK, Substitutions
from .errors import ConfigFileError, ConfigSyntaxError, MixedStyleError, UnsafeConfigError
from .lazy import LazyObject, hold_lazy

BASE_KEY = "_base_"
READ_BASE = "read_base"
IMPORT_HOOK = "_eng_import_"
_READ_BASE_HOMES = ("eng.config", "mmengine.config", "mmengine", "eng")
_IMPORT = re.compile(r"\bimport\b")
Importer = Callable[[ast.ImportFrom, dict[str, Any]], None]


@dataclass
class PythonConfig:
    """A Python config before it runs.

    Attributes:
        source: where it is from.
        text: its text, with marks.
        table: its substitutions.
        direct: whether it can be compiled from its text as it is; nothing in it needs the syntax tree.
        bases: what `_base_` names; empty for a direct config, which tells while it runs.
        lazy: whether it is in the pure-Python style.
    """

    source: Source
    text: str
    table: Substitutions
    direct: bool = True
    bases: list[str] = field(default_factory=list)
    lazy: bool = False

    @property
    def uses_base(self) -> bool:
        """Whether an expression reads `_base_`."""
        return f"{BASE_KEY}." in self.text or f"{BASE_KEY}[" in self.text

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree without the assignment of `_base_`, marks still in it."""
        tree = _parsed(self.source, self.text)
        assert isinstance(tree, ast.Module)
        return tree


def parse_python(
    source: Source, text: str, table: Substitutions, lazy_import: bool | None, trust: bool
) -> PythonConfig:
    """The config, parsed as far as it needs to be.

    Raises:
        ConfigSyntaxError: with file, line and caret.
        MixedStyleError: `_base_` and `read_base` in one file.
    """
    config = PythonConfig(source, text, table)
    if trust and not table.items and not lazy_import and not ("import" in text and _IMPORT.search(text)):
        return config
    config.direct = False
    base_node = _take_base(config.tree)
    with_nodes = [node for node in ast.walk(config.tree) if _is_read_base(node)] if READ_BASE in text else []
    if base_node is not None and with_nodes:
        raise MixedStyleError(
            "this file uses both `_base_ = …` and `with read_base():`; keep one, such as "
            "`with read_base(): from .base import *` in place of `_base_`",
            source.name,
            with_nodes[0].lineno,
        )
    if lazy_import is None:
        lazy_import = bool(with_nodes) or (base_node is None and _imports_libraries(config.tree))
    config.lazy = lazy_import
    config.bases = [] if base_node is None else _base_names(base_node, source, table)
    return config


def _parsed(source: Source, text: str, flags: int = ast.PyCF_ONLY_AST) -> Any:
    try:
        return compile(text, source.path, "exec", flags, dont_inherit=True) if flags else _code_of(text, source.path)
    except SyntaxError as error:
        line = error.lineno or 1
        shown = caret(source.text, line, error.offset or 1)
        raise ConfigSyntaxError(f"{error.msg}\n{shown}", source.name, line) from error
    except (RecursionError, MemoryError) as error:
        raise ConfigFileError("nested too deeply", source.name) from error
    except ValueError as error:  # a null byte, before Python 3.12
        raise ConfigSyntaxError(str(error), source.name) from error


@lru_cache(maxsize=128)
def _code_of(text: str, path: str) -> types.CodeType:
    """Compiling is two thirds of a load, and bases are shared: by the configs of a library, and by a config that is read again."""
    code: types.CodeType = compile(text, path, "exec", dont_inherit=True)
    return code


def _take_base(tree: ast.Module) -> ast.Assign | None:
    """Removes the assignment of `_base_` from the tree and gives it."""
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == BASE_KEY:
            del tree.body[index]
            return node
    return None


def _base_names(node: ast.Assign, source: Source, table: Substitutions) -> list[str]:
    value = evaluate(resolve_marks(node.value, table, {}, None), {}, source.name)
    return base_list(value, source, node.lineno)


def base_list(value: Any, source: Source, line: int | None = None) -> list[str]:
    """The value of `_base_` as a list of file names.

    Raises:
        ConfigFileError: it is neither a string nor a list of strings.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigFileError(f"_base_ must be a file name or a list of file names, got {value!r}", source.name, line)
    return list(names)


def _is_read_base(node: ast.AST) -> TypeGuard[ast.With]:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and (getattr(item.context_expr.func, "id", None) or getattr(item.context_expr.func, "attr", None)) == READ_BASE
        for item in node.items
    )


def _imports_libraries(tree: ast.Module) -> bool:
    for node in _outer_statements(tree.body):
        if isinstance(node, ast.Import) and not all(is_standard(alias.name) for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.level or not is_standard(node.module or "")):
            return True
    return False


def _outer_statements(body: list[ast.stmt]) -> list[ast.stmt]:
    found = []
    for node in body:
        found.append(node)
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.For)):
            for block in ("body", "orelse", "finalbody"):
                found += _outer_statements(getattr(node, block, []))
    return found


def is_standard(module: str) -> bool:
    """Whether a dotted module belongs to Python's standard library."""
    return module.split(".", 1)[0] in sys.stdlib_module_names


class _MarkResolver(ast.NodeTransformer):
    """Replaces marks: in strings by their text, elsewhere by a name that is in the namespace."""

    def __init__(self, table: Substitutions, base: Mapping[str, Any], names: dict[str, Any] | None) -> None:
        self.table, self.base, self.names = table, base, names

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str) or "_EngSub" not in node.value:
            return node
        number = self.table.number(node.value)
        if number is not None and self.table.items[number].base:
            value = self.table.value(number, self.base)
            if not isinstance(value, str):
                return ast.copy_location(self._name(number, value), node)
        node.eng_marked = node.value  # type: ignore[attr-defined]  # read by the line tree
        node.value = self.table.fill(node.value, self.base)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        number = self.table.number(node.id)
        if number is None:
            return node
        return ast.copy_location(self._name(number, self.table.value(number, self.base)), node)

    def _name(self, number: int, value: Any) -> ast.expr:
        if self.names is None:
            return ast.Constant(value)
        name = MARK.format(number)
        self.names[name] = value
        return ast.Name(name, ast.Load())


def resolve_marks(node: Any, table: Substitutions, base: Mapping[str, Any], names: dict[str, Any] | None) -> Any:
    """`node` with its marks replaced; values that are not text go into `names`, or into constants without it."""
    return _MarkResolver(table, base, names).visit(node) if table.items else node


class _LazyImports(ast.NodeTransformer):
    """Turns imports into calls of the import hook; bodies of functions and classes stay as they are."""

    def __init__(self) -> None:
        self.imports: list[tuple[ast.Import | ast.ImportFrom, bool]] = []
        self._inside = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]  # same deed

    def visit_With(self, node: ast.With) -> Any:
        if not _is_read_base(node):
            return self.generic_visit(node)
        self._inside = True
        body = [self.visit(statement) for statement in node.body]
        self._inside = False
        return body

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> ast.AST:
        self.imports.append((node, self._inside))
        call = ast.Call(ast.Name(IMPORT_HOOK, ast.Load()), [ast.Constant(len(self.imports) - 1)], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))

    visit_ImportFrom = visit_Import


class _Namespace(dict[str, Any]):
    """Globals of a direct config; hands what is assigned to `_base_` to a reader and keeps what that gives."""

    def __init__(self, values: dict[str, Any], read_bases: Callable[[Any], Any]) -> None:
        super().__init__(values)
        self.read_bases = read_bases

    def __setitem__(self, key: str, value: Any) -> None:
        dict.__setitem__(self, key, self.read_bases(value) if key == BASE_KEY else value)


def run_direct(config: PythonConfig, read_bases: Callable[[Any], Any]) -> dict[str, Any]:
    """The namespace of a direct config after it ran.

    Args:
        config: the file.
        read_bases: gets what the file assigns to `_base_`; gives what `_base_` reads as from then on.

    Raises:
        ConfigSyntaxError: with file, line and caret.
        Exception: what the code of the config raises, as it is, with ``config_place`` as ``"file.py:12"``.
    """
    code = _parsed(config.source, config.text, 0)
    namespace = _Namespace({"__name__": "__config__", "__file__": config.source.path}, read_bases)
    with hold_lazy(), blaming(config.source):
        exec(code, namespace)  # noqa: S102  # a Python config is a program
    namespace.pop(BASE_KEY, None)
    return namespace


def run_python(
    config: PythonConfig, base: Any, marked: Mapping[str, Any], *, trust: bool, import_base: Importer
) -> dict[str, Any]:
    """The namespace of a config after it ran, everything in it.

    Args:
        config: the parsed file.
        base: what `_base_` reads as.
        marked: where ``{{_base_.key}}`` is looked up.
        trust: whether to execute it; otherwise it is interpreted and refuses what is not data.
        import_base: puts the names of a base file into a namespace (pure-Python style).

    Raises:
        UnsafeConfigError: without trust, at the first line that would execute code.
        Exception: what the code of the config raises, as it is, with ``config_place`` as ``"file.py:12"``.
    """
    namespace: dict[str, Any] = {"__name__": "__config__", "__file__": config.source.path, BASE_KEY: base}
    names: dict[str, Any] = {}
    tree = resolve_marks(config.tree, config.table, marked, names)
    namespace.update(names)
    if config.lazy:
        transformer = _LazyImports()
        # The line tree reads config.tree later, so the statements that are replaced here stay in the original.
        visited = [transformer.visit(_copy(node)) for node in tree.body]
        tree = ast.Module([part for item in visited for part in (item if isinstance(item, list) else [item])], [])
        namespace[IMPORT_HOOK] = _Hook(config, transformer.imports, namespace, import_base, trust)
    with hold_lazy(), blaming(config.source):
        if trust:
            exec(compile(tree, config.source.path, "exec"), namespace)  # noqa: S102  # a Python config is a program
        else:
            SafeInterpreter(namespace, config.source.name, hook=IMPORT_HOOK).run(tree.body)
    for name in (*names, BASE_KEY, IMPORT_HOOK):
        namespace.pop(name, None)
    return namespace


def _copy(node: ast.stmt) -> ast.stmt:
    """A statement that the transformer may change: only those with a body are copied."""
    import copy

    return copy.deepcopy(node) if hasattr(node, "body") else node


class _Hook:
    """Executes the import statements of a pure-Python config."""

    def __init__(
        self, config: PythonConfig, imports: list[Any], namespace: dict[str, Any], import_base: Importer, trust: bool
    ) -> None:
        self.config, self.imports, self.namespace = config, imports, namespace
        self.import_base, self.trust = import_base, trust

    def __call__(self, number: int) -> None:
        node, inside = self.imports[number]
        if inside:
            self._base(node)
        elif isinstance(node, ast.Import):
            self._modules(node)
        elif node.module in _READ_BASE_HOMES and [alias.name for alias in node.names] == [READ_BASE]:
            return
        elif node.level == 0 and is_standard(node.module or ""):
            self._standard(node)
        else:
            self._names(node)

    def _place(self, node: ast.stmt) -> str:
        return f"{self.config.source.name}:{node.lineno}"

    def _base(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            raise ConfigFileError(
                "inside `with read_base():` write `from .base import *` (or names), not `import`",
                self.config.source.name,
                node.lineno,
            )
        self.import_base(node, self.namespace)

    def _modules(self, node: ast.Import) -> None:
        for alias in node.names:
            if is_standard(alias.name):
                self._standard(ast.copy_location(ast.Import([alias]), node))
            elif alias.asname:
                self.namespace[alias.asname] = LazyObject(alias.name, location=self._place(node))
            else:
                root = alias.name.split(".", 1)[0]
                known = self.namespace.get(root)
                modules = [alias.name, *(known._modules if isinstance(known, LazyObject) else ())]  # noqa: SLF001  # `modules` may be a name in it
                self.namespace[root] = LazyObject(
                    modules if len(modules) > 1 or "." in alias.name else alias.name, location=self._place(node)
                )

    def _standard(self, node: ast.Import | ast.ImportFrom) -> None:
        if not self.trust:
            raise UnsafeConfigError("imports are not allowed with trust=False", self.config.source.name, node.lineno)
        tree = ast.fix_missing_locations(ast.Module([node], []))
        exec(compile(tree, self.config.source.path, "exec"), self.namespace)  # noqa: S102  # an import of the file

    def _names(self, node: ast.ImportFrom) -> None:
        if node.level:
            raise ConfigFileError(
                "a relative import is only allowed inside `with read_base():`", self.config.source.name, node.lineno
            )
        for alias in node.names:
            if alias.name == "*":
                raise ConfigFileError(
                    f"`from {node.module} import *` cannot stay lazy; name what is imported",
                    self.config.source.name,
                    node.lineno,
                )
            self.namespace[alias.asname or alias.name] = LazyObject(node.module or "", alias.name, self._place(node))


def public_values(namespace: Mapping[str, Any], imported: Mapping[str, Any]) -> dict[str, Any]:
    """The config values of a namespace: no dunder names, modules, functions, or classes made in the file or imported."""
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("__") and not _is_code(value) and (name not in imported or imported[name] is not value)
    }


def imported_values(config: PythonConfig, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """What the import statements of a config that ran have bound, by name."""
    nodes = [node for node in _outer_statements(config.tree.body) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.asname or alias.name.split(".")[0] for node in nodes for alias in node.names]
    return {name: namespace[name] for name in names if name in namespace and _comes_from_code(namespace[name])}


def _comes_from_code(value: Any) -> bool:
    """Values such as math.pi may be meant for the config; classes and other callables are tools of the file."""
    return callable(value) and not isinstance(value, LazyObject)


def _is_code(value: Any) -> bool:
    if isinstance(value, (types.ModuleType, types.FunctionType)):
        return True
    return isinstance(value, type) and value.__module__ == "__config__"
