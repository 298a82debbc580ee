"""From a name to a checkpoint: local files, the web, object stores, model zoos."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from eng.dist import barrier, get_rank, get_world_size
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
    """Loads checkpoints from wherever their names lead; new prefixes can be registered.

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
        """Registers a loader for names that begin with one of `prefixes`; a decorator without `loader`.

        Args:
            prefixes: one or several; the longest that fits a name wins.
            loader: takes ``filename`` and ``map_location``.
            force: whether a loader registered before is replaced.

        Raises:
            KeyError: a prefix is taken and `force` is False.
        """
        if loader is None:

            def register(decorated: F) -> F:
                cls.register_scheme(prefixes, decorated, force)
                return decorated

            return register
        for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
            if prefix in cls._schemes and not force:
                raise KeyError(
                    f"{prefix!r} has a loader already, {cls._schemes[prefix].__name__}; force=True replaces it"
                )
            cls._schemes[prefix] = loader
        return lambda decorated: decorated

    @classmethod
    def _get_checkpoint_loader(cls, path: str) -> Loader:
        matches = ((prefix, re.match(prefix, path)) for prefix in cls._schemes)
        # The longest match wins; of equal ones the prefix that is no pattern but stands in the name as it is.
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
        """What is in the checkpoint that `filename` leads to.

        Args:
            filename: path or address.
            map_location: as for :func:`torch.load`.
            logger: where a line about it goes, see :func:`eng.logging.print_log`.
            trust: whether code in the file may run; for files whose author you trust.
            verify: whether the file is held against the checksums in it.

        Raises:
            UntrustedCheckpointError: it holds types that are not known to be harmless.
            BrokenCheckpointError: it is cut short or damaged.
            FileNotFoundError: there is none.
        """
        name = os.fspath(filename)
        loader = cls._get_checkpoint_loader(name)
        scheme = loader.__name__.removeprefix("load_from_")
        level = logging.DEBUG if logger == "current" else logging.INFO  # a run says which checkpoint it loads
        print_log(f"Checkpoint {name}: read by the loader {scheme!r}", logger=logger, level=level)
        with reading(trust, verify):
            checkpoint = loader(name, map_location=map_location)
        restore_metainfo(checkpoint)
        return checkpoint


@CheckpointLoader.register_scheme(prefixes="")
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """From a file of this machine, or safetensors: a file, or a folder with Hugging Face's index."""
    if is_safetensors(filename):
        stored = open_safetensors(Path(filename).expanduser())
        return {"state_dict": {name: _placed(tensor, map_location) for name, tensor in stored.items()}}
    return read_checkpoint(Path(filename).expanduser(), map_location, name=filename)


def _placed(stored: StoredTensor, map_location: Any) -> torch.Tensor:
    """The tensor on a device; on the CPU its values stay in the file until they are used."""
    tensor = stored.pieces[0].open()
    return tensor.to(map_location) if isinstance(map_location, str | torch.device) else tensor


@CheckpointLoader.register_scheme(prefixes=("http://", "https://"))
def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool | None = None
) -> Any:
    """From the web. The file is kept in torch's cache of downloads.

    The hash in its name is checked. A file without one is kept per address, and fetched again where it has changed.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / "checkpoints")
    shown = get_rank() == 0 if progress is None else progress
    if get_rank() == 0 or get_world_size() == 1:
        path = downloaded(filename, folder, shown)
    barrier()
    return read_checkpoint(
        path if get_rank() == 0 else downloaded(filename, folder, False), map_location, name=filename
    )


@CheckpointLoader.register_scheme(prefixes=(r"[A-Za-z0-9][A-Za-z0-9+.\-]*://", r"(\S+:)?s3:"))
def load_from_storage(filename: str, map_location: Any = None, backend_args: dict[str, Any] | None = None) -> Any:
    """From any storage of :mod:`eng.fileio`: ``s3://``, ``gs://``, ``memory://`` and the other fsspec schemes."""
    from eng.fileio import get

    return read_checkpoint(BytesIO(get(filename, backend_args=backend_args)), map_location, name=filename)


@CheckpointLoader.register_scheme(prefixes=("modelzoo://", "torchvision://"))
def load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Weights of torchvision by name, such as ``torchvision://resnet50``."""
    name = filename.partition("://")[2]
    return load_from_http(address(name, get_torchvision_models(), "torchvision"), map_location)


@CheckpointLoader.register_scheme(prefixes=("open-mmlab://", "openmmlab://"))
def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Weights by name out of :func:`get_external_models`."""
    table = {**renamed_models(), **get_external_models()}
    return _from_zoo(filename, table, "open-mmlab", map_location)


@CheckpointLoader.register_scheme(prefixes="mmcls://")
def load_from_mmcls(filename: str, map_location: Any = None) -> Any:
    """Backbone of an image classifier by name, out of :func:`get_mmcls_models`."""
    checkpoint = _from_zoo(filename, get_mmcls_models(), "mmcls", map_location)
    weights = checkpoint.get("state_dict", checkpoint)
    backbone = {key[len("backbone.") :]: value for key, value in weights.items() if key.startswith("backbone.")}
    return {"state_dict": backbone or weights}


def _from_zoo(filename: str, table: dict[str, str], source: str, map_location: Any) -> Any:
    location = address(filename.partition("://")[2], table, source)
    return CheckpointLoader.load_checkpoint(location, map_location, logger="silent")
