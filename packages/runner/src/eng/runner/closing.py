"""Composes the summary at the end of a training run: its results, and the commands that the user can type next."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path

from eng.hooks import CheckpointHook
from eng.hooks.start_report import short_path
from eng.logging.progress import clock
from eng.logging.words import counted
from eng.runner.run import Run

from .assemble.loops import training
from .call import command, is_eng, original_words
from .passport.ending import best_scores

__all__ = ["closing_lines", "log_closing"]


def closing_lines(runner: Run, seconds: float) -> str:
    """Returns the summary of a finished training: time, checkpoints, log, curves and next commands.

    Args:
        runner: the run.
        seconds: duration of the training.
    """
    epochs = ""
    if not training(runner).counts_iterations:
        epochs = f"{counted(runner.epoch, 'epoch')}, "
    lines = [f"Done: {epochs}{counted(runner.iter, 'iteration')}.", f"Time: {clock(seconds)}"]
    if _is_scratch():
        return "\n".join(lines)
    lines += _best_lines(runner)
    last = runner.message_hub.get_info("last_ckpt")
    if last:
        lines.append(f"Last checkpoint: {last}")
    lines.append(f"Log: {Path(runner.log_dir) / (runner.timestamp + '.log')}")
    curves = Path(runner.log_dir) / "vis_data"
    if curves.is_dir():
        lines.append(f"Curves: {curves}")
    commands = _next_commands(runner, curves.is_dir())
    if commands:
        lines += ["Next:", *(f"  {line}" for line in commands)]
    return "\n".join(lines)


def log_closing(runner: Run, began: float) -> None:
    """Logs the summary of a finished training, on rank 0.

    Args:
        runner: the run.
        began: ``time.monotonic()`` at the beginning of the training.
    """
    if runner.rank == 0:
        runner.logger.info(closing_lines(runner, time.monotonic() - began))


def _best_lines(runner: Run) -> Iterator[str]:
    """Yields a line for each metric with the path of its best checkpoint and, if known, the value."""
    scores = best_scores(runner)
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        for metric, path in hook.best_ckpts.items():
            shown = ""
            if metric in scores:
                shown = f" ({metric}: {scores[metric]:.4f})"
            yield f"Best checkpoint: {path}{shown}"


def _is_scratch() -> bool:
    """Whether the work dir is temporary, as in ``eng train --fast``."""
    return is_eng() and "--fast" in original_words()


def _next_commands(runner: Run, has_curves: bool) -> list[str]:
    """Returns the commands that a user can type next: ``eng curves`` and, after ``eng train``, ``eng test``."""
    if importlib.util.find_spec("eng.cli") is None:  # Without the package eng there is no command.
        return []
    arguments = original_words()
    commands = []
    if has_curves:
        commands = [command(["curves", short_path(runner.work_dir)])]
    if is_eng() and arguments[:1] == ["train"] and _tests(runner):
        config = runner.cfg.filename
        if config and runner.cfg.get("test_dataloader") is not None:
            options = _options_for_test(arguments)
            commands.append(command(["test", short_path(config), "--work-dir", short_path(runner.work_dir), *options]))
    return commands


def _tests(runner: Run) -> bool:
    return runner.settings.test_cfg is not None


def _options_for_test(arguments: list[str]) -> list[str]:
    """Returns the options of a training command that the test command needs too: --cfg-options, --nproc, --launcher."""
    options: list[str] = []
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        index += 1
        if argument == "--nproc" or argument == "--launcher":
            options += arguments[index - 1 : index + 1]
            index += 1
        elif argument.startswith(("--nproc=", "--launcher=", "--cfg-options=")):
            options.append(argument)
        elif argument == "--cfg-options":
            options.append(argument)
            while index < len(arguments) and "=" in arguments[index] and not arguments[index].startswith("-"):
                options.append(arguments[index])
                index += 1
    return options
