"""Finds the functions of ``Runner.tune``: entry points of the group ``eng.tuners``, which eng-tune installs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from .errors import SettingsError

__all__ = ["tuner"]


def tuner(setting: str) -> Callable[..., Any]:
    """Returns the function that measures a good value of a setting.

    Args:
        setting: name of the setting, such as ``"lr"``.

    Raises:
        SettingsError: no installed package has a function for this setting.
    """
    tuners = {point.name: point for point in entry_points(group="eng.tuners")}
    if not tuners:
        raise SettingsError(
            f"tune({setting!r}) needs eng-tune: pip install --find-links dist eng-tune, from where eng came from"
        )
    if setting not in tuners:
        raise SettingsError(f"tune() measures {', '.join(sorted(tuners))}, not {setting!r}")
    function: Callable[..., Any] = tuners[setting].load()
    return function
