"""NonFiniteLossHook: detects losses that are NaN or infinite, with one device synchronization per log point."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

import torch

from eng.dist import all_gather_object, get_world_size
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.registry import HOOKS

from ._samples import samples_of
from ._step_guard import StepGuard
from .errors import LossSpikeError, NonFiniteLossError
from .hook import DataBatch, Hook
from .logger_hook import LoggerHook
from .spike import LossSpike, SpikeDetector
from .view import RunnerView, SkipsIterations, saver_of

logger = logging.getLogger(__name__)
NAN_POLICIES = ("warn", "stop", "skip", "rollback")


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Collects the loss tensors of each iteration and checks all of them at once for NaN and infinity.

    The check runs every ``interval`` iterations, at the end of training and before each checkpoint, so that a run that
    is going to be stopped writes no checkpoint with broken weights. A check in each iteration would make the CPU wait
    for the device each time.

    Args:
        policy: what to do about a non-finite loss. ``"warn"`` (default) logs a warning. ``"stop"`` ends the run with
            NonFiniteLossError. ``"skip"`` undoes the updates whose gradients are not finite. ``"rollback"`` returns to the
            newest checkpoint and trains on without the iteration that gave the loss.
        interval: iterations between two checks, counted across epochs; None (default) uses LoggerHook's interval.
        spike: options of :class:`~eng.hooks.spike.LossSpike`, to detect losses far above the median of earlier losses,
            too; None (default) does not detect them.

    Raises:
        ValueError: ``policy`` is unknown, or ``spike`` has an unknown option.

    Example:
        >>> hook = NonFiniteLossHook("stop", interval=1)
        >>> hook.after_train_iter(None, 0, outputs={"loss": torch.tensor(1.0)})
    """

    priority = "HIGHEST"

    def __init__(
        self, policy: str = "warn", interval: int | None = None, spike: Mapping[str, Any] | None = None
    ) -> None:
        if policy not in NAN_POLICIES:
            raise ValueError(f"nan_policy must be one of {', '.join(NAN_POLICIES)}, got {policy!r}")
        self.policy = policy
        self.interval = 50
        if interval is not None:
            self.interval = int(interval)
        self._follows_logger = interval is None
        spikes = LossSpike.of(spike)
        self.spikes: SpikeDetector | None = None
        if spikes is not None:
            self.spikes = SpikeDetector(spikes)
        self._has_begun = False
        self._seen: list[tuple[int, str, torch.Tensor]] = []
        # Pairs (position, iteration of the run). A position counts the iterations since the last check from 0. A pair
        # is stored where an iteration does not follow the previous one, such as after left-out iterations.
        self._marks: list[tuple[int, int]] = []
        self._iterations = 0
        self._next_batch = -1

    def before_train(self, runner: RunnerView) -> None:
        """Prepares the policy before the first training.

        Reads LoggerHook's interval if none is set. For ``"skip"``, guards the steps of all optimizers. For
        ``"rollback"``, saves a checkpoint of the initial state, to which a run can return before its first regular
        checkpoint.
        """
        if self._has_begun:
            return
        self._has_begun = True
        log_hook = next((hook for hook in runner.hooks if isinstance(hook, LoggerHook)), None)
        if self._follows_logger and log_hook is not None:
            self.interval = log_hook.interval
        if self.policy == "skip":
            self._guard_steps(runner)
        saver = saver_of(runner.hooks)
        if "rollback" in (self.policy, self._spike_action) and saver is not None and not runner.is_resuming:
            saver.save_now(runner, f"rollback_iter_{runner.iter}.pth")

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Stores the losses of an iteration, and checks the stored losses when the interval ends."""
        position = self._iterations
        if batch_idx != self._next_batch:
            # A new epoch began, or the loop left out iterations: store the iteration of the run at this position.
            iteration = 0
            if runner is not None:
                iteration = runner.iter
            self._marks.append((position, iteration))
        self._next_batch = batch_idx + 1
        if isinstance(outputs, dict):
            loss = outputs.get("loss")
            if isinstance(loss, torch.Tensor):
                self._seen.append((position, "loss", loss))
            else:
                self._seen += [(position, name, value) for name, value in outputs.items() if _is_loss(name, value)]
        self._iterations = position + 1
        if self._iterations >= self.interval:
            self.look(runner)

    def before_save_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Checks the stored losses, so that a run that must stop writes no checkpoint with broken weights."""
        self.look(runner)

    def after_train(self, runner: RunnerView) -> None:
        """Checks the losses of the iterations since the last check."""
        self.look(runner)

    def forget(self) -> None:
        """Discards the stored losses without checking them."""
        self._seen, self._marks = [], []
        self._iterations, self._next_batch = 0, -1

    @property
    def _spike_action(self) -> str | None:
        if self.spikes is not None:
            return self.spikes.policy.action
        return None

    def look(self, runner: RunnerView) -> None:
        """Checks the stored losses, with one transfer from the device, and discards them.

        With the policies ``"warn"`` and ``"skip"`` a non-finite loss only logs a warning.

        Args:
            runner: the run; its training loop knows the samples of the batch that gave the loss, for the warning.

        Raises:
            NonFiniteLossError: a loss is not finite and the policy is ``"stop"`` or ``"rollback"``.
            LossSpikeError: a loss jumped and the action is ``"stop"`` or ``"rollback"``.
        """
        seen, marks = self._seen, self._marks
        self.forget()
        if not seen:
            return
        losses = _stack([value for _, _, value in seen])
        if self.spikes is not None:
            totals = [
                (_iteration(position, marks), value)
                for (position, name, _), value in zip(seen, losses.tolist(), strict=True)
                if name == "loss"
            ]
            self._act_on_spikes(runner, self.spikes, totals)
        broken = _gather_losses([(_iteration(seen[i][0], marks), seen[i][1]) for i in _non_finite_indices(losses)])
        if not broken:
            return
        first = broken[0][0]
        if self.policy in ("stop", "rollback"):
            raise NonFiniteLossError(first, sorted({name for iteration, name in broken if iteration == first}))
        skipped = ""
        if self.policy == "skip":
            skipped = "; its update was skipped"
        logger.warning(
            "%d of %d losses are not finite, the first at iteration %d%s%s",
            len(broken),
            len(seen),
            first + 1,
            samples_of(_loop_of(runner), first),
            skipped,
        )

    def _act_on_spikes(self, runner: RunnerView, detector: SpikeDetector, totals: list[tuple[int, float]]) -> None:
        """Warns about loss spikes or ends the run because of them; a spike on one rank counts on all ranks.

        Raises:
            LossSpikeError: there is a spike and the action is not ``"warn"``.
        """
        spikes = detector.find(totals)
        if get_world_size() > 1:
            spikes = sorted({spike for of_rank in all_gather_object(spikes) for spike in of_rank})
        if not spikes:
            return
        if detector.policy.action != "warn":
            raise LossSpikeError(*spikes[0])
        for iteration, loss, median in spikes:
            samples = samples_of(_loop_of(runner), iteration)
            message = "iteration %d gave a loss of %.4g, %.1f times the median before%s"
            logger.warning(message, iteration + 1, loss, loss / median, samples)

    def go_back(self, runner: RunnerView, error: Exception, origin: str | None) -> bool:
        """Resumes from the newest checkpoint and leaves out the failed iteration, if the policy is ``"rollback"``.

        Args:
            runner: the run, whose training ended with ``error``.
            error: the error that ended the training; any error but a NonFiniteLossError or LossSpikeError returns
                False.
            origin: the checkpoint that the run was resumed from; None for a new run.

        Returns:
            Whether the run is restored and training can continue.
        """
        loop = runner.train_loop
        if not isinstance(error, NonFiniteLossError) or not isinstance(loop, SkipsIterations):
            return False
        if isinstance(error, LossSpikeError):
            action = self._spike_action
        else:
            action = self.policy
        if action != "rollback":
            return False
        culprits = probable_causes(error.iteration, loop.left_out)
        path = _newest_checkpoint(runner) or origin
        if path is None or not culprits:
            return False
        numbers = sorted(number + 1 for number in culprits)
        samples = samples_of(loop, error.iteration)
        runner.logger.warning("%s%s; going back to %s and leaving %s out", error, samples, path, numbers)
        loop.left_out |= culprits
        loop.forget_pass()
        self.forget()
        runner.resume(path)
        return True

    def _guard_steps(self, runner: RunnerView) -> None:
        """Makes each optimizer undo a step with non-finite gradients, and its wrapper count the undone steps."""
        for wrapper in wrappers_by_name(runner.optim_wrapper).values():
            step_guard = StepGuard(runner.model, wrapper.optimizer)
            if hasattr(wrapper, "count_skips_of"):
                wrapper.count_skips_of(step_guard.guard)


def options_of(policy: str | Mapping[str, Any]) -> dict[str, Any]:
    """Converts the setting ``nan_policy`` to arguments of :class:`NonFiniteLossHook`.

    The setting is the name of a policy, such as ``"stop"``, or a dict such as ``dict(type="stop", interval=20)``.
    """
    if not isinstance(policy, Mapping):
        return {"policy": policy}
    options = {"policy": policy.get("type", "warn")}
    if "interval" in policy:
        options["interval"] = policy["interval"]
    return options


def _newest_checkpoint(runner: RunnerView) -> str | None:
    """Returns the path of the newest intact checkpoint of this run, the same on all ranks; None without a checkpoint.

    Only rank 0 writes checkpoints, so all ranks use the path that rank 0 knows.
    """
    saver = saver_of(runner.hooks)
    newest = None
    if saver is not None:
        newest = saver.newest_whole
    newest_of_ranks: list[str | None] = all_gather_object(newest)
    return newest_of_ranks[0]


def _loop_of(runner: RunnerView | None) -> object:
    if runner is None:
        return None
    return runner.train_loop


def _is_loss(name: str, value: object) -> bool:
    return "loss" in name and isinstance(value, torch.Tensor) and value.numel() == 1


def _non_finite_indices(losses: torch.Tensor) -> list[int]:
    """Returns the indices of the losses that are NaN or infinite."""
    # A finite sum proves that all losses are finite, and only one number is read from the device. A sum that is not
    # finite may also be an overflow of finite losses, so the losses are then checked one by one.
    if math.isfinite(losses.sum().item()):
        return []
    return [index for index, is_finite in enumerate(torch.isfinite(losses).tolist()) if not is_finite]


def _gather_losses(losses: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Gathers ``(iteration, name)`` of non-finite losses from all ranks, so that all ranks take the same action."""
    if get_world_size() == 1:
        return losses
    return sorted({loss for of_rank in all_gather_object(losses) for loss in of_rank})


def _iteration(position: int, marks: list[tuple[int, int]]) -> int:
    """Returns the iteration of the run at ``position``, which counts the iterations since the last check from 0.

    ``marks`` are pairs (position, iteration of the run); between two pairs the iterations are consecutive.
    """
    begin, iteration = next(mark for mark in reversed(marks) if mark[0] <= position)
    return iteration + position - begin


@torch.no_grad()
def _stack(losses: list[torch.Tensor]) -> torch.Tensor:
    """Stacks the losses of all iterations to one tensor, so that they can be read with one transfer."""
    try:
        return torch.stack(losses)
    except RuntimeError:
        # The losses differ in shape, dtype or device, so each loss is reduced to its float32 mean, on the first loss's
        # device.
        device = losses[0].device
        return torch.stack([loss.to(device, torch.float32).mean() for loss in losses])


def probable_causes(iteration: int, left_out: Collection[int], patience: int = 4) -> set[int]:
    """Returns the iterations to leave out when ``iteration`` gave a loss that is not finite.

    If the iterations directly before ``iteration`` were left out already, the loss may come from the batch of
    ``iteration`` or from the last update before the gap. Both iterations are then left out.

    Args:
        iteration: the first iteration with a non-finite loss.
        left_out: iterations that were left out before.
        patience: number of adjacent left-out iterations at which the function gives up. 4 by default.

    Returns:
        The iterations to leave out; an empty set means that leaving out iterations does not help.

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
    if neighbours and before >= 0:
        return {iteration, before}
    return {iteration}
