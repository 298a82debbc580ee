"""Load the weights of a checkpoint into a model."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ._loader import CheckpointLoader
from ._match import LoadReport, load_state_dict
from ._text import visible
from .torch_internals import module_versions, set_module_versions

__all__ = ["_load_checkpoint", "_load_checkpoint_to_model", "_load_checkpoint_with_prefix", "load_checkpoint"]

ReviseKeys = Sequence[tuple[str, str]]
_NO_DATA_PARALLEL: list[tuple[str, str]] = [(r"^module\.", "")]
"""Default renaming: weights that were saved from a data-parallel wrapper have names that begin with ``module.``."""


def _load_checkpoint(
    filename: str | os.PathLike[str],
    map_location: Any = None,
    logger: Any = None,
    trust: bool = False,
    verify: bool = True,
) -> Any:
    """Reads a checkpoint without loading it into a model; see :meth:`CheckpointLoader.load_checkpoint`."""
    if logger is None:
        logger = "silent"
    return CheckpointLoader.load_checkpoint(filename, map_location, logger=logger, trust=trust, verify=verify)


def _load_checkpoint_with_prefix(
    prefix: str, filename: str | os.PathLike[str], map_location: Any = None
) -> OrderedDict[str, Any]:
    """Returns the weights of one submodule from a checkpoint, under the keys that they have in the submodule.

    Args:
        prefix: name of the submodule, such as ``backbone``, with or without a dot at its end. It is removed from the
            keys.
        filename: path or address of the checkpoint.
        map_location: see :func:`torch.load`.

    Raises:
        KeyError: no key begins with the prefix.
    """
    weights = _weights(_load_checkpoint(filename, map_location), filename)
    if not prefix.endswith("."):
        prefix = f"{prefix}."
    part = OrderedDict((key[len(prefix) :], value) for key, value in weights.items() if key.startswith(prefix))
    if not part:
        tops = sorted({key.split(".", 1)[0] for key in weights})
        raise KeyError(
            f"no key of {os.fspath(filename)} begins with {prefix!r}; they begin with {visible(', '.join(tops[:20]))}"
        )
    return part


def _load_checkpoint_to_model(
    model: nn.Module,
    checkpoint: Any,
    strict: bool = False,
    logger: Any = None,
    revise_keys: ReviseKeys = _NO_DATA_PARALLEL,
    on_report: Callable[[LoadReport], object] | None = None,
) -> Any:
    """Loads the weights of a checkpoint that is in memory into a model.

    The arguments are those of :func:`load_checkpoint`, which reads a file.
    """
    weights = _weights(checkpoint, "the checkpoint")
    renamed = OrderedDict((_rename_key(key, revise_keys), value) for key, value in weights.items())
    set_module_versions(renamed, module_versions(weights) or OrderedDict())
    report = load_state_dict(model, renamed, strict, logger)
    if on_report is not None:
        on_report(report)
    return checkpoint


def load_checkpoint(
    model: nn.Module | str | os.PathLike[str],
    filename: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    strict: bool = False,
    logger: Any = None,
    revise_keys: ReviseKeys = _NO_DATA_PARALLEL,
    *,
    trust: bool = False,
    verify: bool = True,
    on_report: Callable[[LoadReport], object] | None = None,
) -> Any:
    """Loads the weights of a checkpoint into a model. ``load_checkpoint(filename)`` reads a checkpoint without a model.

    Args:
        model: the model; or, without `filename`, the path or address of a checkpoint to read.
        filename: path or address of the checkpoint, see :class:`CheckpointLoader`.
        map_location: see :func:`torch.load`.
        strict: whether missing keys, unexpected keys and different shapes are an error. False (default) loads the
            weights that match, and reports the others.
        logger: logger for the report on missing keys, unexpected keys and different shapes; None (default) prints it.
        revise_keys: pairs of a regular expression and its replacement, applied in order to the keys of the checkpoint.
        trust: whether code in the file may run; for files whose author you trust.
        verify: whether to compare the file with its checksums while it is read.
        on_report: called with the :class:`LoadReport` after the weights were loaded; its exceptions are not caught.

    Returns:
        the checkpoint.

    Raises:
        UntrustedCheckpointError: the file holds types that are not known to be harmless.
        BrokenCheckpointError: the file is cut short or damaged, or holds no weights.
        StateMismatchError: with `strict`, keys or shapes of the checkpoint do not match the model.
        FileNotFoundError: the file does not exist.

    Examples:
        >>> import tempfile, torch
        >>> path = tempfile.mkdtemp() + "/weights.pth"
        >>> torch.save({"state_dict": nn.Linear(2, 1).state_dict()}, path)
        >>> checkpoint = load_checkpoint(nn.Linear(2, 1), path, on_report=lambda report: print(report.share))
        1.0
    """
    if not isinstance(model, nn.Module):
        return _load_checkpoint(model, map_location, logger, trust, verify)
    if filename is None:
        raise TypeError("load_checkpoint(model, filename) needs the name of a file")
    checkpoint = _load_checkpoint(filename, map_location, logger, trust, verify)
    _weights(checkpoint, filename)
    return _load_checkpoint_to_model(model, checkpoint, strict, logger, revise_keys, on_report)


def _weights(checkpoint: Any, filename: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Returns the weights in a checkpoint: its ``state_dict``, or, without that key, the checkpoint itself.

    Raises:
        BrokenCheckpointError: the weights are no mapping from names to values.
    """
    from .errors import BrokenCheckpointError

    if not isinstance(checkpoint, Mapping):
        raise BrokenCheckpointError(
            os.fspath(filename), f"it holds a {type(checkpoint).__name__}, not a mapping of weights"
        )
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping):
        raise BrokenCheckpointError(
            os.fspath(filename), f"its 'state_dict' is a {type(weights).__name__}, not a mapping"
        )
    if not all(isinstance(key, str) for key in weights):
        raise BrokenCheckpointError(os.fspath(filename), "its weights have names that are no texts")
    return weights


def _rename_key(key: str, revise_keys: ReviseKeys) -> str:
    for pattern, replacement in revise_keys:
        key = re.sub(pattern, replacement, key)
    return key
