"""Apply torchvision's transforms to samples that are mappings."""

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
# Names of torchvision's transforms. If torchvision is not installed and a config uses one of these names, the error
# message says that torchvision must be installed.
_WELL_KNOWN = (
    "AutoAugment", "AugMix", "CenterCrop", "ColorJitter", "GaussianBlur", "Grayscale", "Normalize", "Pad", "RandAugment", "RandomAffine",
    "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomPerspective", "RandomResizedCrop", "RandomRotation",
    "RandomVerticalFlip", "Resize", "ToDtype", "ToImage", "ToTensor", "TrivialAugmentWide",
)  # fmt: skip
# Classes of torchvision that are not registered: a base class, and classes whose arguments are functions or objects,
# which a config cannot contain.
_NOT_IN_CONFIGS = ("Transform", "Compose", "Lambda")


class TorchvisionTransform:
    """Applies a torchvision transform to the images of a sample; other entries of the sample are not changed.

    A pipeline wraps each transform of torchvision in this class automatically, so a config contains only the transform:
    ``dict(type="ColorJitter", brightness=0.4)``. Use the class directly to choose other keys than ``"img"``.

    Args:
        transform: the transform, or its config.
        keys: keys of the images: tensors ``(C, H, W)`` or Pillow images. Defaults to ``"img"``.
        mask_keys: keys of masks, which are transformed like the images but without interpolation or changes of colour.
            Only for transforms of ``torchvision.transforms.v2``.

    Raises:
        TransformError: a sample has no such key.
    """

    def __init__(self, transform: Any, keys: str | Sequence[str] = "img", mask_keys: str | Sequence[str] = ()) -> None:
        if isinstance(transform, Mapping):
            transform = TRANSFORMS.build(transform)
        if isinstance(keys, str):
            keys = [keys]
        if isinstance(mask_keys, str):
            mask_keys = [mask_keys]
        self.transform = transform
        self.keys = list(keys)
        self.mask_keys = list(mask_keys)

    def __call__(self, sample: Any) -> Any:
        """Returns the sample with transformed images.

        A sample that is no mapping, such as an image alone, is passed to torchvision's transform as it is.
        """
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
        changed.update(self._transform_parts({name: sample[name] for name in names}))
        return changed

    def __repr__(self) -> str:
        return repr(self.transform)

    def _transform_parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Transforms the images and masks in `parts`, which maps their keys in the sample to them.

        A transform of ``torchvision.transforms.v2`` gets all images and masks in one call, so that all are changed with
        the same random numbers, for example flipped or not.
        """
        if not _is_v2(self.transform):
            return {name: self.transform(value) for name, value in parts.items()}
        from torchvision import tv_tensors  # type: ignore[import-untyped,unused-ignore]  # torchvision has no types

        for name, value in parts.items():
            if isinstance(value, torch.Tensor) and name in self.mask_keys:
                parts[name] = tv_tensors.Mask(value)
            elif isinstance(value, torch.Tensor):
                parts[name] = tv_tensors.Image(value)
        return {name: _plain(value) for name, value in self.transform(parts).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.as_subclass(torch.Tensor)
    return value


def _is_v2(transform: Any) -> bool:
    """Whether a transform is one of ``torchvision.transforms.v2``, which takes several images and masks at once."""
    library = sys.modules.get(f"{_LIBRARY}.v2")
    return library is not None and isinstance(transform, library.Transform)


def on_samples(transform: Any) -> Any:
    """Wraps a transform of torchvision in a :class:`TorchvisionTransform`; returns any other transform unchanged."""
    if type(transform).__module__.startswith(_LIBRARY) or _is_v2(transform):
        return TorchvisionTransform(transform)
    return transform


def register_torchvision() -> None:
    """Registers torchvision's transforms in TRANSFORMS by their class names, so that configs can use them.

    If torchvision is not installed, a config that names one of its well-known transforms gets an error that says so. A
    transform of eng with the same name takes precedence.
    """
    TRANSFORMS.register_fallback(TorchvisionTransform.__name__, TorchvisionTransform)
    spec = find_spec("torchvision")
    if spec is None:
        TRANSFORMS.register_absent(_WELL_KNOWN, "torchvision")
        return
    for folder in spec.submodule_search_locations or ():
        for name in _exported_classes(Path(folder) / "transforms" / "v2" / "__init__.py"):
            if name not in TRANSFORMS.module_dict:
                TRANSFORMS.register_fallback(name, InstalledClass(f"{_LIBRARY}.v2", name))


def _exported_classes(file: Path) -> list[str]:
    """Returns the names of the transforms that ``torchvision.transforms.v2`` imports from its submodules.

    The source file is parsed instead of imported, because importing torchvision takes seconds.

    Args:
        file: path of the source file ``__init__.py``; without such a file there are no names.
    """
    if not file.is_file():
        return []
    imports = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports if node.level and node.module for alias in node.names]
    return [name for name in names if name[0].isupper() and name not in _NOT_IN_CONFIGS]
