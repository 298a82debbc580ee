"""Evaluator: passes the predictions for a dataset to one or several metrics."""

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
    """Passes the predictions of each batch to metrics, and merges the values that they compute.

    Args:
        metrics: one or several metrics, as objects or configs: metrics of eng, or objects with the methods ``update``,
            ``compute`` and ``reset``, such as those of torchmetrics.

    Raises:
        TypeError: a metric has neither ``process`` and ``evaluate`` nor ``update``, ``compute`` and ``reset``.

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
        self.metrics: list[BaseMetric | BatchMetric] = []
        if not isinstance(metrics, Sequence):
            metrics = [metrics]
        for metric in list(map(_build_metric, metrics)):
            self.metrics.extend(metrics_of(metric))
        for metric in self.metrics:
            _check_metric(metric)
        _warn_without_prefix(self.metrics)

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """The dataset's metainfo, such as class names. Setting this attribute sets the metainfo of all metrics too."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def process(self, data_samples: Sequence[Any], data_batch: Any | None = None) -> None:
        """Passes the predictions for a batch to all metrics.

        Args:
            data_samples: the model's predictions: a sequence with one item per sample, or a dict. Data elements in a
                sequence are converted to dicts; a dict is passed to the metrics as it is.
            data_batch: the batch, as the dataloader yielded it.
        """
        self._process(self.metrics, data_samples, data_batch)

    def process_padding(self, data_samples: Sequence[Any], data_batch: Any | None = None) -> None:
        """Passes the predictions for a batch of repeated samples to those metrics that can remove them later.

        Samplers repeat samples so that all ranks have equally many. A metric that stores a result per sample
        (:class:`BaseMetric`) removes the results of repeated samples at the end. A :class:`BatchMetric` has only sums
        and cannot remove samples from them, so it does not get such a batch. If a subclass of Evaluator overrides
        :meth:`process`, that method is called with the batch instead.

        Args:
            data_samples: see :meth:`process`.
            data_batch: see :meth:`process`.
        """
        if type(self).process is not Evaluator.process:
            self.process(data_samples, data_batch)
            return
        self._process([m for m in self.metrics if not isinstance(m, BatchMetric)], data_samples, data_batch)

    def _process(self, metrics: Sequence[BaseMetric | BatchMetric], data_samples: Any, data_batch: Any) -> None:
        """Passes predictions to some metrics; metrics that store results per sample get data elements as dicts."""
        samples: Any = data_samples
        if not isinstance(data_samples, Mapping) and not all(isinstance(metric, BatchMetric) for metric in metrics):
            samples = list(map(_as_dict, data_samples))
        for metric in metrics:
            if isinstance(metric, BatchMetric):
                metric.process(data_batch, data_samples)
            else:
                metric.process(data_batch, samples)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Computes all metrics over the processed samples of all ranks, and resets the metrics.

        Args:
            size: number of samples in the dataset. Results beyond this number belong to samples that the sampler has
                repeated, and are removed.

        Raises:
            ValueError: two metrics return a value with the same name.
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
        """Computes all metrics over predictions that were saved earlier.

        Args:
            data_samples: predictions, one item per sample.
            data: data of the samples, one item per sample; None if the metrics do not need it.
            chunk_size: number of samples that are passed to the metrics at once.

        Raises:
            ValueError: `data` has another length than `data_samples`, or `chunk_size` is below 1.
        """
        if data is not None and len(data) != len(data_samples):
            raise UsageError(
                f"offline_evaluate got {len(data_samples)} predictions (data_samples) and {len(data)} items of data"
            )
        if chunk_size < 1:
            raise ValueError(f"chunk_size is the number of samples at once and must be 1 or more, not {chunk_size}")
        size = 0
        if data is None:
            data = ()
        batches = _chunks(data, chunk_size)
        for chunk in _chunks(data_samples, chunk_size):
            self.process(chunk, next(batches, None))
            size += len(chunk)
        return self.evaluate(size)


def _warn_without_prefix(metrics: Sequence[Any]) -> None:
    """Warns if several metrics have no prefix: the validation fails if two metrics return a value of the same name."""
    named = [metric for metric in metrics if isinstance(metric, BaseMetric) and not isinstance(metric, DumpResults)]
    names = [type(metric).__name__ for metric in named if not metric.prefix]
    if len(names) > 1:
        _LOGGER.warning(
            "%s have no prefix: their names are used as they are, and a validation fails where two are the same; prefix='...' of a "
            "metric tells them apart",
            " and ".join(names),
        )


def _check_metric(metric: Any) -> None:
    """Raises TypeError if an object has neither the methods of a metric of eng nor those of torchmetrics."""
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return
    class_name = f"{type(metric).__module__.partition('.')[0]}.{type(metric).__name__}"
    raise TypeError(
        "an evaluator's metric must be a BaseMetric or a config of one, or have the methods update(), compute() and reset() "
        f"as those of torchmetrics, got {class_name}"
    )


def _build_metric(metric: Any) -> Any:
    # A mapping is the config of a metric, except a MetricCollection of torchmetrics, which has the method compute.
    if isinstance(metric, Mapping) and not callable(getattr(metric, "compute", None)):
        return METRICS.build(metric)
    return metric


def _as_dict(sample: Any) -> Any:
    if isinstance(sample, BaseDataElement):
        return sample.to_dict()
    return sample


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
