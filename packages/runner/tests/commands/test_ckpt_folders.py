"""Sharded checkpoints and safetensors: `eng ckpt` reads and writes them, a block of a tensor at a time."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from eng.checkpoint import BrokenCheckpointError, export_weights, load_checkpoint, publish_checkpoint, save_checkpoint
from eng.checkpoint._commands import ckpt
from eng.checkpoint._stored import BLOCK_BYTES
from eng.runner.strategy import export_to_file


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of an averaged run on three ranks; the average stands under state_dict."""
    path = tmp_path / "epoch_2.pth"
    weights = tensors()
    moved = {f"module.{name}": value * 2 if value.is_floating_point() else value for name, value in weights.items()}
    stored = {f"state_dict/{name}": value for name, value in weights.items()}
    stored |= {f"ema_state_dict/{name}": value for name, value in moved.items()}
    write_shards(path, stored, {"state_dict/columns": 1, "ema_state_dict/module.columns": 1}, 3)
    common = {
        "meta": {"epoch": 2, "iter": 20, "time": "20260101_000000"},
        "state_dict": {name: f"sharded tensor: state_dict/{name}" for name in weights} | {"local": torch.ones(2)},
        "ema_state_dict": {name: f"sharded tensor: ema_state_dict/{name}" for name in moved},
    }
    save_checkpoint(common, path / "common.pth")
    return path


def assert_weights(loaded, factor: float = 1.0) -> None:
    expected = {n: v * factor if v.is_floating_point() else v for n, v in tensors().items()} | {"local": torch.ones(2)}
    assert set(loaded) == set(expected)
    for name, value in expected.items():
        assert loaded[name].dtype == value.dtype, name
        assert torch.equal(loaded[name], value), name


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_torch_reads_the_shards_of_these_tests(folder: Path) -> None:
    targets = {f"state_dict/{name}": torch.zeros_like(value) for name, value in tensors().items()}
    dcp.load(targets, checkpoint_id=folder, no_dist=True)
    assert_weights({name.partition("/")[2]: value for name, value in targets.items()} | {"local": torch.ones(2)})


def test_ls_and_show_and_verify(folder: Path, call) -> None:
    status, text = call(ckpt, "ls", folder.parent)
    assert status == 0
    assert text.splitlines()[1].split()[:3] == ["epoch_2.pth", "2", "20"]
    shown = json.loads(call(ckpt, "show", folder, "--json")[1])
    assert shown["num_values"] == 21 + 60 + 8 + 1 + 4 + 2
    assert shown["has_average"]
    assert {"name": "columns", "shape": [3, 10, 2], "dtype": "float32"} in shown["tensors"]
    assert shown["size_bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert call(ckpt, "verify", folder) == (0, f"{folder}: whole\n")


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "common"])
def test_damage_is_found_by_ls_and_verify_and_no_export_is_made(folder: Path, call, damage: str) -> None:
    file = folder / ("common.pth" if damage == "common" else "__1_0.distcp")
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(data[:-300])
    else:
        values = torch.ones(2) if damage == "common" else tensors()["rows"][3:6]
        data[data.find(values.contiguous().numpy().tobytes()) + 2] ^= 8
        file.write_bytes(data)
    assert call(ckpt, "verify", folder)[0] == 1
    assert call(ckpt, "ls", folder.parent)[0] == 1
    with pytest.raises(BrokenCheckpointError, match="is not a whole checkpoint"):
        export_weights(folder, folder.parent / "out.pth")
    assert not (folder.parent / "out.pth").exists()


def test_export_and_diff(folder: Path, tmp_path: Path, call) -> None:
    one = tmp_path / "one.pth"
    assert call(ckpt, "export", folder, one) == (0, f"{one}\n")
    loaded = torch.load(one)
    assert loaded["meta"]["iter"] == 20
    assert_weights(loaded["state_dict"])
    assert_weights(torch.load(one, mmap=True)["state_dict"])
    assert call(ckpt, "verify", one)[0] == 0
    assert call(ckpt, "diff", folder, one) == (0, "the weights are the same\n")
    assert call(ckpt, "export", folder, tmp_path / "trained.pth", "--trained")[0] == 0
    assert_weights(torch.load(tmp_path / "trained.pth")["state_dict"], 2.0)
    status, text = call(ckpt, "diff", folder, tmp_path / "trained.pth", "--json")
    assert status == 1
    assert {entry["name"] for entry in json.loads(text)} == {"rows", "columns", "half"}


def test_publish_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    path = Path(publish_checkpoint(folder, out_dir=tmp_path / "out"))
    assert path.name == f"epoch_2-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert_weights(torch.load(path)["state_dict"])


def test_safetensors_of_its_own_library(folder: Path, tmp_path: Path, call) -> None:
    library = pytest.importorskip("safetensors.torch")
    call(ckpt, "export", folder, "--safetensors")
    path = folder.with_suffix(".safetensors")
    assert_weights(library.load_file(path))
    assert call(ckpt, "diff", folder, path)[0] == 0
    library.save_file({"x": torch.arange(3)}, tmp_path / "theirs.safetensors")
    assert json.loads(call(ckpt, "show", tmp_path / "theirs.safetensors", "--json")[1])["num_values"] == 3
    path.write_bytes(path.read_bytes()[:-1])
    assert call(ckpt, "verify", path)[0] == 1


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_folder_with_an_index_is_read_by_torch_and_by_us(folder: Path, tmp_path: Path, call) -> None:
    target = tmp_path / "hub"
    assert call(ckpt, "export", folder, target, "--max-file-size", "100B") == (0, f"{target}\n")
    index = json.loads((target / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * (21 + 60) + 16 + 8 + 4 + 8
    assert set(index["weight_map"].values()) == {path.name for path in target.glob("*.safetensors")}
    assert len(set(index["weight_map"].values())) > 1
    reader = dcp.HuggingFaceStorageReader(str(target))
    targets = {name: torch.zeros_like(value) for name, value in tensors().items()} | {"local": torch.zeros(2)}
    dcp.load(targets, storage_reader=reader, no_dist=True)
    assert_weights(targets)
    assert_weights(load_checkpoint(str(target))["state_dict"])
    assert call(ckpt, "diff", target, folder)[0] == 0
    next(target.glob("*-00001-*")).unlink()
    with pytest.raises(FileNotFoundError, match=r"model-00001-of-0000\d\.safetensors"):
        load_checkpoint(str(target))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_torch_writes_for_hugging_face_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    model = nn.Linear(3, 2)
    mapping = {"weight": 1, "bias": 2}
    writer = dcp.HuggingFaceStorageWriter(str(tmp_path / "hub"), fqn_to_index_mapping=mapping)
    dcp.save(dict(model.state_dict()), storage_writer=writer, no_dist=True)
    other = nn.Linear(3, 2)
    load_checkpoint(other, str(tmp_path / "hub"), strict=True)
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(other.bias, model.bias)


BAD_INDEX = {
    "text": "no json",
    "elsewhere": json.dumps({"weight_map": {"x": "../secret.safetensors"}}),
    "list": json.dumps([1]),
}


@pytest.mark.parametrize("name", BAD_INDEX)
def test_an_index_that_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(BAD_INDEX[name])
    with pytest.raises(BrokenCheckpointError, match=r"index\.json is not a whole checkpoint"):
        load_checkpoint(str(tmp_path))


def test_sizes_of_files(tmp_path: Path, folder: Path, call) -> None:
    import click

    with pytest.raises(click.BadParameter, match="expected a size such as 500MB or 5GB, got 'much'"):
        call(ckpt, "export", folder, tmp_path / "x", "--max-file-size", "much")


MEASURE = """
import json, sys
from pathlib import Path
from eng.checkpoint import export_weights
from eng.runner.strategy import export_to_file

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

exports = {
    "all.pth": export_to_file,
    "weights.pth": export_weights,
    "weights.safetensors": export_weights,
    "hub": lambda source, target: export_weights(source, target, max_file_bytes=10**7),
}
source, small, target = sys.argv[1:]
peaks = {}
for name, export in exports.items():
    export(small, f"{target}/small-{name}")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    export(source, f"{target}/{name}")
    peaks[name] = status("VmHWM") - before
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_an_export_takes_less_memory_than_one_shard(big: tuple[Path, Path], tmp_path: Path) -> None:
    source, small = big
    words = [sys.executable, "-c", MEASURE, str(source), str(small), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    largest = max(path.stat().st_size for path in source.glob("*.distcp"))
    assert largest > 4 * BLOCK_BYTES
    peaks = json.loads(done.stdout)
    assert sorted(peaks) == ["all.pth", "hub", "weights.pth", "weights.safetensors"]
    assert {name: peak for name, peak in peaks.items() if peak > 1.2 * largest} == {}
    print(f"peaks in MB: {peaks}, largest shard {largest}")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of 4 shards of 18 MiB, most of it in one tensor, and a small one."""
    folders = []
    for name, width in (("big", 1152), ("small", 8)):
        folder = tmp_path_factory.mktemp("folders") / name
        values = {
            "state_dict/embedding": torch.ones(12 * 1024, width),
            "state_dict/columns": torch.ones(width, 4 * 1024),
        }
        write_shards(folder, values, {"state_dict/columns": 1}, 4)
        weights = {key.partition("/")[2]: f"sharded tensor: {key}" for key in values}
        save_checkpoint({"meta": {}, "state_dict": weights}, folder / "common.pth")
        folders.append(folder)
    return folders[0], folders[1]


def test_export_to_file_keeps_everything(folder: Path, tmp_path: Path) -> None:
    export_to_file(str(folder), str(tmp_path / "all.pth"))
    loaded = torch.load(tmp_path / "all.pth")
    assert sorted(loaded) == ["ema_state_dict", "meta", "state_dict"]
    assert torch.equal(loaded["ema_state_dict"]["module.columns"], tensors()["columns"] * 2)
