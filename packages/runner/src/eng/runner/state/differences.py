"""Compares a checkpoint with the run that resumes from it; the lines become one warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import name_in_checkpoint
from eng.logging.words import counted
from eng.optim import BaseOptimWrapper, OptimWrapper
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.runner.errors import ResumeError
from eng.runner.loops.base import BaseLoop

from ..strategy._shards import whole_shape
from .collect import hook_states, optimizer_classes
from .taking import covers, how_to_take

# Parts of a checkpoint that a resumed run uses, each with the text that a message shows if the part is missing.
_PARTS = {
    "optimizer": "the optimizer starts with an empty state",
    "param_schedulers": "the schedules start anew",
    "message_hub": "the logged history starts anew",
}
# Hyperparameters that only some optimizers have; they tell classes apart in checkpoints that do not name the class.
_TELLING = frozenset({"betas", "dampening", "alpha", "rho", "lambd", "etas", "lr_decay"})


def missing_parts(checkpoint: Mapping[str, Any], wanted: Mapping[str, bool]) -> list[str]:
    """Returns a line of text for each part that a resumed run uses and its checkpoint lacks.

    Args:
        checkpoint: the checkpoint.
        wanted: whether the run uses a part, by the name of the part.
    """
    return [
        f"{part}: missing in the checkpoint; {consequence}"
        for part, consequence in _PARTS.items()
        if wanted.get(part, True) and part not in checkpoint
    ]


def optimizer_differences(optim_wrapper: OptimWrapper, saved: object, take: Sequence[str] = ()) -> list[str]:
    """Returns a line of text for each optimizer hyperparameter that differs between checkpoint and config.

    Args:
        optim_wrapper: the optimizer wrapper of this run, before it loads the state.
        saved: the optimizer's state in the checkpoint.
        take: dotted keys for which the config's value is used instead of the checkpoint's value.
    """
    lines = []
    for name, wrapper, state in _pairs_of_eng(optim_wrapper, saved):
        for key, before, now, count in wrapper.differing_settings(state):
            path = f"optim_wrapper{name}.optimizer.{key}"
            if covers(take, path):
                first, second = "", ", which is taken"
            else:
                first, second = ", which is used,", f" ({how_to_take(path)})"
            lines.append(
                f"optim_wrapper{name}: {key} of {counted(count, 'parameter group')} is {before!r} in the checkpoint{first} "
                f"and {now!r} in the config{second}"
            )
    return lines


def kept_values(optim_wrapper: OptimWrapper, saved: object, take: Sequence[str] = ()) -> dict[str, str]:
    """Returns the optimizer hyperparameters for which the checkpoint's value replaces a different value in the config.

    The result maps dotted keys to the checkpoint's values as text. If parameter groups have different values for a key,
    the value of most groups is returned. Keys in ``take``, for which the user chose the config's value, are left out.
    The arguments are those of :func:`optimizer_differences`.
    """
    values = {}
    # The last item of a row is its number of parameter groups. In ascending order, the value of most groups comes last,
    # and replaces the other values of its key.
    for name, wrapper, state in _pairs_of_eng(optim_wrapper, saved):
        for key, before, _, _ in sorted(wrapper.differing_settings(state), key=lambda row: row[3]):
            path = f"optim_wrapper{name}.optimizer.{key}"
            if not covers(take, path):
                values[path] = repr(before)
    return values


def check_optimizers(optim_wrapper: OptimWrapper, saved: object, saved_classes: Mapping[str, str] | None) -> None:
    """Raises an error if the optimizer state in a checkpoint belongs to an optimizer of another class.

    Args:
        optim_wrapper: the optimizer wrapper of this run.
        saved: the optimizer's state in the checkpoint.
        saved_classes: class names of the optimizers in the saved run; None if the checkpoint does not record them.

    Raises:
        ResumeError: the classes, the number or the names of the optimizers differ.
    """
    mine = optimizer_classes(optim_wrapper)
    if saved_classes is not None:
        if dict(saved_classes) != mine:
            raise ResumeError(_other_optimizer(_list_classes(saved_classes), _list_classes(mine)))
        return
    for name, wrapper, state in _pairs_of_eng(optim_wrapper, saved):
        groups = state.get("param_groups", ())
        if not groups or not wrapper.defaults:  # An optimizer of another library may have no defaults.
            continue
        before, now = _telling_keys(groups), _telling_keys(wrapper.optimizer.param_groups)
        if before != now:
            raise ResumeError(_other_optimizer(f"one{name} with {_in_words(before)}", f"{mine} with {_in_words(now)}"))


def _telling_keys(groups: Sequence[Mapping[str, Any]]) -> set[frozenset[str]]:
    """Returns which hyperparameters of ``_TELLING`` the parameter groups have: one set for each kind of group.

    A SplitOptimizer has several kinds of parameter groups.
    """
    return {_TELLING.intersection(group) for group in groups}


def _in_words(keys_of_groups: set[frozenset[str]]) -> str:
    return " and ".join(str(keys) for keys in sorted(sorted(keys) for keys in keys_of_groups))


def check_shapes(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Raises an error if parameters of the model have other shapes than in the checkpoint.

    The optimizer state in the checkpoint would not fit such parameters.

    Args:
        model: the model without its wrapper.
        weights: the checkpoint's ``state_dict``.

    Raises:
        ResumeError: shapes differ; the message names parameters with both shapes.
    """
    differing = []
    for name, parameter in model.named_parameters():
        saved = weights.get(name_in_checkpoint(model, name))
        shape = tuple(whole_shape(parameter))
        if isinstance(saved, torch.Tensor) and tuple(saved.shape) != shape:
            differing.append(f"{name} {tuple(saved.shape)} in the checkpoint and {shape} in the model")
    if differing:
        more = ""
        if len(differing) > 4:
            more = f" and {len(differing) - 4} more"
        raise ResumeError(
            f"the checkpoint belongs to a model with other shapes: {'; '.join(differing[:4])}{more}. Resume with the "
            "model of the saved run, or begin a new run with load_from and resume=False, which takes what fits"
        )


def hook_differences(hooks: Sequence[Any], saved: Mapping[str, Any]) -> list[str]:
    """Returns a line of text for each hook state in a checkpoint that belongs to no hook of this run."""
    present = set(hook_states(hooks))
    return [
        f"hooks: the checkpoint has a state of {name.rpartition('.')[0]}, which this run lacks; it is not used"
        for name, state in saved.items()
        if name not in present and state
    ]


def stop_differences(loop: BaseLoop, hooks: Sequence[Any]) -> list[str]:
    """Decides whether a resumed run continues to train if a hook such as EarlyStoppingHook had stopped the saved run.

    The run stays stopped unless the settings of the hook have changed or this run lacks the hook. Returns a line of
    text about the decision.

    Args:
        loop: the training loop, whose ``stop_training`` may be set to False.
        hooks: the hooks of this run; the attribute ``settings_changed`` of a hook that can stop runs is True or False.
    """
    if not loop.stop_training:
        return []
    stops = [hook for hook in hooks if hook.settings_changed is not None]
    changed = any(hook.settings_changed for hook in stops)
    if stops and not changed:
        line = "a hook had stopped the saved run, so nothing is left to train; change that hook's settings to go on"
        return [f"stop_training: {line}"]
    loop.stop_training = False
    why = "this run has no such hook"
    if changed:
        why = "its settings have changed"
    return [f"stop_training: a hook had stopped the saved run; {why}, so training goes on"]


def scheduler_line(path: str, scheduler: object, differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Returns a line of text about the arguments of a scheduler that differ between checkpoint and config."""
    listed = ", ".join(f"{key}={now!r} (was {before!r})" for key, (before, now) in differences.items())
    return f"{path} ({type(scheduler).__name__}) follows the config: {listed}"


def _pairs(optim_wrapper: OptimWrapper, saved: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yields each optimizer wrapper of a run as name for messages, such as ``.generator``, wrapper and saved state."""
    for name, wrapper in wrappers_by_name(optim_wrapper).items():
        suffix, state = "", saved
        if name:
            suffix, state = f".{name}", saved.get(name)
        if isinstance(state, Mapping):
            yield suffix, wrapper, state


def _pairs_of_eng(
    optim_wrapper: OptimWrapper, saved: object
) -> Iterator[tuple[str, BaseOptimWrapper, Mapping[str, Any]]]:
    """Yields the same items as :func:`_pairs`, without wrappers of other libraries, whose settings cannot be read."""
    for name, wrapper, state in _pairs(optim_wrapper, saved):
        if isinstance(wrapper, BaseOptimWrapper):
            yield name, wrapper, state


def _list_classes(by_name: Mapping[str, str]) -> str:
    """Returns class names as text: ``SGD`` for a single optimizer, or ``generator: SGD, critic: Adam`` for several."""
    return ", ".join(f"{name}: {class_name}".removeprefix(": ") for name, class_name in by_name.items())


def _other_optimizer(before: str, now: str) -> str:
    return (
        f"the checkpoint has the state of another optimizer ({before}) than this run uses ({now}); resume with the "
        "optimizer of the saved run, or begin a new run from its weights with load_from and resume=False"
    )
