from __future__ import annotations

import pytest
import torch
from checkpoint_parts import Net, load_with_report, same
from torch import nn

from eng.checkpoint import (
    BrokenCheckpointError,
    _load_checkpoint,
    _load_checkpoint_to_model,
    _load_checkpoint_with_prefix,
    load_checkpoint,
    save_checkpoint,
)


class TestLoadCheckpoint:
    def test_renames_by_revise_keys_in_order(self, tmp_path):
        weights = {"module.net.weight": torch.ones(1, 2), "module.net.bias": torch.ones(1)}
        save_checkpoint(weights, tmp_path / "a.pth")
        report = load_with_report(
            nn.Linear(2, 1), tmp_path / "a.pth", revise_keys=[(r"^module\.", ""), (r"^net\.", "")]
        )
        assert report.fits

    def test_data_parallel_prefix_goes_by_default(self, tmp_path):
        save_checkpoint({"state_dict": nn.DataParallel(nn.Linear(2, 1)).state_dict()}, tmp_path / "a.pth")
        assert load_with_report(nn.Linear(2, 1), tmp_path / "a.pth").fits

    def test_returns_the_checkpoint_and_reads_with_a_name_alone(self, saved):
        assert load_checkpoint(Net(), saved[1])["meta"] == {"iter": 1}
        assert load_checkpoint(saved[1])["meta"] == {"iter": 1}
        assert _load_checkpoint(saved[1])["meta"] == {"iter": 1}

    def test_to_a_model_from_memory(self):
        net, model = Net(), Net()
        checkpoint = {"state_dict": net.state_dict()}
        assert _load_checkpoint_to_model(model, checkpoint) is checkpoint
        assert same(model, net)

    def test_by_prefix(self, saved):
        part = _load_checkpoint_with_prefix("head", saved[1])
        assert list(part) == ["weight", "bias"]
        with pytest.raises(KeyError, match=r"begins with 'neck\.'; they begin with backbone, head"):
            _load_checkpoint_with_prefix("neck", saved[1])

    @pytest.mark.parametrize("content", [[1, 2], {"state_dict": 3}], ids=["list", "number"])
    def test_no_weights(self, content, tmp_path):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(BrokenCheckpointError, match="not a mapping"):
            load_checkpoint(Net(), tmp_path / "a.pth")

    def test_without_a_file_name(self):
        with pytest.raises(TypeError, match="name of a file"):
            load_checkpoint(Net())
