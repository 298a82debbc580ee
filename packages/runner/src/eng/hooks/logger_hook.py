"""LoggerHook: log lines, scalars for the visualizer, and copies of the log files."""

from __future__ import annotations

import json
import logging
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eng.dataset.utils import length_of
from eng.logging import parts
from eng.logging._details import DETAIL
from eng.logging.whole_numbers import whole_number
from eng.registry import HOOKS
from eng.visualization.axis import step_counts

from ._loaders import loader_length
from ._loops import follow_loop, validates_within_epochs
from ._throughput import RunNumbers
from .hook import DataBatch, Hook
from .view import RunnerView

logger = logging.getLogger(__name__)


@HOOKS.register_module()
class LoggerHook(Hook):
    """Logs a line every ``interval`` iterations, and sends the scalars of the line to the visualizer.

    Before the first iteration the hook prints a report of the run: device, model, data, optimizer and schedule.

    Args:
        interval: iterations between two log lines, counted within the epoch. 10 by default.
        ignore_last: whether to log no line at the end of an epoch if fewer than ``interval`` iterations remained. True
            by default. An epoch with at most ``interval`` iterations always gets a line.
        interval_exp_name: iterations between two lines with the experiment's name, which is also printed at the end of each
            epoch. 1000 by default.
        out_dir: folder on any storage that :mod:`eng.fileio` reaches; the log files are copied there when the run ends.
            None (default) copies no files.
        out_suffix: suffixes of the names of the files to copy.
        keep_local: whether to keep the local files after they are copied. True by default.
        file_client_args: the old name of ``backend_args``.
        log_metric_by_epoch: whether the x axis of validation metrics is the epoch (True) or the iteration (False). None
            (default) uses the unit that the training loop counts.
        backend_args: options of the storage behind ``out_dir``.
        flops_per_iter: floating-point operations of one iteration over all ranks, as ``eng flops`` counts them. They give
            the model FLOPs utilization (``mfu``). None (default) assumes 6 operations per trained parameter and token if a
            batch has ``input_ids``, and otherwise logs no ``mfu``.
        peak_flops: peak floating-point operations per second of one device. None (default) looks the accelerator up in a
            built-in table.

    Raises:
        ValueError: ``interval`` or ``interval_exp_name`` is below 1, or both ``file_client_args`` and
            ``backend_args`` are given.
        TypeError: ``out_dir`` is not a path.
    """

    priority = "BELOW_NORMAL"

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: str | Path | None = None,
        out_suffix: Sequence[str] | str = (".json", ".log", ".py", "yaml"),
        keep_local: bool = True,
        file_client_args: dict[str, Any] | None = None,
        log_metric_by_epoch: bool | None = None,
        backend_args: dict[str, Any] | None = None,
        flops_per_iter: float | None = None,
        peak_flops: float | None = None,
    ) -> None:
        for name, value in (("interval", interval), ("interval_exp_name", interval_exp_name)):
            if not isinstance(value, numbers.Real) or value != value // 1:
                raise TypeError(f"LoggerHook's {name} must be a positive integer, got {value!r}")
        if out_dir is not None and not isinstance(out_dir, (str, Path)):
            raise TypeError(f"LoggerHook's out_dir must be a path or None, got {type(out_dir).__name__}")
        if file_client_args is not None and backend_args is not None:
            raise ValueError("give backend_args only; file_client_args is its old name")
        if file_client_args is not None:
            logger.warning('"file_client_args" is the old name of "backend_args": give LoggerHook(backend_args=...)')
        self.interval = whole_number("LoggerHook's interval", interval, 1)
        self.ignore_last = ignore_last
        self.interval_exp_name = whole_number("LoggerHook's interval_exp_name", interval_exp_name, 1)
        self.out_dir = out_dir
        if isinstance(out_suffix, str):
            out_suffix = [out_suffix]
        self.out_suffix = tuple(out_suffix)
        self.keep_local = keep_local
        self.log_metric_by_epoch = self._given_by_epoch = log_metric_by_epoch
        self.backend_args = backend_args
        if backend_args is None:
            self.backend_args = file_client_args
        self.json_log_path: str | None = None
        self.last_loss: float | None = None
        self._numbers = RunNumbers(flops_per_iter, peak_flops)
        self._has_reported = False
        self._epoch_length = -1
        self._logs_end = False
        self._begin = 0
        self._next_batch = -1
        self._evaluated = 0

    def before_run(self, runner: RunnerView) -> None:
        """Sets the name of the metrics file and the folder for copies of the logs, and prints the report of a new run.

        A resumed run prints its report in ``before_train``, when the values from the checkpoint are restored.
        """
        self.json_log_path = f"{runner.timestamp}.json"
        self.log_metric_by_epoch = follow_loop(
            self._given_by_epoch, runner, "LoggerHook's log_metric_by_epoch", "all metrics are shown at step 0"
        )
        if hasattr(runner.log_processor, "follow_loop"):
            runner.log_processor.follow_loop(runner)
        if self.out_dir is not None:
            from eng.fileio import join_path

            self.out_dir = str(join_path(str(self.out_dir), Path(runner.work_dir).name, backend_args=self.backend_args))
            runner.logger.info("Log files are copied to %s when the run is over", self.out_dir)
        if not (runner.is_resuming and "train" in runner.built_loops):
            self._report(runner)

    def _report(self, runner: RunnerView) -> None:
        """Logs the report of the run (device, model, data, optimizer, schedule), on rank 0 and once per hook object."""
        if self._has_reported or runner.rank != 0:
            return
        self._has_reported = True
        from .start_report import start_report

        try:
            runner.logger.info(start_report(runner))
        except Exception:
            # A loop, model or optimizer wrapper of another library may lack an attribute that the report reads. The run
            # must not fail because of a report.
            runner.logger.debug("There is no report of the run's parts", exc_info=True)

    def before_train(self, runner: RunnerView) -> None:
        """Starts to measure throughput, and prints the report of a resumed run, with the values from its checkpoint."""
        self._report(runner)
        self._numbers.begin(runner)

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Stores the number of batches of the epoch; -1 for a dataset without a length."""
        loader = runner.train_dataloader
        length = length_of(loader)
        if length is None:
            self._epoch_length = -1
        else:
            self._epoch_length = length
        self._logs_end = not self.ignore_last or self._epoch_length <= self.interval
        self._next_batch = -1
        if self._logs_end and self._epoch_length == 1:
            self._numbers.want_grad_norm()

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Logs a line and sends its scalars to the visualizer when an interval ends.

        With ``ignore_last=False``, or in an epoch shorter than an interval, the last iteration of the epoch logs a
        line, too.
        """
        done = batch_idx + 1
        self._numbers.count(data_batch)
        if batch_idx != self._next_batch:
            # A new epoch began, or the loop left out iterations: compute at which iteration the epoch began.
            self._begin = runner.iter - batch_idx
        self._next_batch = done
        ends_epoch = done == self._epoch_length
        if ends_epoch or (self._begin + done) % self.interval_exp_name == 0:
            runner.logger.info("Exp name: %s", runner.experiment_name, extra=DETAIL)
        is_regular = done % self.interval == 0
        # If the next iteration logs a line, which contains the gradient norm, its update must measure the norm.
        if (done + 1) % self.interval == 0 or (self._logs_end and done + 1 == self._epoch_length):
            self._numbers.want_grad_norm()
        if not is_regular and not (ends_epoch and self._logs_end):
            return
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        runner.logger.info(line)
        self.last_loss = tag.get("loss", tag.get("train/loss"))
        tag.update(self._numbers.at_log_point(runner, tag, is_shared=is_regular))
        for text in self._numbers.news():
            runner.logger.warning(text)
        with step_counts("iter"):
            runner.visualizer.add_scalars(tag, step=runner.iter + 1, file_path=self.json_log_path)

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Resets the count of evaluated batches before a validation."""
        self._begin_pass(runner, "val")

    def before_test_epoch(self, runner: RunnerView) -> None:
        """Resets the count of evaluated batches before a test."""
        self._begin_pass(runner, "test")

    def _begin_pass(self, runner: RunnerView, mode: str) -> None:
        self._evaluated = 0
        if hasattr(runner.log_processor, "begin_pass"):
            runner.log_processor.begin_pass(runner, mode)

    def after_val_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Logs the progress of the validation every ``interval`` batches."""
        self._evaluated += 1
        if (batch_idx + 1) % self.interval == 0:
            runner.logger.info(runner.log_processor.get_log_after_iter(runner, batch_idx, "val")[1])

    def after_test_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Logs the progress of the test every ``interval`` batches."""
        self._evaluated += 1
        if (batch_idx + 1) % self.interval == 0:
            runner.logger.info(runner.log_processor.get_log_after_iter(runner, batch_idx, "test")[1])

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Logs the metrics of the validation, and sends them to the visualizer."""
        batches = loader_length(runner, "val") or self._evaluated
        tag, line = runner.log_processor.get_log_after_epoch(runner, batches, "val")
        runner.logger.info(line)
        axis, step = "iter", runner.iter
        if self.log_metric_by_epoch and not validates_within_epochs(runner):
            axis, step = "epoch", runner.epoch
        with step_counts(axis):
            runner.visualizer.add_scalars(tag, step=step, file_path=self.json_log_path)

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Logs the metrics of the test, and writes them to ``<log_dir>/<timestamp>.json``, non-scalar values included."""
        batches = loader_length(runner, "test") or self._evaluated
        tag, line = runner.log_processor.get_log_after_epoch(runner, batches, "test", with_non_scalar=True)
        runner.logger.info(line)
        if runner.rank == 0:
            path = Path(str(runner.log_dir)) / (self.json_log_path or "test.json")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(_plain(tag)), encoding="utf-8")
            except OSError as error:
                # A full disk must not end the run: the log line contains the metrics, and `test()` returns them.
                logger.warning("The metrics of the test are not written to %s: %s", path, error)

    def after_run(self, runner: RunnerView) -> None:
        """Logs the training time by part (such as data and forward), closes the visualizer and copies the log files."""
        self._report_parts(runner)
        runner.visualizer.close()
        if self.out_dir is not None and runner.rank == 0:
            self._copy_logs(runner)

    def _report_parts(self, runner: RunnerView) -> None:
        """Logs a table of the seconds spent on data, forward, backward, step and hooks, if there was training."""
        times = self._numbers.times
        if times is not None and times.seconds[parts.FORWARD] and runner.rank == 0:
            times.switch(parts.HOOKS)
            runner.logger.info(times.table())
        self._numbers.times = None

    def _copy_logs(self, runner: RunnerView) -> None:
        """Copies the log files to ``out_dir``. A file that cannot be copied gives a warning and stays local."""
        from eng.fileio import copyfile_from_local, join_path

        root = Path(str(runner.log_dir))
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.name.endswith(self.out_suffix):
                relative = path.relative_to(root).as_posix()
                target = join_path(str(self.out_dir), relative, backend_args=self.backend_args)
                try:
                    copyfile_from_local(str(path), target, backend_args=self.backend_args)
                except Exception as error:  # noqa: BLE001  # Storage backends raise errors of any class; the run is over and saved.
                    logger.warning("%s is not copied to %s: %r", path, target, error)
                    continue
                runner.logger.info("Copied %s to %s", path, target)
                if not self.keep_local:
                    path.unlink()


def _plain(value: Any) -> Any:
    """Converts ``value`` for JSON: tensors and arrays become numbers or lists, unknown objects become text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, torch.Tensor, np.generic)):
        return value.tolist()
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return str(value)
