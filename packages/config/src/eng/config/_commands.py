"""The commands ``eng config show``, ``diff`` and ``explain``. The package eng adds ``check``, which needs registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import Config

FORMATS = {"py": ".py", "json": ".json", "yaml": ".yaml"}


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options ``--cfg-options`` and ``--no-trust`` to a subcommand that reads a config."""
    function = click.option(
        "--no-trust", is_flag=True, help="Read Python configs without executing them; refuse what is not data."
    )(function)
    return click.option(
        "--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Override values, such as model.depth=50."
    )(function)


def _read_config(file: str, cfg_options: tuple[str, ...], no_trust: bool) -> Config:
    """Reads a config file and merges the overrides of ``--cfg-options``, such as ``("model.depth=50",)``, into it.

    Raises:
        click.BadParameter: an override is not of the form KEY=VALUE.
    """
    from ._action import CommandLineOptions, parse_option
    from .config import Config

    cfg = Config.fromfile(file, trust=not no_trust)
    try:
        cfg.merge_from_dict(CommandLineOptions(map(parse_option, cfg_options)))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--cfg-options") from error
    return cfg


@click.group()
def config() -> None:
    """Look at configs: show, diff, explain, check."""


@config.command()
@click.argument("file")
@_with_options
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="py", help="Language of the output.")
def show(file: str, cfg_options: tuple[str, ...], no_trust: bool, format_: str) -> None:
    """Print FILE with its bases and overrides merged in."""
    cfg = _read_config(file, cfg_options, no_trust)
    click.echo(cfg._dumped(FORMATS[format_]).rstrip("\n"))  # noqa: SLF001  # a private method of a class in the same package


@config.command()
@click.argument("file")
@click.argument("other")
@_with_options
@click.pass_context
def diff(ctx: click.Context, file: str, other: str, cfg_options: tuple[str, ...], no_trust: bool) -> None:
    """Print what differs between FILE (with overrides) and OTHER.

    The exit status is 1 if there is a difference.
    """
    from .config import Config

    text = Config.diff(_read_config(file, cfg_options, no_trust), Config.fromfile(other, trust=not no_trust))
    if text:
        click.echo(text)
        ctx.exit(1)


@config.command()
@click.argument("file")
@click.argument("key")
@_with_options
def explain(file: str, key: str, cfg_options: tuple[str, ...], no_trust: bool) -> None:
    """Print where the value of KEY in FILE comes from, oldest setting first."""
    click.echo(str(_read_config(file, cfg_options, no_trust).explain(key)))
