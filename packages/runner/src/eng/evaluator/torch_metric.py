"""TorchMetric: use metrics of torchmetrics, and other objects with ``update``, ``compute`` and ``reset``."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.dist import get_world_size
from eng.registry import METRICS, InstalledClass

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
        for part in self._parts():
            part.distributed_available_fn = _never  # This class reduces states over ranks, so torchmetrics must not.
            part.compute_with_cache = False  # A cached result would hide the states that `merge` sets.

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
        self.metric.reset()

    def state(self) -> Any:
        """Returns this rank's states of the wrapped metric, for merging them with those of other ranks.

        Returns:
            update count and states of a torchmetrics metric, and of each metric that it contains. For a metric of
            torcheval the metric itself; with a single rank an empty tuple, since nothing is merged.

        Raises:
            TypeError: there are several ranks, and the metric has neither torchmetrics' rules nor ``merge_state``.
        """
        parts = self._parts()
        if parts:
            return [(part.update_count, cpu(part.metric_state)) for part in parts]
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
            _set_states(part, [values for _, values in of_ranks])

    def _parts(self) -> list[Any]:
        """Returns the wrapped metric and the metrics that it contains; an empty list if it is not of torchmetrics."""
        torchmetrics = sys.modules.get("torchmetrics")
        if torchmetrics is None or not isinstance(self.metric, nn.Module):
            return []
        return [module for module in self.metric.modules() if isinstance(module, torchmetrics.Metric)]

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


def _always() -> bool:
    """Returns True: ``sync`` of torchmetrics calls this function to decide whether there are states to gather."""
    return True


def _names_arguments(update: Any) -> bool:
    parameters = inspect.signature(update).parameters.values()
    return any(item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in parameters)


def _set_states(part: Any, of_ranks: list[dict[str, Any]]) -> None:
    """Sets the states of a torchmetrics metric to those of several ranks.

    States that are lists are joined in the order of the ranks, as if one process had seen all samples. States that are
    tensors are reduced by the metric itself, whose public ``sync`` applies the rule of each state (sum, mean, ...).

    Args:
        part: the metric.
        of_ranks: the states of each rank that had samples, by name.
    """
    states = {name: [_move(values[name], part.device) for values in of_ranks] for name in of_ranks[0]}
    lists = {name: values for name, values in states.items() if any(isinstance(value, list) for value in values)}
    tensors = {name: values for name, values in states.items() if name not in lists}
    if len(of_ranks) == 1:
        reduced = {name: values[0] for name, values in tensors.items()}
    else:
        reduced = _synced(part, tensors)
    for name, values in lists.items():
        reduced[name] = [item for value in values for item in _listed(value)]
    for name, value in reduced.items():
        setattr(part, name, value)


def _synced(part: Any, tensors: dict[str, list[torch.Tensor]]) -> dict[str, Any]:
    """Returns the states that are tensors, each reduced over ranks by the rule that the metric has for the state.

    ``sync`` of a metric without such states is not called: that of MeanAveragePrecision gathers its lists over the
    process group itself, in which the other ranks would have to take part.

    Args:
        part: the metric, whose own states remain unchanged.
        tensors: the values of each state on the ranks that had samples.
    """
    if not tensors:
        return {}
    names = {id(getattr(part, name)): name for name in tensors}

    def gather(local: torch.Tensor, group: object = None) -> list[torch.Tensor]:
        if id(local) in names:
            return tensors[names[id(local)]]
        return [local]  # An item of a list.

    part.sync(dist_sync_fn=gather, distributed_available=_always)
    reduced = {name: getattr(part, name) for name in tensors}
    part.unsync()
    return reduced


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value]


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

    The source file is parsed instead of imported, because importing torchmetrics takes seconds.

    Args:
        file: path of the subpackage's ``__init__.py``. The subpackages ``functional`` and ``utilities`` have no metric
            classes.
    """
    if file.parent.name in ("functional", "utilities"):
        return []
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names if (node.module or "").startswith("torchmetrics.")]
    return [name for name in dict.fromkeys(names) if name[0].isupper() and not name.isupper()]
