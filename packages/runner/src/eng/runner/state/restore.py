"""Restores the parts of a run from a checkpoint: loop, schedulers, hooks and accumulated gradients."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from eng.dataset._loader_parts import batch_size_of, sampler_of
from eng.dataset.utils import length_of
from eng.dist import get_data_rank, get_data_world_size
from eng.logging.words import counted
from eng.optim import OptimWrapper
from eng.optim.scheduler import _ParamScheduler
from eng.optim.scheduler._groups import groups_of
from eng.optim.scheduler._progress import replay, set_value
from eng.runner.errors import ResumeError
from eng.runner.loops.base import BaseLoop
from eng.runner.state.collect import Schedulers
from eng.runner.strategy.base import BaseStrategy

from .collect import named_hooks
from .differences import scheduler_line
from .taking import covers, how_to_take

logger = logging.getLogger(__name__)
_OTHER_SCHEDULERS = (
    "--resume-take param_scheduler, or resume=dict(take=['param_scheduler']), takes the new ones as if they had counted from "
    "the beginning; with the schedulers of the saved run these go on"
)


@runtime_checkable
class CountsIterations(Protocol):
    """An optimizer wrapper that counts iterations for gradient accumulation."""

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Sets the number of completed iterations, and the iteration at which training ends."""


def meta_of(checkpoint: Mapping[str, Any], filename: str) -> Mapping[str, Any]:
    """Returns the ``meta`` of a checkpoint.

    Raises:
        ResumeError: ``meta`` has no epoch and iteration, as in a file that holds only weights.
    """
    meta: Mapping[str, Any] = {}
    if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("meta"), Mapping):
        meta = checkpoint["meta"]
    if any(type(meta.get(key)) is not int for key in ("epoch", "iter")) or "state_dict" not in checkpoint:
        raise ResumeError(
            f"{filename} holds weights alone, without the state of a run (meta.epoch, meta.iter); begin a new run from "
            "them with load_from and resume=False"
        )
    return meta


def refuse_failed(meta: Mapping[str, Any], filename: str) -> None:
    """Raises an error for a checkpoint that was saved after an iteration had failed: its state is not consistent.

    Raises:
        ResumeError: ``meta`` says that the iteration failed.
    """
    if meta.get("failed"):
        raise ResumeError(
            f"{filename} holds the weights before an iteration that failed ({meta['failed']}), without the state to go on "
            "exactly; resume from a regular checkpoint (resume=True), or begin a new run with load_from and resume=False"
        )


def restore_position(train_loop: BaseLoop, checkpoint: Mapping[str, Any], *, takes_seed: bool = False) -> None:
    """Restores counters, data position and random generators of the training loop.

    A checkpoint of MMEngine contains only epoch and iteration, from which the data position is computed.

    Args:
        train_loop: the training loop.
        checkpoint: the checkpoint of the saved run.
        takes_seed: whether the samplers keep the seed of this run's config instead of the seed in the checkpoint.
    """
    saved = checkpoint.get("run_state")
    if saved is None:
        train_loop.go_on_from(_position_from_meta(train_loop, checkpoint["meta"]), None)
        return
    ranks = saved["rng"]
    if get_data_rank() >= len(ranks):
        logger.warning(
            "The run was saved by %s; rank %d starts new random generators",
            counted(len(ranks), "rank"),
            get_data_rank(),
        )
    rng = None
    if get_data_rank() < len(ranks):
        rng = ranks[get_data_rank()]
    if not takes_seed:
        _restore_sampler(train_loop.dataloader, saved.get("sampler"))
    train_loop.go_on_from(saved["position"], rng)


def _position_from_meta(train_loop: BaseLoop, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Computes the data position of an MMEngine checkpoint from its epoch, iteration and the dataloader's length."""
    epoch, iteration = meta.get("epoch", 0), meta.get("iter", 0)
    batch, passes = 0, epoch
    length = length_of(train_loop.dataloader)
    if length is not None:
        length = max(length, 1)
        by_iterations = type(train_loop).__name__ == "IterBasedTrainLoop"
        passes = epoch
        if by_iterations:
            passes = iteration // length
        batch = min(max(iteration - passes * length, 0), length)
        if not (by_iterations or batch < length):
            batch = 0
    per_batch = (batch_size_of(train_loop.dataloader) or 1) * get_data_world_size()
    return {
        "epoch": epoch,
        "iter": iteration,
        "pass": passes,
        "batch": batch,
        "samples": batch * per_batch,
        "validated_iter": iteration,
        "stop_training": False,
    }


def _restore_sampler(dataloader: object, saved: Mapping[str, Any] | None) -> None:
    """Sets the seed of a dataloader's sampler to the saved one, so that a resumed run has the same order of samples."""
    sampler = sampler_of(dataloader)
    if saved is not None and sampler is not None and hasattr(sampler, "seed"):
        sampler.seed = saved["seed"]


def restore_schedulers(schedulers: Schedulers, saved: Any, path: str = "param_scheduler") -> list[str]:
    """Restores the progress of parameter schedulers; their settings remain those of the config.

    Args:
        schedulers: a list of schedulers, or lists by name.
        saved: the saved states.
        path: dotted key of the schedulers in the config, for messages.

    Returns:
        A line of text for each scheduler whose settings differ from those of the saved run.

    Raises:
        ResumeError: the number of schedulers, or the names of their lists, differ from the saved run's.
    """
    if isinstance(schedulers, Mapping) and not isinstance(saved, Mapping) and len(schedulers) == 1:
        saved = {next(iter(schedulers)): saved}
    if isinstance(schedulers, Mapping) != isinstance(saved, Mapping):
        raise ResumeError(
            f"the checkpoint's parameter schedulers belong to another number of optimizers; {_OTHER_SCHEDULERS}"
        )
    if isinstance(schedulers, Mapping):
        groups = [(schedulers[name], saved[name], f"{path}.{name}") for name in schedulers if name in saved]
        return [line for group in groups for line in restore_schedulers(*group)]
    if len(schedulers or ()) != len(saved):
        raise ResumeError(
            f"the run has {counted(len(schedulers or ()), 'parameter scheduler')} and the checkpoint {len(saved)}; "
            f"{_OTHER_SCHEDULERS}"
        )
    lines = []
    for index, (scheduler, state) in enumerate(zip(schedulers or (), saved, strict=True)):
        differences = _restore_scheduler(scheduler, state)
        if differences:
            lines.append(scheduler_line(f"{path}.{index}", scheduler, differences))
    return lines


def _restore_scheduler(scheduler: Any, state: Mapping[str, Any]) -> Mapping[str, tuple[Any, Any]]:
    """Restores the progress of one scheduler; returns the settings that differ, as ``(saved value, new value)``."""
    # A scheduler class that overrides load_state_dict restores its state by that method alone.
    if isinstance(scheduler, _ParamScheduler) and type(scheduler).load_state_dict is _ParamScheduler.load_state_dict:
        return scheduler.load_progress(state)
    scheduler.load_state_dict(state)
    return {}


def are_configs(setting: object) -> bool:
    """Whether all parameter schedulers in a setting are configs, from which the schedulers can be built again."""
    if isinstance(setting, Mapping):
        return "type" in setting or all(are_configs(item) for item in setting.values())
    return isinstance(setting, (list, tuple)) and all(are_configs(item) for item in setting)


def undo_schedules(schedulers: Schedulers) -> None:
    """Resets learning rates and other scheduled values to what they were before any scheduler was built."""
    for group in groups_of(schedulers):
        for scheduler in group:
            name = scheduler.param_name
            for parameters in scheduler.optimizer.param_groups:
                set_value(parameters, name, parameters.pop(f"initial_{name}", parameters[name]))


def plan_again(schedulers: Schedulers, iterations: int, epoch_length: float) -> None:
    """Recomputes learning rates and momentum as if the current schedulers had run from the first iteration.

    Args:
        schedulers: a list of schedulers, or lists by name, with restored progress.
        iterations: completed iterations.
        epoch_length: average iterations of a completed epoch.
    """
    for group in groups_of(schedulers):
        plannable = [scheduler for scheduler in group if isinstance(scheduler, _ParamScheduler)]
        if plannable and not replay(plannable, iterations, epoch_length):
            logger.warning(
                "A schedule that follows a metric moved this run: its values stay where they are, and the new settings "
                "of the other schedules count from here on"
            )


def count_steps(schedulers: Schedulers, iterations: int, epoch_length: float) -> None:
    """Sets the step counts of new schedulers to the completed steps of the run, before :func:`plan_again`.

    Args:
        schedulers: a list of new schedulers, or lists by name.
        iterations: completed iterations.
        epoch_length: average iterations of a completed epoch.
    """
    for group in groups_of(schedulers):
        for scheduler in group:
            length = epoch_length
            if isinstance(scheduler, _ParamScheduler) and scheduler.by != "epoch":
                length = 1.0
            scheduler._global_step = int(iterations / length)  # noqa: SLF001  # the driver's own count


def write_schedules(schedulers: Schedulers) -> None:
    """Writes the last values of the schedulers into the parameter groups of optimizers whose state was not restored."""
    for group in groups_of(schedulers):
        for scheduler in group:
            if isinstance(scheduler, _ParamScheduler):
                scheduler.write_last_values()


def restore_hooks(hooks: Sequence[Any], saved: Mapping[str, Any]) -> None:
    """Restores each hook whose state is in the checkpoint; other hooks remain unchanged."""
    for name, hook in named_hooks(hooks):
        if name in saved:
            hook.load_state_dict(saved[name])


def run_differences(
    meta: Mapping[str, Any], *, seed: int | None, dataset_meta: object, take: Sequence[str] = ()
) -> list[str]:
    """Returns a line of text for the seed and for the dataset's metainfo, if they differ from the saved run's.

    Args:
        meta: ``meta`` of the checkpoint.
        seed: the seed in this run's config; None if it has none, which is no difference.
        dataset_meta: metainfo of this run's training dataset; None if it has none.
        take: dotted keys for which this run uses the config's value instead of the checkpoint's.
    """
    lines = []
    if meta.get("seed") is not None and seed is not None and meta["seed"] != seed:
        key = "randomness.seed"
        winner = "the new order of the data is taken"
        if not covers(take, key):
            winner = f"the order of the data and the random generators are the checkpoint's ({how_to_take(key)})"
        lines.append(f"The seed is {seed} and was {meta['seed']} in the saved run; {winner}")
    saved = meta.get("dataset_meta")
    if saved is not None and dataset_meta is not None and _plain(saved) != _plain(dataset_meta):
        lines.append(f"The dataset's metainfo differs from the saved run's: {dataset_meta} against {saved}")
    return lines


def _plain(value: object) -> Any:
    """Converts nested metainfo to Python lists and numbers, because ``==`` of two arrays gives an array, not a bool."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return _plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    # NaN is not equal to itself, and would always be reported as a difference.
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return value


def window_with_ranks(saved: object, world_size: int) -> tuple[object, list[str]]:
    """Adds the missing entry ``ranks`` to the weighted accumulation window of an older FSDP2 checkpoint.

    ``ranks`` is the number of ranks over which the gradients in the window are averaged. Earlier versions of eng did
    not save it, and saved the loss weight of the first rank only. Every other accumulation state is returned unchanged,
    such as that of one process, or the list of windows that DDP saves.

    Args:
        saved: the accumulation state of a checkpoint.
        world_size: number of data-parallel ranks of the saved run.

    Returns:
        the accumulation state to restore, and a list with a line of text about the inexact loss weight; the list is
        empty for a state that is unchanged.
    """
    if world_size == 1 or not isinstance(saved, Mapping) or "gradients" not in saved or "ranks" in saved:
        return saved, []
    if saved["weight"] is None:
        return saved, []
    line = (
        f"accumulation: an earlier version of eng saved the loss weight of the first of {world_size} ranks for all of "
        "them; the update of the accumulation window that was open is approximate"
    )
    return {**saved, "ranks": world_size}, [line]


def restore_accumulation(optim_wrapper: OptimWrapper, saved: object, strategy: BaseStrategy) -> None:
    """Restores the gradients that the saved run had accumulated since its last optimizer update.

    Does nothing if ``saved`` is None, or for an optimizer wrapper of another library.
    """
    if saved is not None and isinstance(optim_wrapper, OptimWrapper):
        strategy.load_accumulation_state(optim_wrapper, saved)
