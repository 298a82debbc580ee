"""Several metrics over one dataset."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from eng.logging.errors import UsageError
from eng.registry import EVALUATOR, METRICS
from eng.structures import BaseDataElement

from .batch_metric import BatchMetric
from .metric import BaseMetric, DumpResults
from .torch_metric import metrics_of

__all__ = ["Evaluator"]

_LOGGER = logging.getLogger(__name__)


@EVALUATOR.register_module()
class Evaluator:
    """Feeds batches to metrics and merges what they compute.

    Args:
        metrics: one metric or several, as objects or configs: of eng, or of torchmetrics and the like, with the methods
            ``update``, ``compute`` and ``reset``.

    Raises:
        TypeError: a metric has no methods ``process`` and ``evaluate``.

    Examples:
        >>> class Count(BaseMetric):
        ...     def process(self, data_batch, data_samples):
        ...         self.results.extend(data_samples)
        ...     def compute_metrics(self, results):
        ...         return {"count": len(results)}
        >>> Evaluator(Count()).offline_evaluate([{"label": 1}, {"label": 2}], chunk_size=2)
        {'count': 2}
    """

    def __init__(self, metrics: Mapping[str, Any] | BaseMetric | Sequence[Any]) -> None:
        self._dataset_meta: dict[str, Any] | None = None
        entries = metrics if isinstance(metrics, Sequence) else [metrics]
        built = [METRICS.build(metric) if _is_config(metric) else metric for metric in entries]
        self.metrics: list[BaseMetric | BatchMetric] = [part for metric in built for part in metrics_of(metric)]
        for metric in self.metrics:
            _check_metric(metric)
        _warn_without_prefix(self.metrics)

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset; setting it sets it on all metrics."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def process(self, data_samples: Sequence[Any], data_batch: Any | None = None) -> None:
        """Gives a batch to all metrics.

        Args:
            data_samples: what the model predicted: a sequence with one item per sample, of which data elements
                become dicts, or a dict, which the metrics get as it is.
            data_batch: what the data loader gave.
        """
        self._process(self.metrics, data_samples, data_batch)

    def process_padding(self, data_samples: Sequence[Any], data_batch: Any | None = None) -> None:
        """Gives a batch that only fills up the ranks to the metrics that keep samples, which drop it at the end.

        Args:
            data_samples: see :meth:`process`.
            data_batch: see :meth:`process`.
        """
        if type(self).process is not Evaluator.process:
            self.process(data_samples, data_batch)
            return
        self._process([m for m in self.metrics if not isinstance(m, BatchMetric)], data_samples, data_batch)

    def _process(self, metrics: Sequence[BaseMetric | BatchMetric], data_samples: Any, data_batch: Any) -> None:
        samples: Any = data_samples
        if not isinstance(data_samples, Mapping) and not all(isinstance(metric, BatchMetric) for metric in metrics):
            samples = [item.to_dict() if isinstance(item, BaseDataElement) else item for item in data_samples]
        for metric in metrics:
            metric.process(data_batch, data_samples if isinstance(metric, BatchMetric) else samples)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Metrics of everything processed so far; afterwards all metrics are empty again.

        Args:
            size: of the dataset; what samplers added beyond it is dropped.

        Raises:
            ValueError: two metrics give the same name.
        """
        merged: dict[str, Any] = {}
        for metric in self.metrics:
            for name, value in metric.evaluate(size).items():
                if name in merged:
                    raise ValueError(
                        f"two metrics give {name!r}, the second is {type(metric).__name__}; "
                        "tell them apart by different prefixes (argument 'prefix')"
                    )
                merged[name] = value
        return merged

    def offline_evaluate(
        self, data_samples: Sequence[Any], data: Sequence[Any] | None = None, chunk_size: int = 1
    ) -> dict[str, Any]:
        """Metrics of predictions that were made before.

        Args:
            data_samples: predictions, one item per sample.
            data: the batches' data, one item per sample.
            chunk_size: samples given to the metrics at once.

        Raises:
            ValueError: `data` has another length, or `chunk_size` is below 1.
        """
        if data is not None and len(data) != len(data_samples):
            raise UsageError(
                f"offline_evaluate got {len(data_samples)} predictions (data_samples) and {len(data)} items of data"
            )
        if chunk_size < 1:
            raise ValueError(f"chunk_size is the number of samples at once and must be 1 or more, not {chunk_size}")
        size = 0
        batches: Iterator[Any] = _chunks(data, chunk_size) if data is not None else iter(())
        for chunk in _chunks(data_samples, chunk_size):
            self.process(chunk, next(batches, None))
            size += len(chunk)
        return self.evaluate(size)


def _warn_without_prefix(metrics: Sequence[Any]) -> None:
    """Warns of several metrics without a prefix, before the validation that would end where they give the same name."""
    named = [metric for metric in metrics if isinstance(metric, BaseMetric) and not isinstance(metric, DumpResults)]
    names = [type(metric).__name__ for metric in named if not metric.prefix]
    if len(names) > 1:
        _LOGGER.warning(
            "%s have no prefix: their names are used as they are, and a validation fails where two are the same; prefix='...' of a "
            "metric tells them apart",
            " and ".join(names),
        )


def _check_metric(metric: Any) -> None:
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return
    class_name = f"{type(metric).__module__.partition('.')[0]}.{type(metric).__name__}"
    raise TypeError(
        "an evaluator's metric must be a BaseMetric or a config of one, or have the methods update(), compute() and reset() "
        f"as those of torchmetrics, got {class_name}"
    )


def _is_config(metric: Any) -> bool:
    return isinstance(metric, Mapping) and not callable(getattr(metric, "compute", None))


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
