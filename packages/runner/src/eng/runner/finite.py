"""Losses that become NaN or infinite: found without stopping the device between two log points."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch

from eng.device import get_device
from eng.dist import all_gather_object, all_reduce, get_world_size
from eng.optim._finite import NonFiniteGuard, keep_where

from .errors import LossSpikeError, NonFiniteLossError
from .failure import sample_numbers, samples_text
from .spike import SpikeDetector

logger = logging.getLogger(__name__)


class FiniteWatch:
    """Collects the losses of each iteration as they are and looks at all of them at once.

    It looks every ``interval`` iterations, before each checkpoint, so that none is written of a run that broke, and at
    the end of training.

    Args:
        policy: ``"warn"``, ``"stop"``, ``"skip"`` (see :class:`StepGuard`) or ``"rollback"``.
        interval: iterations between two looks, counted over the ends of epochs.
        spikes: finds losses that jump; None does not look for them.
    """

    _seen: list[tuple[int, str, torch.Tensor]]
    _places: list[tuple[int, int]]  # where consecutive iterations begin, and the number of the first
    _iterations: int
    _next_batch: int

    def __init__(self, policy: str, interval: int, spikes: SpikeDetector | None = None) -> None:
        self.policy = policy
        self.interval = interval
        self.spikes = spikes
        self._loop: Any = None
        self.forget()

    def observe(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Takes in the losses of an iteration; stands at ``after_train_iter``, before the hooks."""
        place = self._iterations
        if batch_idx != self._next_batch:  # an epoch began, or iterations were left out
            self._places.append((place, runner.iter))
        self._next_batch = batch_idx + 1
        if isinstance(outputs, dict):
            loss = outputs.get("loss")
            if isinstance(loss, torch.Tensor):
                self._seen.append((place, "loss", loss))
            else:
                self._seen += [
                    (place, name, value)
                    for name, value in outputs.items()
                    if "loss" in name and isinstance(value, torch.Tensor) and value.numel() == 1
                ]
        self._iterations = place + 1
        if self._iterations >= self.interval:
            self._loop = getattr(runner, "train_loop", None)
            self.look()

    def forget(self) -> None:
        """Forgets what was collected."""
        self._seen, self._places = [], []
        self._iterations, self._next_batch = 0, -1

    def goes_back_from(self, error: NonFiniteLossError) -> bool:
        """Whether the run returns to a checkpoint after this error."""
        if isinstance(error, LossSpikeError):
            return self.spikes is not None and self.spikes.policy.action == "rollback"
        return self.policy == "rollback"

    def look(self, *_: Any, **__: Any) -> None:
        """Reads what was collected, in one go, and forgets it.

        Raises:
            NonFiniteLossError: a loss is not finite and the policy is ``"stop"`` or ``"rollback"``.
        """
        seen, places = self._seen, self._places
        self.forget()
        if not seen:
            return
        losses = _stacked([value for _, _, value in seen])
        if self.spikes is not None:
            self._look_for_spikes([(_iteration(place, places), name) for place, name, _ in seen], losses)
        # One number tells whether all are finite; a sum that only became too large is looked at more closely.
        mine = [] if math.isfinite(losses.sum().item()) else torch.isfinite(losses).tolist()
        bad = [
            (_iteration(place, places), name) for (place, name, _), good in zip(seen, mine, strict=False) if not good
        ]
        if get_world_size() > 1:  # what one rank found, all act upon
            bad = sorted({found for of_rank in all_gather_object(bad) for found in of_rank})
        if not bad:
            return
        first = bad[0][0]
        if self.policy in ("stop", "rollback"):
            raise NonFiniteLossError(first, sorted({name for iteration, name in bad if iteration == first}))
        skipped = "; its update was skipped" if self.policy == "skip" else ""
        logger.warning(
            "%d of %d losses are not finite, the first at iteration %d%s%s",
            len(bad),
            len(seen),
            first + 1,
            samples_text(sample_numbers(self._loop, first)),
            skipped,
        )

    def _look_for_spikes(self, names: list[tuple[int, str]], losses: torch.Tensor) -> None:
        """Reads all losses and acts on those that jump; what one rank found, all act upon.

        Raises:
            LossSpikeError: there is one and the action is not ``"warn"``.
        """
        detector: SpikeDetector = self.spikes  # type: ignore[assignment]  # asked for by the caller
        totals = [(place, value) for (place, name), value in zip(names, losses.tolist(), strict=True) if name == "loss"]
        spikes = detector.find(totals)
        if get_world_size() > 1:
            spikes = sorted({spike for of_rank in all_gather_object(spikes) for spike in of_rank})
        if spikes and detector.policy.action == "warn":
            for place, loss, median in spikes:
                samples = samples_text(sample_numbers(self._loop, place))
                message = "iteration %d gave a loss of %.4g, %.1f times the median before%s"
                logger.warning(message, place + 1, loss, loss / median, samples)
        elif spikes:
            raise LossSpikeError(*spikes[0])


class StepGuard:
    """Undoes an optimizer step whose gradients are not finite, and what the model's buffers took from its batch.

    :class:`~eng.optim._finite.NonFiniteGuard` looks after parameters and the optimizer's tensors in each step, whoever
    takes it; buffers such as BatchNorm's statistics follow the same flag.

    Args:
        model: the model whose buffers are kept; one with ``splits_updates`` leaves each rank a part of the update.
        optimizer: the optimizer to guard.

    Attributes:
        guard: what skips the steps, and counts them.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.guard = NonFiniteGuard()
        self._is_split = bool(getattr(model, "splits_updates", False))
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        optimizer.register_step_pre_hook(self._keep)
        optimizer.register_step_post_hook(self._restore)

    def _keep(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self.guard.keep(optimizer)
        if self._is_split:
            mine = self.guard.finite
            flag = torch.ones((), dtype=torch.int32, device=get_device()) if mine is None else mine.to(torch.int32)
            all_reduce(flag, op="min")
            self.guard.finite = flag > 0

    @torch.no_grad()
    def _restore(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        finite = self.guard.restore(optimizer)
        if finite is None:
            return
        for buffer, good in self._buffers:
            keep_where(finite, buffer, good)
            good.copy_(buffer)


def _iteration(place: int, places: list[tuple[int, int]]) -> int:
    begin, iteration = next(mark for mark in reversed(places) if mark[0] <= place)
    return iteration + place - begin


@torch.no_grad()
def _stacked(losses: list[torch.Tensor]) -> torch.Tensor:
    try:
        return torch.stack(losses)
    except RuntimeError:  # not all alike
        device = losses[0].device
        return torch.stack([loss.to(device, torch.float32).mean() for loss in losses])


def policy_and_interval(setting: str | Mapping[str, Any], log_interval: int) -> tuple[str, int]:
    """The policy and how often to look, from ``"stop"`` or ``dict(type="stop", interval=20)``."""
    if isinstance(setting, Mapping):
        return setting.get("type", "warn"), int(setting.get("interval", log_interval))
    return setting, log_interval


def probable_causes(iteration: int, left_out: Collection[int], patience: int = 4) -> set[int]:
    """The iterations to leave out when ``iteration`` gave a loss that is not finite.

    A loss that breaks right behind iterations that were left out may come of its own batch, or of the update before
    them: both go.

    Args:
        iteration: the first one with such a loss.
        left_out: iterations that were left out before.
        patience: neighbours to leave out before giving up.

    Returns:
        The iterations; none where it is time to give up.

    Example:
        >>> probable_causes(9, set()), probable_causes(9, {8}), probable_causes(9, {5, 6, 7, 8})
        ({9}, {9, 7}, set())
    """
    before = iteration - 1
    while before in left_out:
        before -= 1
    neighbours = iteration - 1 - before
    if iteration in left_out or neighbours >= patience:
        return set()
    return {iteration, before} if neighbours and before >= 0 else {iteration}
