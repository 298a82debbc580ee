# ruff: noqa: PTH100  # paths may be URLs
"""Loads a config file: reads the text, substitutes ``{{…}}``, loads the base configs, runs the file and merges."""

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
    """Options for reading a config file and all of its base configs.

    Attributes:
        predefined: whether ``{{fileDirname}}`` and the three other predefined variables are substituted.
        environment: whether environment variables, ``{{$NAME:default}}``, are substituted.
        lazy_import: True for ``with read_base():`` and lazy imports, False for ``_base_ = …``; None detects the style.
        trust: whether Python configs are executed; if False, they are interpreted and may contain only data.
        tree: the folder that must contain all base configs; None allows any path.
    """

    predefined: bool = True
    environment: bool = True
    lazy_import: bool | None = None
    trust: bool = True
    tree: Tree | None = None


@dataclass
class Loaded:
    """The result of loading a config file together with its base configs.

    Attributes:
        values: merged values.
        text: the source texts of all files, base configs first.
        env: names and values of the environment variables that were substituted.
        layers: the values of each file before merging, base configs first.
        names: all global names of a Python config and their values, for config files that import from this config.
        imported: the names in `names` that import statements bound.
        lazy: whether the file uses ``with read_base():`` or lazy imports of libraries; False for ``_base_ = …``.
        marks: whether `values` may still contain ``_delete_`` keys, which are then removed at the end of loading.
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
        """The names that the file imported lazily, each with the stand-in that names the real object."""
        return {name: self.names[name] for name in self.names if name in self.imported and is_lazy(self.names[name])}

    def add(self, base: Loaded) -> None:
        """Adds another base config of the same child config. A layer (file) that both inherit from is added once."""
        files = {layer.file for layer in self.layers}
        self.values.update(base.values)
        self.text += base.text
        self.env.update(base.env)
        self.layers += [layer for layer in base.layers if layer.file not in files]


def load(path: str, options: Options) -> Loaded:
    """Loads the config at `path` and its base configs.

    Raises:
        OSError: a file does not exist or cannot be read.
        ConfigFileError: a file is not a valid config.
        KeyError: two bases define the same key.
        TypeError: a dict is merged onto something else.
    """
    return load_source(read_source(path if is_url(path) else os.path.abspath(path)), options)


def load_source(source: Source, options: Options) -> Loaded:
    """Loads a config whose text was already read, together with its base configs."""
    with ending_somewhere(source.name), no_collection():
        loaded = _Loader(options).file(source, ())
    if loaded.marks:
        loaded.values = strip_delete(loaded.values)
    # During loading, all files are labelled "base file". The file that the user asked for gets its own label now.
    has_bases = any(layer.file != source.name for layer in loaded.layers)
    layer_name = CHILD_FILE if has_bases else ONLY_FILE
    loaded.layers = [
        layer.with_layer_name(layer_name) if layer.file == source.name else layer for layer in loaded.layers
    ]
    if DEPRECATION_KEY in loaded.values:
        _warn_deprecated(loaded.values.pop(DEPRECATION_KEY), source.name)
    return loaded


@contextmanager
def no_collection() -> Iterator[None]:
    """Disables the garbage collector while a config loads.

    All objects that loading creates stay alive, so collection would free nothing and take half of the loading time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _warn_deprecated(info: Any, name: str) -> None:
    """Warns that a config file is deprecated.

    Args:
        info: the value of the key ``_deprecation_``; its keys ``expected`` and ``reference`` name the successor and a
            document.
        name: the config file.
    """
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
        """Loads a config file and its base configs; `stack` contains the paths of the configs that inherit from it."""
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
        """Loads a JSON or YAML config and its base configs.

        Args:
            source: the file.
            text: its text, with a placeholder instead of each ``{{…}}``.
            table: what each placeholder stands for.
            stack: the paths of this config and of the configs that inherit from it.
        """
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
        """Runs a Python config, whose statements load its base configs, and merges the config's values into theirs.

        With ``with read_base():`` the base values are imported into the names of the file, so that nothing is left to
        merge. `stack` contains the paths of this config and of the configs that inherit from it.
        """
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
            # A file that reads values of its base configs, as in `x = _base_.model`, shares these objects with the
            # base configs. Copies keep later changes of one from changing the other.
            if config.reads_base or config.table.items:
                values = plain(values)
            if config.reads_base:
                below, edits = bases.split_edits(lines)
            else:
                below, edits = bases.below, []
            loaded = self._merged(values, below, config.source, config.table, edits + layers)
        loaded.names, loaded.imported = names, frozenset(namespace.imported)
        return loaded

    def bases(self, names: list[str], source: Source, table: Substitutions, stack: tuple[str, ...]) -> Loaded:
        """Loads the files that `_base_` names and joins their values, which must have no top-level key in common.

        Raises:
            MixedStyleError: a base config inherits by ``with read_base():`` or imports libraries lazily.
            DuplicateKeyError: two base configs set the same key.
            UnsafeConfigError: with ``trust=False``, a base config lies outside the allowed folder.
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
                base.values = add_scope(base.values, scope)
            below.add(base)
        return below

    def module(self, path: str, source: Source, line: int, stack: tuple[str, ...]) -> Loaded:
        """Loads the base config that an import inside ``with read_base():`` names.

        Raises:
            MixedStyleError: that base config itself inherits by ``_base_ = …``.
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
        """Merges the values of a config file into those of its base configs.

        Args:
            values: the values that the file sets.
            below: the base configs.
            source: the file.
            table: the ``{{…}}`` of the file; its environment variables are added to those of the base configs.
            layers: the layers (unmerged values) of the file; the last one contains `values`.

        Raises:
            MergeTypeError: a mapping would be merged into another value; the message names the lines of both.
        """
        try:
            merged = merge(values, below.values, marks=DELETE_KEY in source.text)
        except MergeTypeError as error:
            raise _with_lines(error, layers[-1], below) from error
        env = {**below.env, **table.env}
        text = f"{below.text}{source.path}\n{source.text}\n"
        return Loaded(merged, text, env, [*below.layers, *layers])


class _Inherited(ConfigDict):
    """The value of the name `_base_` inside a running config file: a dict of all values of the base configs.

    Adding a list of file names returns the list of all base file names, so that ``_base_ += [...]`` adds base configs.
    """

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
    """Loads the base configs of one Python config while that config runs.

    Attributes:
        below: the joined values of the files that `_base_` names.
        modules: the base configs imported inside ``with read_base():``, each with a record of the imported names.
    """

    def __init__(self, loader: _Loader, config: PythonConfig, stack: tuple[str, ...]) -> None:
        self._loader, self._config, self._stack = loader, config, stack
        self._files: list[str] | None = None
        self._value: Any = None
        self.below = Loaded({}, "")
        self.modules: list[tuple[Loaded, _Module]] = []

    def inherit(self, value: Any) -> Any:
        """Loads the base configs that an assignment to `_base_` names; returns the value that `_base_` then has."""
        if value is self._value and value is not None:
            return value
        files = base_list(value, self._config.source)
        if files != self._files:
            self._files = files
            self.below = self._loader.bases(files, self._config.source, self._config.table, self._stack)
            if self._config.reads_base:
                values = convert(self.below.values, FileProvenance(self.below.layers))
            else:
                values = ConfigDict()  # The file never reads values of `_base_`, so the slow `convert` is skipped.
            self._value = _Inherited(values, files)
        return self._value

    def missing(self, key: str) -> Any:
        """Returns the value of a name that the running config file reads but has not assigned.

        Such a name is either the placeholder of a ``{{_base_.key}}``, or `_base_` itself, read on a line above its
        assignment. For any other name it raises KeyError.
        """
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
        """Loads the base configs if a function in the config file assigned `_base_` after ``global _base_``.

        Python does not call `Namespace.__setitem__` for such an assignment, so the value is read after the file ran.
        """
        value = namespace.pop(BASE_KEY, None)
        if value is not None:
            self.inherit(value)

    def module(self, name: str, level: int, line: int) -> _Module:
        """Loads the base config that an import inside ``with read_base():`` names."""
        source = self._config.source
        path = module_path(name, level, source.path)
        base = self._loader.module(path, source, line, self._stack)
        module = _Module(base, f"{source.name}:{line}", "." * level + name)
        self.modules.append((base, module))
        return module

    def values_of_bases(self, namespace: Namespace) -> dict[str, Any]:
        """Returns the values that were imported from base configs, as they were before this file changed them."""
        values: dict[str, Any] = {}
        for base, module in self.modules:
            values.update({new: base.names[old] for new, old in module.taken.items() if new in namespace.given})
        return values

    def split_edits(self, lines: Any) -> tuple[Loaded, list[Layer]]:
        """Separates the changes that the file made to its base values in place, such as ``_base_.lr = 1``.

        Returns the base configs with the changed values, and a list with a layer that contains only the changes, so
        that `Config.explain` names the lines of this file. The list is empty if the file changed nothing.
        """
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
    """A base config that another config imports inside ``with read_base():``.

    Attributes:
        taken: maps each imported name, as the importing file calls it, to the name in the base config.
    """

    def __init__(self, base: Loaded, location: str, name: str) -> None:
        self._base, self._location, self._name = base, location, name
        self.imported = base.imported
        self.taken: dict[str, str] = {}
        self._star = False

    @property
    def layers(self) -> list[Layer]:
        """The layers (unmerged values of each file) of the base config, restricted to the imported names."""
        if self._star:
            return list(self._base.layers)
        return [layer.renamed(self.taken) for layer in self._base.layers]

    def names(self) -> list[str]:
        """Returns all names of the base config and records that ``import *`` imported all of them."""
        self._star = True
        self.taken.update(zip(self._base.names, self._base.names, strict=True))
        return list(self._base.names)

    def take(self, name: str) -> Any:
        """Returns a copy of a value of the base config, so that the importing file can change it freely.

        Raises:
            ImportError: the base config has no such name.
        """
        if name not in self._base.names:
            raise ImportError(
                f"{self._location}: base config {self._name} has no {name!r}{hint(name, self._base.names)}"
            )
        return fresh(self._base.names[name])

    def bound(self, name: str, new: str) -> None:
        """Records that the importing file bound `name` of the base config under the name `new`."""
        self.taken[new] = name


def base_list(value: Any, source: Source) -> list[str]:
    """Returns the value of `_base_`, a file name or a list of file names, as a list.

    Raises:
        ConfigFileError: `value` is neither a string nor a list of strings.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigFileError(f"_base_ must be a file name or a list of file names, got {value!r}", source.name)
    return list(names)


def _once(make: Any) -> Any:
    """Returns a function that calls `make` once, at its first call, and then always returns this result."""
    return lru_cache(maxsize=1)(make)


def _holds_lazy(value: Any) -> bool:
    """Whether a config value is a lazy stand-in or contains one."""
    if isinstance(value, (dict, list, tuple)):
        return any(map(_holds_lazy, dict.values(value) if isinstance(value, dict) else value))
    return is_lazy(value)


def _check_duplicates(base: Loaded, owners: dict[str, Loaded], source: Source) -> None:
    """Checks that a base config sets no top-level key that an earlier base config of the same child config has set.

    A key that both base configs inherit from the same files is allowed, and so is ``_deprecation_``.

    Args:
        base: the base config.
        owners: maps each top-level key to the base config that set it; the keys of `base` are added.
        source: the child config, for the message.

    Raises:
        DuplicateKeyError: `base` and an earlier base config set the same key.
    """
    shared = [key for key in base.values if key in owners and key != DEPRECATION_KEY]
    duplicates = [key for key in shared if _setters(base, key) != _setters(owners[key], key)]
    if duplicates:
        places = "; ".join(f"{key!r} in {_where(owners[key], key)} and {_where(base, key)}" for key in duplicates)
        raise DuplicateKeyError(
            f"{source.name}: two of its bases set the same key: {places}. "
            "Move one to this file, or inherit one base from the other"
        )
    owners.update(dict.fromkeys(base.values, base))


def _setters(loaded: Loaded, key: str) -> list[str]:
    """Returns the files that set a top-level key. Base configs that inherit the key from one file have equal lists."""
    return [layer.file for layer in loaded.layers if key in layer.values()]


def _where(loaded: Loaded, key: str) -> str:
    """Returns the file and line that set a top-level key of a loaded config; ``"?"`` if unknown."""
    steps = FileProvenance(loaded.layers).steps((key,))
    if steps:
        return steps[-1].where
    return "?"


def _with_lines(error: MergeTypeError, layer: Layer, below: Loaded) -> MergeTypeError:
    """Returns the merge error with the lines that set the key in the child config and in the base config."""
    line = layer.lines().find(error.path).line
    base = FileProvenance(below.layers).steps(error.path)
    name = ".".join(map(str, error.path))
    where = ""
    if base:
        where = f" (set in {base[-1].where})"
    return MergeTypeError(f"{layer.file}:{line} {name}: {error.reason}{where}")


def add_scope(value: Any, scope: str) -> Any:
    """Adds ``_scope_`` to the outermost dicts with a ``type`` in a config value of another library.

    The key ``_scope_`` tells a registry in which library to look up the type, also for all dicts inside. Inner dicts
    get no ``_scope_``, because a class may receive such a dict as keyword arguments.
    """
    if isinstance(value, dict):
        if "type" not in value:
            return {key: add_scope(item, scope) for key, item in value.items()}
        if value.get(SCOPE_KEY) is not None:
            return value
        return {**value, SCOPE_KEY: scope}
    if type(value) is list or type(value) is tuple:
        return type(value)([add_scope(item, scope) for item in value])
    return value
