"""`FileClient`, MMEngine's older interface to the storage backends."""

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
    """Access to one storage backend, chosen by name or by URI scheme.

    New code should call the functions of :mod:`eng.fileio` instead.

    Args:
        backend: name of the backend; ``"disk"`` if neither `backend` nor `prefix` is set.
        prefix: URI scheme that selects the backend, such as ``"s3"``.
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
        """Returns the client for a backend and its arguments; calls with equal arguments return the same object."""
        if backend is None:
            if not prefix:
                backend = "disk"
            else:
                backend = BACKENDS.name_for_prefix(prefix)
        storage = BACKENDS.choose("", {"backend": backend, **kwargs})
        client: FileClient = BACKENDS.clients.setdefault((cls, id(storage)), super().__new__(cls))
        # The client keeps the storage alive. Otherwise another object could get the id of the storage, which is part of
        # the key above.
        client.client = storage
        return client

    @property
    def name(self) -> str:
        """Class name of the storage backend."""
        return str(self.client.name)

    @property
    def allow_symlink(self) -> bool:
        """Whether the storage supports symbolic links."""
        return bool(self.client.allow_symlink)

    @staticmethod
    def parse_uri_prefix(uri: PathLike) -> str | None:
        """Returns the scheme of a URI, such as ``"s3"``; None for a local path."""
        return prefix_of(uri) or None

    @classmethod
    def infer_client(cls, file_client_args: Mapping[str, Any] | None = None, uri: PathLike | None = None) -> FileClient:
        """Returns a client for the arguments in `file_client_args`; if that is None, for the scheme of `uri`.

        Raises:
            ValueError: both arguments are None.
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
        """Registers a storage backend, exactly as :func:`eng.fileio.register_backend` does."""
        return register_backend(name, backend, force, prefixes)

    def get(self, filepath: PathLike) -> bytes:
        """Returns the content of a file as bytes."""
        return self._call("get", filepath)  # type: ignore[no-any-return]  # the type of the backend is not known to type checkers

    def get_text(self, filepath: PathLike, encoding: str = "utf-8") -> str:
        """Returns the content of a file as text."""
        return str(self._call("get_text", filepath, encoding))

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes bytes to a file and replaces its old content."""
        self._call("put", obj, filepath)

    def put_text(self, obj: str, filepath: PathLike) -> None:
        """Writes text to a file and replaces its old content."""
        self._call("put_text", obj, filepath)

    def remove(self, filepath: PathLike) -> None:
        """Removes a file."""
        self._call("remove", filepath)

    def exists(self, filepath: PathLike) -> bool:
        """Whether a file or directory exists at the path."""
        return bool(self._call("exists", filepath))

    def isdir(self, filepath: PathLike) -> bool:
        """Whether the path is a directory."""
        return bool(self._call("isdir", filepath))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the path is a file."""
        return bool(self._call("isfile", filepath))

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Joins the parts of a path."""
        return str(self._call("join_path", filepath, *filepaths))

    def get_local_path(self, filepath: PathLike) -> AbstractContextManager[PathLike]:
        """Returns a context manager that yields a local path with the content of the file."""
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
        """Yields the paths of files and directories below a directory, relative to `dir_path`."""
        yield from self._call("list_dir_or_file", dir_path, list_dir, list_file, suffix, recursive)

    def _call(self, method: str, *args: Any) -> Any:
        """Calls a method of the storage backend.

        Raises:
            UnsupportedOperationError: the backend does not have the method.
        """
        ability = getattr(self.client, method, None)
        if ability is None:
            raise UnsupportedOperationError(f"{self.name} cannot {method}")
        return ability(*args)
