"""Read torch's distributed checkpoints (folders of shards with metadata) without running code from the files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, LoadPlanner
from torch.distributed.checkpoint.storage import StorageReader
from torch.futures import Future

from ._allow import allowed_types
from ._file_names import METADATA
from ._machine import Constructor, MalformedPickleError, NameRefusedError, PickleMachine, Table
from ._read import read_checkpoint
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["Part", "ShardReader", "read_shard_metadata"]

_CLASSES = {
    "torch.distributed.checkpoint.metadata": (
        "Metadata", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata", "MetadataIndex",
        "StorageMeta", "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
}  # fmt: skip


class _Record:
    """Holds the attributes that a metadata file stores for an object of one of torch's classes.

    A record is constructed instead of the object, so that no code of torch runs on unchecked values.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.state: Any = arguments

    def field(self, name: str, expected: type | tuple[type, ...]) -> Any:
        """Returns the attribute `name` after checking that its type is `expected`.

        Raises:
            MalformedPickleError: the attribute is missing or has another type.
        """
        value = None
        if isinstance(self.state, dict):
            value = self.state.get(name)
        if not isinstance(value, expected):
            raise MalformedPickleError(f"{self.name}.{name} is a {type(value).__name__}")
        return value


@dataclass(frozen=True)
class Part:
    """Where a sharded checkpoint stores one chunk of a tensor: file name in the folder, offset and length in bytes."""

    file: str
    offset: int
    length: int


@cache
def _table() -> Table:
    """Returns the names that the pickle of a metadata file may refer to, with functions that construct the objects.

    For torch's classes of metadata a :class:`_Record` is constructed, so that no code of these classes runs.
    """
    table = {name: entry for name, entry in allowed_types().items() if name.split(".")[0] in ("torch", "pathlib")}
    for module, names in _CLASSES.items():
        for name in names:
            value = type(name, (), {})
            make = _maker(name)
            table[f"{module}.{name}"] = Constructor(value, make, _set_state, (_Record,))
    layouts = table["torch.distributed.checkpoint.metadata._MEM_FORMAT_ENCODING"].value
    table["builtins.getattr"] = Constructor(getattr, _member_maker(layouts))
    return {**table, "collections.OrderedDict": allowed_types()["collections.OrderedDict"]}


def _member_maker(layouts: Any) -> Callable[..., _Record]:
    """Returns a replacement for ``getattr`` in a metadata file, which returns only members of an enumeration.

    Python 3.11.0 to 3.11.3 pickle a member of an enumeration as a call of ``getattr``, and the metadata of a tensor
    contains a member of torch's enumeration of memory formats. `layouts` stands for the enumeration in the pickle.
    """

    def make(_: PickleMachine, *arguments: Any) -> _Record:
        if len(arguments) != 2 or arguments[0] is not layouts or not isinstance(arguments[1], str):
            raise NameRefusedError("builtins.getattr")
        return _Record("_MEM_FORMAT_ENCODING", arguments[1:])

    return make


def _maker(name: str) -> Callable[..., _Record]:
    return lambda _, *arguments: _Record(name, arguments)


def _set_state(_: PickleMachine, record: _Record, state: Any) -> None:
    record.state = state


def read_shard_metadata(folder: str | Path) -> tuple[Metadata, Mapping[MetadataIndex, Part]]:
    """Reads the metadata file of a distributed checkpoint, without running code from the file.

    Returns:
        the shapes, dtypes and chunks of the tensors, and the file, offset and length of each chunk.

    Raises:
        UntrustedCheckpointError: the metadata describes objects other than tensors, or names classes of other modules.
        BrokenCheckpointError: the metadata is damaged, or does not match the files in the folder.
    """
    path = Path(folder) / METADATA
    try:
        with path.open("rb") as file:
            record = PickleMachine(file, _table()).load()
        return _Description(Path(folder), record).read()
    except NameRefusedError as error:
        raise UntrustedCheckpointError(str(path), error.name) from error
    except MalformedPickleError as error:
        raise BrokenCheckpointError(str(path), str(error)) from error
    except (BrokenCheckpointError, UntrustedCheckpointError):
        raise
    except Exception as error:
        # A damaged file may pass any arguments to the functions that construct its objects, and these functions may
        # raise any exception.
        raise BrokenCheckpointError(str(path), f"{type(error).__name__}: {error}") from error


class _Description:
    """Converts the records of a metadata file to objects of torch's classes after checking all values.

    The sizes of the files in the folder are an upper limit for the sizes of the tensors, so a damaged metadata file
    cannot describe tensors that fill the memory.
    """

    def __init__(self, folder: Path, record: Any) -> None:
        if not isinstance(record, _Record) or record.name != "Metadata":
            raise MalformedPickleError("it is no metadata of a distributed checkpoint")
        self._record = record
        self._file_sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        self._left = sum(self._file_sizes.values())

    def read(self) -> tuple[Metadata, Mapping[MetadataIndex, Part]]:
        """Returns the descriptions of all tensors, and the position of each chunk; every chunk must have a file."""
        entries = self._record.field("state_dict_metadata", dict)
        tensors: Any = {key: self._tensor(key, entry) for key, entry in entries.items()}
        items = self._record.field("storage_data", dict).items()
        parts = {self._index(key): self._part(value) for key, value in items}
        for key, tensor in tensors.items():
            for chunk in tensor.chunks:
                if MetadataIndex(key, chunk.offsets) not in parts:
                    raise MalformedPickleError(f"no file holds the tensor {key!r}")
        version = self._record.field("version", (str, type(None)))
        return Metadata(tensors, None, None, None, version), parts

    def _tensor(self, key: Any, entry: Any) -> TensorStorageMetadata:
        """Converts the description of a tensor to torch's class.

        Raises:
            MalformedPickleError: the chunks do not cover the tensor, or the tensor is larger than the files.
        """
        if not isinstance(key, str) or not isinstance(entry, _Record):
            raise MalformedPickleError("it describes something else than tensors")
        if entry.name != "TensorStorageMetadata":
            raise MalformedPickleError(f"the entry {key!r} is no tensor")
        size = entry.field("size", torch.Size)
        dtype = self._dtype(entry.field("properties", _Record))
        chunks = [self._chunk(size, chunk) for chunk in entry.field("chunks", list)]
        self._left -= math.prod(size) * dtype.itemsize
        if self._left < 0 or sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
            raise MalformedPickleError(f"the tensor {key!r} does not fit the files")
        return TensorStorageMetadata(TensorProperties(dtype=dtype), size, chunks)

    @staticmethod
    def _dtype(properties: _Record) -> torch.dtype:
        dtype = None
        if isinstance(properties.state, tuple) and properties.state:
            dtype = properties.state[0]
        if not isinstance(dtype, torch.dtype):
            raise MalformedPickleError("it describes a tensor without a type")
        return dtype

    @staticmethod
    def _chunk(size: torch.Size, entry: Any) -> ChunkStorageMetadata:
        """Converts the description of a chunk to torch's class; the chunk must lie in its tensor of shape `size`."""
        if not isinstance(entry, _Record):
            raise MalformedPickleError("it describes a chunk that is none")
        offsets, sizes = entry.field("offsets", torch.Size), entry.field("sizes", torch.Size)
        if not len(offsets) == len(sizes) == len(size):
            raise MalformedPickleError("it describes a chunk of another number of dimensions")
        if any(offset + length > total for offset, length, total in zip(offsets, sizes, size, strict=True)):
            raise MalformedPickleError("it describes a chunk beyond its tensor")
        return ChunkStorageMetadata(offsets, sizes)

    @staticmethod
    def _index(key: Any) -> MetadataIndex:
        if not isinstance(key, _Record):
            raise MalformedPickleError("it lists a place that is none")
        offset = key.field("offset", (torch.Size, type(None)))
        return MetadataIndex(key.field("fqn", str), offset, key.field("index", (int, type(None))))

    def _part(self, value: Any) -> Part:
        if not isinstance(value, _Record) or value.state.get("transform_descriptors"):
            raise MalformedPickleError("it lists a place that is none")
        name, offset, length = (value.field(key, (str, int)) for key in ("relative_path", "offset", "length"))
        if name not in self._file_sizes or not 0 <= offset <= offset + length <= self._file_sizes[name]:
            raise MalformedPickleError(f"the file {name!r} beside it is not there in its length")
        return Part(name, offset, length)


class ShardReader(StorageReader):
    """Reads the tensors of a folder for :func:`torch.distributed.checkpoint.load`, and compares their checksums.

    Args:
        folder: folder of the distributed checkpoint.

    Raises:
        UntrustedCheckpointError, BrokenCheckpointError: see :func:`read_shard_metadata`.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.metadata, self._parts = read_shard_metadata(folder)

    def reset(self, checkpoint_id: Any = None) -> None:
        """Does nothing: torch calls this method to change the folder of a reader, but this reader keeps its folder."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Returns the metadata of the checkpoint, which the constructor of this reader has read from the folder."""
        return self.metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the constructor of this reader has read the metadata with the positions of all tensors."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Returns this rank's plan (the list of tensors to read) unchanged."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Returns the plans of all ranks (the lists of tensors to read) unchanged."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Reads the tensors that the plan lists from the files, and copies the values into the planner's tensors.

        Raises:
            UntrustedCheckpointError: the plan lists an entry that is no tensor, which torch would unpickle.
        """
        for item in plan.items:
            if item.type != LoadItemType.TENSOR:
                raise UntrustedCheckpointError(str(self._folder), "pickle.load for an entry that is no tensor")
            tensor = self._chunk(item.storage_index)
            for dimension, (offset, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                tensor = tensor.narrow(dimension, offset, length)
            target = planner.resolve_tensor(item).detach()
            target.copy_(tensor)
            planner.commit_tensor(item, target)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def _chunk(self, index: MetadataIndex) -> torch.Tensor:
        """Reads a chunk of a tensor from its file, and checks its shape against the metadata."""
        part = self._parts[index]
        path = self._folder / part.file
        with path.open("rb") as file:
            file.seek(part.offset)
            data = file.read(part.length)
        tensor = read_checkpoint(BytesIO(data), "cpu", name=str(path))
        described: Any = self.metadata.state_dict_metadata[index.fqn]
        chunks = [chunk for chunk in described.chunks if chunk.offsets == index.offset]
        if not isinstance(tensor, torch.Tensor) or not chunks or tensor.shape != chunks[0].sizes:
            raise BrokenCheckpointError(str(path), f"it holds something else than the tensor {index.fqn!r}")
        return tensor

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:  # noqa: ARG003  # torch's signature
        """Returns False, so that torch uses this reader only where a caller passes it, never for a path by itself."""
        return False
