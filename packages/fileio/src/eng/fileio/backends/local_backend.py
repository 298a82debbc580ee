"""The backend for the local file system."""

# The functions of os and os.path are used, because they take a third of the time of the methods of pathlib.Path.
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
    """Reads and writes files of the local file system; files are written atomically (:func:`eng.fileio.atomic_write`).

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
        """Returns the content of a file as bytes."""
        # The complete file is read at once, which needs no buffer. Creating a buffer would take as long as reading a
        # small file.
        with open(filepath, "rb", 0) as file:
            return file.read()

    def get_text(self, filepath: PathLike, encoding: str = "utf-8") -> str:
        r"""Returns the content of a file as text, with line ends as ``\n`` and without a byte-order mark."""
        with open(filepath, encoding=encoding) as file:
            return without_mark(file.read(), encoding)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Replaces the content of a file by bytes, atomically; creates missing directories."""
        with atomic_write(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Replaces the content of a file by text, atomically; creates missing directories."""
        with atomic_write(filepath, "w", encoding=encoding) as file:
            file.write(obj)

    def exists(self, filepath: PathLike) -> bool:
        """Whether a file or directory exists at the path."""
        return os.path.exists(filepath)

    def isdir(self, filepath: PathLike) -> bool:
        """Whether the path is a directory."""
        return os.path.isdir(filepath)

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the path is a file."""
        return os.path.isfile(filepath)

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Joins the parts of a path by :func:`os.path.join`."""
        return os.path.join(filepath, *filepaths)

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[PathLike]:
        """Yields the path itself, because the file is already local."""
        yield filepath

    def copyfile(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file with its permissions to `dst`, or into the directory `dst`; returns the path of the copy.

        Raises:
            shutil.SameFileError: source and target are the same file.
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
        """Copies a directory to `dst`, which must not exist; returns `dst`."""
        shutil.copytree(src, dst)
        return dst

    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file exactly as :meth:`copyfile` does, because this storage is local."""
        return self.copyfile(src, dst)

    def copytree_from_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a directory exactly as :meth:`copytree` does, because this storage is local."""
        return self.copytree(src, dst)

    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a file exactly as :meth:`copyfile` does, because this storage is local."""
        return self.copyfile(src, dst)

    def copytree_to_local(self, src: PathLike, dst: PathLike) -> PathLike:
        """Copies a directory exactly as :meth:`copytree` does, because this storage is local."""
        return self.copytree(src, dst)

    def remove(self, filepath: PathLike) -> None:
        """Removes a file.

        Raises:
            IsADirectoryError: the path is a directory; use :meth:`rmtree` for directories.
        """
        if os.path.isdir(filepath) and not os.path.islink(filepath):
            raise IsADirectoryError(f"{text_of(filepath)} is a directory; rmtree removes directories")
        os.remove(filepath)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes a directory with all its files and subdirectories."""
        shutil.rmtree(dir_path)

    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool:
        """Creates a symbolic link `dst` to `src`; copies `src` to `dst` if the file system does not support links.

        Returns:
            True if a link was created, False if `src` was copied.
        """
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
        """Yields the paths of files and directories below a directory, in arbitrary order, without hidden files.

        The paths are relative to `dir_path`.

        Raises:
            TypeError: `suffix` is neither a str nor a tuple, or is combined with ``list_dir=True``.
        """
        check_listing(list_dir, suffix)
        return select(_walk(Path(dir_path), "", recursive), list_dir, list_file, suffix, recursive)


def _walk(
    root: Path, folder: str, recursive: bool, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, bool]]:
    """Yields the relative path of every entry below a directory, and whether the entry is a directory.

    A symbolic link to a directory that contains the link is listed but not followed; following it would never end.

    Args:
        root: the listed directory.
        folder: path of the current subdirectory relative to `root`; empty for `root` itself.
        recursive: whether to list subdirectories too.
        above: device and inode numbers of the directories that contain `folder`.
    """
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
    """The local backend under the name that MMEngine's ``FileClient`` uses for it."""
