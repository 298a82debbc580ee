"""Builds hooks from configs, and lists the default hooks of a run."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from eng.hooks import Hook
from eng.hooks.non_finite_loss_hook import options_of
from eng.logging._details import DETAIL
from eng.logging.progress import can_draw
from eng.optim.scheduler._groups import follows_metric, groups_of
from eng.registry import HOOKS
from eng.runner.errors import SettingsError

from ..settings import EnvSettings, RunnerSettings
from .compilation import wants_cache
from .own_copy import own_copy
from .type_name import type_name

HookSetting = Hook | Mapping[str, Any]
HooksByName = Mapping[str, HookSetting | None]
DEFAULT_HOOKS: dict[str, dict[str, Any]] = {
    "non_finite_loss": {"type": "NonFiniteLossHook"},
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
    "preemption": {"type": "PreemptionHook"},
}
# Similarity of two names, from 0 to 1, above which one of them is taken for a misspelling of the other.
_SLIP = 0.75


def build_hook(hook: HookSetting) -> tuple[Hook, int | str | None]:
    """Builds a hook from its config; a hook object is returned unchanged.

    Returns:
        The hook, and the ``priority`` in the config; None if the config has no priority.

    Raises:
        TypeError: ``hook`` is neither a hook nor a config.
    """
    if isinstance(hook, Hook):
        return hook, None
    if not isinstance(hook, Mapping):
        raise TypeError(f"a hook is a Hook or a config of one, got {type(hook).__name__}")
    cfg = own_copy(hook)
    priority = cfg.pop("priority", None)
    built: Hook = HOOKS.build(cfg)
    return built, priority


def default_hooks_of(settings: RunnerSettings, hooks: HooksByName | None) -> list[HookSetting]:
    """Lists the default hooks for the settings of a run, with the user's changes; see :func:`with_default_hooks`."""
    return with_default_hooks(
        hooks,
        settings.nan_policy,
        settings.loss_spike,
        settings.preemption,
        EnvSettings.of(settings.env_cfg).gc_interval,
        wants_cache(settings.compile),
    )


def with_default_hooks(
    hooks: HooksByName | None,
    nan_policy: str | Mapping[str, Any] = "warn",
    loss_spike: Mapping[str, Any] | None = None,
    preemption: Mapping[str, Any] | None = None,
    gc_interval: int | None = None,
    keeps_compiled: bool = False,
) -> list[HookSetting]:
    """Lists the default hooks and, if the output is a terminal, the progress bar; applies the user's changes.

    Args:
        hooks: hooks or configs by the name of the default hook that they replace; None as value removes the default
            hook, and another name adds a hook.
        nan_policy: the Runner's setting, for NonFiniteLossHook.
        loss_spike: the Runner's setting, for NonFiniteLossHook.
        preemption: the Runner's setting, for PreemptionHook.
        gc_interval: training iterations between two garbage collections; None leaves garbage collection to Python.
        keeps_compiled: whether the compiled code of torch.compile is saved in the work dir.

    Raises:
        SettingsError: a name in ``hooks`` looks like a misspelled name of a default hook of the same class.
    """
    for name, hook in (hooks or {}).items():
        _check_name(name, hook)
    configured: dict[str, HookSetting | None] = {
        **DEFAULT_HOOKS,
        "non_finite_loss": {"type": "NonFiniteLossHook", "spike": loss_spike, **options_of(nan_policy)},
        "preemption": {"type": "PreemptionHook", **(preemption or {})},
    }
    if gc_interval:
        configured["garbage_collection"] = {"type": "GarbageCollectionHook", "interval": gc_interval}
    if keeps_compiled:
        configured["compile_cache"] = {"type": "CompileCacheHook"}
    if can_draw():
        configured["progress_bar"] = {"type": "ProgressBarHook"}
    configured.update(hooks or {})
    return [hook for hook in configured.values() if hook is not None]


def _check_name(name: str, hook: HookSetting | None) -> None:
    """Raises an error for a misspelled name of a default hook, which would add a second hook of the same class.

    Raises:
        SettingsError: the name is similar, but not equal, to that of a default hook of the same class.
    """
    class_name = type_name(hook)
    for default, cfg in DEFAULT_HOOKS.items():
        is_slip = default not in name and difflib.SequenceMatcher(None, name, default).ratio() > _SLIP
        if is_slip and class_name == cfg["type"]:
            raise SettingsError(
                f"default_hooks.{name} would be a second {class_name} beside default_hooks.{default}; did you mean "
                f"{default!r}? Further hooks belong into custom_hooks"
            )


def waiting_for_validation(hooks: Sequence[Hook], schedulers: object) -> list[str]:
    """Returns the class names of the hooks and schedulers that need the metrics of a validation.

    Args:
        hooks: the run's hooks.
        schedulers: a list of parameter schedulers, or lists by name; None without schedulers.
    """
    following = [scheduler for group in groups_of(schedulers) for scheduler in group if follows_metric(scheduler)]
    waiting = [hook for hook in hooks if hook.needs_validation]
    return [type(part).__name__ for part in (*waiting, *following)]


def warn_without_validation(
    val_loop: object, hooks: Sequence[Hook], schedulers: object, logger: logging.Logger
) -> None:
    """Logs a warning about hooks and schedulers that need validation metrics, if the run has no validation."""
    if val_loop is not None:
        return
    for name in waiting_for_validation(hooks, schedulers):
        logger.warning(
            "%s acts on metrics of validations, and this run has none: give val_dataloader, val_cfg and "
            "val_evaluator, or leave it out",
            name,
        )


def log_table(table: str, logger: logging.Logger) -> None:
    """Writes a table of the hooks that are called at each hook point into the log file.

    Args:
        table: the table, as text.
        logger: logger of the run.
    """
    logger.info("Hooks, point by point, in the order of their calls:\n%s", table, extra=DETAIL)
