# ruff: noqa: PTH100  # paths may be URLs
"""The pipeline from a path to merged values: read, substitute, load bases, run, merge."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ._blame import ending_somewhere
from ._data import parse_data
from ._dict import ConfigDict, convert, fresh, plain, strip_delete
from ._lines import json_lines, python_lines, yaml_lines
from ._locate import locate, module_path
from ._merge import difference, merge
from ._namespace import BASE_KEY, Namespace
from ._provenance import BASE_FILE, CHILD_FILE, DELETE_KEY, ONLY_FILE, FileProvenance, Layer, Lines, short_path
from ._python import PythonConfig, run_python
from ._source import Source, is_url, read_source
from ._substitute import Substitutions, fill_values, substitute
from ._tree import Tree
from .errors import CircularBaseError, ConfigFileError, DuplicateKeyError, MergeTypeError, MixedStyleError, hint
from .lazy import is_lazy

DEPRECATION_KEY = "_deprecation_"
SCOPE_KEY = "_scope_"
MAX_DEPTH = 50


@dataclass(frozen=True)
class Options:
    """How to read files; the same for a file and its bases.

    Attributes:
        predefined: whether ``{{fileDirname}}`` and its siblings are substituted.
        environment: whether ``{{$NAME:default}}`` is.
        lazy_import: the style, None to tell by the file.
        trust: whether Python configs are executed.
        tree: the only files that may be read besides the first; None for all.
    """

    predefined: bool = True
    environment: bool = True
    lazy_import: bool | None = None
    trust: bool = True
    tree: Tree | None = None


@dataclass
class Loaded:
    """What a file and its bases say.

    Attributes:
        values: merged values.
        text: the texts of all files, bases first.
        env: environment variables that gave a value.
        layers: one per file, oldest first.
        names: all names of a Python config, for files that import from it.
        imported: those that import statements bound.
        lazy: whether it is in the pure-Python style.
        marks: whether ``_delete_`` may stand in the values.
    """

    values: dict[str, Any]
    text: str
    env: dict[str, str] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    imported: frozenset[str] = frozenset()
    lazy: bool = False
    marks: bool = False

    @property
    def lazy_imports(self) -> dict[str, Any]:
        """The imported names that hold something lazy."""
        return {name: self.names[name] for name in self.names if name in self.imported and is_lazy(self.names[name])}

    def add(self, base: Loaded) -> None:
        """Takes in what a base says; a file that is there already, as the root of a diamond, is no second layer."""
        files = {layer.file for layer in self.layers}
        self.values.update(base.values)
        self.text += base.text
        self.env.update(base.env)
        self.layers += [layer for layer in base.layers if layer.file not in files]


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
    with ending_somewhere(source.name), no_collection():
        loaded = _Loader(options).file(source, ())
    if loaded.marks:
        loaded.values = strip_delete(loaded.values)
    file_name = source.name
    alone = all(layer.file == file_name for layer in loaded.layers)
    name = ONLY_FILE if alone else CHILD_FILE
    loaded.layers = [layer.seen_as(name) if layer.file == file_name else layer for layer in loaded.layers]
    if DEPRECATION_KEY in loaded.values:
        _warn_deprecated(loaded.values.pop(DEPRECATION_KEY), source.name)
    return loaded


@contextmanager
def no_collection() -> Iterator[None]:
    """Keeps the garbage collector still: all that a load makes is kept, and walking it again and again takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _warn_deprecated(info: Any, name: str) -> None:
    if not isinstance(info, dict):
        info = {}
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
        if len(stack) >= MAX_DEPTH:
            raise ConfigFileError(f"more than {MAX_DEPTH} files inherit from one another", source.name)
        stack = (*stack, source.path)
        text, table = substitute(
            source,
            predefined=self.options.predefined,
            environment=self.options.environment,
            trust=self.options.trust,
        )
        if source.extension == ".py":
            return self._python(PythonConfig(source, text, table), stack)
        return self._data(source, text, table, stack)

    def _data(self, source: Source, text: str, table: Substitutions, stack: tuple[str, ...]) -> Loaded:
        values = parse_data(source, text)
        names = base_list(fill_values(values.pop(BASE_KEY, []), table, {}), source)
        below = self.bases(names, source, table, stack)
        if table.items:
            values = fill_values(values, table, below.values)
        reader = yaml_lines
        if source.extension == ".json":
            reader = json_lines
        layer = Layer(BASE_FILE, source.name, lambda: values, _once(lambda: reader(text, table)))
        return self._merged(values, below, source, table, [layer])

    def _python(self, config: PythonConfig, stack: tuple[str, ...]) -> Loaded:
        bases = _PythonBases(self, config, stack)
        namespace = run_python(config, bases, trust=self.options.trust, lazy=self.options.lazy_import)
        bases.settle(namespace)
        names = namespace.values_of_file()
        values = namespace.settings(names)
        lines = _once(lambda: python_lines(config.tree, config.table))
        if namespace.imports.lazy or bases.modules:
            layer = Layer(
                BASE_FILE,
                config.source.name,
                _once(lambda: difference(values, bases.values_of_bases(namespace))),
                lines,
            )
            layers = [layer for _, part in bases.modules for layer in part.layers]
            loaded = Loaded(values, config.source.text, dict(config.table.env), [*layers, layer], lazy=True)
            loaded.marks = DELETE_KEY in config.source.text
            for base, _ in bases.modules:
                loaded.env.update(base.env)
                loaded.marks = loaded.marks or base.marks
        else:
            layers = [Layer(BASE_FILE, config.source.name, lambda: values, lines)]
            # A file that holds no value of another one needs no copy of its own.
            if config.reads_base or config.table.items:
                values = plain(values)
            if config.reads_base:
                below, edits = bases.edited(lines)
            else:
                below, edits = bases.below, []
            loaded = self._merged(values, below, config.source, config.table, edits + layers)
        loaded.names, loaded.imported = names, frozenset(namespace.imported)
        return loaded

    def bases(self, names: list[str], source: Source, table: Substitutions, stack: tuple[str, ...]) -> Loaded:
        """The files that `_base_` names, side by side.

        Raises:
            MixedStyleError: one of them is a pure-Python config.
            DuplicateKeyError: two of them set the same key.
            UnsafeConfigError: without trust, one is not a file beside this one.
        """
        below = Loaded({}, "")
        owners: dict[str, Loaded] = {}
        for name in names:
            path, scope = locate(name, source.path)
            if self.options.tree is not None:
                self.options.tree.check(name, path, source.name)
            base = self.file(read_source(path, source.name), stack)
            if base.lazy and (len(base.layers) > 1 or _holds_lazy(base.values)):
                raise MixedStyleError(
                    f"base {short_path(path)} is a pure-Python config (`read_base` or imports of libraries), but this "
                    "file uses `_base_ = …`; use `with read_base():` here, or drop those imports there",
                    source.name,
                )
            _check_duplicates(base, owners, source)
            if scope:
                base.values = scoped(base.values, scope)
            below.add(base)
        return below

    def module(self, path: str, source: Source, line: int, stack: tuple[str, ...]) -> Loaded:
        """A file that an import inside ``with read_base():`` names.

        Raises:
            MixedStyleError: it inherits by `_base_`.
        """
        if self.options.tree is not None:
            self.options.tree.check(path, path, f"{source.name}:{line}")
        base = self.file(read_source(path, f"{source.name}:{line}"), stack)
        if not base.lazy and len(base.layers) > 1:
            raise MixedStyleError(
                f"{short_path(path)} uses `_base_ = …`; a file read by read_base must use `with read_base():` too",
                source.name,
                line,
            )
        return base

    def _merged(
        self, values: dict[str, Any], below: Loaded, source: Source, table: Substitutions, layers: list[Layer]
    ) -> Loaded:
        try:
            merged = merge(values, below.values, marks=DELETE_KEY in source.text)
        except MergeTypeError as error:
            raise _placed(error, layers[-1], below) from error
        env = {**below.env, **table.env}
        text = f"{below.text}{source.path}\n{source.text}\n"
        return Loaded(merged, text, env, [*below.layers, *layers])


class _Inherited(ConfigDict):
    """What `_base_` reads as. Adding file names to it gives the longer list, so that ``_base_ += [...]`` works."""

    def __init__(self, values: ConfigDict, files: list[str]) -> None:
        super().__init__()
        dict.update(self, dict.items(values))
        object.__setattr__(self, "files", files)

    __slots__ = ("files",)

    def __add__(self, more: Any) -> list[str]:
        if isinstance(more, (list, tuple)):
            return [*self.files, *more]
        return NotImplemented

    __iadd__ = __add__


class _PythonBases:
    """The base files of one Python config, read while it runs.

    Attributes:
        below: what `_base_` names.
        modules: what is imported inside ``with read_base():``, each with what the file took from it.
    """

    def __init__(self, loader: _Loader, config: PythonConfig, stack: tuple[str, ...]) -> None:
        self._loader, self._config, self._stack = loader, config, stack
        self._files: list[str] | None = None
        self._value: Any = None
        self.below = Loaded({}, "")
        self.modules: list[tuple[Loaded, _Module]] = []

    def inherit(self, value: Any) -> Any:
        """What `_base_` reads as once `value` is assigned to it."""
        if value is self._value and value is not None:
            return value
        files = base_list(value, self._config.source)
        if files != self._files:
            self._files = files
            self.below = self._loader.bases(files, self._config.source, self._config.table, self._stack)
            read = self._config.reads_base
            if read:
                values = convert(self.below.values, FileProvenance(self.below.layers))
            else:
                values = ConfigDict()
            self._value = _Inherited(values, files)
        return self._value

    def missing(self, key: str) -> Any:
        """The value of a name that the file reads before it is bound: a mark, or `_base_` above its assignment."""
        number = self._config.table.number(key)
        if number is not None:
            if self._files is None:
                self._inherit_as_written()
            return self._config.table.value(number, self.below.values)
        if key == BASE_KEY and self._inherit_as_written():
            return self._value
        raise KeyError(key)

    def _inherit_as_written(self) -> bool:
        written = self._config.written_base()
        if written is not None:
            self.inherit(written)
        return written is not None

    def settle(self, namespace: Namespace) -> None:
        """Reads what a function of the file assigned to `_base_` past the namespace."""
        value = namespace.pop(BASE_KEY, None)
        if value is not None:
            self.inherit(value)

    def module(self, name: str, level: int, line: int) -> _Module:
        """The file that an import inside ``with read_base():`` names."""
        source = self._config.source
        path = module_path(name, level, source.path)
        base = self._loader.module(path, source, line, self._stack)
        module = _Module(base, f"{source.name}:{line}", "." * level + name)
        self.modules.append((base, module))
        return module

    def values_of_bases(self, namespace: Namespace) -> dict[str, Any]:
        """What the base files gave, as it was before the file changed it."""
        values: dict[str, Any] = {}
        for base, module in self.modules:
            values.update({new: base.names[old] for new, old in module.taken.items() if new in namespace.given})
        return values

    def edited(self, lines: Any) -> tuple[Loaded, list[Layer]]:
        """What the file changed in place through `_base_` counts as the base, and as a layer of the file."""
        if self._value is None:
            return self.below, []
        base = plain(self._value)
        changed = difference(base, self.below.values)
        if not changed and base.keys() == self.below.values.keys():
            return self.below, []
        base_lines = _once(lambda: lines().children.get(BASE_KEY, Lines()))
        layer = Layer(BASE_FILE, self._config.source.name, lambda: changed, base_lines)
        return replace(self.below, values=base), [layer]


class _Module:
    """A base file as the file that imports from it sees it.

    Attributes:
        taken: name in the importing file -> name in the base.
    """

    def __init__(self, base: Loaded, location: str, name: str) -> None:
        self._base, self._location, self._name = base, location, name
        self.imported = base.imported
        self.taken: dict[str, str] = {}
        self._star = False

    @property
    def layers(self) -> list[Layer]:
        """The layers of the base, as far as the importing file took their names."""
        if self._star:
            return list(self._base.layers)
        return [layer.renamed(self.taken) for layer in self._base.layers]

    def names(self) -> list[str]:
        """What a star import takes."""
        self._star = True
        self.taken.update(zip(self._base.names, self._base.names, strict=True))
        return list(self._base.names)

    def take(self, name: str) -> Any:
        """A value of the base, the importing file's own copy.

        Raises:
            ImportError: the base has no such name.
        """
        if name not in self._base.names:
            raise ImportError(
                f"{self._location}: base config {self._name} has no {name!r}{hint(name, self._base.names)}"
            )
        value = self._base.names[name]
        return fresh(value)

    def bound(self, name: str, new: str) -> None:
        """Hears that the importing file bound `name` of the base as `new`."""
        self.taken[new] = name


def base_list(value: Any, source: Source) -> list[str]:
    """The value of `_base_` as a list of file names.

    Raises:
        ConfigFileError: it is neither a string nor a list of strings.
    """
    names = value
    if isinstance(value, str):
        names = [value]
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigFileError(f"_base_ must be a file name or a list of file names, got {value!r}", source.name)
    return list(names)


def _once(make: Any) -> Any:
    return lru_cache(maxsize=1)(make)


def _holds_lazy(value: Any) -> bool:
    if isinstance(value, (dict, list, tuple)):
        return any(map(_holds_lazy, dict.values(value) if isinstance(value, dict) else value))
    return is_lazy(value)


def _check_duplicates(base: Loaded, owners: dict[str, Loaded], source: Source) -> None:
    twice = [
        key
        for key in base.values
        if key in owners and key != DEPRECATION_KEY and _setters(base, key) != _setters(owners[key], key)
    ]
    if twice:
        places = "; ".join(f"{key!r} in {_where(owners[key], key)} and {_where(base, key)}" for key in twice)
        raise DuplicateKeyError(
            f"{source.name}: two of its bases set the same key: {places}. "
            "Move one to this file, or inherit one base from the other"
        )
    owners.update(dict.fromkeys(base.values, base))


def _setters(loaded: Loaded, key: str) -> list[str]:
    """The files that set a key. Two bases that have it from one file, the root of a diamond, agree."""
    return [layer.file for layer in loaded.layers if key in layer.values()]


def _where(loaded: Loaded, key: str) -> str:
    steps = FileProvenance(loaded.layers).steps((key,))
    if steps:
        return steps[-1].where
    return "?"


def _placed(error: MergeTypeError, layer: Layer, below: Loaded) -> MergeTypeError:
    """The conflict with the lines of both sides."""
    line = layer.lines().find(error.path).line
    base = FileProvenance(below.layers).steps(error.path)
    name = ".".join(map(str, error.path))
    where = ""
    if base:
        where = f" (set in {base[-1].where})"
    return MergeTypeError(f"{layer.file}:{line} {name}: {error.reason}{where}")


def scoped(value: Any, scope: str) -> Any:
    """`value`, from another library, with ``_scope_`` in the outermost mappings that name a type.

    What such a mapping holds is built in its scope; its inner mappings may be passed on as keywords and get no mark.
    """
    if isinstance(value, dict):
        if "type" not in value:
            return {key: scoped(item, scope) for key, item in value.items()}
        if value.get(SCOPE_KEY) is not None:
            return value
        return {**value, SCOPE_KEY: scope}
    if type(value) is list or type(value) is tuple:
        return type(value)([scoped(item, scope) for item in value])
    return value
