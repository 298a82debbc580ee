"""Loading a checkpoint into a model."""

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
"""Weights saved from inside a data-parallel wrapper are renamed by default."""


def _load_checkpoint(
    filename: str | os.PathLike[str],
    map_location: Any = None,
    logger: Any = None,
    trust: bool = False,
    verify: bool = True,
) -> Any:
    """What is in a checkpoint; see :meth:`CheckpointLoader.load_checkpoint`."""
    return CheckpointLoader.load_checkpoint(
        filename, map_location, logger="silent" if logger is None else logger, trust=trust, verify=verify
    )


def _load_checkpoint_with_prefix(
    prefix: str, filename: str | os.PathLike[str], map_location: Any = None
) -> OrderedDict[str, Any]:
    """The part of a checkpoint's weights whose keys begin with `prefix`, without it.

    Args:
        prefix: such as ``backbone.``; the dot may be left out.
        filename: path or address.
        map_location: as for :func:`torch.load`.

    Raises:
        KeyError: no key begins with it.
    """
    weights = _weights(_load_checkpoint(filename, map_location), filename)
    prefix = prefix if prefix.endswith(".") else f"{prefix}."
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
    """Loads the weights of a checkpoint that was read before; arguments as in :func:`load_checkpoint`."""
    weights = _weights(checkpoint, "the checkpoint")
    renamed = OrderedDict((_revised(key, revise_keys), value) for key, value in weights.items())
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
    """Loads a checkpoint's weights into a model; with a file name alone, just reads it.

    Args:
        model: the model. A path or address in its place means ``load_checkpoint(filename)``.
        filename: path or address, see :class:`CheckpointLoader`.
        map_location: as for :func:`torch.load`.
        strict: whether anything that does not fit is an error.
        logger: where what does not fit is reported; printed by default.
        revise_keys: pairs of a regular expression and what replaces it in the keys, applied in order.
        trust: whether code in the file may run; for files whose author you trust.
        verify: whether the file is held against the checksums in it, at no second reading.
        on_report: gets the :class:`LoadReport`; what it raises stops the load's caller.

    Returns:
        The checkpoint.

    Raises:
        UntrustedCheckpointError: the file holds types that are not known to be harmless.
        BrokenCheckpointError: it is cut short or damaged, or holds no weights.
        StateMismatchError: something does not fit and `strict`.
        FileNotFoundError: there is no such file.

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
    """The weights in a checkpoint: under ``state_dict``, or the checkpoint itself.

    Raises:
        BrokenCheckpointError: it is no mapping.
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


def _revised(key: str, revise_keys: ReviseKeys) -> str:
    for pattern, replacement in revise_keys:
        key = re.sub(pattern, replacement, key)
    return key
