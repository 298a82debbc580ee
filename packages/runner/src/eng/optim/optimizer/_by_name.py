"""Register optimizers by name: those of ``torch.optim``, and those of other packages that are installed."""

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
# For each package with optimizers: its name on PyPI, the module that has the optimizers, and their class names.
_OTHER_PACKAGES: Mapping[str, tuple[str, str, list[str]]] = {
    "dadaptation": ("dadaptation", "dadaptation", ["DAdaptAdaGrad", "DAdaptAdam", "DAdaptSGD"]),
    "lion_pytorch": ("lion-pytorch", "lion_pytorch", ["Lion"]),
    "Sophia": ("Sophia-Optimizer", "Sophia", ["SophiaG"]),
    "bitsandbytes": ("bitsandbytes", "bitsandbytes.optim", _BITSANDBYTES),
    "transformers": ("transformers", "transformers", ["Adafactor"]),
    "schedulefree": ("schedulefree", "schedulefree", ["AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"]),
}


def register_optimizers(is_installed: Callable[[str], object] = find_spec) -> None:
    """Registers the optimizers of torch and of other installed packages in ``OPTIMIZERS``, under their class names.

    The classes are registered as fallbacks: a class that a user registers under the same name, earlier or later, takes
    precedence, with a warning.

    Args:
        is_installed: function that gets the name of a package, and returns None or False if the package cannot be
            imported.
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
    """Returns the optimizer classes of ``torch.optim`` by class name.

    ``torch.optim.Adafactor`` has the name TorchAdafactor, since the name Adafactor in existing configs means the older
    class of the package transformers.
    """
    base = torch.optim.Optimizer
    optimizers = {}
    for name, value in vars(torch.optim).items():
        if inspect.isclass(value) and issubclass(value, base) and value is not base:
            optimizers[{"Adafactor": "TorchAdafactor"}.get(name, name)] = value
    return optimizers


def name_beside(registered: Mapping[str, Any], package: str, name: str) -> str:
    """Returns the name under which the optimizer ``name`` of a package is registered.

    The name is unchanged, except for a class of bitsandbytes whose name is already registered, which gets the name
    ``bnb_<name>``.
    """
    if package == "bitsandbytes" and name in registered:
        return f"bnb_{name}"
    return name


def names_of_package(package: str) -> list[str]:
    """Returns the sorted names under which the optimizers of a package are registered; empty if it is not installed.

    Args:
        package: import name of the package, such as ``"lion_pytorch"``.
    """
    _, module, names = _OTHER_PACKAGES[package]
    candidates = sorted({option for name in names for option in (name, f"bnb_{name}")})
    return [name for name in candidates if getattr(OPTIMIZERS.module_dict.get(name), "module", None) == module]


def _register_npu() -> None:
    """Registers the optimizers of ``torch_npu`` under their class names, unless a name is registered already."""
    module = getattr(import_module("torch_npu"), "optim", None)
    if module is None:
        return
    for name, optimizer_class in vars(module).items():
        if (
            inspect.isclass(optimizer_class)
            and issubclass(optimizer_class, torch.optim.Optimizer)
            and name not in OPTIMIZERS.module_dict
        ):
            OPTIMIZERS.register_fallback(name, optimizer_class)
