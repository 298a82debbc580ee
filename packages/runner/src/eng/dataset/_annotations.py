"""Annotation files: where they are, what they must hold, how long they take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from eng.fileio import join_path, load

from ._serialize import no_collection
from .errors import AnnotationError, AnnotationTypeError

_FORMATS = (".json", ".yaml", ".yml", ".pickle", ".pkl")


def read(file: str) -> tuple[dict[str, Any], list[Any]]:
    """``metainfo`` and ``data_list`` of an annotation file.

    Args:
        file: a json, yaml or pickle file, anywhere `eng.fileio` reads.

    Raises:
        FileNotFoundError: there is none.
        AnnotationError: it cannot be parsed, or lacks one of the two keys.
        AnnotationTypeError: `file` is empty, no path or of another format, or it, ``metainfo`` or ``data_list`` is of the
            wrong type.
    """
    content = _load(file)
    if not isinstance(content, Mapping):
        raise AnnotationTypeError(
            file, f"holds a {type(content).__name__}; expected a dictionary with 'metainfo' and 'data_list'"
        )
    for key, expected in (("metainfo", Mapping), ("data_list", list)):
        if key not in content:
            raise AnnotationError(file, f"has no key {key!r}; it has {list(content)[:10]}", key)
        if not isinstance(content[key], expected):
            wanted = "dictionary" if expected is Mapping else "list"
            raise AnnotationTypeError(file, f"{key!r} must be a {wanted}, got {type(content[key]).__name__}", key)
    return dict(content["metainfo"]), content["data_list"]


def _load(file: str) -> Any:
    """The content of an annotation file; errors of its parser name the file."""
    if not isinstance(file, str):
        raise AnnotationTypeError("ann_file", f"must be the path of a file, got {type(file).__name__}: {file!r}")
    if not file:
        raise AnnotationTypeError("ann_file", "is empty; name an annotation file or override load_data_list()")
    if not file.lower().endswith(_FORMATS):
        raise AnnotationTypeError(file, f"must end in one of {', '.join(_FORMATS)}")
    try:
        with no_collection():
            return load(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"annotation file {file} does not exist") from error
    except (ValueError, EOFError) as error:
        raise AnnotationError(file, f"cannot be parsed: {error}") from error
    except Exception as error:  # a yaml or pickle error has no common base; the file is what its reader needs to know
        if type(error).__module__.split(".")[0] in {"yaml", "pickle", "_pickle"}:
            raise AnnotationError(file, f"cannot be parsed: {error}") from error
        raise


def is_absolute(path: str) -> bool:
    """Whether a path stands for itself: an absolute one, or a URL of any storage.

    Examples:
        >>> is_absolute("/data/a.json"), is_absolute("s3://bucket/a.json"), is_absolute("a.json")
        (True, True, False)
    """
    return os.path.isabs(path) or "://" in path  # noqa: PTH117  # called per dataset and cheap


def join(folder: str, path: str) -> str:
    """``path`` inside ``folder``, on disk or in a storage."""
    if "://" not in folder:
        return os.path.join(folder, path)  # noqa: PTH118  # runs per sample: ten times faster than Path
    return str(join_path(folder, path))
