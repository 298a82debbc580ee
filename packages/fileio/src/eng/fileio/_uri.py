"""Functions on paths and URIs as strings: scheme, join, last part, and a check against ``..``."""

from __future__ import annotations

import os
import posixpath

from eng.fileio.errors import ArgumentTypeError, UnsafeKeyError

__all__ = ["PathLike", "base_name", "join_keys", "prefix_of", "safe_key", "text_of"]

PathLike = str | os.PathLike[str]


def text_of(path: PathLike) -> str:
    """Returns a path as a string.

    Raises:
        ArgumentTypeError: `path` is neither a str nor an os.PathLike.
    """
    if isinstance(path, str):
        return path
    try:
        return os.fspath(path)
    except TypeError as error:
        raise ArgumentTypeError(f"a path should be a str or an os.PathLike, but got {type(path).__name__}") from error


def prefix_of(uri: PathLike) -> str:
    """Returns the scheme of a URI, such as ``"s3"``; ``""`` for a local path.

    Petrel, the object storage of OpenMMLab, writes ``cluster:s3://bucket/x``; for such a URI ``"petrel"`` is returned.

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
    """Returns a key of a storage with its parts ``..`` resolved, so that ``"a/../b"`` becomes ``"b"``.

    Raises:
        UnsafeKeyError: the key leads above the root of the storage.
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
    """Joins the parts of a key with exactly one slash between them.

    >>> join_keys("s3://bucket/", "/a/", "b")
    's3://bucket/a/b'
    """
    parts = [text_of(key).strip("/") for key in keys]
    head = text_of(first)
    is_scheme_only = head.endswith("://") and not parts
    if not is_scheme_only:
        head = head.rstrip("/")
    return "/".join([head, *(part for part in parts if part)])


def base_name(uri: PathLike) -> str:
    """Returns the file name at the end of a path or URI.

    The query of a URL (``?a=1``), or the archive that contains the file in an fsspec URL (``::x.zip``), is left out.
    """
    return text_of(uri).partition("::")[0].partition("?")[0].rstrip("/").rpartition("/")[2]
