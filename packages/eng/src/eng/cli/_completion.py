"""The command `eng completion`, which prints a script for tab completion in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eng completion bash > ~/.local/share/bash-completion/completions/eng
    zsh:  eng completion zsh > "${fpath[1]}/_eng"
    fish: eng completion fish > ~/.config/fish/completions/eng.fish
    """  # noqa: D301  # click reads the backspace as "leave these lines as they are"
    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"this version of click completes no {shell}")
    click.echo(completer(ctx.find_root().command, {}, "eng", "_ENG_COMPLETE").source())
