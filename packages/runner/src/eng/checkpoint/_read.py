"""Read a checkpoint file without running code from the file."""

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
    """Whether code in checkpoint files may run (``trust``), and whether checksums are compared (``verify``)."""

    trust: bool = False
    verify: bool = True


_POLICY: ContextVar[_Policy] = ContextVar("eng_checkpoint_policy", default=_Policy())  # noqa: B039  # _Policy is frozen


@contextmanager
def reading(trust: bool = False, verify: bool = True) -> Iterator[None]:
    """Sets whether checkpoint files are trusted and verified while the ``with`` block runs.

    The settings hold for every call of :func:`read_checkpoint` in the block, also for calls by loaders of other
    packages, which have no such arguments. A nested block cannot withdraw the trust of the outer block, nor switch
    verification on if the outer block has switched it off.

    Args:
        trust: whether code in checkpoint files may run.
        verify: whether checkpoint files are compared with their checksums.
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
    """Reads a checkpoint file without running code from the file.

    Args:
        source: local path of the file, or its bytes.
        map_location: see :func:`torch.load`.
        name: name of the checkpoint in error messages, if it differs from `source`.
        mmap: whether tensors stay in the file (memory-mapped) until they are used, if the format allows it. Such
            tensors are not compared with their checksums.
        verify: whether to compare each record with its checksum. None (default) compares, unless a surrounding
            :func:`reading` or :func:`load_checkpoint` has set ``verify=False``. Files of torch before 1.6 have no
            checksums.

    Raises:
        UntrustedCheckpointError: the file holds types that are not known to be harmless.
        BrokenCheckpointError: the file is cut short or damaged, or no checkpoint.
        FileNotFoundError: the file does not exist.
    """
    policy = _POLICY.get()
    if verify is None:
        verify = policy.verify
    if isinstance(source, BytesIO):
        source.seek(0)
        return _read(source, name or "the checkpoint", map_location, None, verify, policy.trust)
    shown = name or str(source)
    if not Path(source).is_file():
        raise FileNotFoundError(f"there is no checkpoint file {shown}")
    mapped_path = None
    if mmap and can_be_mapped(source):
        mapped_path = str(source)
    with Path(source).open("rb") as file:
        return _read(file, shown, map_location, mapped_path, verify, policy.trust)


def read_mapped_part(path: Path, offset: int, length: int) -> Any:
    """Reads a ``torch.save`` archive that is a part of a larger file, such as a rank's file of a sharded checkpoint.

    The tensors are memory-mapped, so they are not compared with their checksums.

    Args:
        path: path of the larger file.
        offset: position of the part's first byte in the file.
        length: number of bytes in the part.

    Raises:
        UntrustedCheckpointError, BrokenCheckpointError: see :func:`read_checkpoint`.
    """
    memory: Any = torch.UntypedStorage.from_file(str(path), False, offset + length)
    with path.open("rb") as file:
        window = cast("BinaryIO", BufferedReader(Window(file, offset, length)))
        return _read(window, str(path), "cpu", None, False, False, memory[offset : offset + length])


class _DeviceError(Exception):
    """Moving a storage to a device failed, for example because the device has no free memory.

    The error is kept apart from the errors of reading, because it does not mean that the checkpoint file is damaged.

    Attributes:
        failure: the original exception.
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
    """Reads an open checkpoint file in torch's zip format, or in the format of torch before 1.6.

    If the bytes of a damaged file cause an exception of any type, a BrokenCheckpointError is raised instead.
    """
    try:
        if not file.read(1):
            raise BrokenCheckpointError(shown, "it is empty")
        file.seek(0)
        archive = None
        if is_archive(file):
            archive = Archive(file, shown, verify)
        if trust:
            return _read_trusted(file, archive, map_location, mapped, verify)
        if archive is None:
            return read_legacy(file, allowed_types(), _mover_to(map_location))
        if archive.is_program:
            raise UntrustedCheckpointError(shown, "a TorchScript program")
        if mapped is not None:
            mapping: Any = torch.UntypedStorage.from_file(mapped, False, archive.size_bytes)
            memory = mapping
        storages = _Storages(archive, _mover_to(map_location), memory, shown)
        with storages.bar:
            checkpoint = PickleMachine(archive.pickle(), allowed_types(), storages.on_device).load()
        _refuse_bare_storages(checkpoint)
        return checkpoint
    except NameRefusedError as error:
        raise UntrustedCheckpointError(shown, error.name) from error
    except MalformedPickleError as error:
        raise BrokenCheckpointError(shown, str(error)) from error
    except (BrokenCheckpointError, UntrustedCheckpointError, ModuleNotFoundError):
        raise
    except _DeviceError as error:
        raise error.failure from None
    except Exception as error:
        # A damaged file may pass any arguments to the functions that construct its objects, and these functions may
        # raise any exception.
        raise BrokenCheckpointError(shown, _reason(error)) from error


def _read_trusted(file: BinaryIO, archive: Archive | None, map_location: Any, mapped: str | None, verify: bool) -> Any:
    if archive is not None and verify and not mapped:
        archive.check()
    file.seek(0)
    if archive is None or mapped is None:
        return torch.load(file, map_location=map_location, weights_only=False, mmap=False)
    return torch.load(mapped, map_location=map_location, weights_only=False, mmap=True)


def can_be_mapped(path: str | Path) -> bool:
    """Whether torch can memory-map the file `path`: torch's C++ code needs a path that can be encoded as UTF-8.

    A path with bytes that are not valid in the current locale cannot: Python represents such bytes as surrogates.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Storages:
    """Reads the storages of a checkpoint archive.

    A storage is read when the pickle first refers to it, and kept for later references.
    """

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
        self._mapped_file = memory
        total = -(-archive.size_bytes // _MB)
        self.bar = open_bar(f"load {Path(shown).name}", total, unit="MB", delay_seconds=LONG_LOAD_S)

    def on_device(self, _: PickleMachine, identity: Any) -> Storage:
        """Returns the storage that the pickle refers to, on the device that ``map_location`` selects.

        Raises:
            MalformedPickleError: all storages together are larger than the file.
        """
        key, dtype, location, length = storage_reference(identity)
        if key not in self._read:
            self._left -= length * dtype.itemsize
            if self._left < 0:
                raise MalformedPickleError("it refers to more storage than the file is long")
            if self._mapped_file is not None:
                memory = self._archive.mapped_storage(self._mapped_file, key, dtype, length)
            else:
                memory = self._archive.storage(key, dtype, length)
            self._read[key] = Storage(self._move(memory, location), dtype)
            self.bar.update((self._archive.size_bytes - self._left) // _MB)
        return self._read[key]


def _mover_to(map_location: Any) -> Callable[[torch.UntypedStorage, str], torch.UntypedStorage]:
    """Returns a function that moves a storage to its device by the rules of ``map_location`` of :func:`torch.load`."""
    restore: Callable[..., Any] = torch.serialization.default_restore_location

    def move(memory: torch.UntypedStorage, location: str) -> Any:
        """Moves a storage to the device that ``map_location`` selects; `location` is the device it was saved from."""
        _check_location(location)
        try:
            if map_location is None:
                return restore(memory, location)
            if isinstance(map_location, dict):
                return restore(memory, map_location.get(location, location))
            if isinstance(map_location, str | torch.device):
                return restore(memory, str(map_location))
            moved = map_location(memory, location)
            if moved is None:
                return restore(memory, location)
            return moved
        except Exception as error:
            raise _DeviceError(error) from error

    return move


def _check_location(location: str) -> None:
    """Checks that `location` is a valid device name, such as ``cuda:0``; this machine need not have the device.

    Raises:
        MalformedPickleError: the text is not the name of a device.
    """
    try:
        torch.device(location)
    except RuntimeError as error:
        raise MalformedPickleError(f"it was saved on the device {location[:50]!r}, which is none") from error


def _refuse_bare_storages(value: Any) -> None:
    """Checks that every storage in a checkpoint belongs to a tensor; storages alone are not returned to the caller.

    Raises:
        NameRefusedError: the checkpoint holds a storage outside of a tensor.
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


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if not text:
        return type(error).__name__
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}"
