"""``eng train CONFIG --fast``: a few batches of everything, one validation, one checkpoint, and a resume from it."""

from __future__ import annotations

import copy
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eng.config import Config
from eng.logging.words import metrics_line

from .assemble.several import is_named_by, names_of_sets

BATCHES = 3


def run_fast(cfg: Config, build: Callable[[Any], Any], tell: Callable[[str], None]) -> None:
    """Trains, validates, saves, resumes and tests on a few batches, in a temporary folder.

    Args:
        cfg: the complete config; it is not changed.
        build: builds a Runner from a config.
        tell: prints a line.

    Raises:
        Exception: any error of the run; the temporary folder is then not removed.
    """
    folder = Path(tempfile.mkdtemp(prefix="eng-fast-"))
    tell(f"Fast run: {BATCHES} batches of everything, in {folder}")
    began = time.perf_counter()
    first = build(fast_config(cfg, str(folder), rounds=1))
    first.train()
    actions = "Trained"
    if first.settings.val_cfg is not None:
        actions += ", validated"
    tell(f"{actions} and saved: iteration {first.iter}, {time.perf_counter() - began:.1f} s")
    again = fast_config(cfg, str(folder), rounds=2)
    again["resume"], again["load_from"] = True, None
    second = build(again)
    second.train()
    tell(f"Resumed from iteration {first.iter} and trained to iteration {second.iter}")
    if second.iter <= first.iter:
        raise RuntimeError(f"the resumed run trained no further than iteration {second.iter}; its folder is {folder}")
    if cfg.get("test_dataloader") is not None:
        metrics = second.test()
        tell(f"Tested: {metrics_line(metrics)}")
    shutil.rmtree(folder, ignore_errors=True)
    tell(f"All parts of the run work: {time.perf_counter() - began:.1f} s; {folder} is removed")


def fast_config(cfg: Config, work_dir: str, rounds: int) -> Any:
    """Returns a copy of a config that trains, validates and tests on a few batches.

    Args:
        cfg: the complete config.
        work_dir: work dir of the fast run.
        rounds: epochs of the training; in an iteration-based run :data:`BATCHES` iterations count as an epoch.

    Example:
        >>> fast_config({"train_cfg": {"max_epochs": 90, "val_interval": 5}}, "w", rounds=1)["train_cfg"]
        {'max_epochs': 1, 'val_interval': 1, 'limit_batches': 3, 'val_sanity': 2}
    """
    fast = copy.deepcopy(cfg)
    fast["work_dir"], fast["resume"] = work_dir, False
    by_epoch = _is_by_epoch(fast["train_cfg"])
    fast["train_cfg"] = _fast_training(fast["train_cfg"], by_epoch, rounds)
    for mode in ("val", "test"):
        if fast.get(f"{mode}_cfg") is not None:
            fast[f"{mode}_cfg"] = _fast_evaluation(fast[f"{mode}_cfg"], fast.get(f"{mode}_dataloader"))
    hooks = dict(fast.get("default_hooks") or {})
    hooks["logger"] = {**(hooks.get("logger") or {"type": "LoggerHook"}), "interval": 1}
    checkpoint = hooks.get("checkpoint") or {"type": "CheckpointHook"}
    dropped = ("out_dir", "published_keys", "by_epoch", "save_begin", "filename_tmpl")
    settings_of_checkpoint = {key: value for key, value in checkpoint.items() if key not in dropped}
    hooks["checkpoint"] = {**settings_of_checkpoint, "interval": 1 if by_epoch else BATCHES}
    fast["default_hooks"] = hooks
    if isinstance(fast.get("visualizer"), Mapping) and fast["visualizer"].get("vis_backends"):
        fast["visualizer"]["vis_backends"] = [{"type": "LocalVisBackend"}]
    return fast


def _is_by_epoch(train_cfg: Any) -> bool:
    """Whether the training loop counts epochs; without ``by_epoch``, ``max_epochs`` and ``max_iters`` decide."""
    return bool(train_cfg.get("by_epoch", "max_iters" not in train_cfg or "max_epochs" in train_cfg))


def _fast_training(train_cfg: Mapping[str, Any], by_epoch: bool, rounds: int) -> dict[str, Any]:
    """Returns ``train_cfg`` for a few batches; a loop class of the user gets new values only for keys that it has."""
    cfg = {key: value for key, value in train_cfg.items() if key not in ("dynamic_intervals", "val_begin")}
    length = {"max_epochs": rounds, "val_interval": 1}
    if not by_epoch:
        length = {"max_iters": rounds * BATCHES, "val_interval": BATCHES}
    if "type" in cfg and cfg["type"] not in ("EpochBasedTrainLoop", "IterBasedTrainLoop"):
        return {**cfg, **{key: value for key, value in length.items() if key in cfg}}
    if "overfit_batches" in cfg or not by_epoch:
        limits = {}
    else:
        limits = {"limit_batches": BATCHES}
    return {**cfg, **length, **limits, "val_sanity": 2}


def _fast_evaluation(cfg: Config, dataloader: object) -> Any:
    """Returns ``val_cfg`` or ``test_cfg`` with ``limit_batches``, for each dataset if the config names several.

    The config of a user's own loop class is returned unchanged.
    """
    names = names_of_sets(dataloader)
    if names and is_named_by(cfg, names):
        return {name: _fast_evaluation(set_cfg, None) for name, set_cfg in cfg.items()}
    if not isinstance(cfg, Mapping) or cfg.get("type", "ValLoop") not in ("ValLoop", "TestLoop"):
        return cfg
    return {**cfg, "limit_batches": BATCHES}
