"""The backend for LMDB databases, whose keys are used as paths."""

# The functions of os and os.path are used, because they take a third of the time of the methods of pathlib.Path.
# ruff: noqa: PTH110, PTH113

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

from eng.fileio._clients import client_module
from eng.fileio._listing import Suffix, check_listing, entries_of_keys, select
from eng.fileio._per_process import PerProcess
from eng.fileio._uri import PathLike, safe_key, text_of
from eng.fileio.backends._generic import RemoteStore
from eng.fileio.errors import MissingKeyError, UnsupportedOperationError

__all__ = ["LmdbBackend"]


class LmdbBackend(RemoteStore):
    """Reads and writes an LMDB database; the paths are its keys, encoded in UTF-8.

    Every process opens the database itself at the first use; a pickled backend contains only its arguments. LMDB allows
    one open environment (database handle) per database and process. So all backends of a database share the environment
    that the first backend opened, with the options of the first backend. If a later backend writes and the environment
    is read-only, it is reopened with the options of that backend for all backends.

    Args:
        db_path: path of the database, a directory or a file.
        readonly: whether to refuse writes. With False, pass ``map_size`` (bytes) in `kwargs` for more than 10 MiB.
        lock: whether to use LMDB's file lock. Reading a database that no process writes needs no lock.
        readahead: whether the operating system may read ahead. False is faster for data that is read in random order.
        kwargs: further options of ``lmdb.open``.

    Raises:
        FileNotFoundError: at the first use, if the database does not exist.
        MissingKeyError: the database does not contain the key (a FileNotFoundError and a KeyError).
        UnsafeKeyError: a key leads above the root by ``..``.
    """

    def __init__(
        self,
        db_path: PathLike,
        readonly: bool = True,
        lock: bool = False,
        readahead: bool = False,
        **kwargs: Any,
    ) -> None:
        self.db_path = text_of(db_path)
        self.readonly = readonly
        self.options = {"lock": lock or not readonly, "readahead": readahead, **kwargs}
        self._shared: PerProcess[_Shared] = PerProcess()

    def get(self, filepath: PathLike) -> bytes:
        """Returns the value of a key."""
        key = self._key(filepath)
        with self._open().begin(write=False) as transaction:
            value: bytes | None = transaction.get(key.encode())
        if value is None:
            raise MissingKeyError(f"{self.db_path} holds no key {key!r}")
        return value

    def get_text(self, filepath: PathLike, encoding: str | None = None) -> str:
        """Returns the value of a key as text; an `encoding` of None means UTF-8."""
        return super().get_text(filepath, encoding)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Sets the value of a key."""
        with self._begin_write() as transaction:
            transaction.put(self._key(filepath).encode(), bytes(obj))

    def remove(self, filepath: PathLike) -> None:
        """Removes a key."""
        key = self._key(filepath)
        with self._begin_write() as transaction:
            if not transaction.delete(key.encode()):
                raise MissingKeyError(f"{self.db_path} holds no key {key!r}")

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the database contains the key."""
        with self._open().begin(write=False) as transaction:
            return transaction.get(self._key(filepath).encode()) is not None

    def isdir(self, filepath: PathLike) -> bool:
        """Whether the database contains keys that start with the path and a slash."""
        return next(self._keys_below(self._key(filepath)), None) is not None

    def exists(self, filepath: PathLike) -> bool:
        """Whether the database contains the key, or keys that start with it and a slash."""
        return self.isfile(filepath) or self.isdir(filepath)

    def list_dir_or_file(
        self,
        dir_path: PathLike = "",
        list_dir: bool = True,
        list_file: bool = True,
        suffix: Suffix = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Yields the paths of files and directories below a directory, in the order of the keys.

        The paths are relative to `dir_path`, which is ``""`` for the root of the database.
        """
        check_listing(list_dir, suffix)
        folder = self._key(dir_path)
        return select(entries_of_keys(self._keys_below(folder), folder), list_dir, list_file, suffix, recursive)

    def _key(self, filepath: PathLike) -> str:
        return safe_key(filepath, self.db_path)

    def _keys_below(self, folder: str) -> Iterator[str]:
        """Yields the keys that start with ``folder/``; LMDB sorts its keys, so these keys follow one another."""
        start = b""
        if folder.strip("/."):
            start = (folder.rstrip("/") + "/").encode()
        with self._open().begin(write=False) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(start):
                return
            for key in cursor.iternext(keys=True, values=False):
                if not key.startswith(start):
                    return
                yield key.decode()

    def _begin_write(self) -> Any:
        if self.readonly:
            raise UnsupportedOperationError(f"{self.db_path} is open for reading; LmdbBackend(readonly=False) writes")
        return self._open().begin(write=True)

    def _open(self) -> Any:
        """Returns the environment of the database, which all backends of the database in this process share.

        The first call opens it. If this backend writes and the shared environment is read-only, the environment is
        reopened for writing.
        """
        shared = self._shared.get(self._connect)
        if shared.readonly and not self.readonly:
            shared.environment.close()
            shared.environment, shared.readonly = self._new_environment(), False
        return shared.environment

    def _connect(self) -> _Shared:
        """Returns the environment of the database that this process has open, or else opens the database."""
        opened = _OPENED.get(_Opened, _Opened.close_all)
        with opened.lock:
            name = os.path.realpath(self.db_path)
            shared = opened.databases.get(name)
            if shared is None:
                shared = _Shared(self._new_environment(), self.readonly)
                opened.databases[name] = shared
            return shared

    def _new_environment(self) -> Any:
        """Opens the LMDB environment of the database with the options of this backend.

        Raises:
            FileNotFoundError: the database does not exist, and this backend only reads.
        """
        lmdb = client_module("lmdb", "LmdbBackend", "pip install lmdb")
        if self.readonly and not os.path.exists(self.db_path):
            raise FileNotFoundError(f"no LMDB database at {self.db_path}")
        is_file = os.path.isfile(self.db_path)
        path = os.fsencode(self.db_path)  # lmdb cannot encode every str; bytes always work.
        return lmdb.open(path, readonly=self.readonly, **{"subdir": not is_file, **self.options})


class _Shared:
    """The LMDB environment of a database, which all backends of that database in a process share.

    The environment is closed when the last of these backends is deleted.
    """

    def __init__(self, environment: Any, readonly: bool) -> None:
        self.environment, self.readonly = environment, readonly


class _Opened:
    """The LMDB databases that are open in this process; the key is the real path, with symbolic links resolved."""

    def __init__(self) -> None:
        self.databases: WeakValueDictionary[str, _Shared] = WeakValueDictionary()
        self.lock = threading.Lock()

    def close_all(self) -> None:
        """Closes the environments that a forked child inherited.

        LMDB would refuse to open their databases again in the child. The environments of the parent stay open.
        """
        for shared in list(self.databases.values()):
            shared.environment.close()


_OPENED: PerProcess[_Opened] = PerProcess()
