"""Every class of torchmetrics that takes (preds, target), with samples that it computes a number from."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import torch

CLASSES = 3
EMPTY = inspect.Parameter.empty
VALUES = {
    "num_classes": CLASSES, "num_labels": CLASSES, "min_recall": 0.5, "min_precision": 0.5, "min_sensitivity": 0.5,
    "min_specificity": 0.5, "p": 3, "beta": 0.5, "data_range": 1.0, "threshold": 0.5, "task": "multiclass",
}  # fmt: skip
NEED_WEIGHTS = ("LearnedPerceptualImagePatchSimilarity", "DeepImageStructureAndTextureSimilarity", "ARNIQA")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(5))


def forms(size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of preds and target, each with `size` samples; a metric takes the first that fits."""
    yield random(size), labels(2, size)
    yield random(size, CLASSES).softmax(1), labels(CLASSES, size)
    yield random(size, CLASSES), labels(2, size, CLASSES)
    yield labels(CLASSES, size), (labels(CLASSES, size) + labels(2, size)) % CLASSES
    yield random(size) + 0.5, random(size, seed=1) + 0.5
    yield random(size, 4).softmax(1), random(size, 4, seed=1).softmax(1)
    yield random(size, 3, 48, 48).float(), random(size, 3, 48, 48, seed=1).float()
    yield random(size, 3, 3, 3).float(), random(size, 3, 3, 3, seed=1).float()


def metrics() -> dict[str, type]:
    """Metrics whose update takes preds and target, by name."""
    found = {}
    for module in ("classification", "regression", "nominal", "image"):
        for name, kind in vars(importlib.import_module(f"torchmetrics.{module}")).items():
            if (
                inspect.isclass(kind)
                and name not in NEED_WEIGHTS
                and hasattr(kind, "update")
                and takes_preds_and_target(kind)
            ):
                found[name] = kind
    return dict(sorted(found.items()))


def takes_preds_and_target(kind: Any) -> bool:
    return list(inspect.signature(inspect.unwrap(kind.update)).parameters)[1:3] == ["preds", "target"]


def build(kind: type) -> Any:
    """An object of the class, in double precision."""
    parameters = inspect.signature(kind).parameters
    needed = {name for name, each in parameters.items() if each.default is EMPTY}
    values = {name: value for name, value in VALUES.items() if name in needed or name in ("num_classes", "num_labels")}
    values = {name: value for name, value in values.items() if name in parameters}
    return kind(**values).set_dtype(torch.float64)


def number_of(metric: Any, preds: torch.Tensor, target: torch.Tensor, batch_size: int = 2) -> Any:
    for start in range(0, len(preds), batch_size):
        metric.update(preds[start : start + batch_size], target[start : start + batch_size])
    return metric.compute()


def leaves(value: Any) -> list[float]:
    """The numbers in what a metric computed."""
    if isinstance(value, torch.Tensor):
        return value.double().flatten().tolist()
    if isinstance(value, dict):
        return [number for item in value.values() for number in leaves(item)]
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in leaves(item)]
    return [float(value)]


def fitting_form(kind: type) -> int | None:
    """Which of :func:`forms` a class takes; None where it needs a library or weights that are not here."""
    for index, (preds, target) in enumerate(forms(7)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                numbers = leaves(number_of(build(kind), preds, target))
        except Exception:
            continue
        if numbers and all(abs(number) < float("inf") for number in numbers):
            return index
    return None
