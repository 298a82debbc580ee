"""``eng train``, ``eng val`` and ``eng test``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from eng.config import Config
from eng.logging.words import metrics_line
from eng.runner.run import Run

if TYPE_CHECKING:
    from .runner import Runner

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED = 130


def _shared(function: F) -> F:
    """Decorates a command with the argument and options that train, val and test share."""
    options = (
        click.argument("config", type=click.Path(dir_okay=False)),
        click.option(
            "--work-dir", help="Folder of checkpoints and logs. Default: the config's, or work_dirs/<its name>."
        ),
        click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config."),
        click.option(
            "--launcher",
            type=click.Choice(["none", "pytorch", "slurm", "mpi"]),
            help="How the processes were started. Default: the config's.",
        ),
        click.option("--nproc", type=click.IntRange(1), help="Start this many processes on this machine."),
        click.option(
            "--nnodes",
            metavar="N|MIN:MAX",
            help="Machines of the job; give the same call on each. A range lets machines leave and join.",
        ),
        click.option("--rdzv", metavar="HOST:PORT", help="Where the machines meet: an address of the first machine."),
        click.option("--rdzv-id", metavar="ID", help="Name of the job, the same on all machines. Default: HOST:PORT."),
        click.option("--rdzv-conf", metavar="KEY=VALUE,...", help="Times of the meeting, as torchrun takes them."),
        click.option(
            "--max-restarts", type=click.IntRange(0), default=0, help="Restarts of all processes after a failure."
        ),
        click.option("--verbose", is_flag=True, help="Print what the log file holds: environment, config, hooks."),
        # torch.distributed.launch passes this option to every process, so it is accepted and has no effect.
        click.option("--local_rank", "--local-rank", type=int, hidden=True),
        click.pass_context,
    )
    for option in reversed(options):
        function = cast("F", option(function))
    return function


_allow_partial = click.option(
    "--allow-partial", is_flag=True, help="Accept a checkpoint of which under half of the parameters match."
)


@click.command()
@_shared
@_allow_partial
@click.option(
    "--resume",
    is_flag=False,
    flag_value="auto",
    metavar="[CHECKPOINT|RUN]",
    help="Go on from the newest whole checkpoint in the work dir, from CHECKPOINT, or from the newest one of RUN.",
)
@click.option(
    "--resume-take",
    "take",
    multiple=True,
    metavar="KEY",
    help="Use the new value of KEY where the checkpoint's would win, such as optim_wrapper.optimizer.lr.",
)
@click.option("--amp", is_flag=True, help="Mixed precision.")
@click.option("--auto-scale-lr", is_flag=True, help="Scale learning rates by the batch size over its base.")
@click.option("--fast", is_flag=True, help="Try everything on a few batches: train, validate, save, resume, test.")
def train(
    ctx: click.Context,
    config: str,
    resume: str | None,
    take: tuple[str, ...],
    amp: bool,
    auto_scale_lr: bool,
    fast: bool,
    allow_partial: bool,
    **common: Any,
) -> int:
    """Train the model of CONFIG.

    Ctrl-C saves the state at the next safe point and says how to go on; a second one stops at once. Exit status: 0
    done, 2 a mistake in the call or the config, 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1, 75 the time budget was used up.
    """
    if _wants_agent(common):
        return _start_with_agent(common)
    cfg = _load(ctx, config, common)
    if resume is not None:
        cfg.resume, cfg.load_from = True, None
        if resume != "auto":
            cfg.load_from = _checkpoint_of(resume, "--resume")
    if take:
        cfg.resume = {"take": list(take)}
    if allow_partial:
        cfg.allow_partial = True
    if amp:
        _use_amp(cfg)
    if auto_scale_lr:
        _enable_auto_scale_lr(cfg)
    if fast:
        return _run_fast(cfg)
    option = "--resume"
    if resume is None:
        option = "load_from"
    _must_exist(cfg.get("load_from"), option)
    return _run(cfg, lambda runner: runner.train(), lambda runner: None, verbose=common["verbose"])


@click.command()
@_shared
@click.option(
    "--checkpoint",
    metavar="CHECKPOINT|RUN",
    help="Weights to validate, a file or the best of a run; none: those that the model begins with. Default: the config's load_from, then the best, then the newest in the work dir.",
)
@_allow_partial
def val(ctx: click.Context, config: str, checkpoint: str | None, allow_partial: bool, **common: Any) -> int:
    """Validate the model of CONFIG."""
    return _evaluate(ctx, config, checkpoint, allow_partial, common, lambda runner: runner.val())


@click.command(name="test")
@_shared
@click.option(
    "--checkpoint",
    metavar="CHECKPOINT|RUN",
    help="Weights to test, a file or the best of a run; none: those that the model begins with. Default: the config's load_from, then the best, then the newest in the work dir.",
)
@click.option("--tta", is_flag=True, help="Test with augmentations, as the config's tta_model and tta_pipeline say.")
@_allow_partial
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    help="Write all predictions to this .pkl file; those of several test sets to OUT_<set>.pkl.",
)
def test_command(
    ctx: click.Context,
    config: str,
    checkpoint: str | None,
    allow_partial: bool,
    tta: bool,
    out: str | None,
    **common: Any,
) -> int:
    """Test the model of CONFIG."""

    def prepare(cfg: Config) -> None:
        if tta:
            _use_tta(cfg)
        if out is not None:
            _dump_predictions(cfg, out)

    return _evaluate(ctx, config, checkpoint, allow_partial, common, lambda runner: runner.test(), prepare)


# --- the config of a command-line call -------------------------------------------------------------------------------


def _load(ctx: click.Context, config: str, common: dict[str, Any]) -> Any:
    """Loads the config of a command, and applies the options for work dir and launcher.

    Raises:
        click.ClickException: the work dir is not writable.
    """
    cfg = ctx.obj.load_config(config, common["cfg_options"])
    if common["work_dir"] is not None:
        cfg.work_dir = common["work_dir"]
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(config).stem)
    if common["launcher"] is not None:
        cfg.launcher = common["launcher"]
    from .environment import local_work_dir

    _must_be_writable(Path(local_work_dir(cfg.work_dir)))
    return cfg


def _must_be_writable(folder: Path) -> None:
    """Checks that the work dir is writable, so that a run does not fail at its first checkpoint.

    The folder is not created: a mistake in the config, which is reported later, must not leave an empty folder behind.

    Raises:
        click.ClickException: the work dir is not writable.
    """
    nearest = next(candidate for candidate in (folder.absolute(), *folder.absolute().parents) if candidate.exists())
    if not nearest.is_dir():
        raise _mistake(f"work_dir: cannot write to {folder}: {nearest} is a file; choose another by --work-dir")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _mistake(f"work_dir: cannot write to {folder}: {nearest} is read-only; choose another by --work-dir")


def _choose_weights(cfg: Config, checkpoint: str | None) -> None:
    """Sets ``load_from`` to the checkpoint to evaluate; prints the path if the user named no checkpoint.

    Raises:
        click.ClickException: there is no checkpoint, or the named file does not exist.
    """
    from .environment import local_work_dir
    from .state.policy import find_trained_checkpoint

    if checkpoint == "none":
        cfg.load_from = None
        click.echo("weights: those that the model begins with", err=True)
        return
    if checkpoint is not None:
        cfg.load_from = _checkpoint_of(checkpoint, "--checkpoint")
        _must_exist(cfg.load_from, "--checkpoint")
        return
    if cfg.get("load_from") is not None:
        _must_exist(cfg.load_from, "load_from")
        return
    checkpoint_path = find_trained_checkpoint(local_work_dir(cfg.work_dir))
    if checkpoint_path is None:
        raise _mistake(
            f"no weights: there is no checkpoint in {cfg.work_dir} and no load_from in the config; name one by --checkpoint "
            "(--checkpoint none takes the weights that the model begins with)"
        )
    click.echo(f"weights: {checkpoint_path}", err=True)
    cfg.load_from = checkpoint_path


def _checkpoint_of(name: str, option: str) -> str:
    """Returns the path of the checkpoint that an option names.

    If the option names a run, ``--resume`` uses the newest checkpoint of the run, and ``--checkpoint`` its best one.

    Raises:
        click.ClickException: the run has no checkpoint.
    """
    from .named_checkpoint import named_checkpoint
    from .passport.runs import NoPassportError

    try:
        path = named_checkpoint(name, wants_best=option == "--checkpoint")
    except (FileNotFoundError, NoPassportError) as error:
        raise _mistake(f"{option}: {error}") from error
    if path != name:
        click.echo(f"checkpoint: {path}", err=True)
    return path


def _must_exist(checkpoint: str | None, key: str) -> None:
    """Checks that a checkpoint file exists, before the run creates its folder and its log.

    Raises:
        click.ClickException: the file does not exist.
    """
    from .state.policy import check_exists

    if checkpoint is None:
        return
    try:
        check_exists(checkpoint, key)
    except FileNotFoundError as error:
        raise _mistake(str(error)) from error


def _mistake(message: str) -> click.ClickException:
    return click.ClickException(message)


def _use_amp(cfg: Config) -> None:
    """Makes the config use AmpOptimWrapper; raises an error if it names an optimizer wrapper of another class."""
    wrapper = cfg.get("optim_wrapper") or {}
    wrapper_type = wrapper.get("type", "OptimWrapper")
    if wrapper_type not in ("OptimWrapper", "AmpOptimWrapper"):
        raise _mistake(f"--amp works on OptimWrapper, and optim_wrapper.type is {wrapper_type!r}")
    wrapper["type"] = "AmpOptimWrapper"


def _enable_auto_scale_lr(cfg: Config) -> None:
    """Sets ``auto_scale_lr.enable``; raises an error if the config has no ``base_batch_size`` to scale by."""
    if not (cfg.get("auto_scale_lr") or {}).get("base_batch_size"):
        raise _mistake("--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config")
    cfg.auto_scale_lr.enable = True


def _use_tta(cfg: Config) -> None:
    """Wraps the model in the config's ``tta_model``, and makes the test datasets use the config's ``tta_pipeline``."""
    from eng.hooks.prepare_tta_hook import use_pipeline

    from .assemble.several import loaders_of_sets

    if "tta_model" not in cfg:
        raise _mistake("--tta needs a tta_model in the config, such as dict(type='MyTTAModel')")
    if "tta_pipeline" in cfg:
        for dataloader in loaders_of_sets(cfg.test_dataloader):
            use_pipeline(dataloader, cfg.tta_pipeline)
    cfg.model = dict(**cfg.tta_model, module=cfg.model)


def _dump_predictions(cfg: Config, out: str) -> None:
    """Makes the test write its predictions to the file ``out``; with several datasets, to one file per dataset.

    The name of a dataset is added to the name of its file: ``<out>_clean.pkl``.
    """
    from .assemble.several import evaluators_by_set, names_of_sets

    if not out.endswith((".pkl", ".pickle")):
        raise _mistake(f"--out writes a pickle: give a name that ends in .pkl, not {out!r}")
    names = names_of_sets(cfg.get("test_dataloader"))
    evaluator = cfg.get("test_evaluator")
    if not names:
        cfg.test_evaluator = _with_dump(evaluator, out)
        return
    by_set = evaluators_by_set("test", evaluator, names)
    path = Path(out)
    cfg.test_evaluator = {
        name: _with_dump(of_set, str(path.with_name(f"{path.stem}_{name}{path.suffix}")))
        for name, of_set in by_set.items()
    }


def _with_dump(evaluator: object, out: str) -> Any:
    """Returns the config of an evaluator that also writes the predictions to a file."""
    dump = {"type": "DumpResults", "out_file_path": out}
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:
        return {**evaluator, "metrics": _with_dump(evaluator["metrics"], out)}
    metrics = evaluator or []
    if isinstance(metrics, (list, tuple)):
        return [*metrics, dump]
    return [metrics, dump]


# --- starting the run of a command ---------------------------------------------------------------------------------


def _wants_agent(common: Mapping[str, Any]) -> bool:
    """Whether the options ask for several processes or machines, so that torchrun's agent must start the processes.

    Raises:
        click.UsageError: options for the agent are set without ``--nproc`` or ``--nnodes``.
    """
    if any(common[name] is not None for name in ("nproc", "nnodes", "rdzv")):
        return True
    idle = [f"--{name.replace('_', '-')}" for name in ("rdzv_id", "rdzv_conf", "max_restarts") if common[name]]
    if idle:
        raise click.UsageError(
            f"{' and '.join(idle)} would do nothing, as this call starts no processes: add --nproc N, or --nnodes N --rdzv "
            "HOST:PORT for several machines"
        )
    return False


def _start_with_agent(common: dict[str, Any]) -> int:
    """Starts the processes of this machine with torchrun's agent, and returns the exit status.

    Raises:
        click.ClickException: the options for several machines are incomplete or have a wrong form.
    """
    from .launch import Meeting, relaunch_with_agent

    try:
        meeting = Meeting.of(common["nnodes"], common["rdzv"], common["rdzv_id"], common["rdzv_conf"])
    except ValueError as error:
        raise _mistake(str(error)) from error
    arguments = _without_agent_options(sys.argv[1:])
    return relaunch_with_agent(common["nproc"] or 1, arguments, common["max_restarts"], meeting)


_AGENT_OPTIONS = ("--nproc", "--max-restarts", "--nnodes", "--rdzv", "--rdzv-id", "--rdzv-conf")


def _without_agent_options(arguments: list[str]) -> list[str]:
    """Removes the agent's options, such as ``--nproc``, from arguments: a started process must not start processes."""
    remaining, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _AGENT_OPTIONS:
            skip = True
        elif not argument.startswith(tuple(f"{option}=" for option in _AGENT_OPTIONS)):
            remaining.append(argument)
    return remaining


def _evaluate(
    ctx: click.Context,
    config: str,
    checkpoint: str | None,
    allow_partial: bool,
    common: dict[str, Any],
    action: Callable[[Any], dict[str, float]],
    prepare: Callable[[Any], None] = lambda cfg: None,
) -> int:
    """Loads config and weights, runs a validation or test, and prints the metrics; returns the exit status.

    Args:
        ctx: context of the command, whose ``obj`` loads configs.
        config: path of the config file.
        checkpoint: value of ``--checkpoint``; None if the user did not set it.
        allow_partial: whether a checkpoint may match less than half of the parameters.
        common: values of the options that train, val and test share.
        action: function that validates or tests with a Runner, and returns the metrics.
        prepare: function that changes the config for other options of the command, such as ``--tta``.
    """
    if _wants_agent(common):
        return _start_with_agent(common)
    cfg = _load(ctx, config, common)
    cfg.resume = False
    prepare(cfg)
    _choose_weights(cfg, checkpoint)
    if allow_partial:
        cfg.allow_partial = True
    metrics: dict[str, float] = {}

    def tell(runner: Run) -> None:
        click.echo(f"Done: {metrics_line(metrics)}\nLog: {runner.log_dir}")

    return _run(cfg, lambda runner: metrics.update(action(runner)), tell, verbose=common["verbose"])


def _run_fast(cfg: Config) -> int:
    """Runs a few batches of training, validation and test in a temporary folder; returns the exit status."""
    from ._fast import run_fast

    run_fast(cfg, _build_runner, click.echo)
    return 0


def _build_runner(cfg: Config) -> Runner:
    """Builds a runner from a config, of the class named by the key ``runner_type``; without the key, eng's Runner."""
    from eng.registry import RUNNERS

    from .runner import Runner

    if cfg.get("runner_type"):
        runner: Runner = RUNNERS.build(cfg)
        return runner
    return Runner.from_cfg(cfg)


def _run(cfg: Config, action: Callable[[Any], Any], tell: Callable[[Any], None], *, verbose: bool) -> int:
    """Builds the runner of a config and calls ``action`` with the runner; returns the exit status.

    Args:
        cfg: the complete config.
        action: function that trains, validates or tests.
        tell: function that prints the result on rank 0 after a complete run.
        verbose: whether the console also shows the details that are otherwise only in the log file.

    Returns:
        0 after a complete run, 130 after Ctrl-C, and otherwise the status of the signal or time budget that stopped the
        run.
    """
    from eng.logging._details import showing_details

    from .call import resume_hint
    from .errors import RunInterrupted

    runner: Any = None
    try:
        with showing_details(verbose):
            runner = _build_runner(cfg)
            action(runner)
    except RunInterrupted as stop:
        if runner.rank == 0:
            hint = ""
            if stop.checkpoint:
                hint = f"\n{resume_hint(cfg.work_dir, cfg.filename)}"
            click.echo(f"\nStopped by {stop.reason} {stop.location}.{hint}", err=True)
        return int(stop.code or 0)
    except KeyboardInterrupt:
        progress, hint = "before the first iteration", ""
        if runner is not None and runner.iter:
            progress, hint = f"after iteration {runner.iter}", f"\n{resume_hint(cfg.work_dir, cfg.filename)}"
        click.echo(f"\nStopped at once, {progress}{hint}", err=True)
        return INTERRUPTED
    if runner.rank == 0:
        tell(runner)
    return 0
