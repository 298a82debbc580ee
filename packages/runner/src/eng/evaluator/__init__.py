"""Metrics over a dataset, on one process or many."""

from .evaluator import Evaluator
from .losses import LossMeter, split_losses
from .metric import BaseMetric, DumpResults
from .utils import get_metric_value

__all__ = ["BaseMetric", "DumpResults", "Evaluator", "LossMeter", "get_metric_value", "split_losses"]
