"""Metrics of torchmetrics, and others with ``update``, ``compute`` and ``reset``."""

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

# Classes that an error message leads to while torchmetrics is not installed.
_WELL_KNOWN = (
    "AUROC", "AveragePrecision", "BinaryAccuracy", "BinaryAUROC", "BinaryF1Score", "ConfusionMatrix", "F1Score", "JaccardIndex",
    "MeanAbsoluteError", "MeanAveragePrecision", "MulticlassAccuracy", "MulticlassAUROC", "MulticlassF1Score", "MulticlassJaccardIndex",
    "MultilabelF1Score", "PearsonCorrCoef", "Precision", "R2Score", "Recall", "SpearmanCorrCoef", "StructuralSimilarityIndexMeasure",
)  # fmt: skip
__all__ = ["TorchMetric", "metrics_of", "register_torchmetrics"]


@METRICS.register_module()
class TorchMetric(BatchMetric):
    """A metric of torchmetrics, or another object with ``update``, ``compute`` and ``reset``.

    An evaluator puts it around such objects itself. States are reduced over ranks by the rule that the metric gave each of
    them; ranks without samples are left out. A metric of torcheval is reduced by its ``merge_state``.

    Args:
        metric: the metric, or its config, such as ``dict(type="torchmetrics.classification.MulticlassAccuracy",
            num_classes=10)``.
        prefix: see :class:`BatchMetric`.
        name: see :class:`BatchMetric`; the name of the metric's class by default.
        keys: see :class:`BatchMetric`.

    Raises:
        TypeError: the metric lacks one of the three methods.
    """

    def __init__(
        self,
        metric: Any,
        prefix: str | None = None,
        name: str | None = None,
        keys: Mapping[str, str | int] | None = None,
    ) -> None:
        self.metric: Any = METRICS.build(metric) if isinstance(metric, Mapping) else metric
        if not is_stateful(self.metric):
            raise TypeError(f"{type(self.metric).__name__} needs the methods update(), compute() and reset()")
        super().__init__(prefix, name or metric_name(type(self.metric)), keys)
        self._joined_lists: list[tuple[Any, str]] = []
        for part in self._parts():
            part.distributed_available_fn = _never  # this class reduces over ranks

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch, on the device that it is on."""
        device = next((value.device for value in kwargs.values() if isinstance(value, torch.Tensor)), None)
        if (
            device is not None
            and isinstance(self.metric, nn.Module)
            and getattr(self.metric, "device", device) != device
        ):
            self.metric.to(device)
        self.metric.update(*args, **kwargs)

    def compute(self) -> Any:
        """What the metric computes."""
        return self.metric.compute()

    def reset(self) -> None:
        """Empties the metric."""
        for (
            part,
            name,
        ) in self._joined_lists:  # torchmetrics' reset() clears a list, and a reduced state may be a tensor
            setattr(part, name, [])
        self._joined_lists = []
        self.metric.reset()

    def state(self) -> Any:
        """The states of the metric and of those inside of it; the metric itself where it has no rules.

        Raises:
            TypeError: several ranks cannot be reduced.
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
        return self.metric if get_world_size() > 1 else ()

    def merge(self, states: list[Any]) -> None:
        """Reduces the states by the metric's rules."""
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
                setattr(part, name, _reduced([values[name] for _, values in of_ranks], rule, part.device))
            note_update(part, sum(count for count, _ in of_ranks))

    def _parts(self) -> list[Any]:
        return metrics_in(self.metric)

    def _updater(self) -> Any:
        """What names the arguments: a wrapper, or a sum of metrics, hands on whatever it gets to a metric inside."""
        updates = [inspect.unwrap(part.update) for part in (self.metric, *self._parts()) if hasattr(part, "update")]
        return next((update for update in updates if _names_arguments(update)), updates[0])


def _never() -> bool:
    """Whether a metric of torchmetrics may gather its states itself."""
    return False


def _names_arguments(update: Any) -> bool:
    parameters = inspect.signature(update).parameters.values()
    return any(item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in parameters)


def _reduced(values: list[Any], rule: Any, device: Any) -> Any:
    """The states of several ranks as one; a single one stays as it is, as on one process."""
    if len(values) == 1:
        return _on(values[0], device)
    if all(isinstance(value, torch.Tensor) for value in values):
        stacked = torch.stack([value.to(device) for value in values])
        return stacked if rule is None else rule(stacked)
    joined = [_on(item, device) for value in values for item in (value if isinstance(value, list) else [value])]
    return joined if rule is None or not joined else rule(joined)


def _on(value: Any, device: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    return [_on(item, device) for item in value] if isinstance(value, list) else value


def is_stateful(metric: Any) -> bool:
    """Whether a metric has the methods of torchmetrics."""
    return all(callable(getattr(metric, name, None)) for name in ("update", "compute", "reset"))


def metrics_of(metric: Any) -> list[Any]:
    """The metrics that an evaluator keeps for one that it is given: those of a collection one by one, by their names."""
    if all(callable(getattr(metric, name, None)) for name in ("process", "evaluate")):
        return [metric]
    if is_stateful(metric) and hasattr(metric, "add_metrics") and hasattr(metric, "items"):
        return [TorchMetric(member, name=name) for name, member in metric.items(copy_state=False)]
    return [TorchMetric(metric)] if is_stateful(metric) else [metric]


# --- by name


def register_torchmetrics() -> None:
    """Registers the classes of torchmetrics under their names, where it is installed; eng's metrics keep theirs."""
    spec = find_spec("torchmetrics")
    if spec is None:
        METRICS.register_absent(_WELL_KNOWN, "torchmetrics")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for file in sorted(Path(folder).glob("*/__init__.py")):
            for name in _exported(file):
                if name not in METRICS.module_dict:
                    METRICS.register_fallback(name, InstalledClass(f"torchmetrics.{file.parent.name}", name))


def _exported(file: Path) -> list[str]:
    """Names of classes that a module exports, without importing it: torchmetrics takes seconds."""
    if file.parent.name in ("functional", "utilities"):
        return []
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names if (node.module or "").startswith("torchmetrics.")]
    return [name for name in dict.fromkeys(names) if name[0].isupper() and not name.isupper()]
