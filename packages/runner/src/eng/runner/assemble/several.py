"""Splits the settings of validation or test on several datasets by the names of the datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eng.evaluator import BaseMetric
from eng.logging.near_names import suggest

from ..errors import SettingsError
from ..loader_keys import DATALOADER_KEYS
from .evaluation import is_evaluator


def names_of_sets(dataloader: object) -> list[str]:
    """Returns the dataset names in ``val_dataloader=dict(clean=..., corrupted=...)``; empty for a single dataloader.

    Args:
        dataloader: a dataloader, the config of one, or a mapping of these by name. A mapping with a key of a dataloader
            config, such as ``dataset``, is the config of a single dataloader.

    Examples:
        >>> names_of_sets({"clean": {"dataset": 1}, "noisy": {"dataset": 2}}), names_of_sets({"dataset": {"type": "A"}})
        (['clean', 'noisy'], [])
    """
    if not isinstance(dataloader, Mapping) or not dataloader or "type" in dataloader:
        return []
    if any(key in DATALOADER_KEYS or not isinstance(key, str) for key in dataloader):
        return []
    if all(map(_is_loader, dataloader.values())):
        return list(dataloader)
    return []


def loaders_of_sets(dataloader: Any) -> list[Any]:
    """Returns the dataloaders of several datasets as a list, or a list with the single dataloader."""
    names = names_of_sets(dataloader)
    if names:
        return [dataloader[name] for name in names]
    return [dataloader]


def evaluators_by_set(mode: str, evaluator: object, names: list[str]) -> dict[str, Any]:
    """Returns the evaluator of each dataset: its entry in ``dict(clean=..., corrupted=...)``, or one evaluator for all.

    Args:
        mode: ``"val"`` or ``"test"``.
        evaluator: the Runner's ``val_evaluator`` or ``test_evaluator``.
        names: names of the datasets.

    Raises:
        SettingsError: an evaluator has a name that no dataloader has.
    """
    return _by_set(f"{mode}_evaluator", evaluator, names, is_named_by(evaluator, names))


def loops_by_set(mode: str, cfg: object, names: list[str]) -> dict[str, Any]:
    """Returns the loop config of each dataset: its entry in ``dict(clean=..., corrupted=...)``, or one config for all.

    Args:
        mode: ``"val"`` or ``"test"``.
        cfg: the Runner's ``val_cfg`` or ``test_cfg``.
        names: names of the datasets.

    Raises:
        SettingsError: a loop config has a name that no dataloader has.
    """
    named = _by_set(f"{mode}_cfg", cfg, names, is_named_by(cfg, names))
    return {name: {} if set_cfg is None else set_cfg for name, set_cfg in named.items()}


def is_named_by(setting: object, names: list[str]) -> bool:
    """Whether a setting is a mapping by dataset names, and not the config of one evaluator or metric.

    Such a mapping has no key ``type`` or ``metrics``.
    """
    if not isinstance(setting, Mapping) or not setting or "type" in setting or "metrics" in setting:
        return False
    parts = all(not isinstance(value, (str, int, float)) or value is None for value in setting.values())
    return parts and (any(name in setting for name in names) or all(map(_is_part, setting.values())))


def _by_set(key: str, setting: Any, names: list[str], is_named: bool) -> dict[str, Any]:
    """Returns the setting of each dataset: the entry of its name, or the same setting for all datasets."""
    if not is_named:
        return dict.fromkeys(names, setting)
    for name in setting:
        if name not in names:
            loader = key.replace("_evaluator", "_dataloader").replace("_cfg", "_dataloader")
            raise SettingsError(
                f"{key}.{name} belongs to no loader of {loader}, which needs the same name{suggest(name, names)}"
            )
    return {name: setting.get(name) for name in names}


def _is_part(value: object) -> bool:
    return isinstance(value, (Mapping, list, tuple, BaseMetric)) or is_evaluator(value)


def _is_loader(value: object) -> bool:
    """Whether a value is a dataloader (any iterable except text), or the config of a dataloader."""
    if isinstance(value, Mapping):
        return "dataset" in value
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))
