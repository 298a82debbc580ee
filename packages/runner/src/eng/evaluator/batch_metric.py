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
    """Base class of metrics that add each batch to a state, such as sums, and merge the states of all ranks at the end.

    A subclass defines :meth:`update`, whose argument names say which predictions and targets the metric needs,
    :meth:`compute`, :meth:`reset`, and for several ranks :meth:`state` and :meth:`merge`. The memory that the metric
    needs does not depend on the number of samples.

    Args:
        prefix: prefix of the names of all values, as in ``prefix/name``. None (default) adds no prefix.
        name: name of the metric. None (default) is the class name in lower case, with underscores between words.
        keys: for an argument of :meth:`update`, the key of its values in the predictions or the batch, such as
            ``dict(preds="scores", target="cls")``. An argument that `keys` does not name is looked up by its own name
            and usual synonyms.
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
        """Returns this rank's state on the CPU, in a form that can be pickled and sent to other ranks."""

    @abstractmethod
    def merge(self, states: list[Any]) -> None:
        """Replaces the state by the merged states of several ranks.

        Args:
            states: the results of :meth:`state` on all ranks that had samples, in the order of the ranks.
        """

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
            size: number of samples in the dataset. It is not used: the validation loop does not pass samples to this
                metric that the sampler has repeated to give all ranks equally many.

        Returns:
            the values by name, with the prefix; the same on all ranks.
        """
        state = None
        if self._count:
            state = self.state()
        # Ranks that hold parts of the same model replica have processed the same samples, so the state of one is used.
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
        """Whether this rank computes the metric from the merged states; only the first rank that had samples does.

        A rank without samples cannot: a metric may set attributes in ``update``, which was not called on this rank.

        Args:
            gathered: the states of all ranks; None for a rank without samples.
        """
        from eng.dist import get_rank

        first = next((rank for rank, state in enumerate(gathered) if state is not None), 0)
        return get_rank() == first * get_ranks_per_share()

    def _updater(self) -> Any:
        return self.update

    def _arguments(self, columns: Columns) -> dict[str, Any]:
        """Returns the arguments for the metric's ``update`` by name, from the predictions and the batch in `columns`.

        Raises:
            ValueError: a required argument is neither in the predictions nor in the batch.
        """
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
