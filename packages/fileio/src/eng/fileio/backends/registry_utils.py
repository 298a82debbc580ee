"""Which backend serves a prefix: a table of dotted paths, and the instances made from it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from eng.fileio._clients import client_module
from eng.fileio._uri import PathLike, prefix_of
from eng.fileio.backends.base import BaseStorageBackend
from eng.fileio.errors import ArgumentTypeError, MissingClientError, UnknownBackendError, known_names

__all__ = ["BACKENDS", "BackendTable", "register_backend"]

B = TypeVar("B", bound=type[BaseStorageBackend])

_HERE = "eng.fileio.backends."
# The well-known ones, so that choosing does not import fsspec; it is asked about any other.
_FSSPEC_PREFIXES = (
    "s3",
    "s3a",
    "gs",
    "gcs",
    "az",
    "abfs",
    "abfss",
    "adl",
    "hdfs",
    "webhdfs",
    "hf",
    "oss",
    "ftp",
    "sftp",
    "ssh",
    "smb",
    "memory",
    "zip",
    "tar",
    "file",
    "github",
)
# name -> (where the class is, prefixes it serves). The class says which extra brings its client.
_BUILT_IN: dict[str, tuple[str, tuple[str, ...]]] = {
    "local": (_HERE + "local_backend:LocalBackend", ("",)),
    "disk": (_HERE + "local_backend:HardDiskBackend", ()),
    "http": (_HERE + "http_backend:HTTPBackend", ("http", "https")),
    "lmdb": (_HERE + "lmdb_backend:LmdbBackend", ()),
    "memcached": (_HERE + "memcached_backend:MemcachedBackend", ()),
    "petrel": (_HERE + "petrel_backend:PetrelBackend", ("petrel",)),
    "fsspec": (_HERE + "fsspec_backend:FsspecBackend", _FSSPEC_PREFIXES),
}


class BackendTable:
    """Names and prefixes of backends, and the instances that the public functions share.

    Reading an instance takes no lock: backends open their clients on first use, so one that loses a race between two
    threads has cost nothing.
    """

    def __init__(self, built_in: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self._classes: dict[str, str | type[BaseStorageBackend]] = {name: entry[0] for name, entry in built_in.items()}
        self._prefixes = {prefix: name for name, entry in built_in.items() for prefix in entry[1]}
        self._instances: dict[Hashable, Any] = {}
        self.clients: dict[Hashable, Any] = {}  # the FileClient of each class and instance

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def add(self, name: str, backend: type[BaseStorageBackend], force: bool, prefixes: Iterable[str]) -> None:
        """Adds a backend; see :func:`register_backend`."""
        used_prefixes = [prefix for prefix in prefixes if prefix in self._prefixes]
        if not force and (name in self._classes or used_prefixes):
            if name in self._classes:
                subject = f"backend {name!r}"
            else:
                subject = f"prefix {used_prefixes[0]!r}"
            raise ValueError(f"{subject} is already registered; pass force=True to replace it")
        self._classes[name] = backend
        self._prefixes.update(dict.fromkeys(prefixes, name))
        self._instances.clear()
        self.clients.clear()

    def class_named(self, name: str) -> type[BaseStorageBackend]:
        """The class of a backend, imported on first use.

        Raises:
            UnknownBackendError: no backend has that name.
        """
        try:
            backend = self._classes[name]
        except KeyError:
            raise UnknownBackendError(f"no backend named {name!r}; {known_names(name, self._classes)}") from None
        if isinstance(backend, str):
            module, _, attribute = backend.partition(":")
            backend = self._classes[name] = getattr(importlib.import_module(module), attribute)
        return backend

    def name_for_prefix(self, prefix: str) -> str:
        """The backend that serves a prefix; fsspec is asked about those that the table does not hold.

        Raises:
            UnknownBackendError: nobody serves it.
        """
        if prefix in self._prefixes:
            return self._prefixes[prefix]
        protocols = _fsspec_protocols()
        if protocols is not None and prefix in protocols:
            return "fsspec"
        more = "fsspec knows more, pip install fsspec; "
        if protocols is not None:
            more = ""
        raise UnknownBackendError(
            f"no backend for {prefix + '://'!r}; {known_names(prefix, self._prefixes)}; {more}"
            "eng.fileio.register_backend(name, backend, prefixes=...) adds one"
        )

    def make(self, prefix: str, backend_args: Mapping[str, Any]) -> Any:
        """A new instance. An explicit ``backend`` in `backend_args` goes before the prefix."""
        arguments = dict(backend_args)
        name = arguments.pop("backend", None)
        if name is None:
            name = self.name_for_prefix(arguments.pop("prefix", prefix))
        cls = self.class_named(name)
        try:
            return cls(**arguments)
        except TypeError:
            _check_arguments(cls, arguments)  # which option it is, where the call itself is wrong
            raise

    def choose(self, uri: PathLike, backend_args: Mapping[str, Any] | None = None) -> Any:
        """The shared instance for a path."""
        prefix = prefix_of(uri)
        try:
            return self._instances[(prefix, *backend_args.items()) if backend_args else prefix]
        except (KeyError, TypeError):  # TypeError: a nested option, such as headers, does not hash
            return self._shared(prefix, backend_args or {})

    def _shared(self, prefix: str, backend_args: Mapping[str, Any]) -> Any:
        """One instance per arguments, in whatever order they stand."""
        try:
            key = (_FROZEN, prefix, _frozen(backend_args))
            hash(key)
        except TypeError:  # an option that cannot be compared: nothing to share by
            return self.make(prefix, backend_args)
        if key not in self._instances:
            self._instances.setdefault(key, self.make(prefix, backend_args))
        instance = self._instances[key]
        with suppress(TypeError):
            self._instances[(prefix, *backend_args.items()) if backend_args else prefix] = instance
        return instance


def _check_arguments(cls: type[BaseStorageBackend], arguments: Mapping[str, Any]) -> None:
    """Tells the options of a backend where one is misspelt or missing.

    Raises:
        TypeError: `cls` cannot be called with these arguments.
    """
    try:
        signature = inspect.signature(cls)
    except ValueError:  # a class of C that does not tell
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = [
            name for name, parameter in signature.parameters.items() if parameter.kind is not parameter.VAR_KEYWORD
        ]
        wrong = next((name for name in arguments if name not in known), "")
        options = "it takes none"
        if known:
            options = known_names(wrong, known)
        raise TypeError(f"backend_args of {cls.__name__}: {error}; {options}") from error


_FROZEN = object()


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple((key, _frozen(item)) for key, item in sorted(value.items(), key=str))
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_frozen, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    return value  # type: ignore[no-any-return]  # whether it hashes is found out by the caller


def _fsspec_protocols() -> list[str] | None:
    """The prefixes that fsspec serves; None where it is not installed."""
    try:
        fsspec = client_module("fsspec", "this prefix", "pip install fsspec")
    except MissingClientError:
        return None
    return list(fsspec.available_protocols())


BACKENDS = BackendTable(_BUILT_IN)


def register_backend(
    name: str,
    backend: type[BaseStorageBackend] | None = None,
    force: bool = False,
    prefixes: str | list[str] | tuple[str, ...] | None = None,
) -> Callable[[B], B] | None:
    """Makes a storage backend known by a name and by URI prefixes.

    Args:
        name: what ``backend_args={'backend': name}`` selects.
        backend: the class; None makes this a class decorator.
        force: replace what has the name or a prefix already.
        prefixes: schemes (the part before ``://``) that it serves.

    Raises:
        TypeError: the name is no str, `backend` is no class, or does not derive from BaseStorageBackend.
        ValueError: the name or a prefix is taken and `force` is False.

    Example:
        >>> @register_backend("constant", force=True, prefixes="constant")
        ... class Constant(BaseStorageBackend):
        ...     def get(self, filepath):
        ...         return b"1"
        ...     def get_text(self, filepath, encoding="utf-8"):
        ...         return "1"
        >>> BACKENDS.choose("constant://x").get("constant://x")
        b'1'
    """
    if backend is not None:
        _register(name, backend, force, prefixes)
        return None

    def decorate(cls: B) -> B:
        _register(name, cls, force, prefixes)
        return cls

    return decorate


def _register(name: str, backend: Any, force: bool, prefixes: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a backend should be a string, got {type(name).__name__}")
    if not inspect.isclass(backend):
        raise TypeError(f"a backend is registered as a class, got {type(backend).__name__} {backend!r}")
    if not issubclass(backend, BaseStorageBackend):
        raise TypeError(f"{backend.__name__} must derive from BaseStorageBackend to be a backend")
    if prefixes is None:
        prefixes = ()
    elif isinstance(prefixes, str):
        prefixes = (prefixes,)
    elif not isinstance(prefixes, (list, tuple)):
        raise ArgumentTypeError(f"prefixes should be a str, a list or a tuple of str, got {type(prefixes).__name__}")
    BACKENDS.add(name, backend, force, prefixes)
