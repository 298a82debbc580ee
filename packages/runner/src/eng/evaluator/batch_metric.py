"""BatchMetric: metrics that accumulate a state over batches instead of storing the predictions of all samples."""

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
    """A metric that adds each batch to a state, such as sums; the states of all ranks are merged at the end.

    A subclass defines :meth:`update`, whose argument names say which predictions and targets the metric needs,
    :meth:`compute`, :meth:`reset`, and for several ranks :meth:`state` and :meth:`merge`. The memory that the metric
    needs does not depend on the number of samples.

    Args:
        prefix: prefix of the names of all values, ``prefix/name``. None (default) is no prefix.
        name: name of the metric. None (default) is the class name in lower case, with underscores between words.
        keys: keys of the predictions or of the batch for arguments of :meth:`update`, such as
            ``dict(preds="scores", target="cls")``. For other arguments their name and usual synonyms are looked up in
            the predictions first, and then in the batch.
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
        """Adds the predictions and targets of a batch to the state."""

    @abstractmethod
    def compute(self) -> Any:
        """Computes the value of the metric, or several values by name, from the state."""

    @abstractmethod
    def reset(self) -> None:
        """Resets the state to that of a metric without samples."""

    @abstractmethod
    def state(self) -> Any:
        """Returns this rank's state on the CPU, in a form that can be pickled."""

    @abstractmethod
    def merge(self, states: list[Any]) -> None:
        """Replaces the state by the merged states of all ranks that had samples, in the order of the ranks."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Adds the predictions and targets of a batch to the state, by calling :meth:`update`.

        Args:
            data_batch: the batch, as the dataloader yielded it.
            data_samples: the predictions, as the model returned them.

        Raises:
            ValueError: an argument of :meth:`update` is neither in the predictions nor in the batch; the message lists
                the keys that they have.
        """
        self.update(**self._arguments(Columns(data_batch, data_samples)))
        self._count += 1

    def evaluate(self, size: int) -> dict[str, Any]:
        """Computes the metric over the samples of all ranks, and resets the state.

        Args:
            size: number of samples in the dataset; not used, since the loops leave out samples that samplers repeat.

        Returns:
            the values by name, with the prefix; the same on all ranks.
        """
        state = None
        if self._count:
            state = self.state()
        # Ranks that share a model replica have processed the same samples, so one of them counts.
        gathered = all_gather_object(state)[:: get_ranks_per_share()]
        states = [state for state in gathered if state is not None]
        if not states:
            _LOGGER.warning("%s got no samples", self.name)
        result: dict[str, Any] | None = None
        if self._computes(gathered):
            if len(states) > 1:
                self.merge(states)
            result = self._named_result()
        results = [metrics for metrics in all_gather_object(result) if metrics is not None]
        self.reset()
        self._count = 0
        computed: dict[str, Any] = results[0]
        if self.prefix:
            return {f"{self.prefix}/{name}": value for name, value in computed.items()}
        return computed

    def _named_result(self) -> dict[str, Any]:
        value = self.compute()
        if isinstance(value, Mapping):
            return named_values("", value)
        return named_values(self.name, value)

    def _computes(self, gathered: list[Any]) -> bool:
        """Whether this rank computes the metric: the first rank that had samples does.

        A metric may set attributes in ``update``, which ranks without samples lack.
        """
        from eng.dist import get_rank

        first = next((rank for rank, state in enumerate(gathered) if state is not None), 0)
        return get_rank() == first * get_ranks_per_share()

    def _updater(self) -> Any:
        return self.update

    def _arguments(self, columns: Columns) -> dict[str, Any]:
        """Looks up the arguments of the metric's ``update`` in the predictions and the batch."""
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
                    wanted = repr(name)
                    if name in self.keys:
                        wanted = f"keys[{name!r}]={self.keys[name]!r}"
                    raise ValueError(
                        f"the metric {self.name} needs {needed} of a batch, and {wanted} is not there: {columns}. Name the "
                        f"key: dict(type=..., keys=dict({name}='...'))"
                    ) from None
        return arguments


def cpu(value: Any) -> Any:
    """Returns a nested state with its tensors detached and moved to the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, list):
        return [cpu(item) for item in value]
    if isinstance(value, dict):
        return {key: cpu(item) for key, item in value.items()}
    return value
