"""The tables of storage backends of ``mmengine.fileio``, as views of the tables of :mod:`eng.fileio`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eng.fileio._uri import prefix_of
from eng.fileio.backends.registry_utils import BACKENDS, register_backend


class _ClassesByName(Mapping[str, Any]):
    """Read-only mapping from the name of a storage backend to its class."""

    def __getitem__(self, name: str) -> Any:
        if name not in BACKENDS:
            raise KeyError(name)
        return BACKENDS.class_named(name)

    def __iter__(self) -> Iterator[str]:
        return iter(BACKENDS)

    def __len__(self) -> int:
        return sum(1 for _ in BACKENDS)


class _ClassesByPrefix(Mapping[str, Any]):
    """Read-only mapping from a URI scheme to the class of the storage backend that supports it."""

    def __getitem__(self, prefix: str) -> Any:
        return BACKENDS.class_named(BACKENDS._prefixes[prefix])  # noqa: SLF001  # the table is private to eng.fileio

    def __iter__(self) -> Iterator[str]:
        return iter(BACKENDS._prefixes)  # noqa: SLF001  # the table is private to eng.fileio

    def __len__(self) -> int:
        return len(BACKENDS._prefixes)  # noqa: SLF001  # the table is private to eng.fileio


backends = _ClassesByName()
prefix_to_backends = _ClassesByPrefix()
backend_instances = BACKENDS._instances  # noqa: SLF001  # the table is private to eng.fileio
_register_backend = register_backend
_parse_uri_prefix = prefix_of


def _register_handler(handler: Any, file_formats: str | list[str]) -> None:
    """Registers an instance of a handler for one or more file formats."""
    from eng.fileio.handlers.registry_utils import file_handlers

    file_handlers.update(dict.fromkeys([file_formats] if isinstance(file_formats, str) else file_formats, handler))


def _get_file_backend(prefix: str, backend_args: Mapping[str, Any]) -> Any:
    """Creates a storage backend for a URI scheme."""
    return BACKENDS.make(prefix, backend_args)


def set_default(obj: Any) -> Any:
    """Converts a set, range, numpy array or numpy number to a list or number that JSON supports.

    Raises:
        TypeError: `obj` has another type.
    """
    import numpy as np

    if isinstance(obj, set | range):
        return list(obj)
    if isinstance(obj, np.ndarray):
        return obj.tolist()
    if isinstance(obj, np.generic):
        return obj.item()
    raise TypeError(f"{type(obj)} is unsupported for json dump")


__all__ = ["backend_instances", "backends", "prefix_to_backends", "set_default"]
