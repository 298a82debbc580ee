"""Merges the values of a child config into those of its base config, without changing either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._dict import PLAIN_DICTS, ConfigDict, strip_delete
from ._provenance import DELETE_KEY, Path
from .errors import MergeIndexError, MergeTypeError


def merge(
    child: Mapping[Any, Any], base: dict[Any, Any], *, lists: bool = False, marks: bool = True, path: Path = ()
) -> dict[Any, Any]:
    """Merges `child` into a copy of `base`.

    Mappings are merged key by key. A child mapping with ``_delete_=True`` replaces the base mapping, and every other
    child value replaces the base value. The key ``_delete_`` itself is removed, whatever its value.

    Args:
        child: the overriding values.
        base: the overridden values; `base` itself is not changed.
        lists: whether a child mapping with integer keys, such as ``{0: …}``, changes the items of a base list at these
            indices; if False, such a mapping raises TypeError.
        marks: whether `child` may contain ``_delete_``; False skips the search for it.
        path: keys from the root of the config to `base`, for error messages.

    Raises:
        TypeError: a child mapping would be merged into a value that is not a mapping.
        KeyError: a list index is out of range.

    Example:
        >>> merge({"a": {"b": 2}}, {"a": {"b": 1, "c": 1}})
        {'a': {'b': 2, 'c': 1}}
        >>> merge({"a": {"_delete_": True, "b": 2}}, {"a": {"b": 1, "c": 1}})
        {'a': {'b': 2}}
    """
    if marks and child.get(DELETE_KEY):
        base = type(base)()
    result = _shallow(base)
    for key, value in dict.items(child) if isinstance(child, dict) else child.items():
        if marks and key == DELETE_KEY:
            continue
        if not isinstance(value, dict) or key not in base or dict.get(value, DELETE_KEY):
            dict.__setitem__(result, key, strip_delete(value) if marks else value)
        else:
            dict.__setitem__(result, key, _onto(value, dict.get(base, key), lists, (*path, key), marks))
    return result


def merge_onto(child: dict[Any, Any], base: Any, *, lists: bool = False) -> Any:
    """Merges the mapping `child` into a copy of a base value, and returns that copy.

    If `lists` is true, `base` may also be a list or tuple; the keys of `child` are then indices into `base`.

    Raises:
        TypeError: `base` is not a mapping (or, with `lists`, a list or tuple), or a key is not an index of that list.
        KeyError: a list index is out of range.
    """
    return _onto(child, base, lists, ())


def _onto(child: dict[Any, Any], base: Any, lists: bool, path: Path, marks: bool = True) -> Any:
    """Merges the mapping `child` into `base`, which must be a mapping, or a list or tuple if `lists` is true."""
    if isinstance(base, dict):
        return merge(child, base, lists=lists, marks=marks, path=path)
    if lists and isinstance(base, (list, tuple)):
        return _merge_list(child, base, path)
    raise MergeTypeError(
        f"a dict cannot be merged onto {_with_article(base)}; to replace it, add _delete_=True to the dict"
        + ("; to change one item, use its index as the key" if isinstance(base, list) and lists else ""),
        path,
    )


def _merge_list(child: dict[Any, Any], base: list[Any] | tuple[Any, ...], path: Path) -> Any:
    """Returns a copy of a list or tuple with some items changed.

    Args:
        child: the new values by index; a mapping is merged into an item that is a mapping, list or tuple.
        base: the list or tuple.
        path: keys from the root of the config to `base`, for error messages.

    Raises:
        MergeTypeError: a key of `child` is not an index.
        MergeIndexError: an index is out of range.
    """
    items = list(base)
    for key, value in dict.items(child):
        index = None
        if isinstance(key, int) or (isinstance(key, str) and key.isdigit()):
            index = int(key)
        if index is None:
            raise MergeTypeError(
                f"{key!r} is not an index of {_with_article(base)}{_indices(items)} or add _delete_=True to replace it",
                path,
            )
        if index >= len(items):
            where = ""
            if path:
                where = f"{'.'.join(map(str, path))}: "
            size = "an empty list"
            if items:
                size = f"a list of {len(items)}: {base!r}"
            raise MergeIndexError(f"{where}there is no item {index} in {size}")
        if (
            isinstance(value, dict)
            and not dict.get(value, DELETE_KEY)
            and isinstance(items[index], (dict, list, tuple))
        ):
            items[index] = _onto(value, items[index], True, (*path, index))
        else:
            items[index] = strip_delete(value)
    if isinstance(base, list):
        return items
    return tuple(items)


def _indices(items: list[Any]) -> str:
    if not items:
        return ", which is empty; give a list,"
    if len(items) > 1:
        return f"; use 0 to {len(items) - 1},"
    return "; use 0,"


def _shallow(base: dict[Any, Any]) -> dict[Any, Any]:
    if isinstance(base, ConfigDict) or type(base) not in PLAIN_DICTS:
        return base.copy()
    return dict(base)


def _with_article(value: Any) -> str:
    if value is None:
        return "None"
    return f"a {type(value).__name__}"


def nest(options: Mapping[str, Any]) -> dict[str, Any]:
    """Converts dotted keys to nested mappings.

    If a value is itself a mapping, dots in the keys of that mapping are kept.

    Raises:
        TypeError: one dotted key needs a mapping where another key sets a value of another type, as ``a=1`` and
            ``a.b=2`` do.

    Example:
        >>> nest({"optimizer.lr": 0.1, "optimizer.type": "SGD"})
        {'optimizer': {'lr': 0.1, 'type': 'SGD'}}
    """
    root: dict[str, Any] = {}
    for dotted, value in options.items():
        if isinstance(dotted, str):
            *parents, last = str(dotted).split(".")
        else:
            *parents, last = [dotted]
        node = root
        for part in parents:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                raise MergeTypeError(
                    f"{dotted!r} needs a dict, but another option sets it to {inner!r}", tuple(parents)
                )
            node = inner
        if type(value) in PLAIN_DICTS:
            node[last] = dict(value)
        else:
            node[last] = value
    return root


def difference(new: Any, old: Any) -> dict[Any, Any]:
    """Returns the part of the nested mapping `new` whose keys `old` lacks, or whose values differ from `old`."""
    result = {}
    for key, value in dict.items(new):
        if key not in old:
            result[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            inner = difference(value, old[key])
            if inner:
                result[key] = inner
        elif not same(value, old[key]):
            result[key] = value
    return result


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal; values such as arrays, whose comparison is not a single bool, count as different."""
    if left is right:
        return True
    try:
        return type(left) is type(right) and bool(left == right)
    except Exception:  # noqa: BLE001  # A config may contain any object, and its __eq__ may raise anything.
        return False


def check_indices(options: Mapping[str, Any], values: Mapping[Any, Any]) -> None:
    """Checks that dotted keys with an index, such as ``pipeline.0.type``, refer to lists that exist.

    Raises:
        MergeIndexError: the config has no such list; the message says how to set the complete list.
    """
    for dotted in options:
        node: Any = values
        parts = str(dotted).split(".")
        for number, part in enumerate(parts[:-1]):
            if not isinstance(node, dict):
                break
            if part not in node:
                if parts[number + 1].isdigit():
                    name = ".".join(parts[: number + 1])
                    raise MergeIndexError(
                        f"{dotted}: this config has no list {name!r} to change an item of; give the list as a whole, "
                        f"such as {name}=[dict(type=…)]"
                    )
                break
            node = dict.__getitem__(node, part)
