"""Collects facts about the end of a training run: its status, counters and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eng.hooks import CheckpointHook
from eng.hooks._rules import infer_rule
from eng.logging import HistoryBuffer
from eng.runner.errors import RunInterrupted
from eng.runner.run import Run

from .masking import masked


def ending(runner: Run, error: BaseException | None) -> tuple[str, dict[str, Any]]:
    """Returns the status of a training run that has ended, and a dict of its counters, metrics and last checkpoint.

    The status is ``"done"``, ``"interrupted"`` (by a signal, Ctrl-C or the time budget) or ``"failed"``.

    Args:
        runner: the runner that trained.
        error: the exception that ended the training; None if the training is complete.
    """
    hub = runner.message_hub
    iterations = runner.iter
    if isinstance(error, RunInterrupted):
        iterations = max(iterations, error.iterations or 0)
    histories = {
        name.removeprefix("val/"): buffer
        for name, buffer in hub.log_scalars.items()
        if name.startswith("val/") and name not in ("val/time", "val/data_time") and not name.startswith("val/loss")
    }
    followed = best_scores(runner)
    best = None
    if followed:
        metric = next(iter(followed))
        best = {"metric": metric, "score": followed[metric]}
    facts = {
        "epoch": runner.epoch,
        "iter": iterations,
        "metrics": {name: float(buffer.current()) for name, buffer in histories.items()},
        "best_metrics": {**_best_values(histories), **followed},
        "best": best,
        "last_checkpoint": hub.get_info("last_ckpt"),
    }
    if error is None:
        return "done", facts
    if isinstance(error, (RunInterrupted, KeyboardInterrupt)):
        return "interrupted", facts
    return "failed", {**facts, "error": masked(f"{type(error).__name__}: {error}")}


def best_scores(runner: Run) -> dict[str, float]:
    """Returns the best value of each metric by which a CheckpointHook selects the best checkpoint (``save_best``).

    Args:
        runner: the runner that trained.
    """
    hub, scores = runner.message_hub, {}
    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        for metric in hook.best_ckpts:
            score = hub.get_info(f"best_score_{metric}", hub.get_info("best_score"))
            if score is not None:
                scores[metric] = float(score)
    return scores


def _best_values(histories: Mapping[str, HistoryBuffer]) -> dict[str, float]:
    """Returns the best value of each validation metric.

    A metric is left out if its name does not tell whether greater or smaller values are better.
    """
    best = {}
    for name, buffer in histories.items():
        values = np.asarray(buffer.data[0], dtype=float)
        try:
            rule = infer_rule(name)
        except ValueError:
            continue
        if not np.isfinite(values).any():
            continue
        if rule == "greater":
            best[name] = float(np.nanmax(values))
        else:
            best[name] = float(np.nanmin(values))
    return best
