from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ckpt_folders_parts import assert_weights, tensors
from torch import nn
from torch.distributed import checkpoint as dcp

from eng.checkpoint import BrokenCheckpointError, load_checkpoint
from eng.checkpoint._commands import ckpt


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
