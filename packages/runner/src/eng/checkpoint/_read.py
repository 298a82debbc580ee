"""Reading a checkpoint without running code from it."""

from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from ._allow import allowed_types
from .errors import BrokenCheckpointError, UntrustedCheckpointError

_TRUSTED: ContextVar[bool] = ContextVar("eng_checkpoint_trusted", default=False)
# torch keeps the list of allowed types in one table of the process.
_ALLOW_LOCK = threading.RLock()
_CULPRIT = re.compile(r"(?:GLOBAL|function|class|type) ['\"]?([A-Za-z_][\w.]*)")
_PICKLE = b"\x80"


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Within it, :func:`read_checkpoint` loads anything if `trust`; also what loaders called inside read."""
    token = _TRUSTED.set(trust or _TRUSTED.get())
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def read_checkpoint(
    source: str | Path | BytesIO, map_location: Any = None, name: str | None = None, mmap: bool = False
) -> Any:
    """What is in a checkpoint file.

    Args:
        source: path on this machine, or the bytes.
        map_location: as for :func:`torch.load`.
        name: for messages, where `source` is not what the user asked for.
        mmap: whether tensors stay in the file until they are used.

    Raises:
        UntrustedCheckpointError: it holds types that are not known to be harmless.
        BrokenCheckpointError: it is cut short, damaged or of another kind.
        FileNotFoundError: there is no such file.
    """
    shown = name or (str(source) if isinstance(source, str | Path) else "the checkpoint")
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise FileNotFoundError(f"there is no checkpoint file {shown}")
    if _TRUSTED.get():
        return _load(source, shown, map_location, mmap, weights_only=False)
    with _ALLOW_LOCK, torch.serialization.safe_globals(list(allowed_types())):
        return _load(source, shown, map_location, mmap, weights_only=True)


def _load(source: Any, shown: str, map_location: Any, mmap: bool, weights_only: bool) -> Any:
    try:
        return torch.load(source, map_location=map_location, weights_only=weights_only, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise _refusal(shown, _first_byte(source), str(error)) from error
    except AttributeError as error:
        if "may not read the attribute" not in str(error):
            raise
        raise UntrustedCheckpointError(shown, "builtins.getattr") from error
    except (EOFError, RuntimeError, KeyError, IndexError, OSError, ValueError) as error:
        # torch reports a damaged archive as a RuntimeError; a missing device is one too and is not the file's fault.
        if "deserialize object on" in str(error):
            raise
        # A lookup that fails is torch taking bytes for a pickle: its text is the byte.
        is_lookup = isinstance(error, LookupError)
        reason = "it is nothing that torch wrote" if is_lookup else _first_line(error)
        raise BrokenCheckpointError(shown, reason) from error


def _refusal(shown: str, first_byte: bytes, text: str) -> Exception:
    """Whether torch's refusal is about what the file wants to call, or about bytes that are no pickle."""
    reason = " ".join(text.rpartition("WeightsUnpickler error:")[2].split()).partition(" Check the documentation")[0]
    found = _CULPRIT.search(reason)
    if found:
        return UntrustedCheckpointError(shown, found.group(1))
    if first_byte in (b"P", _PICKLE) and "invalid load key" not in reason and "truncated" not in reason:
        return UntrustedCheckpointError(shown, f"something that torch does not name ({reason[:200]})")
    return BrokenCheckpointError(shown, f"it is nothing that torch wrote ({reason[:200]})")


def _first_byte(source: Any) -> bytes:
    if isinstance(source, BytesIO):
        return source.getvalue()[:1]
    with Path(source).open("rb") as file:
        head = file.read(4)
    return b"" if head[:1] == b"P" and head != b"PK\x03\x04" else head[:1]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
