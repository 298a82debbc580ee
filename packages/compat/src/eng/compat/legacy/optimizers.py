"""Names of the optimizers of other packages, as ``mmengine.optim.optimizer.builder`` lists them."""

from __future__ import annotations

from eng.optim.optimizer import _by_name
from eng.optim.optimizer.builder import TORCH_OPTIMIZERS
from eng.registry import OPTIMIZERS


def _registered(package: str) -> list[str]:
    """Names under which the optimizers of a package are registered; none where it is not installed."""
    _, module, names = _by_name._ELSEWHERE[package]  # noqa: SLF001  # the table of packages
    candidates = {option for name in names for option in (name, f"bnb_{name}")}
    entries = ((key, OPTIMIZERS.module_dict.get(key)) for key in sorted(candidates))
    return [key for key, entry in entries if getattr(entry, "module", None) == module]


def register_torch_optimizers() -> list[str]:
    """Names of torch's optimizers; they are registered already."""
    return list(TORCH_OPTIMIZERS)


def register_torch_npu_optimizers() -> list[str]:
    """Names of the optimizers of torch_npu; none where it is not installed."""
    return [name for name, entry in OPTIMIZERS.module_dict.items() if str(entry.__module__).startswith("torch_npu")]


def register_dadaptation_optimizers() -> list[str]:
    """Names of the optimizers of dadaptation; they are registered already."""
    return _registered("dadaptation")


def register_lion_optimizers() -> list[str]:
    """Names of the optimizers of lion_pytorch; they are registered already."""
    return _registered("lion_pytorch")


def register_sophia_optimizers() -> list[str]:
    """Names of the optimizers of Sophia; they are registered already."""
    return _registered("Sophia")


def register_bitsandbytes_optimizers() -> list[str]:
    """Names of the optimizers of bitsandbytes; they are registered already."""
    return _registered("bitsandbytes")


def register_transformers_optimizers() -> list[str]:
    """Names of the optimizers of transformers; they are registered already."""
    return _registered("transformers")


NPU_OPTIMIZERS = register_torch_npu_optimizers()
DADAPTATION_OPTIMIZERS = register_dadaptation_optimizers()
LION_OPTIMIZERS = register_lion_optimizers()
SOPHIA_OPTIMIZERS = register_sophia_optimizers()
BITSANDBYTES_OPTIMIZERS = register_bitsandbytes_optimizers()
TRANSFORMERS_OPTIMIZERS = register_transformers_optimizers()
