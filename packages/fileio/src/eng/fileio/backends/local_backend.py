"""The local disk."""

# os functions take str and PathLike alike, and at a third of the cost of a Path.
# ruff: noqa: PTH107, PTH110, PTH112, PTH113, PTH114, PTH118, PTH119, PTH121, PTH123, PTH211

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eng.fileio._atomic import atomic_write
from eng.fileio._listing import Suffix, check_listing, select
from eng.fileio._text import without_mark
from eng.fileio._uri import PathLike, text_of
from eng.fileio.backends.base import BaseStorageBackend

__all__ = ["HardDiskBackend", "LocalBackend"]


class LocalBackend(BaseStorageBackend):
    """Files of this machine. Writes of whole files are atomic, see :func:`eng.fileio.atomic_write`.

    Example:
        >>> import tempfile
        >>> backend = LocalBackend()
        >>> path = backend.join_path(tempfile.mkdtemp(), "a", "b.txt")
        >>> backend.put_text("hello", path)
        >>> backend.get(path)
        b'hello'
    """

    _allow_symlink = True

    def get(self, filepath: PathLike) -> bytes:
        """Content of a file as bytes."""
        # Unbuffered: one whole read needs no buffer, and making one costs as much as the read of a small file.
        with open(filepath, "rb", 0) as file:
            return file.read()

    def get_text(self, filepath: PathLike, encoding: str = "utf-8") -> str:
        """Content of a file as text, line ends as Python's text mode gives them, without a byte-order mark."""
        with open(filepath, encoding=encoding) as file:
            return without_mark(file.read(), encoding)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes a whole file, atomically; makes missing directories."""
        with atomic_write(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Writes text as a whole file, atomically; makes missing directories."""
        with atomic_write(filepath, "w", encoding=encoding) as file:
            file.write(obj)

    def exists(self, filepath: PathLike) -> bool:
        """Whether there is a file or directory."""
        return os.path.exists(filepath)

    def isdir(self, filepath: PathLike) -> bool:
        """Whether it is a directory."""
        return os.path.isdir(filepath)

    def isfile(self, filepath: PathLike) -> bool:
        """Whether it is a file."""
        return os.path.isfile(filepath)

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Parts joined as :func:`os.path.join` does."""
        return os.path.join(filepath, *filepaths)

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[PathLike]:
        """The path itself."""
        yield filepath

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file with its mode, into `dst` where that is a directory; gives the path written, `dst` as it is.

        Raises:
            shutil.SameFileError: both are the same.
        """
        target = dst
        if os.path.isdir(dst):
            target = os.path.join(dst, os.path.basename(src))
        if os.path.exists(target) and os.path.samefile(src, target):
            raise shutil.SameFileError(f"source and target are the same file: {text_of(target)}")
        with open(src, "rb") as source, atomic_write(target) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        shutil.copymode(src, target)
        return target

    def copytree(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a tree to `dst`, which must not exist; gives `dst`."""
        shutil.copytree(src, dst)
        return dst

    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """As :meth:`copyfile`."""
        return self.copyfile(src, dst)

    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """As :meth:`copytree`."""
        return self.copytree(src, dst)

    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """As :meth:`copyfile`."""
        return self.copyfile(src, dst)

    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """As :meth:`copytree`."""
        return self.copytree(src, dst)

    def remove(self, filepath: PathLike) -> None:
        """Removes a file.

        Raises:
            IsADirectoryError: it is a directory; :meth:`rmtree` removes those.
        """
        if os.path.isdir(filepath) and not os.path.islink(filepath):
            raise IsADirectoryError(f"{text_of(filepath)} is a directory; rmtree removes directories")
        os.remove(filepath)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes a directory and all in it."""
        shutil.rmtree(dir_path)

    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool:
        """Links `dst` to `src`, or copies where the file system has no links; tells whether a link was made."""
        try:
            os.symlink(src, dst)
        except OSError:
            if os.path.isfile(src):
                self.copyfile(src, dst)
            else:
                self.copytree(src, dst)
            return False
        return True

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below a directory, relative to it, in any order; hidden files are left out.

        Raises:
            TypeError: `suffix` is neither str nor tuple, or is given with ``list_dir=True``.
        """
        check_listing(list_dir, suffix)
        return select(_walk(Path(dir_path), "", recursive), list_dir, list_file, suffix, recursive)


def _walk(
    root: Path, folder: str, recursive: bool, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, bool]]:
    """Entries below a directory; a link to a directory above it is listed and not followed."""
    status = (root / folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if folder:
                relative = f"{folder}/{entry.name}"
            else:
                relative = entry.name
            is_dir = entry.is_dir()
            yield relative, is_dir
            if is_dir and recursive:
                yield from _walk(root, relative, recursive, above | {identity})


class HardDiskBackend(LocalBackend):
    """The name that :class:`LocalBackend` has for :class:`~eng.fileio.FileClient`."""
