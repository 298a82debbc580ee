"""Checkpoints that are folders: the shards of all ranks in torch's DCP format, everything else in one safe file."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.checkpoint._latest import COMMON

from ..errors import SettingsError

_MARK = "sharded tensor: "


def is_sharded(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is such a folder."""
    return Path(path).is_dir() and (Path(path) / COMMON).is_file()


def split(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What goes into the common file, and the sharded tensors by their path in the checkpoint."""
    shards: dict[str, torch.Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        if hasattr(value, "device_mesh"):
            shards[path] = value
            return _MARK + path
        if isinstance(value, Mapping):
            return {key: visit(item, f"{path}/{key}" if path else str(key)) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(visit(item, f"{path}/{i}") for i, item in enumerate(value))
        return value

    return visit(checkpoint, ""), shards


def join(common: Any, shards: Mapping[str, torch.Tensor]) -> Any:
    """The checkpoint that :func:`split` took apart."""
    if isinstance(common, str) and common.startswith(_MARK):
        return shards[common[len(_MARK) :]]
    if isinstance(common, Mapping):
        return {key: join(item, shards) for key, item in common.items()}
    if type(common) in (list, tuple):
        return type(common)(join(item, shards) for item in common)
    return common


def write_shards(shards: dict[str, torch.Tensor], folder: str, beside: bool, group: Any) -> Callable[[], None]:
    """Writes this rank's shards; all ranks call it.

    Args:
        shards: sharded tensors by key, the same keys on all ranks.
        folder: of the checkpoint.
        beside: copy them now and write them beside training.
        group: process group of its own for that; None without ``beside``.

    Returns:
        What waits until all ranks have written.
    """
    dcp = _dcp()

    if not beside:
        dcp.save(shards, checkpoint_id=folder)
        return lambda: None
    pending: Any = dcp.async_save(shards, checkpoint_id=folder, process_group=group)
    return lambda: (pending.result(), None)[1]


def read_folder(folder: str, map_location: Any, model: nn.Module | None = None) -> dict[str, Any]:
    """A sharded checkpoint, written on any number of ranks.

    Args:
        folder: of the checkpoint.
        map_location: device of the tensors that are read whole.
        model: a sharded model of this run: what belongs to its parameters is read in their shards only. None reads
            all tensors whole, which needs no process group.

    Raises:
        BrokenCheckpointError: the folder is not intact.
        UntrustedCheckpointError: it holds more than tensors and plain values.
        SettingsError: another program's folder; the message says how to convert it.
    """
    from eng.checkpoint import BrokenCheckpointError, read_checkpoint
    from eng.checkpoint._shards import ShardReader

    if not is_sharded(folder) or not (Path(folder) / ".metadata").is_file():
        _refuse_deepspeed(folder)
        raise BrokenCheckpointError(folder, f"a sharded checkpoint has .metadata and {COMMON}; the save was cut short")
    reader = ShardReader(folder)
    common = read_checkpoint(str(Path(folder) / COMMON), map_location)
    try:
        places = _live_shards(common, model)
        targets = {key: _target(entry, places.get(key)) for key, entry in reader.metadata.state_dict_metadata.items()}
        _load_into(targets, reader)
        whole: dict[str, Any] = join(common, targets)
    except (LookupError, TypeError, AttributeError) as error:
        raise BrokenCheckpointError(folder, f"{COMMON} does not fit .metadata: {error!r}") from error
    return whole


def _load_into(targets: dict[str, torch.Tensor], reader: Any) -> None:
    """Fills tensors from a folder.

    Raises:
        BrokenCheckpointError, UntrustedCheckpointError: as the reader raised it, out of torch's collection.
    """
    dcp = _dcp()
    try:
        dcp.load(targets, storage_reader=reader, no_dist=not torch.distributed.is_initialized())
    except dcp.CheckpointException as error:
        for failure, _ in error.failures.values():
            if isinstance(failure, ValueError):
                raise failure from error
        raise


def export_to_file(folder: str, filename: str) -> None:
    """Makes one safe file, which every strategy and a plain ``torch.load`` read, of a sharded checkpoint.

    Args:
        folder: the sharded checkpoint.
        filename: the file to write, on any storage.
    """
    from eng.checkpoint import save_checkpoint

    save_checkpoint(read_folder(folder, "cpu"), filename)


def _live_shards(common: Mapping[str, Any], model: nn.Module | None) -> dict[str, Any]:
    """The live parameter that each saved tensor belongs to, by the tensor's path."""
    if model is None:
        return {}
    live = {name: p for name, p in model.named_parameters() if hasattr(p, "device_mesh")}
    places: dict[str, Any] = {f"state_dict/{name}": p for name, p in live.items()}
    optimizer: Any = common.get("optimizer")
    for group in optimizer.get("param_groups", ()) if isinstance(optimizer, Mapping) else ():
        for index, name in zip(group["params"], group.get("param_names", ()), strict=False):
            for key in optimizer["state"].get(index, ()) if name in live else ():
                places[f"optimizer/state/{index}/{key}"] = live[name]
    return places


def _target(entry: Any, parameter: Any) -> torch.Tensor:
    dtype = entry.properties.dtype
    if parameter is not None and parameter.shape == entry.size:
        return torch.zeros_like(parameter.detach(), dtype=dtype)
    # Zeros, so that a folder that describes a chunk twice and another never gives no memory of this process away.
    return torch.zeros(entry.size, dtype=dtype)


def _refuse_deepspeed(folder: str) -> None:
    if any(Path(folder).glob("**/*_model_states.pt")):
        raise SettingsError(
            f"{folder} is a checkpoint that DeepSpeed's engine wrote itself, in pickled parts for its own number of ranks. "
            f"Turn it into one file, which every strategy loads: python {folder}/zero_to_fp32.py {folder} weights.pth, then "
            "load_from='weights.pth'; the state of its optimizer stays behind"
        )


def _dcp() -> Any:
    """Torch's distributed checkpoints, which its annotations do not export by name."""
    return importlib.import_module("torch.distributed.checkpoint")
