"""Imports the modules that register classes, and recognizes modules of packages that are not installed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

# OpenMMLab libraries of these scopes are older than the argument `locations` of a registry. They register their classes
# when `utils.register_all_modules` of the package is called.
# fmt: off
_BEFORE_LOCATIONS = frozenset({
    "mmcls", "mmdet", "mmdet3d", "mmseg", "mmaction", "mmtrack", "mmpose", "mmedit", "mmocr",
    "mmgen", "mmfewshot", "mmrazor", "mmflow", "mmhuman3d", "mmrotate", "mmselfsup", "mmyolo",
    "mmpretrain", "mmagic",
})
_MODULES_OF_RUNNER = (
    "checkpoint", "dataset", "evaluator", "hooks", "hub", "infer", "logging", "model", "optim",
    "runner", "testing", "visualization",
)
# fmt: on
_MODULE_TO_DISTRIBUTION = {
    **dict.fromkeys(_MODULES_OF_RUNNER, "eng-runner"),
    "config": "eng-config",
    "fileio": "eng-fileio",
    "structures": "eng-structures",
    "dist": "eng-dist",
    "device": "eng-dist",
    "analysis": "eng-analysis",
}


def import_if_present(module: str) -> bool:
    """Imports `module` and returns True; returns False if the module does not exist.

    An exception raised while the module runs is not caught.
    """
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        # If `error.name` is the module or one of its parent packages, the module itself is missing. Any other name
        # comes from a failed import inside the module, which the user must see.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return False
    return True


def import_registry_of(scope: str) -> bool:
    """Imports the module ``<scope>.registry``, which creates the registries of a library.

    Returns False if the module does not exist.
    """
    return scope.isidentifier() and scope != "__main__" and import_if_present(f"{scope}.registry")


def register_all_modules_of(scope: str) -> None:
    """Registers all classes of an older OpenMMLab library by calling its function ``utils.register_all_modules``."""
    if scope in _BEFORE_LOCATIONS and import_if_present(f"{scope}.utils"):
        register = getattr(sys.modules[f"{scope}.utils"], "register_all_modules", None)
        if register is not None:
            register(False)


def distribution_of(module: str) -> str | None:
    """Returns the name under which pip installs a module of eng, such as ``"eng-dist"`` for ``eng.dist``.

    Returns None for a module that does not belong to eng. Error messages tell the user to install that package.
    """
    package, _, submodule = module.partition(".")
    if package == "eng":
        return _MODULE_TO_DISTRIBUTION.get(submodule.split(".")[0])
    return None


def object_at(path: str) -> Any:
    """Imports and returns the object at a dotted path such as ``"torch.nn.Conv2d"``; None if it does not exist.

    An exception raised while one of the modules is imported is not caught.
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
