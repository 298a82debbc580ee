"""Names of the optimizers of other packages, as ``mmengine.optim.optimizer.builder`` lists them."""

from __future__ import annotations

from eng.optim.optimizer.builder import TORCH_OPTIMIZERS, names_of_package
from eng.registry import OPTIMIZERS


def register_torch_optimizers() -> list[str]:
    """Names of torch's optimizers; they are registered already."""
    return list(TORCH_OPTIMIZERS)


def register_torch_npu_optimizers() -> list[str]:
    """Names of the optimizers of torch_npu; none where it is not installed."""
    return [name for name, entry in OPTIMIZERS.module_dict.items() if str(entry.__module__).startswith("torch_npu")]


def register_dadaptation_optimizers() -> list[str]:
    """Names of the optimizers of dadaptation; they are registered already."""
    return names_of_package("dadaptation")


def register_lion_optimizers() -> list[str]:
    """Names of the optimizers of lion_pytorch; they are registered already."""
    return names_of_package("lion_pytorch")


def register_sophia_optimizers() -> list[str]:
    """Names of the optimizers of Sophia; they are registered already."""
    return names_of_package("Sophia")


def register_bitsandbytes_optimizers() -> list[str]:
    """Names of the optimizers of bitsandbytes; they are registered already."""
    return names_of_package("bitsandbytes")


def register_transformers_optimizers() -> list[str]:
    """Names of the optimizers of transformers; they are registered already."""
    return names_of_package("transformers")


NPU_OPTIMIZERS = register_torch_npu_optimizers()
DADAPTATION_OPTIMIZERS = register_dadaptation_optimizers()
LION_OPTIMIZERS = register_lion_optimizers()
SOPHIA_OPTIMIZERS = register_sophia_optimizers()
BITSANDBYTES_OPTIMIZERS = register_bitsandbytes_optimizers()
TRANSFORMERS_OPTIMIZERS = register_transformers_optimizers()
