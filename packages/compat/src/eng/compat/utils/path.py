"""``mmengine.utils.path``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# What `os.path` does not call absolute although nothing stands before it.
_SCHEMES = ("http://", "https://", "s3:")


def is_filepath(x: object) -> bool:
    """Whether `x` is a path: a string or a `Path`."""
    return isinstance(x, (str, Path))


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """`open`, for a string or a `Path`.

    Raises:
        ValueError: `filepath` is neither.
    """
    if not is_filepath(filepath):
        raise ValueError(f"filepath takes a str or a Path, got {type(filepath).__name__}")
    opened: IO[Any] = open(filepath, *args, **kwargs)  # noqa: PTH123, SIM115  # takes a string as well, and the caller closes it
    return opened


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raises FileNotFoundError where there is no such file.

    Args:
        filename: path of the file.
        msg_tmpl: text of the error; ``{}`` is the path.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Makes a folder and those above it; one that exists is fine, and so is an empty name."""
    if dir_name != "":
        # os.path.expanduser leaves an unknown user's folder as it is, Path.expanduser raises.
        Path(os.path.expanduser(dir_name)).mkdir(mode=mode, parents=True, exist_ok=True)  # noqa: PTH111  # as said above


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
    """Makes the link `dst` that points to `src`.

    Args:
        src: what the link points to.
        dst: the link.
        overwrite: replace what lies at `dst`.
        **kwargs: of `os.symlink`.
    """
    if overwrite and os.path.lexists(dst):
        Path(dst).unlink()
    os.symlink(src, dst, **kwargs)  # noqa: PTH211  # takes os.symlink's keywords


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Files of a folder whose name does not begin with a dot, as paths relative to it.

    Args:
        dir_path: the folder.
        suffix: only files that end with it (or with one of a tuple).
        recursive: also files of folders below.
        case_sensitive: whether the case of the suffix matters.

    Raises:
        TypeError: `dir_path` is no path, or `suffix` no string or tuple of strings.
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
    for entry in os.scandir(folder):
        if entry.is_file() and not entry.name.startswith("."):
            relative = str(Path(entry.path).relative_to(root))
            if (relative if case_sensitive else relative.lower()).endswith(ends):
                yield relative
        elif entry.is_dir() and recursive:
            yield from _scan(Path(entry.path), root, ends, recursive, case_sensitive)


def find_vcs_root(path: str | Path, markers: tuple[str, ...] = (".git",)) -> str | None:
    """The nearest folder at or above `path` with a marker in it; None where there is none."""
    start = Path(path).resolve()
    start = start.parent if start.is_file() else start
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in markers):
            return str(folder)
    return None


def is_abs(path: str) -> bool:
    """Whether a path stands for itself: an absolute one, or one of a remote storage (http, https, s3)."""
    return os.path.isabs(path) or path.startswith(_SCHEMES)  # noqa: PTH117  # URLs are no Paths
