"""Sharded checkpoints: a folder with the shards of all ranks in torch's DCP format, and one file for other values."""

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

from eng.checkpoint._file_names import COMMON
from eng.checkpoint._folder import MARK, is_sharded, join, open_folder
from eng.checkpoint._open import write_checkpoint
from eng.checkpoint._safetensors import is_safetensors
from eng.checkpoint._writers import Beside
from eng.checkpoint.dtensor import is_dtensor
from eng.dist import barrier, get_rank
from eng.runner.persistence import MapLocation

from ..errors import SettingsError
from .shard_process import ShardProcess


def is_other_folder(path: str | os.PathLike[str]) -> bool:
    """Whether :func:`read_folder` must read `path`: a folder, except one of safetensors files (read like one file)."""
    return Path(path).is_dir() and not is_safetensors(path)


def split(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Splits a checkpoint into the content of the common file, and a mapping of sharded tensors.

    The key of a sharded tensor is its path in the nested checkpoint, such as ``state_dict/head.weight``. In the content
    of the common file, a string with the same path stands in place of the tensor.
    """
    shards: dict[str, torch.Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        """Returns a copy of a nested value with a string in place of each sharded tensor; collects these tensors."""
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
        beside: whether training continues while a copy is written: True writes in a thread, ``"process"`` in a process
            of each rank.
        earlier: another writer, whose last checkpoint must be complete before this writer begins one; None (default)
            does not wait for another writer.
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
        """Does nothing, because torch's distributed checkpoint copies the shards itself when a save begins."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes a checkpoint, or copies the checkpoint and begins to write the copy in the background.

        All ranks must call this method. Rank 0 calls `on_intact` when the checkpoint is complete.
        """
        from eng.checkpoint._snapshot import SnapshotBuffers

        self.wait()
        common, shards = split(checkpoint)
        copies = SnapshotBuffers()
        # Copied to the CPU, because training may change the tensors before they are written.
        common = copies.take(common)
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
        """Waits until the last checkpoint is written, and keeps process group and checkpoint process for later ones."""
        self.wait()

    def shut_down(self) -> None:
        """Waits until the last checkpoint is written, and ends the checkpoint process, if there is one."""
        try:
            self.wait()
        finally:
            if self._process is not None:
                self._process.close()

    def _start(self, shards: dict[str, torch.Tensor], folder: str) -> Callable[[], object]:
        """Begins to write this rank's shards; returns a function that waits until they are written."""
        dcp = _dcp()
        if not self.beside:
            with _converting_write_errors(folder):
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
    """Completes a sharded checkpoint: waits until all shards are written, then rank 0 writes the common file.

    The common file is written last, because a folder without this file counts as an incomplete checkpoint.
    """
    from eng.checkpoint import save_checkpoint

    with _converting_write_errors(path):
        wait()
    copies.wait()
    if get_rank() == 0:
        save_checkpoint(common, str(Path(path) / COMMON))
        on_intact()


@contextmanager
def _converting_write_errors(folder: str) -> Iterator[None]:
    """Converts torch's CheckpointException to CheckpointWriteError inside this context.

    CheckpointException derives from BaseException, so that ``except Exception`` of callers would not catch it.

    Raises:
        CheckpointWriteError: a rank could not write its shards; the message names the first such rank and its error.
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
        map_location: device of the tensors in the common file, which are not sharded.
        model: the sharded model of this run; each rank then reads only its shards of parameters and optimizer state.
            None reads complete tensors, which needs no process group.

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
    """Fills tensors with the values that a reader reads from the folder of a sharded checkpoint.

    Raises:
        BrokenCheckpointError, UntrustedCheckpointError: the folder is damaged or holds objects that are refused; this
            is the first such error inside torch's CheckpointException.
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

    If the file is on a local disk, only one block of one tensor is in memory at a time; for remote storage the complete
    checkpoint is read into memory.

    Args:
        folder: the sharded checkpoint.
        filename: the file to write, on any storage.

    Raises:
        BrokenCheckpointError: the folder is incomplete or damaged.
        UntrustedCheckpointError: the folder holds objects other than tensors and plain data.
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
    """Maps the path of each saved tensor in the checkpoint to the sharded parameter of this run's model.

    Weights and optimizer state of a parameter map to the same parameter, because they are sharded alike. Without a
    model the mapping is empty.
    """
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
    """Returns a tensor of zeros to read into: sharded like `parameter` if the shapes agree, otherwise complete."""
    dtype = entry.properties.dtype
    if parameter is not None and parameter.shape == entry.size:
        return torch.zeros_like(parameter.detach(), dtype=dtype)
    # Zeros instead of uninitialised memory: the metadata of a manipulated folder can leave out a chunk of a tensor, and
    # the loaded checkpoint would then contain old memory of this process.
    return torch.zeros(entry.size, dtype=dtype)


def _refuse_deepspeed(folder: str) -> None:
    """Raises a SettingsError for a folder that DeepSpeed's engine wrote; does nothing for every other folder."""
    if any(Path(folder).glob("**/*_model_states.pt")):
        raise SettingsError(
            f"{folder} is a checkpoint that DeepSpeed's engine wrote itself, in pickled parts for its own number of ranks. "
            f"Turn it into one file, which every strategy loads: python {folder}/zero_to_fp32.py {folder} weights.pth, then "
            "load_from='weights.pth'; the state of its optimizer stays behind"
        )


def _dcp() -> Any:
    """Imports ``torch.distributed.checkpoint`` untyped, because torch's annotations do not export its functions."""
    return importlib.import_module("torch.distributed.checkpoint")
