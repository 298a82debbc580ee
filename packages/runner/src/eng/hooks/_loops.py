"""What hooks and the log processor ask of a loop: what it counts, and which of several sets it is at."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from eng.dataset.utils import length_of

__all__ = [
    "batches_into_epoch",
    "counts_epochs",
    "current_set",
    "epochs_over",
    "follow_loop",
    "train_loop_of",
    "validates_within_epochs",
]

logger = logging.getLogger(__name__)


def train_loop_of(runner: Any) -> Any:
    """The training loop of a run or its config; reading ``runner.train_loop`` would build it in the middle of a test."""
    part = getattr(runner, "train_part", None)
    if part is None:
        return runner.train_loop
    return part.peek()


def follow_loop(setting: bool | None, runner: Any, argument: str, consequence: str) -> bool:
    """Whether to count epochs: what the user said or, without that, what the training loop counts.

    Args:
        setting: the user's setting; None follows the loop.
        runner: the run.
        argument: name of the setting, for the warning where the run counts iterations and the setting epochs.
        consequence: of that.
    """
    by_loop = counts_epochs(train_loop_of(runner))
    if setting and not by_loop:
        logger.warning(
            "%s=True counts epochs and this run counts iterations, so that %s; leave it out or set it to False",
            argument,
            consequence,
        )
    if setting is None:
        return by_loop
    return setting


def counts_epochs(train_loop: Any) -> bool:
    """Whether a training run counts epochs, as most do, or iterations.

    Args:
        train_loop: the loop, its config, or None where there is no training.

    Example:
        >>> counts_epochs({"by_epoch": False, "max_iters": 100}), counts_epochs({"max_epochs": 3}), counts_epochs(None)
        (False, True, True)
    """
    if isinstance(train_loop, Mapping):
        loop_type = train_loop.get("type")
        if loop_type is None:
            return bool(train_loop.get("by_epoch", "max_iters" not in train_loop))
        return "max_epochs" in train_loop or "max_iters" not in train_loop
    return not getattr(train_loop, "counts_iterations", False)


def current_set(runner: Any, mode: str) -> str | None:
    """Name of the set that is validated or tested; None where there is only one set of data.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    name = getattr(getattr(runner, f"{mode}_loop", None), "current_set", None)
    if isinstance(name, str):
        return name
    return None


def validates_within_epochs(runner: Any) -> bool:
    """Whether a run of epochs validates within them too, by a part of an epoch or by minutes.

    The number of the epoch would then name several validations.
    """
    loop = train_loop_of(runner)
    return counts_epochs(loop) and bool(getattr(loop, "validates_inside_pass", False))


def batches_into_epoch(runner: Any) -> int:
    """Batches of the current epoch that are over; 0 between two epochs, and where the loop does not tell."""
    loop = train_loop_of(runner)
    tell = getattr(loop, "position", None)
    return int(tell(None).get("batch", 0)) if callable(tell) and counts_epochs(loop) else 0


def epochs_over(runner: Any) -> str:
    """The number of epochs that are over, with the part of the current one: ``1``, ``1.25``, or ``1+32`` in a stream.

    It has as many digits as it takes to tell two batches apart.
    """
    batches, epoch = batches_into_epoch(runner), int(runner.epoch)
    if not batches:
        return str(epoch)
    length = length_of(train_loop_of(runner).dataloader)
    if not length:
        return f"{epoch}+{batches}"
    return f"{epoch + batches / length:.{len(str(length))}f}".rstrip("0")
