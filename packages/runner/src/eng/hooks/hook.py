"""The base of every hook: 22 points of a run at which it may act, and the questions it may ask there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.registry import HOOKS

from .view import RunnerView

DataBatch = dict[str, Any] | tuple[Any, ...] | list[Any] | None

# Each point, and the method that it falls back to when a hook does not override the point itself.
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
    """Acts at points of a run without being part of the loop.

    A subclass overrides the points it needs; the runner calls a hook only where it overrides something. The
    ``_before_epoch``, ``_after_epoch``, ``_before_iter`` and ``_after_iter`` methods stand behind the train, val and
    test points of that name and get ``mode`` (``"train"``, ``"val"`` or ``"test"``).

    A hook that remembers something a resumed run needs overrides ``state_dict()`` and ``load_state_dict(state)``.

    Attributes:
        needs_validation: whether the hook acts on the metrics of validations, so that it does nothing without them.
        settings_changed: of a hook that may stop a run: whether a resumed run has other settings for it; None for others.
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
        """What a resumed run needs of this hook, as plain data and tensors; None where it remembers nothing."""
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what :meth:`state_dict` of the saved run gave."""

    def before_run(self, runner: RunnerView) -> None:
        """Before anything runs, when every part is built and no weight is loaded yet."""

    def after_run(self, runner: RunnerView) -> None:
        """At the very end of a run that reached ``before_run``, also when the run failed or was interrupted."""

    def before_train(self, runner: RunnerView) -> None:
        """Before the first epoch or iteration of training, with weights and state loaded."""

    def after_train(self, runner: RunnerView) -> None:
        """After the last epoch or iteration of training."""

    def before_val(self, runner: RunnerView) -> None:
        """Before a validation."""

    def after_val(self, runner: RunnerView) -> None:
        """After a validation."""

    def before_test(self, runner: RunnerView) -> None:
        """Before a test."""

    def after_test(self, runner: RunnerView) -> None:
        """After a test."""

    def before_save_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Before ``checkpoint`` is written; what is put into it is saved with it."""

    def after_load_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """After ``checkpoint`` was read and before its weights go into the model."""

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Before each training epoch."""
        self._before_epoch(runner, mode="train")

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Before the pass over the validation data."""
        self._before_epoch(runner, mode="val")

    def before_test_epoch(self, runner: RunnerView) -> None:
        """Before the pass over the test data."""
        self._before_epoch(runner, mode="test")

    def after_train_epoch(self, runner: RunnerView) -> None:
        """After each training epoch, before the epoch counter moves on."""
        self._after_epoch(runner, mode="train")

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """After the pass over the validation data, with its ``metrics`` by name."""
        self._after_epoch(runner, mode="val")

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """After the pass over the test data, with its ``metrics`` by name."""
        self._after_epoch(runner, mode="test")

    def before_train_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before each training step; ``batch_idx`` counts within the epoch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="train")

    def before_val_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before each validation batch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="val")

    def before_test_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before each test batch."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="test")

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """After each training step, before the iteration counter moves on; ``outputs`` are the logged losses."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="train")

    def after_val_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After each validation batch, with the model's predictions."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="val")

    def after_test_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After each test batch, with the model's predictions."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="test")

    def _before_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        """Before an epoch of any mode."""

    def _after_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        """After an epoch of any mode."""

    def _before_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        """Before an iteration of any mode."""

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """After an iteration of any mode."""

    def every_n_epochs(self, runner: RunnerView, n: int, start: int = 0) -> bool:
        """Whether the current epoch is the ``n``-th, 2 n-th ... after ``start`` epochs; never for ``n <= 0``."""
        done = runner.epoch + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether ``batch_idx`` ends a group of ``n`` batches of this epoch; never for ``n <= 0``."""
        return n > 0 and (batch_idx + 1) % n == 0

    def every_n_train_iters(self, runner: RunnerView, n: int, start: int = 0) -> bool:
        """Whether the current iteration is the ``n``-th, 2 n-th ... after ``start``; never for ``n <= 0``."""
        done = runner.iter + 1 - start
        return n > 0 and done >= 0 and done % n == 0

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Whether ``batch_idx`` is the last batch of ``dataloader``."""
        return bool(batch_idx + 1 == len(dataloader))

    def is_last_train_epoch(self, runner: RunnerView) -> bool:
        """Whether the run ends with this epoch."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_train_iter(self, runner: RunnerView) -> bool:
        """Whether the run ends with this iteration."""
        return runner.iter + 1 == runner.max_iters

    def get_triggered_stages(self) -> list[str]:
        """The points at which this hook acts, in the order of a run."""
        return [point for point in Hook.stages if overrides(self, point)]


def overrides(hook: Hook, point: str) -> bool:
    """Whether calling ``hook`` at ``point`` runs code of its own: the point's method or the one behind it."""
    behind = POINTS.get(point)
    return any(is_own(hook, name) for name in (point, behind) if name)


def is_own(hook: Hook, name: str) -> bool:
    """Whether ``hook`` has a method ``name`` of its own, not the base's."""
    return name in vars(hook) or getattr(type(hook), name, None) is not getattr(Hook, name, None)
