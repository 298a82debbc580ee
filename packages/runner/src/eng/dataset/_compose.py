"""Compose: a pipeline that applies transforms one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eng.registry import TRANSFORMS

from ._torchvision import on_samples

Transform = Callable[[Any], Any]


class Compose:
    """Applies transforms to a sample one after another, and stops at the first transform that returns None.

    Args:
        transforms: callables, or configs of transforms in the registry TRANSFORMS; None is an empty pipeline.
            Transforms of torchvision change the image of a sample; see :class:`TorchvisionTransform`.

    Raises:
        TypeError: an entry is neither a callable nor a config, or its config builds an object that is not callable.

    Examples:
        >>> Compose([lambda data: data + 1, lambda data: data * 2])(1)
        4
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any] | Transform] | None) -> None:
        self.transforms: list[Transform] = [_build(index, item) for index, item in enumerate(transforms or ())]

    def __call__(self, data: Any) -> Any:
        """Returns the sample `data` after all transforms; None if a transform returned None (the sample is dropped)."""
        for transform in self.transforms:
            data = transform(data)
            if data is None:
                return None
        return data

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform}" for transform in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


def _build(index: int, item: Any) -> Transform:
    """Builds a transform from its config; returns a callable unchanged.

    Args:
        index: position of the transform in the pipeline, for error messages.
        item: the config or the callable.

    Raises:
        TypeError: `item` is neither a config nor a callable, or the config builds an object that is not callable.
    """
    transform = item
    if isinstance(item, Mapping):
        transform = TRANSFORMS.build(item)
    if callable(transform):
        return on_samples(transform)  # type: ignore[no-any-return]  # what is built has no known type
    if isinstance(item, Mapping):
        raise TypeError(f"pipeline[{index}]: {item.get('type')!r} builds a {type(transform).__name__}, not a callable")
    raise TypeError(f"pipeline[{index}] must be a callable or a config of one, got {type(item).__name__}: {item!r}")
