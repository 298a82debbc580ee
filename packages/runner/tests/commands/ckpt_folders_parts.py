"""What the tests beside ``test_ckpt_folders.py`` share."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)


def write_shards(folder: Path, tensors: dict[str, torch.Tensor], dims: dict[str, int], ranks: int) -> None:
    """Writes what `ranks` processes write of tensors that are split along a dimension each."""
    folder.mkdir(parents=True)
    entries, places = {}, {}
    files = [(folder / f"__{rank}_0.distcp").open("wb") for rank in range(ranks)]
    for name, tensor in tensors.items():
        chunks, begin = [], 0
        for rank, part in enumerate(tensor.chunk(ranks, dims.get(name, 0)) if tensor.dim() else [tensor]):
            offsets = [0] * tensor.dim()
            if tensor.dim():
                offsets[dims.get(name, 0)] = begin
                begin += part.shape[dims.get(name, 0)]
            buffer = io.BytesIO()
            torch.save(part.clone(memory_format=torch.contiguous_format), buffer)
            place = _StorageInfo(f"__{rank}_0.distcp", files[rank].tell(), len(buffer.getvalue()))
            places[MetadataIndex(name, torch.Size(offsets), rank)] = place
            files[rank].write(buffer.getvalue())
            chunks.append(ChunkStorageMetadata(torch.Size(offsets), part.shape))
        entries[name] = TensorStorageMetadata(TensorProperties(dtype=tensor.dtype), tensor.shape, chunks)
    for file in files:
        file.close()
    (folder / ".metadata").write_bytes(pickle.dumps(Metadata(entries, None, places)))


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "rows": torch.randn(7, 3, generator=generator),
        "columns": torch.randn(3, 10, 2, generator=generator),
        "half": torch.randn(8, generator=generator).bfloat16(),
        "count": torch.tensor(5),
        "flags": torch.tensor([True, False, True, True]),
    }


def assert_weights(loaded, factor: float = 1.0) -> None:
    expected = {n: v * factor if v.is_floating_point() else v for n, v in tensors().items()} | {"local": torch.ones(2)}
    assert set(loaded) == set(expected)
    for name, value in expected.items():
        assert loaded[name].dtype == value.dtype, name
        assert torch.equal(loaded[name], value), name
