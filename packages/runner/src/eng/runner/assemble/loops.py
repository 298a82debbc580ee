"""Builds training, validation and test loops from configs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from eng.registry import LOOPS
from eng.runner.errors import LoopChoiceError, SettingsError
from eng.runner.fact import fact
from eng.runner.loops import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from eng.runner.loops._shares import warn_of_stream_in_use
from eng.runner.loops.foreign import as_base_loop
from eng.runner.loops.several import SEVERAL, SINGLE
from eng.runner.run import Run

from .own_copy import own_copy
from .several import evaluators_by_set, loops_by_set, names_of_sets


def build_train_loop(loop: object, runner: Run, dataloader: object) -> BaseLoop:
    """Builds the training loop from ``train_cfg``.

    Args:
        loop: a loop, or a config with ``type``, or with ``by_epoch`` (True by default) and ``max_epochs`` or
            ``max_iters``.
        runner: the runner to which the loop will belong.
        dataloader: dataloader of the training data, or its config.

    Raises:
        LoopChoiceError: both ``type`` and ``by_epoch`` are given (a SettingsError and a RuntimeError).
        SettingsError: neither ``max_epochs`` nor ``max_iters`` is set.
        TypeError: ``loop`` is neither a loop nor a config.
    """
    cfg = _as_cfg(loop, "train_cfg")
    if isinstance(cfg, BaseLoop):
        return cfg
    if "type" in cfg and "by_epoch" in cfg:
        raise LoopChoiceError("train_cfg names both 'type' and 'by_epoch', which choose the loop: give one of them")
    if "type" in cfg:
        built: BaseLoop = LOOPS.build(cfg, default_args={"runner": runner, "dataloader": dataloader})
        return built
    by_epoch = cfg.pop("by_epoch", "max_iters" not in cfg or "max_epochs" in cfg)
    loop_class: type[BaseLoop] = IterBasedTrainLoop
    length = "max_iters"
    if by_epoch:
        loop_class = EpochBasedTrainLoop
        length = "max_epochs"
    if length not in cfg:
        raise SettingsError(f"train_cfg with by_epoch={by_epoch} needs {length!r}; it has {sorted(cfg)}")
    default_args = {"type": loop_class, "runner": runner, "dataloader": dataloader}
    default_loop: BaseLoop = LOOPS.build(cfg, default_args=default_args)
    return default_loop


def build_evaluation_loop(mode: str, loop: object, runner: Run, dataloader: Any, evaluator: object) -> BaseLoop:
    """Builds a validation or test loop from ``val_cfg`` or ``test_cfg``.

    Args:
        mode: ``"val"`` or ``"test"``.
        loop: a loop, or the config of a loop; a config without ``type`` builds a ValLoop or TestLoop.
        runner: the runner to which the loop will belong.
        dataloader: a dataloader or its config; or a mapping from names to dataloaders, for several datasets.
        evaluator: an evaluator or its config, metrics or their configs; or a mapping of these by dataset names.

    Raises:
        TypeError: ``loop`` is neither a loop nor a config.
        SettingsError: an evaluator or a loop config has a name that no dataloader has, or the loop's class cannot run
            several datasets.
    """
    if isinstance(loop, BaseLoop):
        return loop
    names = names_of_sets(dataloader)
    if not names:
        _refuse_names_of_sets(mode, loop, evaluator)
        return _build_evaluation_loop(mode, loop, runner, dataloader, evaluator)
    evaluators, cfgs = evaluators_by_set(mode, evaluator, names), loops_by_set(mode, loop, names)
    _need_metrics_or_losses(mode, evaluators, cfgs)
    loops = {
        name: _build_evaluation_loop(mode, cfgs[name], runner, dataloader[name], evaluators[name]) for name in names
    }
    for name, built in loops.items():
        if not isinstance(built, SINGLE[mode]):
            raise SettingsError(
                f"{mode}_dataloader.{name}: {type(built).__name__} cannot run one of several sets; derive it from "
                f"{SINGLE[mode].__name__}, or run a single set"
            )
    return SEVERAL[mode](runner, loops)


def _refuse_names_of_sets(mode: str, cfg: object, evaluator: object) -> None:
    """Raises an error for evaluators or loop configs by the names of several datasets, if there is one dataloader.

    Raises:
        SettingsError: the evaluator or the loop config is a mapping by dataset names.
    """
    takes = frozenset(inspect.signature(SINGLE[mode]).parameters)
    for key, setting, are_of_sets in (
        (f"{mode}_evaluator", evaluator, _are_evaluators),
        (f"{mode}_cfg", cfg, partial(_are_loop_cfgs, takes)),
    ):
        if not isinstance(setting, Mapping) or not setting or "type" in setting or isinstance(setting, BaseLoop):
            continue
        if are_of_sets(setting):
            names = ", ".join(map(str, setting))
            raise SettingsError(
                f"{key} has the names of sets ({names}) and {mode}_dataloader is one loader without a name: write "
                f"{mode}_dataloader=dict({next(iter(setting))}=...), or give {key} without names"
            )


def _are_evaluators(setting: Mapping[str, Any]) -> bool:
    """Whether the values of a mapping can be evaluator configs or lists of metrics, one for each dataset."""
    return "metrics" not in setting and all(
        isinstance(item, (Mapping, list)) and item != [] for item in setting.values()
    )


def _are_loop_cfgs(takes: frozenset[str], setting: Mapping[str, Any]) -> bool:
    """Whether a mapping contains a loop config for each of several datasets, and is not itself a loop config.

    Args:
        takes: names of the arguments of the loop class; none of them may be a key of the mapping.
        setting: the mapping, whose values must all be loop configs.
    """
    return takes.isdisjoint(setting) and all(
        isinstance(item, Mapping) and (not item or "type" in item or not takes.isdisjoint(item))
        for item in setting.values()
    )


def _build_evaluation_loop(mode: str, loop: object, runner: Run, dataloader: object, evaluator: object) -> BaseLoop:
    """Builds the validation or test loop of one dataset from its config; a loop object is returned unchanged.

    Warns if the loop reads the same stream object as the training. The arguments are those of
    :func:`build_evaluation_loop`.
    """
    cfg = _as_cfg(loop, f"{mode}_cfg")
    if isinstance(cfg, BaseLoop):
        return cfg
    parts = {"runner": runner, "dataloader": dataloader, "evaluator": evaluator}
    built: BaseLoop = LOOPS.build(cfg, default_args={"type": SINGLE[mode], **parts})
    warn_of_stream_in_use(as_base_loop(built).dataloader, runner.settings.train_dataloader, mode)
    return built


def _need_metrics_or_losses(mode: str, evaluators: Mapping[str, Any], cfgs: Mapping[str, Any]) -> None:
    """Checks that each validation or test set has an evaluator or ``loss=True``, as it would compute nothing otherwise.

    Raises:
        SettingsError: a set has neither an evaluator nor ``loss=True``.
    """
    for name, evaluator in evaluators.items():
        cfg = cfgs[name]
        if evaluator is None and not (isinstance(cfg, Mapping) and cfg.get("loss")) and not isinstance(cfg, BaseLoop):
            raise SettingsError(
                f"{mode}_dataloader.{name} has no evaluator: add {name}=... to {mode}_evaluator, or give "
                f"{mode}_cfg=dict({name}=dict(loss=True)) to compute losses only"
            )


def _as_cfg(loop: object, name: str) -> Any:
    """Returns a copy of a loop's config, or a loop unchanged; raises a TypeError that names the setting ``name``."""
    if isinstance(loop, BaseLoop):
        return loop
    if isinstance(loop, Mapping):
        return own_copy(loop)
    raise TypeError(f"{name} must be a loop or a config of one, got {type(loop).__name__}")


def warn_if_nothing_is_left(loop: BaseLoop, logger: logging.Logger) -> None:
    """Logs a warning if a resumed run has already reached its last iteration, so that it does not train."""
    epoch, iteration = loop.epoch, loop.iter
    if loop.max_epochs > 1:
        done, last = epoch, loop.max_epochs
    else:
        done, last = iteration, loop.max_iters
    if not iteration or (done < last and not loop.stop_training):
        return
    if done < last:
        why = f"a hook stopped the run at iteration {iteration}"
    elif loop.counts_iterations:
        why = f"the run ends at iteration {loop.max_iters}"
    else:
        why = f"the run ends at epoch {epoch}, iteration {iteration}"
    logger.warning("Nothing is left to train: %s; for more, raise max_epochs or max_iters and resume", why)


class NoTraining(BaseLoop):
    """A training loop that does nothing and whose counters are 0.

    It stands in for the training loop of a run without training, or before the training loop is built.
    """

    def __init__(self) -> None:
        pass

    def run(self) -> None:
        """Does nothing."""


NO_TRAINING = NoTraining()


def training(runner: Run) -> BaseLoop:
    """Builds the training loop if necessary and returns it; ``NO_TRAINING`` for a run without ``train_cfg``."""
    runner.train_part.get()
    return training_so_far(runner)


def training_so_far(runner: Run) -> BaseLoop:
    """Returns the training loop if it is built, else ``NO_TRAINING``, whose counters are 0."""
    loop = runner.train_part.value
    # `loop or NO_TRAINING` would fail for a user's loop class with a __len__ of 0.
    if loop is None:
        return NO_TRAINING
    return as_base_loop(loop)


def built_loops(runner: Run) -> dict[str, BaseLoop]:
    """Returns the loops built so far, by mode: ``"train"``, ``"val"``, ``"test"``."""
    parts = {"train": runner.train_part, "val": runner.val_part, "test": runner.test_part}
    return {mode: part.value for mode, part in parts.items() if part.value is not None}


def part_of_loop(mode: str, name: str) -> Any:
    """Makes a read-only property of a Runner: the dataloader or evaluator of one of its loops.

    Reading the property builds the loop if necessary. In a run without this loop, the property is the Runner's
    argument, such as ``val_evaluator``.

    Args:
        mode: the loop: ``"train"``, ``"val"`` or ``"test"``.
        name: the attribute of the loop: ``"dataloader"`` or ``"evaluator"``.
    """

    def read(runner: Run) -> Any:
        loop = getattr(runner, f"{mode}_loop")
        if loop is None:
            return getattr(runner.settings, f"{mode}_{name}")
        return getattr(loop, name)

    return fact(read, f"The {name} of the {mode} loop; reading it builds the loop.")
