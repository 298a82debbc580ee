"""The error for a name that is not registered: similar names, the searched scopes, and which package to install."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol, TypeVar

from ._nearness import closest, did_you_mean, or_mean
from ._tree import RegistryNode, line_of, tree_below
from .errors import UnknownTypeError

# Libraries whose classes configs often name by dotted path. `_SAME_NAME` lists those that have the same name for pip as
# for the import statement; the table `_DISTRIBUTIONS` adds the others.
_SAME_NAME = (
    "albumentations bitsandbytes dadaptation datasets deepspeed kornia litdata mmdet mmpose mmpretrain monai peft "
    "schedulefree tokenizers timm torchao torchaudio torchdata torchmetrics torchvision transformers webdataset"
)
_DISTRIBUTIONS = {
    **{name: name for name in _SAME_NAME.split()},
    "PIL": "pillow", "Sophia": "Sophia-Optimizer", "cv2": "opencv-python-headless", "lion_pytorch": "lion-pytorch",
    "mmseg": "mmsegmentation",
    "open_clip": "open-clip-torch", "segmentation_models_pytorch": "segmentation-models-pytorch", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "torch_geometric": "torch-geometric",
}  # fmt: skip

S = TypeVar("S", bound="SearchedRegistry")


class SearchedRegistry(RegistryNode, Protocol):
    """The methods of `Registry` from which the message about an unknown name is composed."""

    def split_scope_key(self, key: str, /) -> tuple[str | None, str]:
        """Splits ``"scope.name"`` into the scope and the name."""

    def of_scope(self: S, scope: str) -> S | None:
        """Returns the registry of `scope` in the same tree."""

    def scopes(self) -> list[str]:
        """Returns the scopes of all registries in the tree."""

    def absent_locations(self) -> list[str]:
        """Returns the modules in `locations` that do not exist."""

    def package_of_absent(self, name: str) -> str | None:
        """Returns the package that would register `name` if it were installed; None if no such package is known."""

    def missing_distributions(self) -> list[str]:
        """Returns the eng packages that would register more names in this registry if they were installed."""


def unknown_type(name: str, registry: SearchedRegistry) -> UnknownTypeError:
    """Returns the error for a name that is not registered in `registry`, with similar names and advice."""
    searched = scopes_searched(name, registry)
    candidates = near_names(name, registry)
    parts = [
        f"{name!r} is not in the {registry.scope}::{registry.name} registry (scopes searched: {', '.join(searched)})"
    ]
    if candidates:
        parts.append(did_you_mean(candidates))
    parts.append(hint_for(name, registry))
    return UnknownTypeError("; ".join(parts), name=name, searched=searched, near_names=candidates)


def scopes_searched(name: str, registry: SearchedRegistry) -> list[str]:
    """Returns the scopes of the registries that a look-up of `name` searches, in the order of the search.

    The search starts in `registry`, or in the registry of the scope that `name` begins with, and ends at the root.
    """
    return [node.scope for node in line_of(_start_of_search(name, registry))]


def near_names(name: str, registry: SearchedRegistry, count: int = 3) -> list[str]:
    """Returns registered names that are spelled like `name`, the most similar first.

    The registries that a look-up of `name` searches come first; only if they have no similar name, the other registries
    of the tree are searched too.
    """
    _, bare_name = registry.split_scope_key(name)
    reachable_without_scope = list(line_of(registry))
    searched = list(line_of(_start_of_search(name, registry)))
    others = [node for node in tree_below(registry.root) if node not in searched]
    for nodes in (searched, others):
        names: dict[str, str] = {}
        for node in nodes:
            prefix = "" if node in reachable_without_scope else f"{node.scope}."
            names.update({f"{prefix}{registered}": registered for registered in node.module_dict})
        matches = _closest_shown(bare_name, names, count)
        if matches:
            return matches
    return []


def _start_of_search(name: str, registry: S) -> S:
    """Returns the registry in which the look-up of ``"scope.name"`` starts.

    This is the registry of ``scope``; `registry` itself if `name` has no scope or no registry of the tree has it.
    """
    scope, _ = registry.split_scope_key(name)
    named = None
    if scope is not None:
        named = registry.of_scope(scope)
    if named is None:
        return registry
    return named


def _closest_shown(bare_name: str, names: Mapping[str, str], count: int) -> list[str]:
    """Selects the names that are spelled most like `bare_name`, ignoring upper and lower case.

    Args:
        bare_name: the unknown name, without a scope.
        names: maps each name as a message shows it (with a scope if needed) to the registered name.
        count: largest number of names to return.
    """
    by_lower_case: dict[str, list[str]] = {}
    for shown, registered in names.items():
        # Some libraries register names with a prefix, such as ``torchvision/Resize``. Users do not omit such a prefix
        # by a typing error, so names with a slash are suggested only if the unknown name has a slash too.
        if ("/" in registered) == ("/" in bare_name):
            by_lower_case.setdefault(registered.lower(), []).append(shown)
    suggestions = list(by_lower_case.get(bare_name.lower(), []))
    for match in closest(bare_name.lower(), by_lower_case, cutoff=0.7, count=count):
        suggestions += [shown for shown in by_lower_case[match] if shown not in suggestions]
    return suggestions[:count]


def hint_for(name: str, registry: SearchedRegistry) -> str:
    """Returns advice for an unknown name: which package to install, or which module to import first."""
    absent_hint = hint_for_absent(name, registry)
    if absent_hint is not None:
        return absent_hint
    scope, _ = registry.split_scope_key(name)
    if scope is not None and registry.of_scope(scope) is None:
        return _missing_in_module(name) or _no_such_scope(scope, registry)
    absent = registry.absent_locations()
    if absent:
        return f"its location {' and '.join(map(repr, absent))} does not exist"
    missing = registry.root.missing_distributions()
    if missing:
        return f"{' and '.join(missing)} is not installed and brings more of them: pip install {' '.join(missing)}"
    return "if it is your own, import its module first: custom_imports = dict(imports=['your.module'])"


def hint_for_absent(name: str, registry: SearchedRegistry) -> str | None:
    """Returns advice to install the package that provides `name`; None if that package is unknown or installed."""
    scope, _ = registry.split_scope_key(name)
    package = None
    if scope is not None and registry.of_scope(scope) is None:
        if sys.modules.get(scope) is not None:
            return None  # The module is imported, so installing it would not help.
        package = _DISTRIBUTIONS.get(scope)
    if package is None:
        package = registry.package_of_absent(name.rpartition(".")[2])
    if package is None:
        return None
    return f"it is in the package {package}, which is not installed: pip install {package}"


def _no_such_scope(scope: str, registry: SearchedRegistry) -> str:
    """Returns advice for an unknown scope: the known scopes, and a similar one if there is one."""
    text = f"there is no scope {scope!r} (there are: {', '.join(registry.scopes())})"
    slip = or_mean(scope, registry.scopes())
    return f"{text}{slip or '; install or import the library that brings it'}"


def _missing_in_module(path: str) -> str | None:
    """Returns a message with the part of a dotted path that its module lacks, as ``Conv`` in ``torch.nn.Conv``.

    Returns None if no module of the path is imported.
    """
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        # The failed look-up of this path has imported all of its modules that exist, so `sys.modules` contains them.
        module = sys.modules.get(".".join(parts[:count]))
        if module is not None:
            return f"the module {module.__name__!r} has no {parts[count]!r}{or_mean(parts[count], dir(module))}"
    return None
