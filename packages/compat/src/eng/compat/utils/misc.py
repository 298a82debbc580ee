"""Replaces ``mmengine.utils.misc``: helpers for types, sequences, imports, prerequisites and deprecations."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from types import ModuleType
from typing import Any, TypeVar

from eng.compat.errors import UsageError, UsageTypeError

F = TypeVar("F", bound=Callable[..., Any])


# --- functions that repeat a value in a tuple --------------------------------------------------------------------


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """Returns a function that repeats a value `n` times in a tuple; an iterable, such as a string, is returned unchanged.

    Example:
        >>> to_ntuple(3)(7), to_ntuple(3)([1, 2]), to_ntuple(2)("corner")
        ((7, 7, 7), [1, 2], 'corner')
    """

    def to_tuple(x: Any) -> Any:
        return x if isinstance(x, Iterable) else (x,) * n

    return to_tuple


to_1tuple, to_2tuple, to_3tuple, to_4tuple = map(to_ntuple, (1, 2, 3, 4))


# --- checks of types ---------------------------------------------------------------------------------------------


def is_str(x: object) -> bool:
    """Whether `x` is a string."""
    return isinstance(x, str)


def is_seq_of(seq: Any, expected_type: type | tuple[type, ...], seq_type: type | None = None) -> bool:
    """Whether `seq` is a sequence, of class `seq_type` if that is set, whose items all have the expected type."""
    outer: Any = seq_type or Sequence
    return isinstance(seq, outer) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a list whose items all have the expected type."""
    return is_seq_of(seq, expected_type, seq_type=list)


def is_tuple_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a tuple whose items all have the expected type."""
    return is_seq_of(seq, expected_type, seq_type=tuple)


def has_method(obj: object, method: str) -> bool:
    """Whether an object has a callable attribute of this name."""
    return callable(getattr(obj, method, None))


def is_method_overridden(method: str, base_class: type, derived_class: type | Any) -> bool:
    """Whether a class, or the class of an instance, overrides a method of its base class.

    Raises:
        UsageTypeError: `base_class` is not a class.
    """
    if not isinstance(base_class, type):
        raise UsageTypeError(f"base_class must be a class, got {base_class!r}")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return getattr(derived, method) is not getattr(base_class, method)


# --- converting, splitting and joining sequences -----------------------------------------------------------------


def iter_cast(inputs: Iterable[Any], dst_type: type, return_type: type | None = None) -> Any:
    """Converts all items to `dst_type`; returns an iterator, or a container of class `return_type`.

    Raises:
        TypeError: `inputs` is not iterable, or `dst_type` is not a type.
    """
    if not isinstance(inputs, Iterable):
        raise TypeError(f"inputs must be iterable, got {type(inputs).__name__}")
    if not isinstance(dst_type, type):
        raise TypeError(f"dst_type must be a type, got {dst_type!r}")
    items: Iterator[Any] = map(dst_type, inputs)
    return items if return_type is None else return_type(items)


def list_cast(inputs: Iterable[Any], dst_type: type) -> list[Any]:
    """Returns a list of all items, converted to `dst_type`."""
    converted: list[Any] = iter_cast(inputs, dst_type, list)
    return converted


def tuple_cast(inputs: Iterable[Any], dst_type: type) -> tuple[Any, ...]:
    """Returns a tuple of all items, converted to `dst_type`."""
    converted: tuple[Any, ...] = iter_cast(inputs, dst_type, tuple)
    return converted


def slice_list(in_list: Any, lens: int | list[int]) -> list[Any]:
    """Splits a list into pieces.

    Args:
        in_list: the list.
        lens: length of each piece, or a single length for all pieces.

    Raises:
        TypeError: `lens` is neither an integer nor a list.
        UsageError: the lengths of the pieces do not add up to that of the list.

    Example:
        >>> slice_list([1, 2, 3], [1, 2])
        [[1], [2, 3]]
    """
    if isinstance(lens, int):
        if lens < 1 or len(in_list) % lens:
            raise UsageError(f"a list of {len(in_list)} cannot be cut into pieces of {lens}")
        lens = [lens] * (len(in_list) // lens)
    if not isinstance(lens, list):
        raise TypeError(f"lens must be a number or a list of numbers, got {lens!r}")
    if sum(lens) != len(in_list):
        raise UsageError(f"pieces of {sum(lens)} in all do not make a list of {len(in_list)}")
    ends = list(accumulate(lens))
    return [in_list[end - length : end] for length, end in zip(lens, ends, strict=True)]


def concat_list(in_list: list[list[Any]]) -> list[Any]:
    """Concatenates several lists."""
    return [item for part in in_list for item in part]


def apply_to(data: Any, expr: Callable[[Any], bool], apply_func: Callable[[Any], Any]) -> Any:
    """Returns a copy of nested dicts, lists and tuples with `apply_func` applied to the leaves that `expr` accepts.

    Example:
        >>> apply_to({"a": [1, "b"]}, lambda x: isinstance(x, int), lambda x: -x)
        {'a': [-1, 'b']}
    """
    if isinstance(data, Mapping):
        return type(data)({key: apply_to(value, expr, apply_func) for key, value in data.items()})  # type: ignore[call-arg]  # the constructor of a mapping takes a dict
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(apply_to(item, expr, apply_func) for item in data))
    if isinstance(data, (tuple, list)):
        return type(data)(apply_to(item, expr, apply_func) for item in data)
    return apply_func(data) if expr(data) else data


# --- imports of modules by name ----------------------------------------------------------------------------------


def import_modules_from_strings(
    imports: str | list[str], allow_failed_imports: bool = False
) -> ModuleType | list[ModuleType | None] | None:
    """Imports modules by their dotted names.

    Args:
        imports: a name, or a list of names.
        allow_failed_imports: whether to warn and return None, instead of raising, for a module whose import fails.

    Returns:
        The module for a single name, a list of modules for a list, None for an empty argument.

    Raises:
        TypeError: `imports` is neither a string nor a list of strings.
        ImportError: a module cannot be imported.
    """
    if not imports:
        return None
    if not isinstance(imports, (str, list)) or not all(isinstance(name, str) for name in imports):
        raise TypeError(f"imports must be a name or a list of names, got {imports!r}")
    modules = [
        _import_module(name, allow_failed_imports) for name in ([imports] if isinstance(imports, str) else imports)
    ]
    return modules[0] if isinstance(imports, str) else modules


def _import_module(name: str, allow_failure: bool) -> ModuleType | None:
    """Imports a module by its dotted name; with `allow_failure`, a failed import is a warning and the result None."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if not allow_failure:
            raise ImportError(f"cannot import {name!r}: {error}") from error
        warnings.warn(f"cannot import {name!r}, going on without it: {error}", UserWarning, stacklevel=3)
        return None


def get_object_from_string(obj_name: str) -> Any:
    """Imports and returns the object at a dotted path; None if it does not exist.

    Example:
        >>> get_object_from_string("os.path.join").__name__
        'join'
    """
    parts = obj_name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            target: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            target = getattr(target, part, None)
        return target
    return None


# --- decorators that check for required packages and programs ----------------------------------------------------


def check_prerequisites(
    prerequisites: str | list[str],
    checker: Callable[[str], bool],
    # The text is that of MMEngine.
    msg_tmpl: str = 'Prerequisites "{}" are required in method "{}" but not found, please install them first.',
) -> Callable[[F], F]:
    """Returns a decorator that lets a function run only if all prerequisites are available.

    Args:
        prerequisites: one name or several names.
        checker: returns whether a prerequisite is available.
        msg_tmpl: template of the printed message; gets the missing names and the name of the function.

    Raises:
        RuntimeError: raised by the decorated function if a prerequisite is missing.
    """
    names = [prerequisites] if isinstance(prerequisites, str) else prerequisites

    def decorate(function: F) -> F:
        """Returns a function that checks the prerequisites at each call and then calls `function`."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            missing = [name for name in names if not checker(name)]
            if missing:
                text = msg_tmpl.format(", ".join(missing), function.__name__)
                print(text)  # noqa: T201  # MMEngine prints the message, and tests of libraries read it
                raise RuntimeError(text)
            return function(*args, **kwargs)

        return guarded  # type: ignore[return-value]  # the wrapper has the signature of the function

    return decorate


def _module_is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # A parent package does not exist.
        return False


def _executable_is_there(name: str) -> bool:
    return shutil.which(name) is not None


def requires_package(prerequisites: str | list[str]) -> Callable[[F], F]:
    """Returns a decorator that lets a function run only if these modules are installed."""
    return check_prerequisites(prerequisites, checker=_module_is_there)


def requires_executable(prerequisites: str | list[str]) -> Callable[[F], F]:
    """Returns a decorator that lets a function run only if these programs are on PATH."""
    return check_prerequisites(prerequisites, checker=_executable_is_there)


# --- decorators for deprecated arguments and functions -----------------------------------------------------------


def deprecated_api_warning(name_dict: dict[str, str], cls_name: str | None = None) -> Callable[[F], F]:
    """Returns a decorator that renames deprecated keyword arguments of a function, with a warning.

    Args:
        name_dict: old name -> new name.
        cls_name: name of the class of the function, for the warning.

    Raises:
        UsageTypeError: raised by the decorated function if an argument is passed by its old and its new name.
    """

    def decorate(function: F) -> F:
        """Returns a function that accepts the old names of arguments, too, and calls `function` with the new names."""
        title = f"{cls_name}.{function.__name__}" if cls_name else function.__name__

        @functools.wraps(function)
        def renaming(*args: Any, **kwargs: Any) -> Any:
            """Calls `function` after renaming the deprecated arguments; each of them causes a DeprecationWarning."""
            for old, new in name_dict.items():
                if old not in kwargs:
                    continue
                if new in kwargs:
                    raise UsageTypeError(f"{title}: {old!r} is the old name of {new!r}; give one of them")
                text = f"{title}: the argument {old!r} is deprecated, call it {new!r}"
                warnings.warn(text, DeprecationWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renaming  # type: ignore[return-value]  # the wrapper also accepts the old names of arguments

    return decorate


def deprecated_function(since: str, removed_in: str, instructions: str) -> Callable[[F], F]:
    """Returns a decorator that marks a function as deprecated: one warning, and a note in its docstring.

    Args:
        since: version in which the function was deprecated.
        removed_in: version in which the function will be removed.
        instructions: what to use instead.
    """

    def decorate(function: F) -> F:
        """Returns a function that warns at its first call and calls `function`; its docstring begins with a note."""
        text = (
            f"{function.__module__}.{function.__name__} is deprecated since {since}; version {removed_in} "
            f"comes without it. {instructions}"
        )
        warned: list[bool] = []

        @functools.wraps(function)
        def warning(*args: Any, **kwargs: Any) -> Any:
            if not warned:
                warned.append(True)
                warnings.warn(text, DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        warning.__doc__ = f".. deprecated:: {since}\n    {text}\n\n{function.__doc__ or ''}"
        return warning  # type: ignore[return-value]  # the wrapper has the signature of the function

    return decorate
