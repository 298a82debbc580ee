"""The storage backends, such as local disk, HTTP and S3; each is imported at its first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from eng.fileio.backends.base import BaseStorageBackend
from eng.fileio.backends.local_backend import HardDiskBackend, LocalBackend
from eng.fileio.backends.registry_utils import register_backend

if TYPE_CHECKING:
    from eng.fileio.backends.fsspec_backend import FsspecBackend
    from eng.fileio.backends.http_backend import HTTPBackend
    from eng.fileio.backends.lmdb_backend import LmdbBackend
    from eng.fileio.backends.memcached_backend import MemcachedBackend
    from eng.fileio.backends.petrel_backend import PetrelBackend

__all__ = [
    "BaseStorageBackend",
    "FsspecBackend",
    "HTTPBackend",
    "HardDiskBackend",
    "LmdbBackend",
    "LocalBackend",
    "MemcachedBackend",
    "PetrelBackend",
    "register_backend",
]

_LAZY = {
    "FsspecBackend": "fsspec_backend",
    "HTTPBackend": "http_backend",
    "LmdbBackend": "lmdb_backend",
    "MemcachedBackend": "memcached_backend",
    "PetrelBackend": "petrel_backend",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return __all__
