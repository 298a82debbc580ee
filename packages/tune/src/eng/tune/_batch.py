"""The largest batch that fits in memory, by training steps."""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from eng.device import memory_info, memory_reserved, peak_memory_reserved, reset_peak_memory
from eng.runner import is_out_of_memory

from ._rehearsal import Rehearsal, batches, rehearse, release_memory
from .errors import TuneError

__all__ = ["BatchSearch", "find_batch_size", "parse_bytes", "search_largest"]

logger = logging.getLogger(__name__)
MAX_TRIES = 8
_CLOSE = 0.9
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True)
class BatchSearch:
    """What a search for the batch size came to.

    Args:
        largest: most samples of a micro-batch that fit.
        batch_size: what to write into the config: with ``accumulative_counts`` it keeps the effective batch.
        accumulative_counts: micro-batches for each update.
        effective: samples for each update, as in the config.
        tries: micro-batches and the peak of memory in bytes that each took; None where memory ran out.
        limit: bytes.
        note: what changes with ``auto_scale_lr``; empty where nothing does.
    """

    largest: int
    batch_size: int
    accumulative_counts: int
    effective: int
    tries: list[tuple[int, int | None]]
    limit: int | None
    note: str = ""

    @property
    def options(self) -> dict[str, int]:
        """The settings by dotted key of the config."""
        return {
            "train_dataloader.batch_size": self.batch_size,
            "optim_wrapper.accumulative_counts": self.accumulative_counts,
        }

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {**asdict(self), "options": self.options}


def find_batch_size(run: Any, *, memory: int | str | None = None, largest: int | None = None) -> BatchSearch:
    """The largest micro-batch that fits in memory, and how to keep the effective batch with it.

    Each try trains two steps. On an accelerator the memory is that of the device, and its own error ends a try; on the CPU
    it is the peak of the process's resident memory, against a limit. Memory is given back after each try.

    Args:
        run: a Runner, whose model is copied and so is in memory twice, or a config or its path.
        memory: limit in bytes, or a text such as ``"2GB"`` or ``"512MiB"``. On the CPU it must be given; on an accelerator
            None (default) takes what is free.
        largest: most samples to try; None (default) takes the length of the dataset.

    Raises:
        TuneError: not even one sample fits, or the limit is missing or cannot be read.
    """
    limit = parse_bytes(memory) if memory is not None else None
    with rehearse(run) as rehearsal:
        peak = _PeakMemory(rehearsal.device)
        if limit is None:
            limit = peak.limit()
        length = _length(rehearsal.loader()) if largest is None else largest
        size, counts = rehearsal.batch_size, _counts(rehearsal.wrapper)
        tries = search_largest(lambda batch: _peak_of(rehearsal, batch, peak), size, limit, length)
        auto_scale = run.auto_scale_lr if hasattr(run, "build_dataloader") else _auto_scale_of(run)
    largest_fitting = max((batch for batch, used in tries if _fits(used, limit)), default=0)
    if largest_fitting == 0:
        raise TuneError(f"not even a batch of 1 sample fits into {limit:,} bytes")
    batch, number = split_evenly(size * counts, largest_fitting)
    note = _note(auto_scale, size, batch)
    return BatchSearch(largest_fitting, batch, number, size * counts, tries, limit, note)


def search_largest(
    peak_of: Callable[[int], int | None], start: int, limit: int, largest: int | None, max_tries: int = MAX_TRIES
) -> list[tuple[int, int | None]]:
    """Tries batches until the largest that fits is known, or takes at least 90 % of the limit.

    Memory is taken to grow with the batch on a line through the batches tried; a batch that ran out of memory halves the
    distance in its place.

    Args:
        peak_of: peak of memory with a batch; None where memory ran out.
        start: the first batch.
        limit: bytes.
        largest: most samples; None for no bound.
        max_tries: how often to try.

    Returns:
        The batches in the order of the tries, with their peaks.
    """
    tries: dict[int, int | None] = {}
    batch = max(min(start, largest or start), 1)
    while len(tries) < max_tries:
        tries[batch] = peak_of(batch)
        following = _next_batch(tries, limit, largest)
        if following is None or following in tries:
            break
        batch = following
    return list(tries.items())


def _next_batch(tries: dict[int, int | None], limit: int, largest: int | None) -> int | None:
    """The next batch to try; None where the search is over."""
    fitting = sorted(batch for batch, peak in tries.items() if _fits(peak, limit))
    failing = sorted(batch for batch, peak in tries.items() if not _fits(peak, limit))
    if not fitting:
        return None if failing[0] == 1 else max(_on_line(tries, limit) or failing[0] // 4, 1)
    low = fitting[-1]
    used = tries[low]
    if low == largest or (used is not None and used >= _CLOSE * limit and len(fitting) > 1):
        return None
    guess = _on_line(tries, limit)
    if not failing:
        factor = 2 if len(fitting) == 1 else 8  # two batches that take the same tell nothing
        guess = low * factor if guess is None else min(guess, low * 16)
        return min(max(guess, low + 1), largest or guess + 1)
    high = failing[0]
    if high - low <= 1:
        return None
    if guess is None or not low < guess < high:
        guess = (low + high) // 2
    return min(max(guess, low + 1), high - 1)


def _on_line(tries: dict[int, int | None], limit: int) -> int | None:
    """The batch that takes 97 % of the limit, on the line through the two known batches that are nearest to it."""
    known = sorted((abs(peak - limit), batch, peak) for batch, peak in tries.items() if peak is not None)
    if len(known) < 2:
        return None
    (_, first, peak), (_, second, other) = known[:2]
    slope = (other - peak) / (second - first)
    if slope <= 0:
        return None
    return int(first + (0.97 * limit - peak) / slope)


def _fits(peak: int | None, limit: int | None) -> bool:
    return peak is not None and (limit is None or peak <= limit)


def split_evenly(effective: int, largest: int) -> tuple[int, int]:
    """The largest micro-batch, and how many of them make the effective batch exactly.

    Args:
        effective: samples for each update.
        largest: most samples of a micro-batch.

    Examples:
        >>> split_evenly(64, 20), split_evenly(64, 100)
        ((16, 4), (64, 1))
    """
    batch = next(size for size in range(min(effective, largest), 0, -1) if effective % size == 0)
    return batch, effective // batch


def parse_bytes(text: int | str) -> int:
    """A number of bytes, such as ``"2GB"``, ``"512MiB"`` or ``"1.5g"``.

    Raises:
        TuneError: the text is no number of bytes above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?)b?\s*", str(text).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise TuneError(f"memory is a number of bytes above 0, such as 2GB or 512MiB, got {text!r}")
    return int(float(match[1]) * _UNITS[match[2]])


class _PeakMemory:
    """The most memory that was used since a moment: of an accelerator, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cpu" and not Path("/proc/self/clear_refs").exists():
            raise TuneError("the peak of memory on the CPU is read from /proc, which this system does not have")

    def limit(self) -> int:
        """What may be used."""
        if self._device.type == "cpu":
            raise TuneError("on the CPU a search for the batch size needs a limit: --memory 2GB")
        memory = memory_info(self._device)
        if memory is None:
            raise TuneError(
                f"{self._device} does not tell how much of its memory is free: give a limit, such as --memory 2GB"
            )
        return memory[0] + (memory_reserved(self._device) or 0)

    def start(self) -> None:
        """Begins to look."""
        if self._device.type == "cpu":
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak to what is used now
        else:
            reset_peak_memory(self._device)

    def read(self) -> int:
        """The peak in bytes."""
        if self._device.type == "cpu":
            status = Path("/proc/self/status").read_text(encoding="ascii")
            return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # every Linux has it
        peak = peak_memory_reserved(self._device)
        if peak is None:
            raise TuneError(f"{self._device} counts no peak of its memory, by which a batch size is searched")
        return peak


def _peak_of(rehearsal: Rehearsal, batch: int, peak: _PeakMemory) -> int | None:
    """The peak of memory of two steps with a batch; None where memory ran out."""
    release_memory()
    peak.start()
    try:
        _two_steps(rehearsal, batch)
        used: int | None = peak.read()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        used = None
    finally:
        for part in rehearsal.own_parts:
            part.zero_grad(set_to_none=True)
        gc.collect()
        release_memory()
    return used


def _two_steps(rehearsal: Rehearsal, batch: int) -> None:
    """The first step makes the optimizer's state, the second one has all of it in memory."""
    model, wrapper = rehearsal.own_parts
    data = batches(rehearsal.loader(batch_size=batch, num_workers=0))
    model.train()
    for _ in range(2 * _counts(wrapper)):
        model.train_step(next(data), optim_wrapper=wrapper)


def _counts(wrapper: Any) -> int:
    parts = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    return max(int(getattr(part, "accumulative_counts", 1)) for part in parts)


def _length(loader: Any) -> int | None:
    try:
        return len(loader.dataset)
    except (TypeError, AttributeError):
        return None


def _auto_scale_of(run: Any) -> Any:
    from eng.config import Config

    if isinstance(run, str | Path):
        run = Config.fromfile(run)
    return run.get("auto_scale_lr") if hasattr(run, "get") else None


def _note(auto_scale: Any, before: int, after: int) -> str:
    if not auto_scale or not auto_scale.get("enable") or before == after:
        return ""
    base = auto_scale["base_batch_size"]
    return (
        f"auto_scale_lr counts batch_size without accumulation: with {after} instead of {before} it would scale learning rates "
        f"by {after / base:g} instead of {before / base:g}. To keep them, set auto_scale_lr.base_batch_size={base * after / before:g}"
    )
