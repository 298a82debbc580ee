"""Records which values of a merged config were overridden by the command line or by code."""

from __future__ import annotations

from typing import Any

from ._dict import ConfigDict, convert, plain, put, record
from ._provenance import DELETE_KEY, EditProvenance, Step


def override(node: ConfigDict, options: dict[Any, Any], step: Step) -> None:
    """Records, for every overridden value of a config, that the command line or a line of code set it.

    If the config does not contain an overridden value yet, the value is also set.

    Args:
        node: the config that `options` were already merged into, or an empty config.
        options: the overrides as nested mappings.
        step: who set the overrides: the command line, or a line of code with its file.
    """
    for key, value in options.items():
        current = dict.get(node, key, value)
        if key == DELETE_KEY:
            continue
        if isinstance(current, ConfigDict) and isinstance(value, dict) and current is not value:
            override(current, value, step)
        elif isinstance(current, list) and isinstance(value, dict):
            _override_list(node, key, value, step)
        else:
            put(node, key, current, step)


def _override_list(node: ConfigDict, key: Any, options: dict[Any, Any], step: Step) -> None:
    """Records who overrode items of a list, such as ``pipeline.0.type``.

    Args:
        node: the mapping that contains the list.
        key: the key of the list in `node`.
        options: the overrides by index.
        step: who set the overrides.
    """
    record(node, key, Step(step.layer, step.file, step.line, plain(options)))
    items = dict.__getitem__(node, key)
    for index, value in options.items():
        item = items[int(index)]
        if isinstance(item, ConfigDict) and isinstance(value, dict):
            override(item, value, step)
        else:
            items[int(index)] = convert(item, EditProvenance(Step(step.layer, step.file, step.line, plain(value))))
