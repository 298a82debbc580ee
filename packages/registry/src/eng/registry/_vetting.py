"""Restricts which objects a dotted path in an untrusted config can name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._tree import RegistryNode
from .errors import UntrustedTypeError

__all__ = ["registered_only", "vet"]

_ACCEPTS: ContextVar[Callable[[Any], bool] | None] = ContextVar("eng_registry_accepts", default=None)


@contextmanager
def registered_only(accepts: Callable[[Any], bool] = lambda _: False) -> Iterator[None]:
    """Inside this ``with`` block, a dotted path such as ``"subprocess.Popen"`` is refused unless it is registered.

    Use the block to build an untrusted config, such as a config stored in a checkpoint: building calls whatever class
    or function the config names as ``type``.

    Args:
        accepts: returns True for an object that may be used although it is not registered.

    Examples:
        >>> from eng.registry import Registry
        >>> with registered_only():
        ...     Registry("any", scope="vetted").get("os.system")
        Traceback (most recent call last):
        eng.registry.errors.UntrustedTypeError: 'os.system' is not registered, and a config of others may name only what is
    """
    token = _ACCEPTS.set(accepts)
    try:
        yield
    finally:
        _ACCEPTS.reset(token)


def vet(path: str, target: Any, registry: RegistryNode) -> Any:
    """Returns `target`, the object at a dotted path that a config names as ``type``, if the config may use the object.

    Raises:
        UntrustedTypeError: inside :func:`registered_only`, the object is neither registered nor accepted.
    """
    accepts = _ACCEPTS.get()
    if accepts is None or target is None or _is_registered(target, registry.root) or accepts(target):
        return target
    raise UntrustedTypeError(path, "is not registered, and a config of others may name only what is")


def _is_registered(target: Any, registry: RegistryNode) -> bool:
    """Whether a registry or one of the registries below it has registered the object `target`."""
    if any(target is registered for registered in registry.module_dict.values()):
        return True
    return any(_is_registered(target, child) for child in registry.children.values())
