"""What the writers of trackers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eng.visualization._base import plain_number
from eng.visualization.curves.lines import tracker_name


def numbers(scalars: Mapping[str, Any], mode: str | None = None) -> dict[str, float | int]:
    """The numbers among scalars, without the step, under the names of their curves.

    Args:
        scalars: by name.
        mode: ``"train"``, ``"val"`` or ``"test"``: of validations, ``time`` and ``loss`` become ``val/time`` and ``val/loss``.

    Raises:
        TypeError: `scalars` is not a mapping.
    """
    if not isinstance(scalars, Mapping):
        raise TypeError(f"add_scalars takes a mapping of names to numbers, not {type(scalars).__name__}")
    pairs = ((name, plain_number(name, value)) for name, value in scalars.items() if name != "step")
    return {tracker_name(name, mode): value for name, value in pairs if value is not None}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as dotted keys and plain values.

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
    """A leaf of a config as JSON and YAML can hold it: text for what they have no form for."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def artifacts(folder: str | Path, suffixes: Sequence[str] | str) -> Iterator[Path]:
    """Files below a run's folder whose names end with one of the suffixes."""
    ends = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.name.endswith(ends):
            yield path
