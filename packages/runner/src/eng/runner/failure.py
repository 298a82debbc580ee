"""What an exception in training leaves behind: the batch's sample numbers, and a checkpoint where one is possible."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from .errors import NonFiniteLossError
from .loops._generators import capture_generators, restore_generators
from .state.rng import capture_rng, restore_rng

logger = logging.getLogger(__name__)
_SHOWN = 16


def sample_numbers(loop: Any, iteration: int | None = None) -> list[int] | None:
    """The numbers, in the dataset, of the samples in a batch of the current pass, on this rank.

    The order of the pass is drawn again from the generators that it began with; the generators of the run keep their state.

    Args:
        loop: the training loop.
        iteration: of the batch, counted from 0; None is the iteration under way.

    Returns:
        None where nobody can tell: a stream, a loader that is no DataLoader, a batch of an earlier pass.
    """
    loader = getattr(loop, "dataloader", None)
    rng = getattr(loop, "_pass_rng", None)
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset) or rng is None:
        return None
    batch = loop._batches_done() - (0 if iteration is None else loop.iter - iteration)  # noqa: SLF001  # a part of the run
    if batch < 0:
        return None
    kept, generators = capture_rng(), capture_generators(loader)
    samplers = [each for each in (loader.sampler, loader.batch_sampler) if hasattr(each, "__dict__")]
    attributes = [dict(vars(each)) for each in samplers]
    try:
        restore_rng(rng)
        restore_generators(loader, rng.get("train_loader"))
        return _drawn(loader, batch)
    except Exception:
        logger.debug("the samples of a batch are not known", exc_info=True)
        return None
    finally:
        for sampler, values in zip(samplers, attributes, strict=True):
            vars(sampler).update(values)
        restore_rng(kept)
        restore_generators(loader, generators)


class _Numbers:
    """A dataset whose samples are their numbers."""

    def __len__(self) -> int:
        return 1 << 62

    def __getitem__(self, index: int) -> int:
        return int(index)


def _drawn(loader: DataLoader[Any], batch: int) -> list[int] | None:
    order: Any = {"batch_sampler": loader.batch_sampler}
    if loader.batch_sampler is None:
        order = {"batch_size": None, "sampler": loader.sampler}
    numbers = DataLoader(_Numbers(), collate_fn=_as_list, generator=loader.generator, **order)  # type: ignore[arg-type, var-annotated]
    return next(itertools.islice(iter(numbers), batch, None), None)


def _as_list(items: Any) -> list[int]:
    return [int(item) for item in items] if isinstance(items, (list, tuple)) else [int(items)]


def samples_text(numbers: list[int] | None) -> str:
    """The samples for a message; an empty text where they are not known."""
    if not numbers:
        return ""
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    plural = "s" if len(numbers) > 1 else ""
    return f" (sample{plural} {', '.join(map(str, numbers[:_SHOWN]))}{more} of the training dataset)"


def report_failure(runner: Any, saver: Any, error: Exception, *, saves: bool) -> None:
    """Logs where training failed, on which samples, and what checkpoint is left; leaves the exception alone.

    Args:
        runner: the run.
        saver: its CheckpointHook; None where it has none.
        error: what was raised.
        saves: whether to write a checkpoint.
    """
    loop = runner.train_loop
    if loop is None:
        return
    frames = list(_frames(error))
    in_validation = getattr(loop, "_val_rng", None) is not None
    iteration = error.iteration if isinstance(error, NonFiniteLossError) else loop.iter
    where = "in the validation after" if in_validation else "at"
    number = iteration if in_validation else iteration + 1
    numbers = None if in_validation else sample_numbers(loop, iteration)
    samples = samples_text(numbers)
    left = _leave_checkpoint(runner, saver, error, frames, in_validation) if saves else ""
    runner.logger.error(
        "Training failed %s epoch %d, iteration %d%s: %s: %s%s",
        where,
        loop.epoch + (not in_validation),
        number,
        samples,
        type(error).__name__,
        error,
        left,
    )
    if hasattr(error, "add_note"):  # Python 3.11
        error.add_note(f"raised {where} iteration {number}{samples}{left}")


def _leave_checkpoint(runner: Any, saver: Any, error: Exception, frames: list[FrameType], in_validation: bool) -> str:
    """Writes a checkpoint and says what it is good for."""
    reason = _why_impossible(runner, error, frames)
    if reason is not None:
        return f". No checkpoint is written: {reason}"
    done = runner.iter
    try:
        if saver is not None and _is_between_steps(runner, frames, in_validation):
            path = saver.save_now(runner, f"failed_iter_{done}.pth")
            return f". The state before it is in {path}; resume=True (--resume) goes on from there"
        facts = {"failed": f"{type(error).__name__} in iteration {done + 1}"}
        runner.save_checkpoint(runner.log_dir, f"failed_iter_{done}.pth", meta=facts)
    except Exception as second:  # noqa: BLE001  # of hooks and storage; the run's own failure stays the news
        return f". No checkpoint is written: {type(second).__name__}: {second}"
    return (
        f". The weights before this iteration are in {runner.log_dir}/failed_iter_{done}.pth, for load_from alone: buffers and "
        "random generators may have moved inside the iteration. resume=True (--resume) goes on from the newest regular "
        "checkpoint"
    )


def _why_impossible(runner: Any, error: Exception, frames: list[FrameType]) -> str | None:
    if isinstance(error, NonFiniteLossError):
        return "the weights have taken steps with this loss"
    if runner.world_size > 1:
        return "the other ranks may wait inside a collective operation"
    if any(frame.f_code.co_name in ("step", "update_params") and _is_update(frame) for frame in frames):
        return "the optimizer's step may be half done"
    points = [frame.f_locals.get("fn_name") for frame in frames if frame.f_code.co_name == "call_hook"]
    if "before_save_checkpoint" in points or any(frame.f_code.co_name == "save_checkpoint" for frame in frames):
        return "writing a checkpoint is what failed"
    return None


def _is_update(frame: FrameType) -> bool:
    """Whether a frame is inside of an optimizer's step, and not in the backward pass before it."""
    owner = frame.f_locals.get("self")
    return hasattr(owner, "param_groups") and frame.f_code.co_name == "step"


def _is_between_steps(runner: Any, frames: list[FrameType], in_validation: bool) -> bool:
    """Whether everything stands where a checkpoint between two iterations would have it."""
    if any(frame.f_code.co_name == "call_hook" for frame in frames):  # hooks before the failed one have moved
        return False
    if in_validation:
        return True
    in_step = any(frame.f_code.co_name in ("run_iter", "train_step") for frame in frames)
    has_workers = bool(getattr(getattr(runner.train_loop, "dataloader", None), "num_workers", 0))
    in_loader = any(frame.f_code.co_name in ("_process_data", "_next_data") for frame in frames)
    return in_loader and has_workers and not in_step


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
