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

# If torchmetrics is not installed, an unknown metric with one of these names gets an error that says to install it.
_WELL_KNOWN = (
    "AUROC", "AveragePrecision", "BinaryAccuracy", "BinaryAUROC", "BinaryF1Score", "ConfusionMatrix", "F1Score", "JaccardIndex",
    "MeanAbsoluteError", "MeanAveragePrecision", "MulticlassAccuracy", "MulticlassAUROC", "MulticlassF1Score", "MulticlassJaccardIndex",
    "MultilabelF1Score", "PearsonCorrCoef", "Precision", "R2Score", "Recall", "SpearmanCorrCoef", "StructuralSimilarityIndexMeasure",
)  # fmt: skip
__all__ = ["TorchMetric", "metrics_of", "register_torchmetrics"]


@METRICS.register_module()
class TorchMetric(BatchMetric):
    """Wraps a metric of torchmetrics, or another object with ``update``, ``compute`` and ``reset``.

    An evaluator wraps such objects in this class by itself. The states of torchmetrics are reduced over ranks by the
    rules that the metric defines (sum, mean, concatenation, ...), without ranks that had no samples. A metric of
    torcheval is reduced by its ``merge_state``.

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
            part.distributed_available_fn = _never  # This class reduces the states over ranks.

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds the predictions and targets of a batch to the metric's state, on the device of the batch."""
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
        # torchmetrics' reset() clears lists, but a reduced list state may have become a tensor.
        for part, name in self._joined_lists:
            setattr(part, name, [])
        self._joined_lists = []
        self.metric.reset()

    def state(self) -> Any:
        """Returns the states of the metric and of the metrics inside it; for metrics of torcheval the metric itself.

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
        """Replaces the metric's state by the states of all ranks, reduced by the metric's rules."""
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
        """Returns the metric and the metrics inside it that have torchmetrics' states."""
        return metrics_in(self.metric)

    def _updater(self) -> Any:
        """Returns the ``update`` whose signature names the arguments.

        The ``update`` of a wrapper, or of a sum of metrics, takes ``*args`` and passes them to a metric inside it.
        """
        updates = [inspect.unwrap(part.update) for part in (self.metric, *self._parts()) if hasattr(part, "update")]
        return next((update for update in updates if _names_arguments(update)), updates[0])


def _never() -> bool:
    """Whether a metric of torchmetrics may gather its states itself."""
    return False


def _names_arguments(update: Any) -> bool:
    parameters = inspect.signature(update).parameters.values()
    return any(item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in parameters)


def _reduce(values: list[Any], rule: Any, device: Any) -> Any:
    """Reduces a state over ranks by torchmetrics' rule; the state of a single rank is not changed."""
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
    """Returns the metrics that an evaluator uses for a metric: a metric of eng itself, any other one wrapped.

    Each metric in a collection of torchmetrics is wrapped separately, with its name in the collection.
    """
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return [metric]
    if not is_stateful(metric):
        return [metric]
    if hasattr(metric, "add_metrics") and hasattr(metric, "items"):
        return [TorchMetric(member, name=name) for name, member in metric.items(copy_state=False)]
    return [TorchMetric(metric)]


# --- by name


def register_torchmetrics() -> None:
    """Registers torchmetrics' classes by name, if torchmetrics is installed.

    A metric of eng with the same name takes precedence.
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
    """Returns the names of classes that a module exports, without importing torchmetrics, which takes seconds."""
    if file.parent.name in ("functional", "utilities"):
        return []
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names if (node.module or "").startswith("torchmetrics.")]
    return [name for name in dict.fromkeys(names) if name[0].isupper() and not name.isupper()]
