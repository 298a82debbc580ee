"""Metrics that keep a state instead of the samples."""

from __future__ import annotations

import inspect
import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from eng.dist import all_gather_object, get_ranks_per_share

from ._columns import Columns
from .naming import metric_name, named_values

__all__ = ["BatchMetric"]

_LOGGER = logging.getLogger(__name__)
_EMPTY = inspect.Parameter.empty


class BatchMetric(metaclass=ABCMeta):
    """A metric that adds each batch to a state, which is reduced over ranks at the end.

    A subclass gives :meth:`update`, whose arguments name what it needs of a batch, :meth:`compute` and :meth:`reset`, and
    what the ranks exchange: :meth:`state` and :meth:`merge`. Its memory is that of the state.

    Args:
        prefix: put before the names, as ``prefix/name``.
        name: of the metric; the class's name in small letters by default.
        keys: keys of predictions or batch for arguments of :meth:`update`, such as ``dict(preds="scores", target="cls")``.
            By default arguments are looked for under their names and usual other ones, in the predictions, then in the
            batch.
    """

    def __init__(
        self, prefix: str | None = None, name: str | None = None, keys: Mapping[str, str | int] | None = None
    ) -> None:
        self.prefix = prefix
        self.name = name or metric_name(type(self))
        self.keys = dict(keys or {})
        self.dataset_meta: Any = None
        self._count = 0

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch."""

    @abstractmethod
    def compute(self) -> Any:
        """A number, or several by name, from the state."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets everything."""

    @abstractmethod
    def state(self) -> Any:
        """What :meth:`merge` needs of each rank, on the CPU."""

    @abstractmethod
    def merge(self, states: list[Any]) -> None:
        """Takes over the states of all ranks that had samples, in the order of the ranks."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Adds a batch to the state.

        Args:
            data_batch: as the data loader gave it.
            data_samples: as the model gave it.

        Raises:
            ValueError: neither holds what :meth:`update` needs; the keys that they have are named.
        """
        self.update(**self._arguments(Columns(data_batch, data_samples)))
        self._count += 1

    def evaluate(self, size: int) -> dict[str, Any]:
        """The metric over all ranks, by prefixed name, the same on each; afterwards it is empty again.

        Args:
            size: of the dataset; the loops leave out what samplers repeat, so it is not needed.
        """
        gathered = all_gather_object(self.state() if self._count else None)[:: get_ranks_per_share()]
        states = [state for state in gathered if state is not None]
        if not states:
            _LOGGER.warning("%s got no samples", self.name)
        result: dict[str, Any] | None = None
        if self._computes(gathered):
            if len(states) > 1:
                self.merge(states)
            result = named_values("" if isinstance(value := self.compute(), Mapping) else self.name, value)
        results = [metrics for metrics in all_gather_object(result) if metrics is not None]
        self.reset()
        self._count = 0
        return {f"{self.prefix}/{name}" if self.prefix else name: value for name, value in results[0].items()}

    def _computes(self, gathered: list[Any]) -> bool:
        """Whether this rank computes: the first with samples, whose attributes are complete."""
        from eng.dist import get_rank

        first = next((rank for rank, state in enumerate(gathered) if state is not None), 0)
        return get_rank() == first * get_ranks_per_share()

    def _updater(self) -> Any:
        return self.update

    def _arguments(self, columns: Columns) -> dict[str, Any]:
        """The arguments of the metric's update, taken from the columns by their names."""
        parameters = inspect.signature(self._updater()).parameters
        arguments = {}
        for name, parameter in parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            try:
                arguments[name] = columns.get(name, self.keys.get(name))
            except KeyError:
                if parameter.default is _EMPTY or name in self.keys:
                    needed = ", ".join(key for key, described in parameters.items() if described.default is _EMPTY)
                    wanted = f"keys[{name!r}]={self.keys[name]!r}" if name in self.keys else repr(name)
                    raise ValueError(
                        f"the metric {self.name} needs {needed} of a batch, and {wanted} is not there: {columns}. Name the "
                        f"key: dict(type=..., keys=dict({name}='...'))"
                    ) from None
        return arguments


def cpu(value: Any) -> Any:
    """The tensors in a state on the CPU, detached."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, list):
        return [cpu(item) for item in value]
    return {key: cpu(item) for key, item in value.items()} if isinstance(value, dict) else value
