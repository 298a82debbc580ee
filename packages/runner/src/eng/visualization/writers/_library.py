"""Helper functions of the trackers: conversion of scalars and configs, and the list of files to upload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from eng.visualization._base import plain_number
from eng.visualization.curves.lines import tracker_name


def numbers(scalars: Mapping[str, Any], mode: str | None = None) -> dict[str, float | int]:
    """Converts scalars to Python numbers, under the names that their curves have in an experiment tracker.

    An entry ``step``, and values that are not single numbers, are left out.

    Args:
        scalars: scalars by name.
        mode: ``"train"``, ``"val"`` or ``"test"``. For ``"val"``, ``time`` and ``loss`` become ``val/time`` and
            ``val/loss``, because training has scalars with the same names.

    Raises:
        TypeError: ``scalars`` is not a mapping.
    """
    if not isinstance(scalars, Mapping):
        raise TypeError(f"add_scalars takes a mapping of names to numbers, not {type(scalars).__name__}")
    pairs = ((name, plain_number(name, value)) for name, value in scalars.items() if name != "step")
    return {tracker_name(name, mode): value for name, value in pairs if value is not None}


@runtime_checkable
class ConvertsToDict(Protocol):
    """A config that can be converted to a plain dict, such as :class:`eng.config.Config`."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the config as a plain dict."""


def config_dict(config: Any) -> dict[str, Any]:
    """Converts a config or a mapping to a plain dict."""
    if isinstance(config, ConvertsToDict):
        config = config.to_dict()
    return dict(config)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Converts a nested config to a flat dict with dotted keys.

    Example:
        >>> flat({"model": {"depth": 50}, "hooks": [{"type": "A"}]})
        {'model.depth': 50, 'hooks.0.type': 'A'}
    """
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            leaves.update(flat(value, f"{name}."))
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            leaves.update(flat({str(index): item for index, item in enumerate(value)}, f"{name}."))
        else:
            leaves[name] = value
    return leaves


def plain_value(value: Any) -> Any:
    """Converts a value in a config for JSON and YAML: numbers, strings and None are unchanged, others become text."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return str(value)


def artifacts(folder: str | Path, suffixes: Sequence[str] | str) -> Iterator[Path]:
    """Yields the files in a folder and its subfolders whose names end with one of the suffixes, for uploading them."""
    if isinstance(suffixes, str):
        suffixes = (suffixes,)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.name.endswith(tuple(suffixes)):
            yield path
