"""Optimizers, their wrappers, and how both are built."""

from typing import TYPE_CHECKING, Any

from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS

from .amp_optimizer_wrapper import AmpOptimWrapper
from .apex_optimizer_wrapper import ApexOptimWrapper
from .base import BaseOptimWrapper
from .bfloat16_optimizer_wrapper import BFloat16OptimWrapper
from .builder import build_optim_wrapper
from .default_constructor import DefaultOptimWrapperConstructor
from .layer_decay_constructor import LayerDecayOptimWrapperConstructor
from .optimizer_wrapper import OptimWrapper
from .optimizer_wrapper_dict import OptimWrapperDict
from .split_optimizer import SplitOptimizer

if TYPE_CHECKING:
    from .zero_optimizer import ZeroRedundancyOptimizer

__all__ = [
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "OPTIMIZERS",
    "AmpOptimWrapper",
    "BFloat16OptimWrapper",
    "ApexOptimWrapper",
    "BaseOptimWrapper",
    "DefaultOptimWrapperConstructor",
    "LayerDecayOptimWrapperConstructor",
    "OptimWrapper",
    "OptimWrapperDict",
    "SplitOptimizer",
    "ZeroRedundancyOptimizer",
    "build_optim_wrapper",
]


def __getattr__(name: str) -> Any:
    """Imports ZeroRedundancyOptimizer at the first access to this name; any other name raises an AttributeError.

    The class needs the module ``torch.distributed.optim``, whose import takes most of a second, and few runs use it.
    """
    if name == "ZeroRedundancyOptimizer":
        from .zero_optimizer import ZeroRedundancyOptimizer

        return ZeroRedundancyOptimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
