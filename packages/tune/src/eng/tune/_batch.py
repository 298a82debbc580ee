"""Finds the largest batch size that fits in memory, by running training steps."""

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
    """Result of a search for the batch size.

    Args:
        largest: largest micro-batch, in samples, that fits in memory.
        batch_size: recommended micro-batch, in samples; ``batch_size * accumulative_counts`` equals ``effective``.
        accumulative_counts: recommended number of micro-batches per optimizer update (gradient accumulation).
        effective: samples per optimizer update (effective batch size), as the config sets it.
        tries: the tried micro-batches, each with its peak memory in bytes; None if memory ran out.
        limit: available memory in bytes.
        note: advice if the new batch size changes the learning rate by ``auto_scale_lr``; otherwise empty.
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
        """The recommended values of the config's batch size and gradient accumulation, by dotted key of the config."""
        return {
            "train_dataloader.batch_size": self.batch_size,
            "optim_wrapper.accumulative_counts": self.accumulative_counts,
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as a dict of plain values, for JSON."""
        return {**asdict(self), "options": self.options}


def find_batch_size(run: Any, *, memory: int | str | None = None, largest: int | None = None) -> BatchSearch:
    """Finds the largest micro-batch that fits in memory, and the gradient accumulation that keeps the effective batch.

    For every batch size two training steps are run and the peak memory is measured. On an accelerator this is device
    memory, and an out-of-memory error means that the batch does not fit. On the CPU it is the resident memory of the
    process, which is compared with a limit. Memory is released after every try.

    Args:
        run: a Runner, a config, or the path of a config. The model of a Runner is copied, so it is in memory twice.
        memory: limit in bytes, or a string such as ``"2GB"`` or ``"512MiB"``. Required on the CPU; on an accelerator
            None (default) uses the free device memory.
        largest: largest batch size to try; None (default) uses the length of the dataset.

    Raises:
        TuneError: not even one sample fits, or the limit is missing or malformed.
    """
    limit = parse_bytes(memory) if memory is not None else None
    with rehearse(run) as rehearsal:
        peak = _PeakMemory(rehearsal.device)
        if limit is None:
            limit = peak.limit()
        length = _length(rehearsal.loader()) if largest is None else largest
        size, counts = rehearsal.batch_size, _accumulative_counts(rehearsal.wrapper)
        tries = search_largest(lambda batch: _peak_of(rehearsal, batch, peak), size, limit, length)
        auto_scale = run.auto_scale_lr if hasattr(run, "build_dataloader") else _auto_scale_of(run)
    largest_fitting = max((batch for batch, used in tries if _fits(used, limit)), default=0)
    if largest_fitting == 0:
        raise TuneError(f"not even a batch of 1 sample fits into {limit:,} bytes")
    batch, number = split_evenly(size * counts, largest_fitting)
    note = _advice_on_auto_scale_lr(auto_scale, size, batch)
    return BatchSearch(largest_fitting, batch, number, size * counts, tries, limit, note)


def search_largest(
    peak_of: Callable[[int], int | None], start: int, limit: int, largest: int | None, max_tries: int = MAX_TRIES
) -> list[tuple[int, int | None]]:
    """Tries batch sizes until the largest one that fits in memory is known, or one uses at least 90 % of the memory.

    The next batch size is extrapolated linearly from the measured memory peaks. If that is impossible because memory
    ran out, the next batch size is the middle between the largest one that fits and the smallest one that does not.

    Args:
        peak_of: returns the peak memory in bytes for a batch size; None if memory ran out.
        start: first batch size.
        limit: available memory in bytes.
        largest: largest batch size; None for no bound.
        max_tries: largest number of batch sizes to try.

    Returns:
        The tried batch sizes in order, each with its peak memory in bytes; None if memory ran out.
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
    """Returns the next batch size to try; None if the search is finished.

    Args:
        tries: peak memory in bytes of each batch size tried so far; None if memory ran out.
        limit: available memory in bytes.
        largest: largest batch size; None for no bound.
    """
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
        # `_on_line` gives no guess after the first try, or if a larger batch did not need more memory than a smaller
        # one. The batch size is then multiplied by a factor, which is larger in the second case.
        factor = 2 if len(fitting) == 1 else 8
        guess = low * factor if guess is None else min(guess, low * 16)
        return min(max(guess, low + 1), largest or guess + 1)
    high = failing[0]
    if high - low <= 1:
        return None
    if guess is None or not low < guess < high:
        guess = (low + high) // 2
    return min(max(guess, low + 1), high - 1)


def _on_line(tries: dict[int, int | None], limit: int) -> int | None:
    """Extrapolates the batch size that would use 97 % of the available memory `limit`.

    The straight line through the two measurements whose memory peaks are closest to `limit` is used. With fewer than
    two measurements, or if memory does not grow with the batch size, the result is None.
    """
    measured = sorted((abs(peak - limit), batch, peak) for batch, peak in tries.items() if peak is not None)
    if len(measured) < 2:
        return None
    (_, first_batch, first_peak), (_, second_batch, second_peak) = measured[:2]
    bytes_per_sample = (second_peak - first_peak) / (second_batch - first_batch)
    if bytes_per_sample <= 0:
        return None
    return int(first_batch + (0.97 * limit - first_peak) / bytes_per_sample)


def _fits(peak: int | None, limit: int | None) -> bool:
    return peak is not None and (limit is None or peak <= limit)


def split_evenly(effective: int, largest: int) -> tuple[int, int]:
    """Divides an effective batch into equal micro-batches: returns the size of a micro-batch and their number.

    The micro-batch is as large as `largest` allows.

    Args:
        effective: samples per optimizer update.
        largest: largest allowed micro-batch, in samples.

    Examples:
        >>> split_evenly(64, 20), split_evenly(64, 100)
        ((16, 4), (64, 1))
    """
    batch = next(size for size in range(min(effective, largest), 0, -1) if effective % size == 0)
    return batch, effective // batch


def parse_bytes(text: int | str) -> int:
    """Converts a text such as ``"2GB"``, ``"512MiB"`` or ``"1.5g"`` to a number of bytes.

    Raises:
        TuneError: the text is not a number of bytes above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?)b?\s*", str(text).lower())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise TuneError(f"memory is a number of bytes above 0, such as 2GB or 512MiB, got {text!r}")
    return int(float(match[1]) * _UNITS[match[2]])


class _PeakMemory:
    """Measures the peak of the memory in use since the last call of `start`.

    On an accelerator this is the memory that torch's allocator reserves, on the CPU the resident memory of the process.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cpu" and not Path("/proc/self/clear_refs").exists():
            raise TuneError("the peak of memory on the CPU is read from /proc, which this system does not have")

    def limit(self) -> int:
        """Returns the bytes that a training may use: free device memory plus the memory that torch already reserves."""
        if self._device.type == "cpu":
            raise TuneError("on the CPU a search for the batch size needs a limit: --memory 2GB")
        memory = memory_info(self._device)
        if memory is None:
            raise TuneError(
                f"{self._device} does not tell how much of its memory is free: give a limit, such as --memory 2GB"
            )
        return memory[0] + (memory_reserved(self._device) or 0)

    def start(self) -> None:
        """Resets the measured peak to the memory in use now."""
        if self._device.type == "cpu":
            # Writing "5" resets VmHWM, in which Linux records the peak of the resident memory.
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        else:
            reset_peak_memory(self._device)

    def read(self) -> int:
        """Returns the peak memory in bytes since the last call of `start`."""
        if self._device.type == "cpu":
            status = Path("/proc/self/status").read_text(encoding="ascii")
            return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # every Linux kernel reports VmHWM
        peak = peak_memory_reserved(self._device)
        if peak is None:
            raise TuneError(f"{self._device} counts no peak of its memory, by which a batch size is searched")
        return peak


def _peak_of(rehearsal: Rehearsal, batch: int, peak: _PeakMemory) -> int | None:
    """Runs two optimizer updates with a batch size and returns their peak memory in bytes; None if memory ran out."""
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
    """Runs two optimizer updates, so that the peak includes the optimizer state, which the first update creates."""
    model, wrapper = rehearsal.own_parts
    data = batches(rehearsal.loader(batch_size=batch, num_workers=0))
    model.train()
    for _ in range(2 * _accumulative_counts(wrapper)):
        model.train_step(next(data), optim_wrapper=wrapper)


def _accumulative_counts(wrapper: Any) -> int:
    """Returns the number of micro-batches per optimizer update; with several optimizers the largest number."""
    parts = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    return max(int(getattr(part, "accumulative_counts", 1)) for part in parts)


def _length(loader: Any) -> int | None:
    """Returns the number of samples of the dataloader's dataset; None if the dataset has no length."""
    try:
        return len(loader.dataset)
    except (TypeError, AttributeError):
        return None


def _auto_scale_of(run: Any) -> Any:
    """Returns the setting ``auto_scale_lr`` of a config or of the config at a path; None if it is not set."""
    from eng.config import Config

    if isinstance(run, str | Path):
        run = Config.fromfile(run)
    return run.get("auto_scale_lr") if hasattr(run, "get") else None


def _advice_on_auto_scale_lr(auto_scale: Any, before: int, after: int) -> str:
    """Returns advice to keep the learning rate at another batch size; empty if ``auto_scale_lr`` changes nothing.

    Args:
        auto_scale: the setting ``auto_scale_lr`` of the config.
        before: batch size in the config.
        after: recommended batch size.
    """
    if not auto_scale or not auto_scale.get("enable") or before == after:
        return ""
    base = auto_scale["base_batch_size"]
    return (
        f"auto_scale_lr counts batch_size without accumulation: with {after} instead of {before} it would scale learning rates "
        f"by {after / base:g} instead of {before / base:g}. To keep them, set auto_scale_lr.base_batch_size={base * after / before:g}"
    )
