"""Counts FLOPs, activations, parameters and memory of models by observing the operators that run."""

from eng.analysis._version import __version__
from eng.analysis.complexity_analysis import (
    ActivationAnalyzer,
    FlopAnalyzer,
    ModelAnalysis,
    activation_count,
    flop_count,
)
from eng.analysis.errors import AnalysisError, FormulaError
from eng.analysis.memory import MemoryEstimate, estimate_memory
from eng.analysis.parameters import parameter_count, parameter_count_table
from eng.analysis.print_helper import complexity_stats_str, complexity_stats_table, get_model_complexity_info
from eng.analysis.utilization import model_flops_per_iter, model_flops_utilization

__all__ = [
    "__version__",
    "ActivationAnalyzer",
    "AnalysisError",
    "FlopAnalyzer",
    "FormulaError",
    "MemoryEstimate",
    "ModelAnalysis",
    "activation_count",
    "complexity_stats_str",
    "complexity_stats_table",
    "estimate_memory",
    "flop_count",
    "get_model_complexity_info",
    "model_flops_per_iter",
    "model_flops_utilization",
    "parameter_count",
    "parameter_count_table",
]
