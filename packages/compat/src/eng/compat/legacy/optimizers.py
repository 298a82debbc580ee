"""Lists of optimizers of other packages that ``mmengine.optim.optimizer.builder`` defines."""

from __future__ import annotations

from eng.optim.optimizer.builder import TORCH_OPTIMIZERS, names_of_package
from eng.registry import OPTIMIZERS


def register_torch_optimizers() -> list[str]:
    """Returns the names of torch's optimizers, which eng has already registered."""
    return list(TORCH_OPTIMIZERS)


def register_torch_npu_optimizers() -> list[str]:
    """Returns the names of the optimizers of torch_npu; empty if it is not installed."""
    return [name for name, entry in OPTIMIZERS.module_dict.items() if str(entry.__module__).startswith("torch_npu")]


def register_dadaptation_optimizers() -> list[str]:
    """Returns the names of the optimizers of dadaptation, which eng has already registered."""
    return names_of_package("dadaptation")


def register_lion_optimizers() -> list[str]:
    """Returns the names of the optimizers of lion_pytorch, which eng has already registered."""
    return names_of_package("lion_pytorch")


def register_sophia_optimizers() -> list[str]:
    """Returns the names of the optimizers of Sophia, which eng has already registered."""
    return names_of_package("Sophia")


def register_bitsandbytes_optimizers() -> list[str]:
    """Returns the names of the optimizers of bitsandbytes, which eng has already registered."""
    return names_of_package("bitsandbytes")


def register_transformers_optimizers() -> list[str]:
    """Returns the names of the optimizers of transformers, which eng has already registered."""
    return names_of_package("transformers")


NPU_OPTIMIZERS = register_torch_npu_optimizers()
DADAPTATION_OPTIMIZERS = register_dadaptation_optimizers()
LION_OPTIMIZERS = register_lion_optimizers()
SOPHIA_OPTIMIZERS = register_sophia_optimizers()
BITSANDBYTES_OPTIMIZERS = register_bitsandbytes_optimizers()
TRANSFORMERS_OPTIMIZERS = register_transformers_optimizers()
