"""Hook, the base class of all hooks, with one method for each of the 22 points of a run at which hooks are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.registry import HOOKS

from .view import RunnerView

DataBatch = dict[str, Any] | tuple[Any, ...] | list[Any] | None

# The points of a run at which the runner calls hooks. The value is the common method that the base class calls at the
# point, such as `_before_epoch` before an epoch of train, val and test; None if the point has no common method.
POINTS: dict[str, str | None] = {
    "before_run": None,
    "after_load_checkpoint": None,
    "before_train": None,
    "before_train_epoch": "_before_epoch",
    "before_train_iter": "_before_iter",
    "after_train_iter": "_after_iter",
    "after_train_epoch": "_after_epoch",
    "before_val": None,
    "before_val_epoch": "_before_epoch",
    "before_val_iter": "_before_iter",
    "after_val_iter": "_after_iter",
    "after_val_epoch": "_after_epoch",
    "after_val": None,
    "before_save_checkpoint": None,
    "after_train": None,
    "before_test": None,
    "before_test_epoch": "_before_epoch",
    "before_test_iter": "_before_iter",
    "after_test_iter": "_after_iter",
    "after_test_epoch": "_after_epoch",
    "after_test": None,
    "after_run": None,
}


@HOOKS.register_module()
class Hook:
    """Base class of hooks, whose methods the runner calls at fixed points of a run.

    A subclass overrides the methods of the points that it needs, and the runner calls only overridden methods. A hook that
    does the same in training, validation and test overrides ``_before_epoch``, ``_after_epoch``, ``_before_iter`` or
    ``_after_iter``, which get ``mode`` (``"train"``, ``"val"`` or ``"test"``).

    A hook with state that a resumed run needs overrides ``state_dict()`` and ``load_state_dict(state)``.

    Attributes:
        needs_validation: whether the hook works with validation metrics, so that it has no effect without a validation.
        settings_changed: for a hook that may stop a run, whether its settings in a resumed run differ from those in the
            saved run; None for hooks that never stop a run.
        priority: order among the hooks of a run, a name of :class:`eng.runner.Priority` or an int from 0 (first) to
            100 (last). ``"NORMAL"`` (50) by default.

    Example:
        >>> class CountBatches(Hook):
        ...     seen = 0
        ...     def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        ...         self.seen += 1
        >>> CountBatches().get_triggered_stages()
        ['after_train_iter']
    """

    needs_validation: bool = False
    settings_changed: bool | None = None
    priority: Any = "NORMAL"
    stages: tuple[str, ...] = tuple(POINTS)

    def state_dict(self) -> dict[str, Any] | None:
        """Returns the hook's state for the checkpoint, as plain data and tensors; None for a hook without state."""
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state that :meth:`state_dict` returned in the saved run."""

    def before_run(self, runner: RunnerView) -> None:
        """Called once at the start of a run, when all its parts are built and no weights are loaded yet."""

    def after_run(self, runner: RunnerView) -> None:
        """Called at the very end of a run that reached ``before_run``, also after a failure or an interruption."""

    def before_train(self, runner: RunnerView) -> None:
        """Called before the first training epoch or iteration, when weights and state are loaded."""

    def after_train(self, runner: RunnerView) -> None:
        """Called after the last training epoch or iteration."""

    def before_val(self, runner: RunnerView) -> None:
        """Called before a validation."""

    def after_val(self, runner: RunnerView) -> None:
        """Called after a validation."""

    def before_test(self, runner: RunnerView) -> None:
        """Called before a test."""

    def after_test(self, runner: RunnerView) -> None:
        """Called after a test."""

    def before_save_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Called before ``checkpoint`` is written; entries that a hook adds to the dict are saved with it."""

    def after_load_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Called after ``checkpoint`` is read and before its weights are loaded into the model."""

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Called before each training epoch."""
        self._before_epoch(runner, mode="train")

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Called before the pass over the validation data."""
        self._before_epoch(runner, mode="val")

    def before_test_epoch(self, runner: RunnerView) -> None:
        """Called before the pass over the test data."""
        self._before_epoch(runner, mode="test")

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Called after each training epoch, before ``runner.epoch`` is increased."""
        self._after_epoch(runner, mode="train")

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Called after the pass over the validation data, with its ``metrics`` by name."""
        self._after_epoch(runner, mode="val")

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Called after the pass over the test data, with its ``metrics`` by name."""
        self._after_epoch(runner, mode="test")

    def before_train_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Called before each training step; ``batch_idx`` counts from 0 within the epoch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="train")

    def before_val_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Called before each validation batch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="val")

    def before_test_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Called before each test batch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="test")

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Called after each training step, before ``runner.iter`` is increased; ``outputs`` are the logged losses."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="train")

    def after_val_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Called after each validation batch, with the model's predictions in ``outputs``."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="val")

    def after_test_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Called after each test batch, with the model's predictions in ``outputs``."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="test")

    def _before_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        """Called before each epoch; ``mode`` is ``"train"``, or ``"val"`` or ``"test"`` for a validation or test."""

    def _after_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        """Called after each epoch; ``mode`` is ``"train"``, or ``"val"`` or ``"test"`` for a validation or test."""

    def _before_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        """Called before each iteration; ``mode`` is ``"train"``, or ``"val"`` or ``"test"`` in a validation or test."""

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """Called after each iteration; ``mode`` is ``"train"``, or ``"val"`` or ``"test"`` in a validation or test."""

    def every_n_epochs(self, runner: RunnerView, n: int, start: int = 0) -> bool:
        """Whether an interval of ``n`` epochs ends with the current epoch; False for ``n <= 0``.

        The first interval begins after ``start`` epochs. The result is also True at the end of epoch ``start`` itself.
        """
        done = runner.epoch + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether ``batch_idx`` (from 0 in each epoch) ends a group of ``n`` batches; False for ``n <= 0``."""
        return n > 0 and (batch_idx + 1) % n == 0

    def every_n_train_iters(self, runner: RunnerView, n: int, start: int = 0) -> bool:
        """Whether an interval of ``n`` training iterations ends with the current iteration; False for ``n <= 0``.

        The first interval begins after ``start`` iterations. The result is also True at the end of iteration ``start``
        itself.
        """
        done = runner.iter + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Whether ``batch_idx`` is the last batch of ``dataloader``."""
        return bool(batch_idx + 1 == len(dataloader))

    def is_last_train_epoch(self, runner: RunnerView) -> bool:
        """Whether training ends with this epoch."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_train_iter(self, runner: RunnerView) -> bool:
        """Whether training ends with this iteration."""
        return runner.iter + 1 == runner.max_iters

    def get_triggered_stages(self) -> list[str]:
        """Returns the names of the points of a run whose methods this hook overrides, in the order of a run."""
        return [point for point in Hook.stages if overrides(self, point)]


def overrides(hook: Hook, point: str) -> bool:
    """Whether ``hook`` overrides the method of ``point``, or the common method that the base class calls there."""
    common = POINTS.get(point)
    return any(is_own(hook, name) for name in (point, common) if name)


def is_own(hook: Hook, name: str) -> bool:
    """Whether ``hook`` or its class overrides the method ``name`` of :class:`Hook`."""
    return name in vars(hook) or getattr(type(hook), name, None) is not getattr(Hook, name, None)
