"""Converts config values to plain data that a config file can contain."""

from __future__ import annotations

import cmath
import datetime as dt
import enum
import types
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from ._provenance import Path
from .errors import DumpTypeError
from .lazy import dotted_name, is_lazy

_LEAVES = frozenset({str, float, bool, type(None)})
_PLAIN = (str, int, float, complex, bytes)
_CODE = (type, types.FunctionType, types.BuiltinFunctionType)
_DATES = (dt.date, dt.datetime)
# The types that each file format of a config supports in addition to strings, numbers, None, lists and mappings.
FORMS: dict[str, tuple[type, ...]] = {
    "Python": (tuple, set, frozenset, range, complex, bytes),
    "JSON": (),
    "YAML": (tuple, set, bytes, *_DATES),
}
_SEQUENCES = (tuple, set, frozenset, range)


def to_plain(value: Any, form: str, path: Path = ()) -> Any:
    """Converts a config value to plain data that the file format can express.

    Loading the written file returns data equal to the converted data. Classes, functions and lazy imports become their
    dotted names, paths become strings, numpy scalars and arrays become numbers and lists, and enum members become
    their values. An instance of a subclass of a builtin type such as str or dict becomes an instance of that builtin
    type. In JSON, tuples and sets become lists.

    Args:
        value: the value to convert.
        form: ``"Python"``, ``"JSON"`` or ``"YAML"``.
        path: keys from the root of the config to `value`, for error messages.

    Raises:
        DumpTypeError: the format cannot express the value; the message names its dotted key.
    """
    cls = type(value)
    if cls in _LEAVES:
        if cls is str and form == "YAML" and not value.isascii():
            _check_text(value, path)
        return value
    try:
        return _converted(value, cls, form, path)
    except RecursionError:
        raise DumpTypeError("a value contains itself, or is nested too deeply", path[:1]) from None


def _converted(value: Any, cls: type, form: str, path: Path) -> Any:
    """Converts a value of any type except str, float, bool and None to plain data, as `to_plain` describes."""
    if is_lazy(value) or isinstance(value, _CODE):
        return _name(value, path)
    if isinstance(value, enum.Enum):
        return to_plain(value.value, form, path)
    if isinstance(value, dict):
        return _mapping(value, form, path)
    if cls is list or isinstance(value, list):
        return _items(value, list, form, path)
    if isinstance(value, _SEQUENCES):
        return _sequence(value, form, path)
    if isinstance(value, _PLAIN) and (not isinstance(value, (complex, bytes)) or cls in FORMS[form]):
        return _leaf(value, path)
    if cls in FORMS[form]:
        return value
    if isinstance(value, PurePath):
        return str(value)
    if cls.__module__ == "numpy" and hasattr(value, "tolist"):
        return to_plain(value.tolist(), form, path)
    raise DumpTypeError(f"{_shown(value)} of type {cls.__name__} has no form in {form}; make it plain data", path)


def _mapping(value: dict[Any, Any], form: str, path: Path) -> dict[Any, Any]:
    """Converts a mapping to plain data.

    Raises:
        DumpTypeError: two keys become equal, such as 1 and "1" in JSON, or the format cannot express a key or value.
    """
    plain = {_key(key, form, path): to_plain(item, form, (*path, key)) for key, item in dict.items(value)}
    if len(plain) < len(value) or (form == "JSON" and len(set(map(str, plain))) < len(plain)):
        raise DumpTypeError(f"two of its keys are one in {form}", path)
    return plain


def _key(key: Any, form: str, path: Path) -> Any:
    plain = to_plain(key, form, (*path, key))
    if isinstance(plain, (list, dict, set)):
        raise DumpTypeError(f"the key {key!r} has no form in {form}", path)
    return plain


def _items(value: Any, make: Callable[[list[Any]], Any], form: str, path: Path) -> Any:
    return make([to_plain(item, form, (*path, index)) for index, item in enumerate(value)])


def _sequence(value: Any, form: str, path: Path) -> Any:
    """Converts a tuple, set, frozenset or range: to that type if the format supports it, in JSON to a list.

    The items of a set are sorted by their repr, so that a config is always dumped in the same order.
    """
    base: Any = next(candidate for candidate in _SEQUENCES if isinstance(value, candidate))
    if base is range and base in FORMS[form]:
        return value
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    if base not in FORMS[form] and form != "JSON":
        raise DumpTypeError(f"a {base.__name__} has no form in {form}; make it a list", path)
    return _items(value, base if base in FORMS[form] else list, form, path)


def _leaf(value: Any, path: Path) -> Any:
    """Converts an instance of a subclass of str, int, float, complex or bytes to that builtin type."""
    base: Any = next(candidate for candidate in _PLAIN if isinstance(value, candidate))
    if base is complex and not cmath.isfinite(value):
        raise DumpTypeError(f"{value!r} has no form in Python", path)
    if type(value) is base:
        plain = value
    elif base is str:
        plain = base.__str__(value)
    else:
        # A subclass may override __int__, __float__ and others. __getnewargs__ of the builtin type, which pickle uses,
        # returns a tuple with the value as that type.
        plain = base.__getnewargs__(value)[0]
    try:
        repr(plain)
    except ValueError as error:  # Python raises ValueError for integers of more than 4300 digits.
        raise DumpTypeError(str(error), path) from error
    return plain


def _check_text(text: str, path: Path) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DumpTypeError(f"{text!r} has no form in YAML ({error.reason})", path) from None


def _name(value: Any, path: Path) -> str:
    """Returns the dotted name of a class, function or lazy import.

    Raises:
        DumpTypeError: the object cannot be imported by this name, because a function or the config file defines it.
    """
    name = dotted_name(value)
    if "<" in name or name.startswith("__config__."):
        raise DumpTypeError(f"{name} cannot be named in a file; a module that can be imported must define it", path)
    return name


def _shown(value: Any) -> str:
    """Returns a repr of at most 100 characters for error messages.

    A mapping is shown by type and address only, because the contents of a mapping such as os.environ are secret.
    """
    if hasattr(value, "keys"):
        text = object.__repr__(value)
    else:
        text = repr(value)
    if len(text) <= 100:
        return text
    return text[:97] + "…"
