"""The entry point of the command `eng`: runs a command line and returns its exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import click

from ._arguments import spread_lists, take_flag
from ._commands import CommandTree, EntryPointGroup
from ._errors import one_message
from ._services import Services
from ._version import __version__

OK, FINDINGS, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
GROUP = "eng.commands"
# click 8.2 and later raise this exception if the user calls a command group without a subcommand. Earlier versions of
# click have no such exception: they print the help text and exit.
_NO_WORDS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
_ABOUT = """Train, check and inspect deep-learning models from the command line.

Each installed package of eng brings its own commands. A config is changed on the way in by --cfg-options KEY=VALUE ...;
exit status: 0 done, 1 something was found, 2 something in your call or files is wrong.
"""


def front_door() -> click.Group:
    """Returns the click group with the commands of all installed packages."""
    group = EntryPointGroup(CommandTree.of(entry_points(group=GROUP)), name="eng", help=_ABOUT)
    group.params.append(
        click.Option(["--traceback"], is_flag=True, help="Show the traceback of an error. May stand anywhere.")
    )
    return click.version_option(__version__, prog_name="eng")(group)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after ``eng``; None uses those of this process.

    Returns:
        The exit status: 0 for success, 1 for findings (or an unexpected error), 2 for a mistake in the call or the
        files, 130 for Ctrl-C.

    Raises:
        Exception: an unexpected error, or with ``--traceback`` any error of the command.
    """
    arguments, show_traceback = take_flag(sys.argv[1:] if argv is None else argv, "--traceback")
    try:
        return _run(spread_lists(arguments))
    except _NO_WORDS as error:
        click.echo(error.format_message(), err=True)
        return USER_ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo("eng: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The program that reads the output has ended, as in `eng ... | head`. Python closes stdout at exit, which would
        # raise the error again, so stdout is redirected to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINDINGS
    except Exception as error:
        if show_traceback:
            message = None
        else:
            message = one_message(error)
        if message is None:
            raise
        click.echo(f"eng: error: {message}", err=True)
        return USER_ERROR


def _run(arguments: list[str]) -> int:
    """Runs a command line by click and returns the exit status; with ENG_COMPAT set, mmengine can be imported."""
    if os.environ.get("ENG_COMPAT", "0").lower() not in ("", "0", "false", "no"):
        _install_compat()
    status: Any = front_door().main(args=arguments, prog_name="eng", standalone_mode=False, obj=Services())
    if isinstance(status, int):
        return status
    return OK


def _install_compat() -> None:
    """Makes imports of MMEngine work by eng-compat; raises an error with advice if eng-compat is not installed."""
    try:
        from eng import compat
    except ImportError as error:
        raise click.ClickException(
            "ENG_COMPAT is set, which needs eng-compat: install it from where eng came from, such as pip install --find-links dist eng-compat"
        ) from error
    compat.install()
