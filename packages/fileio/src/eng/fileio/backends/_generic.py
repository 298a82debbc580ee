"""Abilities that follow from others, written once for all remote backends."""

# os functions take str and PathLike alike, and at a third of the cost of a Path.
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
    """What follows from :meth:`get`: text, a local copy for a while or for good, joined paths."""

    def get(self, filepath: PathLike) -> bytes:
        """Content of a file as bytes."""
        raise TypeError(f"{self.name} must define get()")

    def get_text(self, filepath: PathLike, encoding: str | None = "utf-8") -> str:
        """Content of a file as text, without a byte-order mark; an `encoding` of None means UTF-8."""
        encoding = encoding or "utf-8"
        return without_mark(str(self.get(filepath), encoding), encoding)

    def _download(self, filepath: PathLike, target: Path) -> None:
        """Writes the content to a local file; overridden where the client can stream."""
        target.write_bytes(self.get(filepath))

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[str]:
        """A local copy with the same suffix, removed when the block ends, also by an exception."""
        with tempfile.TemporaryDirectory(prefix="eng-fileio-") as folder:
            target = Path(folder) / f"file{os.path.splitext(base_name(filepath))[1]}"
            self._download(filepath, target)
            yield str(target)

    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file to the local path `dst`, or into it where it is a directory; gives the path written."""
        target = dst
        if os.path.isdir(dst):
            target = os.path.join(dst, base_name(src))
        with self.get_local_path(src) as local, open(local, "rb") as source, atomic_write(target) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        return target

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Parts joined by slashes."""
        return join_keys(filepath, *filepaths)


class RemoteStore(RemoteReader):
    """What follows from get, put, isdir, exists, remove and list_dir_or_file: copies of files and trees."""

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes a whole file."""
        raise TypeError(f"{self.name} must define put()")

    def exists(self, filepath: PathLike) -> bool:
        """Whether there is a file or directory."""
        raise TypeError(f"{self.name} must define exists()")

    def isdir(self, filepath: PathLike) -> bool:
        """Whether it is a directory."""
        raise TypeError(f"{self.name} must define isdir()")

    def remove(self, filepath: PathLike) -> None:
        """Removes a file."""
        raise TypeError(f"{self.name} must define remove()")

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below a directory, relative to it, in any order."""
        raise TypeError(f"{self.name} must define list_dir_or_file()")

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Writes text as a whole file."""
        self.put(obj.encode(encoding), filepath)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes every file below a directory."""
        for name in list(self._files_below(dir_path)):
            self.remove(self.join_path(dir_path, name))

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies within the storage, into `dst` where that is a directory; gives the path written.

        Raises:
            shutil.SameFileError: both are the same.
        """
        target = self._inside(src, dst)
        if text_of(src) == text_of(target):
            raise shutil.SameFileError(f"source and target are the same file: {text_of(target)}")
        self._copy(src, target)
        return target

    def copytree(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a tree within the storage to `dst`, which must not exist."""
        self._must_be_new(dst)
        for name in list(self._files_below(src)):
            self._copy(self.join_path(src, name), self.join_path(dst, name))
        return dst

    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a local file into the storage; gives the path written."""
        target = self._inside(src, dst)
        self._upload(Path(src), target)
        return target

    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a local tree into the storage at `dst`, which must not exist."""
        self._must_be_new(dst)
        for file in sorted(path for path in Path(src).rglob("*") if path.is_file()):
            self._upload(file, self.join_path(dst, file.relative_to(src).as_posix()))
        return dst

    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a tree to the local path `dst`.

        Raises:
            UnsafeKeyError: a key of the storage would be written outside of `dst`; those before it are copied.
        """
        os.makedirs(dst, exist_ok=True)
        for name in self._files_below(src):
            inside = safe_key(name, text_of(src)).lstrip("/")
            self.copyfile_to_local(self.join_path(src, name), os.path.join(dst, inside))
        return dst

    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool:
        """Copies a file or tree, as there are no links here; always gives False: no link was made."""
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

    def _inside(self, src: PathLike, dst: PathLike) -> PathLike:
        if self.isdir(dst):
            return self.join_path(dst, base_name(src))
        return dst

    def _must_be_new(self, dst: PathLike) -> None:
        if self.exists(dst):
            raise FileExistsError(f"{text_of(dst)} exists; copytree writes a new directory only")
