"""The class of a part that is an object or a config."""

from __future__ import annotations

from collections.abc import Mapping


def type_name(part: object) -> str:
    """Returns the class name of an object, or of the ``type`` in a config, without module or scope.

    The name is empty if the config has no ``type``.

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
