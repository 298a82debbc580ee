"""Transforms of torchvision, on samples that are mappings."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from eng.registry import TRANSFORMS, InstalledClass

from .errors import TransformError

_LIBRARY = "torchvision.transforms"
# Classes that an error message leads to while torchvision is not installed.
_WELL_KNOWN = (
    "AutoAugment", "AugMix", "CenterCrop", "ColorJitter", "GaussianBlur", "Grayscale", "Normalize", "Pad", "RandAugment", "RandomAffine",
    "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomPerspective", "RandomResizedCrop", "RandomRotation",
    "RandomVerticalFlip", "Resize", "ToDtype", "ToImage", "ToTensor", "TrivialAugmentWide",
)  # fmt: skip
# A base class, and classes whose arguments a config cannot name.
_NOT_IN_CONFIGS = ("Transform", "Compose", "Lambda")


class TorchvisionTransform:
    """A transform of torchvision that changes the images of a sample and leaves its other parts as they are.

    A pipeline puts this class around the transforms of torchvision that it is given, so that a config names just those:
    ``dict(type="ColorJitter", brightness=0.4)``. The class itself is for other keys.

    Args:
        transform: the transform, or its config.
        keys: of the images: tensors ``(C, H, W)`` or pictures of Pillow. ``"img"`` by default.
        mask_keys: of masks that move with the images, and are never interpolated nor coloured. Only for transforms of
            ``torchvision.transforms.v2``.

    Raises:
        TransformError: a sample has no such key.
    """

    def __init__(self, transform: Any, keys: str | Sequence[str] = "img", mask_keys: str | Sequence[str] = ()) -> None:
        self.transform = TRANSFORMS.build(transform) if isinstance(transform, Mapping) else transform
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        self.mask_keys = [mask_keys] if isinstance(mask_keys, str) else list(mask_keys)

    def __call__(self, sample: Any) -> Any:
        """The sample with its images changed; what is no mapping goes to the transform as it is."""
        if not isinstance(sample, Mapping):
            return self.transform(sample)
        names = [*self.keys, *self.mask_keys]
        missing = [name for name in names if name not in sample]
        if missing:
            raise TransformError(
                f"{type(self.transform).__name__}: the sample has no key {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, sample)) or 'none'}. Load the image before (dict(type='LoadImage')), or name its key: "
                "dict(type='TorchvisionTransform', transform=..., keys=...)"
            )
        changed: dict[str, Any] = dict(sample)
        changed.update(self._changed({name: sample[name] for name in names}))
        return changed

    def __repr__(self) -> str:
        return repr(self.transform)

    def _changed(self, parts: dict[str, Any]) -> dict[str, Any]:
        if not _is_v2(self.transform):
            return {name: self.transform(value) for name, value in parts.items()}
        from torchvision import tv_tensors  # type: ignore[import-untyped,unused-ignore]  # it has no types

        for name, value in parts.items():
            if isinstance(value, torch.Tensor):
                parts[name] = (tv_tensors.Mask if name in self.mask_keys else tv_tensors.Image)(value)
        return {name: _plain(value) for name, value in self.transform(parts).items()}


def _plain(value: Any) -> Any:
    return value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value


def _is_v2(transform: Any) -> bool:
    """Whether a transform takes several parts of a sample at once."""
    library = sys.modules.get(f"{_LIBRARY}.v2")
    return library is not None and isinstance(transform, library.Transform)


def on_samples(transform: Any) -> Any:
    """A transform as a pipeline calls it: one of torchvision in a :class:`TorchvisionTransform`, any other as it is."""
    if type(transform).__module__.startswith(_LIBRARY) or _is_v2(transform):
        return TorchvisionTransform(transform)
    return transform


def register_torchvision() -> None:
    """Registers the transforms of torchvision under their names, where it is installed; those of eng keep theirs."""
    TRANSFORMS.register_fallback(TorchvisionTransform.__name__, TorchvisionTransform)
    spec = find_spec("torchvision")
    if spec is None:
        TRANSFORMS.register_absent(_WELL_KNOWN, "torchvision")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        file = Path(folder) / "transforms" / "v2" / "__init__.py"
        for name in _exported(file) if file.is_file() else ():
            if name not in TRANSFORMS.module_dict:
                TRANSFORMS.register_fallback(name, InstalledClass(f"{_LIBRARY}.v2", name))


def _exported(file: Path) -> list[str]:
    """Names of classes that a module exports, without importing it: torchvision takes seconds."""
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports if node.level and node.module for alias in node.names]
    return [name for name in names if name[0].isupper() and name not in _NOT_IN_CONFIGS]
