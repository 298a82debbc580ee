"""Compares config values with type annotations of builtin types; other annotations are never contradicted."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

# For each annotated type, the types of config values that are not reported. Configs often contain a list where a tuple
# is annotated, 1 for 1.0, and 0 or 1 for a bool. A string is accepted only where str is annotated.
_ACCEPTS: dict[Any, tuple[type, ...]] = {
    int: (int,),
    float: (int, float),
    complex: (int, float, complex),
    str: (str,),
    bool: (bool,),
    bytes: (bytes,),
    list: (list, tuple, set, frozenset, range),
    tuple: (list, tuple, range),
    set: (list, tuple, set, frozenset),
    dict: (Mapping,),
    type(None): (type(None),),
    collections.abc.Mapping: (Mapping,),
    collections.abc.MutableMapping: (Mapping,),
    collections.abc.Sequence: (list, tuple, str, range),
}
_ELEMENTS = (list, set, collections.abc.Sequence)
_PLAIN_VALUES = (int, float, complex, str, bytes, list, tuple, set, type(None), Mapping)


def contradicts(value: Any, hint: Any) -> bool:
    """Whether a config value is certainly wrong for an argument with the annotation `hint`.

    Examples:
        >>> contradicts("12", int), contradicts(1, float), contradicts([1, 2], tuple[int, int])
        (True, False, False)
    """
    if not isinstance(value, _PLAIN_VALUES) or (isinstance(value, Mapping) and "type" in value):
        return False  # An object, or a config mapping from which an object will be built, may have any class.
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return all(contradicts(value, alternative) for alternative in get_args(hint))
    if origin is Literal:
        return value not in get_args(hint)
    if hint is bool and value in (0, 1):
        return False
    if hint is int and isinstance(value, float):
        return not value.is_integer()  # 1e5 and 6 / 2 are floats with integer values, which are accepted for int.
    expected: Any = origin or hint
    if hint is None:
        expected = type(None)
    accepted = None
    if _is_hashable(expected):
        accepted = _ACCEPTS.get(expected)
    if accepted is None:
        return False
    return not isinstance(value, accepted) or _holds_a_contradiction(value, expected, get_args(hint))


def spelled(hint: Any) -> str:
    """Formats an annotation for messages, such as ``"int | None"``."""
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(map(spelled, get_args(hint)))
    if hint is type(None):
        return "None"
    if get_args(hint):
        return str(hint)
    return getattr(hint, "__name__", str(hint))


def _holds_a_contradiction(value: Any, expected: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether an item of a list, set or tuple contradicts the annotated type of the items, as in ``list[int]``."""
    if isinstance(value, str) or not arguments:
        return False
    if expected in _ELEMENTS or (expected is tuple and len(arguments) == 2 and arguments[1] is Ellipsis):
        return any(contradicts(item, arguments[0]) for item in value)
    return False


def _is_hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True
