"""Base classes of remote storage backends, which implement methods in terms of a few basic ones."""

# The functions of os and os.path are used, because they take a third of the time of the methods of pathlib.Path.
# ruff: noqa: PTH103, PTH112, PTH118, PTH122, PTH123

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eng.fileio._atomic import atomic_write
from eng.fileio._listing import Suffix
from eng.fileio._text import without_mark
from eng.fileio._uri import PathLike, base_name, join_keys, safe_key, text_of
from eng.fileio.backends.base import BaseStorageBackend
from eng.fileio.backends.local_backend import LocalBackend

__all__ = ["RemoteReader", "RemoteStore"]


class RemoteReader(BaseStorageBackend):
    """Base class of readable remote storages.

    A subclass defines :meth:`get`, which returns the bytes of a file. The methods of this class that return text or
    create local copies call :meth:`get`.
    """

    def get(self, filepath: PathLike) -> bytes:
        """Returns the content of a file as bytes; every subclass must define this method."""
        raise TypeError(f"{self.name} must define get()")

    def get_text(self, filepath: PathLike, encoding: str | None = "utf-8") -> str:
        """Returns the content of a file as text, without a byte-order mark; an `encoding` of None means UTF-8."""
        encoding = encoding or "utf-8"
        return without_mark(str(self.get(filepath), encoding), encoding)

    def _download(self, filepath: PathLike, target: Path) -> None:
        """Downloads a file to a local path. Backends whose client can write a file piece by piece override it."""
        target.write_bytes(self.get(filepath))

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[str]:
        """Yields the path of a temporary local copy of a file, which is removed at the end of the ``with`` block.

        The local copy has the same suffix as the file.
        """
        with tempfile.TemporaryDirectory(prefix="eng-fileio-") as folder:
            target = Path(folder) / f"file{os.path.splitext(base_name(filepath))[1]}"
            self._download(filepath, target)
            yield str(target)

    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file to the local path `dst`, or into the directory `dst` if it exists; returns the copy's path."""
        target = dst
        if os.path.isdir(dst):
            target = os.path.join(dst, base_name(src))
        with self.get_local_path(src) as local, open(local, "rb") as source, atomic_write(target) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        return target

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Joins the parts of a path with slashes."""
        return join_keys(filepath, *filepaths)


class RemoteStore(RemoteReader):
    """Base class of readable and writable remote storages, which copies files and directories.

    A subclass defines `get`, `put`, `isdir`, `exists`, `remove` and `list_dir_or_file`.
    """

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes bytes to a file and replaces its old content; every subclass must define this method."""
        raise TypeError(f"{self.name} must define put()")

    def exists(self, filepath: PathLike) -> bool:
        """Whether a file or directory exists at the path; every subclass must define this method."""
        raise TypeError(f"{self.name} must define exists()")

    def isdir(self, filepath: PathLike) -> bool:
        """Whether the path is a directory; every subclass must define this method."""
        raise TypeError(f"{self.name} must define isdir()")

    def remove(self, filepath: PathLike) -> None:
        """Removes a file; every subclass must define this method."""
        raise TypeError(f"{self.name} must define remove()")

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Yields the paths of files and directories below a directory, relative to `dir_path`, in arbitrary order.

        Every subclass must define this method.
        """
        raise TypeError(f"{self.name} must define list_dir_or_file()")

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Writes text to a file and replaces its old content."""
        self.put(obj.encode(encoding), filepath)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes every file below a directory."""
        for name in list(self._files_below(dir_path)):
            self.remove(self.join_path(dir_path, name))

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file within the storage to `dst`, or into the directory `dst`; returns the path of the copy.

        Raises:
            shutil.SameFileError: source and target are the same file.
        """
        target = self._target_of(src, dst)
        if text_of(src) == text_of(target):
            raise shutil.SameFileError(f"source and target are the same file: {text_of(target)}")
        self._copy(src, target)
        return target

    def copytree(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a directory within the storage to `dst`, which must not exist; returns `dst`."""
        self._must_be_new(dst)
        for name in list(self._files_below(src)):
            self._copy(self.join_path(src, name), self.join_path(dst, name))
        return dst

    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a local file into the storage; returns the path of the copy."""
        target = self._target_of(src, dst)
        self._upload(Path(src), target)
        return target

    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a local directory into the storage at `dst`, which must not exist; returns `dst`."""
        self._must_be_new(dst)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            self._upload(file, self.join_path(dst, file.relative_to(src).as_posix()))
        return dst

    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a directory of the storage to the local path `dst`; returns `dst`.

        Raises:
            UnsafeKeyError: a key contains ``..``, and its file would lie outside of `dst`. Files that were copied
                before remain.
        """
        os.makedirs(dst, exist_ok=True)
        for name in self._files_below(src):
            relative_path = safe_key(name, text_of(src)).lstrip("/")
            self.copyfile_to_local(self.join_path(src, name), os.path.join(dst, relative_path))
        return dst

    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool:
        """Copies a file or directory, because the storage has no links; always returns False (no link was created)."""
        if self.isdir(src):
            self.copytree(src, dst)
        else:
            self.copyfile(src, dst)
        return False

    def _copy(self, src: PathLike, dst: PathLike) -> None:
        self.put(self.get(src), dst)

    def _upload(self, src: Path, dst: PathLike) -> None:
        self.put(LocalBackend().get(src), dst)

    def _files_below(self, directory: PathLike) -> Iterator[str]:
        return self.list_dir_or_file(directory, list_dir=False, list_file=True, recursive=True)

    def _target_of(self, src: PathLike, dst: PathLike) -> PathLike:
        if self.isdir(dst):
            return self.join_path(dst, base_name(src))
        return dst

    def _must_be_new(self, dst: PathLike) -> None:
        if self.exists(dst):
            raise FileExistsError(f"{text_of(dst)} exists; copytree writes a new directory only")
