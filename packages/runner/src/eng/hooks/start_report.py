"""The report at the start of a run: device, model, data, optimizer and schedule on one screen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import RandomSampler, SequentialSampler

from eng.dataset._loader_parts import batch_size_of, dataset_of, sampler_of
from eng.dataset.utils import length_of
from eng.device import device_name
from eng.logging.words import counted
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name

from ._loops import counts_epochs
from .view import CastsForward, provides

__all__ = ["start_report"]

_MOST_OVERRIDES = 8
_MOST_SETS = 4
_COMMAND_LINE = "command line"


def start_report(runner: Any) -> str:
    """Returns the report of a run that is about to train, validate or test, with one line per part of the run.

    Args:
        runner: the run; its loops, model and optimizer are built.
    """
    optimizer, schedule = "", ""
    if _trains(runner):
        optimizer = "; ".join(_optimizer_lines(runner.optim_wrapper))
        schedule = "; ".join(_schedule_lines(runner.param_schedulers))
    facts = {
        "run": runner.experiment_name,
        "work dir": short_path(runner.work_dir),
        "device": device_facts(runner.model, runner.world_size),
        "precision": precision_facts(runner.model, runner.optim_wrapper),
        "model": model_facts(runner.model, runner.model_name),
        "data": "; ".join(_data_lines(runner)),
        "length": _length(runner),
        "optimizer": optimizer,
        "resumed": _kept_values(runner),
        "schedule": schedule,
        "config": config_facts(runner.cfg),
        "report": f"{_log_file(runner)} (environment, config, hooks)",
    }
    return "\n".join(["The run begins:", *(f"  {name:<10} {text}" for name, text in facts.items() if text)])


def short_path(path: str | Path) -> str:
    """Returns a path relative to the working directory if it lies below it, otherwise the path unchanged.

    Example:
        >>> short_path("relative/config.py")
        'relative/config.py'
    """
    if Path(path).is_absolute():
        relative = os.path.relpath(path)
    else:
        relative = str(path)
    if not relative.startswith(".."):
        return relative
    return str(path)


def device_facts(model: nn.Module, world_size: int) -> str:
    """Describes the device of the model, such as ``cpu (2 threads)`` or ``cuda:0 (NVIDIA H100), 4 processes``."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if device.type == "cpu":
        text = f"cpu ({counted(torch.get_num_threads(), 'thread')})"
    else:
        text = f"{device} ({device_name(device)})"
    if world_size > 1:
        return f"{text}, {counted(world_size, 'process', 'processes')}"
    return text


def precision_facts(model: nn.Module, optim_wrapper: Any) -> str:
    """Describes the dtype of the parameters, and the dtype of the forward pass under autocast."""
    types = {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}
    text = " and ".join(sorted(types)) or "no parameters"
    for wrapper in _wrappers(optim_wrapper).values():
        if provides(wrapper, CastsForward):
            forward_type = "the autocast type"
            if wrapper.cast_dtype:
                forward_type = str(wrapper.cast_dtype).removeprefix("torch.")
            return f"{text}, forward in {forward_type} (autocast)"
    return text


def model_facts(model: nn.Module, name: str) -> str:
    """Describes the model: its name, the number of its parameters and how many of them are trainable."""
    parameters = list(model.parameters())
    if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
        return f"{name}, parameters of unknown size (lazy modules)"
    total = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    if trained == total:
        share = "all trainable"
    else:
        share = f"{trained:,} trainable"
    return f"{name}, {counted(total, 'parameter', separator=',')}, {share}"


def config_facts(cfg: Any) -> str:
    """Returns the config's file name and the keys that the command line changed; empty for a config without a file."""
    file = getattr(cfg, "filename", None)
    if not file:
        return ""
    changes = [f"{key}={value!r}" for key, value in _overrides(cfg)]
    more = []
    if len(changes) > _MOST_OVERRIDES:
        more = [f"and {len(changes) - _MOST_OVERRIDES} more"]
    text = short_path(file)
    if changes:
        text += f", changed by {', '.join([*changes[:_MOST_OVERRIDES], *more])}"
    return text


def _overrides(cfg: Any) -> Iterator[tuple[str, Any]]:
    """Yields the config keys that the command line set, with their values."""
    for key, value in _leaves(cfg):
        steps = cfg.explain(key)
        if steps and steps[-1].layer == _COMMAND_LINE:
            yield key, value


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of a nested config with their dotted keys. Keys that contain a dot themselves are left out."""
    children: Any = ()
    if hasattr(node, "items") and len(node):
        children = node.items()
    elif isinstance(node, (list, tuple)) and any(isinstance(item, (Mapping, list)) for item in node):
        children = enumerate(node)
    if not children and path:
        yield path, node
    for key, value in children:
        name = str(key)
        if "." in name:
            continue
        if path:
            name = f"{path}.{name}"
        yield from _leaves(value, name)


def _trains(runner: Any) -> bool:
    return "train" in runner.built_loops


def _data_lines(runner: Any) -> Iterator[str]:
    """Yields a line about the data of each mode (train, val, test).

    A mode with up to four named datasets gets a line per dataset; a mode with more datasets gets a line about their
    total.
    """
    for mode, loop in runner.built_loops.items():
        dataloader = getattr(loop, "dataloader", None)
        if dataloader is None:
            continue
        sets = getattr(dataloader, "loaders", None)
        if not isinstance(sets, Mapping):
            yield f"{mode}: {data_facts(dataloader)}"
        elif len(sets) <= _MOST_SETS:
            yield from (f"{mode}/{name}: {data_facts(loader)}" for name, loader in sets.items())
        else:
            yield f"{mode}: {counted(len(sets), 'set')}, {_sizes(_total_samples(sets.values()), length_of(dataloader))}"


def _total_samples(dataloaders: Iterable[Any]) -> int | None:
    """Returns the number of samples over all dataloaders; None if one of the datasets has no length."""
    sizes = [length_of(dataset_of(dataloader)) for dataloader in dataloaders]
    if None in sizes:
        return None
    return sum(size or 0 for size in sizes)


def data_facts(dataloader: Any) -> str:
    """Describes what a dataloader reads, such as ``1,437 samples in 23 batches of 64, shuffled``.

    Args:
        dataloader: the dataloader of one dataset.
    """
    samples, batches = length_of(dataset_of(dataloader)), length_of(dataloader)
    text, size = _sizes(samples, batches), batch_size_of(dataloader)
    if size and batches is not None:
        text += f" of {size}"
    elif size:
        text += f" in batches of {size}"
    order = _order(sampler_of(dataloader))
    if order and samples is not None:
        return f"{text}, {order}"
    return text


def _sizes(samples: int | None, batches: int | None) -> str:
    """Describes the number of samples and batches (None: unknown), such as ``1,437 samples in 23 batches``."""
    if samples is None and batches is not None:
        return counted(batches, "batch", "batches", separator=",")
    text = "a stream"
    if samples is not None:
        text = counted(samples, "sample", separator=",")
    if batches is None:
        return text
    return f"{text} in {counted(batches, 'batch', 'batches', separator=',')}"


def _order(sampler: Any) -> str:
    """Returns ``"shuffled"`` or ``"in order"``; empty for a sampler that does not say whether it shuffles."""
    shuffles = getattr(sampler, "shuffle", None)
    if isinstance(sampler, (RandomSampler, SequentialSampler)):
        shuffles = isinstance(sampler, RandomSampler)
    if not isinstance(shuffles, bool):
        return ""
    if shuffles:
        return "shuffled"
    return "in order"


def _length(runner: Any) -> str:
    """Describes the planned length of the training, such as ``3 epochs, 69 iterations``; "" if it is unknown."""
    if not _trains(runner):
        return ""
    iterations, epochs = runner.max_iters, runner.max_epochs
    if not iterations or iterations == math.inf:
        if epochs:
            return counted(epochs, "epoch")
        return ""
    text = counted(iterations, "iteration", separator=",")
    if not counts_epochs(runner.train_loop):
        return text
    return f"{counted(epochs, 'epoch')}, {text}"


def _wrappers(optim_wrapper: Any) -> Mapping[str, Any]:
    """Returns the built optimizer wrappers by name; a single wrapper has the name ``""``.

    The mapping is empty while ``optim_wrapper`` is a config.
    """
    return {name: wrapper for name, wrapper in wrappers_by_name(optim_wrapper).items() if hasattr(wrapper, "optimizer")}


def _optimizer_lines(optim_wrapper: Any) -> Iterator[str]:
    """Yields a description of each optimizer wrapper, with its name if there are several."""
    for name, wrapper in _wrappers(optim_wrapper).items():
        parts = getattr(wrapper.optimizer, "optimizers", None) or [wrapper.optimizer]
        text = ", with ".join(map(_optimizer_facts, parts))
        counts = getattr(wrapper, "_accumulative_counts", 1)
        if isinstance(counts, int) and counts > 1:
            text += f", each update over {counts} batches"
        yield _named(name, text)


def _named(name: str, text: str) -> str:
    """Returns ``name: text``, or the text alone if ``name`` is "", as for a single optimizer."""
    if not name:
        return text
    return f"{name}: {text}"


def _kept_values(runner: Any) -> str:
    """Lists the settings that a resumed run took from its checkpoint although its config has other values.

    The text also names the command-line options that take the values of the config.
    """
    by_key = getattr(getattr(runner, "state", None), "restored_hyperparameters", None)
    if not by_key or not _trains(runner):
        return ""
    values = ", ".join(f"{key}={value}" for key, value in by_key.items())
    options = " ".join(f"--resume-take {key}" for key in by_key)
    return f"{values} from the checkpoint, not from the config; {options} takes the config's"


def _optimizer_facts(optimizer: Any) -> str:
    options = [f"{key} {_values(optimizer, key)}" for key in ("momentum", "weight_decay") if _values(optimizer, key)]
    return ", ".join([type(optimizer).__name__, f"lr {_rates(optimizer)}", *options])


def _rates(optimizer: Any) -> str:
    return _values(optimizer, "lr", even_zero=True) or "of its own"


def _values(optimizer: Any, key: str, *, even_zero: bool = False) -> str:
    """Returns the value of a hyperparameter before any schedule changed it, such as ``0.01`` or ``0.01 to 0.1``.

    The text is a range if the optimizer's parameter groups differ, and "" if no group has the hyperparameter. A value
    of 0 also gives "", unless ``even_zero`` is set.
    """
    values = [group.get(f"initial_{key}", group.get(key)) for group in optimizer.param_groups]
    numbers = sorted({float(value) for value in values if isinstance(value, (int, float, torch.Tensor))})
    if not numbers or not (any(numbers) or even_zero):
        return ""
    if len(numbers) == 1:
        return f"{numbers[0]:g}"
    return f"{numbers[0]:g} to {numbers[-1]:g}"


def _schedule_lines(schedulers: Any) -> Iterator[str]:
    """Yields a description of the parameter schedulers of each optimizer, with the optimizer's name if there are several."""
    if not isinstance(schedulers, Mapping):
        schedulers = {"": schedulers}
    for name, group in schedulers.items():
        text = ""
        if isinstance(group, Sequence):
            text = ", then ".join(_schedule(scheduler) for scheduler in group)
        if text:
            yield _named(name, text)


def _schedule(scheduler: Any) -> str:
    """Describes a parameter scheduler: its class and the range of epochs or iterations in which it acts."""
    begin, end = getattr(scheduler, "begin", 0), getattr(scheduler, "end", None)
    name = type(scheduler).__name__
    unit = "iteration"
    if getattr(scheduler, "by_epoch", True):
        unit = "epoch"
    if not isinstance(end, int) or end >= 10**9:
        if not begin:
            return name
        return f"{name} from {unit} {begin}"
    return f"{name} ({unit}s {begin} to {end})"


def _log_file(runner: Any) -> str:
    return short_path(Path(str(runner.log_dir)) / f"{runner.timestamp}.log")
