"""Protocols for the methods of storage backends; a backend implements those that its storage supports."""

# ruff: noqa: D102 - the class says what its methods are for; the public function of the same name documents each.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from eng.fileio._listing import Suffix
from eng.fileio._uri import PathLike

__all__ = ["Copying", "Joining", "Listable", "Localizable", "Queryable", "Readable", "Removable", "Signing", "Writable"]


class Readable(Protocol):
    """A storage backend that can read files."""

    def get(self, filepath: PathLike) -> bytes: ...
    def get_text(self, filepath: PathLike, encoding: str = ...) -> str: ...


class Writable(Protocol):
    """A storage backend that can write files."""

    def put(self, obj: bytes, filepath: PathLike) -> None: ...
    def put_text(self, obj: str, filepath: PathLike) -> None: ...


class Queryable(Protocol):
    """A storage backend that can tell whether a path exists, and whether it is a file or a directory."""

    def exists(self, filepath: PathLike) -> bool: ...
    def isdir(self, filepath: PathLike) -> bool: ...
    def isfile(self, filepath: PathLike) -> bool: ...


class Joining(Protocol):
    """A storage backend that can join the parts of a path."""

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str: ...


class Localizable(Protocol):
    """A storage backend that can provide a file at a temporary local path."""

    def get_local_path(self, filepath: PathLike) -> AbstractContextManager[PathLike]: ...


class Listable(Protocol):
    """A storage backend that can list directories."""

    def list_dir_or_file(
        self, dir_path: PathLike, list_dir: bool, list_file: bool, suffix: Suffix, recursive: bool
    ) -> Iterator[str]: ...


class Removable(Protocol):
    """A storage backend that can remove files and directories."""

    def remove(self, filepath: PathLike) -> None: ...
    def rmtree(self, dir_path: PathLike) -> None: ...


class Copying(Protocol):
    """A storage backend that can copy files and directories, within the storage and from and to the local disk."""

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool: ...


class Signing(Protocol):
    """A storage backend that can create signed URLs, which give access without credentials for some time."""

    def generate_presigned_url(self, url: str, client_method: str, expires_in: int) -> str: ...
