"""The commands ``eng sweep`` and ``eng sweep show``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_OPTUNA_ONLY = ("sampler", "sampler_args", "pruner", "pruner_args", "storage", "study")


class _SweepGroup(click.Group):
    """A click group that accepts both ``eng sweep CONFIG ...`` and subcommands such as ``eng sweep show DIR``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_SweepGroup)
def sweep() -> None:
    """Train a config with several settings and find the best: eng sweep CONFIG ..., eng sweep show DIR.

    \b
    eng sweep CONFIG --metric accuracy --grid optim_wrapper.optimizer.lr=0.1,0.01 model.depth=18,34
    eng sweep CONFIG --metric accuracy --random 20 --space "optim_wrapper.optimizer.lr=loguniform(1e-4,1e-1)"
    eng sweep CONFIG --metric accuracy --optuna 50 --pruner Median --space "model.width=int(16,128)"
    eng sweep show DIR --html

    eng sweep run --help lists all options.
    """  # noqa: D301  # click reads the backspace as "leave these lines as they are"


@sweep.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--metric", required=True, help="Metric of the validation that is optimized.")
@click.option("--mode", type=click.Choice(["max", "min"]), help="Which value is better. Default: by the metric's name.")
@click.option("--objective", type=click.Choice(["best", "last"]), default="best", show_default=True,
              help="The best validation of a run counts, or the last.")  # fmt: skip
@click.option("--grid", multiple=True, metavar="KEY=A,B ...", help="Try all combinations of these values.")
@click.option("--random", "num_random", type=int, metavar="N", help="Try N random points of --space.")
@click.option("--optuna", "num_optuna", type=int, metavar="N", help="Try N points of --space that Optuna chooses.")
@click.option("--space", multiple=True, metavar="KEY=RANGE ...",
              help="Axes: uniform(A,B[,STEP]), loguniform(A,B), int(A,B[,STEP]), logint(A,B), normal(MEAN,STD), A,B,C.")  # fmt: skip
@click.option("--sampler", default="TPESampler", help="Optuna: class of optuna.samplers. Default: TPESampler.")
@click.option("--sampler-args", default="{}", metavar="JSON", help="Optuna: arguments of the sampler.")
@click.option("--pruner", help="Optuna: class of optuna.pruners that may end runs early. Default: none.")
@click.option("--pruner-args", default="{}", metavar="JSON", help="Optuna: arguments of the pruner.")
@click.option("--storage", help="Optuna: URL of a database, or a journal file. Several machines may share it.")
@click.option("--study", help="Optuna: name of the study in the storage. Default: the name of --dir.")
@click.option("--folds", type=int, default=0, metavar="K", help="Train each point on K folds; the mean counts.")
@click.option("--fold-key", "fold_keys", multiple=True, metavar="KEY",
              help="Key that takes the number of the fold. Default: fold of each KFoldDataset.")  # fmt: skip
@click.option("--dir", "folder", help="Folder of the sweep. Default: work_dirs/<name of the config>_sweep.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the search.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Runs at a time.")
@click.option("--devices", help="Accelerators, such as 0,1,2,3, dealt out evenly to the runs of this machine.")
@click.option("--submitit", is_flag=True, help="Train on a Slurm cluster, by submitit.")
@click.option("--submitit-args", default="{}", metavar="JSON",
              help='Its parameters, such as {"slurm_partition": "gpu", "timeout_min": 60}; "cluster" may be "local".')  # fmt: skip
@click.option("--ray", "ray_address", metavar="ADDRESS", help='Train on a Ray cluster; "local" starts one here.')
@click.option("--ray-args", default="{}", metavar="JSON", help='Resources of a run, such as {"num_gpus": 1}.')
@click.option(
    "--max-failures",
    type=click.IntRange(0),
    help="The sweep ends after more than this many failed trials. Default: no limit.",
)
@click.option(
    "--retry-failed", is_flag=True, help="Start trials again that failed in an earlier call; not with --optuna."
)
@click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config of all trials.")
@click.pass_context
def run(
    ctx: click.Context, /, config: str, metric: str, folder: str | None, cfg_options: tuple[str, ...], **options: Any
) -> int:
    """Train CONFIG with several settings. The same command goes on with a sweep that was killed.

    Exit status: 0 done, 1 some trials failed, 2 a mistake in the call or the config, 130 Ctrl-C.
    """
    from ._controller import Stopped
    from ._space import parse_axes
    from ._sweep import sweep as run_sweep

    search = _search_from_options(options)
    axes = [*options["grid"], *options["space"]]
    cfg = ctx.obj.load_config(config, cfg_options)
    sweep_folder = Path(folder) if folder is not None else Path("work_dirs") / f"{Path(config).stem}_sweep"
    names = ("mode", "objective", "seed", "folds", "fold_keys", "max_failures", "retry_failed")
    settings = {name: options[name] for name in names}
    try:
        report = run_sweep(
            cfg, parse_axes(axes), metric=metric, folder=sweep_folder, search=search,
            executor=_executor_from_options(options, sweep_folder), on_trial=_print_trial, **settings,
        )  # fmt: skip
    except Stopped as stop:
        click.echo(f"\nStopped. The same command goes on with the sweep in {sweep_folder}.", err=True)
        return 128 + stop.number
    failed = [trial for trial in report.trials.values() if trial.state == "failed"]
    for trial in failed:
        click.echo(f"trial {trial.number:04d} failed: {trial.error}", err=True)
    if failed:
        click.echo(f"Logs: {sweep_folder}/trials/NUMBER/{'fold_K/' if options['folds'] else ''}trial.log.", err=True)
        if options["num_optuna"] is None:  # Not for Optuna, in whose studies a failed trial cannot be restarted.
            click.echo("After the cause is mended, the same command with --retry-failed starts them again.", err=True)
    if report.best is not None:
        click.echo(f"Best: trial {report.best.number:04d}, {metric} = {report.best.value:.6g}")
        click.echo(f"Train it: eng train {sweep_folder / 'best.py'}")
    click.echo(f"All trials: eng sweep show {sweep_folder}")
    return 1 if failed else 0


@sweep.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--html", is_flag=False, flag_value="", metavar="[FILE]",
              help="Write a page with parallel coordinates and importance. Default: sweep.html in DIR.")  # fmt: skip
@click.option("--best", metavar="FILE", help="Write the best config into FILE. Default: best.py in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print all trials as JSON.")
def show(folder: str, html: str | None, best: str | None, as_json: bool) -> None:
    """Show the trials of the sweep in DIR, from the best on.

    The best config is written too.
    """
    from ._report import load_sweep, table

    report = load_sweep(folder)
    if as_json:
        click.echo(
            json.dumps({"metric": report.definition.metric, "importance": report.importance, "trials": report.rows()})
        )
    else:
        for line in table(report):
            click.echo(line)
        for trial in report.ranked:
            if trial.error:
                click.echo(f"failed: {trial.error}")
        for key, share in sorted(report.importance.items(), key=lambda item: -item[1]):
            click.echo(f"importance of {key}: {share:.2f}")
    if report.best is not None:
        click.echo(f"best config: {report.write_best(best)}", err=True)
    if html is not None:
        click.echo(f"page: {report.write_page(html or None)}", err=True)


def _print_trial(trial: Any) -> None:
    value = f"{trial.value:.6g}" if trial.value is not None else trial.error or ""
    params = " ".join(f"{key}={item}" for key, item in trial.params.items())
    click.echo(f"trial {trial.number:04d} {trial.state}: {value}  {params}")


def _search_from_options(options: dict[str, Any]) -> Any:
    """Returns the settings of the search that the options of ``eng sweep`` select: grid, random or Optuna.

    Raises:
        click.UsageError: not exactly one of ``--grid``, ``--random`` and ``--optuna`` is given, ``--space`` does not
            fit the search, or an argument is not a JSON object.
    """
    from ._search import Grid, OptunaSearch, RandomSearch

    chosen = [name for name in ("grid", "num_random", "num_optuna") if options[name] not in ((), None)]
    if len(chosen) != 1:
        raise click.UsageError("give one of --grid KEY=A,B, --random N or --optuna N")
    if chosen == ["grid"]:
        if options["space"]:
            raise click.UsageError("--grid takes its axes itself; leave --space out")
        return Grid()
    if not options["space"]:
        raise click.UsageError("--random and --optuna need axes: --space KEY=RANGE ...")
    if chosen == ["num_random"]:
        return RandomSearch(options["num_random"])
    settings = {name: options[name] for name in _OPTUNA_ONLY}
    for name in ("sampler_args", "pruner_args"):
        settings[name] = _parse_json_object(name, options[name])
    return OptunaSearch(options["num_optuna"], **settings)


def _executor_from_options(options: dict[str, Any], folder: Path) -> Any:
    """Creates the executor that the options of ``eng sweep`` select: this machine, a Slurm cluster or a Ray cluster.

    Raises:
        click.UsageError: both ``--submitit`` and ``--ray`` are given, or an argument is not a JSON object.
    """
    from ._executors import LocalExecutor, RayExecutor, SubmititExecutor

    if options["submitit"] and options["ray_address"]:
        raise click.UsageError("give --submitit or --ray, not both")
    if options["submitit"]:
        parameters = _parse_json_object("submitit_args", options["submitit_args"])
        return SubmititExecutor(folder, options["jobs"], parameters.pop("cluster", None), parameters)
    if options["ray_address"]:
        return RayExecutor(options["ray_address"], options["jobs"], _parse_json_object("ray_args", options["ray_args"]))
    devices = options["devices"]
    return LocalExecutor(options["jobs"], devices.split(",") if devices is not None else None)


def _parse_json_object(name: str, text: str) -> dict[str, Any]:
    """Parses the JSON object that an option takes; `name` is the name of the option in Python, for the error message.

    Raises:
        click.UsageError: the text is not valid JSON, or not an object.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--{name.replace('_', '-')} takes a JSON object, got {text!r}: {error}") from error
    if not isinstance(data, dict):
        raise click.UsageError(f"--{name.replace('_', '-')} takes a JSON object, got {text!r}")
    return data
