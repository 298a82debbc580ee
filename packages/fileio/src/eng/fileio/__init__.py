"""Reads and writes files and Python objects on local disk and remote storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eng.fileio import backends
from eng.fileio._atomic import atomic_write
from eng.fileio._version import __version__
from eng.fileio.backends import BaseStorageBackend, HardDiskBackend, LocalBackend, register_backend
from eng.fileio.errors import ParseError, UnsupportedOperationError, UntrustedFileError
from eng.fileio.file_client import FileClient
from eng.fileio.handlers import (
    BaseFileHandler,
    JsonHandler,
    PickleHandler,
    TomlHandler,
    YamlHandler,
    register_handler,
)
from eng.fileio.io import (
    copy_if_symlink_fails,
    copyfile,
    copyfile_from_local,
    copyfile_to_local,
    copytree,
    copytree_from_local,
    copytree_to_local,
    dump,
    exists,
    generate_presigned_url,
    get,
    get_file_backend,
    get_local_path,
    get_text,
    isdir,
    isfile,
    join_path,
    list_dir_or_file,
    load,
    put,
    put_text,
    remove,
    rmtree,
)
from eng.fileio.parse import dict_from_file, list_from_file

if TYPE_CHECKING:
    from eng.fileio.backends import FsspecBackend, HTTPBackend, LmdbBackend, MemcachedBackend, PetrelBackend

__all__ = [
    "BaseFileHandler",
    "BaseStorageBackend",
    "FileClient",
    "FsspecBackend",
    "HTTPBackend",
    "HardDiskBackend",
    "JsonHandler",
    "LmdbBackend",
    "LocalBackend",
    "MemcachedBackend",
    "ParseError",
    "PetrelBackend",
    "PickleHandler",
    "TomlHandler",
    "UnsupportedOperationError",
    "UntrustedFileError",
    "YamlHandler",
    "__version__",
    "atomic_write",
    "copy_if_symlink_fails",
    "copyfile",
    "copyfile_from_local",
    "copyfile_to_local",
    "copytree",
    "copytree_from_local",
    "copytree_to_local",
    "dict_from_file",
    "dump",
    "exists",
    "generate_presigned_url",
    "get",
    "get_file_backend",
    "get_local_path",
    "get_text",
    "isdir",
    "isfile",
    "join_path",
    "list_dir_or_file",
    "list_from_file",
    "load",
    "put",
    "put_text",
    "register_backend",
    "register_handler",
    "remove",
    "rmtree",
]


def __getattr__(name: str) -> Any:
    # The modules of remote storage backends are imported at their first use, because some of them are slow to import.
    if name in __all__:
        return getattr(backends, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
