"""An interpreter for pickles that calls only the constructors of a given table, so that no code of a file runs."""

# ruff: noqa: SLF001  # the functions in _OPERATIONS, at the end of this file, call private methods of PickleMachine

from __future__ import annotations

import argparse
import collections
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

__all__ = ["Constructor", "MalformedPickleError", "NameRefusedError", "PickleMachine", "Table", "check_shape"]

_MARK = object()
_MAX_KEY_PARTS = 1000
"""Largest number of elements in a key of a mapping. Python computes the hash of a tuple again for each use, and
recurses into nested tuples without a limit, so a pickle with huge keys could block or crash the process."""
_MAX_INTEGER_BYTES = 1024
_MAX_NESTING = 128
"""Largest nesting depth of containers; code that walks recursively over a checkpoint stays within Python's limit."""
_SPARE_COPIES = 10_000
_SPARE_SECONDS = 10.0
_SECONDS_PER_BYTE = 20e-6
"""Time limit per byte of the pickle, about twenty times the time that an ordinary pickle takes."""


class MalformedPickleError(Exception):
    """A file holds no pickle, or a pickle that ``torch.save`` would not write; the message says what is wrong."""


class NameRefusedError(Exception):
    """A pickle refers to a class or function that checkpoints may not use, because calling it may run any code.

    Attributes:
        name: the refused name, as ``module.name``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Constructor:
    """How a :class:`PickleMachine` constructs objects of a class or function that a pickle refers to by name.

    Args:
        value: the object that the machine returns for the name if the pickle refers to the name without calling it.
        make: function that constructs an object; called with the machine and the arguments in the pickle. None
            (default) refuses a pickle that calls the name.
        build: function that sets the state of an object (like ``__setstate__``); called with the machine, the object
            and the state in the pickle. None (default) refuses a pickle that sets a state.
        kinds: types of the objects whose state `build` may set.
        new: function that replaces `make` if the pickle calls the class's ``__new__``; None (default) keeps `make`.
    """

    __slots__ = ("build", "kinds", "make", "new", "value")

    def __init__(
        self,
        value: Any,
        make: Callable[..., Any] | None = None,
        build: Callable[[PickleMachine, Any, Any], None] | None = None,
        kinds: tuple[type, ...] = (),
        new: Callable[..., Any] | None = None,
    ) -> None:
        self.value = value
        self.make = make
        self.build = build
        self.kinds = kinds
        self.new = new or make


Table = Mapping[str, Constructor]


class PickleMachine:
    """Reads a pickle without running code from the file: only functions of the given table are called.

    The copied items, the size of keys of mappings and the processor time are limited in proportion to the length of the
    pickle. So a small file cannot exhaust the memory or block the process.

    Args:
        file: the file, positioned at the beginning of the pickle. After :meth:`load` it is positioned after the pickle.
        table: maps each name that the pickle may refer to, as ``module.name``, to the functions that construct objects.
        persistent_load: function that returns the object for a persistent id (of a storage, in checkpoints). None
            (default) refuses a pickle with persistent ids.
    """

    def __init__(
        self, file: BinaryIO, table: Table, persistent_load: Callable[[PickleMachine, Any], Any] | None = None
    ) -> None:
        self._file = file
        self._table = table
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._calls: dict[int, Constructor] = {}
        self._builds: dict[type, Constructor] = {}
        self._consumed = 0
        self._copied = 0
        self._steps = 0
        self._began = time.thread_time()

    def load(self) -> Any:
        """Reads the pickle and returns the object that was pickled.

        Raises:
            NameRefusedError: the pickle names a class or function that is not in the table.
            MalformedPickleError: the pickle is cut short, damaged or built to do harm.
        """
        operations = _OPERATIONS
        while True:
            code = self._read(1)[0]
            if code == _STOP:
                if len(self._stack) != 1:
                    raise MalformedPickleError("the pickle ends with unused objects")
                result = self._stack.pop()
                check_shape(result, 100 * self._consumed + 1_000_000)
                return result
            operation = operations.get(code)
            if operation is None:
                raise MalformedPickleError(f"the pickle has the operation {bytes([code])!r}")
            operation(self)
            self._count_step()

    def spend(self, copies: int) -> None:
        """Counts `copies` more items or bytes that a function copies to construct an object, and checks the sum.

        So a small pickle that repeats a container many times cannot fill the memory.

        Raises:
            MalformedPickleError: the sum is over 10,000 plus eight times the bytes of the pickle read so far.
        """
        self._copied += copies
        if self._copied > 8 * self._consumed + _SPARE_COPIES:
            raise MalformedPickleError("the pickle grows out of proportion when it is read")

    def insert(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        """Sets ``mapping[key] = value`` after checking that the key is small enough to be hashed quickly.

        Raises:
            MalformedPickleError: the key has too many parts, or is an integer of more than 64 bits.
        """
        self._count_step()
        mapping[_check_key(key)] = value

    def include(self, items: set[Any], item: Any) -> None:
        """Adds an item to a set after checking that the item is small enough to be hashed quickly."""
        self._count_step()
        items.add(_check_key(item))

    # ---------------------------------------------------------------- reading bytes of the pickle

    def _count_step(self) -> None:
        self._steps += 1
        if not self._steps & 0xFFF and time.thread_time() - self._began > self._seconds():
            raise MalformedPickleError("the pickle takes much longer to read than its length explains")

    def _seconds(self) -> float:
        return _SPARE_SECONDS + _SECONDS_PER_BYTE * self._consumed

    def _read(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise MalformedPickleError("the pickle is cut short")
        self._consumed += length
        return data

    def _number(self, layout: str, length: int) -> int:
        number: int = struct.unpack(layout, self._read(length))[0]
        return number

    def _long_bytes(self, layout: str, length: int) -> bytes:
        size = self._number(layout, length)
        if size > 2**31:
            raise MalformedPickleError("the pickle has a text of more than two gigabytes")
        return self._read(size)

    def _line(self) -> str:
        line = self._file.readline(1000)
        if not line.endswith(b"\n"):
            raise MalformedPickleError("the pickle is cut short")
        self._consumed += len(line)
        return line[:-1].decode("utf-8")

    # ---------------------------------------------------------------- the stack of the pickle machine

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise MalformedPickleError("the pickle takes an object that is not there")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise MalformedPickleError("the pickle takes an object that is not there")
        return self._stack[-1]

    def _since_mark(self) -> list[Any]:
        """Removes the topmost MARK of the pickle protocol and the objects above it (such as the items of a list).

        The objects are returned; a stack without a MARK raises MalformedPickleError.
        """
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                items = self._stack[index + 1 :]
                del self._stack[index:]
                return items
        raise MalformedPickleError("the pickle has an end without a beginning")

    def _top_of(self, expected: type) -> Any:
        value = self._top()
        if not isinstance(value, expected):
            raise MalformedPickleError(f"the pickle treats a {type(value).__name__} as a {expected.__name__}")
        return value

    # ---------------------------------------------------------------- operations of the pickle machine

    def _append(self) -> None:
        value = self._pop()
        self._extend_top([value])

    def _appends(self) -> None:
        self._extend_top(self._since_mark())

    def _extend_top(self, items: list[Any]) -> None:
        target = self._top()
        if not hasattr(target, "extend") or isinstance(target, type):
            raise MalformedPickleError(f"the pickle appends to a {type(target).__name__}")
        target.extend(items)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self.insert(self._top_of(dict), key, value)

    def _set_items(self) -> None:
        items = self._since_mark()
        if len(items) % 2:
            raise MalformedPickleError("the pickle has a key without a value")
        target = self._top_of(dict)
        for index in range(0, len(items), 2):
            self.insert(target, items[index], items[index + 1])

    def _add_items(self) -> None:
        items = self._since_mark()
        target = self._top_of(set)
        for item in items:
            self.include(target, item)

    def _frozen_set(self) -> None:
        items: set[Any] = set()
        for item in self._since_mark():
            self.include(items, item)
        self._push(frozenset(items))

    def _tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def _name(self, module: Any, name: Any) -> None:
        """Pushes the class or function that a pickle names on the stack; raises NameRefusedError if the table lacks it.

        The functions that construct and fill objects of the class are noted for later operations of the pickle.
        """
        if not isinstance(module, str) or not isinstance(name, str):
            raise MalformedPickleError("the pickle has a name that is no text")
        full = f"{_MODULES.get(module, module)}.{name}"
        constructor = self._table.get(full)
        if constructor is None:
            raise NameRefusedError(full[:200])
        self._calls[id(constructor.value)] = constructor
        for object_class in constructor.kinds:
            self._builds[object_class] = constructor
        self._push(constructor.value)

    def _reduce(self) -> None:
        arguments, target = self._pop(), self._pop()
        self._call(self._constructor_of(target).make, target, arguments)

    def _new_object(self) -> None:
        arguments, target = self._pop(), self._pop()
        self._call(self._constructor_of(target).new, target, arguments)

    def _constructor_of(self, target: Any) -> Constructor:
        constructor = self._calls.get(id(target))
        if constructor is None:
            raise NameRefusedError(_name_of(target))
        return constructor

    def _new_object_with_keywords(self) -> None:
        if self._pop():
            raise MalformedPickleError("the pickle makes an object with keywords, which no checkpoint needs")
        self._new_object()

    def _call(self, make: Callable[..., Any] | None, target: Any, arguments: Any) -> None:
        if make is None:
            raise NameRefusedError(_name_of(target))
        if type(arguments) is not tuple:
            raise MalformedPickleError("the pickle calls something with arguments that are no tuple")
        self._push(make(self, *arguments))

    def _build(self) -> None:
        """Pops a state and the object below it from the stack, sets the object's state and pushes the object again.

        Raises:
            NameRefusedError: the constructor of the object in the table has no function that sets a state.
        """
        state = self._pop()
        target = self._pop()
        constructor = self._builds.get(type(target))
        if constructor is None or constructor.build is None:
            raise NameRefusedError(f"{_name_of(type(target))}.__setstate__")
        constructor.build(self, target, state)
        self._push(target)

    def _persistent(self) -> None:
        identity = self._pop()
        if self._persistent_load is None:
            raise MalformedPickleError("the pickle refers to a storage, which it cannot have")
        self._push(self._persistent_load(self, identity))

    def _remember(self, index: int) -> None:
        self._memo[index] = self._top()

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise MalformedPickleError("the pickle recalls an object that is not there")
        self._push(self._memo[index])


def check_shape(value: Any, most: int) -> None:
    """Checks that code can later walk recursively over an unpickled object in limited time and depth.

    Args:
        value: the unpickled object: nested dicts, lists and other containers.
        most: largest number of objects that a recursive walk may visit; an object that occurs in two containers counts
            twice.

    Raises:
        MalformedPickleError: a container contains itself or is nested too deeply, or a walk visits over `most` objects.
    """
    # Maps the id of each container to the number of objects in the container, with all nested objects, and to its
    # depth.
    sizes: dict[int, tuple[int, int]] = {}
    opened: set[int] = set()
    waiting: list[Any] = [value]
    while waiting:
        current = waiting[-1]
        identity = id(current)
        children = _children(current)
        if identity in sizes or not children:
            sizes.setdefault(identity, (1, 0))
            waiting.pop()
        elif identity in opened:
            opened.discard(identity)
            waiting.pop()
            sizes[identity] = _measure(children, sizes, most)
        else:
            opened.add(identity)
            nested = [child for child in children if isinstance(child, _CONTAINERS)]
            if any(id(child) in opened for child in nested):
                raise MalformedPickleError("a container in the pickle contains itself")
            waiting.extend(nested)


def _measure(children: list[Any], sizes: Mapping[int, tuple[int, int]], most: int) -> tuple[int, int]:
    """Returns the number of objects in a container, with all nested objects, and the container's nesting depth.

    `sizes` holds these two numbers of the containers in `children`, the items of the container, by their id. More than
    `most` objects, or more than 128 levels, raise MalformedPickleError.
    """
    total, depth = 1, 0
    for child in children:
        size, depth_of_child = 1, 0
        if isinstance(child, _CONTAINERS):
            size, depth_of_child = sizes.get(id(child), (1, 0))
        total += size
        depth = max(depth, depth_of_child)
    if depth >= _MAX_NESTING:
        raise MalformedPickleError(f"the pickle nests containers in more than {_MAX_NESTING} levels")
    if total > most:
        raise MalformedPickleError("the pickle repeats containers in containers until nobody can read them")
    return total, depth + 1


_CONTAINERS: tuple[type[Any], ...] = (dict, list, tuple, set, frozenset, collections.deque, argparse.Namespace)


def _children(value: Any) -> list[Any]:
    """Returns the keys and values, or the items, of a container; an empty list for any other object."""
    if isinstance(value, argparse.Namespace):
        return list(vars(value).values())
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, _CONTAINERS):
        return list(value)
    return []


def _check_key(key: Any) -> Any:
    """Returns a key for a dict or set, after checking that the key is hashed quickly.

    Integers of more than 64 bits are refused: a malicious file could hold many such integers with the same hash, and
    inserting keys of equal hash into a dict takes time proportional to the size of the dict.

    Raises:
        MalformedPickleError: the key is a tuple with too many elements, or has an integer of more than 64 bits.
    """
    key_class = type(key)
    if key_class is str or (key_class is int and -(2**63) <= key < 2**64):
        return key
    parts, waiting = 0, [key]
    while waiting:
        part = waiting.pop()
        parts += 1
        if parts > _MAX_KEY_PARTS:
            raise MalformedPickleError("a key in the pickle has very many parts")
        if isinstance(part, tuple | frozenset):
            waiting.extend(list(part)[: _MAX_KEY_PARTS + 1])
        elif isinstance(part, int) and not -(2**63) <= part < 2**64:
            raise MalformedPickleError("a key in the pickle is a number of more than 64 bits")
    hash(key)  # A key that cannot be hashed raises TypeError here.
    return key


def _name_of(target: Any) -> str:
    if isinstance(target, type):
        return f"{target.__module__}.{target.__qualname__}"
    return f"an object of the type {type(target).__name__}"


def _line_name(machine: PickleMachine) -> None:
    machine._name(machine._line(), machine._line())


def _stack_name(machine: PickleMachine) -> None:
    name, module = machine._pop(), machine._pop()
    machine._name(module, name)


def _signed(data: bytes) -> int:
    if len(data) > _MAX_INTEGER_BYTES:
        raise MalformedPickleError("the pickle has a number of more than 8192 bits")
    return int.from_bytes(data, "little", signed=True)


# Pickles of protocol 2 contain Python 2's names of modules, which are replaced by those of Python 3.
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}
_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[PickleMachine], Any]] = {
    ord(code): operation
    for code, operation in {
        "\x80": lambda m: m._read(1),
        "\x95": lambda m: m._read(8),
        "(": lambda m: m._stack.append(_MARK),
        "0": lambda m: m._pop(),
        "1": lambda m: m._since_mark(),
        "2": lambda m: m._push(m._top()),
        "N": lambda m: m._push(None),
        "\x88": lambda m: m._push(True),
        "\x89": lambda m: m._push(False),
        "J": lambda m: m._push(m._number("<i", 4)),
        "K": lambda m: m._push(m._number("<B", 1)),
        "M": lambda m: m._push(m._number("<H", 2)),
        "\x8a": lambda m: m._push(_signed(m._long_bytes("<B", 1))),
        "\x8b": lambda m: m._push(_signed(m._long_bytes("<I", 4))),
        "G": lambda m: m._push(struct.unpack(">d", m._read(8))[0]),
        "T": lambda m: m._push(m._long_bytes("<I", 4).decode("utf-8")),
        "U": lambda m: m._push(m._long_bytes("<B", 1).decode("utf-8")),
        "X": lambda m: m._push(m._long_bytes("<I", 4).decode("utf-8", "surrogatepass")),
        "\x8c": lambda m: m._push(m._long_bytes("<B", 1).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m._push(m._long_bytes("<Q", 8).decode("utf-8", "surrogatepass")),
        "B": lambda m: m._push(m._long_bytes("<I", 4)),
        "C": lambda m: m._push(m._long_bytes("<B", 1)),
        "\x8e": lambda m: m._push(m._long_bytes("<Q", 8)),
        "\x96": lambda m: m._push(bytearray(m._long_bytes("<Q", 8))),
        ")": lambda m: m._push(()),
        "t": lambda m: m._push(tuple(m._since_mark())),
        "\x85": lambda m: m._tuple_of(1),
        "\x86": lambda m: m._tuple_of(2),
        "\x87": lambda m: m._tuple_of(3),
        "]": lambda m: m._push([]),
        "}": lambda m: m._push({}),
        "\x8f": lambda m: m._push(set()),
        "a": PickleMachine._append,
        "e": PickleMachine._appends,
        "s": PickleMachine._set_item,
        "u": PickleMachine._set_items,
        "\x90": PickleMachine._add_items,
        "\x91": PickleMachine._frozen_set,
        "c": _line_name,
        "\x93": _stack_name,
        "R": PickleMachine._reduce,
        "\x81": PickleMachine._new_object,
        "\x92": PickleMachine._new_object_with_keywords,
        "b": PickleMachine._build,
        "Q": PickleMachine._persistent,
        "q": lambda m: m._remember(m._number("<B", 1)),
        "r": lambda m: m._remember(m._number("<I", 4)),
        "\x94": lambda m: m._remember(len(m._memo)),
        "h": lambda m: m._recall(m._number("<B", 1)),
        "j": lambda m: m._recall(m._number("<I", 4)),
    }.items()
}
