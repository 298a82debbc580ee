"""The class of a part that is an object or a config."""

from __future__ import annotations

from collections.abc import Mapping


def type_name(part: object) -> str:
    """The name of a part's class without module or scope; empty where a config names no class.

    Examples:
        >>> type_name({"type": "mylib.NiceHook"}), type_name({"type": dict}), type_name(3)
        ('NiceHook', 'dict', 'int')
    """
    cls: object = type(part)
    if isinstance(part, Mapping):
        cls = part.get("type")
    if isinstance(cls, str):
        return cls.rpartition(".")[2]
    if isinstance(cls, type):
        return cls.__name__
    return ""
