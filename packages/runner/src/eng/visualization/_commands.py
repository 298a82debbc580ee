"""The commands ``eng curves`` and ``eng sync``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from eng.logging.tables import table_lines
from eng.logging.words import counted

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("work_dirs", metavar="WORK_DIR...", nargs=-1, required=True, type=_FOLDER)
@click.option("--keys", metavar="NAME,...", help="Only these curves. Default: all.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Draw into this picture, or .html page.")
@click.option(
    "--html", "as_page", is_flag=True, help="Make one page that works offline: zoom, values, runs on and off."
)
@click.option("--log", is_flag=True, help="Logarithmic values in the picture (the page has a switch).")
@click.option("--json", "as_json", is_flag=True, help="Print all points as JSON.")
def curves(
    work_dirs: tuple[Path, ...], keys: str | None, out: Path | None, as_page: bool, log: bool, as_json: bool
) -> None:
    """Show the curves of one run or several: a table, a picture, or a page.

    Without --out and --html, a line for each curve is printed.
    """
    from .curves import choose_names, draw_picture, load_runs, render_page

    runs = load_runs(work_dirs)
    wanted = [name.strip() for name in (keys or "").split(",")]
    names = choose_names(runs, [name for name in wanted if name])
    as_page = as_page or (out is not None and out.suffix == ".html")
    if as_json:
        click.echo(json.dumps(_points(runs, names)))
    if as_page:
        target = out or Path("curves.html")
        title = " · ".join(run.title for run in runs)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_page(runs, names, title), encoding="utf-8", errors="backslashreplace")
        click.echo(_summary(target, names, runs), err=True)
    elif out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(runs, names, out, log=log)
        click.echo(_summary(out, names, runs), err=True)
    elif not as_json:
        for line in _table(runs, names):
            click.echo(line)


def _summary(target: Path, names: Sequence[str], runs: Sequence[Any]) -> str:
    return f"wrote {target}: {counted(len(names), 'curve')} of {counted(len(runs), 'run')}"


def _points(runs: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Returns the points (steps and values) of the curves `names`, by run and curve, as data for JSON."""
    points: dict[str, Any] = {}
    for run in runs:
        points[run.name] = {}
        for (name, axis), (steps, values) in run.points.items():
            if name in names:
                points[run.name][name] = {"axis": axis, "steps": steps, "values": values}
    return points


def _table(runs: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Returns the lines of a table with one row per curve.

    A row has the first and last value of the curve, its smallest and largest value, and the steps of these two.
    """
    rows = [("run", "curve", "axis", "points", "first", "last", "lowest", "at", "highest", "at")]
    for name in names:
        for run in runs:
            for (other, axis), (steps, values) in run.points.items():
                # The comparison is also False for NaN, so NaN is left out like infinity.
                finite = [value for value in values if abs(value) < float("inf")]
                if other == name and finite:
                    low, high = min(finite), max(finite)
                    ends = (f"{values[0]:.5g}", f"{values[-1]:.5g}")
                    places = (f"{steps[values.index(low)]:g}", f"{steps[values.index(high)]:g}")
                    extremes = (f"{low:.5g}", places[0], f"{high:.5g}", places[1])
                    rows.append((run.title, name, axis, str(len(steps)), *ends, *extremes))
    return table_lines(rows, num_keys=3)


@click.command()
@click.argument("work_dir", type=_FOLDER)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice(
        ["mlflow", "wandb", "tensorboard", "aim", "clearml", "dvclive", "neptune", "comet", "swanlab", "trackio"]
    ),
    help="The tracker.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the tracker, such as tracking_uri=http://host:5000 or init_kwargs.mode=offline. Default: the run's config.",
)
@click.pass_context
def sync(ctx: click.Context, work_dir: Path, target: str, options: tuple[str, ...]) -> None:
    """Write the curves of a finished run to a tracker.

    WORK_DIR is the work directory of the run, of which the newest start is read, or the folder of one of its starts.
    Each call makes a new run in the tracker.
    """
    from .curves import find_scalars
    from .sync import sync_run

    saved = find_scalars(work_dir).with_name("config.py")
    config = None
    if saved.is_file():
        config = _config_of(ctx, saved)
    path, lines = sync_run(work_dir, target, _settings(options), config)
    steps = [line.iteration for line in lines if line.iteration is not None]
    click.echo(f"wrote {len(lines)} lines up to iteration {max(steps, default=0)} from {path} to {target}")


def _config_of(ctx: click.Context, saved: Path) -> Any:
    """Reads the config file that a run saved beside its scalars, without executing the code in the file.

    The folder may belong to another user, whose code is not trusted.
    """
    try:
        return ctx.obj.load_config(saved, trust=False)
    except ValueError as error:
        click.echo(f"the config of the run is left out: {error}", err=True)
        return None


def _settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Converts command-line options such as ``init_kwargs.mode=offline`` to a nested dict of a tracker's arguments.

    Raises:
        click.UsageError: an option is not of the form KEY=VALUE.
    """
    import ast

    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not key or not sign:
            raise click.UsageError(f"--option takes KEY=VALUE, not {assignment!r}")
        *folders, last = key.split(".")
        inner = settings
        for folder in folders:
            inner = inner.setdefault(folder, {})
        try:
            inner[last] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            # The value is not a Python literal, such as a number, so it is taken as a string without quotes.
            inner[last] = text
    return settings
