"""What a metric is, and one that writes predictions to a file."""

from __future__ import annotations

import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch

from eng.dist import broadcast_object_list, collect_results, is_main_process
from eng.fileio import dump
from eng.logging.words import counted
from eng.registry import METRICS
from eng.structures import BaseDataElement

__all__ = ["BaseMetric", "DumpResults"]

_LOGGER = logging.getLogger(__name__)


class CollectDeviceError(ValueError, NotImplementedError):
    """A way for results that there is not; MMEngine raises a NotImplementedError when it collects."""


class BaseMetric(metaclass=ABCMeta):
    """A metric: gathers something of each batch, then computes numbers from all of it.

    A subclass appends to ``self.results`` in :meth:`process`, one item per sample where items are to be put in the
    order of the dataset over several ranks, and gives a dict of numbers from :meth:`compute_metrics`.

    Args:
        collect_device: through what the ranks' results travel: ``cpu`` (files in `collect_dir`) or ``gpu``.
        prefix: put before the names, as ``prefix/name``; `default_prefix` by default.
        collect_dir: folder for the files of ``cpu``, which all ranks see; a temporary one by default.

    Raises:
        ValueError: `collect_device` is neither, or `collect_dir` is given for ``gpu``.

    Examples:
        >>> class Mean(BaseMetric):
        ...     default_prefix = "toy"
        ...     def process(self, data_batch, data_samples):
        ...         self.results.extend(data_samples)
        ...     def compute_metrics(self, results):
        ...         return {"mean": sum(results) / len(results)}
        >>> metric = Mean()
        >>> metric.process(None, [1, 2, 3])
        >>> metric.evaluate(size=3)
        {'toy/mean': 2.0}
    """

    default_prefix: ClassVar[str | None] = None

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None, collect_dir: str | None = None) -> None:
        if collect_device not in ("cpu", "gpu"):
            raise CollectDeviceError(f"collect_device is 'cpu' or 'gpu', not {collect_device!r}")
        if collect_dir is not None and collect_device != "cpu":
            raise ValueError(f"collect_dir is for collect_device='cpu'; with {collect_device!r} no files are written")
        self._dataset_meta: dict[str, Any] | None = None
        self.collect_device = collect_device
        self.results: list[Any] = []
        self.prefix = prefix or self.default_prefix
        self.collect_dir = collect_dir

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Meta information of the dataset, such as its classes."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Appends what is needed of a batch to ``self.results``.

        Args:
            data_batch: as the data loader gave it.
            data_samples: as the model gave it, data elements as dicts.
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Numbers by name.

        Args:
            results: of all samples, those of all ranks in the order of the dataset. Called on rank 0 only.
        """

    def evaluate(self, size: int) -> dict[str, Any]:
        """Metrics of everything processed so far; afterwards the metric is empty again.

        Args:
            size: of the dataset; what samplers added to fill up batches beyond it is dropped.

        Returns:
            Numbers by prefixed name, the same on all ranks.

        Raises:
            TypeError: `compute_metrics` returned no dict.
        """
        if not self.results:
            _LOGGER.warning("%s got no results; its process() must fill self.results", type(self).__name__)
        results = collect_results(self.results, size, self.collect_device, tmpdir=self.collect_dir)
        metrics: list[Any] = [self._named(_to_cpu(results))] if is_main_process() else [None]
        broadcast_object_list(metrics)
        self.results.clear()
        computed: dict[str, Any] = metrics[0]
        return computed

    def _named(self, results: list[Any]) -> dict[str, Any]:
        """The computed metrics as a flat dict, with the prefix in front of each name."""
        metrics = self.compute_metrics(results)
        if not isinstance(metrics, Mapping):
            name = type(self).__name__
            raise TypeError(
                f"{name}.compute_metrics must return a dict of numbers by name, such as {{'accuracy': 0.5}}; it returned "
                f"{_describe(metrics)}"
            )
        flat = {name: value for key, item in metrics.items() for name, value in _leaves(str(key), item)}
        return {f"{self.prefix}/{name}": value for name, value in flat.items()} if self.prefix else flat


@METRICS.register_module()
class DumpResults(BaseMetric):
    """Writes all predictions, moved to the CPU, into one pickle file; it gives no numbers.

    Args:
        out_file_path: ends in ``.pkl`` or ``.pickle``; any storage of :mod:`eng.fileio`.
        collect_device: see :class:`BaseMetric`.
        collect_dir: see :class:`BaseMetric`.

    Raises:
        ValueError: another ending.
    """

    def __init__(self, out_file_path: str, collect_device: str = "cpu", collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if not str(out_file_path).endswith((".pkl", ".pickle")):
            raise ValueError(
                f"DumpResults writes a pickle file: out_file_path must end in .pkl or .pickle, not {out_file_path!r}"
            )
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, predictions: Sequence[Any]) -> None:
        """Keeps the predictions of a batch."""
        self.results.extend(_to_cpu(predictions))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Writes the file."""
        dump(results, self.out_file_path)
        _LOGGER.info("predictions of %s are in %s", counted(len(results), "sample"), self.out_file_path)
        return {}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value by name; those of nested mappings under their path, ``"outer/inner"``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}/{key}", item)
    else:
        yield name, value


def _describe(value: Any) -> str:
    """A value for a message: a number as it is, anything else by its type."""
    class_name = type(value).__name__
    return f"{value!r} (a {class_name})" if isinstance(value, int | float | torch.Tensor) else f"a {class_name}"


def _to_cpu(data: Any) -> Any:
    """`data` with all tensors and data elements in it on the CPU."""
    if isinstance(data, torch.Tensor | BaseDataElement):
        return data.to("cpu")
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(_to_cpu(item) for item in data))
    if isinstance(data, list | tuple):
        return type(data)(_to_cpu(item) for item in data)
    if isinstance(data, Mapping):
        return {key: _to_cpu(item) for key, item in data.items()}
    return data
