"""A pipeline: transforms, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eng.registry import TRANSFORMS

from ._torchvision import on_samples

Transform = Callable[[Any], Any]


class Compose:
    """Runs transforms in turn; ends at the first that gives None.

    Args:
        transforms: callables, or configs of transforms in the registry TRANSFORMS; None is an empty pipeline. Those of
            torchvision change the image of a sample; see :class:`TorchvisionTransform`.

    Raises:
        TypeError: one is neither, or its config builds something that cannot be called.

    Examples:
        >>> Compose([lambda data: data + 1, lambda data: data * 2])(1)
        4
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any] | Transform] | None) -> None:
        self.transforms: list[Transform] = [_built(index, item) for index, item in enumerate(transforms or ())]

    def __call__(self, data: Any) -> Any:
        """``data`` after all transforms, or None when one of them gave None."""
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                return None
        return data

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform}" for transform in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


def _built(index: int, item: Any) -> Transform:
    transform = TRANSFORMS.build(item) if isinstance(item, Mapping) else item
    if callable(transform):
        return on_samples(transform)  # type: ignore[no-any-return]  # what is built has no known type
    if isinstance(item, Mapping):
        raise TypeError(f"pipeline[{index}]: {item.get('type')!r} builds a {type(transform).__name__}, not a callable")
    raise TypeError(f"pipeline[{index}] must be a callable or a config of one, got {type(item).__name__}: {item!r}")
