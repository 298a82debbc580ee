"""Merging one layer of plain values onto another. Pure: neither side is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._dict import PLAIN_DICTS, ConfigDict, strip_delete
from ._provenance import DELETE_KEY, Path
from .errors import MergeIndexError, MergeTypeError


def merge(
    child: Mapping[Any, Any], base: dict[Any, Any], *, lists: bool = False, marks: bool = True, path: Path = ()
) -> dict[Any, Any]:
    """`base` with `child` merged onto it.

    Mappings merge key by key, ``_delete_=True`` in a child mapping replaces what is below it, anything else replaces.
    The mark itself, true or not, does not stay.

    Args:
        child: the overriding values.
        base: what is overridden.
        lists: whether digit keys of a child mapping address items of a base list.
        marks: whether ``_delete_`` may stand in `child`; False saves the search for it.
        path: keys from the root, for messages.

    Raises:
        TypeError: a child mapping meets a value that is not a mapping.
        KeyError: a list index exceeds the list.

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
    """As `merge`, for a base that may be a list.

    Raises:
        TypeError: `base` is neither a mapping nor, with `lists`, a list or tuple; or a key is no index.
        KeyError: a list index exceeds the list.
    """
    return _onto(child, base, lists, ())


def _onto(child: dict[Any, Any], base: Any, lists: bool, path: Path, marks: bool = True) -> Any:
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
    """Dotted keys as nested mappings; keys inside a value that is a mapping keep their dots.

    Raises:
        TypeError: one key asks for a mapping where another gives a value.

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
    """The part of mapping `new` that is not in `old`: changed leaves and new keys, nested as they stand."""
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
    """Whether two values are equal; arrays and other things without a plain answer count as different."""
    if left is right:
        return True
    try:
        return type(left) is type(right) and bool(left == right)
    except Exception:  # noqa: BLE001  # any value may stand in a config, with any __eq__
        return False


def check_indices(options: Mapping[str, Any], values: Mapping[Any, Any]) -> None:
    """Refuses dotted keys that address an item of a list that is not there.

    Raises:
        MergeIndexError: says how to give the whole list.
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
