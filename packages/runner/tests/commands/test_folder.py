from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ckpt_folders_parts import assert_weights, tensors
from torch.distributed import checkpoint as dcp

from eng.checkpoint import BrokenCheckpointError, export_weights
from eng.checkpoint._commands import ckpt


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_torch_reads_the_shards_of_these_tests(folder: Path) -> None:
    targets = {f"state_dict/{name}": torch.zeros_like(value) for name, value in tensors().items()}
    dcp.load(targets, checkpoint_id=folder, no_dist=True)
    assert_weights({name.partition("/")[2]: value for name, value in targets.items()} | {"local": torch.ones(2)})


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
