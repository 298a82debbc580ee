"""What differs between two configs, whatever the order of their keys."""

from __future__ import annotations

import difflib
from typing import Any


def ordered_as(value: Any, model: Any) -> Any:
    """`value` with the keys of its mappings in the order of `model`, further ones behind."""
    if isinstance(value, dict) and isinstance(model, dict):
        keys = [key for key in model if key in value] + [key for key in value if key not in model]
        return {key: ordered_as(value[key], model.get(key)) for key in keys}
    if isinstance(value, (list, tuple)) and isinstance(model, (list, tuple)) and type(value) in (list, tuple):
        models = [*model, *[None] * (len(value) - len(model))]
        return type(value)(ordered_as(item, other) for item, other in zip(value, models, strict=False))
    return value


def text_diff(one: str, two: str, first: str, second: str) -> str:
    """A unified diff of two texts with their names; empty where they are equal."""
    return "\n".join(difflib.unified_diff(one.splitlines(), two.splitlines(), first, second, lineterm=""))
