"""Replaces ``mmengine.utils.path``: helper functions on paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# URI schemes that `is_abs` treats as absolute, which `os.path.isabs` does not.
_SCHEMES = ("http://", "https://", "s3:")


def is_filepath(x: object) -> bool:
    """Whether `x` is a path: a string or a `Path`."""
    return isinstance(x, (str, Path))


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """Opens a file by the builtin `open`; the path is a string or a `Path`.

    Raises:
        ValueError: `filepath` is neither a string nor a `Path`.
    """
    if not is_filepath(filepath):
        raise ValueError(f"filepath takes a str or a Path, got {type(filepath).__name__}")
    opened: IO[Any] = open(filepath, *args, **kwargs)  # noqa: PTH123, SIM115  # `open` accepts strings, and the caller closes the file
    return opened


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Checks that a file exists.

    Args:
        filename: path of the file.
        msg_tmpl: message of the error; ``{}`` is replaced by the path.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Creates a folder and its parents; does nothing if the folder exists or the name is empty."""
    if dir_name != "":
        # For an unknown user such as "~nobody-x", os.path.expanduser returns the path unchanged; Path.expanduser raises.
        Path(os.path.expanduser(dir_name)).mkdir(mode=mode, parents=True, exist_ok=True)  # noqa: PTH111


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
    """Creates a symbolic link.

    Args:
        src: path to which the link points.
        dst: path of the link.
        overwrite: whether to remove an existing file or link at `dst` first.
        **kwargs: arguments of `os.symlink`.
    """
    if overwrite and os.path.lexists(dst):
        Path(dst).unlink()
    os.symlink(src, dst, **kwargs)  # noqa: PTH211  # Path.symlink_to does not accept all keyword arguments of os.symlink


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Yields the files of a folder as paths relative to it, without hidden files (names that start with a dot).

    Args:
        dir_path: the folder.
        suffix: ending, or tuple of endings, of the files to yield; None for all files.
        recursive: whether to include files in subfolders.
        case_sensitive: whether upper and lower case of the suffix matter.

    Raises:
        TypeError: `dir_path` is not a path, or `suffix` is neither a string nor a tuple.
    """
    if not is_filepath(dir_path):
        raise TypeError(f"dir_path takes a str or a Path, got {dir_path!r}")
    if suffix is not None and not isinstance(suffix, (str, tuple)):
        raise TypeError(f"suffix takes a str, a tuple of them or None, got {suffix!r}")
    ends = (suffix,) if isinstance(suffix, str) else suffix or ("",)
    if not case_sensitive:
        ends = tuple(end.lower() for end in ends)
    return _scan(Path(dir_path), Path(dir_path), ends, recursive, case_sensitive)


def _scan(folder: Path, root: Path, ends: tuple[str, ...], recursive: bool, case_sensitive: bool) -> Iterator[str]:
    """Yields the paths, relative to `root`, of the files in `folder` that are not hidden and have one of the endings.

    Args:
        folder: the folder to list.
        root: the folder to which the paths are relative.
        ends: the endings, in lower case if `case_sensitive` is False; ``("",)`` for all files.
        recursive: whether to list subfolders too.
        case_sensitive: whether upper and lower case of the endings matter.
    """
    for entry in os.scandir(folder):
        if entry.is_file() and not entry.name.startswith("."):
            relative = str(Path(entry.path).relative_to(root))
            if (relative if case_sensitive else relative.lower()).endswith(ends):
                yield relative
        elif entry.is_dir() and recursive:
            yield from _scan(Path(entry.path), root, ends, recursive, case_sensitive)


def find_vcs_root(path: str | Path, markers: tuple[str, ...] = (".git",)) -> str | None:
    """Returns the nearest folder, among `path` and its parents, that contains one of the markers; None without one."""
    start = Path(path).resolve()
    start = start.parent if start.is_file() else start
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in markers):
            return str(folder)
    return None


def is_abs(path: str) -> bool:
    """Whether a path is absolute, or a URI with the scheme http, https or s3."""
    return os.path.isabs(path) or path.startswith(_SCHEMES)  # noqa: PTH117  # the argument may be a URL, which is not a Path
