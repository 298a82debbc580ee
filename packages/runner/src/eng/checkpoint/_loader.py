"""CheckpointLoader: loads checkpoints from local files, the web, object stores and model zoos."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from eng.dist import barrier, get_rank
from eng.logging import print_log

from ._downloads import downloaded
from ._metainfo import restore_metainfo
from ._read import read_checkpoint, reading
from ._safetensors import is_safetensors, open_safetensors
from ._stored import StoredTensor
from ._zoo import address, get_external_models, get_mmcls_models, get_torchvision_models, renamed_models

__all__ = ["CheckpointLoader"]

Loader = Callable[..., Any]
F = TypeVar("F", bound=Loader)


class CheckpointLoader:
    """Reads checkpoints from files, web addresses and model zoos.

    The prefix of the name (``https://``, ``s3://``, ``torchvision://`` ...) selects the function that reads the
    checkpoint. Functions for further prefixes can be registered with :meth:`register_scheme`.

    Examples:
        >>> @CheckpointLoader.register_scheme(prefixes="toy://", force=True)
        ... def load_toy(filename, map_location=None):
        ...     return {"state_dict": {}, "from": filename}
        >>> CheckpointLoader.load_checkpoint("toy://zebra", logger="silent")["from"]
        'toy://zebra'
    """

    _schemes: ClassVar[dict[str, Loader]] = {}

    @classmethod
    def register_scheme(
        cls, prefixes: str | Sequence[str], loader: Loader | None = None, force: bool = False
    ) -> Callable[[F], F]:
        """Registers a function that loads the checkpoints whose names begin with one of `prefixes`.

        Without `loader`, a decorator is returned, which registers the decorated function.

        Args:
            prefixes: one or several prefixes. If several registered prefixes match a name, the longest one is used.
            loader: function with the arguments ``filename`` and ``map_location``.
            force: whether to replace a loader that is registered for a prefix already.

        Raises:
            KeyError: a prefix has a loader already, and `force` is False.
        """
        if loader is None:

            def register(decorated: F) -> F:
                cls.register_scheme(prefixes, decorated, force)
                return decorated

            return register
        if isinstance(prefixes, str):
            prefixes = [prefixes]
        for prefix in prefixes:
            if prefix in cls._schemes and not force:
                raise KeyError(
                    f"{prefix!r} has a loader already, {cls._schemes[prefix].__name__}; force=True replaces it"
                )
            cls._schemes[prefix] = loader
        return lambda decorated: decorated

    @classmethod
    def _get_checkpoint_loader(cls, path: str) -> Loader:
        matches = ((prefix, re.match(prefix, path)) for prefix in cls._schemes)
        # The longest prefix that matches a name is used. Of two equally long prefixes, the one without special
        # characters of regular expressions is used.
        weights = {prefix: (match.end(), path.startswith(prefix)) for prefix, match in matches if match}
        return cls._schemes[max(weights, key=weights.__getitem__)]

    @classmethod
    def load_checkpoint(
        cls,
        filename: str | os.PathLike[str],
        map_location: Any = None,
        logger: Any = "current",
        trust: bool = False,
        verify: bool = True,
    ) -> Any:
        """Reads a checkpoint with the loader that is registered for the prefix of `filename`.

        Args:
            filename: path or address of the checkpoint.
            map_location: see :func:`torch.load`.
            logger: logger for a line that names the checkpoint and the loader, see :func:`eng.logging.print_log`.
            trust: whether code in the file may run; for files whose author you trust.
            verify: whether to compare the file with its checksums while it is read.

        Raises:
            UntrustedCheckpointError: the file holds types that are not known to be harmless.
            BrokenCheckpointError: the file is cut short or damaged.
            FileNotFoundError: the file does not exist.
        """
        name = os.fspath(filename)
        loader = cls._get_checkpoint_loader(name)
        scheme = loader.__name__.removeprefix("load_from_")
        # A Runner logs the name of the checkpoint that it loads. The line that is logged here would repeat the name in
        # the log of the run, so it has the level DEBUG.
        level = logging.INFO
        if logger == "current":
            level = logging.DEBUG
        print_log(f"Checkpoint {name}: read by the loader {scheme!r}", logger=logger, level=level)
        with reading(trust, verify):
            checkpoint = loader(name, map_location=map_location)
        restore_metainfo(checkpoint)
        return checkpoint


@CheckpointLoader.register_scheme(prefixes="")
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Loads a local file, a local safetensors file, or a folder of safetensors files with Hugging Face's index."""
    if is_safetensors(filename):
        stored = open_safetensors(Path(filename).expanduser())
        return {"state_dict": {name: _load_tensor(tensor, map_location) for name, tensor in stored.items()}}
    return read_checkpoint(Path(filename).expanduser(), map_location, name=filename)


def _load_tensor(stored: StoredTensor, map_location: Any) -> torch.Tensor:
    """Returns a tensor of a safetensors file on the device that `map_location` selects.

    On the CPU the values stay in the file (memory-mapped) until they are used.
    """
    tensor = stored.pieces[0].open()
    if isinstance(map_location, str | torch.device):
        return tensor.to(map_location)
    return tensor


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"))
def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool | None = None
) -> Any:
    """Downloads a file from the web into torch's cache of downloads, and loads it.

    If the file name ends in a hash of the content, the download is compared with it. Any other file is cached per
    address, and downloaded again if it has changed on the server.

    Args:
        filename: address of the file.
        map_location: see :func:`torch.load`.
        model_dir: folder of the cache; None (default) is torch's.
        progress: whether to show a progress bar; None (default) shows one on rank 0.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / "checkpoints")
    if progress is None:
        progress = get_rank() == 0
    # Rank 0 downloads while the other ranks wait at the barrier; afterwards these get the path from the cache.
    if get_rank() == 0:
        path = downloaded(filename, folder, progress)
    barrier()
    if get_rank() != 0:
        path = downloaded(filename, folder, False)
    return read_checkpoint(path, map_location, name=filename)


@CheckpointLoader.register_scheme(prefixes=(r"[A-Za-z0-9][A-Za-z0-9+.\-]*://", r"(\S+:)?s3:"))
def load_from_storage(filename: str, map_location: Any = None, backend_args: dict[str, Any] | None = None) -> Any:
    """Loads a file from a storage of :mod:`eng.fileio`: ``s3://``, ``gs://``, ``memory://`` or another fsspec scheme."""
    from eng.fileio import get

    return read_checkpoint(BytesIO(get(filename, backend_args=backend_args)), map_location, name=filename)


@CheckpointLoader.register_scheme(prefixes=("modelzoo://", "torchvision://"))
def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Loads weights of torchvision by name, such as ``torchvision://resnet50``."""
    name = filename.partition("://")[2]
    return load_from_http(address(name, get_torchvision_models(), "torchvision"), map_location)


@CheckpointLoader.register_scheme(prefixes=("open-mmlab://", "openmmlab://"))
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Loads published weights of OpenMMLab's libraries by name, such as ``open-mmlab://NAME``.

    The addresses of the weights are those in :func:`get_external_models`.
    """
    table = {**renamed_models(), **get_external_models()}
    return _from_zoo(filename, table, "open-mmlab", map_location)


@CheckpointLoader.register_scheme(prefixes="mmcls://")
def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Loads the backbone of an image classifier by its name in the table of :func:`get_mmcls_models`.

    The prefix ``backbone.`` is removed from the keys. A checkpoint without such keys is returned with all its weights.
    """
    checkpoint = _from_zoo(filename, get_mmcls_models(), "mmcls", map_location)
    weights = checkpoint.get("state_dict", checkpoint)
    backbone = {key[len("backbone.") :]: value for key, value in weights.items() if key.startswith("backbone.")}
    return {"state_dict": backbone or weights}


def _from_zoo(filename: str, table: dict[str, str], source: str, map_location: Any) -> Any:
    location = address(filename.partition("://")[2], table, source)
    return CheckpointLoader.load_checkpoint(location, map_location, logger="silent")
