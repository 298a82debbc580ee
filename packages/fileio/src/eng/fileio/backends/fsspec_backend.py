"""Everything that fsspec speaks: S3, Google Cloud, Azure, HDFS, archives, memory and more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eng.fileio._clients import client_module
from eng.fileio._listing import Suffix, check_listing, select
from eng.fileio._per_process import PerProcess
from eng.fileio._uri import PathLike, safe_key, text_of
from eng.fileio.backends._generic import RemoteStore
from eng.fileio.backends._resumable import PARALLEL_PARTS, PART_BYTES, Patience, has_parts, put_parts
from eng.fileio.errors import MissingClientError, UnsupportedOperationError

__all__ = ["FsspecBackend"]

_INSTALL = "pip install fsspec"


class FsspecBackend(RemoteStore):
    """Files behind any URL that fsspec opens, such as ``s3://bucket/key`` or ``zip://a.txt::data.zip``.

    File systems are made once per process and shared by its threads; after a fork the child makes its own.

    Args:
        options: storage options of the file system, such as ``key``, ``secret``, ``endpoint_url`` or ``anon`` for S3.
            Listings are not cached unless ``use_listings_cache=True`` says so, as other processes write too.
        patience_s: seconds from the first break for which :meth:`put_resumable` tries again. 600 by default.

    Raises:
        MissingClientError: on first use, where fsspec or the package of the protocol is not installed.
        UnsafeKeyError: a path climbs above the root of its store with ``..``.

    Example:
        >>> backend = FsspecBackend()
        >>> backend.put(b"hello", "memory://example/a.txt")
        >>> backend.get("memory://example/a.txt")
        b'hello'
    """

    def __init__(self, *, patience_s: float = 600.0, **options: Any) -> None:
        self.patience_s = patience_s
        self.options = {"use_listings_cache": False, **options}
        self._made: PerProcess[dict[Any, Any]] = PerProcess()

    def get(self, filepath: PathLike) -> bytes:
        """Content of a file."""
        fs, path = self._locate(filepath)
        return bytes(fs.cat_file(path))

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes a whole file; makes missing directories where the storage has them."""
        fs, path = self._locate(filepath)
        _write(fs, path, lambda: fs.pipe_file(path, bytes(obj)))

    def put_resumable(self, obj: bytes, filepath: PathLike) -> None:
        """Writes a whole file as :meth:`put` does, and carries on when the storage comes back after a break.

        S3 keeps the parts of a large file that have arrived; other storages get the whole file again. Each break is logged.

        Raises:
            Exception: what the storage answered, or what it failed with at last, ``patience_s`` after the first break.
        """
        fs, path = self._locate(filepath)
        patience = Patience(self.patience_s, text_of(filepath))
        if has_parts(fs) and len(obj) > PART_BYTES:
            put_parts(fs, path, obj, patience, PART_BYTES, PARALLEL_PARTS)
        else:
            patience.repeat(lambda: self.put(obj, filepath))

    def exists(self, filepath: PathLike) -> bool:
        """Whether there is a file or directory."""
        fs, path = self._locate(filepath)
        return bool(fs.exists(path))

    def isdir(self, filepath: PathLike) -> bool:
        """Whether it is a directory."""
        fs, path = self._locate(filepath)
        return bool(fs.isdir(path))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether it is a file."""
        fs, path = self._locate(filepath)
        return bool(fs.isfile(path))

    def remove(self, filepath: PathLike) -> None:
        """Removes a file.

        Raises:
            FileNotFoundError: there is none.
            IsADirectoryError: it is a directory.
        """
        fs, path = self._locate(filepath)
        if fs.info(path)["type"] == "directory":
            raise IsADirectoryError(f"{text_of(filepath)} is a directory; rmtree removes directories")
        fs.rm_file(path)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes a directory and all in it."""
        fs, path = self._locate(dir_path)
        fs.rm(path, recursive=True)

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Parts joined by slashes; in a chained URL (``zip://a::x.zip``) they join the first link."""
        first, mark, chain = text_of(filepath).partition("::")
        return super().join_path(first, *filepaths) + mark + chain

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below a directory, relative to it; hidden files are left out."""
        check_listing(list_dir, suffix)
        fs, path = self._locate(dir_path)
        return select(_entries(fs, path, recursive), list_dir, list_file, suffix, recursive)

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """An address that works without credentials for `expires_in` seconds.

        Raises:
            UnsupportedOperationError: the file system makes none.
        """
        fs, path = self._locate(url)
        # Only S3 knows other methods than reading.
        if client_method == "get_object":
            extra = {}
        else:
            extra = {"client_method": client_method}
        try:
            return str(fs.sign(path, expiration=expires_in, **extra))
        except NotImplementedError as error:
            raise UnsupportedOperationError(f"{type(fs).__name__} makes no presigned addresses ({url})") from error

    def _copy(self, src: PathLike, dst: PathLike) -> None:
        (source_fs, source), (target_fs, target) = self._locate(src), self._locate(dst)
        if source_fs is target_fs:
            _write(source_fs, target, lambda: source_fs.cp_file(source, target))
        else:
            super()._copy(src, dst)

    def _download(self, filepath: PathLike, target: Path) -> None:
        fs, path = self._locate(filepath)
        fs.get_file(path, str(target))

    def _upload(self, src: Path, dst: PathLike) -> None:
        fs, path = self._locate(dst)
        _write(fs, path, lambda: fs.put_file(str(src), path))

    def _locate(self, uri: PathLike) -> tuple[Any, str]:
        """The file system and the path inside it."""
        url = text_of(uri)
        scheme, _, key = url.partition("::")[0].rpartition("://")
        safe_key(key, f"{scheme}://")
        fsspec = client_module("fsspec", "FsspecBackend", _INSTALL)
        try:
            fs, path = fsspec.core.url_to_fs(url, **self.options)
        except ImportError as error:
            needed = f"{scheme}:// needs a package that is not installed: {error}{_how_to_install(scheme)}"
            raise MissingClientError(needed) from error
        # A chained URL has one archive open, which threads cannot read at once.
        return (fs if "::" in url else self._shared(fs)), str(path)

    def _shared(self, fs: Any) -> Any:
        """The file system of the first thread that asked for one like `fs`.

        fsspec makes an instance per thread; its own file systems are safe to share, and one holds the connections.
        """
        options = sorted((name, str(value)) for name, value in fs.storage_options.items())
        return self._made.get(dict).setdefault((type(fs), *options), fs)


def _how_to_install(scheme: str) -> str:
    """The line for pip; nothing for what fsspec brings itself, whose own message names the package it misses."""
    registry = client_module("fsspec.registry", "FsspecBackend", _INSTALL)
    package = str(registry.known_implementations.get(scheme, {}).get("class", "fsspec")).split(".")[0]
    if package == "fsspec":
        return ""
    return ": pip install " + package


def _write(fs: Any, path: str, action: Callable[[], object]) -> None:
    """Does what writes `path`; once more with its directory made, where the storage has directories."""
    try:
        try:
            action()
        except FileNotFoundError:
            if "/" not in path.strip("/"):
                raise
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            action()
    except (NotImplementedError, ValueError) as error:  # archives are open for reading
        raise UnsupportedOperationError(f"{type(fs).__name__} cannot put {path!r}: {error}") from error


def _entries(fs: Any, root: str, recursive: bool) -> Iterator[tuple[str, bool]]:
    if recursive:
        infos = fs.find(root, withdirs=True, detail=True).values()
    else:
        infos = fs.ls(root, detail=True)
    start = root.strip("/")
    for info in infos:
        relative = info["name"].strip("/").removeprefix(start).strip("/")
        if relative:  # some stores list the directory itself
            yield relative, info["type"] == "directory"
