"""Tells hooks and the log processor about a loop: whether it counts epochs or iterations, its position, its dataset."""

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
    """Returns the training loop; if the loop is not built yet, its config.

    Reading ``runner.train_loop`` instead would build the loop.
    """
    part = getattr(runner, "train_part", None)
    if part is None:
        return runner.train_loop
    return part.peek()


def follow_loop(setting: bool | None, runner: Any, argument: str, consequence: str) -> bool:
    """Returns whether a hook counts epochs (True) or iterations (False).

    If the user's setting is True and the training loop counts iterations, a warning is logged.

    Args:
        setting: the user's setting, which is returned; None returns whether the training loop counts epochs.
        runner: the run.
        argument: name of the setting, for the warning.
        consequence: what happens in a run that counts iterations if the hook counts epochs, for the warning.
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
    """Whether a training loop counts epochs (True) or iterations.

    Args:
        train_loop: the loop, its config, or None for a run without training, which counts as epochs.

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
    """Returns the name of the dataset that is being validated or tested; None if there is only one dataset.

    Args:
        runner: the run.
        mode: ``"val"`` or ``"test"``.
    """
    name = getattr(getattr(runner, f"{mode}_loop", None), "current_set", None)
    if isinstance(name, str):
        return name
    return None


def validates_within_epochs(runner: Any) -> bool:
    """Whether a run that counts epochs also validates inside an epoch: after a fraction of an epoch or some minutes.

    Several validations then have the same epoch number, so their metrics must be logged over iterations. False for a
    run that counts iterations.
    """
    loop = train_loop_of(runner)
    return counts_epochs(loop) and bool(getattr(loop, "validates_inside_pass", False))


def batches_into_epoch(runner: Any) -> int:
    """Returns the number of completed batches of the current training epoch.

    The number is 0 between two epochs, in a run that counts iterations, and for a loop of another library.
    """
    loop = train_loop_of(runner)
    position = getattr(loop, "position", None)
    if not callable(position) or not counts_epochs(loop):
        return 0
    return int(position(None).get("batch", 0))


def epochs_over(runner: Any) -> str:
    """Formats the progress of training in epochs: ``1``, or ``1.25`` after a quarter of the second epoch.

    The text has enough digits to distinguish two consecutive batches. For a dataset without a length, the text is
    ``1+32`` after 1 epoch and 32 batches.
    """
    batches, epoch = batches_into_epoch(runner), int(runner.epoch)
    if not batches:
        return str(epoch)
    length = length_of(train_loop_of(runner).dataloader)
    if not length:
        return f"{epoch}+{batches}"
    return f"{epoch + batches / length:.{len(str(length))}f}".rstrip("0")
