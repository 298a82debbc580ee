"""The older interface: an object that holds one backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from eng.fileio._listing import Suffix
from eng.fileio._uri import PathLike, prefix_of
from eng.fileio.backends.registry_utils import BACKENDS, register_backend
from eng.fileio.errors import MissingArgumentError, UnsupportedOperationError

__all__ = ["FileClient"]


class FileClient:
    """One backend, named or found by prefix. New code calls the functions of :mod:`eng.fileio` instead.

    Args:
        backend: name of the backend, ``"disk"`` where neither it nor `prefix` is given.
        prefix: scheme of the URIs to serve, such as ``"s3"``.
        kwargs: arguments for the backend.

    Raises:
        UnknownBackendError: no backend has that name or prefix (a ValueError).

    Example:
        >>> client = FileClient(prefix="memory")
        >>> client.put(b"hello", "memory://docs/client.txt")
        >>> client.get("memory://docs/client.txt")
        b'hello'
    """

    client: Any

    def __new__(cls, backend: str | None = None, prefix: str | None = None, **kwargs: Any) -> FileClient:
        """The client of these arguments; the same arguments give the same object."""
        if backend is None:
            if not prefix:
                backend = "disk"
            else:
                backend = BACKENDS.name_for_prefix(prefix)
        storage = BACKENDS.choose("", {"backend": backend, **kwargs})
        client: FileClient = BACKENDS.clients.setdefault((cls, id(storage)), super().__new__(cls))
        client.client = storage  # which keeps the id from being used again
        return client

    @property
    def name(self) -> str:
        """Class name of the backend."""
        return str(self.client.name)

    @property
    def allow_symlink(self) -> bool:
        """Whether the storage has symbolic links."""
        return bool(self.client.allow_symlink)

    @staticmethod
    def parse_uri_prefix(uri: PathLike) -> str | None:
        """The scheme of a URI, None for a local path."""
        return prefix_of(uri) or None

    @classmethod
    def infer_client(cls, file_client_args: Mapping[str, Any] | None = None, uri: PathLike | None = None) -> FileClient:
        """A client by arguments, or by the prefix of a URI.

        Raises:
            ValueError: neither is given.
        """
        if file_client_args is not None:
            return cls(**file_client_args)
        if uri is None:
            raise MissingArgumentError("infer_client needs file_client_args or uri")
        return cls(prefix=prefix_of(uri))

    @classmethod
    def register_backend(
        cls, name: str, backend: Any = None, force: bool = False, prefixes: Any = None
    ) -> Callable[[Any], Any] | None:
        """As :func:`eng.fileio.register_backend`; both share one table."""
        return register_backend(name, backend, force, prefixes)

    def get(self, filepath: PathLike) -> bytes:
        """Content of a file as bytes."""
        return self._call("get", filepath)  # type: ignore[no-any-return]  # the backend is any class of the table

    def get_text(self, filepath: PathLike, encoding: str = "utf-8") -> str:
        """Content of a file as text."""
        return str(self._call("get_text", filepath, encoding))

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes bytes as a whole file."""
        self._call("put", obj, filepath)

    def put_text(self, obj: str, filepath: PathLike) -> None:
        """Writes text as a whole file."""
        self._call("put_text", obj, filepath)

    def remove(self, filepath: PathLike) -> None:
        """Removes a file."""
        self._call("remove", filepath)

    def exists(self, filepath: PathLike) -> bool:
        """Whether there is a file or directory."""
        return bool(self._call("exists", filepath))

    def isdir(self, filepath: PathLike) -> bool:
        """Whether it is a directory."""
        return bool(self._call("isdir", filepath))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether it is a file."""
        return bool(self._call("isfile", filepath))

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Parts of a path, joined."""
        return str(self._call("join_path", filepath, *filepaths))

    def get_local_path(self, filepath: PathLike) -> AbstractContextManager[PathLike]:
        """Context manager: a local path with the file's content."""
        local_path: AbstractContextManager[PathLike] = self._call("get_local_path", filepath)
        return local_path

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Paths below a directory, relative to it."""
        yield from self._call("list_dir_or_file", dir_path, list_dir, list_file, suffix, recursive)

    def _call(self, method: str, *args: Any) -> Any:
        ability = getattr(self.client, method, None)
        if ability is None:
            raise UnsupportedOperationError(f"{self.name} cannot {method}")
        return ability(*args)
