"""CheckpointHook: saves checkpoints at intervals, the best checkpoint by each metric, and small copies to publish."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eng.logging._details import DETAIL
from eng.logging.errors import UsageError, UsageTypeError
from eng.logging.metric_values import MetricReader
from eng.logging.whole_numbers import whole_number
from eng.logging.words import counted
from eng.registry import HOOKS

from ._checkpoint_best import Best
from ._checkpoint_files import RunFiles
from ._checkpoint_publisher import Publisher
from ._checkpoint_retention import Retention, retention_of_message_hub
from ._loops import batches_into_epoch, follow_loop
from ._signatures import check_options
from ._timed import as_timed_interval
from .hook import DataBatch, Hook
from .view import RunnerView

if TYPE_CHECKING:
    from eng.checkpoint import CheckpointWriter

logger = logging.getLogger(__name__)
_MANY_CHECKPOINTS = 100
_TEMPLATES: dict[bool | None, str] = {True: "epoch_{}.pth", False: "iter_{}.pth"}
# MMEngine and eng 1.0 stored parts of CheckpointHook's state under these keys of the message hub. The hook's
# `state_dict` contains these parts now, so the keys are removed from the hub after a resume from an old checkpoint.
_OLD_FACTS = ("stale_ckpts", "interrupted_ckpt", "best_to_save")


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints at regular intervals, at the end of training, and when a validation metric improves.

    A run that resumes from a checkpoint ends with the same weights as a run that never stopped.

    Args:
        interval: epochs or iterations between two checkpoints; -1 saves only the last and the best checkpoints. 1 by
            default. ``dict(minutes=20)`` sets the interval in minutes; the file names then contain the iteration.
        by_epoch: whether ``interval`` counts epochs (True) or iterations (False). None (default) uses the unit that the
            training loop counts.
        save_optimizer: whether to save the optimizer state, which a resume needs. True by default.
        save_param_scheduler: whether to save the state of the parameter schedulers, which a resume needs. True by default.
        out_dir: folder on any storage that :mod:`eng.fileio` reaches. The checkpoints go into a subfolder with the name of
            ``work_dir``. None (default) writes them into ``work_dir`` itself.
        max_keep_ckpts: how many of the latest checkpoints to keep; -1 (default) keeps all.
        save_last: whether to save a checkpoint at the end of training even if no interval ends there. True by default.
        save_best: names of validation metrics. When a metric reaches its best value, the checkpoint
            ``best_<metric>_<epoch or iter>.pth`` is saved. ``"auto"`` uses the first metric that a validation returns.
            None (default) saves no best checkpoints.
        rule: ``"greater"`` or ``"less"``, the values that are better, for each metric of ``save_best``; None (default)
            infers the rule of a metric from its name.
        greater_keys: names of metrics for which a greater value is better; None uses the built-in names.
        less_keys: names of metrics for which a smaller value is better; None uses the built-in names.
        file_client_args: the old name of ``backend_args``.
        filename_tmpl: template of the file names. ``"epoch_{}.pth"`` or ``"iter_{}.pth"`` by default.
        backend_args: options of the storage behind ``out_dir``.
        published_keys: entries of a checkpoint, such as ``"state_dict"``, to copy into a small file for users of the
            model. At the end of training the last checkpoint and each best checkpoint are copied; the name of a copy
            ends with a part of its SHA-256. None (default) writes no copies.
        save_begin: epoch or iteration from which the intervals are counted; no regular checkpoint is saved earlier. 0
            by default.
        async_save: whether training continues while a checkpoint is written. True writes in a thread of the training
            process. ``"process"`` writes in a separate process per rank, so that writing does not hold the global
            interpreter lock of the training process; for sharded checkpoints only. False by default.
        **kwargs: further options of :func:`eng.checkpoint.save_checkpoint`.

    Raises:
        ValueError: options that exclude each other, or a rule that is unknown or cannot be inferred.
        TypeError: ``save_best`` is neither a name, a list of names nor None.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int | dict[str, float] = 1,
        by_epoch: bool | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | Path | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        file_client_args: dict[str, Any] | None = None,
        filename_tmpl: str | None = None,
        backend_args: dict[str, Any] | None = None,
        published_keys: str | list[str] | None = None,
        save_begin: int = 0,
        async_save: bool | Literal["process"] = False,
        **kwargs: Any,
    ) -> None:
        if file_client_args is not None and backend_args is not None:
            raise UsageError("give backend_args only; file_client_args is its old name")
        if file_client_args is not None:
            logger.warning(
                '"file_client_args" is the old name of "backend_args": give CheckpointHook(backend_args=...)'
            )
        if isinstance(save_begin, int) and save_begin < 0:
            raise UsageError(f"save_begin must not be negative, got {save_begin}")
        self._timer = as_timed_interval("CheckpointHook's interval", interval)
        if self._timer is not None:
            by_epoch, interval = False, -1
        self.interval = whole_number("CheckpointHook's interval (-1 saves the last and the best only)", interval, -1)
        self.save_begin = whole_number("CheckpointHook's save_begin", save_begin, 0)
        self.by_epoch = self._given_by_epoch = by_epoch
        self.save_optimizer, self.save_param_scheduler = save_optimizer, save_param_scheduler
        self.out_dir = self._given_out_dir = out_dir
        self.max_keep_ckpts = whole_number("CheckpointHook's max_keep_ckpts (-1 keeps all)", max_keep_ckpts, -1)
        self.save_last = save_last
        self._file_client_args = file_client_args
        self.backend_args = backend_args
        if backend_args is None:
            self.backend_args = file_client_args
        self.filename_tmpl = self._given_tmpl = filename_tmpl or _TEMPLATES.get(by_epoch)
        if isinstance(published_keys, str):
            published_keys = [published_keys]
        self.published_keys = published_keys
        if async_save not in (True, False, "process"):
            raise UsageError(f"CheckpointHook's async_save must be True, False or 'process', got {async_save!r}")
        self.async_save = async_save
        self.args = kwargs
        self.greater_keys, self.less_keys = greater_keys, less_keys
        self.save_best = _as_list(save_best)
        self.needs_validation = bool(self.save_best)
        self.last_ckpt: str | None = None
        self._retention = Retention(self.max_keep_ckpts)
        reader = MetricReader(f"{type(self).__name__} (save_best)")
        self._best = Best(self.save_best or [], rule, greater_keys, less_keys, reader)
        self._files: RunFiles | None = None
        self._resumed_state: Mapping[str, Any] | None = None
        self._training = self._has_trained = False
        self._lacks_validation = False
        self._writer: CheckpointWriter | None = None

    def before_train(self, runner: RunnerView) -> None:
        """Determines the checkpoint folder. In a resumed run, also restores the lists of kept and best checkpoints."""
        check_options(self, self.args, runner.save_checkpoint)
        if runner.is_resuming:
            state = self._state_to_resume(runner)
        else:
            state = self._state_of_a_new_run()
        self._training, self._has_trained, self._resumed_state = True, True, None
        if self._timer is not None:
            self._timer.begin(runner.iter)
        if self.async_save == "process":
            # A strategy that cannot write checkpoints in a process raises an error when its writer is created. Creating
            # the writer here reports the error before the first training step.
            self._writer_beside(runner)
        files = self._files = self._open_folder(runner)
        runner.logger.info("Checkpoints will be saved to %s.", files.folder, extra=DETAIL)
        self._retention.load_state_dict(state.get("retention", {}), files)
        self._best.load_state_dict(state.get("best", {}), files)
        self._publish_facts(runner)
        # If the saved run stopped after a validation and before its best checkpoints were written, write them now.
        waiting = list(self._best.waiting)
        for metric in waiting:
            self._save_best(runner, metric)
        if waiting:
            self._save_again(runner)

    def state_dict(self) -> dict[str, Any]:
        """Returns the list of kept checkpoints and the best scores, which a resumed run needs."""
        return {"retention": self._retention.state_dict(), "best": self._best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stores the hook's state of a saved run, which ``before_train`` applies to the checkpoint folder."""
        if isinstance(state, Mapping):
            self._resumed_state = {key: part for key, part in state.items() if isinstance(part, Mapping)}

    @property
    def newest_whole(self) -> str | None:
        """Path of the newest checkpoint that this process has completely written; None before the first one."""
        return self._retention.newest_intact

    @property
    def best_ckpts(self) -> dict[str, str]:
        """Paths of the best checkpoints by metric."""
        return self._best.paths

    @property
    def key_indicators(self) -> list[str]:
        """Metrics whose best checkpoint is kept. ``"auto"`` is replaced by the first metric of the first validation."""
        return self._best.key_indicators

    @property
    def rules(self) -> list[str]:
        """``"greater"`` or ``"less"`` for each metric of ``key_indicators``."""
        return list(self._best.rules.values())

    @property
    def best_ckpt_path(self) -> str | None:
        """Path of the best checkpoint by the first metric of ``save_best``; None before there is one."""
        return next(iter(self._best.paths.values()), None)

    @property
    def best_ckpt_path_dict(self) -> dict[str, str]:
        """A copy of the paths of the best checkpoints, by metric."""
        return dict(self._best.paths)

    @property
    def file_backend(self) -> Any:
        """The storage backend of the checkpoints."""
        from eng.fileio import get_file_backend

        return get_file_backend(str(self.out_dir or "."), backend_args=self.backend_args)

    @property
    def file_client(self) -> Any:
        """The storage of the checkpoints as a :class:`~eng.fileio.FileClient`, MMEngine's old interface."""
        from eng.fileio import FileClient

        return FileClient.infer_client(self.backend_args, str(self.out_dir or "."))

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Saves a checkpoint when an interval of epochs ends, and after the last epoch if ``save_last`` is set."""
        last = self.save_last and self.is_last_train_epoch(runner)
        if not self.by_epoch:
            # For a dataset without a length the last iteration is unknown in advance, so `after_train_iter` cannot save
            # the last checkpoint.
            if last and runner.max_iters == math.inf:
                self._save(runner, runner.iter)
            return
        if self.every_n_epochs(runner, self.interval, self.save_begin) or last:
            runner.logger.info("Saving checkpoint at %s", counted(runner.epoch + 1, "epoch"))
            self._save(runner, runner.epoch + 1)

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Saves a checkpoint when an interval of iterations or minutes ends, and, with ``save_last``, at the end."""
        if self.async_save and self._writer is None:
            self._prepare_writer(runner)
        if self.by_epoch:
            return
        last = self.save_last and self.is_last_train_iter(runner)
        if self._timer is not None and self._timer.is_over(runner.iter + 1):
            last = True
            self._timer.begin(runner.iter + 1)
        if self.every_n_train_iters(runner, self.interval, self.save_begin) or last:
            runner.logger.info("Saving checkpoint at %s", counted(runner.iter + 1, "iteration"))
            self._save(runner, runner.iter + 1)

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Saves a best checkpoint for each metric that improved, after all hooks have been called with the metrics."""
        self._lacks_validation = self._training
        if not self.save_best or not self._training:
            return
        if not metrics:
            logger.warning("The validation gave no metrics, so that there is no best checkpoint to save")
            return
        better = self._best.observe(metrics)
        if self._best.is_auto:
            runner.message_hub.update_info("best_metric", next(iter(self._best.rules)))
        for metric in better:
            runner.after_this_point(partial(self._save_best, runner, metric))
        if better:
            runner.after_this_point(partial(self._save_again, runner))

    def after_train(self, runner: RunnerView) -> None:
        """Saves the last checkpoint again if a validation ran after it, and publishes the last and the best checkpoints.

        The last checkpoint then contains the metrics of the validation. A run that resumes from this checkpoint to
        train longer does not repeat the validation.
        """
        if self._training and self._lacks_validation:
            self._save_again(runner)
        self._training = False
        self._finish_writing()
        if self.published_keys is None or runner.rank != 0:
            return
        last = []
        if self.save_last and self.last_ckpt:
            last = [self.last_ckpt]
        publisher = Publisher(self.published_keys, self.backend_args)
        publisher.publish([*last, *self._best.paths.values()], self._run_files(runner).folder, runner.logger)

    def after_run(self, runner: RunnerView) -> None:
        """Waits until an asynchronous write of a checkpoint is complete."""
        self._training = False
        self._finish_writing()

    def save_now(self, runner: RunnerView, name: str) -> str:
        """Saves the run's current state as a checkpoint with the file name ``name``, and returns the path.

        The checkpoint contains optimizer and scheduler state even with ``save_optimizer=False``, and the call returns
        when the file is written. After the next regular checkpoint the file is deleted. If an earlier asynchronous
        write failed, its error is only logged, so that this checkpoint is still written.
        """
        files = self._run_files(runner)
        path = files.path(name)
        self._retention.add_interrupted(name, files, self._best.names(files))
        try:
            self._finish_writing()
        except Exception:
            runner.logger.exception("The checkpoint before %s was not written", name)
        self._write(runner, name, self._action_when_intact(runner, path), in_full=True)
        return path

    def _save(self, runner: RunnerView, number: int) -> None:
        """Saves the regular checkpoint of an epoch or iteration."""
        self._lacks_validation = False
        self._save_checkpoint_with_step(runner, number, None)

    def _save_again(self, runner: RunnerView) -> None:
        """Saves the latest regular checkpoint again after a validation, so that it contains the validation's results."""
        if self.by_epoch and batches_into_epoch(runner):
            # The validation ran inside an epoch. The latest regular checkpoint is from the end of an earlier epoch, so
            # it must not be replaced by the present state.
            return
        if self.by_epoch:
            number = runner.epoch
        else:
            number = runner.iter
        is_last = self._retention.last_name == self._run_files(runner).regular(number)
        # A folder of shards cannot be replaced atomically: a kill during the write would destroy an intact checkpoint.
        # So only a single file is saved again.
        if is_last and not runner.strategy.sharded:
            self._lacks_validation = False
            self._save_checkpoint_with_step(runner, number, None)

    def _save_checkpoint_with_step(self, runner: RunnerView, step: int, meta: dict[str, Any] | None) -> None:
        """Saves the regular checkpoint of an epoch or iteration. Libraries for MMEngine call and override this method.

        Args:
            runner: the run.
            step: number of the epoch or iteration.
            meta: further entries for the ``meta`` dict of the checkpoint.
        """
        files = self._run_files(runner)
        name = self._retention.add_regular(step, files, self._best.names(files))
        path = self.last_ckpt = files.path(name)
        runner.message_hub.update_info("last_ckpt", path)
        runner.message_hub.update_info("keep_ckpt_ids", list(self._retention.kept))
        self._write(runner, name, self._action_when_intact(runner, path), meta=meta)

    def _action_when_intact(self, runner: RunnerView, path: str) -> Callable[[], None]:
        """Returns a function to call when the checkpoint at ``path`` is completely written.

        The function writes the path into the pointer file ``last_checkpoint`` and deletes stale checkpoints.
        """
        return partial(
            self._retention.replace, list(self._retention.stale), self._run_files(runner), path, runner.work_dir
        )

    def _write(
        self,
        runner: RunnerView,
        name: str,
        on_intact: Callable[[], None],
        in_full: bool = False,
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Lets the runner write a checkpoint, asynchronously if ``async_save`` is set.

        With ``in_full``, for a run that may end afterwards, the write is synchronous, and optimizer and scheduler state
        are always saved.
        """
        writer = None
        if self.async_save and not in_full:
            writer = self._writer_beside(runner)
        runner.save_checkpoint(
            self._run_files(runner).folder,
            name,
            save_optimizer=self.save_optimizer or in_full,
            save_param_scheduler=self.save_param_scheduler or in_full,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            writer=writer,
            on_intact=on_intact,
            **self.args,
        )

    def _prepare_writer(self, runner: RunnerView) -> None:
        """Allocates host memory for the copy of the state from which an asynchronous write reads.

        The first training step must have created the optimizer state, which determines the size of the copy.
        """
        writer = self._writer_beside(runner)
        if not runner.strategy.sharded:
            # For sharded checkpoints `torch.distributed.checkpoint` allocates the memory itself.
            writer.prepare(runner.collect_checkpoint(self.save_optimizer, self.save_param_scheduler))

    def _writer_beside(self, runner: RunnerView) -> CheckpointWriter:
        """Returns the writer of asynchronous checkpoints; the first call creates it."""
        if self._writer is None:
            self._writer = runner.strategy.checkpoint_writer(self.backend_args, beside=self.async_save)
        return self._writer

    def _finish_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _save_best(self, runner: RunnerView, metric: str) -> None:
        """Saves the current state as the best checkpoint by ``metric``, and then deletes the previous best one."""
        files = self._run_files(runner)
        within_epoch = bool(self.by_epoch and batches_into_epoch(runner))
        unit, number = "iteration", runner.iter
        if self.by_epoch and not within_epoch:
            unit, number = "epoch", runner.epoch
        name = files.best(metric, number, within_epoch=within_epoch)
        path, score = files.path(name), self._best.scores[metric]
        previous = files.name_of(self._best.record(metric, path))
        self._retention.add_best(previous, files, self._best.names(files))
        suffix = self._best.suffix(metric)
        runner.message_hub.update_info(f"best_score{suffix}", score)
        runner.message_hub.update_info(f"best_ckpt{suffix}", path)
        self._write(runner, name, partial(self._retention.remove, list(self._retention.stale), files))
        runner.logger.info(
            "The best checkpoint with %0.4f %s at %s is saved to %s.", score, metric, counted(number, unit), name
        )

    def _state_to_resume(self, runner: RunnerView) -> Mapping[str, Any]:
        """Returns the hook's state from the checkpoint that the run resumes from.

        A checkpoint of MMEngine or eng 1.0 contains this state in the message hub.
        """
        if self._resumed_state is not None:
            return self._resumed_state
        if self._has_trained:
            # `train()` is called a second time in this process, so this hook object has a newer state than the message
            # hub.
            return self.state_dict()
        info = runner.message_hub.runtime_info
        return {"retention": retention_of_message_hub(info), "best": self._best.state_of_message_hub(info)}

    def _state_of_a_new_run(self) -> Mapping[str, Any]:
        """Returns the hook's state for a run that does not resume.

        The state is empty, except for the initial checkpoint that ``nan_policy="rollback"`` may have saved already.
        """
        return {"retention": {"interrupted": self._retention.interrupted}}

    def _publish_facts(self, runner: RunnerView) -> None:
        """Writes the paths of the best checkpoints into the message hub, and removes keys of MMEngine and eng 1.0.

        A checkpoint of MMEngine or eng 1.0 brings the keys `_OLD_FACTS` into the hub; this hook's state has the values.

        The paths that the hub restored from a checkpoint are outdated if the run was moved to another folder before the
        resume.
        """
        hub = runner.message_hub
        for metric, path in self._best.paths.items():
            hub.update_info(f"best_ckpt{self._best.suffix(metric)}", path)
        for name in _OLD_FACTS:
            if name in hub.runtime_info:
                hub.pop_info(name)

    def _run_files(self, runner: RunnerView) -> RunFiles:
        """Returns the object that builds the names of the run's checkpoint files and deletes them.

        The first call creates the object. ``save_now`` may make this call before ``before_train``.
        """
        if self._files is None:
            self._files = self._open_folder(runner)
        return self._files

    def _open_folder(self, runner: RunnerView) -> RunFiles:
        """Returns the files of the run; decides whether intervals count epochs or iterations, and names the folder."""
        self.by_epoch = follow_loop(
            self._given_by_epoch, runner, "CheckpointHook's by_epoch", f"interval={self.interval} may never be over"
        )
        left = runner.max_iters - max(runner.iter, self.save_begin)
        if self.interval == 1 and not self.by_epoch and left > _MANY_CHECKPOINTS:
            logger.warning(
                "CheckpointHook's interval=1 counts iterations in this run: each iteration saves a checkpoint. Set a longer "
                "interval, such as interval=1000, or dict(minutes=20)"
            )
        self.filename_tmpl = self._given_tmpl or _TEMPLATES[self.by_epoch]
        self.out_dir = self._choose_folder(runner)
        return RunFiles(self.out_dir, self.filename_tmpl, self.backend_args)

    def _choose_folder(self, runner: RunnerView) -> str:
        """Returns the checkpoint folder: ``work_dir``, or the subfolder of ``out_dir`` with the same name."""
        folder = str(self._given_out_dir or runner.work_dir)
        if folder == runner.work_dir:
            return runner.work_dir
        from eng.fileio import join_path

        if folder.startswith("~"):
            folder = str(Path(folder).expanduser())
        return str(join_path(folder, Path(runner.work_dir).name, backend_args=self.backend_args))


def _as_list(value: Any) -> list[Any] | None:
    """Returns the setting ``save_best`` as a list of metric names; None stays None.

    Raises:
        TypeError: ``value`` is neither a name, a list or tuple of names, nor None.
    """
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return list(value)
    raise UsageTypeError(f"expected a name, a list of names or None, got {type(value).__name__}")
