"""The few words that mean the same wherever they stand: flags of the front door, and lists of settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# Options that take several words, and which words belong to them.
LISTS: dict[str, Callable[[str], bool]] = {
    "--cfg-options": lambda argument: "=" in argument and not argument.startswith("-"),
    "--grid": lambda argument: "=" in argument and not argument.startswith("-"),
    "--space": lambda argument: "=" in argument and not argument.startswith("-"),
    "--shape": str.isdigit,
}


def take_flag(arguments: Sequence[str], flag: str) -> tuple[list[str], bool]:
    """The words without `flag`, and whether it was among them (before a ``--``).

    Examples:
        >>> take_flag(["train", "a.py", "--traceback"], "--traceback")
        (['train', 'a.py'], True)
    """
    ours, after_dashes = _split_at_dashes(arguments)
    return [argument for argument in ours if argument != flag] + after_dashes, flag in ours


def spread_lists(arguments: Sequence[str]) -> list[str]:
    """The words with ``--cfg-options a=1 b=2`` as ``--cfg-options a=1 --cfg-options b=2``, and other lists likewise.

    A command then declares a plain ``multiple=True`` option. A list ends at the next option, or at the first word that
    is no setting (no whole number).

    Examples:
        >>> spread_lists(["train", "--cfg-options", "a=1", "b=2", "config.py"])
        ['train', '--cfg-options', 'a=1', '--cfg-options', 'b=2', 'config.py']
    """
    ours, after_dashes = _split_at_dashes(arguments)
    return [*_spread(ours), *after_dashes]


def _split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    arguments = list(arguments)
    if "--" in arguments:
        end = arguments.index("--")
    else:
        end = len(arguments)
    return arguments[:end], arguments[end:]


def _spread(arguments: list[str]) -> Iterator[str]:
    current, expects_value = "", False
    for argument in arguments:
        if current and LISTS[current](argument):
            if not expects_value:
                yield current
            expects_value = False
        else:
            name = argument.partition("=")[0]
            current, expects_value = (name if name in LISTS else ""), argument in LISTS
        yield argument
