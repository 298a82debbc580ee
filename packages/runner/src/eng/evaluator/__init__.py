"""Evaluators and metrics, whose values cover all samples of a dataset on one or several ranks."""

from .batch_metric import BatchMetric
from .evaluator import Evaluator
from .losses import LossMeter, split_losses
from .metric import BaseMetric, DumpResults
from .naming import named_values
from .shelf import F1, Accuracy, MeanSquaredError, Perplexity
from .torch_metric import TorchMetric, register_torchmetrics
from .utils import get_metric_value

register_torchmetrics()

__all__ = [
    "BaseMetric",
    "BatchMetric",
    "DumpResults",
    "Evaluator",
    "LossMeter",
    "Accuracy",
    "F1",
    "MeanSquaredError",
    "Perplexity",
    "TorchMetric",
    "get_metric_value",
    "named_values",
    "split_losses",
]
