# ruff: noqa: PTH100  # paths may be URLs
"""The pipeline from a path to merged values: read, substitute, parse, load bases, run, merge."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ._blame import ending_somewhere
from ._data import parse_data
from ._dict import ConfigDict, convert, plain
from ._lines import json_lines, python_lines, yaml_lines
from ._locate import locate, module_path
from ._merge import difference, merge
from ._provenance import BASE_FILE, CHILD_FILE, DELETE_KEY, FileProvenance, Layer, Lines, short_path
from ._python import (
    BASE_KEY,
    PythonConfig,
    base_list,
    imported_values,
    parse_python,
    public_values,
    run_direct,
    run_python,
)
from ._source import Source, is_url, read_source
from ._substitute import Substitutions, fill_values, substitute
from .errors import CircularBaseError, DuplicateKeyError, MergeTypeError, MixedStyleError, UnsafeConfigError, hint
from .lazy import is_lazy

DEPRECATION_KEY = "_deprecation_"
SCOPE_KEY = "_scope_"


@dataclass(frozen=True)
class Options:
    """How to read files; the same for a file and its bases.

    Attributes:
        predefined: whether ``{{fileDirname}}`` and its siblings are substituted.
        environment: whether ``{{$NAME:default}}`` is.
        lazy_import: the style, None to tell by the file.
        trust: whether Python configs are executed.
        bases: whether the text may inherit from files.
    """

    predefined: bool = True
    environment: bool = True
    lazy_import: bool | None = None
    trust: bool = True
    bases: bool = True


@dataclass
class Loaded:
    """What a file and its bases say.

    Attributes:
        values: merged plain values.
        text: the texts of all files, bases first.
        env: environment variables that gave a value.
        layers: one per file, oldest first.
        namespace: all names of a pure-Python config, for files that import from it.
        tools: classes and functions that the files import and really use while they run.
        lazy: whether it is in the pure-Python style.
    """

    values: dict[str, Any]
    text: str
    env: dict[str, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    namespace: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, Any] = field(default_factory=dict)
    lazy: bool = False

    @property
    def imported(self) -> dict[str, Any]:
        """The names that hold lazy imports."""
        return {name: value for name, value in self.namespace.items() if is_lazy(value)}


def load(path: str, options: Options) -> Loaded:
    """Everything that the config at `path` says.

    Raises:
        OSError: a file does not exist or cannot be read.
        ConfigFileError: a file is not a valid config.
        KeyError: two bases define the same key.
        TypeError: a dict is merged onto something else.
    """
    return load_source(read_source(path if is_url(path) else os.path.abspath(path)), options)


def load_source(source: Source, options: Options) -> Loaded:
    """As `load`, for a source at hand."""
    with ending_somewhere(source.name):
        loaded = _Loader(options).file(source, ())
    own = source.name
    loaded.layers = [layer.as_kind(CHILD_FILE) if layer.file == own else layer for layer in loaded.layers]
    if DEPRECATION_KEY in loaded.values:
        _warn_deprecated(loaded.values.pop(DEPRECATION_KEY), source.name)
    return loaded


def _warn_deprecated(info: Any, name: str) -> None:
    info = info if isinstance(info, dict) else {}
    text = f"The config file {name} is deprecated"
    text += f", please use {info['expected']} instead" if "expected" in info else ""
    text += f"; see {info['reference']}" if "reference" in info else ""
    warnings.warn(text + ".", DeprecationWarning, stacklevel=4)


@dataclass
class _Loader:
    options: Options

    def file(self, source: Source, stack: tuple[str, ...]) -> Loaded:
        if source.path in stack:
            chain = " -> ".join(short_path(path) for path in (*stack[stack.index(source.path) :], source.path))
            raise CircularBaseError(f"the file is its own base: {chain}", source.name)
        stack = (*stack, source.path)
        text, table = substitute(source, predefined=self.options.predefined, environment=self.options.environment)
        if source.extension == ".py":
            return self._python(parse_python(source, text, table, self.options.lazy_import, self.options.trust), stack)
        return self._data(source, text, table, stack)

    def _data(self, source: Source, text: str, table: Substitutions, stack: tuple[str, ...]) -> Loaded:
        values = parse_data(source, text)
        names = base_list(fill_values(values.pop(BASE_KEY, []), table, {}), source)
        below = self._bases(names, source, stack)
        values = fill_values(values, table, below.values) if table.items else values
        reader = json_lines if source.extension == ".json" else yaml_lines
        layer = Layer(BASE_FILE, source.name, values, _once(lambda: reader(text, table)))
        return self._merged(values, below, source, table, [layer])

    def _python(self, config: PythonConfig, stack: tuple[str, ...]) -> Loaded:
        if config.lazy:
            return self._pure_python(config, stack)
        below, base = Loaded({}, ""), ConfigDict()

        def read_bases(value: Any) -> ConfigDict:
            nonlocal below, base
            below = self._bases(base_list(value, config.source), config.source, stack)
            if config.uses_base:
                base = convert(below.values, FileProvenance(below.layers))
            return base

        if config.direct:
            namespace = run_direct(config, read_bases)
        else:
            base = read_bases(config.bases)
            trust = self.options.trust
            namespace = run_python(config, base, below.values, trust=trust, import_base=_no_import)
        imported = {} if config.direct else imported_values(config, namespace)
        values = public_values(namespace, imported)
        # A file that holds no value of another one needs no copy of its own.
        values = plain(values) if config.uses_base or config.table.items else values
        lines = _once(lambda: python_lines(config.tree, config.table))
        layers = [Layer(BASE_FILE, config.source.name, values, lines)]
        if config.uses_base:
            below, edits = self._edited(below, plain(base), config.source.name, lines)
            layers = edits + layers
        return self._merged(values, below, config.source, config.table, layers)

    def _edited(self, below: Loaded, base: dict[str, Any], file: str, lines: Any) -> tuple[Loaded, list[Layer]]:
        """What a child changed in place through `_base_` counts as the base, and as a layer of the child."""
        changed = difference(base, below.values)
        if not changed and base.keys() == below.values.keys():
            return below, []
        base_lines = _once(lambda: lines().children.get(BASE_KEY, Lines()))
        return replace(below, values=base), [Layer(BASE_FILE, file, changed, base_lines)]

    def _pure_python(self, config: PythonConfig, stack: tuple[str, ...]) -> Loaded:
        source = config.source
        result = Loaded({}, source.text, dict(config.table.env), lazy=True)
        given: dict[str, Any] = {}

        def import_base(node: ast.ImportFrom, namespace: dict[str, Any]) -> None:
            if not self.options.bases:
                raise UnsafeConfigError("a text read with trust=False cannot inherit", source.name, node.lineno)
            path = module_path(node.module or "", node.level, source.path)
            base = self.file(read_source(path, f"{source.name}:{node.lineno}"), stack)
            if not base.lazy and len(base.layers) > 1:
                raise MixedStyleError(
                    f"{short_path(path)} uses `_base_ = …`; a file read by read_base must use `with read_base():` too",
                    source.name,
                    node.lineno,
                )
            names = _import_names(node, base, source)
            result.layers += [layer.renamed(names) if names is not None else layer for layer in base.layers]
            result.env.update(base.env)
            result.tools.update(base.tools)
            chosen = base.namespace if names is None else {new: base.namespace[old] for new, old in names.items()}
            given.update({name: plain(value) for name, value in chosen.items()})
            origin = FileProvenance(base.layers)
            namespace.update({name: _handed_over(value, origin, name) for name, value in chosen.items()})

        namespace = run_python(config, ConfigDict(), {}, trust=self.options.trust, import_base=import_base)
        result.namespace = {name: plain(value) for name, value in namespace.items() if not name.startswith("__")}
        result.tools |= imported_values(config, namespace)
        values = public_values(result.namespace, result.tools)
        result.values = {name: value for name, value in values.items() if not is_lazy(value)}
        own = difference(result.values, given)
        result.layers.append(Layer(BASE_FILE, source.name, own, _once(lambda: python_lines(config.tree, config.table))))
        return result

    def _bases(self, names: list[str], source: Source, stack: tuple[str, ...]) -> Loaded:
        below = Loaded({}, "")
        owners: dict[str, Loaded] = {}
        if names and not self.options.bases:
            raise UnsafeConfigError(f"a text read with trust=False cannot inherit; it names {names[0]!r}", source.name)
        for name in names:
            path, scope = locate(name, source.path)
            base = self.file(read_source(path, source.name), stack)
            if base.lazy and (len(base.layers) > 1 or _holds_lazy(base.values)):
                raise MixedStyleError(
                    f"base {short_path(path)} is a pure-Python config (`read_base` or imports of libraries), but this "
                    "file uses `_base_ = …`; use `with read_base():` here, or drop those imports there",
                    source.name,
                )
            _check_duplicates(base, owners, source)
            values = _scoped(base.values, scope) if scope else base.values
            below.values.update(values)
            below.text += base.text
            below.env.update(base.env)
            below.layers += base.layers
        return below

    def _merged(
        self, values: dict[str, Any], below: Loaded, source: Source, table: Substitutions, layers: list[Layer]
    ) -> Loaded:
        try:
            merged = merge(values, below.values, marks=DELETE_KEY in source.text)
        except MergeTypeError as error:
            raise _placed(error, layers[-1], below) from error
        env = {**below.env, **table.env}
        text = f"{below.text}{source.path}\n{source.text}\n"
        return Loaded(merged, text, env, [*below.layers, *layers], merged)


def _no_import(node: ast.ImportFrom, namespace: dict[str, Any]) -> None:
    raise AssertionError("read_base makes a file lazy")


def _once(make: Any) -> Any:
    return lru_cache(maxsize=1)(make)


def _holds_lazy(value: Any) -> bool:
    if isinstance(value, (dict, list, tuple)):
        return any(map(_holds_lazy, dict.values(value) if isinstance(value, dict) else value))
    return is_lazy(value)


def _import_names(node: ast.ImportFrom, base: Loaded, source: Source) -> dict[str, str] | None:
    """Names as imported to names in the base; None for a star."""
    if node.names[0].name == "*":
        return None
    for alias in node.names:
        if alias.name not in base.namespace:
            raise ImportError(
                f"{source.name}:{node.lineno}: base config {'.' * node.level}{node.module or ''} has no "
                f"{alias.name!r}{hint(alias.name, base.namespace)}"
            )
    return {alias.asname or alias.name: alias.name for alias in node.names}


def _handed_over(value: Any, origin: FileProvenance, name: str) -> Any:
    """A value of a base as the importing file gets it: its own copy, mappings with attribute access."""
    if isinstance(value, (dict, list, tuple)):
        return convert(value, origin, (name,))
    return set(value) if isinstance(value, set) else value


def _check_duplicates(base: Loaded, owners: dict[str, Loaded], source: Source) -> None:
    twice = [key for key in base.values if key in owners and key != DEPRECATION_KEY]
    if twice:
        places = "; ".join(f"{key!r} in {_where(owners[key], key)} and {_where(base, key)}" for key in twice)
        raise DuplicateKeyError(
            f"{source.name}: two of its bases set the same key: {places}. "
            "Move one to this file, or inherit one base from the other"
        )
    owners.update(dict.fromkeys(base.values, base))


def _where(loaded: Loaded, key: str) -> str:
    steps = FileProvenance(loaded.layers).steps((key,))
    return steps[-1].where if steps else "?"


def _placed(error: MergeTypeError, layer: Layer, below: Loaded) -> MergeTypeError:
    """The conflict with the lines of both sides."""
    line = layer.lines().find(error.path).line
    base = FileProvenance(below.layers).steps(error.path)
    name = ".".join(map(str, error.path))
    where = f" (set in {base[-1].where})" if base else ""
    return MergeTypeError((), f"{layer.file}:{line} {name}: {error.reason}{where}")


def _scoped(value: Any, scope: str) -> Any:
    """`value` with ``_scope_`` in every mapping that names a type, as it comes from another library."""
    if isinstance(value, Mapping):
        found = {key: _scoped(item, scope) for key, item in value.items()}
        return {**found, SCOPE_KEY: scope} if "type" in found and SCOPE_KEY not in found else found
    if isinstance(value, (list, tuple)):
        return type(value)(_scoped(item, scope) for item in value)
    return value
