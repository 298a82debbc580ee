"""Where the parts of a run leave what others may want to know: logged values and facts about the run."""

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
    """Recorders by key, made at the first use.

    Args:
        make: gives the recorder of a key.
    """

    def __init__(self, make: Callable[[str], Callable[[Any], None]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> Callable[[Any], None]:
        self[key] = self._make(key)
        return self[key]


class MessageHub(ManagerMixin):
    """Logged scalars (as :class:`HistoryBuffer`) and runtime facts (as they are), by key.

    Keys of scalars start with ``train/``, ``val/`` or ``test/``: the log processor shows those of the phase it is in.
    Updating costs no synchronisation; see :class:`HistoryBuffer`.

    Args:
        name: under which :meth:`get_instance` finds this hub.
        log_scalars: buffers to start with.
        runtime_info: facts to start with.
        resumed_keys: for each key whether a checkpoint keeps it.

    Raises:
        TypeError: one of them is not a mapping.

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
            buffer.read_together_with(self._log_scalars)

    @classmethod
    def get_current_instance(cls) -> MessageHub:
        """The hub created last; one called ``mmengine`` is created where there is none yet."""
        if not cls._instance_dict:
            cls.get_instance("mmengine")
        return super().get_current_instance()

    # ---------------------------------------------------------------- scalars

    def update_scalar(
        self, key: str, value: float | np.ndarray | torch.Tensor, count: int = 1, resumed: bool = True
    ) -> None:
        """Appends `value` to the history of `key`.

        Args:
            key: such as ``train/loss``.
            value: a number, or a tensor or array with one element. A tensor is read when somebody asks for it.
            count: weight of the value in a mean.
            resumed: whether checkpoints keep the history of this key; the same at each call.

        Raises:
            TypeError: `value` or `count` is of another type.
            ValueError: `resumed` differs from what was said before.
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
        """What appends to the history of `key` at the least cost; see :meth:`HistoryBuffer.recorder`.

        Checkpoints keep that history, and a recorder stays right when one is loaded. ``hub.recorders[key]`` is the same
        without a call: whoever logs in each iteration need not keep it.
        """
        return self.recorders[key]

    def _new_recorder(self, key: str) -> Callable[[float | torch.Tensor], None]:
        if key not in self._log_scalars:
            self._log_scalars[key] = HistoryBuffer()
            self._log_scalars[key].read_together_with(self._log_scalars)
        self._set_resumed(key, True)
        return self._log_scalars[key].recorder()

    def pack(self) -> None:
        """Keeps what was not read yet in little memory, without a synchronisation; for holders of recorders."""
        for buffer in list(self._log_scalars.values()):
            buffer.pack()

    def update_scalars(self, log_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Appends several values; each is a value, or a mapping with ``value`` and ``count``.

        Raises:
            TypeError: `log_dict` is not a mapping, or a value has a wrong type.
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
        """History of `key`.

        Raises:
            KeyError: nothing was logged under it.
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
        """All histories by key."""
        return self._log_scalars

    # ---------------------------------------------------------------- facts

    def update_info(self, key: str, value: Any, resumed: bool = True) -> None:
        """Sets the fact `key`, in place of what it was.

        Args:
            key: such as ``iter``.
            value: anything; what a checkpoint is to keep must be plain (numbers, text, containers, tensors, arrays).
            resumed: whether checkpoints keep it; the same at each call.

        Raises:
            ValueError: `resumed` differs from what was said before.
        """
        if self._resumed_keys.get(key) is not resumed:
            self._set_resumed(key, resumed)
        self._runtime_info[key] = value

    def update_info_dict(self, info_dict: Mapping[str, Any], resumed: bool = True) -> None:
        """Sets several facts.

        Raises:
            TypeError: `info_dict` is not a mapping.
        """
        if not isinstance(info_dict, Mapping):
            raise UsageTypeError(f"update_info_dict takes a mapping of keys to values, not {type(info_dict).__name__}")
        for key, value in info_dict.items():
            self.update_info(key, value, resumed=resumed)

    def get_info(self, key: str, default: Any | None = None) -> Any:
        """The fact `key`, or `default`. What is given is the object itself, not a copy."""
        return self._runtime_info.get(key, default)

    def pop_info(self, key: str, default: Any | None = None) -> Any:
        """The fact `key`, which is forgotten, or `default`."""
        return self._runtime_info.pop(key, default)

    runtime_info: OrderedDict[str, Any] = property(  # type: ignore[assignment]  # written in each iteration: no call
        attrgetter("_runtime_info"), doc="All facts by key."
    )

    def _set_resumed(self, key: str, resumed: bool) -> None:
        if self._resumed_keys.setdefault(key, resumed) is not resumed:
            raise UsageError(
                f"{key!r} was logged with resumed={not resumed} before; whether checkpoints keep a key cannot change"
            )

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain containers and tensors, of a size that does not grow with the run.

        A fact that is not plain is left out, with one warning for each that names it.
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
        try:
            facts[key] = to_plain(self._runtime_info[key])
        except NotPlainError as error:
            if key in self._left_out:  # each checkpoint of the run would say it
                return
            self._left_out.add(key)
            _LOGGER.warning("the message hub's %r is not kept in checkpoints: it holds %s", key, error)

    def load_state_dict(self, state_dict: MessageHub | Mapping[str, Any]) -> None:
        """Goes on from a state given by :meth:`state_dict`, by MMEngine's own, or from another hub.

        Raises:
            TypeError: `state_dict` is neither a hub nor a mapping.
            KeyError: a part of the state is missing.
        """
        if isinstance(state_dict, MessageHub):
            state_dict = {
                "log_scalars": state_dict.log_scalars,
                "runtime_info": state_dict.runtime_info,
                "resumed_keys": state_dict._resumed_keys,  # noqa: SLF001  # of this class
            }
        if not isinstance(state_dict, Mapping):
            raise UsageTypeError(f"load_state_dict takes a mapping or a MessageHub, not {type(state_dict).__name__}")
        missing = [key for key in ("log_scalars", "runtime_info", "resumed_keys") if key not in state_dict]
        if missing:
            raise UsageKeyError(f"the state of a message hub needs {', '.join(missing)}; it has {sorted(state_dict)}")
        for key, state in state_dict["log_scalars"].items():
            self._load_scalar(key, state)
        for key, value in state_dict["runtime_info"].items():
            self._runtime_info[key] = _copied(key, value)
        self._resumed_keys.update(state_dict["resumed_keys"])

    def _load_scalar(self, key: str, state: Any) -> None:
        """Restores the history of one key from a checkpoint."""
        # in place where there is a history, as somebody may hold its recorder
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


def _copied(key: str, value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:  # noqa: BLE001  # the value's own class may raise anything
        _LOGGER.warning(
            "%r cannot be copied (%s: %s): this hub and the state share it", key, type(error).__name__, error
        )
        return value


def _ordered(name: str, entries: Mapping[str, Any] | None) -> OrderedDict[str, Any]:
    if entries is not None and not isinstance(entries, Mapping):
        raise UsageTypeError(f"{name} must be a mapping, not {type(entries).__name__}")
    return OrderedDict(entries or {})
