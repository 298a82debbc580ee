"""Applies the settings of a run to its model, before the strategy moves the model to its device and wraps it."""

from __future__ import annotations

from torch import nn

from ..activation_checkpointing import turn_on_activation_checkpointing
from ..memory_format import use_channels_last
from ..precision import convert_precision
from ..settings import EnvSettings, RunnerSettings

__all__ = ["prepare_model"]


def prepare_model(model: nn.Module, settings: RunnerSettings, *, is_flattened: bool) -> None:
    """Applies the settings ``precision``, ``channels_last`` and ``activation_checkpointing`` to a model in place.

    The names of modules and parameters stay the same.

    Args:
        model: the model, not yet wrapped.
        settings: settings of the run.
        is_flattened: whether the strategy shards weights, which must then be contiguous and not channels-last.

    Raises:
        ValueError: a setting names a module that the model lacks.
        SettingsError: a setting is unknown.
    """
    convert_precision(model, settings.precision)
    if EnvSettings.of(settings.env_cfg).channels_last:
        use_channels_last(model, keep_weights=is_flattened)
    turn_on_activation_checkpointing(model, settings.activation_checkpointing or [])
