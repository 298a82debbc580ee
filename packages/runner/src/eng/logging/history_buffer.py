"""The history of one logged value, updated in constant time and read only when somebody asks."""

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
"""Pending values after which they are packed: plain numbers into the array, tensors into one chunk on their device."""
_SMALLEST_TAIL = 256
_ONE = np.array(1)
PACK_EVERY = 1000
"""Iterations after which holders of recorders pack what nobody has read."""
_PLAIN, _FLOAT = {float, int, bool}, {float}
_FEW = 64


class HistoryBuffer:
    """Values of one log entry with their weights, and statistics over windows of them.

    :meth:`update` costs the same whether the buffer holds ten values or a million. A tensor is kept as it is and read
    when a statistic needs it; buffers of one :class:`MessageHub` are then read together, in one transfer. So a tensor
    given to :meth:`update` must not be changed in place afterwards.

    Args:
        log_history: values so far, oldest first; rows of values are taken one by one at the first update.
        count_history: a weight for each; a mean is the sum of the values divided by the sum of their weights.
        max_length: how many values are kept. The oldest are forgotten first.

    Raises:
        ValueError: the two histories differ in length, or `max_length` is below 1.

    Examples:
        >>> buffer = HistoryBuffer([1, 2, 3], [1, 1, 1])
        >>> buffer.update(4)
        >>> float(buffer.mean()), float(buffer.mean(2)), int(buffer.max()), int(buffer.current())
        (2.5, 3.5, 4, 4)
    """

    _statistics_methods: ClassVar[OrderedDict[str, Callable[..., Any]]] = OrderedDict()

    def __init__(
        self,
        log_history: Sequence[float] = [],  # the reference's signature; never changed
        count_history: Sequence[float] = [],  # as above
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
        self._pending: list[Entry] = []  # the same list all along: recorders append to it
        self._reset(np.array(log_history), np.array(count_history))

    def _reset(self, values: np.ndarray, counts: np.ndarray) -> None:
        """Sets values and weights, and forgets everything else that the buffer held."""
        self._store = np.array(values[-self.max_length :])
        self._count_store = np.array(counts[-self.max_length :])
        self._start, self._end = 0, len(self._store)
        self._chunks: list[Entry] = []
        self._pending.clear()
        self._weights: list[float] | None = None
        self._tail = _SMALLEST_TAIL
        self._earlier = Totals()
        self._companions: Mapping[str, HistoryBuffer] | None = None

    # ---------------------------------------------------------------- writing

    def update(self, log_val: float | torch.Tensor | np.ndarray, count: int = 1) -> None:
        """Appends a value in constant time, without reading it from its device.

        Args:
            log_val: a number, or a tensor or array with one element.
            count: its weight in a mean, such as the samples it stands for.

        Raises:
            TypeError: `log_val` is not such a value, or `count` is not a number.
        """
        if type(log_val) is not float:
            log_val = self._admit(log_val)
        if count != 1:
            self._weigh(count)
        self._pending.append(log_val)
        if len(self._pending) >= _SPILL:
            self.pack()

    def recorder(self) -> Callable[[float | torch.Tensor], None]:
        """What appends value after value at the least cost, for one who logs in each iteration.

        It stays the same for the life of the buffer. The caller answers for what :meth:`update` sees to: a value is a
        float or a detached tensor without dimensions and weighs 1; and every thousand values or so somebody reads the
        buffer or calls :meth:`pack`.

        Examples:
            >>> buffer = HistoryBuffer()
            >>> record = buffer.recorder()
            >>> record(1.0), record(3.0), float(buffer.mean())
            (None, None, 2.0)
        """
        return self._pending.append

    def pack(self) -> None:
        """Keeps what was not read yet in little memory: numbers in an array, tensors in one on their device."""
        if not self._holds_tensors():
            self._settle()
            return
        self._chunks += stack_on_device(self._pending)
        self._pending.clear()
        while self._waiting() - _length(self._chunks[0]) >= self.max_length:
            forgotten = _length(self._chunks.pop(0))
            if self._weights is not None:
                del self._weights[:forgotten]

    def _weigh(self, count: Any) -> None:
        """Notes the weight of the next value; those behind the last that is not 1 are not written down."""
        if not isinstance(count, numbers.Real):
            raise UsageTypeError(f"count is the weight of the value, a number, not {type(count).__name__}")
        weights = self._weights = self._weights or []
        weights += [1] * (self._waiting() - len(weights))
        weights.append(count)  # type: ignore[arg-type]  # a real number

    def _waiting(self) -> int:
        """Values that were not read yet."""
        return sum(map(_length, self._chunks)) + len(self._pending)

    def _holds_tensors(self) -> bool:
        return bool(self._chunks) or not _PLAIN.issuperset(map(type, self._pending))

    def _admit(self, value: Any) -> Any:
        """A value in the form in which it is kept: tensors are detached, arrays of one element become numbers."""
        if isinstance(value, torch.Tensor):
            if value.numel() != 1:
                raise UsageTypeError(f"a logged tensor has one element; this one has the shape {tuple(value.shape)}")
            return value.detach() if value.requires_grad else value
        if isinstance(value, numbers.Real):
            return value
        if isinstance(value, np.ndarray | np.generic) and value.size == 1 and value.dtype.kind in "biuf":
            return value.item()
        raise UsageTypeError(
            f"a logged value is a number, or a tensor or array with one element, not {type(value).__name__}"
        )

    # ---------------------------------------------------------------- reading

    def read_together_with(self, companions: Mapping[str, HistoryBuffer]) -> None:
        """From now on, a read of this buffer's tensors reads those of all `companions` in the same transfer.

        Args:
            companions: a mapping that may grow later, such as that of a message hub; this buffer is in it.
        """
        self._companions = companions

    def _settle(self) -> None:
        """Moves what is pending into the arrays; companions with tensors are read in the same transfer."""
        if not self._pending and not self._chunks:
            return
        if not self._holds_tensors():
            self._accept(np.array(self._pending))
            return
        if self._companions is not None:
            settle_together(self._companions.values())
        if self._pending or self._chunks:  # the companions do not contain this buffer any more
            settle_together([self])

    def _accept(self, values: np.ndarray) -> None:
        weights = _ONE
        if self._weights is not None:
            weights = np.array(self._weights + [1] * (len(values) - len(self._weights)))[-self.max_length :]
        self._append(values[-self.max_length :], weights)
        self._chunks, self._weights = [], None
        self._pending.clear()

    def _append(self, values: np.ndarray, weights: np.ndarray) -> None:
        """Adds `values`, and as many `weights` or a single one for all, to the arrays."""
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
        """Rows, with which a history may begin, become single values; a weight of a row goes to its first value."""
        rows, counts = self._store[self._start : self._end], self._count_store[self._start : self._end]
        if counts.shape != rows.shape:
            weights = np.zeros((len(rows), rows[0].size), counts.dtype)
            weights[:, 0] = counts.reshape(len(rows), -1)[:, 0]
            counts = weights
        self._store, self._count_store = rows.reshape(-1).copy(), counts.reshape(-1).copy()
        self._start, self._end = max(len(self._store) - self.max_length, 0), len(self._store)

    def _reserve(self, extra: int, dtype: np.dtype[Any], count_dtype: np.dtype[Any]) -> None:
        """Room for `extra` values: the arrays grow by doubling up to a quarter above `max_length`, then slide."""
        length = self._end - self._start
        empty = length == 0
        dtype = dtype if empty else np.promote_types(self._store.dtype, dtype)
        count_dtype = count_dtype if empty else np.promote_types(self._count_store.dtype, count_dtype)
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
        """Values and weights kept so far, oldest first."""
        return self._log_history, self._count_history

    # ---------------------------------------------------------------- statistics

    @classmethod
    def register_statistics(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Makes a function available to :meth:`statistics` under its own name; usable as a decorator.

        Args:
            method: takes the buffer first. ``self._log_history`` and ``self._count_history`` are its arrays.

        Raises:
            ValueError: another function has this name already.
        """
        name = method.__name__
        if name in cls._statistics_methods:
            raise UsageError(f"the statistic {name!r} is registered already; give the function another name")
        cls._statistics_methods[name] = method
        return method

    def statistics(self, method_name: str, *arg: Any, **kwargs: Any) -> Any:
        """Result of a registered statistic, such as ``statistics("mean", window_size=10)``.

        Raises:
            KeyError: no statistic has this name.
        """
        method = self._statistics_methods.get(method_name)
        if method is None:
            hint = suggest(method_name, self._statistics_methods)
            raise KeyError(f"{method_name!r} is not a registered statistic{hint}")
        return method(self, *arg, **kwargs)

    def mean(self, window_size: int | None = None) -> Any:
        """Sum of the last `window_size` values over the sum of their weights; of all by default.

        Returns:
            A float64; NaN where there is nothing to average.
        """
        recent = self._recent(window_size)
        if recent is not None:
            return np.float64(sum(recent) / len(recent))
        values, counts, earlier = self._window(window_size)
        weight = _sum(counts) + earlier.count
        return np.float64((_sum(values) + earlier.total) / weight if weight else "nan")

    def max(self, window_size: int | None = None) -> Any:
        """Largest of the last `window_size` values; of all by default."""
        values, _, earlier = self._window(window_size)
        return values.max() if not earlier.length else np.float64(max(values.max(initial=-np.inf), earlier.largest))

    def min(self, window_size: int | None = None) -> Any:
        """Smallest of the last `window_size` values; of all by default."""
        values, _, earlier = self._window(window_size)
        return values.min() if not earlier.length else np.float64(min(values.min(initial=np.inf), earlier.smallest))

    def current(self) -> Any:
        """The value of the last update.

        Raises:
            ValueError: there was none.
        """
        if self._pending and type(self._pending[-1]) is float:
            return np.float64(self._pending[-1])
        self._settle()
        if self._start == self._end:
            raise UsageError("the history buffer is empty; call update first")
        return self._store[self._end - 1]

    def _recent(self, size: int | None) -> list[float] | None:
        """The last `size` values where they are floats that wait with weight 1: no array is needed for them."""
        most = min(len(self._pending), _FEW, self.max_length)
        if type(size) is not int or not 0 < size <= most or self._weights is not None:
            return None
        recent = self._pending[-size:]
        if not _FLOAT.issuperset(map(type, recent)):
            return None
        if self._tail < 2 * size:
            self._widen_tail(size)
        return recent  # type: ignore[return-value]  # asked above

    def _widen_tail(self, size: int) -> None:
        """What windows were asked for decides how much a checkpoint has to keep (see state_dict)."""
        while self._tail < 2 * size:
            self._tail *= 2

    def _window(self, size: int | None) -> tuple[np.ndarray, np.ndarray, Totals]:
        """Values and weights of the last `size` updates, and the totals of updates that are not kept any more."""
        if size is not None and type(size) is not int and not isinstance(size, numbers.Integral):
            raise UsageTypeError(f"window_size is a number of updates, not {size!r}")
        self._settle()
        start, end = self._start, self._end
        if size is None or size >= end - start + self._earlier.length:
            return self._store[start:end], self._count_store[start:end], self._earlier
        self._widen_tail(size)
        start = max(start, end - size) if size else start  # as [-size:] has it
        return self._store[start:end], self._count_store[start:end], NOTHING

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """State of a size that does not depend on how long the run is: tensors and numbers only.

        It holds the last values (at least 256, and at least the largest window that was read lately) and the totals of
        those before, so that windowed and global statistics go on as if nothing had happened.
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
        """Goes on from a state given by :meth:`state_dict`."""
        self.max_length = int(state_dict["max_length"])
        companions, length = self._companions, int(state_dict["length"])
        tail = state_dict["tail"].cpu().double().numpy()
        self._reset(tail[0, :length], tail[1, :length])
        self._tail = max(_SMALLEST_TAIL, tail.shape[1])
        self._earlier = Totals.from_list(state_dict["earlier"])
        self._companions = companions

    def take_over(self, other: HistoryBuffer) -> None:
        """Becomes a copy of `other`; recorders of this buffer stay right."""
        self.__setstate__(other.__getstate__())

    def __getstate__(self) -> dict[str, Any]:
        values, counts = self.data
        state = {"max_length": self.max_length, "_log_history": values.copy(), "_count_history": counts.copy()}
        return {**state, "_earlier": self._earlier.as_list()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        # MMEngine pickles whole buffers; theirs have the first three keys and some a table of statistics.
        self.max_length = int(state.get("max_length", state.get("_max_length", 1_000_000)))
        self._pending = getattr(self, "_pending", [])
        self._reset(np.asarray(state["_log_history"]), np.asarray(state["_count_history"]))
        if "_earlier" in state:
            self._earlier = Totals.from_list(state["_earlier"])


def settle_together(buffers: Iterable[HistoryBuffer]) -> None:
    """Reads the pending tensors of all `buffers` with one transfer per device; numbers go on waiting."""
    waiting = [buffer for buffer in buffers if buffer._holds_tensors()]  # noqa: SLF001  # this module's own class
    if not waiting:
        return
    entries = [[*buffer._chunks, *buffer._pending] for buffer in waiting]  # noqa: SLF001  # this module's own class
    for buffer, values in zip(waiting, fetch(entries), strict=True):
        buffer._accept(values)  # noqa: SLF001  # this module's own class


def _sum(values: np.ndarray) -> float:
    """Few numbers are added in order, as :meth:`HistoryBuffer.mean` adds those that wait: the same bits either way."""
    few = values.ndim == 1 and len(values) <= _FEW
    return sum(values.tolist()) if few else values.sum()  # type: ignore[no-any-return]  # numpy's


def _length(entry: Entry) -> int:
    return len(entry) if getattr(entry, "ndim", 0) == 1 else 1  # type: ignore[arg-type]  # numbers have no ndim


for _method in (HistoryBuffer.mean, HistoryBuffer.max, HistoryBuffer.min, HistoryBuffer.current):
    HistoryBuffer.register_statistics(_method)
