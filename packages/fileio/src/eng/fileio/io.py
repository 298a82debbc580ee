"""Functions on files in any storage; the backend is chosen by the scheme of the path or by ``backend_args``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from eng.fileio._listing import Suffix
from eng.fileio._objects import BackendArgs, dump, load
from eng.fileio._uri import PathLike, prefix_of, text_of
from eng.fileio.backends import protocols
from eng.fileio.backends.registry_utils import BACKENDS
from eng.fileio.errors import UnsupportedOperationError

__all__ = [
    "copy_if_symlink_fails",
    "copyfile",
    "copyfile_from_local",
    "copyfile_to_local",
    "copytree",
    "copytree_from_local",
    "copytree_to_local",
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
    "load",
    "put",
    "put_text",
    "remove",
    "rmtree",
]

C = TypeVar("C")


@dataclass(frozen=True)
class _Ability(Generic[C]):
    """The name of a backend method that a function of this module needs.

    The type parameter is the protocol class that declares the method, for type checkers.

    Attributes:
        method: name of the method.
    """

    method: str

    def of(self, uri: PathLike, backend_args: BackendArgs) -> C:
        """Returns the storage backend for a path, after checking that the backend has the method.

        Raises:
            UnsupportedOperationError: the backend does not have the method.
        """
        backend = BACKENDS.choose(uri, backend_args)
        if not hasattr(backend, self.method):
            raise UnsupportedOperationError(f"{type(backend).__name__} cannot {self.method}: {text_of(uri)}")
        return cast("C", backend)


_GET = _Ability[protocols.Readable]("get")
_GET_TEXT = _Ability[protocols.Readable]("get_text")
_PUT = _Ability[protocols.Writable]("put")
_PUT_TEXT = _Ability[protocols.Writable]("put_text")
_EXISTS = _Ability[protocols.Queryable]("exists")
_ISDIR = _Ability[protocols.Queryable]("isdir")
_ISFILE = _Ability[protocols.Queryable]("isfile")
_JOIN = _Ability[protocols.Joining]("join_path")
_LOCAL_PATH = _Ability[protocols.Localizable]("get_local_path")
_LIST = _Ability[protocols.Listable]("list_dir_or_file")
_REMOVE = _Ability[protocols.Removable]("remove")
_RMTREE = _Ability[protocols.Removable]("rmtree")
_SIGN = _Ability[protocols.Signing]("generate_presigned_url")
_COPYFILE = _Ability[protocols.Copying]("copyfile")
_COPYTREE = _Ability[protocols.Copying]("copytree")
_FILE_FROM_LOCAL = _Ability[protocols.Copying]("copyfile_from_local")
_TREE_FROM_LOCAL = _Ability[protocols.Copying]("copytree_from_local")
_FILE_TO_LOCAL = _Ability[protocols.Copying]("copyfile_to_local")
_TREE_TO_LOCAL = _Ability[protocols.Copying]("copytree_to_local")
_LINK_OR_COPY = _Ability[protocols.Copying]("copy_if_symlink_fails")


def get_file_backend(
    uri: PathLike | None = None, *, backend_args: Mapping[str, Any] | None = None, enable_singleton: bool = False
) -> Any:
    """Returns the storage backend for a path.

    Args:
        uri: a path or URI; its scheme selects the backend.
        backend_args: arguments for the backend. The key ``backend`` names the backend and overrides the scheme.
        enable_singleton: whether to return the instance that the functions of this module share for the same
            arguments; False returns a new instance.

    Raises:
        ValueError: neither `uri` nor ``backend_args['backend']`` is set.
        UnknownBackendError: no backend has that name or prefix.

    Example:
        >>> get_file_backend("data/a.json").name
        'LocalBackend'
    """
    arguments = backend_args or {}
    if uri is None and not {"backend", "prefix"} & set(arguments):
        raise ValueError(
            "uri should not be None where backend_args names no backend: give a uri, or backend_args=dict(backend='local')"
        )
    if enable_singleton:
        return BACKENDS.choose("" if uri is None else uri, arguments)
    return BACKENDS.make("" if uri is None else prefix_of(uri), arguments)


def get(filepath: PathLike, backend_args: BackendArgs = None) -> bytes:
    """Returns the content of a file as bytes.

    Example:
        >>> put(b"hello", "memory://docs/get.txt")
        >>> get("memory://docs/get.txt")
        b'hello'
    """
    return _GET.of(filepath, backend_args).get(filepath)


def get_text(filepath: PathLike, encoding: str = "utf-8", backend_args: BackendArgs = None) -> str:
    """Returns the content of a file as text; a UTF-8 byte-order mark is removed."""
    return _GET_TEXT.of(filepath, backend_args).get_text(filepath, encoding)


def put(obj: bytes, filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Writes bytes to a file and replaces its old content; a local file is replaced atomically."""
    _PUT.of(filepath, backend_args).put(obj, filepath)


def put_text(obj: str, filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Writes text to a file in UTF-8 and replaces its old content; a local file is replaced atomically."""
    _PUT_TEXT.of(filepath, backend_args).put_text(obj, filepath)


def exists(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Whether a file or directory exists at the path."""
    return _EXISTS.of(filepath, backend_args).exists(filepath)


def isdir(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Whether the path is a directory."""
    return _ISDIR.of(filepath, backend_args).isdir(filepath)


def isfile(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Whether the path is a file."""
    return _ISFILE.of(filepath, backend_args).isfile(filepath)


def join_path(filepath: PathLike, *filepaths: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Joins the parts of a path with the separator of its storage.

    Example:
        >>> join_path("s3://bucket", "a", "b.json")
        's3://bucket/a/b.json'
    """
    return _JOIN.of(filepath, backend_args).join_path(filepath, *filepaths)


def get_local_path(filepath: PathLike, backend_args: BackendArgs = None) -> AbstractContextManager[PathLike]:
    """Returns a context manager that yields a local path (a str) with the content of the file.

    A remote file is downloaded to a temporary file, which is removed at the end of the block.

    Example:
        >>> put(b"hello", "memory://docs/local.txt")
        >>> with get_local_path("memory://docs/local.txt") as path:
        ...     open(path, encoding="utf-8").read()
        'hello'
    """
    return _LOCAL_PATH.of(filepath, backend_args).get_local_path(text_of(filepath))


def copyfile(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a file within the storage of `src` to `dst`, or into the directory `dst`; returns the path of the copy."""
    return _COPYFILE.of(src, backend_args).copyfile(src, dst)


def copytree(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a directory within the storage of `src` to `dst`, which must not exist; returns `dst`."""
    return _COPYTREE.of(src, backend_args).copytree(src, dst)


def copyfile_from_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a local file into the storage of `dst`; returns the path of the copy."""
    return _FILE_FROM_LOCAL.of(dst, backend_args).copyfile_from_local(src, dst)


def copytree_from_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a local directory into the storage of `dst`, which must not exist; returns `dst`."""
    return _TREE_FROM_LOCAL.of(dst, backend_args).copytree_from_local(src, dst)


def copyfile_to_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a file from the storage of `src` to a local path; returns the path of the copy."""
    return _FILE_TO_LOCAL.of(src, backend_args).copyfile_to_local(src, dst)


def copytree_to_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copies a directory from the storage of `src` to a local path; returns `dst`."""
    return _TREE_TO_LOCAL.of(src, backend_args).copytree_to_local(src, dst)


def remove(filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Removes a file."""
    _REMOVE.of(filepath, backend_args).remove(filepath)


def rmtree(dir_path: PathLike, backend_args: BackendArgs = None) -> None:
    """Removes a directory with all its files and subdirectories."""
    _RMTREE.of(dir_path, backend_args).rmtree(dir_path)


def copy_if_symlink_fails(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> bool:
    """Creates a symbolic link `dst` to `src`; copies `src` to `dst` if the storage does not support links.

    Returns True if a link was created, False if `src` was copied.
    """
    return _LINK_OR_COPY.of(src, backend_args).copy_if_symlink_fails(src, dst)


def list_dir_or_file(
    dir_path: PathLike,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: Suffix = None,
    recursive: bool = False,
    backend_args: BackendArgs = None,
) -> Iterator[str]:
    """Yields the paths of files and directories below a directory, relative to `dir_path`, in arbitrary order.

    Args:
        dir_path: the directory.
        list_dir: whether to yield directories.
        list_file: whether to yield files; hidden files are never yielded.
        suffix: ending or endings of the files to yield; requires ``list_dir=False``.
        recursive: whether to list subdirectories too.
        backend_args: arguments for the backend, see :func:`get_file_backend`.

    Raises:
        TypeError: `suffix` is neither a str nor a tuple, or is combined with ``list_dir=True``.

    Example:
        >>> put(b"", "memory://docs/list/a/b.txt")
        >>> sorted(list_dir_or_file("memory://docs/list", recursive=True))
        ['a', 'a/b.txt']
    """
    return _LIST.of(dir_path, backend_args).list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)


def generate_presigned_url(
    url: str, client_method: str = "get_object", expires_in: int = 3600, backend_args: BackendArgs = None
) -> str:
    """Returns a signed URL that gives access to `url` without credentials for `expires_in` seconds."""
    return _SIGN.of(url, backend_args).generate_presigned_url(url, client_method, expires_in)
