"""What to say when a name is not found: near names, scopes searched, and what would bring it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol, TypeVar

from ._nearness import closest, did_you_mean, or_mean
from ._tree import RegistryNode, line_of, tree_below
from .errors import UnknownTypeError

# Libraries whose classes configs name by their path, with the names under which pip knows them.
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
    """A registry that tells where it looks names up, and what it could not import."""

    def split_scope_key(self, key: str, /) -> tuple[str | None, str]:
        """The scope in ``"scope.name"`` and the name behind it."""

    def of_scope(self: S, scope: str) -> S | None:
        """The registry of `scope` in the tree."""

    def scopes(self) -> list[str]:
        """All scopes of the tree."""

    def absent_locations(self) -> list[str]:
        """Modules to import that do not exist."""

    def package_of_absent(self, name: str) -> str | None:
        """The package that would bring a name and is not installed."""

    def missing_distributions(self) -> list[str]:
        """Packages that would register more and are not installed."""


def unknown_type(name: str, registry: SearchedRegistry) -> UnknownTypeError:
    """The error for `name`, which `registry` does not find."""
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
    """The scopes that a look-up of `name` from `registry` visits, in order."""
    return [node.scope for node in line_of(_start_of_search(name, registry))]


def near_names(name: str, registry: SearchedRegistry, count: int = 3) -> list[str]:
    """Registered names that look like `name`: those that the look-up visits, else those of other scopes of the tree."""
    _, bare = registry.split_scope_key(name)
    own_line = list(line_of(registry))
    visited = list(line_of(_start_of_search(name, registry)))
    others = [node for node in tree_below(registry.root) if node not in visited]
    for nodes in (visited, others):
        names = {
            known if node in own_line else f"{node.scope}.{known}": known
            for node in nodes
            for known in node.module_dict
        }
        matches = _closest_shown(bare, names, count)
        if matches:
            return matches
    return []


def _start_of_search(name: str, registry: S) -> S:
    """The registry of the scope in front of `name`; `registry` where there is no scope, or none of the tree."""
    scope, _ = registry.split_scope_key(name)
    named = None
    if scope is not None:
        named = registry.of_scope(scope)
    if named is None:
        return registry
    return named


def _closest_shown(bare: str, names: Mapping[str, str], count: int) -> list[str]:
    """Those keys of `names` whose values are nearest to `bare`, whatever their case."""
    folded: dict[str, list[str]] = {}
    for shown, known in names.items():
        # A library offers all of another one under a prefix, as ``torchvision/Resize``: nobody misspells a prefix away.
        if ("/" in known) == ("/" in bare):
            folded.setdefault(known.lower(), []).append(shown)
    same = folded.get(bare.lower(), [])
    matches = closest(bare.lower(), folded, cutoff=0.7, count=count)
    return [*same, *(shown for match in matches for shown in folded[match] if shown not in same)][:count]


def hint_for(name: str, registry: SearchedRegistry) -> str:
    """What to do so that `name` is found."""
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
    """Which package to install for a name that is known to be of one; None for any other name."""
    scope, _ = registry.split_scope_key(name)
    package = None
    if scope is not None and registry.of_scope(scope) is None:
        if sys.modules.get(scope) is not None:
            return None  # the module in front is there and lacks the name
        package = _DISTRIBUTIONS.get(scope)
    if package is None:
        package = registry.package_of_absent(name.rpartition(".")[2])
    if package is None:
        return None
    return f"it is in the package {package}, which is not installed: pip install {package}"


def _no_such_scope(scope: str, registry: SearchedRegistry) -> str:
    text = f"there is no scope {scope!r} (there are: {', '.join(registry.scopes())})"
    slip = or_mean(scope, registry.scopes())
    return f"{text}{slip or '; install or import the library that brings it'}"


def _missing_in_module(path: str) -> str | None:
    """Which part of a dotted path its module lacks; None where not even the first part can be imported."""
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:count]))  # the look-up has imported what there is
        if module is not None:
            return f"the module {module.__name__!r} has no {parts[count]!r}{or_mean(parts[count], dir(module))}"
    return None
