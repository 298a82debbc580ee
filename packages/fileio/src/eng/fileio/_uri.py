"""Paths and URIs as text: prefixes, safe keys, names."""

from __future__ import annotations

import os
import posixpath

from eng.fileio.errors import ArgumentTypeError, UnsafeKeyError

__all__ = ["PathLike", "base_name", "join_keys", "prefix_of", "safe_key", "text_of"]

PathLike = str | os.PathLike[str]


def text_of(path: PathLike) -> str:
    """The path as text.

    Raises:
        ArgumentTypeError: it is no path.
    """
    if isinstance(path, str):
        return path
    try:
        return os.fspath(path)
    except TypeError as error:
        raise ArgumentTypeError(f"a path should be a str or an os.PathLike, but got {type(path).__name__}") from error


def prefix_of(uri: PathLike) -> str:
    """The scheme of a URI, ``""`` for a local path.

    ``cluster:s3://bucket/x`` is Petrel's way to name a cluster; its scheme is ``cluster:s3`` shortened to ``petrel``.

    >>> prefix_of("data/a.json"), prefix_of("s3://bucket/a"), prefix_of("cluster:s3://bucket/a")
    ('', 's3', 'petrel')
    """
    text = text_of(uri)
    if "://" not in text:
        return ""
    scheme = text.partition("://")[0]
    if ":" not in scheme:
        return scheme
    if scheme.endswith((":s3", ":petrel")):
        return "petrel"
    return scheme.rpartition(":")[2]


def safe_key(key: PathLike, store: str) -> str:
    """The key with ``..`` resolved.

    Raises:
        UnsafeKeyError: it climbs above the root of the store.
    """
    text = text_of(key)
    if ".." not in text:
        return text
    depth = 0
    for part in text.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            raise UnsafeKeyError(f"key {text!r} leaves the root of {store} with '..'; give a key inside the store")
    if ".." in text.split("/"):
        return posixpath.normpath(text)
    return text


def join_keys(first: PathLike, *keys: PathLike) -> str:
    """Parts joined by one slash each, whatever slashes they came with.

    >>> join_keys("s3://bucket/", "/a/", "b")
    's3://bucket/a/b'
    """
    parts = [text_of(key).strip("/") for key in keys]
    head = text_of(first)
    return "/".join([head if head.endswith("://") and not parts else head.rstrip("/"), *(p for p in parts if p)])


def base_name(uri: PathLike) -> str:
    """The last part of a path, without a query or a chained archive."""
    return text_of(uri).partition("::")[0].partition("?")[0].rstrip("/").rpartition("/")[2]
