from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import eng.analysis

MODULES = [f"eng.analysis.{module.name}" for module in pkgutil.iter_modules(eng.analysis.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_public_names() -> None:
    assert sorted(eng.analysis.__all__) == [
        "ActivationAnalyzer", "AnalysisError", "FlopAnalyzer", "FormulaError", "MemoryEstimate", "ModelAnalysis",
        "__version__", "activation_count", "complexity_stats_str", "complexity_stats_table", "estimate_memory",
        "flop_count", "get_model_complexity_info", "model_flops_per_iter", "model_flops_utilization", "parameter_count",
        "parameter_count_table",
    ]  # fmt: skip


def test_importing_brings_neither_plots_nor_click() -> None:
    script = "import sys, eng.analysis; print([m for m in ('matplotlib', 'click', 'eng.runner', 'eng.config') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
