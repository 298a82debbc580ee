"""Reports an exception in training: logs the batch's sample numbers and, if possible, saves a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from types import FrameType

from eng.checkpoint import find_latest_checkpoint
from eng.dataset._loader_parts import worker_count
from eng.hooks._samples import samples_text
from eng.hooks.preemption_hook import validation_position
from eng.hooks.view import NamesSamples, SavesNow
from eng.logging._details import DETAIL
from eng.logging.notes import add_note, message_with_notes
from eng.runner.run import Run

from .errors import NonFiniteLossError
from .loops.base import BaseLoop
from .loops.foreign import as_base_loop


def report_failure(runner: Run, saver: SavesNow | None, error: Exception, *, saves: bool) -> None:
    """Logs where training failed and on which samples, and saves a checkpoint; the caller raises the exception again.

    An error inside this function is logged and not raised, so that the user sees the exception of the training.

    Args:
        runner: the runner whose training failed.
        saver: the hook that saves checkpoints; None if the run has no such hook.
        error: the exception that ended the training.
        saves: whether to save a checkpoint.
    """
    try:
        _report(runner, saver, error, saves)
    except Exception:
        runner.logger.exception(
            "Training failed: %s: %s. The report of where it failed failed too", type(error).__name__, error
        )


def _report(runner: Run, saver: SavesNow | None, error: Exception, saves: bool) -> None:
    """Logs position and samples of the failure, saves a checkpoint, and adds both as a note to the exception."""
    if runner.train_loop is None:
        return
    loop = as_base_loop(runner.train_loop)
    frames = list(_frames(error))
    where, checkpoint_text = _position(runner, loop, error, frames), ""
    if saves and not _is_before_training(frames):
        checkpoint_text = _save_if_possible(runner, saver, error, frames, loop.is_validating)
    text = f"Training failed {where}: {type(error).__name__}: {message_with_notes(error)}{checkpoint_text}"
    extra = None
    if add_note(error, f"raised {where}{checkpoint_text}"):
        extra = DETAIL  # Only for the log file, because the console shows the note below the traceback.
    runner.logger.error(text, extra=extra)
    if type(error).__module__.startswith("eng.") and find_spec("eng.cli") is not None:
        add_note(error, f"eng help {type(error).__name__} says what to do")


def _position(runner: Run, loop: BaseLoop, error: Exception, frames: list[FrameType]) -> str:
    """Returns where training failed, such as ``at epoch 2, iteration 41``, with the indices of the samples."""
    if _is_before_training(frames):
        # A resumed run has completed iterations before it begins to train, so the message names the next one.
        if not loop.iter:
            return "before the first iteration"
        return f"before iteration {loop.iter + 1}"
    if loop.is_validating:
        return f"in {validation_position(runner)}"
    if isinstance(error, NonFiniteLossError):
        iteration = error.iteration
    else:
        iteration = loop.iter
    numbers = None
    if isinstance(runner.train_loop, NamesSamples):
        numbers = runner.train_loop.sample_numbers(iteration)
    return f"at epoch {loop.epoch + 1}, iteration {iteration + 1}{samples_text(numbers)}"


def _is_before_training(frames: list[FrameType]) -> bool:
    """Whether a hook raised the exception in ``before_train``, before any training that would be worth saving."""
    return any(
        frame.f_code.co_name == "call_hook" and frame.f_locals.get("fn_name") == "before_train" for frame in frames
    )


def _save_if_possible(
    runner: Run, saver: SavesNow | None, error: Exception, frames: list[FrameType], in_validation: bool
) -> str:
    """Saves a checkpoint if possible; returns a sentence that says how to use it, or why there is none.

    Between two iterations, a regular checkpoint is saved, from which the run can resume. Otherwise the checkpoint only
    serves to load weights from.
    """
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
    except Exception as second:  # noqa: BLE001  # Hooks and storage may raise anything, and must not hide the failure.
        return f". No checkpoint is written: {type(second).__name__}: {second}"
    return (
        f". The weights before this iteration are in {runner.log_dir}/failed_iter_{done}.pth, for load_from alone: buffers and "
        f"random generators may have moved inside the iteration. {_resume_advice(runner)}"
    )


def _resume_advice(runner: Run) -> str:
    """Returns a sentence that says whether the run can resume from a regular checkpoint."""
    if find_latest_checkpoint(runner.work_dir) is None:
        return "There is no regular checkpoint yet that resume=True (--resume) could go on from"
    return "resume=True (--resume) goes on from the newest regular checkpoint"


def _why_impossible(runner: Run, error: Exception, frames: list[FrameType]) -> str | None:
    """Returns why no checkpoint can be saved after a failure; None if one can be saved."""
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
    """Whether a stack frame is the ``step`` of an optimizer; ``update_params`` may still be in the backward pass."""
    owner = frame.f_locals.get("self")
    return hasattr(owner, "param_groups") and frame.f_code.co_name == "step"


def _is_between_steps(runner: Run, frames: list[FrameType], in_validation: bool) -> bool:
    """Whether the state of the run is still the one after the last completed iteration, so that it can resume exactly.

    This is the case if a validation failed, or if the next batch failed to load in a worker process; it is not the case
    if a hook failed.
    """
    # Hooks that were called before the failed hook, at the same hook point, have already changed their states.
    if any(frame.f_code.co_name == "call_hook" for frame in frames):
        return False
    if in_validation:
        return True
    in_step = any(frame.f_code.co_name in ("run_iter", "train_step") for frame in frames)
    has_workers = worker_count(as_base_loop(runner.train_loop).dataloader) > 0
    in_loader = any(frame.f_code.co_name in ("_process_data", "_next_data") for frame in frames)
    return in_loader and has_workers and not in_step


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Yields the stack frames of an exception's traceback, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
