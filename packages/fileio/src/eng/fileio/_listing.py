"""Filters directory listings in the same way for all storage backends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["Suffix", "check_listing", "entries_of_keys", "select"]

Suffix = str | tuple[str, ...] | None


def check_listing(list_dir: bool, suffix: Suffix) -> None:
    """Raises TypeError if `suffix` has the wrong type, or is combined with ``list_dir=True``.

    The two arguments exclude each other, because a suffix selects files, and directories have none.
    """
    if suffix is not None and not isinstance(suffix, (str, tuple)):
        raise TypeError(f"suffix takes a str, a tuple of str or None, got {type(suffix).__name__}")
    if list_dir and suffix is not None:
        raise TypeError(
            "`suffix` should be None when `list_dir` is True: it filters files, and directories have none; set list_dir=False"
        )


def select(
    entries: Iterable[tuple[str, bool]], list_dir: bool, list_file: bool, suffix: Suffix, recursive: bool
) -> Iterator[str]:
    """Selects entries of a directory listing by type and suffix, and yields their relative paths.

    Args:
        entries: the listing: for each entry, its path relative to the listed directory, and whether it is a directory.
            May contain entries of subdirectories.
        list_dir: whether to yield directories.
        list_file: whether to yield files. Hidden files, whose name starts with a dot, are never yielded.
        suffix: ending or endings of the files to yield; None for all files.
        recursive: whether to yield entries of subdirectories too; if False, these are skipped.
    """
    for path, is_dir in entries:
        if not recursive and "/" in path:
            continue
        if is_dir:
            if list_dir:
                yield path
        elif list_file and _is_selected(path, suffix):
            yield path


def _is_selected(path: str, suffix: Suffix) -> bool:
    is_hidden = path.rpartition("/")[2].startswith(".")
    return not is_hidden and (suffix is None or path.endswith(suffix))


def entries_of_keys(keys: Iterable[str], directory: str) -> Iterator[tuple[str, bool]]:
    """Lists a directory of a key-value storage, which has no real directories.

    A key such as ``a/b/c.txt`` is treated as a file ``c.txt`` in the directories ``a`` and ``a/b``. Yields, for each
    file and directory below `directory`, its path relative to `directory`, and whether it is a directory.
    """
    root = ""
    if directory.strip("/."):
        root = directory.rstrip("/") + "/"
    seen: set[str] = set()
    for key in keys:
        if not key.startswith(root):
            continue
        parts = key[len(root) :].split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in seen:
                seen.add(folder)
                yield folder, True
        yield "/".join(parts), False
