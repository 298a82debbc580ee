"""The few words that mean the same wherever they stand: flags of the front door, and lists of settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

CFG_OPTIONS = "--cfg-options"


def take_flag(words: Sequence[str], flag: str) -> tuple[list[str], bool]:
    """The words without `flag`, and whether it was among them (before a ``--``).

    Examples:
        >>> take_flag(["train", "a.py", "--traceback"], "--traceback")
        (['train', 'a.py'], True)
    """
    ours, rest = _split_at_dashes(words)
    return [word for word in ours if word != flag] + rest, flag in ours


def spread_cfg_options(words: Sequence[str]) -> list[str]:
    """The words with ``--cfg-options a=1 b=2`` as ``--cfg-options a=1 --cfg-options b=2``.

    A command then declares a plain ``multiple=True`` option. The settings end at the next option, or at the first
    word without a ``=``.

    Examples:
        >>> spread_cfg_options(["train", "--cfg-options", "a=1", "b=2", "config.py"])
        ['train', '--cfg-options', 'a=1', '--cfg-options', 'b=2', 'config.py']
    """
    ours, rest = _split_at_dashes(words)
    return [*_spread(ours), *rest]


def _split_at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:]


def _spread(words: list[str]) -> Iterator[str]:
    expects_value = may_repeat = False
    for word in words:
        if may_repeat and "=" in word and not word.startswith("-"):
            if not expects_value:
                yield CFG_OPTIONS
            expects_value = False
        else:
            expects_value = word == CFG_OPTIONS
            may_repeat = expects_value or word.startswith(f"{CFG_OPTIONS}=")
        yield word
