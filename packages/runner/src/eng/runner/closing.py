"""What a finished training leaves, and what its user can do next."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eng.hooks.start_report import short_path
from eng.logging.progress import clock
from eng.logging.words import counted

from .call import command, is_eng, original_words
from .passport.ending import best_scores

__all__ = ["closing_lines", "log_closing"]


def closing_lines(runner: Any, seconds: float) -> str:
    """Time, best checkpoints, last checkpoint, log, curves and the next commands of a training that is over.

    Args:
        runner: the run.
        seconds: that its training took.
    """
    epochs = "" if _counts_iterations(runner) else f"{counted(runner.epoch, 'epoch')}, "
    lines = [f"Done: {epochs}{counted(runner.iter, 'iteration')}.", f"Time: {clock(seconds)}", *_best_lines(runner)]
    if _is_scratch():
        return "\n".join(lines[:2])
    last = runner.message_hub.get_info("last_ckpt")
    lines += [f"Last checkpoint: {last}"] if last else []
    lines.append(f"Log: {Path(runner.log_dir) / (runner.timestamp + '.log')}")
    curves = Path(runner.log_dir) / "vis_data"
    lines += [f"Curves: {curves}"] if curves.is_dir() else []
    commands = _next_commands(runner, curves.is_dir())
    return "\n".join([*lines, *(["Next:"] if commands else []), *(f"  {each}" for each in commands)])


def log_closing(runner: Any, began: float) -> None:
    """Logs the lines, on rank 0.

    Args:
        runner: the run.
        began: ``time.monotonic()`` at the beginning of its training.
    """
    if runner.rank == 0:
        runner.logger.info(closing_lines(runner, time.monotonic() - began))


def _best_lines(runner: Any) -> Iterator[str]:
    scores = best_scores(runner)
    for hook in runner.hooks:
        for metric, path in getattr(hook, "best_ckpts", {}).items():
            shown = f" ({metric}: {scores[metric]:.4f})" if metric in scores else ""
            yield f"Best checkpoint: {path}{shown}"


def _counts_iterations(runner: Any) -> bool:
    return bool(getattr(runner.train_loop, "counts_iterations", False))


def _is_scratch() -> bool:
    """Whether the folder of this run is removed, as that of ``eng train --fast``."""
    return is_eng() and "--fast" in original_words()


def _next_commands(runner: Any, has_curves: bool) -> list[str]:
    if importlib.util.find_spec("eng.cli") is None:  # eng-runner alone
        return []
    words = original_words()
    commands = [command(["curves", short_path(runner.work_dir)])] if has_curves else []
    if is_eng() and words[:1] == ["train"] and _tests(runner):
        config = getattr(runner.cfg, "filename", None)
        if config and runner.cfg.get("test_dataloader") is not None:
            options = _options_for_test(words)
            commands.append(command(["test", short_path(config), "--work-dir", short_path(runner.work_dir), *options]))
    return commands


def _tests(runner: Any) -> bool:
    return runner.settings.test_cfg is not None


def _options_for_test(words: list[str]) -> list[str]:
    """The ``--cfg-options`` and ``--nproc`` of a training call: the model is that of its options."""
    options: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--nproc" or word == "--launcher":
            options += words[index - 1 : index + 1]
            index += 1
        elif word.startswith(("--nproc=", "--launcher=", "--cfg-options=")):
            options.append(word)
        elif word == "--cfg-options":
            options.append(word)
            while index < len(words) and "=" in words[index] and not words[index].startswith("-"):
                options.append(words[index])
                index += 1
    return options
