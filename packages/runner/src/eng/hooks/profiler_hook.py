"""ProfilerHook runs ``torch.profiler`` for the first epochs or iterations; NPUProfilerHook profiles an Ascend NPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from eng.logging.errors import UsageError, UsageTypeError
from eng.logging.words import counted
from eng.registry import HOOKS

from ._loops import follow_loop
from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Profiles the first ``profile_times`` epochs or iterations of training with :mod:`torch.profiler`.

    Args:
        by_epoch: whether ``profile_times`` counts epochs (True) or iterations (False). None (default) uses the unit that
            the training loop counts.
        profile_times: epochs or iterations to profile. 1 by default.
        activity_with_cpu: whether to record operators on the CPU. True by default.
        activity_with_cuda: whether to record CUDA kernels. False by default.
        schedule: keyword arguments of :func:`torch.profiler.schedule`, which selects the steps to record; None
            (default) records every step.
        on_trace_ready: what happens to a recorded trace: a callable gets the trace, ``dict(type="log_trace")`` logs a
            table, ``dict(type="tb_trace", dir_name=...)`` writes TensorBoard files, and None (default) does nothing.
        record_shapes: whether to record the shapes of operator inputs. False by default.
        profile_memory: whether to record allocations of memory. False by default.
        with_stack: whether to record the file and line of code that called each operator. False by default.
        with_flops: whether to estimate the FLOPs of matrix products and convolutions. False by default.
        json_trace_path: file for the trace in the format of Chrome's trace viewer; None (default) writes no file.

    Raises:
        ValueError: ``profile_times`` is below 1 or no activity is chosen.
        ValueError: ``on_trace_ready`` is a dict with an unknown ``type``.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        by_epoch: bool | None = None,
        profile_times: int = 1,
        activity_with_cpu: bool = True,
        activity_with_cuda: bool = False,
        schedule: dict[str, Any] | None = None,
        on_trace_ready: Callable[[Any], None] | dict[str, Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        if profile_times < 1:
            raise UsageError(f"profile_times must be at least 1, got {profile_times}")
        self.by_epoch = self._given_by_epoch = by_epoch
        self.profile_times = profile_times
        self.activities = _activities(activity_with_cpu, activity_with_cuda)
        if schedule is not None and not isinstance(schedule, Mapping):
            raise UsageTypeError(f"schedule must be the keywords of torch.profiler.schedule, got {schedule!r}")
        self.schedule: Callable[[int], torch.profiler.ProfilerAction] | None = None
        if schedule is not None:
            self.schedule = torch.profiler.schedule(**schedule)
        self.on_trace_ready = on_trace_ready
        self.options: dict[str, Any] = {
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self.json_trace_path = json_trace_path
        self.profiler: Any = None
        self._seen = 0

    def before_run(self, runner: RunnerView) -> None:
        """Creates and starts the profiler.

        Raises:
            ValueError: the run is shorter than ``profile_times``.
        """
        self.by_epoch = follow_loop(
            self._given_by_epoch, runner, "ProfilerHook's by_epoch", "the whole run is one epoch and is profiled"
        )
        length, unit = runner.max_iters, "iterations"
        if self.by_epoch:
            length, unit = runner.max_epochs, "epochs"
        if length < self.profile_times:
            raise UsageError(f"profile_times is {self.profile_times}, but the run has only {length} {unit}")
        self._seen = 0
        self.profiler = torch.profiler.profile(
            activities=self.activities,
            schedule=self.schedule,
            on_trace_ready=_trace_handler(self.on_trace_ready, runner),
            **self.options,
        )
        self.profiler.__enter__()
        runner.logger.info("The profiler is recording")

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Counts a profiled epoch, and stops the profiler after ``profile_times`` epochs."""
        if self.by_epoch:
            self._count(runner)

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Advances the profiler's schedule by one step, and stops the profiler after the last profiled iteration."""
        if self.profiler is not None and self.schedule is not None:
            self.profiler.step()
        if not self.by_epoch:
            self._count(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Stops the profiler if the run ended before all its epochs or iterations were profiled."""
        if self.profiler is not None:
            self._close(runner)

    def _count(self, runner: RunnerView) -> None:
        """Counts a profiled epoch or iteration, and stops the profiler after ``profile_times`` of them."""
        if self.profiler is None:
            return
        self._seen += 1
        if self._seen >= self.profile_times:
            self._close(runner)

    def _close(self, runner: RunnerView) -> None:
        """Stops the profiler, and writes the Chrome trace if ``json_trace_path`` is set."""
        self.profiler.__exit__(None, None, None)
        if self.json_trace_path is not None:
            self.profiler.export_chrome_trace(str(self.json_trace_path))
        self.profiler = None
        runner.logger.info("The profiler is done")


def _activities(cpu: bool, cuda: bool) -> list[Any]:
    chosen = [torch.profiler.ProfilerActivity.CPU] * cpu + [torch.profiler.ProfilerActivity.CUDA] * cuda
    if not chosen:
        raise UsageError("choose activity_with_cpu or activity_with_cuda")
    return chosen


def _trace_handler(setting: Any, runner: RunnerView) -> Callable[[Any], None] | None:
    """Returns the function that the profiler calls with each trace; None if ``setting`` is None.

    The function is the user's callable, or logs a table, or writes TensorBoard files.
    """
    handler: Callable[[Any], None] | None = setting
    if setting is None or callable(setting):
        return handler
    options = dict(setting)
    handler_type = options.pop("type", None)
    if handler_type == "log_trace":
        return _log_table(runner, **options)
    if handler_type == "tb_trace":
        folder = Path(options.pop("dir_name", None) or Path(str(runner.log_dir)) / "tf_tracing_logs")
        write: Callable[[Any], None] = torch.profiler.tensorboard_trace_handler(str(folder), **options)
        return write
    raise UsageError(f"on_trace_ready must be a callable or a dict of type 'log_trace' or 'tb_trace', got {setting!r}")


def _log_table(runner: RunnerView, sort_by: str = "self_cpu_time_total", row_limit: int = 15) -> Callable[[Any], None]:
    """Returns a function that logs the operators of a trace as a table, with the ``row_limit`` most expensive first."""

    def handler(profiler: Any) -> None:
        table = profiler.key_averages().table(sort_by=sort_by, row_limit=row_limit)
        runner.logger.info("Profile:\n%s", table)

    return handler


@HOOKS.register_module()
class NPUProfilerHook(Hook):
    """Profiles iterations on an Ascend NPU with CANN.

    Args:
        begin: first iteration to profile. 0 by default.
        end: iteration at which profiling ends; it is not profiled itself. 1 by default.
        result_path: folder for the results.
        exit_after_profiling: whether to end the process when the results are written. True by default.
        use_e2e_profiler: whether to use CANN's end-to-end profiling, which covers host and device. False by default.
        ge_profiling_to_std_out: whether CANN's graph engine prints its profile to standard output. False by default.

    Raises:
        ModuleNotFoundError: ``torch_npu`` is not installed.
        ValueError: ``begin`` is not below ``end``.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        begin: int = 0,
        end: int = 1,
        result_path: str = "cann_profiling",
        exit_after_profiling: bool = True,
        use_e2e_profiler: bool = False,
        ge_profiling_to_std_out: bool = False,
    ) -> None:
        if begin >= end:
            raise UsageError(f"begin ({begin}) must be below end ({end})")
        import os

        import torch_npu

        self._npu = torch_npu.npu
        self.begin, self.end = begin, end
        self.result_path = Path(result_path).absolute()
        self.exit_after_profiling = exit_after_profiling
        self.use_e2e_profiler = use_e2e_profiler
        if ge_profiling_to_std_out:
            os.environ["GE_PROFILING_TO_STD_OUT"] = "1"
        self._record: Any = None

    def before_run(self, runner: RunnerView) -> None:
        """Creates the folder for the results of the profiler.

        Raises:
            ValueError: the run has fewer iterations than ``end``, the iteration at which profiling ends.
        """
        if self.end > runner.max_iters:
            raise UsageError(f"end is {self.end}, but the run has only {counted(runner.max_iters, 'iteration')}")
        self.result_path.mkdir(parents=True, exist_ok=True)

    def before_train_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Starts recording at iteration ``begin``."""
        if runner.iter == self.begin:
            self._record = self._npu.profile(
                profiler_result_path=str(self.result_path), use_e2e_profiler=self.use_e2e_profiler
            )
            self._record.__enter__()

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Stops recording after iteration ``end - 1`` and writes the results.

        Raises:
            SystemExit: the results are written and ``exit_after_profiling`` is True.
        """
        if self._record is not None and runner.iter == self.end - 1:
            self._record.__exit__(None, None, None)
            self._record = None
            if self.exit_after_profiling:
                raise SystemExit(0)
