"""`ConfigDict`: a dict with attribute access that knows where its values came from."""

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


class ConfigDict(dict):  # type: ignore[type-arg]  # a subscripted base would hide dict's fast paths from pickle
    """A dict whose keys are attributes too, also in mappings inside lists and tuples.

    Plain dicts become `ConfigDict` when they are put in. What a config file imported lazily is imported when it is
    read (``cfg.type``, ``cfg["type"]``, ``get``, ``pop``, ``values``, ``items``).

    Args:
        *args: mappings or iterables of pairs.
        **kwargs: more items.

    Raises:
        AttributeError: a missing key read as an attribute; the message names near keys.
        KeyError: a missing key read as an item.

    Example:
        >>> cfg = ConfigDict(model=dict(type="ResNet", stages=[dict(depth=3)]))
        >>> cfg.model.stages[0].depth
        3
        >>> cfg.model.typ
        Traceback (most recent call last):
        eng.config.errors.MissingAttributeError: 'ConfigDict' object has no attribute 'typ'; did you mean 'type'?
    """

    __slots__ = ("__weakref__", "_eng_edits", "_eng_origin")

    def __init__(__self, *args: Any, **kwargs: Any) -> None:  # noqa: N805  # `self` may be a key of kwargs
        dict.__init__(__self)
        for arg in args:
            if arg:
                for key, value in _pairs(arg):
                    _dict_set(__self, key, convert(value))
        for key, value in kwargs.items():
            _dict_set(__self, key, convert(value))

    def __getattr__(self, name: str) -> Any:
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
        # Defined so that dict(cfg) and f(**cfg) go through __getitem__ and see the imported things, not stand-ins.
        return dict.__iter__(self)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return resolve(dict.get(self, key, default))

    def pop(self, key: Any, default: Any = None) -> Any:
        """Removes `key` and gives its value, or `default` (None) where it is missing."""
        return resolve(dict.pop(self, key, default))

    def popitem(self) -> tuple[Any, Any]:
        """Removes and gives the last item."""
        key, value = dict.popitem(self)
        return key, resolve(value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, which becomes `default` where it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def values(self) -> list[Any]:  # type: ignore[override]  # the reference gives a list as well
        """All values, imported where lazy."""
        return [resolve(value) for value in dict.values(self)]

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]  # the reference gives a list as well
        """All items, values imported where lazy."""
        return [(key, resolve(value)) for key, value in dict.items(self)]

    def build_lazy(self, value: Any) -> Any:
        """The imported thing behind `value`, or `value` itself where it is not lazy."""
        return resolve(value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Puts items in; a mapping onto a mapping updates it instead of replacing it.

        Raises:
            TypeError: more than one positional argument.
        """
        if len(args) > 1:
            raise TypeError(f"update expected at most 1 argument, got {len(args)}")
        if is_held():
            step = None
        else:
            step = caller_step(CODE, None)
        for key, value in [*(_pairs(args[0]) if args else ()), *kwargs.items()]:
            old = dict.get(self, key)
            if isinstance(old, ConfigDict) and isinstance(value, Mapping):
                old.update(value)
            else:
                put(self, key, value, step)

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Merges `other` as a child config: mappings merge, ``_delete_=True`` replaces, everything else replaces.

        Raises:
            TypeError: `other` is not a mapping.
        """
        if not isinstance(other, Mapping):
            raise TypeError(f"merge takes a mapping, got {type(other).__name__}")
        self._merge(other, None if is_held() else caller_step(CODE, None))

    def _merge(self, other: Mapping[Any, Any], step: Step | None) -> None:
        if other.get(DELETE_KEY):
            dict.clear(self)
        for key, value in _pairs(other):
            old = dict.get(self, key)
            if isinstance(value, Mapping) and isinstance(old, ConfigDict) and not value.get(DELETE_KEY):
                old._merge(value, step)  # noqa: SLF001  # its own class
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
        """A shallow copy that keeps provenance."""
        return self.__copy__()

    def deepcopy(self) -> ConfigDict:
        """A deep copy that keeps provenance."""
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
        """Plain dicts all the way down; what is lazy becomes its dotted name."""
        result = plain(self, names=True)
        assert isinstance(result, dict)
        return result

    def _to_lazy_dict(self) -> dict[Any, Any]:
        result = plain(self)
        assert isinstance(result, dict)
        return result

    def __where__(self, key: str | int | None = None) -> str | None:
        """Where the value of `key` was set last, as ``'path/file.py:12'``; for None, where this mapping was.

        Gives None where nothing is recorded, as for a `ConfigDict` made by hand.
        """
        steps = trace(self, () if key is None else (key,))
        if steps:
            return steps[-1].where
        return None


_CLASS_NAMES = frozenset(name for name in dir(ConfigDict) if not name.startswith("_"))
_ORIGIN: Any = ConfigDict._eng_origin  # type: ignore[attr-defined]  # a slot of this module  # noqa: SLF001
_EDITS: Any = ConfigDict._eng_edits  # type: ignore[attr-defined]  # a slot of this module  # noqa: SLF001


def _pairs(source: Any) -> Iterable[tuple[Any, Any]]:
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
    try:
        return slot.__get__(node, ConfigDict)
    except AttributeError:
        return None


def _copy_trace(old: ConfigDict, new: ConfigDict) -> None:
    origin, edits = _slot(old, _ORIGIN), _slot(old, _EDITS)
    if origin is not None:
        _ORIGIN.__set__(new, origin)
    if edits is not None:
        _EDITS.__set__(new, {key: list(steps) for key, steps in edits.items()})


def convert(value: Any, origin: Provider | None = None, path: Path = (), *, rebind: bool = True) -> Any:
    """`value` with every plain dict in it as a new `ConfigDict`, each bound to its origin and path.

    Lists are copied, so that a config never shares one with what it was made from. Without an origin or `rebind` a
    `ConfigDict` stays the object it is.
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
    node = _new_dict(ConfigDict)
    dict.update(node, value if type(value) is dict else dict.items(value))
    for key, item in dict.items(node):  # replacing a value does not disturb the walk
        if type(item) not in LEAVES:
            _dict_set(node, key, convert(item, origin, (*path, key), rebind=rebind))
    if origin is not None:
        _ORIGIN.__set__(node, (origin, path))
    return node


def fresh(value: Any) -> Any:
    """A copy of `value` for another file: mappings as new `ConfigDict` without a history, lists, tuples and sets new."""
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
    """`value` with every config mapping as a plain dict, copied; with `names`, what is lazy as its dotted name."""
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
    """`value` without the ``_delete_`` marks, as they stand where there was nothing to delete."""
    if isinstance(value, dict):
        stripped = {key: strip_delete(item) for key, item in dict.items(value) if key != DELETE_KEY}
        same = len(stripped) == len(value) and all(map(operator.is_, stripped.values(), dict.values(value)))
        return value if same else stripped
    if type(value) is list or type(value) is tuple:
        items = [strip_delete(item) for item in value]
        if all(map(operator.is_, items, value)):
            return value
        return type(value)(items)
    return value


def put(node: ConfigDict, key: Any, value: Any, step: Step | None) -> None:
    """Sets one item and records the step. Files record nothing while they run: their lines tell it later."""
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
    """What can later tell the chain that `key` had until now; None where there was nothing."""
    origin, edits = _slot(node, _ORIGIN), _slot(node, _EDITS)
    past = []
    if edits:
        past = list(edits.get(key, ()))
    if origin is None and not past:
        return None
    frozen = [EditProvenance(step) for step in past]

    def before(path: Path) -> list[Step]:
        provider, root = origin or (None, ())
        steps = []
        if provider:
            steps = provider.steps((*root, key, *path))
        for edit in frozen:
            steps = [*steps, *edit.steps(path)]
        return steps

    return before


def record(node: ConfigDict, key: Any, step: Step) -> None:
    """Adds a step to the chain of one key."""
    edits = _slot(node, _EDITS)
    if edits is None:
        edits = {}
        _EDITS.__set__(node, edits)
    edits.setdefault(key, []).append(step)


def trace(node: ConfigDict, path: Path) -> list[Step]:
    """The chain of steps of the value at `path` below `node`, oldest first."""
    origin, edits = _slot(node, _ORIGIN), _slot(node, _EDITS)
    steps: list[Step] = []
    if origin is not None:
        steps = origin[0].steps((*origin[1], *path))
    if path and edits:
        for step in edits.get(path[0], ()):
            steps = [*steps, *EditProvenance(step).steps(path[1:])]
    return steps


def bind(node: Any, origin: Provider, path: Path = ()) -> None:
    """Binds `node` and every mapping in it, in place, to an origin."""
    if isinstance(node, ConfigDict):
        _ORIGIN.__set__(node, (origin, path))
        for key, item in dict.items(node):
            bind(item, origin, (*path, key))
    elif isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            bind(item, origin, (*path, index))


def lookup(node: Any, path: Path) -> Any:
    """The value at `path`, or MISSING."""
    for key in path:
        if isinstance(node, dict) and dict.__contains__(node, key):
            node = dict.__getitem__(node, key)
        elif isinstance(node, (list, tuple)) and isinstance(key, int) and -len(node) <= key < len(node):
            node = node[key]
        else:
            return MISSING
    return node


def keys_of(node: Any) -> Iterable[Any]:
    """The keys of a mapping, the numbers of a sequence, and none of any other value."""
    if isinstance(node, dict):
        return node.keys()
    if isinstance(node, (list, tuple)):
        return range(len(node))
    return ()
