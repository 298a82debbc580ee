"""The table of storage backends by name and by URI scheme, and the instances that are shared in a process."""

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
# Common URI schemes that fsspec supports. They are listed here because importing fsspec to ask for its schemes is slow;
# fsspec is imported only for schemes that are not listed.
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
# Maps the name of each backend to its module and class, and to the URI schemes that select the backend.
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
    """The storage backends by name and by URI scheme, and the backend instances that all calls in a process share.

    No lock is used. If two threads create an instance for the same arguments at once, one of the two instances is
    dropped. This costs little, because a backend connects to its storage only at its first use.
    """

    def __init__(self, built_in: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self._classes: dict[str, str | type[BaseStorageBackend]] = {name: entry[0] for name, entry in built_in.items()}
        self._prefixes = {prefix: name for name, entry in built_in.items() for prefix in entry[1]}
        self._instances: dict[Hashable, Any] = {}
        self.clients: dict[Hashable, Any] = {}  # The FileClient of each client class and backend instance.

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def add(self, name: str, backend: type[BaseStorageBackend], force: bool, prefixes: Iterable[str]) -> None:
        """Adds a backend class under a name and URI schemes; see :func:`register_backend`."""
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
        """Returns the class of a backend, which is imported at its first use.

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
        """Returns the name of the backend for a URI scheme such as ``s3``; ``""`` is the scheme of local paths.

        For a scheme that no backend has registered, ``"fsspec"`` is returned if fsspec supports the scheme.

        Raises:
            UnknownBackendError: no backend supports the scheme.
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
        """Creates a backend for a URI scheme; the key ``backend`` in `backend_args` overrides the scheme."""
        arguments = dict(backend_args)
        name = arguments.pop("backend", None)
        if name is None:
            name = self.name_for_prefix(arguments.pop("prefix", prefix))
        cls = self.class_named(name)
        try:
            return cls(**arguments)
        except TypeError:
            _check_arguments(cls, arguments)  # Raises an error that names the wrong option.
            raise

    def choose(self, uri: PathLike, backend_args: Mapping[str, Any] | None = None) -> Any:
        """Returns the backend instance that all calls with the same URI scheme and `backend_args` share."""
        prefix = prefix_of(uri)
        try:
            return self._instances[(prefix, *backend_args.items()) if backend_args else prefix]
        except (KeyError, TypeError):  # TypeError: an option such as a dict is not hashable.
            return self._shared(prefix, backend_args or {})

    def _shared(self, prefix: str, backend_args: Mapping[str, Any]) -> Any:
        """Returns the shared instance for a URI scheme and arguments, whatever the order of the arguments.

        If an argument is not hashable, even after its dicts, lists and sets are converted, a new instance is returned.
        """
        try:
            key = (_FROZEN, prefix, _frozen(backend_args))
            hash(key)
        except TypeError:  # An option is not hashable, so the instance cannot be stored for reuse.
            return self.make(prefix, backend_args)
        if key not in self._instances:
            self._instances.setdefault(key, self.make(prefix, backend_args))
        instance = self._instances[key]
        with suppress(TypeError):
            self._instances[(prefix, *backend_args.items()) if backend_args else prefix] = instance
        return instance


def _check_arguments(cls: type[BaseStorageBackend], arguments: Mapping[str, Any]) -> None:
    """Raises an error that lists the options of a backend if one of the arguments is misspelled or missing.

    Raises:
        TypeError: the class cannot be called with these arguments.
    """
    try:
        signature = inspect.signature(cls)
    except ValueError:  # Python knows no signature for some classes written in C.
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
    """Converts nested dicts, lists and sets to hashable values, so that backend arguments can be the key of a dict."""
    if isinstance(value, Mapping):
        return tuple((key, _frozen(item)) for key, item in sorted(value.items(), key=str))
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_frozen, value))
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    return value  # type: ignore[no-any-return]  # the caller checks whether the value is hashable


def _fsspec_protocols() -> list[str] | None:
    """Returns the URI schemes that fsspec supports; None if fsspec is not installed."""
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
    """Registers a storage backend under a name and for URI schemes.

    Args:
        name: the name that ``backend_args={'backend': name}`` selects.
        backend: the backend class; None returns a class decorator.
        force: whether to replace a backend that already has the name or a scheme.
        prefixes: URI schemes (the part before ``://``) that select the backend.

    Raises:
        TypeError: `name` is not a str, or `backend` is not a class that derives from BaseStorageBackend.
        ValueError: the name or a scheme is already registered, and `force` is False.

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
    """Checks the arguments of `register_backend`, and adds the backend to the table."""
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
