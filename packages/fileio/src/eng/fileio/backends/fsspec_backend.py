"""The backend for all storages that the library fsspec supports: S3, Google Cloud, Azure, HDFS, archives and more."""

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
    """Files at any URL that fsspec can open, such as ``s3://bucket/key`` or ``zip://a.txt::data.zip``.

    File system objects are created once per process and shared by its threads; a forked child creates its own.

    Args:
        options: options of the fsspec file system, such as ``key``, ``secret``, ``endpoint_url`` or ``anon`` for S3.
            Directory listings are not cached unless ``use_listings_cache=True``, because other processes write too.
        patience_s: seconds for which :meth:`put_resumable` retries after a broken connection. 600 by default.

    Raises:
        MissingClientError: at the first use, if fsspec or the package for the protocol is not installed.
        UnsafeKeyError: a path leads above the root of its storage by ``..``.

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
        """Returns the content of a file as bytes."""
        fs, path = self._locate(filepath)
        return bytes(fs.cat_file(path))

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes bytes to a file and replaces its old content; creates missing directories."""
        fs, path = self._locate(filepath)
        _write(fs, path, lambda: fs.pipe_file(path, bytes(obj)))

    def put_resumable(self, obj: bytes, filepath: PathLike) -> None:
        """Writes a file as :meth:`put` does, and retries while the connection to the storage is broken.

        A large file on S3 is sent in parts, of which only the missing ones are sent again; other storages get the
        complete file again. Every broken connection is logged.

        Raises:
            Exception: an error of the storage other than a broken connection, or the connection error itself if it
                lasts longer than ``patience_s``.
        """
        fs, path = self._locate(filepath)
        patience = Patience(self.patience_s, text_of(filepath))
        if has_parts(fs) and len(obj) > PART_BYTES:
            put_parts(fs, path, obj, patience, PART_BYTES, PARALLEL_PARTS)
        else:
            patience.repeat(lambda: self.put(obj, filepath))

    def exists(self, filepath: PathLike) -> bool:
        """Whether a file or directory exists at the path."""
        fs, path = self._locate(filepath)
        return bool(fs.exists(path))

    def isdir(self, filepath: PathLike) -> bool:
        """Whether the path is a directory."""
        fs, path = self._locate(filepath)
        return bool(fs.isdir(path))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the path is a file."""
        fs, path = self._locate(filepath)
        return bool(fs.isfile(path))

    def remove(self, filepath: PathLike) -> None:
        """Removes a file.

        Raises:
            FileNotFoundError: the file does not exist.
            IsADirectoryError: the path is a directory.
        """
        fs, path = self._locate(filepath)
        if fs.info(path)["type"] == "directory":
            raise IsADirectoryError(f"{text_of(filepath)} is a directory; rmtree removes directories")
        fs.rm_file(path)

    def rmtree(self, dir_path: PathLike) -> None:
        """Removes a directory with all its files and subdirectories."""
        fs, path = self._locate(dir_path)
        fs.rm(path, recursive=True)

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Joins the parts of a path with slashes.

        In a chained URL such as ``zip://a::x.zip`` (the file ``a`` in the archive ``x.zip``), the parts are inserted
        before the ``::``.
        """
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
        """Yields the paths of files and directories below a directory, relative to `dir_path`, without hidden files."""
        check_listing(list_dir, suffix)
        fs, path = self._locate(dir_path)
        return select(_entries(fs, path, recursive), list_dir, list_file, suffix, recursive)

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """Returns a signed URL that gives access without credentials for `expires_in` seconds.

        Raises:
            UnsupportedOperationError: the storage does not support signed URLs.
        """
        fs, path = self._locate(url)
        # Only the file system of S3 accepts the argument `client_method`, so its default is not passed on.
        if client_method == "get_object":
            extra = {}
        else:
            extra = {"client_method": client_method}
        try:
            return str(fs.sign(path, expiration=expires_in, **extra))
        except NotImplementedError as error:
            raise UnsupportedOperationError(f"{type(fs).__name__} makes no presigned addresses ({url})") from error

    def _copy(self, src: PathLike, dst: PathLike) -> None:
        """Copies a file: by the storage itself within one storage, otherwise by reading and writing the content."""
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
        """Returns the fsspec file system for a URI, and the path inside it."""
        url = text_of(uri)
        scheme, mark, key = url.partition("::")[0].rpartition("://")
        safe_key(key, f"{scheme}://")
        fsspec = client_module("fsspec", "FsspecBackend", _INSTALL)
        try:
            if "::" in url:
                # The file system object for a chained URL such as `zip://a::x.zip` holds an open archive. Several
                # threads must not read the same open archive, so that object is not shared between threads.
                chained: tuple[Any, str] = fsspec.core.url_to_fs(url, **self.options)
                return chained
            # `url_to_fs` would create the file system at each call where its class is not cached by fsspec, which for
            # FTP is a login per file; it also drops options such as `encoding`. The class method
            # `_get_kwargs_from_urls` of a file system returns the options that a URL contains. fsspec 2024.2 to 2026.9
            # has no public function that calls this method without creating the file system.
            cls = fsspec.get_filesystem_class(scheme if mark else "file")
            return self._shared(cls, cls._get_kwargs_from_urls(url)), str(fsspec.core.strip_protocol(url))
        except ImportError as error:
            needed = f"{scheme}:// needs a package that is not installed: {error}{_how_to_install(scheme)}"
            raise MissingClientError(needed) from error

    def _shared(self, cls: Any, url_options: dict[str, Any]) -> Any:
        """Returns the file system of a class and the options in a URL, which is created once per process.

        fsspec itself creates one object per thread. The objects are thread-safe, so that all threads can use the same
        one, and its connections to the storage.
        """
        file_systems = self._made.get(dict)
        key = (cls, *sorted((name, str(value)) for name, value in url_options.items()))
        if key not in file_systems:
            file_systems.setdefault(key, cls(**{**url_options, **self.options}))
        return file_systems[key]


def _how_to_install(scheme: str) -> str:
    """Returns ``": pip install PACKAGE"`` with the package that fsspec needs for a protocol such as ``s3``.

    Returns an empty string for protocols that fsspec itself implements; the error of fsspec then names the package.
    """
    registry = client_module("fsspec.registry", "FsspecBackend", _INSTALL)
    package = str(registry.known_implementations.get(scheme, {}).get("class", "fsspec")).split(".")[0]
    if package == "fsspec":
        return ""
    return ": pip install " + package


def _write(fs: Any, path: str, action: Callable[[], object]) -> None:
    """Calls `action`, which writes the file `path`; if the parent directory is missing, creates it and calls again.

    Raises UnsupportedOperationError if the file system cannot be written.
    """
    try:
        try:
            action()
        except FileNotFoundError:
            if "/" not in path.strip("/"):
                raise
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            action()
    except (NotImplementedError, ValueError) as error:
        # The file system cannot be written, for example an archive, which fsspec only reads.
        raise UnsupportedOperationError(f"{type(fs).__name__} cannot put {path!r}: {error}") from error


def _entries(fs: Any, root: str, recursive: bool) -> Iterator[tuple[str, bool]]:
    """Yields the path of each entry below the directory `root`, relative to `root`, and whether it is a directory."""
    if recursive:
        infos = fs.find(root, withdirs=True, detail=True).values()
    else:
        infos = fs.ls(root, detail=True)
    start = root.strip("/")
    for info in infos:
        relative = info["name"].strip("/").removeprefix(start).strip("/")
        if relative:  # Some storages list a directory as an entry of itself; this entry is left out.
            yield relative, info["type"] == "directory"
