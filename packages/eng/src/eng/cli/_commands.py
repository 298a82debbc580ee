"""Finds commands by their entry points, and imports a command only when it runs or its help is shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any

import click
from click.shell_completion import CompletionItem

from ._summary import summary_of

_LONGEST_SUMMARY = 80
# Maps each optional package to its commands. If a user calls a command whose package is not installed, the error names
# the package to install.
ELSEWHERE = {
    "eng-analysis[cli]": ("flops",),
    "eng-runner[cli]": (
        "train",
        "val",
        "test",
        "lr",
        "curves",
        "sync",
        "runs",
        "diff",
        "reproduce",
        "watch",
        "ckpt",
        "browse",
        "infer",
        "init",
    ),
    "eng-tune": ("tune", "sweep"),
}


@dataclass
class CommandTree:
    """A command name with its entry point and its subcommands.

    Attributes:
        entry_point: package entry point that defines the command; None for a name that only groups subcommands.
        children: the subcommands by name.
    """

    entry_point: EntryPoint | None = None
    children: dict[str, CommandTree] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[EntryPoint]) -> CommandTree:
        """Builds the tree of all commands from the entry points of the installed packages.

        An entry point named ``config.check`` becomes the subcommand ``check`` of the command ``config``.
        """
        root = cls()
        for entry in entries:
            node = root
            for part in entry.name.split("."):
                node = node.children.setdefault(part, cls())
            node.entry_point = entry
        return root

    def command(self, name: str) -> click.Command:
        """Imports and returns the click command, with its subcommands.

        If the import fails, returns a command that reports the error when it is run.
        """
        try:
            command = None
            if self.entry_point:
                command = self.entry_point.load()
        except Exception as error:  # noqa: BLE001  # A broken plug-in must not break the help and the other commands.
            return _broken(name, self.entry_point, error)
        if not self.children:
            return command or click.Group(name)
        return EntryPointGroup(self, base=command, name=name)


class EntryPointGroup(click.Group):
    """A click group whose commands come from entry points of installed packages, and optionally from another group.

    Args:
        tree: the commands from entry points.
        base: a click group whose help text, options and commands this group also has; None if there is none.
        **settings: arguments of `click.Group`.
    """

    def __init__(self, tree: CommandTree, base: click.Group | None = None, **settings: Any) -> None:
        if base is not None:
            settings = {"help": base.help, "params": base.params, "callback": base.callback, **settings}
        settings.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 120})
        super().__init__(**settings)
        self._tree = tree
        self._base = base

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands in alphabetical order."""
        base_names = []
        if self._base is not None:
            base_names = self._base.list_commands(ctx)
        return sorted({*base_names, *self._tree.children})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns the command `cmd_name`; None if this group has no such command."""
        if cmd_name in self._tree.children:
            return self._tree.children[cmd_name].command(cmd_name)
        if self._base is not None:
            return self._base.get_command(ctx, cmd_name)
        return None

    def summary(self, ctx: click.Context, cmd_name: str) -> str:
        """Returns one line of help for a command, read from the source file of the command.

        The command is imported only if its source file contains no summary.
        """
        node = self._tree.children.get(cmd_name)
        summary = None
        if node is not None and node.entry_point is not None:
            summary = summary_of(node.entry_point)
        if summary is None:
            command = self.get_command(ctx, cmd_name)
            summary = ""
            if command is not None:
                summary = command.get_short_help_str(_LONGEST_SUMMARY)
        return summary

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands into the help text, without importing the commands."""
        names = self.list_commands(ctx)
        if names:
            with formatter.section("Commands"):
                formatter.write_dl([(name, self.summary(ctx, name)) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Returns the commands and options that start with `incomplete`, without importing the commands."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self.summary(ctx, name)) for name in names), *options]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns the command that the first of `args` names.

        For an unknown command, the error suggests similar names, or the package to install for the command.
        """
        name = args[0]
        if not name.startswith("-") and name not in (names := self.list_commands(ctx)):
            package = next((distribution for distribution, commands in ELSEWHERE.items() if name in commands), None)
            if package is not None and ctx.parent is None:
                raise click.UsageError(f"the command {name!r} is in a package of its own: pip install '{package}'", ctx)
            nearest = difflib.get_close_matches(name, names, n=3)
            if nearest:
                hint = f"did you mean {' or '.join(nearest)}?"
            else:
                hint = f"there are: {', '.join(names)}"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


def _broken(name: str, entry_point: EntryPoint | None, error: Exception) -> click.Command:
    """Returns a command that stands for one whose import failed; running it reports the error of the import."""
    package = "an unknown distribution"
    if entry_point and entry_point.dist:
        package = entry_point.dist.name

    def tell() -> None:
        """Reports the error of the failed import as an error of the command."""
        raise click.ClickException(f"the command {name!r} of {package} cannot be loaded: {error}") from error

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=tell, short_help=f"Cannot be loaded: {error}", context_settings=settings)
