"""Modules that register something when they are imported: which to import, and what a failure means."""

from __future__ import annotations

import importlib
import sys
from typing import Any

# Scopes of OpenMMLab libraries from before `locations`, whose package offers `utils.register_all_modules`.
# fmt: off
_BEFORE_LOCATIONS = frozenset({
    "mmcls", "mmdet", "mmdet3d", "mmseg", "mmaction", "mmtrack", "mmpose", "mmedit", "mmocr",
    "mmgen", "mmfewshot", "mmrazor", "mmflow", "mmhuman3d", "mmrotate", "mmselfsup", "mmyolo",
    "mmpretrain", "mmagic",
})
_ROOMS_OF_RUNNER = (
    "checkpoint", "dataset", "evaluator", "hooks", "hub", "infer", "logging", "model", "optim",
    "runner", "testing", "visualization",
)
# fmt: on
_MODULE_TO_DISTRIBUTION = {
    **dict.fromkeys(_ROOMS_OF_RUNNER, "eng-runner"),
    "config": "eng-config",
    "fileio": "eng-fileio",
    "structures": "eng-structures",
    "dist": "eng-dist",
    "device": "eng-dist",
    "analysis": "eng-analysis",
}


def import_if_present(module: str) -> bool:
    """Imports `module`; False where it does not exist. An error raised inside it goes on to the caller."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Absent is the module itself or a package above it; anything else is missing inside of it.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return False
    return True


def import_registry_of(scope: str) -> bool:
    """Imports ``<scope>.registry``, which creates the registries of a library; False where there is none."""
    return scope.isidentifier() and scope != "__main__" and import_if_present(f"{scope}.registry")


def register_all_modules_of(scope: str) -> None:
    """Asks a library without `locations` to register all it has, by its own ``utils.register_all_modules``."""
    if scope in _BEFORE_LOCATIONS and import_if_present(f"{scope}.utils"):
        register = getattr(sys.modules[f"{scope}.utils"], "register_all_modules", None)
        if register is not None:
            register(False)


def distribution_of(module: str) -> str | None:
    """The distribution of ours that brings `module`, for the words of an error."""
    package, _, submodule = module.partition(".")
    if package == "eng":
        return _MODULE_TO_DISTRIBUTION.get(submodule.split(".")[0])
    return None


def object_at(path: str) -> Any:
    """The object at a dotted path such as ``"torch.nn.Conv2d"``; None where there is none.

    An error raised inside one of the modules goes on to the caller.
    """
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return None
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        if import_if_present(module):
            return _attribute(sys.modules[module], parts[count:])
    return None


def _attribute(holder: Any, names: list[str]) -> Any:
    for name in names:
        holder = getattr(holder, name, None)
    return holder
