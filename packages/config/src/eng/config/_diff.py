"""Compares two configs as text, independent of the order of their keys."""

from __future__ import annotations

import difflib
from typing import Any


def ordered_as(value: Any, model: Any) -> Any:
    """Returns `value` with the keys of its mappings sorted as in `model`; keys that `model` lacks come last."""
    if isinstance(value, dict) and isinstance(model, dict):
        keys = [key for key in model if key in value] + [key for key in value if key not in model]
        return {key: ordered_as(value[key], model.get(key)) for key in keys}
    if isinstance(value, (list, tuple)) and isinstance(model, (list, tuple)) and type(value) in (list, tuple):
        models = [*model, *[None] * (len(value) - len(model))]
        return type(value)(ordered_as(item, model_item) for item, model_item in zip(value, models, strict=False))
    return value


def text_diff(old_text: str, new_text: str, old_name: str, new_name: str) -> str:
    """Returns a unified diff of two texts, with the file names in its header; empty if the texts are equal."""
    return "\n".join(
        difflib.unified_diff(old_text.splitlines(), new_text.splitlines(), old_name, new_name, lineterm="")
    )
