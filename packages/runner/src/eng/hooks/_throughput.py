"""Throughput, memory, FLOPs utilization and gradient norm of a training run, computed only when a log line is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from eng.dataset._loader_parts import batch_size_of
from eng.device import device_name
from eng.dist import get_ranks_per_share
from eng.logging.parts import HOOKS, PartClock
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name

from ._devices import host_memory_mb, peak_flops
from ._parts import follow_parts
from ._ranks import SlowRank, busy_seconds, slowest
from ._recompiles import Recompiles
from .view import CastsForward, MeasuresGradNorm, provides

__all__ = ["RunNumbers", "throughput"]

_TOKENS = "input_ids"
# Number of the clock's parts that belong to training: data, forward, backward, step and hooks. Later parts, such as
# validation, do not count for the throughput.
_TRAINING_PARTS = HOOKS + 1
# FLOPs per parameter and token for forward and backward of a dense model (Kaplan et al. 2020, arXiv:2001.08361, section 2.1).
_FLOPS_PER_PARAMETER = 6


def throughput(times: Mapping[str, Any], batch_size: int | None, world_size: int) -> dict[str, float]:
    """Computes samples per second, and the share of the iteration time that is spent waiting for data.

    Args:
        times: mean ``time`` and ``data_time`` of the iterations, in seconds.
        batch_size: samples of a full batch on one rank; None if it is unknown.
        world_size: number of ranks.

    Returns:
        ``samples_per_s`` over all ranks (absent without a batch size) and ``data_share`` from 0 to 1; an empty dict if
        the times are unknown.

    Example:
        >>> throughput({"time": 0.5, "data_time": 0.1}, 8, 2)
        {'data_share': 0.2, 'samples_per_s': 32.0}
    """
    seconds, waiting = times.get("time"), times.get("data_time")
    if not isinstance(seconds, (int, float)) or not isinstance(waiting, (int, float)) or not seconds > 0:
        return {}
    numbers = {"data_share": min(waiting / seconds, 1.0)}
    if batch_size:
        numbers["samples_per_s"] = batch_size * world_size / seconds
    return numbers


class RunNumbers:
    """Measures scalars of a training run besides its losses: throughput, memory, FLOPs utilization and gradient norm.

    The scalars are computed at a log point, which is an iteration that prints a log line. In all other iterations the
    object only counts tokens and iterations, so that the program does not wait for the accelerator.

    Args:
        flops_per_iter: floating-point operations of one iteration over all ranks. None assumes 6 operations per trained
            parameter and token if a batch has ``input_ids``; without ``input_ids`` there is no FLOPs utilization.
        peak_flops: peak floating-point operations per second of one device; None looks the device up in a table.
    """

    def __init__(self, flops_per_iter: float | None = None, peak_flops: float | None = None) -> None:
        self._flops_per_iter, self._given_peak = flops_per_iter, peak_flops
        self.times: PartClock | None = None
        self._slow_rank: SlowRank | None = None
        self._stays_slow = False
        self.recompiles = Recompiles()
        self._reported_ranks: set[int] = set()
        self._recompiled = ""
        self._wrappers: list[MeasuresGradNorm] = []
        self._peak: float | None = None
        self._parameters = self._tokens = self._iterations = 0
        self._since: list[float] = []

    def begin(self, runner: Any) -> None:
        """Starts to measure a training run: attaches a clock to its hooks, and sets all counts to zero."""
        self.times = follow_parts(runner)
        self.recompiles.begin()
        wrappers = wrappers_by_name(runner.optim_wrapper).values()
        self._wrappers = [wrapper for wrapper in wrappers if provides(wrapper, MeasuresGradNorm)]
        self._peak = self._given_peak or _peak_of(runner)
        self._parameters = 0
        self._begin_interval()
        self.want_grad_norm()

    def _begin_interval(self) -> None:
        """Starts the interval until the next log point: resets its counts, and stores the present clock seconds."""
        self._tokens = self._iterations = 0
        self._since = []
        if self.times is not None:
            self._since = list(self.times.seconds)

    def count(self, data_batch: Any) -> None:
        """Counts an iteration, and the tokens in ``input_ids`` of its batch, padding included."""
        self._iterations += 1
        if type(data_batch) is dict or isinstance(data_batch, Mapping):
            tokens = data_batch.get(_TOKENS)
            if type(tokens) is torch.Tensor:
                self._tokens += tokens.numel()
            elif type(tokens) is list:
                # The default collate function of configs, `pseudo_collate`, lists the samples instead of stacking them,
                # so the tokens of all samples are added.
                self._tokens += sum(item.numel() for item in tokens if type(item) is torch.Tensor)

    def want_grad_norm(self) -> None:
        """Asks the optimizer wrappers to measure the gradient norm in their next update, for the next log line."""
        for wrapper in self._wrappers:
            wrapper.wants_grad_norm = True

    def at_log_point(self, runner: Any, tag: Mapping[str, Any], *, is_shared: bool) -> dict[str, float]:
        """Returns the scalars that were measured since the last log point, by name.

        Args:
            runner: the run.
            tag: the other scalars of the log line, among them the mean ``time`` and ``data_time`` in seconds.
            is_shared: whether all ranks reach this log point. Only then the speed of the ranks is compared, because the
                comparison is a collective call.
        """
        size: Any = batch_size_of(runner.train_dataloader)
        if not isinstance(size, int):
            size = None
        world_size = getattr(runner, "world_size", 1)
        # The ranks of a tensor-parallel group read the same samples, so each group counts as one rank.
        shares = world_size // get_ranks_per_share()
        numbers = throughput(tag, size, shares)
        numbers.update(self._by_clock(runner, world_size))
        if "grad_norm" not in tag:
            numbers.update(self._grad_norm())
        memory = host_memory_mb()
        if memory is not None:
            numbers["host_memory"] = memory
        if is_shared and self.times is not None and world_size > 1:
            before = self._slow_rank
            lag, self._slow_rank = slowest(busy_seconds(self.times.seconds, self._since, self._iterations))
            numbers["slowest_rank_lag"] = lag
            self._stays_slow = before is not None and self._slow_rank is not None and before[0] == self._slow_rank[0]
        self._recompiled = self.recompiles.news()
        if self.recompiles.count:
            numbers["recompiles"] = self.recompiles.count
        self._begin_interval()
        return numbers

    def news(self) -> list[str]:
        """Returns the warnings of the last log point, about recompilations and about a slow rank.

        A rank is slow if it was 20 % slower than the median rank at two log points in a row. Each rank is reported
        only once.
        """
        warnings = []
        if self._recompiled:
            warnings = [self._recompiled]
        self._recompiled = ""
        slow_rank = self._slow_rank
        if self._stays_slow and slow_rank is not None and slow_rank[0] not in self._reported_ranks:
            self._reported_ranks.add(slow_rank[0])
            warnings.append(str(slow_rank))
        return warnings

    def _by_clock(self, runner: Any, world_size: int) -> dict[str, float]:
        """Computes tokens per second and FLOPs utilization since the last log point, excluding validation time."""
        if self.times is None or not self._iterations:
            return {}
        self.times.switch(self.times.part)
        spent = [now - before for now, before in zip(self.times.seconds, self._since, strict=True)]
        seconds = sum(spent[:_TRAINING_PARTS])
        if seconds <= 0:
            return {}
        numbers = {}
        if self._tokens:
            numbers["tokens_per_s"] = self._tokens * (world_size // get_ranks_per_share()) / seconds
        flops = self._flops(runner.model, world_size // get_ranks_per_share())
        if flops and self._peak:
            numbers["mfu"] = flops / seconds / (self._peak * world_size)
        return numbers

    def _flops(self, model: Any, shares: int) -> float:
        """Returns the floating-point operations since the last log point, over all ranks; 0 if they are unknown."""
        if self._flops_per_iter is not None:
            return self._flops_per_iter * self._iterations
        if not self._tokens:
            return 0.0
        self._parameters = self._parameters or sum(p.numel() for p in model.parameters() if p.requires_grad)
        return float(_FLOPS_PER_PARAMETER * self._parameters * self._tokens * shares)

    def _grad_norm(self) -> dict[str, float]:
        norms = [wrapper.grad_norm for wrapper in self._wrappers if wrapper.grad_norm is not None]
        if not norms:
            return {}
        return {"grad_norm": math.hypot(*map(float, norms))}


def _peak_of(runner: Any) -> float | None:
    """Returns the peak FLOPS of the model's device for the dtype of the forward pass.

    None on the CPU, and for a device that the table of peaks does not contain.
    """
    parameter = next(iter(runner.model.parameters()), None)
    if parameter is None or parameter.device.type == "cpu":
        return None
    dtype = parameter.dtype
    if provides(runner.optim_wrapper, CastsForward):
        # If the optimizer wrapper sets no dtype for autocast, autocast uses float16 on accelerators.
        dtype = runner.optim_wrapper.cast_dtype or torch.float16
    allows = torch.backends.cuda.matmul.allow_tf32
    return peak_flops(device_name(parameter.device), dtype, allows_tf32=allows)
