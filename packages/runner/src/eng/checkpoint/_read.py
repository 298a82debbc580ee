"""Reading a checkpoint without running code from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from eng.logging.progress import LONG_LOAD_S, open_bar

from ._allow import allowed_types
from ._archive import Archive, is_archive
from ._legacy import read_legacy
from ._machine import MalformedPickleError, NameRefusedError, PickleMachine
from ._tensors import Storage, storage_reference
from ._window import Window
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["read_checkpoint", "read_mapped_part", "reading"]

_MB = 1_000_000


@dataclass(frozen=True)
class _Policy:
    """Whether code in files may run, and whether checksums are looked at."""

    trust: bool = False
    verify: bool = True


_POLICY: ContextVar[_Policy] = ContextVar("eng_checkpoint_policy", default=_Policy())  # noqa: B039  # frozen


@contextmanager
def reading(trust: bool = False, verify: bool = True) -> Iterator[None]:
    """Within it, :func:`read_checkpoint` loads anything if `trust`; also what loaders called inside read.

    Args:
        trust: whether code in files may run.
        verify: whether files are held against their checksums.
    """
    outer = _POLICY.get()
    token = _POLICY.set(_Policy(trust or outer.trust, verify and outer.verify))
    try:
        yield
    finally:
        _POLICY.reset(token)


def read_checkpoint(
    source: str | Path | BytesIO,
    map_location: Any = None,
    name: str | None = None,
    mmap: bool = False,
    verify: bool | None = None,
) -> Any:
    """What is in a checkpoint file.

    Args:
        source: path on this machine, or the bytes.
        map_location: as for :func:`torch.load`.
        name: for messages, where `source` is not what the user asked for.
        mmap: whether tensors stay in the file until they are used, where its format allows that; they are not verified
            then.
        verify: whether each record is held against the checksum stored with it. None (default) does so, unless a
            surrounding :func:`load_checkpoint` was told not to. Files of before torch 1.6 have no checksums.

    Raises:
        UntrustedCheckpointError: it holds types that are not known to be harmless.
        BrokenCheckpointError: it is cut short, damaged or of another kind.
        FileNotFoundError: there is no such file.
    """
    shown = name or (str(source) if isinstance(source, str | Path) else "the checkpoint")
    policy = _POLICY.get()
    checks = policy.verify if verify is None else verify
    if isinstance(source, BytesIO):
        source.seek(0)
        return _read(source, shown, map_location, None, checks, policy.trust)
    if not Path(source).is_file():
        raise FileNotFoundError(f"there is no checkpoint file {shown}")
    with Path(source).open("rb") as file:
        return _read(
            file, shown, map_location, str(source) if mmap and can_be_mapped(source) else None, checks, policy.trust
        )


def read_mapped_part(path: Path, offset: int, length: int) -> Any:
    """What ``torch.save`` wrote into a part of a file; tensors are mapped into memory, and not verified.

    Args:
        path: of the file.
        offset: first byte of the part.
        length: number of its bytes.

    Raises:
        UntrustedCheckpointError, BrokenCheckpointError: see :func:`read_checkpoint`.
    """
    memory: Any = torch.UntypedStorage.from_file(str(path), False, offset + length)
    with path.open("rb") as file:
        window = cast("BinaryIO", BufferedReader(Window(file, offset, length)))
        return _read(window, str(path), "cpu", None, False, False, memory[offset : offset + length])


class _DeviceError(Exception):
    """Placing a storage on a device failed, which is not the file's fault.

    Attributes:
        failure: what was raised.
    """

    def __init__(self, failure: Exception) -> None:
        super().__init__(failure)
        self.failure = failure


def _read(
    file: BinaryIO,
    shown: str,
    map_location: Any,
    mapped: str | None,
    verify: bool,
    trust: bool,
    memory: torch.UntypedStorage | None = None,
) -> Any:
    """Reads an open checkpoint file in either format; whatever a damaged file raises becomes a BrokenCheckpointError."""
    try:
        if not file.read(1):
            raise BrokenCheckpointError(shown, "it is empty")
        file.seek(0)
        archive = Archive(file, shown, verify) if is_archive(file) else None
        if trust:
            return _read_trusted(file, archive, map_location, mapped, verify)
        if archive is None:
            return read_legacy(file, allowed_types(), _mover(map_location))
        if archive.is_program:
            raise UntrustedCheckpointError(shown, "a TorchScript program")
        if mapped is not None:
            mapping: Any = torch.UntypedStorage.from_file(mapped, False, archive.size_bytes)
            memory = mapping
        storages = _Storages(archive, _mover(map_location), memory, shown)
        with storages.bar:
            return _without_bare_storages(PickleMachine(archive.pickle(), allowed_types(), storages.on_device).load())
    except NameRefusedError as error:
        raise UntrustedCheckpointError(shown, error.name) from error
    except MalformedPickleError as error:
        raise BrokenCheckpointError(shown, str(error)) from error
    except (BrokenCheckpointError, UntrustedCheckpointError, ModuleNotFoundError):
        raise
    except _DeviceError as error:
        raise error.failure from None
    except Exception as error:
        # Constructors get whatever arguments a damaged file has, and raise whatever they raise for them.
        raise BrokenCheckpointError(shown, _reason(error)) from error


def _read_trusted(file: BinaryIO, archive: Archive | None, map_location: Any, mapped: str | None, verify: bool) -> Any:
    if archive is not None and verify and not mapped:
        archive.check()
    file.seek(0)
    can_map = archive is not None and mapped is not None
    source: Any = mapped if can_map else file
    return torch.load(source, map_location=map_location, weights_only=False, mmap=can_map)


def can_be_mapped(path: str | Path) -> bool:
    """Whether torch can map the file into memory: its C++ reader takes the path as UTF-8.

    In a locale that is not UTF-8, Python holds the other bytes of a path as surrogates, which UTF-8 cannot encode.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Storages:
    """The storages of an archive, each read once."""

    def __init__(
        self,
        archive: Archive,
        move: Callable[..., torch.UntypedStorage],
        memory: torch.UntypedStorage | None,
        shown: str,
    ) -> None:
        self._archive = archive
        self._move = move
        self._read: dict[str, Storage] = {}
        self._left = archive.size_bytes
        self._whole = memory
        total = -(-archive.size_bytes // _MB)
        self.bar = open_bar(f"load {Path(shown).name}", total, unit="MB", delay_seconds=LONG_LOAD_S)

    def on_device(self, _: PickleMachine, identity: Any) -> Storage:
        """The storage that a pickle refers to, on its device."""
        key, dtype, location, length = storage_reference(identity)
        if key not in self._read:
            self._left -= length * dtype.itemsize
            if self._left < 0:
                raise MalformedPickleError("it refers to more storage than the file is long")
            if self._whole is not None:
                memory = self._archive.mapped_storage(self._whole, key, dtype, length)
            else:
                memory = self._archive.storage(key, dtype, length)
            self._read[key] = Storage(self._move(memory, location), dtype)
            self.bar.update((self._archive.size_bytes - self._left) // _MB)
        return self._read[key]


def _mover(map_location: Any) -> Callable[[torch.UntypedStorage, str], torch.UntypedStorage]:
    """What moves a storage to its device, by the rules of :func:`torch.load`."""
    restore: Callable[..., Any] = torch.serialization.default_restore_location

    def move(memory: torch.UntypedStorage, location: str) -> Any:
        _check_location(location)
        try:
            if map_location is None:
                return restore(memory, location)
            if isinstance(map_location, dict):
                return restore(memory, map_location.get(location, location))
            if isinstance(map_location, str | torch.device):
                return restore(memory, str(map_location))
            moved = map_location(memory, location)
            return restore(memory, location) if moved is None else moved
        except Exception as error:
            raise _DeviceError(error) from error

    return move


def _check_location(location: str) -> None:
    """Makes sure that a file names a device, which may be missing here.

    Raises:
        MalformedPickleError: it names none.
    """
    try:
        torch.device(location)
    except RuntimeError as error:
        raise MalformedPickleError(f"it was saved on the device {location[:50]!r}, which is none") from error


def _without_bare_storages(value: Any) -> Any:
    """The value; storages that stand in it without a tensor are refused.

    Raises:
        NameRefusedError: it has one.
    """
    waiting, seen = [value], set()
    while waiting:
        current = waiting.pop()
        if isinstance(current, Storage):
            raise NameRefusedError("torch.storage.UntypedStorage")
        if id(current) in seen:
            continue
        if isinstance(current, dict):
            seen.add(id(current))
            waiting.extend(current.values())
        elif isinstance(current, list | tuple):
            seen.add(id(current))
            waiting.extend(current)
    return value


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__
