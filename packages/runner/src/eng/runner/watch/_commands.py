"""``eng watch``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click


@click.command()
@click.argument("work_dirs", metavar="WORK_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--tui", is_flag=True, help="Show the runs in this terminal, not in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page. Default: a free one.")
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Seconds between two looks (--tui).",
)
def watch(work_dirs: tuple[Path, ...], tui: bool, port: int, opens: bool, interval: float) -> None:
    """Follow runs while they train: live curves and status, in the browser or with --tui in the terminal.

    WORK_DIR is the work dir of a run, or a folder that holds several; it may appear later. The page is served to this
    machine alone, on 127.0.0.1. Ctrl-C ends it.
    """
    from . import Watcher, WatchServer
    from .screen import show

    watcher = Watcher(work_dirs)
    with suppress(KeyboardInterrupt):
        if tui:
            show(watcher, interval)
            return
        with WatchServer(watcher, port) as server:
            runs = len(watcher.look())
            click.echo(f"watching {runs} run{'' if runs == 1 else 's'} on {server.url} (Ctrl-C ends it)")
            if opens:
                import webbrowser

                webbrowser.open(server.url)
            server.serve_forever()
