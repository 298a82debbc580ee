"""HistoryBuffer: the history of one logged value, with updates in constant time and statistics over windows."""

from __future__ import annotations

import numbers
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from eng.logging.errors import UsageError, UsageTypeError

from ._deferred import Entry, fetch, stack_on_device
from ._totals import NOTHING, Totals
from .near_names import suggest

__all__ = ["HistoryBuffer"]

_SPILL = 1024
"""Number of pending values (appended and not yet in the buffer's arrays) at which ``update`` calls ``pack``."""
_SMALLEST_TAIL = 256
_ONE = np.array(1)
PACK_EVERY = 1000
"""Number of iterations after which code that appends values by :meth:`HistoryBuffer.recorder` calls ``pack``.

The function that ``recorder`` returns does not count the values, so it cannot call ``pack`` itself.
"""
_PLAIN, _FLOAT = {float, int, bool}, {float}
_FEW = 64


class HistoryBuffer:
    """The history of one logged value, such as a loss, with a weight per value, and statistics over the latest values.

    :meth:`update` takes the same time for any number of stored values. A tensor stays on its device until a statistic
    needs its value; the tensors of all buffers of a :class:`MessageHub` are then read in one transfer. A tensor must
    therefore not be changed in place after it was passed to :meth:`update`.

    Args:
        log_history: initial values, oldest first. A 2-D history is flattened at the first update.
        count_history: weight of each initial value. A mean is the sum of the values divided by the sum of their weights.
        max_length: maximum number of stored values; further values replace the oldest ones.

    Raises:
        ValueError: the two histories differ in length, or ``max_length`` is below 1.

    Examples:
        >>> buffer = HistoryBuffer([1, 2, 3], [1, 1, 1])
        >>> buffer.update(4)
        >>> float(buffer.mean()), float(buffer.mean(2)), int(buffer.max()), int(buffer.current())
        (2.5, 3.5, 4, 4)
    """

    _statistics_methods: ClassVar[OrderedDict[str, Callable[..., Any]]] = OrderedDict()

    def __init__(
        self,
        # The defaults are those of MMEngine's signature. They are copied below, so they are never changed.
        log_history: Sequence[float] = [],
        count_history: Sequence[float] = [],
        max_length: int = 1_000_000,
    ) -> None:
        if len(log_history) != len(count_history):
            raise UsageError(
                f"log_history holds {len(log_history)} values and count_history {len(count_history)} weights; each "
                "value needs a weight"
            )
        if max_length < 1:
            raise UsageError(f"max_length is the number of values to keep and must be 1 or more, not {max_length}")
        if len(log_history) > max_length:
            warnings.warn(
                f"log_history holds {len(log_history)} values and max_length is {max_length}: the oldest are left out",
                UserWarning,
                stacklevel=2,
            )
        self.max_length = max_length
        # This list object is never replaced, because a recorder is the bound `append` method of this list.
        self._pending: list[Entry] = []
        self._reset(np.array(log_history), np.array(count_history))

    def _reset(self, values: np.ndarray, counts: np.ndarray) -> None:
        """Replaces all values and weights of the buffer, and discards pending values, dropped totals and companions."""
        self._store = np.array(values[-self.max_length :])
        self._count_store = np.array(counts[-self.max_length :])
        self._start, self._end = 0, len(self._store)
        self._chunks: list[Entry] = []
        self._pending.clear()
        self._weights: list[float] | None = None
        self._tail = _SMALLEST_TAIL
        self._earlier = Totals()
        self._companions: Mapping[str, HistoryBuffer] | None = None

    # ---------------------------------------------------------------- writing values into the buffer

    def update(self, log_val: float | torch.Tensor | np.ndarray, count: int = 1) -> None:
        """Appends a value in constant time; the value of a tensor is not read from its device.

        Args:
            log_val: a number, or a tensor or array with one element.
            count: weight of the value in a mean, such as the number of samples of a batch.

        Raises:
            TypeError: ``log_val`` is of another type or has several elements, or ``count`` is not a number.
        """
        if type(log_val) is not float:
            log_val = self._admit(log_val)
        if count != 1:
            self._weigh(count)
        self._pending.append(log_val)
        if len(self._pending) >= _SPILL:
            self.pack()

    def recorder(self) -> Callable[[float | torch.Tensor], None]:
        """Returns a function that appends a value with less overhead than :meth:`update`, for use in each iteration.

        The function stays valid for the life of the buffer. The function does not check its argument, which must be a
        float or a detached tensor without dimensions; each value has the weight 1. About every thousand values the
        caller must compute a statistic or call :meth:`pack`, because pending values take much memory.

        Examples:
            >>> buffer = HistoryBuffer()
            >>> record = buffer.recorder()
            >>> record(1.0), record(3.0), float(buffer.mean())
            (None, None, 2.0)
        """
        return self._pending.append

    def pack(self) -> None:
        """Reduces the memory of the values that were appended since the last statistic.

        Numbers are moved into an array, and tensors are joined to one tensor on their device.
        """
        if not self._holds_tensors():
            self._settle()
            return
        self._chunks += stack_on_device(self._pending)
        self._pending.clear()
        # Drop the oldest chunk of values while the other values alone fill the buffer.
        while self._waiting() - _length(self._chunks[0]) >= self.max_length:
            dropped = _length(self._chunks.pop(0))
            if self._weights is not None:
                del self._weights[:dropped]

    def _weigh(self, count: Any) -> None:
        """Stores the weight of the value that is appended next.

        The method is called only for weights other than 1. Values that were appended before without a weight get the
        weight 1.
        """
        if not isinstance(count, numbers.Real):
            raise UsageTypeError(f"count is the weight of the value, a number, not {type(count).__name__}")
        weights = self._weights = self._weights or []
        weights += [1] * (self._waiting() - len(weights))
        weights.append(count)  # type: ignore[arg-type]  # a real number

    def _waiting(self) -> int:
        """Returns the number of pending values, which are not yet in the buffer's arrays."""
        return sum(map(_length, self._chunks)) + len(self._pending)

    def _holds_tensors(self) -> bool:
        return bool(self._chunks) or not _PLAIN.issuperset(map(type, self._pending))

    def _admit(self, value: Any) -> Any:
        """Checks a value and converts it for storage: tensors are detached, one-element arrays become numbers."""
        if isinstance(value, torch.Tensor):
            if value.numel() != 1:
                raise UsageTypeError(f"a logged tensor has one element; this one has the shape {tuple(value.shape)}")
            if value.requires_grad:
                return value.detach()
            return value
        if isinstance(value, numbers.Real):
            return value
        if isinstance(value, np.ndarray | np.generic) and value.size == 1 and value.dtype.kind in "biuf":
            return value.item()
        raise UsageTypeError(
            f"a logged value is a number, or a tensor or array with one element, not {type(value).__name__}"
        )

    # ---------------------------------------------------------------- reading the values of the buffer

    def read_together_with(self, companions: Mapping[str, HistoryBuffer]) -> None:
        """Makes this buffer read the tensors of all ``companions`` whenever it reads its own, in the same transfer.

        Args:
            companions: the buffers of a message hub, this one included; the mapping may grow later.
        """
        self._companions = companions

    def _settle(self) -> None:
        """Moves the pending values into the buffer's arrays.

        If tensors are among them, the pending tensors of all buffers of the message hub are read in the same transfer.
        """
        if not self._pending and not self._chunks:
            return
        if not self._holds_tensors():
            self._accept(np.array(self._pending))
            return
        if self._companions is not None:
            settle_together(self._companions.values())
        if self._pending or self._chunks:
            # This buffer was removed from its message hub, so the read above did not include it.
            settle_together([self])

    def _accept(self, values: np.ndarray) -> None:
        """Appends ``values`` to the arrays and discards the pending values, from which ``values`` were read."""
        weights = _ONE
        if self._weights is not None:
            weights = np.array(self._weights + [1] * (len(values) - len(self._weights)))[-self.max_length :]
        self._append(values[-self.max_length :], weights)
        self._chunks, self._weights = [], None
        self._pending.clear()

    def _append(self, values: np.ndarray, weights: np.ndarray) -> None:
        """Appends ``values`` to the arrays, with one weight per value or a single weight for all."""
        if self._store.ndim > 1:
            self._flatten()
        end = self._end + len(values)
        if end > len(self._store) or values.dtype != self._store.dtype or weights.dtype != self._count_store.dtype:
            self._reserve(len(values), values.dtype, weights.dtype)
            end = self._end + len(values)
        self._store[self._end : end] = values
        self._count_store[self._end : end] = weights
        self._end = end
        self._start = max(self._start, end - self.max_length)

    def _flatten(self) -> None:
        """Flattens a 2-D history to single values; the weight of a row becomes the weight of its first value."""
        rows, counts = self._store[self._start : self._end], self._count_store[self._start : self._end]
        if counts.shape != rows.shape:
            weights = np.zeros((len(rows), rows[0].size), counts.dtype)
            weights[:, 0] = counts.reshape(len(rows), -1)[:, 0]
            counts = weights
        self._store, self._count_store = rows.reshape(-1).copy(), counts.reshape(-1).copy()
        self._start, self._end = max(len(self._store) - self.max_length, 0), len(self._store)

    def _reserve(self, extra: int, dtype: np.dtype[Any], count_dtype: np.dtype[Any]) -> None:
        """Makes room for ``extra`` further values of the given dtypes, by copying the values into new arrays.

        Each time the arrays double in size, until they are a quarter longer than ``max_length``. Later copies only drop
        the oldest values.
        """
        length = self._end - self._start
        if length:
            dtype = np.promote_types(self._store.dtype, dtype)
            count_dtype = np.promote_types(self._count_store.dtype, count_dtype)
        same_types = dtype == self._store.dtype and count_dtype == self._count_store.dtype
        if self._end + extra <= len(self._store) and same_types:
            return
        needed = length + extra
        capacity = max(needed, min(2 * needed, self.max_length + self.max_length // 4 + _SPILL))
        store, count_store = np.empty(capacity, dtype), np.empty(capacity, count_dtype)
        store[:length] = self._store[self._start : self._end]
        count_store[:length] = self._count_store[self._start : self._end]
        self._store, self._count_store, self._start, self._end = store, count_store, 0, length

    @property
    def _log_history(self) -> np.ndarray:
        self._settle()
        return self._store[self._start : self._end]

    @property
    def _count_history(self) -> np.ndarray:
        self._settle()
        return self._count_store[self._start : self._end]

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """The stored values and their weights, oldest first."""
        return self._log_history, self._count_history

    # ---------------------------------------------------------------- statistics of the buffer's values

    @classmethod
    def register_statistics(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Registers a function for :meth:`statistics` under the function's name; usable as a decorator.

        Args:
            method: function with the buffer as its first argument. The buffer's arrays are ``_log_history`` and
                ``_count_history``.

        Raises:
            ValueError: a function with this name is registered already.
        """
        name = method.__name__
        if name in cls._statistics_methods:
            raise UsageError(f"the statistic {name!r} is registered already; give the function another name")
        cls._statistics_methods[name] = method
        return method

    def statistics(self, method_name: str, *arg: Any, **kwargs: Any) -> Any:
        """Computes a registered statistic, such as ``statistics("mean", window_size=10)``.

        Raises:
            KeyError: no statistic with this name is registered.
        """
        method = self._statistics_methods.get(method_name)
        if method is None:
            hint = suggest(method_name, self._statistics_methods)
            raise KeyError(f"{method_name!r} is not a registered statistic{hint}")
        return method(self, *arg, **kwargs)

    def mean(self, window_size: int | None = None) -> Any:
        """Computes the weighted mean of the last ``window_size`` values: their sum divided by the sum of their weights.

        Returns:
            The mean as a float64; NaN if there are no values. ``window_size=None`` (default) averages all values.
        """
        recent = self._recent(window_size)
        if recent is not None:
            return np.float64(sum(recent) / len(recent))
        values, counts, earlier = self._window(window_size)
        weight = _sum(counts) + earlier.count
        if not weight:
            return np.float64("nan")
        return np.float64((_sum(values) + earlier.total) / weight)

    def max(self, window_size: int | None = None) -> Any:
        """Returns the largest of the last ``window_size`` values; of all values for None (default)."""
        values, _, earlier = self._window(window_size)
        if not earlier.length:
            return values.max()
        return np.float64(max(values.max(initial=-np.inf), earlier.largest))

    def min(self, window_size: int | None = None) -> Any:
        """Returns the smallest of the last ``window_size`` values; of all values for None (default)."""
        values, _, earlier = self._window(window_size)
        if not earlier.length:
            return values.min()
        return np.float64(min(values.min(initial=np.inf), earlier.smallest))

    def current(self) -> Any:
        """Returns the value of the last update.

        Raises:
            ValueError: the buffer is empty.
        """
        if self._pending and type(self._pending[-1]) is float:
            return np.float64(self._pending[-1])
        self._settle()
        if self._start == self._end:
            raise UsageError("the history buffer is empty; call update first")
        return self._store[self._end - 1]

    def _recent(self, size: int | None) -> list[float] | None:
        """Returns the last ``size`` values if all of them are pending floats with weight 1; otherwise None.

        This is a fast path without arrays for a log line, which averages few values.
        """
        most = min(len(self._pending), _FEW, self.max_length)
        if type(size) is not int or not 0 < size <= most or self._weights is not None:
            return None
        recent = self._pending[-size:]
        if not _FLOAT.issuperset(map(type, recent)):
            return None
        if self._tail < 2 * size:
            self._widen_tail(size)
        return recent  # type: ignore[return-value]  # The types were checked above.

    def _widen_tail(self, size: int) -> None:
        """Doubles the number of values that ``state_dict`` saves until the number is at least twice ``size``.

        A resumed run can then compute statistics over the last ``size`` values.
        """
        while self._tail < 2 * size:
            self._tail *= 2

    def _window(self, size: int | None) -> tuple[np.ndarray, np.ndarray, Totals]:
        """Returns values and weights of the last ``size`` updates, and the totals of those that the buffer has dropped.

        A ``size`` of None stands for all updates.
        """
        if size is not None and type(size) is not int and not isinstance(size, numbers.Integral):
            raise UsageTypeError(f"window_size is a number of updates, not {size!r}")
        self._settle()
        start, end = self._start, self._end
        if size is None or size >= end - start + self._earlier.length:
            return self._store[start:end], self._count_store[start:end], self._earlier
        self._widen_tail(size)
        # A window of size 0 contains all values, because Python's `values[-0:]` does.
        if size:
            start = max(start, end - size)
        return self._store[start:end], self._count_store[start:end], NOTHING

    # ---------------------------------------------------------------- the buffer's state in checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Returns the buffer's state as tensors and numbers, in a size that does not grow with the run.

        The state contains the last values (at least 256, and at least twice the largest window that was read) and the
        totals of all earlier values, so that the statistics of a resumed run are those of an uninterrupted run.
        """
        self._settle()
        if self._store.ndim > 1:
            self._flatten()
        values, counts = self.data
        tail_length = min(self._tail, len(values), self.max_length)
        cut = len(values) - tail_length
        padded = torch.zeros(2, min(self._tail, self.max_length), dtype=torch.float64)
        padded[0, :tail_length] = torch.from_numpy(np.asarray(values[cut:], np.float64))
        padded[1, :tail_length] = torch.from_numpy(np.asarray(counts[cut:], np.float64))
        return {
            "tail": padded,
            "length": tail_length,
            "earlier": self._earlier.with_values(values[:cut], counts[:cut]).as_list(),
            "max_length": self.max_length,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a state that :meth:`state_dict` returned."""
        self.max_length = int(state_dict["max_length"])
        companions, length = self._companions, int(state_dict["length"])
        tail = state_dict["tail"].cpu().double().numpy()
        self._reset(tail[0, :length], tail[1, :length])
        self._tail = max(_SMALLEST_TAIL, tail.shape[1])
        self._earlier = Totals.from_list(state_dict["earlier"])
        self._companions = companions

    def take_over(self, other: HistoryBuffer) -> None:
        """Replaces the content of this buffer by a copy of ``other``'s content; recorders of this buffer stay valid."""
        self.__setstate__(other.__getstate__())

    def __getstate__(self) -> dict[str, Any]:
        values, counts = self.data
        state = {"max_length": self.max_length, "_log_history": values.copy(), "_count_history": counts.copy()}
        return {**state, "_earlier": self._earlier.as_list()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restores the buffer from a pickle or a checkpoint of eng or MMEngine."""
        # MMEngine pickles its history buffers into checkpoints. Their state has no "_earlier", and may have
        # "_max_length" instead of "max_length".
        self.max_length = int(state.get("max_length", state.get("_max_length", 1_000_000)))
        self._pending = getattr(self, "_pending", [])
        self._reset(np.asarray(state["_log_history"]), np.asarray(state["_count_history"]))
        if "_earlier" in state:
            self._earlier = Totals.from_list(state["_earlier"])


def settle_together(buffers: Iterable[HistoryBuffer]) -> None:
    """Reads the pending tensors of all ``buffers``, with one transfer per device; pending numbers stay pending."""
    waiting = [buffer for buffer in buffers if buffer._holds_tensors()]  # noqa: SLF001  # A class of this module.
    if not waiting:
        return
    entries = [[*buffer._chunks, *buffer._pending] for buffer in waiting]  # noqa: SLF001  # A class of this module.
    for buffer, values in zip(waiting, fetch(entries), strict=True):
        buffer._accept(values)  # noqa: SLF001  # A class of this module.


def _sum(values: np.ndarray) -> float:
    """Sums an array.

    Up to 64 values are added one after another, in the order in which ``mean`` adds pending values, so that both sums
    are bitwise equal. numpy adds in another order.
    """
    if values.ndim == 1 and len(values) <= _FEW:
        return sum(values.tolist())  # type: ignore[no-any-return]  # numpy's stub returns Any.
    return values.sum()  # type: ignore[no-any-return]  # numpy's stub returns Any.


def _length(entry: Entry) -> int:
    """Returns the number of values in an entry: the length of a 1-D chunk, 1 for a single value."""
    if isinstance(entry, torch.Tensor | np.ndarray) and entry.ndim == 1:
        return len(entry)
    return 1


for _method in (HistoryBuffer.mean, HistoryBuffer.max, HistoryBuffer.min, HistoryBuffer.current):
    HistoryBuffer.register_statistics(_method)
