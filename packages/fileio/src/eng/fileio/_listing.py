"""What a directory listing yields, decided once for all backends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["Suffix", "check_listing", "entries_of_keys", "select"]

Suffix = str | tuple[str, ...] | None


def check_listing(list_dir: bool, suffix: Suffix) -> None:
    """Raises TypeError for options that contradict each other."""
    if suffix is not None and not isinstance(suffix, (str, tuple)):
        raise TypeError(f"suffix takes a str, a tuple of str or None, got {type(suffix).__name__}")
    if list_dir and suffix is not None:
        raise TypeError(
            "`suffix` should be None when `list_dir` is True: it filters files, and directories have none; set list_dir=False"
        )


def select(
    entries: Iterable[tuple[str, bool]], list_dir: bool, list_file: bool, suffix: Suffix, recursive: bool
) -> Iterator[str]:
    """The wanted relative paths.

    Args:
        entries: relative path and whether it is a directory, of the whole tree or of its first level.
        list_dir: yield directories.
        list_file: yield files. Hidden ones (a name that starts with a dot) never are.
        suffix: endings of the files to yield.
        recursive: yield deeper levels too.
    """
    for path, is_dir in entries:
        if not recursive and "/" in path:
            continue
        if is_dir:
            if list_dir:
                yield path
        elif list_file and _wanted(path, suffix):
            yield path


def _wanted(path: str, suffix: Suffix) -> bool:
    return not path.rpartition("/")[2].startswith(".") and (suffix is None or path.endswith(suffix))


def entries_of_keys(keys: Iterable[str], directory: str) -> Iterator[tuple[str, bool]]:
    """The tree that flat keys such as ``a/b/c.txt`` imply below `directory`."""
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
