"""Preprocesses the command line: flags that may stand anywhere, and options that take a list of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

# Maps each option that takes a list of values to a function that tells whether an argument belongs to the list.
LISTS: dict[str, Callable[[str], bool]] = {
    "--cfg-options": lambda argument: "=" in argument and not argument.startswith("-"),
    "--grid": lambda argument: "=" in argument and not argument.startswith("-"),
    "--space": lambda argument: "=" in argument and not argument.startswith("-"),
    "--shape": str.isdigit,
}


def take_flag(arguments: Sequence[str], flag: str) -> tuple[list[str], bool]:
    """Removes a flag from the arguments of a command line, wherever the flag stands before an argument ``--``.

    Returns the arguments without the flag, and whether the flag was present.

    Examples:
        >>> take_flag(["train", "a.py", "--traceback"], "--traceback")
        (['train', 'a.py'], True)
    """
    ours, after_dashes = _split_at_dashes(arguments)
    return [argument for argument in ours if argument != flag] + after_dashes, flag in ours


def spread_lists(arguments: Sequence[str]) -> list[str]:
    """Repeats an option before each value of its list.

    For example ``--cfg-options a=1 b=2`` becomes ``--cfg-options a=1 --cfg-options b=2``. click does not support
    options with a variable number of values; commands declare these options with ``multiple=True``, so that click
    collects the repeated options. A list ends at the next option, or at the first argument that is not a valid value
    (KEY=VALUE, or a number for ``--shape``).

    Examples:
        >>> spread_lists(["train", "--cfg-options", "a=1", "b=2", "config.py"])
        ['train', '--cfg-options', 'a=1', '--cfg-options', 'b=2', 'config.py']
    """
    ours, after_dashes = _split_at_dashes(arguments)
    return [*_spread(ours), *after_dashes]


def _split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits a command line before the argument ``--``, after which all arguments belong to the command unchanged."""
    arguments = list(arguments)
    if "--" in arguments:
        end = arguments.index("--")
    else:
        end = len(arguments)
    return arguments[:end], arguments[end:]


def _spread(arguments: list[str]) -> Iterator[str]:
    """Yields the arguments, with the current list option repeated before each further value of its list."""
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
