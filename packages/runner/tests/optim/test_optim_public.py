"""The public face: names, module paths that libraries import, examples, and what an import costs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import eng.optim

MODULES = sorted(m.name for m in pkgutil.walk_packages(eng.optim.__path__, "eng.optim."))


def test_examples_are_there():
    finder = doctest.DocTestFinder()
    assert sum(len(test.examples) for m in MODULES for test in finder.find(importlib.import_module(m))) > 60


@pytest.mark.parametrize("name", eng.optim.__all__)
def test_each_public_name_resolves_and_is_described(name):
    found = getattr(eng.optim, name)
    assert found.__doc__


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = eng.optim.Nothing
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = eng.optim.optimizer.Nothing


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("eng.optim.optimizer", "AmpOptimWrapper ZeroRedundancyOptimizer"),
        ("eng.optim.optimizer.base", "BaseOptimWrapper"),
        ("eng.optim.optimizer.optimizer_wrapper", "OptimWrapper"),
        ("eng.optim.optimizer.optimizer_wrapper_dict", "OptimWrapperDict"),
        ("eng.optim.optimizer.amp_optimizer_wrapper", "AmpOptimWrapper"),
        ("eng.optim.optimizer.apex_optimizer_wrapper", "ApexOptimWrapper"),
        ("eng.optim.optimizer.builder", "OPTIMIZERS OPTIM_WRAPPER_CONSTRUCTORS TORCH_OPTIMIZERS build_optim_wrapper"),
        ("eng.optim.optimizer.default_constructor", "DefaultOptimWrapperConstructor"),
        ("eng.optim.optimizer.zero_optimizer", "ZeroRedundancyOptimizer"),
        ("eng.optim.scheduler", "CosineRestartLR CosineAnnealingParamScheduler"),
        ("eng.optim.scheduler.param_scheduler", "INF OptimizerType _ParamScheduler PolyParamScheduler"),
        ("eng.optim.scheduler.lr_scheduler", "LRSchedulerMixin PolyLR"),
        ("eng.optim.scheduler.momentum_scheduler", "MomentumSchedulerMixin PolyMomentum"),
    ],
)
def test_the_reference_module_paths_resolve(module, names):
    for name in names.split():
        assert hasattr(importlib.import_module(module), name), name


def test_an_import_brings_nothing_heavy():
    code = "import sys, eng.optim; print([m for m in ('matplotlib', 'click', 'torch.distributed.optim', 'transformers', 'bitsandbytes', 'apex') if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert out.stdout.strip() == "[]"
