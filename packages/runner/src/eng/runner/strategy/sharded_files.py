"""Sharded checkpoints: a folder with the shards of all ranks in torch's DCP format, and one file for everything else."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.checkpoint._folder import MARK, is_sharded, join, open_folder
from eng.checkpoint._latest import COMMON
from eng.checkpoint._open import write_checkpoint
from eng.checkpoint._safetensors import is_safetensors
from eng.checkpoint._writers import Beside
from eng.checkpoint.dtensor import is_dtensor
from eng.dist import barrier, get_rank
from eng.runner.persistence import MapLocation

from ..errors import SettingsError
from .shard_process import ShardProcess


def is_other_folder(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a folder other than one of safetensors files, which is read like a single file."""
    return Path(path).is_dir() and not is_safetensors(path)


def split(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Splits a checkpoint into the content of the common file, and the sharded tensors by their path in the checkpoint."""
    shards: dict[str, torch.Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        if is_dtensor(value):
            shards[path] = value
            return MARK + path
        if isinstance(value, Mapping):
            return {key: visit(item, f"{path}/{key}" if path else str(key)) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(visit(item, f"{path}/{i}") for i, item in enumerate(value))
        return value

    return visit(checkpoint, ""), shards


class ShardWriter:
    """Writes checkpoints as folders to which every rank writes its shards.

    Args:
        beside: whether training continues while a copy is written: True writes in a thread, ``"process"`` in a process of
            each rank.
        earlier: a writer whose last checkpoint must be complete before the next one begins; None waits for none.
    """

    def __init__(self, *, beside: Beside, earlier: ShardWriter | None = None) -> None:
        self.beside = bool(beside)
        self._process: ShardProcess | None = None
        if beside == "process":
            self._process = ShardProcess()
        self._earlier = earlier
        self._group: Any = None
        self._finish: Callable[[], None] | None = None

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Does nothing, because torch copies the shards itself."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes a checkpoint, or copies it and begins to write in the background. All ranks must call it."""
        from eng.checkpoint._snapshot import SnapshotBuffers

        self.wait()
        common, shards = split(checkpoint)
        copies = SnapshotBuffers()
        common = copies.take(
            common
        )  # Copied to the CPU, because training may change the tensors before they are written.
        if get_rank() == 0 and Path(path).is_file():
            Path(path).unlink()
        barrier()
        self._finish = partial(_commit, self._start(shards, path), copies, common, path, on_intact)
        if not self.beside:
            self.wait()

    def wait(self) -> None:
        """Waits until all ranks have written the last checkpoint."""
        if self._earlier is not None:
            self._earlier.wait()
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
            barrier()

    def close(self) -> None:
        """Waits for the last checkpoint; process group and checkpoint process remain for further checkpoints."""
        self.wait()

    def shut_down(self) -> None:
        """Waits for the last checkpoint, and ends the checkpoint process."""
        try:
            self.wait()
        finally:
            if self._process is not None:
                self._process.close()

    def _start(self, shards: dict[str, torch.Tensor], folder: str) -> Callable[[], object]:
        """Begins to write this rank's shards; returns a function that waits until they are written."""
        dcp = _dcp()
        if not self.beside:
            with _told_as_write_error(folder):
                dcp.save(shards, checkpoint_id=folder)
            return lambda: None
        if self._group is None:
            self._group = torch.distributed.new_group(backend="gloo")
        if self._process is not None:
            return self._process.save(shards, folder, self._group)
        pending: Any = dcp.async_save(shards, checkpoint_id=folder, process_group=self._group)
        result: Callable[[], object] = pending.result
        return result


def _commit(wait: Callable[[], object], copies: Any, common: Any, path: str, on_intact: Callable[[], None]) -> None:
    """Completes a checkpoint: waits for the shards, then writes the common file, without which the folder is incomplete."""
    from eng.checkpoint import save_checkpoint

    with _told_as_write_error(path):
        wait()
    copies.wait()
    if get_rank() == 0:
        save_checkpoint(common, str(Path(path) / COMMON))
        on_intact()


@contextmanager
def _told_as_write_error(folder: str) -> Iterator[None]:
    """Converts torch's CheckpointException, which is a BaseException, to an error that callers expect.

    Raises:
        CheckpointWriteError: a rank could not write.
    """
    from eng.checkpoint import CheckpointWriteError

    try:
        yield
    except _dcp().CheckpointException as error:
        rank, (failure, _) = next(iter(error.failures.items()))
        raise CheckpointWriteError(folder, f"rank {rank}: {type(failure).__name__}: {failure}") from error


def read_folder(folder: str, map_location: MapLocation, model: nn.Module | None = None) -> dict[str, Any]:
    """Reads a sharded checkpoint, which any number of ranks may have written.

    Args:
        folder: folder of the checkpoint.
        map_location: device for the tensors that are read completely.
        model: the sharded model of this run; each rank then reads only its shards of parameters and optimizer state. None
            reads complete tensors, which needs no process group.

    Raises:
        BrokenCheckpointError: the folder is incomplete or damaged.
        UntrustedCheckpointError: the folder holds objects other than tensors and plain data.
        SettingsError: DeepSpeed wrote the folder; the message says how to convert it.
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
        checkpoint: dict[str, Any] = join(common, targets)
    except (LookupError, TypeError, AttributeError) as error:
        raise BrokenCheckpointError(folder, f"{COMMON} does not fit .metadata: {error!r}") from error
    return checkpoint


def _load_into(targets: dict[str, torch.Tensor], reader: object) -> None:
    """Fills tensors from a folder.

    Raises:
        BrokenCheckpointError, UntrustedCheckpointError: the first error inside torch's CheckpointException.
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
    """Converts a sharded checkpoint to one file, which every strategy and ``torch.load`` can read.

    On this machine one block of a tensor is in memory at a time.

    Args:
        folder: the sharded checkpoint.
        filename: the file to write, on any storage.

    Raises:
        BrokenCheckpointError: the folder is not intact.
        UntrustedCheckpointError: it holds more than tensors and plain values.
        CheckpointWriteError: the file cannot be written.
    """
    from eng.checkpoint import save_checkpoint
    from eng.checkpoint._write import local_path

    local = local_path(filename, None)
    if local is None:
        save_checkpoint(read_folder(folder, "cpu"), filename)
    else:
        write_checkpoint(open_folder(folder, verify=True), local)


def _live_shards(common: Mapping[str, Any], model: nn.Module | None) -> dict[str, Any]:
    """Returns the model's parameter to which each saved tensor belongs, by the tensor's path in the checkpoint."""
    if model is None:
        return {}
    live = {name: p for name, p in model.named_parameters() if is_dtensor(p)}
    places: dict[str, Any] = {f"state_dict/{name}": p for name, p in live.items()}
    optimizer: Any = common.get("optimizer")
    if not isinstance(optimizer, Mapping):
        return places
    for group in optimizer.get("param_groups", ()):
        for index, name in zip(group["params"], group.get("param_names", ()), strict=False):
            if name not in live:
                continue
            for key in optimizer["state"].get(index, ()):
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
