"""MessageHub: a store of logged scalars and runtime information through which the components of a run communicate."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from eng.logging.errors import UsageError, UsageKeyError, UsageTypeError
from eng.registry import ManagerMixin

from ._plain import NotPlainError, to_plain
from .history_buffer import HistoryBuffer, settle_together

__all__ = ["MessageHub"]

_LOGGER = logging.getLogger(__name__)


class _Recorders(dict[str, Callable[[Any], None]]):
    """Recorders by key of a scalar; the first access to a key creates its recorder.

    A recorder is a function that appends a value to the history of its key.

    Args:
        make: function that creates the recorder of a key.
    """

    def __init__(self, make: Callable[[str], Callable[[Any], None]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> Callable[[Any], None]:
        self[key] = self._make(key)
        return self[key]


class MessageHub(ManagerMixin):
    """Stores logged scalars (in a :class:`HistoryBuffer` each) and runtime information (any objects), by key.

    Keys of scalars start with ``train/``, ``val/`` or ``test/``; the log processor shows those of the current phase.
    Updates do not wait for the device; see :class:`HistoryBuffer`.

    Args:
        name: name under which :meth:`get_instance` returns this hub.
        log_scalars: initial history buffers by key.
        runtime_info: initial runtime information by key.
        resumed_keys: whether checkpoints include the entry, by key.

    Raises:
        TypeError: an argument is not a mapping.

    Examples:
        >>> hub = MessageHub("hub-of-the-example")
        >>> hub.update_scalar("train/loss", 1.0)
        >>> hub.update_scalar("train/loss", 3.0)
        >>> float(hub.get_scalar("train/loss").mean())
        2.0
        >>> hub.update_info("iter", 2)
        >>> hub.get_info("iter")
        2
    """

    def __init__(
        self,
        name: str,
        log_scalars: Mapping[str, HistoryBuffer] | None = None,
        runtime_info: Mapping[str, Any] | None = None,
        resumed_keys: Mapping[str, bool] | None = None,
    ) -> None:
        super().__init__(name)
        self._log_scalars: OrderedDict[str, HistoryBuffer] = _ordered("log_scalars", log_scalars)
        self._runtime_info: OrderedDict[str, Any] = _ordered("runtime_info", runtime_info)
        self._resumed_keys: OrderedDict[str, bool] = _ordered("resumed_keys", resumed_keys)
        self._left_out: set[str] = set()
        self.recorders = _Recorders(self._new_recorder)
        for key, buffer in self._log_scalars.items():
            if not isinstance(buffer, HistoryBuffer):
                raise UsageTypeError(f"log_scalars[{key!r}] must be a HistoryBuffer, not {type(buffer).__name__}")
            # A buffer that knows the other buffers reads the values of all buffers from the GPU in one transfer.
            buffer.read_together_with(self._log_scalars)

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """Returns the hub that was created last; if there is none, creates one with the name ``mmengine``."""
        if not cls._instance_dict:
            cls.get_instance("mmengine")
        return super().get_current_instance()

    # ---------------------------------------------------------------- scalars of the message hub

    def update_scalar(
        self, key: str, value: float | np.ndarray | torch.Tensor, count: int = 1, resumed: bool = True
    ) -> None:
        """Appends ``value`` to the history of ``key``.

        Args:
            key: name of the scalar, such as ``train/loss``.
            value: a number, or a tensor or array with one element. A tensor is read from its device only when a statistic
                is computed.
            count: weight of the value in a mean.
            resumed: whether checkpoints include the history; all calls for a key must agree.

        Raises:
            TypeError: ``value`` is not a single number, or ``count`` is not a number.
            ValueError: ``resumed`` differs from that of an earlier call for this key.
        """
        buffer = self._log_scalars.get(key)
        if buffer is None:
            buffer = HistoryBuffer()
            buffer.update(value, count)
            buffer.read_together_with(self._log_scalars)
            self._log_scalars[key] = buffer
        else:
            buffer.update(value, count)
        if self._resumed_keys.get(key) is not resumed:
            self._set_resumed(key, resumed)

    def recorder(self, key: str) -> Callable[[float | torch.Tensor], None]:
        """Returns a function that appends a value to the history of ``key``; see :meth:`HistoryBuffer.recorder`.

        The function has less overhead than :meth:`update_scalar`, and stays valid when a checkpoint is loaded.
        Checkpoints include the history. ``hub.recorders[key]`` is the same function without the cost of a method call.
        """
        return self.recorders[key]

    def _new_recorder(self, key: str) -> Callable[[float | torch.Tensor], None]:
        """Creates the recorder of ``key``, and the history that it appends to if the hub has none yet."""
        if key not in self._log_scalars:
            self._log_scalars[key] = HistoryBuffer()
            self._log_scalars[key].read_together_with(self._log_scalars)
        self._set_resumed(key, True)
        return self._log_scalars[key].recorder()

    def pack(self) -> None:
        """Reduces the memory of values that were logged since the last statistic, without waiting for the device.

        Code that logs with recorders must call this method about every thousand values.
        """
        for buffer in list(self._log_scalars.values()):
            buffer.pack()

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Appends a value to the history of each key: a number, a tensor, or a dict with ``value`` and ``count``.

        Raises:
            TypeError: ``log_dict`` is not a mapping, or a value has a wrong type.
            ValueError: a mapping lacks ``value``.

        Examples:
            >>> hub = MessageHub("hub-of-several")
            >>> hub.update_scalars({"train/a": 1.0, "train/time": {"value": 0.4, "count": 2}})
            >>> float(hub.get_scalar("train/time").mean())
            0.2
        """
        if not isinstance(log_dict, Mapping):
            raise UsageTypeError(f"update_scalars takes a mapping of keys to values, not {type(log_dict).__name__}")
        for key, value in log_dict.items():
            if isinstance(value, Mapping):
                if "value" not in value:
                    raise UsageError(f"update_scalars: {key!r} is a mapping without 'value'; it has {sorted(value)}")
                self.update_scalar(key, value["value"], value.get("count", 1), resumed)
            else:
                self.update_scalar(key, value, resumed=resumed)

    def get_scalar(self, key: str) -> HistoryBuffer:
        """Returns the history of ``key``.

        Raises:
            KeyError: no value was logged under this key.
        """
        try:
            return self._log_scalars[key]
        except KeyError:
            known = ", ".join(self._log_scalars) or "nothing yet"
            raise UsageKeyError(
                f"{key!r} was never logged in the message hub {self.instance_name!r}; logged: {known}"
            ) from None

    @property
    def log_scalars(self) -> OrderedDict[str, HistoryBuffer]:
        """All histories of scalars, by key."""
        return self._log_scalars

    # ---------------------------------------------------------------- runtime information of the message hub

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Sets the runtime information ``key`` and replaces its former value.

        Args:
            key: name of the information, such as ``iter``.
            value: any object. For checkpoints it must consist of numbers, texts, tensors, arrays and containers of these.
            resumed: whether checkpoints include the value; all calls for a key must agree.

        Raises:
            ValueError: ``resumed`` differs from that of an earlier call for this key.
        """
        if self._resumed_keys.get(key) is not resumed:
            self._set_resumed(key, resumed)
        self._runtime_info[key] = value

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Sets runtime information for several keys.

        Raises:
            TypeError: ``info_dict`` is not a mapping.
        """
        if not isinstance(info_dict, Mapping):
            raise UsageTypeError(f"update_info_dict takes a mapping of keys to values, not {type(info_dict).__name__}")
        for key, value in info_dict.items():
            self.update_info(key, value, resumed=resumed)

    def get_info(self, key: str, default: Any | None = None) -> Any:
        """Returns the runtime information ``key`` (the stored object, not a copy); ``default`` if there is none."""
        return self._runtime_info.get(key, default)

    def pop_info(self, key: str, default: Any | None = None) -> Any:
        """Removes the runtime information ``key`` and returns it, or ``default`` if there is none."""
        return self._runtime_info.pop(key, default)

    # Hooks read this property in each iteration; `attrgetter` runs without the overhead of a Python function call.
    runtime_info: OrderedDict[str, Any] = property(  # type: ignore[assignment]  # Typed as the value of the property.
        attrgetter("_runtime_info"), doc="All runtime information, by key."
    )

    def _set_resumed(self, key: str, resumed: bool) -> None:
        """Stores whether checkpoints include ``key``; raises if an earlier call has stored the opposite."""
        if self._resumed_keys.setdefault(key, resumed) is not resumed:
            raise UsageError(
                f"{key!r} was logged with resumed={not resumed} before; whether checkpoints keep a key cannot change"
            )

    # ---------------------------------------------------------------- the message hub's state in checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Returns the hub's state for a checkpoint, as plain containers and tensors.

        The size of the state does not grow with the length of the run.
        Runtime information that is not made of numbers, texts, tensors, arrays and containers of these is left out,
        with one warning per key.
        """
        settle_together(self._log_scalars.values())
        keys = [key for key, resumed in self._resumed_keys.items() if resumed]
        facts: dict[str, Any] = {}
        for key in keys:
            if key in self._runtime_info:
                self._keep_if_plain(key, facts)
        scalars = {key: self._log_scalars[key].state_dict() for key in keys if key in self._log_scalars}
        return {"log_scalars": scalars, "runtime_info": facts, "resumed_keys": dict(self._resumed_keys)}

    def _keep_if_plain(self, key: str, facts: dict[str, Any]) -> None:
        """Adds the runtime information ``key`` to ``facts``, or warns that checkpoints cannot contain its type."""
        try:
            facts[key] = to_plain(self._runtime_info[key])
        except NotPlainError as error:
            if key in self._left_out:
                # Warn once per key: each checkpoint of the run would repeat the warning.
                return
            self._left_out.add(key)
            _LOGGER.warning("the message hub's %r is not kept in checkpoints: it holds %s", key, error)

    def load_state_dict(self, state_dict: MessageHub | Mapping[str, Any]) -> None:
        """Restores a state that :meth:`state_dict` or MMEngine's hub returned, or copies the state of another hub.

        Raises:
            TypeError: ``state_dict`` is neither a hub nor a mapping.
            KeyError: a part of the state is missing.
        """
        if isinstance(state_dict, MessageHub):
            state_dict = {
                "log_scalars": state_dict.log_scalars,
                "runtime_info": state_dict.runtime_info,
                "resumed_keys": state_dict._resumed_keys,  # noqa: SLF001  # An object of this class.
            }
        if not isinstance(state_dict, Mapping):
            raise UsageTypeError(f"load_state_dict takes a mapping or a MessageHub, not {type(state_dict).__name__}")
        missing = [key for key in ("log_scalars", "runtime_info", "resumed_keys") if key not in state_dict]
        if missing:
            raise UsageKeyError(f"the state of a message hub needs {', '.join(missing)}; it has {sorted(state_dict)}")
        for key, state in state_dict["log_scalars"].items():
            self._load_scalar(key, state)
        for key, value in state_dict["runtime_info"].items():
            self._runtime_info[key] = _copy_info(key, value)
        self._resumed_keys.update(state_dict["resumed_keys"])

    def _load_scalar(self, key: str, state: Any) -> None:
        """Restores the history of one key from a checkpoint."""
        # An existing history buffer is changed in place, because hooks may have a recorder that appends to this buffer.
        buffer = self._log_scalars.get(key) or HistoryBuffer()
        if isinstance(state, HistoryBuffer):
            buffer.take_over(state)
        elif isinstance(state, Mapping) and {"tail", "length", "earlier", "max_length"} <= set(state):
            buffer.load_state_dict(state)
        else:
            _LOGGER.warning("the history of %r is not resumed: a %s is not a history", key, type(state).__name__)
            return
        buffer.read_together_with(self._log_scalars)
        self._log_scalars[key] = buffer


def _copy_info(key: str, value: Any) -> Any:
    """Returns a copy of runtime information. If an object cannot be copied, warns and returns the object itself."""
    try:
        return copy.deepcopy(value)
    except Exception as error:  # noqa: BLE001  # A class with its own `__deepcopy__` may raise any error.
        _LOGGER.warning(
            "%r cannot be copied (%s: %s): this hub and the state share it", key, type(error).__name__, error
        )
        return value


def _ordered(name: str, entries: Mapping[str, Any] | None) -> OrderedDict[str, Any]:
    if entries is not None and not isinstance(entries, Mapping):
        raise UsageTypeError(f"{name} must be a mapping, not {type(entries).__name__}")
    return OrderedDict(entries or {})
