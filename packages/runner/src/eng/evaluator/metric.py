"""BaseMetric, the base class of metrics that store samples, and DumpResults, which writes predictions to a file."""

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
    """The argument ``collect_device`` of a metric is neither ``"cpu"`` nor ``"gpu"``.

    The error is a NotImplementedError too, because MMEngine raises a NotImplementedError for an unknown device.
    """


class BaseMetric(metaclass=ABCMeta):
    """Base class of metrics that store a result per sample, and compute their values from the results of all samples.

    A subclass appends results to ``self.results`` in :meth:`process`, and computes a dict of numbers from all results
    in :meth:`compute_metrics`. With one result per sample, the results of several ranks are put in the dataset's order.

    Args:
        collect_device: how the results of all ranks are collected: ``"cpu"`` (default, by files in `collect_dir`) or
            ``"gpu"``.
        prefix: prefix of the names of all values, as in ``prefix/name``. None (default) is the class attribute
            `default_prefix`.
        collect_dir: folder for the files with results, which all ranks must be able to read. None (default) is a
            temporary folder.

    Raises:
        ValueError: `collect_device` is neither ``"cpu"`` nor ``"gpu"``, or `collect_dir` is given for ``"gpu"``.

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
        """The dataset's metainfo, such as class names."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        self._dataset_meta = dataset_meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Appends the results of a batch, such as predictions and labels, to ``self.results``.

        Args:
            data_batch: the batch, as the dataloader yielded it.
            data_samples: the model's predictions; data elements are converted to dicts.
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Computes the values of the metric from the results of all samples, and returns the values by name.

        This method is called on rank 0 only.

        Args:
            results: the results of all samples and all ranks, in the order of the dataset.
        """

    def evaluate(self, size: int) -> dict[str, Any]:
        """Computes the metric over the processed samples of all ranks, and removes the stored results.

        Args:
            size: number of samples in the dataset. Results beyond this number belong to samples that the sampler has
                repeated, and are removed.

        Returns:
            the values by name, with the prefix; the same on all ranks.

        Raises:
            TypeError: `compute_metrics` returned no dict.
        """
        if not self.results:
            _LOGGER.warning("%s got no results; its process() must fill self.results", type(self).__name__)
        results = collect_results(self.results, size, self.collect_device, tmpdir=self.collect_dir)
        metrics: list[Any] = [None]
        if is_main_process():
            metrics = [self._named(_to_cpu(results))]
        broadcast_object_list(metrics)
        self.results.clear()
        computed: dict[str, Any] = metrics[0]
        return computed

    def _named(self, results: list[Any]) -> dict[str, Any]:
        """Computes the metric from the results of all samples, and returns its values by name, ``prefix/name``.

        Raises:
            TypeError: `compute_metrics` returned no dict.
        """
        metrics = self.compute_metrics(results)
        if not isinstance(metrics, Mapping):
            name = type(self).__name__
            raise TypeError(
                f"{name}.compute_metrics must return a dict of numbers by name, such as {{'accuracy': 0.5}}; it returned "
                f"{_describe(metrics)}"
            )
        flat = {name: value for key, item in metrics.items() for name, value in _leaves(str(key), item)}
        if not self.prefix:
            return flat
        return {f"{self.prefix}/{name}": value for name, value in flat.items()}


@METRICS.register_module()
class DumpResults(BaseMetric):
    """Writes the predictions for all samples into a pickle file, with tensors on the CPU; it computes no values.

    Args:
        out_file_path: path or address of the file, in any storage of :mod:`eng.fileio`; ends in ``.pkl`` or
            ``.pickle``.
        collect_device: see :class:`BaseMetric`.
        collect_dir: see :class:`BaseMetric`.

    Raises:
        ValueError: `out_file_path` has another ending.
    """

    def __init__(self, out_file_path: str, collect_device: str = "cpu", collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if not str(out_file_path).endswith((".pkl", ".pickle")):
            raise ValueError(
                f"DumpResults writes a pickle file: out_file_path must end in .pkl or .pickle, not {out_file_path!r}"
            )
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, predictions: Sequence[Any]) -> None:
        """Stores the predictions for a batch on the CPU."""
        self.results.extend(_to_cpu(predictions))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Writes the predictions into the file, and returns no values."""
        dump(results, self.out_file_path)
        _LOGGER.info("predictions of %s are in %s", counted(len(results), "sample"), self.out_file_path)
        return {}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields the values in a nested mapping, each with its path of keys as its name, such as ``"outer/inner"``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}/{key}", item)
    else:
        yield name, value


def _describe(value: Any) -> str:
    """Returns a text for error messages: value and type of a number, or only the type of any other value."""
    description = f"a {type(value).__name__}"
    if isinstance(value, int | float | torch.Tensor):
        return f"{value!r} ({description})"
    return description


def _to_cpu(data: Any) -> Any:
    """Returns nested data with its tensors and data elements moved to the CPU."""
    if isinstance(data, torch.Tensor | BaseDataElement):
        return data.to("cpu")
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(_to_cpu(item) for item in data))
    if isinstance(data, list | tuple):
        return type(data)(_to_cpu(item) for item in data)
    if isinstance(data, Mapping):
        return {key: _to_cpu(item) for key, item in data.items()}
    return data
