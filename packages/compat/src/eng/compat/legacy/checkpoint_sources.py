"""Functions of ``mmengine.runner.checkpoint`` that load checkpoints from internal storages, and its constants."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from eng.checkpoint import CheckpointLoader
from eng.checkpoint._loader import load_from_local
from eng.checkpoint._read import read_checkpoint

ENV_MMENGINE_HOME = "MMENGINE_HOME"
ENV_XDG_CACHE_HOME = "XDG_CACHE_HOME"
DEFAULT_CACHE_DIR = "~/.cache"


def load_from_pavi(filename: str, map_location: Any = None) -> Any:
    """Loads the checkpoint of a ``pavi://`` model.

    Raises:
        ImportError: the package pavi is not installed.
    """
    try:
        from pavi import modelcloud  # type: ignore[import-not-found,unused-ignore]  # the package is not published
    except ImportError as error:
        raise ImportError("pavi:// needs the package pavi, which its owners distribute") from error
    model = modelcloud.get(filename.removeprefix("pavi://"))
    with TemporaryDirectory() as folder:
        local = Path(folder) / model.name
        model.download(str(local))
        return load_from_local(str(local), map_location)


def load_from_ceph(filename: str, map_location: Any = None, backend: str = "petrel") -> Any:
    """Loads a checkpoint at an ``s3://`` address by a storage backend.

    Args:
        filename: the address.
        map_location: device of the tensors, see :func:`torch.load`.
        backend: name of a storage backend of :mod:`eng.fileio`.
    """
    from io import BytesIO

    from eng.fileio import get

    content = get(filename, backend_args={"backend": backend})
    return read_checkpoint(BytesIO(content), map_location, name=filename)


def _get_mmengine_home() -> str:
    """Returns the folder of downloaded tables and weights; creates it if it does not exist."""
    cache = os.getenv(ENV_XDG_CACHE_HOME, DEFAULT_CACHE_DIR)
    home = Path(os.getenv(ENV_MMENGINE_HOME, str(Path(cache) / "mmengine"))).expanduser()
    home.mkdir(parents=True, exist_ok=True)
    return str(home)


def _process_mmcls_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Returns the weights of a classifier's backbone, without the prefix ``backbone.``.

    Args:
        checkpoint: a state dict, or a dict that contains one under ``state_dict``.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    prefix = "backbone."
    backbone = OrderedDict((key[len(prefix) :], value) for key, value in weights.items() if key.startswith(prefix))
    return {"state_dict": backbone}


def _save_to_state_dict(module: nn.Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
    """Writes the parameters and persistent buffers of one module into `destination`."""
    module._save_to_state_dict(destination, prefix, keep_vars)  # noqa: SLF001  # torch documents this method


__all__ = ["CheckpointLoader", "load_from_ceph", "load_from_pavi"]
