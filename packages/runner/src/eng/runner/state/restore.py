"""From saved data back to the live parts of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from eng.dist import get_rank
from eng.runner.errors import ResumeError

from .collect import named_hooks
from .progress import go_on_from

logger = logging.getLogger(__name__)


def restore_position(train_loop: Any, checkpoint: Mapping[str, Any]) -> None:
    """Puts the training loop where the saved run was.

    A checkpoint of MMEngine tells epoch and iteration only; the place in the data follows from them.
    """
    saved = checkpoint.get("run_state")
    if saved is None:
        go_on_from(train_loop, _position_from_meta(train_loop, checkpoint["meta"]), None)
        return
    ranks = saved["rng"]
    if get_rank() >= len(ranks):
        logger.warning("The run was saved by %d ranks; rank %d starts new random generators", len(ranks), get_rank())
    rng = ranks[get_rank()] if get_rank() < len(ranks) else None
    _restore_sampler(train_loop.dataloader, saved.get("sampler"))
    go_on_from(train_loop, saved["position"], rng)


def _position_from_meta(train_loop: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
    epoch, iteration = meta.get("epoch", 0), meta.get("iter", 0)
    batch, passes = 0, epoch
    if hasattr(train_loop.dataloader, "__len__"):
        length = max(len(train_loop.dataloader), 1)
        by_iterations = type(train_loop).__name__ == "IterBasedTrainLoop"
        passes = iteration // length if by_iterations else epoch
        batch = min(max(iteration - passes * length, 0), length)
        batch = batch if by_iterations or batch < length else 0
    per_batch = (getattr(train_loop.dataloader, "batch_size", None) or 1) * train_loop.runner.world_size
    return {
        "epoch": epoch,
        "iter": iteration,
        "pass": passes,
        "batch": batch,
        "samples": batch * per_batch,
        "validated_iter": iteration,
        "stop_training": False,
    }


def _restore_sampler(dataloader: Any, saved: Mapping[str, Any] | None) -> None:
    sampler = getattr(dataloader, "sampler", None)
    if saved is not None and sampler is not None and hasattr(sampler, "seed"):
        sampler.seed = saved["seed"]


def restore_schedulers(schedulers: Any, saved: Any) -> None:
    """Loads the states of parameter schedulers.

    Raises:
        ResumeError: their number or names differ from the saved run's.
    """
    if isinstance(schedulers, Mapping) and not isinstance(saved, Mapping) and len(schedulers) == 1:
        saved = {next(iter(schedulers)): saved}
    if isinstance(schedulers, Mapping) != isinstance(saved, Mapping):
        raise ResumeError("the checkpoint's parameter schedulers belong to another number of optimizers")
    if isinstance(schedulers, Mapping):
        for name, group in schedulers.items():
            if name in saved:
                restore_schedulers(group, saved[name])
        return
    if len(schedulers or ()) != len(saved):
        raise ResumeError(
            f"the run has {len(schedulers or ())} parameter schedulers and the checkpoint {len(saved)}; resume with "
            "the schedulers of the saved run, or start from its weights with load_from and resume=False"
        )
    for scheduler, state in zip(schedulers or (), saved, strict=True):
        scheduler.load_state_dict(state)


def restore_hooks(hooks: Sequence[Any], saved: Mapping[str, Any]) -> None:
    """Gives each hook the state that it saved; hooks that are new keep theirs."""
    for name, hook in named_hooks(hooks):
        if name in saved and callable(getattr(hook, "load_state_dict", None)):
            hook.load_state_dict(saved[name])


def warn_of_differences(meta: Mapping[str, Any], *, seed: int | None, dataset_meta: Any) -> None:
    """Tells where the run that goes on differs from the one that was saved."""
    if meta.get("seed") is not None and seed is not None and meta["seed"] != seed:
        logger.warning("The seed is %s and was %s in the saved run", seed, meta["seed"])
    saved = meta.get("dataset_meta")
    if saved is not None and dataset_meta is not None and _plain(saved) != _plain(dataset_meta):
        logger.warning("The dataset's metainfo differs from the saved run's: %s against %s", dataset_meta, saved)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, (tuple, list)) else value


def restore_accumulation(optim_wrapper: Any, saved: Any, strategy: Any) -> None:
    """Opens the accumulation window that was open when the run was saved."""
    if saved is not None and hasattr(optim_wrapper, "load_accumulation_state"):
        strategy.load_accumulation_state(optim_wrapper, saved)
