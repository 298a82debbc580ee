"""The few words that mean the same wherever they stand: flags of the front door, and lists of settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# Options that take several words, and which words belong to them.
LISTS: dict[str, Callable[[str], bool]] = {
    "--cfg-options": lambda word: "=" in word and not word.startswith("-"),
    "--grid": lambda word: "=" in word and not word.startswith("-"),
    "--space": lambda word: "=" in word and not word.startswith("-"),
    "--shape": str.isdigit,
}


def take_flag(words: Sequence[str], flag: str) -> tuple[list[str], bool]:
    """The words without `flag`, and whether it was among them (before a ``--``).

    Examples:
        >>> take_flag(["train", "a.py", "--traceback"], "--traceback")
        (['train', 'a.py'], True)
    """
    ours, rest = _split_at_dashes(words)
    return [word for word in ours if word != flag] + rest, flag in ours


def spread_lists(words: Sequence[str]) -> list[str]:
    """The words with ``--cfg-options a=1 b=2`` as ``--cfg-options a=1 --cfg-options b=2``, and other lists likewise.

    A command then declares a plain ``multiple=True`` option. A list ends at the next option, or at the first word that
    is no setting (no whole number).

    Examples:
        >>> spread_lists(["train", "--cfg-options", "a=1", "b=2", "config.py"])
        ['train', '--cfg-options', 'a=1', '--cfg-options', 'b=2', 'config.py']
    """
    ours, rest = _split_at_dashes(words)
    return [*_spread(ours), *rest]


def _split_at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]


def _spread(words: list[str]) -> Iterator[str]:
    current, expects_value = "", False
    for word in words:
        if current and LISTS[current](word):
            if not expects_value:
                yield current
            expects_value = False
        else:
            name = word.partition("=")[0]
            current, expects_value = (name if name in LISTS else ""), word in LISTS
        yield word
