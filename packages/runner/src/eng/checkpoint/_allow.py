"""The types that a checkpoint may hold, and a safe constructor for each: tensors, plain values, MMEngine's types."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import pathlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch

from ._arrays import array_table
from ._machine import Constructor, MalformedPickleError, PickleMachine, Table
from ._tensors import tensor_table
from .torch_internals import set_module_versions

_MAPPING_PATHS = (
    "collections.defaultdict",
    "mmengine.config.config.ConfigDict",
    "mmengine.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "eng.config._config_dict.ConfigDict",
    "eng.config._dict.ConfigDict",
    "addict.addict.Dict",
)
_PATHS = {
    "pathlib.PurePosixPath": pathlib.PurePosixPath,
    "pathlib.PosixPath": pathlib.PurePosixPath,
    "pathlib._local.PosixPath": pathlib.PurePosixPath,
    "pathlib.PureWindowsPath": pathlib.PureWindowsPath,
    "pathlib.WindowsPath": pathlib.PureWindowsPath,
    "pathlib._local.WindowsPath": pathlib.PureWindowsPath,
}
_MAX_PICKLED_TEXT = 4000
_UNCHECKED = ("torch.distributed.", "torch.nested.")


def allowed_types() -> Table:
    """Returns the types that the pickle of a checkpoint may refer to; a file that names any other type is refused.

    The result maps the name of a type in a pickle, such as ``collections.OrderedDict``, to a function that constructs
    an object of the type after checking its arguments. Types that the user has passed to
    :func:`torch.serialization.add_safe_globals` are included.
    """
    vouched = dict(map(_vouched_constructor, torch.serialization.get_safe_globals()))
    if not vouched:
        return _own_types()
    # torch itself adds its classes of sharded and nested tensors to its list of safe globals. The constructors of these
    # classes do not check their arguments, so a malicious file could crash the process with them: they are left out.
    return {**_own_types(), **{name: vouched[name] for name in vouched if not name.startswith(_UNCHECKED)}}


@cache
def _own_types() -> Table:
    return {**_containers(), **_scalars(), **_times(), **_others(), **array_table(), **tensor_table()}


def _containers() -> Table:
    """Returns the container types that a checkpoint's pickle may refer to, including mappings of other libraries."""
    ordered = Constructor(OrderedDict, _mapping_of(OrderedDict), _set_metadata, (OrderedDict,))
    plain = Constructor(PlainMapping, _mapping_of(OrderedDict), None)
    return {
        "builtins.dict": Constructor(dict, _mapping_of(dict)),
        "collections.OrderedDict": ordered,
        "collections.Counter": Constructor(collections.Counter, _mapping_of(collections.Counter)),
        "builtins.list": Constructor(list, _sequence_of(list)),
        "builtins.tuple": Constructor(tuple, _sequence_of(tuple)),
        "builtins.set": Constructor(set, _set_of(set)),
        "builtins.frozenset": Constructor(frozenset, _set_of(frozenset)),
        "collections.deque": Constructor(collections.deque, _deque),
        "argparse.Namespace": Constructor(argparse.Namespace, _namespace, _build_namespace, (argparse.Namespace,)),
        **dict.fromkeys(_MAPPING_PATHS, plain),
    }


def _scalars() -> Table:
    """Returns the plain types that a checkpoint's pickle may refer to: numbers, strings, bytes, slices and ranges."""
    span = Constructor(range, _whole_numbers(range))
    return {
        "builtins.int": Constructor(int, _scalar_of(int)),
        "builtins.long": Constructor(int, _scalar_of(int)),
        "builtins.float": Constructor(float, _scalar_of(float)),
        "builtins.bool": Constructor(bool, _scalar_of(bool)),
        "builtins.complex": Constructor(complex, _scalar_of(complex)),
        "builtins.str": Constructor(str, _text),
        "builtins.bytes": Constructor(bytes, _bytes),
        "builtins.bytearray": Constructor(bytearray, _bytearray),
        "_codecs.encode": Constructor(_encode, _encode),
        "builtins.slice": Constructor(slice, _whole_numbers(slice)),
        "builtins.range": span,
        "builtins.xrange": span,
        "builtins.unicode": Constructor(str, _text),
    }


def _times() -> Table:
    """Returns the types of dates, times and time zones that a checkpoint's pickle may refer to."""
    return {
        "datetime.datetime": Constructor(dt.datetime, _datetime),
        "datetime.date": Constructor(dt.date, _date),
        "datetime.time": Constructor(dt.time, _time),
        "datetime.timedelta": Constructor(dt.timedelta, _time_delta),
        "datetime.timezone": Constructor(dt.timezone, _time_zone),
    }


def _others() -> Table:
    return {path: Constructor(path_class, _path_of(path_class)) for path, path_class in _PATHS.items()}


class PlainMapping:
    """Stands for mapping classes of other libraries, such as MMEngine's ConfigDict, which need not be installed.

    A pickle that constructs an object of such a class gets an OrderedDict with the same items instead.
    """


# ---------------------------------------------------------------- constructors of containers in a checkpoint's pickle


def _mapping_of(mapping_class: type[dict[Any, Any]]) -> Callable[..., Any]:
    """Returns a function that constructs a mapping of `mapping_class` while a pickle is read.

    The function counts the items, so that a small pickle cannot fill the memory; see :meth:`PickleMachine.spend`.
    """

    def build(machine: PickleMachine, *args: Any) -> Any:
        """Constructs a mapping from the items in `args`; ignores the default factory of a defaultdict in `args`."""
        mapping = mapping_class()
        for argument in args:
            items = argument
            if isinstance(argument, Mapping):
                items = argument.items()
            for key, value in _pairs(machine, items):
                machine.insert(mapping, key, value)
        return mapping

    return build


def _pairs(machine: PickleMachine, items: Any) -> Iterable[tuple[Any, Any]]:
    """Returns the (key, value) pairs in an argument that a pickle passes to the constructor of a mapping.

    None, and the default factory of a defaultdict, have no pairs.

    Raises:
        MalformedPickleError: an item of the argument is no pair.
    """
    if items is None or isinstance(items, type):
        return ()
    pairs = _items(machine, items)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise MalformedPickleError("it has a mapping of something else than pairs")
    return pairs


def _items(machine: PickleMachine, items: Any) -> list[Any]:
    """Returns the items of a container as a list, and counts them so that a small pickle cannot fill the memory.

    Raises:
        MalformedPickleError: `items` is no container, or the pickle makes far more items than its length explains.
    """
    if isinstance(items, str | bytes | range) or not hasattr(items, "__len__") or hasattr(items, "dtype"):
        raise MalformedPickleError(f"it makes a container of a {type(items).__name__}")
    machine.spend(len(items))
    return list(items)


def _sequence_of(sequence_class: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda machine, items=(): sequence_class(_items(machine, items))


def _set_of(set_class: Callable[[Any], Any]) -> Callable[..., Any]:
    """Returns a function that constructs a set of type `set_class` from a list of items in a pickle."""

    def build(machine: PickleMachine, items: Any = ()) -> Any:
        items_so_far: set[Any] = set()
        for item in _items(machine, items):
            machine.include(items_so_far, item)
        return set_class(items_so_far)

    return build


def _deque(machine: PickleMachine, items: Any = (), longest: Any = None) -> collections.deque[Any]:
    if longest is not None and type(longest) is not int:
        raise MalformedPickleError("it has a deque whose length is no number")
    return collections.deque(_items(machine, items), longest)


def _set_metadata(machine: PickleMachine, mapping: OrderedDict[str, Any], state: Any) -> None:
    """Sets the attribute ``_metadata`` of a state dict, in which torch keeps the version number of each module.

    All other attributes that a pickle sets on an OrderedDict are ignored.
    """
    versions: Any = None
    if isinstance(state, dict):
        versions = state.get("_metadata")
    if not isinstance(versions, Mapping):
        return
    plain = str | int | float | None
    metadata: OrderedDict[str, Any] = OrderedDict()
    for key, values in _pairs(machine, versions.items()):
        if isinstance(values, Mapping):
            machine.spend(len(values))
            machine.insert(metadata, key, {name: value for name, value in values.items() if isinstance(value, plain)})
    set_module_versions(mapping, metadata)


def _namespace(machine: PickleMachine) -> argparse.Namespace:
    return argparse.Namespace()


def _build_namespace(machine: PickleMachine, target: argparse.Namespace, state: Any) -> None:
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise MalformedPickleError("it has a namespace whose names are no texts")
    machine.spend(len(state))
    vars(target).update(state)


# ---------------------------------------------------------------- constructors of numbers and texts in a pickle


def _scalar_of(scalar_class: type) -> Callable[..., Any]:
    """Returns a function that constructs a number of type `scalar_class` from numbers or short strings.

    The length of the strings is limited because the time to parse a number grows with the square of its digits.
    """

    def build(_: PickleMachine, *args: Any) -> Any:
        for arg in args:
            is_long = isinstance(arg, str) and len(arg) > _MAX_PICKLED_TEXT
            if is_long or not isinstance(arg, int | float | complex | str):
                raise MalformedPickleError(f"it makes a {scalar_class.__name__} of something else than a number")
        return scalar_class(*args)

    return build


def _text(_: PickleMachine, value: Any = "") -> str:
    if not isinstance(value, str):
        raise MalformedPickleError(f"it makes a text of a {type(value).__name__}")
    return value


def _bytes(machine: PickleMachine, value: Any = b"", encoding: Any = "latin1") -> bytes:
    return bytes(_as_bytes(machine, value, encoding))


def _bytearray(machine: PickleMachine, value: Any = b"", encoding: Any = "latin1") -> bytearray:
    return bytearray(_as_bytes(machine, value, encoding))


def _as_bytes(machine: PickleMachine, value: Any, encoding: Any) -> bytes | bytearray:
    if isinstance(value, str):
        return _encode(machine, value, encoding)
    if not isinstance(value, bytes | bytearray):
        raise MalformedPickleError(f"it makes bytes of a {type(value).__name__}")
    machine.spend(len(value))
    return value


def _encode(machine: PickleMachine, text: Any, encoding: Any = "latin1") -> bytes:
    """Replaces ``_codecs.encode``, which protocol 2 of pickle calls with a string wherever it stores bytes.

    Raises:
        MalformedPickleError: `text` is no string, or `encoding` is not Latin-1.
    """
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "bytes"):
        raise MalformedPickleError("it encodes a text as no checkpoint does")
    machine.spend(len(text))
    return text.encode("latin1")


def _whole_numbers(range_class: Callable[..., Any]) -> Callable[..., Any]:
    def build(_: PickleMachine, *args: Any) -> Any:
        if any(arg is not None and (type(arg) is not int or not -(2**63) <= arg < 2**63) for arg in args):
            raise MalformedPickleError("it has a slice or range of something else than numbers")
        return range_class(*args)

    return build


# ---------------------------------------------------------------- constructors of times and paths in a pickle


def _state_of_time(data: Any, length: int) -> bytes:
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, bytes) or len(data) != length:
        raise MalformedPickleError("it has a time that is none")
    return data


def _zone(zone: Any) -> dt.tzinfo | None:
    if zone is not None and not isinstance(zone, dt.timezone):
        raise MalformedPickleError("it has a time zone that is none")
    return zone


def _datetime(_: PickleMachine, data: Any, zone: Any = None) -> dt.datetime:
    """Constructs a datetime from the ten bytes in which Python pickles year to microsecond."""
    state = _state_of_time(data, 10)
    # The highest bit of the byte of the month is datetime's ``fold``. When summer time ends, an hour occurs twice, and
    # ``fold`` marks the second of the two. So this bit is separated from the month.
    month, fold = state[2] & 0x7F, state[2] >> 7
    year = state[0] * 256 + state[1]
    microsecond = int.from_bytes(state[7:10], "big")
    return dt.datetime(year, month, state[3], state[4], state[5], state[6], microsecond, tzinfo=_zone(zone), fold=fold)


def _date(_: PickleMachine, data: Any) -> dt.date:
    state = _state_of_time(data, 4)
    return dt.date(state[0] * 256 + state[1], state[2], state[3])


def _time(_: PickleMachine, data: Any, zone: Any = None) -> dt.time:
    state = _state_of_time(data, 6)
    hour, fold = state[0] & 0x7F, state[0] >> 7
    return dt.time(hour, state[1], state[2], int.from_bytes(state[3:6], "big"), tzinfo=_zone(zone), fold=fold)


def _time_delta(_: PickleMachine, *args: Any) -> dt.timedelta:
    if len(args) > 3 or any(not isinstance(arg, int | float) for arg in args):
        raise MalformedPickleError("it has a duration that is none")
    return dt.timedelta(*args)


def _time_zone(_: PickleMachine, offset: Any, *name: Any) -> dt.timezone:
    if not isinstance(offset, dt.timedelta) or any(not isinstance(text, str) for text in name):
        raise MalformedPickleError("it has a time zone that is none")
    return dt.timezone(offset, *name)


def _path_of(path_class: type[pathlib.PurePath]) -> Callable[..., pathlib.PurePath]:
    """Returns a function that constructs a path of type `path_class` from its parts, which must be strings."""

    def build(machine: PickleMachine, *parts: Any) -> pathlib.PurePath:
        if any(not isinstance(part, str) for part in parts):
            raise MalformedPickleError("it has a path of something else than texts")
        machine.spend(sum(map(len, parts)))
        return path_class(*parts)

    return build


# ---------------------------------------------------------------- types that the user has declared safe


def _vouched_constructor(entry: Any) -> tuple[str, Constructor]:
    """Returns the name in pickles, and the constructor, of an entry of torch's list of safe globals.

    Args:
        entry: a type or function that the user has passed to :func:`torch.serialization.add_safe_globals`, or a pair
            of the type or function and its name in pickles.
    """
    if isinstance(entry, tuple):
        trusted, path = entry
    else:
        trusted, path = entry, f"{entry.__module__}.{entry.__qualname__}"
    if not isinstance(trusted, type):
        return path, Constructor(trusted, lambda _, *args: trusted(*args))
    new = lambda _, *args: trusted.__new__(trusted, *args)  # noqa: E731  # as short as the lambda below
    return path, Constructor(trusted, lambda _, *args: trusted(*args), _build_vouched, (trusted,), new)


def _build_vouched(_: PickleMachine, target: Any, state: Any) -> None:
    """Gives an object its pickled state: by ``__setstate__``, or as attributes in its ``__dict__`` and its slots."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    attributes, slots = state, None
    if isinstance(state, tuple) and len(state) == 2:
        attributes, slots = state
    for values in (attributes, slots):
        if values is not None and not isinstance(values, dict):
            raise MalformedPickleError(f"it has a {type(target).__name__} whose state is a {type(values).__name__}")
    if attributes:
        vars(target).update(attributes)
    for name, value in (slots or {}).items():
        setattr(target, name, value)
