"""The commands ``eng runs``, ``eng diff`` and ``eng reproduce``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eng.logging._terminal import printable
from eng.logging.tables import table_lines

if TYPE_CHECKING:
    from .plan import Plan
    from .runs import Start

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _run(name: str) -> Start:
    """Finds the run that the user named on the command line.

    Raises:
        click.ClickException: no run, or more than one, has this name.
    """
    from .runs import NoPassportError, find_run

    try:
        return find_run(name)
    except NoPassportError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("folder", metavar="[DIR]", default="work_dirs", type=_FOLDER)
def runs(folder: Path) -> None:
    """List the runs below DIR (default: work_dirs) with status, best metric and duration."""
    from .runs import find_starts

    starts = find_starts(folder)
    if not starts:
        raise click.ClickException(f"{folder} holds no runs: no file passport.json lies below it")
    rows: list[tuple[str, ...]] = [("run", "status", "iterations", "duration", "metrics")]
    for start in starts:
        seconds = start.end.get("duration_s")
        duration = ""
        if isinstance(seconds, (int, float)):
            duration = f"{seconds:.1f} s"
        rows.append((str(start.folder), start.status, str(start.end.get("iter", "")), duration, start.best))
    click.echo("\n".join(table_lines(rows)))


@click.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
def diff(first: str, second: str) -> None:
    """Show how two runs differ: config, code, data, world size, versions, seeds, packages and metrics.

    RUN is a run as eng runs and the log call it, its folder, or a work dir, whose newest start counts.
    """
    from .facts import unknown_lines
    from .runs import compare

    starts = _run(first), _run(second)
    rows = compare(*starts)
    if rows:
        click.echo("\n".join(table_lines([("section", "key", first, second), *rows], num_keys=2)))
    else:
        click.echo("no difference is recorded")
    for line in unknown_lines(*(start.passport for start in starts)):
        click.echo(line)


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--work-dir", type=click.Path(path_type=Path), help="Folder of the new run. Default: <RUN>-reproduced.")
@click.option("--trust", is_flag=True, help="Start it: the config of RUN may import and execute code.")
@click.pass_context
def reproduce(ctx: click.Context, run: str, work_dir: Path | None, trust: bool) -> int:
    """Start RUN again with the config and the seed that it recorded, and say what could not be restored.

    It starts in the folder in which RUN was started. Without --trust nothing is executed: the plan is shown.
    """
    from eng.hooks.start_report import short_path

    from .plan import plan_of

    start = _run(run)
    plan = plan_of(start)
    _tell_lost(plan.lost)
    if plan.config is None:
        command = " ".join(map(str, start.passport.get("command") or ()))
        raise click.ClickException(f"it cannot be started from here; it was started by: {printable(command)}")
    target = (work_dir or start.folder.with_name(f"{start.folder.name}-reproduced")).absolute()
    click.echo(f"config {plan.config}, seed {plan.seed}, into {short_path(target)}")
    processes = start.passport.get("world_size", 1)
    if processes != 1:
        raise click.ClickException(
            f"it ran on {processes} processes: eng train {plan.config} --work-dir {target} --nproc {processes}"
        )
    if not trust:
        click.echo("--trust starts it: its config may execute code. The training data are compared then.")
        return 0
    return _start(ctx, start, plan, plan.config.absolute(), target)


def _tell_lost(lines: list[str]) -> None:
    """Prints what the new run cannot restore of the recorded run, one line each, to stderr."""
    for line in lines:
        click.echo(f"not restored: {printable(line, one_line=True)}", err=True)


def _start(ctx: click.Context, start: Start, plan: Plan, config: Path, target: Path) -> int:
    """Starts a recorded run again with its config and seed, in the working directory of the recorded run.

    Args:
        ctx: context of the click command, whose ``obj`` loads configs.
        start: the recorded run.
        plan: seed, checkpoint and folders to restore.
        config: absolute path of the recorded config.
        target: work dir of the new run.

    Returns:
        The exit status.
    """
    from eng.runner._commands import _run as start_run

    from .plan import TellDataHook

    with _working_in(plan):
        cfg: Any = ctx.obj.load_config(config)
        cfg.work_dir = str(target)
        _go_on_from(cfg, plan.checkpoint)
        cfg.randomness = {**(cfg.get("randomness") or {}), "seed": plan.seed}

        def train(runner: Any) -> None:
            runner.register_hook(TellDataHook(start.passport, _tell_lost))
            runner.train()

        return start_run(cfg, train, lambda runner: click.echo(f"reproduced in {runner.work_dir}"), verbose=False)


def _go_on_from(cfg: Any, checkpoint: Path | None) -> None:
    """Makes the config resume from the checkpoint from which the recorded run was resumed.

    Without such a checkpoint, resuming is switched off.
    """
    resume = cfg.get("resume")
    if checkpoint is not None:
        options = {"checkpoint": str(checkpoint)}
        if isinstance(resume, Mapping) and "take" in resume:
            options["take"] = resume["take"]
        cfg.resume, cfg.load_from = options, None
    elif resume:
        cfg.resume = False


@contextmanager
def _working_in(plan: Plan) -> Iterator[None]:
    """Uses the recorded run's working directory and import path inside the ``with`` block, if these folders exist."""
    here, paths = Path.cwd(), list(sys.path)
    try:
        if plan.import_folder is not None:
            sys.path.insert(0, str(plan.import_folder))
        if plan.folder is not None:
            os.chdir(plan.folder)
        yield
    finally:
        os.chdir(here)
        sys.path[:] = paths
