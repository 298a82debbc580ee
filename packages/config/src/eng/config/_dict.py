"""`ConfigDict`: a dict with attribute access that records which file and line set each value."""

from __future__ import annotations

import copy
import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._provenance import CODE, DELETE_KEY, MISSING, EditProvenance, Path, Provider, Step, caller_step
from .errors import MissingAttributeError, MissingKeyError
from .lazy import LazyAttr, LazyObject, dotted_name, is_held, resolve

PLAIN_DICTS = (dict, OrderedDict)
LEAVES = frozenset({str, int, float, bool, type(None), LazyObject, LazyAttr})
_NAMELESS = LEAVES - {LazyObject, LazyAttr}
_dict_set, _dict_get, _new_dict = dict.__setitem__, dict.__getitem__, dict.__new__


class ConfigDict(dict):  # type: ignore[type-arg]  # keys and values of a config have any type
    """A dict whose keys can also be read and set as attributes.

    Plain dicts that are put in, directly or inside lists and tuples, become `ConfigDict` too. A value that the config
    file imported lazily is really imported when the value is read: by ``cfg.type``, ``cfg["type"]``, ``get``, ``pop``,
    ``values`` or ``items``.

    Args:
        *args: mappings, or iterables of (key, value) pairs, whose items are copied into the dict in this order.
        **kwargs: items that are added after those of `args`.

    Raises:
        AttributeError: a missing key is read as an attribute; the message suggests similar keys.
        KeyError: a missing key is read as an item.

    Example:
        >>> cfg = ConfigDict(model=dict(type="ResNet", stages=[dict(depth=3)]))
        >>> cfg.model.stages[0].depth
        3
        >>> cfg.model.typ
        Traceback (most recent call last):
        eng.config.errors.MissingAttributeError: 'ConfigDict' object has no attribute 'typ'; did you mean 'type'?
    """

    __slots__ = ("__weakref__", "_eng_edits", "_eng_origin")
    _eng_edits: Any
    _eng_origin: Any

    def __init__(__self, *args: Any, **kwargs: Any) -> None:  # noqa: N805  # `__self`, because a key of kwargs may be called `self`
        dict.__init__(__self)
        for arg in args:
            if arg:
                for key, value in _pairs(arg):
                    _dict_set(__self, key, convert(value))
        for key, value in kwargs.items():
            _dict_set(__self, key, convert(value))

    def __getattr__(self, name: str) -> Any:
        """Returns the value of the key `name`; Python calls this method only if the dict has no method of this name.

        Names such as ``__array__`` raise a plain AttributeError, because libraries look up many of them and discard the
        error.
        """
        try:
            return resolve(_dict_get(self, name))
        except KeyError:
            pass
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        raise MissingAttributeError(name, self.keys())

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CLASS_NAMES:
            raise AttributeError(
                f"'ConfigDict' object attribute {name!r} is read-only (a method has that name); write cfg[{name!r}] = …"
            )
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise MissingAttributeError(name, self.keys())
        del self[name]

    def __getitem__(self, key: Any) -> Any:
        return resolve(dict.__getitem__(self, key))

    def __missing__(self, key: Any) -> Any:
        raise MissingKeyError(key, self.keys())

    def __setitem__(self, key: Any, value: Any) -> None:
        put(self, key, value, None if is_held() else caller_step(CODE, None))

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise MissingKeyError(key, self.keys())
        dict.__delitem__(self, key)

    def __iter__(self) -> Iterator[Any]:
        # If a dict subclass does not define `__iter__`, CPython copies its stored values directly. If the subclass
        # does, `dict(cfg)` and `f(**cfg)` call `__getitem__`, which replaces a lazy stand-in by the imported object.
        return dict.__iter__(self)

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns the value of `key`, or `default` if the key is missing."""
        return resolve(dict.get(self, key, default))

    def pop(self, key: Any, default: Any = None) -> Any:
        """Removes `key` and returns its value; returns `default` if the key is missing, without a KeyError."""
        return resolve(dict.pop(self, key, default))

    def popitem(self) -> tuple[Any, Any]:
        """Removes the item that was added last and returns its key and value."""
        key, value = dict.popitem(self)
        return key, resolve(value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Returns the value of `key`; if `key` is missing, sets `key` to `default` first."""
        if key not in self:
            self[key] = default
        return self[key]

    def values(self) -> list[Any]:  # type: ignore[override]  # MMEngine returns a list as well.
        """Returns all values as a list, with lazy stand-ins replaced by the imported objects."""
        return [resolve(value) for value in dict.values(self)]

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]  # MMEngine returns a list as well.
        """Returns all (key, value) pairs as a list, with lazy stand-ins replaced by the imported objects."""
        return [(key, resolve(value)) for key, value in dict.items(self)]

    def build_lazy(self, value: Any) -> Any:
        """Imports and returns the object that the lazy stand-in `value` names; returns any other value unchanged."""
        return resolve(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets items from a mapping, an iterable of (key, value) pairs, or keyword arguments.

        Where the old and the new value of a key are both mappings, the old mapping is updated recursively instead of
        being replaced.

        Raises:
            TypeError: more than one positional argument.
        """
        if len(args) > 1:
            raise TypeError(f"update expected at most 1 argument, got {len(args)}")
        step = None if is_held() else caller_step(CODE, None)
        for key, value in [*(_pairs(args[0]) if args else ()), *kwargs.items()]:
            old = dict.get(self, key)
            if isinstance(old, ConfigDict) and isinstance(value, Mapping):
                old.update(value)
            else:
                put(self, key, value, step)

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merges `other` into this dict, in place, as a child config is merged into its base config.

        If the old and the new value of a key are both mappings, they are merged key by key, unless the new mapping
        contains ``_delete_=True``. In all other cases the new value replaces the old value.

        Raises:
            TypeError: `other` is not a mapping.
        """
        if not isinstance(other, Mapping):
            raise TypeError(f"merge takes a mapping, got {type(other).__name__}")
        self._merge(other, None if is_held() else caller_step(CODE, None))

    def _merge(self, other: Mapping[Any, Any], step: Step | None) -> None:
        """Merges `other` into this dict as `merge` does; records `step` as the latest assignment if it is not None."""
        if other.get(DELETE_KEY):
            dict.clear(self)
        for key, value in _pairs(other):
            old = dict.get(self, key)
            if isinstance(value, Mapping) and isinstance(old, ConfigDict) and not value.get(DELETE_KEY):
                old._merge(value, step)  # noqa: SLF001  # a method of the same class
            elif key != DELETE_KEY:
                put(self, key, strip_delete(value), step)

    def __or__(self, other: Any) -> ConfigDict:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self.copy()
        dict.update(new, ConfigDict(other))
        return new

    def __ror__(self, other: Any) -> ConfigDict:
        if isinstance(other, Mapping):
            return ConfigDict(other) | self
        return NotImplemented

    def __ior__(self, other: Any) -> ConfigDict:
        self.update(other)
        return self

    def copy(self) -> ConfigDict:
        """Returns a shallow copy; its method `__where__` still returns which file and line set each value."""
        return self.__copy__()

    def deepcopy(self) -> ConfigDict:
        """Returns a deep copy; its method `__where__` still returns which file and line set each value."""
        return copy.deepcopy(self)

    def __copy__(self) -> ConfigDict:
        new = self.__class__.__new__(self.__class__)
        for key, value in dict.items(self):
            _dict_set(new, key, value[:] if type(value) is list else value)
        _copy_trace(self, new)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        new = self.__class__.__new__(self.__class__)
        memo[id(self)] = new
        for key, value in dict.items(self):
            _dict_set(new, key, value if type(value) in LEAVES else copy.deepcopy(value, memo))
        _copy_trace(self, new)
        return new

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _restore, (self.__class__, dict(dict.items(self)))

    def to_dict(self) -> dict[Any, Any]:
        """Returns a copy in plain dicts at every level; a lazily imported object becomes its dotted name, a string."""
        result = plain(self, names=True)
        assert isinstance(result, dict)
        return result

    def _to_lazy_dict(self) -> dict[Any, Any]:
        result = plain(self)
        assert isinstance(result, dict)
        return result

    def __where__(self, key: str | int | None = None) -> str | None:
        """Returns where `key` was last set, as ``'path/file.py:12'``; for None, where this mapping itself was set.

        Returns None if no file or line was recorded, as for a `ConfigDict` that does not come from a config file.
        """
        steps = trace(self, () if key is None else (key,))
        if steps:
            return steps[-1].where
        return None


_CLASS_NAMES = frozenset(name for name in dir(ConfigDict) if not name.startswith("_"))
_ORIGIN: Any = ConfigDict._eng_origin  # noqa: SLF001  # a private slot of the class above
_EDITS: Any = ConfigDict._eng_edits  # noqa: SLF001  # a private slot of the class above


def _pairs(source: Any) -> Iterable[tuple[Any, Any]]:
    """Returns the (key, value) pairs of a mapping or of an iterable of pairs; lazy stand-ins are not imported."""
    if isinstance(source, dict):
        return dict.items(source)
    if isinstance(source, Mapping):
        return [(key, source[key]) for key in source]
    pairs: Iterable[tuple[Any, Any]] = source
    return pairs


def _restore(cls: type[ConfigDict], data: dict[Any, Any]) -> ConfigDict:
    new = cls.__new__(cls)
    dict.update(new, data)
    return new


def _slot(node: ConfigDict, slot: Any) -> Any:
    """Returns the value of a slot of `node`; None if the slot was never set."""
    try:
        return slot.__get__(node, ConfigDict)
    except AttributeError:
        return None


def _copy_trace(old: ConfigDict, new: ConfigDict) -> None:
    """Copies the record of where each value was set (file and line) from one `ConfigDict` to another."""
    origin, edits = _slot(old, _ORIGIN), _slot(old, _EDITS)
    if origin is not None:
        _ORIGIN.__set__(new, origin)
    if edits is not None:
        _EDITS.__set__(new, {key: list(steps) for key, steps in edits.items()})


def convert(value: Any, origin: Provider | None = None, path: Path = (), *, rebind: bool = True) -> Any:
    """Returns `value` with every plain dict in it replaced by a new `ConfigDict`.

    Lists are copied, so that changing the config never changes the caller's lists.

    Args:
        value: any config value.
        origin: the record of which file and line set each value; stored in every new `ConfigDict`.
        path: keys from the root of `origin` to `value`.
        rebind: whether a `ConfigDict` in `value` is replaced by a new `ConfigDict` that stores `origin`. If `rebind`
            is False or `origin` is None, a `ConfigDict` in `value` stays the same object.
    """
    cls = type(value)
    if cls in LEAVES:
        return value
    if cls in PLAIN_DICTS or (origin is not None and rebind and cls is ConfigDict):
        return _convert_dict(value, origin, path, rebind=rebind)
    if cls is list or cls is tuple:
        if LEAVES.issuperset(map(type, value)):
            if cls is tuple:
                return value
            return value[:]
        items = [convert(item, origin, (*path, index), rebind=rebind) for index, item in enumerate(value)]
        if cls is list:
            return items
        return tuple(items)
    if origin is not None and rebind and issubclass(cls, ConfigDict):
        return _convert_dict(value, origin, path, rebind=rebind)
    return value


def _convert_dict(value: dict[Any, Any], origin: Provider | None, path: Path, *, rebind: bool = True) -> ConfigDict:
    """Returns a mapping as a new `ConfigDict`, with the mappings inside it converted too; arguments as in `convert`."""
    node = _new_dict(ConfigDict)
    dict.update(node, value if type(value) is dict else dict.items(value))
    for key, item in dict.items(node):  # Python allows replacing values while it iterates; only new keys are an error.
        if type(item) not in LEAVES:
            _dict_set(node, key, convert(item, origin, (*path, key), rebind=rebind))
    if origin is not None:
        _ORIGIN.__set__(node, (origin, path))
    return node


def fresh(value: Any) -> Any:
    """Returns a deep copy of a config value without the record of which file and line set it.

    Mappings become new `ConfigDict`; lists, tuples and sets are copied; any other object is shared.
    """
    cls = type(value)
    if cls in LEAVES:
        return value
    if cls is ConfigDict or cls in PLAIN_DICTS:
        node = _new_dict(ConfigDict)
        for key, item in dict.items(value):
            _dict_set(node, key, item if type(item) in LEAVES else fresh(item))
        return node
    if cls is list:
        if LEAVES.issuperset(map(type, value)):
            return value[:]
        return [fresh(item) for item in value]
    if cls is tuple:
        if LEAVES.issuperset(map(type, value)):
            return value
        return tuple([fresh(item) for item in value])
    if cls is set:
        return set(value)
    return value


def plain(value: Any, *, names: bool = False) -> Any:
    """Returns a copy of `value` with every `ConfigDict` in it replaced by a plain dict.

    With `names`, every lazy stand-in is replaced by its dotted name.
    """
    cls = type(value)
    if cls in _NAMELESS:
        return value
    if cls in LEAVES:
        if names:
            return dotted_name(value)
        return value
    if cls is ConfigDict or cls in PLAIN_DICTS or issubclass(cls, ConfigDict):
        return {key: item if type(item) in _NAMELESS else plain(item, names=names) for key, item in dict.items(value)}
    if cls is list:
        return [item if type(item) in _NAMELESS else plain(item, names=names) for item in value]
    if cls is tuple:
        return tuple([plain(item, names=names) for item in value])
    return value


def strip_delete(value: Any) -> Any:
    """Returns `value` without its ``_delete_`` keys.

    Merging uses up the ``_delete_`` key of a mapping that replaces an inherited mapping; where nothing was inherited,
    the key remains and must not reach the user. A value without ``_delete_`` keys is returned as the same object.
    """
    if isinstance(value, dict):
        stripped = {key: strip_delete(item) for key, item in dict.items(value) if key != DELETE_KEY}
        is_unchanged = len(stripped) == len(value) and all(map(operator.is_, stripped.values(), dict.values(value)))
        return value if is_unchanged else stripped
    if type(value) is list or type(value) is tuple:
        items = [strip_delete(item) for item in value]
        if all(map(operator.is_, items, value)):
            return value
        return type(value)(items)
    return value


def put(node: ConfigDict, key: Any, value: Any, step: Step | None) -> None:
    """Sets one item of a `ConfigDict` and records the step: which line of code or command line set the value.

    While a config file runs `step` is None and nothing is recorded; `Config.explain` later finds the lines of the
    file's assignments in the file's text.
    """
    if step is None or is_held():
        _dict_set(node, key, convert(value))
        return
    cls = type(value)
    if cls in LEAVES:
        record(node, key, Step(step.layer, step.file, step.line, value))
        _dict_set(node, key, value)
        return
    if cls is ConfigDict:
        _dict_set(node, key, value)
        record(node, key, Step(step.layer, step.file, step.line, value))
        return
    snapshot = Step(step.layer, step.file, step.line, plain(value))
    origin = EditProvenance(snapshot, _history(node, key))
    converted = convert(value, origin, rebind=False)
    record(node, key, snapshot)
    _dict_set(node, key, converted)


def _history(node: ConfigDict, key: Any) -> Any:
    """Returns a function that lists the assignments made to `key` up to now; None if none was recorded.

    The function takes a path below `key`. It keeps a copy of the present records, so later assignments do not change
    its result; the list itself is only computed when `Config.explain` calls the function. A step is one assignment:
    who made it, in which file and line, and the value. The origin of `node` lists the assignments that led to its first
    content, usually those of config files; an edit is a later assignment to a key, by code or the command line.
    """
    origin, edits = _slot(node, _ORIGIN), _slot(node, _EDITS)
    past = []
    if edits:
        past = list(edits.get(key, ()))
    if origin is None and not past:
        return None
    frozen = [EditProvenance(step) for step in past]

    def steps_before_edit(path: Path) -> list[Step]:
        """Returns the assignments to the value at `path` below the key, oldest first, until the call of `_history`."""
        provider, root = origin or (None, ())
        steps = []
        if provider:
            steps = provider.steps((*root, key, *path))
        for edit in frozen:
            steps = [*steps, *edit.steps(path)]
        return steps

    return steps_before_edit


def record(node: ConfigDict, key: Any, step: Step) -> None:
    """Appends a step, which says who assigned which value, to the recorded assignments of one key."""
    edits = _slot(node, _EDITS)
    if edits is None:
        edits = {}
        _EDITS.__set__(node, edits)
    edits.setdefault(key, []).append(step)


def trace(node: ConfigDict, path: Path) -> list[Step]:
    """Returns all recorded assignments to the value at `path` below `node`, oldest first."""
    origin, edits = _slot(node, _ORIGIN), _slot(node, _EDITS)
    steps: list[Step] = []
    if origin is not None:
        steps = origin[0].steps((*origin[1], *path))
    if path and edits:
        for step in edits.get(path[0], ()):
            steps = [*steps, *EditProvenance(step).steps(path[1:])]
    return steps


def collect_chains(values: ConfigDict) -> dict[Path, list[Step]]:
    """Returns all recorded assignments of a config as data that can be pickled.

    The dict maps the path of every value, as a tuple of keys, to the assignments to that value, oldest first.
    """
    chains: dict[Path, list[Step]] = {}

    def walk(node: Any, owner: ConfigDict, path: Path, owner_depth: int) -> None:
        """Adds the assignments to `node` and the values inside it; `owner` is the nearest ConfigDict around `node`."""
        if path:
            chains[path] = trace(owner, path[owner_depth:])
        if isinstance(node, ConfigDict):
            for key, item in dict.items(node):
                walk(item, node, (*path, key), len(path))
        elif isinstance(node, (list, tuple)):
            for index, item in enumerate(node):
                walk(item, owner, (*path, index), owner_depth)

    walk(values, values, (), 0)
    return chains


def bind(node: Any, origin: Provider, path: Path = ()) -> None:
    """Attaches `origin`, the record of who set each value, in place to `node` and to every mapping inside `node`."""
    if isinstance(node, ConfigDict):
        _ORIGIN.__set__(node, (origin, path))
        for key, item in dict.items(node):
            bind(item, origin, (*path, key))
    elif isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            bind(item, origin, (*path, index))


def lookup(node: Any, path: Path) -> Any:
    """Returns the value at `path`, a tuple of keys and list indices; returns MISSING if there is no such value."""
    for key in path:
        if isinstance(node, dict) and dict.__contains__(node, key):
            node = dict.__getitem__(node, key)
        elif isinstance(node, (list, tuple)) and isinstance(key, int) and -len(node) <= key < len(node):
            node = node[key]
        else:
            return MISSING
    return node


def keys_of(node: Any) -> Iterable[Any]:
    """Returns the keys of a mapping, the indices of a list or tuple, and an empty tuple for any other value."""
    if isinstance(node, dict):
        return node.keys()
    if isinstance(node, (list, tuple)):
        return range(len(node))
    return ()
