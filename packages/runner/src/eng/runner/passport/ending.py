"""How a start ended."""

from __future__ import annotations

from typing import Any

from eng.runner.errors import RunInterrupted

from .masking import masked


def ending(runner: Any, error: BaseException | None) -> tuple[str, dict[str, Any]]:
    """The status of a start that is over, and what it reached.

    Args:
        runner: the run.
        error: what ended it; None is the end of the training.
    """
    hub = runner.message_hub
    best = hub.get_info("best_metric")
    metrics = {
        name.removeprefix("val/"): float(buffer.current())
        for name, buffer in hub.log_scalars.items()
        if name.startswith("val/") and name not in ("val/time", "val/data_time") and not name.startswith("val/loss")
    }
    facts = {
        "epoch": runner.epoch,
        "iter": runner.iter,
        "metrics": metrics,
        "best": {"metric": best, "score": hub.get_info("best_score")} if best else None,
        "last_checkpoint": hub.get_info("last_ckpt"),
    }
    if error is None:
        return "done", facts
    if isinstance(error, (RunInterrupted, KeyboardInterrupt)):
        return "interrupted", facts
    return "failed", {**facts, "error": masked(f"{type(error).__name__}: {error}")}
