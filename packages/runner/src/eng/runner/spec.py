"""The settings of a run as one value: read from a config, and checked before anything is built."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from .errors import IncompleteSettingsError, SettingsError

logger = logging.getLogger(__name__)

# Keys of a config that are arguments of the Runner, with the values that a config without them gets.
DEFAULTS: dict[str, Any] = {
    "train_dataloader": None,
    "val_dataloader": None,
    "test_dataloader": None,
    "train_cfg": None,
    "val_cfg": None,
    "test_cfg": None,
    "auto_scale_lr": None,
    "optim_wrapper": None,
    "param_scheduler": None,
    "val_evaluator": None,
    "test_evaluator": None,
    "default_hooks": None,
    "custom_hooks": None,
    "data_preprocessor": None,
    "load_from": None,
    "resume": False,
    "launcher": "none",
    "env_cfg": {"dist_cfg": {"backend": "nccl"}},
    "log_processor": None,
    "log_level": "INFO",
    "visualizer": None,
    "default_scope": "eng",
    "randomness": {"seed": None},
    "experiment_name": None,
    "strategy": None,
    "compile": False,
    "activation_checkpointing": None,
    "nan_policy": "warn",
    "preemption": None,
    "init_weights": True,
}

NAN_POLICIES = ("warn", "stop", "skip", "rollback")


def arguments_from_cfg(cfg: Any) -> dict[str, Any]:
    """The Runner's arguments in ``cfg``, which is copied.

    Raises:
        SettingsError: ``model`` or ``work_dir`` is missing.

    Example:
        >>> arguments_from_cfg(dict(model=dict(type="ToyModel"), work_dir="w"))["resume"]
        False
    """
    missing = [key for key in ("model", "work_dir") if cfg.get(key) is None]
    if missing:
        name = getattr(cfg, "filename", None) or "the config"
        raise SettingsError(f"{name} lacks {' and '.join(missing)}; it has {sorted(cfg.keys())}")
    cfg = copy.deepcopy(cfg)
    arguments = {name: cfg.get(name, copy.deepcopy(default)) for name, default in DEFAULTS.items()}
    return {"model": cfg["model"], "work_dir": cfg["work_dir"], **arguments, "cfg": cfg}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Makes sure that the settings fit together.

    Args:
        settings: the Runner's arguments by name.

    Raises:
        IncompleteSettingsError: of settings that belong together some are missing, which are named.
        SettingsError: another contradiction.
    """
    _all_or_none(settings, "train_dataloader", "train_cfg", "optim_wrapper")
    if settings.get("param_scheduler") is not None and settings.get("optim_wrapper") is None:
        raise IncompleteSettingsError(["param_scheduler"], ["optim_wrapper"])
    for mode in ("val", "test"):
        names = [f"{mode}_dataloader", f"{mode}_cfg", f"{mode}_evaluator"]
        _all_or_none(settings, *(names[:2] if _wants_losses_only(settings, mode) else names))
    _check_policy(settings.get("nan_policy", "warn"))


def _wants_losses_only(settings: Mapping[str, Any], mode: str) -> bool:
    cfg = settings.get(f"{mode}_cfg")
    return isinstance(cfg, Mapping) and bool(cfg.get("loss")) and settings.get(f"{mode}_evaluator") is None


def _all_or_none(settings: Mapping[str, Any], *names: str) -> None:
    given = [name for name in names if settings.get(name) is not None]
    missing = [name for name in names if settings.get(name) is None]
    if given and missing:
        raise IncompleteSettingsError(given, missing)


def _check_policy(policy: Any) -> None:
    kind = policy.get("type", "warn") if isinstance(policy, Mapping) else policy
    if kind not in NAN_POLICIES:
        raise SettingsError(f"nan_policy must be one of {', '.join(NAN_POLICIES)}, got {kind!r}")


def as_config(cfg: Any) -> Any:
    """The whole config as a :class:`eng.config.Config`; an empty one for None.

    Raises:
        SettingsError: it is neither a config nor a mapping.
    """
    from eng.config import Config

    if cfg is None or isinstance(cfg, Config):
        return cfg if cfg is not None else Config({})
    if isinstance(cfg, Mapping):
        return Config(dict(cfg))
    raise SettingsError(f"cfg must be a Config or a mapping, got {type(cfg).__name__}")


def check_config(cfg: Any) -> None:
    """Looks for unknown types, unknown and missing arguments before anything is built.

    What may still be set right by the code that builds a part is only told; what cannot is an error.

    Raises:
        SettingsError: there are mistakes; all are listed, with file and line where they are known.
    """
    from eng.registry import check

    findings = check(cfg)
    certain = [finding for finding in findings if finding.is_certain]
    for finding in findings:
        if not finding.is_certain:
            logger.warning("the config may be wrong: %s", finding)
    if certain:
        listed = "\n".join(f"  {finding}" for finding in certain)
        raise SettingsError(f"the config has {len(certain)} mistake{'s' if len(certain) > 1 else ''}:\n{listed}")
