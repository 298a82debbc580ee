"""The backend for Memcached servers, which uses the library pymemcache."""

# `os.path.isfile` is used, because it takes a third of the time of `pathlib.Path.is_file`.
# ruff: noqa: PTH113

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eng.fileio._clients import client_module
from eng.fileio._per_process import PerProcess
from eng.fileio._uri import PathLike, text_of
from eng.fileio.backends._generic import RemoteReader
from eng.fileio.errors import MissingKeyError

__all__ = ["MemcachedBackend"]

Servers = str | os.PathLike[str] | Sequence[str]


class MemcachedBackend(RemoteReader):
    """Reads and writes values of a Memcached cluster; the paths are keys of at most 250 bytes without white space.

    Args:
        server_list_cfg: ``"host:port"``, a list of such strings, or the path of a text file with one ``host:port`` per
            line (blank lines and lines that start with ``#`` are skipped).
        client_cfg: options for ``pymemcache.HashClient``, such as ``{"connect_timeout": 1.0}``; None for its defaults.
        sys_path: ignored; accepted for configs of MMEngine, which imported its client from this folder.

    Raises:
        MissingKeyError: the servers do not have the key (a FileNotFoundError and a KeyError).
        TypeError: `client_cfg` is not a mapping.
        ConnectionError: no server answers; the message names the servers.
        TimeoutError: a server took longer than `client_cfg` allows; the message names the servers.
    """

    def __init__(
        self, server_list_cfg: Servers, client_cfg: Mapping[str, Any] | None, sys_path: str | None = None
    ) -> None:
        if not isinstance(client_cfg, (Mapping, type(None))):
            raise TypeError(
                f"client_cfg should be a mapping of pymemcache.HashClient options or None, got {client_cfg!r}"
            )
        self.servers = _servers(server_list_cfg)
        self.options = dict(client_cfg or {})
        self._client: PerProcess[Any] = PerProcess()

    def get(self, filepath: PathLike) -> bytes:
        """Returns the value of a key."""
        value: bytes | None = self._ask("get", text_of(filepath))
        if value is None:
            raise MissingKeyError(f"memcached {', '.join(self.servers)} holds no key {text_of(filepath)!r}")
        return value

    def get_text(self, filepath: PathLike, encoding: str | None = None) -> str:
        """Returns the value of a key as text; an `encoding` of None means UTF-8."""
        return super().get_text(filepath, encoding)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Sets the value of a key.

        Raises:
            OSError: the server did not store the value, for example because it exceeds the item size, by default 1 MiB
                (option ``-I`` of the server).
        """
        pymemcache = self._library()
        try:
            stored = self._ask("set", text_of(filepath), bytes(obj), noreply=False)
        except pymemcache.exceptions.MemcacheServerError as error:
            raise OSError(f"memcached did not store {text_of(filepath)!r} ({len(obj)} bytes): {error}") from error
        if not stored:
            raise OSError(f"memcached did not store {text_of(filepath)!r} ({len(obj)} bytes)")

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Sets the value of a key to text."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: PathLike) -> bool:
        """Whether the servers have the key."""
        return self._ask("get", text_of(filepath)) is not None

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the servers have the key; every key is a file."""
        return self.exists(filepath)

    def isdir(self, filepath: PathLike) -> bool:
        """Returns False, because Memcached has no directories."""
        return False

    def remove(self, filepath: PathLike) -> None:
        """Removes a key."""
        if not self._ask("delete", text_of(filepath), noreply=False):
            raise MissingKeyError(f"memcached {', '.join(self.servers)} holds no key {text_of(filepath)!r}")

    def _ask(self, command: str, *args: Any, **options: Any) -> Any:
        """Sends a command to the server that has the key, and returns the answer; an OSError names the servers."""
        try:
            return getattr(self._client.get(self._connect), command)(*args, **options)
        except OSError as error:  # A connection error does not name the servers; the new message does.
            message = f"memcached {', '.join(self.servers)}: {error.strerror or error}"
            arguments = (message,) if error.errno is None else (error.errno, message)
            raise type(error)(*arguments) from error

    def _connect(self) -> Any:
        options = {"use_pooling": True, "allow_unicode_keys": True, **self.options}
        return self._library().HashClient(self.servers, **options)

    def _library(self) -> Any:
        return client_module("pymemcache", "MemcachedBackend", "pip install pymemcache")


def _servers(setting: Servers) -> list[str]:
    """Returns the addresses ``host:port`` that the argument `server_list_cfg` names, directly or by a text file."""
    if isinstance(setting, (str, os.PathLike)):
        if not os.path.isfile(setting):
            return [text_of(setting)]
        lines = (line.strip() for line in Path(setting).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and not line.startswith("#")]
    return list(setting)
