"""Several metrics over one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from eng.registry import EVALUATOR, METRICS
from eng.structures import BaseDataElement

from .metric import BaseMetric

__all__ = ["Evaluator"]


@EVALUATOR.register_module()
class Evaluator:
    """Feeds batches to metrics and merges what they compute.

    Args:
        metrics: one metric or several, as objects or configs.

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
        given = metrics if isinstance(metrics, Sequence) else [metrics]
        self.metrics: list[BaseMetric] = [
            METRICS.build(metric) if isinstance(metric, Mapping) else metric for metric in given
        ]
        for metric in self.metrics:
            _check_metric(metric)

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
        samples: Any = data_samples
        if not isinstance(data_samples, Mapping):
            samples = [item.to_dict() if isinstance(item, BaseDataElement) else item for item in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, samples)

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
            raise ValueError(
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


def _check_metric(metric: Any) -> None:
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return
    kind = f"{type(metric).__module__.partition('.')[0]}.{type(metric).__name__}"
    if all(callable(getattr(metric, name, None)) for name in ("update", "compute")):
        raise TypeError(
            f"an evaluator's metric must have the methods process(data_batch, data_samples) and evaluate(size); {kind} "
            "has update() and compute() instead. Write a BaseMetric whose process() calls update() and whose "
            "compute_metrics() returns {'name': metric.compute()}"
        )
    raise TypeError(f"an evaluator's metric must be a BaseMetric or a config of one, got {kind}")


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
