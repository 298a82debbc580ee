"""Safe constructors for numpy's arrays, scalars and dtypes (numbers, bools and strings) and for history buffers."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np

from eng.logging import HistoryBuffer

from ._machine import Constructor, MalformedPickleError, PickleMachine, Table

_PLAIN_KINDS = "biufcSU"
_TEXT_KINDS = "SU"
_CODE = re.compile(
    r"[<>=|]?[?bBhHiIlLqQefdgFDG]|[<>=|]?[biufc](1|2|4|8|16|32)|[<>=|]?[SU]\d{1,9}|bool|u?int\d+|float\d+"
)
_LAST_CODE_POINT = 0x10FFFF
_HISTORY_PATHS = (
    "eng.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.log_buffer.LogBuffer",
)
_LONGEST_HISTORY = 10**9


def array_table() -> Table:
    """Returns the names of numpy, and of MMEngine's history buffers, that a checkpoint's pickle may refer to.

    Each name, as numpy 1 and numpy 2 write it, is mapped to a function that constructs the object after checking the
    arguments in the pickle.
    """
    table = {
        "numpy.dtype": Constructor(np.dtype, _dtype, _build_dtype, tuple(_dtype_classes())),
        "numpy.ndarray": Constructor(np.ndarray, None, _build_array, (np.ndarray,)),
        "builtins.getattr": Constructor(getattr, _history_method),
    }
    for core in ("core", "_core"):
        table[f"numpy.{core}.multiarray._reconstruct"] = Constructor(_empty, _empty)
        table[f"numpy.{core}.multiarray.scalar"] = Constructor(_scalar, _scalar)
        table[f"numpy.{core}.numeric._frombuffer"] = Constructor(_from_buffer, _from_buffer)
    for dtype_class in _dtype_classes():
        table[f"numpy.dtypes.{dtype_class.__name__}"] = Constructor(
            dtype_class, lambda _, *args, dtype_class=dtype_class: _of_class(dtype_class, args)
        )
    for path in _HISTORY_PATHS:
        table[path] = Constructor(HistoryBuffer, _history, _build_history, (HistoryBuffer,))
    return table


def _dtype_classes() -> list[type]:
    return [
        dtype_class
        for dtype_class in vars(np.dtypes).values()
        if isinstance(dtype_class, type) and issubclass(dtype_class, np.dtype)
    ]


def _dtype(_: PickleMachine, code: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    """Returns a copy of the numpy dtype with the type code `code`, such as ``"f4"``.

    A copy, because the pickle sets the byte order afterwards, which must not change numpy's own dtype.

    Raises:
        MalformedPickleError: the dtype is not one of numbers, bools or strings.
    """
    if isinstance(code, type) and issubclass(code, np.generic):
        code = np.dtype(code).str
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise MalformedPickleError(f"it has an array of the type {str(code)[:50]!r}; numbers and texts are read")
    return _plain(np.dtype(code, False, True))


def _of_class(dtype_class: type, args: tuple[Any, ...]) -> np.dtype[Any]:
    if args:
        raise MalformedPickleError("it has a numpy type with arguments")
    return _plain(dtype_class())


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in _PLAIN_KINDS and dtype != np.dtype(bool):
        raise MalformedPickleError(f"it has an array of the type {dtype}; numbers and texts are read")
    return dtype


def _build_dtype(_: PickleMachine, dtype: np.dtype[Any], state: Any) -> None:
    """Sets the byte order of a numpy dtype from the state in the pickle.

    Raises:
        MalformedPickleError: the state describes a dtype with fields, sub-arrays or Python objects.
    """
    if not isinstance(state, tuple) or len(state) not in (8, 9):
        raise MalformedPickleError("it has a numpy type whose state is none")
    version, order, subarray, names, fields, item_size, alignment, flags = state[:8]
    has_plain_size = (item_size, alignment) in ((-1, -1), (dtype.itemsize, dtype.alignment))
    is_plain = subarray is None and names is None and fields is None and has_plain_size and flags in (0, 8)
    if not is_plain or version not in (3, 4) or order not in ("<", ">", "|", "=") or len(state) == 9:
        raise MalformedPickleError("it has a numpy type with fields, sub-arrays or objects")
    native = {"little": "<", "big": ">"}[sys.byteorder]
    if order in "<>" and dtype.itemsize > 1 and order != native and dtype.isnative:
        # numpy's own state of a dtype has -1 as the item size of numbers, and the flag 8 for unicode strings. The state
        # that is built here, with the other byte order, has the same values.
        size = (-1, -1)
        if dtype.kind in _TEXT_KINDS:
            size = (dtype.itemsize, dtype.alignment)
        flag = 0
        if dtype.kind == "U":
            flag = 8
        dtype.__setstate__((3, order, None, None, None, *size, flag))  # type: ignore[attr-defined]  # not annotated


def _empty(_: PickleMachine, array_class: Any, shape: Any, code: Any) -> np.ndarray:
    if array_class is not np.ndarray:
        raise MalformedPickleError("it has an array of a class of its own")
    return np.empty((0,), np.int8)


def _build_array(machine: PickleMachine, array: np.ndarray, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) != 5:
        raise MalformedPickleError("it has an array whose state is none")
    _, shape, dtype, is_fortran, data = state
    shape, content = _check_array(machine, shape, dtype, data)
    pickled: Any = (1, shape, dtype, bool(is_fortran), content)
    array.__setstate__(pickled)


def _from_buffer(machine: PickleMachine, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> np.ndarray:
    shape, content = _check_array(machine, shape, dtype, data)
    array = np.frombuffer(bytearray(content), dtype)
    if order == "F":
        return array.reshape(shape, order="F")
    return array.reshape(shape)


def _scalar(machine: PickleMachine, dtype: Any, data: Any) -> Any:
    _, content = _check_array(machine, (), dtype, data)
    return np.frombuffer(content, dtype)[0]


def _check_array(machine: PickleMachine, shape: Any, dtype: Any, data: Any) -> tuple[tuple[int, ...], bytes]:
    """Checks that the bytes of an array fit its shape and dtype, and returns the shape and the bytes.

    Raises:
        MalformedPickleError: shape, dtype and bytes do not fit each other, or the bytes are no values of the dtype.
    """
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | bytearray):
        raise MalformedPickleError("it has an array of something else than bytes")
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise MalformedPickleError("it has an array with an impossible shape")
    _plain(dtype)
    machine.spend(len(data))
    if len(data) != math.prod(shape) * dtype.itemsize or any(n >= 2**48 for n in shape):
        raise MalformedPickleError(f"it has an array of the shape {shape} in {len(data)} bytes")
    content = bytes(data)
    values = np.frombuffer(content, np.uint8)
    if dtype == np.dtype(bool) and values.size and values.max() > 1:
        raise MalformedPickleError("it has an array of truth values that are none")
    if dtype.kind == "U" and content:
        points = np.frombuffer(content, np.dtype("u4").newbyteorder(dtype.byteorder))
        if points.max() > _LAST_CODE_POINT:
            raise MalformedPickleError("it has an array of texts that are none")
    return shape, content


def _history_method(_: PickleMachine, owner: Any, name: Any) -> None:
    """Replaces ``getattr`` in a pickle, which may be called only for methods of the class HistoryBuffer.

    A history buffer of MMEngine holds its statistics methods, such as ``mean``, which Python pickles as calls of
    ``getattr``. The HistoryBuffer of eng looks up its statistics by name, so None is returned instead of the method.

    Raises:
        NameRefusedError: the pickle asks for an attribute of another object.
    """
    from ._machine import NameRefusedError

    if owner is not HistoryBuffer:
        raise NameRefusedError("builtins.getattr")


def _history(_: PickleMachine) -> HistoryBuffer:
    return HistoryBuffer()


def _build_history(machine: PickleMachine, buffer: HistoryBuffer, state: Any) -> None:
    """Sets the state of a HistoryBuffer after checking the types, lengths and numbers in the state.

    Raises:
        MalformedPickleError: the state does not hold two arrays of numbers of the same length, or invalid totals.
    """
    if not isinstance(state, dict):
        raise MalformedPickleError("it has a history whose state is no dict")
    values, counts = np.asarray(state.get("_log_history")), np.asarray(state.get("_count_history"))
    for array in (values, counts):
        if array.ndim != 1 or array.dtype.kind not in "biuf":
            raise MalformedPickleError("it has a history of something else than numbers")
    longest = state.get("max_length", state.get("_max_length", 1_000_000))
    if len(values) != len(counts) or type(longest) is not int or not 0 < longest <= _LONGEST_HISTORY:
        raise MalformedPickleError("it has a history whose lengths do not fit each other")
    machine.spend(16 * len(values))
    history_state = {"max_length": longest, "_log_history": values, "_count_history": counts}
    earlier = state.get("_earlier")
    if earlier is not None:
        numbers = _numbers(earlier)
        if len(numbers) != 5 or not math.isfinite(numbers[4]):
            raise MalformedPickleError("it has a history whose totals are none")
        history_state["_earlier"] = numbers
    buffer.__setstate__(history_state)


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise MalformedPickleError("it has a history whose totals are no numbers")
    return [float(value) for value in values]
