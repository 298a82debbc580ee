"""Optimizers by name: torch's own, and those of other packages where they are installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from eng.device import is_npu_available
from eng.registry import OPTIMIZERS, InstalledClass

_FAMILIES = "Adagrad Adam PagedAdam AdamW PagedAdamW AdEMAMix PagedAdEMAMix LAMB LARS Lion PagedLion RMSprop SGD"
_BITSANDBYTES = [family + bits for family in _FAMILIES.split() for bits in ("", "8bit", "32bit")] + ["PytorchLARS"]
# package -> its name for pip, module and names of its optimizers
_OTHER_PACKAGES: Mapping[str, tuple[str, str, list[str]]] = {
    "dadaptation": ("dadaptation", "dadaptation", ["DAdaptAdaGrad", "DAdaptAdam", "DAdaptSGD"]),
    "lion_pytorch": ("lion-pytorch", "lion_pytorch", ["Lion"]),
    "Sophia": ("Sophia-Optimizer", "Sophia", ["SophiaG"]),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes.optim", _BITSANDBYTES),
    "transformers": ("transformers", "transformers", ["Adafactor"]),
    "schedulefree": ("schedulefree", "schedulefree", ["AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"]),
}


def register_optimizers(is_installed: Callable[[str], object] = find_spec) -> None:
    """Registers all that can be found; a name that somebody else takes, before or after, is theirs, with a warning.

    Args:
        is_installed: tells whether a package can be imported.
    """
    ours = torch_optimizers()
    if "Muon" in ours:
        from .muon import Muon

        ours["Muon"] = Muon
    for name, optimizer in ours.items():
        OPTIMIZERS.register_fallback(name, optimizer)
    OPTIMIZERS.register_fallback(
        "ZeroRedundancyOptimizer", InstalledClass(f"{__package__}.zero_optimizer", "ZeroRedundancyOptimizer")
    )
    for package, (distribution, module, names) in _OTHER_PACKAGES.items():
        if not is_installed(package):
            absent = [name_beside(OPTIMIZERS.module_dict, package, name) for name in names]
            OPTIMIZERS.register_absent([*absent, *names], distribution)
            continue
        for name in names:
            OPTIMIZERS.register_fallback(
                name_beside(OPTIMIZERS.module_dict, package, name), InstalledClass(module, name)
            )
    if "Adafactor" not in OPTIMIZERS.module_dict and "TorchAdafactor" in ours:
        OPTIMIZERS.register_fallback("Adafactor", ours["TorchAdafactor"])
    if is_npu_available():
        _register_npu()


def torch_optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """The optimizers of ``torch.optim`` by name; its Adafactor, which came later than transformers', as TorchAdafactor."""
    base = torch.optim.Optimizer
    classes = {name: value for name, value in vars(torch.optim).items() if inspect.isclass(value)}
    optimizers = {name: value for name, value in classes.items() if issubclass(value, base) and value is not base}
    return {{"Adafactor": "TorchAdafactor"}.get(name, name): value for name, value in optimizers.items()}


def name_beside(registered: Mapping[str, Any], package: str, name: str) -> str:
    """Under which name an optimizer is registered: bitsandbytes' get a prefix where their own is taken."""
    return f"bnb_{name}" if package == "bitsandbytes" and name in registered else name


def names_of_package(package: str) -> list[str]:
    """Names under which the optimizers of a package are registered, sorted; empty where it is not installed.

    Args:
        package: as it is imported, such as ``"lion_pytorch"``.
    """
    _, module, names = _OTHER_PACKAGES[package]
    candidates = sorted({option for name in names for option in (name, f"bnb_{name}")})
    return [name for name in candidates if getattr(OPTIMIZERS.module_dict.get(name), "module", None) == module]


def _register_npu() -> None:
    module = getattr(import_module("torch_npu"), "optim", None)
    for name, optimizer_class in vars(module).items() if module is not None else ():
        if (
            inspect.isclass(optimizer_class)
            and issubclass(optimizer_class, torch.optim.Optimizer)
            and name not in OPTIMIZERS.module_dict
        ):
            OPTIMIZERS.register_fallback(name, optimizer_class)
