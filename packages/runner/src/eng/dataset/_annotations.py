"""Read annotation files and check their structure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from eng.fileio import join_path, load

from ._serialize import no_collection
from .errors import AnnotationError, AnnotationTypeError

_FORMATS = (".json", ".yaml", ".yml", ".pickle", ".pkl")


def read(file: str) -> tuple[dict[str, Any], list[Any]]:
    """Reads an annotation file and returns its ``metainfo`` and ``data_list``.

    Args:
        file: path or address of a json, yaml or pickle file, in any storage of `eng.fileio`.

    Raises:
        FileNotFoundError: the file does not exist.
        AnnotationError: the file cannot be parsed, or has no ``metainfo`` or no ``data_list``.
        AnnotationTypeError: `file` is empty, no path, or has another format; or the content of the file, ``metainfo``
            or ``data_list`` has the wrong type.
    """
    content = _load(file)
    if not isinstance(content, Mapping):
        raise AnnotationTypeError(
            file, f"holds a {type(content).__name__}; expected a dictionary with 'metainfo' and 'data_list'"
        )
    for key, expected, wanted in (("metainfo", Mapping, "dictionary"), ("data_list", list, "list")):
        if key not in content:
            raise AnnotationError(file, f"has no key {key!r}; it has {list(content)[:10]}", key)
        if not isinstance(content[key], expected):
            raise AnnotationTypeError(file, f"{key!r} must be a {wanted}, got {type(content[key]).__name__}", key)
    return dict(content["metainfo"]), content["data_list"]


def _load(file: str) -> Any:
    """Returns the parsed content of an annotation file.

    Raises:
        AnnotationTypeError: `file` is no path, is empty, or has another ending than those of JSON, YAML and pickle.
        FileNotFoundError: the file does not exist.
        AnnotationError: the parser of the format fails; the message names the file.
    """
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
    except Exception as error:
        # The exceptions of the YAML and pickle parsers have no common base class, so they are recognised by the names
        # of their modules.
        if type(error).__module__.split(".")[0] in {"yaml", "pickle", "_pickle"}:
            raise AnnotationError(file, f"cannot be parsed: {error}") from error
        raise


def is_absolute(path: str) -> bool:
    """Whether a path is absolute or a URL; only other paths are joined with a dataset's ``data_root``.

    Examples:
        >>> is_absolute("/data/a.json"), is_absolute("s3://bucket/a.json"), is_absolute("a.json")
        (True, True, False)
    """
    return os.path.isabs(path) or "://" in path  # noqa: PTH117  # a URL is no Path


def join(folder: str, path: str) -> str:
    """Joins a folder, which is local or a URL such as ``s3://bucket/data``, and the path of a file in the folder."""
    if "://" not in folder:
        return os.path.join(folder, path)  # noqa: PTH118  # runs per sample: ten times faster than Path
    return str(join_path(folder, path))
