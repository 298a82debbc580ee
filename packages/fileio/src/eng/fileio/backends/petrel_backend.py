"""The backend for Petrel, the object storage of OpenMMLab's clusters; it uses the library petrel_client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eng.fileio._clients import client_module
from eng.fileio._listing import Suffix, check_listing, select
from eng.fileio._per_process import PerProcess
from eng.fileio._uri import PathLike, safe_key, text_of
from eng.fileio.backends._generic import RemoteStore
from eng.fileio.errors import ArgumentTypeError, UnsupportedOperationError

__all__ = ["PetrelBackend"]


class PetrelBackend(RemoteStore):
    """Reads and writes objects at ``petrel://bucket/key``, ``s3://bucket/key`` and ``cluster:s3://bucket/key``.

    The schemes ``petrel://`` and ``cluster:s3://`` select this backend. For ``s3://``, pass
    ``backend_args={'backend': 'petrel'}``.

    Args:
        path_mapping: prefixes of paths to replace, such as ``{"data/": "cluster:s3://bucket/data/"}``.
        enable_mc: whether the client may use its memory cache.
        conf_path: path of the client's configuration file; None for the client's default path.

    Raises:
        ArgumentTypeError: ``path_mapping`` is not a dict.
    """

    def __init__(
        self, path_mapping: dict[str, str] | None = None, enable_mc: bool = True, conf_path: str | None = None
    ) -> None:
        if not isinstance(path_mapping, (dict, type(None))):
            raise ArgumentTypeError(f"path_mapping takes a dict, or None, got {type(path_mapping).__name__}")
        self.path_mapping = path_mapping
        self.enable_mc = enable_mc
        self.conf_path = conf_path
        self._client: PerProcess[Any] = PerProcess()

    def get(self, filepath: PathLike) -> bytes:
        """Returns the content of an object as bytes."""
        address = self._address(filepath)
        value = self._ability("Get")(address)
        if value is None:
            raise FileNotFoundError(f"Petrel holds no {address}")
        return bytes(value)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Writes bytes to an object and replaces its old content."""
        self._ability("put")(self._address(filepath), obj)

    def exists(self, filepath: PathLike) -> bool:
        """Whether an object or a directory exists at the path."""
        return self.isfile(filepath) or self.isdir(filepath)

    def isdir(self, filepath: PathLike) -> bool:
        """Whether there are objects below the path."""
        return bool(self._ability("isdir")(self._address(filepath)))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether an object exists at the path."""
        return bool(self._ability("contains")(self._address(filepath)))

    def remove(self, filepath: PathLike) -> None:
        """Removes an object.

        Raises:
            FileNotFoundError: the object does not exist.
            IsADirectoryError: the path is a directory.
        """
        if not self.isfile(filepath):
            if self.isdir(filepath):
                raise IsADirectoryError(f"{text_of(filepath)} is a directory; rmtree removes directories")
            raise FileNotFoundError(f"Petrel holds no {self._address(filepath)}")
        self._ability("delete")(self._address(filepath))

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Yields the paths of objects and directories below a directory, relative to `dir_path`."""
        check_listing(list_dir, suffix)
        root = self._address(dir_path).rstrip("/") + "/"
        return select(self._walk(root, "", recursive), list_dir, list_file, suffix, recursive)

    def generate_presigned_url(self, url: str, client_method: str = "get_object", expires_in: int = 3600) -> str:
        """Returns a signed URL that gives access without credentials for `expires_in` seconds."""
        return str(self._ability("generate_presigned_url")(self._address(url), client_method, expires_in))

    def _walk(self, root: str, folder: str, recursive: bool) -> Iterator[tuple[str, bool]]:
        """Yields the path of each entry below ``root + folder``, relative to `root`, and whether it is a directory."""
        # In the listing of the petrel client, the name of a directory ends with a slash.
        for name in self._ability("list")(root + folder):
            if name.strip("/"):
                is_dir = name.endswith("/")
                yield folder + name.rstrip("/"), is_dir
                if is_dir and recursive:
                    yield from self._walk(root, folder + name, recursive)

    def _address(self, filepath: PathLike) -> str:
        """Returns the address that the petrel client needs for a path, with `path_mapping` applied and scheme s3."""
        text = text_of(filepath).replace("\\", "/")
        for beginning, replacement in (self.path_mapping or {}).items():
            if text.startswith(beginning):
                text = replacement + text[len(beginning) :]
                break
        scheme, mark, key = text.partition("://")
        if not mark:
            return text
        client_scheme = scheme
        if scheme.endswith("petrel"):  # The petrel client accepts only the scheme s3.
            client_scheme = scheme.removesuffix("petrel") + "s3"
        return f"{client_scheme}://{safe_key(key, scheme)}"

    def _ability(self, method: str) -> Any:
        """Returns a method of the petrel client.

        Raises:
            UnsupportedOperationError: the installed version of the client does not have the method.
        """
        ability = getattr(self._client.get(self._connect), method, None)
        if ability is None:
            raise UnsupportedOperationError(f"this version of petrel_client has no {method!r}; install a newer one")
        return ability

    def _connect(self) -> Any:
        where = "install petrel_client from your cluster's own source"
        library = client_module("petrel_client.client", "PetrelBackend", where)
        return library.Client(conf_path=self.conf_path, enable_mc=self.enable_mc)
