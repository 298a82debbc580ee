"""What a backend can do, as small contracts. A backend offers those that fit its storage."""

# ruff: noqa: D102 - the class says what its methods are for; the public function of the same name documents each.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from eng.fileio._listing import Suffix
from eng.fileio._uri import PathLike

__all__ = ["Copying", "Joining", "Listable", "Localizable", "Queryable", "Readable", "Removable", "Signing", "Writable"]


class Readable(Protocol):
    """Whole files can be read."""

    def get(self, filepath: PathLike) -> bytes: ...
    def get_text(self, filepath: PathLike, encoding: str = ...) -> str: ...


class Writable(Protocol):
    """Whole files can be written."""

    def put(self, obj: bytes, filepath: PathLike) -> None: ...
    def put_text(self, obj: str, filepath: PathLike) -> None: ...


class Queryable(Protocol):
    """What a path is can be asked."""

    def exists(self, filepath: PathLike) -> bool: ...
    def isdir(self, filepath: PathLike) -> bool: ...
    def isfile(self, filepath: PathLike) -> bool: ...


class Joining(Protocol):
    """Paths can be joined."""

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str: ...


class Localizable(Protocol):
    """A file can be had under a local path for a while."""

    def get_local_path(self, filepath: PathLike) -> AbstractContextManager[PathLike]: ...


class Listable(Protocol):
    """Directories can be listed."""

    def list_dir_or_file(
        self, dir_path: PathLike, list_dir: bool, list_file: bool, suffix: Suffix, recursive: bool
    ) -> Iterator[str]: ...


class Removable(Protocol):
    """Files and trees can be removed."""

    def remove(self, filepath: PathLike) -> None: ...
    def rmtree(self, dir_path: PathLike) -> None: ...


class Copying(Protocol):
    """Files and trees can be copied within the storage, and between it and the local disk."""

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike: ...
    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool: ...


class Signing(Protocol):
    """Addresses that work without credentials for a while can be made."""

    def generate_presigned_url(self, url: str, client_method: str, expires_in: int) -> str: ...
