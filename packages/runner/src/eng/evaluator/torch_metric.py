"""TorchMetric: use metrics of torchmetrics, and other objects with ``update``, ``compute`` and ``reset``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.dist import get_world_size
from eng.registry import METRICS, InstalledClass

from ._torchmetrics_internals import metrics_in, note_update, reductions
from .batch_metric import BatchMetric, cpu
from .naming import metric_name

# Names of torchmetrics' classes. If torchmetrics is not installed and a config uses one of these names, the error
# message says that torchmetrics must be installed.
_WELL_KNOWN = (
    "AUROC", "AveragePrecision", "BinaryAccuracy", "BinaryAUROC", "BinaryF1Score", "ConfusionMatrix", "F1Score", "JaccardIndex",
    "MeanAbsoluteError", "MeanAveragePrecision", "MulticlassAccuracy", "MulticlassAUROC", "MulticlassF1Score", "MulticlassJaccardIndex",
    "MultilabelF1Score", "PearsonCorrCoef", "Precision", "R2Score", "Recall", "SpearmanCorrCoef", "StructuralSimilarityIndexMeasure",
)  # fmt: skip
__all__ = ["TorchMetric", "metrics_of", "register_torchmetrics"]


@METRICS.register_module()
class TorchMetric(BatchMetric):
    """Wraps a metric of torchmetrics, or another object with ``update``, ``compute`` and ``reset``.

    An evaluator wraps such objects in this class automatically. The states of a torchmetrics metric are reduced over
    all ranks that had samples by the rules that the metric defines (sum, mean, concatenation, ...). The states of a
    torcheval metric are merged by its method ``merge_state``.

    Args:
        metric: the metric, or its config, such as ``dict(type="torchmetrics.classification.MulticlassAccuracy",
            num_classes=10)``.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`; the name of the metric's class by default.
        keys: see :class:`BatchMetric`.

    Raises:
        TypeError: the metric lacks ``update``, ``compute`` or ``reset``.
    """

    def __init__(
        self,
        metric: Any,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        if isinstance(metric, Mapping):
            metric = METRICS.build(metric)
        self.metric: Any = metric
        if not is_stateful(self.metric):
            raise TypeError(f"{type(self.metric).__name__} needs the methods update(), compute() and reset()")
        super().__init__(prefix, name or metric_name(type(self.metric)), keys)
        self._joined_lists: list[tuple[Any, str]] = []
        for part in self._parts():
            part.distributed_available_fn = _never  # This class reduces states over ranks, so torchmetrics must not.

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds the predictions and targets of a batch to the metric's state.

        The metric is moved to the device of the batch first.
        """
        device = next((value.device for value in kwargs.values() if isinstance(value, torch.Tensor)), None)
        if (
            device is not None
            and isinstance(self.metric, nn.Module)
            and getattr(self.metric, "device", device) != device
        ):
            self.metric.to(device)
        self.metric.update(*args, **kwargs)

    def compute(self) -> Any:
        """Returns the result of the wrapped metric."""
        return self.metric.compute()

    def reset(self) -> None:
        """Resets the state of the wrapped metric."""
        # reset() of torchmetrics empties states that are lists. Reducing such a state over ranks may have made it a
        # tensor, so it is replaced by an empty list first.
        for part, name in self._joined_lists:
            setattr(part, name, [])
        self._joined_lists = []
        self.metric.reset()

    def state(self) -> Any:
        """Returns this rank's states of the wrapped metric, for merging them with those of other ranks.

        Returns:
            update count and states of a torchmetrics metric, and of each metric that it contains. For a metric of
            torcheval: the metric itself or, with a single rank, an empty tuple, since nothing is merged then.

        Raises:
            TypeError: there are several ranks, and the metric has neither torchmetrics' rules nor ``merge_state``.
        """
        parts = self._parts()
        if parts:
            return [
                (part.update_count, {name: cpu(getattr(part, name)) for name in reductions(part)}) for part in parts
            ]
        if get_world_size() > 1 and not hasattr(self.metric, "merge_state"):
            raise TypeError(
                f"{self.name} cannot be reduced over ranks: it has neither torchmetrics' states nor merge_state(metrics)"
            )
        if get_world_size() == 1:
            return ()
        return self.metric

    def merge(self, states: list[Any]) -> None:
        """Replaces the states of the wrapped metric by the states of several ranks, reduced by the metric's rules.

        Args:
            states: the results of :meth:`state` on all ranks that had samples.
        """
        parts = self._parts()
        if not parts:
            self.metric.merge_state(states[1:])
            return
        for index, part in enumerate(parts):
            of_ranks = [state[index] for state in states if state[index][0]]
            if not of_ranks:
                continue
            for name, rule in reductions(part).items():
                if isinstance(getattr(part, name), list):
                    self._joined_lists.append((part, name))
                setattr(part, name, _reduce([values[name] for _, values in of_ranks], rule, part.device))
            note_update(part, sum(count for count, _ in of_ranks))

    def _parts(self) -> list[Any]:
        """Returns the wrapped metric and the metrics that it contains; an empty list if it is not of torchmetrics."""
        return metrics_in(self.metric)

    def _updater(self) -> Any:
        """Returns the method ``update`` whose signature says which arguments the metric needs.

        The ``update`` of a torchmetrics wrapper, or of a sum of metrics, has only ``*args``, which it passes to the
        metric that it contains. In this case the ``update`` of the contained metric is returned.
        """
        updates = [inspect.unwrap(part.update) for part in (self.metric, *self._parts()) if hasattr(part, "update")]
        return next((update for update in updates if _names_arguments(update)), updates[0])


def _never() -> bool:
    """Returns False: torchmetrics calls this function to decide whether a metric gathers its states from all ranks."""
    return False


def _names_arguments(update: Any) -> bool:
    parameters = inspect.signature(update).parameters.values()
    return any(item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in parameters)


def _reduce(values: list[Any], rule: Any, device: Any) -> Any:
    """Reduces one state of a torchmetrics metric over ranks.

    Args:
        values: the state on each rank that had samples; the state of a single rank is returned unchanged.
        rule: the function with which torchmetrics reduces the state; None concatenates or stacks the values.
        device: device of the result.
    """
    if len(values) == 1:
        return _move(values[0], device)
    if all(isinstance(value, torch.Tensor) for value in values):
        combined: Any = torch.stack([value.to(device) for value in values])
    else:
        combined = []
        for value in values:
            if isinstance(value, list):
                combined.extend(_move(item, device) for item in value)
            else:
                combined.append(_move(value, device))
    if rule is None or len(combined) == 0:
        return combined
    return rule(combined)


def _move(value: Any, device: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_move(item, device) for item in value]
    return value


def is_stateful(metric: Any) -> bool:
    """Whether a metric has the methods of torchmetrics: ``update``, ``compute`` and ``reset``."""
    return all(callable(getattr(metric, name, None)) for name in ("update", "compute", "reset"))


def metrics_of(metric: Any) -> list[Any]:
    """Converts one entry of an evaluator's argument `metrics` to metrics with the interface of eng.

    A metric of eng is returned unchanged, a metric of another library is wrapped in a :class:`TorchMetric`. From a
    collection of torchmetrics each metric is wrapped separately, with its name in the collection. An object that is no
    metric is returned unchanged; the evaluator refuses it.
    """
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return [metric]
    if not is_stateful(metric):
        return [metric]
    if hasattr(metric, "add_metrics") and hasattr(metric, "items"):
        return [TorchMetric(member, name=name) for name, member in metric.items(copy_state=False)]
    return [TorchMetric(metric)]


# --- registering the metrics of torchmetrics by name


def register_torchmetrics() -> None:
    """Registers torchmetrics' classes in METRICS by their class names, so that configs can use them.

    If torchmetrics is not installed, a config that names one of its well-known classes gets an error that says so. A
    metric of eng with the same name takes precedence.
    """
    spec = find_spec("torchmetrics")
    if spec is None:
        METRICS.register_absent(_WELL_KNOWN, "torchmetrics")
        return
    for folder in spec.submodule_search_locations or ():
        for file in sorted(Path(folder).glob("*/__init__.py")):
            for name in _exported_classes(file):
                if name not in METRICS.module_dict:
                    METRICS.register_fallback(name, InstalledClass(f"torchmetrics.{file.parent.name}", name))


def _exported_classes(file: Path) -> list[str]:
    """Returns the names of the metric classes that a subpackage of torchmetrics exports.

    The source file is parsed instead of imported, because importing torchmetrics takes seconds. The list is empty for
    the subpackages ``functional`` and ``utilities``, which have no metric classes.

    Args:
        file: path of the subpackage's ``__init__.py``.
    """
    if file.parent.name in ("functional", "utilities"):
        return []
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names if (node.module or "").startswith("torchmetrics.")]
    return [name for name in dict.fromkeys(names) if name[0].isupper() and not name.isupper()]
